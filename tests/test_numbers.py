"""NaN and infinity are refused, in one sentence, by every setting, knob, row and option that is a number.

The classes are found, not listed: a new one, or a new field, is covered at once, or fails here.
"""

import dataclasses
import importlib
import inspect
import math
import pkgutil
import types
import typing

import pytest
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from adapters.cc4.mapper_table import MapperConfig
from cage4.native.knobs import make_knobs
from cage4.variants import FINITE_STATE_CHOICES, Variant, load_variant
from evaluation.cli.app import app
from evaluation.foreign.limits import Limits
from evaluation.harness.schema import EvalSpec
from evaluation.studies.recorded import RECORDED
from hmarl_soc.config import parse, read_toml
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.training.runs import make_env
from native_sim.soc.config import SocConfig
from native_sim.soc.policies import Tactics
from native_sim.soc.variants import get_variant
from tests.builders.commands import callbacks

PACKAGES = ("adapters", "cage4", "evaluation", "hmarl_soc", "native_sim")
BAD = (math.nan, math.inf, -math.inf)
SETTINGS = {
    MapperConfig: MapperConfig(),
    SocConfig: SocConfig(),
    Tactics: Tactics(),
    Variant: Variant(red_choices=FINITE_STATE_CHOICES),
}
"""Dataclasses that take numbers from users -> one of them."""
COMPUTED = {
    "Arm",
    "Comparison",
    "MetricComparison",
    "Field",
    "Limits",
    "Moment",
    "PolicyComparison",
    "Reason",
    "Seconds",
}
"""Dataclasses that hold what was computed, or constants and limits of this project; Limits has a test of its own."""


def modules():
    for package in PACKAGES:
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            yield importlib.import_module(found.name)


def classes():
    found = {}
    for module in modules():
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__.split(".")[0] in PACKAGES:
                found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return found.values()


CLASSES = list(classes())
MODELS = [kind for kind in CLASSES if issubclass(kind, BaseModel)]
DATACLASSES = [kind for kind in CLASSES if dataclasses.is_dataclass(kind)]


def with_leaf(hint, bad):
    """Return a value of a type in which one float is ``bad``; None if there is no float in it."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is float:
        return bad
    if origin is typing.Annotated:
        return with_leaf(parts[0], bad)
    if origin in (typing.Union, types.UnionType):
        return next((value for part in parts if (value := with_leaf(part, bad)) is not None), None)
    if origin in (list, tuple, dict):
        inner = with_leaf(parts[-1] if origin is dict else parts[0], bad)
        if inner is None:
            return None
        if origin is tuple and Ellipsis not in parts:
            return (inner, *(0.0 for _ in parts[1:]))
        return {"x": inner} if origin is dict else [inner]
    return None


def numbers(kind):
    """Return the names of the fields of a class that hold floats -> their types."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError:  # a type that is known to type checkers alone
        hints = {name: float if "float" in text else None for name, text in inspect.get_annotations(kind).items()}
    names = kind.model_fields if issubclass(kind, BaseModel) else [field.name for field in dataclasses.fields(kind)]
    return {name: hints[name] for name in names if with_leaf(hints[name], 1.0) is not None}


def test_the_walk_finds_what_it_should():
    assert {kind.__name__ for kind in DATACLASSES if numbers(kind)} == COMPUTED | {kind.__name__ for kind in SETTINGS}
    found = {(kind.__name__, name) for kind in MODELS for name in numbers(kind)}
    assert {
        ("EpisodeRecord", "score"),
        ("EpisodeRecord", "parts"),
        ("SocRecord", "metrics"),
        ("ScoreSummary", "ci95"),
        ("HunterConfig", "entropy_weight"),
        ("FinetuneConfig", "clip"),
        ("PpoConfig", "entropy"),
    } <= found
    assert len(found) > 120


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", [kind for kind in MODELS if numbers(kind)], ids=lambda kind: kind.__name__)
def test_no_model_takes_what_is_not_finite(kind, bad):
    for name, hint in numbers(kind).items():
        with pytest.raises(ValidationError) as refused:
            kind.model_validate({name: with_leaf(hint, bad)})
        errors = [error for error in refused.value.errors() if error["loc"][0] == name]
        assert any(error["type"] == "finite_number" for error in errors), (name, errors)
        assert all("\n" not in error["msg"] for error in errors)


