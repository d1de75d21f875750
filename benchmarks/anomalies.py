"""Anomaly detection beside PyOD and plain neighbours over every set of DATA_FOLDER/adbench, one default each.

    python benchmarks/anomalies.py DATA_FOLDER [--seeds 0 1 2] [--only NAME ...] [--methods NAME ...]
                                   [--max-items 10000] [--out FOLDER] [--install-peers]

Two settings. "novelty": trained on a random half of the normal rows, tested on all other rows. "contaminated":
trained on all rows, anomalies included, and tested on the same rows (PyOD by its ``decision_scores_``, which
leave a row out of its own neighbours). Nobody sees a label and nothing is chosen for a set: ours and PyOD's
keep their defaults; the plain mean distance to 5 or 50 neighbours uses 2,048 random reference rows and never a
row itself. Ours gets the columns as they are, the others get them standardised by the training rows. Sets above
--max-items rows are cut down at random, by the seed. One thread; CPU seconds are of fit and score together,
after an untimed first run of each method on a few rows. A method that cannot run, or fails on a set, is named.

Rows are printed, and appended to OUT/anomalies.csv, as they come; rows already there are not repeated. OUT/
anomalies.md has the means over sets of the means over seeds, and the 95 % bootstrap interval over sets of ours
minus each peer; and the false-alarm check: the share of normal test rows with p <= alpha, against two bounds at
99.9 %: binomial (chance in the normal test rows alone), and for new rows beta-binomial (in the test and in the
calibration rows, which is what a conformal p-value allows).
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
import torch
from detectors import METHODS, OURS, Method, silent
from scipy.stats import betabinom, binom
from sklearn.metrics import average_precision_score, roc_auc_score

from latentspace.space.quality import bootstrap_interval

ALPHAS = (0.01, 0.05, 0.1)
FALSE = tuple(f"false_{alpha:g}" for alpha in ALPHAS)
FIELDS = ("set", "setting", "seed", "method", "auroc", "auprc", "cpu_s", *FALSE, "normals", "calibration")
SETTINGS = ("novelty", "contaminated")
CHANCE = 0.999


def usable(wanted: list[str]) -> dict[str, Method]:
    """The methods that run at all on a few rows; the others are named."""
    x, methods = np.random.default_rng(0).normal(size=(300, 5)), {}
    for name, method in METHODS.items():
        if wanted and not any(word.lower() in name.lower() for word in wanted):
            continue
        try:
            silent(method, x, x, True, 0)
            methods[name] = method
        except Exception as failure:
            print(f"{name} could not be run: {type(failure).__name__}: {str(failure)[:150]}", flush=True)
    return methods


def split(path: Path, setting: str, seed: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(train, test, labels of test), float64 and 1 for an anomaly."""
    with np.load(path, allow_pickle=False) as arrays:
        x, y = np.asarray(arrays["X"], float), np.asarray(arrays["y"]).ravel()
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(len(x))[:most])
    x, y = x[kept], y[kept]
    if setting == "contaminated":
        return x, x, y
    normal = rng.permutation(np.flatnonzero(y == 0))
    train = np.sort(normal[: len(normal) // 2])
    test = np.setdiff1d(np.arange(len(x)), train)
    return x[train], x[test], y[test]


def measure(method: Method, path: Path, setting: str, seed: int, most: int) -> dict[str, object]:
    train, test, y = split(path, setting, seed, most)
    began = time.process_time()
    scores, model = silent(method, train, test, setting == "contaminated", seed)
    seconds = time.process_time() - began
    found = {"auroc": roc_auc_score(y, scores), "auprc": average_precision_score(y, scores), "cpu_s": seconds}
    if method is METHODS[OURS]:
        p = model.p_value(test)[y == 0]
        found |= {name: (p <= alpha).mean() for name, alpha in zip(FALSE, ALPHAS, strict=True)}
        found |= {"normals": len(p), "calibration": model.scorer_.n_calibration}
    return found


def rows_to_come(options: argparse.Namespace, done: set[tuple[object, ...]]) -> Iterator[dict[str, object]]:
    methods = usable(options.methods)
    paths = sorted((options.data / "adbench").glob("*.npz"))
    paths = [path for path in paths if not options.only or any(word in path.stem for word in options.only)]
    for seed, setting, path, name in product(options.seeds, SETTINGS, paths, methods):
        row = {"set": path.stem, "setting": setting, "seed": seed, "method": name}
        if tuple(row.values()) in done:
            continue
        try:
            yield row | measure(methods[name], path, setting, seed, options.max_items)
        except Exception as failure:
            print(
                *row.values(),
                "failed",
                f"{type(failure).__name__}: {str(failure)[:150]}",
                sep="\t",
                flush=True,
            )


def comparison(rows: pd.DataFrame) -> pd.DataFrame:
    """A line for each method: means over sets of means over seeds; ranks (1 is best) among who scored a set."""
    fields = ("auroc", "auprc", "cpu_s")
    auroc, auprc, cpu = (rows.pivot_table(f, "set", "method", aggfunc="mean") for f in fields)
    lines = {
        name: {
            "AUROC": f"{auroc[name].mean():.3f}",
            "AUPRC": f"{auprc[name].mean():.3f}",
            "mean rank": f"{auroc.rank(axis=1, ascending=False)[name].mean():.2f}",
            "CPU s": f"{cpu[name].sum():.1f}",
            "ours minus it, AUROC": difference(auroc, name),
            "ours minus it, AUPRC": difference(auprc, name),
            "not measured on": ", ".join(auroc.index[auroc[name].isna()]),
        }
        for name in auroc.mean().sort_values(ascending=False).index
    }
    return pd.DataFrame(lines).T


def difference(means: pd.DataFrame, name: str) -> str:
    """Ours minus the method's over the sets of both, with its 95 % interval."""
    if name == OURS or OURS not in means:
        return ""
    both = means[[OURS, name]].dropna()
    gap = bootstrap_interval(both[OURS].to_numpy(), both[name].to_numpy(), draws=10_000)
    return f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"


def false_alarms(rows: pd.DataFrame, new: bool) -> pd.DataFrame:
    """For each alpha: the mean rate, the highest, and the runs above what chance allows."""
    lines = {}
    for field, alpha in zip(FALSE, ALPHAS, strict=True):
        count, n, calibration = (rows[field] * rows["normals"]).round(), rows["normals"], rows["calibration"]
        # at p <= alpha at most this many calibration rows are as odd; none: nothing may be flagged
        below = np.floor(alpha * (calibration + 1) + 1e-9)
        drawn = np.where(below > 0, betabinom.ppf(CHANCE, n, below, calibration + 1 - below), 0)
        above = {"binomial": count > binom.ppf(CHANCE, n, alpha), "beta-binomial": count > drawn}
        over = above["beta-binomial" if new else "binomial"]
        which = rows[over].groupby("set")[field].max()
        worst = rows.loc[rows[field].idxmax()]
        lines[f"{alpha:g}"] = {
            "mean rate": f"{rows[field].mean():.4f}",
            "highest": f"{worst[field]:.3f} ({worst['set']})",
            "runs": len(rows),
            "above binomial": above["binomial"].sum(),
            "above beta-binomial": above["beta-binomial"].sum() if new else "",
            "which (by the last bound)": ", ".join(f"{key} {rate:.3f}" for key, rate in which.items()),
        }
    return pd.DataFrame(lines).T


def as_markdown(table: pd.DataFrame, first: str) -> list[str]:
    lines = [(first, *table.columns), ["---"] * (len(table.columns) + 1), *table.itertuples()]
    return [f"| {' | '.join(map(str, line))} |" for line in lines] + [""]


def markdown(rows: pd.DataFrame) -> str:
    lines = ["# Anomalies", ""]
    for setting, chosen in rows.groupby("setting", sort=False):
        seeds = ", ".join(map(str, sorted(chosen["seed"].unique())))
        lines += [f"## {setting} ({chosen['set'].nunique()} sets, seeds {seeds})", ""]
        lines += as_markdown(comparison(chosen), "method")
        mine = chosen[chosen["method"] == OURS]
        if len(mine):
            lines += ["False alarms (normal test rows with p <= alpha):", ""]
            lines += as_markdown(false_alarms(mine, setting == "novelty"), "alpha")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--max-items", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--install-peers", action="store_true")
    options = parser.parse_args()
    if not list((options.data / "adbench").glob("*.npz")):
        parser.error(f"there is no adbench/*.npz in {options.data}")
    if options.install_peers:
        from fit_speed import install_peers

        python = str(install_peers())
        os.execv(python, [python, __file__, *(word for word in sys.argv[1:] if word != "--install-peers")])
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "anomalies.csv"
    if not table.exists():
        table.write_text(",".join(FIELDS) + "\n")
    done = set(pd.read_csv(table)[list(FIELDS[:4])].itertuples(index=False, name=None))
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, restval="")
        for row in rows_to_come(options, done):
            writer.writerow(row)
            file.flush()
            print(*(f"{v:.4g}" if isinstance(v, float) else v for v in row.values()), sep="\t", flush=True)
    text = markdown(pd.read_csv(table))
    (options.out / "anomalies.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
