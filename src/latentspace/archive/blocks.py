"""One block: its fields through every way there is, the smallest of each kept; and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive import parts
from latentspace.archive.fields import Cells, Field
from latentspace.archive.parts import Levelled
from latentspace.archive.streams import Effort, Stream, pack, total, unpack
from latentspace.errors import DataError

__all__ = ["Block", "Blocks", "Coded"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]
#: what the stream of the learnt codec is called, and that of all levels row by row
OURS, ROWS = "ours", "rows"
#: most columns whose rows are tried as a whole
MOST_COLUMNS = 1024


@dataclass
class Block:
    """The streams of a block, and which columns (by their place among those with levels) are the learnt codec's."""

    rows: int
    streams: list[Stream]
    kept: list[int] | None = None

    @property
    def size(self) -> int:
        """Bytes of its streams."""
        return total(self.streams)

    def to_json(self) -> dict[str, Any]:
        """The block's entry in the card."""
        made: dict[str, Any] = {"rows": self.rows, "streams": [s.to_json() for s in self.streams]}
        return made if self.kept is None else made | {"kept": self.kept}


@dataclass
class Coded:
    """A block without the learnt codec and, where that is smaller, with it; and what each codec alone would take."""

    plain: Block
    ours: Block | None
    sizes: dict[str, int] = field(default_factory=dict)


class Blocks:
    """Codes the blocks of one section, whose fields lie side by side: columns, or one array of rows.

    predictor : the learnt codec of the section, or None. effort : the well-kept codecs to be tried.
    """

    def __init__(self, fields: list[Field], predictor: Any = None, effort: Effort | None = None) -> None:
        self.fields = fields
        self.predictor = predictor
        self.effort = effort or Effort.of("default")
        self.levelled = [i for i, f in enumerate(fields) if f.levelled]
        self.grid = len(fields) == 1 and bool(fields[0].shape)

    # writing

    def levels(self, block: list[Cells]) -> list[Levelled]:
        """The levels of the fields that have some."""
        return [parts.levelled(self.fields[i], block[i]) for i in self.levelled]

    def matrix(self, levels: list[Levelled]) -> tuple[NDArray[np.int64], Mask | None]:
        """What the learnt codec is given: (n, F), or the rows of the array with at most three axes; and observed."""
        if self.grid:
            values, seen = _folded(levels[0].levels), _folded(levels[0].fits)
        else:
            values = np.stack([part.levels for part in levels], axis=1)
            seen = np.stack([part.fits for part in levels], axis=1)
        return values, None if seen.all() else seen

    def encode(self, block: list[Cells]) -> Coded:
        """The block coded without and with the learnt codec."""
        levels = self.levels(block)
        rest = [s for i in range(len(block)) if i not in self.levelled for s in self._unlevelled(i, block[i])]
        ways = [
            parts.ways(i, self.fields[i], block[i], part, self.effort)
            for i, part in zip(self.levelled, levels, strict=True)
        ]
        best = [min(found, key=parts.size_of) for found in ways]
        plain = [s for found in best for s in found.streams]
        exact = [min((w for w in found if not w.lossy), key=parts.size_of) for found in ways]
        joint = self._joint(levels, block)
        sizes = _sizes(ways, rest, joint)
        if joint is not None:
            plain = min(plain, joint, key=total)
        rows = len(block[0])
        return Coded(Block(rows, rest + plain), self._ours(rows, rest, levels, exact), sizes)

    def _unlevelled(self, i: int, cells: Cells) -> list[Stream]:
        return parts.unlevelled(i, self.fields[i], cells, self.effort)

    def _joint(self, levels: list[Levelled], block: list[Cells]) -> list[Stream] | None:
        """All levels in one stream, row by row: smaller where rows repeat."""
        if self.grid or not 1 < len(levels) <= MOST_COLUMNS:
            return None
        sides = [
            s
            for i, part in zip(self.levelled, levels, strict=True)
            for s in parts.sides(i, block[i], part, self.effort)
        ]
        columns = [_smallest(part.filled()) for part in levels]
        if len({c.dtype for c in columns}) == 1:
            rows: Array = np.stack(columns, axis=1)
        else:
            rows = np.concatenate([c.reshape(-1, 1).view(np.uint8) for c in columns], axis=1)
        widths = "".join(str(c.dtype.itemsize) for c in columns)
        return [*sides, pack(f"{ROWS}.{widths}", rows, self.effort)]

    def _ours(
        self, rows: int, rest: list[Stream], levels: list[Levelled], exact: list[parts.Way]
    ) -> Block | None:
        """The block with the learnt codec for those columns that are smaller by it."""
        if self.predictor is None or not levels:
            return None
        values, seen = self.matrix(levels)
        sides = [parts.size_of(way) - parts.size_of(way, sides=True) for way in exact]
        kept = None
        if not self.grid:
            expected = np.asarray(self.predictor.sizes(values, seen))
            if len(expected) == len(sides):
                kept = expected < np.array(sides)
            else:  # it codes all columns together
                kept = np.full(len(sides), expected.sum() < sum(sides))
            if not kept.any():
                return None
        data = self.predictor.encode(values, seen, kept)
        streams = list(rest)
        for j, way in enumerate(exact):
            streams += way.sides if kept is None or kept[j] else way.streams
        streams.append(Stream(OURS, OURS, data))
        return Block(rows, streams, None if kept is None else np.flatnonzero(kept).tolist())

    # reading

    def decode(self, entry: dict[str, Any], data: bytes) -> list[Cells]:
        """The cells of all fields of a block; raises DataError with the bare reason where it is damaged."""
        found, start = {}, 0
        for record in entry["streams"]:
            found[record[0]] = (record, data[start : start + record[2]])
            start += record[2]
        if start != len(data):
            raise DataError(f"a block has {len(data):,} bytes where {start:,} were written")
        rows = entry["rows"]
        cells = [parts.read(i, f, rows, found) for i, f in enumerate(self.fields)]
        rows_record = next((record for name, record in found.items() if name.startswith(ROWS)), None)
        if rows_record is not None:
            self._read_joint(rows_record, rows, cells)
        if OURS in found:
            self._read_ours(found[OURS][1], entry, rows, cells)
        return [parts.finished(f, c) for f, c in zip(self.fields, cells, strict=True)]

    def _read_joint(self, found: tuple[list[Any], bytes], rows: int, cells: list[parts.Read]) -> None:
        record, data = found
        widths = [int(w) for w in record[0].removeprefix(f"{ROWS}.")]
        if len(set(widths)) == 1:
            columns = list(unpack(record, data, (rows, len(widths))).T)
        else:
            table = unpack(record, data, (rows, sum(widths))).astype(np.uint8)
            starts = np.cumsum([0, *widths]).tolist()
            columns = [
                np.ascontiguousarray(table[:, a : a + w]).view(f"<u{w}")[:, 0].astype(np.int64)
                for w, a in zip(widths, starts, strict=False)
            ]
        for i, column in zip(self.levelled, columns, strict=True):
            cells[i].levels = column

    def _read_ours(self, data: bytes, entry: dict[str, Any], rows: int, cells: list[parts.Read]) -> None:
        if self.predictor is None:
            raise DataError("its learnt codec is missing")
        if self.grid:
            cell, shape = cells[0], (rows, *self.fields[0].shape)
            assert cell.fits is not None
            seen = _folded(cell.fits)
            made = self.predictor.decode(data, seen.shape, None if seen.all() else seen, None, None)
            cell.levels = np.asarray(made, np.int64).reshape(shape)
            return
        kept = np.zeros(len(self.levelled), bool)
        kept[entry["kept"]] = True
        known = np.zeros((rows, len(kept)), np.int64)
        seen = np.ones(known.shape, bool)
        for j, i in enumerate(self.levelled):
            levels, seen[:, j] = parts.context(self.fields[i], cells[i], given=not kept[j])
            known[:, j] = levels
        made = self.predictor.decode(data, known.shape, None if seen.all() else seen, kept, known)
        for j in entry["kept"]:
            cells[self.levelled[j]].levels = np.asarray(made[:, j], np.int64)


