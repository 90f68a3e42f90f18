"""Exported submissions: self-contained, equal bytes for equal input, and the same scores at the official judge."""

import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.bundle import bundle_folder, load_bundle
from cage4 import score
from cage4.cyborg.engine import CyborgEpisode, locate
from evaluation.export import judge as exported
from evaluation.export.submission import EXPORTERS, Entry, Labels, entry_of, export
from evaluation.games.cc4.policies import CC4, POLICIES, make_policy
from evaluation.harness.rollout import Episode
from evaluation.harness.rollout import Labels as RowLabels
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import Kind
from evaluation.transfer.named import with_own_draws
from native_sim.soc.spec import AGENTS, OBSERVATION_SIZES
from tests.builders.judging import judge

ROOT = Path(__file__).resolve().parents[3]
LABELS = Labels("name", "team", "technique")
BUNDLES = ("bundle:soc-adaptive", "bundle:hmarl-soc", "bundle:hmarl-soc-tuned")
EXPORTABLE = sorted(n for n, factory in POLICIES.items() if isinstance(factory, type) and not factory.draws_per_agent)
OWN_POLICY = """
    import numpy as np
    from cage4 import actions, spec
    from native_sim import Decision, Policy
    {extra}

    class Own(Policy):
        wants = {wants}
        draws_per_agent = {draws}

        def initial_memory(self, num_envs):
            return None

        def act(self, obs, mask, memory, draws):
            return Decision({{name: np.full(len(obs[name]), actions.MONITOR[i])
                             for i, name in enumerate(spec.BLUE_AGENTS)}}, memory)
"""


def write_policy(folder, extra="", wants=(), draws=0, name="own"):
    source = textwrap.dedent(OWN_POLICY).format(extra=extra, wants=wants, draws=draws)
    (folder / f"{name}.py").write_text(source)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder in which a user works, and from which nothing stays importable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in ("own", "helper"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("policy", EXPORTABLE)
def test_every_policy_without_draws_exports_and_equal_input_gives_equal_bytes(tmp_path, policy):
    names = export(policy, tmp_path / "a.zip", LABELS)
    assert export(policy, tmp_path / "b.zip", LABELS) == names
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("metadata") == b""
        assert archive.testzip() is None
        assert {"submission.py", "submission/submission.py", "cage4/cyborg/submitted.py"} <= set(archive.namelist())
        assert not [name for name in archive.namelist() if name.startswith(("cage4/native", "tests"))]


def test_labels_are_text_not_code(tmp_path):
    odd = 'a "quoted" \\ name\n$team'
    export("sentinel", tmp_path / "a.zip", Labels(odd, "t", "t"))
    _, name, _ = judge(tmp_path, tmp_path / "a.zip")
    assert name == odd


@pytest.mark.parametrize("policy", ["sentinel", "uc", "reactive", "no-defense"])
def test_the_zip_and_the_extracted_folder_play_from_their_own_files(tmp_path, policy):
    export(policy, tmp_path / "a.zip", LABELS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "folder")
    zipped, extracted = (judge(tmp_path, tmp_path / place) for place in ("a.zip", "folder"))
    assert zipped == extracted
    assert zipped[2] == []
    assert len(zipped[0]) == 5


@pytest.fixture
def trained(tmp_path):
    """A bundle that carries untrained weights of the hierarchy, as training saves them."""
    from hmarl_soc import checkpoint
    from hmarl_soc.config import NetworkConfig, RunConfig
    from hmarl_soc.hierarchy.config import HmarlConfig
    from hmarl_soc.interface import Agent, Interface
    from hmarl_soc.registry import make_learner
    from native_sim.soc import spec as soc

    sizes = zip(soc.AGENTS, soc.ACTION_SIZES, strict=True)
    agents = [Agent(role, soc.OBSERVATIONS[role], size, role == "triage") for role, size in sizes]
    interface, config = Interface(tuple(agents), 0), HmarlConfig(network=NetworkConfig(hidden=8, heads=2))
    policy = make_learner("hmarl-soc", config, interface, 1, seed=0).policy()
    settings = RunConfig(method=config).to_dict()
    weights = {"steps": 1, "score": 0.0, "arrays": dict(policy.weights())}
    saved = checkpoint.Checkpoint("weights", "hmarl-soc", interface.to_dict(), settings, weights)
    checkpoint.save(tmp_path / "carrying" / "policy", saved)
    adaptive = load_bundle(bundle_folder("soc-adaptive"))
    replace(adaptive, carried={"kind": "trained", "name": "mine"}).save(tmp_path / "carrying")
    return tmp_path / "carrying"


@pytest.mark.parametrize("which", ["soc-adaptive", "trained", "soc-adaptive@paper+untrained.1"])
def test_a_bundle_travels_with_its_files(tmp_path, which, trained):
    policy = f"bundle:{trained}" if which == "trained" else f"bundle:{which}"
    names = export(policy, tmp_path / "a.zip", LABELS)
    assert {"submission_data/bundle/bundle.json", "submission_data/bundle/tensors.safetensors"} <= set(names)
    assert ("submission_data/settings.json" in names) == (which == "trained")
    assert not [name for name in names if name.endswith((".pt", ".pkl", ".pickle", ".npy"))]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "folder")
    zipped, extracted = (judge(tmp_path, tmp_path / place) for place in ("a.zip", "folder"))
    assert zipped == extracted and zipped[2] == []


