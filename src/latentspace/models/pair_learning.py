"""Where pairs put items: by a linear map or, where there are pairs enough, by a network; what tells others better."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError, nearest
from latentspace.models.base import Tell
from latentspace.models.known_pairs import KnownPairs
from latentspace.models.pair_metric import (
    LEAST,
    SMOOTHING,
    PairMetric,
    area,
    held_out_distances,
    learn,
    mean_known,
)
from latentspace.models.pair_network import PairNetwork, PairTraining, check_known, teaches
from latentspace.models.pair_rules import RULES, Way
from latentspace.models.views import NETWORK, Views

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Depth = Literal["auto", "head", "network"]

#: known pairs of the same from which a network is tried unasked
ENOUGH = 5000
#: share of the groups, or else of the items, whose pairs a network is judged by; whole groups where there are so many
HELD, MANY = 0.25, 12
#: a network is taken where it tells held-out pairs better than the space before in so large a share of resampled
#: sets of items, and better than the linear map in so large a share, of so many
SURE, LIKELY, DRAWS = 0.95, 0.8, 100
#: held-out items of known classes of which all pairs are judged, beside those that were given
JUDGED = 300


def learn_places(
    views: Views,
    features: dict[str, Array],
    x: Array | None,
    pairs: Array,
    same: Mask,
    classes: Array | None = None,
    *,
    depth: str = "auto",
    how: PairTraining | None = None,
    origin: Array | None = None,
    seed: int = 0,
    tell: Tell | None = None,
) -> tuple[PairMetric, dict[str, Array]]:
    """What pairs (m, 2) of rows, same (m,), teach; with the `features` of items that it needs: views → (n, d).

    First a linear map of the `features`, which `views` have of encoded items x (n, *shape)
    (`models.pair_metric.learn`). Then, if `depth` has it, a network: learnt from the pairs of three quarters of the
    items or, where there are many, of the groups of the same, it is taken where it tells the pairs among the rest
    better than the linear map does, learnt once more from all pairs, and put into `views` and the features. Quarter
    turns as other things (`PairTraining.turns`) are tried first, and if that is no better, none.

    classes (n,) : the class of each item, where it is known; pairs alone leave open whether others are the same.

    Raises what `check_options` does; with `depth` "network" what `models.pair_network.check_known` does, too.
    """
    how = how or PairTraining()
    check_options(depth, how)
    if classes is None:
        known = KnownPairs.of(pairs, same, len(next(iter(features.values()))))
    else:
        known = KnownPairs.of_classes(classes)
    tried = depth == "network" or (depth == "auto" and _enough(x, known))
    if tried:
        check_known(known, how)
    metric = learn(features, pairs, same, seed)
    if x is None or not tried:
        return metric, features
    trial = _Trial.of(features, pairs, same, known, metric, seed)
    if trial is None:
        return metric, features
    for turns in (how.turns, 1) if x.ndim == 4 and how.turns > 1 else (1,):
        way = replace(how, turns=turns)
        network = PairNetwork.fit(x, trial.known, way, seed, origin, tell, "trying a network")
        distances, found, better = trial.judged(network, x, seed)
        metric = replace(metric, network=np.fmax(metric.network, found))
        if better:
            views.network = PairNetwork.fit(x, known, way, seed, origin, tell)
            places = views.network.features(x)
            taken = _of_network(metric, distances[: len(pairs)], trial.before, found, places.shape[1])
            return taken, features | {NETWORK: places}
        if network.turns == 1:
            break  # of no square pictures: without turns it would be the same once more
    return metric, features


@dataclass(frozen=True, eq=False)
class _Trial:
    """What a network is judged by. known : what it may learn from; pairs (m, 2), same (m,) : those that were given,
    then, where classes are known, all pairs of some held-out items; held (m,) : which are held out; old, used (m,) :
    their distances in the space before, and by the linear map that is in use."""

    known: KnownPairs
    pairs: Array
    same: Mask
    held: Mask
    old: Floats
    used: Floats

    @classmethod
    def of(
        cls,
        features: dict[str, Array],
        pairs: Array,
        same: Mask,
        known: KnownPairs,
        metric: PairMetric,
        seed: int,
    ) -> _Trial | None:
        """None where too few pairs can be held out, or the others teach nothing."""
        learnt, held, items = _split(known, pairs, seed)
        more, part = _all_pairs(known, ~items, seed), known.only(items)
        pairs, same = np.concatenate([pairs, more]), np.append(same, np.equal(*known.group[more.T]))
        learnt, held = np.append(learnt, np.zeros(len(more), bool)), np.append(held, np.ones(len(more), bool))
        if min(int(same[held].sum()), int((~same[held]).sum())) < LEAST or not teaches(part):
            return None
        still = Way(next(iter(features)), False, RULES[0], 0.0), SMOOTHING[0]
        as_it_is = Way(metric.view, metric.sphere, RULES[0], 0.0), metric.smoothing
        old, used = (
            _linear(features, pairs, same, learnt, held, way, items)
            for way in (still, metric.tried if metric.learnt else as_it_is)
        )
        return cls(part, pairs, same, held, old, used)

    @property
    def before(self) -> float:
        """The area of the space before."""
        return area(self.old[self.held], self.same[self.held])

    def judged(self, network: PairNetwork, x: Array, seed: int) -> tuple[Floats, float, bool]:
        """(distances (m,), NaN of pairs not held out; their area; whether they are better) by a network."""
        held = self.held
        rows, place = np.unique(self.pairs[held], return_inverse=True)
        at = network.features(x[rows])[place.reshape(-1, 2)]
        distances = np.full(len(self.pairs), np.nan)
        distances[held] = np.linalg.norm(at[:, 0] - at[:, 1], axis=1)
        others = [self.old[held], self.used[held]]
        than_old, than_used = _better(distances[held], others, self.same[held], self.pairs[held], seed)
        better = bool(than_old >= SURE and than_used >= LIKELY)
        return distances, area(distances[held], self.same[held]), better


def check_options(depth: str, how: PairTraining) -> None:
    """Raise OptionError for a depth that is none, and for a loss, margin or device that no network could have."""
    if depth not in get_args(Depth):
        raise OptionError(
            f"depth is one of {', '.join(get_args(Depth))}, not {depth!r}{nearest(str(depth), get_args(Depth))}."
        )
    how.check()


def _enough(x: Array | None, known: KnownPairs) -> bool:
    return x is not None and x.ndim > 2 and known.same_pairs >= ENOUGH and teaches(known)


def _split(known: KnownPairs, pairs: Array, seed: int) -> tuple[Mask, Mask, Mask]:
    """(pairs to learn from, pairs held out, items to learn from): as many whole groups are held out, or items."""
    rng, there = np.random.default_rng(seed), known.group >= 0
    sizes = known.sizes
    if (sizes > 1).sum() >= MANY and sizes.max() <= there.sum() / MANY * 2:
        drawn = rng.random(known.groups)
        two = np.sort(drawn[sizes > 1])[1]  # at least two groups, or there is nothing different to judge by
        chosen = np.append(drawn <= max(HELD, two), False)  # -1 is nobody's group
        out = chosen[known.group]
    else:
        out = there & (rng.random(len(there)) < HELD)
    a, b = out[pairs.T]
    return ~a & ~b, a & b, ~out


def _all_pairs(known: KnownPairs, items: Mask, seed: int) -> NDArray[np.intp]:
    """(k, 2) all pairs among some of the items, where their classes are known; else none."""
    if known.apart is not None:
        return np.zeros((0, 2), np.intp)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(items & (known.group >= 0)))[:JUDGED]
    a, b = np.triu_indices(len(rows), 1)
    return np.stack([rows[a], rows[b]], axis=1)


def _linear(
    features: dict[str, Array],
    pairs: Array,
    same: Mask,
    learnt: Mask,
    held: Mask,
    tried: tuple[Way, tuple[int, float]],
    items: Mask,
) -> Floats:
    """(m,) distances of held-out pairs by a linear map of the others, as if their items were not there."""
    view = tried[0].view
    some = {view: np.asarray(features[view], float)}
    if tried[0].rule != RULES[0] and not 0 < same[learnt].sum() < learnt.sum():
        tried = (replace(tried[0], rule=RULES[0]), tried[1])
    return mean_known(held_out_distances(some, pairs, same, [(learnt, held)], *tried, items))


def _better(ours: Floats, others: list[Floats], same: Mask, pairs: Array, seed: int) -> Floats:
    """In what share of resampled sets of items our distances tell the pairs better than each of the others do (a
    bootstrap of items)."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    items, ends = np.unique(pairs, return_inverse=True)
    a, b = ends.reshape(-1, 2).T
    better = np.zeros(len(others))
    for _ in range(DRAWS):
        count = np.bincount(rng.integers(0, len(items), len(items)), minlength=len(items))
        weight = (count[a] * count[b]).astype(float)
        there = weight > 0
        if 0 < same[there].sum() < there.sum():
            own, *theirs = (
                roc_auc_score(same[there], -d[there], sample_weight=weight[there]) for d in (ours, *others)
            )
            better += own > np.array(theirs)
    return better / DRAWS


def _of_network(metric: PairMetric, held_out: Floats, before: float, after: float, width: int) -> PairMetric:
    """The places of the view "network", as they are."""
    return replace(
        metric,
        view=NETWORK,
        middle=np.zeros(width),
        change=np.eye(width),
        sphere=False,
        unit=False,
        smoothing=SMOOTHING[0],
        pile=np.zeros((0, width), np.float32),
        before=before,
        after=after,
        kept_old=False,
        held_out=held_out,
        learnt=False,
    )
