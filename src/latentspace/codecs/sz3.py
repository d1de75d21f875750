"""SZ3, which keeps floats within a bound; it comes with ``latentspace[compress]``."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from latentspace.codecs.base import Array, Codec
from latentspace.errors import DataError

__all__ = ["Sz3"]


class Sz3(Codec):
    """SZ3 by interpolation and Lorenzo, under an absolute bound, which is to be verified by the one who calls."""

    name = "sz3"
    lossy = True

    @classmethod
    def there(cls) -> bool:
        """Whether pysz is installed."""
        return importlib.util.find_spec("pysz") is not None

    def ways(self, values: Array) -> tuple[str, ...]:
        """None where the numbers are no floats of 4 or 8 bytes."""
        return ("",) if values.dtype.str in ("<f4", "<f8") and values.size else ()

    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """SZ3's own bytes."""
        from pysz import sz, szConfig, szErrorBoundMode

        config = szConfig()
        config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, float(bound)
        return bytes(sz.compress(np.ascontiguousarray(values), config)[0])

    def decode(self, data: bytes, dtype: Any, shape: tuple[int, ...], way: str = "") -> Array:
        """See `Codec.decode`; raises DataError where SZ3 is not installed, too."""
        if not self.there():
            raise DataError(
                "it was written with SZ3, which is not installed: pip install 'latentspace[compress]'"
            )
        from pysz import sz

        try:
            values = np.asarray(sz.decompress(np.frombuffer(data, np.uint8), np.dtype(dtype), shape)[0])
        except (RuntimeError, ValueError) as error:
            raise DataError(f"its SZ3 stream is damaged ({error})") from error
        return values.reshape(shape)