def test_the_exported_policy_is_the_one_that_makes_its_own_draws(tmp_path, trained):
    export(f"bundle:{trained}@ops-only", tmp_path / "a.zip", LABELS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        archive.extractall(tmp_path / "folder")
    there = exported.load(tmp_path / "folder" / "submission_data")
    here = make_policy(f"bundle:{trained}@own-draws+ops-only")
    assert there.draws_per_agent == here.draws_per_agent == 0 and there.wants == here.wants
    assert not there.policy.carrier.constant.any()
    carried, same = there.policy.carried, here.policy.carried
    assert type(carried) is type(same) and carried.weights().keys() == same.weights().keys()
    assert all((carried.weights()[name] == value).all() for name, value in same.weights().items())
    shown = {role: np.random.default_rng(0).random((3, n)) for role, n in zip(AGENTS, OBSERVATION_SIZES, strict=True)}
    one, other = (p.act(shown, {}, p.initial_memory(3), np.zeros((3, 4, 0))).actions for p in (carried, same))
    assert all(np.array_equal(one[role], other[role]) for role in one)


def test_bundles_that_cannot_play_at_the_judge_are_refused(tmp_path, trained):
    manifest = trained / "policy" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"hmarl-soc"', '"iql"'))
    with pytest.raises(BadInput, match="was changed"):
        entry_of(f"bundle:{trained}")
    with pytest.raises(BadInput, match="is not a bundle"):
        entry_of(f"bundle:{tmp_path}")
    with pytest.raises(BadInput, match="unknown control"):
        entry_of("bundle:soc-adaptive@magic")


def test_a_users_policy_brings_its_helpers_along(workplace):
    (workplace / "helper.py").write_text("ANSWER = 42\n")
    write_policy(workplace, extra="from helper import ANSWER")
    export("own:Own", workplace / "a.zip", LABELS)
    chosen, _, elsewhere = judge(workplace, workplace / "a.zip")
    assert (
        chosen["blue_agent_0"]
        == make_policy("own:Own")
        .act({f"blue_agent_{i}": np.zeros((1, 1)) for i in range(5)}, {}, None, np.zeros((1, 5, 0)))
        .actions["blue_agent_0"]
    )
    assert elsewhere == []


def test_data_files_reach_the_factory_even_from_a_zip(workplace, monkeypatch):
    write_policy(workplace)
    weights = {"deep/w.bin": b"12"}
    kept = Kind(lambda path, game: make_policy("no-defense"))
    monkeypatch.setitem(CC4.kinds, "kept", kept)
    with (workplace / "own.py").open("a") as file:
        file.write(
            "\ndef load(folder):\n    assert (folder / 'deep' / 'w.bin').read_bytes() == b'12'\n    return Own()\n"
        )
    with pytest.raises(BadInput, match="of a kind that cannot be exported"):
        export("kept:folder", workplace / "a.zip", LABELS)
    monkeypatch.setitem(EXPORTERS, "kept", lambda policy, path: Entry(policy, "own", "load", weights))
    export("kept:folder", workplace / "a.zip", LABELS)
    assert judge(workplace, workplace / "a.zip")[2] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"extra": "import numba"}, "imports numba, which the official evaluation does not have"),
        ({"extra": "from cage4.native import engine"}, "imports numba"),
        ({"extra": "from evaluation.harness.schema import EvalSpec"}, "imports pydantic"),
        ({"draws": 1}, "tells no episode seed"),
        ({"wants": ("action_cost",)}, "wants 'action_cost'"),
    ],
)
def test_what_cannot_play_at_the_judge_is_refused(workplace, options, sentence):
    write_policy(workplace, **options)
    with pytest.raises(BadInput, match=sentence) as caught:
        export("own:Own", workplace / "a.zip", LABELS)
    assert "\n" not in str(caught.value)
    assert not (workplace / "a.zip").exists()


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(BadInput, match="unknown policy 'nobody'"):
        entry_of("nobody")
    with pytest.raises(BadInput, match="random draws"):
        entry_of("random")
    (tmp_path / "sub").mkdir()
    with pytest.raises(BadInput, match=r"is no CC4 submission; it looks like an empty folder"):
        entry_of(str(tmp_path / "sub"))
    (tmp_path / "sub" / "submission.py").write_text("")
    with pytest.raises(BadInput, match="submission already"):
        entry_of(str(tmp_path / "sub"))
    with pytest.raises(BadInput, match=r"must name a \.zip"):
        export("punch", tmp_path / "a.tar", LABELS)
    (tmp_path / "d.zip").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        export("punch", tmp_path / "d.zip", LABELS)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot write"):
        export("punch", tmp_path / "file" / "a.zip", LABELS)


