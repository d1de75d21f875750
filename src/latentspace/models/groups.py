"""Groups of items where there are no labels: by their places on the map, or by their latents."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.training.compared import Compared

Array = NDArray[Any]

#: numbers of groups that are tried, and items that are looked at to choose one
MOST, LOOKED_AT = 20, 2000
#: groups are about as far apart as others with so large a share of their silhouette
GOOD = 0.9
#: items that groups by density are learnt from at most; the others join that of their nearest
LEARNT = 20_000
#: the least items of a group by density, as a share of all, and in number
SMALLEST, FEWEST = 0.01, 5


def by_middles(points: Array, k: int | None, latents: Array | None = None, seed: int = 0) -> NDArray[np.intp]:
    """(n,) groups of points (n, d) from 0, around k middles (k-means, Lloyd 1982).

    Where the points lie in fewer places than k, each place is a group.

    k None: as few, from 2, as lie about as far apart as any number up to MOST does: with a mean silhouette
    (Rousseeuw 1987) in the `latents` (n, k) of at least a share GOOD of the largest. Points on a map lie in clumps
    of which latents know nothing.

    >>> points = np.concatenate([np.random.default_rng(i).normal(9 * i, 1, (60, 2)) for i in range(3)])
    >>> len(set(by_middles(points, None).tolist()))
    3
    """
    points = np.asarray(points, np.float32)
    places = len(np.unique(points - points.mean(axis=0), axis=0))  # as k-means sees them, in float32
    if k is not None:
        return _around(points, min(k, places), seed)
    most = min(MOST, places, len(points) - 1)
    if most < 2:
        return np.zeros(len(points), np.intp)  # all in one place
    tried = [_around(points, m, seed) for m in range(2, most + 1)]
    far = [apart(points if latents is None else latents, groups, seed) for groups in tried]
    return next(groups for groups, each in zip(tried, far, strict=True) if each >= GOOD * max(far))


def _around(points: Array, k: int, seed: int) -> NDArray[np.intp]:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(k, n_init=4, random_state=seed).fit_predict(points), np.intp)


def by_density(points: Array, seed: int = 0) -> NDArray[np.intp]:
    """(n,) groups from 0 that are denser than what is around them, -1 for items in none (HDBSCAN, Campello 2013).

    Of more than LEARNT items so many are grouped, and the others go where their nearest went.
    """
    from sklearn.cluster import HDBSCAN

    points = np.asarray(points, np.float32)
    some = np.sort(np.random.default_rng(seed).permutation(len(points))[:LEARNT])
    least = min(len(some), max(FEWEST, round(SMALLEST * len(some))))
    found = HDBSCAN(min_cluster_size=least, min_samples=FEWEST, copy=True).fit_predict(points[some])
    if len(some) == len(points):
        return np.asarray(found, np.intp)
    return np.asarray(found[Compared(points[some]).nearest(points, 1)[0][:, 0]], np.intp)


def apart(points: Array, groups: NDArray[np.intp], seed: int = 0) -> float:
    """How far groups are apart, from -1 to 1: the mean silhouette of up to LOOKED_AT items; 0 for fewer than two."""
    from sklearn.metrics import silhouette_score

    rows = np.flatnonzero(groups >= 0)
    rows = np.random.default_rng(seed).permutation(rows)[:LOOKED_AT]
    if not 1 < len(np.unique(groups[rows])) < len(rows):
        return 0.0
    return float(silhouette_score(points[rows], groups[rows]))


def medoid(points: Array, rows: NDArray[np.intp]) -> int:
    """The row, of those of a group, that is nearest to the group's middle in the median of each axis."""
    middle = np.median(points[rows], axis=0)
    return int(rows[((points[rows] - middle) ** 2).sum(axis=1).argmin()])
