"""Recordings cut into windows: their length, where they start, and how they become one recording again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._clock import Clock
from latentspace.errors import DataError

#: Windows are SHORTEST to LONGEST samples; there should be at least FEW of them, and no more than MANY.
SHORTEST, LONGEST, FEW, MANY = 16, 512, 50, 20_000
#: Samples of one series, and series, that are looked at for the period.
LOOK, SERIES = 2**16, 16
#: A peak of the autocorrelation below PEAK is no period; FAINT is enough once slow changes are taken out.
PEAK, FAINT = 0.2, 0.1


@dataclass(frozen=True)
class Recording:
    """One or more series of evenly spaced samples, and the form in which the user had them.

    samples : (total, C) all series one after another, in the user's units; NaN is a gap.
    ends : (S,) where each series ends. channels : C names. step : seconds between samples (None: unknown).
    form : "frame", "flat" (T,), "time" (T, C), "channels" (C, T), "list" (one array a series), or windows as
        they came: "nct" (n, C, T), "ntc" (n, T, C).
    times, backend : the time column and the library of a frame; clock : where its rows lie.
    dtypes : number type of each channel.
    """

    samples: NDArray[Any]
    ends: NDArray[np.int64]
    channels: tuple[str, ...]
    form: str
    dtypes: tuple[np.dtype[Any], ...]
    step: float | None = None
    times: Any = None
    backend: str = "numpy"
    clock: Clock | None = None
    names: tuple[str, ...] = ()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(S,) samples of each series."""
        return np.diff(self.ends, prepend=0)


