"""The rule-based defenders: the rules of their docstrings, and what none of them may ever do."""

import numpy as np
import pytest

import cage4
from cage4 import actions, spec
from cage4.observations import flat as observation
from cage4.observations import rich
from cage4.spec import Verb
from evaluation.games.cc4.policies import make_policy
from evaluation.harness.rollout import Episode, Labels
from tests.builders.playing import play

NAMES = ("punch", "lancer", "uc", "hmarl-expert", "sentinel")


class Game:
    """Asks one agent of a policy, step by step, with hand-made observations on an otherwise quiet network."""

    def __init__(self, name, agent=0):
        self.policy, self.agent = make_policy(name), agent
        self.memory = self.policy.initial_memory(1)

    def step(self, busy=0, done=None, phase=0, absent=(), blocked=(), not_allowed=(), **events):
        """``events``: rich field -> slots; ``done``: (verb, slot) just carried out; returns "Verb slot"."""
        views, obs = {}, {}
        for i, name in enumerate(spec.BLUE_AGENTS):
            fields = rich.decode(i, np.zeros((1, rich.size(i)), np.int32))
            flat = observation.decode(i, np.zeros((1, spec.OBSERVATION_SIZES[i]), np.int64))._replace(
                phase=np.array([phase])
            )
            fields.present[:] = 1
            if i == self.agent:
                self._fill(fields, done, absent, events)
                flat.blocked[0, 0, list(blocked)] = 1
                flat.policy[0, 0, list(not_allowed)] = 1
            views[name], obs[name] = rich.encode(i, fields), observation.encode(i, flat)
        decision = self.policy.act(
            {**obs, "rich": views, "busy": np.full((1, 5), busy)}, {}, self.memory, np.zeros((1, 5, 0))
        )
        self.memory = decision.memory
        action = actions.decode(self.agent, int(decision.actions[spec.BLUE_AGENTS[self.agent]][0]))
        return action.verb, action.slot if action.slot is not None else action.source

    def _fill(self, fields, done, absent, events):
        if done is not None:
            fields.verb[0], fields.target_host[0] = 1 + done[0], 1 + 17 * (done[1] // 16) + done[1] % 16
            if done[0] == Verb.ANALYSE:
                fields.analysed[0, done[1] // 16, done[1] % 16] = 1
        for slot in absent:
            fields.present[0, slot // 16, slot % 16] = 0
        for name, slots in events.items():
            for slot in slots:
                getattr(fields, name)[0, slot // 16, slot % 16] = 1


def test_punch_goes_round_and_restores_what_has_a_file():
    game, visited = Game("punch"), []
    move = game.step(absent=[1])
    for _ in range(16):
        assert move[0] == Verb.ANALYSE
        visited.append(move[1])
        move = game.step(done=move, absent=[1], process_events=[9], process_alarms=[4])
    assert visited == [0, *range(2, 16), 0]
    assert game.step(done=(Verb.ANALYSE, 5), file_cmd=[5]) == (Verb.RESTORE, 5)
    assert game.step(done=(Verb.RESTORE, 5))[0] == Verb.ANALYSE


def test_lancer_begins_with_decoys_and_then_follows_alarms():
    game = Game("lancer")
    for slot in range(16):
        assert game.step(done=(Verb.DEPLOY_DECOY, slot - 1) if slot else None) == (Verb.DEPLOY_DECOY, slot)
    assert game.step(done=(Verb.DEPLOY_DECOY, 15), process_alarms=[11]) == (Verb.ANALYSE, 11)
    assert game.step(done=(Verb.ANALYSE, 11), file_escalate=[11], file_cmd=[11]) == (Verb.RESTORE, 11)
    assert game.step(done=(Verb.RESTORE, 11)) == (Verb.DEPLOY_DECOY, 11)


def test_lancer_removes_once_per_exploit():
    game = Game("lancer")
    for slot in range(16):
        game.step(done=(Verb.DEPLOY_DECOY, slot))
    game.step(process_events=[3])
    assert game.step(done=(Verb.ANALYSE, 3), file_cmd=[3]) == (Verb.REMOVE, 3)
    game.step(done=(Verb.REMOVE, 3))
    assert game.step(done=(Verb.ANALYSE, 3), file_cmd=[3])[0] == Verb.ANALYSE


def test_uc_serves_flags_then_traffic_then_quiet_work():
    game = Game("uc")
    trusted, hostile = 3, 8
    keep = {"blocked": [trusted], "not_allowed": [hostile]}
    source = spec.SORTED_SUBNETS
    assert game.step(process_events=[2], file_escalate=[6], **keep) == (Verb.RESTORE, 6)
    assert game.step(done=(Verb.RESTORE, 6), **keep) == (Verb.REMOVE, 2)
    assert game.step(done=(Verb.REMOVE, 2), **keep) == (Verb.ALLOW_TRAFFIC, source[trusted])
    assert game.step(not_allowed=[hostile]) == (Verb.BLOCK_TRAFFIC, source[hostile])
    own = spec.SORTED_RANK[spec.Subnet.RESTRICTED_ZONE_A]
    assert game.step(not_allowed=[hostile, own], blocked=[hostile]) == (Verb.DEPLOY_DECOY, 0)


def test_uc_restores_where_an_exploit_ran_into_a_decoy():
    game = Game("uc", agent=4)
    fields = {"connections": [20]}
    assert game.step(**fields) == (Verb.RESTORE, 4)


def test_expert_recovers_before_it_investigates():
    game = Game("hmarl-expert")
    assert game.step(process_events=[2]) == (Verb.REMOVE, 2)
    assert game.step(done=(Verb.REMOVE, 2), file_escalate=[7]) == (Verb.RESTORE, 7)
    assert game.step(done=(Verb.RESTORE, 7)) == (Verb.DEPLOY_DECOY, 0)


def test_sentinel_removes_verifies_and_only_then_restores():
    game = Game("sentinel", agent=1)
    assert game.step() == (Verb.SLEEP, None)
    assert game.step(process_events=[4]) == (Verb.REMOVE, 4)
    assert game.step(busy=2) == (Verb.SLEEP, None)
    assert game.step(done=(Verb.REMOVE, 4)) == (Verb.ANALYSE, 4)
    assert game.step(done=(Verb.ANALYSE, 4), file_cmd=[4]) == (Verb.SLEEP, None)
    assert game.step(process_events=[4]) == (Verb.REMOVE, 4)
    game.step(done=(Verb.REMOVE, 4))
    assert game.step(done=(Verb.ANALYSE, 4), file_cmd=[4], file_escalate=[4]) == (Verb.RESTORE, 4)


def test_sentinel_serves_the_costliest_host_first_and_patrols_without_starving():
    game = Game("sentinel", agent=4)
    assert game.step(file_escalate=[1, 17]) == (Verb.RESTORE, 1)
    game, seen, move = Game("sentinel"), [], None
    for _ in range(60):
        move = game.step(done=move if move and move[0] == Verb.ANALYSE else None, file_cmd=[])
        if move[0] == Verb.ANALYSE:
            seen.append(move[1])
    assert set(seen) == set(range(16))


@pytest.mark.parametrize("name", NAMES)
def test_no_order_is_ever_wasted(name):
    """On real episodes: no absent host, nothing while busy; and the same rows in one environment as in several."""
    policy = make_policy(name)
    episodes = [Episode(i, 9000 + i) for i in range(3)]
    labels = Labels(name, "native", "base-v1", 120)
    runs = []
    for count in (3, 1):
        env = cage4.vector_env("native", num_envs=count, steps=120, rich=True)
        rows = sorted(play(env, policy, episodes, labels), key=lambda row: row.index)
        runs.append([row.model_dump(exclude={"wall_s"}) for row in rows])
    assert runs[0] == runs[1]
    for row in runs[0]:
        assert row["invalid"] == row["busy"] == 0
        assert -sum(row["action_costs"]) <= row["actions"]["Restore"]
        assert row["actions"]["Analyse"] > 0
