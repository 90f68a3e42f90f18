"""Rows that contradict themselves are refused when read; whatever is really played, or was ever recorded, is not."""

import json
import math

import pytest

from cage4.variants import VARIANTS
from evaluation.games.cc4 import policies
from evaluation.games.soc.policies import soc_registry
from evaluation.harness.game import find_game
from evaluation.harness.rollout import Episode
from evaluation.harness.run_folder import ROWS, SPEC, RunFolder
from evaluation.harness.schema import EvalSpec
from evaluation.inputs.errors import BadInput
from evaluation.jobs.evaluate import resolve
from evaluation.studies.recorded import RECORDED
from native_sim.soc.config import LEVELS
from tests.builders.rows import PROVENANCE

EPISODES = 3


def played(engine, variant, names, steps, episodes=EPISODES):
    """Return what was asked, and the rows of short episodes."""
    spec = resolve(engine, variant, steps, ",".join(names), episodes, 5)
    batch = [Episode(index, seed) for index, seed in enumerate(spec.episode_seeds())]
    return spec, [row for name in names for row in find_game(spec.game).play(spec, name, batch, nested=False)]


def at(row, *path):
    """Return the mapping or list that holds a place of a row, and the place."""
    for name in path[:-1]:
        row = row[name]
    return row, path[-1]


def read(folder, spec, row):
    """Read one row back from a run folder."""
    run = RunFolder.create(folder / "run", spec, PROVENANCE)
    (run.path / ROWS).write_text(json.dumps(row) + "\n")
    try:
        return run.read()
    finally:
        run.close()


@pytest.fixture(scope="module")
def cc4():
    spec, rows = played("native", "base", ["random"], 60, 2)
    return spec, next(row for row in rows if row.score < 0).model_dump(mode="json")


@pytest.fixture(scope="module")
def soc():
    spec, rows = played("soc", "corrected", ["random"], 50, 2)
    return spec, rows[0].model_dump(mode="json")


BOTH = [
    (("score",), 123456.0, "not to its score, 123456"),
    (("score",), math.nan, "score: Input should be a finite number"),
    (("score",), math.inf, "score: Input should be a finite number"),
    (("wall_s",), -1.0, "wall_s"),
    (("wall_s",), math.nan, "wall_s: Input should be a finite number"),
    (("length",), -1, "length"),
    (("length",), 100, "100"),
    (("length",), 0, "0"),
    (("variant",), "other-v1", "it is of variant other-v1"),
    (("engine",), "other", "it is of engine other"),
]
CC4 = [
    *BOTH,
    (("phase_scores", 1), 5.0, "add up to"),
    (("phase_scores", 0), -math.inf, "phase_scores.0: Input should be a finite number"),
    (("step_rewards", 7), -12345.0, "the steps of phase 0 add up to"),
    (("step_rewards",), [0.0], "it has 59 and 1"),
    (("step_rewards", 0), math.nan, "step_rewards.0: Input should be a finite number"),
    (("parts", 2, 8, 1), -77.0, "the parts and action costs of phase 2 add up to"),
    (("parts", 2, 8, 1), math.inf, "parts.2.8.1: Input should be a finite number"),
    (("parts", 2), [], "its parts are not of shape"),
    (("parts", 1, 3), [0.0, 0.0], "its parts are not of shape"),
    (("action_costs", 0), -99.0, "the parts and action costs of phase 0 add up to"),
    (("actions", "Monitor"), -1, "actions.Monitor"),
    (("actions", "Monitor"), 5 * 59 + 1, "5 agents decide 295 times in 59 steps"),
    (("invalid",), -1, "invalid"),
    (("invalid",), 296, "it counts 296 invalid"),
    (("busy",), 296, "it counts 296 busy"),
    (("fallbacks",), {"no target": -1}, "fallbacks.no target"),
]
SOC = [
    *((path, value, text) for path, value, text in BOTH if path != ("score",) or math.isnan(value)),
    (("score",), 123456.0, "its metric reward is"),
    (("metrics", "reward"), 123456.0, "its metric reward is 123456"),
    (("metrics", "reward"), math.nan, "metrics.reward: Input should be a finite number"),
    (("metrics", "length"), 3.0, "its metric length is 3"),
    (("metrics", "reward_cost"), 5000.0, "its parts add up to"),
    (("metrics", "csr"), 2.0, "its metric csr is 2"),
    (("metrics", "exfiltrated"), -1.0, "its metric exfiltrated is -1"),
    (("metrics", "false_flags"), -1.0, "its metric false_flags is -1"),
    (("metrics", "mttd"), 51.0, "its metric mttd is 51"),
    (("metrics", "alert_fpr"), 1.5, "its metric alert_fpr is 1.5"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), CC4)
