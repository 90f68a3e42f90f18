"""Recorded headline results: readable, unedited, and repeated by the compiled engine episode by episode."""

from pathlib import Path

import pytest

import evaluation
from evaluation.games.cc4.policies import CC4, make_policy
from evaluation.harness.rollout import Episode, Labels
from evaluation.harness.run_folder import SPEC, RunFolder
from evaluation.harness.summary import summarise, summary_json
from tests.builders.playing import play

RECORDED = sorted(path.parent for path in (Path(evaluation.__file__).parent / "recorded").glob(f"*/{SPEC}"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_the_summary_follows_from_the_rows(path):
    folder = RunFolder.open(path)
    assert summary_json(summarise(folder.spec, folder.read())) == (path / "summary.json").read_text()
    assert folder.provenance["dirty"] is False


CYBORG = [path for path in RECORDED if path.name.endswith("-cyborg")]


@pytest.mark.parametrize("path", CYBORG, ids=lambda path: path.name)
def test_the_compiled_engine_repeats_recorded_episodes_of_cyborg(path):
    repeat(path, every=10)


@pytest.mark.slow
@pytest.mark.parametrize("path", CYBORG, ids=lambda path: path.name)
def test_the_compiled_engine_repeats_every_recorded_episode_of_cyborg(path):
    repeat(path, every=1)


def repeat(path, every):
    """Play one in ``every`` recorded episodes of CybORG on the compiled engine, and compare the whole rows."""
    import cage4

    folder = RunFolder.open(path)
    spec = folder.spec
    assert spec.engine == "cyborg"
    episodes = [Episode(i, seed) for i, seed in enumerate(spec.episode_seeds())]
    recorded = {(row.policy, row.index): row for row in folder.read()}
    assert len(recorded) == len(spec.policies) * len(episodes)
    episodes = episodes[::every]
    for name in spec.policies:
        policy = make_policy(name)
        rich = "rich" in policy.wants
        env = cage4.vector_env("native", num_envs=len(episodes), steps=spec.steps, rich=rich)
        for row in play(env, policy, episodes, Labels(name, "cyborg", spec.variant, spec.steps)):
            expected = recorded[name, row.index]
            assert row.model_copy(update={"wall_s": expected.wall_s}) == expected


def test_every_default_policy_is_recorded_on_cyborg():
    """Others may be registered without being recorded."""
    recorded = {name for path in CYBORG for name in RunFolder.open(path).spec.policies}
    assert set(CC4.defaults) <= recorded <= set(CC4.named)
