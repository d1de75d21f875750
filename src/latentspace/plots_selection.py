"""The picture of a selection on a map, and of what sets it apart from the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.plots_marks import PALE, PALER, all_drawn, dots, map_axes, new_figure, plain, point_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

#: the set and the rest
INSIDE, OUTSIDE = "#D55E00", "#777777"
#: columns in a picture of differences
MAX_BARS = 14


def selection_view(
    points: Array, chosen: NDArray[np.bool_], details: Any, backdrop: Array | None = None, note: str = ""
) -> Figure:
    """The map with the `chosen` items in colour, the rest in grey, and beside it what sets them apart.

    details : rows ("name", "size", "low", "high", "words", "sure"), or {"inside", "outside", "difference"} pictures
    (H, W), or a list of curves, each {"name", "inside", "outside", "spread", "sure"} of arrays (T,).
    """
    figure = new_figure(13.5, 6.4)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.1))[0]
    axes, size = map_axes(left, all_drawn(points, backdrop)), point_size(len(points))
    if backdrop is not None:
        dots(axes, backdrop, s=point_size(len(backdrop)), color=PALER)
    for rows, colour in ((~chosen, PALE), (chosen, INSIDE)):
        dots(axes, points[rows], s=size, color=colour)
    left.supxlabel(note, fontsize=8, color="#555555")
    if isinstance(details, dict):
        _show_heat(right, details)
    elif details and "inside" in details[0]:
        _show_curves(right, details)
    else:
        _show_bars(right, details[:MAX_BARS])
    return figure


def _show_bars(figure: Any, rows: Sequence[dict[str, Any]]) -> None:
    axes = figure.subplots()
    at = np.arange(len(rows))
    for place, row in zip(at, rows, strict=True):
        colour = INSIDE if row["sure"] else OUTSIDE
        axes.plot([row["low"], row["high"]], [place, place], "-", color=colour, linewidth=2.2)
        face = colour if row["sure"] else "white"
        axes.plot(row["size"], place, "o", color=colour, markerfacecolor=face, markersize=7)
        axes.text(
            1.01, place, plain(row["words"]), transform=axes.get_yaxis_transform(), va="center", fontsize=8
        )
    axes.axvline(0, color="#222222", linewidth=1)
    axes.set_yticks(at, [plain(row["name"][:34]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
    axes.set_xlabel(
        "size of the difference: Cohen's d or h, with 95 % interval\n(hollow: it may be none)", fontsize=9
    )
    axes.set_title("selected against the rest", fontsize=9, loc="right")


def _show_heat(figure: Any, pictures: dict[str, Array]) -> None:
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.9))
    titles = {"inside": "the selected, on average", "outside": "the rest, on average"}
    both = np.stack([pictures[key] for key in titles])
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    for i, (key, title) in enumerate(titles.items()):
        axes = figure.add_subplot(grid[0, i])
        axes.imshow(pictures[key], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    axes = figure.add_subplot(grid[1, :])
    heat = pictures["difference"]
    top = max(0.5, float(np.nanmax(np.abs(heat), initial=0)))
    seen = axes.imshow(heat, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(PALE)
    axes.set_title("where they differ (white: no sure difference)", fontsize=9)
    label = "Cohen's d: red, the selected are lighter; blue, darker"
    figure.colorbar(seen, ax=axes, orientation="horizontal", shrink=0.6, aspect=40, label=label)


def _show_curves(figure: Any, curves: Sequence[dict[str, Any]]) -> None:
    grid = figure.subplots(len(curves), 1, squeeze=False, sharex=True)
    for axes, curve in zip(grid[:, 0], curves, strict=True):
        at = np.arange(len(curve["inside"]))
        for key, colour, dash, label in (
            ("outside", OUTSIDE, "--", "the rest"),
            ("inside", INSIDE, "-", "the selected"),
        ):
            middle, spread = curve[key], curve["spread"][key]
            axes.fill_between(at, middle - spread, middle + spread, color=colour, alpha=0.15, linewidth=0)
            axes.plot(at, middle, dash, color=colour, linewidth=1.6, label=f"{label} (mean ± spread)")
        low = axes.get_ylim()[0]
        sure = np.where(curve["sure"], low, np.nan)
        axes.plot(at, sure, "-", color="#222222", linewidth=3, solid_capstyle="butt", label="sure difference")
        axes.set_ylabel(plain(curve["name"]))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
    grid[-1, 0].set_xlabel("sample in the window")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
