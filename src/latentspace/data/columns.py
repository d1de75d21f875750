"""Kinds of column: each tries to take a column, and refuses (Reject) with the reason where it cannot.

A kind is fitted from one `Column`, writes its features into a block of the table's tensor, and reads them
back.
`KINDS` is the order in which they are tried. All arithmetic is in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.data._frames import SECONDS, Column
from latentspace.data.files import MISSING
from latentspace.errors import DataError, Reject

__all__ = [
    "KINDS",
    "LIMIT",
    "Boolean",
    "Categorical",
    "Datetime",
    "Numeric",
    "Options",
    "Ordinal",
    "SetAside",
    "kind_from_state",
    "kind_state",
]

Array = NDArray[Any]

#: Encoded numbers are held within ±LIMIT, so that their squares stay finite in float32.
LIMIT = 1e9
#: A kurtosis above this is a heavy tail (a normal has 3, an exponential 9, a log-normal 114).
HEAVY = 10.0
#: Knots kept of a rank transform.
KNOTS = 256
#: Quantiles of a longer column are taken from about this many evenly spaced values.
SAMPLE = 200_000
#: With this many rows or fewer, distinct values say nothing about a column being an identifier.
FEW = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose about a column; see `Table`."""

    scaling: str = "auto"
    unknown: str = "ignore"
    max_categories: int = 50
    order: Sequence[Any] | None = None


# ---------------------------------------------------------------------------------------------- shared


def _sample(values: Array) -> Array:
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


def _write(out: Array, values: Array, missing: Array | None, neutral: float) -> None:
    out[...] = values
    if missing is not None:
        out[missing] = neutral


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


def _blank(level: Any) -> bool:
    return str(level).strip() in MISSING


def _parsed(col: Column) -> Column:
    """A text column whose every level is a number, as numbers; raises Reject naming a level that is not."""
    levels = [np.nan if _blank(level) else _number_of(level) for level in col.levels]
    if None in levels:
        bad = levels.index(None)
        row = int(np.argmax(col.values == bad))
        raise Reject(
            f"column {col.name!r}, row {row} (from 0), holds {col.levels[bad]!r} where numbers are needed"
        )
    table = np.array([*levels, np.nan], dtype=np.float64)
    values = table[col.values]
    return replace(col, kind="number", values=values, missing=np.isnan(values), levels=())


def _codes(col: Column, levels: Sequence[Any]) -> tuple[Array, list[Any]]:
    """Each row's index in `levels` (−1: a gap or unknown), and the column's values that are not in them."""
    where = {_key(level): i for i, level in enumerate(levels)}
    own, codes = col.levels, col.values
    if col.kind not in ("text", "ordered"):
        distinct, codes = np.unique(col.values, return_inverse=True)
        own = tuple(distinct.tolist())
    found = np.array([where.get(_key(level), -1) for level in own] + [-1], dtype=np.int32)
    result = found[codes]
    if col.missing is not None:
        result[col.missing] = -1
    strange = np.setdiff1d(np.unique(codes if col.missing is None else codes[~col.missing]), [-1])
    return result, [own[i] for i in strange if found[i] < 0 and not _blank(own[i])]


def _key(level: Any) -> str:
    """Levels are the same where they read the same: True, 1 and 1.0 and "1" do."""
    if isinstance(level, bool | np.bool_ | int | float | np.number):
        number = float(level)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(level).strip()


def _unknown(col: Column, strange: list[Any], policy: str) -> None:
    """Warn of unseen categories, or refuse them."""
    if not strange:
        return
    few = ", ".join(repr(level) for level in strange[:3]) + (", ..." if len(strange) > 3 else "")
    if policy == "error":
        values = col.levels if col.kind in ("text", "ordered") else None
        row = int(np.argmax(col.values == (values.index(strange[0]) if values else strange[0])))
        raise DataError(f"Column {col.name!r}, row {row} (from 0), holds {few}, not seen in training.")
    warnings.warn(f"Column {col.name!r} holds {few}, not seen in training: treated as missing.", stacklevel=2)


def _like(col: Column, values: Array, **change: Any) -> Column:
    return replace(col, values=values, missing=None, **change)


