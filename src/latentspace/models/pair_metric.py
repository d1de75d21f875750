"""A distance learnt from pairs of items that are the same or different, in closed form, never worse than before."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.models.pair_rules import RULES, Way, learnt_map, on_sphere, ways_of
from latentspace.training.compared import Compared

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Smoothing = tuple[int, float]

#: (neighbours, own share): a place is moved to the mean of its neighbours in the pile; 0 neighbours: it stays
SMOOTHING = ((0, 1.0), (20, 0.3), (50, 0.0))
#: how many ways are tried with smoothing
SMOOTHED = 6
#: folds of pairs that share no item, and the least pairs of each sort
FOLDS, LEAST = 5, 5
#: where most pairs hang together: a share of the items that is held out, so many times
HELD_ITEMS, REPEATS = 0.3, 10
#: standard errors by which a distance must tell held-out pairs better than chance
SURE = 3.0
#: items among which an item's like are looked for, at most
PILE = 20_000


@dataclass(frozen=True, eq=False)
class PairMetric:
    """Where items lie so that the same are near: z' = L (φ(x) − m), then on the unit sphere, then among its like.

    view : which features φ it takes; middle (d,), change (d, r) : m and L; sphere : whether φ is brought to length 1
    before; unit : whether z' is; smoothing : (neighbours, own share); pile (n, r) : training items, up to PILE of
    them, before smoothing.
    before, after : areas under the ROC curve of held-out pairs, by the first view as it is and by this, means of
    folds. held_out : (m,) distances of the pairs it learnt from, each pair as other folds would have it; NaN where
    none could say. tried : the way to learn L that told them best, and its smoothing; learnt : whether it was taken,
    and not a view as it is. network : the area of a network's distances, where one was tried too, else NaN.
    """

    view: str
    middle: Floats
    change: Floats
    sphere: bool
    unit: bool
    smoothing: Smoothing
    pile: NDArray[np.float32]
    before: float
    after: float
    kept_old: bool
    held_out: Floats
    tried: tuple[Way, Smoothing]
    learnt: bool
    network: float = np.nan

    def transform(self, features: dict[str, Array]) -> NDArray[np.float32]:
        """(n, r) places of items of which the features φ are given by view."""
        return _smoothed(self._changed(features[self.view]), self.pile, self.smoothing, self.unit)

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; `PairMetric.of` reads it back."""
        numbers = [
            self.sphere,
            self.unit,
            *self.smoothing,
            self.before,
            self.after,
            self.kept_old,
            self.network,
        ]
        kept: dict[str, Array] = {"middle": self.middle, "change": self.change, "pile": self.pile}
        kept["held_out"] = self.held_out
        way, smoothing = self.tried
        return {
            **kept,
            "numbers": np.array(numbers, float),
            "view": np.frombuffer(self.view.encode(), np.uint8),
            "tried": np.frombuffer(json.dumps([astuple(way), smoothing, self.learnt]).encode(), np.uint8),
        }

    @classmethod
    def of(cls, arrays: dict[str, Array]) -> PairMetric:
        """What `arrays` gave."""
        sphere, unit, k, own, before, after, kept_old, network = arrays["numbers"].tolist()
        way, smoothed, learnt = json.loads(bytes(arrays["tried"]))
        return cls(
            view=bytes(arrays["view"]).decode(),
            middle=arrays["middle"],
            change=arrays["change"],
            sphere=bool(sphere),
            unit=bool(unit),
            smoothing=(int(k), own),
            pile=arrays["pile"],
            before=before,
            after=after,
            kept_old=bool(kept_old),
            held_out=arrays["held_out"],
            tried=(Way(*way), (int(smoothed[0]), float(smoothed[1]))),
            learnt=bool(learnt),
            network=network,
        )

    def _changed(self, features: Array) -> NDArray[np.float32]:
        return _apply(features, self.middle, self.change, self.sphere, self.unit)


_Key = tuple[Way, Smoothing]
_Split = tuple[Mask, Mask]


