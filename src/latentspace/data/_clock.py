"""Time stamps: finding them in a table, and bringing unevenly sampled values onto even steps and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

if TYPE_CHECKING:
    import pyarrow

#: Names under which a column of numbers is taken as time, where it also grows from row to row.
TIME_NAMES = frozenset(
    {"time", "timestamp", "timestamps", "t", "ts", "date", "datetime", "seconds", "epoch", "cycle"}
)
#: Ways to write a date that Arrow does not read by itself, tried in turn.
FORMATS = (
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
)
#: Gaps up to FILL steps are bridged by straight lines, longer ones are unobserved; a gap of more than SPLIT
#: steps ends one series and starts the next, so that a pause of a year is no year of empty samples.
FILL, SPLIT = 3, 64
#: A share of the step that stamps may be off and still count as even.
JITTER = 0.01
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Clock:
    """Where the rows of a table lie on even steps.

    positions : (m,) each row's sample on the grid. stamps : (total,) the samples' own times, for dates in
    seconds since the first. ends : (S,) where each series ends on the grid. step : length of one step.
    origin : the first date (None: the stamps are numbers).
    """

    positions: NDArray[np.int64]
    stamps: NDArray[np.float64]
    ends: NDArray[np.int64]
    step: float
    origin: np.datetime64 | None = None
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Samples of the grid."""
        return int(self.ends[-1])


@dataclass(frozen=True)
class Stamps:
    """A time column: seconds since `origin`, or numbers where that is None; NaN where empty."""

    name: str
    values: NDArray[np.float64]
    origin: np.datetime64 | None = None


def find_time(table: pyarrow.Table) -> Stamps | None:
    """The time column of a table; None where there is none.

    Dates come first, then text that reads as dates, then growing numbers under a name such as "time".
    """
    dates = [name for name in table.column_names if _is_date(table[name].type)]
    for name in sorted(dates, key=lambda name: name.lower() not in TIME_NAMES):
        return _dated(name, table[name])
    for name in table.column_names:
        parsed = _parsed(table[name])
        if parsed is not None:
            return _dated(name, parsed)
    for name in table.column_names:
        if name.lower() in TIME_NAMES and _is_number(table[name].type):
            stamps = table[name].to_numpy().astype(np.float64)
            if mostly_grows(stamps):
                return Stamps(name, stamps)
    return None


def mostly_grows(stamps: NDArray[np.float64]) -> bool:
    """Whether 95 % of the steps are forward or still, and more than half are forward."""
    steps = np.diff(stamps)
    return len(steps) > 0 and (steps >= 0).mean() >= 0.95 and (steps > 0).mean() > 0.5


def mostly_even(stamps: NDArray[np.float64]) -> bool:
    """Whether at least half of the steps lie within half of the median one: sampled, not events."""
    steps = np.diff(np.sort(stamps))
    steps = steps[steps > 0]
    return len(steps) > 0 and (np.abs(steps / np.median(steps) - 1) <= 0.5).mean() >= 0.5


def _is_date(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _parsed(column: Any) -> Any:
    """A column of written dates as timestamps; None where it is anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    head = column.slice(0, 100).drop_null()
    if not len(head) or not all(re.search(r"\d[-/.:]\d", text) for text in head.to_pylist()):
        return None
    try:
        return column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        pass
    for form in FORMATS:
        read = pc.strptime(column, format=form, unit="us", error_is_null=True)
        if read.null_count == column.null_count:
            return read
    return None


def _dated(name: str, column: Any) -> Stamps:
    """Differences are taken as integers, so that nothing is rounded off."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms"))
    unit = column.type.unit
    ticks = column.cast(pa.int64())
    first = pc.min(ticks).as_py() or 0
    since = pc.subtract(ticks, first).to_numpy().astype(np.float64)
    return Stamps(name, since * _UNITS[unit], np.datetime64(first, unit))


def duration(seconds: float) -> str:
    """A length of time in its natural unit.

    >>> duration(48 * 1800), duration(0.002)
    ('1 day', '2 ms')
    """
    for unit, length in (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0), ("second", 1.0)):
        if seconds >= length * 0.999:
            amount = f"{seconds / length:.3g}"
            return f"{amount} {unit}" + ("" if amount == "1" else "s")
    return f"{seconds * 1000:.3g} ms"


def regular(time: Stamps) -> Clock:
    """The even grid for `time`, at its median step; each row lies on the sample nearest to it.

    A clock that starts over, with the same stamps again, starts a new series. Raises DataError where there is
    no even grid: empty stamps, or one and the same in all rows.
    """
    missing = np.flatnonzero(~np.isfinite(time.values))
    if len(missing):
        raise DataError(
            f"The time column {time.name!r} is empty in {len(missing)} rows (row {missing[0]}, from 0); "
            "fill it in or leave those rows out."
        )
    forward = np.diff(time.values if mostly_grows(time.values) else np.sort(time.values))
    forward = forward[forward > 0]
    if not len(forward):
        raise DataError(f"The time column {time.name!r} has one and the same stamp in every row.")
    step = float(np.median(forward))
    runs = _runs(time.values)
    # run after run, with a pause between them that no series bridges
    apart = time.values + runs * (np.ptp(time.values) + 2 * SPLIT * step)
    order = np.argsort(apart, kind="stable")
    steps = np.diff(apart[order]) / step
    positions = np.empty(len(order), np.int64)
    slots, ends, firsts = _slots(steps)
    positions[order] = slots
    starts = np.append(0, ends[:-1])
    stamps = np.arange(ends[-1]) - np.repeat(starts, ends - starts)
    stamps = np.repeat(time.values[order][firsts], ends - starts) + stamps * step
    notes = _remarks(time, np.diff(apart), steps, step, int(runs[-1]))
    return Clock(positions, stamps, ends, step, time.origin, notes)


