"""How well odd items are found, beside four rivals: by a rare label, or planted among the held-out items."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.jobs._drawings import rival_of
from latentspace.jobs._measures import room_for
from latentspace.jobs._parts import Sample
from latentspace.jobs._reason import said
from latentspace.jobs._reasons import reasons
from latentspace.jobs.base import jsonable
from latentspace.rivals.pca import PCA
from latentspace.space.folder import Space
from latentspace.space.quality import Interval

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer

#: rows that the rivals learn from, and held-out items that all are tried on
MAX_TRAIN, MAX_HELD = 2000, 1000
#: held-out items and odd ones among them needed at least
ENOUGH, ENOUGH_ODD = 40, 8
#: a class is rare up to this share, and up to half of an equal share among the classes
RARE = 0.1
#: of planted anomalies: the share of the items, and of their parts that come from other items
PLANTED, SWAPPED = 0.2, 1 / 3
DRAWS = 500
#: held-out items shown with their reasons
WORST = 5

Array = NDArray[Any]


def measure_anomalies(
    scorer: Scorer, pca: PCA, parts: dict[str, Array], train: Sample, held: Sample, seed: int = 0
) -> dict[str, Any]:
    """AUROC and average precision of our score and the rivals', with 95 % intervals; JSON-able.

    Where a label has a rare class, that is the anomaly; else some held-out items get a third of their `parts`
    from other held-out items. The rivals learn from `train` items and are tried on the same items as ours.
    Keys: "kind" ("label" or "planted"), "what" (in words), "n", "odd", "rows" (by method), "verdict". Empty
    where there are too few items.
    """
    train, held = _first(train, MAX_TRAIN), _first(held, MAX_HELD)
    if len(train) < ENOUGH or len(held) < ENOUGH:
        return {}
    kind, (what, tried, odd) = "label", _labelled(held)
    if odd is None:
        kind, (what, tried, odd) = "planted", _planted(held, parts, seed)
    if odd is None:
        return {}
    scores = {"ours": scorer.scores(_as_new(tried.x), tried.observed)} | _rivals(pca, train, tried, seed)
    rows, differences = _rows(scores, odd, seed)
    found = {"kind": kind, "what": what, "n": len(tried), "odd": int(odd.sum()), "rows": rows}
    return {**found, "verdict": _verdict(kind, what, rows, differences)}


def _first(sample: Sample, most: int) -> Sample:
    observed = None if sample.observed is None else sample.observed[:most]
    return Sample(sample.x[:most], observed, {name: y[:most] for name, y in sample.labels.items()})


def _as_new(x: Array) -> Array:
    """x, off by a hair: the scorer judges items of the training pile by another rule, and knows them by their
    exact values, but measured is how new ones are judged."""
    return x * np.float32(1 + 1e-6) + np.float32(1e-6)


def _labelled(held: Sample) -> tuple[str, Sample, NDArray[np.bool_] | None]:
    """The first label's rarest class as the anomaly, where one is rare."""
    for name, y in held.labels.items():
        values, codes, counts = np.unique(
            y.astype(str) if y.dtype.kind == "O" else y, return_inverse=True, return_counts=True
        )
        rarest = int(counts.argmin())
        rare = counts[rarest] / len(y) <= min(RARE, 0.5 / len(values))
        if len(values) > 1 and rare and counts[rarest] >= ENOUGH_ODD:
            return f"{name} is {values[rarest]}", held, codes == rarest
    return "", held, None


def _planted(
    held: Sample, parts: dict[str, Array], seed: int
) -> tuple[str, Sample, NDArray[np.bool_] | None]:
    """Held-out items of which some have several parts from other items, each part from another one."""
    rng, n, apart = np.random.default_rng(seed), len(held), _disjoint(parts)
    if len(apart) < 2 or round(PLANTED * n) < ENOUGH_ODD:
        return "", held, None
    x = held.x.reshape(n, -1).copy()
    seen = None if held.observed is None else held.observed.reshape(n, -1).copy()
    odd = np.zeros(n, bool)
    odd[rng.permutation(n)[: round(PLANTED * n)]] = True
    swapped = max(1, round(SWAPPED * len(apart)))
    for i in np.flatnonzero(odd):
        for j in rng.permutation(len(apart))[:swapped]:
            donor = int((i + rng.integers(1, n)) % n)
            x[i, apart[j]] = held.x[donor].reshape(-1)[apart[j]]
            if seen is not None and held.observed is not None:
                seen[i, apart[j]] = held.observed[donor].reshape(-1)[apart[j]]
    shape = held.x.shape
    observed = None if seen is None else seen.reshape(shape)
    what = f"{swapped} of the {len(apart)} parts come from other items"
    return what, Sample(x.reshape(shape), observed, {}), odd


def _disjoint(parts: dict[str, Array]) -> list[Array]:
    """The parts that share no element with an earlier one."""
    taken: set[int] = set()
    kept = []
    for where in parts.values():
        if taken.isdisjoint(where.tolist()):
            kept.append(where)
            taken.update(where.tolist())
    return kept


