"""Dates and times as features: elapsed time as a number, and what recurs as points on a circle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.data._frames import SECONDS, Column
from latentspace.data._numeric import Numeric, Options, blank, like, sample_of, write
from latentspace.errors import DataError, Reject

__all__ = ["Datetime"]

Array = NDArray[Any]
_PERIODS = (86400.0, 7 * 86400.0, 365.2425 * 86400.0)


_FORMS = tuple(
    (day + clock)
    for day in ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d-%b-%Y")
    for clock in ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", "T%H:%M", "T%H:%M:%SZ")
)


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
        if col.kind == "text" and "categories" not in col.dtype:
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
            if step <= period / 7 and span >= 2 * period and len(np.unique(sample_of(seconds % period))) > 2
        ]
        return cls(Numeric.of(seconds, options.scaling), step, tuple(cycles), form)

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, width); returns which rows are gaps, or None."""
        if col.kind == "text":
            col = _moments_of_text(col, self.form or _date_form(col))
        if col.kind != "time":
            raise DataError(f"Column {col.name!r} holds no dates, as it did in training.")
        seconds = _seconds(col.values, col.unit)
        write(out[:, 0], self.elapsed.forward(seconds), col.missing, 0.0)
        for i, (period, *scales) in enumerate(self.cycles):
            for j, (part, scale) in enumerate(zip(_circle(seconds, period), scales, strict=True)):
                write(out[:, 1 + 2 * i + j], scale.forward(part), col.missing, 0.0)
        return col.missing

    def decode(self, block: Array, col: Column) -> Column:
        """The elapsed time of each row as a moment of the column's own unit (or text in its form)."""
        seconds = self.elapsed.backward(block[:, 0].astype(np.float64))
        steps = np.rint(np.clip(seconds, -6e10, 2.5e11) / self.step)  # the years 0 to 9999
        values = np.rint(steps * (self.step / SECONDS[col.unit])).astype(np.int64)
        if not self.form:
            return like(col, values, kind="time")
        distinct, codes = np.unique(values, return_inverse=True)
        written = distinct.astype(f"datetime64[{col.unit}]").astype(object)
        levels = tuple(moment.strftime(self.form) for moment in written)
        return like(col, codes.astype(np.int32), kind="text", levels=levels)


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
    levels = [str(level).strip() for level in col.levels if not blank(level)]
    for form in _FORMS:
        if levels and all(_moment(level, form) is not None for level in levels):
            return form
    raise Reject(f"column {col.name!r} is not written as dates in one form")


def _moment(text: str, form: str) -> int | None:
    if not text[:1].isdigit() or (form.startswith("%Y") and not text[:4].isdigit()):
        return None
    try:
        moment = datetime.strptime(text, form)
    except ValueError:
        return None
    return int(np.datetime64(moment, "s").astype(np.int64))


def _moments_of_text(col: Column, form: str) -> Column:
    """Text as moments in seconds; raises DataError naming the first that is not in the form."""
    found = [None if blank(level) else _moment(str(level).strip(), form) for level in col.levels]
    for i, moment in enumerate(found):
        if moment is None and not blank(col.levels[i]):
            row = int(np.argmax(col.values == i))
            raise DataError(
                f"Column {col.name!r}, row {row} (from 0), holds {col.levels[i]!r}, not a date as {form}."
            )
    values = np.array([*(moment or 0 for moment in found), 0], dtype=np.int64)[col.values]
    gap = np.array([*(moment is None for moment in found), True])[col.values]
    return replace(col, kind="time", values=values, missing=gap if gap.any() else None, unit="s", levels=())
