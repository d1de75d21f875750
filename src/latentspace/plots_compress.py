"""The pictures of compressing: sizes side by side, errors within their bound, items before and after.

Each figure is returned, never shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.plots import OURS, show_picture
from latentspace.plots_marks import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: the other ways
OTHERS = "#9A9A9A"


def sizes_view(names: Sequence[str], bits: Sequence[float]) -> Figure:
    """Bits a value of each way, the first one ours; the numbers stand at the bars."""
    figure = new_figure(6.4, 0.6 + 0.36 * len(names))
    axes = figure.add_subplot()
    at = np.arange(len(names))
    bars = axes.barh(at, bits, color=[OURS, *[OTHERS] * (len(names) - 1)])
    axes.bar_label(bars, [f" {b:.3g}" for b in bits], fontsize=8)
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.set_xlabel("bits a value, all that is needed to read it counted")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def errors_view(bars: NDArray[np.int64]) -> Figure:
    """How the errors lie within their bound: counts from -1 to 1 times the bound."""
    figure = new_figure(6.4, 3.0)
    axes = figure.add_subplot()
    edges = np.linspace(-1, 1, len(bars) + 1)
    axes.stairs(bars / max(1, bars.sum()), edges, fill=True, color=OURS)
    for bound in (-1, 1):
        axes.axvline(bound, color="black", linewidth=1, linestyle="--")
    axes.set_xlim(-1.15, 1.15)
    axes.set_xlabel("error as a share of the bound (dashed: the bound)")
    axes.set_ylabel("share of the numbers")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def pictures_view(before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]], note: str = "") -> Figure:
    """Pictures in [0, 1] in two rows: as they were and as they come back."""
    n = len(before)
    height, width = before[0].shape[:2]
    figure = new_figure(1.1 + 1.0 * n, 0.7 + 2.0 * height / width)
    grid = figure.subplots(2, n, squeeze=False)
    for line, name, pictures in zip(grid, ("original", "restored"), (before, after), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            show_picture(axes, picture)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure


def curves_view(before: NDArray[Any], after: NDArray[Any], note: str = "") -> Figure:
    """Items (n, k), on the network's scale, as lines: as they were and, dashed, as they come back."""
    n = min(4, len(before))
    figure = new_figure(6.4, 0.6 + 1.3 * n)
    grid = figure.subplots(n, 1, squeeze=False, sharex=True)[:, 0]
    for axes, was, made in zip(grid, before, after, strict=False):
        axes.plot(was, color=OTHERS, linewidth=1.5, label="original")
        axes.plot(made, color=OURS, linewidth=1, linestyle="--", label="restored")
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].legend(fontsize=7, frameon=False, ncols=2)
    grid[-1].set_xlabel(f"element of an item ({note})")
    figure.supylabel("on the network's scale", fontsize=8)
    return figure
