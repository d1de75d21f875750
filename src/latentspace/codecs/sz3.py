"""SZ3, which keeps floats within a bound; it comes with ``latentspace[compress]``."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from latentspace.codecs.base import Array, Codec
from latentspace.errors import DataError

__all__ = ["Sz3"]


class Sz3(Codec):
    """SZ3 under an absolute bound, which is to be verified by the one who calls.

    By interpolation (``i`` with a look at Lorenzo, ``b`` without) or by Lorenzo and regression (``r``).
    """

    name = "sz3"
    lossy = True

    @classmethod
    def there(cls) -> bool:
        """Whether pysz is installed."""
        return importlib.util.find_spec("pysz") is not None

    def ways(self, values: Array) -> tuple[str, ...]:
        """Its algorithms, on the array's shape and, with ``1``, as one line; none but for floats of 4 or 8 bytes."""
        if values.dtype.str not in ("<f4", "<f8") or not values.size:
            return ()
        return ("i", "b", "r", "i1", "r1") if values.ndim > 1 else ("i", "r")

    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """SZ3's own bytes."""
        from pysz import sz, szAlgorithm, szConfig, szErrorBoundMode

        known = {"i": szAlgorithm.INTERP_LORENZO, "b": szAlgorithm.INTERP, "r": szAlgorithm.LORENZO_REG}
        config = szConfig()
        config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, float(bound)
        config.cmprAlgo = known[way[:1] or "i"]
        shaped = values.reshape(-1) if "1" in way else values
        return bytes(sz.compress(np.ascontiguousarray(shaped), config)[0])

    def decode(self, data: bytes, dtype: Any, shape: tuple[int, ...], way: str = "") -> Array:
        """See `Codec.decode`; raises DataError where SZ3 is not installed, too."""
        if not self.there():
            raise DataError(
                "it was written with SZ3, which is not installed: pip install 'latentspace[compress]'"
            )
        from pysz import sz

        try:
            made = (int(np.prod(shape)),) if "1" in way else shape
            values = np.asarray(sz.decompress(np.frombuffer(data, np.uint8), np.dtype(dtype), made)[0])
        except (RuntimeError, ValueError) as error:
            raise DataError(f"its SZ3 stream is damaged ({error})") from error
        return values.reshape(shape)
