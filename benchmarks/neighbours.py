"""The nearest ten: queries in a CPU-second, exactly and nearly, beside scikit-learn, faiss, hnswlib and usearch.

    OMP_NUM_THREADS=1 python benchmarks/neighbours.py DATA_FOLDER [--fashion PATH] [--only NAME ...] [--seeds 0 1 2]
                                                      [--methods WORD ...] [--out FOLDER] [--install-peers]

Latents of real data, never random vectors, whose neighbours are no one's: an Autoencoder (64 latents) is fitted on
20,000 of the items and encodes them all. "flights": 60,000 rows of `tables/flights_3m.parquet` and 10,000 queries
of it that are not among them; "flights 500k": the same with 500,000 and 2,000; "fashion": the 60,000 training
pictures and the 10,000 test pictures of Fashion-MNIST (--fashion PATH: a folder of Debian's dataset-fashion-mnist),
without it 18,000 and 2,000 of `images/fashion_mnist_20k.npz`.

All on one thread, in CPU seconds, the best of three. A way that is not exact has a knob (cells or points looked at):
every peer's is turned up until recall@10 of the queries is at least 0.99, and that run counts; ours is left as `fit`
leaves it, which measures recall on the items themselves and sees no query. Of points equally far any will do. "open"
is reading the index back from disk (memory-mapped where it can be), "one" a query by itself. "within": recall of
queries whose neighbours may come from a tenth of the items only, those farthest along the first principal axis: ours
compares them all; faiss and hnswlib look with a selector, at the same setting.

Rows are appended to OUT/neighbours.csv as they come; OUT/neighbours.md has the tables (mean over seeds, range).
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

K, GOAL, LEARNT, LATENTS, SINGLE = 10, 0.99, 20_000, 64, 200
SETS = {"fashion": (60_000, 10_000), "flights": (60_000, 10_000), "flights 500k": (500_000, 2000)}
FIELDS = (
    "set",
    "seed",
    "method",
    "setting",
    "per_second",
    "against",
    "recall",
    "build",
    "open",
    "one",
    "within",
)
BASE = "scikit-learn brute"
#: cells or points looked at
STEPS = (4, 6, 8, 12, 16, 20, 24, 28, 32, 36, 40, 48, 56, 64, 80, 96, 128, 192, 256, 512, 1024)

Found = np.ndarray
Search = Callable[[np.ndarray], Found]


class Made(NamedTuple):
    """A search; what turns its knob (None: it has none); how it is read back; a search among some rows."""

    search: Search
    turn: Callable[[int], None] | None = None
    opened: Callable[[], Any] | None = None
    among: Callable[[np.ndarray, np.ndarray], Found] | None = None
    setting: str = ""


# --- latents -----------------------------------------------------------------------------------------------------


def items_of(name: str, folder: Path, fashion: Path | None, seed: int) -> tuple[Any, int]:
    """(items in an order drawn by the seed, how many of them are queries, the last ones)."""
    points, queries = SETS[name]
    rng = np.random.default_rng(seed)
    if name == "fashion":
        from latentspace.data.files import read_arrays

        if fashion is None:
            with np.load(folder / "images/fashion_mnist_20k.npz") as d:
                x = np.concatenate([d["X_train"], d["X_test"]])
            return x[rng.permutation(len(x))], 2000
        parts = [read_arrays(fashion / f"{p}-images-idx3-ubyte.gz")["X"] for p in ("train", "t10k")]
        return np.concatenate([parts[0][rng.permutation(60_000)], parts[1]]), queries
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "tables/flights_3m.parquet")
    return table.take(rng.permutation(len(table))[: points + queries]), queries


def latents(name: str, folder: Path, fashion: Path | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(points (n, 64), queries (q, 64))."""
    from latentspace import Autoencoder

    items, queries = items_of(name, folder, fashion, seed)
    few = items[:LEARNT] if isinstance(items, np.ndarray) else items.slice(0, LEARNT)
    z = np.asarray(Autoencoder(LATENTS, epochs=4, random_state=seed).fit(few).transform(items))
    return z[:-queries], z[-queries:]


# --- ways to search ------------------------------------------------------------------------------------------------


def ours_exact(x: np.ndarray, folder: Path) -> Made:
    from latentspace.space.index import Index

    index = Index(x)
    index.nearest(x[:1], K)
    return Made(lambda q: index.nearest(q, K)[0], among=lambda q, rows: index.nearest(q, K, rows)[0])


def ours_cells(x: np.ndarray, folder: Path) -> Made:
    from latentspace.space.index import MEASURED_K, Cells, Index

    index = Index.build(x, exact_up_to=0)
    index.write(folder / "ours")
    assert index.cells is not None
    said = f"{index.cells.probes[MEASURED_K]} of {index.cells.count} cells, says {index.recall:.3f}"
    given = (folder / "ours", index.cells.probes[MEASURED_K], index.recall, len(x))
    return Made(
        lambda q: index.nearest(q, K)[0],
        opened=lambda: Cells.read(*given),
        among=lambda q, rows: index.nearest(q, K, rows)[0],
        setting=said,
    )


