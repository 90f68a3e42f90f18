"""A policy in a process of its own plays to the last bit as it does in this one, whatever it remembers."""

import importlib.util
import textwrap

import numpy as np
import pytest

import cage4
from evaluation.foreign.limits import Limits
from evaluation.foreign.policy import ForeignPolicy
from evaluation.foreign.process import Surroundings, scope
from evaluation.games.soc.policies import soc_registry
from evaluation.harness.rollout import Episode, Labels
from evaluation.inputs.errors import PolicyFailure
from evaluation.policies.registry import make_policy
from native_sim import make_vec
from tests.builders.playing import play

STEPS = 30
EPISODES = tuple(Episode(i, 100 + i) for i in range(7))
POLICIES = """
    from typing import NamedTuple
    import numpy as np
    from cage4 import spec
    from native_sim import Decision, Policy
    from native_sim.soc import spec as soc

    class Pair(NamedTuple):
        total: np.ndarray
        nothing: None

    class Remembering(Policy):
        draws_per_agent = 2
        wants = ("busy", "rich")

        def initial_memory(self, num_envs):
            return {"count": np.zeros(num_envs, int), "last": (Pair(np.zeros((num_envs, 5)), None), np.zeros(num_envs))}

        def act(self, obs, mask, memory, draws):
            memory["count"] += 1  # in place, as some do
            count, (last, weight) = memory["count"], memory["last"]
            chosen = {}
            for i, name in enumerate(spec.BLUE_AGENTS):
                rich = np.asarray(obs["rich"][name]).sum(axis=1) % 7
                start = np.floor((draws[:, i, 0] + last.total[:, i]) * 40).astype(int) + obs["busy"][:, i] + rich
                chosen[name] = (start + count + weight.astype(int)) % spec.NUM_ACTIONS[i]
            messages = (draws[:, :, 1:] > np.linspace(0, 1, 8)).astype(int)
            total = Pair(draws[:, :, 1] + 0.1 * last.total, None)
            return Decision(chosen, {"count": count, "last": (total, np.float32(1.1) * weight + 1)}, messages)

        def fallbacks(self, memory):
            return {"always": memory["count"], "never": np.zeros_like(memory["count"])}

    class Learning(Policy):
        "A linear map of what it sees, in both precisions, with a memory that is added to."
        draws_per_agent = 1

        def initial_memory(self, num_envs):
            return np.zeros((num_envs, 3), np.float32)

        def act(self, obs, mask, memory, draws):
            rng = np.random.default_rng(0)
            chosen, total = {}, memory
            for i, (name, seen) in enumerate(obs.items()):
                kind = np.float32 if i % 2 else np.float64
                weights = rng.standard_normal((seen.shape[1], 3)).astype(kind)
                total = (total + 0.01 * (seen.astype(kind) @ weights)).astype(np.float32)
                size = dict(zip(soc.AGENTS, soc.ACTION_SIZES))[name]
                wanted = np.abs(np.sin(total.sum(axis=1, keepdims=True) + draws[:, i] + np.arange(size)))
                chosen[name] = wanted.argmax(axis=1) if name == "triage" else wanted
            return Decision(chosen, total)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write the module, and return it as imported here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(textwrap.dedent(POLICIES))
    spec = importlib.util.spec_from_file_location("own_here", tmp_path / "own.py")
    here = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(here)
    return here


def cc4(policy, num_envs, episodes=EPISODES):
    env = cage4.vector_env("native", num_envs=num_envs, steps=STEPS, rich=True)
    records = sorted(play(env, policy, episodes, Labels("own", "native", "base-v1", STEPS)), key=lambda r: r.index)
    return [record.model_copy(update={"wall_s": 0.0}) for record in records]


def soc(policy, num_envs, episodes=EPISODES):
    env = make_vec(num_envs=num_envs, max_steps=STEPS, with_state="state" in policy.wants)
    records = sorted(play(env, policy, episodes, Labels("own", "soc", "corrected", STEPS)), key=lambda r: r.index)
    return [record.model_copy(update={"wall_s": 0.0}) for record in records]


def test_the_same_bits_on_cc4(module):
    expected = cc4(module.Remembering(), 3)
    assert all(record.fallbacks == {"always": STEPS - 1, "never": 0} for record in expected)
    with scope():
        foreign = ForeignPolicy("own:Remembering")
        assert (foreign.wants, foreign.draws_per_agent) == (("busy", "rich"), 2)
        for num_envs, order in ((1, 1), (3, 1), (7, -1)):
            assert cc4(foreign, num_envs, EPISODES[::order]) == expected


@pytest.mark.parametrize("wrapped", ["own:Learning", "without:hunter/own:Learning"])
def test_the_same_bits_in_the_soc(module, wrapped):
    from evaluation.policies.silenced import Silenced

    here = module.Learning() if wrapped.startswith("own") else Silenced(module.Learning(), "hunter")
    with scope():
        foreign = make_policy(wrapped, soc_registry("corrected"))
        for num_envs in (2, 7):
            assert soc(foreign, num_envs) == soc(here, num_envs)


def test_floats_that_engines_show_keep_their_layout_on_the_way():
    """Only arrays in C or in Fortran order do, and with another layout sums of floats may differ in the last bit."""
    shown = []
    for env in (
        cage4.vector_env("native", num_envs=3, steps=STEPS, rich=True),
        make_vec(num_envs=3, with_state=True),
    ):
        observations, infos = env.reset(seed=1)
        shown += [observations, infos]
    arrays = []
    while shown:
        value = shown.pop()
        if isinstance(value, dict):
            shown += value.values()
        elif isinstance(value, tuple):
            shown += value
        elif value.dtype.kind == "f":
            arrays.append(value)
    assert len(arrays) >= 6
    assert all(array.flags.c_contiguous or array.flags.f_contiguous for array in arrays)


def test_memories_that_are_not_needed_any_more_are_dropped(module, tmp_path):
    (tmp_path / "counting.py").write_text(
        textwrap.dedent("""
            import weakref
            import numpy as np
            from own import Learning
            ALIVE = [0]

            class Array(np.ndarray):
                pass

            class Counting(Learning):
                def initial_memory(self, num_envs):
                    return np.zeros((num_envs, 3)).view(Array)

                def act(self, obs, mask, memory, draws):
                    decision = super().act(obs, mask, memory, draws)
                    kept = np.array(decision.memory).view(Array)
                    ALIVE[0] += 1
                    weakref.finalize(kept, lambda: ALIVE.append(ALIVE.pop() - 1))
                    print(*ALIVE)
                    return decision._replace(memory=kept)
        """)
    )
    with scope() as work:
        soc(ForeignPolicy("counting:Counting"), 2)
    counts = [int(line) for line in work.output.split()]
    assert len(counts) > 100 and max(counts) <= 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("Learning.initial_memory = lambda self, n: np.zeros((0, 3))", "raised"),
        ("Learning.initial_memory = lambda self, n: 1 / 0", "raised ZeroDivisionError"),
        ("Learning.fallbacks = lambda self, memory: {'a': [1]}", "raised IndexError"),
        ("Learning.fallbacks = lambda self, memory: {'a': ['x', 'y']}", "raised"),
        ("Learning.wants = ('weather',)", "wants 'weather', which is not shown"),
        ("Learning.act = lambda *_: Decision({'hunter': object()}, None)", "hunter"),
        ("Learning.act = lambda *_: Decision({'cook': np.zeros(2)}, None)", "cook"),
    ],
)
@pytest.mark.parametrize("place", ["here", "foreign"])
def test_failures_are_the_policys_in_either_place(module, tmp_path, change, sentence, place):
    (tmp_path / "own.py").write_text(textwrap.dedent(POLICIES) + "\n" + change)
    exec(change, vars(module))
    with scope(Surroundings.here(Limits(60.0))), pytest.raises(PolicyFailure, match=sentence) as caught:
        soc(module.Learning() if place == "here" else ForeignPolicy("own:Learning"), 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", ["SystemExit(0)", "GeneratorExit()", "BaseException('enough')"])
def test_a_policy_given_as_an_object_cannot_end_the_process(module, error):
    exec(f"def act(*_): raise {error}\nLearning.act = act", vars(module))
    with pytest.raises(PolicyFailure, match=f"raised {error.partition('(')[0]}") as caught:
        soc(module.Learning(), 2)
    assert "Traceback" in caught.value.trace


def test_ctrl_c_in_a_policy_given_as_an_object_is_no_failure(module):
    exec("def act(*_): raise KeyboardInterrupt\nLearning.act = act", vars(module))
    with pytest.raises(KeyboardInterrupt):
        soc(module.Learning(), 2)


def test_a_memory_that_was_made_here_is_sent_along(module):
    env = make_vec(num_envs=2, max_steps=STEPS)
    obs, infos = env.reset(seed=1)
    memory, draws = np.ones((2, 3), np.float32), np.full((2, 4, 1), 0.5)
    with scope():
        foreign = ForeignPolicy("own:Learning")
        found = foreign.act(obs, infos["action_mask"], memory, draws)
        again = foreign.act(obs, infos["action_mask"], found.memory, draws)
    first = module.Learning().act(obs, infos["action_mask"], memory, draws)
    second = module.Learning().act(obs, infos["action_mask"], first.memory, draws)
    for mine, theirs in ((first, found), (second, again)):
        assert all(np.array_equal(mine.actions[name], theirs.actions[name]) for name in mine.actions)
