"""What was written is read again before it is kept: bit for bit, or every number within its bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.blocks import Block, Blocks
from latentspace.archive.fields import Cells, Field
from latentspace.archive.levels import within

__all__ = ["Errors", "check"]

#: bars of the histogram of errors, from -bound to bound
BARS = 41


@dataclass
class Errors:
    """How far numbers came back from what they were, where that may be.

    largest : column or array → the largest distance. squares : the sum of
    (distance / bound) squared. bars : counts of (restored - original) / bound from -1 to 1.
    """

    largest: dict[str, float] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)
    bars: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BARS, np.int64))

    def merge(self, other: Errors) -> None:
        """Take in those of another block."""
        for name, far in other.largest.items():
            self.largest[name] = max(self.largest.get(name, 0.0), far)
            self.squares[name] = self.squares.get(name, 0.0) + other.squares[name]
            self.counts[name] = self.counts.get(name, 0) + other.counts[name]
            self.bounds[name] = other.bounds[name]
        self.bars += other.bars

    def rmse(self, name: str) -> float:
        """Root mean squared distance of a field."""
        return float(np.sqrt(self.squares[name] / max(1, self.counts[name]))) * self.bounds[name]

    def see(self, name: str, field: Field, values: NDArray[Any], back: NDArray[Any]) -> None:
        """Measure the finite numbers of a field."""
        wide, made = values.astype(np.float64), back.astype(np.float64)
        finite = np.isfinite(wide)
        off = made[finite] - wide[finite]
        self.largest[name] = max(self.largest.get(name, 0.0), float(np.abs(off).max(initial=0.0)))
        with np.errstate(under="ignore"):
            self.squares[name] = self.squares.get(name, 0.0) + float(((off / field.bound) ** 2).sum())
        self.bounds[name] = field.bound
        self.counts[name] = self.counts.get(name, 0) + off.size
        self.bars += np.histogram(np.clip(off / field.bound, -1, 1), BARS, (-1, 1))[0]


def check(coder: Blocks, block: Block, cells: list[Cells], name: str | None = None) -> Errors:
    """Decode a block and compare all of it; the errors of the fields that have a bound, all as `name` where given.

    Raises RuntimeError where something is not what it was: nothing is written then.
    """
    data = b"".join(stream.data for stream in block.streams)
    found = Errors()
    for f, was, made in zip(coder.fields, cells, coder.decode(block.to_json(), data), strict=True):
        if not _same(f, was, made):
            raise RuntimeError(f"{f.name!r} did not come back as it was from {block.to_json()}.")
        if f.bound:
            found.see(
                name or f.name,
                f,
                *(c.values if was.valid is None else c.values[was.valid] for c in (was, made)),
            )
    return found


def _same(f: Field, was: Cells, made: Cells) -> bool:
    first, second = (np.ones(0, bool) if c.valid is None or c.valid.all() else c.valid for c in (was, made))
    if not np.array_equal(first, second):
        return False
    if f.kind == "number":
        fits = within(was.values, made.values, f.bound)
        return bool((fits if was.valid is None else fits | ~was.valid).all())
    if f.kind == "arrow":
        return _equal(was.values, made.values)
    from latentspace.archive.parts import text_parts

    if was.valid is not None:  # what lies in a gap does not count
        was, made = (Cells(c.values.filter(np.asarray(was.valid))) for c in (was, made))
    return all(
        np.array_equal(a, b) for a, b in zip(text_parts(was.values), text_parts(made.values), strict=True)
    )


def _equal(was: Any, made: Any) -> bool:
    """Whether two arrays of Arrow are the same, NaN being itself."""
    from latentspace.archive.parts import ipc_bytes

    return bool(was.equals(made)) or ipc_bytes(was) == ipc_bytes(made)
