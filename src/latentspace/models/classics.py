"""The classical ways to take noise off: principal axes, filters, non-local means, wavelets."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.networks.layers import principal_axes

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: principal axes looked at, and rounds in which gaps are filled from them
AXES, ROUNDS = 512, 12
#: widths of the smoothing that are tried, in pixels or samples
WIDTHS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)


class Shrinkage:
    """Items along their principal axes, each axis drawn in by as much of it as is noise.

    Singular-value shrinkage that is optimal in the Frobenius norm (Gavish and Donoho, 2017), as a function of a new
    item: an axis keeps signal / (signal + noise), its tilt by the noise counted. Gaps are filled from the axes.

    mean (d,), axes (d, k), keep (k,) float32.

    >>> rng = np.random.default_rng(0)
    >>> clean = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 20))
    >>> noisy = clean + 0.5 * rng.normal(size=clean.shape)
    >>> better = Shrinkage.fit(noisy, 0.5).apply(noisy)
    >>> bool(np.mean((better - clean) ** 2) < 0.2 * np.mean((noisy - clean) ** 2))
    True
    """

    def __init__(self, mean: Array, axes: Array, keep: Array) -> None:
        self.mean, self.axes, self.keep = mean, axes, keep

    @classmethod
    def fit(cls, x: Array, level: float, observed: Mask | None = None, seed: int = 0) -> Shrinkage:
        """Learn from items x (n, *shape) with noise of standard deviation `level`; gaps are filled on the way."""
        flat = np.array(x.reshape(len(x), -1), np.float32)
        gaps = None if observed is None or observed.all() else ~observed.reshape(flat.shape)
        if gaps is None:
            return cls._of(flat, level, seed)
        counted = np.maximum((~gaps).sum(axis=0), 1)
        flat = np.where(gaps, np.where(gaps, 0, flat).sum(axis=0) / counted, flat).astype(np.float32)
        for _ in range(4):
            found = cls._of(flat, level, seed)
            flat = np.where(gaps, found._projected(flat), flat)
        return cls._of(flat, level, seed)

    @classmethod
    def _of(cls, flat: Array, level: float, seed: int) -> Shrinkage:
        n, d = flat.shape
        mean, axes, deviations = principal_axes(flat, min(AXES, d, n), seed)
        ratio, power = d / n, (deviations / max(level, 1e-6)) ** 2
        signal = np.zeros_like(power)
        seen = (
            power > (1 + np.sqrt(ratio)) ** 2
        )  # beyond what noise alone makes (Baik, Ben Arous, Péché, 2005)
        shifted = power[seen] + 1 - ratio
        spike = (shifted + np.sqrt(np.maximum(shifted**2 - 4 * power[seen], 0))) / 2 - 1
        tilt = np.maximum(1 - ratio / spike**2, 0) / (1 + ratio / spike)
        signal[seen] = spike * tilt
        kept = signal > 0
        keep = (signal / (1 + signal))[kept]
        return cls(*(np.asarray(a, np.float32) for a in (mean, axes[:, kept], keep)))

    def apply(self, x: Array, observed: Mask | None = None) -> NDArray[np.float32]:
        """(n, *shape) float32: items without their noise, gaps filled in."""
        flat = np.asarray(x.reshape(len(x), -1), np.float32)
        if observed is None or observed.all():
            return self._projected(flat).reshape(x.shape)
        gaps = ~observed.reshape(flat.shape)
        filled = np.where(gaps, self.mean, flat)
        for _ in range(ROUNDS):
            filled = np.where(gaps, self._projected(filled), flat)
        return self._projected(filled).reshape(x.shape)

    def _projected(self, flat: Array) -> NDArray[np.float32]:
        return np.asarray(
            self.mean + (((flat - self.mean) @ self.axes) * self.keep) @ self.axes.T, np.float32
        )

    def arrays(self) -> dict[str, Array]:
        """All that was learnt."""
        return {"mean": self.mean, "axes": self.axes, "keep": self.keep}


def smoothing(width: float) -> Callable[[Array], Array]:
    """A Gaussian filter along the axes of a grid (n, C, ...)."""
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

    def apply(x: Array) -> Array:
        return np.asarray(gaussian_filter(x, (0, 0, *(width,) * (x.ndim - 2)), mode="nearest"), np.float32)

    return apply


def median(x: Array) -> Array:
    """The median of each element and its neighbours: 3 x 3 in pictures, 3 in signals."""
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(x, size=(1, 1, *(3,) * (x.ndim - 2)), mode="nearest"), np.float32)


def non_local_means(level: float) -> Callable[[Array], Array]:
    """Buades, Coll and Morel (2005), scikit-image's; pictures (n, C, H, W)."""
    from skimage.restoration import denoise_nl_means

    look = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * level, "sigma": level, "fast_mode": True}

    def apply(x: Array) -> Array:
        one = x.shape[1] == 1
        made = [denoise_nl_means(p[0] if one else p, channel_axis=None if one else 0, **look) for p in x]
        return np.asarray(np.stack(made).reshape(x.shape), np.float32)

    return apply


def wavelets(level: float) -> Callable[[Array], Array]:
    """Soft thresholds by BayesShrink (Chang, Yu and Vetterli, 2000), scikit-image's; grids (n, C, ...)."""
    from skimage.restoration import denoise_wavelet

    def apply(x: Array) -> Array:
        scale = max(float(np.abs(x).max()), 1e-12)  # it takes floats in [-1, 1] only
        look = {"sigma": level / scale, "wavelet": "sym4", "rescale_sigma": False, "channel_axis": 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of small pictures, which reach beyond the wavelet
            made = np.stack([denoise_wavelet(p / scale, **look) for p in x])
        return np.asarray(made * scale, np.float32)

    return apply


def has_skimage() -> bool:
    """Whether non-local means and wavelets can be had: scikit-image and PyWavelets are installed."""
    return find_spec("skimage") is not None and find_spec("pywt") is not None
