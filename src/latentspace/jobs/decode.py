"""What the decoder makes of points in the latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentspace.jobs._latents import read_latents
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
    space = opened(space, "decode")
    check_out(out, *kinds_for(space.modality))
    ids, z = read_latents(latents, space.latents.shape[1])
    value = space.decode(z)
    files = write_items(space.modality, value, out, ids) if out else []
    return Result(f"{len(z):,} items decoded.", files=files, data={"items": len(z)}, value=value)
