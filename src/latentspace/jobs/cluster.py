"""Groups of a space's items where there are no labels: what stands for each, and what sets it apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.errors import OptionError
from latentspace.jobs._cluster_draw import draw_map, draw_medoids
from latentspace.jobs._map_differences import Difference, differences
from latentspace.jobs._map_items import Mapped, placed
from latentspace.jobs._map_select import ENOUGH, compared
from latentspace.jobs._neighbour_queries import can_be_seen, own_items
from latentspace.jobs._output import check_out, write_table
from latentspace.jobs._verdict import count
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space

__all__ = ["cluster"]

Array = NDArray[Any]

PICTURES, TABLES = (".png", ".svg", ".pdf"), (".csv", ".parquet")
#: groups that are printed, and differences that are named of each
PRINTED, NAMED = 20, 3
#: groups lie apart where their mean silhouette is at least this; below the other there is no structure to speak of
#: (Kaufman and Rousseeuw 1990)
CLEAR, WEAK = 0.5, 0.25


@dataclass(frozen=True)
class Cluster:
    """A group of items: rows (m,), the row of the medoid that stands for it, and what sets it apart."""

    rows: NDArray[np.intp]
    medoid: int
    apart: list[Difference]


@job
def cluster(
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    k: Literal["auto"] | Annotated[int, Ge(2)] = "auto",
    method: Literal["kmeans", "hdbscan"] = "kmeans",
    on: Literal["map", "latents"] = "map",
    items: Any = None,
    seed: Annotated[int, Ge(0)] = 0,
    progress: Progress | None = None,
) -> Result:
    """Group the items of a space, say what stands for each group and what sets it apart from the rest.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    out
        Where the groups go: a table of ids and groups (.csv, .parquet), or a map of them (.png, .svg, .pdf).
    k
        How many groups (kmeans); fewer where the items lie in fewer places. auto: as few, up to 20, as lie about as
        far apart as any number of them.
    method
        kmeans: every item goes to the nearest of k middles. hdbscan: groups are what is denser than its surroundings,
        as many as there are, and some items are in none.
    on
        Where groups are looked for: on the map, where near is alike, or among the latents themselves.
    items
        The data that the space was fitted on, to tell groups apart by it and not by what is decoded.
    seed
        Everything random comes from it.
    progress
        Called with what is going on and the share done.
    """
    from latentspace.models import groups

    check_out(out, (*TABLES, *PICTURES))
    if method == "hdbscan" and k != "auto":
        raise OptionError("k goes with method='kmeans': hdbscan finds how many groups there are.")
    tell = progress or (lambda words, share: None)
    space = opened(space)
    if k != "auto" and k >= len(space):
        raise OptionError(f"k must be below the {len(space):,} items of this space, not {k}.")
    tell("placing", None)
    own = None if items is None else own_items(space, items)
    shown = placed(space, own)
    points = shown.points if on == "map" else space.latents
    tell("grouping", None)
    found = (
        groups.by_middles(points, None if k == "auto" else k, space.latents, seed)
        if method == "kmeans"
        else groups.by_density(points, seed)
    )
    tell("telling apart", None)
    codes, clusters = _clusters(shown, points, found)
    clear = groups.apart(space.latents, codes, seed)
    table = _table(space, codes, clusters)
    return Result(
        summary="\n".join(_summary(space, codes, clusters, clear, on, k)),
        tables={"Groups": [_row(space, c, len(codes), i) for i, c in enumerate(clusters[:PRINTED])]},
        figures=_figures(shown, own, codes, [c.medoid for c in clusters]),
        files=[] if out is None else _written(shown, codes, table, Path(out)),
        data=_data(space, codes, clusters, clear),
        value=codes,
    )


def _figures(
    shown: Mapped, own: Items | None, codes: NDArray[np.intp], medoids: list[int]
) -> dict[str, Callable[[], Any]]:
    space = shown.space
    drawn: dict[str, Callable[[], Any]] = {"groups": lambda: draw_map(shown, codes)}
    if can_be_seen(space, own):
        drawn["medoids"] = lambda: draw_medoids(space, own, medoids, codes)
    return drawn


def _clusters(
    shown: Mapped, points: Array, found: NDArray[np.intp]
) -> tuple[NDArray[np.intp], list[Cluster]]:
    """(codes (n,) from 0 for the largest, -1 for none; the groups in that order)."""
    from latentspace.models.groups import medoid

    names, sizes = np.unique(found[found >= 0], return_counts=True)
    codes = np.full(len(found), -1, np.intp)
    columns, clusters = compared(shown), []
    for i, name in enumerate(names[np.argsort(-sizes, kind="stable")].tolist()):
        inside = found == name
        codes[inside] = i
        rows = np.flatnonzero(inside)
        enough = min(len(rows), len(found) - len(rows)) >= ENOUGH and i < PRINTED
        apart = [d for d in differences(columns, inside) if d.sure] if enough else []
        clusters.append(Cluster(rows, medoid(points, rows), apart))
    return codes, clusters


def _summary(
    space: Space, codes: NDArray[np.intp], clusters: list[Cluster], clear: float, on: str, k: int | str
) -> list[str]:
    place = "on the map" if on == "map" else "in Z"
    if not clusters:
        return [f"No group of {count(len(space), 'item')} is denser than what is around it {place}."]
    none = int((codes < 0).sum())
    end = f"; {count(none, 'item')} in none." if none else "."
    if k != "auto" and len(clusters) < int(k):
        end = f", not {k}: they lie in so few different places."
    lines = [f"{count(len(clusters), 'group')} of {count(len(space), 'item')} {place}{end}"]
    return [*lines, f"Mean silhouette in Z {clear:.2f}: {_how_clear(clear)}."]


def _how_clear(silhouette: float) -> str:
    if silhouette >= CLEAR:
        return "the groups lie apart"
    if silhouette >= WEAK:
        return "the groups touch: their borders are not sharp"
    return "the groups run into each other: take them as parts of one pile, not as kinds"


def _row(space: Space, cluster: Cluster, n: int, i: int) -> dict[str, Any]:
    return {
        "group": i + 1,
        "items": len(cluster.rows),
        "share": f"{100 * len(cluster.rows) / n:.1f} %",
        "medoid": str(space.ids[cluster.medoid]),
        "set apart by": "; ".join(_short(d) for d in cluster.apart[:NAMED]),
    }


def _short(difference: Difference) -> str:
    inside, outside = difference.measured
    return f"{difference.name} {inside} (rest {outside})"


def _table(space: Space, codes: NDArray[np.intp], clusters: list[Cluster]) -> Any:
    """A pyarrow Table, a row an item: id, group from 1 (empty: in none), and whether it stands for its group."""
    import pyarrow as pa

    from latentspace.space.files import arrow_column

    standing = {c.medoid for c in clusters}
    return pa.table(
        {
            "id": arrow_column(space.ids),
            "group": pa.array([c + 1 if c >= 0 else None for c in codes.tolist()], pa.int64()),
            "medoid": pa.array([row in standing for row in range(len(codes))]),
        }
    )


def _data(space: Space, codes: NDArray[np.intp], clusters: list[Cluster], clear: float) -> dict[str, Any]:
    return {
        "items": len(space),
        "in_none": int((codes < 0).sum()),
        "silhouette": clear,
        "groups": [
            {
                "group": i + 1,
                "items": len(c.rows),
                "medoid": str(space.ids[c.medoid]),
                "set_apart": [d.to_json() for d in c.apart[:10]],
            }
            for i, c in enumerate(clusters)
        ],
    }


def _written(shown: Mapped, codes: NDArray[np.intp], table: Any, out: Path) -> list[Path]:
    if out.suffix.lower() in TABLES:
        return write_table(table, out)
    with whole(out) as beside:
        draw_map(shown, codes).savefig(beside, format=out.suffix.lower()[1:])
    return [out]
