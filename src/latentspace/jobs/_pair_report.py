"""How well held-out pairs are told by what pairs taught, and by distances that were not taught."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError
from latentspace.jobs._answered_pairs import pairs_of
from latentspace.jobs._drawings import rival_of
from latentspace.jobs._pair_doubt import Doubted, doubted
from latentspace.models.pair_curve import Curve, Law, law_of
from latentspace.models.pair_metric import area
from latentspace.models.thresholds import equal_error_rate, rates
from latentspace.space.answers import implied, read
from latentspace.space.folder import Space
from latentspace.space.pair_head import PairHead
from latentspace.space.quality import Interval

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: false-match rates that a line is drawn for, and resamples of the pairs
RATES, DRAWS = (0.001, 0.01, 0.05, 0.1), 400
#: fewer pairs of one sort say nothing
ENOUGH = 5
#: pairs more, whose gain is extrapolated
MORE = 100


@dataclass(frozen=True)
class Way:
    """One distance: its area under the ROC curve, its equal error rate, and by how much ours is ahead of it."""

    area: Interval
    equal: float
    behind: Interval
    curve: tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Learning:
    """How well held-out pairs are told by the number of pairs learnt from (sizes, areas, errors), what the last
    doubling gained, and what MORE pairs and as many again would gain after all `now` of them: extrapolated by the
    law, None for too few. in_use: whether the space goes by what was learnt so."""

    sizes: list[int]
    areas: list[float]
    errors: list[float]
    doubling: Interval
    now: int
    more: Interval | None
    twice: Interval | None
    law: Law | None
    in_use: bool

    def to_json(self) -> dict[str, Any]:
        """All figures, for a JSON object."""
        return {
            "pairs": self.sizes,
            "area": self.areas,
            "error": self.errors,
            "in_use": self.in_use,
            "last_doubling": asdict(self.doubling),
            "extrapolated": None
            if self.more is None or self.twice is None
            else {"after": self.now, f"next_{MORE}": asdict(self.more), "twice_as_many": asdict(self.twice)},
        }


@dataclass(frozen=True)
class Judged:
    """n held-out pairs, `same` of them the same; the ways by name, "pairs" first; lines: rows of thresholds;
    learning: None where there are too few pairs for two sizes."""

    n: int
    same: int
    ways: dict[str, Way]
    lines: list[dict[str, float]]
    learning: Learning | None

    def to_json(self) -> dict[str, Any]:
        """All figures, for a JSON object."""
        ways = {
            name: {"area": asdict(way.area), "equal_error_rate": way.equal, "behind": asdict(way.behind)}
            for name, way in self.ways.items()
        }
        return {
            "held_out": self.n,
            "same": self.same,
            "distances": ways,
            "lines": self.lines,
            "learning_curve": None if self.learning is None else self.learning.to_json(),
        }


def judged(space: Space, head: PairHead, x: Array | None) -> Judged:
    """The pairs learnt from as others of them would have them, beside latents and, where x is given, items and PCA.

    Raises DataError where too few pairs were held out.
    """
    there = np.isfinite(head.metric.held_out)
    rows, same = head.pairs[there], head.same[there]
    if min(int(same.sum()), int((~same).sum())) < ENOUGH:
        raise DataError(f"At least {ENOUGH} pairs of each sort must be held out: answer more (pairs ask).")
    distances = {"pairs": head.metric.held_out[there], "latents": _apart(space.latents, rows)}
    if x is not None:
        distances["raw items"] = _apart(x.reshape(len(x), -1), rows)
        distances["PCA"] = _apart(rival_of(space).transform(x), rows)
    draws = _draws(same)
    areas = {name: np.array([area(d[pick], same[pick]) for pick in draws]) for name, d in distances.items()}
    ways = {
        name: _way(d, same, areas[name], areas["pairs"], distances["pairs"]) for name, d in distances.items()
    }
    at, false, true = rates(distances["pairs"], same)
    lines = []
    for most in RATES:
        i = int(np.flatnonzero(false <= most)[-1])
        lines.append({"fmr": float(false[i]), "fnmr": float(1 - true[i]), "threshold": float(at[i])})
    learning = _learning(head.curve, len(head.pairs), head.metric.learnt)
    return Judged(len(rows), int(same.sum()), ways, lines, learning)


def measured(space: Space, x: NDArray[np.float32] | None) -> tuple[Judged, Doubted, bool]:
    """How well held-out pairs are told, how many answers are wrong, and whether answers came or went since.

    x (n, *shape) : the space's encoded items, to compare with them too. Raises SpaceError where the space learnt from
    no pairs, DataError where too few were held out.
    """
    head = PairHead.of(space)
    assert space.path is not None
    every = read(space.path)
    said = implied(every)
    now, alike = pairs_of(space, every, said, None)  # of which it learnt from the first
    n = max(len(head.pairs), len(pairs_of(space, every, said, 1)[0]))
    stale = not (np.array_equal(now[:n], head.pairs) and np.array_equal(alike[:n], head.same))
    return judged(space, head, x), doubted(space, head, every, said), stale


def draw_report(found: Judged) -> Any:
    """ROC curves of all distances, and the learning curve."""
    from latentspace.plots_pairs import roc_curves

    curves = {name: (way.curve, way.area.value) for name, way in found.ways.items()}
    note = f"{found.n:,} held-out pairs, none of whose items was learnt from."
    learning, law = found.learning, None if found.learning is None else found.learning.law
    if learning is None:
        return roc_curves(curves, note)
    if not learning.in_use:
        note += " To the right the best linear map, which is not what is in use."
    points = np.array([learning.sizes, learning.areas, learning.errors])
    at = np.geomspace(learning.sizes[-1], 2 * learning.now, 20)
    return roc_curves(curves, note, points, None if law is None else np.stack([at, *law.range(at)]))


def _learning(curve: Curve, now: int, in_use: bool) -> Learning | None:
    doubling = curve.last_gain()
    if doubling is None:
        return None
    law = law_of(curve)
    return Learning(
        np.round(curve.sizes).astype(int).tolist(),
        curve.means.tolist(),
        curve.errors.tolist(),
        Interval(*doubling),
        now,
        None if law is None else Interval(*law.gain(now, MORE)),
        None if law is None else Interval(*law.gain(now, now)),
        law,
        in_use,
    )


def _way(distances: Array, same: Mask, areas: Array, ours: Array, own: Array) -> Way:
    _, false, true = rates(distances, same)
    value = area(distances, same)
    gain = area(own, same) - value
    return Way(
        _interval(value, areas),
        equal_error_rate(distances, same),
        _interval(gain, ours - areas),
        (false, true),
    )


def _interval(value: float, resampled: Array) -> Interval:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))


def _draws(same: Mask) -> list[NDArray[np.intp]]:
    """Resamples of the pairs, as many of each sort as there are."""
    rng = np.random.default_rng(0)
    sorts = np.flatnonzero(same), np.flatnonzero(~same)
    return [np.concatenate([rng.choice(rows, len(rows)) for rows in sorts]) for _ in range(DRAWS)]


def _apart(places: Array, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    ends = places[rows].astype(float)
    return np.asarray(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))
