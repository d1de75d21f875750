"""Labels of a few beside the usual ways to use them; the nearest nine beside a course's model; groups without labels.

    python benchmarks/labels.py DATA_FOLDER [--seeds 0 1 2 3 4] [--only NAME ...] [--out FOLDER]

A fifth of each set (at most 20,000 items) is new, drawn by the seed; an autoencoder with every default is fitted to
the rest, without labels. Then 10, 100 and 1,000 of the fitted items get their label, one of each class first, others
at random, and the new items are told (accuracy). Rivals see the same labels and the pixels, or a table's columns
standardised and one-hot:
- "k-NN raw", "k-NN PCA": the nearest labelled items, weighted by distance, among the items or in PCA at as many
  latents as ours; k of 1, 3, 5, 9 and 15 by five folds (1 where a class has fewer than two labels);
- "propagation", "spreading": scikit-learn's LabelPropagation and LabelSpreading on 7 neighbours, the unlabelled too;
- "logistic": logistic regression on standardised items, C of .01, .1, 1 and 10 by five folds (1 where too few).
"asked" is ours with labels that `suggest` asked for, ten at a time after the first ten. "ece" is the mean gap between
probability and accuracy in ten bins; "expected" what is said of the accuracy beforehand; "inside": whether its 95 %
interval holds it; "known" and "wrong" the shares of new items that are known, and known wrongly, at alpha = .1.

The nearest nine: the share of the nine nearest fitted items of a new one that have its label, ours, raw, in PCA, and
in a model as a course has it: 784-250-100-10 and back, ReLU, Adam at .001, 6,400 steps of batches of 32.

Groups: adjusted mutual information with the labels, of k-means with as many groups as there are classes, on our map,
on our latents, in PCA and on the raw items; and of the groups of `cluster` as it comes.

Rows are appended to OUT/labels.csv as they come; what is there is not repeated. OUT/labels.md has the tables: means
over seeds with the least and the most.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from by_seed import Row, run

SETS = ("fashion", "mnist", "adult", "wine", "cells")
MOST, NEW, COUNTS, ALPHA = 20_000, 0.2, (10, 100, 1000), 0.1
VOTERS, CS = (1, 3, 5, 9, 15), (0.01, 0.1, 1.0, 10.0)


class Split:
    """A set as fitted and new: numbers (n, d) for rivals, what the user has for us, labels, and our latents."""

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        from sklearn.decomposition import PCA

        from latentspace.data.sources import read_items
        from latentspace.models.autoencoder import Autoencoder

        x, y, given = read(name, folder)
        rows = np.random.default_rng(seed).permutation(len(x))[:MOST]
        new, fitted = np.split(rows, [round(NEW * len(rows))])
        sort, items = read_items(given)
        self.x, self.x_new, self.y, self.y_new = x[fitted], x[new], y[fitted], y[new]
        model = Autoencoder(random_state=seed).fit_items(sort, sort.take(items, fitted))
        self.z, self.z_new = (
            np.ascontiguousarray(model.encode_items(sort.take(items, r)), np.float32) for r in (fitted, new)
        )
        k = min(self.z.shape[1], *self.x.shape)
        pca = PCA(k, random_state=seed).fit(self.x)
        self.p, self.p_new = pca.transform(self.x), pca.transform(self.x_new)
        self.classes = len(np.unique(y))


def read(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray, Any]:
    """(numbers (n, d) float32, labels (n,), the same as a user has it, without labels)."""
    import maps

    if name == "mnist":
        with np.load(folder / "images/mnist_5k.npz") as d:
            pictures, y = (d[key] for key in ("X", "y"))
        return pictures.reshape(len(pictures), -1) / np.float32(255), y, pictures.reshape(-1, 28, 28)
    x, y = maps.read(name, folder)
    if name == "fashion":
        return x, y, (x * 255).round().astype(np.uint8).reshape(-1, 28, 28)
    file, *dropped = {
        "adult": ("adult", "income"),
        "wine": ("wine_quality", "color"),
        "cells": ("cell_segmentation", "class", "case"),
    }[name]
    return x, y, pd.read_parquet(folder / f"tables/{file}.parquet").drop(columns=dropped)


def drawn(y: np.ndarray, m: int, seed: int) -> np.ndarray:
    """m rows, one of each class first."""
    order = np.random.default_rng(1000 + seed).permutation(len(y))
    _, first = np.unique(y[order], return_index=True)
    return np.concatenate([order[np.sort(first)], order[np.setdiff1d(np.arange(len(y)), first)]])[:m]


# --- labels ----------------------------------------------------------------------------------------------------


def told(split: Split, seed: int) -> Iterator[Row]:
    for m in COUNTS:
        if 2 * m > len(split.y):
            continue
        rows = drawn(split.y, m, seed)
        for measure, value in ours(split, rows, seed).items():
            yield "labels", m, "latentspace", measure, value
        for name, right in rivals(split, rows, seed).items():
            yield "labels", m, name, "accuracy", float(right.mean())
        if m == 100:
            yield "labels", m, "latentspace, asked", "accuracy", asked(split, m, seed)


def vote_of(split: Split, rows: np.ndarray, seed: int) -> Any:
    from latentspace.models.labels import LabelVote
    from latentspace.training.compared import Compared

    return LabelVote(split.z, Compared(split.z).nearest, rows, split.y[rows], split.classes, seed)


def ours(split: Split, rows: np.ndarray, seed: int) -> dict[str, float]:
    vote = vote_of(split, rows, seed)
    said = vote.tell(split.z_new)
    sure, hit = said.probabilities.max(axis=1), said.probabilities.argmax(axis=1) == split.y_new
    known = said.known(ALPHA, 0.01)
    bins = np.minimum((10 * sure).astype(int), 9)
    gaps = [abs(hit[bins == b].sum() - sure[bins == b].sum()) for b in range(10)]
    expected, low, high = vote.accuracy
    found = {"accuracy": hit.mean(), "ece": sum(gaps) / len(hit)}
    if np.isfinite(expected):
        found |= {"expected": expected, "inside": float(low <= hit.mean() <= high)}
    if vote.smallest_p <= ALPHA:
        found |= {"known": known.mean(), "wrong": (known & ~hit).mean()}
    return {name: float(value) for name, value in found.items()}


def asked(split: Split, m: int, seed: int) -> float:
    rows = drawn(split.y, 10, seed)
    while len(rows) < m:
        rows = np.concatenate([rows, vote_of(split, rows, seed).suggest(min(10, m - len(rows)), seed)])
    return ours(split, rows, seed)["accuracy"]


def rivals(split: Split, rows: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.semi_supervised import LabelPropagation, LabelSpreading

    y, few = split.y[rows], np.full(len(split.y), -1)
    few[rows] = y
    near = {k: KNeighborsClassifier(k, weights="distance") for k in VOTERS if k <= max(1, len(rows) // 2)}
    lines = {c: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=300)) for c in CS}
    return {
        "k-NN raw": best(near, 1, split.x[rows], y).predict(split.x_new) == split.y_new,
        "k-NN PCA": best(near, 1, split.p[rows], y).predict(split.p_new) == split.y_new,
        "logistic": best(lines, 1.0, split.x[rows], y).predict(split.x_new) == split.y_new,
        "propagation": LabelPropagation(kernel="knn", max_iter=100).fit(split.x, few).predict(split.x_new)
        == split.y_new,
        "spreading": LabelSpreading(kernel="knn", max_iter=100).fit(split.x, few).predict(split.x_new)
        == split.y_new,
    }


def best(models: dict[Any, Any], default: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """The model that five folds find best, fitted; the default where a class has fewer than two labels."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    least = np.bincount(y)[np.unique(y)].min()
    if least < 2 or len(models) == 1:
        return models[default].fit(x, y)
    folds = StratifiedKFold(min(5, int(least)), shuffle=True, random_state=0)
    scores = {
        key: np.nan_to_num(cross_val_score(model, x, y, cv=folds)).mean() for key, model in models.items()
    }
    return models[max(scores, key=lambda key: scores[key])].fit(x, y)


