"""Labels of all items from those of a few: three votes in Z, how sure they are, and when to say "unknown"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError
from latentspace.models.kernel_ridge import KernelRidge
from latentspace.models.neighbourhood import Nearest, Neighbourhood
from latentspace.training.compared import Compared

Array = NDArray[Any]
Rows = NDArray[np.intp]
Floats = NDArray[np.float64]

#: folds in which labelled items are told by others; of so few labels each is told by all others; of many classes five
FOLDS, FEW, MANY_CLASSES = 10, 20, 20
#: numbers of nearest labelled items that may vote
VOTERS = (1, 3, 5, 9, 15, 25)
#: how much the votes count before labels say otherwise (spread, ridge, nearest), and how freely those may say it: the
#: standard deviation of the logarithms
PRIOR, FREEDOM = np.array([0.9, 2.0, 0.15]), 1.0
#: a share of a vote that is never sure to be missing
FLOOR = 0.01
#: items of the pile whose distance to their nearest says what is usual, and the share of usual ones that may be
#: called unknown for lying farther from all others
USUAL, FAR = 2000, 0.01


@dataclass(frozen=True)
class Told:
    """What is said of q items: probabilities (q, c), their conformal p-values (q, c), and those of lying as far from
    the pile (q,)."""

    probabilities: Floats
    p_values: Floats
    near: Floats

    def sets(self, alpha: float) -> NDArray[np.bool_]:
        """(q, c) the classes that cannot be excluded at a share `alpha` of errors."""
        return np.asarray(self.p_values > alpha)

    def far(self, share: float = FAR) -> NDArray[np.bool_]:
        """(q,) items farther from all others than all but a `share` of usual ones."""
        return np.asarray(self.near <= share)

    def known(self, alpha: float, far: float = FAR) -> NDArray[np.bool_]:
        """(q,) items near enough for which all other classes than the likeliest are excluded."""
        return np.asarray((self.sets(alpha).sum(axis=1) <= 1) & ~self.far(far))


class LabelVote:
    """The classes of latents, told by a few labelled ones among a pile.

    Three vote: labels that spread from item to item (`Neighbourhood`), all labelled items by kernel ridge regression
    (`KernelRidge`), and the nearest labelled ones, weighted by distance, as many as tell other folds best. P(class)
    is the product of powers of their votes. How much each counts is what makes the labelled items likeliest where
    other folds tell them, close to PRIOR where they are few. Cross-conformal p-values (Vovk 2015) compare what an
    item is told with what labelled ones were told: of items drawn as these were, the true class is excluded at alpha
    for about a share alpha (that it is at most twice that is proven: Barber et al. 2021).

    latents : (n, d) float32 of all items; nearest : finds the nearest of them; rows : (m,) the labelled ones;
    codes : (m,) their classes from 0 to classes - 1.

    >>> rng = np.random.default_rng(0)
    >>> z = np.concatenate([rng.normal(0, 1, (50, 2)), rng.normal(6, 1, (50, 2))]).astype("float32")
    >>> vote = LabelVote(z, Compared(z).nearest, np.array([0, 1, 50, 51]), np.array([0, 0, 1, 1]), 2)
    >>> vote.tell(z[[10, 90]]).probabilities.argmax(axis=1).tolist()
    [0, 1]
    """

    def __init__(
        self, latents: Array, nearest: Nearest, rows: Rows, codes: Array, classes: int, seed: int = 0
    ) -> None:
        self.latents, self.nearest = latents, nearest
        self.rows, self.codes, self.classes = rows, codes, classes
        self.neighbourhood = Neighbourhood(latents, nearest)
        votes = np.eye(classes)[codes]
        folds = _folds(codes, classes, seed)
        middle = latents.mean(axis=0, dtype=float)
        scale = max(float(((latents - middle) ** 2).sum(axis=1).mean()), 1e-30)
        self.ridge, ridge = KernelRidge.fit(latents[rows], votes, folds, (middle, scale), seed)
        self.k, near = self._voters(votes, folds)
        #: (m,) labelled items of whose class there is another in other folds
        self.judged = _judged(codes, folds)
        told = [_logs(self._spread_across(votes, folds)), ridge, _logs(near)]
        self.powers = _powers([part[self.judged] for part in told], codes[self.judged])
        #: (m, c) what each labelled item is told by other folds
        self.told = _product(told, self.powers)
        self._shares = self.neighbourhood.spread(rows, votes)
        self._labelled = Compared(latents[rows])

    @property
    def accuracy(self) -> tuple[float, float, float]:
        """(value, low, high): what share of items like the labelled ones is told rightly, and its 95 % interval.

        That of labelled items that are told by other folds, by Wilson (1927), as of half as many: folds share labels,
        so that as of all of them it would be too narrow (Bates, Hastie and Tibshirani 2024; LOG.md). NaN where there
        are none to judge by.
        """
        from scipy.stats import binomtest  # type: ignore[import-untyped]

        hits = (self.told.argmax(axis=1) == self.codes)[self.judged]
        if not len(hits):
            return np.nan, 0.0, 1.0
        half = max(1, len(hits) // 2)
        ends = binomtest(round(float(hits.mean()) * half), half).proportion_ci(method="wilson")
        value = float(hits.mean())
        return value, min(value, float(ends.low)), max(value, float(ends.high))

    @property
    def smallest_p(self) -> float:
        """The smallest share of errors that can be promised."""
        return 1 / (1 + int(self.judged.sum()))

    def tell(self, latents: Array) -> Told:
        """What new items at latents (q, d) are told."""
        distances = self.nearest(np.asarray(latents, np.float32), 1)[1][:, 0]
        return self._told(latents, self.neighbourhood.ask(latents, self._shares), distances)

    @cached_property
    def own(self) -> Told:
        """What all items of the pile are told by others; labelled ones by other folds."""
        rows = np.arange(len(self.latents))
        distances = self.nearest(self.latents, 2)[1][:, -1]
        found = self._told(self.latents, self.neighbourhood.ask_others(rows, self._shares), distances)
        found.probabilities[self.rows] = self.told
        found.p_values[self.rows] = self._p_values(self.told)
        return found

    def suggest(self, n: int, seed: int = 0) -> Rows:
        """The n unlabelled items of the pile that are worth most to label next: doubtful, and unlike each other.

        The most doubtful are grouped by k-means, the more doubtful counting for more, and the item nearest to each
        middle is taken (Zhdanov, "Diverse mini-batch Active Learning", 2019).
        """
        rest = np.setdiff1d(np.arange(len(self.latents)), self.rows)
        second, first = np.sort(self.own.probabilities[rest], axis=1)[:, -2:].T
        return diverse(self.latents, rest, 1 - (first - second), n, seed)

    def _told(self, latents: Array, spread: Floats, distances: Array) -> Told:
        near = _nearest_votes(self._labelled, self.codes, self.classes, latents, [self.k])[self.k]
        votes = [_logs(spread), self.ridge.ask(latents), _logs(near)]
        probabilities = _product(votes, self.powers)
        return Told(probabilities, self._p_values(probabilities), self._p_near(distances))

    def _p_values(self, probabilities: Floats) -> Floats:
        """(q, c) the share of labelled items that others told of their own class at most as much."""
        own = np.sort(self.told[np.arange(len(self.codes)), self.codes])
        below = np.searchsorted(own, probabilities, side="right")
        return np.asarray((1 + below) / (1 + len(own)), float)

    def _p_near(self, distances: Array) -> Floats:
        """(q,) the share of the pile's items that are as far from their nearest other."""
        farther = len(self._usual) - np.searchsorted(self._usual, distances, side="left")
        return np.asarray((1 + farther) / (1 + len(self._usual)), float)

    @cached_property
    def _usual(self) -> Array:
        some = np.random.default_rng(0).permutation(len(self.latents))[:USUAL]
        return np.sort(self.nearest(self.latents[some], 2)[1][:, -1])

    def _spread_across(self, votes: Floats, folds: Array) -> Floats:
        """(m, c) what labels of other folds bring to each labelled item."""
        told = np.empty_like(votes)
        for fold in np.unique(folds):
            held = folds == fold
            shares = self.neighbourhood.spread(self.rows[~held], votes[~held])
            told[held] = self.neighbourhood.ask_others(self.rows[held], shares)
        return told

    def _voters(self, votes: Floats, folds: Array) -> tuple[int, Floats]:
        """(how many of the nearest vote, what each labelled item is told by so many of other folds)."""
        z = self.latents[self.rows]
        least = min(int((folds != fold).sum()) for fold in np.unique(folds))
        numbers = [k for k in VOTERS if k <= least] or [1]
        told = {k: np.zeros_like(votes) for k in numbers}
        for fold in np.unique(folds):
            held = folds == fold
            others = Compared(z[~held])
            for k, said in _nearest_votes(others, self.codes[~held], self.classes, z[held], numbers).items():
                told[k][held] = said
        best = min(numbers, key=lambda k: float(((told[k] - votes) ** 2).sum()))
        return best, told[best]


