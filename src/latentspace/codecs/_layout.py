"""How an array is seen by the predictor: which axes are linked, what its classes are, and where contexts lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._cells import Cells, Offset

__all__ = ["Layout", "Size", "candidates"]

Size = Literal["default", "max"]

#: an array of rows has at most this many columns, each with weights of its own; a picture at most CHANNELS
COLUMNS, CHANNELS = 64, 4
#: rows that follow each other are cut into lanes of about this many values, so that some are coded side by side, but
#: of no fewer rows than SHORT, and twice as long where values are FEW: each lane starts with nothing before it;
#: all of these are part of the format
LANE, SHORT, FEW = 2048, 512, 2**16
#: own earlier rows, and other columns, that a column may be told from
LAGS, OTHERS = {"default": 24, "max": 32}, 48
#: how far around a pixel is looked
RADIUS = {"default": 6, "max": 7}


@dataclass(frozen=True)
class Layout:
    """An array (n, ...) as lanes, linked axes and classes.

    linked : whether items follow each other. rank : axes of the array. classed : whether its last axis are classes.
    offsets : for each class its contexts.
    """

    linked: bool
    rank: int
    classed: bool
    offsets: tuple[tuple[Offset, ...], ...]

    def split(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...], int]:
        """(lanes, linked axes, items that fill the last lane up) for an array of `shape`."""
        n, inner = shape[0], shape[1 : len(shape) - self.classed]
        if not self.linked:
            return n, inner or (1,), 0
        if inner:
            return 1, (n, *inner), 0
        lane = LANE if n * shape[-1] >= FEW else 2 * LANE
        lanes = max(1, n // max(SHORT, lane // shape[-1]))
        rows = -(-n // lanes)
        return lanes, (rows,), lanes * rows - n

    def lay(
        self, levels: NDArray[Any], fill: NDArray[np.int64], dtype: type, last: int | None = None
    ) -> tuple[Cells, NDArray[Any]]:
        """The cells of an array, and the flat padded array that holds its values.

        last : what fills the last lane up; the last item where it is not given.
        """
        lanes, shape, spare = self.split(levels.shape)
        cells = Cells(lanes, shape, self.offsets, fill, dtype)
        flat = cells.empty()
        inner = cells.inner(flat)
        if spare:
            more = levels[-1:] if last is None else np.full_like(levels[-1:], last)
            levels = np.concatenate([levels, np.broadcast_to(more, (spare, *levels.shape[1:]))])
        inner[...] = levels.reshape(inner.shape)
        return cells, flat

    def state(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            "linked": self.linked,
            "rank": self.rank,
            "classed": self.classed,
            "offsets": [[list(o) for o in group] for group in self.offsets],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Layout:
        """What `state` wrote."""
        offsets = tuple(tuple(tuple(o) for o in group) for group in state["offsets"])
        return cls(state["linked"], state["rank"], state["classed"], offsets)


def candidates(shape: tuple[int, ...], size: Size) -> list[Layout]:
    """The ways in which an array of `shape` can be seen: items apart, items one after another."""
    if len(shape) == 2 and shape[1] <= COLUMNS:
        rows = [_rows(shape[1], size, linked) for linked in (False, True)]
        return [way for way in rows if any(way.offsets)]
    classed = len(shape) > 2 and shape[-1] <= CHANNELS
    inner = len(shape) - 1 - classed
    ways = [_grid(inner, shape[-1] if classed else 1, size)]
    if inner <= 2:
        ways.append(_following(inner, shape[-1] if classed else 1))
    return [Layout(bool(linked), len(shape), classed, offsets) for linked, offsets in enumerate(ways)]


def _rows(columns: int, size: Size, linked: bool) -> Layout:
    lags = LAGS[size] if columns == 1 else 8
    groups = []
    for g in range(columns):
        group: list[Offset] = [(-lag, g) for lag in range(1, lags + 1)] if linked else []
        others = sorted((c for c in range(columns) if c != g), key=lambda c: (c > g, abs(c - g)))[:OTHERS]
        group += [(0, c) for c in others if c < g]
        group += [(-1, c) for c in others] if linked else []
        groups.append(tuple(group))
    return Layout(linked, 2, True, tuple(groups))


def _grid(axes: int, classes: int, size: Size) -> tuple[tuple[Offset, ...], ...]:
    """Within one item: what lies above and to the left, near ones first; of other channels the nearest."""
    if axes == 1:
        near: list[Offset] = [(-lag,) for lag in range(1, LAGS[size] + 1)]
    else:
        reach = RADIUS[size] if classes == 1 else RADIUS[size] - 2
        near = _before(axes, reach)
    return tuple(_with_channels(near, g, classes) for g in range(classes))


def _following(axes: int, classes: int) -> tuple[tuple[Offset, ...], ...]:
    """Within one item, and around the same place in the two items before."""
    near: list[Offset] = [(0, *o) for o in _before(axes, 3 if axes > 1 else 8)]
    for back, reach in ((1, 2), (2, 1)):
        around = product(range(-reach, reach + 1), repeat=axes)
        near += [(-back, *o) for o in around if np.square(o).sum() <= reach**2]
    near.sort(key=lambda o: float(np.square(o).sum()))
    return tuple(_with_channels(near, g, classes) for g in range(classes))


def _before(axes: int, reach: int) -> list[Offset]:
    found = [o for o in product(range(-reach, reach + 1), repeat=axes) if o < (0,) * axes]
    return sorted((o for o in found if np.square(o).sum() <= reach**2 + 1), key=lambda o: np.square(o).sum())


def _with_channels(near: list[Offset], g: int, classes: int) -> tuple[Offset, ...]:
    own = [(*o, g) for o in near]
    here = [(*[0] * len(near[0]), c) for c in range(g)]
    close = [(*o, c) for o in near[: 4 * len(near[0])] for c in range(g)]
    return tuple(here + own + close)
