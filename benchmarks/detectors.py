"""The anomaly detectors that stand side by side: ours, PyOD's, and plain neighbours.

Each takes the training rows, the test rows, whether these are the same rows, and a seed, and gives the scores
of the test rows (higher is odder) and the fitted detector. All keep their defaults. Ours gets the columns as
they are, the others get them standardised by the training rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from inspect import signature

import numpy as np
from sklearn.neighbors import NearestNeighbors

OURS = "AnomalyDetector (ours)"
REFERENCE_ROWS = 2_048

#: (train, test, whether test is train, seed) -> scores of the test rows, and the fitted detector
Method = Callable[[np.ndarray, np.ndarray, bool, int], tuple[np.ndarray, object]]
#: module and class under pyod.models
PYOD = {
    "IForest": "iforest", "KNN": "knn", "LOF": "lof", "ECOD": "ecod", "COPOD": "copod", "HBOS": "hbos",
    "CBLOF": "cblof", "PCA": "pca", "OCSVM": "ocsvm", "AutoEncoder": "auto_encoder", "DeepSVDD": "deep_svdd",
}  # fmt: skip


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread < 1e-12] = 1.0
    return (train - mean) / spread, (test - mean) / spread


def ours(train: np.ndarray, test: np.ndarray, same: bool, seed: int) -> tuple[np.ndarray, object]:
    from latentspace import AnomalyDetector

    detector = AnomalyDetector(random_state=seed).fit(train)
    return detector.anomaly_score(test), detector


def pyod(name: str) -> Method:
    """A PyOD detector with its defaults; the seed where it takes one."""

    def score(train: np.ndarray, test: np.ndarray, same: bool, seed: int) -> tuple[np.ndarray, object]:
        detector = getattr(import_module(f"pyod.models.{PYOD[name]}"), name)
        takes = signature(detector).parameters
        given = {"random_state": seed, "verbose": 0, "n_features": train.shape[1]}
        model = detector(**{key: value for key, value in given.items() if key in takes})
        train, test = standardised(train, test)
        model.fit(train)
        return (model.decision_scores_ if same else model.decision_function(test)), model

    return score


def mean_of_neighbours(k: int) -> Method:
    def score(train: np.ndarray, test: np.ndarray, same: bool, seed: int) -> tuple[np.ndarray, object]:
        train, test = standardised(train, test)
        chosen = np.random.default_rng(seed).permutation(len(train))[:REFERENCE_ROWS]
        search = NearestNeighbors(n_neighbors=min(k + same, len(chosen))).fit(train[chosen])
        distances, found = search.kneighbors(test)
        if same:
            distances[chosen[found] == np.arange(len(test))[:, None]] = np.inf
            distances = np.sort(distances, axis=1)[:, :-1]
        return distances.mean(axis=1), None

    return score


METHODS: dict[str, Method] = {
    OURS: ours,
    "mean of 5-NN": mean_of_neighbours(5),
    "mean of 50-NN": mean_of_neighbours(50),
    **{f"PyOD {name}": pyod(name) for name in PYOD},
}


def silent(method: Method, *arguments: object) -> tuple[np.ndarray, object]:
    """A method without its prints."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return method(*arguments)