def diverse(latents: Array, rows: Rows, weights: Array, n: int, seed: int = 0, most: int = 50) -> Rows:
    """n of the items at `rows`, unlike each other, those of larger weights (len(rows),) rather.

    They are chosen among the `most` times n of the largest weight. Raises OptionError where n is no whole number of
    at least 1.
    """
    from sklearn.cluster import KMeans

    if not (isinstance(n, Integral) and n >= 1):
        raise OptionError(f"n is a whole number of at least 1, not {n!r}.")
    if n >= len(rows):
        return rows
    order = np.argsort(-weights, kind="stable")[: max(most * n, 1000)]
    z, w = latents[rows[order]], np.maximum(weights[order], 1e-6)
    middles = KMeans(n, n_init=1, max_iter=20, random_state=seed).fit(z, sample_weight=w).cluster_centers_
    found: list[int] = []
    for near in Compared(z).nearest(middles, min(n, len(z)))[0]:
        found.append(next(int(i) for i in near if int(i) not in found))
    return rows[order[found]]


def _folds(codes: Array, classes: int, seed: int) -> NDArray[np.intp]:
    """(m,) folds from 0, each class spread over all of them."""
    m = len(codes)
    count = m if m <= FEW else FOLDS if classes <= MANY_CLASSES else FOLDS // 2
    shuffled = np.random.default_rng(seed).permutation(m)
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]
    folds = np.empty(m, np.intp)
    folds[order] = np.arange(m) % max(count, 1)
    return folds


