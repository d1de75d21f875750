"""A small dense network whose numbers lie on grids, so that any machine computes the same bits.

A sum of floats depends on the order in which it is taken, and that on the batch, the threads and the processor.
Here every weight is a multiple of a power of two and every activation is rounded to one, few enough bits wide that
no sum within a layer outgrows the 24 bits of a float: each partial sum is then exact, and every order gives the same.
Only matrix products, additions, roundings and multiplications by powers of two are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIVATION", "CEILING", "FEATURE", "LOGIT", "ExactNetwork"]

Floats = NDArray[np.float32]

#: bits after the point: of what goes in (at most FEATURE_MOST in size), of hidden activations, of what comes out
FEATURE, ACTIVATION, LOGIT = 6, 5, 5
FEATURE_MOST = 4.0
#: hidden activations lie between 0 and this
CEILING = 8.0
#: a float holds whole numbers up to 2**24 exactly
BITS = 24


@dataclass(frozen=True)
class ExactNetwork:
    """f -> clip(W1 f + b1 + place) -> clip(W2 h + b2) -> W3 h + b3, everything on its grid.

    weights : three float32 matrices (inputs, outputs); biases : three vectors.
    places : per axis (size, H) added before the first clipping, by where the cell lies (empty: nowhere).
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    places: tuple[Floats, ...] = ()

    @classmethod
    def on_grid(
        cls, weights: list[Floats], biases: list[Floats], places: list[Floats], fine: int = 10
    ) -> ExactNetwork:
        """The network nearest to these weights: at most `fine` bits after the point, fewer where sums need it."""
        exact, offsets, spots = [], [], list(places)
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            most, bits = (FEATURE_MOST, FEATURE) if layer == 0 else (CEILING, ACTIVATION)
            extra = sum((np.abs(p).max(axis=0) for p in places), np.zeros(bias.shape)) if layer == 0 else 0.0
            reach = most * np.abs(weight).sum(axis=0) + np.abs(bias) + extra
            room = np.floor(BITS - 1 - bits - np.log2(np.maximum(reach, 1.0)))
            # one grid a layer: coarse steps hardly cost and are fewer bytes to store
            step = 2.0 ** -min(float(room.min()), fine)
            exact.append((np.rint(weight / step) * step).astype(np.float32))
            offsets.append((np.rint(bias / step) * step).astype(np.float32))
            if layer == 0:
                spots = [(np.rint(p / step) * step).astype(np.float32) for p in places]
        return cls(tuple(exact), tuple(offsets), tuple(spots))

    @property
    def grids(self) -> tuple[int, ...]:
        """For each layer, bits after the point that its numbers need."""
        return tuple(_bits(w, b, *(self.places if k == 0 else ())) for k, (w, b) in enumerate(self.layers))

    @property
    def layers(self) -> tuple[tuple[Floats, Floats], ...]:
        """The three layers: weights and biases."""
        return tuple(zip(self.weights, self.biases, strict=True))

    @cached_property
    def _scaled(self) -> tuple[list[tuple[Floats, Floats]], list[Floats]]:
        """The same for activations and logits counted in steps of their grids: powers of two change no digit."""
        up, (first, second, third) = np.float32(2.0**ACTIVATION), self.layers
        layers = [(first[0] * up, first[1] * up), (second[0], second[1] * up)]
        layers.append((third[0] * 2.0 ** (LOGIT - ACTIVATION), third[1] * np.float32(2.0**LOGIT)))
        return layers, [place * up for place in self.places]

    def __call__(self, features: Floats, places: tuple[NDArray[np.intp], ...] = ()) -> Floats:
        """(n, K) logits, in steps of 2**-LOGIT, of (n, C) features on their grid; places : per axis (n,) where."""
        (first, second, third), spots = self._scaled
        hidden: Floats = features @ first[0]
        hidden += first[1]
        for table, where in zip(spots, places, strict=True):
            hidden += table[where]
        hidden = _clipped(hidden) @ second[0]
        hidden += second[1]
        steps: Floats = _clipped(hidden) @ third[0]
        steps += third[1]
        return steps


def _clipped(hidden: Floats) -> Floats:
    np.rint(hidden, out=hidden)
    np.maximum(hidden, 0, out=hidden)
    return np.minimum(hidden, np.float32(CEILING * 2**ACTIVATION), out=hidden)


def _bits(*arrays: Floats) -> int:
    for bits in range(BITS + 1):
        if all(np.array_equal(a * 2.0**bits, np.rint(a * 2.0**bits)) for a in arrays):
            return bits
    raise ValueError("numbers that lie on no grid")
