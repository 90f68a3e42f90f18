"""Playing: an episode depends on its seed alone, everything is counted once, and wrong answers are refused."""

import numpy as np
import pytest

import cage4
from cage4 import actions, spec
from cage4.policies.baselines import NoDefense, RandomUnmasked, RandomValid
from cage4.policies.scripted import Investigator, Reactive
from evaluation.harness.rollout import Episode, Labels
from evaluation.inputs.errors import PolicyFailure
from native_sim.api import Decision, Policy
from tests.builders.playing import play

STEPS = 40
LABELS = Labels("test", "native", "base-v1", STEPS)
EPISODES = tuple(Episode(i, 100 + i) for i in range(7))


class Remembering(Policy):
    """Cycles through the catalogue from a random place; its memory is a counter and the last draw."""

    draws_per_agent = 2
    wants = ("busy",)

    def initial_memory(self, num_envs):
        return {"count": np.zeros(num_envs, int), "last": (np.zeros((num_envs, 5)), None)}

    def act(self, obs, mask, memory, draws):
        count, (last, _) = memory["count"] + 1, memory["last"]
        chosen = {}
        for i, name in enumerate(spec.BLUE_AGENTS):
            start = np.floor((draws[:, i, 0] + last[:, i]) * 40).astype(int) + obs["busy"][:, i] + obs[name].sum(axis=1)
            chosen[name] = (start + count) % spec.NUM_ACTIONS[i]
        messages = (draws[:, :, 1:] > np.linspace(0, 1, 8)).astype(int)
        return Decision(chosen, {"count": count, "last": (draws[:, :, 1], None)}, messages)


def play_all(policy, num_envs, episodes=EPISODES, steps=STEPS):
    env = cage4.vector_env("native", num_envs=num_envs, steps=steps, rich="rich" in policy.wants)
    labels = LABELS._replace(steps=steps)
    records = sorted(play(env, policy, episodes, labels), key=lambda record: record.index)
    env.close()
    return [record.model_copy(update={"wall_s": 0.0}) for record in records]


@pytest.mark.parametrize(
    "policy", [NoDefense(), RandomValid(), RandomUnmasked(), Reactive(), Investigator(), Remembering()]
)
def test_an_episode_depends_on_its_seed_alone(policy):
    alone = play_all(policy, 1)
    assert [record.index for record in alone] == list(range(7))
    assert play_all(policy, 3) == alone
    assert play_all(policy, 7) == alone
    assert play_all(policy, 4, tuple(reversed(EPISODES))) == alone


def test_seeds_matter():
    scores = {record.score for record in play_all(RandomValid(), 7, steps=100)}
    assert len(scores) > 1


@pytest.mark.parametrize("policy", [NoDefense(), RandomValid(), Remembering()])
def test_everything_is_counted_once(policy):
    for record in play_all(policy, 3, steps=90):
        assert record.length == 89
        assert len(record.step_rewards) == 88
        assert record.score == sum(record.step_rewards) == sum(record.phase_scores)
        assert np.sum(record.parts) + sum(record.action_costs) == record.score
        per_phase = np.sum(record.parts, axis=(1, 2)) + record.action_costs
        np.testing.assert_allclose(per_phase, record.phase_scores)
        assert sum(record.actions.values()) == 5 * 89


class Stumbling(Remembering):
    """Says that it could not do what it wanted, of one kind in every step, of another never."""

    def fallbacks(self, memory):
        return {"always": memory["count"], "never": np.zeros_like(memory["count"])}


def test_fallbacks_are_recorded_by_reason():
    assert all(record.fallbacks == {"always": 29, "never": 0} for record in play_all(Stumbling(), 2, steps=30))
    assert all(record.fallbacks == {} for record in play_all(NoDefense(), 2, steps=30))


def test_no_defense_sleeps_and_random_stays_valid():
    for record in play_all(NoDefense(), 2):
        assert record.actions["Sleep"] == 5 * (STEPS - 1)
        assert (record.invalid, record.busy, sum(record.action_costs)) == (0, 0, 0)
    for record in play_all(RandomValid(), 2):
        assert record.invalid == 0
        assert record.busy > 0
    assert all(record.invalid > 0 for record in play_all(RandomUnmasked(), 2))


def test_random_is_uniform_over_valid_actions():
    generator = np.random.default_rng(1)
    sizes = zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True)
    mask = {name: generator.integers(0, 2, (1, n), np.int8) for name, n in sizes}
    many = {name: np.repeat(row, 60_000, axis=0) for name, row in mask.items()}
    decision = RandomValid().act({}, many, None, generator.random((60_000, 5, 1)))
    for name, row in mask.items():
        counts = np.bincount(decision.actions[name], minlength=row.shape[1])
        assert (counts[row[0] == 0] == 0).all()
        valid = counts[row[0] == 1]
        expected = 60_000 / len(valid)
        chi2 = ((valid - expected) ** 2 / expected).sum()
        freedom = len(valid) - 1
        assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


def test_random_unmasked_reaches_both_ends():
    draws = np.zeros((2, 5, 1))
    draws[1] = np.nextafter(1, 0)
    chosen = RandomUnmasked().act({}, {}, None, draws).actions
    for name, size in zip(spec.BLUE_AGENTS, spec.NUM_ACTIONS, strict=True):
        assert chosen[name].tolist() == [0, size - 1]


def sleeping(count):
    return {name: np.full(count, actions.SLEEP[i]) for i, name in enumerate(spec.BLUE_AGENTS)}


def without(count):
    chosen = sleeping(count)
    del chosen["blue_agent_3"]
    return Decision(chosen, None)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda n: Decision({**sleeping(n), "blue_agent_0": np.full(n, 82)}, None), "action 82 for blue_agent_0"),
        (lambda n: Decision({**sleeping(n), "blue_agent_4": np.full(n, -1)}, None), "action -1 for blue_agent_4"),
        (lambda n: Decision({**sleeping(n), "blue_agent_1": np.full(n, 1.0)}, None), "float64 for blue_agent_1"),
        (lambda n: Decision({**sleeping(n), "blue_agent_1": np.zeros(n, bool)}, None), "bool for blue_agent_1"),
        (lambda n: Decision({**sleeping(n), "blue_agent_2": 3}, None), r"shape \(\) and type int64 for blue_agent_2"),
        (lambda n: Decision({**sleeping(n), "red_agent_0": np.zeros(n, int)}, None), "an action for red_agent_0"),
        (without, "no action for blue_agent_3"),
        (lambda n: Decision(sleeping(n), None, np.zeros((n, 5, 7))), "messages of shape"),
        (lambda n: Decision(sleeping(n), None, np.full((n, 5, 8), 2)), "messages of shape"),
        (lambda n: None, "it returned NoneType"),
        (lambda n: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_wrong_answers_are_the_policys_failure(answer, sentence):
    class Wrong(NoDefense):
        def act(self, obs, mask, memory, draws):
            return answer(len(draws))

    with pytest.raises(PolicyFailure, match=sentence) as caught:
        play_all(Wrong(), 2)
    assert "Traceback" in caught.value.trace


def test_a_policy_that_cannot_begin_is_its_own_failure():
    class Broken(NoDefense):
        def initial_memory(self, num_envs):
            raise LookupError("nothing")

    with pytest.raises(PolicyFailure, match="raised LookupError: nothing"):
        play_all(Broken(), 2)
