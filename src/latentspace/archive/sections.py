"""What is to be written: sections of rows, each read block by block as often as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.fields import Cells, Field

__all__ = ["Content", "Section", "block_rows"]

#: numbers in a block
BLOCK = 2**20


@dataclass
class Section:
    """Fields with the same rows. `read(rows)` gives their cells, so many rows at a time, from the start.

    one_range : a bound that is a share of the range is one of the range of all fields together.
    step : rows in a block, where it is not told by the numbers in a row. instead : what holds the same rows, to be
    written in its place where that is smaller.
    """

    name: str
    fields: list[Field]
    rows: int
    read: Callable[[int], Iterator[list[Cells]]]
    one_range: bool = False
    step: int | None = None
    instead: Section | None = None

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(prod(f.shape) for f in self.fields)


@dataclass
class Content:
    """What the archive holds: kind "table", "arrays" or "pictures", its sections, and what puts them together again.

    nbytes : what it takes in memory (pictures: their files). values : how many numbers or cells that are.
    """

    kind: str
    name: str
    sections: list[Section]
    schema: dict[str, Any]
    nbytes: int
    values: int
    file_bytes: int | None = None
    members: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def block_rows(width: int, size: int = BLOCK) -> int:
    """Rows of a block whose rows have `width` numbers."""
    return max(1, size // max(1, width))


def slices(rows: int, step: int) -> Iterator[slice]:
    """`rows` cut into blocks."""
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def little(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in little-endian order, in one piece."""
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
