import json
import shutil

import numpy as np
import pytest

from adapters.bundle import PACKAGED, Bundle, bundle_folder, load_bundle
from adapters.cc4 import features
from adapters.cc4 import soc_terms as terms
from adapters.cc4.carrier import LinearMap
from adapters.cc4.own_draws import OwnDraws
from adapters.cc4.policy import TransferredPolicy
from adapters.codec import Codec
from evaluation.games.cc4 import policies
from evaluation.inputs.errors import BadInput
from evaluation.policies.registry import fingerprint
from evaluation.policies.silenced import Dicing, Silenced
from evaluation.transfer import carried as transfer
from evaluation.transfer.named import describe_carried, make_carried, with_own_draws
from native_sim.soc import policies as soc_policies
from native_sim.soc import spec as soc

SIZES = dict(zip(soc.AGENTS, soc.OBSERVATION_SIZES, strict=True))


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "mine")
    return tmp_path / "mine"


def save(path, name="adaptive", kind="scripted"):
    generator = np.random.default_rng(0)
    codec = Codec(np.zeros(8), np.zeros(8), np.ones(8))
    sizes = ((features.HOST.size, terms.HOST_TERMS.size), (features.ZONE.size, terms.ZONE_TERMS.size))
    hosts, zones = (LinearMap(generator.normal(size=size), generator.normal(size=size[1])) for size in sizes)
    Bundle("mine", {"kind": kind, "name": name}, hosts, zones, codec, codec, np.full(8, 0.5)).save(path)


def test_a_bundle_is_a_policy_by_name(folder):
    policy = policies.make_policy(f"bundle:{folder}")
    assert isinstance(policy, TransferredPolicy) and isinstance(policy.carried, soc_policies.Adaptive)
    assert policy.carrier.assignment.name == "natural" and policy.carrier.constant is None


def test_controls_change_what_they_say(folder):
    made = {control: policies.make_policy(f"bundle:{folder}@{control}") for control in transfer.CONTROLS}
    full = policies.make_policy(f"bundle:{folder}")
    assert not made["ops-only"].carrier.constant.any() and (made["constant-directive"].carrier.constant == 0.5).all()
    assert isinstance(made["untrained"].carried, transfer.RandomNetwork)
    assert isinstance(made["random-policy"].carried, soc_policies.RandomActions)
    assert isinstance(made["idle-policy"].carried, soc_policies.NoDefense)
    assert full.mapper.config.watch and not made["without-watch"].mapper.config.watch
    learned = full.carrier.projections[0].coef
    for control in ("random-projection", "shuffled-features"):
        changed = made[control].carrier.projections[0].coef
        assert not np.allclose(changed, learned)
        assert np.allclose(np.sort(np.abs(changed), axis=0), np.sort(np.abs(learned), axis=0))
    for control in ("ops-only", "untrained", "shuffled-observations"):
        assert np.array_equal(made[control].carrier.projections[0].coef, full.carrier.projections[0].coef)


def test_the_papers_assignment_goes_with_every_control(folder):
    policy = policies.make_policy(f"bundle:{folder}@paper+ops-only")
    assert policy.carrier.assignment.name == "paper" and not policy.carrier.constant.any()
    assert policies.make_policy(f"bundle:{folder}@paper").carrier.assignment.name == "paper"


def test_own_draws_go_before_everything_else(folder):
    for rest in ("", "+ops-only", "+paper", "+paper+ops-only", "+untrained.1"):
        policy = policies.make_policy(f"bundle:{folder}@own-draws{rest}")
        assert isinstance(policy, OwnDraws) and policy.draws_per_agent == 0 and policy.wants == ("busy", "rich")
        assert policy.policy.carrier.assignment.name == ("paper" if "paper" in rest else "natural")
        assert (policy.policy.carrier.constant is not None) == ("ops-only" in rest)
    name = f"bundle:{folder}"
    assert with_own_draws(name) == f"{name}@own-draws"
    assert with_own_draws(f"{name}@paper+ops-only") == f"{name}@own-draws+paper+ops-only"
    for already in (f"{name}@own-draws", f"{name}@own-draws+ops-only"):
        assert with_own_draws(already) == already


