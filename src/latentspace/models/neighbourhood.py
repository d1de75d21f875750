"""Who is near whom in Z: labels that spread from item to item, the unlabelled ones too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = NDArray[np.intp]
#: (rows (q, k), distances (q, k)) of the k items nearest to latents (q, d)
Nearest = Callable[[Array, int], tuple[Rows, NDArray[np.float32]]]

#: neighbours that vote; rounds in which votes are passed on, and the share that is passed on in each
NEIGHBOURS, ROUNDS, REACH = 10, 30, 0.9


class Neighbourhood:
    """Who votes for whom among n items: each is tied to its nearest, the nearer the more.

    Labels spread along these ties (Zhou et al., "Learning with Local and Global Consistency", 2003): in each round
    an item passes on a share REACH of what it holds, so that labels follow the shape of the pile. What an item is
    told is the vote of its nearest others.

    latents : (n, d) float32; nearest : finds the nearest of them, an item itself included.

    >>> from latentspace.training.compared import Compared
    >>> z = np.concatenate([np.linspace(0, 1, 30), np.linspace(3, 4, 30)])[:, None].astype("float32")
    >>> near = Neighbourhood(z, Compared(z).nearest)
    >>> shares = near.spread(np.array([0, 59]), np.eye(2))
    >>> near.ask(np.array([[0.9], [3.2]], "float32"), shares).argmax(axis=1).tolist()
    [0, 1]
    """

    def __init__(self, latents: Array, nearest: Nearest, neighbours: int = NEIGHBOURS) -> None:
        self.n, self.nearest = len(latents), nearest
        self.k = max(1, min(neighbours, len(latents) - 1))
        self.rows, self.weights = self._others(latents)
        self.ties = _balanced(self.rows, self.weights, self.n)

    def _others(self, latents: Array) -> tuple[Rows, NDArray[np.float32]]:
        """(rows, weights), each (n, k), of the neighbours of every item, itself left out."""
        rows, distances = self.nearest(latents, self.k + 1)
        own = rows == np.arange(self.n)[:, None]
        own[~own.any(axis=1), -1] = True  # among many that lie in one place it may not have found itself
        kept = (~own).nonzero()
        rows, distances = rows[kept].reshape(self.n, -1), distances[kept].reshape(self.n, -1)
        return rows, _weights(rows, distances)

    def spread(self, rows: Rows, votes: Array) -> NDArray[np.float32]:
        """(n, c) what reaches each item of the votes (m, c) of the items at `rows`: shares that sum to 1.

        Equal ones where nothing came.
        """
        first = np.zeros((self.n, votes.shape[1]), np.float32)
        first[rows] = votes
        held = first
        for _ in range(ROUNDS):
            held = REACH * (self.ties @ held) + (1 - REACH) * first
        total = held.sum(axis=1, keepdims=True)
        even = np.float32(1 / votes.shape[1])
        return np.where(total > 1e-20, held / np.maximum(total, 1e-20), even)

    def ask(self, latents: Array, shares: NDArray[np.float32]) -> NDArray[np.float64]:
        """(q, c) what the nearest items of latents (q, d) hold, of the shares (n, c) of all."""
        rows, distances = self.nearest(np.asarray(latents, np.float32), self.k)
        return _held(rows, _weights(rows, distances), shares)

    def ask_others(self, rows: Rows, shares: NDArray[np.float32]) -> NDArray[np.float64]:
        """(m, c) what the nearest others of the items at `rows` hold."""
        return _held(self.rows[rows], self.weights[rows], shares)


def _weights(rows: Rows, distances: NDArray[np.float32]) -> NDArray[np.float32]:
    """A Gaussian of the distance, as wide as that of the last neighbour; 0 for neighbours that are not there."""
    found = rows >= 0
    farthest = np.where(found, distances, 0).max(axis=1, keepdims=True)
    scaled = np.where(found, distances, 0) / np.maximum(farthest, 1e-12)
    return np.where(found, np.exp(-(scaled**2)), 0).astype(np.float32)


def _held(rows: Rows, weights: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.float64]:
    total = np.zeros((len(rows), shares.shape[1]))
    for j in range(rows.shape[1]):  # a neighbour at a time, so that memory stays small
        total += weights[:, j, None] * shares[rows[:, j]]
    return np.asarray(total / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12))


def _balanced(rows: Rows, weights: NDArray[np.float32], n: int) -> Any:
    """Ties of all items as a sparse (n, n) matrix: both ways, and none counts for more by having many."""
    from scipy import sparse  # type: ignore[import-untyped]

    there = rows >= 0
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    one_way = sparse.csr_matrix((weights[there], rows[there], starts), shape=(n, n))
    ties = one_way.maximum(one_way.T).tocsr()
    each = sparse.diags(1 / np.sqrt(np.maximum(np.asarray(ties.sum(axis=1)).ravel(), 1e-12))).astype(
        np.float32
    )
    return (each @ ties @ each).tocsr()