# --- the nearest nine ------------------------------------------------------------------------------------------


def nine(split: Split, seed: int) -> Iterator[Row]:
    views = {
        "latentspace": (split.z, split.z_new),
        "PCA": (split.p, split.p_new),
        "raw": (split.x, split.x_new),
    }
    if split.x.shape[1] == 784:
        encode = course(split.x, seed)
        views["course's model"] = (encode(split.x), encode(split.x_new))
    for name, (z, new) in views.items():
        yield "nine", 9, name, "purity", purity(z, split.y, new, split.y_new)


def purity(z: np.ndarray, y: np.ndarray, new: np.ndarray, y_new: np.ndarray) -> float:
    from latentspace.training.compared import Compared

    return float((y[Compared(z).nearest(new, 9)[0]] == y_new[:, None]).mean())


def course(x: np.ndarray, seed: int) -> Any:
    """The encoder of 784-250-100-10, learnt with its mirror in 6,400 steps."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    sizes = (784, 250, 100, 10)
    pairs = list(pairwise(sizes))
    down = [part for a, b in pairs for part in (nn.Linear(a, b), nn.ReLU())][:-1]
    up = [part for a, b in pairs[::-1] for part in (nn.Linear(b, a), nn.ReLU())][:-1]
    encoder, decoder = nn.Sequential(*down), nn.Sequential(*up, nn.Sigmoid())
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    items, rng = torch.from_numpy(x), np.random.default_rng(seed)
    for _ in range(6400):
        batch = items[rng.integers(0, len(x), 32)]
        loss = nn.functional.mse_loss(decoder(encoder(batch)), batch)
        adam.zero_grad()
        loss.backward()
        adam.step()

    def encode(new: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return encoder(torch.from_numpy(new)).numpy()

    return encode


# --- groups ----------------------------------------------------------------------------------------------------


def groups(split: Split, seed: int) -> Iterator[Row]:
    from sklearn.metrics import adjusted_mutual_info_score

    from latentspace.models.groups import by_density, by_middles
    from latentspace.models.map import MapHead

    some = slice(6000)
    z, y = split.z[some], split.y[some]
    at = MapHead.fit(z, seed=seed).place(z)
    found = {
        "map": by_middles(at, split.classes, seed=seed),
        "latents": by_middles(z, split.classes, seed=seed),
        "PCA": by_middles(split.p[some], split.classes, seed=seed),
        "raw": by_middles(split.x[some], split.classes, seed=seed),
        "cluster, as it comes": by_middles(at, None, z, seed),
        "hdbscan on the map": by_density(at, seed),
        "hdbscan on latents": by_density(z, seed),
    }
    for name, codes in found.items():
        yield "groups", split.classes, name, "information", float(adjusted_mutual_info_score(y, codes))


# --- all of it -------------------------------------------------------------------------------------------------


def rows_of(name: str, folder: Path, seed: int) -> Iterator[Row]:
    split = Split(name, folder, seed)
    for part in (told, nine, groups):
        yield from part(split, seed)


if __name__ == "__main__":
    run(__doc__, "labels", SETS, "labels", rows_of)
