"""A method of another package: trained, resumed, saved and played without an edit here; broken ones in one sentence."""

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evaluation.studies.training import tuning
from hmarl_soc import checkpoint, registry
from hmarl_soc.checkpoint import Checkpoint
from native_sim.plugins import Plugins
from tests.builders.toys import same
from tests.builders.train_command import train as train_command

ROOT = Path(__file__).resolve().parents[2]
MATCHING = ROOT / "tests" / "plugins" / "matching"
"""A package with a game of two guards."""
EXAMPLE = re.search(r"```python\n(# blind\.py\n.*?)```", (ROOT / "docs" / "own-method.md").read_text(), re.S)[1]
"""The method that the documentation shows."""
SMALL = (
    "[environment]\nnum_envs = 8\n{knobs}[trainer]\nsteps = {steps}\nlog_every = 100\nvalidate_every = 200\n"
    "validation_episodes = 2\nsave_every = 1000000\naveraging = 100\n"
)
SOC = "knobs = {max_steps = 12}\n"


def install(folder, name="blind", entries="blind = blind:METHOD", source=EXAMPLE, group="methods"):
    """Lay out a package as if it were installed in a folder of ``sys.path``."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hmarl_transfer.{group}]\n{entries}\n")
    (folder / f"{name}.py").write_text(source)
    return folder


def run(*arguments, path=(), cwd=None):
    """Run a command with packages installed."""
    places = os.pathsep.join(map(str, [ROOT, *path]))
    words = [sys.executable, "-m", "evaluation.cli", *map(str, arguments)]
    surroundings = {**os.environ, "PYTHONPATH": places}
    return subprocess.run(words, env=surroundings, capture_output=True, text=True, check=False, cwd=cwd)


def answer(*arguments, **how):
    done = run(*arguments, "--json", **how)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def refused(*arguments, **how):
    """Return what a command said that was bad input."""
    done = run(*arguments, **how)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2 and said.startswith("Error: ") and "Traceback" not in said, (done.returncode, said)
    return said


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Return a function that runs ``train`` in this process and is refused; packages lie in ``tmp_path``."""

    def refused_here(*arguments):
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(registry, "_REGISTERED", {})
        monkeypatch.setattr(registry, "METHODS", Plugins("method", registry.GROUP, registry.METHODS.ours))
        done = train_command("--seed", 0, "--out", tmp_path / "run", *arguments)
        assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.exception
        assert not (tmp_path / "run" / "last").exists()
        return " ".join(done.output.split())

    yield refused_here
    for name in ("broken", "stops", "blind", "twin"):
        sys.modules.pop(name, None)


def train(folder, steps, method, *more, knobs=SOC, **how):
    settings = folder.parent / f"{folder.name}-{steps}.toml"
    settings.write_text(SMALL.format(steps=steps, knobs=knobs))
    asked = ("train", "--method", method, "--config", settings, "--seed", 3, "--out", folder, *more)
    return answer(*asked, **how)


