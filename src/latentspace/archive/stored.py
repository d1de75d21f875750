"""Sections of an archive as they are read: any of their rows, and only the blocks that those lie in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from latentspace.archive.blocks import Blocks
from latentspace.archive.fields import Cells, Field
from latentspace.archive.threads import ordered, single_blas, threads
from latentspace.codecs.predictor import Predictor
from latentspace.errors import DataError

if TYPE_CHECKING:
    from latentspace.archive.container import Reader

__all__ = ["StoredSection", "far"]


class StoredSection:
    """The rows of one section, of which any are decoded."""

    def __init__(self, file: Reader, k: int, card: dict[str, Any]) -> None:
        self._file, self._k, self._card = file, k, card
        self.rows, self.step = int(card["rows"]), int(card["step"])
        if len(card["blocks"]) != -(-self.rows // self.step):
            raise DataError(f"{len(card['blocks'])} blocks do not make {self.rows} rows")
        self._coder: Blocks | None = None
        self.fields: list[Field] = []

    def set_fields(self, words: list[Any] | None) -> None:
        """The fields, with the words of this section."""
        made = self._card["fields"]
        self.fields = [Field.from_json(f, None if words is None else words[i]) for i, f in enumerate(made)]

    @property
    def coder(self) -> Blocks:
        """What decodes the blocks, with what was learnt where there is some."""
        if self._coder is None:
            learnt = None
            if "predictor" in self._card:
                data = self._file.read(f"predictor/{self._card['predictor']}.bin")
                learnt = Predictor.from_bytes(data)
            self._coder = Blocks(self.fields, learnt)
        return self._coder

    def cells(self, rows: slice | None) -> Iterator[list[Cells]]:
        """The cells of `rows` (None: all), block by block."""
        start, stop = (0, self.rows) if rows is None else (rows.start, rows.stop)
        numbers = range(start // self.step, -(-stop // self.step)) if stop > start else range(0)
        for number, block in zip(numbers, self._blocks(numbers), strict=True):
            first = number * self.step
            part = slice(max(start - first, 0), stop - first)
            yield [_cut(cells, part) for cells in block]

    def _blocks(self, numbers: range) -> Iterator[list[Cells]]:
        """Blocks in order, a few decoded at a time."""
        if len(numbers) < 2:
            yield from map(self.block, numbers)
            return
        coder = self.coder
        read = ((number, self._read(number)) for number in numbers)
        with single_blas(), ThreadPoolExecutor(threads()) as pool:
            yield from ordered(
                pool, lambda pair: coder.decode(self._card["blocks"][pair[0]], pair[1]), read, threads()
            )

    def _read(self, number: int) -> bytes:
        return self._file.read(f"blocks/{self._k}/{number}.bin")

    def block(self, number: int) -> list[Cells]:
        """The cells of one block."""
        entry = self._card["blocks"][number]
        return self.coder.decode(entry, self._read(number))


def _cut(cells: Cells, rows: slice) -> Cells:
    if rows.start == 0 and rows.stop >= len(cells):
        return cells
    stop = min(rows.stop, len(cells))
    valid = None if cells.valid is None else cells.valid[rows.start : stop]
    if isinstance(cells.values, np.ndarray):
        return Cells(cells.values[rows.start : stop], valid)
    return Cells(cells.values.slice(rows.start, stop - rows.start), valid)


def far(bound: float | None) -> str:
    """How far numbers may have come back from theirs, to be shown."""
    return f"{bound:.4g}" if bound else "0"
