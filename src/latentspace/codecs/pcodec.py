"""pcodec, which bins numbers and their differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspace.codecs.base import Array, Codec, _plane, prepared, restored
from latentspace.errors import DataError

__all__ = ["Pcodec"]


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
        grid = values.ndim > 1 and min(_plane(values.shape)) > 1 and values.dtype.kind != "f"
        return ("", "r", "l") if grid else ("",)

    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """One standalone pco file."""
        from pcodec import ChunkConfig, standalone

        flat = np.ascontiguousarray(values).reshape(-1)
        if way:
            flat = prepared(values, way).view(f"i{values.dtype.itemsize}")
        config = ChunkConfig(compression_level=self.levels[effort], enable_8_bit=True)
        return bytes(standalone.simple_compress(np.ascontiguousarray(flat), config))

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
