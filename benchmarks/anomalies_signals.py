"""Anomalies in the signals of DATA_FOLDER/signals/nab, counted by events, beside rivals on the same windows.

    python benchmarks/anomalies_signals.py DATA_FOLDER [--alphas 0.01 0.05] [--seeds 0 1 2] [--only NAME ...]
                                           [--out FOLDER]

For each file: rows in the order of time, the first 40 % to learn from, without their labels (NAB's own rule,
the first 15 %, leaves most files with a handful of windows of one period), the rest to find anomalies in. The
window and its hop are those that the library chooses from the first part, cut on through the whole recording;
those that start in the rest are scored. Ours flags the windows beyond its
threshold for the false-alarm rate alpha; every rival gets the same windows and flags as many of them as ours
did, its oddest; "random windows" says what flagging blindly would find. Flagged windows that touch or overlap
become one flagged event, from the time stamp of its first sample to that of its last.

An event (a labelled stretch of NAB) is found where a flagged event overlaps it; a flagged event that overlaps
none is false; nothing is point-adjusted. Events that began in the first part are not counted, nor are flagged
events that overlap only those. Precision and recall are of the counts of all files together (means over seeds),
with 95 % bootstrap intervals over files. "usual windows flagged" is the share of flagged windows among those
that overlap no event: alpha, were the second part like the first and the calibration windows many (column
``smallest_p``: no smaller alpha is promised, the threshold is extrapolated).

Counts are appended to OUT/anomalies_signals.csv as they come, flagged events with their time stamps to
OUT/anomalies_signals_events.csv, the table is written to OUT/anomalies_signals.md. One thread.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np
import pandas as pd
import torch
from detectors import OURS, mean_of_neighbours, standardised
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

FIRST = 0.4
#: share of the windows' variance that the rival PCA keeps
KEPT = 0.9
DRAWS = 2_000

Spans = list[tuple[int, int]]


def isolation_forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def neighbours(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return mean_of_neighbours(5)(train, test, False, seed)[0]


def pca_error(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    train, test = standardised(train, test)
    pca = PCA(KEPT, svd_solver="full").fit(train)
    return ((pca.inverse_transform(pca.transform(test)) - test) ** 2).sum(axis=1)


def random_windows(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(len(test))


RIVALS = {
    "IsolationForest": isolation_forest,
    "mean of 5-NN": neighbours,
    "PCA error": pca_error,
    "random windows": random_windows,
}


def recording(path: Path) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """Time stamps, values (T, 1) and labels, in the order of time."""
    frame = pd.read_parquet(path).sort_values("timestamp", kind="stable")
    return (
        frame["timestamp"].reset_index(drop=True),
        frame[["value"]].to_numpy(float),
        frame["label"].to_numpy(),
    )


def runs(marked: np.ndarray) -> Spans:
    """(first, one past the last) of each stretch of ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked != 0, [0]]).astype(int)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def merged(starts: np.ndarray, length: int, total: int) -> Spans:
    """The windows that start at `starts`, those that touch or overlap made one."""
    covered = np.zeros(2 * total + 1, bool)  # a place between two samples too, so that touching ones join
    for start in starts:
        covered[2 * start : 2 * min(start + length, total) + 1] = True
    return [(a // 2, b // 2) for a, b in runs(covered)]


def overlapping(span: tuple[int, int], others: Spans) -> bool:
    return any(span[0] < b and a < span[1] for a, b in others)


def counted(flagged: Spans, events: Spans, set_aside: Spans) -> tuple[dict[str, int], list[bool | None]]:
    """Counts, and whether each flagged event is right, false, or not counted (None)."""
    right = [
        True if overlapping(span, events) else None if overlapping(span, set_aside) else False
        for span in flagged
    ]
    counts = {
        "events": len(events),
        "found": sum(overlapping(event, flagged) for event in events),
        "flagged": right.count(True) + right.count(False),
        "right": right.count(True),
    }
    return counts, right


def one_file(path: Path, seed: int, alphas: list[float]) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """For each alpha and method: counts, and the flagged events with their time stamps."""
    from latentspace import AnomalyDetector

    times, values, labels = recording(path)
    cut = int(FIRST * len(values))
    detector = AnomalyDetector(modality="signal", random_state=seed).fit(values[:cut])
    signal = detector.modality_
    windows, learnt_from = signal.read(values), signal.read(values[:cut])
    length = windows.values.length
    later = windows.values.starts >= cut
    starts = windows.values.starts[later]
    train, test = (
        signal.transform(items)[0].reshape(len(items), -1).astype(float) for items in (learnt_from, windows)
    )
    scores = {OURS: detector.anomaly_score(values)[later]}
    scores |= {name: rival(train, test[later], seed) for name, rival in RIVALS.items()}
    spans = runs(labels)
    events, set_aside = [s for s in spans if s[0] >= cut], [s for s in spans if s[0] < cut]
    usual = np.array([not overlapping((s, s + length), spans) for s in starts])
    for alpha in alphas:
        most = int((scores[OURS] > -np.log10(alpha)).sum())
        for name, odd in scores.items():
            chosen = np.argsort(-odd, kind="stable")[:most]
            flagged = merged(starts[chosen], length, len(values))
            counts, right = counted(flagged, events, set_aside)
            key = {"file": path.stem, "seed": seed, "alpha": alpha, "method": name}
            about = {"windows": len(starts), "window": length, "learnt_from": len(train)}
            about |= {"usual": usual.sum(), "smallest_p": detector.scorer_.smallest_p}
            found = pd.DataFrame(key, index=range(len(flagged))).assign(
                first=[times[a] for a, _ in flagged], last=[times[b - 1] for _, b in flagged], right=right
            )
            yield key | about | counts | {"false_windows": usual[chosen].sum()}, found


def with_interval(top: np.ndarray, bottom: np.ndarray) -> str:
    """Sum of `top` over sum of `bottom`, with its 95 % interval over files."""
    drawn = np.random.default_rng(0).integers(len(top), size=(DRAWS, len(top)))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.nanquantile(top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1), [0.025, 0.975])
        return f"{top.sum() / bottom.sum():.3f} ({low:.3f} to {high:.3f})"


def markdown(rows: pd.DataFrame) -> str:
    means = rows.drop(columns="seed").groupby(["alpha", "method", "file"], sort=False).mean()
    files, events = rows["file"].nunique(), rows.drop_duplicates("file")["events"].sum()
    seeds = ", ".join(map(str, sorted(rows["seed"].unique())))
    lines = [
        f"# Anomalies in signals ({files} NAB files, {events} events, seeds {seeds})",
        "",
        "| alpha | method | event precision | event recall | flagged events | usual windows flagged |",
        "|--:|---|---|---|--:|---|",
    ]
    for (alpha, name), m in means.groupby(["alpha", "method"], sort=False):
        c = {field: m[field].to_numpy(float) for field in m}
        lines.append(
            f"| {alpha:g} | {name} | {with_interval(c['right'], c['flagged'])} | "
            f"{with_interval(c['found'], c['events'])} | {c['flagged'].sum():.1f} | "
            f"{with_interval(c['false_windows'], c['usual'])} |"
        )
    return "\n".join(lines) + "\n"


def append(rows: pd.DataFrame, path: Path) -> None:
    rows.to_csv(path, mode="a", header=not path.exists(), index=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--alphas", type=float, nargs="+", default=[0.01, 0.05])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    paths = sorted((options.data / "signals" / "nab").glob("*.parquet"))
    if not paths:
        parser.error(f"there is no signals/nab/*.parquet in {options.data}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "anomalies_signals.csv"
    done = set(map(tuple, pd.read_csv(table)[["file", "seed"]].to_numpy())) if table.exists() else set()
    for seed in options.seeds:
        for path in paths:
            if (path.stem, seed) in done or not any(word in path.stem for word in options.only or [""]):
                continue
            try:
                counts, flagged = zip(*one_file(path, seed, options.alphas), strict=True)
            except Exception as failure:
                print(
                    path.stem,
                    seed,
                    "failed",
                    f"{type(failure).__name__}: {str(failure)[:150]}",
                    sep="\t",
                    flush=True,
                )
                continue
            append(pd.DataFrame(counts), table)
            append(pd.concat(flagged), options.out / "anomalies_signals_events.csv")
            for row in counts:
                if row["method"] == OURS:
                    print(
                        *(f"{key} {value}" for key, value in row.items() if key != "method"),
                        sep="  ",
                        flush=True,
                    )
    text = markdown(pd.read_csv(table))
    table.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
