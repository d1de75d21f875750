"""How good latents are, item by item, and how sure that is.

Every measure returns one value an item, so that two representations of the same items can be compared
pair by pair: `bootstrap_interval` gives the mean with its 95 % interval, of values or of differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Numeric labels with more distinct values than this are quantities, not classes.
MAX_CLASSES = 50
#: items whose distances to all others are held at once
BLOCK = 256

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: Floats, paired: Floats | None = None, *, seed: int = 0, draws: int = 1000
) -> Interval:
    """Mean of `values` (n,), or of ``values - paired``, with its 95 % interval from `draws` resamples.

    >>> interval = bootstrap_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> interval.value, interval.low < 2.5 < interval.high
    (2.5, True)
    """
    v = np.asarray(values, float) if paired is None else np.asarray(values, float) - np.asarray(paired, float)
    (means,) = _resampled_means((v,), seed, draws)
    return _interval(float(v.mean()), means)


def bootstrap_change(values: Floats, reference: Floats, *, seed: int = 0, draws: int = 1000) -> Interval:
    """How far the mean of `values` lies from that of `reference`, as a share of it, items resampled in pairs.

    >>> round(bootstrap_change(np.array([1.0, 2.0]), np.array([2.0, 4.0])).value, 6)
    -0.5
    """
    v, r = np.asarray(values, float), np.asarray(reference, float)
    ours, theirs = _resampled_means((v, r), seed, draws)
    floor = np.finfo(float).tiny
    return _interval(float(v.mean() / max(r.mean(), floor) - 1), ours / np.maximum(theirs, floor) - 1)


def _interval(value: float, resampled: Floats) -> Interval:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _resampled_means(columns: tuple[Floats, ...], seed: int, draws: int) -> list[Floats]:
    """Means of each column (n,) over the same `draws` resamples of the items, a bounded number at a time."""
    rng, n = np.random.default_rng(seed), len(columns[0])
    block = max(1, 2**20 // max(n, 1))
    means: list[list[Floats]] = [[] for _ in columns]
    for start in range(0, draws, block):
        rows = rng.integers(n, size=(min(block, draws - start), n))
        for found, column in zip(means, columns, strict=True):
            found.append(column[rows].mean(axis=1))
    return [np.concatenate(found) for found in means]


def _nearest(x: Floats, k: int) -> NDArray[np.intp]:
    """(n, k) the k nearest items of each, in no order."""
    return np.concatenate(
        [np.argpartition(d, k - 1, axis=1)[:, :k] for _, d in _between(x, x, np.arange(len(x)))]
    )


def trustworthiness(x: Floats, z: Floats, k: int = 10) -> NDArray[np.float64]:
    """How far the k neighbours in z are from being neighbours in x, (n,): 1 is best, .5 about chance.

    x and z are (n, ...) with n > 2k; the mean over items is the usual trustworthiness. Time grows with n²:
    give it at most a few thousand items.
    """
    return local_trustworthiness(x, z, x, z, k, own=np.arange(len(x)))


def local_trustworthiness(
    x: Floats,
    y: Floats,
    reference_x: Floats,
    reference_y: Floats,
    k: int = 15,
    own: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """How far each item's k nearest reference items in y are from being its nearest in x, (n,): 1 is best.

    x and y are the same n items twice, reference_x and reference_y the same m others, m >= 2k; `own` (n,): each
    item's own row in the reference, -1 where it is not in it. About .5 is chance. Continuity is the same with x and
    y swapped. Time grows with n times m: a few thousand reference items are enough.

    Raises ValueError where the reference is smaller.
    """
    m = len(reference_x) - (own is not None)
    if m < 2 * k:
        raise ValueError(f"trustworthiness of {k} neighbours needs at least {2 * k} other items, not {m}")
    own = np.full(len(x), -1) if own is None else own
    each = np.empty(len(x))
    seen_x, seen_y = _between(x, reference_x, own), _between(y, reference_y, own)
    for (rows, in_x), (_, in_y) in zip(seen_x, seen_y, strict=True):
        near = np.argpartition(in_y, k - 1, axis=1)[:, :k]
        places = np.sort(in_x, axis=1)
        far = np.take_along_axis(in_x, near, axis=1)
        ranks = np.stack([np.searchsorted(a, b) for a, b in zip(places, far, strict=True)]) + 1
        each[rows] = np.maximum(ranks - k, 0).sum(axis=1)
    return 1 - each * 2 / (k * (2 * m - 3 * k + 1))


def _between(
    x: Floats, reference: Floats, own: NDArray[np.intp]
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """(rows, squared distances (rows, m)) of items to the reference, infinite to an item's own row in it."""
    a, b = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (x, reference))
    centre = b.mean(axis=0)
    a, b = a - centre, b - centre
    norms = (b**2).sum(axis=1)
    for start in range(0, len(a), BLOCK):
        rows = slice(start, start + BLOCK)
        d = norms - 2 * (a[rows] @ b.T) + (a[rows] ** 2).sum(axis=1)[:, None]
        there = np.flatnonzero(own[rows] >= 0)
        d[there, own[rows][there]] = np.inf
        yield rows, d


