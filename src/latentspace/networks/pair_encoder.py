"""The encoder of a Siamese network: both items of a pair go through it, and meet on the unit sphere."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

#: channels of the four convolutions, units of the two dense layers, and numbers that an item becomes
CHANNELS, UNITS, WIDTH = (32, 64, 128, 128), 256, 128
#: length of a kernel, and what a pooling makes one of, along a signal
KERNEL, POOL = 7, 4


class PairEncoder(nn.Module):
    """f: (batch, C, H, W), signals as (batch, C, 1, T), or (batch, d) -> (batch, width) of length 1.

    Pictures and signals: four convolutions, the first three pooled while there is something left to pool, each
    normalised over the batch, σ = max(0, ·); then one linear layer. Rows of numbers: two dense layers, and that.
    """

    def __init__(self, shape: tuple[int, ...], width: int = WIDTH) -> None:
        super().__init__()
        self.shape, self.width = tuple(shape), width
        layers: list[nn.Module] = []
        if len(shape) == 1:
            for before, after in pairwise((shape[0], UNITS, UNITS)):
                layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
            size = UNITS
        else:
            channels, *sides = shape
            kernel, pool = ((3, 3), (2, 2)) if sides[0] > 1 else ((1, KERNEL), (1, POOL))
            for i, (before, after) in enumerate(pairwise((channels, *CHANNELS))):
                padding = (kernel[0] // 2, kernel[1] // 2)
                layers.append(nn.Conv2d(before, after, kernel, padding=padding, bias=False))
                if i < 3 and all(side >= step for side, step in zip(sides, pool, strict=True)):
                    layers.append(nn.MaxPool2d(pool))  # before the norm: a quarter is left to norm
                    sides = [side // step for side, step in zip(sides, pool, strict=True)]
                layers += [nn.BatchNorm2d(after), nn.ReLU()]
            size = CHANNELS[-1] * sides[0] * sides[1]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, width))
        if len(shape) > 1:
            # channels last in memory: nearly twice as fast on a CPU
            self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch width"]:
        """Where items lie on the unit sphere."""
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return F.normalize(self.layers(x), dim=1)