# ---------------------------------------------------------------------------------------------- kinds


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
    whole: bool = False
    text: str = ""

    family: ClassVar[str] = "gaussian"
    width: ClassVar[int] = 1

    @classmethod
    def fit(cls, col: Column, options: Options) -> Numeric:
        """Learn the scaling; raises Reject where the column is not numbers or numbers written as text."""
        text = ""
        if col.kind == "text":
            text = "," if any("," in str(level) for level in col.levels) else "."
            col = _parsed(col)
        if col.kind != "number":
            raise Reject(f"column {col.name!r} is no numbers")
        values = col.known().astype(np.float64)
        return replace(cls.of(values, options.scaling), whole=col.whole, text=text)

    @classmethod
    def of(cls, values: Array, scaling: str = "auto") -> Numeric:
        """The numeric kind of float64 values without gaps."""
        sample = _sample(values)
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
            return np.asarray(np.clip(far, -1e308, 1e308))
        if self.scaling == "rank":
            return _extended(warped, self.scores, self.knots)
        return warped

    def forward(self, values: Array) -> Array:
        """float64 values (NaN for a gap) on the standardised scale."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.clip((self._warp(values) - self.mean) / self.std, -LIMIT, LIMIT))

    def backward(self, z: Array) -> Array:
        """Standardised values back in the column's own units, whole where the column was."""
        with np.errstate(over="ignore"):
            values = self._unwarp(np.clip(z * self.std + self.mean, -1e308, 1e308))
        return np.asarray(np.rint(values) if self.whole else values)

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, 1) into `out`; returns which rows are gaps, or None."""
        if col.kind in ("text", "ordered"):
            col = _numbers(col)
        if col.kind not in ("number", "boolean"):
            raise DataError(f"Column {col.name!r} holds no numbers, as it did in training.")
        _write(out[:, 0], self.forward(col.values.astype(np.float64, copy=False)), col.missing, 0.0)
        return col.missing

    def decode(self, block: Array, col: Column) -> Column:
        """(n, 1) expected values as the column that `col` (an empty one) describes."""
        values = self.backward(block[:, 0].astype(np.float64))
        if not self.text:
            return _like(col, values, kind="number")
        distinct, codes = np.unique(values, return_inverse=True)
        form = "{:.0f}" if self.whole else "{:.6g}"
        levels = tuple(form.format(value).replace(".", self.text) for value in distinct)
        return _like(col, codes.astype(np.int32), kind="text", levels=levels)


def _numbers(col: Column) -> Column:
    """Later text where numbers were: parsed, or a DataError naming the first value that is none."""
    try:
        return _parsed(col)
    except Reject as error:
        sentence = str(error)
        raise DataError(sentence[0].upper() + sentence[1:] + ", as in training.") from error


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
        return result
    with np.errstate(over="ignore"):
        slope = (y[-1] - y[0]) / (x[-1] / 2 - x[0] / 2) / 2
    result += np.minimum(values - x[0], 0) * slope + np.maximum(values - x[-1], 0) * slope
    return np.asarray(result)


@dataclass(frozen=True)
class Boolean:
    """One of two values: one Bernoulli feature, 1 for `high`."""

    low: Any
    high: Any
    frequency: float

    family: ClassVar[str] = "bernoulli"
    width: ClassVar[int] = 1

    @classmethod
    def fit(cls, col: Column, options: Options) -> Boolean:
        """Take booleans, two whole numbers, or two texts; raises Reject otherwise."""
        if col.kind == "boolean":
            low, high = False, True
        elif col.kind == "text" and len(col.levels) == 2:
            low, high = col.levels
        elif col.kind == "number":
            low, high = _two_numbers(col)
        else:
            raise Reject(f"column {col.name!r} does not hold two values")
        codes, _ = _codes(col, (low, high))
        return cls(low, high, float(np.mean(codes[codes >= 0])))

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, 1) of 0 and 1; returns which rows are gaps, or None."""
        codes, strange = _codes(col, (self.low, self.high))
        _unknown(col, strange, options.unknown)
        gaps = codes < 0
        _write(out[:, 0], codes, gaps, self.frequency)
        return gaps if gaps.any() else None

    def decode(self, block: Array, col: Column) -> Column:
        """The likelier value of each row."""
        likely = block[:, 0] >= 0.5
        if isinstance(self.low, bool):
            return _like(col, likely, kind="boolean")
        if isinstance(self.low, int | float):
            return _like(col, np.where(likely, self.high, self.low), kind="number")
        return _like(col, likely.astype(np.int32), kind="text", levels=(self.low, self.high))