def _judged(codes: Array, folds: Array) -> NDArray[np.bool_]:
    """(m,) whether other folds hold an item of the same class."""
    held = np.zeros((codes.max() + 1, folds.max() + 1), np.intp)
    np.add.at(held, (codes, folds), 1)
    return np.asarray(held.sum(axis=1)[codes] > held[codes, folds])


def _nearest_votes(
    labelled: Compared, codes: Array, classes: int, latents: Array, numbers: list[int]
) -> dict[int, Floats]:
    """k → (q, c) the shares of the k nearest labelled items' votes, each weighted by 1 / distance."""
    rows, distances = labelled.nearest(latents, max(numbers))
    weights = np.where(rows >= 0, 1 / np.maximum(distances, 1e-9), 0.0)
    each = np.arange(len(rows))
    said, votes = {}, np.zeros((len(rows), classes))
    for j in range(rows.shape[1]):
        votes[each, codes[rows[:, j]]] += weights[:, j]
        if j + 1 in numbers:
            said[j + 1] = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-30)
    return said


def _logs(shares: Floats) -> Floats:
    return np.log(np.clip(shares, 0, 1) + FLOOR)


def _product(votes: list[Floats], powers: Array) -> Floats:
    """(q, c) probabilities of logarithms of votes (q, c) times their powers."""
    from scipy.special import softmax  # type: ignore[import-untyped]

    return np.asarray(softmax(sum(p * v for p, v in zip(powers, votes, strict=True)), axis=1))


def _powers(votes: list[Floats], codes: Array) -> Floats:
    """(3,) how much each vote counts: those that make the codes likeliest, and are not far from PRIOR."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    each = np.arange(len(codes))

    def unlikely(logs: Array) -> float:
        chance = _product(votes, PRIOR * np.exp(logs))[each, codes]
        return float(-np.log(chance + 1e-12).sum() + 0.5 * (logs**2).sum() / FREEDOM**2)

    found = minimize(unlikely, np.zeros(3), method="L-BFGS-B", bounds=[(-4, 4)] * 3)
    return np.asarray(PRIOR * np.exp(found.x))
