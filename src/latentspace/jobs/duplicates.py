"""Items of a space that are all but the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt, Lt

from latentspace.jobs._duplicate_groups import Group, groups_of
from latentspace.jobs._neighbour_draw import draw
from latentspace.jobs._neighbour_queries import Found, Query, can_be_seen, check_seen, own_items
from latentspace.jobs._output import check_out, write_table
from latentspace.jobs._verdict import count
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space

__all__ = ["duplicates"]

PICTURES, TABLES = (".png", ".svg", ".pdf"), (".csv", ".parquet")
#: groups that are printed and drawn, and members named or drawn of each
MOST, NAMED = 20, 9


@job
def duplicates(
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    within: Literal["auto"] | Annotated[float, Gt(0), Lt(1)] = "auto",
    items: Any = None,
    progress: Progress | None = None,
) -> Result:
    """Find items that are all but the same, in groups around one that stands for them.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    out
        Where the groups go: a list of what to keep and to drop (.csv, .parquet), or a picture (.png, .svg, .pdf).
    within
        How near is the same: a share of the distance that is usual between neighbours there. auto: 0.3, or less where
        chance would put items so near each other.
    items
        The data that the space was fitted on, to draw its items as they are and not as they are decoded.
    progress
        Called with what is going on and the share done.
    """
    check_out(out, (*TABLES, *PICTURES))
    tell = progress or (lambda words, share: None)
    space = opened(space)
    check_seen(space, items, out, PICTURES)
    own = None if items is None else own_items(space, items)
    tell("comparing", None)
    found, share = groups_of(space.latents, space.index, None if within == "auto" else within)
    rows = _rows(space, found)
    extra = sum(len(group.others) for group in found)
    near = f"nearer to each other than {share:.2g} of what is usual"
    dropped = f"{count(extra, 'item')} of {len(space):,} could be dropped"
    groups = f"{dropped}: {count(len(found), 'group')} of items {near}."
    return Result(
        summary=groups if found else f"No two of {len(space):,} items are {near}.",
        tables={"Groups": [_printed(space, group) for group in found[:MOST]]} if found else {},
        figures={"duplicates": lambda: _drawn(space, found, own)}
        if found and can_be_seen(space, items)
        else {},
        files=[] if out is None else _written(space, found, rows, own, Path(out)),
        data={"items": len(space), "groups": _told(space, found), "extra": extra, "within": share},
        value=found,
    )


def _rows(space: Space, found: list[Group]) -> list[dict[str, Any]]:
    """A row an item of a group: which group, whether to keep it, and how far it is from the one that is kept."""
    rows = []
    for number, group in enumerate(found, 1):
        for row, distance, keep in zip(
            [group.first, *group.others.tolist()],
            [0.0, *group.distances.tolist()],
            [True, *(False for _ in group.others)],
            strict=True,
        ):
            rows.append({"group": number, "id": _name(space, row), "keep": keep, "distance": distance})
    return rows


def _printed(space: Space, group: Group) -> dict[str, Any]:
    names = [str(space.ids[row]) for row in group.others[:NAMED]]
    more = f" and {len(group.others) - NAMED:,} more" if len(group.others) > NAMED else ""
    far = f"{100 * float(group.shares.max()):.1f} %"
    return {
        "keep": _name(space, group.first),
        "the same as": ", ".join(names) + more,
        "at most, of what is usual": far,
    }


def _told(space: Space, found: list[Group]) -> list[dict[str, Any]]:
    return [
        {
            "keep": _name(space, g.first),
            "drop": [_name(space, row) for row in g.others],
            "distances": g.distances,
        }
        for g in found
    ]


def _name(space: Space, row: int) -> Any:
    name = space.ids[row]
    return name.item() if isinstance(name, np.generic) else name


def _drawn(space: Space, found: list[Group], own: Any) -> Any:
    shown = found[:8]
    rows = np.full((len(shown), NAMED), -1, np.intp)
    distances = np.full((len(shown), NAMED), np.inf, np.float32)
    for i, group in enumerate(shown):
        n = min(NAMED, len(group.others))
        rows[i, :n], distances[i, :n] = group.others[:n], group.distances[:n]
    queries = [Query(str(space.ids[g.first]), space.latents[g.first], (g.first,)) for g in shown]
    return draw(Found(space, queries, rows, distances, "euclidean", None, own, "kept"))


def _written(space: Space, found: list[Group], rows: list[dict[str, Any]], own: Any, out: Path) -> list[Path]:
    if out.suffix.lower() in TABLES:
        import pyarrow as pa

        empty = pa.table(
            {"group": pa.array([], pa.int64()), "id": [], "keep": pa.array([], pa.bool_()), "distance": []}
        )
        return write_table(pa.Table.from_pylist(rows) if rows else empty, out)
    if not found:
        return []
    with whole(out) as beside:
        _drawn(space, found, own).savefig(beside, format=out.suffix.lower()[1:])
    return [out]
