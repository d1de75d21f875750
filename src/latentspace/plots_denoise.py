"""The pictures of a restoration: items before and after, what was removed, and what each way of restoring gains.

Each figure is returned, never shown; what was changed beyond noise is hatched or marked, so that it shows in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.plots import OURS, show_picture
from latentspace.plots_marks import new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]
#: what was given, and what marks a suspect
NOISY, SUSPECT = "#9A9A9A", "#D55E00"
#: gains beyond this (dB) cannot be told from each other
MOST_GAIN = 25.0
#: channels of a signal, and columns of a table, that are drawn at most
MAX_CHANNELS, MAX_COLUMNS = 4, 30


def denoised_pictures(
    noisy: Array,
    restored: Array,
    removed: Array | None,
    suspect: NDArray[np.bool_] | None,
    titles: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """Pictures (n, H, W, 1 or 3) in [0, 1], a column each: noisy, restored, removed (mid-grey: nothing), suspect.

    NaN in `noisy` is a gap, drawn checkered. suspect (n, H, W): where more was changed than noise explains, drawn
    black. Rows that are None are left out.
    """
    rows: dict[str, Array] = {"noisy": checkered(noisy), "restored": restored}
    if removed is not None:
        rows["removed"] = np.clip(0.5 + np.nan_to_num(removed), 0, 1)
    if suspect is not None:
        faint = 1 - 0.2 * (1 - restored.mean(axis=3))
        rows["suspect"] = np.where(suspect, 0.0, faint)[..., None]
    n, (height, width) = len(noisy), noisy.shape[1:3]
    figure = new_figure(1.1 + 1.0 * n, (0.3 + 1.0 * len(rows)) * height / width + 0.4)
    grid = figure.subplots(len(rows), n, squeeze=False)
    for line, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            show_picture(axes, picture)
            axes.spines[:].set_visible(name == "suspect")
            axes.spines[:].set(color="#BBBBBB", linewidth=0.5)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, title in zip(grid[0], titles, strict=False):
        axes.set_title(plain(title[:14]), fontsize=7)
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure


def checkered(pictures: Array) -> Array:
    """Pictures (n, H, W, C) with a chequer where they are NaN, so that a gap is neither black nor white."""
    _, height, width, _ = pictures.shape
    odd = (np.arange(height)[:, None] + np.arange(width)) % 2
    return np.where(np.isnan(pictures), np.where(odd, 0.35, 0.65)[:, :, None], pictures)


def denoised_curves(
    noisy: Array,
    restored: Array,
    removed: Array | None,
    suspect: NDArray[np.bool_] | None,
    channels: Sequence[str],
    titles: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """Windows (n, C, T), a column each: noisy (grey) under restored (blue) and, below, what was removed.

    NaN in `noisy` is a gap. suspect (n, C, T): bars along the foot of what was removed.
    """
    n, c = len(noisy), min(noisy.shape[1], MAX_CHANNELS)
    panels = 2 if removed is not None else 1
    figure = new_figure(3.4 * n + 0.8, (1.9 + 0.9 * (panels - 1)) * c + 0.9)
    grid = figure.subplots(panels * c, n, squeeze=False, sharex=True, height_ratios=[2, 1][:panels] * c)
    for i, column in enumerate(grid.T):
        for j in range(c):
            above = column[panels * j]
            above.plot(noisy[i, j], color=NOISY, linewidth=1.1, label="noisy")
            above.plot(restored[i, j], color=OURS, linewidth=1.6, label="restored")
            _tidy(above)
            if removed is not None:
                _removed_curve(
                    column[panels * j + 1], removed[i, j], None if suspect is None else suspect[i, j]
                )
        column[0].set_title(plain(titles[i]) if i < len(titles) else "", fontsize=8)
        column[-1].set_xlabel("sample in the window", fontsize=8)
    for j in range(c):
        grid[panels * j, 0].set_ylabel(plain(channels[j]) if j < len(channels) else "value", fontsize=8)
        if panels > 1:
            grid[panels * j + 1, 0].set_ylabel("removed", fontsize=8)
    found = {
        label: handle
        for axes in grid.ravel()
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        list(found.values()), list(found), loc="outside upper center", ncols=4, frameon=False, fontsize=8
    )
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure


def _removed_curve(axes: Axes, removed: Array, suspect: NDArray[np.bool_] | None) -> None:
    axes.axhline(0, color="#BBBBBB", linewidth=0.6)
    axes.plot(removed, color="#333333", linewidth=0.9, label="removed")
    if suspect is not None and suspect.any():
        low, high = axes.get_ylim()
        axes.fill_between(
            np.arange(len(suspect)),
            low,
            high,
            where=_widened(suspect).tolist(),
            facecolor="none",
            edgecolor=SUSPECT,
            hatch="////",
            linewidth=0,
            label="more than noise explains",
        )
        axes.set_ylim(low, high)
    _tidy(axes)


def _widened(suspect: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One more sample on either side, so that a single one can be seen."""
    wide = suspect.copy()
    wide[1:] |= suspect[:-1]
    wide[:-1] |= suspect[1:]
    return wide


