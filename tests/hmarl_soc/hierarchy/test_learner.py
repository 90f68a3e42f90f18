import copy
import threading
import time

import numpy as np
import pytest
import torch

from hmarl_soc import checkpoint
from hmarl_soc.config import parse
from hmarl_soc.hierarchy.config import HmarlConfig
from hmarl_soc.hierarchy.learner import Hierarchy
from hmarl_soc.hierarchy.roles import LOWER
from hmarl_soc.interface import describe, from_dict
from hmarl_soc.nn import losses
from hmarl_soc.registry import load_policy
from hmarl_soc.training.playing import Field
from hmarl_soc.training.runs import make_env, make_trainer
from native_sim.soc import spec
from tests.builders.toys import same

SMALL = {
    "network": {"hidden": 16, "heads": 2, "key_size": 4},
    "replay": {"capacity": 400, "batch_size": 16},
    "coordinator": {"rollout": 16, "minibatch": 8, "epochs": 2, "every": 3},
    "triage": {"target_every": 3},
    "potential": {"rollout": 16, "minibatch": 8, "epochs": 2},
    "warm_up": 16,
    "updates_per_step": 0.25,
}


def settings(steps=160, **method):
    trainer = {"steps": steps, "log_every": 40, "save_every": 80, "validate_every": 80, "validation_episodes": 2}
    environment = {"num_envs": 8, "knobs": {"max_steps": 12}}
    return parse({"environment": environment, "trainer": trainer, "method": SMALL | method}, HmarlConfig)


def make(**method):
    config = settings(**method)
    env = make_env(config.environment)
    learner = Hierarchy(config.method, describe(env, spec.STATE.size), env.num_envs, 0)
    return learner, Field(env, 0)


def advance(learner, field, steps):
    for _ in range(steps):
        step = field.step(learner.act(field.seen()))
        learner.observe(step)
        learner.update()
        field.restart(step)
    return step


def tensors(learner):
    found = {}
    for name in ("coordinator", "potential", *LOWER):
        agent = getattr(learner, name)
        for attribute, value in vars(agent).items():
            if isinstance(value, torch.nn.Module):
                found |= {f"{name}.{attribute}.{key}": p for key, p in value.named_parameters()}
            elif isinstance(value, torch.nn.Parameter):
                found[f"{name}.{attribute}"] = value
    return found


@pytest.mark.parametrize("attention", [True, False])
def test_every_trainable_tensor_moves(attention):
    learner, field = make(network=SMALL["network"] | {"attention": attention})
    before = {name: tensor.detach().clone() for name, tensor in tensors(learner).items()}
    assert len(before) > 40
    advance(learner, field, 24)
    still = [name for name, tensor in tensors(learner).items() if torch.equal(tensor, before[name])]
    assert still == []


@pytest.mark.parametrize(("bootstrap", "needed"), [(0.0, False), (0.5, True)])
def test_values_that_no_target_counts_are_left_out_and_change_nothing(monkeypatch, bootstrap, needed):
    """Computing them all the same ends in the same bits, those of the generator included."""
    found = []
    for always in (False, True):
        with monkeypatch.context() as patch:
            if always:
                patch.setattr(losses, "bootstraps", lambda discount: True)
            learner, field = make(potential=SMALL["potential"] | {"bootstrap": bootstrap})
            counted, compute = [], learner.responder.target_action
            learner.responder.target_action = lambda views, c=counted, f=compute: c.append(1) or f(views)
            advance(learner, field, 12)
            assert learner.updates > 5
            assert bool(counted) == (needed or always)
            found.append(learner.state_dict())
    same(*map(dict, found))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("bootstrap", [0.0, 0.5])
def test_a_second_thread_changes_no_bit(shared, bootstrap):
    states = []
    for threads in (1, 2):
        learner, field = make(
            replay=SMALL["replay"] | {"shared": shared}, potential=SMALL["potential"] | {"bootstrap": bootstrap}
        )
        learner.use_threads(threads)
        assert (learner.beside is not None) == (threads == 2)
        advance(learner, field, 24)
        assert learner.updates > 20
        states.append(copy.deepcopy(learner.state_dict()))
    same(*states)


