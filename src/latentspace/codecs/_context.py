"""What a cell's context tells the network about it, and from where its tokens are counted; whole numbers only.

Values are first predicted by a straight line through the context (least squares, weights on a grid, sums exact in
double precision). The network sees how far each neighbour lies from that prediction, in units of how far they lie on
average: so a loud and a quiet stretch look alike. Where values fit in a byte they may also be looked at as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

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
EXTRA = 3


@dataclass(frozen=True)
class Seen:
    """What is seen of n cells.

    features : (n, C + EXTRA) for the network.
    origin, shift : (n,) a value v has the token (v - origin) >> shift, from the middle where not direct.
    """

    features: Floats
    origin: Longs
    shift: Longs


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
            return Seen(_rounded(features), nothing, nothing)
        x = values.astype(np.float64)
        line = x @ self.weights + self.bias
        origin = np.rint(line)
        away = x - origin[:, None]
        near = np.flatnonzero(self.alike)[:NEAR]
        power = np.full(n, self.still, np.int64)
        if len(near):
            power = np.frexp(np.abs(away[:, near]).sum(axis=1) / len(near))[1].astype(np.int64)
        unit = np.ldexp(1.0, -power)[:, None]
        features[:, :-EXTRA] = np.where(
            self.alike, away * unit, (x - self.centre) * np.ldexp(1.0, -self.spread)
        )
        features[:, -3] = line - origin
        features[:, -2] = power / 8
        features[:, -1] = (line - self.own[0]) * np.ldexp(1.0, -self.own[1])
        return Seen(_rounded(features), origin.astype(np.int64), np.maximum(power - LOW_BITS, 0))

    @property
    def middle(self) -> int:
        """The token of a value that is as predicted."""
        return 0 if self.direct else TOKENS // 2


def _rounded(features: Floats) -> Floats:
    np.clip(features, -FEATURE_MOST, FEATURE_MOST, out=features)
    features *= 2.0**FEATURE
    np.rint(features, out=features)
    features *= 2.0**-FEATURE
    return features
