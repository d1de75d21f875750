"""Where items lie in the latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentspace.jobs._output import TABLES, check_out, write_table
from latentspace.jobs.base import Result, job, opened, preview
from latentspace.space.folder import Space

__all__ = ["encode"]


@job
def encode(space: Space | str | Path, data: Any, out: str | Path | None = None) -> Result:
    """Give the latents of items: k numbers for each.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        The items: anything that was good for `fit`, with the same columns or channels.
    out
        Where the latents go: .csv or .parquet (with the ids), or .npy.
    """
    check_out(out, TABLES)
    space = opened(space)
    items = space.items(data)
    z = space.encode(items)
    files = write_table(z, out, items.ids) if out else []
    rows = [
        {"id": i, **{f"z{j}": f"{v:.4g}" for j, v in enumerate(row[:8])}} for i, row in preview(items.ids, z)
    ]
    return Result(
        f"{len(z):,} items encoded, {z.shape[1]} latents each.",
        tables={} if out else {"The first items": rows},
        files=files,
        data={"items": len(z), "latent_dim": z.shape[1]} | ({} if out else {"ids": items.ids, "latents": z}),
        value=z,
    )