def _two_numbers(col: Column) -> tuple[Any, Any]:
    known = col.known()
    distinct = np.unique(known[:1000])
    if len(distinct) <= 2:
        distinct = np.unique(known)
    if len(distinct) != 2 or np.mod(distinct, 1).any():
        raise Reject(f"column {col.name!r} does not hold two whole numbers")
    return distinct[0].item(), distinct[1].item()


@dataclass(frozen=True)
class Ordinal:
    """Categories with an order, as their position brought to mean 0 and variance 1. One Gaussian feature.

    Taken only where the order was declared, by option or by the frame (ordered categorical, Enum).
    """

    levels: tuple[Any, ...]
    position: Numeric

    family: ClassVar[str] = "gaussian"
    width: ClassVar[int] = 1

    @classmethod
    def fit(cls, col: Column, options: Options) -> Ordinal:
        """Take declared orders; raises Reject where there is none, DataError where a value is not in it."""
        if options.order is None and col.kind != "ordered":
            raise Reject(f"column {col.name!r} has no declared order")
        levels = tuple(col.levels if options.order is None else options.order)
        codes, strange = _codes(col, levels)
        if strange:
            raise DataError(
                f"Column {col.name!r} holds {strange[0]!r}, which its declared order {levels} lacks."
            )
        return cls(levels, Numeric.of(codes[codes >= 0].astype(np.float64), "standard"))

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, 1); returns which rows are gaps, or None."""
        codes, strange = _codes(col, self.levels)
        _unknown(col, strange, options.unknown)
        gaps = codes < 0
        _write(out[:, 0], self.position.forward(codes.astype(np.float64)), gaps, 0.0)
        return gaps if gaps.any() else None

    def decode(self, block: Array, col: Column) -> Column:
        """The nearest level of each row."""
        codes = np.rint(self.position.backward(block[:, 0].astype(np.float64)))
        codes = np.clip(codes, 0, len(self.levels) - 1).astype(np.int32)
        if isinstance(self.levels[0], int | float) and "categories" not in col.dtype:
            return _like(col, np.asarray(self.levels)[codes], kind="number")
        return _like(col, codes, kind="ordered", levels=self.levels)


@dataclass(frozen=True)
class Categorical:
    """Categories, one-hot: as many features of one Categorical group as there are levels.

    Beyond `max_categories`, the rarer ones share a last level, which decodes to the most frequent of them.
    """

    levels: tuple[Any, ...]
    frequency: tuple[float, ...]
    gathered: tuple[Any, ...] = ()

    family: ClassVar[str] = "categorical"

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.frequency)

    @classmethod
    def fit(cls, col: Column, options: Options) -> Categorical:
        """Take text that repeats; raises Reject where nearly every row differs (names, free text)."""
        if col.kind not in ("text", "ordered"):
            raise Reject(f"column {col.name!r} is no text")
        counts = np.bincount(col.values[col.values >= 0], minlength=len(col.levels))
        rows = int(counts.sum())
        if rows > FEW and len(col.levels) > max(rows / 2, FEW):
            raise Reject(f"free text or names ({len(col.levels):,} different values in {rows:,} rows)")
        keep = np.arange(len(col.levels))
        gathered = keep[:0]
        if len(keep) > options.max_categories:
            common = np.argsort(-counts, kind="stable")
            keep = np.sort(common[: options.max_categories - 1])
            gathered = common[options.max_categories - 1 :]
        shares = [*counts[keep], *([counts[gathered].sum()] if len(gathered) else [])]
        return cls(
            tuple(col.levels[i] for i in keep),
            tuple((np.array(shares) / rows).tolist()),
            tuple(col.levels[i] for i in gathered),
        )

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, width) of 0 and 1; returns which rows are gaps, or None."""
        codes, strange = _codes(col, (*self.levels, *self.gathered))
        _unknown(col, strange, options.unknown)
        gaps = codes < 0
        codes = np.minimum(codes, self.width - 1)
        out[...] = 0
        out[np.flatnonzero(~gaps), codes[~gaps]] = 1
        out[gaps] = self.frequency
        return gaps if gaps.any() else None

    def decode(self, block: Array, col: Column) -> Column:
        """The likeliest level of each row."""
        levels = (*self.levels, *self.gathered[:1])
        return _like(col, block.argmax(1).astype(np.int32), kind="text", levels=levels)


