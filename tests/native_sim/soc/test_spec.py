"""The tables that both simulators and every learner read: columns have names, and the names agree with the layouts."""

import ast
import re
from pathlib import Path

import pytest

from native_sim.soc import spec

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = {
    spec.Directive: spec.ACTIONS["coordinator"],
    spec.Hunting: spec.ACTIONS["hunter"],
    spec.Response: spec.ACTIONS["responder"],
    spec.ReferenceDirective: spec.REFERENCE_ACTIONS["coordinator"],
}


@pytest.mark.parametrize("columns", COLUMNS, ids=lambda columns: columns.__name__)
def test_every_field_with_an_effect_has_its_column_by_name(columns):
    fields = {field.name: field.start for field in COLUMNS[columns] if not field.name.startswith("unused")}
    assert {name.lower(): int(column) for name, column in columns.__members__.items()} == fields


@pytest.mark.parametrize("role", spec.ACTIONS)
def test_sizes_are_those_of_the_layouts(role):
    size = spec.ACTION_SIZES[spec.AGENTS.index(role)]
    assert spec.ACTIONS[role].size == spec.REFERENCE_ACTIONS[role].size == size
    assert spec.ACTIONS["coordinator"].size == spec.DIRECTIVE_SIZE


def test_the_reference_rules_read_hunting_and_response_from_the_same_columns():
    for role, names in {"hunter": ("intensity", "scope"), "responder": ("isolate", "remediate")}.items():
        for name in names:
            assert spec.REFERENCE_ACTIONS[role][name].slice == spec.ACTIONS[role][name].slice


@pytest.mark.parametrize("first", [spec.Directive.PRIORITY, spec.Hunting.SCOPE, spec.Response.REMEDIATE])
def test_a_field_per_segment_is_its_slice(first):
    layout = COLUMNS[type(first)]
    assert spec.per_segment(first) == layout[first.name.lower()].slice


def test_saved_mappers_were_fitted_to_wishes_in_this_order():
    assert [field.name for field in spec.WISHES] == [
        *("always", "intensity", "scope", "telemetry", "isolate", "remediate", "throttle", "release"),
        *("close", "reopen", "escalate", "enrich", "posture"),
    ]


ACTIONS_BY_NAME = re.compile(r"(^|_)(directives?|hunting|response|force)$")
"""Names of variables that hold actions of the roles; in kernels also ``action``."""


def bare_columns(tree, names=ACTIONS_BY_NAME):
    """Yield subscripts that name a column of a role's action by a number."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Subscript) or not names.search(ast.unparse(node.value).split(".")[-1]):
            continue
        last = node.slice.elts[-1] if isinstance(node.slice, ast.Tuple) else node.slice
        if any(isinstance(part, ast.Constant) and type(part.value) is int for part in ast.walk(last)):
            yield ast.unparse(node)


def test_no_column_of_an_action_is_a_bare_number():
    for package in ("adapters", "evaluation", "hmarl_soc", "native_sim"):
        for path in sorted((ROOT / package).rglob("*.py")):
            kernel = path.parent.parent == ROOT / "native_sim" / "soc"
            names = re.compile(ACTIONS_BY_NAME.pattern + r"|^action$") if kernel else ACTIONS_BY_NAME
            found = list(bare_columns(ast.parse(path.read_text(encoding="utf-8")), names))
            assert not found, f"{path.relative_to(ROOT)} has {found[0]}; take the column from native_sim.soc.spec"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("v.directive[6]", True),
        ("orders.directive[:, 7]", True),
        ("directive[..., :5]", True),
        ("force[:, 2 * 3]", True),
        ("hunting[:, 5:10] = 1.0", True),
        ("directive[:, Directive.POSTURE]", False),
        ("directive[:, per_segment(Directive.PRIORITY)]", False),
        ("v.directive[:] = 0.0", False),
        ("segments[:, 2]", False),
    ],
)
def test_bare_numbers_are_told_from_names(code, found):
    assert bool(list(bare_columns(ast.parse(code)))) == found
