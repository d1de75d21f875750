"""How many answers about pairs are wrong, and which probably are, from what the other answers say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: shares of wrong answers that are tried: from half on, answers would say nothing
SHARES = np.linspace(0, 0.45, 91)
#: powers of the distance that the chance of being the same may fall with; 0 is the logarithm
POWERS = (0.0, 0.5, 1.0, 2.0, 4.0)
#: the least answers of each sort; half of the 95 % point of a chi-squared of one degree of freedom
LEAST, DROP = 20, 1.92
#: chains are learnt from while at most so large a share of them is wrong; answers in one where nothing says how many
WRONG, SHORT = 0.2, 2
#: how strongly the line of the logistic regression is held at 0
HELD = 0.01


@dataclass(frozen=True, eq=False)
class Noise:
    """The share of wrong answers: its mean, and low and high of a 95 % range; wrong (m,): how probably each is."""

    share: float
    low: float
    high: float
    wrong: Floats


def noise_of(distances: Array, same: Mask) -> Noise | None:
    """The wrong ones among answers `same` (m,) about pairs whose distances (m,) OTHER answers taught.

    Pairs are the same with a probability that falls with their distance, σ(a - b · distance ** power), and a share of
    all answers was turned round: however near or far the items are, so many contradict the distance, and no share
    else explains that. The share is fitted by likelihood beside a and b; its range is that of the profile
    likelihood over all powers, its value and `wrong` are means over shares and powers by their likelihood. None
    where one sort has fewer than LEAST answers.

    >>> rng = np.random.default_rng(0)
    >>> same = np.arange(600) < 300
    >>> turned = rng.random(600) < 0.1
    >>> found = noise_of(np.where(same, 1, 3) + rng.normal(0, 0.4, 600), same ^ turned)
    >>> bool(found.low < turned.mean() < found.high), bool(found.wrong[turned].mean() > 0.8)
    (True, True)
    """
    if min(int(same.sum()), int((~same).sum())) < LEAST:
        return None
    likely = np.empty((len(POWERS), len(SHARES)))
    lines = np.empty((len(POWERS), len(SHARES), 2))
    scaled = [_scaled(np.asarray(distances, float), power) for power in POWERS]
    for i, x in enumerate(scaled):
        line = np.array([0.0, 1.0])
        for j, share in enumerate(SHARES.tolist()):
            likely[i, j], line = _fitted(x, same, share, line)
            lines[i, j] = line
    profile = likely.max(axis=0)
    inside = SHARES[profile >= profile.max() - DROP]
    weights = np.exp(likely - likely.max())
    weights /= weights.sum()
    wrong = np.zeros(len(same))
    for i, j in zip(*np.nonzero(weights > 1e-4), strict=True):
        share, alike = SHARES[j], _chance(scaled[i], lines[i, j])
        contradicts = np.where(same, 1 - alike, alike)
        wrong += weights[i, j] * share * contradicts / (share * contradicts + (1 - share) * (1 - contradicts))
    return Noise(float(weights.sum(axis=0) @ SHARES), float(inside[0]), float(inside[-1]), wrong)


def longest_chain(held_out: Array, same: Mask) -> int:
    """Of how many answers a chain may be for what follows from it to help: chains multiply what is wrong.

    held_out (m,) : the distance of each pair by other answers, NaN where none could say. A chain of n answers is
    wrong about n times as often as one of them; 1: answers alone are learnt from. SHORT where there are too few to
    tell.
    """
    known = np.isfinite(held_out)
    found = noise_of(held_out[known], same[known])
    return SHORT if found is None else max(1, int(WRONG / max(found.share, 1e-6)))


def _scaled(distances: Floats, power: float) -> Floats:
    """A power of the distances, of mean 0 and standard deviation 1."""
    d = np.maximum(distances / max(float(np.median(distances)), 1e-12), 1e-6)
    x = d**power if power else np.log(d)
    return np.asarray((x - x.mean()) / max(float(x.std()), 1e-9), float)


def _chance(x: Floats, line: Floats) -> Floats:
    """σ(a - b · x), never sure."""
    return np.asarray(1 / (1 + np.exp(np.clip(line[1] * x - line[0], -30, 30))), float)


def _fitted(x: Floats, same: Mask, share: float, start: Floats) -> tuple[float, Floats]:
    """(log-likelihood, (a, b)) of the answers, if so large a share of them was turned round."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    sign = np.where(same, 1.0, -1.0)

    def unlikely(line: Floats) -> tuple[float, Floats]:
        alike = _chance(x, line)
        said = share + (1 - 2 * share) * np.where(same, alike, 1 - alike)
        slope = sign * (1 - 2 * share) * alike * (1 - alike) / said
        value = HELD / 2 * float(line @ line) - float(np.log(said).sum())
        return value, HELD * line - np.array([slope.sum(), -(slope * x).sum()])

    found = minimize(unlikely, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (0, None)])
    return -float(found.fun), np.asarray(found.x, float)
