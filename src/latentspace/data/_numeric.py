"""Numbers as features: made well-behaved by a scaling that is decided from the data, and back again.

All arithmetic is in float64; what the kinds of column share is here as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.data._frames import Column, infinite
from latentspace.data._text import MISSING
from latentspace.errors import DataError, Reject

__all__ = ["LIMIT", "Numeric", "Options", "blank", "like", "parsed", "sample_of", "standardise", "write"]

Array = NDArray[Any]


#: Encoded numbers are held within ±LIMIT, so that their squares stay finite in float32.
LIMIT = 1e9


#: Values beyond this are taken as this, so that differences of two are finite in float64.
LARGEST = 1e300
#: A kurtosis above this is a heavy tail (a normal has 3, an exponential 9, a log-normal 114).
HEAVY = 10.0


#: Knots kept of a rank transform.
KNOTS = 256


#: Quantiles of a longer column are taken from about this many evenly spaced values.
SAMPLE = 200_000


#: Values standardised at a time where all columns are plain numbers: a block that stays in the cache.
BLOCK = 2**17


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose about a column; see `Table`."""

    scaling: str = "auto"
    unknown: str = "ignore"
    max_categories: int = 50
    order: Sequence[Any] | None = None


@dataclass(frozen=True)
class Numeric:
    """A number: made well-behaved by `scaling`, then to mean 0 and variance 1. One Gaussian feature.

    The scaling is the mildest after which the kurtosis is at most HEAVY, or else the one with the least:
    "standard" (nothing more), "robust" (asinh of the distance from the median in interquartile units: nearly
    linear in the middle and logarithmic far out), "rank" (normal scores through at most KNOTS knots, joined
    by straight lines that go on beyond the ends, so that what lies outside stays outside).
    """

    scaling: str
    mean: float
    std: float
    center: float = 0.0
    scale: float = 1.0
    knots: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    step: int = 0
    text: str = ""
    decimals: int | None = None
    words: tuple[str, ...] = ()

    family: ClassVar[str] = "gaussian"
    width: ClassVar[int] = 1

    @classmethod
    def fit(cls, col: Column, options: Options) -> Numeric:
        """Learn the scaling; raises Reject where the column is not numbers or numbers written as text."""
        text, decimals = "", None
        words: tuple[str, ...] = ()
        if col.kind == "text" and "categories" not in col.dtype:
            text, decimals = _written(col)
            words = _words(col)
            col = parsed(col, words)
        if col.kind != "number":
            raise Reject(f"column {col.name!r} is no numbers")
        values = col.known().astype(np.float64)
        return replace(
            cls.of(values, options.scaling), step=col.step, text=text, decimals=decimals, words=words
        )

    @classmethod
    def of(cls, values: Array, scaling: str = "auto") -> Numeric:
        """The numeric kind of float64 values without gaps."""
        values = np.clip(values, -LARGEST, LARGEST)
        sample = sample_of(values)
        kinds = ("standard", "robust", "rank") if scaling == "auto" else (scaling,)
        best, least = None, np.inf
        for kind in kinds:
            one = cls._shaped(kind, sample)
            tail = _kurtosis(one._warp(sample)) if len(kinds) > 1 else 0.0
            if best is None or tail < least:
                best, least = one, tail
            if tail <= HEAVY:
                break
        assert best is not None
        mean, std = _moments(best._warp(values))
        return replace(best, mean=mean, std=std or 1.0)

    @classmethod
    def _shaped(cls, kind: str, sample: Array) -> Numeric:
        """`kind` with its center and scale or knots, not yet brought to mean 0 and variance 1."""
        if kind == "robust":
            center = float(np.median(sample))
            low, high = np.quantile(sample, [0.25, 0.75])
            scale = float(high / 1.349 - low / 1.349)
            if not 0 < scale < np.inf:  # more than half are one value: the middle of the others' distances
                away = np.abs(sample - center)
                scale = float(np.median(away[away > 0])) if away.any() else 1.0
            return cls("robust", 0.0, 1.0, center, scale)
        if kind == "rank":
            knots, scores = _normal_scores(sample)
            return cls("rank", 0.0, 1.0, knots=knots, scores=scores)
        return cls("standard", 0.0, 1.0)

    def _warp(self, values: Array) -> Array:
        with np.errstate(over="ignore"):
            if self.scaling == "robust":
                return np.asarray(np.arcsinh((values - self.center) / self.scale))
            if self.scaling == "rank":
                return _extended(values, self.knots, self.scores)
            return values

    def _unwarp(self, warped: Array) -> Array:
        if self.scaling == "robust":
            with np.errstate(over="ignore"):
                far = np.sinh(np.clip(warped, -700, 700)) * self.scale + self.center
            return np.asarray(np.clip(far, -LARGEST, LARGEST))
        if self.scaling == "rank":
            return np.clip(_extended(warped, self.scores, self.knots), -LARGEST, LARGEST)
        return warped

    def forward(self, values: Array) -> Array:
        """float64 values (NaN for a gap) on the standardised scale."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(
                np.clip(
                    (self._warp(np.clip(values, -LARGEST, LARGEST)) - self.mean) / self.std, -LIMIT, LIMIT
                )
            )

    def backward(self, z: Array) -> Array:
        """Standardised values back in the column's own units, a multiple of its step."""
        with np.errstate(over="ignore"):
            values = self._unwarp(np.clip(z * self.std + self.mean, -LARGEST, LARGEST))
        return np.asarray(np.rint(values / self.step) * self.step if self.step else values)

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, 1) into `out`; returns which rows are gaps, or None."""
        if col.kind in ("text", "ordered"):
            col = _numbers(col, self.words)
        if col.kind not in ("number", "boolean"):
            raise DataError(f"Column {col.name!r} holds no numbers, as it did in training.")
        write(out[:, 0], self.forward(col.values.astype(np.float64, copy=False)), col.missing, 0.0)
        return col.missing

    def decode(self, block: Array, col: Column) -> Column:
        """(n, 1) expected values as the column that `col` (an empty one) describes."""
        values = self.backward(block[:, 0].astype(np.float64))
        if not self.text:
            return like(col, values, kind="number")
        form = ".6g" if self.decimals is None else f".{self.decimals}f"
        distinct, codes = np.unique(values, return_inverse=True)
        levels = tuple(f"{value:{form}}".replace(".", self.text) for value in distinct)
        return like(col, codes.astype(np.int32), kind="text", levels=levels)


def _normal_scores(sample: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots and the normal scores there: all distinct values, or KNOTS of them, even in rank and in score."""
    normal = NormalDist()
    distinct, counts = np.unique(sample, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(sample)
    if len(distinct) > KNOTS:
        low, high = normal.inv_cdf(float(middle[0])), normal.inv_cdf(float(middle[-1]))
        even = [normal.cdf(score) for score in np.linspace(low, high, KNOTS // 2).tolist()]
        wanted = np.concatenate([np.linspace(0, 1, KNOTS // 2), even])
        chosen = np.unique(np.clip(np.searchsorted(middle, wanted), 0, len(distinct) - 1))
        distinct, middle = distinct[chosen], middle[chosen]
    return tuple(distinct.tolist()), tuple(normal.inv_cdf(p) for p in middle.tolist())


def _extended(values: Array, xs: Sequence[float], ys: Sequence[float]) -> Array:
    """Linear between the knots; beyond the ends a line with the slope from end to end, so that it goes on."""
    x, y = np.asarray(xs), np.asarray(ys)
    result = np.interp(values, x, y)
    if len(x) < 2:
        return np.asarray(result)
    with np.errstate(over="ignore"):
        slope = (y[-1] - y[0]) / (x[-1] - x[0])
    result += np.minimum(values - x[0], 0) * slope + np.maximum(values - x[-1], 0) * slope
    return np.asarray(result)


def sample_of(values: Array) -> Array:
    """At most about SAMPLE of the values, evenly spaced, and the two extremes."""
    step = max(1, len(values) // SAMPLE)
    if step == 1:
        return values
    return np.concatenate([values[::step], [values.min(), values.max()]])


def _moments(values: Array) -> tuple[float, float]:
    """Mean and standard deviation without overflow, in two passes."""
    size = float(np.abs(values).max()) or 1.0
    small = values / size
    mean = float(small.mean())
    return mean * size, float(np.sqrt(np.mean((small - mean) ** 2))) * size


def _kurtosis(values: Array) -> float:
    mean, std = _moments(values)
    if std == 0 or not np.isfinite(std):
        return np.inf
    square = (values / std - mean / std) ** 2
    return float(np.mean(square**2))


def _numbers(col: Column, words: Sequence[str]) -> Column:
    """Later text where numbers were: parsed, or a DataError naming the first value that is none."""
    try:
        return parsed(col, words)
    except Reject as error:
        sentence = str(error)
        raise DataError(sentence[0].upper() + sentence[1:] + ", as in training.") from error


def parsed(col: Column, words: Sequence[str] = ()) -> Column:
    """A text column of numbers, with blanks and `words` as gaps; raises Reject naming what is neither."""
    levels: list[float] = []
    for bad, level in enumerate(col.levels):
        number = np.nan if blank(level) or level in words else _number_of(level)
        if number is not None:
            levels.append(number)
            continue
        row = int(np.argmax(col.values == bad))
        raise Reject(
            f"column {col.name!r}, row {row} (from 0), holds {col.levels[bad]!r} where numbers are needed"
        )
    table = np.array([*levels, np.nan], dtype=np.float64)
    values = table[col.values]
    return replace(col, kind="number", values=values, missing=np.isnan(values), levels=())


def _written(col: Column) -> tuple[str, int | None]:
    """How numbers are written as text: the decimal sign, and how many digits follow it (None: as 1e-5)."""
    levels = [str(level).strip().lower() for level in col.levels if _number_of(level) is not None]
    sign = "," if any("," in level for level in levels) else "."
    if any("e" in level for level in levels):
        return sign, None
    return sign, max((len(level.partition(sign)[2]) for level in levels), default=0)


def _words(col: Column) -> tuple[str, ...]:
    """Up to three words without digits that stand for a gap among many numbers ("nil", "none", "-")."""
    if sum(_number_of(level) is None and not blank(level) for level in col.levels[:50]) > 3:
        return ()
    strays = [i for i, level in enumerate(col.levels) if not blank(level) and _number_of(level) is None]
    rows = np.isin(col.values, strays).sum()
    rare = len(strays) <= 3 and len(col.levels) >= 20 and rows <= len(col) / 10
    wordy = not any(character.isdigit() for i in strays for character in str(col.levels[i]))
    return tuple(str(col.levels[i]) for i in strays) if rare and wordy else ()


def _number_of(level: Any) -> float | None:
    """A text as a number ("12", " 1.5 ", "1,5"), or None; "007" is a name."""
    text = str(level).strip()
    digits = text.lstrip("+-")
    if digits[:1] == "0" and digits[1:2].isdigit():
        return None
    if not digits[:1].isdigit() and digits[:1] not in (".", ","):
        return None
    try:
        return float(text.replace(",", ".")) if "_" not in text else None
    except ValueError:
        return None


def blank(level: Any) -> bool:
    return str(level).strip() in MISSING


def write(out: Array, values: Array, missing: Array | None, neutral: float) -> None:
    out[...] = values
    if missing is not None:
        out[missing] = neutral


def like(col: Column, values: Array, **change: Any) -> Column:
    return replace(col, values=values, missing=None, **change)


def standardise(
    values: Array, means: Array, stds: Array, dtype: np.dtype[Any], names: Sequence[Any]
) -> tuple[Array, NDArray[np.bool_] | None]:
    """All columns of (n, F) at once: (values − means) / stds of `dtype`, 0 in gaps, and what was observed.

    A block of rows at a time, in float64. Raises DataError at an infinite value, naming column and row.
    """
    x = np.empty(values.shape, dtype)
    observed: NDArray[np.bool_] | None = None
    step = max(1, BLOCK // len(means))
    for start in range(0, len(values), step):
        rows = slice(start, start + step)
        block = values[rows].astype(np.float64)
        finite = np.isfinite(block)
        if not finite.all():
            _refuse_infinite(block, start, names)
            observed = np.ones(values.shape, bool) if observed is None else observed
            observed[rows] = finite
        with np.errstate(over="ignore"):
            block -= means
            block /= stds
        np.clip(block, -LIMIT, LIMIT, out=block)
        block[~finite] = 0
        x[rows] = block
    return x, observed


def _refuse_infinite(block: Array, start: int, names: Sequence[Any]) -> None:
    row, j = np.unravel_index(int(np.isinf(block).argmax()), block.shape)
    if np.isinf(block[row, j]):
        raise infinite(names[int(j)], start + int(row))