@pytest.mark.parametrize("kind", DATACLASSES, ids=lambda kind: kind.__qualname__)
def test_every_dataclass_with_numbers_is_known(kind):
    if numbers(kind):
        assert kind in SETTINGS or kind.__name__ in COMPUTED, "is it set by users? then it must refuse NaN and infinity"


@pytest.mark.parametrize("bad", [*BAD, 10**400])
@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_no_setting_takes_what_is_not_finite(kind, bad):
    names = numbers(kind)
    assert len(names) >= 4
    for name in names:
        value = bad
        if name == "red_choices":
            value = ((bad, *FINITE_STATE_CHOICES[0][1:]), *FINITE_STATE_CHOICES[1:])
        with pytest.raises(ValueError, match=name) as refused:
            dataclasses.replace(SETTINGS[kind], **{name: value})
        assert "\n" not in str(refused.value)
        if hasattr(kind, "from_dict"):
            with pytest.raises(ValueError, match=name):
                kind.from_dict({name: value})


@pytest.mark.parametrize("bad", [*BAD, 10**400, 0.0, -1.0])
@pytest.mark.parametrize(("name", "option"), [("time_s", "--time-limit"), ("memory_gib", "--memory-limit")])
def test_limits_of_foreign_code_are_positive_and_finite(name, option, bad):
    with pytest.raises(ValueError, match=f"{option} must be (at|from)"):
        Limits(**{name: bad})


def test_knobs_come_from_a_checked_variant_only():
    assert list(inspect.signature(make_knobs).parameters) == ["variant", "steps"]
    for steps in BAD:
        with pytest.raises(ValueError, match="steps must be an integer"):
            make_knobs(Variant(), steps)


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_no_file_brings_it_in(tmp_path, bad):
    path = tmp_path / "mine.toml"
    row = ", ".join([bad, *["0.125"] * 8])
    rest = ", ".join(["[" + ", ".join(["1.0", *["0.0"] * 8]) + "]"] * 7)
    path.write_text(f"red_choices = [[{row}], {rest}]\n")
    with pytest.raises(ValueError, match="red_choices of state K must be probabilities"):
        load_variant(path)
    path.write_text(f"stealth = {bad}\n")
    with pytest.raises(ValueError, match="stealth must lie in 0 to 1"):
        get_variant(str(path))
    path.write_text(f"[method]\ngamma = {bad}\n")
    with pytest.raises(ValueError, match="setting 'gamma'"):
        parse(read_toml(path), HmarlConfig)
    path.write_text(f"[environment]\nknobs = {{stealth = {bad}}}\n")
    with pytest.raises(ValueError, match="stealth must lie in 0 to 1"):
        make_env(parse(read_toml(path), HmarlConfig).environment)
    with pytest.raises(ValidationError, match="every number of a knob must be finite"):
        knobs = {"red_choices": [[float(bad)]]}
        EvalSpec(engine="native", variant="x-v1", variant_knobs=knobs, policies=("random",))


def commands():
    """Yield command, float option, and what must be given beside it."""
    runs = [str(path) for path in (RECORDED / "cc4-investigator-cyborg", RECORDED / "cc4-investigator-cyborg")]
    beside = {("compare",): runs}
    for words, callback in callbacks():
        for name, kind in typing.get_type_hints(callback).items():
            if kind is float or float in typing.get_args(kind):
                yield words, f"--{name.replace('_', '-')}", beside.get(words, [])


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(("command", "option", "given"), list(commands()))
def test_no_option_takes_what_is_not_finite(command, option, given, bad):
    done = CliRunner().invoke(app, [*command, *given, f"{option}={bad}"])
    said = " ".join(done.output.split())
    assert done.exit_code == 2 and said.startswith("Error: ") and bad.lstrip("-") in said, said
