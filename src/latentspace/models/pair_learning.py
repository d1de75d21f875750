"""Where pairs put items: by a linear map or, where there are pairs enough, by a network; what tells others better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError, nearest
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
from latentspace.models.pair_network import PairNetwork, Tell, Training, check_known, teaches
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
    x: Array | None,
    z: Array,
    pairs: Array,
    same: Mask,
    classes: Array | None = None,
    *,
    depth: str = "auto",
    how: Training | None = None,
    origin: Array | None = None,
    seed: int = 0,
    tell: Tell | None = None,
) -> PairMetric:
    """What pairs (m, 2) of rows, same (m,), teach of encoded items x (n, *shape) and their latents z (n, k).

    First a linear map (`models.pair_metric.learn`). Then, if `depth` has it, a network: learnt from the pairs of
    three quarters of the items or, where there are many, of the groups of the same, it is taken where it tells the
    pairs among the rest better than the linear map does, learnt once more from all pairs, and put into `views`.
    Quarter turns as other things (`Training.turns`) are tried first, and if that is no better, none.

    classes (n,) : the class of each item, where it is known; pairs alone leave open whether others are the same.

    Raises what `check_options` does; with `depth` "network" what `models.pair_network.check_known` does, too.
    """
    how = how or Training()
    check_options(depth, how)
    if classes is None:
        known = KnownPairs.of(pairs, same, len(z))
    else:
        known = KnownPairs.of_classes(classes)
    tried = depth == "network" or (depth == "auto" and _enough(x, known))
    if tried:
        check_known(known, how)
    every = views.of(x, z)
    metric = learn(every, pairs, same, seed)
    if x is None or not tried:
        return metric
    learnt, held, items = _split(known, pairs, seed)
    part = known.only(items)
    given = len(pairs)
    more = _all_pairs(known, ~items, seed)
    pairs, same = np.concatenate([pairs, more]), np.append(same, np.equal(*known.group[more.T]))
    learnt, held = np.append(learnt, np.zeros(len(more), bool)), np.append(held, np.ones(len(more), bool))
    if min(int(same[held].sum()), int((~same[held]).sum())) < LEAST or not teaches(part):
        return metric
    still = Way(next(iter(every)), False, RULES[0], 0.0), SMOOTHING[0]
    taken = (
        metric.tried if metric.learnt else (Way(metric.view, metric.sphere, RULES[0], 0.0), metric.smoothing)
    )
    old = _linear(every, pairs, same, learnt, held, still, items)
    used = old if taken == still else _linear(every, pairs, same, learnt, held, taken, items)
    best = metric
    for turns in (how.turns, 1) if x.ndim == 4 and how.turns > 1 else (1,):
        way = replace(how, turns=turns)
        network = PairNetwork.fit(x, part, way, seed, origin, tell)
        rows, place = np.unique(pairs[held], return_inverse=True)
        at = network.features(x[rows])[place.reshape(-1, 2)]
        distances = np.full(len(pairs), np.nan)
        distances[held] = np.linalg.norm(at[:, 0] - at[:, 1], axis=1)
        found = area(distances[held], same[held])
        best = replace(best, network=np.fmax(best.network, found))
        judged = same[held], pairs[held], seed
        if (
            _better(distances[held], old[held], *judged) >= SURE
            and _better(distances[held], used[held], *judged) >= LIKELY
        ):
            views.network = PairNetwork.fit(x, known, way, seed, origin, tell)  # from all of them
            return _of_network(best, distances[:given], area(old[held], same[held]), found, at.shape[2])
        if network.turns == 1:
            break  # of no square pictures: without turns it would be the same once more
    return best


def check_options(depth: str, how: Training) -> None:
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
    every: dict[str, Array],
    pairs: Array,
    same: Mask,
    learnt: Mask,
    held: Mask,
    tried: tuple[Way, tuple[int, float]],
    items: Mask,
) -> Floats:
    """(m,) distances of held-out pairs by a linear map of the others, as if their items were not there."""
    view = tried[0].view
    some = {view: np.asarray(every[view], float)}
    if tried[0].rule != RULES[0] and not 0 < same[learnt].sum() < learnt.sum():
        tried = (replace(tried[0], rule=RULES[0]), tried[1])
    return mean_known(held_out_distances(some, pairs, same, [(learnt, held)], *tried, items))


def _better(ours: Floats, theirs: Floats, same: Mask, pairs: Array, seed: int) -> float:
    """In what share of resampled sets of items our distances tell the pairs better (a bootstrap of items)."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    items, ends = np.unique(pairs, return_inverse=True)
    a, b = ends.reshape(-1, 2).T
    better = 0
    for _ in range(DRAWS):
        count = np.bincount(rng.integers(0, len(items), len(items)), minlength=len(items))
        weight = (count[a] * count[b]).astype(float)
        there = weight > 0
        if 0 < same[there].sum() < there.sum():
            areas = [
                roc_auc_score(same[there], -d[there], sample_weight=weight[there]) for d in (ours, theirs)
            ]
            better += areas[0] > areas[1]
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
