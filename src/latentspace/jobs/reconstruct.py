"""Items through their latents and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentspace.jobs._output import check_out, kinds_for, side_by_side, write_items
from latentspace.jobs.base import Result, job, opened
from latentspace.space.folder import Space

__all__ = ["reconstruct"]


@job
def reconstruct(space: Space | str | Path, data: Any, out: str | Path | None = None) -> Result:
    """Encode items and decode them again: what the latents keep of them, with gaps filled in.

    A space of I-JEPA has no decoder of its latents: there each token of a picture becomes the pixels it stands for.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        The items: anything that was good for `fit`, with the same columns or channels.
    out
        Where they go: .csv, .parquet or .npy; pictures as a sheet with the original on the left of each pair
        (.png), a folder of PNGs, or .npy.
    """
    space = opened(space)
    space.needs_rebuilding("reconstruct")
    check_out(out, *kinds_for(space.modality))
    items = space.items(data)
    value = space.reconstruct(items)
    shown = value
    if out and Path(out).suffix.lower() == ".png":
        x, _ = space.modality.transform(items)
        shown = side_by_side(space.modality.inverse_transform(x, items), value)
    files = write_items(space.modality, shown, out, items.ids) if out else []
    return Result(
        f"{len(items):,} items reconstructed{'' if space.decodes else ' from their tokens, not from Z'}.",
        files=files,
        data={"items": len(items)},
        value=value,
    )
