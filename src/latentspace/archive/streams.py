"""One array through every codec: the smallest is kept, and found again."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs.base import BEST, FAST, PROBE, Codec, unsigned
from latentspace.errors import DataError
from latentspace.folder import find, names

__all__ = ["Effort", "Stream", "codecs", "pack", "total", "unpack"]

Array = NDArray[Any]

#: arrays of more bytes than this try their ways on a part of them first
_SMALL = 2**15
#: values in that part
_PART = 2**16
#: ways that are tried whole, by effort
_TRIED = (1, 1, 3)
#: coded with no codec at all
RAW, SAME = "raw", "same"


@dataclass(frozen=True)
class Effort:
    """Which codecs are tried, by name, and how hard."""

    codecs: tuple[str, ...]
    hard: int = BEST

    @classmethod
    def of(cls, level: str) -> Effort:
        """Of `level` "fast": without xz."""
        there = tuple(name for name, codec in codecs().items() if type(codec).there())
        if level == "fast":
            return cls(tuple(name for name in there if name != "xz"), FAST)
        return cls(there)


@dataclass
class Stream:
    """The bytes of one array: what it is, how it was made, and how many bytes each codec would have taken.

    what : the field and its part, "3.levels". how : "codec:dtype:way". low : what is to be added to each number.
    """

    what: str
    how: str
    data: bytes
    low: int = 0
    sizes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> list[Any]:
        """What a block's entry says of it."""
        return [self.what, self.how, len(self.data), *([self.low] if self.low else [])]


@cache
def codecs() -> dict[str, Codec]:
    """The well-kept codecs by name."""
    found = {name: find("codecs", name) for name in names("codecs")}
    return {name: member() for name, member in found.items() if issubclass(member, Codec)}


def total(streams: list[Stream]) -> int:
    """Bytes of all."""
    return sum(len(s.data) for s in streams)


def pack(what: str, values: Array, effort: Effort) -> Stream:
    """The smallest lossless stream of `values`; whole numbers are stored in the smallest type that holds them.

    >>> stream = pack("0.levels", np.arange(1000, 3000), Effort.of("fast"))
    >>> len(stream.data) < 100, bool((unpack(stream.to_json(), stream.data, (2000,)) == np.arange(1000, 3000)).all())
    (True, True)
    """
    low, small = _small(values)
    if not small.size or (low is not None and not small.any()):
        return Stream(what, f"{SAME}:{small.dtype.str[1:]}:", b"", low or 0)
    plain = _little(small).tobytes()
    best = Stream(what, f"{RAW}:{small.dtype.str[1:]}:", plain, low or 0)
    sizes: dict[str, int] = {}
    for name in effort.codecs:
        codec = codecs()[name]
        ways = () if codec.lossy else codec.ways(small)
        if not ways:
            continue
        way, data = _best_way(codec, small, ways, effort.hard)
        sizes[name] = min(len(data), len(plain))
        if len(data) < len(best.data):
            best = Stream(what, f"{name}:{small.dtype.str[1:]}:{way}", data, low or 0)
    best.sizes = sizes
    return best


def unpack(record: list[Any], data: bytes, shape: tuple[int, ...]) -> Array:
    """The array of `shape` that `pack` was given (whole numbers as int64); raises DataError where it cannot be."""
    _, how, _, *rest = record
    name, kind, way = how.split(":")
    dtype = np.dtype(kind)
    if name == SAME:
        values: Array = np.zeros(shape, dtype)
    elif name == RAW:
        if len(data) != dtype.itemsize * int(np.prod(shape, dtype=object)):
            raise DataError(f"{len(data):,} bytes for an array of {shape}")
        values = np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
    elif name in codecs():
        values = codecs()[name].decode(data, dtype, shape, way)
    else:
        raise DataError(f"it needs the codec {name!r}, which this latentspace does not have")
    if dtype.kind != "u":
        return values
    return values.astype(np.int64) + (rest[0] if rest else 0)


def pack_bits(what: str, mask: NDArray[np.bool_], effort: Effort) -> Stream:
    """A mask as bits."""
    return pack(what, np.packbits(mask.reshape(-1)), effort)


def unpack_bits(record: list[Any], data: bytes, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask of `shape` that `pack_bits` was given."""
    count = int(np.prod(shape, dtype=object))
    bits = unpack(record, data, (-(-count // 8),)).astype(np.uint8)
    return np.unpackbits(bits, count=count).astype(bool).reshape(shape)


def pack_raw(what: str, values: Array, effort: Effort) -> Stream:
    """Numbers of any kind bit for bit, without looking for small ones."""
    return pack(
        what, values if values.dtype.kind == "f" else values.view(f"i{values.dtype.itemsize}"), effort
    )


def _small(values: Array) -> tuple[int | None, Array]:
    """Whole numbers less the lowest, in the smallest type; floats as they are."""
    if values.dtype.kind not in "iu" or not values.size:
        return None, np.ascontiguousarray(values) if values.size else np.zeros(values.shape, np.uint8)
    low, high = int(values.min()), int(values.max())
    if high - low >= 2**62:
        return None, unsigned(values)
    kind = next(f"u{size}" for size in (1, 2, 4, 8) if high - low < 2 ** (8 * size))
    return low, (values.astype(np.int64) - low).astype(kind)


def _best_way(codec: Codec, values: Array, ways: tuple[str, ...], effort: int) -> tuple[str, bytes]:
    """The way with the fewest bytes, of the few that look best with little effort."""
    if values.nbytes <= _SMALL:
        tried = sorted(ways, key=lambda way: len(codec.encode(values, way, effort=PROBE)))[: _TRIED[effort]]
    else:
        tried = _finalists(codec, values, ways)[: _TRIED[effort]]
    made = [(way, codec.encode(values, way, effort=effort)) for way in tried]
    return min(made, key=lambda pair: len(pair[1]))


def _finalists(codec: Codec, values: Array, ways: tuple[str, ...]) -> list[str]:
    """The best ways for the codec on a part and for a quick one on all, and none: what repeats far off shows late."""
    if len(ways) == 1:
        return list(ways)
    part, quick = _part(values), codecs().get("zstd")
    found = [min(ways, key=lambda way: len(codec.encode(part, way, effort=PROBE)))]
    if quick is not None and codec.of_bytes:
        known = [way for way in quick.ways(values) if way in ways]
        found.append(min(known, key=lambda way: len(quick.encode(values, way, effort=PROBE))))
        found.append("")
    return list(dict.fromkeys(found))


def _part(values: Array) -> Array:
    """A few rows from the middle."""
    row = max(1, values.size // len(values))
    count = min(len(values), max(2, _PART // row))
    start = (len(values) - count) // 2
    return np.ascontiguousarray(values[start : start + count])


def _little(values: Array) -> Array:
    return values.astype(values.dtype.newbyteorder("<"), copy=False) if sys.byteorder == "big" else values
