"""Seals: any change of a document shows, and nothing else does."""

import json

import pytest

from native_sim.storage.seals import SEAL, digest_of, is_intact, sealed

DOCUMENT = {"name": "x", "numbers": [1, 2.5, None, True], "inner": {"b": 0.1, "a": "\u00fc"}}


def test_a_document_is_intact_however_it_is_laid_out():
    text = json.dumps(sealed(DOCUMENT))
    assert is_intact(json.loads(text))
    turned = dict(reversed(json.loads(text).items()))
    assert is_intact(json.loads(json.dumps(turned, indent=4)))
    assert sealed(sealed(DOCUMENT)) == sealed(DOCUMENT)


@pytest.mark.parametrize(
    "changes",
    [{"name": "y"}, {"numbers": [1, 2.5, None, 1]}, {"more": 1}, {SEAL: "0"}, {SEAL: None}],
)
def test_any_change_shows(changes):
    assert not is_intact({**sealed(DOCUMENT), **changes})


def test_a_document_without_a_seal_cannot_be_told():
    assert is_intact(DOCUMENT) and SEAL not in DOCUMENT


def test_tuples_and_lists_are_the_same_document():
    assert digest_of({"a": (1, 2)}) == digest_of({"a": [1, 2]})
