"""Where to draw the line between the same and the different, and what that costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def rates(distances: Array, same: Mask) -> tuple[Floats, Floats, Floats]:
    """(thresholds (t,), false-match rates (t,), true-match rates (t,)): one at each distance, from below all.

    False match: a different pair that is called the same. Raises DataError where one sort is missing.
    """
    if not 0 < same.sum() < len(same):
        raise DataError("Pairs of both sorts are needed to draw the line: the same, and different ones.")
    order = np.argsort(distances, kind="stable")
    d, s = np.asarray(distances, float)[order], same[order]
    last = np.append(np.flatnonzero(np.diff(d)), len(d) - 1)  # of equal distances all or none
    matched, wrongly = np.cumsum(s)[last], np.cumsum(~s)[last]
    below = np.nextafter(d[0], -np.inf)
    return (
        np.append(below, d[last]),
        np.append(0.0, wrongly / int((~s).sum())),
        np.append(0.0, matched / int(s.sum())),
    )


def best_threshold(
    distances: Array, same: Mask, strategy: str = "accuracy", beta: float = 1.0, max_fmr: float = 0.01
) -> float:
    """The distance up to which pairs are called the same: most accurate, of the best F-beta, or finding the most of
    the same at a false-match rate of at most `max_fmr`; of several such the smallest, in the middle to the next one.
    Raises DataError where one sort is missing.

    >>> best_threshold(np.array([1.0, 2.0, 4.0, 5.0]), np.array([True, True, False, False]))
    3.0
    """
    at, false, true = rates(distances, same)
    n_same, n_different = int(same.sum()), int((~same).sum())
    if strategy == "accuracy":
        worth = true * n_same + (1 - false) * n_different
    elif strategy == "f_beta":
        found, wrong = true * n_same, false * n_different
        worth = (
            (1 + beta**2)
            * found
            / np.maximum((1 + beta**2) * found + beta**2 * (n_same - found) + wrong, 1e-12)
        )
    else:
        worth = np.where(false <= max_fmr, true, -1.0)
    best = int(worth.argmax())
    inner = 0 < best < len(at) - 1  # else none is the same, or all are
    return float((at[best] + at[best + 1]) / 2) if inner else float(at[best])


def equal_error_rate(distances: Array, same: Mask) -> float:
    """The error rate at the threshold where false matches and false non-matches are equally frequent."""
    _, false, true = rates(distances, same)
    misses = 1 - true
    best = int(np.abs(false - misses).argmin())
    return float((false[best] + misses[best]) / 2)
