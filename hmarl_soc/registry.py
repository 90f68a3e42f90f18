"""Methods by name: ours, those that installed packages bring, and those that a program registers itself.

What a method needs is imported when one is made. Saved weights name their method; such a name only ever looks up what
is registered, so that loading weights never imports a module that they name.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from hmarl_soc import checkpoint
from hmarl_soc.checkpoint import Checkpoint, CheckpointError
from hmarl_soc.config import MethodConfig, parse
from hmarl_soc.interface import Interface, from_dict
from hmarl_soc.learner import Exportable, Learner
from native_sim.api import Policy
from native_sim.plugins import Plugins


class Method(NamedTuple):
    """The three parts of a method, each an object, or where it is found as ``module:name``."""

    config: str | type[MethodConfig]  # class of its settings
    learner: str | Callable[..., Learner]  # called with (config, interface, num_envs, seed, device)
    policy: str | Callable[..., Policy]  # called with (config, interface, arrays): the policy whose ``weights()`` these
    # are; without torch


GROUP: Final = "hmarl_transfer.methods"
"""Entry point group in which installed packages give theirs as ``name = "module:METHOD"``."""
METHODS: Final = Plugins(
    "method",
    GROUP,
    {
        "hmarl-soc": "hmarl_soc.hierarchy.config:HMARL_SOC",
        "hmarl-soc-ppo": "hmarl_soc.baselines.config:HMARL_SOC_PPO",
        "single-drl": "hmarl_soc.baselines.config:SINGLE_DRL",
        "iql": "hmarl_soc.baselines.config:IQL",
        "qmix": "hmarl_soc.baselines.config:QMIX",
        "mappo": "hmarl_soc.baselines.config:MAPPO",
        "ippo": "hmarl_soc.baselines.config:IPPO",
    },
)
"""Name -> method."""
_REGISTERED: Final[dict[str, Method]] = {}
"""Name -> method that this process was given beside these."""


def register(name: str, method: Method) -> None:
    """Let a method be found by a name for as long as this process lives; an earlier one of that name is replaced.

    Raises:
        ValueError: If the name is taken by this project or an installed package, or the method is none.
    """
    if name in METHODS.names():
        raise ValueError(f"the name of method {name!r} is taken by {METHODS.origin(name)}; choose another")
    if not isinstance(method, Method):
        raise ValueError(f"method {name!r} is no hmarl_soc.registry.Method but a {type(method).__name__}; give one")
    _REGISTERED[name] = method


def import_method(name: str) -> None:
    """Import ``module:object`` from ``sys.path`` and register it under this name.

    It runs the code of that module: give it what a user asked for, never what a file names.

    Raises:
        ValueError: If it cannot be imported, or is no method.
    """
    try:
        found = _imported(name)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"method {name!r} cannot be imported ({_told(error)}); give an importable module and a "
            f"hmarl_soc.registry.Method in it, or one of {', '.join(METHODS.names())}"
        ) from error
    register(name, found)


def find(name: str) -> Method:
    """Return a method that is registered; nothing else is imported.

    Raises:
        ValueError: If the name is unknown, or the package that brings it is broken; one sentence.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    if ":" in name:
        raise ValueError(_unregistered(name))
    found = METHODS.load(name)
    if not isinstance(found, Method):
        raise ValueError(f"method {name!r} is no hmarl_soc.registry.Method; {METHODS.origin(name)} must give one")
    return found


def config_class(name: str) -> type[MethodConfig]:
    """Return the class of a method's settings.

    Raises:
        ValueError: If the method is unknown, or of another package and has none.
    """
    found = _part(name, find(name), "config")
    if not (isinstance(found, type) and issubclass(found, MethodConfig)):
        raise ValueError(f"config of method {name!r} is no subclass of hmarl_soc.config.MethodConfig; give one")
    return found


def check_agents(name: str, agents: Iterable[str], place: str, advice: str = "") -> None:
    """Refuse a method that cannot learn for these agents.

    Args:
        name: Of the method.
        agents: Their names.
        place: Where they are, for the message.
        advice: What to do instead, added to the message.

    Raises:
        ValueError: One sentence that names the methods which can.
    """
    agents = tuple(agents)
    if config_class(name).abilities.fit(agents):
        return
    able = [other for other in METHODS.names() if _can_learn(other, agents)]
    others = f"{', '.join(able)} do" if able else "no method does"
    raise ValueError(f"method {name!r} does not learn on {place}; {others}{advice}")


def _can_learn(name: str, agents: tuple[str, ...]) -> bool:
    try:
        return config_class(name).abilities.fit(agents)
    except ValueError:
        return False  # of another package, which is broken


def make_learner(
    name: str, config: MethodConfig, interface: Interface, num_envs: int, seed: int, device: str = "cpu"
) -> Learner:
    """Make a learner.

    Args:
        name: Of the method.
        config: Its settings.
        interface: Of the environment it will play in.
        num_envs: Rows of that environment.
        seed: Of first weights, exploration and sampling.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises:
        ValueError: If the method cannot learn there, or is of another package and lacks something.
    """
    _check_actions(name, interface)
    method = find(name)
    made = _called(name, method, "learner", config, interface, num_envs, seed, device)
    if name not in METHODS.ours:
        _check_foreign(name, method, config, interface, made)
    return cast(Learner, made)


