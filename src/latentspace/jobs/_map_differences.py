"""What sets some items apart from the rest: the size of each column's difference, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._reason import spoken

Array = NDArray[Any]

#: resamples of the items, items of them at once, and categories of a column that are compared
DRAWS, BLOCK, MAX_LEVELS = 400, 4096, 20
#: a text column with more different values than this share of the items names them, and is not compared
NAMES = 0.2
#: columns differ at least by this share of their spread within a set, so that no size is endless
LEAST_SPREAD = 0.01


@dataclass(frozen=True)
class Difference:
    """How the items of a set differ from the rest in one column.

    size : Cohen's d of numbers, h of the share of `level` (large: .8); low, high : its 95 % interval;
    inside, outside : mean, or share from 0 to 1, in the set and in the rest.
    """

    column: str
    level: str | None
    size: float
    low: float
    high: float
    inside: Any
    outside: Any

    @property
    def sure(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def measure(self) -> str:
        """What its size is."""
        return "Cohen's d" if self.level is None else "Cohen's h"

    @property
    def name(self) -> str:
        """The column, or the column and its category."""
        return self.column if self.level is None else f"{self.column} is {self.level}"

    @property
    def measured(self) -> tuple[str, str]:
        """What it is in the set and in the rest, in words."""
        if self.level is None:
            return spoken(self.inside), spoken(self.outside)
        return f"{100 * self.inside:.0f} %", f"{100 * self.outside:.0f} %"

    @property
    def words(self) -> str:
        """``"alcohol: 12.1 against 10.4 (d 1.52, 1.41 to 1.63)"``."""
        inside, outside = self.measured
        size = f"{self.measure[-1]} {self.size:.2f}, {self.low:.2f} to {self.high:.2f}"
        return f"{self.name}: {inside} against {outside} ({size})"

    @property
    def short(self) -> str:
        """``"alcohol high"``, ``"sex = female"``, ``"few sex = male"``."""
        if self.level is None:
            return f"{self.column} {'high' if self.size > 0 else 'low'}"
        return f"{self.column} = {self.level}" if self.size > 0 else f"few {self.column} = {self.level}"

    def to_json(self) -> dict[str, Any]:
        """All of it, for a JSON object."""
        means = [v if isinstance(v, float) else spoken(v) for v in (self.inside, self.outside)]
        found = {"column": self.column, "level": self.level, "inside": means[0], "outside": means[1]}
        return {
            **found,
            "measure": self.measure,
            "size": self.size,
            "low": self.low,
            "high": self.high,
            "sure": self.sure,
        }


def differences(columns: dict[str, Array], chosen: NDArray[np.bool_], seed: int = 0) -> list[Difference]:
    """How the `chosen` items differ from the rest in each of `columns` (n,), the largest first.

    Numbers and times: standardised mean difference; texts: the category whose share differs most. Intervals come
    from resampled items. Columns with one value, of names, or unknown in the set or in the rest are left out.

    >>> rng = np.random.default_rng(0)
    >>> chosen = np.arange(300) < 100
    >>> found = differences({"same": rng.normal(size=300), "other": rng.normal(size=300) + chosen}, chosen)
    >>> [(d.column, d.sure) for d in found]
    [('other', True), ('same', False)]
    """
    measures = [measure for name, values in columns.items() for measure in _measures(name, values, chosen)]
    if not measures:
        return []
    sums = [_sums(measures, rows, seed + i) for i, rows in enumerate((chosen, ~chosen))]
    sizes = _sizes(measures, *sums)
    low, high = np.quantile(sizes[1:], [0.025, 0.975], axis=0)
    means = [s[0, 0] / np.maximum(s[0, 2], 1) for s in sums]
    found: dict[str, list[Difference]] = {}
    for j, measure in enumerate(measures):
        inside, outside = (measure.in_units(float(mean[j])) for mean in means)
        ends = float(sizes[0, j]), float(low[j]), float(high[j])
        found.setdefault(measure.column, []).append(
            Difference(measure.column, measure.level, *ends, inside, outside)
        )
    # of two categories that differ as much, that which there are more of
    largest = [max(each, key=lambda d: abs(d.size) + 0.01 * (d.size > 0)) for each in found.values()]
    return sorted(largest, key=lambda d: -abs(d.size))


@dataclass(frozen=True)
class _Measure:
    """One thing to compare: values (n,) of mean 0 and spread 1, or 0 and 1 for a category; NaN is a gap."""

    column: str
    level: str | None
    values: NDArray[np.float32]
    centre: float = 0.0
    spread: float = 1.0
    times: bool = False

    def in_units(self, mean: float) -> Any:
        value = mean * self.spread + self.centre
        return np.datetime64(int(value), "s") if self.times else value


def _measures(name: str, values: Array, chosen: NDArray[np.bool_]) -> Iterator[_Measure]:
    times = values.dtype.kind == "M"
    if times or values.dtype.kind in "iuf":
        numbers = values.astype("datetime64[s]").astype(float) if times else values.astype(float)
        numbers = np.where(np.isnat(values), np.nan, numbers) if times else numbers
        if _known(numbers, chosen):
            centre, spread = float(np.nanmean(numbers)), float(np.nanstd(numbers))
            if spread > 1e-12 * max(1.0, abs(centre)):
                yield _Measure(
                    name, None, ((numbers - centre) / spread).astype(np.float32), centre, spread, times
                )
        return
    levels, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    real = levels != ""
    if not 1 < real.sum() <= max(MAX_LEVELS, NAMES * len(values)):
        return
    for level in np.argsort(-(counts * real), kind="stable")[: min(MAX_LEVELS, int(real.sum()))]:
        held = np.where(real[codes], codes == level, np.nan).astype(np.float32)
        if _known(held, chosen):
            yield _Measure(name, str(levels[level]), held)


def _known(values: Array, chosen: NDArray[np.bool_]) -> bool:
    there = np.isfinite(values)
    return bool(there[chosen].any() and there[~chosen].any())


def _sums(measures: list[_Measure], chosen: NDArray[np.bool_], seed: int) -> NDArray[np.float64]:
    """(1 + DRAWS, 3, F) sums of values, squares and counts over the `chosen` items: as they are, then resampled."""
    rng, rows = np.random.default_rng(seed), np.flatnonzero(chosen)
    found = np.zeros((1 + DRAWS, 3 * len(measures)))
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        x = np.stack([m.values[part] for m in measures], axis=1)
        there = np.isfinite(x)
        x = np.where(there, x, 0)
        often = np.ones((1 + DRAWS, len(part)), np.float32)
        often[1:] = rng.poisson(1.0, (DRAWS, len(part)))
        found += often @ np.concatenate([x, x**2, there.astype(np.float32)], axis=1)
    return found.reshape(1 + DRAWS, 3, len(measures))


def _sizes(measures: list[_Measure], inside: Array, outside: Array) -> NDArray[np.float64]:
    """(1 + DRAWS, F) Cohen's d, or h."""
    counts = [np.maximum(s[:, 2], 1e-9) for s in (inside, outside)]
    means = [s[:, 0] / n for s, n in zip((inside, outside), counts, strict=True)]
    squares = [
        n * np.maximum(s[:, 1] / n - m**2, 0)
        for s, n, m in zip((inside, outside), counts, means, strict=True)
    ]
    pooled = np.sqrt((squares[0] + squares[1]) / np.maximum(counts[0] + counts[1] - 2, 1))
    d = (means[0] - means[1]) / np.maximum(pooled, LEAST_SPREAD)
    shares = [np.arcsin(np.sqrt(np.clip(m, 0, 1))) for m in means]
    categories = np.array([m.level is not None for m in measures])
    return np.where(categories, 2 * (shares[0] - shares[1]), d)
