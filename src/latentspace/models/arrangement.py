"""Whether rows of numbers are pictures or curves written out flat: neighbours tell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: columns that a picture or a curve has at least, and the sides of a picture at least
LEAST_COLUMNS, LEAST_SIDE = 16, 6
#: neighbours must foretell an element so much better than elements at random do (ratio of squared errors): of a
#: picture, where the next line says the same, and of a curve
NEARER, NEARER_ALONG = 0.75, 0.5
#: items looked at
SAMPLE = 2000


def arrangement(x: Array) -> tuple[int, ...] | None:
    """(1, height, width) or (1, length) of what rows x (n, d) seem to be; None: the order of columns means nothing.

    >>> rng = np.random.default_rng(0)
    >>> curves = np.sin(np.arange(60) / 5 + rng.uniform(0, 6, size=(50, 1)))
    >>> arrangement(curves), arrangement(curves[:, rng.permutation(60)])
    ((1, 60), None)
    """
    d = x.shape[1]
    if d < LEAST_COLUMNS or len(x) < 2:
        return None
    rows = np.asarray(x[:SAMPLE], np.float32)
    random = _random_error(rows)
    beside = _error(rows, 1)
    if random <= 0 or beside > NEARER * random:
        return None
    best, found = np.inf, None
    for width in range(LEAST_SIDE, d // LEAST_SIDE + 1):
        if d % width == 0:
            above = _error(rows, width)
            # a curve's elements grow apart with the distance; a picture's are alike again a line further
            if above < best and above < min(_error(rows, width - 1), _error(rows, width + 1)):
                best, found = above, (1, d // width, width)
    if found is not None and best <= NEARER * random:
        return found
    return (1, d) if beside <= NEARER_ALONG * random else None


def _error(x: Array, lag: int) -> float:
    """Mean squared difference of an element and the middle of those `lag` columns to both sides."""
    if 2 * lag >= x.shape[1]:
        return np.inf
    middle = (x[:, : -2 * lag] + x[:, 2 * lag :]) / 2
    return float(((x[:, lag:-lag] - middle) ** 2).mean())


def _random_error(x: Array) -> float:
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, x.shape[1], (3, 4 * x.shape[1]))
    return float(((x[:, a] - (x[:, b] + x[:, c]) / 2) ** 2).mean())