def test_the_hunter_learns_in_another_thread_only_where_that_is_safe(monkeypatch):
    where = {}
    for bootstrap in (0.0, 0.5):
        learner, field = make(potential=SMALL["potential"] | {"bootstrap": bootstrap})
        learner.use_threads(2)
        for name in LOWER:
            agent = getattr(learner, name)

            def update(*given, key=(bootstrap, name), own=agent.update):
                where[key] = threading.current_thread().name
                return own(*given)

            monkeypatch.setattr(agent, "update", update)
        advance(learner, field, 10)
    main = threading.current_thread().name
    assert {key: name == main for key, name in where.items()} == {
        (bootstrap, name): bootstrap > 0 or name != "hunter" for bootstrap in (0.0, 0.5) for name in LOWER
    }


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_learns_on_the_threads_it_was_given(threads, tmp_path):
    config = settings()
    trainer = config.trainer.model_copy(update={"threads": threads})
    learner = make_trainer("hmarl-soc", config.model_copy(update={"trainer": trainer}), 0, tmp_path).learner
    assert (learner.beside is not None) == (threads == 2)


@pytest.mark.parametrize("failing", LOWER)
def test_what_fails_in_either_thread_is_raised_when_neither_learns_any_more(failing, monkeypatch):
    learner, field = make()
    learner.use_threads(2)
    advance(learner, field, 10)
    hunting = []

    def slowly(*given, own=learner.hunter.update):
        hunting.append("begun")
        time.sleep(0.05)
        found = own(*given)
        hunting.append("done")
        return found

    def fail(*given):
        raise FloatingPointError(failing)

    monkeypatch.setattr(learner.hunter, "update", slowly)
    monkeypatch.setattr(getattr(learner, failing), "update", fail)
    with pytest.raises(FloatingPointError, match=failing):
        learner.learn()
    assert hunting == ([] if failing == "hunter" else ["begun", "done"])


def test_inputs_are_scaled_by_what_the_warm_up_brought_and_by_nothing_later():
    learner, field = make()
    advance(learner, field, 2)
    assert learner.updates == 0 and (learner.hunter.actor.scaler.scale == 1).all()
    advance(learner, field, 1)
    assert learner.updates > 0 and learner.replay.size == 16
    views = learner.replay.entries["hunter/view"][:16].copy()
    kept = {
        f"{name}.{attribute}.{key}": value.clone()
        for name in LOWER
        for attribute, part in vars(getattr(learner, name)).items()
        if isinstance(part, torch.nn.Module)
        for key, value in part.state_dict().items()
        if "scaler" in key
    }
    shift, scale = (kept[f"hunter.actor.scaler.{part}"].numpy() for part in ("shift", "scale"))
    assert shift == pytest.approx(views.mean(axis=0), abs=1e-5)
    spread = views.std(axis=0)
    assert scale == pytest.approx(np.where(spread < 0.01, 1.0, 1.0 / np.maximum(spread, 0.01)), rel=1e-3)
    for online, target in (("hunter.critic", "hunter.target"), ("responder.actor", "responder.target_actor")):
        assert torch.equal(kept[f"{online}.scaler.scale"], kept[f"{target}.scaler.scale"])
    advance(learner, field, 6)
    for name, value in kept.items():
        agent, attribute, key = name.split(".", 2)
        assert torch.equal(getattr(getattr(learner, agent), attribute).state_dict()[key], value), name


