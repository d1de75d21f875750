"""Recordings from frames, arrays and WAV files, with what was noticed on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._clock import Clock, Stamps, duration, find_time, onto_grid, regular
from latentspace.data._windows import Recording, sample_labels
from latentspace.errors import DataError, Reject, nearest

if TYPE_CHECKING:
    import pyarrow

#: A text column counts as numbers where at least this share of it reads as such; the rest are gaps.
NUMERIC_TEXT = 0.95
#: A recording has at least this many samples.
FEWEST = 8


def numbers_of(column: Any) -> NDArray[Any] | None:
    """An Arrow column as numbers (gaps NaN); None where it holds anything else.

    >>> import pyarrow as pa
    >>> numbers_of(pa.chunked_array([["1.5", "2"] * 20 + ["nil"]]))[-2:]
    array([ 2., nan])
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _numbers_in_text(column)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    if pa.types.is_integer(column.type) and column.null_count:
        column = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(column.to_numpy())


def _numbers_in_text(column: Any) -> NDArray[Any] | None:
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(column).combine_chunks()
    values = np.array([_number(text) for text in coded.dictionary.to_pylist()] + [np.nan])
    numbers = values[coded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)]
    known = len(column) - column.null_count
    return numbers if known and np.isfinite(numbers).sum() >= NUMERIC_TEXT * known else None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.nan


def from_frame(
    table: pyarrow.Table, backend: str, labels: Sequence[str], channels: Sequence[str], rate: float | None
) -> tuple[Recording, dict[str, Any], list[str]]:
    """The recording of a table, its label columns (one value a sample) and notes.

    `channels` names the columns to read; none: every column of numbers that varies.
    """
    for name in [*labels, *channels]:
        if name not in table.column_names:
            raise DataError(f"There is no column {name!r}{nearest(name, table.column_names)}.")
    if table.num_rows < FEWEST:
        raise DataError(f"The recording has {table.num_rows} rows; at least {FEWEST} are needed.")
    unlabelled = table.drop_columns(list(labels))
    time = find_time(unlabelled)
    clock = regular(time or Stamps("row", np.arange(table.num_rows, dtype=np.float64)))
    columns, notes = _channels(unlabelled, time.name if time else "", channels, clock)
    if time is None:
        notes.append("There is no time column: the rows are taken as evenly spaced.")
    recording = Recording(
        _stacked([onto_grid(values, clock) for values in columns.values()]),
        clock.ends,
        tuple(columns),
        "frame",
        tuple(values.dtype for values in columns.values()),
        1 / rate if rate else None if clock.origin is None else clock.step,
        table.select([time.name]) if time else None,
        backend,
        clock,
    )
    return recording, {name: sample_labels(table[name], clock) for name in labels}, [*clock.notes, *notes]


