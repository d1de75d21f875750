"""The parts of a field's cells in a block: which are there, which fit, their levels, and the rest as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.fields import Cells, Field
from latentspace.archive.levels import within
from latentspace.archive.streams import (
    Effort,
    Stream,
    codecs,
    pack,
    pack_bits,
    pack_raw,
    total,
    unpack,
    unpack_bits,
)
from latentspace.codecs.base import PROBE
from latentspace.errors import DataError

__all__ = ["Levelled", "Read", "Way"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Found = dict[str, tuple[list[Any], bytes]]

#: with more gaps than this, only the levels that are there are stored
_GAPS = 0.05
#: with more numbers than this share that do not fit, the floats themselves are tried with every codec
_MISFITS = 0.02
#: codecs that work in floats may round otherwise on other processors: so much is kept clear of the bound for it,
#: in units of the largest number's last place, unless that leaves less than this share of the bound
ULPS, _TIGHT = 16, 0.9


@dataclass
class Levelled:
    """Levels of cells, and which of the cells have one (are there and fit)."""

    levels: NDArray[np.int64]
    fits: Mask

    def filled(self) -> NDArray[np.int64]:
        """The levels with each gap filled by what lies before it."""
        return fill(self.levels, self.fits)


@dataclass
class Way:
    """One way to store a field: `sides` say which cells are there and what does not fit, `body` all else."""

    sides: list[Stream]
    body: list[Stream]
    lossy: bool = False

    @property
    def streams(self) -> list[Stream]:
        """All of it, the body last."""
        return self.sides + self.body


@dataclass
class Read:
    """A field as far as it is decoded."""

    valid: Mask | None = None
    fits: Mask | None = None
    rest: Array | None = None
    levels: Array | None = None
    values: Any = None


def size_of(way: Way, *, sides: bool = False) -> int:
    """Bytes of a way, or of its sides only."""
    return total(way.sides if sides else way.streams)


def fill(values: Array, there: Mask) -> Array:
    """`values` with each gap filled by what lies before it in line; the first ones by the first that is there."""
    if there.all() or not there.any():
        return values
    flat, seen = values.reshape(-1), there.reshape(-1)
    last = np.maximum.accumulate(np.where(seen, np.arange(flat.size), -1))
    last[last < 0] = int(seen.argmax())
    return np.asarray(flat[last].reshape(values.shape))


def levelled(field: Field, cells: Cells) -> Levelled:
    """The levels of cells; those without one have the level 0."""
    coded = field.coded(cells)
    assert field.scale is not None
    if field.words is not None:
        levels, fits = coded.values.astype(np.int64), np.ones(len(coded), bool)
    else:
        levels, fits = field.scale.levels(coded.values, field.bound)
    if cells.valid is not None:
        fits = fits & cells.valid
    return Levelled(np.where(fits, levels, 0), fits)


def sides(i: int, cells: Cells, part: Levelled, effort: Effort) -> list[Stream]:
    """Which cells are there, which of them have no level, and what those hold."""
    made = validity(i, cells, effort)
    there = np.ones(part.fits.shape, bool) if cells.valid is None else cells.valid
    if (part.fits == there).all():
        return made
    values = cells.values[there & ~part.fits]
    return [*made, pack_bits(f"{i}.fits", part.fits, effort), pack_raw(f"{i}.rest", values, effort)]


def validity(i: int, cells: Cells, effort: Effort) -> list[Stream]:
    """Which cells are there, where not all are."""
    if cells.valid is None or cells.valid.all():
        return []
    return [pack_bits(f"{i}.valid", cells.valid, effort)]


def ways(i: int, field: Field, cells: Cells, part: Levelled, effort: Effort) -> list[Way]:
    """Every way to store a field with levels."""
    beside = sides(i, cells, part, effort)
    made = [Way(beside, [_levels(i, part, effort)])]
    if field.words is not None:
        return made
    if field.number.kind == "f" and not field.bound:
        tried = effort if 1 - part.fits.mean() > _MISFITS else _only(effort, "pcodec")
        made.append(Way(validity(i, cells, effort), [pack_raw(f"{i}.raw", cells.values, tried)]))
    if field.bound:
        made += _lossy(i, field, cells, effort)
    return made


def _levels(i: int, part: Levelled, effort: Effort) -> Stream:
    """The levels, with gaps left out (where they lie in one line), or filled so that it takes few bytes."""
    if part.fits.all() or not part.fits.any():
        return pack(f"{i}.levels", part.levels, effort)
    if 1 - part.fits.mean() <= _GAPS:
        return pack(f"{i}.levels", part.filled(), effort)
    found = [
        (f"{i}.levels", part.filled()),
        (f"{i}.levels", fill_line(part.levels, part.fits)),
        (f"{i}.some", part.levels[part.fits]),
    ]
    probe = Effort(effort.codecs, PROBE)
    what, levels = min(found, key=lambda given: len(pack(given[0], given[1], probe).data))
    return pack(what, levels, effort)


def fill_line(values: Array, there: Mask) -> Array:
    """`values` with a straight line over each gap."""
    at = np.flatnonzero(there)
    line = np.interp(np.arange(values.size), at, values.reshape(-1)[at].astype(np.float64))
    return np.where(there, values, np.rint(line).astype(np.int64).reshape(values.shape))


def _only(effort: Effort, name: str) -> Effort:
    return Effort(tuple(n for n in effort.codecs if n == name), effort.hard)


def _lossy(i: int, field: Field, cells: Cells, effort: Effort) -> list[Way]:
    """The ways of codecs that keep a bound by themselves, where they do."""
    made = []
    there = np.isfinite(cells.values)
    if cells.valid is not None:
        there &= cells.valid
    if not there.any():
        return []
    filled = fill(cells.values, there)
    for name in effort.codecs:
        codec = codecs()[name]
        if not codec.lossy or not codec.ways(filled):
            continue
        bound = field.bound - ULPS * float(np.finfo(filled.dtype).eps) * float(np.abs(filled).max())
        if bound < _TIGHT * field.bound:
            continue
        way, data = min(
            ((way, codec.encode(filled, way, bound=bound)) for way in codec.ways(filled)),
            key=lambda p: len(p[1]),
        )
        back = codec.decode(data, filled.dtype, filled.shape, way)
        fits = there & within(cells.values, back, bound)
        if fits.sum() < 0.98 * there.sum():
            continue
        stream = Stream(f"{i}.near", f"{name}:{filled.dtype.str[1:]}:{way}", data, sizes={name: len(data)})
        made.append(Way(sides(i, cells, Levelled(fits, fits), effort), [stream], lossy=True))
    return made


def unlevelled(i: int, field: Field, cells: Cells, effort: Effort) -> list[Stream]:
    """A field without levels: text, numbers as they are, or Arrow's own bytes."""
    made = validity(i, cells, effort)
    if field.kind == "number":
        return [*made, pack_raw(f"{i}.raw", np.ascontiguousarray(cells.values), effort)]
    if field.kind in ("text", "bytes"):
        lengths, text = text_parts(cells.values)
        return [*made, pack(f"{i}.lengths", lengths, effort), pack(f"{i}.text", text, effort)]
    data = np.frombuffer(ipc_bytes(cells.values), np.uint8)
    return [pack(f"{i}.bytes", np.array([len(data)]), effort), pack(f"{i}.arrow", data, effort)]


