"""Pictures of neighbours: each query beside the items nearest to it, labels and distances under them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.plots import show_picture
from latentspace.plots_marks import new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

#: the query, and its neighbours
QUERY, NEIGHBOUR = "#0072B2", "#333333"
#: lines of words under a picture, channels of a curve that are drawn, columns of a table
WIDEST, CHANNELS = 20, 3


def neighbour_pictures(rows: Sequence[tuple[Array, Array]], words: Sequence[Sequence[str]]) -> Figure:
    """Rows of a query's picture (H, W, 1 or 3) and its neighbours' (k, H, W, 1 or 3), values in [0, 1].

    words : for each row what stands under each picture, the query's first.
    """
    k = max(len(near) for _, near in rows)
    figure = new_figure(1.05 * (k + 1) + 0.3, 1.55 * len(rows) + 0.1)
    grid = figure.subplots(len(rows), k + 1, squeeze=False)
    for line, (query, near), texts in zip(grid, rows, words, strict=True):
        for axes, picture, text in _cells(line, [query, *near], texts):
            show_picture(axes, picture)
            axes.set_xlabel(text, fontsize=6.5)
        _marked(line[0])
    return figure


def neighbour_curves(rows: Sequence[tuple[Array, Array]], words: Sequence[Sequence[str]]) -> Figure:
    """Rows of a query's window (C, T) and its neighbours' (k, C, T), in the user's units; all on one scale a row."""
    k = max(len(near) for _, near in rows)
    figure = new_figure(1.35 * (k + 1) + 0.5, 1.5 * len(rows) + 0.2)
    grid = figure.subplots(len(rows), k + 1, squeeze=False, sharey="row", sharex=True)
    for line, (query, near), texts in zip(grid, rows, words, strict=True):
        for place, (axes, window, text) in enumerate(_cells(line, [query, *near], texts)):
            for channel, dash in zip(window[:CHANNELS], ("-", "--", ":"), strict=False):
                axes.plot(channel, dash, color=NEIGHBOUR if place else QUERY, linewidth=0.9)
            axes.set_xlabel(text, fontsize=6.5)
            axes.tick_params(labelsize=6)
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("value", fontsize=7)
    return figure


def neighbour_rows(
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]], marked: Sequence[NDArray[np.bool_]]
) -> Figure:
    """Tables of a query and its neighbours: names of columns, and rows of cells, the query's first.

    marked : for each table which cells differ most from the query's, of the shape of its rows.
    """
    heights = [0.26 * (len(rows) + 1) + 0.15 for _, rows in tables]
    width = 1.15 * max(len(names) for names, _ in tables) + 0.4
    figure = new_figure(width, sum(heights))
    grid = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)
    for axes, (names, rows), differs in zip(grid[:, 0], tables, marked, strict=True):
        axes.axis("off")
        cells = [[plain(str(cell))[:WIDEST] for cell in row] for row in rows]
        drawn = axes.table(
            cells, colLabels=[plain(str(n))[:WIDEST] for n in names], loc="center", cellLoc="right"
        )
        drawn.auto_set_font_size(False)
        drawn.set_fontsize(7)
        for (row, column), cell in drawn.get_celld().items():
            cell.set_linewidth(0.3)
            if row <= 1:
                cell.set_text_props(weight="bold", color=QUERY if row else NEIGHBOUR)
            elif differs[row - 1, column]:
                cell.set_facecolor("#F6E3C5")
    return figure


def _cells(line: Any, shown: Sequence[Array], texts: Sequence[str]) -> list[tuple[Any, Array, str]]:
    """(axes, what is drawn on them, the words under it); axes that are left over are switched off."""
    for axes in line[len(shown) :]:
        axes.axis("off")
    words = ["\n".join(part[:WIDEST] for part in plain(text).split("\n")) for text in texts]
    return list(zip(line, shown, words, strict=False))


def _marked(axes: Any) -> None:
    """A frame around the query."""
    for spine in axes.spines.values():
        spine.set(visible=True, color=QUERY, linewidth=2)
