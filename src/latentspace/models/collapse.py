"""Dials that show whether representations still tell items apart, which a loss of predicting them does not.

A network that makes the same of every item predicts its own representations perfectly: a small loss then means
collapse, not success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Dials",
    "alignment",
    "begins",
    "deviations",
    "effective_rank",
    "foreseen",
    "neighbours_agree",
    "target_variance",
    "uniformity",
]

Array = NDArray[Any]

#: share of what a dial showed before training below which collapse begins, and checks in a row that must say so
FALLEN, IN_A_ROW = 0.25, 2
#: items that pairs are made of at most
PAIRS = 2000


def effective_rank(z: Array, centred: bool = False) -> float:
    """How many directions Z (n, d) really has: exp of the entropy of its singular values, from 1 to min(n, d).

    centred : take the mean away first; without, as published, an offset that all items share counts as a direction.
    Source: Roy and Vetterli (2007); for representations RankMe, Garrido, Balestriero, Najman and LeCun (2023).

    >>> round(effective_rank(np.eye(3)), 3), round(effective_rank(np.ones((5, 3))), 3)
    (3.0, 1.0)
    """
    z = np.asarray(z, np.float64)
    values = np.linalg.svd(z - z.mean(axis=0) if centred else z, compute_uv=False)
    if not values.any():
        return 1.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def deviations(z: Array) -> NDArray[np.float64]:
    """(d,) the standard deviation of each dimension of Z (n, d); all near 0 is complete collapse."""
    return np.asarray(np.asarray(z, np.float64).std(axis=0))


def alignment(z: Array, other: Array) -> float:
    """Mean squared distance of an item's two representations (n, d) on the unit sphere; 0 is the best, 4 the most.

    Source: Wang and Isola (2020), "Understanding contrastive representation learning through alignment and uniformity
    on the hypersphere".
    """
    return float(((_on_sphere(z) - _on_sphere(other)) ** 2).sum(axis=1).mean())


def uniformity(z: Array, t: float = 2.0) -> float:
    """log of the mean of exp(−t · squared distance) over pairs of items (n, d) on the unit sphere.

    0 where all lie in one place, below -3 where they fill a sphere of many dimensions. Source: Wang and Isola (2020).
    """
    z = _on_sphere(z[:PAIRS])
    squares = np.clip(2 - 2 * z @ z.T, 0, 4)[np.triu_indices(len(z), 1)]
    return float(np.log(np.exp(-t * squares).mean())) if len(squares) else 0.0


def target_variance(targets: Array) -> float:
    """Variance over items of targets (n, patches, d), patch by patch, on average: what is there to be predicted.

    What differs from place to place, but is the same in every item, does not count: it tells nothing of items.
    """
    return float(np.asarray(targets, np.float64).var(axis=0).mean())


def foreseen(predicted: Array, targets: Array) -> float:
    """Share of hidden patches whose prediction is nearer to their own target than to another picture's there.

    Both are (n, patches, d), with the same places in every picture. 0.5 is what a prediction from places alone has,
    however small its loss.
    """
    own, other = (((predicted - t) ** 2).sum(axis=-1) for t in (targets, np.roll(targets, 1, axis=0)))
    return float((own < other).mean() + 0.5 * (own == other).mean())


def neighbours_agree(z: Array, y: Array, k: int = 10) -> float:
    """Share of items whose label most of their `k` nearest others have; by cosine of centred Z (n, d)."""
    z = _on_sphere(np.asarray(z, np.float64) - np.mean(z, axis=0, dtype=np.float64))
    alike = z @ z.T
    np.fill_diagonal(alike, -np.inf)
    k = min(k, len(z) - 1)
    near = np.argsort(-alike, axis=1, kind="stable")[:, :k]
    _, codes = np.unique(y, return_inverse=True)
    # the nearer weighs a little more, so that no vote is a tie
    weights = 1 + 1e-3 * np.arange(k, 0, -1)
    votes = np.zeros((len(z), codes.max() + 1))
    for j in range(k):
        votes[np.arange(len(z)), codes[near[:, j]]] += weights[j]
    return float((votes.argmax(axis=1) == codes).mean())


def _on_sphere(z: Array) -> NDArray[np.float64]:
    z = np.asarray(z, np.float64)
    lengths = np.linalg.norm(z, axis=1, keepdims=True)
    return np.asarray(z / np.where(lengths > 0, lengths, 1.0))


@dataclass(frozen=True)
class Dials:
    """What one check shows; see the functions of this module.

    rank : effective rank of centred Z; width : the most it could be. spread : mean standard deviation of a dimension.
    foreseen : share of hidden patches that are. neighbours : share of held-out items whose nearest have their label;
    NaN without labels.
    """

    rank: float
    width: int
    spread: float
    alignment: float
    uniformity: float
    target_variance: float
    foreseen: float
    neighbours: float = float("nan")

    @classmethod
    def read(
        cls, z: Array, context: Array, targets: Array, predicted: Array, y: Array | None = None
    ) -> Dials:
        """From Z (n, d) of whole items and of their contexts; targets, and what is predicted of them; labels (n,).

        targets, predicted : (m, patches, d) of the same hidden patches of some items.
        """
        return cls(
            rank=effective_rank(z, centred=True),
            width=min(z.shape[1], max(1, len(z) - 1)),
            spread=float(deviations(z).mean()),
            alignment=alignment(context, z),
            uniformity=uniformity(z),
            target_variance=target_variance(targets),
            foreseen=foreseen(predicted, targets),
            neighbours=float("nan") if y is None else neighbours_agree(z[:PAIRS], y[:PAIRS]),
        )

    def figures(self) -> dict[str, float]:
        """By name; what is not known is left out."""
        return {name: float(value) for name, value in asdict(self).items() if value == value}

    def state(self) -> dict[str, float | None]:
        """JSON-able; see `from_state`."""
        return {name: None if value != value else value for name, value in asdict(self).items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Dials:
        """What `state` gave."""
        known: dict[str, Any] = {name: float("nan") if v is None else v for name, v in state.items()}
        return cls(**known)

    def words(self) -> str:
        """One line for a progress display."""
        said = f"rank {self.rank:.1f} of {self.width}, spread {self.spread:.2g}, foreseen {self.foreseen:.2f}"
        return said if self.neighbours != self.neighbours else f"{said}, neighbours {self.neighbours:.3f}"


def begins(dials: Sequence[Dials]) -> str | None:
    """Why collapse begins, with advice; None while it does not. The first of `dials` is of before training."""
    if len(dials) <= IN_A_ROW:
        return None
    first, recent = dials[0], dials[-IN_A_ROW:]
    for name, what in (
        ("rank", "the effective rank"),
        ("spread", "the spread of Z"),
        ("target_variance", "the variance of the targets"),
    ):
        start, now = (getattr(d, name) for d in (first, recent[-1]))
        # a rank counts from 1
        floor = 1.0 if name == "rank" else 0.0
        if all(getattr(d, name) - floor < FALLEN * (start - floor) for d in recent):
            return (
                f"collapse begins: {what} fell from {start:.3g} to {now:.3g}, so that items look alike; "
                "raise momentum or spread, lower learning_rate, or use an autoencoder"
            )
    return None