def _check_actions(name: str, interface: Interface) -> None:
    """Refuse agents with actions of a kind that a method cannot learn."""
    allowed = config_class(name).abilities.actions
    for agent in interface.agents:
        kind = "discrete" if agent.discrete else "box"
        if kind not in allowed:
            raise ValueError(
                f"method {name!r} learns {' and '.join(allowed)} actions only; those of agent {agent.name!r} are {kind}"
            )


def _check_foreign(name: str, method: Method, config: MethodConfig, interface: Interface, learner: object) -> None:
    """Refuse a learner of another package whose weights could not be saved and played, before it learns.

    Raises:
        ValueError: One sentence that names what is wrong.
    """
    if not isinstance(learner, Learner):
        raise ValueError(f"learner of method {name!r} is a {type(learner).__name__}; it must be a hmarl_soc.Learner")
    policy = learner.policy()
    if not isinstance(policy, Policy) or not isinstance(policy, Exportable):
        raise ValueError(
            f"policy() of the learner of method {name!r} returns a {type(policy).__name__}; it must be a "
            f"native_sim.Policy with weights() and with_weights(), so that it can be saved"
        )
    try:
        checkpoint.check_state(learner.state_dict())
    except TypeError as error:
        raise ValueError(f"state_dict() of the learner of method {name!r} cannot be saved: {error}") from error
    again = _called(name, method, "policy", config, interface, dict(policy.weights()))
    if not isinstance(again, Policy):
        raise ValueError(f"policy of method {name!r} makes a {type(again).__name__}; it must make a native_sim.Policy")


def _part(name: str, method: Method, part: str) -> Any:
    """Return a part of a method, imported if it is told as ``module:name``."""
    found = getattr(method, part)
    if not isinstance(found, str):
        return found
    if name in METHODS.ours:
        return _imported(found)
    try:
        return _imported(found)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{part} of method {name!r} cannot be imported from {found} ({_told(error)})") from error


def _called(name: str, method: Method, part: str, *arguments: object) -> Any:
    """Call a part of a method; of another package, after a look at what it lacks."""
    made = _part(name, method, part)
    if name not in METHODS.ours:
        _check_callable(name, part, made, arguments)
    return made(*arguments)


def _check_callable(name: str, part: str, made: Any, arguments: tuple[object, ...]) -> None:
    """Refuse what cannot be called with these arguments.

    Raises:
        ValueError: One sentence that names what is missing.
    """
    if not callable(made):
        raise ValueError(f"{part} of method {name!r} is a {type(made).__name__}; it must be a class or a function")
    if inspect.isabstract(made):
        raise ValueError(f"{part} of method {name!r} lacks {', '.join(sorted(made.__abstractmethods__))}; add it")
    try:
        inspect.signature(made).bind(*arguments)
    except TypeError as error:
        takes = {"learner": "config, interface, num_envs, seed, device", "policy": "config, interface, arrays"}[part]
        raise ValueError(f"{part} of method {name!r} must be callable with ({takes}): {error}") from error


def load_policy(folder: str | Path, method: Method | None = None) -> Policy:
    """Load a policy from the weights that training saved (``RUN/best``), without loading the tensor library.

    Args:
        folder: A run folder, or its ``best``.
        method: Of which the weights are, for one that has no name here; None for the one that they name.

    Raises:
        CheckpointError: If the folder holds no usable weights.
        ValueError: If they are of a method that is unknown.
    """
    return policy_of(read_weights(folder), folder, method)


def read_weights(folder: str | Path) -> Checkpoint:
    """Read the weights of a run folder or of its ``best``.

    Raises:
        CheckpointError: If there are none, or they are damaged.
    """
    return checkpoint.load(_folder_of_weights(Path(folder)), "weights")


def weights_files(folder: str | Path) -> list[Path]:
    """Return the files that :func:`read_weights` reads.

    Raises:
        CheckpointError: If there are none, or their manifest is damaged.
    """
    return checkpoint.files_of(_folder_of_weights(Path(folder)))


def _folder_of_weights(folder: Path) -> Path:
    if not (folder / checkpoint.MANIFEST).exists() and (folder / "best" / checkpoint.MANIFEST).exists():
        return folder / "best"
    return folder


def policy_of(weights: Checkpoint, folder: str | Path, method: Method | None = None) -> Policy:
    """Make the policy whose weights were read from a folder, which errors name.

    Args:
        weights: As :func:`read_weights` returns them.
        folder: Where they were read.
        method: Of which they are; None for the one that they name. A name is looked up among what is registered, and
            what is a place in a module is refused: nothing is imported because weights name it.

    Raises:
        CheckpointError: If they do not fit their method.
        ValueError: If the method is unknown.
    """
    name = weights.method
    if method is None:
        if ":" in name:
            raise ValueError(_unregistered(name))
        method = find(name)
        kind = config_class(name)
    else:
        kind = _part(name, method, "config")
    make = _part(name, method, "policy")
    try:
        config = parse(weights.config, kind)
        return cast(Policy, make(config.method, from_dict(weights.interface), weights.state["arrays"]))
    except checkpoint.MISFITS as error:
        raise CheckpointError(f"weights {folder} do not fit method {name!r}: {error}") from error


def _unregistered(name: str) -> str:
    return (
        f"method {name!r} is a place in a module, which is never imported because a file names it; register the method "
        f"by the entry point group {GROUP}, or load the weights in a policy of your own"
    )


def _told(error: BaseException) -> str:
    """Return kind and text of an error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _imported(name: str) -> Any:
    """Import ``module:object``."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