def learned(folder):
    """Return all that decides how a run goes on, but the time it took."""
    state = dict(checkpoint.load(folder / "last").state)
    del state["spent_s"]
    state["log"] = None  # tells its length, and seconds are in it
    return state


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def trained(installed, tmp_path_factory):
    """A run of the installed method in the SOC simulator."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    told = train(folder, 400, "blind", path=[installed])
    assert told["steps"] == 400 and told["best_score"] < 0
    return folder


def test_an_installed_method_is_trained_and_resumed_exactly(trained, installed, tmp_path):
    saved = checkpoint.load(trained / "best", "weights")
    assert saved.method == "blind" and saved.config["method"]["step_size"] == 0.02  # its tuned settings
    train(tmp_path / "run", 200, "blind", path=[installed])
    train(tmp_path / "run", 400, "blind", "--resume", path=[installed])
    same(learned(trained), learned(tmp_path / "run"))
    assert learned(trained)["learner"]["baseline"] != 0


def test_its_weights_are_evaluated_where_it_is_installed_and_nowhere_else(trained, installed, tmp_path):
    asked = (
        "evaluate",
        "--game",
        "soc",
        "--episodes",
        2,
        "--steps",
        12,
        "--policies",
        f"no-defense,weights:{trained}",
    )
    told = answer(*asked, "--out", tmp_path / "played", path=[installed])
    assert told["policies"][f"weights:{trained}"]["n"] == 2
    said = refused(*asked, "--out", tmp_path / "none")
    assert "unknown method 'blind'; known are hmarl-soc" in said and not (tmp_path / "none").exists()


def test_it_learns_in_a_game_of_another_package(installed, tmp_path):
    path = [installed, MATCHING]
    told = train(tmp_path / "run", 400, "blind", "--game", "matching", knobs="", path=path)
    assert told["best_score"] > 0
    played = ("evaluate", "--game", "matching", "--episodes", 2, "--policies", f"weights:{tmp_path / 'run'}")
    assert answer(*played, "--out", tmp_path / "played", path=path)["policies"]


def test_a_method_by_its_place_is_trained_resumed_and_played_by_a_policy_of_ones_own(tmp_path):
    (tmp_path / "blind.py").write_text(EXAMPLE)
    (tmp_path / "play_blind.py").write_text(
        "import hmarl_soc\nfrom blind import METHOD\n\n"
        "def make():\n    return hmarl_soc.load_policy('runs/cut', METHOD)\n"
    )
    (tmp_path / "runs").mkdir()
    train(tmp_path / "runs" / "whole", 400, "blind:METHOD", cwd=tmp_path)
    train(tmp_path / "runs" / "cut", 200, "blind:METHOD", cwd=tmp_path)
    train(tmp_path / "runs" / "cut", 400, "blind:METHOD", "--resume", cwd=tmp_path)
    same(learned(tmp_path / "runs" / "whole"), learned(tmp_path / "runs" / "cut"))
    asked = ("evaluate", "--game", "soc", "--episodes", 2, "--steps", 12, "--policies")
    told = answer(*asked, "play_blind:make", "--out", tmp_path / "played", cwd=tmp_path)
    assert told["policies"]["play_blind:make"]["n"] == 2
    said = refused(*asked, "weights:runs/cut", "--out", tmp_path / "none", cwd=tmp_path)
    assert "'blind:METHOD' is a place in a module, which is never imported because a file names it" in said
    assert "hmarl_transfer.methods, or load the weights in a policy of your own" in said


@pytest.mark.parametrize("name", ["trap:METHOD", "trap", "os:system", "trap:", ":trap", "hmarl_soc.registry:find"])
def test_weights_never_import_what_they_name(name, trained, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("from pathlib import Path\nPath('sprung').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    saved = checkpoint.load(trained / "best")
    checkpoint.save(tmp_path / "run", saved._replace(method=name))
    with pytest.raises(ValueError, match=r"is never imported because a file names it|unknown method"):
        registry.load_policy(tmp_path / "run")
    for ask in (registry.find, registry.config_class):
        with pytest.raises(ValueError, match=r"is never imported|unknown method"):
            ask(name)
    assert not (tmp_path / "sprung").exists() and "trap" not in sys.modules


def test_weights_of_a_place_are_refused_even_where_it_was_registered(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    registry.register("some:METHOD", registry.find("ippo"))
    weights = Checkpoint("weights", "some:METHOD", {}, {}, {})
    with pytest.raises(ValueError, match="is never imported because a file names it"):
        registry.policy_of(weights, tmp_path)


SEARCH = """
    search: ClassVar[Space] = Space(
        {"advice.weight": 1.0, "noise": 0.3}, {"advice.weight": one_of(0.5, 2.0), "noise": between(0.1, 1.0)}, {}
    )
