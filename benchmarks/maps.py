"""Maps beside umap-learn, PaCMAP, PCA and an MLP head: how well do items not seen in fitting land, and how fast?

    python benchmarks/maps.py DATA_FOLDER [--seeds 0 1 2] [--only NAME ...] [--methods NAME ...] [--out FOLDER]
                              [--install-peers]

A fifth of each set is new, drawn by the seed; every method fits the rest and then places the new rows. All get the
same matrix of numbers (pixels; tables standardised and one-hot; embeddings as they are) and keep their defaults.
Nobody sees a label. Measured on at most 2,000 new rows: trustworthiness and continuity of 15 neighbours among them
(scikit-learn's), and, on all new rows, the accuracy of the 10 nearest fitted items on the map. "PCA" is its plane;
"MLP head" is scikit-learn's MLPRegressor (256, 256) taught our layout: the parametric map that ours is not.

Every run has a process of its own. "First" times hold what a user waits for in a new process, the compilation of
umap-learn and PaCMAP included (imports apart); "warm" times are of a second fit and transform in it, and "one" is the
warm transform of single rows. umap-learn is run as it comes (parallel, not repeatable) and with a random_state
(repeatable, as ours always is).

Rows are appended to OUT/maps.csv as they come; rows already there are not repeated. OUT/maps.md has the table: means
over seeds, and ours minus each peer with the least and the most over seeds.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SETS = ("fashion", "adult", "sotu", "wine", "cells")
SCORES = ("trustworthiness", "continuity", "accuracy")
TIMES = ("fit_first", "fit_warm", "transform_first", "transform_warm", "one")
FIELDS = ("set", "seed", "method", *SCORES, *TIMES)
MOST, NEW, MEASURED, SINGLE = 20_000, 0.2, 2000, 20

Fitted = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]


# --- sets ------------------------------------------------------------------------------------------------------


def table(path: Path, label: str, *unused: str) -> tuple[np.ndarray, np.ndarray]:
    """A table as numbers: standardised, categories one-hot; gaps at the mean and as a category of their own."""
    frame = pd.read_parquet(path).drop(columns=list(unused))
    y = pd.factorize(frame.pop(label))[0]
    numbers = frame.select_dtypes("number")
    words = frame.drop(columns=numbers.columns).astype(str)
    one_hot = [pd.get_dummies(words, dtype=float)] if len(words.columns) else []
    scaled = ((numbers - numbers.mean()) / numbers.std()).fillna(0)
    return np.hstack([scaled, *one_hot]).astype(np.float32), y


def read(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(items (n, d) float32, labels (n,))."""
    if name == "fashion":
        with np.load(folder / "images/fashion_mnist_20k.npz") as d:
            x = np.concatenate([d["X_train"], d["X_test"]]).reshape(-1, 784) / np.float32(255)
            return x, np.concatenate([d["y_train"], d["y_test"]])
    if name == "sotu":
        with np.load(folder / "text/sotu_minilm.npz") as d:
            x = d["X"].astype(np.float32)
        return x, pd.factorize(pd.read_parquet(folder / "text/sotu_passages.parquet")["president"])[0]
    tables: dict[str, tuple[str, ...]] = {
        "adult": ("adult", "income"),
        "wine": ("wine_quality", "color"),
        "cells": ("cell_segmentation", "class", "case"),
    }
    file, *rest = tables[name]
    return table(folder / f"tables/{file}.parquet", *rest)


def split(name: str, folder: Path, seed: int) -> tuple[np.ndarray, ...]:
    """(fitted items, their labels, new items, their labels)."""
    x, y = read(name, folder)
    rows = np.random.default_rng(seed).permutation(len(x))[:MOST]
    new, fitted = np.split(rows, [round(NEW * len(rows))])
    return x[fitted], y[fitted], x[new], y[new]


# --- methods: x, seed -> (where x lies, what places other items) --------------------------------------------------


def ours(x: np.ndarray, seed: int) -> Fitted:
    from latentspace import LatentMap

    fitted = LatentMap(random_state=seed).fit(x)
    return fitted.embedding_, fitted.transform


def umap(x: np.ndarray, seed: int | None) -> Fitted:
    from umap import UMAP

    fitted = UMAP(random_state=seed).fit(x)
    return fitted.embedding_, fitted.transform


def pacmap(x: np.ndarray, seed: int) -> Fitted:
    from pacmap import PaCMAP

    fitted = PaCMAP(save_tree=True, random_state=seed)
    return fitted.fit_transform(x), lambda new: fitted.transform(new, basis=x)


def pca(x: np.ndarray, seed: int) -> Fitted:
    from sklearn.decomposition import PCA

    fitted = PCA(2, random_state=seed).fit(x)
    return fitted.transform(x), fitted.transform


