"""What of an item can tell whether it is the same as another: its latents, its values, its patches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.models.patches import PatchDictionary

Array = NDArray[Any]

#: numbers that each view is brought down to, by principal axes, and items that these are learnt from
WIDTH, LEARNT = 128, 5000
Axes = tuple[Array, Array]
LATENTS, VALUES, PATCHES = "latents", "values", "patches"


class Views:
    """Views of items: "latents" as the encoder has them; "values", the encoded item itself; of pictures and signals
    "patches" (`models.patches.PatchDictionary`). Views of more than WIDTH numbers are brought to as many axes.

    >>> x = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    >>> {name: view.shape for name, view in Views(x).of(x, x[:, :2]).items()}
    {'latents': (50, 2), 'values': (50, 4)}
    """

    def __init__(self, x: Array | None, seed: int = 0) -> None:
        self.dictionary: PatchDictionary | None = None
        self.axes: dict[str, Axes | None] = {}
        if x is None:
            return
        some = x[np.sort(np.random.default_rng(seed).permutation(len(x))[:LEARNT])]
        self.axes[VALUES] = _axes(some.reshape(len(some), -1), seed)
        if x.ndim > 2 and min(x.shape[2:]) > 1:
            self.dictionary = PatchDictionary.fit(some, seed)
            self.axes[PATCHES] = _axes(self.dictionary.features(some), seed)

    def of(self, x: Array | None, z: Array) -> dict[str, NDArray[np.float32]]:
        """view → (n, d), of encoded items x (n, *shape) and their latents z (n, k); without x the latents alone."""
        views: dict[str, NDArray[np.float32]] = {LATENTS: np.asarray(z, np.float32)}
        if x is None or VALUES not in self.axes:
            return views
        views[VALUES] = _along(x.reshape(len(x), -1), self.axes[VALUES])
        if self.dictionary is not None:
            blocks = (x[start : start + 1000] for start in range(0, len(x), 1000))
            parts = [_along(self.dictionary.features(block), self.axes[PATCHES]) for block in blocks]
            views[PATCHES] = np.concatenate(parts) if parts else np.zeros((0, WIDTH), np.float32)
        return views

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; `Views.read` reads it back."""
        found = {} if self.dictionary is None else self.dictionary.arrays()
        kept = {f"{PATCHES}.{name}": array for name, array in found.items()}
        for view, axes in self.axes.items():
            mean, turn = (np.zeros(0), np.zeros((0, 0))) if axes is None else axes
            kept |= {f"axes.{view}.mean": mean, f"axes.{view}.turn": turn}
        return kept

    @classmethod
    def read(cls, arrays: dict[str, Array]) -> Views:
        """What `arrays` gave."""
        made = cls(None)
        for view in (VALUES, PATCHES):
            if f"axes.{view}.mean" in arrays:
                mean, turn = arrays[f"axes.{view}.mean"], arrays[f"axes.{view}.turn"]
                made.axes[view] = (mean, turn) if len(mean) else None
        own = {
            name.removeprefix(f"{PATCHES}."): a
            for name, a in arrays.items()
            if name.startswith(f"{PATCHES}.")
        }
        made.dictionary = PatchDictionary(own) if own else None
        return made


def _axes(x: Array, seed: int) -> Axes | None:
    """(mean (d,), axes (d, WIDTH)) of items x (n, d); None where there are no more than WIDTH numbers anyway."""
    from sklearn.decomposition import PCA

    if x.shape[1] <= WIDTH:
        return None
    found = PCA(min(WIDTH, len(x)), svd_solver="randomized", random_state=seed).fit(x)
    return found.mean_, found.components_.T


def _along(x: Array, axes: Axes | None) -> NDArray[np.float32]:
    return np.asarray(x if axes is None else (x - axes[0]) @ axes[1], np.float32)
