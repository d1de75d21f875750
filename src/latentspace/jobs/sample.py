"""New items that could have been among those that a space was fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le

from latentspace.errors import OptionError, SpaceError
from latentspace.jobs import _made_words as words
from latentspace.jobs._density import around, density_of, density_of_some, place
from latentspace.jobs._made import Made, Observing, has_noise, made_at, observed_at
from latentspace.jobs._made_draw import draw_samples
from latentspace.jobs._made_files import check_made, write_made
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.folder import Space

__all__ = ["sample"]


@job
def sample(
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    n: Annotated[int, Ge(1), Le(1_000_000)] = 16,
    near: Any = None,
    label: str | None = None,
    where: str | None = None,
    noise: Literal["auto", "yes", "no"] = "auto",
    seed: Annotated[int, Ge(0)] = 0,
    progress: Progress | None = None,
) -> Result:
    """Draw new items from where the items of a space lie, each with the training item it is nearest to.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    out
        Where they go: tables and signals .csv, .parquet, .npy or a picture (.png); pictures a sheet (.png), a folder
        or .npy.
    n
        How many.
    near
        Draw them around an item: its id, a file that holds it, or a condition for the mean of some.
    label
        Draw from the items of this label: a value, or NAME=VALUE.
    where
        Draw from the items that fulfil a condition on id, labels and columns, such as "price > 100".
    noise
        Whether they carry the noise that items have beside what the decoder expects: all but pictures do.
    seed
        The same seed draws the same items.
    progress
        Called with what is going on and the share done.
    """
    space = opened(space, "sample")
    check_made(space, out)
    tell = progress or (lambda words, share: None)
    tell("learning where the items lie", None)
    density = density_of_some(space, label, where)
    name = None
    if near is not None:
        name, z, _ = place(space, near)
        density = around(space, density, z)
    tell("drawing", None)
    made, noisy = _drawn(space, density.sample(n, seed), noise, seed)
    figures = made.figures()
    return Result(
        summary="\n".join(words.sampled(made, noisy, name, label, where)),
        tables={"Samples": words.rows(made, figures[: words.MOST])},
        figures=draw_samples(made),
        files=[] if out is None else write_made(made, out, figures, draw_samples(made)),
        data={"samples": figures, "noise": noisy, "components": density.components},
        value=made.value,
    )


def _drawn(space: Space, z: np.ndarray, noise: str, seed: int) -> tuple[Made, bool]:
    names = [f"sample {i}" for i in range(len(z))]
    if space.part is not None:
        raise SpaceError(f"Only the {space.part} of this space was loaded: load it whole to sample.")
    if noise == "no" or (noise == "auto" and not has_noise(space.modality)):
        return made_at(space, names, z), False
    observing = Observing.of(space, density_of(space))
    if observing is None:
        if noise == "yes":
            raise OptionError("noise: this space keeps no training items to learn it from (keep_items).")
        return made_at(space, names, z), False
    return observed_at(space, observing, names, z, seed), True