def _rivals(pca: PCA, train: Sample, tried: Sample, seed: int) -> dict[str, Array]:
    """Scores (n,) by method, higher is odder; gaps at their neutral value."""
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

    a, b = train.x.reshape(len(train), -1), tried.x.reshape(len(tried), -1)
    near, _ = NearestNeighbors(n_neighbors=5).fit(a).kneighbors(b)
    return {
        "PCA error": ((pca.reconstruct(tried.x) - tried.x) ** 2).reshape(len(tried), -1).mean(axis=1),
        "IsolationForest": -IsolationForest(random_state=seed).fit(a).score_samples(b),
        "5-NN distance": near.mean(axis=1),
        "LOF": -LocalOutlierFactor(novelty=True).fit(a).score_samples(b),
    }


def _rows(
    scores: dict[str, Array], odd: NDArray[np.bool_], seed: int
) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """A row a method, and the AUROC of each in every resample of the items (the same ones for all)."""
    n = len(odd)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), DRAWS)
    drawn = drawn[(drawn[:, odd].sum(axis=1) > 0) & (drawn[:, ~odd].sum(axis=1) > 0)]
    weights = np.concatenate([np.ones((1, n), int), drawn])
    rows, resampled = [], {}
    for method, score in scores.items():
        auroc, precision = ranked(score, odd, weights)
        rows.append({"method": method, "auroc": _interval(auroc), "average_precision": _interval(precision)})
        resampled[method] = auroc
    return rows, resampled


def ranked(score: Array, odd: NDArray[np.bool_], weights: Array) -> tuple[Array, Array]:
    """AUROC and average precision (b,) of scores (n,), higher is odder, for each row of item weights (b, n).

    >>> odd = np.array([True, False, True, False])
    >>> auroc, precision = ranked(np.array([3.0, 2.0, 1.0, 0.0]), odd, np.ones((1, 4)))
    >>> float(auroc[0]), round(float(precision[0]), 3)
    (0.75, 0.833)
    """
    order = np.argsort(-score, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))  # items that tie count together
    found = np.add.reduceat(weights[:, order] * odd[order], first, axis=1)
    false = np.add.reduceat(weights[:, order] * ~odd[order], first, axis=1)
    all_found, all_false = np.cumsum(found, axis=1), np.cumsum(false, axis=1)
    hits, misses = all_found[:, -1], all_false[:, -1]
    auroc = (found * (misses[:, None] - all_false + false / 2)).sum(axis=1) / (hits * misses)
    precision = all_found / np.maximum(all_found + all_false, 1e-12)
    return auroc, (found * precision).sum(axis=1) / hits


def _interval(values: Array) -> dict[str, float]:
    """The first is the figure, the rest are its resamples."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return asdict(Interval(float(values[0]), float(low), float(high)))


def _verdict(kind: str, what: str, rows: list[dict[str, Any]], resampled: dict[str, Array]) -> str:
    """Who finds them best, by AUROC, the rival where it is one."""
    order = sorted(rows, key=lambda row: -row["auroc"]["value"])
    best = order[0]["method"]
    second = order[1]["method"] if best == "ours" else "ours"
    difference = _interval(resampled[best] - resampled[second])
    figures = {row["method"]: f"{row['auroc']['value']:.3f}" for row in rows}
    names = {name: "our score" if name == "ours" else name for name in figures}
    both = f"{names[best]} ({figures[best]}) and {names[second]} ({figures[second]})"
    whom = f"planted anomalies ({what})" if kind == "planted" else f"the items whose {what}"
    if difference["low"] <= 0:
        return f"To find {whom}, {both} are as good: their AUROC differs by no more than chance."
    return (
        f"To find {whom}, {names[best]} is best (AUROC {figures[best]}), before "
        f"{names[second]} ({figures[second]})."
    )


def add_anomaly_figures(
    space: Space, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> None:
    """Put the report's section into the space's figures, under "anomalies", and its verdict beside the others.

    It holds what `measure_anomalies` gives, and under "worst" the oddest held-out items with their reasons.
    Nothing is added where the space has no scorer.
    """
    if space.scorer is None:
        return
    with warnings.catch_warnings():
        # What only a held-out item holds (a rare category) is measured as a gap, and no mistake of the user's.
        warnings.simplefilter("ignore", UserWarning)
        found = _figures(space, space.scorer, items, train, held, seed)
    space.figures["anomalies"] = jsonable(found)
    space.figures["verdict"] += [found["verdict"]] if "verdict" in found else []


def _figures(
    space: Space, scorer: Scorer, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> dict[str, Any]:
    rng, modality = np.random.default_rng(seed), space.modality
    tried = rng.permutation(held)[: room_for(modality.shape, MAX_HELD)]
    learnt = Sample.of(modality, items, rng.permutation(train)[: room_for(modality.shape, MAX_TRAIN)])
    measured = Sample.of(modality, items, tried)
    found = measure_anomalies(scorer, rival_of(space), modality.parts(), learnt, measured, seed)
    surprise = scorer.scores(_as_new(measured.x), measured.observed)
    worst = tried[np.argsort(-surprise, kind="stable")[:WORST]]
    why = reasons(modality, scorer, modality.take(items, worst))
    rows = zip(items.ids[worst], np.sort(surprise)[::-1], why, strict=False)
    return found | {"worst": [{"id": i, "surprise": s, "reason": said(reason)} for i, s, reason in rows]}
