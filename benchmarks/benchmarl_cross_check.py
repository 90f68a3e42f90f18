"""Do our IQL, QMIX and MAPPO learn what BenchMARL's do, on one PettingZoo task, with the same budget and settings?

BenchMARL is no dependency of the project. Install it beside, without its own dependencies:

    pip install --no-deps benchmarl==1.5.2 torchrl==0.11.1 tensordict==0.11.0 hydra-core omegaconf \
        antlr4-python3-runtime==4.9.3 importlib_metadata orjson pyvers tqdm
    python benchmarks/benchmarl_cross_check.py --frames 20000 --seeds 3

Prints mean greedy returns of both: 10 is the best possible, 2 is what random actions earn.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

from hmarl_soc.baselines.config import PpoConfig, QConfig, QmixConfig
from hmarl_soc.config import NetworkConfig
from hmarl_soc.interface import Agent, Interface, make_layout
from hmarl_soc.learner import Learner, Seen, Transition
from hmarl_soc.registry import make_learner

try:
    from benchmarl.environments.pettingzoo.common import PettingZooClass
except ImportError as error:
    raise SystemExit(f"BenchMARL is not installed ({error}); see the head of this file") from None

SYMBOLS, STEPS, ENVS = 3, 10, 10
HIDDEN, RATE, GAMMA = 64, 1e-3, 0.9
BATCH_FRAMES, EPOCHS, MINIBATCH = 500, 8, 125  # on-policy
SAMPLE, EVERY, TARGET = 128, 8, 100  # off-policy: batch, frames per gradient step, gradient steps per target copy
METHODS = ("iql", "qmix", "mappo")


class Relay(ParallelEnv):
    """Two agents see a common phase and a symbol of their own, and must name their sum modulo 3.

    The team earns 1 if both are right, 0.2 if one is. An episode is cut off after 10 steps.
    """

    metadata = {"name": "relay_v0", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012

    def __init__(self) -> None:
        self.possible_agents = ["agent_0", "agent_1"]
        self.agents: list[str] = []
        self.render_mode = None
        self._spaces = {name: Box(0.0, 1.0, (2 * SYMBOLS,), np.float32) for name in self.possible_agents}
        self._actions = {name: Discrete(SYMBOLS) for name in self.possible_agents}
        self.state_space = Box(0.0, 1.0, (3 * SYMBOLS,), np.float32)
        self.generator = np.random.default_rng(0)

    def observation_space(self, agent: str) -> Box:
        return self._spaces[agent]

    def action_space(self, agent: str) -> Discrete[Any]:
        return self._actions[agent]

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self.generator = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.time = 0
        return self._look(), {name: {} for name in self.agents}

    def step(self, actions: dict[str, int]) -> Any:
        wanted = (self.drawn[0] + self.drawn[1:]) % SYMBOLS
        right = sum(int(actions[name]) == wanted[i] for i, name in enumerate(self.possible_agents))
        self.time += 1
        cut, agents = self.time >= STEPS, self.agents
        reward = (0.0, 0.2, 1.0)[right]
        if cut:
            self.agents = []
        none = dict.fromkeys(agents, False)
        return self._look(), dict.fromkeys(agents, reward), none, dict.fromkeys(agents, cut), {n: {} for n in agents}

    def state(self) -> np.ndarray:
        return np.eye(SYMBOLS, dtype=np.float32)[self.drawn].ravel()

    def _look(self) -> dict[str, np.ndarray]:
        self.drawn = self.generator.integers(SYMBOLS, size=3)
        codes = np.eye(SYMBOLS, dtype=np.float32)[self.drawn]
        return {name: np.concatenate([codes[0], codes[1 + i]]) for i, name in enumerate(self.possible_agents)}


# -------------------------------------------------------------------------------------------------------- ours
class Rows:
    """Several copies of the task as one batched environment."""

    def __init__(self, seed: int) -> None:
        self.envs = [Relay() for _ in range(ENVS)]
        self.rows = np.arange(ENVS)
        self.observations = [env.reset(seed=seed * 1000 + row)[0] for row, env in enumerate(self.envs)]

    def seen(self) -> Seen:
        names = self.envs[0].possible_agents
        observations = {name: np.stack([o[name] for o in self.observations]) for name in names}
        masks = {name: np.ones((ENVS, SYMBOLS), np.int8) for name in names}
        return Seen(self.rows, observations, masks, np.stack([env.state() for env in self.envs]))

    def step(self, actions: dict[str, np.ndarray]) -> Transition:
        before = self.seen()
        results = [env.step({name: int(a[row]) for name, a in actions.items()}) for row, env in enumerate(self.envs)]
        self.observations = [result[0] for result in results]
        rewards = np.array([result[1]["agent_0"] for result in results])
        cut = np.array([result[3]["agent_0"] for result in results])
        step = Transition(before, actions, rewards, self.seen(), np.zeros(ENVS, bool), cut, {})
        for row in np.flatnonzero(cut):
            self.observations[row] = self.envs[row].reset()[0]
        return step


def ours(method: str, frames: int, seed: int) -> float:
    common: dict[str, Any] = {
        "network": NetworkConfig(hidden=HIDDEN, attention=False),
        "gamma": GAMMA,
        "reward_scale": 1.0,
        "learning_rate": RATE,
    }
    replay: dict[str, Any] = {
        "capacity": 20_000,
        "batch_size": SAMPLE,
        "warm_up": BATCH_FRAMES,
        "updates_per_step": 1 / EVERY,
        "target_every": TARGET,
        "epsilon_steps": frames // 2,
    }
    ppo = {"rollout": BATCH_FRAMES, "minibatch": MINIBATCH, "epochs": EPOCHS}
    config = {"iql": lambda: QConfig(**common, **replay), "qmix": lambda: QmixConfig(**common, **replay)}.get(
        method, lambda: PpoConfig(**common, **ppo)
    )()
    agents = tuple(Agent(n, make_layout(n, {"all": (2 * SYMBOLS,)}), SYMBOLS, True) for n in Relay().possible_agents)
    learner: Learner = make_learner(method, config, Interface(agents, 3 * SYMBOLS), ENVS, seed)
    rows = Rows(seed)
    for _ in range(frames // ENVS):
        learner.observe(rows.step(learner.act(rows.seen())))
        learner.update()
    test, total = Rows(seed + 500), 0.0
    for _ in range(10 * STEPS):
        total += float(test.step(learner.act(test.seen(), explore=False)).rewards.sum())
    return total / (10 * ENVS)


# -------------------------------------------------------------------------------------------------- BenchMARL's
class RelayTask(PettingZooClass):
    def get_env_fun(self, num_envs: int, continuous_actions: bool, seed: int | None, device: Any) -> Any:
        from torchrl.envs import PettingZooWrapper

        def make() -> Any:
            return PettingZooWrapper(
                Relay(), return_state=True, categorical_actions=True, seed=seed, device=device, group_map=None
            )

        return make

    def supports_continuous_actions(self) -> bool:
        return False

    def supports_discrete_actions(self) -> bool:
        return True

    def has_state(self) -> bool:
        return True

    def has_render(self, env: Any) -> bool:
        return False

    def max_steps(self, env: Any) -> int:
        return STEPS


def theirs(method: str, frames: int, seed: int) -> float:
    from benchmarl.algorithms import IqlConfig, MappoConfig, QmixConfig
    from benchmarl.experiment import Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    config = ExperimentConfig.get_from_yaml()
    changes = {
        "prefer_continuous_actions": False,
        "gamma": GAMMA,
        "lr": RATE,
        "max_n_frames": frames,
        "soft_target_update": False,
        "hard_target_update_frequency": TARGET,
        "exploration_eps_init": 1.0,
        "exploration_eps_end": 0.02,
        "exploration_anneal_frames": frames // 2,
        "on_policy_collected_frames_per_batch": BATCH_FRAMES,
        "on_policy_n_envs_per_worker": ENVS,
        "on_policy_n_minibatch_iters": EPOCHS,
        "on_policy_minibatch_size": MINIBATCH,
        "off_policy_collected_frames_per_batch": BATCH_FRAMES,
        "off_policy_n_envs_per_worker": ENVS,
        "off_policy_n_optimizer_steps": BATCH_FRAMES // EVERY,
        "off_policy_train_batch_size": SAMPLE,
        "off_policy_memory_size": 20_000,
        "evaluation": False,
        "render": False,
        "loggers": [],
        "create_json": False,
        "save_folder": tempfile.mkdtemp(),
    }
    for name, value in changes.items():
        setattr(config, name, value)
    algorithm = {"iql": IqlConfig, "qmix": QmixConfig, "mappo": MappoConfig}[method].get_from_yaml()
    model = MlpConfig(num_cells=[HIDDEN, HIDDEN], layer_class=torch.nn.Linear, activation_class=torch.nn.ReLU)
    task = RelayTask("RELAY", {})
    experiment = Experiment(task, algorithm, model, seed, config, critic_model_config=model)
    experiment.run()
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        totals = [
            float(experiment.test_env.rollout(STEPS, experiment.policy)["next", "agent", "reward"][:, 0].sum())
            for _ in range(50)
        ]
    return float(np.mean(totals))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| method | ours | seconds | BenchMARL | seconds |\n|---|---|---|---|---|")
    for method in METHODS:
        cells = []
        for learn in (ours, theirs):
            started = time.process_time()
            returns = [learn(method, given.frames, seed) for seed in range(given.seeds)]
            seconds = (time.process_time() - started) / given.seeds
            cells.append(f"{', '.join(f'{value:.2f}' for value in returns)} | {seconds:.0f}")
        print(f"| {method} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
