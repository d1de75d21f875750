"""Values as tokens: written, read, or only counted.

A value v of which the line told `origin` has the token ((v - origin) >> (grain + shift)) + 128. Of the bits shifted
out the lowest, `grain` of them, are 0; the others are as good as random and coded as they are. The first and the last
token say that v is too far off, or has other low bits: it follows in full.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._context import Context, Seen
from latentspace.codecs._mixture import TOKENS

__all__ = ["Counting", "Reading", "Writing", "tokens_of"]

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
#: bits that are coded at a time where all are as likely
PIECE = 16


def tokens_of(context: Context, view: Seen, values: Longs) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """(n,) tokens of the values, and which of them are too far off. Raises ValueError where a byte was expected."""
    if context.direct:
        if len(values) and (values.min() < 0 or values.max() >= TOKENS):
            raise ValueError("values from 0 to 255 were expected")
        return values.astype(np.int32), np.zeros(len(values), bool)
    away = values - view.origin
    raw = (away >> (view.grain + view.shift)) + context.middle
    raw[(away & ((1 << view.grain) - 1)) != 0] = TOKENS - 1
    far = (raw <= 0) | (raw >= TOKENS - 1)
    return np.clip(raw, 0, TOKENS - 1).astype(np.int32), far


class Writing:
    """Adds values to a range coder."""

    def __init__(self, coder: Any) -> None:
        self.coder = coder

    def __call__(self, g: int, part: Any, shares: Floats, view: Seen, values: Any) -> Any:
        """Code the values (n,); returns them."""
        longs = values.astype(np.int64)
        tokens, far = tokens_of(part.context, view, longs)
        part.mixture.encode(self.coder, shares, tokens)
        for rows, first, bits in _pieces(view.shift, far):
            away = (longs[rows] - view.origin[rows]) >> view.grain[rows]
            digits = (np.where(far[rows], longs[rows], away) >> first) & ((1 << bits) - 1)
            self.coder.encode(digits.astype(np.int32), _uniform(bits))
        return values


class Reading:
    """Takes values from a range coder."""

    def __init__(self, coder: Any) -> None:
        self.coder = coder

    def __call__(self, g: int, part: Any, shares: Floats, view: Seen, values: Any) -> Longs:
        """The next (n,) values."""
        tokens: Longs = part.mixture.decode(self.coder, shares).astype(np.int64)
        if part.context.direct:
            return tokens
        far = (tokens == 0) | (tokens == TOKENS - 1)
        rest = np.zeros(len(tokens), np.int64)
        for rows, first, bits in _pieces(view.shift, far):
            rest[rows] |= np.asarray(self.coder.decode(_uniform(bits), len(rows)), np.int64) << first
        near = view.origin + ((((tokens - part.context.middle) << view.shift) | rest) << view.grain)
        return np.where(far, rest, near)


class Counting:
    """Adds up what values would cost, by class."""

    def __init__(self, bits: NDArray[np.float64]) -> None:
        self.bits = bits

    def __call__(self, g: int, part: Any, shares: Floats, view: Seen, values: Any) -> Any:
        """Count the values (n,); returns them."""
        tokens, far = tokens_of(part.context, view, values.astype(np.int64))
        self.bits[g] += part.mixture.bits(shares, tokens).sum() + np.where(far, 64, view.shift).sum()
        return values


def _pieces(shift: Longs, far: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.intp], int, int]]:
    """(rows, first bit, how many) of all that is coded as it is, in order."""
    if not shift.any() and not far.any():
        return
    width = np.where(far, 64, shift)
    for bits in np.unique(width[width > 0]):
        rows = np.flatnonzero(width == bits)
        for first in range(0, int(bits), PIECE):
            yield rows, first, min(PIECE, int(bits) - first)


@cache
def _uniform(bits: int) -> Any:
    import constriction

    return constriction.stream.model.Uniform(1 << bits)
