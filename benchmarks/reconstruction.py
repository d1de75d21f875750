"""Held-out reconstruction error beside PCA's, at 2, 8 and 32 latents, over every data set of a folder.

    python benchmarks/reconstruction.py DATA_FOLDER [--seeds 0 1 2] [--only NAME ...] [--out FOLDER]

For each set, size and seed: a random 80/20 split of the items (signals by series or stretches), the
modality fitted on the 80 %, ours and PCA on the same encoded 80 %, and the mean squared error of each on the
20 % (observed elements, encoded scale: overall variance 1). Sizes that are not below the number of encoded
values are left out. The interval is that of the paired difference over held-out items (bootstrap, 95 %).
Rows are printed, and appended to OUT/reconstruction.csv, as they come; rows already there are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from latentspace import Autoencoder
from latentspace.data._holdout import hold_out
from latentspace.data.base import Items
from latentspace.data.sources import read_items
from latentspace.errors import LatentspaceError
from latentspace.likelihoods import Gaussian
from latentspace.rivals.pca import PCA
from latentspace.space.quality import bootstrap_interval

SIZES = (2, 8, 32)
FIELDS = (
    "set",
    "kind",
    "items",
    "values",
    "latents",
    "seed",
    "pca",
    "ours",
    "ratio",
    "low",
    "high",
    "kept",
    "s",
)
#: patterns below the data folder
SETS = (
    "adbench/*.npz",
    "images/*.npz",
    "images/flags_png",
    "signals/*.npz",
    "signals/nab/*.parquet",
    "signals/glucose_cgm.parquet",
    "signals/cmapss_train_FD001.parquet",
    "tables/*.parquet",
    "tables/*.npz",
    "text/*.npz",
    "science/a1b*.npz",
)
SKIP = {"flights_3m", "cmapss_RUL_FD001"}


def sources(folder: Path, only: list[str]) -> Iterator[Path]:
    """The data sets of `folder`, in the order of SETS."""
    for pattern in SETS:
        for path in sorted(folder.glob(pattern)):
            if path.stem not in SKIP and (not only or any(word in path.stem for word in only)):
                yield path


def split(items: Items, seed: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and a fifth held out; signals by whole series or stretches that share no sample."""
    fit, test = hold_out(items, 0.2, seed)
    rng = np.random.default_rng(seed)
    return rng.permutation(fit)[: most * 4 // 5], test[: most // 5]


def item_errors(
    x: np.ndarray, expected: np.ndarray, observed: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Squared error and number of observed elements of each item."""
    squares = ((expected - x) ** 2).reshape(len(x), -1)
    seen = np.ones(squares.shape, bool) if observed is None else observed.reshape(squares.shape)
    return (squares * seen).sum(axis=1, dtype=float), seen.sum(axis=1)


def compare(path: Path, seed: int, most: int, done: set[tuple[str, int, int]]) -> Iterator[dict[str, object]]:
    """One row for each size."""
    modality, items = read_items(path)
    fit, test = split(items, seed, most)
    if not len(test):
        return
    train_items, test_items = modality.take(items, fit), modality.take(items, test)
    for k in SIZES:
        if (path.stem, k, seed) in done:
            continue
        began = time.process_time()
        fresh = read_items(path)[0]
        x = fresh.fit(train_items).transform(train_items)[0]
        if k >= min(x[0].size, len(x)):
            continue
        pca = PCA(0).fit(x, k)
        model = Autoencoder(k, random_state=seed).fit_items(fresh, train_items)
        x, observed = fresh.transform(test_items)
        (ours, n), (theirs, _) = (
            item_errors(x, expected, observed)
            for expected in (model.decode(model.encode(x)), pca.reconstruct(x))
        )
        difference = bootstrap_interval(ours / n.mean(), theirs / n.mean(), seed=0)
        yield {
            "set": path.stem,
            "kind": modality.name + ("" if isinstance(fresh.likelihood, Gaussian) else ", mixed"),
            "items": len(fit),
            "values": x[0].size,
            "latents": k,
            "seed": seed,
            "pca": theirs.sum() / n.sum(),
            "ours": ours.sum() / n.sum(),
            "ratio": ours.sum() / max(theirs.sum(), 1e-12 * n.sum()),
            "low": difference.low,
            "high": difference.high,
            "kept": int(model.history_.kept_start),
            "s": round(time.process_time() - began, 1),
        }


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def summary(rows: list[dict[str, str]]) -> str:
    """In how many cells ours is at most PCA's, the worst and the mean ratio; mixed tables apart."""
    lines = []
    for title, wanted in (("numeric, pictures, signals, vectors", False), ("mixed tables", True)):
        cells: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for row in rows:
            if ("mixed" in row["kind"]) == wanted:
                cells.setdefault((row["set"], row["latents"]), []).append(
                    (float(row["ours"]), float(row["pca"]))
                )
        means = {cell: np.mean(values, axis=0) for cell, values in cells.items()}
        ratios = {cell: ours / max(pca, 1e-9) if pca > 1e-9 else 1.0 for cell, (ours, pca) in means.items()}
        worse = {cell: r for cell, r in ratios.items() if r > 1 + 1e-4}
        if ratios:
            lines.append(
                f"{title}: ours <= PCA in {len(ratios) - len(worse)} of {len(ratios)} cells; mean ratio "
                f"{np.mean(list(ratios.values())):.3f}, worst {max(ratios.values()):.4f}"
            )
            lines += [f"  worse: {name} at {k}: {r:.4f}" for (name, k), r in sorted(worse.items())]
    return "\n".join(lines)


def markdown(rows: list[dict[str, str]]) -> str:
    """Ratio ours / PCA of each set and size, the mean over seeds."""
    cells: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        cells.setdefault(row["set"], {}).setdefault(row["latents"], []).append(
            float(row["ratio"]) if float(row["pca"]) > 1e-9 else 1.0
        )
    lines = ["| set | 2 | 8 | 32 |", "|---|--:|--:|--:|"]
    for name, sizes in cells.items():
        ratios = [f"{np.mean(sizes[str(k)]):.3f}" if str(k) in sizes else "" for k in SIZES]
        lines.append(f"| {name} | {' | '.join(ratios)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--max-items", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "reconstruction.csv"
    earlier = list(csv.DictReader(table.open())) if table.exists() else []
    done = {(row["set"], int(row["latents"]), int(row["seed"])) for row in earlier}
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not earlier:
            writer.writeheader()
            print(*FIELDS, sep="\t")
        for seed in options.seeds:
            for path in sources(options.data, options.only):
                try:
                    for row in compare(path, seed, options.max_items, done):
                        writer.writerow(row)
                        file.flush()
                        print(*(shown(v) for v in row.values()), sep="\t", flush=True)
                except LatentspaceError as refusal:
                    print(f"{path.stem}: left out: {refusal}", flush=True)
    rows = list(csv.DictReader(table.open()))
    (options.out / "reconstruction.md").write_text(markdown(rows))
    print(summary(rows))


if __name__ == "__main__":
    main()