def test_a_seed_decides_a_random_control(folder):
    first, second, other = (
        policies.make_policy(f"bundle:{folder}@random-projection{seed}").carrier.projections[0].coef
        for seed in ("", ".0", ".1")
    )
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_shuffled_observations_keep_their_values_and_move_them():
    class Echo(soc_policies.NoDefense):
        def act(self, obs, mask, memory, draws):
            self.seen = obs
            return super().act(obs, mask, memory, draws)

    echo = Echo()
    shown = {role: np.arange(2 * size).reshape(2, size) for role, size in SIZES.items()}
    transfer.ShuffledObservations(echo, 0).act(shown, {}, None, np.zeros((2, 4, 0)))
    for role in soc.AGENTS:
        told = np.zeros(SIZES[role], bool)
        for name in {field.name for field in soc.OBSERVATIONS[role]} & {"directive", "routing"}:
            told[soc.OBSERVATIONS[role][name].slice] = True
        assert told.any() and (np.sort(echo.seen[role], axis=1) == shown[role]).all()
        moved = echo.seen[role] != shown[role]
        assert moved[:, ~told].mean() > 0.9 and not moved[:, told].any()  # an order is no observation


@pytest.mark.parametrize(
    "wrap",
    [
        lambda policy: Silenced(policy, "hunter"),
        lambda policy: Dicing(policy, "triage"),
        lambda policy: transfer.ShuffledObservations(policy, 3),
    ],
    ids=["silenced", "dicing", "shuffled"],
)
def test_a_control_of_a_policy_in_double_precision_is_in_double_precision(wrap):
    class Rounding(soc_policies.Adaptive):
        """Rounds what it decides, unless asked not to."""

        dtype = np.float32

        def exact(self):
            twin = Rounding()
            twin.dtype = np.float64
            return twin

        def act(self, obs, mask, memory, draws):
            decision = super().act(obs, mask, memory, draws)
            return decision._replace(
                actions={**decision.actions, "responder": (obs["responder"] / 3).astype(self.dtype)}
            )

    control = wrap(Rounding())
    exact = control.exact()
    generator = np.random.default_rng(0)
    shown = {role: generator.random((4, size)) for role, size in SIZES.items()}
    draws = generator.random((4, 4, control.draws_per_agent))
    rounded, whole = (policy.act(shown, {}, policy.initial_memory(4), draws).actions for policy in (control, exact))
    assert type(exact) is type(control) and exact.draws_per_agent == control.draws_per_agent
    assert rounded["responder"].dtype == np.float32 and whole["responder"].dtype == np.float64
    assert np.array_equal(rounded["responder"], whole["responder"].astype(np.float32))
    assert all(np.array_equal(rounded[role], whole[role]) for role in rounded if role != "responder")


def test_untrained_weights_answer_in_the_range_of_every_role():
    shown = {role: np.random.default_rng(0).random((5, size)) for role, size in SIZES.items()}
    outputs = transfer.RandomNetwork(3).act(shown, {}, None, np.zeros((5, 4, 0))).actions
    assert outputs["triage"].shape == (5,) and set(outputs["triage"]) <= {0, 1, 2, 3}
    for role, size in (("coordinator", 8), ("hunter", 16), ("responder", 12)):
        assert outputs[role].shape == (5, size) and np.abs(outputs[role]).max() <= 1


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        ("@magic", "unknown control 'magic' of a bundle; allowed are paper, ops-only"),
        ("@untrained.x", "unknown control 'untrained.x'"),
        ("@papers", "unknown control 'papers'"),
        ("@ops-only+own-draws", "unknown control 'ops-only.own-draws'"),
        ("@own-drawsops-only", "unknown control"),
    ],
)
def test_unknown_controls_are_refused(folder, suffix, message):
    with pytest.raises(BadInput, match=message):
        policies.make_policy(f"bundle:{folder}{suffix}")


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is not a bundle"):
        policies.make_policy(f"bundle:{tmp_path}")
    with pytest.raises(BadInput, match="unknown SOC policy 'magic'; give a trained policy's folder or one of adaptive"):
        describe_carried("magic")
    save(tmp_path / "other", name="magic")
    with pytest.raises(BadInput, match="carries a scripted or a trained SOC policy; this one says"):
        policies.make_policy(f"bundle:{tmp_path / 'other'}")


