"""Features of pictures and signals from a dictionary of their patches, learnt without labels or gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

Array = NDArray[Any]

#: patches that the dictionary is learnt from, its entries, and the side of a patch at most
DRAWN, ENTRIES, SIDE = 40_000, 128, 6
#: along each axis what patches say is summed up in so many parts
PARTS = 4
#: variance added to that of a patch before it is divided by it, and to that of each axis before whitening
CONTRAST, WHITENING = 0.01, 0.1
#: values (items x patches x entries) held at once: as many as a processor's own memory holds, for speed
BLOCK = 2**18


class PatchDictionary:
    """What patches of items (n, C, H, W), or windows (n, C, T), look like: (n, entries x parts) features from 0.

    Small patches, at unit contrast and whitened, are grouped by k-means; a patch says of each group how much nearer
    than on average it is, and each part of an item sums that up; square roots make what is rare count. One layer,
    no gradients (Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", 2011).

    middle (p,), whitening (p, p), centres (entries, p) : of patches of p values.

    >>> x = np.random.default_rng(0).random((40, 1, 12, 12), dtype=np.float32)
    >>> PatchDictionary.fit(x).features(x[:3]).shape
    (3, 2048)
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.side = tuple(int(n) for n in arrays["side"])
        self.middle, self.whitening, self.centres = (
            torch.from_numpy(np.array(arrays[name], np.float32))
            for name in ("middle", "whitening", "centres")
        )
        self.levels = arrays["levels"].astype(np.float32)

    @classmethod
    def fit(cls, x: Array, seed: int = 0) -> PatchDictionary:
        """Learn from items x (n, C, H, W) or (n, C, T), all of one size."""
        from sklearn.cluster import MiniBatchKMeans

        rng, shape = np.random.default_rng(seed), x.shape[2:]
        side = tuple(min(SIDE if len(shape) == 2 else 2 * SIDE, n) for n in shape)
        # channels on one scale, so that contrast means the same for all
        levels = np.stack([x.mean(axis=(0, *range(2, x.ndim))), x.std(axis=(0, *range(2, x.ndim))) + 1e-6])
        scaled = (x - _along(levels[0], x.ndim)) / _along(levels[1], x.ndim)
        rows = rng.integers(0, len(x), DRAWN)
        starts = [rng.integers(0, n - s + 1, DRAWN) for n, s in zip(shape, side, strict=True)]
        index = [start[:, None] + np.arange(s) for start, s in zip(starts, side, strict=True)]
        if len(shape) == 2:
            drawn = scaled[rows[:, None, None], :, index[0][:, :, None], index[1][:, None, :]]
            drawn = np.moveaxis(drawn, -1, 1)
        else:
            drawn = np.moveaxis(scaled[rows[:, None], :, index[0]], -1, 1)
        patches = _contrast(
            torch.from_numpy(np.ascontiguousarray(drawn.reshape(DRAWN, -1), np.float32))
        ).numpy()
        middle = patches.mean(axis=0)
        values, axes = np.linalg.eigh(
            np.cov((patches - middle).T.astype(float)).reshape(2 * (patches.shape[1],))
        )
        whitening = axes / np.sqrt(np.maximum(values, 0) + WHITENING) @ axes.T
        centres = (
            MiniBatchKMeans(ENTRIES, n_init=1, batch_size=2048, max_iter=20, random_state=seed)
            .fit((patches - middle) @ whitening)
            .cluster_centers_
        )
        found = {"middle": middle, "whitening": whitening, "centres": centres, "levels": levels}
        return cls(found | {"side": np.array(side)})

    def features(self, x: Array) -> NDArray[np.float32]:
        """(n, entries x parts) features of items x (n, C, H, W) or (n, C, T)."""
        count = int(np.prod([n - s + 1 for n, s in zip(x.shape[2:], self.side, strict=True)]))
        step = max(1, BLOCK // (count * len(self.centres)))
        parts = [self._features(x[start : start + step]) for start in range(0, len(x), step)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; ``PatchDictionary(arrays)`` reads it back."""
        kept = {name: getattr(self, name).numpy() for name in ("middle", "whitening", "centres")}
        return {**kept, "levels": self.levels, "side": np.array(self.side)}

    def _features(self, x: Array) -> NDArray[np.float32]:
        scaled = (x - _along(self.levels[0], x.ndim)) / _along(self.levels[1], x.ndim)
        grid = [n - s + 1 for n, s in zip(x.shape[2:], self.side, strict=True)]
        flat = scaled if len(grid) == 2 else scaled[:, :, None]
        window = self.side if len(grid) == 2 else (1, *self.side)
        with torch.inference_mode():
            found = F.unfold(torch.from_numpy(np.ascontiguousarray(flat, np.float32)), window).transpose(1, 2)
            white = ((_contrast(found) - self.middle) @ self.whitening).flatten(0, 1)
            # in place from here on: the largest array is written once
            own = (white**2).sum(dim=1, keepdim=True)
            apart = torch.addmm((self.centres**2).sum(dim=1), white, self.centres.T, alpha=-2).add_(own)
            apart.clamp_(min=0).sqrt_()
            says = torch.sub(apart.mean(dim=1, keepdim=True), apart, out=apart).relu_()
            says = says.view(len(x), *(grid if len(grid) == 2 else (1, *grid)), -1).permute(0, 3, 1, 2)
            pooled = F.adaptive_avg_pool2d(says, PARTS if len(grid) == 2 else (1, PARTS * PARTS))
            return np.asarray(pooled.flatten(1).sqrt().numpy())


def _along(values: Array, dimensions: int) -> Array:
    """Values (C,) so that they go along the second of so many dimensions."""
    return np.asarray(values, np.float32).reshape(1, -1, *(1,) * (dimensions - 2))


def _contrast(patches: torch.Tensor) -> torch.Tensor:
    """Patches (..., p) of mean 0 and about unit variance."""
    centred = patches - patches.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + CONTRAST).sqrt()
