"""The nearest of some points by comparing all, and the library that does it."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = NDArray[np.intp]


def faiss_library() -> Any:
    """faiss, imported when first needed.

    On macOS its wheel and torch's bring an OpenMP each, and two at work kill the process (faiss-wheels, issue 73):
    there the second is let in, and faiss keeps to one thread.
    """
    if sys.platform == "darwin":
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss

    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)
    return faiss


class Compared:
    """Points (n, d) that every query is compared with, by Euclidean distance in float32.

    >>> rows, distances = Compared(np.array([[0.0, 0.0], [3.0, 4.0]])).nearest(np.zeros((1, 2)), 2)
    >>> rows.tolist(), distances.tolist()
    ([[0, 1]], [[0.0, 5.0]])
    """

    def __init__(self, points: Array) -> None:
        # far from 0 squares lose the digits that tell neighbours apart
        self.origin = points.mean(axis=0) if len(points) else 0.0
        self.points = self._centred(points)

    def nearest(self, queries: Array, k: int) -> tuple[Rows, NDArray[np.float32]]:
        """(rows (q, k), distances (q, k)) of the nearest; -1 and infinite where there are fewer than k points."""
        rows = np.full((len(queries), k), -1, np.intp)
        distances = np.full((len(queries), k), np.inf, np.float32)
        there = min(k, len(self.points))
        if there and len(queries):
            # in blocks of its own
            squared, found = faiss_library().knn(self._centred(queries), self.points, there)
            rows[:, :there], distances[:, :there] = found, np.sqrt(np.maximum(squared, 0))
        return rows, distances

    def _centred(self, points: Array) -> NDArray[np.float32]:
        return np.ascontiguousarray(points - self.origin, np.float32)
