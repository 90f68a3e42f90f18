"""Experience: a ring of joint transitions drawn by priority, and a grid of macro steps that is used once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from native_sim.api import Array, FloatArray

Spec = Mapping[str, tuple[tuple[int, ...], type]]
"""Name -> (shape of one entry, dtype)."""


class SumTree:
    """Non-negative numbers of which one is drawn with a probability proportional to it; all operations are batched."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._levels = max(1, (capacity - 1).bit_length())
        self._first = 1 << self._levels  # the leaves are the second half
        self._sums = np.zeros(2 * self._first)

    @property
    def total(self) -> float:
        """Sum of all numbers."""
        return float(self._sums[1])

    def get(self, indices: Array) -> FloatArray:
        """Return the numbers [B] of some leaves."""
        numbers: FloatArray = self._sums[self._first + indices]
        return numbers

    def set(self, indices: Array, numbers: FloatArray) -> None:
        """Replace the numbers of some leaves; of an index that repeats, the last one counts."""
        nodes = self._first + np.asarray(indices)
        self._sums[nodes] = numbers
        for _ in range(self._levels):
            nodes = np.unique(nodes >> 1)
            self._sums[nodes] = self._sums[2 * nodes] + self._sums[2 * nodes + 1]

    def draw(self, uniforms: FloatArray) -> Array:
        """Return one leaf [B] per uniform number in [0, 1), one from each of B equal shares of the total."""
        count = len(uniforms)
        mass = (np.arange(count) + uniforms) * (self.total / count)
        nodes = np.ones(count, np.int64)
        for _ in range(self._levels):
            nodes <<= 1
            left = self._sums[nodes]
            right = (mass >= left) & (self._sums[nodes + 1] > 0.0)
            mass = np.where(right, mass - left, mass)
            nodes += right
        return nodes - self._first


class Batch(NamedTuple):
    """What was drawn."""

    indices: Array  # [B] slots in the ring
    weights: FloatArray  # [B] importance weights, the largest is 1
    entries: dict[str, Array]  # name -> [B, ...]


class Replay:
    """A ring of joint transitions with a priority per transition and sampler.

    A sampler is a set of priorities. With one sampler all agents learn from the same batches, drawn by a priority to
    which all of them contribute; with one sampler per agent each draws its own batches by its own priority, from the
    same transitions. New transitions get the largest priority given so far.

    Args:
        capacity: Transitions kept.
        spec: What a transition holds.
        alpha: Exponent of the priority; 0 draws uniformly.
        samplers: Number of sets of priorities.
    """

    def __init__(self, capacity: int, spec: Spec, alpha: float = 0.6, samplers: int = 1) -> None:
        self.capacity, self.alpha = capacity, alpha
        self.entries: dict[str, Array] = {
            name: np.zeros((capacity, *shape), dtype) for name, (shape, dtype) in spec.items()
        }
        self.trees = tuple(SumTree(capacity) for _ in range(samplers))
        self.largest = np.ones(samplers)  # [samplers] priorities before the exponent
        self.size = 0
        self.next = 0

    def add(self, entries: Mapping[str, Array]) -> None:
        """Store N transitions, name -> [N, ...], over the oldest.

        Raises:
            ValueError: If a name is missing, or more than the capacity is given at once.
        """
        missing = sorted(set(self.entries) - set(entries))
        if missing:
            raise ValueError(f"a transition lacks {missing[0]!r}; it needs {', '.join(self.entries)}")
        count = len(next(iter(entries.values())))
        if count > self.capacity:
            raise ValueError(f"{count} transitions at once do not fit into a replay of {self.capacity}")
        slots = (self.next + np.arange(count)) % self.capacity
        for name, kept in self.entries.items():
            kept[slots] = entries[name]
        for sampler, tree in enumerate(self.trees):
            tree.set(slots, np.full(count, self.largest[sampler] ** self.alpha))
        self.next = (self.next + count) % self.capacity
        self.size = min(self.capacity, self.size + count)

    def sample(self, count: int, beta: float, generator: np.random.Generator, sampler: int = 0) -> Batch:
        """Draw ``count`` transitions with replacement.

        Args:
            count: B.
            beta: Exponent of the importance weights; 1 corrects the draw fully.
            generator: Where the draws come from.
            sampler: Whose priorities.
        """
        if self.size == 0:
            raise ValueError("the replay is empty: add transitions before sampling")
        tree = self.trees[sampler]
        slots = tree.draw(generator.random(count))
        weights = (tree.get(slots) / tree.total * self.size) ** -beta
        return Batch(slots, weights / weights.max(), {name: kept[slots] for name, kept in self.entries.items()})

    def prioritize(self, indices: Array, priorities: FloatArray, sampler: int = 0) -> None:
        """Set the priorities [B] (before the exponent, positive) of transitions just learned from."""
        self.largest[sampler] = max(self.largest[sampler], float(priorities.max()))
        self.trees[sampler].set(indices, priorities**self.alpha)

    def state_dict(self) -> dict[str, Any]:
        """Return everything, priorities included."""
        filled = slice(0, self.size)
        every = np.arange(self.size)
        return {
            "entries": {name: kept[filled] for name, kept in self.entries.items()},
            "priorities": [tree.get(every) for tree in self.trees],
            "largest": self.largest,
            "size": self.size,
            "next": self.next,
            "capacity": self.capacity,
        }

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Refuse a state that does not fit.

        Raises:
            ValueError: If capacity, entries or the number of samplers differ.
        """
        given = (state["capacity"], sorted(state["entries"]), len(state["priorities"]))
        own = (self.capacity, sorted(self.entries), len(self.trees))
        if given != own:
            raise ValueError(f"the saved replay has (capacity, entries, samplers) {given}; this one has {own}")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; raises as :meth:`check_state` does."""
        self.check_state(state)
        self.size, self.next = int(state["size"]), int(state["next"])
        for name, kept in self.entries.items():
            kept[: self.size] = state["entries"][name]
        for tree, numbers in zip(self.trees, state["priorities"], strict=True):
            tree.set(np.arange(tree.capacity), np.zeros(tree.capacity))
            tree.set(np.arange(self.size), np.asarray(numbers))
        self.largest = np.array(state["largest"], np.float64)


