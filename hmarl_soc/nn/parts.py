"""What agents share: how an acting network is built, and how nets and optimisers become saved state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hmarl_soc.config import NetworkConfig
from hmarl_soc.nn.networks import Mlp
from hmarl_soc.nn.tokens import make_tokens
from native_sim.api import Layout

Tensors = Mapping[str, Tensor]
"""A batch: name -> [B, ...]."""


def make_actor(layout: Layout, outputs: int, config: NetworkConfig, generator: torch.Generator) -> Mlp:
    """Return an acting network over a named observation, with attention unless that is switched off."""
    return Mlp(
        layout.size,
        config.hidden,
        outputs,
        generator,
        output_gain=0.1,
        tokens=make_tokens(layout) if config.attention else None,
        heads=config.heads,
        key_size=config.key_size,
        scaled=True,
    )


def make_critic(inputs: int, config: NetworkConfig, generator: torch.Generator, members: int = 1) -> Mlp:
    """Return networks that put out one number each."""
    return Mlp(inputs, config.hidden, 1, generator, members=members, scaled=True)


def fit_inputs(net: Mlp, *parts: Tensor) -> None:
    """Fit the scaler of a network whose input begins with these [N, ...]; actions, which follow, stay as they are."""
    if net.scaler is not None:
        net.scaler.fit(torch.cat(parts, dim=1))


def normals(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers of the shape of a tensor, the same on every device."""
    return torch.randn(like.shape, generator=generator).to(like.device)


def gumbels(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return Gumbel noise of the shape of logits; the largest of logits plus noise is a draw from their softmax."""
    uniform = torch.rand(like.shape, generator=generator).clamp(1e-9, 1.0 - 1e-7).to(like.device)
    return -torch.log(-torch.log(uniform))


def minibatches(
    count: int, size: int, epochs: int, generator: torch.Generator, device: torch.device
) -> Iterator[Tensor]:
    """Yield indices of about ``size`` of ``count`` entries at a time, in random order, each entry once per epoch."""
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator).to(device)
        yield from torch.chunk(order, max(1, count // size))


def distance(numbers: Tensor, advice: Tensor) -> Tensor:
    """Return the mean squared distance of numbers [B, U] in [-1, 1] from advice [B, U], a scalar.

    Advice at the ends of the range is moved inwards a little: a squashed output that sits there has no gradient left.
    """
    return (numbers - advice.clamp(-INNER, INNER)).square().mean()


INNER = 0.99
"""Advice beyond this is moved inwards."""


class Saved:
    """State of an agent: its networks, optimisers and plain counts, by the names of its attributes."""

    _saved: tuple[str, ...] = ()
    """Names of attributes; modules, optimisers, tensors and numbers."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is kept, nested."""
        return {name: _state(getattr(self, name)) for name in self._saved}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse a state that does not fit, before anything is changed.

        Raises:
            ValueError: If a part is missing or of another shape.
        """
        for name in self._saved:
            if name not in state:
                raise ValueError(f"the saved {type(self).__name__.lower()} lacks {name!r}")
            value = getattr(self, name)
            if isinstance(value, nn.Module):
                _check_shapes(name, value.state_dict(), state[name])
            elif isinstance(value, Mapping):
                _check_shapes(name, value, state[name])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            ValueError: If a part is missing or of another shape; nothing is then changed.
        """
        self.check_state(state)
        for name in self._saved:
            setattr(self, name, _restored(getattr(self, name), state[name]))


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return a copy of an optimiser's moments by parameter; the learning rate belongs to the configuration."""
    return {str(index): copied(entry) for index, entry in optimiser.state_dict()["state"].items()}


def load_optimiser(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Go on from a copy of :func:`optimiser_state`, at the learning rate that the optimiser has."""
    slots = {
        int(index): {name: torch.as_tensor(part).clone() for name, part in slot.items()}
        for index, slot in state.items()
    }
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})


def copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with copies of its tensors."""
    return {name: part.detach().clone() if isinstance(part, Tensor) else part for name, part in state.items()}


def _state(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return dict(value.state_dict())
    if isinstance(value, torch.optim.Optimizer):
        return optimiser_state(value)
    return value.detach() if isinstance(value, Tensor) else value


def _restored(value: Any, state: Any) -> Any:
    """Return a value that goes on from its state; nets, optimisers and tensors are changed in place."""
    if isinstance(value, nn.Module):
        value.load_state_dict({key: torch.as_tensor(part) for key, part in state.items()})
        return value
    if isinstance(value, torch.optim.Optimizer):
        load_optimiser(value, state)
        return value
    if isinstance(value, Tensor):
        with torch.no_grad():
            value.copy_(torch.as_tensor(state))
        return value
    if isinstance(value, Mapping):
        return {name: np.array(part) for name, part in state.items()}
    return type(value)(state)


def _check_shapes(name: str, own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    for key in {**own, **state}:
        here, given = (tuple(part[key].shape) if key in part else None for part in (own, state))
        if here != given:
            raise ValueError(f"{name}.{key} has shape {given} in what was saved and {here} here")
