"""The noise in encoded items, told from their measurements alone; which elements of kept items were observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Modality

if TYPE_CHECKING:
    from latentspace.models.noise import Noise

Array = NDArray[Any]
Mask = NDArray[np.bool_]


def noise_of(modality: Modality, x: Array, observed: Mask | None, kind: str = "auto") -> Noise:
    """The noise in encoded items x (n, *shape), told from their measurements alone."""
    from latentspace.models.noise import Noise, estimate_noise

    there, origin = modality.measured, modality.origin
    if origin is not None:
        x = x + (origin - origin.mean())
    if there is None:
        return estimate_noise(x, observed, kind)
    if not there.any():
        return Noise("none", 0.0, 0.0, 0.0, True, "no column is a number.")
    return estimate_noise(x[:, there], None if observed is None else observed[:, there], kind)


def observed_of_kept(modality: Modality, kept: Array) -> Mask:
    """Which elements of kept items (n, *shape) were observed: a gap holds its neutral value, as no measured one does.

    Pictures hold it where all are alike, so there all counts as observed.
    """
    seen = np.ones(kept.shape, bool)
    if modality.name == "table":
        columns: Any = modality.columns  # type: ignore[attr-defined]
        for f in columns:
            block = kept[:, f.block]
            whole = (block == 0) | (block == 1)
            seen[:, f.block] = block != 0 if f.kind.family == "gaussian" else whole
    elif modality.name != "image":
        seen = kept != 0
    return seen
