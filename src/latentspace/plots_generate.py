"""The pictures of items that were made: rows of them, ways on the map, what a latent moves, what was repaired.

Each figure is returned, never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.plots import show_picture
from latentspace.plots_marks import PALE, all_drawn, dots, map_axes, new_figure, plain, point_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

#: what was made, and what was there before
MADE, BEFORE = "#0072B2", "#D55E00"
#: letters under a picture, channels of a curve, columns of a table that are drawn
WIDEST, CHANNELS, MAX_COLUMNS = 18, 3, 24


def rows_view(rows: Sequence[tuple[str, Array, Sequence[str]]], note: str = "") -> Figure:
    """Rows of (name, items, words under each): pictures (n, H, W, 1 or 3) in [0, 1], or curves (n, C, T)."""
    most, curves = max(len(items) for _, items, _ in rows), rows[0][1].ndim == 3
    worded = any(any(words) for *_, words in rows)
    wide, high = (1.35, 1.15) if curves else (1.0, 1.0)
    figure = new_figure(wide * most + 1.2, (high + 0.22 * worded) * len(rows) + 0.35)
    grid = figure.subplots(len(rows), most, squeeze=False, sharey=curves, sharex=curves)
    for line, (name, items, words) in zip(grid, rows, strict=True):
        for axes in line[len(items) :]:
            axes.set_axis_off()
        for axes, item, text in zip(line, items, [*words, *[""] * len(items)], strict=False):
            _show_curve(axes, item) if curves else show_picture(axes, item)
            axes.set_xlabel(plain(text[:WIDEST]), fontsize=6.5, labelpad=2)
        line[0].set_ylabel(
            plain(name[:24]), fontsize=8, rotation=90 if curves else 0, ha="center" if curves else "right"
        )
    figure.supxlabel(note, fontsize=7.5, color="#555555")
    return figure


def _show_curve(axes: Any, curve: Array) -> None:
    for channel, dash in zip(curve[:CHANNELS], ("-", "--", ":"), strict=False):
        axes.plot(channel, dash, color=MADE, linewidth=0.9)
    axes.tick_params(labelsize=6)
    axes.spines[["top", "right"]].set_visible(False)


def on_map(points: Array, beneath: Array, note: str = "", joined: bool = False) -> Figure:
    """Items at points (n, 2) above others (m, 2), pale; `joined` draws lines from each to the next."""
    points, beneath = points[:, :2], beneath[:, :2]
    figure = new_figure(7.0, 7.2)
    axes = map_axes(figure, all_drawn(points, beneath))
    dots(axes, beneath, s=point_size(len(beneath)), color=PALE)
    if joined:
        axes.plot(*points.T, "-", color=MADE, linewidth=0.8)
    dots(axes, points, s=max(14.0, point_size(len(points))), color=MADE)
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure


def columns_along(names: Sequence[str], values: Array, stops: Sequence[str]) -> Figure:
    """Values (columns, n) of columns along a way, each line from low to high on the data's own scale."""
    order = np.argsort(-values.std(axis=1), kind="stable")[:8]
    figure = new_figure(8.0, 3.8)
    axes = figure.subplots()
    for j, dash in zip(order, ("-", "--", "-.", ":") * 2, strict=False):
        axes.plot(values[j], dash, linewidth=1.2, marker="o", markersize=2.5, label=plain(names[j][:24]))
    axes.set_xticks(range(len(stops)), [plain(str(s)[:8]) for s in stops], fontsize=7)
    axes.set_ylabel("standard deviations")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def density_along(levels: dict[str, Array]) -> Figure:
    """Log density (n,) at each place of a way, by the way's name."""
    figure = new_figure(6.4, 3.2)
    axes = figure.subplots()
    for (name, values), dash in zip(levels.items(), ("-o", "--s"), strict=False):
        axes.plot(np.linspace(0, 1, len(values)), values, dash, markersize=3, linewidth=1.2, label=name)
    axes.set(xlabel="share of the way", ylabel="log density (nats)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return figure


def moves_view(moves: Array, latents: Sequence[str], parts: Sequence[str]) -> Figure:
    """How far each latent moves each part (latents, parts), in standard deviations of the part."""
    order = np.argsort(-moves.max(axis=0), kind="stable")[:MAX_COLUMNS]
    figure = new_figure(1.6 + 0.36 * len(order), 1.5 + 0.24 * len(latents))
    axes = figure.subplots()
    seen = axes.imshow(
        moves[:, order], cmap="Greys", vmin=0, vmax=max(float(moves.max()), 1e-9), aspect="auto"
    )
    axes.set_xticks(
        range(len(order)), [plain(parts[j][:16]) for j in order], rotation=60, ha="right", fontsize=7
    )
    axes.set_yticks(range(len(latents)), latents, fontsize=7)
    figure.colorbar(seen, ax=axes, shrink=0.8, label="standard deviations moved")
    return figure


def grid_view(pictures: Array, side: int, across: str, up: str) -> Figure:
    """Decoded pictures (side², H, W, 1 or 3) of two latents, row by row from the top."""
    height, width = pictures.shape[1:3]
    tiled = (
        pictures.reshape(side, side, height, width, -1)
        .swapaxes(1, 2)
        .reshape(side * height, side * width, -1)
    )
    figure = new_figure(6.6, 6.6 * height / width)
    axes = figure.subplots()
    axes.imshow(tiled if tiled.shape[2] == 3 else tiled[..., 0], cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[], xlabel=across, ylabel=up)
    return figure


def repairs_view(rows: Sequence[tuple[str, float, float]], note: str = "") -> Figure:
    """Columns before and after a repair, (words, before, after) on the data's own scale; the grey band is usual."""
    figure = new_figure(8.0, 0.9 + 0.32 * max(1, len(rows)))
    axes = figure.subplots()
    axes.axvspan(-2, 2, color="#EEEEEE", zorder=0)
    for i, (_, before, after) in enumerate(rows):
        axes.plot([before, after], [i, i], "-", color="#999999", linewidth=1)
        axes.plot(before, i, "x", color=BEFORE, markersize=6, label="" if i else "before")
        axes.plot(after, i, "o", color=MADE, markersize=4, label="" if i else "after")
    axes.set_yticks(range(len(rows)), [plain(words[:46]) for words, *_ in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=3)
    axes.set_xticks(
        marks := [-1e6, -1e4, -100, -10, -2, 0, 2, 10, 100, 1e4, 1e6], [f"{mark:,.0f}" for mark in marks]
    )
    ends = [end for _, *both in rows for end in both if np.isfinite(end)]
    axes.set_xlim(1.5 * min([-4.0, *ends]), 1.5 * max([4.0, *ends]))
    axes.set_xlabel(f"standard deviations from the mean (grey: within 2). {note}", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="lower right")
    return figure