"""


def test_a_method_that_says_what_to_search_is_searched_with_ours(tmp_path, monkeypatch):
    source = EXAMPLE.replace("    step_size: float", f"{SEARCH}\n    step_size: float", 1)
    source = source.replace("import Abilities, MethodConfig", "import Abilities, MethodConfig, Space, between, one_of")
    install(tmp_path, "searched_blind", "blind = searched_blind:METHOD", source)
    install(tmp_path, "broken_one", "broken = broken_one:METHOD", "1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    for place in (registry, tuning):
        monkeypatch.setattr(place, "METHODS", Plugins("method", registry.GROUP, registry.METHODS.ours))
    told = Console(record=True, file=StringIO())
    assert tuning.searched(told) == [*tuning.SPACES, "blind"]
    assert "broken is left out: method 'broken' of package broken_one" in told.export_text()
    drawn = [tuning.settings_of("blind", trial) for trial in range(20)]
    assert drawn[0]["noise"] == 0.3 and len({settings["noise"] for settings in drawn}) > 10
    assert all(0.1 <= settings["noise"] <= 1.0 for settings in drawn)
    monkeypatch.setattr(tuning, "SPACES", {})
    found = tuning.study(tmp_path / "out", 1, 600, True, False, False, Console(quiet=True))
    assert [trial["settings"]["noise"] for trial in found["methods"]["blind"]["trials"]]
    assert set(found["methods"]) == {"blind"} and len(found["methods"]["blind"]["trials"]) == 2


def test_a_program_registers_a_method_for_itself(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    registry.register("mine", registry.find("ippo"))
    assert registry.config_class("mine") is registry.config_class("ippo")
    registry.register("mine", registry.find("iql"))  # as a notebook does whose cell is run again
    assert registry.config_class("mine") is registry.config_class("iql")
    with pytest.raises(ValueError, match=r"'ippo' is taken by hmarl_soc\.baselines\.config:IPPO"):
        registry.register("ippo", registry.find("iql"))
    with pytest.raises(ValueError, match=r"is no hmarl_soc\.registry\.Method but a int"):
        registry.register("number", 3)


def test_methods_say_where_they_can_learn(installed, tmp_path):
    asked = ("train", "--seed", 0, "--out", tmp_path / "run")
    said = refused(*asked, "--game", "matching", "--method", "hmarl-soc", path=[installed, MATCHING])
    assert "'hmarl-soc' does not learn on the matching game; single-drl, iql, qmix, mappo, ippo, blind do" in said
    only = EXAMPLE.replace('actions=("discrete", "box")', 'agents=("left", "right")')
    said = refused(*asked, "--method", "blind", path=[install(tmp_path / "guards", source=only)])
    assert "'blind' does not learn on the SOC simulator" in said
    discrete = EXAMPLE.replace('("discrete", "box")', '("discrete",)')
    said = refused(*asked, "--method", "blind", path=[install(tmp_path / "discrete", source=discrete)])
    assert "'blind' learns discrete actions only; those of agent 'coordinator' are box" in said
    assert not (tmp_path / "run").exists()


BROKEN = {
    "cannot be imported (ModuleNotFoundError: No module named 'nowhere')": ("x = nowhere:METHOD", ""),
    "cannot be imported (SystemExit: 3)": ("x = broken:METHOD", "raise SystemExit(3)"),
    "cannot be imported (AttributeError": ("x = broken:MISSING", ""),
    "missing 1 required positional argument: 'policy'": ("x = broken:HALF", "HALF = Method(Settings, Learns)"),
    "is no hmarl_soc.registry.Method": ("x = broken:Learns", ""),
    "is no subclass of hmarl_soc.config.MethodConfig": ("x = broken:M", "M = Method(dict, Learns, make)"),
    "learner of method 'x' lacks act, load_state_dict, observe": ("x = broken:M", "M = Method(Settings, Lacks, make)"),
    "learner of method 'x' is a int": ("x = broken:M", "M = Method(Settings, 3, make)"),
    "must be callable with (config, interface, num_envs, seed, device)": (
        "x = broken:M",
        "M = Method(Settings, lambda config: None, make)",
    ),
    "it must be a hmarl_soc.Learner": ("x = broken:M", "M = Method(Settings, lambda *given: 3, make)"),
    "with weights() and with_weights(), so that it can be saved": (
        "x = broken:M",
        "M = Method(Settings, Learns, make)",
    ),
    "policy of method 'x' must be callable with (config, interface, arrays)": (
        "x = broken:M",
        "M = Method(Settings, Saves, lambda config: None)",
    ),
    "a checkpoint holds arrays, numbers, strings and None; /kept is set": (
        "x = broken:M",
        "class Odd(Saves):\n    def state_dict(self): return {'kept': {1}}\nM = Method(Settings, Odd, make)",
    ),
    "policy of method 'x' makes a int": ("x = broken:M", "M = Method(Settings, Saves, lambda *given: 3)"),
    "learner of method 'x' cannot be imported from torch_less:Learns (ModuleNotFoundError": (
        "x = broken:M",
        "M = Method(Settings, 'torch_less:Learns', make)",
    ),
    "is taken twice: by broken beside this project": ("ippo = broken:M", "M = Method(Settings, Learns, make)"),
}
PARTS = """
from hmarl_soc import Learner
from hmarl_soc.config import MethodConfig as Settings
from hmarl_soc.registry import Method, find
from native_sim import Policy

