"""Seals: a JSON document carries a digest of itself, so that a changed one is told from the one that was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

SEAL: Final = "digest"
"""Entry of a document that holds the digest of all others."""


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what JSON keeps of a document, whatever the order of its keys; its seal is left out."""
    content = json.loads(json.dumps({name: value for name, value in document.items() if name != SEAL}))
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its seal."""
    return {**document, SEAL: digest_of(document)}


def is_intact(document: Mapping[str, Any]) -> bool:
    """Tell whether a document is what was sealed; earlier versions wrote no seal, and theirs cannot be told."""
    return SEAL not in document or document[SEAL] == digest_of(document)