def denoised_columns(
    names: Sequence[str], removed: Array, expected: float, suspect: Array, gaps: bool = False
) -> Figure:
    """A table's columns: how much was removed of each (in its own standard deviations), beside the noise.

    removed (c,) standard deviations; expected: that of the noise, 0 for none; suspect (c,) shares of rows that
    changed by more. `gaps`: removed (c,) are shares of each column's cells that were filled in, instead.
    """
    order = np.argsort(-removed, kind="stable")[:MAX_COLUMNS]
    place = np.arange(len(order))
    figure = new_figure(7.2, 1.2 + 0.26 * len(order))
    axes = figure.subplots()
    look: dict[str, Any] = {"color": "#A6CBE3", "edgecolor": OURS, "linewidth": 0.8}
    axes.barh(place, removed[order], label="filled in" if gaps else "removed", **look)
    if expected > 0:
        axes.axvline(expected, color="#000000", linestyle="--", linewidth=1.1, label="noise found")
    for row, j in enumerate(order):
        if suspect[j] > 0:
            axes.text(removed[j], row, f" {100 * suspect[j]:.2g} % suspect", va="center", fontsize=7)
    axes.set_yticks(place, [plain(str(names[j])[:32]) for j in order], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * max(float(removed.max(initial=0)), expected, 1e-9))
    of_removed = "standard deviation of what was removed, in those of the column"
    axes.set_xlabel("share of the cells that were gaps" if gaps else of_removed)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(axes)
    return figure


def candidates_view(
    names: Sequence[str],
    gains: Array,
    lows: Array,
    highs: Array,
    weights: Array,
    ours: Sequence[bool],
    rival: str = "leaving the items alone",
) -> Figure:
    """What each candidate gains over a `rival` (dB, 95 % intervals), the best on top.

    Filled: ours; hollow: classical. weights : shares of the restoration, written beside.
    """
    place = np.arange(len(names))
    beyond = np.asarray(gains) > MOST_GAIN
    gains, highs = (np.minimum(values, MOST_GAIN) for values in (gains, highs))
    figure = new_figure(7.2, 1.1 + 0.36 * len(names))
    axes = figure.subplots()
    axes.axvline(0, color="#000000", linewidth=1.0, linestyle="--")
    axes.hlines(place, lows, highs, color="#555555", linewidth=1.6)
    mine = np.asarray(ours, bool)
    look: dict[str, Any] = {"s": 55, "zorder": 3, "edgecolors": OURS, "linewidths": 1.4}
    if mine.any():
        axes.scatter(gains[mine], place[mine], color=OURS, label="networks", **look)
    if (~mine).any():
        axes.scatter(gains[~mine], place[~mine], facecolors="white", marker="s", label="classical", **look)
    right = float(np.max(highs, initial=0.0))
    for row, weight in enumerate(weights):
        if weight > 0:
            axes.text(highs[row], row, f"   {100 * weight:.0f} % of the restoration", va="center", fontsize=8)
    left = min(float(np.min(lows, initial=0.0)), 0.0)
    room = 0.05 * max(right - left, 0.1)
    axes.set_xlim(left - room, right + (10 * room if np.any(weights > 0) else room))
    axes.set_yticks(place, [plain(name) for name in names], fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)
    more = f"; {MOST_GAIN:.0f}: so much or more" if beyond.any() else ""
    axes.set_xlabel(f"gain over {rival} (dB{more})")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(axes)
    return figure


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=7)
