"""Conformance of any :class:`native_sim.VectorEnv`: one sentence of the contract per check, one clear failure each.

Every environment is played past the end of episodes, where contracts break most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, Space
from gymnasium.vector import AutoresetMode

from native_sim.api import ActionBatch, Array, StepBatch, VectorEnv, split_ends

Sample = Callable[[VectorEnv, dict[str, Array], dict[str, Array], np.random.Generator], ActionBatch]
"""Given an environment, and observations and masks of N of its rows (agent -> [N, ...]): random legal actions."""


def check_vector_env(
    make: Callable[[int], VectorEnv],
    num_envs: int = 4,
    steps: int = 12,
    seed: int = 7,
    sample: Sample | None = None,
    longest: int = 2_000,
) -> None:
    """Check that environments made by ``make(num_envs)`` keep the contract.

    Args:
        make: Makes environments; is called with ``num_envs`` and with 1. Short episodes make short checks.
        num_envs: E, at least 2.
        steps: Steps of each check; let it be more than an episode's, so that all of them play past an end.
        seed: Of the episodes and the actions.
        sample: Draws legal actions, where masks and bounds do not tell which ones are; None for :func:`sample_actions`.
        longest: Steps within which an episode ends under these actions.

    Raises:
        AssertionError: With the sentence of the contract that is broken.
    """
    checked = _Checked(make, num_envs, steps, seed, sample or _sample_by_mask, longest)
    try:
        for check in _CHECKS:
            check(checked)
    finally:
        checked.close()


def sample_actions(env: VectorEnv, count: int, mask: dict[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Return random valid actions, agent -> [N, ...]; discrete ones respect the mask."""
    actions: dict[str, Array] = {}
    spaces: Any = env.single_action_space
    for agent in env.agents:
        space = spaces[agent]
        if isinstance(space, Discrete):
            choices = [rng.choice(np.flatnonzero(mask[agent][i])) for i in range(count)]
            actions[agent] = np.array(choices, np.int64)
        else:
            actions[agent] = rng.uniform(space.low, space.high, (count, *space.shape))
    return actions


def _sample_by_mask(
    env: VectorEnv, observations: dict[str, Array], masks: dict[str, Array], rng: np.random.Generator
) -> ActionBatch:
    return sample_actions(env, len(masks[env.agents[0]]), masks, rng)


class _Table:
    """One environment under check, and what its rows show now."""

    def __init__(self, env: VectorEnv, sample: Sample) -> None:
        self.env, self.sample = env, sample
        self.observations: dict[str, Array] = {}
        self.masks: dict[str, Array] = {}

    def reset(self, seed: int | Sequence[int | None] | None, rows: Array | None = None) -> dict[str, Any]:
        """Reset rows (default: all) and return the infos."""
        observations, infos = self.env.reset(seed=seed, rows=None if rows is None else rows.tolist())
        self._see(rows, observations, infos["action_mask"])
        return infos

    def draw(self, rng: np.random.Generator, rows: Array | None = None) -> ActionBatch:
        """Return random legal actions of rows (default: all)."""
        return self.sample(self.env, _of(self.observations, rows), _of(self.masks, rows), rng)

    def step(self, actions: ActionBatch, rows: Array | None = None) -> StepBatch:
        """Advance rows (default: all) by one step."""
        batch = self.env.step(actions, rows=None if rows is None else rows.tolist())
        self._see(rows, batch.observations, batch.infos["action_mask"])
        return batch

    def _see(self, rows: Array | None, observations: dict[str, Array], masks: dict[str, Array]) -> None:
        for kept, fresh in ((self.observations, observations), (self.masks, masks)):
            for agent in self.env.agents:
                if rows is None:
                    kept[agent] = np.array(fresh[agent])
                    continue
                _require(len(fresh[agent]) == len(rows), "reset and step return what concerns the rows given only")
                if agent not in kept:  # the first rows that are ever reset
                    kept[agent] = np.zeros((self.env.num_envs, *fresh[agent].shape[1:]), fresh[agent].dtype)
                kept[agent][rows] = fresh[agent]


class _Checked:
    """What is checked, and how."""

    def __init__(
        self, make: Callable[[int], VectorEnv], num_envs: int, steps: int, seed: int, sample: Sample, longest: int
    ) -> None:
        self.num_envs, self.steps, self.seed, self.longest = num_envs, steps, seed, longest
        self._make, self._sample = make, sample
        self._made: list[VectorEnv] = []

    def table(self, num_envs: int | None = None) -> _Table:
        """Return a new environment; :meth:`close` closes it."""
        env = self._make(self.num_envs if num_envs is None else num_envs)
        self._made.append(env)
        return _Table(env, self._sample)

    def close(self) -> None:
        """Close everything that was made."""
        while self._made:
            self._made.pop().close()


def _of(values: dict[str, Array], rows: Array | None) -> dict[str, Array]:
    return values if rows is None else {agent: value[rows] for agent, value in values.items()}


def _done(batch: StepBatch) -> Array:
    ended: Array = batch.terminations | batch.truncations
    return ended


