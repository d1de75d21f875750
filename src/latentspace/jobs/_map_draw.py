"""The pictures of a map, and of a selection on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots_map
from latentspace.data.image import Image
from latentspace.jobs._drawings import MAX_POINTS, Drawing, as_pictures
from latentspace.jobs._map_differences import Difference
from latentspace.jobs._map_items import CONTINUITY, TRUSTED, TRUSTWORTHINESS, Mapped, placed
from latentspace.jobs._map_select import details
from latentspace.jobs._regions import Region, regions_of
from latentspace.jobs._verdict import count
from latentspace.plots_marks import thumbnail_rows
from latentspace.plots_selection import selection_view
from latentspace.space.folder import Space

if TYPE_CHECKING:
    from latentspace.models.map import MapHead

Array = NDArray[Any]

#: cells along one side of the grid of decoded points
GRID = 20
#: what is named by its columns
NAMED = ("table",)


def draw_map(mapped: Mapped, colour: str | None, regions: list[Region]) -> Any:
    """The map, coloured by a label, a column or how far places can be trusted."""
    ring = ~mapped.trusted
    hollow = f" Hollow: {count(int(ring.sum()), 'place')} not to be trusted." if ring.any() else ""
    beneath = " Pale: the items of the space." if mapped.backdrop is not None else ""
    return plots_map.map_view(
        mapped.points,
        None if colour is None else mapped.values(colour),
        colour or "",
        hollow=ring,
        backdrop=mapped.backdrop,
        thumbnails=_thumbnails(mapped),
        regions=[(region.name, region.place) for region in regions],
        note=f"{count(len(mapped), 'item')}. Near is alike; the axes mean nothing.{hollow}{beneath}",
    )


def _thumbnails(mapped: Mapped) -> tuple[Array, Array] | None:
    drawn = isinstance(mapped.space.modality, Image) and mapped.can_be_seen and mapped.head.dimensions == 2
    if not drawn:
        return None
    rows = thumbnail_rows(mapped.points, mapped.trusted, mapped.backdrop)
    return rows, mapped.pictures(rows)


def named_regions(mapped: Mapped, colour: str | None) -> list[Region]:
    """The regions of a map on a plane that can be named: by the label that colours it, or by a table's columns."""
    columns = mapped.told if mapped.space.modality.name in NAMED else {}
    label = (colour, mapped.values(colour)) if colour is not None and colour in mapped.told else None
    if mapped.head.dimensions != 2 or (label is None and not columns):
        return []
    return regions_of(mapped.points, label, columns)


def figures(
    mapped: Mapped,
    colour: str | None,
    regions: list[Region],
    chosen: NDArray[np.bool_] | None,
    found: list[Difference],
) -> dict[str, Callable[[], Any]]:
    """Name → a function that draws it."""
    space = mapped.space
    drawn: dict[str, Callable[[], Any]] = {}
    if chosen is not None:
        drawn["selection"] = lambda: _draw_selection(mapped, chosen, found)
    drawn["map"] = lambda: draw_map(mapped, colour, regions)
    drawn["distortion"] = lambda: _draw_distortion(mapped)
    if isinstance(space.modality, Image) and mapped.head.dimensions == 2 and space.decodes:
        drawn["decoded grid"] = lambda: draw_grid(space, mapped.head)
    if space.latents.shape[1] == 2:
        values = None if colour is None else mapped.values(colour)
        drawn["latents"] = lambda: plots_map.latent_plane(mapped.latents, values, colour or "")
    return drawn


def _draw_distortion(mapped: Mapped) -> Any:
    measures = {
        TRUSTWORTHINESS: (mapped.trustworthiness, "are those near here alike?"),
        CONTINUITY: (mapped.continuity, "are those alike near here?"),
    }
    share = 100 * np.mean(~mapped.trusted)
    note = f"{share:.1f} % of the {len(mapped):,} items have a trustworthiness below {TRUSTED}."
    return plots_map.distortion_view(mapped.points, measures, mapped.backdrop, note)


def _draw_selection(mapped: Mapped, chosen: NDArray[np.bool_], found: list[Difference]) -> Any:
    note = f"{chosen.sum():,} selected of {count(len(mapped), 'item')}. Near is alike; the axes mean nothing."
    return selection_view(mapped.points, chosen, details(mapped, chosen, found), mapped.backdrop, note)


def draw_grid(space: Space, head: MapHead) -> Any:
    """Decoded points of a GRID x GRID grid over the latents where there are two, else over the map; cells without an
    item within their reach stay blank."""
    from sklearn.neighbors import NearestNeighbors

    image: Image = space.modality  # type: ignore[assignment]
    plain = space.latents.shape[1] == 2
    taken = space.latents if plain else head.positions
    low, high = taken.min(axis=0), taken.max(axis=0)
    step = float((high - low).max()) / GRID
    middle = (low + high) / 2
    along = (np.arange(GRID) - (GRID - 1) / 2) * step
    cells = np.stack(np.meshgrid(middle[0] + along, middle[1] - along), axis=2).reshape(-1, 2)
    near, _ = NearestNeighbors(n_neighbors=1).fit(taken).kneighbors(cells)
    there = near[:, 0] <= step * np.sqrt(0.5)
    z = cells[there].astype(np.float32)
    made = space.model.decode(z if plain else head.invert(z))
    pictures = np.asarray(as_pictures(image, made) * 255 + 0.5, np.uint8)
    return plots_map.decoded_map(pictures, there.reshape(GRID, GRID), "two latents" if plain else "map")


# the report


def map_drawings(space: Space) -> list[Drawing]:
    """The map for the report, coloured by the space's first label; of up to MAX_POINTS items."""
    if space.map is None:
        return []
    return [
        Drawing(
            "map", "The items on the map: near is alike, the axes mean nothing.", lambda: _reported(space)
        )
    ]


def _reported(space: Space) -> Any:
    rows = np.sort(np.random.default_rng(0).permutation(len(space))[:MAX_POINTS])
    labels = {name: values[rows] for name, values in space.labels.items()}
    part = replace(space, ids=space.ids[rows], latents=space.latents[rows], labels=labels, held_out=None)
    shown, colour = placed(part, None), next(iter(labels), None)
    return draw_map(shown, colour, named_regions(shown, colour))