def sklearn(x: np.ndarray, folder: Path, algorithm: str = "brute") -> Made:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=K, algorithm=algorithm).fit(x)
    return Made(lambda q: index.kneighbors(q, return_distance=False))


def faiss_flat(x: np.ndarray, folder: Path) -> Made:
    import faiss

    index = faiss.IndexFlatL2(x.shape[1])
    index.add(x)
    return Made(lambda q: index.search(q, K)[1])


def faiss_ivf(x: np.ndarray, folder: Path) -> Made:
    import faiss

    cells = int(2 ** round(np.log2(len(x)) / 2))
    quantizer = faiss.IndexFlatL2(x.shape[1])
    index = faiss.IndexIVFFlat(quantizer, x.shape[1], cells)
    index.train(x)
    index.add(x)
    faiss.write_index(index, str(folder / "ivf"))

    def among(q: np.ndarray, rows: np.ndarray) -> Found:
        chosen = faiss.SearchParametersIVF(nprobe=index.nprobe, sel=faiss.IDSelectorBatch(rows))
        return index.search(q, K, params=chosen)[1]

    return Made(
        lambda q: index.search(q, K)[1],
        lambda step: setattr(index, "nprobe", step),
        lambda: faiss.read_index(str(folder / "ivf"), faiss.IO_FLAG_MMAP),
        among,
        f"of {cells} cells",
    )


def faiss_hnsw(x: np.ndarray, folder: Path) -> Made:
    import faiss

    index = faiss.IndexHNSWFlat(x.shape[1], 16)
    index.hnsw.efConstruction = 100
    index.add(x)
    faiss.write_index(index, str(folder / "hnsw"))

    def among(q: np.ndarray, rows: np.ndarray) -> Found:
        chosen = faiss.SearchParametersHNSW(efSearch=index.hnsw.efSearch, sel=faiss.IDSelectorBatch(rows))
        return index.search(q, K, params=chosen)[1]

    return Made(
        lambda q: index.search(q, K)[1],
        lambda step: setattr(index.hnsw, "efSearch", step),
        lambda: faiss.read_index(str(folder / "hnsw")),
        among,
        "points",
    )


def hnswlib(x: np.ndarray, folder: Path) -> Made:
    import hnswlib

    index = hnswlib.Index("l2", x.shape[1])
    index.init_index(len(x), ef_construction=100, M=16)
    index.add_items(x, num_threads=1)
    index.save_index(str(folder / "hnswlib"))

    def opened() -> Any:
        again = hnswlib.Index("l2", x.shape[1])
        again.load_index(str(folder / "hnswlib"))
        return again

    return Made(
        lambda q: index.knn_query(q, K, num_threads=1)[0].astype(int), index.set_ef, opened, setting="points"
    )


def usearch(x: np.ndarray, folder: Path) -> Made:
    from usearch.index import Index

    index = Index(ndim=x.shape[1], metric="l2sq", connectivity=16, expansion_add=100, dtype="f32")
    index.add(np.arange(len(x)), x, threads=1)
    index.save(str(folder / "usearch"))

    def search(q: np.ndarray) -> Found:
        return np.atleast_2d(index.search(q, K, threads=1).keys).astype(int)

    turn = lambda step: setattr(index, "expansion_search", step)  # noqa: E731
    return Made(search, turn, lambda: Index.restore(str(folder / "usearch"), view=True), setting="points")


METHODS: dict[str, Callable[[np.ndarray, Path], Made]] = {
    "scikit-learn brute": sklearn,
    "latentspace exact": ours_exact,
    "faiss flat": faiss_flat,
    "latentspace cells": ours_cells,
    "faiss IVF": faiss_ivf,
    "faiss HNSW": faiss_hnsw,
    "hnswlib": hnswlib,
    "usearch HNSW": usearch,
    "scikit-learn kd-tree": lambda x, folder: sklearn(x, folder, "kd_tree"),
}


# --- measuring -----------------------------------------------------------------------------------------------------


def timed(call: Callable[[], Any], times: int = 1) -> tuple[Any, float]:
    """(what it gives, the least CPU seconds it took)."""
    least = np.inf
    for _ in range(times):
        start = time.process_time()
        made = call()
        least = min(least, time.process_time() - start)
    return made, least


def recall(found: Found, x: np.ndarray, queries: np.ndarray, farthest: np.ndarray) -> float:
    """Share of the nearest that are found: those no farther than the K-th (q,)."""
    apart = ((x[found] - queries[:, None]) ** 2).sum(2)
    return float(((apart <= farthest[:, None] ** 2 * (1 + 1e-5) + 1e-9) & (found >= 0)).mean())