@pytest.mark.cyborg
@pytest.mark.parametrize("policy", ["sentinel", "uc", "bundle:soc-adaptive"])
def test_it_plays_the_rows_of_the_policy_itself(tmp_path, policy):
    import cage4
    from evaluation.games.cc4.submissions import play_submission
    from tests.builders.playing import play

    export(policy, tmp_path / "a.zip", LABELS)
    policy = with_own_draws(policy) if policy.startswith("bundle:") else policy
    episodes, labels = (Episode(0, 11), Episode(1, 12)), RowLabels(policy, "cyborg", "base-v1", 60)
    env = cage4.vector_env("cyborg", num_envs=1, steps=60, rich=True)
    ours = [row.model_dump(exclude={"wall_s"}) for row in play(env, make_policy(policy), episodes, labels)]
    theirs = [row.model_dump(exclude={"wall_s"}) for row in play_submission(str(tmp_path / "a.zip"), episodes, labels)]
    for row in ours:
        row["fallbacks"] = {}  # CybORG does not tell what a submission thinks
    assert theirs == ours
    assert sum(ours[0]["actions"].values()) > ours[0]["actions"]["Sleep"]


def official_script(tmp_path, submission, seed, episodes):
    """Run CybORG's own script, unmodified and in its own process; ray is a stand-in of one class.

    Returns its summary, and the score of every episode.
    """
    stub, out = tmp_path / "stub", tmp_path / f"out-{submission}"
    ray = stub / "ray" / "rllib" / "env"
    ray.mkdir(parents=True, exist_ok=True)
    (ray / "multi_agent_env.py").write_text("class MultiAgentEnv: pass\n")
    options = ["--max-eps", str(episodes), "--seed", str(seed)]
    subprocess.run(
        [sys.executable, "-m", "CybORG.Evaluation.evaluation", str(tmp_path / submission), str(out), *options],
        check=True,
        capture_output=True,
        cwd=stub,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(locate().path), str(stub)])},
    )
    scores = re.findall(r"total reward: (\S+)$", (out / "full.txt").read_text(), re.MULTILINE)
    return json.loads((out / "summary.json").read_text())["reward"], [float(one) for one in scores]


def engine_scores(policy, seed, episodes):
    """Return the scores of a policy on the engine of ``evaluate``, in the worlds that the official script plays."""
    game, totals = CyborgEpisode("base", 500, seed, rich=True), []
    for _ in range(episodes):
        frame, rewards, memory = game.reset(), [], policy.initial_memory(1)
        while not frame.done:
            obs = {agent: vector[None] for agent, vector in frame.observations.items()}
            obs |= {"busy": frame.busy[None], "rich": dict(zip(obs, (v[None] for v in frame.rich), strict=True))}
            mask = {agent: valid[None] for agent, valid in frame.action_mask.items()}
            decision = policy.act(obs, mask, memory, np.zeros((1, 5, 0)))
            memory, said = decision.memory, decision.messages
            chosen = {agent: int(action[0]) for agent, action in decision.actions.items()}
            frame = game.step(chosen, None if said is None else said[0])
            rewards.append(frame.reward)
        totals.append(score.official_score(np.array(rewards)).score)
    return totals


@pytest.mark.cyborg
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sentinel", "own:Own", *BUNDLES])
def test_the_official_script_gives_the_score_of_the_engine(workplace, name):
    write_policy(workplace)
    export(name, workplace / "a.zip", LABELS)
    with zipfile.ZipFile(workplace / "a.zip") as archive:
        archive.extractall(workplace / "folder")
    zipped, extracted = (official_script(workplace, form, 4321, 2) for form in ("a.zip", "folder"))
    assert zipped == extracted
    summary, scores = zipped
    expected = engine_scores(make_policy(with_own_draws(name) if name.startswith("bundle:") else name), 4321, 2)
    assert scores == pytest.approx(expected, abs=1e-9)
    assert summary == pytest.approx({"mean": np.mean(expected), "stdev": np.std(expected, ddof=1)}, abs=1e-9)
