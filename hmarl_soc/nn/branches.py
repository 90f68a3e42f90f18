"""Networks of the baselines: one body per kind of agent, shared by agents of the same sizes, and a monotonic mixer.

Letters for shapes: N rows, F numbers of all observations, B branches, C choices of the widest branch, S of the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hmarl_soc.baselines.encoding import ActionEncoding, ObservationEncoding, make_kinds, parts_and_outputs
from hmarl_soc.nn.networks import Mlp


class AgentNets(nn.Module):
    """From each agent's part of the observations to that agent's outputs.

    Agents whose observations and outputs have the same sizes share one network, which is told by a one-hot number
    which of them it speaks for.

    Args:
        slices: Where each agent's part lies in the row of all observations.
        outputs: Number of outputs of each agent.
        hidden: Units of each hidden layer.
        last_gain: Scale of the last layer's first weights; small where policies should start near uniform.
        generator: Draws the weights.
    """

    def __init__(
        self,
        slices: Sequence[slice],
        outputs: Sequence[int],
        hidden: int,
        last_gain: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self._slices = tuple(slices)
        self._kinds = make_kinds(slices, outputs)
        self.bodies = nn.ModuleList(
            Mlp(kind.inputs, hidden, kind.outputs, generator, output_gain=last_gain) for kind in self._kinds
        )

    def forward(self, observations: Tensor) -> list[Tensor]:
        """Return per agent [N, outputs] for observations [N, F]."""
        results: list[Tensor] = [observations] * len(self._slices)
        for body, kind in zip(self.bodies, self._kinds, strict=True):
            parts = torch.stack([observations[:, self._slices[agent]] for agent in kind.members], dim=1)
            if kind.named:
                names = torch.eye(len(kind.members), device=parts.device).expand(len(parts), -1, -1)
                parts = torch.cat([parts, names], dim=2)
            outputs = body(parts.flatten(0, 1)).view(len(parts), len(kind.members), -1)
            for agent, output in zip(kind.members, outputs.unbind(1), strict=True):
                results[agent] = output
        return results


class BranchNet(nn.Module):
    """A number for every choice of every branch: logits of a policy, or utilities of Q-learning.

    Args:
        observations: How observations are joined.
        actions: How actions are encoded.
        hidden: Units of each hidden layer.
        last_gain: Scale of the last layer's first weights.
        generator: Draws the weights.
        joint: One network sees all observations and decides for all; otherwise each agent sees its own part only.
    """

    def __init__(
        self,
        observations: ObservationEncoding,
        actions: ActionEncoding,
        hidden: int,
        last_gain: float,
        generator: torch.Generator,
        joint: bool = False,
    ) -> None:
        super().__init__()
        slices, outputs = parts_and_outputs(observations, actions, joint)
        self.nets = AgentNets(slices, outputs, hidden, last_gain, generator)
        self._shape = (actions.num_branches, actions.widest)
        self._places: Tensor
        self.register_buffer("_places", torch.from_numpy(actions.places()), persistent=False)

    def forward(self, observations: Tensor) -> Tensor:
        """Return [N, B, C] for observations [N, F]; 0 beyond a branch's size."""
        found = torch.cat(self.nets(observations), dim=1)
        padded = found.new_zeros(len(found), self._shape[0] * self._shape[1])
        return padded.index_copy(1, self._places, found).view(-1, *self._shape)


class Mixer(nn.Module):
    """QMIX: a team value that never falls when the utility of a branch rises, with weights made from the state.

    Args:
        num_branches: B.
        state_size: S.
        width: Units of the mixing layer; the networks that make the weights have hidden layers of twice that.
        generator: Draws the weights.
    """

    def __init__(self, num_branches: int, state_size: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self._width = width
        self.first = Mlp(state_size, 2 * width, num_branches * width, generator)
        self.first_bias = Mlp(state_size, 2 * width, width, generator)
        self.second = Mlp(state_size, 2 * width, width, generator)
        self.second_bias = Mlp(state_size, 2 * width, 1, generator)

    def forward(self, utilities: Tensor, state: Tensor) -> Tensor:
        """Return [N] team values of the utilities [N, B] of the chosen actions in states [N, S]."""
        count, branches = utilities.shape
        # Dividing by the number of branches keeps the first team values near the size of one utility.
        first = self.first(state)[0].abs().view(count, branches, self._width) / branches
        inner = nn.functional.elu(torch.einsum("nb,nbw->nw", utilities, first) + self.first_bias(state)[0])
        second = self.second(state)[0].abs()
        return cast(Tensor, (inner * second).sum(1) + self.second_bias(state)[0, :, 0])
