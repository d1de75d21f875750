"""Whether what was taken off items looks like noise, and where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.models.noise import Noise

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: side of the square (samples of the stretch) over which a change must average out if it was noise, and how surely
PATCH, SURE = 5, 5.0


@dataclass(frozen=True)
class Removed:
    """What a restoration took away, on the model's own scale, and whether that looks like noise.

    level : standard deviation of what was removed; expected : that of the noise. correlation : of neighbouring
    elements, or of columns, of what was removed: 0 for noise, below where only its finest part was taken, above where
    structure was. suspect (n, *shape) : where more was changed
    than noise explains, so that structure was removed or invented.
    """

    level: float
    expected: float
    correlation: float
    looks_like_noise: bool
    suspect: Mask

    def words(self) -> list[str]:
        """Sentences for the user."""
        verdict = "looks like noise" if self.looks_like_noise else "does not look like noise alone"
        said = [
            f"What was removed {verdict}: its standard deviation is {self.level:.3g} (noise: {self.expected:.3g}), "
            f"its neighbouring values correlate by {self.correlation:.2f} (noise: 0)."
        ]
        share = float(self.suspect.mean()) if self.suspect.size else 0.0
        if share > 0:
            odd = int(self.suspect.reshape(len(self.suspect), -1).any(axis=1).sum())
            items = f"{odd:,} item{'' if odd == 1 else 's'}"
            said.append(
                f"In {items} ({100 * share:.2g} % of all values) more was changed than noise explains: structure "
                "may have been removed or invented there."
            )
        return said


def judge_removed(x: Array, restored: Array, noise: Noise, observed: Mask | None = None) -> Removed:
    """Whether x - restored looks like `noise`: its size, its correlation, and where it does not average out."""
    removed = np.asarray(x - restored, np.float32)
    if observed is not None:
        removed = np.where(observed, removed, np.float32(0))
    expected = noise.level if noise.kind == "gaussian" else 0.0
    seen = removed if observed is None else removed[observed]
    level, correlation = float(seen.std()), _correlation(removed)
    suspect = np.zeros(x.shape, bool)
    if noise.kind == "gaussian" and expected > 0:
        suspect = _not_averaged_out(removed, max(noise.high, 1.1 * expected))
    fits = noise.kind != "gaussian" or 0.5 * expected <= level <= 1.15 * expected
    return Removed(level, expected, correlation, bool(fits and correlation < 0.15), suspect)


def _correlation(removed: Array) -> float:
    """Of neighbours along the axes of a grid, or the mean of columns' (its sign kept)."""
    if removed.ndim == 2:
        varied = removed[:, removed.std(axis=0) > 1e-9]
        if varied.shape[1] < 2 or len(varied) < 3:
            return 0.0
        between = np.corrcoef(varied.T)
        return float(between[~np.eye(len(between), dtype=bool)].mean())
    centred = removed - removed.mean()
    power = float((centred**2).mean())
    lags = [
        float((np.take(centred, range(1, size), axis) * np.take(centred, range(size - 1), axis)).mean())
        for axis, size in enumerate(removed.shape)
        if axis >= 2 and size > 1
    ]
    return float(np.mean(lags)) / max(power, 1e-30) if lags else 0.0


def _not_averaged_out(removed: Array, level: float) -> Mask:
    """Where the mean over a patch (or one value, of rows) is beyond what noise of that level would leave."""
    if removed.ndim == 2:
        return np.asarray(np.abs(removed) > SURE * level)
    from scipy.ndimage import uniform_filter  # type: ignore[import-untyped]

    size = (1, 1, *(min(PATCH, side) for side in removed.shape[2:]))
    mean = uniform_filter(removed, size=size, mode="reflect")
    return np.asarray(np.abs(mean) > SURE * level / np.sqrt(np.prod(size)))
