"""Denoising and filling gaps beside BM3D, non-local means, wavelets, SVD shrinkage, medians and imputers.

    python benchmarks/denoising.py DATA_FOLDER [--install-peers] [--sets NAME ...] [--kinds NAME ...]
                                   [--levels .1 .25 .5] [--seeds 0 1 2] [--methods NAME ...] [--out FOLDER]

Ours is `Denoiser(random_state=seed).fit(noisy training items).transform(noisy test items)`: no clean item, no level
and no kind of noise is told, and no test item is seen in fitting. The noise is added here, by the seed, to all items:

gaussian         on every set, at each level; items are floats and are not clipped.
salt-and-pepper  a share of the pixels of Fashion-MNIST at 0 or 1.
missing          a share of the elements of two tables; measured on what was hidden.
block            a hidden 8 x 8 square in every Fashion-MNIST picture; measured on what was hidden.
clean            nothing, on every numeric open table and set of pictures (first seed): are the items returned as they
                 are? Any change makes them worse.

Rivals (restorers.py) have the level estimated as their authors or scikit-image do; SVD shrinkage gets training and
test items stacked. Sets (noisy_items.py): a fifth of the items is new; duplicate rows are taken out before, signals
are split in time, blood cells by smear. Pictures have peak 1; the rest is in standard deviations of the clean
training items (of each column of a table), so that PSNR is -20 log10(root mean squared error) everywhere. It is over
all test items, and over the first 500 (block: 200) for those that take long (BM3D, biharmonic). "Gain" is ours minus
the best rival of that seed, leaving the items alone included, on the same items; "clipped": after everyone's pictures
were clipped to 0..1.

Rows are appended to OUT/denoising.csv as they come; rows already there are not repeated. OUT/denoising.md has tables.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from noisy_items import SETS, Case, generator, load, others, spoiled
from restorers import SLOW, TOLD, Restore, denoisers, fillers, untouched

from latentspace import Denoiser

SHARES = {"salt-and-pepper": (0.1, 0.3), "missing": (0.1, 0.3), "block": (8,), "clean": (0,)}
KINDS = ("gaussian", *SHARES)
ON = {"salt-and-pepper": ("fashion_mnist",), "missing": ("cells", "wine"), "block": ("fashion_mnist",)}
OURS, ALONE = "latentspace", "input"
FIELDS = ("set", "kind", "level", "seed", "method", "items", "rmse", "few", "clipped", "seconds", "said")


# --- measuring -------------------------------------------------------------------------------------------------


def ours(seed: int, said: list[str]) -> Restore:
    """The estimator with its defaults; what it says about the items goes to `said`."""

    def restore(x: np.ndarray, train: np.ndarray) -> np.ndarray:
        denoiser = Denoiser(random_state=seed).fit(train)
        said.append(f"{denoiser.noise_.kind} {denoiser.noise_.level:.3g}. {denoiser.message_}")
        return np.asarray(denoiser.transform(x))

    return restore


def competitors(case: Case, kind: str, level: float, seed: int, said: list[str]) -> dict[str, Restore]:
    """Everyone by name, ours last."""
    mine = {OURS: ours(seed, said)}
    if kind == "clean":
        return mine
    if kind in ("missing", "block"):
        return fillers(case.form) | mine
    return {ALONE: untouched} | denoisers(case.form, kind, level) | mine


def root(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error.astype(np.float64) ** 2)))


def measure(
    restore: Restore, noisy: np.ndarray, train: np.ndarray, clean: np.ndarray, few: int, alone: bool
) -> dict[str, Any]:
    """Errors and seconds; `alone`: the first `few` items alone are restored."""
    items = noisy[:few] if alone else noisy
    start = time.perf_counter()
    made = restore(items, train).reshape(items.shape)
    seconds = time.perf_counter() - start
    if not np.isfinite(made).all():
        raise ValueError("gaps or infinities are left")
    gaps = np.isnan(items)
    counted = gaps if gaps.any() else np.ones_like(gaps)
    error, clipped = (part - clean[: len(items)] for part in (made, np.clip(made, 0, 1)))
    first = slice(few)
    return {
        "items": len(items),
        "rmse": root(error[counted]),
        "few": root(error[first][counted[first]]),
        "clipped": root(clipped[first][counted[first]]),
        "seconds": seconds,
    }


def rows(options: argparse.Namespace, done: set[tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Rows that are not there yet, one at a time; a method that fails is named."""
    for name, kind, level, seed in cases(options):
        key = (name, kind, float(level), seed)
        case = load(name, options.data, seed)
        said: list[str] = []
        wanted = competitors(case, kind, level, seed, said)
        if options.methods:
            wanted = {method: restore for method, restore in wanted.items() if method in options.methods}
        wanted = {method: restore for method, restore in wanted.items() if (*key, method) not in done}
        if not wanted:
            continue
        rng = generator(name, seed, 7)
        train, test = (spoiled(part, kind, level, rng) for part in (case.train, case.test))
        few = 200 if kind == "block" else 500
        for method, restore in wanted.items():
            try:
                row = measure(restore, test.copy(), train, case.test, few, method in SLOW)
            except Exception as failure:
                print(f"{method} on {key}: {type(failure).__name__}: {str(failure)[:200]}", flush=True)
                continue
            if case.form != "pictures":
                row["clipped"] = None
            row["said"] = " ".join(said) if method == OURS else ""
            yield dict(zip(FIELDS, (*key, method), strict=False)) | row