def _channels(
    table: pyarrow.Table, time: str, wanted: Sequence[str], clock: Clock
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The columns that make the channels, and notes on those set aside."""
    columns: dict[str, NDArray[Any]] = {}
    aside: dict[str, list[str]] = {}
    for name in wanted or [name for name in table.column_names if name != time]:
        values = numbers_of(table[name])
        if values is not None:
            _check_finite(values, name)
        reason = None if wanted and values is not None else _set_aside(values, clock)
        if values is None and wanted:
            raise DataError(f"The column {name!r} was numbers when the model was fitted, but holds text now.")
        if reason or values is None:
            aside.setdefault(reason or "text", []).append(name)
        else:
            columns[name] = values
    notes = [f"Set aside, {reason}: {', '.join(names)}." for reason, names in aside.items()]
    if not columns:
        raise DataError(f"No column of numbers varies, so there is no signal. {' '.join(notes)}".strip())
    gaps = [name for name, values in columns.items() if _is_text(table[name]) and np.isnan(values).any()]
    notes += [f"Text in the column of numbers {name!r} counts as a gap." for name in gaps]
    return columns, notes


def _is_text(column: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _set_aside(values: NDArray[Any] | None, clock: Clock) -> str | None:
    if values is None:
        return "text"
    known = ~np.isnan(values)
    if not known.any():
        return "empty"
    if (values[known] == values[known][0]).all():
        return "constant"
    return "one value a series" if len(clock.ends) > 1 and _varies_only_between(values, clock) else None


def _varies_only_between(values: NDArray[Any], clock: Clock) -> bool:
    """Whether the values are the same all through each series, such as the number of a machine."""
    series = np.searchsorted(clock.ends, clock.positions, side="right")
    low = np.full(len(clock.ends), np.inf)
    high = -low
    np.fmin.at(low, series, values)
    np.fmax.at(high, series, values)
    return bool((low >= high).all())


def _check_finite(values: NDArray[Any], name: str) -> None:
    """Raises DataError where a value is infinite."""
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"Infinite value in column {name!r}, row {row} (from 0): replace it or leave it empty."
        )


def _stacked(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """(total, C); one channel stays a view."""
    return columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)


def from_array(
    array: NDArray[Any],
    lengths: NDArray[Any] | None,
    channels: Sequence[str],
    rate: float | None,
    channels_first: str,
) -> Recording:
    """The recording of one array: (T,), (T, C) or (C, T), or windows as they came, (n, C, T) or (n, T, C).

    `lengths` are those of series that lie one after another.
    """
    if array.dtype.kind not in "iufb":
        raise Reject(f"A signal is numbers, not {array.dtype}.")
    if array.ndim not in (1, 2, 3) or not array.size:
        raise Reject(f"An array of shape {array.shape} is no signal: give (T,), (T, C) or windows (n, C, T).")
    if array.dtype.kind == "f" and np.isinf(array).any():
        place = tuple(int(i) for i in np.argwhere(np.isinf(array))[0])
        raise DataError(f"Infinite value at position {place}: replace it or use NaN for a gap.")
    first = array.ndim > 1 and _channels_come_first(array, lengths, channels, channels_first)
    form = {1: "flat", 2: "channels" if first else "time", 3: "nct" if first else "ntc"}[array.ndim]
    ordered = array[:, None] if array.ndim == 1 else np.swapaxes(array, -1, -2) if first else array
    ends = _ends(ordered, lengths)
    samples = ordered.reshape(-1, ordered.shape[-1])
    names = tuple(str(name) for name in channels) or _default_names(samples.shape[1])
    if len(names) != samples.shape[1]:
        raise DataError(f"There are {len(names)} channel names for {samples.shape[1]} channels.")
    kinds = (samples.dtype,) * len(names)
    return Recording(samples, ends, names, form, kinds, 1 / rate if rate else None)


def _channels_come_first(
    array: NDArray[Any], lengths: NDArray[Any] | None, channels: Sequence[str], option: str
) -> bool:
    if option != "auto":
        return option == "yes"
    before, after = array.shape[-2:]
    if lengths is not None and before != after and int(np.sum(lengths)) in (before, after):
        return bool(np.sum(lengths) == after)
    if channels and len(channels) in (before, after) and before != after:
        return bool(len(channels) == before)
    return bool(before < after)


def _ends(ordered: NDArray[Any], lengths: NDArray[Any] | None) -> NDArray[np.int64]:
    if ordered.ndim == 3:
        return np.asarray(np.arange(1, len(ordered) + 1) * ordered.shape[1])
    ends = np.array([len(ordered)]) if lengths is None else np.cumsum(np.asarray(lengths, np.int64))
    if ends[-1] != len(ordered) or (np.diff(ends, prepend=0) <= 0).any():
        raise DataError(
            f"The lengths of the series add up to {ends[-1]:,}, but there are {len(ordered):,} samples; each "
            "series has at least one."
        )
    return ends


def _default_names(count: int) -> tuple[str, ...]:
    return ("value",) if count == 1 else tuple(f"channel {c}" for c in range(count))


def from_list(series: Sequence[NDArray[Any]], names: Sequence[str], rate: float | None) -> Recording:
    """The recording of several series (T,) or (T, C), each of its own length."""
    columns = [s[:, None] if s.ndim == 1 else s for s in series]
    if len({c.shape[1:] for c in columns}) > 1 or columns[0].ndim != 2:
        raise Reject("A list of signals has arrays (T,), or all (T, C) with the same number of channels.")
    joined = from_array(np.concatenate(columns), np.array([len(c) for c in columns]), (), rate, "no")
    form = "list" if series[0].ndim > 1 else "flat list"
    return Recording(
        joined.samples, joined.ends, joined.channels, form, joined.dtypes, joined.step, names=tuple(names)
    )


def sentence(recording: Recording, length: int, hop: int, period: float | None, given: bool) -> str:
    """How the recording was cut, for the notes."""
    share = "half" if hop == length // 2 else "not" if hop == length else f"{100 * (1 - hop / length):.0f} %"
    text = f"Windows of {length} samples"
    if recording.step:
        text += f" = {duration(length * recording.step)}"
    text += f", {share} overlapping"
    if given:
        return text + "."
    if period is None:
        return text + " (no period was found)."
    turns = length / period
    if abs(turns - round(turns)) < 0.02 and round(turns) >= 1:
        return text + f" ({'one period' if round(turns) == 1 else f'{round(turns)} periods'})."
    return text + f" (the period is {period:.0f} samples)."


def typed_as(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values in the user's number type: integers rounded and within its range; NaN keeps floats."""
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind not in "iu":
        return values.astype(dtype)
    if np.isnan(values).any():
        return values
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def in_its_form(grid: NDArray[np.float64], recording: Recording) -> Any:
    """The recording (total, C) as the user had it."""
    if recording.form == "frame":
        return _as_frame(grid, recording)
    values = typed_as(grid, recording.dtypes[0])
    if recording.form in ("list", "flat list"):
        series = np.split(values, recording.ends[:-1])
        return [s[:, 0] for s in series] if recording.form == "flat list" else series
    if recording.form == "flat":
        return values[:, 0]
    return values.T if recording.form == "channels" else values


def _as_frame(grid: NDArray[np.float64], recording: Recording) -> Any:
    """The time column and the channels, at the rows' own stamps and in their order."""
    import narwhals as nw
    import pyarrow as pa

    assert recording.clock is not None
    rows = grid[recording.clock.positions]
    table = recording.times if recording.times is not None else pa.table({})
    for c, (name, dtype) in enumerate(zip(recording.channels, recording.dtypes, strict=True)):
        missing = np.isnan(rows[:, c])
        typed = typed_as(np.where(missing, 0, rows[:, c]), dtype)
        table = table.append_column(name, pa.array(typed, mask=missing))
    if recording.backend == "pyarrow":
        return table
    backend: Any = recording.backend
    return nw.DataFrame.from_arrow(table, backend=backend).to_native()
