"""A dense decoder whose numbers lie on grids: the same items on any machine, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactDecoder"]

Doubles = NDArray[np.float64]
#: bits after the point of hidden activations and of what comes out
ACTIVATION, OUT, UNIT = 12, 16, 10


@dataclass(frozen=True)
class ExactDecoder:
    """η = U (u z) + g(u z) of whole latents z, g of dense layers with σ = max(0, ·).

    layers : (weights (inputs, outputs), bias (outputs,)) of each; the last takes the last hidden activations and z.
    Sums are exact in double precision: weights have at most `fine` bits after the point, activations ACTIVATION.
    unit : u, what a step of a latent is, with UNIT bits after the point.
    """

    layers: tuple[tuple[Doubles, Doubles], ...]
    fine: int
    unit: float = 1.0

    @classmethod
    def on_grid(
        cls, layers: list[tuple[NDArray[Any], NDArray[Any]]], fine: int, unit: float = 1.0
    ) -> ExactDecoder:
        """The decoder nearest to these layers."""
        scale = 2.0**fine
        rounded = [tuple(np.rint(np.asarray(a, np.float64) * scale) / scale for a in pair) for pair in layers]
        return cls(tuple(rounded), fine, np.rint(unit * 2**UNIT) / 2**UNIT)  # type: ignore[arg-type]

    def __call__(self, z: NDArray[Any]) -> Doubles:
        """(n, F) η of whole latents z (n, k)."""
        h = z = np.asarray(z, np.float64) * self.unit
        for weights, bias in self.layers[:-1]:
            h = np.maximum(np.rint((h @ weights + bias) * 2.0**ACTIVATION), 0) * 2.0**-ACTIVATION
        weights, bias = self.layers[-1]
        found = np.concatenate([h, z], axis=1) @ weights + bias
        return np.asarray(np.rint(found * 2.0**OUT) * 2.0**-OUT)

    def without(self, still: NDArray[np.bool_], value: Doubles) -> ExactDecoder:
        """The same for the other latents alone, where those that are `still` (k,) always have their `value` (k,)."""
        first, last = self.layers[0], self.layers[-1]
        hidden, value = last[0].shape[0] - len(still), value * self.unit
        kept = np.concatenate([np.ones(hidden, bool), ~still])
        return ExactDecoder(
            (
                (first[0][~still], first[1] + value[still] @ first[0][still]),
                *self.layers[1:-1],
                (last[0][kept], last[1] + value[still] @ last[0][hidden:][still]),
            ),
            self.fine,
            self.unit,
        )

    def numbers(self) -> NDArray[np.int32]:
        """All weights and biases as whole numbers, layer by layer."""
        scale = 2.0**self.fine
        return np.concatenate([np.rint(a * scale).ravel() for pair in self.layers for a in pair]).astype(
            np.int32
        )

    @property
    def widths(self) -> list[int]:
        """Latents, hidden widths, elements of an item."""
        return [self.layers[0][0].shape[0], *(len(bias) for _, bias in self.layers)]

    @classmethod
    def of(cls, numbers: NDArray[Any], widths: list[int], fine: int, unit: float) -> ExactDecoder:
        """What `numbers` and `widths` told."""
        scale, at, layers = 2.0**fine, 0, []
        for k, (rows, columns) in enumerate(pairwise(widths)):
            rows += widths[0] if k == len(widths) - 2 else 0
            weights = numbers[at : at + rows * columns].reshape(rows, columns) / scale
            bias = numbers[at + rows * columns : at + (rows + 1) * columns] / scale
            layers.append((weights, bias))
            at += (rows + 1) * columns
        return cls(tuple(layers), fine, unit)
