"""What the well-kept ways to store numbers share: a codec, and what is done to numbers before it.

A *way* is a word of letters, each one step, done from left to right before the bytes are made:

``t``  the first axis becomes the last (as the first step);
``d``  each number less the one before it, all numbers in one line;
``r``  each row less the row before it;
``l``  each number less its left and upper neighbours, plus the one between them (the Lorenzo predictor);
``z``  small numbers of both signs become small numbers without a sign (zigzag);
``s``  first all lowest bytes, then all second ones, and so on (byte shuffle).

Differences are those of whole numbers that wrap around, so every way can be undone exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

__all__ = ["BEST", "FAST", "PROBE", "Codec", "prepared", "restored", "unsigned"]

Array = NDArray[Any]
#: only to tell which way is best; in little time; as small as it goes
PROBE, FAST, BEST = 0, 1, 2


class Codec(ABC):
    """One way to store an array of numbers (bytes, whole numbers or floats) and to get it back bit for bit."""

    name: ClassVar[str]
    #: True where what comes back is only near what was stored: the one who calls checks it
    lossy: ClassVar[bool] = False
    #: True where it looks for bytes that repeat, not at numbers
    of_bytes: ClassVar[bool] = False

    @classmethod
    def there(cls) -> bool:
        """Whether what it needs is installed."""
        return True

    @abstractmethod
    def ways(self, values: Array) -> tuple[str, ...]:
        """What may be done to `values` first, all worth a try; none where it cannot store them."""

    @abstractmethod
    def encode(self, values: Array, way: str = "", *, effort: int = 2, bound: float = 0.0) -> bytes:
        """The bytes of `values` (n, ...); `effort` is `PROBE`, `FAST` or `BEST`. `bound` is for lossy codecs."""

    @abstractmethod
    def decode(self, data: bytes, dtype: Any, shape: tuple[int, ...], way: str = "") -> Array:
        """The array of `dtype` and `shape` that became `data`; raises DataError where `data` is damaged."""


def unsigned(values: Array) -> Array:
    """The same bits as whole numbers without a sign.

    >>> unsigned(np.array([1.0], np.float32))
    array([1065353216], dtype=uint32)
    """
    return np.asarray(np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}"))


def byte_ways(values: Array) -> tuple[str, ...]:
    """The ways that are worth a try before a codec of bytes."""
    wide = values.dtype.itemsize > 1
    grid = values.ndim > 1 and min(plane(values.shape)) > 1
    steps = ("", "dz", "ddz", "rz", "lz", "t", "tdz") if grid else ("", "dz", "ddz")
    return tuple(step + end for step in steps for end in (("", "s") if wide else ("",)))


def prepared(values: Array, way: str) -> Array:
    """`values` after the steps of `way`, in one line and without a sign.

    >>> prepared(np.array([3, 4, 6, 5], np.uint8), "dz").tolist()
    [6, 2, 4, 1]
    """
    bits = unsigned(values)
    for step in way:
        bits = _STEPS[step][0](bits)
    return bits.reshape(-1)


def restored(flat: Array, dtype: Any, shape: tuple[int, ...], way: str) -> Array:
    """What `prepared` was given: the steps of `way` undone from right to left.

    >>> restored(np.array([6, 2, 4, 1], np.uint8), np.uint8, (4,), "dz").tolist()
    [3, 4, 6, 5]
    """
    inner = (*shape[1:], *shape[:1]) if "t" in way else shape
    bits = flat if "s" in way else flat.reshape(inner)
    for step in reversed(way):
        bits = _STEPS[step][1](bits)
        bits = bits.reshape(inner) if step == "s" else bits
    return np.asarray(np.ascontiguousarray(bits).view(np.dtype(dtype)).reshape(shape))


def from_bytes(data: bytes, dtype: Any, shape: tuple[int, ...], way: str) -> Array:
    """The array whose prepared bytes are `data`; raises DataError where they are too many or too few."""
    size = np.dtype(dtype).itemsize
    if len(data) != size * prod(shape):
        raise DataError(f"{len(data):,} bytes where {size * prod(shape):,} were stored")
    return restored(np.frombuffer(data, f"u{size}"), dtype, shape, way)


def plane(shape: tuple[int, ...]) -> tuple[int, int]:
    """Sizes of the two axes that lie beside each other: the last two, before the channels where there are four."""
    return (shape[1], shape[2]) if len(shape) == 4 else (shape[-2], shape[-1])


def _axes(bits: Array) -> tuple[int, int]:
    return (1, 2) if bits.ndim == 4 else (bits.ndim - 2, bits.ndim - 1)


def _difference(bits: Array, axis: int) -> Array:
    made = bits.copy()
    later, earlier = [slice(None)] * bits.ndim, [slice(None)] * bits.ndim
    later[axis], earlier[axis] = slice(1, None), slice(None, -1)
    made[tuple(later)] -= bits[tuple(earlier)]
    return made


def _total(bits: Array, axis: int) -> Array:
    return np.asarray(np.cumsum(bits, axis=axis, dtype=bits.dtype))


def _in_line(bits: Array) -> Array:
    return _difference(bits.reshape(-1), 0).reshape(bits.shape)


def _in_line_total(bits: Array) -> Array:
    return _total(bits.reshape(-1), 0).reshape(bits.shape)


def _lorenzo(bits: Array) -> Array:
    first, second = _axes(bits)
    return _difference(_difference(bits, first), second)


def _lorenzo_total(bits: Array) -> Array:
    first, second = _axes(bits)
    return _total(_total(bits, second), first)


def _first_last(bits: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(bits, 0, -1))


def _last_first(bits: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(bits, -1, 0))


def _down(bits: Array) -> Array:
    return _difference(bits, 0)


def _down_total(bits: Array) -> Array:
    return _total(bits, 0)


def _zigzag(bits: Array) -> Array:
    size = bits.dtype.itemsize
    signed = bits.view(f"i{size}")
    return np.asarray(((signed << 1) ^ (signed >> (8 * size - 1))).view(bits.dtype))


def _unzigzag(bits: Array) -> Array:
    one = bits.dtype.type(1)
    return np.asarray((bits >> one) ^ (~(bits & one) + one))


def _shuffle(bits: Array) -> Array:
    return (
        _little(bits)
        .reshape(-1)
        .view(np.uint8)
        .reshape(-1, bits.dtype.itemsize)
        .T.copy()
        .reshape(-1)
        .view(bits.dtype)
    )


def _unshuffle(bits: Array) -> Array:
    size = bits.dtype.itemsize
    return bits.view(np.uint8).reshape(size, -1).T.copy().reshape(-1).view(bits.dtype)


def _little(bits: Array) -> Array:
    return np.ascontiguousarray(bits, dtype=bits.dtype.newbyteorder("<"))


_STEPS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "t": (_first_last, _last_first),
    "d": (_in_line, _in_line_total),
    "r": (_down, _down_total),
    "l": (_lorenzo, _lorenzo_total),
    "z": (_zigzag, _unzigzag),
    "s": (_shuffle, _unshuffle),
}
