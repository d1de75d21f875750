"""The cells of an array in an order in which each can be told from those before it, many at a time.

An array of whole numbers is seen as (L, S1, ..., G): L lanes that know nothing of each other, linked axes S, and G
classes (columns, channels) with weights of their own. A cell's context are the cells at given offsets from it. All
cells of one wave have their contexts in earlier waves, so a whole wave is coded at once: the wavefront of loop
skewing (Lamport 1974, "The parallel execution of DO loops").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cells", "Offset"]

#: one number for each linked axis, then the class of the cell looked at (absolute)
Offset = tuple[int, ...]
Places = NDArray[np.int64]


@dataclass
class Cells:
    """The padded array that cells are read from and written to, and the waves of their positions.

    lanes, shape : L and the linked axes; classes : G; offsets : for each class its contexts; fill : (G,) what stands
    where there is nothing.
    """

    lanes: int
    shape: tuple[int, ...]
    offsets: tuple[tuple[Offset, ...], ...]
    fill: NDArray[np.int64]
    dtype: type = np.int64
    _margins: tuple[tuple[int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        every = [o for group in self.offsets for o in group]
        self._margins = tuple(
            (max([-o[k] for o in every] + [0]), max([o[k] for o in every] + [0]))
            for k in range(len(self.shape))
        )

    @property
    def classes(self) -> int:
        """G."""
        return len(self.offsets)

    @cached_property
    def _padded(self) -> tuple[int, ...]:
        sides = (s + before + after for s, (before, after) in zip(self.shape, self._margins, strict=True))
        return (*sides, self.classes)

    @cached_property
    def _strides(self) -> Places:
        sizes = (*self._padded, 1)
        return np.array([int(np.prod(sizes[k + 1 :])) for k in range(len(self._padded))], np.int64)

    def empty(self) -> NDArray[Any]:
        """The padded array, flat, filled with what stands where there is nothing."""
        whole: NDArray[Any] = np.broadcast_to(self.fill.astype(self.dtype), (self.lanes, *self._padded))
        return whole.reshape(-1).copy()

    def inner(self, flat: NDArray[Any]) -> NDArray[Any]:
        """(L, *shape, G): the cells themselves, a view of the padded array."""
        cut = tuple(
            slice(before, before + s) for s, (before, _) in zip(self.shape, self._margins, strict=True)
        )
        return flat.reshape(self.lanes, *self._padded)[(slice(None), *cut)]

    @cached_property
    def steps(self) -> tuple[Places, ...]:
        """For each class (C,) how far from a cell each of its contexts lies in the flat array."""
        return tuple(
            np.array([int(np.dot(o[:-1], self._strides[:-1])) + o[-1] - g for o in group], np.int64)
            for g, group in enumerate(self.offsets)
        )

    def flat(self, lanes: Places, positions: tuple[Places, ...], g: int) -> Places:
        """(n,) where cells lie in the flat array."""
        at = lanes * int(np.prod(self._padded)) + g
        for where, (before, _), stride in zip(positions, self._margins, self._strides, strict=False):
            at = at + (where + before) * stride
        return at

    def lanes_at(self, positions: tuple[Places, ...], g: int) -> Places:
        """(lanes * n,) where the cells at these positions lie in every lane, lane by lane."""
        first = self.flat(np.zeros(1, np.int64), positions, g)
        starts = np.arange(self.lanes, dtype=np.int64) * int(np.prod(self._padded))
        return (starts[:, None] + first).reshape(-1)

    @cached_property
    def speeds(self) -> tuple[int, ...]:
        """By how many waves a step along each linked axis delays a cell."""
        found: list[int] = []
        every = {o[:-1] for group in self.offsets for o in group}
        for k in reversed(range(len(self.shape))):
            back = [o for o in every if o[k] < 0 and not any(o[:k])]
            ahead = [sum(a * b for a, b in zip(found, o[k + 1 :], strict=True)) for o in back]
            found.insert(0, max([-((-a - 1) // -o[k]) for a, o in zip(ahead, back, strict=True)] + [1]))
        return tuple(found)

    def waves(self) -> list[tuple[int, tuple[Places, ...]]]:
        """(class, positions along each linked axis) of the cells of each wave, in order."""
        grid = np.indices(self.shape).reshape(len(self.shape), -1)
        number = np.asarray(self.speeds) @ grid
        order = np.argsort(number, kind="stable")
        ends = np.flatnonzero(np.diff(number[order], append=number.max() + 1)) + 1
        groups = [grid[:, rows] for rows in np.split(order, ends[:-1])]
        return [(g, tuple(group)) for group, g in product(groups, range(self.classes))]