def test_directives_executed_are_the_ones_credited_and_seen():
    learner, field = make()
    executed = []
    credited = []
    original = learner.coordinator._close
    learner.coordinator._close = lambda rows, values, ended: (
        credited.extend(zip(rows.tolist(), np.tanh(learner.coordinator._open["raw"][rows]), strict=True)),
        original(rows, values, ended),
    )
    in_force = {}
    for _ in range(7):
        seen = field.seen()
        ages = learner.ages.copy()
        actions = learner.act(seen)
        for row in range(8):
            if ages[row] == 0:
                in_force[row] = actions["coordinator"][row].copy()
                executed.append((row, in_force[row]))
            assert (actions["coordinator"][row] == in_force[row]).all()
        for name in LOWER:
            directive = learner.views[name].layout["directive"].slice
            assert (learner.pending[f"{name}/view"][:, directive] == actions["coordinator"]).all()
        step = field.step(actions)
        learner.observe(step)
        field.restart(step)
    for row in range(8):
        ours = [directive for other, directive in executed if other == row]
        theirs = [directive for other, directive in credited if other == row]
        assert len(theirs) >= 2
        for a, b in zip(ours, theirs, strict=False):
            assert a == pytest.approx(b)


def test_what_is_learned_from_is_what_happened():
    learner, field = make(updates_per_step=1e-6, n_steps=1)
    steps = []
    for _ in range(14):  # beyond the time limit of 12
        seen = field.seen()
        actions = learner.act(seen)
        step = field.step(actions)
        learner.observe(step)
        field.restart(step)
        steps.append((seen, actions, step))
    learner.act(field.seen())
    kept = learner.replay.entries
    for t, (seen, actions, step) in enumerate(steps):
        here = slice(8 * t, 8 * t + 8)
        assert (kept["state"][here] == seen.state).all()
        assert (kept["next_state"][here] == step.after.state).all()
        assert kept["reward"][here] == pytest.approx(0.2 * step.rewards)
        assert (kept["terminated"][here] == step.terminations).all()  # a truncated step bootstraps
        for name in LOWER:
            assert (kept[f"{name}/action"][here] == actions[name]).all()
        ended = step.terminations | step.truncations
        if t + 1 < len(steps):
            following = kept["hunter/view"][8 * t + 8 : 8 * t + 16]
            assert (kept["hunter/next_view"][here][~ended] == following[~ended]).all()
        last = learner.views["hunter"](step.after.observations["hunter"], actions["coordinator"])
        assert (kept["hunter/next_view"][here][ended] == last[ended]).all()
    assert steps[11][2].truncations.any()


@pytest.mark.parametrize("shared", [True, False])
def test_shared_means_one_batch_for_all(shared, monkeypatch):
    learner, field = make(replay=SMALL["replay"] | {"shared": shared})
    advance(learner, field, 8)
    used = {}
    for name in LOWER:
        agent = getattr(learner, name)
        monkeypatch.setattr(agent, "update", _spy(agent.update, used, name))
    learner.learn()
    same = [torch.equal(used["hunter"]["reward"], used[name]["reward"]) for name in ("triage", "responder")]
    assert same == [shared, shared]
    assert len(learner.replay.trees) == (1 if shared else 3)


def _spy(update, used, name):
    def spied(batch, weights, pull):
        used[name] = batch
        return update(batch, weights, pull)

    return spied


def test_without_a_coordinator_the_directive_is_neutral_and_nothing_else_changes():
    learner, field = make(coordinator=SMALL["coordinator"] | {"enabled": False})
    before = [p.detach().clone() for p in learner.coordinator.actor.parameters()]
    judged = [p.detach().clone() for p in learner.potential.net.parameters()]
    for _ in range(15):
        actions = learner.act(field.seen())
        assert (actions["coordinator"] == 0).all()
        step = field.step(actions)
        learner.observe(step)
        learner.update()
        field.restart(step)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.coordinator.actor.parameters(), strict=True))
    # The potential of the others' rewards is no part of the coordinator.
    assert not any(torch.equal(a, b) for a, b in zip(judged, learner.potential.net.parameters(), strict=True))
    policy = learner.policy()
    decision = policy.act(field.seen().observations, {}, policy.initial_memory(8), np.zeros((8, 4, 0)))
    assert (decision.actions["coordinator"] == 0).all()


