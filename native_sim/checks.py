"""Conformance of any :class:`native_sim.VectorEnv`: one sentence of the contract per check, one clear failure each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, Space
from gymnasium.vector import AutoresetMode

from native_sim.api import Array, StepBatch, VectorEnv


def check_vector_env(make: Callable[[int], VectorEnv], num_envs: int = 4, steps: int = 12, seed: int = 7) -> None:
    """Check that environments made by ``make(num_envs)`` keep the contract.

    Raises:
        AssertionError: With the sentence of the contract that is broken.
    """
    env = make(num_envs)
    _check_declaration(env, num_envs)
    _check_outputs(env, steps, seed)
    _check_determinism(make, num_envs, steps, seed)
    _check_rows(make, num_envs, steps, seed)
    _check_memory(make, num_envs, seed)
    _check_refusals(make, num_envs, seed)


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


def _require(holds: object, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


def _check_declaration(env: VectorEnv, num_envs: int) -> None:
    _require(env.num_envs == num_envs, f"num_envs is {env.num_envs}, but {num_envs} environments were asked for")
    mode = env.metadata.get("autoreset_mode")
    _require(mode == AutoresetMode.DISABLED, f"metadata must declare that auto-reset is disabled; it says {mode}")
    for name in ("single_observation_space", "single_action_space"):
        agents = tuple(getattr(env, name))
        _require(set(agents) == set(env.agents), f"{name} has the agents {agents}, the environment {env.agents}")


def _check_outputs(env: VectorEnv, steps: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    observations, infos = env.reset(seed=seed)
    _check_observations(env, observations)
    for _ in range(steps):
        _check_masks(env, infos["action_mask"])
        batch = env.step(sample_actions(env, env.num_envs, infos["action_mask"], rng))
        _check_observations(env, batch.observations)
        _require(batch.rewards.shape == (env.num_envs,), f"rewards must be [E]; they are {batch.rewards.shape}")
        _require(batch.rewards.dtype == np.float64, f"rewards must be float64; they are {batch.rewards.dtype}")
        _require(np.isfinite(batch.rewards).all(), "rewards must be finite")
        _require(not (batch.terminations & batch.truncations).any(), "no episode both terminates and is truncated")
        done = batch.terminations | batch.truncations
        infos = batch.infos
        if done.any():
            rows = np.flatnonzero(done)
            fresh, again = env.reset(rows=rows.tolist())
            _require(all(len(fresh[agent]) == len(rows) for agent in env.agents), "reset returns the rows reset only")
            for agent in env.agents:
                mask = np.array(infos["action_mask"][agent])
                mask[rows] = again["action_mask"][agent]
                infos["action_mask"] = {**infos["action_mask"], agent: mask}


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


def _trace(env: VectorEnv, steps: int, seed: int) -> list[StepBatch]:
    """Play ``steps`` steps of random actions, restarting finished rows on new seeds; actions depend on row seeds."""
    rng = np.random.default_rng(seed)
    _, infos = env.reset(seed=seed)
    mask = {agent: np.array(value) for agent, value in infos["action_mask"].items()}
    trace = []
    for step in range(steps):
        batch = env.step(sample_actions(env, env.num_envs, mask, rng))
        trace.append(batch)
        mask = {agent: np.array(value) for agent, value in batch.infos["action_mask"].items()}
        rows = np.flatnonzero(batch.terminations | batch.truncations)
        if len(rows):
            _, infos = env.reset(seed=[seed + 1000 * (step + 1) + int(row) for row in rows], rows=rows.tolist())
            for agent in env.agents:
                mask[agent][rows] = infos["action_mask"][agent]
    return trace


def _same(one: list[StepBatch], two: list[StepBatch]) -> bool:
    return all(
        np.array_equal(a.rewards, b.rewards)
        and all(np.array_equal(a.observations[agent], b.observations[agent]) for agent in a.observations)
        for a, b in zip(one, two, strict=True)
    )


def _check_determinism(make: Callable[[int], VectorEnv], num_envs: int, steps: int, seed: int) -> None:
    env = make(num_envs)
    first = _trace(env, steps, seed)
    _require(_same(first, _trace(env, steps, seed)), "two resets with one seed must play the same")
    _require(_same(first, _trace(make(num_envs), steps, seed)), "a new environment with one seed must play the same")
    _require(not _same(first, _trace(env, steps, seed + 12345)), "another seed must play differently")


def _check_rows(make: Callable[[int], VectorEnv], num_envs: int, steps: int, seed: int) -> None:
    """A row stepped alone plays as it does among others."""
    together, alone = make(num_envs), make(1)
    rng = np.random.default_rng(seed)
    observations, infos = together.reset(seed=list(range(seed, seed + num_envs)))
    last = num_envs - 1
    single, single_infos = alone.reset(seed=[seed + last])
    for _ in range(steps):
        for agent in together.agents:
            _require(np.array_equal(observations[agent][-1], single[agent][0]), "a row must not depend on the others")
        _require(set(infos) == set(single_infos), "infos must have the same keys for one row and for many")
        actions = sample_actions(together, num_envs, infos["action_mask"], rng)
        batch = together.step(actions)
        one = alone.step({agent: value[-1:] for agent, value in actions.items()}, rows=[0])
        if (batch.terminations | batch.truncations).any():
            return
        observations, infos, single, single_infos = batch.observations, batch.infos, one.observations, one.infos


def _check_memory(make: Callable[[int], VectorEnv], num_envs: int, seed: int) -> None:
    env, other = make(num_envs), make(num_envs)
    rng = np.random.default_rng(seed)
    first, infos = env.reset(seed=seed)
    _, _ = other.reset(seed=seed)
    for agent in env.agents:
        if first[agent].flags.writeable:
            first[agent][...] = 0
    actions = sample_actions(env, num_envs, infos["action_mask"], rng)
    one, two = env.step(actions), other.step(actions)
    _require(_same([one], [two]), "writing to returned observations must not change the environment")
    kept = {agent: value.copy() for agent, value in one.observations.items()}
    if not (one.terminations | one.truncations).any():
        env.step(sample_actions(env, num_envs, one.infos["action_mask"], rng))
        same = all(np.array_equal(kept[agent], one.observations[agent]) for agent in env.agents)
        _require(same, "a later step must not change arrays returned before")


def _check_refusals(make: Callable[[int], VectorEnv], num_envs: int, seed: int) -> None:
    env = make(num_envs)
    _refuses(lambda: env.step({}), "stepping before the first reset must be refused")
    _refuses(lambda: env.reset(seed=seed, rows=[num_envs]), "a row that does not exist must be refused")
    _refuses(lambda: env.reset(seed=[1] * (num_envs + 1)), "a wrong number of seeds must be refused")
    _refuses(lambda: env.reset(seed=[1, 1], rows=[0, 0]), "a row named twice must be refused")
    env.reset(seed=seed)
    _refuses(lambda: env.step({"nobody": np.zeros(num_envs)}), "an unknown agent must be refused")


def _refuses(call: Callable[[], object], sentence: str) -> None:
    try:
        call()
    except ValueError:
        return
    raise AssertionError(sentence)
