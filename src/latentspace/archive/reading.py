"""Reading an archive: what is in it, all of it, or any rows of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentspace.archive.arrays import array_of
from latentspace.archive.container import Reader
from latentspace.archive.items import StoredItems, labels_of, with_exact
from latentspace.archive.stored import StoredSection, far
from latentspace.archive.stored_pictures import StoredPictures
from latentspace.archive.tables import dictionary_of, schema_of, table_of
from latentspace.archive.threads import threads
from latentspace.errors import OptionError

if TYPE_CHECKING:
    from latentspace.data.base import Modality
    from latentspace.space.folder import Space

__all__ = ["Archive"]


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

    def __init__(self, path: str | Path, space: Space | None = None) -> None:
        self._space = space
        self._file = Reader(path)
        self.path = self._file.path
        self.card = self._file.card
        self._file.said(self._open)

    def _open(self) -> None:
        self.kind: str = self.card["content"]
        self._sections = [StoredSection(self._file, k, card) for k, card in enumerate(self.card["sections"])]
        self._set_words()
        self._items = StoredItems(self._file, self._space) if self.kind == "items" else None
        #: the pictures, where the file holds pictures; else None
        self.pictures = StoredPictures(self._file, self._sections) if self.kind == "pictures" else None

    def _set_words(self) -> None:
        words: Any = None
        if "words.json" in self._file.names():
            words = self._file.read_json("words.json")
        for k, section in enumerate(self._sections):
            section.set_fields(None if words is None else words[k])

    def __len__(self) -> int:
        if self.pictures is not None:
            return len(self.pictures)
        if self._items is not None:
            return self._items.rows
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

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._file.size

    def read(self, rows: slice | None = None) -> Any:
        """A pyarrow table (or a frame of the library it came from), an array, arrays by name, or pictures' pixels."""
        return self._file.said(lambda: self._read(rows))

    def _read(self, rows: slice | None) -> Any:
        if self.kind == "table":
            return framed(self._table(rows), self.card["schema"].get("frame"))
        if self._items is not None:
            made = self._items.read(*((0, len(self)) if rows is None else (rows.start, rows.stop)))
            return with_exact(made, self.table(rows) if self._sections else None)
        if self.pictures is not None:
            return self.pictures.read(*((0, len(self)) if rows is None else (rows.start, rows.stop)))
        made = dict(self.each_array(rows))
        return next(iter(made.values())) if self.card["schema"]["single"] else made

    def parts(self, start: int, stop: int) -> Iterator[tuple[Any, int]]:
        """Rows of a table (as pyarrow tables) or of the one array, some blocks at once, each with its last row."""
        step = 2 * threads() * self._sections[0].step
        at = start
        while at < stop or start == stop:
            end = min(stop, (at // step + 1) * step)
            rows = slice(at, end)
            yield (self.table(rows) if self.kind == "table" else self.array(rows)), end
            at = end
            if start == stop:
                return

    def contents(self) -> list[dict[str, Any]]:
        """Each column or array: its name, type, shape, and how far its numbers may have come back from theirs."""
        bounds = {f.name: f.bound for s in self._sections for f in s.fields if f.bound}
        if self.pictures is not None:
            return self.pictures.contents()
        if self._items is not None:
            modality = self._items.modality
            shape = " x ".join(map(str, modality.shape))
            return [
                {
                    "items": len(self),
                    "kind": modality.name,
                    "numbers of each": shape,
                    "dB": round(self.card["psnr"] or 0, 2),
                }
            ]
        if self.kind == "table":
            columns = self.card["schema"]["columns"]
            return [{"name": n, "type": t, "error up to": far(bounds.get(n))} for n, t in columns]
        arrays = zip(self.card["schema"]["arrays"], self._sections, strict=True)
        return [
            {
                "name": a["name"],
                "type": str(array_of(a, [], 0).dtype),
                "shape": " x ".join(map(str, a["shape"])) or "one",
                "error up to": far(next((f.bound for f in s.fields if f.bound), None)),
            }
            for a, s in arrays
        ]

    # tables

    def table_schema(self) -> Any:
        """The Arrow schema of a table."""
        return self._file.said(lambda: schema_of(self.card["schema"]))

    def table(self, rows: slice | None = None) -> Any:
        """Rows of a table as a pyarrow table."""
        return self._file.said(lambda: self._table(rows))

    def _table(self, rows: slice | None) -> Any:
        members = [n for n in self._file.names() if n.startswith("dictionary/")]
        found = {int(n.split("/")[1].split(".")[0]): dictionary_of(self._file.read(n)) for n in members}
        return table_of(self.card["schema"], list(self._sections[0].cells(rows)), found)

    # items

    @property
    def modality(self) -> Modality | None:
        """How items that are stored as latents become arrays and come back; None for anything else."""
        return None if self._items is None else self._items.modality

    def labelled(self, rows: slice | None = None) -> tuple[Any, dict[str, Any]]:
        """Ids and labels of items that are stored as latents."""
        start, stop = (0, len(self)) if rows is None else (rows.start, rows.stop)
        table = self.table(rows) if self._sections else None
        return labels_of(table, stop - start, start)

    # arrays

    def each_array(self, rows: slice | None = None) -> Iterator[tuple[str, Any]]:
        """Every array with its name; `rows` of those that have as many rows as the longest."""
        for k, schema in enumerate(self.card["schema"]["arrays"]):
            cut = schema["shape"] and self._sections[k].rows == len(self)
            yield schema["name"], self.array(rows if cut else None, k)

    def array(self, rows: slice | None = None, k: int = 0) -> Any:
        """Rows of the k-th array."""
        schema, section = self.card["schema"]["arrays"][k], self._sections[k]
        if not schema["shape"]:
            rows = None
        count = None if rows is None else rows.stop - rows.start
        return self._file.said(lambda: array_of(schema, list(section.cells(rows)), count))

    def empty_array(self) -> Any:
        """The one array without its rows: its type and the shape of a row."""
        schema = self.card["schema"]["arrays"][0]
        return self._file.said(lambda: array_of(schema, [], 0 if schema["shape"] else None))


def framed(table: Any, frame: str | None) -> Any:
    """A pyarrow table as a frame of the library that it came from, where that is installed."""
    if frame == "pandas" and importlib.util.find_spec("pandas"):
        return table.to_pandas()
    if frame == "polars" and importlib.util.find_spec("polars"):
        return importlib.import_module("polars").from_arrow(table)
    return table
