"""What the decoder makes of points in the latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError
from latentspace.jobs._output import check_out, kinds_for, write_items
from latentspace.jobs.base import Result, job, opened
from latentspace.space.folder import Space

__all__ = ["decode"]


@job
def decode(space: Space | str | Path, latents: Any, out: str | Path | None = None) -> Result:
    """Turn latents into items, in the units of the data that the space was fitted on.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    latents
        An array (n, k), or a .npy, .csv or .parquet file with columns z0, z1, ... as `encode` writes.
    out
        Where the items go: .csv, .parquet or .npy; pictures as a sheet (.png), a folder of PNGs, or .npy.
    """
    space = opened(space)
    check_out(out, *kinds_for(space.modality))
    ids, z = _latents(latents, space.latents.shape[1])
    value = space.decode(z)
    files = write_items(space.modality, value, out, ids) if out else []
    return Result(f"{len(z):,} items decoded.", files=files, data={"items": len(z)}, value=value)


def _latents(latents: Any, k: int) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """(ids, z) from an array or a file."""
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
