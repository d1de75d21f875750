"""The items of a space that are closest to others, to new ones, or to any place in Z."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from latentspace.errors import OptionError
from latentspace.jobs import _neighbour_words as words
from latentspace.jobs._neighbour_draw import draw
from latentspace.jobs._neighbour_queries import (
    Found,
    can_be_seen,
    check_seen,
    find,
    own_items,
    queries_of,
)
from latentspace.jobs._output import check_out, write_table
from latentspace.jobs.base import Names, Progress, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space
from latentspace.space.index import Metric

__all__ = ["neighbours"]

PICTURES, TABLES = (".png", ".svg", ".pdf"), (".csv", ".parquet")


@job
def neighbours(
    space: Space | str | Path,
    data: Any = None,
    out: str | Path | None = None,
    *,
    item: Names = (),
    unlike: Names = (),
    latent: Any = None,
    mean: bool = False,
    k: Annotated[int, Ge(1)] = 9,
    metric: Metric | Literal["pairs"] = "euclidean",
    where: str | None = None,
    items: Any = None,
    progress: Progress | None = None,
) -> Result:
    """Find the items of a space that are closest in Z: to an item, to new ones, or to a place between them.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        New items, each of which is asked for: anything that was good for `fit`, with the same columns or channels.
    out
        Where the neighbours go: a table (.csv, .parquet) or a picture (.png, .svg, .pdf).
    item
        The id of an item of the space that is asked for.
    unlike
        The id of an item of the space that the neighbours are to be unlike.
    latent
        Latents that are asked for: an array (n, k), or a .npy, .csv or .parquet file as `encode` writes.
    mean
        Ask for the mean of all that are given instead of each.
    k
        How many neighbours.
    metric
        Distance in Z: euclidean; cosine, by angle; mahalanobis, in the spread of the space's items; pairs, what
        answers to "same or different?" taught (`pairs fit`).
    where
        A condition on id, labels and columns that the neighbours fulfil, such as "price > 100".
    items
        The data that the space was fitted on, to draw its items as they are and not as they are decoded.
    progress
        Called with what is going on and the share done.
    """
    check_out(out, (*TABLES, *PICTURES))
    tell = progress or (lambda words, share: None)
    space = opened(space)
    check_seen(space, items, out, PICTURES)
    if k >= len(space):
        raise OptionError(f"k must be below the {len(space):,} items of this space, not {k}.")
    if metric == "pairs" and (mean or unlike):
        raise OptionError(
            "metric='pairs' knows items, and no places between them: leave mean and unlike away."
        )
    tell("reading", None)
    given = None if data is None else space.items(data)
    asked = queries_of(space, given, item, latent, unlike, mean)
    tell("searching", None)
    near = find(space, asked, k, metric, where, given)
    own = None if items is None else own_items(space, items)
    found = replace(near, items=own)
    rows = words.rows_of(found)
    return Result(
        summary="\n".join(words.summary(found, _is_picture(out), where is None, bool(unlike))),
        tables={"Neighbours": words.shown(rows[:MOST_ROWS])},
        figures={"neighbours": lambda: draw(found)} if can_be_seen(space, items) else {},
        files=[] if out is None else _written(found, rows, Path(out)),
        data={"neighbours": rows, "strangeness": found.strangeness, "metric": metric},
        value=(found.rows, found.distances),
    )


#: rows that are printed
MOST_ROWS = 100


def _is_picture(out: str | Path | None) -> bool:
    return out is not None and Path(out).suffix.lower() in PICTURES


def _written(found: Found, rows: list[dict[str, Any]], out: Path) -> list[Path]:
    if out.suffix.lower() in TABLES:
        import pyarrow as pa

        return write_table(pa.Table.from_pylist(rows), out)
    with whole(out) as beside:
        draw(found).savefig(beside, format=out.suffix.lower()[1:])
    return [out]
