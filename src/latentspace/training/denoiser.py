"""A small network that learns to take noise off encoded items; what it cannot give back is odd.

Denoising autoencoders: Vincent, Larochelle, Lajoie, Bengio and Manzagol (2010). One network for all noise levels,
told the level, as in Song and Ermon (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import nn

Array = NDArray[Any]

#: hidden layers, training steps and the peak of their rate, items in a step
WIDTHS, STEPS, PEAK_RATE, BATCH = (128, 128, 128), 150, 4e-3, 128
#: standard deviations of the noise in training: from a small to more than the spread of the items
LEAST, MOST = 0.2, 2.0
#: share of every batch, the items given back worst, that is not learnt from: they may be odd themselves
TRIMMED = 0.2
#: multiplications that training may take
WORK = 1e11


class Denoiser:
    """Items (n, d) of about unit spread, each given back as it would usually be.

    weights : one (d_in + 1, d_out) array a layer, biases in the last row.

    >>> x = np.random.default_rng(0).normal(size=(500, 1)) @ np.ones((1, 6))
    >>> back = Denoiser.fit(x, None, seed=0).restore(np.array([[1.0, 1.0, 1.0, 1.0, 1.0, -1.0]]), 0.5)
    >>> bool(back[0, -1] > 0)
    True
    """

    def __init__(self, weights: list[Array]) -> None:
        self.weights = weights

    @classmethod
    def fit(
        cls,
        x: Array,
        observed: NDArray[np.bool_] | None,
        seed: int,
        view: Callable[[Array], Array] = lambda x: x,
    ) -> Denoiser:
        """Learn from items x (n, d) as `view` shows them; elements that were not `observed` count in no loss."""
        import torch
        from torch import nn

        from latentspace.networks.layers import seeded
        from latentspace.training.flat import Adam, FlatParameters

        n, d = x.shape
        sizes = (d + 1, *WIDTHS, d)
        per_item = 3 * sum(a * b for a, b in pairwise(sizes))
        batch = int(min(n, np.clip(WORK / (STEPS * per_item), 32, BATCH)))
        with seeded(seed):
            layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
            flat = FlatParameters(*layers)
            adam = Adam(flat, betas=(0.9, 0.999))
            rng = np.random.default_rng(seed)
            for step in range(STEPS):
                rows = rng.integers(0, n, batch)
                seen = None if observed is None else torch.from_numpy(observed[rows])
                flat.gradient.zero_()
                loss = _loss(layers, torch.from_numpy(np.asarray(view(x[rows]), np.float32)), seen)
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step(PEAK_RATE * min(1, (step + 1) / 20) * (1 + math.cos(math.pi * step / STEPS)) / 2)
        with torch.no_grad():
            return cls([torch.cat([layer.weight.T, layer.bias[None]]).numpy() for layer in layers])

    def restore(self, x: Array, noise: float) -> Array:
        """(n, d) what items x are without noise of that standard deviation, in the dtype of x."""
        h = np.concatenate([x, np.full((len(x), 1), math.log(noise), x.dtype)], axis=1)
        for i, weight in enumerate(self.weights):
            weight = weight.astype(x.dtype, copy=False)
            h = h @ weight[:-1] + weight[-1]
            if i + 1 < len(self.weights):
                h = h / (1 + np.exp(-np.clip(h, -60, 60)))
        return h


def _loss(layers: list[nn.Linear], x: torch.Tensor, observed: torch.Tensor | None) -> torch.Tensor:
    """Mean squared error of the items given back best."""
    import torch
    from torch import nn

    noise = LEAST * (MOST / LEAST) ** torch.rand(len(x), 1)
    h = torch.cat([x + noise * torch.randn(x.shape), noise.log()], dim=1)
    for layer in layers[:-1]:
        h = nn.functional.silu(layer(h))
    squares = (layers[-1](h) - x) ** 2
    if observed is None:
        each = squares.mean(dim=1)
    else:
        each = (squares * observed).sum(dim=1) / observed.sum(dim=1).clamp(min=1)
    best: torch.Tensor = each.sort().values[: max(1, round(len(each) * (1 - TRIMMED)))]
    return best.mean()
