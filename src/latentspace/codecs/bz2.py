"""bzip2, which sorts text by what follows: good where words repeat."""

from __future__ import annotations

import bz2
from typing import Any

import numpy as np

from latentspace.codecs.base import Array, Codec, from_bytes, prepared
from latentspace.errors import DataError

__all__ = ["Bz2"]


class Bz2(Codec):
    """One bzip2 stream, for bytes in one line.

    >>> codec = Bz2()
    >>> codec.decode(codec.encode(np.arange(5, dtype=np.uint8)), np.uint8, (5,))
    array([0, 1, 2, 3, 4], dtype=uint8)
    """

    name = "bz2"
    of_bytes = True

    def ways(self, values: Array) -> tuple[str, ...]:
        """As they are; none but for bytes."""
        return ("",) if values.dtype == np.uint8 and values.ndim == 1 else ()

    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """One stream."""
        return bz2.compress(prepared(values, way).tobytes(), 9)

    def decode(self, data: bytes, dtype: Any, shape: tuple[int, ...], way: str = "") -> Array:
        """See `Codec.decode`."""
        size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=object))
        try:
            plain = bz2.BZ2Decompressor().decompress(data, max_length=size + 1) if size else b""
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"its bz2 stream is damaged ({error})") from error
        return from_bytes(plain, dtype, shape, way)