@dataclass(frozen=True)
class Windows:
    """Windows over a recording; they overlap and are cut out only where needed.

    starts : (n,) first sample; length, hop : samples of a window and between the starts of two.
    """

    recording: Recording
    starts: NDArray[np.int64]
    length: int
    hop: int

    @property
    def series(self) -> NDArray[np.int64]:
        """(n,) which series each window was cut from."""
        return np.searchsorted(self.recording.ends, self.starts, side="right")

    @property
    def samples(self) -> NDArray[Any]:
        """(n, C, T) the windows in the user's units; samples past the end of a short series are NaN."""
        cut, inside = self.cut(slice(None))
        if inside.all():
            return cut.transpose(0, 2, 1)
        return np.where(inside[:, None, :], cut.transpose(0, 2, 1).astype(np.float64), np.nan)

    def take(self, rows: NDArray[Any]) -> Windows:
        """The windows at `rows`."""
        return replace(self, starts=self.starts[rows])

    def places(self, rows: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(n, T) sample of each element of the windows at `rows`, and whether its series reaches that far."""
        starts = self.starts[rows]
        end = self.recording.ends[np.searchsorted(self.recording.ends, starts, side="right")]
        places = starts[:, None] + np.arange(self.length)
        inside = places < end[:, None]
        return np.minimum(places, end[:, None] - 1), inside

    def cut(self, rows: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """(n, T, C) samples of the windows at `rows`, and (n, T) whether they exist."""
        places, inside = self.places(rows)
        return self.recording.samples[places], inside


def window_starts(ends: NDArray[np.int64], length: int, hop: int) -> NDArray[np.int64]:
    """Starts every `hop` samples in each series, and one more window that ends where the series ends.

    >>> window_starts(np.array([10, 13]), length=4, hop=4).tolist()
    [0, 4, 6, 10]
    """
    starts = []
    for begin, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        last = max(begin, end - length)
        starts.append(np.append(np.arange(begin, last, hop), last))
    return np.concatenate(starts).astype(np.int64)


def overlap_add(windows: Windows, x: NDArray[Any]) -> NDArray[np.float64]:
    """(total, C) recording from windows x (n, C, T): where they overlap, the middle of a window counts most.

    Samples that no window covers are NaN.
    """
    total, channels = windows.recording.samples.shape
    added, weights = np.zeros((total, channels)), np.zeros(total)
    slope = np.arange(1, windows.length + 1)
    taper = np.minimum(slope, slope[::-1]).astype(np.float64)
    for first in range(0, len(x), 4096):
        rows = slice(first, first + 4096)
        places, inside = windows.places(rows)
        weight = (taper * inside).ravel()
        weights += np.bincount(places.ravel(), weight, total)
        for c in range(channels):
            values = np.where(inside, x[rows, c], 0).ravel()
            added[:, c] += np.bincount(places.ravel(), values * weight, total)
    with np.errstate(invalid="ignore"):
        return np.asarray(added / np.where(weights > 0, weights, np.nan)[:, None])


def choose_window(recording: Recording) -> tuple[int, int, float | None]:
    """Window length and hop in samples, and the period they were chosen from (None: none was found).

    One period, or as many as make SHORTEST samples and at most MANY windows, or an equal part of one that is
    longer than LONGEST. The hop is half a window, less where that gives fewer than FEW windows.
    """
    lengths = recording.lengths
    total, typical = int(lengths.sum()), int(np.median(lengths))
    period = find_period(recording)
    least = max(SHORTEST, 2 * total / MANY)
    if period is None:
        length = int(np.clip(2 ** int(np.log2(max(total / FEW, 1))), SHORTEST, LONGEST // 2))
    elif period > LONGEST:
        length = round(period / np.ceil(period / LONGEST))
    else:
        length = min(round(period * np.ceil(least / period)), LONGEST)
    length = min(length, typical) if typical >= SHORTEST else int(lengths.max())
    hop = max(1, length // 2)
    while hop > max(1, length // 8) and len(window_starts(recording.ends, length, hop)) < FEW:
        hop //= 2
    return length, hop, period


def find_period(recording: Recording) -> float | None:
    """The dominant period in samples, by autocorrelation without the trend; None where there is none."""
    found = _first_peak(_mean_correlation(recording, slow=True), PEAK)
    if found is None:
        # a wandering baseline hides a heartbeat: look again without anything slower than the longest window
        found = _first_peak(_mean_correlation(recording, slow=False)[: LONGEST + 1], FAINT)
    return None if found is None else _round(found, recording.step)


def _round(period: float, step: float | None) -> float:
    """The period, or the hour, day or week that it is within 3 % of; `step` in seconds."""
    for natural in (3600.0, 86400.0, 604800.0):
        samples = natural / step if step else 0.0
        if samples == round(samples) and abs(period - samples) <= 0.03 * samples:
            return samples
    return period


def _mean_correlation(recording: Recording, slow: bool) -> NDArray[np.float64]:
    """Autocorrelation at lags up to a third of a typical series, over the longest series and all channels."""
    lengths = recording.lengths
    correlations, longest = [], min(int(lengths.max()), LOOK)
    for s in np.argsort(-lengths, kind="stable")[:SERIES]:
        series = recording.samples[recording.ends[s] - lengths[s] :][: min(lengths[s], LOOK)]
        if len(series) >= (2 * SHORTEST if slow else 2 * LONGEST):
            own = _autocorrelation(_without_trend(series.astype(np.float64), slow))
            correlations.append((np.pad(own, (0, longest - len(own))), len(series)))
    if not correlations:
        return np.ones(3)
    weights = np.array([n for _, n in correlations], np.float64)
    mean = np.average([c for c, _ in correlations], axis=0, weights=weights)
    return np.asarray(mean[: int(np.median(weights)) // 3])


def _without_trend(series: NDArray[np.float64], slow: bool) -> NDArray[np.float64]:
    """(T, C) channels of variance 1 without a straight line (`slow`) or a moving mean; extremes held back."""
    time = np.arange(len(series), dtype=np.float64)
    kept = []
    for channel in series.T:
        known = ~np.isnan(channel)
        if known.sum() < SHORTEST:
            continue
        filled = np.interp(time, time[known], channel[known])
        low, high = np.quantile(filled, [0.005, 0.995])
        if low < high:
            filled = np.clip(filled, low, high)
        trend = np.polyval(np.polyfit(time, filled, 1), time) if slow else _moving_mean(filled)
        flat = filled - trend
        if flat.std() > 1e-9 * max(1.0, np.abs(filled).max()):
            kept.append(flat / flat.std())
    return np.stack(kept, axis=1) if kept else np.zeros((len(series), 1))


def _moving_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over LONGEST samples around each."""
    padded = np.pad(values, (LONGEST // 2, LONGEST - LONGEST // 2), mode="edge")
    total = np.cumsum(padded)
    return np.asarray((total[LONGEST:] - total[:-LONGEST]) / LONGEST)


def _autocorrelation(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) mean over channels, 1 at lag 0, each lag by the number of pairs it has."""
    n = len(series)
    spectrum = np.fft.rfft(series, 2 * n, axis=0)
    raw = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=0)[:n].mean(axis=1)
    return np.asarray(raw / max(raw[0], 1e-12) * n / np.arange(n, 0, -1))


def _first_peak(correlation: NDArray[np.float64], least: float) -> float | None:
    """Once the correlation has dipped, the top of the first hump that is nearly as high as the highest."""
    dipped = np.flatnonzero(correlation < 0.5 * least)
    if not len(dipped):
        return None
    middle = correlation[1:-1]
    peaks = np.flatnonzero((middle >= correlation[:-2]) & (middle > correlation[2:])) + 1
    peaks = peaks[(peaks > dipped[0]) & (correlation[peaks] >= least)]
    if not len(peaks):
        return None
    first = int(peaks[correlation[peaks] >= 0.7 * correlation[peaks].max()][0])
    # noise makes many peaks on one broad hump: its top is the middle of what is highest once smoothed
    width = 2 * (first // 20) + 1
    low = int(0.8 * first)
    smooth = np.convolve(correlation, np.ones(width) / width, mode="same")[low : int(1.25 * first) + 1]
    return low + float(np.flatnonzero(smooth >= 0.97 * smooth.max()).mean())


def observed_only(windows: Windows) -> Windows:
    """Without the windows in which nothing at all was observed."""
    samples = windows.recording.samples
    if samples.dtype.kind != "f" or not np.isnan(samples).any():
        return windows
    seen = np.append(0, np.cumsum(~np.isnan(samples).all(axis=1)))
    end = np.minimum(windows.starts + windows.length, len(samples))
    kept = seen[end] > seen[windows.starts]
    if not kept.any():
        raise DataError("The recording holds nothing but gaps.")
    return windows.take(np.flatnonzero(kept))


def window_ids(windows: Windows) -> NDArray[Any]:
    """When each window starts: its stamp, or its series and first sample (of one series: the sample)."""
    recording = windows.recording
    if recording.form in ("nct", "ntc"):
        return np.arange(len(windows.starts))
    if recording.times is not None and recording.clock is not None:
        stamps = _written(recording.clock, windows.starts)
        if len(np.unique(stamps)) == len(stamps):
            return stamps
    if len(recording.ends) == 1:
        return windows.starts
    series = windows.series
    first = windows.starts - (recording.ends - recording.lengths)[series]
    names = recording.names or [str(s) for s in range(len(recording.ends))]
    return np.array([f"{names[s]}:{at}" for s, at in zip(series, first, strict=True)])


def _written(clock: Clock, at: NDArray[np.int64]) -> NDArray[Any]:
    """The stamps of samples as text, dates to the second where that tells them apart."""
    if clock.origin is None:
        return np.array([f"{stamp:.12g}" for stamp in clock.stamps[at]])
    unit = "s" if clock.step >= 1 else "us"
    since = np.rint(clock.stamps[at] * (1 if unit == "s" else 1e6)).astype(np.int64)
    stamps = clock.origin.astype(f"datetime64[{unit}]") + since.astype(f"timedelta64[{unit}]")
    return np.char.replace(np.datetime_as_string(stamps), "T", " ")


def sample_labels(column: Any, clock: Clock) -> NDArray[Any]:
    """(total,) a label column with one value a row, on the samples of its grid; those without a row take
    that of the next row."""
    values = np.asarray(column.to_pylist()) if column.null_count == 0 else _filled(column)
    values = values if values.dtype.kind in "biufU" else values.astype(str)
    order = np.argsort(clock.positions, kind="stable")
    next_row = np.searchsorted(clock.positions[order], np.arange(clock.total))
    samples = values[order[np.minimum(next_row, len(order) - 1)]]
    if samples.dtype.kind != "U":
        np.maximum.at(samples, clock.positions, values)
    return np.asarray(samples)


def window_labels(samples: NDArray[Any], windows: Windows) -> NDArray[Any]:
    """(n,) labels of windows from those of samples (total,): the largest, or of text that in the middle."""
    if samples.dtype.kind not in "biuf":
        end = windows.recording.ends[windows.series]
        return samples[np.minimum(windows.starts + windows.length // 2, end - 1)]
    chunks = [slice(first, first + 4096) for first in range(0, len(windows.starts), 4096)]
    return np.concatenate([samples[windows.places(rows)[0]].max(axis=1) for rows in chunks])


def _filled(column: Any) -> NDArray[Any]:
    """A column with its gaps as 0 or ""."""
    values = column.to_pylist()
    text = any(isinstance(value, str) for value in values)
    return np.array([("" if text else 0) if value is None else value for value in values])


def covered(windows: Windows) -> NDArray[Any]:
    """(m, C) the samples that lie in any of the windows, each once."""
    total = len(windows.recording.samples)
    edges = np.zeros(total + 1, np.int64)
    end = windows.recording.ends[windows.series]
    np.add.at(edges, windows.starts, 1)
    np.add.at(edges, np.minimum(windows.starts + windows.length, end), -1)
    inside = np.cumsum(edges[:-1]) > 0
    return windows.recording.samples if inside.all() else windows.recording.samples[inside]
