"""What benchmarks that go set by set and seed by seed share: the command line, rows kept as they come, tables."""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

#: (part, amount, method, measure, value)
Row = tuple[str, int, str, str, Any]


def run(
    doc: str | None,
    name: str,
    sets: Sequence[str],
    amount: str,
    rows_of: Callable[[str, Path, int], Iterable[Row]],
) -> None:
    """Append what `rows_of` (set, data folder, seed) gives to OUT/name.csv, and write the tables to OUT/name.md.

    What is there is not repeated; `amount` says what rows count, such as labels.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", default=list(sets), choices=sets)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"{name}.csv"
    for part in options.only:
        for seed in options.seeds:
            if (part, seed) not in done_in(file, ("set", "seed")):
                append(file, part, seed, amount, rows_of(part, options.data, seed))
    finish(file, amount)


def done_in(file: Path, names: Sequence[str]) -> set[tuple[Any, ...]]:
    """What these columns of a file of rows hold together; nothing where there is no file yet."""
    if not file.exists():
        return set()
    return set(pd.read_csv(file)[list(names)].itertuples(index=False, name=None))


def append(file: Path, part: str, seed: int, amount: str, found: Iterable[Row]) -> None:
    """Add rows once all of them are there, and print them."""
    rows = list(found)
    with file.open("a", newline="") as handle:
        writer = csv.writer(handle)
        if not handle.tell():
            writer.writerow(("set", "seed", "part", amount, "method", "measure", "value"))
        writer.writerows((part, seed, *row) for row in rows)
    print(part, seed, *(f"{r[2]} {r[3]} {r[1]}: {r[4]:.3f};" for r in rows), flush=True)


def finish(file: Path, amount: str) -> None:
    """Write the tables of a file of rows beside it, and print them."""
    text = tables(pd.read_csv(file), amount)
    file.with_suffix(".md").write_text(text + "\n")
    print(text)


def tables(rows: pd.DataFrame, amount: str) -> str:
    """Means over seeds with the least and the most, a table a part and measure."""
    lines = []
    for (part, measure), each in rows.groupby(["part", "measure"], sort=False):
        methods = list(dict.fromkeys(each.method))
        lines += [
            f"\n### {part}: {measure}\n",
            f"| set, {amount} | {' | '.join(methods)} |",
            "|---|" + "---|" * len(methods),
        ]
        for (name, n), cells in each.groupby(["set", amount], sort=False):
            shown = [spread(cells[cells.method == method].value) for method in methods]
            lines.append(f"| {name}, {n:,} | {' | '.join(shown)} |")
    return "\n".join(lines)


def spread(values: pd.Series) -> str:
    """The mean, and in brackets the least and the most."""
    return "" if values.empty else f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"
