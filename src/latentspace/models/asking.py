"""Which pairs of items are worth most to ask about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.models.labels import diverse
from latentspace.training.compared import Compared

Array = NDArray[Any]

#: among so many nearest of an item, and so many others drawn, a partner is looked for
NEAR, DRAWN = 30, 200
#: this share of the pairs is of nearest items, which are likely the same: among pairs at random few are
SAME = 0.5


def ask(
    places: NDArray[np.float32],
    n: int,
    threshold: float | None,
    known: Callable[[int, int], bool],
    seed: int = 0,
) -> NDArray[np.intp]:
    """(n, 2) rows of items at places (m, r) to ask about: spread over the pile, and doubtful.

    One item of each pair is the middle of one of n parts of the pile, so that all of it is covered. Its partner is
    one of its nearest, or that whose distance is closest to the `threshold` between same and different (None: the
    tenth part of all distances). Pairs that are `known`, from answers or what follows from them, are not asked.

    >>> places = np.random.default_rng(0).normal(size=(200, 2)).astype("float32")
    >>> ask(places, 5, None, lambda a, b: False).shape
    (5, 2)
    """
    rng = np.random.default_rng(seed)
    every = np.arange(len(places))
    first = diverse(places, every, rng.random(len(places)), min(n, len(places)), seed)
    first = rng.permutation(np.concatenate([first, rng.integers(0, len(places), max(0, n - len(first)))]))
    near, apart = Compared(places).nearest(places[first], min(NEAR + 1, len(places)))
    line = _line(places, rng) if threshold is None else threshold
    found: list[tuple[int, int]] = []
    asked: set[frozenset[int]] = set()
    for i, row in enumerate(first.tolist()):
        others = rng.integers(0, len(places), min(DRAWN, len(places)))
        far = np.linalg.norm(places[others] - places[row], axis=1)
        if i < SAME * n:
            partners = near[i].tolist()
        else:
            both = np.concatenate([near[i], others]), np.concatenate([apart[i], far])
            partners = both[0][np.argsort(np.abs(both[1] - line), kind="stable")].tolist()
        for other in partners:
            pair = frozenset((row, other))
            if other >= 0 and len(pair) == 2 and pair not in asked and not known(row, other):
                asked.add(pair)
                found.append((row, other))
                break
    return np.array(found, np.intp).reshape(-1, 2)


def _line(places: NDArray[np.float32], rng: np.random.Generator) -> float:
    """A tenth of all pairs are nearer than this."""
    rows = rng.integers(0, len(places), (2000, 2))
    return float(np.quantile(np.linalg.norm(places[rows[:, 0]] - places[rows[:, 1]], axis=1), 0.1))
