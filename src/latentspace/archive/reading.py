"""Reading an archive: what is in it, all of it, or any rows of it."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from latentspace.archive.arrays import array_of
from latentspace.archive.blocks import Blocks
from latentspace.archive.container import Reader
from latentspace.archive.fields import Cells, Field
from latentspace.archive.tables import dictionary_of, table_of
from latentspace.errors import DataError, OptionError

__all__ = ["Archive"]

#: what a damaged card can make go wrong on the way, beside what is said on purpose
_SURPRISES = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    AssertionError,
    OverflowError,
    zlib.error,
)


class Archive:
    """The file that `compress` wrote: ``archive.read()`` is all of it, ``archive[100:200]`` only those rows.

    Only the blocks that are asked for are decoded. Raises DataError with one sentence where the file is damaged,
    cut off, newer than this version or none of ours.

    >>> import tempfile
    >>> from latentspace.jobs.compress import compress
    >>> path = Path(tempfile.mkdtemp()) / "a.lsz"
    >>> _ = compress(np.arange(1000) ** 2, path, level="fast")
    >>> Archive(path)[10:13]
    array([100, 121, 144])
    """

    def __init__(self, path: str | Path) -> None:
        self._file = Reader(path)
        self.path = self._file.path
        self.card = self._file.card
        try:
            self.kind: str = self.card["content"]
            self._sections = [_Section(self._file, k, card) for k, card in enumerate(self.card["sections"])]
            self._set_words()
        except DataError:
            raise
        except _SURPRISES as error:
            raise self._file.damaged(f"its card does not make sense ({error})") from error

    def _set_words(self) -> None:
        words: Any = None
        if "words.json" in self._file.names():
            words = self._file.read_json("words.json")
        for k, section in enumerate(self._sections):
            section.set_fields(None if words is None else words[k])

    def __len__(self) -> int:
        return max((s.rows for s in self._sections), default=0)

    def __repr__(self) -> str:
        return f"<Archive of {len(self):,} rows ({self.kind}) at {self.path}>"

    def __getitem__(self, rows: int | slice) -> Any:
        """The rows (of arrays: of every array that has as many rows as the longest; the others are given whole)."""
        if isinstance(rows, (int, np.integer)):
            at = int(rows) + (len(self) if rows < 0 else 0)
            if not 0 <= at < len(self):
                raise IndexError(f"row {rows} of {len(self)}")
            return self.read(slice(at, at + 1))
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise OptionError(
                f"Rows of an archive are read without gaps, as in 100:200, not with the step {step}."
            )
        return self.read(slice(start, max(start, stop)))

    def read(self, rows: slice | None = None) -> Any:
        """A pyarrow table (or a frame of the library it came from), an array, or arrays by name."""
        return self._assembled(rows)

    def blocks(self, most: int | None = None) -> Iterator[Any]:
        """All of it part by part, of a table or one array: what does not fit in memory is read so."""
        section = self._sections[0]
        for start in range(0, max(1, section.rows), section.step):
            yield self.read(slice(start, min(section.rows, start + section.step)))

    def _assembled(self, rows: slice | None) -> Any:
        try:
            if self.kind == "table":
                return self._table(rows)
            return self._arrays(rows)
        except DataError as error:
            raise self._named(error) from error
        except _SURPRISES as error:
            raise self._file.damaged(f"a part of it does not make sense ({error})") from error

    def _named(self, error: DataError) -> DataError:
        """The bare reason of a codec as a sentence about the file."""
        text = str(error)
        return error if self.path.name in text else self._file.damaged(text)

    def _table(self, rows: slice | None) -> Any:
        schema = self.card["schema"]
        members = [n for n in self._file.names() if n.startswith("dictionary/")]
        dictionaries = {
            int(n.split("/")[1].split(".")[0]): dictionary_of(self._file.read(n)) for n in members
        }
        made = table_of(schema, list(self._sections[0].cells(rows)), dictionaries)
        return framed(made, schema.get("frame"))

    def _arrays(self, rows: slice | None) -> Any:
        made = {}
        for schema, section in zip(self.card["schema"]["arrays"], self._sections, strict=True):
            part = rows if section.rows == len(self) else None
            count = None if part is None else part.stop - part.start
            if not schema["shape"]:
                part = count = None
            made[schema["name"]] = array_of(schema, list(section.cells(part)), count)
        return next(iter(made.values())) if self.card["schema"]["single"] else made


class _Section:
    """The rows of one section, of which any are decoded."""

    def __init__(self, file: Reader, k: int, card: dict[str, Any]) -> None:
        self._file, self._k, self._card = file, k, card
        self.rows, self.step = int(card["rows"]), int(card["step"])
        if len(card["blocks"]) != -(-self.rows // self.step):
            raise DataError(f"{len(card['blocks'])} blocks do not make {self.rows} rows")
        self._coder: Blocks | None = None
        self.fields: list[Field] = []

    def set_fields(self, words: list[Any] | None) -> None:
        made = self._card["fields"]
        self.fields = [Field.from_json(f, None if words is None else words[i]) for i, f in enumerate(made)]

    @property
    def coder(self) -> Blocks:
        if self._coder is None:
            learnt = None
            if self._card["predictor"]:
                data = self._file.read(f"predictor/{self._k}.bin")
                member = importlib.import_module("latentspace.codecs.predictor").Predictor
                learnt = member.from_bytes(data)
            self._coder = Blocks(self.fields, learnt)
        return self._coder

    def cells(self, rows: slice | None) -> Iterator[list[Cells]]:
        """The cells of `rows` (None: all), block by block."""
        start, stop = (0, self.rows) if rows is None else (rows.start, rows.stop)
        for number in range(start // self.step, -(-stop // self.step)) if stop > start else ():
            first = number * self.step
            block = self._block(number)
            part = slice(max(start - first, 0), stop - first)
            yield [_cut(cells, part) for cells in block]

    def _block(self, number: int) -> list[Cells]:
        entry = self._card["blocks"][number]
        return self.coder.decode(entry, self._file.read(f"blocks/{self._k}/{number}.bin"))


def _cut(cells: Cells, rows: slice) -> Cells:
    if rows.start == 0 and rows.stop >= len(cells):
        return cells
    stop = min(rows.stop, len(cells))
    valid = None if cells.valid is None else cells.valid[rows.start : stop]
    if isinstance(cells.values, np.ndarray):
        return Cells(cells.values[rows.start : stop], valid)
    return Cells(cells.values.slice(rows.start, stop - rows.start), valid)


def framed(table: Any, frame: str | None) -> Any:
    """A pyarrow table as a frame of the library that it came from, where that is installed."""
    if frame == "pandas" and importlib.util.find_spec("pandas"):
        return table.to_pandas()
    if frame == "polars" and importlib.util.find_spec("polars"):
        return importlib.import_module("polars").from_arrow(table)
    return table
