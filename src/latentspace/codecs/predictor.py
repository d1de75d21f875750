"""Whole numbers coded by a network that predicts each from those before it, the same bits on any machine.

Each value's distribution is a mixture of logistics whose weights a small causal network gives from the values already
coded (as PixelCNN++, Salimans et al. 2017, arXiv:1701.05517, and the lossless coders of van den Oord et al. 2016,
arXiv:1601.06759, do with large ones); arithmetic is exact, so that what one machine writes every other reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._layout import Layout, Size
from latentspace.codecs._part import Part
from latentspace.codecs._state import packed, unpacked
from latentspace.codecs._tokens import Counting, Reading, Writing

__all__ = ["Predictor", "Size"]

Longs = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: cells coded together, few enough that their matrices stay in the processor's cache; part of the format, since
#: another number would take the digits in another order
CHUNK = 2048


@dataclass(frozen=True)
class Predictor:
    """Codes arrays of whole numbers (n, ...) like those it was fitted on.

    layout, fill, dtype : how an array is laid out, and what stands where it has nothing. parts : one for each class.

    >>> Predictor.fit(np.arange(10)) is None  # too little to learn from
    True
    """

    layout: Layout
    parts: tuple[Part, ...]
    fill: Longs
    dtype: str

    @classmethod
    def fit(
        cls,
        levels: Longs,
        observed: Mask | None = None,
        *,
        size: Size = "default",
        total: int | None = None,
        seed: int = 0,
        tell: Callable[[str, float | None], None] | None = None,
    ) -> Predictor | None:
        """Learn to predict `levels` (n, ...), 1-d to 4-d; None where there is too little to learn from.

        observed : False cells do not count. total : how many values will be coded in all, if more than these.
        """
        from latentspace.codecs._fitting import fitted

        return fitted(levels, observed, size, total or levels.size, seed, tell or (lambda words, share: None))

    def encode(self, levels: Longs, observed: Mask | None = None, kept: Mask | None = None) -> bytes:
        """The bytes of `levels`. observed : False cells are left out. kept (F,) : the columns to code.

        Raises ValueError where values lie far outside of what the predictor was fitted on.
        """
        import constriction

        bounds = np.iinfo(self.dtype)
        if levels.size and (levels.min() < bounds.min or levels.max() > bounds.max):
            raise ValueError(f"values from {bounds.min} to {bounds.max} were expected")

        coder = constriction.stream.queue.RangeEncoder()
        self._walk(self._shaped(levels), Writing(coder), self._shaped(observed), kept)
        return np.asarray(coder.get_compressed(), "<u4").tobytes()

    def decode(
        self,
        data: bytes,
        shape: tuple[int, ...],
        observed: Mask | None = None,
        kept: Mask | None = None,
        known: Longs | None = None,
    ) -> Longs:
        """The levels (shape) that `encode` was given; what was not observed comes back as any number."""
        import constriction

        words = np.frombuffer(data, "<u4").astype(np.uint32)
        coder = constriction.stream.queue.RangeDecoder(words)
        start = np.zeros(shape, np.int64) if known is None else np.asarray(known, np.int64)
        found = self._walk(self._shaped(start), Reading(coder), self._shaped(observed), kept)
        return found.reshape(shape)

    def sizes(self, levels: Longs, observed: Mask | None = None) -> NDArray[np.float64]:
        """(F,) about how many bytes each column takes; (1,) for anything but columns."""
        counting = Counting(np.zeros(len(self.parts)))
        self._walk(self._shaped(levels), counting, self._shaped(observed), None)
        found = counting.bits / 8
        return found if self.layout.rank == 2 and self.layout.classed else found.sum(keepdims=True)

    def to_bytes(self) -> bytes:
        """All of it, for a file."""
        return packed(self.layout, self.parts, self.fill, self.dtype)

    @classmethod
    def from_bytes(cls, data: bytes) -> Predictor:
        """What `to_bytes` wrote; raises ValueError where that was another version's."""
        return cls(*unpacked(data))

    def _shaped(self, array: Any) -> Any:
        return array[:, None] if array is not None and array.ndim == 1 else array

    def _walk(self, levels: Longs, coding: Any, observed: Mask | None, kept: Mask | None) -> Longs:
        """Pass over all cells in order, coding each one; returns the levels as then known."""
        cells, flat = self.layout.lay(levels, self.fill, np.dtype(self.dtype).type)
        seen = None
        if observed is not None or self.layout.split(levels.shape)[2]:
            mask = np.ones(levels.shape, bool) if observed is None else observed
            seen = self.layout.lay(mask, np.zeros(len(self.parts), np.int64), np.bool_, last=False)[1]
        placed = bool(self.parts[0].network.places)
        for g, where in cells.waves():
            if kept is not None and not kept[g]:
                continue
            at = cells.lanes_at(where, g)
            places = tuple(np.tile(axis, cells.lanes) for axis in where) if placed else ()
            for start in range(0, len(at), CHUNK):
                rows = slice(start, start + CHUNK)
                spots = tuple(axis[rows] for axis in places)
                there = None if seen is None else seen[at[rows]]
                self._chunk(g, cells.steps[g], flat, at[rows], spots, there, coding)
        inner = cells.inner(flat).reshape(-1, *levels.shape[1:])
        return inner[: len(levels)].astype(np.int64)

    def _chunk(
        self, g: int, steps: Longs, flat: Any, at: Longs, spots: Any, seen: Mask | None, coding: Any
    ) -> None:
        part = self.parts[g]
        view = part.context(flat[at[:, None] + steps])
        if seen is not None and not seen.all():
            bounds = np.iinfo(flat.dtype)
            flat[at[~seen]] = np.clip(view.origin[~seen], bounds.min, bounds.max)
            at, view = at[seen], view.at(seen)
            spots = tuple(axis[seen] for axis in spots)
            if not len(at):
                return
        shares = part.mixture.shares(part.network(view.features, spots))
        flat[at] = coding(g, part, shares, view, flat[at])
