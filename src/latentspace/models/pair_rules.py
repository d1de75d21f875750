"""Ways to learn a linear map from pairs that are the same or different, each in closed form or nearly so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: pairs that the spread of all items counts for, beside the pairs given
SHRINK = (30, 100)
#: how much of the spread of all is mixed into that within, for the axes on which the two differ
MIXED = (0.3, 0.6)
#: how strongly weights of columns are held at 1
HELD = (0.01, 0.1)
#: the rules, that which learns least first
RULES = ("as it is", "within", "ratio", "columns")


@dataclass(frozen=True)
class Way:
    """One way to learn a distance: in which view, whether on the sphere, by which rule."""

    view: str
    sphere: bool
    rule: str
    strength: float

    @property
    def unit(self) -> bool:
        """Whether places come to lie on the unit sphere: not where single columns are weighed."""
        return self.rule in ("within", "ratio")


def ways_of(views: Iterable[str]) -> Iterator[Way]:
    """Every rule at every strength, in each view, on the sphere and not."""
    for view in views:
        for sphere in (True, False):
            for rule, strengths in zip(RULES, ((0.0,), SHRINK, MIXED, HELD), strict=True):
                yield from (Way(view, sphere, rule, strength) for strength in strengths)


def learnt_map(f: Floats, pairs: Array, same: Mask, way: Way) -> tuple[Floats, Floats]:
    """(middle (d,), change (d, r)) by one way."""
    middle = (on_sphere(f) if way.sphere else f).mean(axis=0)
    if way.rule == "as it is":
        return middle, np.eye(f.shape[1])
    x = (on_sphere(f) if way.sphere else f) - middle
    scale = max(float(np.sqrt((x**2).sum(axis=1).mean())), 1e-12)
    apart = (x[pairs[:, 0]] - x[pairs[:, 1]]) / scale
    rule: Callable[..., Floats] = {"within": _within, "ratio": _ratio, "columns": _columns}[way.rule]
    return middle, rule(apart, same, x / scale, way.strength) / scale


def _within(apart: Floats, same: Mask, x: Floats, shrink: float) -> Floats:
    """Axes along which the same differ less count more: the covariance within them, drawn towards a round one.

    Relevant component analysis (Bar-Hillel et al. 2003), with the prior of a Wishart distribution.
    """
    d, m = apart.shape[1], int(same.sum())
    within = apart[same].T @ apart[same] / max(2 * m, 1)
    # rounded by its own size: what all items vary within is not known better
    size = max(float(np.trace(within)) / d, 1e-9)
    values, axes = np.linalg.eigh((m * within + shrink * size * np.eye(d)) / (m + shrink))
    return np.asarray(axes / np.sqrt(np.maximum(values, 1e-12)))


def _ratio(apart: Floats, same: Mask, x: Floats, mixed: float) -> Floats:
    """The axes on which all items vary more than the same do, by how much more than on the middle axis.

    Fisher's criterion from pairs (Alipanahi, Biggs and Ghodsi 2008).
    """
    from scipy.linalg import eigh  # type: ignore[import-untyped]

    d = x.shape[1]
    every = x.T @ x / len(x)
    within = apart[same].T @ apart[same] / max(2 * int(same.sum()), 1)
    floor = 1e-6 * max(float(np.trace(every)), 1e-12) / d * np.eye(d)
    values, axes = eigh(every + floor, (1 - mixed) * within + mixed * every + floor)
    return np.asarray(axes * np.sqrt(np.maximum(values - np.median(values), 0) + 1e-9))


def _columns(apart: Floats, same: Mask, x: Floats, held: float) -> Floats:
    """A weight for each column, none below 0: a logistic regression of same or not on squared differences.

    Weights are held near 1 (Schultz and Joachims 2004 learn such weights from comparisons).
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    d = apart.shape[1]
    squares = apart**2 / max(float((apart**2).sum(axis=1).mean()), 1e-12)
    sign = np.where(same, -1.0, 1.0)

    def unlikely(point: Array) -> tuple[float, Floats]:
        weights, offset = point[:-1], point[-1]
        margin = sign * (squares @ weights - offset)
        slope = -sign / (1 + np.exp(np.clip(margin, -500, 500))) / len(sign)
        value = np.logaddexp(0, -margin).mean() + held * ((weights - 1) ** 2).mean()
        return float(value), np.append(squares.T @ slope + 2 * held * (weights - 1) / d, -slope.sum())

    found = minimize(
        unlikely,
        np.append(np.ones(d), 1.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[*[(0, None)] * d, (None, None)],
        options={"maxiter": 200},
    )
    return np.diag(np.sqrt(np.maximum(found.x[:-1], 0)))


def on_sphere(x: Array) -> Floats:
    """Rows (n, d) brought to length 1."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), float)
