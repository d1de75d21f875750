"""Which items are kept from training, to be measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentspace.data._windows import Windows
from latentspace.data.base import Items

#: below this many items every one is needed for training
TOO_FEW = 20
#: with fewer series than this, stretches of them are held out; there are about so many stretches
FEW_SERIES, STRETCHES = 5, 20
#: no more items than this are held out
MAX_ITEMS = 5000

Rows = NDArray[np.intp]


def hold_out(items: Items, share: float, seed: int, most: int = MAX_ITEMS) -> tuple[Rows, Rows]:
    """Row numbers (training, held out, at most `most`), drawn at random; each sorted.

    Windows of a signal are held out by whole series, or by stretches of one, and windows that share samples
    with a held-out window are in neither, so that nothing measured was seen.
    """
    n, rng = len(items), np.random.default_rng(seed)
    count = _count(n, share, most)
    if count == 0:
        return np.arange(n), np.arange(0)
    if not isinstance(items.values, Windows):
        rows = rng.permutation(n)
        return np.sort(rows[count:]), np.sort(rows[:count])
    kept = _whole_groups(_groups(items.values), count, rng)
    train = np.flatnonzero(~kept & ~_touches(items.values, kept))
    if len(train) < TOO_FEW // 2:
        return np.arange(n), np.arange(0)
    held = np.flatnonzero(kept)
    return train, np.sort(rng.permutation(held)[:most])


def _count(n: int, share: float, most: int) -> int:
    if n < TOO_FEW or share == 0:
        return 0
    return min(most, max(round(share * n), 10 if n >= 50 else 5))


def _groups(windows: Windows) -> Rows:
    """(n,) the group of each window: its series, or its stretch where there are few series."""
    series = windows.series
    if len(np.unique(series)) >= FEW_SERIES:
        return series
    size = max(1, len(series) // STRETCHES)
    places = np.empty(len(series), np.intp)
    places[np.lexsort((windows.starts, series))] = np.arange(len(series))
    return series * (len(series) + 1) + places // size


def _whole_groups(groups: Rows, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Where whole groups, drawn at random, make up about `count` items."""
    names, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
    return np.isin(groups, names[order[:enough]])


def _touches(windows: Windows, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a window shares samples with one that is kept."""
    starts = np.sort(windows.starts[kept])
    after = np.searchsorted(starts, windows.starts - windows.length, side="right")
    before = np.searchsorted(starts, windows.starts + windows.length, side="left")
    return before > after
