"""What of an item can tell whether it is the same as another: its latents, its values, its patches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from latentspace.models.pair_network import PairNetwork
from latentspace.models.patches import PatchDictionary

Array = NDArray[Any]

#: pictures are made this small along their longer side, and signals this short, before their patches are looked at
SMALL, SHORT = 36, 512
#: numbers that each view is brought down to, by principal axes, and items that these are learnt from
WIDTH, LEARNT = 128, 5000
Axes = tuple[Array, Array]
LATENTS, VALUES, PATCHES, NETWORK = "latents", "values", "patches", "network"


class Views:
    """Views of items: "latents" as the encoder has them; "values", the encoded item itself; of pictures and signals
    "patches" (`models.patches.PatchDictionary`). Views of more than WIDTH numbers are brought to as many axes. Once
    pairs taught a network (`network`), also "network", where that puts them.

    >>> x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    >>> {name: view.shape for name, view in Views(x).of(x, x[:, :2]).items()}
    {'latents': (50, 2), 'values': (50, 4)}
    """

    def __init__(self, x: Array | None, seed: int = 0) -> None:
        self.dictionary: PatchDictionary | None = None
        self.network: PairNetwork | None = None
        self.axes: dict[str, Axes | None] = {}
        if x is None:
            return
        some = x[np.sort(np.random.default_rng(seed).permutation(len(x))[:LEARNT])]
        self.axes[VALUES] = _axes(some.reshape(len(some), -1), seed)
        if x.ndim > 2 and min(x.shape[2:]) > 1:
            some = _small(some)
            self.dictionary = PatchDictionary.fit(some, seed)
            self.axes[PATCHES] = _axes(self.dictionary.features(some), seed)

    def of(self, x: Array | None, z: Array, only: str | None = None) -> dict[str, NDArray[np.float32]]:
        """view → (n, d), of encoded items x (n, *shape) and their latents z (n, k); without x the latents alone.

        only : no other view than this is worked out, where it needs x.
        """
        views: dict[str, NDArray[np.float32]] = {LATENTS: np.asarray(z, np.float32)}
        if x is None or VALUES not in self.axes:
            return views
        if only in (None, VALUES):
            views[VALUES] = _along(x.reshape(len(x), math.prod(x.shape[1:])), self.axes[VALUES])
        if self.network is not None and only in (None, NETWORK):
            views[NETWORK] = self.network.features(x)
        if self.dictionary is not None and only in (None, PATCHES):
            blocks = (x[start : start + 1000] for start in range(0, len(x), 1000))
            parts = [_along(self.dictionary.features(_small(block)), self.axes[PATCHES]) for block in blocks]
            width = WIDTH if (axes := self.axes[PATCHES]) is None else axes[1].shape[1]
            views[PATCHES] = np.concatenate(parts) if parts else np.zeros((0, width), np.float32)
        return views

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; `Views.read` reads it back."""
        found = {} if self.dictionary is None else self.dictionary.arrays()
        kept = {f"{PATCHES}.{name}": array for name, array in found.items()}
        for view, axes in self.axes.items():
            mean, turn = (np.zeros(0), np.zeros((0, 0))) if axes is None else axes
            kept |= {f"axes.{view}.mean": mean, f"axes.{view}.turn": turn}
        if self.network is not None:
            kept |= {f"{NETWORK}.{name}": array for name, array in self.network.arrays().items()}
        return kept

    @classmethod
    def read(cls, arrays: dict[str, Array]) -> Views:
        """What `arrays` gave."""
        made = cls(None)
        for view in (VALUES, PATCHES):
            if f"axes.{view}.mean" in arrays:
                mean, turn = arrays[f"axes.{view}.mean"], arrays[f"axes.{view}.turn"]
                made.axes[view] = (mean, turn) if len(mean) else None
        own, network = (
            {name.removeprefix(f"{view}."): a for name, a in arrays.items() if name.startswith(f"{view}.")}
            for view in (PATCHES, NETWORK)
        )
        made.dictionary = PatchDictionary(own) if own else None
        made.network = PairNetwork.of(network) if network else None
        return made


def _small(x: Array) -> Array:
    """Items (n, C, H, W) or (n, C, T), made smaller where they are large: time and memory stay small."""
    sides, most = x.shape[2:], SMALL if x.ndim == 4 else SHORT
    if max(sides) <= most:
        return x
    high, *wide = (max(1, round(side * most / max(sides))) for side in sides)
    t = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    made = F.adaptive_avg_pool2d(t, (high, wide[0])) if wide else F.adaptive_avg_pool1d(t, high)
    return made.numpy()


def _axes(x: Array, seed: int) -> Axes | None:
    """(mean (d,), axes (d, WIDTH)) of items x (n, d); None where there are no more than WIDTH numbers anyway."""
    from sklearn.decomposition import PCA

    if x.shape[1] <= WIDTH:
        return None
    with np.errstate(invalid="ignore"):  # of items that are all alike no axis explains a share
        found = PCA(min(WIDTH, len(x)), svd_solver="randomized", random_state=seed).fit(x)
    return found.mean_, found.components_.T


def _along(x: Array, axes: Axes | None) -> NDArray[np.float32]:
    return np.asarray(x if axes is None else (x - axes[0]) @ axes[1], np.float32)
