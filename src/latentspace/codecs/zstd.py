"""Zstandard at its highest usual level, on plain, subtracted and shuffled bytes."""

from __future__ import annotations

import numpy as np

from latentspace.codecs.base import Array, Codec, byte_ways, from_bytes, prepared
from latentspace.errors import DataError

__all__ = ["Zstd"]


class Zstd(Codec):
    """A Zstandard frame (RFC 8878) without checksum.

    >>> codec = Zstd()
    >>> codec.decode(codec.encode(np.arange(5)), np.int64, (5,))
    array([0, 1, 2, 3, 4])
    """

    name = "zstd"
    of_bytes = True
    levels = (3, 9, 22)

    def ways(self, values: Array) -> tuple[str, ...]:
        """Every way."""
        return byte_ways(values)

    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """One frame of the prepared bytes."""
        import zstandard

        level = self.levels[effort]
        made = zstandard.ZstdCompressor(level=level, write_content_size=False).compress(
            np.ascontiguousarray(prepared(values, way)).view(np.uint8).data
        )
        return bytes(made)

    def decode(self, data: bytes, dtype: object, shape: tuple[int, ...], way: str = "") -> Array:
        """See `Codec.decode`."""
        import zstandard

        size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=object))  # type: ignore[call-overload]
        try:
            plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=size) if size else b""
        except zstandard.ZstdError as error:
            raise DataError(f"its zstd stream is damaged ({error})") from error
        return from_bytes(plain, dtype, shape, way)