def cases(options: argparse.Namespace) -> Iterator[tuple[str, str, float, int]]:
    """(set, kind, level, seed), kind by kind."""
    for kind in options.kinds:
        sets = [name for name in options.sets if name in ON.get(kind, options.sets)]
        if kind == "clean" and set(options.sets) == set(SETS):
            sets += others(options.data)
        for name in sets:
            for level in SHARES.get(kind, options.levels):
                for seed in options.seeds[:1] if kind == "clean" else options.seeds:
                    yield name, kind, level, seed


# --- what it says ----------------------------------------------------------------------------------------------


def psnr(rmse: Any) -> Any:
    return -20 * np.log10(np.maximum(rmse, 1e-12))


def gains(part: pd.DataFrame, column: str = "few") -> str:
    """Ours minus the best rival of each seed on the same items, dB: mean (least to most), and who that was."""
    rivals = part[~part.method.isin([OURS, TOLD])]
    own = part[part.method == OURS].set_index("seed")[column]
    full = part.groupby("method")["items"].max()
    if column == "few" and full.nunique() == 1:
        column, own = "rmse", part[part.method == OURS].set_index("seed").rmse
    apart = (psnr(own) - psnr(rivals.groupby("seed")[column].min())).dropna()
    if apart.empty:
        return ""
    best = rivals.groupby("method", sort=False)[column].mean().idxmin()
    return f"{apart.mean():+.2f} ({apart.min():+.2f} to {apart.max():+.2f}), {best}"


def noisy_table(name: str, kind: str, part: pd.DataFrame) -> list[str]:
    """Methods by level: mean PSNR over seeds; below, ours minus the best."""
    levels = sorted(part.level.unique())
    wide = part.assign(psnr=psnr(part.rmse)).pivot_table("psnr", "method", "level", sort=False)[levels]
    lines = [f"\n### {name}, {kind} (seeds {', '.join(map(str, sorted(part.seed.unique())))})\n"]
    heads = " | ".join(f"{level:g}" for level in levels)
    lines += [f"| PSNR, dB | {heads} | items | seconds |", "|---|" + "--:|" * (len(levels) + 2)]
    for method in [*wide.index.drop(OURS, errors="ignore"), *wide.index.intersection([OURS])]:
        mine = part[part.method == method]
        cells = ["" if np.isnan(value) else f"{value:.2f}" for value in wide.loc[method]]
        lines.append(
            f"| {method} | {' | '.join(cells)} | {mine['items'].max()} | {mine.seconds.mean():.1f} |"
        )
    lines.append(
        f"| gain over the best | {' | '.join(gains(part[part.level == level]) for level in levels)} | | |"
    )
    if part.clipped.notna().any() and kind not in ("missing", "block"):
        cells = [gains(part[part.level == level], "clipped") for level in levels]
        lines.append(f"| gain, clipped | {' | '.join(cells)} | | |")
    if kind in ("missing", "block"):
        errors = part.pivot_table("rmse", "method", "level", sort=False).loc[wide.index, levels]
        said = [f"{who} " + " / ".join(f"{e:.4f}" for e in values) for who, *values in errors.itertuples()]
        lines.append(f"\nRoot mean squared error of what was hidden: {'; '.join(said)}.")
    return lines


def clean_lines(part: pd.DataFrame) -> list[str]:
    same = part[part.rmse == 0]
    lines = [f"\n### Nothing added\n\nReturned unchanged: {len(same)} of {len(part)} sets."]
    for row in part[part.rmse > 0].itertuples():
        lines.append(f"- {row.set}: changed by {row.rmse:.4g}. {row.said}")
    return lines


def markdown(rows: pd.DataFrame) -> str:
    """One table a set and kind, and the list of what was changed without noise."""
    lines: list[str] = []
    for (kind, name), part in rows[rows.kind != "clean"].groupby(["kind", "set"], sort=False):
        lines += noisy_table(name, kind, part)
    if (rows.kind == "clean").any():
        lines += clean_lines(rows[rows.kind == "clean"])
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--levels", type=float, nargs="+", default=[0.1, 0.25, 0.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--install-peers", action="store_true")
    options = parser.parse_args()
    if options.install_peers:
        from fit_speed import install_peers

        python = str(install_peers())
        os.execv(python, [python, __file__, *(word for word in sys.argv[1:] if word != "--install-peers")])
    warnings.simplefilter("ignore")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}: figures do not mind company, times do.")
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "denoising.csv"
    done: set[tuple[Any, ...]] = set()
    if file.exists():
        there = pd.read_csv(file)
        done = set(there[["set", "kind", "level", "seed", "method"]].itertuples(index=False, name=None))
    for row in rows(options, done):
        with file.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, FIELDS)
            if not handle.tell():
                writer.writeheader()
            writer.writerow(row)
        shown = [row[field] for field in ("set", "kind", "level", "seed", "method", "items")]
        print(*shown, f"{psnr(row['rmse']):.2f} dB, {row['seconds']:.1f} s", row["said"], flush=True)
    if not file.exists():
        print("Nothing was measured.")
        return
    text = markdown(pd.read_csv(file))
    (options.out / "denoising.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
