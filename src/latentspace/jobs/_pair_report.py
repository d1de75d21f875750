"""How well held-out pairs are told by what pairs taught, and by distances that were not taught."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError
from latentspace.jobs._drawings import rival_of
from latentspace.models.pair_metric import area
from latentspace.models.thresholds import equal_error_rate, rates
from latentspace.space.folder import Space
from latentspace.space.pair_head import PairHead
from latentspace.space.quality import Interval

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: false-match rates that a line is drawn for, and resamples of the pairs
RATES, DRAWS = (0.001, 0.01, 0.05, 0.1), 400
#: fewer pairs of one sort say nothing
ENOUGH = 5


@dataclass(frozen=True)
class Way:
    """One distance: its area under the ROC curve, its equal error rate, and by how much ours is ahead of it."""

    area: Interval
    equal: float
    behind: Interval
    curve: tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Judged:
    """n held-out pairs, `same` of them the same; the ways by name, "pairs" first; lines: rows of thresholds."""

    n: int
    same: int
    ways: dict[str, Way]
    lines: list[dict[str, float]]

    def to_json(self) -> dict[str, Any]:
        """All figures, for a JSON object."""
        ways = {
            name: {"area": asdict(way.area), "equal_error_rate": way.equal, "behind": asdict(way.behind)}
            for name, way in self.ways.items()
        }
        return {"held_out": self.n, "same": self.same, "distances": ways, "lines": self.lines}


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
    return Judged(len(rows), int(same.sum()), ways, lines)


def draw_report(found: Judged) -> Any:
    """ROC curves of all distances."""
    from latentspace.plots_pairs import roc_curves

    curves = {name: (way.curve, way.area.value) for name, way in found.ways.items()}
    return roc_curves(curves, f"{found.n:,} held-out pairs, none of whose items was learnt from.")


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
