"""How like held-out items samples are, item by item: told apart or not, covering them or not, copies or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: folds of the classifier, its trees, and the least items in a leaf
FOLDS, TREES, LEAF = 5, 60, 3
#: an item's neighbourhood reaches to its so-manieth nearest
REACH = 5
#: a sample nearer to a training item than this share of held-out items is counted as a copy
COPIES = 0.05


def told_apart(real: Array, made: Array, seed: int = 0) -> Floats:
    """(2n,) whether a classifier that saw others tells each of n real and n made items (n, d) from the other sort.

    The mean is the accuracy of the classifier two-sample test (Lopez-Paz and Oquab 2017): 0.5 where nothing tells
    them apart, 1 where all are told. The classifier is a random forest.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    n = min(len(real), len(made))
    x, y = np.concatenate([real[:n], made[:n]]), np.repeat([0, 1], n)
    forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, random_state=seed)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(forest, x, y, cv=folds) == y, float)


def covered(real: Array, made: Array, k: int = REACH) -> tuple[Floats, Floats]:
    """(density (m,), coverage (n,)) of made items (m, d) among real ones (n, d) (Naeem et al. 2020).

    Coverage: whether a made item lies in each real one's neighbourhood, which reaches to its k-th nearest. Density:
    in how many neighbourhoods each made item lies, over k; 1 on average where both are alike.
    """
    k = min(k, len(real) - 1)
    reach = np.sort(_squares(real, real), axis=1)[:, k]
    between = _squares(real, made)
    return (between < reach[:, None]).sum(axis=0) / k, (between.min(axis=1) < reach).astype(float)


def discrepancy(real: Array, made: Array) -> float:
    """Squared maximum mean discrepancy of real (n, d) and made items (m, d), unbiased; 0 where they are alike.

    Gaussian kernel as wide as the median distance of real items (Gretton et al. 2012).
    """
    own = _squares(real, real)
    width = float(np.median(own[np.triu_indices(len(own), 1)])) or 1.0
    inner, other, across = (np.exp(-d / width) for d in (own, _squares(made, made), _squares(real, made)))
    return float(_off_diagonal(inner) + _off_diagonal(other) - 2 * across.mean())


def copied(made_distances: Array, held_distances: Array) -> Floats:
    """(n,) which made items are nearer to a training item than all but COPIES of the held-out ones are.

    The mean is about COPIES where nothing was memorised, and 1 where all was.
    """
    return np.asarray(np.asarray(made_distances) <= np.quantile(held_distances, COPIES), float)


def _off_diagonal(kernel: Floats) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / max(n * (n - 1), 1))


def _squares(a: Array, b: Array) -> Floats:
    """(n, m) squared distances."""
    middle = a.mean(axis=0)
    a, b = np.asarray(a - middle, np.float64), np.asarray(b - middle, np.float64)
    return np.asarray(np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0))
