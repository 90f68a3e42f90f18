"""Networks: three-layer perceptrons in stacks of equal members, and attention over named groups of an observation.

Letters: M members of a stack, B rows, F features, T tokens (named groups of features), W features of the widest token,
H heads, D numbers of a key.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from hmarl_soc.nn.tokens import FLOOR, LARGEST, SMALLEST_SPREAD, Tokens
from native_sim.api import Array


class Stack(nn.Module):
    """M linear layers of equal shape applied at once: [M or 1, B, F] to [M, B, U]."""

    def __init__(self, members: int, inputs: int, outputs: int, gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))
        for member in range(members):
            nn.init.orthogonal_(self.weight.data[member], gain, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Apply each member's layer to its own input, or all to the same."""
        if len(self.weight) == 1 and len(x) == 1:  # a plain product is faster than a batched one
            return torch.addmm(self.bias[0], x[0], self.weight[0]).unsqueeze(0)
        return torch.baddbmm(self.bias, x.expand(len(self.weight), -1, -1), self.weight)


class Scaler(nn.Module):
    """Brings features [..., F] to mean 0 and spread 1; passes them on unchanged until it was fitted."""

    shift: Tensor  # [F]
    scale: Tensor  # [F]

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, x: Tensor) -> None:
        """Take the moments of rows [N, G] of the first G features; one that hardly varies keeps its scale."""
        count, spread = x.shape[1], x.std(dim=0, correction=0)
        self.shift[:count] = x.mean(dim=0)
        self.scale[:count] = torch.where(spread < SMALLEST_SPREAD, 1.0, 1.0 / spread.clamp_min(SMALLEST_SPREAD))

    def forward(self, x: Tensor) -> Tensor:
        """Return scaled features, cut off at +-10."""
        return ((x - self.shift) * self.scale).clamp(-LARGEST, LARGEST)


class Mlp(nn.Module):
    """M perceptrons with two hidden layers of rectified units: [B, F] (or [M, B, F]) to [M, B, U].

    Args:
        inputs: F.
        hidden: Units of each hidden layer.
        outputs: U.
        generator: Draws the first weights.
        members: M.
        output_gain: Scale of the last layer's first weights; small where outputs should start near zero.
        tokens: Named groups of the features that attention weighs first, or None for none.
        heads: Attention heads; a share of the hidden units hangs on each.
        key_size: Numbers of a key and of a query, per head.
        scaled: Whether inputs go through a :class:`Scaler`, the attribute ``scaler``.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        generator: torch.Generator,
        *,
        members: int = 1,
        output_gain: float = 1.0,
        tokens: Tokens | None = None,
        heads: int = 4,
        key_size: int = 8,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        gain = math.sqrt(2.0)
        self.scaler = Scaler(inputs) if scaled else None
        self.attention = None if tokens is None else FeatureAttention(tokens, heads, key_size, generator)
        self.first = Stack(members, inputs, hidden, gain, generator)
        self.second = Stack(members, hidden, hidden, gain, generator)
        self.last = Stack(members, hidden, outputs, output_gain, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs [M, B, U]."""
        if self.scaler is not None:
            x = self.scaler(x)
        if x.dim() == 2:
            x = x.unsqueeze(0)
        first = self.first(x) if self.attention is None else self.attention(x[0], self.first)
        return cast(Tensor, self.last(torch.relu(self.second(torch.relu(first)))))


class FeatureAttention(nn.Module):
    """Multi-head attention over the named tokens of an observation, with one query made from all of it.

    Head h weighs token i with a[h, i], a softmax over the tokens of query times key, mixed with a small share of equal
    weights so that no token ever falls out of sight of learning. Its value of token i is the part
    of the first layer's product that comes from the token's features and goes to the head's share of the hidden units.
    With equal weights the layer is exactly a plain one, so that switching attention off removes attention alone; and
    no feature reaches the body except through its token's weight, so that the weights belong to the decision taken.
    """

    member: Tensor  # [T, F]

    def __init__(self, tokens: Tokens, heads: int, key_size: int, generator: torch.Generator) -> None:
        super().__init__()
        count = len(tokens.names)
        self.heads, self.key_size, self.count = heads, key_size, count
        self.query = Stack(heads, tokens.size, key_size, 0.1, generator)
        self.key = nn.Parameter(torch.empty(heads, key_size, tokens.size))
        self.key_bias = nn.Parameter(torch.empty(heads, key_size, count))
        nn.init.normal_(self.key, 0.0, 1.0 / math.sqrt(tokens.size / count), generator=generator)
        nn.init.normal_(self.key_bias, 0.0, 0.1, generator=generator)
        self.register_buffer("member", torch.from_numpy(tokens.member), persistent=False)

    def weights(self, x: Tensor) -> Tensor:
        """Return a [H, B, T] for observations [B, F]; each head's weights sum to 1."""
        query = self.query(x.unsqueeze(0))  # [H, B, D]
        per_feature = (query @ self.key) * x  # its sum over a token's features is query times key
        scores = (per_feature @ self.member.T + query @ self.key_bias) / math.sqrt(self.key_size)
        weights: Tensor = (1.0 - FLOOR) * scores.softmax(dim=2) + FLOOR / self.count
        return weights

    def forward(self, x: Tensor, layer: Stack) -> Tensor:
        """Return the first hidden layer before its rectifier, [M, B, hidden]."""
        weighed = self.count * (self.weights(x) @ self.member) * x  # [H, B, F]: x itself for equal weights
        members, inputs, hidden = layer.weight.shape
        values = layer.weight.view(members, inputs, self.heads, hidden // self.heads).permute(0, 2, 1, 3)
        products = torch.matmul(weighed.unsqueeze(0), values)  # [M, H, B, hidden / H]
        return products.transpose(1, 2).reshape(members, len(x), hidden) + layer.bias


def soft_update(target: nn.Module, online: nn.Module, tau: float) -> None:
    """Move a target net towards the online one by the share ``tau``."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(online.parameters()), tau)


def clip_and_step(optimiser: torch.optim.Optimizer, loss: Tensor, norm: float) -> None:
    """Do one gradient step on a loss with the gradient's norm limited.

    Raises:
        FloatingPointError: If the gradient is not finite; the weights are then unchanged.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    size = float(nn.utils.clip_grad_norm_(parameters, norm))
    if not math.isfinite(size):
        raise FloatingPointError(f"a gradient became {size} (its loss was {loss.item()})")
    optimiser.step()


def to_tensors(arrays: Sequence[Array], device: torch.device) -> list[Tensor]:
    """Copy arrays to a device as float32 (or as they are, if integers)."""
    made = []
    for array in arrays:
        array = np.ascontiguousarray(array, np.float32 if array.dtype.kind in "fb" else None)
        made.append(torch.from_numpy(array).to(device))
    return made


def make_adam(parameters: Iterable[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    """Return the optimiser that every learner uses."""
    return torch.optim.Adam(parameters, lr=learning_rate, fused=True)


def find_device(name: str) -> torch.device:
    """Return the device called "cpu" or "cuda"; "auto" is a GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def use_one_thread() -> None:
    """Let matrix products use one thread per call: networks this small gain nothing, and sums hang on the number.

    Where another process wants the same cores, two threads that wait for each other are many times slower than one.
    """
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