@dataclass(frozen=True)
class Datetime:
    """A moment: elapsed time as a number, and the parts that recur as points on a circle. Gaussian features.

    A part (hour of day, weekday, day of year) is there where the data is fine enough and spans two rounds of
    it; decoding reads the elapsed time alone, rounded to the data's `step` in seconds. Hours are UTC.
    """

    elapsed: Numeric
    step: float
    cycles: tuple[tuple[float, Numeric, Numeric], ...] = ()
    form: str = ""

    family: ClassVar[str] = "gaussian"

    @property
    def width(self) -> int:
        """Number of features."""
        return 1 + 2 * len(self.cycles)

    @classmethod
    def fit(cls, col: Column, options: Options) -> Datetime:
        """Take moments, or text that writes them in one form; raises Reject otherwise."""
        form = ""
        if col.kind == "text":
            form = _date_form(col)
            col = _moments_of_text(col, form)
        if col.kind != "time":
            raise Reject(f"column {col.name!r} is no dates")
        seconds = _seconds(col.known(), col.unit)
        span, step = float(np.ptp(seconds)), _step(col.known(), col.unit)
        cycles = [
            (period, Numeric.of(sine, "standard"), Numeric.of(cosine, "standard"))
            for period in _PERIODS
            for sine, cosine in [_circle(seconds, period)]
            if step <= period / 7 and span >= 2 * period and len(np.unique(_sample(seconds % period))) > 2
        ]
        return cls(Numeric.of(seconds, options.scaling), step, tuple(cycles), form)

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, width); returns which rows are gaps, or None."""
        if col.kind == "text":
            col = _moments_of_text(col, self.form or _date_form(col))
        if col.kind != "time":
            raise DataError(f"Column {col.name!r} holds no dates, as it did in training.")
        seconds = _seconds(col.values, col.unit)
        _write(out[:, 0], self.elapsed.forward(seconds), col.missing, 0.0)
        for i, (period, *scales) in enumerate(self.cycles):
            for j, (part, scale) in enumerate(zip(_circle(seconds, period), scales, strict=True)):
                _write(out[:, 1 + 2 * i + j], scale.forward(part), col.missing, 0.0)
        return col.missing

    def decode(self, block: Array, col: Column) -> Column:
        """The elapsed time of each row as a moment of the column's own unit (or text in its form)."""
        seconds = self.elapsed.backward(block[:, 0].astype(np.float64))
        steps = np.rint(np.clip(seconds, -6e10, 2.5e11) / self.step)  # the years 0 to 9999
        values = np.rint(steps * (self.step / SECONDS[col.unit])).astype(np.int64)
        if not self.form:
            return _like(col, values, kind="time")
        distinct, codes = np.unique(values, return_inverse=True)
        written = distinct.astype(f"datetime64[{col.unit}]").astype(object)
        levels = tuple(moment.strftime(self.form) for moment in written)
        return _like(col, codes.astype(np.int32), kind="text", levels=levels)


_PERIODS = (86400.0, 7 * 86400.0, 365.2425 * 86400.0)
_FORMS = tuple(
    (day + clock)
    for day in ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d-%b-%Y")
    for clock in ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", "T%H:%M:%SZ")
)


def _circle(seconds: Array, period: float) -> tuple[Array, Array]:
    angle = (seconds % period) * (2 * np.pi / period)
    return np.sin(angle), np.cos(angle)


def _seconds(values: Array, unit: str) -> Array:
    return values.astype(np.float64) * SECONDS[unit]


def _step(values: Array, unit: str) -> float:
    """The coarsest of day, hour, minute, second, ... that all moments are whole numbers of."""
    for step in (86400.0, 3600.0, 60.0, 1.0, 1e-3, 1e-6):
        units = round(step / SECONDS[unit])
        if units >= 1 and not np.mod(values, units).any():
            return step
    return SECONDS[unit]


def _date_form(col: Column) -> str:
    """The form in which all levels are written dates; raises Reject where there is none."""
    levels = [str(level).strip() for level in col.levels if not _blank(level)]
    for form in _FORMS:
        if levels and all(_moment(level, form) is not None for level in levels):
            return form
    raise Reject(f"column {col.name!r} is not written as dates in one form")


def _moment(text: str, form: str) -> int | None:
    from datetime import datetime

    if not text[:1].isdigit() or (form.startswith("%Y") and not text[:4].isdigit()):
        return None
    try:
        moment = datetime.strptime(text, form)
    except ValueError:
        return None
    return int(np.datetime64(moment, "s").astype(np.int64))


