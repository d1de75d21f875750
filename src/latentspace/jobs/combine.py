"""Items added to each other and taken from each other in Z: A - B + C."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError
from latentspace.jobs import _between_words as words
from latentspace.jobs._density import density_of, learnt, place
from latentspace.jobs._made import Made, made_at
from latentspace.jobs._made_draw import draw_sum
from latentspace.jobs._made_files import check_made, write_made
from latentspace.jobs.base import Names, Result, job, opened
from latentspace.space.folder import Space

__all__ = ["combine"]

#: items nearest to the sum that are named
NEAREST = 5


@job
def combine(
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    plus: Names = (),
    minus: Names = (),
) -> Result:
    """Add what sets items apart, and take it away: the item at A - B + C in Z, beside those nearest to it.

    Each counts by how it differs from the mean item, so that any number can be added and taken away.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    out
        Where the item goes: a table or signal .csv, .parquet, .npy or a picture (.png); a picture .png, a folder or
        .npy.
    plus
        What is added: the id of an item, a file that holds one, or a condition ("kind = 'shoe'") for a mean.
    minus
        What is taken away, named alike.
    """
    space = opened(space, "combine items")
    check_made(space, out)
    if not plus:
        raise OptionError("plus must name at least one item: there is nothing to start from.")
    added, taken = ([place(space, name) for name in names] for names in (plus, minus))
    middle = space.latents[learnt(space)].mean(axis=0)
    z = (
        middle
        + sum(z - middle for _, z, _ in added)
        - sum((z - middle for _, z, _ in taken), np.zeros_like(middle))
    )
    signs = [f"+ {name}" for name, *_ in added] + [f"- {name}" for name, *_ in taken]
    name = " ".join(signs).removeprefix("+ ")
    made = made_at(space, [name], z[None])
    own = np.concatenate([rows for *_, rows in (*added, *taken)])
    near, distances = _nearest(space, z, own)
    figures = [made.figures()[0] | {"log_density": float(density_of(space).log_prob(z[None])[0])}]
    parts = np.stack([z for _, z, _ in (*added, *taken)])
    drawn = draw_sum(made, signs, parts, near)
    found = [
        {
            "id": space.ids[row].item() if hasattr(space.ids[row], "item") else space.ids[row],
            "distance": float(d),
        }
        for row, d in zip(near, distances, strict=True)
    ]
    return Result(
        summary="\n".join(_summary(made, name, figures[0])),
        tables={
            "What comes out": words.rows(made, figures),
            "Nearest items of the space": words.near_rows(space, near, distances),
        },
        figures=drawn,
        files=[] if out is None else write_made(made, out, figures, drawn),
        data={"item": figures[0], "nearest": found},
        value=made.value,
    )


def _nearest(
    space: Space, z: NDArray[Any], own: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The items nearest to latents z (k,), those that it was made from left out."""
    rows, distances = space.nearest(z[None], min(len(space), NEAREST + min(len(own), 100)))
    others = np.flatnonzero((rows[0] >= 0) & ~np.isin(rows[0], own[:100]))[:NEAREST]
    return rows[0][others], distances[0][others]


def _summary(made: Made, name: str, row: dict[str, Any]) -> list[str]:
    far = 100 * row["novelty"]
    return [
        f"{name}: {row['distance']:.3g} from the nearest training item in Z, farther than {far:.0f} % of held-out "
        f"items; log density {row['log_density']:.1f} nats."
    ]