class Window:
    """The last steps of E rows, joined into transitions of up to n steps that end where an episode does.

    Args:
        length: n.
        discount: Per step.
    """

    def __init__(self, length: int, discount: float) -> None:
        self.length, self.discount = length, discount
        self._steps: list[dict[str, Array]] = []

    def add(self, step: Mapping[str, Array]) -> dict[str, Array] | None:
        """Take in a step, name -> [E, ...]; return the transitions that begin n - 1 steps earlier, if there are any.

        ``reward`` becomes the discounted sum, ``discount`` [E] what follows counts, ``terminated`` and every name with
        ``next_`` are those of the last step that belongs to the same episode; the rest is of the first step.
        ``ended`` [E] bool tells where an episode ended.
        """
        self._steps.append(dict(step))
        if len(self._steps) < self.length:
            return None
        joined = dict(self._steps[0])
        alive = ~joined.pop("ended")
        discounts = np.full(len(alive), self.discount)
        rewards = np.array(joined["reward"], np.float64)
        for later in self._steps[1:]:
            rewards += np.where(alive, discounts * later["reward"], 0.0)
            for name in joined:
                if name == "terminated" or "next_" in name:
                    kept = alive.reshape(-1, *[1] * (joined[name].ndim - 1))
                    joined[name] = np.where(kept, later[name], joined[name])
            discounts = np.where(alive, discounts * self.discount, discounts)
            alive = alive & ~later["ended"]
        del self._steps[0]
        return joined | {"reward": rewards, "discount": discounts}

    def state_dict(self) -> dict[str, Any]:
        """Return everything."""
        return {"steps": list(self._steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self._steps = [{name: np.array(value) for name, value in step.items()} for step in state["steps"]]


class Rollout:
    """Steps of E rows in their order, [T, E] per name, until there are enough to learn from; then it is emptied.

    Rows may differ in the number of steps they have: ``counts`` [E] tells how many are filled.
    """

    def __init__(self, num_rows: int, spec: Spec, length: int = 8) -> None:
        self.entries: dict[str, Array] = {
            name: np.zeros((length, num_rows, *shape), dtype) for name, (shape, dtype) in spec.items()
        }
        self.counts = np.zeros(num_rows, np.int64)

    def __len__(self) -> int:
        """Return the number of steps of all rows together."""
        return int(self.counts.sum())

    def add(self, rows: Array, entries: Mapping[str, Array]) -> None:
        """Append one step to each of ``rows`` [N] (no repetition), name -> [N, ...]."""
        if not len(rows):
            return
        at = self.counts[rows]
        for name, kept in self.entries.items():
            if at.max() >= len(kept):
                kept = self.entries[name] = np.concatenate([kept, np.zeros_like(kept)])
            kept[at, rows] = entries[name]
        self.counts[rows] += 1

    def take(self) -> tuple[dict[str, Array], Array]:
        """Return name -> [T, E, ...], zero where not filled, and what is filled [T, E] bool; empty the grid."""
        length = int(self.counts.max())
        filled = np.arange(length)[:, None] < self.counts
        taken = {name: kept[:length].copy() for name, kept in self.entries.items()}
        for array in taken.values():
            array[~filled] = 0
        self.counts[:] = 0
        return taken, filled

    def state_dict(self) -> dict[str, Any]:
        """Return everything."""
        length = int(self.counts.max())
        return {"entries": {name: kept[:length] for name, kept in self.entries.items()}, "counts": self.counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            ValueError: If the number of rows differs.
        """
        counts = np.array(state["counts"], np.int64)
        if counts.shape != self.counts.shape:
            raise ValueError(f"the saved rollout has {len(counts)} rows; this one has {len(self.counts)}")
        for name, kept in self.entries.items():
            saved = np.asarray(state["entries"][name])
            if len(saved) > len(kept):
                kept = self.entries[name] = np.zeros((len(saved), *kept.shape[1:]), kept.dtype)
            kept[: len(saved)] = saved
        self.counts = counts