def _folded(values: Array) -> Array:
    """Arrays of five axes and more with four."""
    return values if values.ndim <= 4 else values.reshape(len(values), -1, *values.shape[-2:])


def _smallest(levels: Array) -> Array:
    most = int(levels.max(initial=0))
    return levels.astype(next(f"<u{size}" for size in (1, 2, 4, 8) if most < 2 ** (8 * size)))


def _alone(streams: list[Stream], name: str) -> int:
    """Bytes of the streams if all that `name` can store were stored with it."""
    return sum(s.sizes.get(name, len(s.data)) for s in streams)


def _sizes(ways: list[list[parts.Way]], rest: list[Stream], joint: list[Stream] | None) -> dict[str, int]:
    """Bytes of the block with each codec alone, each column in the best way for it."""
    streams = [*rest, *(s for found in ways for way in found for s in way.streams)]
    made = {}
    for name in {name for s in streams for name in s.sizes}:
        made[name] = sum(min(_alone(way.streams, name) for way in _with(found, name)) for found in ways)
        if joint is not None and name in joint[-1].sizes:
            made[name] = min(made[name], _alone(joint, name))
        made[name] += _alone(rest, name)
    return made


def _with(found: list[parts.Way], name: str) -> list[parts.Way]:
    """The ways that use `name`, or all where none does."""
    using = [way for way in found if any(name in s.sizes for s in way.streams[-1:])]
    return using or found