def neighbours_kept(x: Floats, z: Floats, k: int = 10) -> NDArray[np.float64]:
    """Share of each item's k nearest in x that are among its k nearest in z, (n,).

    >>> x = np.arange(30.0)[:, None]
    >>> float(neighbours_kept(x, 2 * x, k=3).mean())
    1.0
    """
    both = [len(np.intersect1d(a, b)) for a, b in zip(_nearest(x, k), _nearest(z, k), strict=True)]
    return np.asarray(both, float) / k


def are_classes(y: NDArray[Any]) -> bool:
    """Whether labels name classes (text, yes/no, few whole numbers) rather than measure a quantity."""
    if y.dtype.kind not in "iuf":
        return True
    return len(np.unique(y)) <= MAX_CLASSES and bool(np.all(y == np.round(y)))


def _score(found: NDArray[Any], y: NDArray[Any], classes: bool) -> NDArray[np.float64]:
    """Right (1) or wrong (0) an item; for a quantity 1 − error²/variance, whose mean is R²."""
    if classes:
        return np.asarray(found == y, float)
    return np.asarray(1 - (found - y) ** 2 / max(float(np.var(y)), 1e-300))


def knn_accuracy(
    z_train: Floats, y_train: NDArray[Any], z_test: Floats, y_test: NDArray[Any], k: int = 10
) -> NDArray[np.float64]:
    """Whether the k nearest training items tell each test item's label, (n_test,).

    Where y is a quantity: 1 − error²/variance, whose mean is R².
    """
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    classes = are_classes(y_train)
    kind = KNeighborsClassifier if classes else KNeighborsRegressor
    voters = kind(min(k, len(z_train)), algorithm="brute").fit(z_train.reshape(len(z_train), -1), y_train)
    return _score(voters.predict(z_test.reshape(len(z_test), -1)), y_test, classes)


def linear_probe(
    z_train: Floats, y_train: NDArray[Any], z_test: Floats, y_test: NDArray[Any], max_rows: int = 3000
) -> NDArray[np.float64]:
    """Whether a linear model on standardised latents tells each test item's label, (n_test,).

    Where y is a quantity: 1 − error²/variance, whose mean is R². At most the first `max_rows` training items
    are used, so that it takes seconds.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    z, y = z_train[:max_rows].reshape(min(len(z_train), max_rows), -1), y_train[:max_rows]
    classes = are_classes(y_train)
    if classes and len(np.unique(y)) < 2:
        return _score(np.full(len(y_test), y[0]), y_test, classes)
    # A probe that has not quite converged is as good a yardstick, and the same effort for every rival.
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=100) if classes else Ridge())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(z, y)
    return _score(probe.predict(z_test.reshape(len(z_test), -1)), y_test, classes)
