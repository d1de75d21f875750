"""The way from one item to another, and what lies between them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from latentspace.errors import OptionError
from latentspace.jobs import _between_words as words
from latentspace.jobs._density import density_of, learnt, place
from latentspace.jobs._made import Made, made_at
from latentspace.jobs._made_draw import draw_way
from latentspace.jobs._made_files import check_made, write_made
from latentspace.jobs.base import Names, Progress, Result, job, opened
from latentspace.space.folder import Space

__all__ = ["interpolate"]


@job
def interpolate(
    space: Space | str | Path,
    items: Names,
    *,
    path: Literal["straight", "spherical", "data"] = "data",
    steps: Annotated[int, Ge(2), Le(1000)] = 9,
    out: Any = None,
    progress: Progress | None = None,
) -> Result:
    """Go from one item to another, or along several, in steps that are items themselves.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    items
        Two items or more, in order: ids, files that hold one, or conditions for the mean of some.
    path
        straight; spherical, around the middle of the items; data, where items lie (a shortest way that avoids voids).
    steps
        Items from each to the next, both included.
    out
        Where they go: tables and signals .csv, .parquet, .npy or a picture (.png); pictures a sheet (.png), a folder
        or .npy.
    progress
        Called with what is going on and the share done.
    """
    from latentspace.models.paths import Ways

    space = opened(space, "interpolate")
    check_made(space, out)
    stops = [items] if isinstance(items, str) else list(items)
    if len(stops) < 2:
        raise OptionError("items must be at least 2, to go from one to the other.")
    tell = progress or (lambda words, share: None)
    places = [place(space, stop) for stop in stops]
    density, rows = density_of(space), learnt(space)
    ways = Ways(space.latents[rows], density)
    ends = [z for _, z, _ in places]
    found: dict[str, NDArray[np.float32]] = {}
    for kind in dict.fromkeys((path, "straight")):
        tell("looking for a way", None)
        parts = [ways.between(a, b, kind, steps) for a, b in pairwise(ends)]
        found[kind] = np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
    names = _names([name for name, *_ in places], steps)
    made = made_at(space, names, found[path])
    beside = made_at(space, names, found["straight"])
    levels = {kind: density.log_prob(z) for kind, z in found.items()}
    figures = [row | {"log_density": float(d)} for row, d in zip(made.figures(), levels[path], strict=True)]
    inner = _inner(len(made), steps)
    measures: dict[str, dict[str, float]] = {
        kind: _measured(m, levels[kind], inner) for kind, m in ((path, made), ("straight", beside))
    }
    drawn = draw_way(made, beside, path, levels)
    return Result(
        summary="\n".join(words.between(names, path, measures)),
        tables={"The way": words.rows(made, figures)},
        figures=drawn,
        files=[] if out is None else write_made(made, out, figures, drawn),
        data={"items": figures, "path": path, "measures": measures},
        value=made.value,
    )


def _names(stops: list[str], steps: int) -> list[str]:
    """What the items of a way are called: the stops by their names, what lies between by their place."""
    names = [stops[0]]
    for i, stop in enumerate(stops[1:]):
        names += [f"{i + j / (steps - 1):.2f}" for j in range(1, steps - 1)] + [stop]
    return names


def _inner(n: int, steps: int) -> NDArray[np.intp]:
    """The places on the way that are no stops; of a way without such, all."""
    between = np.flatnonzero(np.arange(n) % (steps - 1))
    return between if len(between) else np.arange(n)


def _measured(made: Made, levels: NDArray[np.float64], inner: NDArray[np.intp]) -> dict[str, float]:
    """How densely items lie along a way, at its thinnest, and how far its points are from training items in Z."""
    length = np.linalg.norm(np.diff(made.z, axis=0), axis=1).sum()
    return {
        "log_density": float(levels[inner].mean()),
        "thinnest": float(levels[inner].min()),
        "distance": float(made.distances[inner].mean()),
        "novelty": float(made.novelty[inner].mean()),
        "length": float(length),
    }
