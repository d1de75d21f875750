"""Pairs that are the same or different: what a distance learnt from them is worth on items not seen, beside others.

    python benchmarks/pairs.py DATA_FOLDER [--seeds 0 1 2 3 4] [--only NAME ...] [--out FOLDER]

"fashion": Fashion-MNIST, 15,000 pictures without labels to learn from and 5,000 new ones; pairs of the former, half
of them the same class. Told are the area under the ROC curve of 10,000 pairs of new items, and the accuracy of the 10
nearest of a gallery of 1,000 labelled items. "adult" (6,000 rows; the hidden class is the income) and "gunpoint"
(UCR, 200 series of 150): half new, 200 pairs, 4,000 pairs of new items to judge by.

"latentspace" is what SiameseNetwork does: an autoencoder with every default on the items without labels, views, and
`models.pair_learning.learn_places`, which tries a network, too, where very many pairs of the same are known (its area
on held-out pairs is "network"); with 0 pairs its latents as they are. Rivals: the raw items (scaled as the model sees
them), PCA at 32 axes, and metric-learn's ITML, RCA and MMC (Xing et al. 2003; the whole matrix, or its diagonal
alone) on those 32 axes with the same pairs. "says" is the area under the curve that held-out pairs promised, "kept"
whether the space was left as it was, "seconds" the time to learn from a fitted space, views and all. metric-learn is
installed by hand (pip install metric-learn==0.7.0), and left out without it.

"asking": Fashion-MNIST again; pairs as `pairs ask` chooses them, in rounds of 250 each of which is learnt from, and
as many drawn at random from all pairs (a tenth of them are the same), and as above, half of them the same.

Rows are appended to OUT/pairs.csv as they come; what is there is not repeated. OUT/pairs.md has the tables: means
over seeds with the least and the most.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from by_seed import Row, run

COUNTS = {
    "fashion": (100, 500, 2000, 10_000),
    "adult": (200,),
    "gunpoint": (200,),
    "asking": (500, 1000, 2000),
}
GALLERY, AXES = 1000, 32


class Split:
    """A set as learnt from and new: our views, the raw items, PCA, and the hidden classes."""

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        from sklearn.decomposition import PCA

        from latentspace.data.sources import read_items
        from latentspace.models.autoencoder import Autoencoder
        from latentspace.models.views import Views

        given, y, kind = read(name, folder, seed)
        rows = np.random.default_rng(seed).permutation(len(y))
        old, new = np.split(rows, [15_000 if name == "fashion" else len(y) // 2])
        sort, items = read_items(given, kind)
        model = Autoencoder(random_state=seed).fit_items(sort, sort.take(items, old))
        x, x_new = (sort.transform(sort.take(items, part))[0] for part in (old, new))
        z, z_new = model.encode(x), model.encode(x_new)
        learnt = Views(x, seed)
        self.views, self.views_new = learnt.of(x, z), learnt.of(x_new, z_new)
        self.items, self.items_new, self.z, self.z_new = x, x_new, z, z_new
        self.origin = getattr(sort, "origin", None)
        self.x, self.x_new = (part.reshape(len(part), -1) for part in (x, x_new))
        pca = PCA(min(AXES, *self.x.shape), random_state=seed).fit(self.x)
        self.p, self.p_new = pca.transform(self.x), pca.transform(self.x_new)
        self.y, self.y_new = y[old], y[new]


def read(name: str, folder: Path, seed: int) -> tuple[Any, np.ndarray, str]:
    """(what a user has, hidden classes (n,), its modality)."""
    if name == "fashion":
        with np.load(folder / "images/fashion_mnist_20k.npz") as d:
            return (
                np.concatenate([d["X_train"], d["X_test"]]),
                np.concatenate([d["y_train"], d["y_test"]]),
                "auto",
            )
    if name == "gunpoint":
        with np.load(folder / "signals/ucr_GunPoint.npz") as d:
            y = np.concatenate([d["y_train"], d["y_test"]])
            return np.concatenate([d["X_train"], d["X_test"]]), np.unique(y, return_inverse=True)[1], "signal"
    frame = pd.read_parquet(folder / "tables/adult.parquet").sample(6000, random_state=seed)
    y = pd.factorize(frame.pop("income").astype(str))[0]
    return frame.reset_index(drop=True), y, "auto"


def drawn(y: np.ndarray, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows (m, 2), same (m,)), half of them the same."""
    rng = np.random.default_rng(100 + seed)
    rows = rng.integers(0, len(y), (max(40 * m, 1000), 2))
    rows = rows[rows[:, 0] != rows[:, 1]]
    same = y[rows[:, 0]] == y[rows[:, 1]]
    chosen = np.concatenate([np.flatnonzero(same)[: m // 2], np.flatnonzero(~same)[: m - m // 2]])
    chosen = rng.permutation(chosen)
    return rows[chosen], same[chosen]


def judged(split: Split, z: np.ndarray, z_new: np.ndarray, seed: int) -> dict[str, float]:
    """The area under the ROC curve of pairs of new items, and the accuracy of the 10 nearest of a large gallery."""
    from sklearn.neighbors import KNeighborsClassifier

    from latentspace.models.pair_metric import area

    rows, same = drawn(split.y_new, 10_000 if len(split.y_new) > 4000 else 4000, 1000 + seed)
    found = {"area": area(np.linalg.norm(z_new[rows[:, 0]] - z_new[rows[:, 1]], axis=1), same)}
    if len(z) > GALLERY:
        gallery = np.random.default_rng(1000 + seed).permutation(len(z))[:GALLERY]
        vote = KNeighborsClassifier(10).fit(z[gallery], split.y[gallery])
        found["accuracy"] = float(vote.score(z_new, split.y_new))
    return found


def measured(split: Split, counts: tuple[int, ...], seed: int) -> Iterator[Row]:
    from latentspace.models.pair_learning import learn_places
    from latentspace.models.views import Views

    ours = split.views["latents"], split.views_new["latents"]
    for name, (z, new) in {
        "raw": (split.x, split.x_new),
        "PCA": (split.p, split.p_new),
        "latentspace": ours,
    }.items():
        yield from rows_for(0, name, judged(split, z, new, seed))
    for m in counts:
        rows, same = drawn(split.y, m, seed)
        start, x = time.perf_counter(), split.items
        views = Views(x, seed)
        seen = views.of(x, split.z)
        metric, seen = learn_places(views, seen, x, rows, same, origin=split.origin, seed=seed)
        told = {"seconds": time.perf_counter() - start, "says": metric.after}
        told |= {"kept": float(metric.kept_old), "network": metric.network}
        z = metric.transform(seen)
        new = metric.transform(views.of(split.items_new, split.z_new, metric.view))
        yield from rows_for(m, "latentspace", told | judged(split, z, new, seed))
        for name, change in rivals(split, rows, same):
            yield from rows_for(m, name, judged(split, split.p @ change, split.p_new @ change, seed))


def rows_for(m: int, method: str, found: dict[str, float]) -> Iterator[Row]:
    yield from (("pairs", m, method, measure, value) for measure, value in found.items())


def asking(split: Split, counts: tuple[int, ...], seed: int) -> Iterator[Row]:
    from latentspace.models.asking import ask
    from latentspace.models.pair_metric import learn

    rng = np.random.default_rng(seed)
    places = split.views["latents"]
    asked, known = np.zeros((0, 2), np.intp), set[frozenset[int]]()

    def is_known(a: int, b: int) -> bool:
        return frozenset((a, b)) in known

    for m in counts:
        wild = rng.integers(0, len(split.y), (2 * m, 2))
        wild = wild[wild[:, 0] != wild[:, 1]][:m]
        while len(asked) < m:
            rows = ask(places, min(250, m - len(asked)), is_known, len(asked))
            known.update(frozenset(pair) for pair in rows.tolist())
            asked = np.concatenate([asked, rows])
            same = split.y[asked[:, 0]] == split.y[asked[:, 1]]
            metric = learn(split.views, asked, same, seed)
            places = metric.transform(split.views)
        for name, rows in (
            ("asked", asked),
            ("at random", wild),
            ("half the same", drawn(split.y, m, seed)[0]),
        ):
            metric = learn(split.views, rows, split.y[rows[:, 0]] == split.y[rows[:, 1]], seed)
            found = judged(split, metric.transform(split.views), metric.transform(split.views_new), seed)
            yield from rows_for(m, name, found)


def rivals(split: Split, rows: np.ndarray, same: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """metric-learn's linear maps of PCA's axes, where it is installed and finds one."""
    peers = metric_learn()
    if peers is None:
        return
    chunks = np.full(len(split.p), -1)
    for chunk, (a, b) in enumerate(rows[same]):
        chunks[a] = chunks[b] = chunk
    pairs, y = split.p[rows], np.where(same, 1, -1)
    fits = {
        "ITML": lambda: peers.ITML(max_iter=200, random_state=0).fit(pairs, y),
        "RCA": lambda: peers.RCA().fit(split.p, chunks),
        "MMC": lambda: peers.MMC(random_state=0).fit(pairs, y),
        "MMC, diagonal": lambda: peers.MMC(diagonal=True, random_state=0).fit(pairs, y),
    }
    for name, fit in fits.items():
        try:
            change = fit().components_.T
        except Exception as failure:
            print(f"{name}: {type(failure).__name__}: {str(failure)[:100]}", flush=True)
            continue
        if np.isfinite(change).all():
            yield name, change
        else:
            print(f"{name} of {len(rows)} pairs: its map is not finite", flush=True)


@cache
def metric_learn() -> Any:
    """The package, whose version 0.7 calls an argument of scikit-learn by its older name; None without it."""
    try:
        import metric_learn as found
        from metric_learn import _util
    except ImportError as failure:
        print(f"metric-learn: {failure}")
        return None
    for name in ("check_array", "check_X_y"):
        setattr(_util, name, renamed(getattr(_util, name)))
    return found


def renamed(check: Any) -> Any:
    """`check` of scikit-learn, taking `force_all_finite` for `ensure_all_finite`."""

    def call(*args: Any, **options: Any) -> Any:
        if "force_all_finite" in options:
            options["ensure_all_finite"] = options.pop("force_all_finite")
        return check(*args, **options)

    return call


def rows_of(name: str, folder: Path, seed: int) -> Iterator[Row]:
    split = Split("fashion" if name == "asking" else name, folder, seed)
    yield from (asking if name == "asking" else measured)(split, COUNTS[name], seed)


if __name__ == "__main__":
    run(__doc__, "pairs", tuple(COUNTS), "pairs", rows_of)
