"""pcodec, which bins numbers and their differences."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from latentspace.codecs.base import BEST, FAST, Array, Codec, plane, prepared, restored
from latentspace.errors import DataError

__all__ = ["Pcodec"]


#: numbers from the middle that the ways to predict are compared on
_PART = 2**16
#: orders of linear prediction; numbers in a page and in a batch of pcodec's
_ORDERS, _PAGE, _BATCH = (4, 8, 16, 32), 2**18, 256


class Pcodec(Codec):
    """A standalone pco file at the highest level; differences of grids are stored as numbers with a sign.

    >>> codec = Pcodec()
    >>> codec.decode(codec.encode(np.arange(5)), np.int64, (5,))
    array([0, 1, 2, 3, 4])
    """

    name = "pcodec"
    levels = (4, 8, 12)

    def ways(self, values: Array) -> tuple[str, ...]:
        """The numbers themselves; of grids of whole numbers their differences, too."""
        if values.dtype.kind not in "iuf" or values.dtype.itemsize > 8:
            return ()
        if not values.ndim > 1 or min(plane(values.shape)) < 2:
            return ("",)
        return ("", "t", "r", "l") if values.dtype.kind != "f" else ("", "t")

    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """One standalone pco file."""
        flat = np.ascontiguousarray(values).reshape(-1)
        if way:
            kind = "f" if values.dtype.kind == "f" else "u" if way == "t" else "i"
            flat = prepared(values, way).view(f"{kind}{values.dtype.itemsize}")
        if effort < BEST:
            return _packed(flat, self.levels[effort])
        part = flat[max(0, (flat.size - _PART) // 2) :][:_PART]
        known = [name for name in _deltas() if _able(name, part) and _able(name, flat)]
        best = min(known, key=lambda name: len(_packed(part, self.levels[FAST], name)))
        return min((_packed(flat, self.levels[effort], name) for name in sorted({best, "auto"})), key=len)

    def decode(self, data: bytes, dtype: Any, shape: tuple[int, ...], way: str = "") -> Array:
        """See `Codec.decode`."""
        from pcodec import standalone

        dtype = np.dtype(dtype)
        count = int(np.prod(shape, dtype=object))
        try:
            flat = standalone.simple_decompress(data)
        except (RuntimeError, TypeError) as error:
            raise DataError(f"its pcodec stream is damaged ({error})") from error
        flat = np.zeros(0, dtype) if flat is None else flat
        if flat.size != count or flat.dtype.itemsize != dtype.itemsize:
            raise DataError(f"{flat.size:,} numbers where {count:,} were stored")
        return restored(flat.view(f"u{dtype.itemsize}"), dtype, shape, way)


@cache
def _deltas() -> dict[str, Any]:
    """pcodec's ways to predict a number from those before it."""
    from pcodec import DeltaSpec

    made = {"auto": DeltaSpec.auto(), "lookback": DeltaSpec.try_lookback()}
    made |= {f"consecutive {order}": DeltaSpec.try_consecutive(order) for order in (1, 2)}
    return made | {f"linear {order}": DeltaSpec.try_conv1(order) for order in _ORDERS}


def _able(name: str, flat: Array) -> bool:
    """Whether pcodec can predict so: linearly only small numbers, and not where its last batch has few of them."""
    if not name.startswith("linear"):
        return True
    pages = max(1, -(-flat.size // _PAGE))
    lasts = {size % _BATCH for size in (flat.size // pages, -(-flat.size // pages))}
    return flat.dtype.itemsize <= 4 and all(last == 0 or last > _ORDERS[-1] for last in lasts)


def _packed(flat: Array, level: int, delta: str = "auto") -> bytes:
    from pcodec import ChunkConfig, standalone

    config = ChunkConfig(compression_level=level, delta_spec=_deltas()[delta], enable_8_bit=True)
    return bytes(standalone.simple_compress(np.ascontiguousarray(flat), config))
