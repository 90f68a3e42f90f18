"""The real CybORG for live comparisons: found on the path or in CYBORG_PATH, with a variant applied to it."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from cage4.variants import RED_STATES, Variant


def _stub_ray() -> None:
    """CybORG imports ray for one base class that these tests never use."""
    if "ray" in sys.modules or importlib.util.find_spec("ray") is not None:
        return
    names = ("ray", "ray.rllib", "ray.rllib.env", "ray.rllib.env.multi_agent_env")
    modules = [types.ModuleType(name) for name in names]
    for module in modules:
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)  # others may look for ray, too
    for module in modules[2:]:
        module.MultiAgentEnv = type("MultiAgentEnv", (), {})  # type: ignore[attr-defined]
    sys.modules.update(zip(names, modules, strict=True))


@pytest.fixture(scope="session")
def cyborg_modules() -> Any:
    path = os.environ.get("CYBORG_PATH")
    if path:
        sys.path.insert(0, path)
    _stub_ray()
    try:
        import CybORG.Agents
        from CybORG.Agents.Wrappers import BlueFlatWrapper
        from CybORG.Simulator.Actions import AbstractActions
        from CybORG.Simulator.Actions.AbstractActions import DiscoverNetworkServices
        from CybORG.Simulator.Scenarios import EnterpriseScenarioGenerator
    except ImportError as error:
        pytest.skip(f"the real CybORG is not here ({error}); set CYBORG_PATH to a checkout")
    return types.SimpleNamespace(
        CybORG=CybORG.CybORG,
        agents=CybORG.Agents,
        variants=CybORG.Agents.SimpleAgents.FSMRedVariants,
        Wrapper=BlueFlatWrapper,
        actions=AbstractActions,
        scans=DiscoverNetworkServices,
        Generator=EnterpriseScenarioGenerator,
    )


def _red_class(m: Any, variant: Variant) -> Any:
    base = {
        "finite-state": m.agents.FiniteStateRedAgent,
        "verbose": m.variants.VerboseFSRed,
        "discovery": m.variants.DiscoveryFSRed,
        "random-select": m.agents.RandomSelectRedAgent,
        "sleep": m.agents.SleepAgent,
    }[variant.red]
    if variant.red_choices is None:
        return base
    table = {
        state: [p if p > 0 else None for p in row] for state, row in zip(RED_STATES, variant.red_choices, strict=True)
    }
    return type("Changed", (base,), {"state_transitions_probability": lambda self: table})


def _patched(cls: Any, monkeypatch: pytest.MonkeyPatch, **values: Any) -> None:
    original = cls.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if type(self) is cls:
            for name, value in values.items():
                setattr(self, name, value)

    init.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]  # red reads the parameters' names
    monkeypatch.setattr(cls, "__init__", init)


@pytest.fixture
def cyborg_factory(cyborg_modules: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    m = cyborg_modules

    def make(variant: Variant, steps: int, seed: int) -> Any:
        rates = {
            "AggressiveServiceDiscovery": variant.aggressive_scan_detection,
            "StealthServiceDiscovery": variant.stealth_scan_detection,
        }
        for name, rate in rates.items():
            _patched(getattr(m.actions, name), monkeypatch, detection_rate=rate)
        if variant.red_one_tick:
            for name in (
                "StealthServiceDiscovery",
                "DiscoverDeception",
                "ExploitRemoteService",
                "PrivilegeEscalate",
                "Impact",
                "DegradeServices",
            ):
                _patched(getattr(m.actions, name), monkeypatch, duration=1)
        generator = type(
            "Sized",
            (m.Generator,),
            {
                "MIN_USER_HOSTS": variant.min_users,
                "MAX_USER_HOSTS": variant.max_users,
                "MIN_SERVER_HOSTS": variant.min_servers,
                "MAX_SERVER_HOSTS": variant.max_servers,
            },
        )
        green = m.agents.EnterpriseGreenAgent if variant.green == "enterprise" else m.agents.SleepAgent
        scenario = generator(
            blue_agent_class=m.agents.SleepAgent,
            green_agent_class=green,
            red_agent_class=_red_class(m, variant),
            steps=steps,
        )

        class Rated(m.Wrapper):  # type: ignore[name-defined,misc]
            """Gives green its rates after every reset, when CybORG has forgotten them."""

            def reset(self, *args: Any, **kwargs: Any) -> Any:
                result = super().reset(*args, **kwargs)
                for name, interface in self.env.environment_controller.agent_interfaces.items():
                    if name.startswith("green") and hasattr(interface.agent, "fp_detection_rate"):
                        interface.agent.fp_detection_rate = variant.false_alarm_rate
                        interface.agent.phishing_error_rate = variant.phishing_rate
                return result

        return Rated(m.CybORG(scenario, "sim", seed=seed), pad_spaces=True)

    return make