# reading


def read(i: int, field: Field, rows: int, found: Found) -> Read:
    """What the streams of field `i` hold; its levels may be in those of all fields."""
    shape = (rows, *field.shape)
    valid = unpack_bits(*found[f"{i}.valid"], shape) if f"{i}.valid" in found else None
    made = Read(valid)
    if field.levelled:
        made.fits = np.ones(shape, bool) if valid is None else valid.copy()
        if f"{i}.fits" in found:
            there, made.fits = made.fits, unpack_bits(*found[f"{i}.fits"], shape)
            count = int((there & ~made.fits).sum())
            made.rest = _as(unpack(*found[f"{i}.rest"], (count,)), field.number)
    if f"{i}.levels" in found:
        made.levels = unpack(*found[f"{i}.levels"], shape)
    elif f"{i}.some" in found:
        assert made.fits is not None
        made.levels = np.zeros(shape, np.int64)
        made.levels[made.fits] = unpack(*found[f"{i}.some"], (int(made.fits.sum()),))
    elif f"{i}.raw" in found:
        made.values = _as(unpack(*found[f"{i}.raw"], shape), field.number)
    elif f"{i}.near" in found:
        record, data = found[f"{i}.near"]
        name, kind, way = record[1].split(":")
        if name not in codecs():
            raise DataError(f"it needs the codec {name!r}, which this latentspace does not have")
        made.values = codecs()[name].decode(data, kind, shape, way)
    elif f"{i}.arrow" in found:
        count = int(unpack(*found[f"{i}.bytes"], (1,))[0])
        made.values = ipc_array(unpack(*found[f"{i}.arrow"], (count,)).astype(np.uint8).tobytes())
    elif f"{i}.text" in found:
        lengths = unpack(*found[f"{i}.lengths"], (rows,))
        made.values = text_array(
            lengths, unpack(*found[f"{i}.text"], (int(lengths.sum()),)).astype(np.uint8), field.kind
        )
    return made


