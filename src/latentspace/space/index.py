"""The nearest items of a space, found by their latents."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Metric = Literal["euclidean", "cosine", "mahalanobis"]


class Index:
    """Finds the nearest of some points.

    points : (n, k) float32.

    >>> index = Index(np.array([[0, 0], [3, 4], [1, 0]], "float32"))
    >>> rows, distances = index.nearest(np.zeros((1, 2), "float32"), 2)
    >>> rows.tolist(), distances.tolist()
    ([[0, 2]], [[0.0, 1.0]])
    """

    def __init__(self, points: Array) -> None:
        self.points = np.ascontiguousarray(points, np.float32)

    def __len__(self) -> int:
        return len(self.points)

    def nearest(
        self, queries: Array, k: int, within: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """(rows (q, k), Euclidean distances (q, k)) of the k points nearest to queries (q, d), the nearest first.

        `within` : rows of the points that may be found. Where there are fewer than k, the rest are row -1 at an
        infinite distance.
        """
        allowed = np.arange(len(self.points)) if within is None else np.asarray(within, np.intp)
        points, queries = self.points[allowed], np.asarray(queries, np.float32)
        squared = (queries**2).sum(1)[:, None] - 2 * queries @ points.T + (points**2).sum(1)
        order = np.argsort(squared, axis=1, kind="stable")[:, :k]
        rows = np.full((len(queries), k), -1, np.intp)
        distances = np.full((len(queries), k), np.inf, np.float32)
        rows[:, : order.shape[1]] = allowed[order]
        near = np.take_along_axis(squared, order, axis=1)
        distances[:, : order.shape[1]] = np.sqrt(np.maximum(near, 0))
        return rows, distances