def farthest_of(x: np.ndarray, queries: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=K, algorithm="brute").fit(x).kneighbors(queries)[0][:, -1]


class Case(NamedTuple):
    """Points, queries, how far the tenth nearest is; and the same among a tenth of the points."""

    x: np.ndarray
    queries: np.ndarray
    farthest: np.ndarray
    rows: np.ndarray
    farthest_within: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, queries: np.ndarray) -> Case:
        x, queries = np.ascontiguousarray(x), np.ascontiguousarray(queries)
        axis = np.linalg.eigh(np.cov(x.T))[1][:, -1]
        rows = np.sort(np.argsort(x @ axis)[-len(x) // 10 :])
        few = queries[:1000]
        return cls(x, queries, farthest_of(x, queries), rows, farthest_of(x[rows], few))


def measure(method: str, case: Case, folder: Path) -> dict[str, Any]:
    x, queries = case.x, case.queries
    if "kd-tree" in method:
        queries = queries[:500]
    made, build = timed(lambda: METHODS[method](x, folder))
    setting = made.setting
    for step in STEPS if made.turn else (0,):
        if made.turn:
            made.turn(step)
            setting = f"{step} {made.setting}"
        found = made.search(queries)
        share = recall(found, x, queries, case.farthest[: len(queries)])
        if share >= GOAL:
            break
    _, spent = timed(lambda: made.search(queries), 3)
    _, one = timed(lambda: [made.search(queries[i : i + 1]) for i in range(SINGLE)])
    row = {"setting": setting, "per_second": len(queries) / spent, "recall": share, "build": build}
    row["one"] = 1000 * one / SINGLE
    row["open"] = 1000 * timed(made.opened, 3)[1] if made.opened else np.nan
    row["within"] = np.nan
    if made.among:
        few = queries[:1000]
        row["within"] = recall(made.among(few, case.rows), x, few, case.farthest_within)
    return row


def rows_of(options: argparse.Namespace, done: set[tuple[str, int, str]]) -> Iterator[dict[str, Any]]:
    for name in options.only:
        for seed in options.seeds:
            wanted = [m for m in METHODS if any(word in m for word in options.methods)]
            wanted = [m for m in wanted if (name, seed, m) not in done]
            if not wanted:
                continue
            case, base = Case.of(*latents(name, options.data, options.fashion, seed)), np.nan
            for method in dict.fromkeys((BASE, *wanted)):  # the base anew: the machine may have changed
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        row = measure(method, case, Path(folder))
                    except ImportError as failure:
                        print(f"{method}: {failure}", flush=True)
                        continue
                base = row["per_second"] if method == BASE else base
                row |= {"set": name, "seed": seed, "method": method, "against": row["per_second"] / base}
                if method in wanted:
                    yield row


# --- what it says --------------------------------------------------------------------------------------------------


def markdown(rows: pd.DataFrame) -> str:
    lines = []
    for name, part in rows.groupby("set", sort=False):
        lines += [f"\n### {name} ({part.seed.nunique()} seeds)\n"]
        head = ("way", "queries a CPU-second", "times scikit-learn's", "recall@10", "within a tenth")
        lines += [f"| {' | '.join((*head, 'build, s', 'open, ms', 'one query, ms', 'setting'))} |"]
        lines += ["|---" + "|--:" * (len(head) + 2) + "|---|"]
        for method, own in part.groupby("method", sort=False):
            span = f"{own.against.mean():.2f} ({own.against.min():.2f} to {own.against.max():.2f})"
            cells = [f"{own.per_second.mean():,.0f}", span, f"{own.recall.mean():.4f}"]
            for field, form in (("within", ".3f"), ("build", ".2f"), ("open", ".1f"), ("one", ".2f")):
                cells.append("" if own[field].isna().all() else format(own[field].mean(), form))
            lines.append(f"| {method} | {' | '.join(cells)} | {own.setting.fillna('').iloc[0]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--only", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=[""], help="words in their names")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--install-peers", action="store_true")
    options = parser.parse_args()
    if options.install_peers:
        from fit_speed import install_peers

        python = str(install_peers())
        os.execv(python, [python, __file__, *(word for word in sys.argv[1:] if word != "--install-peers")])
    warnings.simplefilter("ignore")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}: recall does not mind company, times do.")
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "neighbours.csv"
    done: set[tuple[str, int, str]] = set()
    if file.exists():
        done = set(pd.read_csv(file)[["set", "seed", "method"]].itertuples(index=False, name=None))
    for row in rows_of(options, done):
        with file.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, FIELDS)
            if not handle.tell():
                writer.writeheader()
            writer.writerow(row)
        shown = [row[field] for field in FIELDS]
        print(" ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in shown), flush=True)
    text = markdown(pd.read_csv(file))
    (options.out / "neighbours.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    # one thread for all, decided before any library counts cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
