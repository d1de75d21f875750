"""Votes of all labelled items, weighted by how near they are, and held back where many say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: how far a vote carries: in squared distances, as shares of the pile's mean one from its middle
WIDTHS = (2.0, 8.0)
#: how much votes are held back (ridges)
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
#: labelled items that vote at most, and that say how much
STANDING, LEARNT = 1000, 5000
#: latents that are told at once
BLOCK = 8192


@dataclass(frozen=True)
class KernelRidge:
    """Kernel ridge regression of the classes on latents: each labelled item votes, more where it is nearer.

    A vote's weight falls with distance as a Gaussian does; ridge regression finds how much each item may say, so that
    many alike do not outvote a few. Width and ridge are those with the least squared error where each labelled item
    is told by those of other folds, which has a closed form (as Allen's PRESS, 1974, has for one item).
    Of more than STANDING labelled items so many vote, and up to LEARNT say how much (Nyström).

    middle (d,), scale : of the pile; standing (m, d) : who votes; says (m, c) : how much.
    """

    middle: Array
    scale: float
    width: float
    standing: Floats
    says: Floats

    @classmethod
    def fit(
        cls, latents: Array, votes: Array, folds: Array, pile: tuple[Array, float], seed: int = 0
    ) -> tuple[KernelRidge, Floats]:
        """(what votes, (m, c) what each labelled item is told by other folds) of latents (m, d) and votes (m, c).

        folds : (m,) from 0; pile : the middle (d,) of all items and their mean squared distance from it.
        """
        drawn = np.random.default_rng(seed).permutation(len(latents))[:LEARNT]
        z, y, folds = np.asarray(latents[drawn], float), np.asarray(votes[drawn], float), folds[drawn]
        best: tuple[float, Any, Any] = (np.inf, None, None)
        for width in WIDTHS:
            alike = cls(*pile, width, z[:STANDING], np.zeros((0, 0)))
            root = alike._root()
            error, told, says = _ridge(alike._alike(z) @ root, y, folds)
            if error < best[0] - 1e-12:
                best = error, told, cls(*pile, width, z[:STANDING], root @ says)
        found: KernelRidge = best[2]
        every = np.empty(votes.shape)
        every[drawn] = best[1]
        others = np.setdiff1d(np.arange(len(latents)), drawn)  # it has not learnt from them
        every[others] = found.ask(latents[others])
        return found, every

    def ask(self, latents: Array) -> Floats:
        """(q, c) what the labelled items say of latents (q, d): about the share of each class."""
        told = np.empty((len(latents), self.says.shape[1]))
        for start in range(0, len(latents), BLOCK):
            part = slice(start, start + BLOCK)
            told[part] = self._alike(np.asarray(latents[part], float)) @ self.says
        return told

    def _alike(self, z: Floats) -> Floats:
        """(q, m) the weight that each vote has at latents z."""
        a, b = z - self.middle, self.standing - self.middle
        apart = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        return np.asarray(np.exp(-np.maximum(apart, 0) / (self.width * self.scale)) + 1)

    def _root(self) -> Floats:
        """R so that alike(z) @ R has the kernel's products."""
        values, axes = np.linalg.eigh(self._alike(self.standing))
        kept = values > 1e-9 * values[-1]
        return np.asarray(axes[:, kept] / np.sqrt(values[kept]))


def _ridge(x: Floats, y: Floats, folds: Array) -> tuple[float, Floats, Floats]:
    """(squared error, what each row of x is told by other folds, coefficients) at the ridge where it is least."""
    values, axes = np.linalg.eigh(x.T @ x)
    values, turned = np.maximum(values, 0), x @ axes
    target = turned.T @ y
    best: tuple[float, Any, Any] = (np.inf, None, None)
    for ridge in RIDGES:
        scaled = turned / np.sqrt(values + ridge)
        coefficients = target / (values + ridge)[:, None]
        left = y - turned @ coefficients
        told = np.empty_like(y)
        for fold in np.unique(folds):
            rows = folds == fold
            own = scaled[rows] @ scaled[rows].T  # of the hat matrix, what these rows say of each other
            told[rows] = y[rows] - np.linalg.solve(np.eye(len(own)) * (1 + 1e-9) - own, left[rows])
        error = float(((told - y) ** 2).mean())
        if error < best[0]:
            best = error, told, axes @ coefficients
    return best
