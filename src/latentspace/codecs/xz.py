"""LZMA2, the coder of .xz, on plain, subtracted and shuffled bytes."""

from __future__ import annotations

import lzma
from typing import Any

import numpy as np

from latentspace.codecs.base import Array, Codec, byte_ways, from_bytes, prepared
from latentspace.errors import DataError

__all__ = ["Xz"]

#: sizes of the window into what came before
_SMALLEST, _LARGEST = 2**12, 2**26


class Xz(Codec):
    """Raw LZMA2 of preset 9e, without the .xz frame.

    After the steps of a way ``f`` is LZMA's own delta filter of bytes, and ``a`` its contexts for numbers of the
    array's width (lp and pb its logarithm, lc the rest of 3).

    >>> codec = Xz()
    >>> codec.decode(codec.encode(np.arange(5)), np.int64, (5,))
    array([0, 1, 2, 3, 4])
    """

    name = "xz"
    of_bytes = True
    presets = (0, 6, 9 | lzma.PRESET_EXTREME)

    def ways(self, values: Array) -> tuple[str, ...]:
        """Every way, and its own filter and contexts."""
        ways = byte_ways(values)
        aligned = tuple(f"{way}a" for way in ways if "s" not in way) if values.dtype.itemsize > 1 else ()
        return (*ways, *aligned, "f")

    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """One raw LZMA2 stream of the prepared bytes."""
        data = np.ascontiguousarray(prepared(values, way.rstrip("fa"))).view(np.uint8).data
        filters = _filters(values.nbytes, values.dtype.itemsize, way, self.presets[effort])
        return lzma.compress(data, lzma.FORMAT_RAW, filters=filters)

    def decode(self, data: bytes, dtype: Any, shape: tuple[int, ...], way: str = "") -> Array:
        """See `Codec.decode`."""
        size = np.dtype(dtype).itemsize
        total = size * int(np.prod(shape, dtype=object))
        reader = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(total, size, way, 9))
        try:
            plain = reader.decompress(data, max_length=total) if total else b""
        except lzma.LZMAError as error:
            raise DataError(f"its xz stream is damaged ({error})") from error
        return from_bytes(plain, dtype, shape, way.rstrip("fa"))


def _filters(total: int, size: int, way: str, preset: int) -> list[dict[str, Any]]:
    """LZMA2 with a window as large as all bytes, its contexts, and the delta filter before it, as `way` says."""
    window = min(max(_SMALLEST, 1 << max(total - 1, 1).bit_length()), _LARGEST)
    width = (size - 1).bit_length()
    contexts = {"lc": 3 - width, "lp": width, "pb": width} if "a" in way else {}
    delta = [{"id": lzma.FILTER_DELTA, "dist": size}] if "f" in way else []
    return [*delta, {"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": window, **contexts}]
