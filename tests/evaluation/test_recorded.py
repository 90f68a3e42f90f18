"""Recorded headline results: readable, unedited, and repeated by the compiled engine episode by episode."""

from pathlib import Path

import pytest

import evaluation
from evaluation.policies import POLICIES, make_policy
from evaluation.records import SPEC, RunFolder
from evaluation.rollout import Episode, Labels, play
from evaluation.summarise import summarise, summary_json

RECORDED = sorted(path.parent for path in (Path(evaluation.__file__).parent / "recorded").glob(f"*/{SPEC}"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_the_summary_follows_from_the_rows(path):
    folder = RunFolder.open(path)
    assert summary_json(summarise(folder.spec, folder.read())) == (path / "summary.json").read_text()
    assert folder.provenance["dirty"] is False


def test_the_compiled_engine_repeats_every_recorded_episode_of_cyborg():
    import cage4

    (path,) = (path for path in RECORDED if path.name == "cc4-baselines-cyborg")
    folder = RunFolder.open(path)
    assert folder.spec.engine == "cyborg"
    assert set(folder.spec.policies) <= set(POLICIES)
    episodes = [Episode(i, seed) for i, seed in enumerate(folder.spec.episode_seeds())]
    env = cage4.vector_env("native", num_envs=len(episodes), steps=folder.spec.steps)
    recorded = {(row.policy, row.index): row for row in folder.read()}
    assert len(recorded) == len(folder.spec.policies) * len(episodes) == 400
    for policy in folder.spec.policies:
        labels = Labels(policy, "cyborg", folder.spec.variant, folder.spec.steps)
        for row in play(env, make_policy(policy), episodes, labels):
            expected = recorded[policy, row.index]
            assert row.model_copy(update={"wall_s": expected.wall_s}) == expected
