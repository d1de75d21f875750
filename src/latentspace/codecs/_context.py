"""What a cell's context tells the network about it, and from where its tokens are counted; whole numbers only.

Values are first predicted by a straight line through the context (least squares, weights on a grid, sums exact in
double precision). The network sees how far each neighbour lies from that prediction, in units of how far they lie on
average: so a loud and a quiet stretch look alike. Where values fit in a byte they may also be looked at as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._exact import FEATURE, FEATURE_MOST
from latentspace.codecs._mixture import TOKENS

__all__ = ["Context", "Seen"]

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

#: bits after the point of a straight line's weights
FINE = 20
#: neighbours of the cell's own kind whose distance from the prediction tells the spread
NEAR = 8
#: a residual of 2**LOW_BITS times the spread's unit still has its own token
LOW_BITS = 5
#: more than the network's features can hold
EXTRA = 4
#: so many low bits of neighbours that differ must be 0 for those of the cell to be expected 0: no chance does that
EVIDENCE = 24


@dataclass(frozen=True)
class Seen:
    """What is seen of n cells.

    features : (n, C + EXTRA) for the network.
    origin, shift : (n,) a value v has the token (v - origin) >> (grain + shift), from the middle where not direct.
    grain : (n,) low bits that are expected to be 0, as in 8-bit sound kept in 16 bits.
    """

    features: Floats
    origin: Longs
    shift: Longs
    grain: Longs

    def at(self, rows: NDArray[Any]) -> Seen:
        """Of these cells alone."""
        return Seen(self.features[rows], self.origin[rows], self.shift[rows], self.grain[rows])


@dataclass(frozen=True)
class Context:
    """How one class of cells looks at its contexts.

    direct : values 0 .. 255 as they are. weights (C,) and bias : the straight line.
    alike : (C,) contexts of the cell's own kind and units.
    centre, spread : (C,) of the others, spread as a power of two.
    own : (centre, power of two of the spread) of the class itself.
    still : the power of two of what the line leaves, where no neighbour tells it.
    """

    direct: bool
    weights: NDArray[np.float64]
    bias: float
    alike: NDArray[np.bool_]
    centre: NDArray[np.float64]
    spread: NDArray[np.int64]
    own: tuple[float, int]
    still: int

    def __call__(self, values: Longs) -> Seen:
        """Of the contexts' values (n, C)."""
        n = len(values)
        features = np.zeros((n, values.shape[1] + EXTRA), np.float32)
        if self.direct:
            features[:, :-EXTRA] = values
            features *= 2.0**-8 * FEATURE_MOST
            nothing = np.zeros(n, np.int64)
            return Seen(_rounded(features), nothing, nothing, nothing)
        x = values.astype(np.float64)
        line = x @ self.weights + self.bias
        origin = np.rint(line)
        away = x - origin[:, None]
        near, others = self._near, self._others
        power = np.full(n, self.still, np.int64)
        if len(near):
            power = np.frexp(np.abs(away[:, near]).sum(axis=1) / len(near))[1].astype(np.int64)
        unit = np.ldexp(1.0, -power)[:, None]
        np.multiply(away, unit, out=features[:, :-EXTRA], casting="unsafe")
        if len(others):
            spread = np.ldexp(1.0, -self.spread[others])
            features[:, others] = (x[:, others] - self.centre[others]) * spread
        grain = _grain(values[:, self.alike])
        shift = np.maximum(power - LOW_BITS - grain, 0)
        features[:, -4] = line - origin
        features[:, -3] = power / 8
        features[:, -2] = (line - self.own[0]) * np.ldexp(1.0, -self.own[1])
        features[:, -1] = np.minimum(power - LOW_BITS - grain, 0) / 4
        whole = origin.astype(np.int64)
        return Seen(_rounded(features), (whole + ((1 << grain) >> 1)) >> grain << grain, shift, grain)

    @cached_property
    def _near(self) -> NDArray[np.intp]:
        return np.flatnonzero(self.alike)[:NEAR]

    @cached_property
    def _others(self) -> NDArray[np.intp]:
        return np.flatnonzero(~self.alike)

    @property
    def middle(self) -> int:
        """The token of a value that is as predicted."""
        return 0 if self.direct else TOKENS // 2


def _grain(values: Longs) -> Longs:
    """(n,) how many low bits are 0 in all of the values (n, C); 0 where that may be chance."""
    bits = np.bitwise_or.reduce(np.abs(values), axis=1)
    lowest = np.frexp((bits & -bits).astype(np.float64))[1] - 1
    # a value that stays says nothing new: changes are counted
    enough = np.count_nonzero(np.diff(values, axis=1), axis=1) * lowest >= EVIDENCE
    return np.where(enough, lowest, 0).astype(np.int64)


def _rounded(features: Floats) -> Floats:
    np.clip(features, -FEATURE_MOST, FEATURE_MOST, out=features)
    features *= 2.0**FEATURE
    np.rint(features, out=features)
    features *= 2.0**-FEATURE
    return features
