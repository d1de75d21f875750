"""What is made from Z: samples beside those of PCA's space, ways between items, repairs of odd rows beside simpler.

    python benchmarks/generation.py DATA_FOLDER [--seeds 0 1 2] [--only NAME ...] [--out FOLDER]

Samples: each set is fitted as `latentspace fit` does (a fifth held out by the seed), and as many items are drawn
as are held out, 500 at most. "PCA" draws from PCA's space at the same number of latents, with the same density, noise
and values that columns can hold. "Training items" are no samples: what would come out if they were perfect, and
copies. A random forest tells made items from held-out ones (50 % is chance); coverage and density are those of Naeem
et al. (2020) with 5 neighbours; MMD² is unbiased; copies are items nearer to a training item, in the method's own
latents, than all but 5 % of held-out ones. Rows are seen as columns, anything else by the first principal axes of
training items, as many as there are latents and 32 at most: on bare pixels a forest tells everything that a decoder
draws from what a camera does.

Ways: from one held-out item to another, 30 pairs: mean log density of the points between (nats), at the thinnest, and
the distance from them to the nearest training item over that of held-out items.

Repairs: sets with odd rows (arrays X and y). A space is fitted on half of the usual rows; of the odd ones that its
scorer flags at alpha = .05, 40 at most are mended. "valid": the scorer finds them normal; "valid, other judge": an
isolation forest does, that flags 5 % of the usual rows; "size": mean change of a value in standard deviations, drawn
in beyond 4; "columns": the share of the columns that change; "far": mean distance to the nearest usual row that
nobody learnt from, over that of such rows from each other (1 is alike). Rivals: d(e(x)) alone, the nearest usual
item, each column brought into its middle 95 %.

Rows are appended to OUT/generation.csv as they come; what is there is not repeated. OUT/generation.md has the tables:
means over seeds with the least and the most.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FIELDS = ("part", "set", "seed", "method", "measure", "value")
SETS = ("fashion", "adult", "wine", "magic", "ecg", "cells")
ODD = (
    "4_breastw",
    "12_fault",
    "22_magic.gamma",
    "23_mammography",
    "2_annthyroid",
    "38_thyroid",
    "18_Ionosphere",
    "29_Pima",
)
MOST, PAIRS, REPAIRS, ALPHA = 8000, 30, 40, 0.05
Row = tuple[str, str, float]


# --- sets ------------------------------------------------------------------------------------------------------


def source(name: str, folder: Path, seed: int, scratch: Path) -> tuple[Any, dict[str, Any]]:
    """(what is fitted, its options)."""
    rng = np.random.default_rng(seed)
    if name == "fashion":
        with np.load(folder / "images/fashion_mnist_20k.npz") as d:
            rows = np.sort(rng.permutation(len(d["X_train"]))[:MOST])
            np.savez(scratch, images=d["X_train"][rows], kind=d["y_train"][rows])
        return scratch, {"labels": ("kind",)}
    if name == "ecg":
        return folder / "signals/ecg_mitbih208.npz", {"window": 256, "hop": 64}
    if name == "magic":
        return folder / "adbench/22_magic.gamma.npz", {"labels": ("y",)}
    file, *labels = {
        "adult": ("adult", "income"),
        "wine": ("wine_quality", "color"),
        "cells": ("cell_segmentation", "class", "case"),
    }[name]
    frame = pd.read_parquet(folder / f"tables/{file}.parquet")
    rows = np.sort(rng.permutation(len(frame))[:MOST])
    return frame.iloc[rows].reset_index(drop=True), {"labels": tuple(labels)}


# --- samples and ways --------------------------------------------------------------------------------------------


def samples(space: Any, items: Any, seed: int) -> Iterator[Row]:
    from latentspace.jobs._parts import Sample
    from latentspace.jobs._sample_measures import MAX_LEARNT, MAX_TRIED, compared, makers, views
    from latentspace.space.likeness import covered, discrepancy, told_apart

    rng = np.random.default_rng(seed)
    train, held = (rng.permutation(np.flatnonzero(flag)) for flag in (~space.held_out, space.held_out))
    learnt = Sample.of(space.modality, items, train[:MAX_LEARNT])
    tried = Sample.of(space.modality, items, held[:MAX_TRIED])
    rows, mmd = compared(*makers(space, learnt), space.modality, learnt, tried, seed)
    for method, name in (("ours", "ours"), ("PCA", "pca")):
        for row in rows:
            yield method, row["measure"], row[name]["value"]
        yield method, "MMD²", mmd[name]
    view = views(space.modality, learnt.x.reshape(len(learnt), -1), space.latents.shape[1])
    real, copies = (
        view(tried.x.reshape(len(tried), -1)),
        view(learnt.x.reshape(len(learnt), -1)[: len(tried)]),
    )
    density, coverage = covered(real, copies)
    yield "training items", "told apart", told_apart(real, copies, seed).mean()
    yield "training items", "coverage", coverage.mean()
    yield "training items", "density", density.mean()
    yield "training items", "MMD²", discrepancy(real, copies)
    yield "training items", "copies", 1.0


def ways(space: Any, seed: int) -> Iterator[Row]:
    from latentspace.jobs._made import nearest_learnt, usual_distances
    from latentspace.models.paths import Ways

    rng, held = np.random.default_rng(seed), space.latents[space.held_out]
    pairs = [rng.choice(len(held), 2, replace=False) for _ in range(PAIRS)]
    found, usual = Ways(space.latents[~space.held_out], space.density), usual_distances(space).mean()
    for path in ("straight", "spherical", "data"):
        lines = [found.between(held[a], held[b], path, 11)[1:-1] for a, b in pairs]
        levels = np.array([space.density.log_prob(line) for line in lines])
        yield path, "log density", levels.mean()
        yield path, "at the thinnest", levels.min(axis=1).mean()
        yield path, "distance", nearest_learnt(space, np.concatenate(lines))[1].mean() / usual


# --- repairs -----------------------------------------------------------------------------------------------------


def repairs(folder: Path, name: str, seed: int) -> Iterator[Row]:
    from sklearn.ensemble import IsolationForest

    from latentspace import fit
    from latentspace.jobs._repairs import Repairer

    with np.load(folder / f"adbench/{name}.npz") as d:
        x, y = d["X"].astype(float), d["y"]
    usual = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))[:MOST]
    learnt, fresh = np.array_split(usual, 2)
    space = fit(x[learnt], seed=seed, modality="table")
    scale = lambda rows: space.modality.transform(space.items(rows))[0]  # noqa: E731
    odd = scale(x[np.flatnonzero(y == 1)])
    p = space.scorer.p_values(odd)
    odd, p = odd[p <= ALPHA][:REPAIRS], p[p <= ALPHA][:REPAIRS]
    if len(odd) < 5:
        return
    train, other = scale(x[learnt]), scale(x[fresh])
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(train)
    level = np.quantile(forest.score_samples(other[: len(other) // 2]), 0.05)
    judge = Judge(space, forest, level, other[len(other) // 2 :][:1000])
    start = time.process_time()
    repairer = Repairer(space, space.scorer, ALPHA)
    mended = np.stack([repairer.repair(row, None, float(q)).after for row, q in zip(odd, p, strict=True)])
    yield "ours", "seconds each", (time.process_time() - start) / len(odd)
    yield from judge.rows("ours", odd, mended)
    yield from judge.rows("d(e(x))", odd, space.model.decode(space.model.encode(odd)))
    fine = train[space.scorer.p_values(train) > 0.2]
    near = ((odd[:, None] - fine[None, :2000]) ** 2).sum(axis=2).argmin(axis=1)
    yield from judge.rows("nearest usual item", odd, fine[near])
    ends = np.quantile(train, [0.025, 0.975], axis=0)
    yield from judge.rows("columns clipped", odd, np.clip(odd, *ends).astype(np.float32))


class Judge:
    """What repairs are worth."""

    def __init__(self, space: Any, forest: Any, level: float, fresh: np.ndarray) -> None:
        self.space, self.forest, self.level, self.fresh = space, forest, level, fresh
        apart = np.sqrt(((fresh[:, None] - fresh) ** 2).sum(axis=2))
        np.fill_diagonal(apart, np.inf)
        self.usual = apart.min(axis=1).mean()

    def rows(self, method: str, odd: np.ndarray, mended: np.ndarray) -> Iterator[Row]:
        apart = np.abs(mended - odd)
        scorer = self.space.scorer
        far = np.sqrt(((mended[:, None] - self.fresh) ** 2).sum(axis=2)).min(axis=1)
        yield method, "valid", np.mean(scorer.judge(mended, None, np.zeros(len(mended), bool))[1] > ALPHA)
        yield method, "valid, other judge", np.mean(self.forest.score_samples(mended) > self.level)
        yield method, "size", np.mean(apart / np.sqrt(1 + (apart / 4) ** 2))
        yield method, "columns", np.mean(apart > 1e-4)
        yield method, "far", far.mean() / self.usual


# --- running -----------------------------------------------------------------------------------------------------


def measured(part: str, name: str, folder: Path, seed: int, scratch: Path) -> Iterator[tuple[str, Row]]:
    """Rows of a set; of the first part those of the ways, too."""
    if part == "repairs":
        for row in repairs(folder, name, seed):
            yield part, row
        return
    from latentspace import fit

    data, options = source(name, folder, seed, scratch)
    space = fit(
        data, scratch.with_suffix(".space"), seed=seed, held_out=0.2, report=False, overwrite=True, **options
    )
    for row in samples(space, space.items(data), seed):
        yield part, row
    for row in ways(space, seed):
        yield "ways", row


def markdown(rows: pd.DataFrame) -> str:
    """A table a part and set: means over seeds, with the least and the most."""
    lines = []
    for (part, name), group in rows.groupby(["part", "set"], sort=False):
        measures = list(dict.fromkeys(group.measure))
        lines += [f"\n### {part}: {name} ({group.seed.nunique()} seeds)\n"]
        lines += [f"| | {' | '.join(measures)} |", "|---|" + "--:|" * len(measures)]
        for method, own in group.groupby("method", sort=False):
            cells = []
            for measure in measures:
                values = own[own.measure == measure].value
                ends = f" ({values.min():.3g} to {values.max():.3g})" if len(values) > 1 else ""
                cells.append(f"{values.mean():.3g}{ends}" if len(values) else "")
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[*SETS, *ODD], choices=[*SETS, *ODD])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    file, done = options.out / "generation.csv", set()
    if file.exists():
        done = set(pd.read_csv(file)[["set", "seed"]].itertuples(index=False, name=None))
    for name in options.only:
        for seed in options.seeds:
            if (name, seed) in done:
                continue
            part = "repairs" if name in ODD else "samples"
            found = list(measured(part, name, options.data, seed, options.out / "scratch.npz"))
            with file.open("a", newline="") as handle:
                writer = csv.writer(handle)
                if not handle.tell():
                    writer.writerow(FIELDS)
                for part, (method, measure, value) in found:
                    writer.writerow((part, name, seed, method, measure, f"{value:.6g}"))
            print(name, seed, *(f"{m}/{k} {v:.3g}" for _, (m, k, v) in found), flush=True)
    text = markdown(pd.read_csv(file))
    (options.out / "generation.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
