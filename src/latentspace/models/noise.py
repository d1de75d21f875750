"""What kind of noise items hold, and how much, told from the items alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError, nearest

Array = NDArray[Any]
Mask = NDArray[np.bool_]

KINDS = ("auto", "gaussian", "salt-and-pepper", "missing")
#: noise below this share of the items' own spread is not worth taking off, and not told from fine structure
LEAST = 0.03
#: a normal distribution's standard deviation, in median absolute deviations
MAD = 1.4826
#: what a second and a fourth difference do to the standard deviation of white noise, along one axis
GROWN = {2: np.sqrt(6.0), 4: np.sqrt(70.0)}
#: both tell the same of white noise; where the second tells so much more, it is structure that is seen
ROUGHER = 1.06
#: columns that must share the same small leftover before a table's noise is believed, and their least share
FLOOR, FLOOR_SHARE = 3, 0.05
#: by how much (of its logarithm) the lower half of the variances of few rows may differ from that of noise
UNLIKE = 0.35
#: noise of so many standard deviations of the columns would leave too little else to tell it from
MOST = 0.6
#: how far off the level of a table's noise may be
DOUBT = 0.1
#: share of the elements at an end of the range, and how often the next is there too, that no noise leaves
OFTEN, FOLLOWED = 0.02, 0.75
#: share of elements alone at an end of the range, how far (of the range) from the median around them, and how rough
#: all others may be, for that to mean salt and pepper
SPOILT, FAR, CLEAN = 0.015, 0.25, 0.2
#: elements along each side of pictures and signals that noise is told from
SIDE = 12
#: items looked at
SAMPLE = 4000


@dataclass(frozen=True)
class Noise:
    """What kind of noise there is, and how much.

    kind : "gaussian", "salt-and-pepper", "missing" or "none".
    level : its standard deviation on the model's own scale (encoded items have variance 1), or the share of the
    elements that are spoilt or missing; low, high : 95 % interval. trusted : False where the level cannot be told.
    """

    kind: str
    level: float
    low: float
    high: float
    trusted: bool
    reason: str

    def words(self) -> str:
        """One sentence for the user."""
        if not self.trusted:
            return f"How much noise there is cannot be told: {self.reason}"
        if self.kind == "none":
            return f"No noise found: {self.reason}"
        if self.kind == "gaussian":
            return (
                f"Noise of {self.level:.3g} standard deviations of the data (95 % interval {self.low:.3g} to "
                f"{self.high:.3g}): {self.reason}"
            )
        what = "spoilt (salt and pepper)" if self.kind == "salt-and-pepper" else "missing"
        return f"{100 * self.level:.3g} % of the values are {what}: {self.reason}"


def estimate_noise(
    x: Array, observed: Mask | None = None, kind: str = "auto", level: float | None = None
) -> Noise:
    """The noise in encoded items x (n, *shape), without clean ones.

    Pictures (n, C, H, W) and signals (n, C, T): the median absolute fourth difference, which smooth structure hardly
    touches (in the manner of Immerkær, 1996), believed where the second difference says the same. Rows (n, d): the
    smallest principal variances, believed only where several are alike, as white noise makes them (Marchenko and
    Pastur, 1967); else a column's own variation looks the same.
    `level`, where given, is taken as it is. Raises OptionError for an unknown kind or a level that is none.

    >>> rng = np.random.default_rng(0)
    >>> smooth = np.sin(np.arange(200) / 20 + rng.uniform(0, 6, size=(50, 1, 1)))
    >>> round(estimate_noise(smooth + 0.3 * rng.normal(size=smooth.shape)).level, 1)
    0.3
    """
    if kind not in KINDS:
        raise OptionError(f"kind is {kind!r}{nearest(kind, KINDS)}: it can be {', '.join(KINDS)}.")
    if level is not None and not 0 <= level < np.inf:
        raise OptionError(f"noise is {level!r}: it must be 'auto' or a number of at least 0.")
    gaps = 0.0 if observed is None else 1 - float(observed.mean())
    if kind in ("auto", "salt-and-pepper") and x.ndim == 4:
        part = x[:SAMPLE]
        where = spoilt_elements(part, None if observed is None else observed[:SAMPLE])
        spoilt = float(where.mean())
        if (_alone(where) > SPOILT and _rough(part, where) < CLEAN) or kind == "salt-and-pepper":
            reason = "single values at an end of the range, far from all around them."
            return Noise("salt-and-pepper", spoilt, spoilt, spoilt, True, reason)
    elif kind == "salt-and-pepper":
        raise OptionError("kind='salt-and-pepper' is for pictures; these items are none.")
    if kind == "missing":
        return Noise("missing", gaps, gaps, gaps, True, "only gaps are filled, as asked.")
    if level is not None:
        return Noise("gaussian" if level else "none", level, level, level, True, "as told.")
    found = _of_grid(x, observed) if x.ndim > 2 else _of_rows(x, observed)
    if found.trusted and found.level < LEAST:
        less = f"less than {100 * LEAST:.0f} % of the items' own spread cannot be told from fine structure."
        return Noise("missing" if gaps else "none", gaps, gaps, gaps, True, less)
    return found


def _of_grid(x: Array, observed: Mask | None) -> Noise:
    rows = np.linspace(0, len(x) - 1, min(SAMPLE, len(x))).astype(int)
    values = np.where(observed[rows], x[rows], np.nan) if observed is not None else x[rows]
    if _stuck(values):
        flat = "whole regions hold one and the same value, as no noise leaves them."
        return Noise("none", 0.0, 0.0, 0.0, True, flat)
    rough, second = _differences(values, 4), _differences(values, 2)
    if min(x.shape[2:]) < SIDE or not len(rough):
        return Noise("gaussian", 0.0, 0.0, np.inf, False, "the items are too small, or too full of gaps.")
    pooled, coarse = (MAD * float(np.nanmedian(np.abs(r))) for r in (rough, second))
    if coarse > ROUGHER * pooled and coarse > LEAST:
        own = "the finest detail of these items is as strong as noise would be (give the noise, if you know it)."
        return Noise("gaussian", 0.0, 0.0, pooled, False, own)
    each = MAD * np.nanmedian(np.abs(rough), axis=1)
    rng = np.random.default_rng(0)
    draws = [np.median(each[rng.integers(0, len(each), len(each))]) for _ in range(100)]
    low, high = np.quantile(draws, [0.025, 0.975]) + pooled - float(np.median(each))
    low, high = min(low, 0.97 * pooled), max(high, 1.03 * pooled, coarse)
    reason = "told from differences of neighbours."
    if _cut_off(values):
        reason += (
            " Values are cut off at an end of their range: there may be more of it, and what was cut off does not "
            "come back, so that gains are told too high."
        )
    return Noise("gaussian", pooled, float(low), float(high), True, reason)


def _cut_off(values: Array) -> bool:
    """Whether many elements lie exactly at one end of the range, as after clipping."""
    ends = (np.nanmin(values), np.nanmax(values))
    little = 1e-5 * (ends[1] - ends[0])
    return any(float((np.abs(values - end) <= little).mean()) > OFTEN for end in ends)


def _stuck(values: Array) -> bool:
    """Whether an element at an end of the range is mostly followed by another: cut-off noise leaves about half."""
    flat = values.reshape(-1, values.shape[-1])
    little = 1e-5 * (np.nanmax(flat) - np.nanmin(flat))
    for end in (np.nanmin(flat), np.nanmax(flat)):
        here = np.abs(flat - end) <= little
        if here.mean() > OFTEN and (here[:, 1:] & here[:, :-1]).mean() > FOLLOWED * here[:, :-1].mean():
            return True
    return False


def _differences(values: Array, order: int) -> Array:
    """(m, k) differences of that order along all axes of a grid, scaled to the noise's own deviation; items of which
    something is seen."""
    for axis in range(2, values.ndim):
        values = np.diff(values, order, axis=axis) / GROWN[order]
    rough = values.reshape(len(values), -1)
    return np.asarray(rough[np.isfinite(rough).any(axis=1)])


def _of_rows(x: Array, observed: Mask | None) -> Noise:
    whole = slice(None) if observed is None else observed.all(axis=1)
    rows = np.asarray(x[whole], float)[: 5 * SAMPLE]
    columns = rows.std(axis=0) > 1e-6 if len(rows) else np.zeros(x.shape[1], bool)
    n, d = len(rows), int(columns.sum())
    if n < 1.3 * d or d < FLOOR:
        few = f"{n:,} whole rows of {d} columns are too few."
        return Noise("gaussian", 0.0, 0.0, np.inf, False, few)
    values = np.maximum(np.linalg.eigvalsh(np.cov(rows[:, columns].T)), 0.0)
    alike, power = _least_alike(values, n) if n >= 2 * d else _lower_half(values, n)
    if alike < max(FLOOR, FLOOR_SHARE * d) or power > MOST**2:
        own = (
            "the columns hold too little of each other to tell noise from what each varies by itself "
            "(give the noise, if you know it)."
        )
        return Noise("gaussian", 0.0, 0.0, float(np.sqrt(values[0])), False, own)
    level = float(np.sqrt(power))
    reason = f"{alike} of {d} principal variances are alike, as noise makes them."
    return Noise("gaussian", level, (1 - DOUBT) * level, (1 + DOUBT) * level, True, reason)


def _least_alike(values: Array, n: int) -> tuple[int, float]:
    """How many of the least principal variances of many rows are alike, and their mean."""
    alike = _alike(values, n)
    return alike, float(values[: max(alike, 1)].mean())


def _lower_half(values: Array, n: int) -> tuple[int, float]:
    """The same for few rows, whose variances noise spreads widely: the lower half, beside that of noise alone."""
    d = len(values)
    alone = np.linalg.eigvalsh(np.cov(np.random.default_rng(0).normal(size=(n, d)).T))
    ratio = (values / alone)[d // 20 : d // 2]
    power = float(np.median(ratio)) if len(ratio) else 0.0
    fits = power > 0 and bool((np.abs(np.log(np.maximum(ratio, 1e-12) / power)) < UNLIKE).all())
    return (d // 2 if fits else 0), power


def _alike(values: Array, n: int) -> int:
    """How many of the ascending principal `values` of n rows are within what white noise spreads them over."""
    for k in range(len(values), 0, -1):
        share = np.sqrt(k / n)
        widest = ((1 + share) / (1 - share)) ** 2 if share < 1 else np.inf
        if values[k - 1] <= 1.05 * widest * max(values[0], 1e-12):
            return k
    return 0


def spoilt_elements(x: Array, observed: Mask | None = None, ends: tuple[float, float] | None = None) -> Mask:
    """(n, C, H, W) the pixels at an end of the range (`ends`, or of x) and far from the median around them."""
    from scipy.ndimage import median_filter  # type: ignore[import-untyped]

    low, high = (float(x.min()), float(x.max())) if ends is None else ends
    middle = median_filter(x, size=(1, 1, 3, 3), mode="reflect")
    at_an_end = (x <= low + 1e-3 * (high - low)) | (x >= high - 1e-3 * (high - low))
    spoilt = at_an_end & (np.abs(x - middle) > FAR * (high - low))
    return np.asarray(spoilt if observed is None else spoilt & observed)


def _alone(where: Mask) -> float:
    """Share of the elements that are marked while none of the eight around them is: fine lines are not alone."""
    from scipy.ndimage import maximum_filter

    ring = np.ones((1, 1, 3, 3), bool)
    ring[0, 0, 1, 1] = False
    return float((where & ~maximum_filter(where, footprint=ring, mode="constant")).mean())


def _rough(x: Array, spoilt: Mask) -> float:
    """Second differences along lines of what is not spoilt: small with salt and pepper, not with other noise."""
    return (
        MAD * float(np.nanmedian(np.abs(np.diff(np.where(spoilt, np.nan, x), 2, axis=3)))) / float(GROWN[2])
    )
