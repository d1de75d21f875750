"""Latents that are given: an array, or a file as `encode` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError


def read_latents(latents: Any, k: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """(ids (n,), latents (n, k)) from an array or a file. Raises DataError where they are of another space."""
    if not isinstance(latents, str | Path):
        z = np.asarray(latents, np.float32)
        return np.arange(len(z)), z
    from latentspace.data.files import read_arrays, read_frame

    if Path(latents).suffix.lower() in (".npy", ".npz"):
        z = np.asarray(next(iter(read_arrays(Path(latents)).values())), np.float32)
        return np.arange(len(z)), z
    frame = read_frame(Path(latents))
    missing = [f"z{j}" for j in range(k) if f"z{j}" not in frame.column_names]
    if missing:
        raise DataError(f"{latents} has no column {missing[0]}: latents of this space are z0 to z{k - 1}.")
    if f"z{k}" in frame.column_names:
        raise DataError(
            f"{latents} has a column z{k}: it holds latents of another space; those of this one are z0 to z{k - 1}."
        )
    z = np.stack([frame[f"z{j}"].to_numpy() for j in range(k)], axis=1).astype(np.float32)
    return frame["id"].to_numpy() if "id" in frame.column_names else np.arange(len(z)), z
