"""Reading an archive: what is in it, all of it, or any rows of it."""

from __future__ import annotations

import importlib
import io
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from latentspace.archive.arrays import array_of
from latentspace.archive.blocks import Blocks
from latentspace.archive.container import Reader
from latentspace.archive.fields import Cells, Field
from latentspace.archive.items import StoredItems, labels_of
from latentspace.archive.pictures import dtype_of, opened, picture_of, png_names, save_picture, shape_of
from latentspace.archive.streams import predictor
from latentspace.archive.tables import dictionary_of, schema_of, table_of
from latentspace.archive.threads import ordered, single_blas, threads
from latentspace.errors import DataError, LatentspaceError, OptionError

if TYPE_CHECKING:
    from latentspace.data.base import Modality
    from latentspace.space.folder import Space

__all__ = ["Archive"]

T = TypeVar("T")
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

    def __init__(self, path: str | Path, space: Space | None = None) -> None:
        self._space = space
        self._file = Reader(path)
        self.path = self._file.path
        self.card = self._file.card
        try:
            self.kind: str = self.card["content"]
            self._sections = [_Section(self._file, k, card) for k, card in enumerate(self.card["sections"])]
            self._set_words()
            self._items = StoredItems(self._file, space) if self.kind == "items" else None
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
        if self.kind == "pictures":
            return len(self.card["schema"]["pictures"])
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
        return self._said(lambda: self._read(rows))

    def _read(self, rows: slice | None) -> Any:
        if self.kind == "table":
            return framed(self._table(rows), self.card["schema"].get("frame"))
        if self._items is not None:
            return self._items.read(*((0, len(self)) if rows is None else (rows.start, rows.stop)))
        if self.kind == "pictures":
            start, stop = (0, len(self)) if rows is None else (rows.start, rows.stop)
            return [np.asarray(plain_pixels(p)) for _, p in self.pictures(start, stop)]
        made = dict(self.each_array(rows))
        return next(iter(made.values())) if self.card["schema"]["single"] else made

    def parts(self, start: int, stop: int) -> Iterator[tuple[Any, int]]:
        """Rows of a table (as pyarrow tables) or of the one array, block by block, each with the row it ends at."""
        step = self._sections[0].step
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
        if self.kind == "pictures":
            return self._kinds_of_pictures()
        if self._items is not None:
            modality = self._items.modality
            shape = " x ".join(map(str, modality.shape))
            return [
                {"items": len(self), "kind": modality.name, "numbers of each": shape, "dB": self.card["psnr"]}
            ]
        if self.kind == "table":
            columns = self.card["schema"]["columns"]
            return [{"name": n, "type": t, "error up to": _far(bounds.get(n))} for n, t in columns]
        arrays = zip(self.card["schema"]["arrays"], self._sections, strict=True)
        return [
            {
                "name": a["name"],
                "type": str(array_of(a, [], 0).dtype),
                "shape": " x ".join(map(str, a["shape"])) or "one",
                "error up to": _far(next((f.bound for f in s.fields if f.bound), None)),
            }
            for a, s in arrays
        ]

    # tables

    def table_schema(self) -> Any:
        """The Arrow schema of a table."""
        return self._said(lambda: schema_of(self.card["schema"]))

    def table(self, rows: slice | None = None) -> Any:
        """Rows of a table as a pyarrow table."""
        return self._said(lambda: self._table(rows))

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
        return self._said(lambda: array_of(schema, list(section.cells(rows)), count))

    def empty_array(self) -> Any:
        """The one array without its rows: its type and the shape of a row."""
        schema = self.card["schema"]["arrays"][0]
        return self._said(lambda: array_of(schema, [], 0 if schema["shape"] else None))

    # pictures

    @property
    def names(self) -> list[str]:
        """The pictures' file names, as they are written again."""
        return self._said(lambda: png_names(self.card["schema"]["pictures"], self._is_pixels))

    def pictures(self, start: int, stop: int) -> Iterator[tuple[str, Any]]:
        """File names and Pillow's pictures; one whose file cannot be read as a picture raises DataError."""
        for name, entry, value in self._pictures(start, stop):
            if isinstance(value, bytes):
                try:
                    picture = opened(io.BytesIO(value))
                    picture.load()
                except Exception as error:
                    raise DataError(
                        f"{name} of {self.path.name} was no readable picture when it was stored."
                    ) from error
                yield name, picture
            else:
                yield name, self._said(lambda e=entry, v=value: picture_of(e, v))  # type: ignore[misc]

    def picture_files(self, start: int, stop: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
        """File names, and what writes each: the file as it was, or a PNG of the same pixels."""
        for name, entry, value in self._pictures(start, stop):
            if isinstance(value, bytes):
                yield name, partial(_write_bytes, value)
            else:
                picture = self._said(lambda e=entry, v=value: picture_of(e, v))  # type: ignore[misc]
                yield name, partial(save_picture, picture)

    def _safe(self, name: str) -> str:
        """A file name that stays below the folder it is written to."""
        if (
            not name
            or PurePosixPath(name).is_absolute()
            or ".." in name.replace("\\", "/").split("/")
            or ":" in name
        ):
            raise self._file.damaged(f"{name!r} is no name of a picture")
        return name

    def _pictures(self, start: int, stop: int) -> Iterator[tuple[str, list[Any], Any]]:
        """Names, entries, and the bytes of the file or the pixels."""
        entries, names = self.card["schema"]["pictures"], [self._safe(name) for name in self.names]
        held: dict[int, tuple[int, list[Cells]]] = {}
        for name, entry in zip(names[start:stop], entries[start:stop], strict=True):
            yield name, entry, self._said(lambda e=entry: self._picture(e, held))  # type: ignore[misc]

    def _picture(self, entry: list[Any], held: dict[int, tuple[int, list[Cells]]]) -> Any:
        k, row = entry[1], entry[2]
        section = self._sections[k]
        number = row // section.step
        if held.get(k, (-1,))[0] != number:
            held[k] = (number, section.block(number))
        cell = held[k][1][0].values[row - number * section.step]
        if isinstance(cell, np.ndarray) or section.fields[0].name == "files":
            return cell if isinstance(cell, np.ndarray) else cell.as_py()
        return np.frombuffer(cell.as_py(), dtype_of(entry)).reshape(shape_of(entry))

    def _is_pixels(self, entry: list[Any]) -> bool:
        return bool(self._sections[entry[1]].fields[0].name != "files")

    def _kinds_of_pictures(self) -> list[dict[str, Any]]:
        rows = []
        for k, section in enumerate(self._sections):
            members = [e for e in self.card["schema"]["pictures"] if e[1] == k]
            kinds = sorted({e[3] for e in members if len(e) > 3})
            sizes = sorted({tuple(e[4]) for e in members if len(e) > 4})
            size = (
                f"{sizes[0][0]} x {sizes[0][1]}"
                if len(sizes) == 1
                else "several"
                if sizes
                else "as in the files"
            )
            files = section.fields[0].name == "files"
            bound = next((f.bound for f in section.fields if f.bound), None)
            rows.append(
                {
                    "pictures": len(members),
                    "size": size,
                    "mode": " ".join(kinds) or "as in the files",
                    "stored as": "files" if files else "pixels",
                    "error up to": _far(bound),
                }
            )
        return rows

    def _said(self, work: Callable[[], T]) -> T:
        """What `work` gives; whatever goes wrong in a damaged file is said as one sentence about it."""
        try:
            return work()
        except DataError as error:
            if self.path.name in str(error):
                raise
            raise self._file.damaged(str(error)) from error
        except LatentspaceError:
            raise
        except _SURPRISES as error:
            raise self._file.damaged(f"a part of it does not make sense ({error})") from error


def plain_pixels(picture: Any) -> Any:
    """A picture whose numbers are colours: without a palette."""
    if picture.mode != "P":
        return picture
    return picture.convert("RGBA" if "transparency" in picture.info else "RGB")


def _write_bytes(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _far(bound: float | None) -> str:
    return f"{bound:.4g}" if bound else "0"


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
                member = predictor()
                if member is None:
                    raise DataError("it needs what learns, which this latentspace does not have")
                learnt = member.from_bytes(data)
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


def framed(table: Any, frame: str | None) -> Any:
    """A pyarrow table as a frame of the library that it came from, where that is installed."""
    if frame == "pandas" and importlib.util.find_spec("pandas"):
        return table.to_pandas()
    if frame == "polars" and importlib.util.find_spec("polars"):
        return importlib.import_module("polars").from_arrow(table)
    return table