@pytest.mark.parametrize("attention", [True, False])
def test_the_numpy_policy_is_the_networks(attention):
    learner, field = make(network=SMALL["network"] | {"attention": attention})
    advance(learner, field, 9)
    policy = learner.policy()
    seen = field.seen()
    memory = policy.initial_memory(8)
    memory["age"][:] = np.arange(8) % 3
    memory["directive"][:] = 0.25
    decision = policy.act(seen.observations, seen.masks, memory, np.zeros((8, 4, 0)))
    due = np.arange(8) % 3 == 0
    expected, _, _ = learner.coordinator.act(torch.as_tensor(seen.observations["coordinator"]), explore=False)
    directive = decision.actions["coordinator"]
    assert directive[due] == pytest.approx(expected[due], abs=1e-5) and (directive[~due] == 0.25).all()
    views = {n: torch.as_tensor(v(seen.observations[n], directive)) for n, v in learner.views.items()}
    assert decision.actions["hunter"] == pytest.approx(learner.hunter.act(views["hunter"], False).numpy(), abs=1e-5)
    assert (decision.actions["triage"] == learner.triage.act(views["triage"], False)).all()
    responses = learner.responder.act(views["responder"], False).numpy()
    assert decision.actions["responder"] == pytest.approx(responses, abs=1e-5)
    assert decision.memory["age"].tolist() == [1, 2, 0, 1, 2, 0, 1, 2]
    frozen = {name: array.copy() for name, array in policy.weights().items()}
    advance(learner, field, 3)
    assert all((array == frozen[name]).all() for name, array in policy.weights().items())


def test_looking_without_exploring_changes_nothing():
    learner, field = make()
    advance(learner, field, 4)
    before = copy.deepcopy(dict(learner.state_dict()))
    seen = field.seen()
    greedy = [learner.act(seen, explore=False) for _ in range(2)]
    same(before, dict(learner.state_dict()))
    same(*greedy)


def test_training_resumes_exactly_and_its_weights_play_without_torch(tmp_path):
    whole = make_trainer("hmarl-soc", settings(), 1, tmp_path / "whole")
    whole.run()
    make_trainer("hmarl-soc", settings(steps=72), 1, tmp_path / "halves").run()
    second = make_trainer("hmarl-soc", settings(), 2 - 1, tmp_path / "halves")
    second.resume()
    second.run()
    same(whole.state_dict()["learner"], second.state_dict()["learner"])
    same(whole.state_dict()["field"], second.state_dict()["field"])
    assert whole.learner.updates > 10 and whole.learner.replay.size > 100
    policy = load_policy(tmp_path / "whole")
    best = checkpoint.load(tmp_path / "whole" / "best").state["arrays"]
    assert all((policy.weights()[name] == array).all() for name, array in best.items())
    assert from_dict(whole.interface.to_dict()).digest == whole.interface.digest


def test_another_layout_is_refused(tmp_path):
    learner, field = make()
    advance(learner, field, 2)
    state = copy.deepcopy(dict(learner.state_dict()))
    for other in (
        make(network=SMALL["network"] | {"hidden": 32})[0],
        make(replay=SMALL["replay"] | {"capacity": 500})[0],
        make(replay=SMALL["replay"] | {"shared": False})[0],
    ):
        before = copy.deepcopy(dict(other.state_dict()))
        with pytest.raises(ValueError, match=r"actor.first.weight has shape \(1, 64, 16\)|the saved replay has"):
            other.load_state_dict(state)
        same(before, dict(other.state_dict()))


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_gpu_learns_too(device):
    config = settings()
    env = make_env(config.environment)
    learner = Hierarchy(config.method, describe(env, spec.STATE.size), env.num_envs, 0, device)
    advance(learner, Field(env, 0), 8)
    assert learner.updates > 0