class Lacks(Learner):
    pass

class Learns(Learner):
    def __init__(self, config, interface, num_envs, seed, device): pass
    def act(self, seen, explore=True): pass
    def observe(self, step): pass
    def update(self): return {}
    def policy(self): return 3
    def state_dict(self): return {}
    def load_state_dict(self, state): pass

class Plays(Policy):
    def initial_memory(self, num_envs): pass
    def act(self, obs, mask, memory, draws): pass
    def weights(self): return {}
    def with_weights(self, arrays): return self

class Saves(Learns):
    def policy(self): return Plays()

def make(config, interface, arrays):
    return Plays()

"""


@pytest.mark.parametrize("sentence", BROKEN)
def test_broken_methods_are_told_in_one_sentence(sentence, here, tmp_path):
    entry, source = BROKEN[sentence]
    install(tmp_path, "broken", entry, PARTS + source)
    said = here("--method", entry.split()[0])
    assert said.startswith("Error: ") and sentence in said, said


def test_a_name_that_two_packages_give_is_refused_and_others_go_on(here, tmp_path):
    for name in ("blind", "twin"):
        install(tmp_path, name)
    told = "the name of method 'blind' is taken twice: by blind and twin; remove or rename one"
    assert told in here("--method", "blind")
    said = here("--method", "hmarl-soc", "--game", "cc4")
    assert "single-drl, iql, qmix, mappo, ippo do" in said  # what is broken is not offered


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("nowhere:METHOD", "cannot be imported (ModuleNotFoundError: No module named 'nowhere')"),
        ("broken:MISSING", "cannot be imported (AttributeError: module 'broken' has no attribute 'MISSING')"),
        ("broken:Plays", "is no hmarl_soc.registry.Method but a"),
        ("broken:", "cannot be imported"),
        (":METHOD", "cannot be imported"),
        ("stops:METHOD", "cannot be imported (SystemExit: 3)"),
        ("nothing", "unknown method 'nothing'; known are hmarl-soc"),
        ("", "unknown method ''"),
    ],
)
def test_a_wrong_place_is_told_in_one_sentence(method, sentence, here, tmp_path):
    (tmp_path / "broken.py").write_text(PARTS)
    (tmp_path / "stops.py").write_text("raise SystemExit(3)\n")
    said = here("--method", method)
    assert said.startswith("Error: ") and sentence in said, said
    assert not (tmp_path / "run").exists()