def _moments_of_text(col: Column, form: str) -> Column:
    """Text as moments in seconds; raises DataError naming the first that is not in the form."""
    found = [None if _blank(level) else _moment(str(level).strip(), form) for level in col.levels]
    for i, moment in enumerate(found):
        if moment is None and not _blank(col.levels[i]):
            row = int(np.argmax(col.values == i))
            raise DataError(
                f"Column {col.name!r}, row {row} (from 0), holds {col.levels[i]!r}, not a date as {form}."
            )
    values = np.array([*(moment or 0 for moment in found), 0], dtype=np.int64)[col.values]
    gap = np.array([*(moment is None for moment in found), True])[col.values]
    return replace(col, kind="time", values=values, missing=gap if gap.any() else None, unit="s", levels=())


@dataclass(frozen=True)
class SetAside:
    """A column that teaches nothing: no feature. `reason` says why; it comes back where that is possible.

    A constant comes back as its `value`, a duplicate as its `twin`, names and texts from the original items.
    """

    reason: str
    value: Any = None
    twin: str | int | None = None

    family: ClassVar[str] = "none"
    width: ClassVar[int] = 0

    @property
    def lent(self) -> bool:
        """Whether only the original items can give the column back."""
        return self.value is None and self.twin is None

    @classmethod
    def fit(cls, col: Column, options: Options) -> SetAside:
        """Take empty, constant and identifier-like columns; raises Reject where there is more to learn."""
        known = col.known()
        if col.kind == "other":
            return cls(f"of a kind that cannot be used ({col.dtype['arrow']})")
        if len(known) == 0 or (col.kind == "text" and all(_blank(level) for level in col.levels)):
            return cls("empty")
        if known[0] == known[-1] and (known == known[0]).all():
            value = col.levels[known[0]] if col.kind in ("text", "ordered") else known[0].item()
            return cls("constant", value)
        if _identifies(col):
            return cls("identifier")
        raise Reject(f"column {col.name!r} varies")

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Nothing to write."""
        return None

    def decode(self, block: Array, col: Column) -> Column:
        """The constant, or gaps."""
        n = len(block)
        if self.value is None:
            return replace(_gaps(col, n), kind=col.kind)
        if col.kind in ("text", "ordered"):
            return _like(col, np.zeros(n, np.int32), levels=(self.value,))
        return _like(col, np.full(n, self.value))


def _gaps(col: Column, n: int) -> Column:
    empty = np.full(n, -1, np.int32) if col.kind in ("text", "ordered") else np.zeros(n, col.values.dtype)
    return replace(col, values=empty, missing=np.ones(n, bool), levels=())


def _identifies(col: Column) -> bool:
    """Whether the column names its rows: all different, and text without spaces, or numbers that count rows.

    Numbers count rows where they fill more than half of their range (1..n, also shuffled or with some taken
    out), or where the column is named like an id.
    """
    if col.missing is not None or len(col) <= FEW:
        return False
    if col.kind == "text":
        spaced = sum(" " in str(level) for level in col.levels)
        return len(col.levels) == len(col) and spaced < len(col) / 2
    if col.kind != "number" or len(np.unique(col.values[:1000])) < min(len(col), 1000):
        return False
    values = col.values.astype(np.float64)
    if np.mod(values, 1).any() or len(np.unique(values)) < len(values):
        return False
    return bool(np.ptp(values) < 2 * len(values)) or _named_like_id(col.name)


def _named_like_id(name: str | int) -> bool:
    words = str(name).lower().replace("-", "_").replace(" ", "_").split("_")
    return bool({"id", "index", "uid", "uuid", "key", "udi", "nr", "no"} & set(words)) or str(name).endswith(
        "Id"
    )


def kind_state(kind: Any) -> dict[str, Any]:
    """A fitted kind as JSON-able values; `kind_from_state` reads it back."""
    return {"kind": type(kind).__name__} | {f.name: _plain(getattr(kind, f.name)) for f in fields(kind)}


def kind_from_state(state: Mapping[str, Any]) -> Any:
    """Read back what `kind_state` wrote."""
    kinds = {kind.__name__: kind for kind in KINDS}
    return kinds[state["kind"]](**{name: _rich(value) for name, value in state.items() if name != "kind"})


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return kind_state(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return kind_from_state(value)
    return tuple(_rich(one) for one in value) if isinstance(value, list) else value


#: The kinds in the order in which they are tried.
KINDS: tuple[Any, ...] = (SetAside, Ordinal, Boolean, Datetime, Numeric, Categorical)
