"""Which pairs of items are worth asking about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.models.labels import diverse

Array = NDArray[Any]

#: this share of the pairs is of items near each other, which are often the same: among pairs at random few are
SAME = 0.5
#: near is the nearest such share of the pile. The very nearest would teach that the same hardly differ (LOG.md).
NEAR = 0.05
#: partners that are tried for an item before it is left out
TRIED = 20


def ask(
    places: NDArray[np.float32], n: int, known: Callable[[int, int], bool], seed: int = 0
) -> NDArray[np.intp]:
    """(n, 2) rows of items at places (m, r) to ask about, spread over the pile.

    One item of each pair is the middle of one of n parts of the pile, so that all of it is covered. Its partner is
    drawn from the nearest NEAR of the pile, or from all of it. Pairs that are `known`, from answers or what follows
    from them, are not asked; fewer than n come back where nearly all are.

    >>> places = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    >>> ask(places, 5, lambda a, b: False).shape
    (5, 2)
    """
    rng = np.random.default_rng(seed)
    every = np.arange(len(places))
    first = diverse(places, every, rng.random(len(places)), min(n, len(places)), seed)
    first = rng.permutation(np.concatenate([first, rng.integers(0, len(places), max(0, n - len(first)))]))
    found: dict[frozenset[int], tuple[int, int]] = {}
    for i, row in enumerate(first.tolist()):
        near = every
        if i < SAME * n:
            apart = np.linalg.norm(places - places[row], axis=1)
            k = min(len(places) - 1, max(TRIED, round(NEAR * len(places))))
            near = np.argpartition(apart, k)[: k + 1]
        for other in rng.choice(near, min(TRIED, len(near)), replace=False).tolist():
            pair = frozenset((row, other))
            if len(pair) == 2 and pair not in found and not known(row, other):
                found[pair] = (row, other)
                break
    return np.array(list(found.values()), np.intp).reshape(-1, 2)