def context(field: Field, cell: Read, *, given: bool) -> tuple[Array, Mask]:
    """What the learnt codec sees of a column: its levels (0 where it is to find them), and which are there."""
    if cell.values is not None:
        part = levelled(field, Cells(cell.values, cell.valid))
        return part.levels, part.fits
    assert cell.fits is not None
    if not given or cell.levels is None:
        return np.zeros(len(cell.fits), np.int64), cell.fits
    return np.where(cell.fits, cell.levels, 0), cell.fits


def finished(field: Field, cell: Read) -> Cells:
    """The cells, from whatever they were stored as."""
    if cell.values is None:
        if cell.levels is None or cell.fits is None or field.scale is None:
            raise DataError(f"the stream of {field.name!r} is missing")
        cell.values = _of_levels(field, cell.levels)
    if cell.rest is not None:
        assert cell.fits is not None
        there = np.ones(cell.fits.shape, bool) if cell.valid is None else cell.valid
        cell.values = np.array(cell.values)
        cell.values[there & ~cell.fits] = cell.rest
    if field.kind == "text" and field.words is not None:
        import pyarrow as pa

        words = pa.array(field.words, pa.large_string())
        cell.values = (
            words.take(pa.array(np.minimum(cell.values, max(len(words) - 1, 0))))
            if len(words)
            else pa.nulls(len(cell.values), pa.large_string())
        )
    return Cells(cell.values, cell.valid)


def _of_levels(field: Field, levels: Array) -> Array:
    assert field.scale is not None
    if field.words is not None:
        return levels.astype(np.int32)
    return field.scale.values(np.clip(levels, 0, None), field.number)


def _as(values: Array, dtype: np.dtype[Any]) -> Array:
    """Bits as numbers of `dtype`; whole numbers came widened."""
    if values.dtype.kind == "f":
        return values.view(dtype) if values.dtype.itemsize == dtype.itemsize else values.astype(dtype)
    return values.astype(f"i{dtype.itemsize}").view(dtype) if dtype.kind in "iu" else values.astype(dtype)


def text_parts(values: Any) -> tuple[Array, Array]:
    """Lengths in bytes and the bytes of a large_string or large_binary array; a gap is of no length."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.fill_null(values, pa.scalar("", values.type))
    values = pa.concat_arrays([values]) if values.offset else values
    offsets = np.frombuffer(values.buffers()[1], np.int64, len(values) + 1, values.offset * 8)
    data = values.buffers()[2]
    text = (
        np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data is not None else np.zeros(0, np.uint8)
    )
    return np.diff(offsets), text


def text_array(lengths: Array, text: Array, kind: str = "text") -> Any:
    """The large_string or large_binary array of lengths and bytes; raises DataError where text is no UTF-8."""
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.tobytes())]
    dtype = pa.large_string() if kind == "text" else pa.large_binary()
    made = pa.Array.from_buffers(dtype, len(lengths), buffers)
    try:
        made.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(f"its text is damaged ({error})") from error
    return made


def ipc_bytes(values: Any) -> bytes:
    """A pyarrow array as an IPC stream of one column."""
    import pyarrow as pa

    batch = pa.record_batch([values], names=["x"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def ipc_array(data: bytes) -> Any:
    """The array of `ipc_bytes`."""
    import pyarrow as pa

    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch().column(0)