def test_an_impossible_row_of_cc4_is_refused(cc4, tmp_path, path, value, sentence):
    spec, row = cc4
    assert len(read(tmp_path, spec, row)) == 1
    refuse(tmp_path, spec, row, path, value, sentence)


@pytest.mark.parametrize(("path", "value", "sentence"), SOC)
def test_an_impossible_row_of_the_soc_is_refused(soc, tmp_path, path, value, sentence):
    spec, row = soc
    assert len(read(tmp_path, spec, row)) == 1
    refuse(tmp_path, spec, row, path, value, sentence)


def refuse(folder, spec, row, path, value, sentence):
    changed = json.loads(json.dumps(row))
    holder, place = at(changed, *path)
    assert holder[place] != value
    holder[place] = value
    with pytest.raises(BadInput, match="is corrupt") as refused:
        read(folder, spec, changed)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_sums_may_differ_by_rounding_alone(cc4):
    spec, row = cc4
    kind = find_game(spec.game).row_type
    assert (
        find_game(spec.game).contradiction(kind.model_validate({**row, "score": row["score"] * (1 + 1e-12)}), spec)
        is None
    )
    assert (
        find_game(spec.game).contradiction(kind.model_validate({**row, "score": row["score"] - 0.001}), spec)
        is not None
    )


def fine(spec, rows):
    assert rows
    for row in rows:
        again = find_game(spec.game).row_type.model_validate_json(row.model_dump_json())
        assert again == row and find_game(spec.game).contradiction(again, spec) is None, (row.policy, row.index)


@pytest.mark.parametrize("path", sorted(RECORDED.glob(f"*/{SPEC}")), ids=lambda path: path.parent.name)
def test_every_recorded_row_is_possible(path):
    folder = RunFolder.open(path.parent)
    fine(folder.spec, folder.read())


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_played_on_any_variant_of_cc4_is_possible(variant):
    for steps in (5, 100):
        fine(*played("native", variant, ["no-defense", "random", "random-unmasked", "reactive"], steps))


@pytest.mark.slow
def test_what_any_policy_plays_on_cc4_is_possible():
    for variant in VARIANTS:
        fine(*played("native", variant, list(policies.POLICIES), 100))


@pytest.mark.parametrize("variant", ["reference", *(f"corrected:{level}" for level in LEVELS)])
def test_what_any_policy_plays_in_the_soc_is_possible(variant):
    rules = variant.partition(":")[0]
    for steps in (1, 200):
        fine(*played("soc", variant, list(soc_registry(rules).named), steps, 15))


def test_a_sweep_that_flags_more_hosts_than_it_counts_is_possible():
    spec = resolve("soc", "corrected", 200, "adaptive", 94, 0)
    episode = Episode(93, spec.episode_seeds()[93])
    (row,) = find_game("soc").play(spec, "adaptive", [episode], nested=False)
    assert row.metrics["fpr"] > 1 and find_game("soc").contradiction(row, spec) is None


def test_weights_of_the_reward_may_be_anything(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("alpha = 0\nbeta = -7.5\ndelta = 100\nlambda_fp = 0.25\nhosts_per_segment = 10\n")
    fine(*played("soc", str(path), ["random", "adaptive"], 200, 40))


def test_an_unknown_metric_says_nothing(soc):
    spec, row = soc
    assert isinstance(spec, EvalSpec)
    metrics = {**row["metrics"], "of tomorrow": -1e9}
    game = find_game(spec.game)
    assert game.contradiction(game.row_type.model_validate({**row, "metrics": metrics}), spec) is None