def _runs(stamps: NDArray[np.float64]) -> NDArray[np.int64]:
    """(m,) how often the clock has started over before each row.

    It has where a stamp falls back to where its run began, and one stamp in twenty or more comes again. Else
    rows that fall back are out of order.
    """
    runs = np.zeros(len(stamps), np.int64)
    falls = np.flatnonzero(np.diff(stamps) < 0) + 1
    if len(falls) > len(stamps) / 10 or len(np.unique(stamps)) > 0.95 * len(stamps):
        return runs
    begun = stamps[0]
    for row in falls:
        if stamps[row] - begun <= 0.05 * (stamps[row - 1] - begun):
            runs[row] = 1
            begun = stamps[row]
    return np.cumsum(runs)


def _slots(steps: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sample of each sorted row, ends of the series, and the first row of each; `steps` lie between rows."""
    if (np.abs(steps - 1) <= JITTER).all():
        # stamps that are a little off each time would drift away from steps counted from the first
        count = len(steps) + 1
        return np.arange(count), np.array([count]), np.array([0])
    firsts = np.append(0, np.flatnonzero(steps > SPLIT) + 1)
    elapsed = np.append(0, np.cumsum(steps))
    counts = np.diff(np.append(firsts, len(elapsed)))
    within = np.rint(elapsed - np.repeat(elapsed[firsts], counts)).astype(np.int64)
    lengths = within[np.append(firsts[1:], len(elapsed)) - 1] + 1
    ends = np.cumsum(lengths)
    return within + np.repeat(ends - lengths, counts), ends, firsts


def _remarks(
    time: Stamps, jumps: NDArray[np.float64], steps: NDArray[np.float64], step: float, restarts: int
) -> tuple[str, ...]:
    """What is worth a note: `jumps` from row to row, `steps` between sorted rows."""
    notes = []
    pauses = int((steps > SPLIT).sum()) - restarts
    steps = steps[steps <= SPLIT]
    if restarts:
        often = "once" if restarts == 1 else f"{restarts:,} times"
        notes.append(f"{time.name!r} starts over {often}: each run is a series of its own.")
    if (jumps < 0).any():
        notes.append(f"Rows were sorted by {time.name!r}: {int((jumps < 0).sum()):,} came out of order.")
    if (steps == 0).any():
        notes.append(f"{int((steps == 0).sum()):,} stamps of {time.name!r} repeat and were averaged.")
    uneven = (np.abs(steps - 1) > JITTER).mean() if len(steps) else 0.0
    if uneven or pauses:
        even = duration(step) if time.origin is not None else f"{step:g}"
        long = int((steps > FILL).sum()) + pauses
        notes.append(
            f"Sampling is uneven ({100 * uneven:.2g} % of steps are not {even}); rows were put on even steps"
            + (f"; gaps of more than {FILL} steps ({long:,}) are unobserved" if long else "")
            + (f" and those of more than {SPLIT} ({pauses:,}) start a new series." if pauses else ".")
        )
    return tuple(notes)


def onto_grid(values: NDArray[Any], clock: Clock) -> NDArray[Any]:
    """Values (m,) of the rows as samples (total,) of the grid; those that share a sample are averaged.

    Short gaps between rows are bridged by straight lines, longer ones and missing values are NaN.
    """
    rows = np.bincount(clock.positions, minlength=clock.total)
    if (rows == 1).all():
        placed = np.empty_like(values)
        placed[clock.positions] = values
        return placed
    known = ~np.isnan(values)
    count = np.bincount(clock.positions[known], minlength=clock.total)
    total = np.bincount(clock.positions[known], values[known], clock.total)
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / count, np.nan)
    return _bridged(mean, rows > 0, clock.ends)


def _bridged(samples: NDArray[Any], taken: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[Any]:
    """Straight lines over runs of fewer than FILL samples without a row, inside one series."""
    at = np.flatnonzero(taken)
    gap = np.diff(at)
    same = np.searchsorted(ends, at[:-1], side="right") == np.searchsorted(ends, at[1:], side="right")
    for behind in range(1, int(FILL)):
        left = np.flatnonzero((gap > behind) & (gap <= FILL) & same)
        share = behind / gap[left]
        samples[at[left] + behind] = samples[at[left]] * (1 - share) + samples[at[left + 1]] * share
    return samples
