"""The dials of training that no loss judges, over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from latentspace.plots import OURS, _figure, _tidy, _whole_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["dial_curves"]

ACROSS = 4


def dial_curves(
    dials: Sequence[dict[str, float]], names: dict[str, str], chance: dict[str, float] | None = None
) -> Figure:
    """A small panel a dial: its value before training (epoch 0) and after each epoch.

    dials : values by name; names : which are drawn, and what stands above each; chance : a dotted line where nothing
    is learnt. Panels begin at 0 where no value lies below.
    """
    shown = {name: title for name, title in names.items() if all(name in row for row in dials)}
    across = min(ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure = _figure(2.3 * across, 1.9 * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, (name, title) in zip(panels, shown.items(), strict=False):
        values = np.array([row[name] for row in dials], float)
        panel.plot(np.arange(len(values)), values, "-", marker="o", markersize=3, color=OURS)
        if chance and name in chance:
            panel.axhline(chance[name], linestyle=":", color="#777777")
        if values.min() >= 0:  # collapse is a way to 0: let it be seen how far that is
            panel.set_ylim(0, 1.1 * max(values.max(), 1e-9))
        panel.set_title(title, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.set_xlabel("epoch", fontsize=8)
        _whole_numbers(panel)
        _tidy(panel)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    return figure
