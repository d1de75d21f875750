"""How well held-out pairs are told by the number of pairs learnt from, and what more of them would probably gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.models.pair_metric import (
    LEAST,
    PairMetric,
    held_out_distances,
    item_splits,
    mean_known,
    split_areas,
)

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: sizes at most, each half of the next
SIZES = 6
#: powers of the number of pairs that the error may fall by
POWERS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
#: sizes that a law is fitted to; fewer sizes or splits fit none; and curves drawn around the one that was measured
LAST, FEWEST, DRAWS = 4, 3, 1000
#: how far a law may be astray at a size, as a share of what the area there lacks to that of the largest
ASTRAY = 0.2


@dataclass(frozen=True, eq=False)
class Curve:
    """sizes (s,) : pairs learnt from, from the fewest; areas (s, splits) : the area under the ROC curve of held-out
    pairs, of the splits in which each size has one; held : how many pairs are held out for one that is learnt from;
    held_out (m,) : the distance of each pair by the most of the others, NaN where none could say.
    """

    sizes: Floats
    areas: Floats
    held: float
    held_out: Floats

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def means(self) -> Floats:
        """(s,) the mean over splits."""
        return np.asarray(self.areas.mean(axis=1), float)

    @property
    def errors(self) -> Floats:
        """(s,) standard errors of what sizes differ by: what a split has of its own at all sizes is left out.

        Splits share what they learn from, so the variance is that of Nadeau and Bengio (2003). As few splits tell it
        badly, each is half that of all sizes together.
        """
        s, splits = self.areas.shape
        own = self.areas - self.areas.mean(axis=0)
        spread = own.var(axis=1, ddof=1) * s / (s - 1)
        spread = (spread + spread.mean()) / 2
        return np.asarray(np.sqrt(spread * (1 / splits + self.held)), float)

    def last_gain(self) -> tuple[float, float, float] | None:
        """(value, low, high) of what the last doubling gained, a 95 % interval; None where there is none."""
        s, splits = self.areas.shape
        if s < 2 or splits < FEWEST:
            return None
        from scipy.stats import t  # type: ignore[import-untyped]

        gains = self.areas[-1] - self.areas[-2]
        error = float(gains.std(ddof=1) * np.sqrt(1 / splits + self.held) * t.ppf(0.975, splits - 1))
        value = float(gains.mean())
        return value, value - error, value + error

    def arrays(self) -> dict[str, Array]:
        """All of it, to be saved; `Curve.of` reads it back."""
        return {
            "sizes": self.sizes,
            "areas": self.areas,
            "held": np.array([self.held]),
            "held_out": self.held_out,
        }

    @classmethod
    def of(cls, arrays: dict[str, Array]) -> Curve:
        """What `arrays` gave."""
        return cls(arrays["sizes"], arrays["areas"], float(arrays["held"][0]), arrays["held_out"])


def learning_curve(
    features: dict[str, Array], pairs: Array, same: Mask, metric: PairMetric, seed: int = 0
) -> Curve:
    """The curve of the way that `learn` found with these arguments, on its own splits.

    Each size is a share of the pairs that are learnt from, of both sorts alike, and the smaller are among the larger.
    The way was chosen with all pairs, so that fewer might do a little better by another.
    """
    view = metric.tried[0].view
    some = {view: np.asarray(features[view], float)}
    splits = item_splits(pairs, seed)
    least = min(int(min(same[learnt].sum(), (~same[learnt]).sum())) for learnt, _ in splits)
    shares = [2.0**-i for i in range(SIZES) if least * 2.0**-i >= LEAST][::-1]
    order = np.random.default_rng(seed).permutation(len(pairs))
    sizes, areas, distances = [], [], np.full((1, len(pairs)), np.nan)
    for share in shares:
        fewer = [(_share(learnt, same, order, share), held) for learnt, held in splits]
        distances = held_out_distances(some, pairs, same, fewer, *metric.tried)
        areas.append(split_areas(distances, same))
        sizes.append(np.mean([learnt.sum() for learnt, _ in fewer]))
    every = np.array(areas, float).reshape(len(shares), len(splits))
    ratio = np.mean([held.sum() / max(learnt.sum(), 1) for learnt, held in splits])
    known = every[:, np.isfinite(every).all(axis=0)]
    return Curve(np.array(sizes, float), known, float(ratio), mean_known(distances))


def _share(learnt: Mask, same: Mask, order: NDArray[np.intp], share: float) -> Mask:
    """The first of the pairs to learn from, in an order, as large a share of each sort."""
    found = np.zeros(len(learnt), bool)
    for sort in (same, ~same):
        rows = order[learnt[order] & sort[order]]
        found[rows[: round(share * len(rows))]] = True
    return found


@dataclass(frozen=True, eq=False)
class Law:
    """1 - area = floor + slope · n ** -power for n pairs: laws (draws, 3) that a measured curve agrees with."""

    draws: Floats

    def range(self, n: Array | float) -> Floats:
        """(3, len(n)) the area that n pairs would have: median, and 95 % range."""
        return np.asarray(np.quantile(_area(self.draws, n), [0.5, 0.025, 0.975], axis=0), float)

    def gain(self, start: float, more: float) -> tuple[float, float, float]:
        """(value, low, high) of what `more` pairs after `start` would add to the area: median and 95 % range."""
        gains = np.diff(_area(self.draws, np.array([start, start + more], float)), axis=1)[:, 0]
        low, value, high = np.quantile(gains, [0.025, 0.5, 0.975]).tolist()
        return value, low, high


def law_of(curve: Curve, seed: int = 0) -> Law | None:
    """Power laws fitted to the largest sizes of a curve (Hestness et al. 2017 find such ones); None for too few.

    Curves are drawn around the measured one, by t-distributed errors of so many splits, and each gets a law whose
    power is drawn by how well it fits. A size counts for less the farther its area is from that of the largest:
    where few pairs are learnt from, no law holds yet.
    """
    if min(curve.areas.shape) < FEWEST:
        return None
    means, errors = curve.means[-LAST:], np.maximum(curve.errors[-LAST:], 1e-6)
    errors = np.hypot(errors, ASTRAY * (means[-1] - means))
    rng = np.random.default_rng(seed)
    drawn = means + rng.standard_t(curve.areas.shape[1] - 1, (DRAWS, len(means))) * errors
    return Law(_fitted(curve.sizes[-LAST:], drawn, errors, rng))


def _area(laws: Floats, n: Array | float) -> Floats:
    """(laws, len(n)) areas."""
    floor, slope, power = laws.T[:, :, None]
    return np.asarray(1 - floor - slope * np.asarray(n, float).reshape(1, -1) ** -power, float)


def _fitted(sizes: Floats, areas: Floats, errors: Floats, rng: np.random.Generator) -> Floats:
    """(q, 3) floor, slope and power of a law for each of the curves (q, s), by weighted squares."""
    wrong, w = 1 - areas, errors**-2
    laws, fits = [], []
    for power in POWERS:
        x = sizes**-power
        middle, level = (w @ x) / w.sum(), wrong @ w / w.sum()
        slope = ((wrong - level[:, None]) * w) @ (x - middle) / (w @ (x - middle) ** 2)
        floor = level - slope * middle
        slope = np.where(floor < 0, (wrong * w) @ x / (w @ x**2), slope)
        floor = np.maximum(floor, 0.0)  # no error is below 0, however many pairs there are
        lack = (w * (wrong - floor[:, None] - slope[:, None] * x) ** 2).sum(axis=1)
        laws.append(np.stack([floor, slope, np.full(len(slope), power)], axis=1))
        fits.append(rng.gumbel(size=len(slope)) - lack / 2)
    return np.asarray(np.array(laws)[np.argmax(fits, axis=0), np.arange(len(areas))], float)