def _require(holds: object, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _refuses(call: Callable[[], object], sentence: str) -> None:
    try:
        call()
    except ValueError:
        return
    except Exception as error:
        raise AssertionError(f"{sentence} with ValueError; it raised {type(error).__name__}: {error}") from error
    raise AssertionError(sentence)


def _check_declaration(checked: _Checked) -> None:
    env = checked.table().env
    _require(env.num_envs == checked.num_envs, f"num_envs is {env.num_envs}, but {checked.num_envs} were asked for")
    mode = env.metadata.get("autoreset_mode")
    _require(mode == AutoresetMode.DISABLED, f"metadata must declare that auto-reset is disabled; it says {mode}")
    try:
        _ = env.time_limit_end
    except ValueError as error:
        raise AssertionError(str(error)) from error
    spaces: dict[str, Any] = {
        "single_observation_space": env.single_observation_space,
        "single_action_space": env.single_action_space,
    }
    for name, space in spaces.items():
        agents = tuple(space)
        _require(set(agents) == set(env.agents), f"{name} has the agents {agents}, the environment {env.agents}")


def _check_outputs(checked: _Checked) -> None:
    rng = np.random.default_rng(checked.seed)
    table = checked.table()
    env = table.env
    table.reset(checked.seed)
    _check_observations(env, table.observations)
    for _ in range(checked.steps):
        _check_masks(env, table.masks)
        batch = table.step(table.draw(rng))
        _check_observations(env, batch.observations)
        _require(batch.rewards.shape == (env.num_envs,), f"rewards must be [E]; they are {batch.rewards.shape}")
        _require(batch.rewards.dtype == np.float64, f"rewards must be float64; they are {batch.rewards.dtype}")
        _require(np.isfinite(batch.rewards).all(), "rewards must be finite")
        _check_flags(env, batch)
        over = np.flatnonzero(_done(batch))
        if len(over):
            table.reset(None, over)
            _check_observations(env, table.observations)


def _check_flags(env: VectorEnv, batch: StepBatch) -> None:
    for name, flags in (("terminations", batch.terminations), ("truncations", batch.truncations)):
        told = f"{name} must be [E] bool; they are {flags.dtype} of shape {flags.shape}"
        _require(flags.dtype == np.bool_ and flags.shape == batch.rewards.shape, told)
    try:
        split_ends(env.time_limit_end, batch.terminations, batch.truncations)
    except ValueError as error:
        raise AssertionError(str(error)) from error


def _check_observations(env: VectorEnv, observations: dict[str, Array]) -> None:
    _require(set(observations) == set(env.agents), f"observations are of {sorted(observations)}, not of {env.agents}")
    spaces: Any = env.single_observation_space
    for agent, batch in observations.items():
        space: Space[Any] = spaces[agent]
        _require(batch.dtype == space.dtype, f"observations of {agent} are {batch.dtype}; the space says {space.dtype}")
        for i in range(len(batch)):
            _require(space.contains(batch[i]), f"observation of {agent} in row {i} lies outside its space")


def _check_masks(env: VectorEnv, masks: dict[str, Array]) -> None:
    for agent in env.agents:
        mask = masks[agent]
        _require(mask.dtype == np.int8 and mask.ndim == 2, f"action_mask of {agent} must be [N, U] int8")
        _require((mask.sum(axis=1) > 0).all(), f"{agent} has a row without any valid action")


def _trace(table: _Table, steps: int, seed: int) -> list[StepBatch]:
    """Play ``steps`` steps of random actions, restarting finished rows on new seeds; actions depend on row seeds."""
    rng = np.random.default_rng(seed)
    table.reset(seed)
    trace = []
    for step in range(steps):
        batch = table.step(table.draw(rng))
        trace.append(batch)
        over = np.flatnonzero(_done(batch))
        if len(over):
            table.reset(_later_seeds(seed, step, over), over)
    return trace


def _later_seeds(seed: int, step: int, rows: Array) -> list[int]:
    return [seed + 1000 * (step + 1) + int(row) for row in rows]


def _same(one: list[StepBatch], two: list[StepBatch]) -> bool:
    return all(
        np.array_equal(a.rewards, b.rewards)
        and np.array_equal(a.terminations, b.terminations)
        and np.array_equal(a.truncations, b.truncations)
        and all(np.array_equal(a.observations[agent], b.observations[agent]) for agent in a.observations)
        for a, b in zip(one, two, strict=True)
    )


def _check_determinism(checked: _Checked) -> None:
    table, steps, seed = checked.table(), checked.steps, checked.seed
    first = _trace(table, steps, seed)
    _require(_same(first, _trace(table, steps, seed)), "two resets with one seed must play the same")
    again = _trace(checked.table(), steps, seed)
    _require(_same(first, again), "a new environment with one seed must play the same")
    _require(not _same(first, _trace(table, steps, seed + 12345)), "another seed must play differently")


def _check_rows(checked: _Checked) -> None:
    """A row stepped alone plays as it does among others, from episode to episode."""
    together, alone = checked.table(), checked.table(1)
    rng = np.random.default_rng(checked.seed)
    last, only = checked.num_envs - 1, np.zeros(1, np.int64)
    infos = together.reset(list(range(checked.seed, checked.seed + checked.num_envs)))
    single_infos = alone.reset([checked.seed + last])
    for step in range(checked.steps):
        for agent in together.env.agents:
            same = np.array_equal(together.observations[agent][last], alone.observations[agent][0])
            _require(same, "a row must not depend on the others")
        _require(set(infos) == set(single_infos), "infos must have the same keys for one row and for many")
        actions = together.draw(rng)
        batch = together.step(actions)
        one = alone.step({agent: value[-1:] for agent, value in actions.items()}, only)
        same = batch.rewards[last] == one.rewards[0] and _done(batch)[last] == _done(one)[0]
        _require(same, "the reward and the end of a row must not depend on the others")
        infos, single_infos = batch.infos, one.infos
        over = np.flatnonzero(_done(batch))
        if len(over):
            seeds = _later_seeds(checked.seed, step, over)
            infos = together.reset(seeds, over)
            single_infos = alone.reset(seeds[-1:]) if over[-1] == last else infos


def _check_first_rows(checked: _Checked) -> None:
    """Some rows may begin before the others."""
    table, rng = checked.table(), np.random.default_rng(checked.seed)
    last = np.array([checked.num_envs - 1])
    table.reset([checked.seed], last)
    actions = table.draw(rng, last)
    every = {agent: np.repeat(value, checked.num_envs, axis=0) for agent, value in actions.items()}
    _refuses(lambda: table.env.step(every), "stepping rows that were never reset must be refused")
    one, two = table.step(actions, last), checked.table(1)
    two.reset([checked.seed])
    _require(_same([one], [two.step(actions)]), "a row that begins before the others must play as it does alone")


def _check_memory(checked: _Checked) -> None:
    table, other = checked.table(), checked.table()
    env, rng = table.env, np.random.default_rng(checked.seed)
    first, infos = env.reset(seed=checked.seed)
    other.reset(checked.seed)
    for agent in env.agents:
        for array in (first[agent], infos["action_mask"][agent]):
            if array.flags.writeable:
                array[...] = 0
    actions = other.draw(rng)
    one, two = table.step(actions), other.step(actions)
    _require(_same([one], [two]), "writing to returned arrays must not change the environment")
    kept = {agent: value.copy() for agent, value in one.observations.items()}
    if not _done(one).any():
        table.step(table.draw(rng))
        same = all(np.array_equal(kept[agent], one.observations[agent]) for agent in env.agents)
        _require(same, "a later step must not change arrays returned before")


def _check_ends(checked: _Checked) -> None:
    """Where episodes end: what is refused, what goes on, and what begins anew."""
    one, two, rng = checked.table(), checked.table(), np.random.default_rng(checked.seed)
    one.reset(checked.seed)
    two.reset(checked.seed)
    ended = np.zeros(checked.num_envs, np.bool_)
    for _ in range(checked.longest):
        actions = one.draw(rng)
        batch = one.step(actions)
        _require(_same([batch], [two.step(actions)]), "a new environment with one seed must play the same")
        _check_flags(one.env, batch)
        ended = _done(batch)
        if ended.any():
            break
    _require(ended.any(), f"no episode ended within {checked.longest} steps: make shorter ones, or raise longest")
    over, running = np.flatnonzero(ended), np.flatnonzero(~ended)
    refused = "stepping a row whose episode is over must be refused"
    _refuses(lambda: one.env.step(one.draw(rng)), refused)
    _refuses(lambda: one.env.step(one.draw(rng, over), rows=over.tolist()), refused)
    if len(running):
        actions = two.draw(rng, running)
        went_on = _same([one.step(actions, running)], [two.step(actions, running)])
        _require(went_on, "a refused step must change nothing")
    one.reset(None, over)
    two.reset(None, over)
    for agent in one.env.agents:
        same = np.array_equal(one.observations[agent][over], two.observations[agent][over])
        _require(same, "a row that goes on without a seed must begin the same next episode after a refused step")
    again, anew = (_trace(table, checked.steps, checked.seed + 1) for table in (one, checked.table()))
    _require(_same(again, anew), "an episode must not depend on those that its row played before")


def _check_refusals(checked: _Checked) -> None:
    env, num_envs, seed = checked.table().env, checked.num_envs, checked.seed
    _refuses(lambda: env.step({}), "stepping before the first reset must be refused")
    _refuses(lambda: env.reset(seed=seed, rows=[num_envs]), "a row that does not exist must be refused")
    _refuses(lambda: env.reset(seed=[1] * (num_envs + 1)), "a wrong number of seeds must be refused")
    _refuses(lambda: env.reset(seed=[1, 1], rows=[0, 0]), "a row named twice must be refused")
    env.reset(seed=seed)
    _refuses(lambda: env.step({"nobody": np.zeros(num_envs)}), "an unknown agent must be refused")


_CHECKS: tuple[Callable[[_Checked], None], ...] = (
    _check_declaration,
    _check_outputs,
    _check_determinism,
    _check_rows,
    _check_first_rows,
    _check_memory,
    _check_ends,
    _check_refusals,
)