def learn(features: dict[str, Array], pairs: Array, same: Mask, seed: int = 0) -> PairMetric:
    """The distance that tells held-out pairs best, of the ways tried; the first view as it is where none is better.

    features : view → (n, d) of the training items; pairs (m, 2) rows; same (m,). Each way is tried on folds of pairs
    that share no item with those it learns from.
    """
    some = {view: np.asarray(f, float) for view, f in features.items()}
    first = next(iter(some))
    splits = item_splits(pairs, seed)
    old, still = (Way(first, False, "as it is", 0.0), SMOOTHING[0])
    told = {(old, still): held_out_distances(some, pairs, same, splits, old, still)}
    start = split_areas(told[old, still], same)
    enough = bool(min(same.sum(), (~same).sum()) >= LEAST and np.isfinite(start).sum() > 1)
    if enough:
        ways = list(ways_of(some))
        told |= {(way, still): held_out_distances(some, pairs, same, splits, way, still) for way in ways}
        worth = {way: _mean(split_areas(told[way, still], same)) for way in ways}
        best = [
            max((way for way in ways if (way.view, way.rule) == (view, rule)), key=lambda way: worth[way])
            for view in some
            for rule in RULES
        ]
        told |= {
            (way, smoothing): held_out_distances(some, pairs, same, splits, way, smoothing)
            for way in sorted(best, key=lambda way: -worth[way])[:SMOOTHED]
            for smoothing in SMOOTHING[1:]
            if smoothing[0] * 4 <= len(some[first])
        }
    areas = {key: split_areas(distances, same) for key, distances in told.items()}
    chosen = _simplest(areas)
    gain = areas[chosen] - start
    kept = not (enough and _is_better(gain, areas[chosen], same))
    way, smoothing = (old, still) if kept else chosen
    taught = {key: each for key, each in areas.items() if key[0].rule != RULES[0]} or areas
    middle, change = learnt_map(some[way.view], pairs, same, way)
    like = _pile(some[way.view]) if smoothing[0] else some[way.view][:0]
    return PairMetric(
        way.view,
        middle,
        change,
        way.sphere,
        way.unit,
        smoothing,
        pile=_apply(like, middle, change, way.sphere, way.unit),
        before=_mean(start),
        after=_mean(areas[way, smoothing]),
        kept_old=kept,
        held_out=mean_known(told[way, smoothing]),
        tried=_simplest(taught),
        learnt=way.rule != RULES[0],
    )


def _is_better(gain: Floats, areas: Floats, same: Mask) -> bool:
    """Whether a way that was the best of many is better beyond what that alone would make it seem.

    Its gain is above a standard error, that between splits and that of an area of so many pairs without any meaning
    (Hanley and McNeil 1982), and the area is SURE of the latter above one half.
    """
    n, m = int(same.sum()), int((~same).sum())
    chance = np.sqrt((n + m + 1) / (12 * n * m))
    return bool(_mean(gain) > max(_error(gain), chance) and _mean(areas) > 0.5 + SURE * chance)