def test_weights_that_saw_something_else_are_not_carried(tmp_path):
    shutil.copytree(bundle_folder("hmarl-soc") / "policy", tmp_path / "run")
    make_carried({"kind": "trained", "name": "run"}, tmp_path)
    manifest = tmp_path / "run" / "manifest.json"
    told = json.loads(manifest.read_text(encoding="utf-8"))
    told["interface"]["agents"][1]["observation"][0][0] = "weather"
    manifest.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ValueError, match="where the hunter sees other things than under the corrected rules"):
        make_carried({"kind": "trained", "name": "run"}, tmp_path)


def test_a_changed_bundle_has_another_fingerprint(folder):
    name = f"bundle:{folder}@ops-only"
    before = fingerprint(name, policies.CC4)
    save(folder, name="random")
    assert before is not None and fingerprint(name, policies.CC4) != before


def test_full_is_registered_only_with_a_learned_default():
    default = PACKAGED / policies.BUNDLES["full"]
    assert ("full" in policies.POLICIES) == ("ops-only" in policies.POLICIES) == default.is_dir()
    if default.is_dir():
        assert load_bundle(default).carried["kind"] == "trained"


@pytest.mark.parametrize("path", sorted(PACKAGED.glob("*")), ids=lambda path: path.name)
def test_packaged_bundles_can_be_named_without_their_path_and_say_where_they_come_from(path):
    policy = policies.make_policy(f"bundle:{path.name}")
    assert isinstance(policy, TransferredPolicy)
    calibration = load_bundle(path).provenance["calibration"]
    assert calibration["base seed"] >= 1000 and calibration["true state used"] and not calibration["rewards used"]


@pytest.mark.parametrize("role", soc.AGENTS)
def test_a_role_that_draws_at_random_takes_nothing_from_the_others(role):
    generator = np.random.default_rng(0)
    shown = {name: generator.random((5, n)) for name, n in zip(soc.AGENTS, soc.OBSERVATION_SIZES, strict=True)}

    class Echo(soc_policies.Adaptive):
        """A policy that needs draws of its own, and gives them back."""

        draws_per_agent = 3

        def act(self, obs, mask, memory, draws):
            assert draws.shape == (5, 4, 3)
            return super().act(obs, mask, memory, draws)._replace(memory=draws.copy())

    policy = Dicing(Echo(), role)
    draws = generator.random((5, 4, policy.draws_per_agent))
    decision = policy.act(shown, {}, policy.initial_memory(5), draws)
    others = soc_policies.Adaptive().act(shown, {}, None, draws[..., :0]).actions
    assert all(np.array_equal(decision.actions[name], others[name]) for name in soc.AGENTS if name != role)
    assert np.array_equal(decision.memory, draws[..., :3])
    drawn = soc_policies.RandomActions().act(shown, {}, None, draws[..., 3:]).actions[role]
    assert np.array_equal(decision.actions[role], drawn) and not np.array_equal(drawn, others[role])
    carried = policies.make_policy(f"bundle:soc-adaptive@random-{role}").carried
    assert isinstance(carried, Dicing) and carried.role == role
    with pytest.raises(ValueError, match="unknown role 'cook'; roles are coordinator"):
        Dicing(Echo(), "cook")
