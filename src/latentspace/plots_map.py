"""The pictures of a map: its axes mean nothing and have no ticks; what is near is alike.

Hollow points are items whose place is not to be trusted. Regions carry their names, so that they can be told apart
in grey. Each figure is returned, never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.plots_marks import (
    PALER,
    all_drawn,
    colours_of,
    dots,
    legend,
    map_axes,
    new_figure,
    point_size,
    scatter,
    show_regions,
    show_thumbnails,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]


def map_view(
    points: Array,
    values: Array | None = None,
    name: str = "",
    *,
    hollow: NDArray[np.bool_] | None = None,
    backdrop: Array | None = None,
    thumbnails: tuple[Array, Array] | None = None,
    regions: Sequence[tuple[str, Array]] = (),
    note: str = "",
) -> Figure:
    """Items at points (n, 2 or 3), coloured by `values` (n,): numbers by a scale, anything else by categories.

    hollow : (n,) drawn as rings; backdrop : (m, 2 or 3) other items, pale beneath; thumbnails : rows (t,) and
    pictures (t, H, W, 1 or 3) of some items, drawn in their places; regions : names and where they stand.
    """
    drawn = all_drawn(points, backdrop)
    wide, high = _sides(drawn, 8.0)
    figure = new_figure(wide + (1.5 if values is not None else 0), high)
    axes = map_axes(figure, drawn)
    colours = colours_of(values)
    scatter(axes, points, colours, hollow, backdrop, faint=thumbnails is not None)
    if thumbnails is not None:
        show_thumbnails(axes, points, drawn, *thumbnails, colours[thumbnails[0]])
    if points.shape[1] == 2:
        show_regions(axes, regions)
    if values is not None:
        legend(figure, axes, values, name)
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure


def _sides(points: Array, longest: float) -> tuple[float, float]:
    """Width and height of a figure for a map of these points, in inches."""
    span = np.ptp(points[:, :2], axis=0).astype(float) + 1e-9
    if points.shape[1] == 3:
        return longest, longest
    wide, high = np.clip(longest * span / span.max(), 0.6 * longest, longest)
    return float(wide), float(high) + 0.3


def distortion_view(
    points: Array, measures: dict[str, tuple[Array, str]], backdrop: Array | None = None, note: str = ""
) -> Figure:
    """The map, coloured by how far each place can be trusted, a panel a measure.

    measures : name → (values (n,) from about .5, chance, to 1, best; what it asks).
    """
    figure, seen = new_figure(6.4 * len(measures), 6.6), dict[str, Any]()
    for i, (name, (values, question)) in enumerate(measures.items()):
        axes = map_axes(figure, all_drawn(points, backdrop), (1, len(measures), i + 1))
        order = np.argsort(-values, kind="stable")  # the worst on top
        if backdrop is not None:
            dots(axes, backdrop, s=point_size(len(backdrop)), color=PALER)
        look = {"s": point_size(len(points)), "cmap": _astray(), "vmin": 0.5, "vmax": 1}
        seen[name] = dots(axes, points[order], c=values[order], **look)
        axes.set_title(f"{name}: {question}", fontsize=10)
    bar = figure.colorbar(
        seen[name], ax=figure.axes, shrink=0.6, extend="min", ticks=[0.5, 0.6, 0.7, 0.8, 0.9, 1]
    )
    bar.set_label("1: all of its neighbours; 0.5: chance")
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure


def _astray() -> Any:
    """Colours from a place not to be trusted at all (dark) to one that is (pale)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "astray", ["#3B0F2B", "#A8203E", "#E8743B", "#F2C879", "#B9CFE0"]
    )


def decoded_map(pictures: Array, there: NDArray[np.bool_], what: str = "map") -> Figure:
    """What the decoder draws at each cell of a grid over the map, or over `what` else is flat.

    pictures : (c, H, W, 1 or 3) of the cells that are not blank, row by row from the top; there : (side, side).
    """
    side, (height, width) = len(there), pictures.shape[1:3]
    whole = np.full((side * (height + 1) + 1, side * (width + 1) + 1, 3), 255, np.uint8)
    for (row, column), picture in zip(np.argwhere(there), pictures, strict=True):
        top, left = row * (height + 1) + 1, column * (width + 1) + 1
        whole[top : top + height, left : left + width] = picture
    figure = new_figure(8.0, 8.0 * whole.shape[0] / whole.shape[1] + 0.3)
    axes = figure.subplots()
    axes.imshow(whole, interpolation="nearest")
    axes.set_axis_off()
    figure.supxlabel(
        f"What the decoder draws at each place of the {what}; blank where no item is near.", fontsize=8
    )
    return figure


def latent_plane(z: Array, values: Array | None = None, name: str = "") -> Figure:
    """Two latents (n, 2) as they are, coloured by `values` (n,)."""
    figure = new_figure(8.0 if values is not None else 6.6, 6.4)
    axes = figure.subplots()
    scatter(axes, z, colours_of(values), None, None)
    if values is not None:
        legend(figure, axes, values, name)
    axes.set_xlabel("z0 (first latent)")
    axes.set_ylabel("z1 (second latent)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    return figure
