"""What the decoder draws all over two latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots_generate
from latentspace.jobs._drawings import as_pictures
from latentspace.space.folder import Space

#: pictures along a side
SIDE = 9
#: the share of training items that each end of a walk leaves beyond it
BEYOND = 0.025


def ends_of(space: Space, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """(2, k) the low and the high end of a walk along each latent, over the items at `rows`."""
    ends: NDArray[np.float32] = np.quantile(space.latents[rows], [BEYOND, 1 - BEYOND], axis=0)
    return ends


def draw_two_latents(space: Space, start: NDArray[Any], across: int, up: int, rows: NDArray[np.intp]) -> Any:
    """Pictures at SIDE x SIDE places of latents `across` and `up`, all others as at `start` (k,)."""
    low, high = ends_of(space, rows)
    z = np.repeat(np.asarray(start, np.float32)[None], SIDE * SIDE, axis=0)
    z[:, across] = np.tile(np.linspace(low[across], high[across], SIDE), SIDE)
    z[:, up] = np.repeat(np.linspace(high[up], low[up], SIDE), SIDE)
    pictures = as_pictures(space.modality, np.asarray(space.model.decode(z)))  # type: ignore[arg-type]
    return plots_generate.grid_view(pictures, SIDE, f"z{across}: low to high", f"z{up}: low to high")