def mlp(x: np.ndarray, seed: int) -> Fitted:
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline

    layout, _ = ours(x, seed)
    spread = layout.std()
    head = MLPRegressor(
        hidden_layer_sizes=(256, 256), batch_size=256, max_iter=60, early_stopping=True, random_state=seed
    )
    fitted = make_pipeline(PCA(min(64, x.shape[1]), random_state=seed), head).fit(x, layout / spread)
    return fitted.predict(x) * spread, lambda new: fitted.predict(new) * spread


METHODS: dict[str, Callable[[np.ndarray, int], Fitted]] = {
    "latentspace": ours,
    "umap-learn": lambda x, seed: umap(x, None),
    "umap-learn, seeded": umap,
    "PaCMAP": pacmap,
    "PCA": pca,
    "MLP head": mlp,
}
MODULES = {"umap-learn": "umap", "umap-learn, seeded": "umap", "PaCMAP": "pacmap"}


def timed(call: Callable[..., Any], *given: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    made = call(*given)
    return made, time.perf_counter() - start


def measure(name: str, folder: Path, seed: int, method: str) -> dict[str, Any]:
    """One row, in a process of its own."""
    from importlib import import_module

    from sklearn.manifold import trustworthiness
    from sklearn.neighbors import KNeighborsClassifier

    warnings.simplefilter("ignore")
    import_module(MODULES.get(method, "latentspace.estimators.latent_map"))
    x, y, new, new_y = split(name, folder, seed)
    row: dict[str, Any] = {"set": name, "seed": seed, "method": method}
    (_, place), row["fit_first"] = timed(METHODS[method], x, seed)
    _, row["transform_first"] = timed(place, new)
    (at, place), row["fit_warm"] = timed(METHODS[method], x, seed)
    place(new)
    there, row["transform_warm"] = timed(place, new)
    _, single = timed(lambda: [place(new[i : i + 1]) for i in range(SINGLE)])
    row["one"] = single / SINGLE
    few = slice(MEASURED)
    row["trustworthiness"] = trustworthiness(new[few], there[few], n_neighbors=15)
    row["continuity"] = trustworthiness(there[few], new[few], n_neighbors=15)
    row["accuracy"] = KNeighborsClassifier(10).fit(at, y).score(there, new_y)
    return row


def alone(*given: Any) -> dict[str, Any]:
    """`measure` in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(measure, *given).result()


# --- what it says ----------------------------------------------------------------------------------------------


def markdown(rows: pd.DataFrame) -> str:
    """One table a set: means over seeds, and ours minus each peer with the seeds' range."""
    lines = []
    for name, part in rows.groupby("set", sort=False):
        means = part.groupby("method", sort=False)[[*SCORES, *TIMES]].mean()
        base = part[part.method == "latentspace"].set_index("seed")
        lines += [f"\n### {name} ({part.seed.nunique()} seeds)\n"]
        head = ("method", *SCORES, "ours minus it: trustworthiness", "accuracy", "fit first / warm, s")
        lines += [
            f"| {' | '.join((*head, 'transform first / warm, s', 'one, ms'))} |",
            "|" + "---|" * (len(head) + 2),
        ]
        for method, mean in means.iterrows():
            gaps = [
                "" if method == "latentspace" else gap(base[score], part[part.method == method], score)
                for score in ("trustworthiness", "accuracy")
            ]
            cells = [f"{mean[score]:.4f}" for score in SCORES] + gaps
            cells += [
                f"{mean[f'{what}_first']:.2f} / {mean[f'{what}_warm']:.3f}" for what in ("fit", "transform")
            ]
            lines.append(f"| {method} | {' | '.join(cells)} | {1000 * mean['one']:.2f} |")
    return "\n".join(lines)


def gap(base: pd.Series, part: pd.DataFrame, score: str) -> str:
    """Mean over seeds of ours minus a peer's, with the least and the most."""
    apart = (base - part.set_index("seed")[score]).dropna()
    return f"{apart.mean():+.4f} ({apart.min():+.4f} to {apart.max():+.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--install-peers", action="store_true")
    options = parser.parse_args()
    if options.install_peers:
        from fit_speed import install_peers

        python = str(install_peers())
        os.execv(python, [python, __file__, *(word for word in sys.argv[1:] if word != "--install-peers")])
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}: scores do not mind company, times do.")
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "maps.csv"
    done = set()
    if file.exists():
        done = set(pd.read_csv(file)[["set", "seed", "method"]].itertuples(index=False, name=None))
    for name in options.only:
        for seed in options.seeds:
            for method in options.methods:
                if (name, seed, method) in done:
                    continue
                try:
                    row = alone(name, options.data, seed, method)
                except Exception as failure:
                    print(f"{method} on {name}: {type(failure).__name__}: {str(failure)[:150]}", flush=True)
                    continue
                with file.open("a", newline="") as handle:
                    writer = csv.DictWriter(handle, FIELDS)
                    if not handle.tell():
                        writer.writeheader()
                    writer.writerow(row)
                shown = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()}
                print(" ".join(map(str, shown.values())), flush=True)
    text = markdown(pd.read_csv(file))
    (options.out / "maps.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
