"""From what is expected to what could have been observed: the noise that a decoder leaves out, drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.likelihoods import Bernoulli, Categorical, Likelihood
from latentspace.training.compared import Compared

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: items near a latent, one of which lends it what it differs by from what was expected of it
LENDERS = 20
#: a column of which fewer than this share of the values differ repeats itself: only its own values are drawn
REPEATS = 0.5


class Residuals:
    """How items differ from what their decoder expects of them, to be drawn for other latents.

    An item near the latent lends all of its differences at once, so that columns that miss together keep doing so:
    of a number its distance from what is expected, of yes/no and categories where in the decoder's distribution it
    fell (Dunn and Smyth 1996), which then picks a value from the distribution at the latent.

    x, expected : (m, F) training items and what the decoder makes of their latents z (m, k); observed : (m, F).

    >>> from latentspace.likelihoods import Gaussian
    >>> rng = np.random.default_rng(0)
    >>> z, noise = rng.normal(size=(300, 1)), rng.normal(0, 0.5, size=(300, 2))
    >>> rest = Residuals(np.hstack([z, -z]) + noise, np.hstack([z, -z]), z, Gaussian())
    >>> drawn = rest.draw(np.zeros((200, 2)), np.zeros((200, 1)), np.random.default_rng(1))
    >>> bool(0.3 < drawn.std() < 0.7)
    True
    """

    def __init__(
        self, x: Array, expected: Array, z: Array, likelihood: Likelihood, observed: Mask | None = None
    ) -> None:
        self.near, self.lenders = Compared(z), len(z)
        self.runs = list(_runs(likelihood, x.shape[1]))
        rng = np.random.default_rng(0)
        seen = np.ones(x.shape, bool) if observed is None else observed
        self.lent = np.empty((len(x), x.shape[1]))
        for sort, where in self.runs:
            found = _fell(sort, x[:, where], expected[:, where], rng)
            self.lent[:, where] = _filled(found, seen[:, where], rng)

    def draw(self, expected: Array, z: Array, rng: np.random.Generator) -> NDArray[np.float64]:
        """(n, F) values that could have been observed at latents z (n, k), where the decoder expects (n, F)."""
        k = min(LENDERS, self.lenders)
        near, _ = self.near.nearest(z, k)
        lent = self.lent[near[np.arange(len(z)), rng.integers(k, size=len(z))]]
        drawn = np.array(expected, float)
        for sort, where in self.runs:
            drawn[:, where] = _at(sort, lent[:, where], drawn[:, where])
        return drawn


class Margins:
    """Brings columns of numbers to the values that training items hold, as often as they hold them.

    What is drawn is ranked among much that was drawn alike, and becomes the training value of that rank: heaps such
    as 40 hours a week come back, whole numbers stay whole, and nothing leaves the range that was seen.

    x : (m, F) training items; drawn : (n, F) much that was drawn; columns : those that are numbers.
    """

    def __init__(self, x: Array, drawn: Array, columns: Array, observed: Mask | None = None) -> None:
        self.columns, self.held, self.drawn, self.repeats = columns, [], [], []
        for j in columns:
            held = np.sort(x[:, j] if observed is None else x[observed[:, j], j]).astype(float)
            self.held.append(held)
            self.drawn.append(np.sort(drawn[:, j]).astype(float))
            self.repeats.append(len(np.unique(held)) < REPEATS * len(held))

    def settle(self, x: Array) -> NDArray[np.float64]:
        """(n, F) x with its numbers at the training values of their rank."""
        x = np.array(x, float)
        for j, held, drawn, repeats in zip(self.columns, self.held, self.drawn, self.repeats, strict=True):
            if not len(held):
                continue
            ranks = np.interp(x[:, j], drawn, (np.arange(len(drawn)) + 0.5) / len(drawn))
            x[:, j] = np.quantile(held, ranks, method="nearest" if repeats else "linear")
        return x


def _runs(likelihood: Likelihood, width: int) -> Iterator[tuple[str, slice]]:
    """Elements that are drawn together: a run of numbers, a run of yes/no, each one-hot group."""
    start = 0
    for part, size in getattr(likelihood, "parts", ((likelihood, width),)):
        if isinstance(part, Categorical):
            for group in part.sizes:
                yield "one of", slice(start, start + group)
                start += group
            continue
        yield "yes or no" if isinstance(part, Bernoulli) else "number", slice(start, start + size)
        start += size


def numbers(likelihood: Likelihood, width: int) -> NDArray[np.intp]:
    """The elements that are numbers."""
    found = [np.arange(width)[where] for sort, where in _runs(likelihood, width) if sort == "number"]
    return np.concatenate([np.zeros(0, np.intp), *found])


def _fell(sort: str, x: Array, expected: Array, rng: np.random.Generator) -> NDArray[np.float64]:
    """What each item lends: a difference, or a place from 0 to 1 within the part of its own value."""
    if sort == "number":
        return np.asarray(x - expected, float)
    if sort == "yes or no":
        yes, share = x > 0.5, np.clip(expected, 0, 1)
        place = rng.random(x.shape)
        return np.asarray(np.where(yes, 1 - share + place * share, place * (1 - share)))
    ends = _stacked(expected)
    rows, own = np.arange(len(x)), x.argmax(axis=1)
    low = np.where(own > 0, ends[rows, own - 1], 0.0)
    place = low + rng.random(len(x)) * (ends[rows, own] - low)
    return np.repeat(place[:, None], x.shape[1], axis=1)


def _at(sort: str, lent: Array, expected: Array) -> NDArray[np.float64]:
    """The value that what is lent picks where the decoder expects `expected`."""
    if sort == "number":
        return np.asarray(expected + lent)
    if sort == "yes or no":
        return np.asarray(lent > 1 - np.clip(expected, 0, 1), float)
    picked = np.minimum((lent[:, :1] >= _stacked(expected)).sum(axis=1), expected.shape[1] - 1)
    return np.asarray(np.eye(expected.shape[1])[picked])


def _stacked(shares: Array) -> NDArray[np.float64]:
    """Where each category ends when they are laid side by side from 0 to 1."""
    ends = np.cumsum(np.clip(shares, 1e-12, None), axis=1, dtype=float)
    return np.asarray(ends / ends[:, -1:])


def _filled(lent: Array, seen: Mask, rng: np.random.Generator) -> Array:
    """What was not observed lends what another item, drawn at random, does."""
    for j in np.flatnonzero(~seen.all(axis=0)):
        known = np.flatnonzero(seen[:, j])
        if len(known):
            lent[~seen[:, j], j] = lent[rng.choice(known, int((~seen[:, j]).sum())), j]
    return lent
