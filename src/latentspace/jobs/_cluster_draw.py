"""Groups of items: on the map, and what stands for each beside the items nearest to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots_map
from latentspace.data.base import Items
from latentspace.jobs._map_items import Mapped
from latentspace.jobs._neighbour_draw import MOST, draw
from latentspace.jobs._neighbour_queries import Found, Query
from latentspace.jobs._verdict import count
from latentspace.space.folder import Space

#: items drawn beside what stands for a group
BESIDE = 8


def draw_map(shown: Mapped, codes: NDArray[np.intp]) -> Any:
    """The map, coloured by group; items in none are rings."""
    names = np.array([f"{code + 1:>2}" if code >= 0 else "none" for code in codes.tolist()])
    places = [
        (str(code + 1), np.median(shown.points[codes == code], axis=0))
        for code in range(int(codes.max(initial=-1)) + 1)
    ]
    none = f" Hollow: {count(int((codes < 0).sum()), 'item')} in none." if (codes < 0).any() else ""
    return plots_map.map_view(
        shown.points,
        names,
        "group",
        hollow=codes < 0,
        regions=places,
        note=f"{count(len(codes), 'item')} in {count(len(places), 'group')}. Near is alike.{none}",
    )


def draw_medoids(space: Space, items: Items | None, medoids: list[int], codes: NDArray[np.intp]) -> Any:
    """What stands for each group, beside the items of the group that are nearest to it."""
    shown = medoids[:MOST]
    rows = np.full((len(shown), BESIDE), -1, np.intp)
    distances = np.full((len(shown), BESIDE), np.inf, np.float32)
    for i, row in enumerate(shown):
        group = np.flatnonzero(codes == codes[row])
        near, far = space.index.nearest(space.latents[[row]], BESIDE + 1, within=group)
        others = np.flatnonzero((near[0] != row) & (near[0] >= 0))[:BESIDE]
        rows[i, : len(others)], distances[i, : len(others)] = near[0][others], far[0][others]
    queries = [Query(f"group {codes[row] + 1}", space.latents[row], (row,)) for row in shown]
    return draw(Found(space, queries, rows, distances, "euclidean", None, items, "medoid"))