def _mean(values: Floats) -> float:
    """The mean of those that are known; NaN where none is."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else np.nan


def mean_known(distances: Floats) -> Floats:
    """(m,) the mean of distances (splits, m) that are known."""
    known = np.isfinite(distances)
    total = np.where(known, distances, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _error(gain: Floats) -> float:
    """The standard error of a mean over splits that are known."""
    there = gain[np.isfinite(gain)]
    return float(there.std(ddof=1) / np.sqrt(len(there))) if len(there) > 1 else np.nan


def _simplest(areas: dict[_Key, Floats]) -> _Key:
    """Of the ways that are within a standard error of the best, that which learns least; of those the best."""
    worth = {key: _mean(each) for key, each in areas.items()}
    known = [key for key in areas if np.isfinite(worth[key])]
    if not known:
        return next(iter(areas))
    best = max(known, key=lambda key: worth[key])
    close = [
        key
        for key in known
        if key == best or _mean(areas[best] - areas[key]) <= _error(areas[best] - areas[key])
    ]
    least = min(RULES.index(way.rule) for way, _ in close)
    return max((key for key in close if RULES.index(key[0].rule) == least), key=lambda key: worth[key])


def held_out_distances(
    features: dict[str, Floats],
    pairs: Array,
    same: Mask,
    splits: list[_Split],
    way: Way,
    smoothing: Smoothing,
    among: Mask | None = None,
) -> Floats:
    """(splits, m) the distance of each held-out pair by what the others teach; NaN for pairs not held out.

    among (n,) : the items that others are moved to; all, unless held-out pairs stand for new ones.
    """
    f, found = features[way.view], np.full((len(splits), len(pairs)), np.nan)
    for i, (learnt, held) in enumerate(splits):
        both = 0 < same[learnt].sum() < learnt.sum()
        if not held.any() or not (both or way.rule == "as it is"):
            continue
        middle, change = learnt_map(f, pairs[learnt], same[learnt], way)
        rows, place = np.unique(pairs[held], return_inverse=True)
        at = _apply(f[rows], middle, change, way.sphere, way.unit)
        if smoothing[0]:
            like = _pile(f if among is None else f[among])
            at = _smoothed(at, _apply(like, middle, change, way.sphere, way.unit), smoothing, way.unit)
        ends = place.reshape(-1, 2)
        found[i, held] = np.linalg.norm(at[ends[:, 0]] - at[ends[:, 1]], axis=1)
    return found


def split_areas(distances: Floats, same: Mask) -> Floats:
    """(splits,) the area under the ROC curve of the held-out pairs of each; NaN where these are of one sort."""
    areas = np.full(len(distances), np.nan)
    for i, each in enumerate(distances):
        held = np.isfinite(each)
        if 0 < same[held].sum() < held.sum():
            areas[i] = area(each[held], same[held])
    return areas


def area(distances: Array, same: Mask) -> float:
    """The area under the ROC curve: how often a pair of the same is nearer than one of different ones."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(same, -distances))


def _pile(f: Floats) -> Floats:
    """Up to PILE of the items, always the same ones."""
    return f if len(f) <= PILE else f[np.sort(np.random.default_rng(0).permutation(len(f))[:PILE])]


def _apply(f: Array, middle: Floats, change: Floats, sphere: bool, unit: bool) -> NDArray[np.float32]:
    x = (on_sphere(f) if sphere else np.asarray(f, float)) - middle
    made = x @ change
    return np.ascontiguousarray(on_sphere(made) if unit else made, np.float32)


def _smoothed(
    at: NDArray[np.float32], pile: NDArray[np.float32], smoothing: Smoothing, unit: bool
) -> NDArray[np.float32]:
    """Places moved towards the mean of their nearest in the pile, the nearer counting for more.

    What one item has of its own is left out, what it shares with its like stays (mean shift: Fukunaga and Hostetler
    1975; here one step).
    """
    k, own = smoothing
    if not k or not len(at):
        return at
    rows, distances = Compared(pile).nearest(at, min(k, len(pile)))
    weights = np.exp(-((distances / np.maximum(distances[:, -1:], 1e-12)) ** 2))
    moved = np.zeros_like(at)
    for j in range(rows.shape[1]):  # a neighbour at a time, so that memory stays small
        moved += weights[:, j, None] * pile[rows[:, j]]
    moved = own * at + (1 - own) * moved / weights.sum(axis=1, keepdims=True)
    return np.asarray(on_sphere(moved) if unit else moved, np.float32)


def item_splits(pairs: Array, seed: int) -> list[_Split]:
    """(pairs to learn from, pairs held out) of which no item is in both, each as a mask (m,).

    Groups of pairs that hang together are kept together. Where most hang together, a share of the items is held out
    REPEATS times, and pairs between held-out and other items are left away.
    """
    from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

    rng = np.random.default_rng(seed)
    names, ends = np.unique(pairs, return_inverse=True)
    a, b = ends.reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(len(names), len(names)))
    component = connected_components(graph, directed=False)[1][a]
    sizes = np.bincount(component)
    if sizes.max() > len(pairs) / FOLDS:
        drawn = (rng.random(len(names)) < HELD_ITEMS for _ in range(REPEATS))
        return [(~held[a] & ~held[b], held[a] & held[b]) for held in drawn]
    order = rng.permutation(len(sizes))
    fold, full = np.empty(len(sizes), np.intp), np.zeros(FOLDS)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold[group] = full.argmin()
        full[fold[group]] += sizes[group]
    return [(fold[component] != f, fold[component] == f) for f in range(FOLDS)]
