"""The items on a plane, where what is near is alike: pictures, a page, and what sets a selection apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from latentspace.jobs import _map_words as words
from latentspace.jobs._map_draw import figures, named_regions
from latentspace.jobs._map_files import KINDS, check_empty, frame, write_map
from latentspace.jobs._map_items import MAX_REFERENCE, Mapped, placed
from latentspace.jobs._map_measures import ENOUGH, beside_plane, plane_of
from latentspace.jobs._map_select import read_ids, selected, set_apart
from latentspace.jobs._output import check_out
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.folder import Space

__all__ = ["map"]


@job
def map(
    space: Space | str | Path,
    data: Any = None,
    out: str | Path | None = None,
    *,
    colour: str | None = None,
    select: Any = None,
    dimensions: Annotated[int, Ge(2), Le(3)] = 2,
    progress: Progress | None = None,
) -> Result:
    """Show the items on a map where what is near is alike, say how far it can be trusted, and what its regions are.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        Items to place on the map, the space's own beneath them. Left out: the space's own.
    out
        Where the map goes: a picture (.png, .svg, .pdf), a page to look around in (.html), a table (.csv, .parquet),
        a folder NAME.projector for TensorBoard, or a folder for all pictures.
    colour
        What colours the picture: a label, a column, trustworthiness, continuity, or surprise (how odd
        given items are). Left out: the first label.
    select
        Items to set apart from the rest: a file of their ids, one a line, as the page exports it.
    dimensions
        2, or 3 for a map in space.
    progress
        Called with what is going on and the share done.
    """
    check_out(out, KINDS, folder=True)
    if out is not None:
        check_empty(Path(out))
    wanted = None if select is None else read_ids(select)
    tell = progress or (lambda words, share: None)
    space = opened(space)
    tell("placing", None)
    shown = placed(space, None if data is None else space.items(data), dimensions, tell)
    if colour is not None:
        shown.values(colour)
    painted = next(iter(shown.labels), None) if colour is None else colour
    chosen = None if wanted is None else selected(shown.ids, wanted)
    tell("comparing", None)
    apart = [] if chosen is None else set_apart(shown, chosen)
    rows, regions = _beside(shown), named_regions(shown, painted)
    drawn = figures(shown, painted, regions, chosen, apart)
    tell("writing", None)
    return Result(
        summary="\n".join(words.summary(shown, rows) + words.apart_words(shown, chosen, apart)),
        tables=words.tables(regions, chosen, apart),
        figures=drawn,
        files=[] if out is None else write_map(shown, Path(out), drawn, colour, chosen),
        data=words.data(shown, rows, regions, chosen, apart),
        value=frame(shown, chosen),
    )


def _beside(shown: Mapped) -> list[dict[str, Any]]:
    """Trustworthiness and continuity of some of the items, beside the latents' principal axes."""
    few = np.sort(np.random.default_rng(0).permutation(len(shown))[:MAX_REFERENCE])
    if len(few) < ENOUGH:
        return []
    z = shown.latents[few]
    plane = z @ plane_of(shown.space.latents, shown.head.dimensions)
    return beside_plane(z, shown.points[few], plane, np.arange(len(few)))
