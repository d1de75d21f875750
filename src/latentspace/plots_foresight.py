"""What an I-JEPA foresees, a row a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.plots import _figure, show_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["foresight"]

#: what is hidden: a colour that grey pictures do not have
HIDDEN = (0.71, 0.79, 0.88)


def foresight(
    pictures: dict[str, NDArray[Any]],
    colours: NDArray[Any],
    attention: NDArray[Any],
    names: list[str],
) -> Figure:
    """Columns of pictures by name, (n, H, W) or (n, H, W, C) in [0, 1] with NaN where hidden; then two of patches.

    colours (n, rows, columns, 3) in [0, 1]; attention (n, rows, columns), each picture on a scale of its own.
    """
    n, titles = len(colours), [*pictures, "tokens as colours", "attention"]
    figure = _figure(1.25 * len(titles) + 0.5, 1.2 * n + 0.4)
    grid = figure.subplots(n, len(titles), squeeze=False)
    for row, line in enumerate(grid):
        for axes, shown in zip(line, pictures.values(), strict=False):
            show_picture(axes, _marked(np.asarray(shown[row], float)))
        show_picture(line[-2], colours[row])
        line[-1].imshow(attention[row], cmap="magma", vmin=0, interpolation="nearest")
        _bare(line[-1])
        line[0].set_ylabel(names[row][:14], rotation=0, ha="right", va="center", fontsize=8)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=8)
    return figure


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _marked(picture: NDArray[Any]) -> NDArray[Any]:
    """A picture (H, W) or (H, W, 1 or 3) with what is hidden, NaN, in its colour."""
    hidden = np.isnan(picture)
    if not hidden.any():
        return picture
    colours: NDArray[Any] = np.array(
        np.broadcast_to(np.atleast_3d(picture), (*picture.shape[:2], 3)), dtype=float
    )
    colours[np.atleast_3d(hidden)[..., 0]] = HIDDEN
    return colours
