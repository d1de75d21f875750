"""Signals: long recordings cut into windows, as (C, T) tensors of standardised channels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.data._recordings import (
    FEWEST,
    from_array,
    from_frame,
    from_list,
    in_its_form,
    sentence,
    typed_as,
)
from latentspace.data._wav import from_wav
from latentspace.data._windows import (
    Recording,
    Windows,
    choose_window,
    covered,
    observed_only,
    overlap_add,
    window_ids,
    window_labels,
    window_starts,
)
from latentspace.data.base import Items, Modality
from latentspace.data.files import FRAME_SUFFIXES, read_frame
from latentspace.errors import DataError, OptionError, Reject, nearest
from latentspace.likelihoods import Gaussian

__all__ = ["Signal", "Windows"]

#: Windows handled at once.
CHUNK = 4096
#: A channel of more kurtosis than this (a normal one has 3, a heartbeat about 7) is compressed by asinh.
HEAVY = 30.0


class Signal(Modality):
    """One or many channels over time, cut into windows that overlap.

    window, hop : samples of a window and between two; None chooses them from the data's period.
    rate : samples a second, where the source does not say.
    labels : columns of a frame kept out of training; a window's label is the largest of its samples'
        (of text: that of its middle).
    channels_first : "yes" for (C, T) and (n, C, T), "no" for (T, C) and (n, T, C), "auto": the shorter axis.
    strict : stop at the first WAV file that cannot be read, instead of skipping and naming it.

    >>> signal = Signal(window=16)
    >>> items = signal.read(np.sin(np.arange(100) / 3))
    >>> x, observed = signal.fit(items).transform(items)
    >>> x.shape, observed, signal.inverse_transform(x, items).shape
    ((12, 1, 16), None, (100,))
    """

    name: ClassVar[str] = "signal"

    def __init__(
        self,
        window: int | None = None,
        hop: int | None = None,
        rate: float | None = None,
        labels: Sequence[str] = (),
        channels_first: str = "auto",
        strict: bool = False,
    ) -> None:
        _check_options(window, hop, rate, channels_first)
        self.window = window
        self.hop = hop
        self.rate = rate
        self.labels = labels
        self.channels_first = channels_first
        self.strict = strict
        self.likelihood = Gaussian()

    @property
    def _fitted(self) -> bool:
        return hasattr(self, "shape")

    # reading

    def read(
        self,
        source: Any,
        *,
        lengths: NDArray[Any] | None = None,
        channels: Sequence[str] = (),
        rate: float | None = None,
        **where: Any,
    ) -> Items:
        """Windows of a frame, an array, a list of arrays, a WAV file or a folder or list of them.

        Of an array: `lengths` of series that lie one after another, names of its `channels`, and its `rate`.
        Raises Reject where `source` is no signal, DataError where it is a broken one.
        """
        rate = self.rate or rate
        notes: list[str] = []
        skipped: list[tuple[str, str]] = []
        labels: dict[str, Any] = {}
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            name = path.name
            if path.is_dir() or path.suffix.lower() == ".wav":
                recording, skipped = self._read_wavs(_wavs_of(path), path)
            elif _is_frame_file(path):
                recording, labels, notes = self._read_frame(read_frame(path), "pyarrow", rate)
            else:
                raise Reject(f"{name!r} is no signal by its ending: .wav, {', '.join(FRAME_SUFFIXES)}.")
        elif isinstance(source, np.ndarray):
            name = f"an array of {' x '.join(map(str, source.shape))}"
            names = list(channels) or self._names()
            recording = from_array(source, lengths, names, rate, self.channels_first)
        elif isinstance(source, Sequence) and source:
            name = f"a list of {len(source)} series"
            if all(isinstance(part, (str, os.PathLike)) for part in source):
                recording, skipped = self._read_wavs([Path(part) for part in source], None)
            else:
                recording = from_list([np.asarray(part) for part in source], (), rate)
        else:
            table, backend = _to_arrow(source)
            name = f"a {backend} frame of {table.num_rows:,} rows"
            recording, labels, notes = self._read_frame(table, backend, rate)
        return self._cut(recording, labels, name, notes, skipped)

    def _names(self) -> Sequence[str]:
        return self.channels if self._fitted else ()

    def _read_frame(
        self, table: Any, backend: str, rate: float | None
    ) -> tuple[Recording, dict[str, Any], list[str]]:
        labels = [name for name in self.labels if not self._fitted or name in table.column_names]
        return from_frame(table, backend, labels, self._names(), rate)

    def _read_wavs(self, paths: list[Path], root: Path | None) -> tuple[Recording, list[tuple[str, str]]]:
        inside = root if root and root.is_dir() else None
        names = [path.relative_to(inside).as_posix() if inside else path.name for path in paths]
        recording, skipped = from_wav(paths, names, self.strict)
        return recording, skipped

    def _cut(
        self,
        recording: Recording,
        labels: dict[str, Any],
        name: str,
        notes: list[str],
        skipped: list[tuple[str, str]],
    ) -> Items:
        total = len(recording.samples)
        if total < FEWEST:
            raise DataError(f"The recording has {total} samples; at least {FEWEST} are needed.")
        ready = recording.form in ("nct", "ntc")
        period = None
        if self._fitted:
            length, hop = self.shape[1], self.stride
        elif ready and self.window is None:
            length = hop = int(recording.lengths[0])
        else:
            length, hop, period = self._length_and_hop(recording)
        if not ready:
            given = self.window is not None or self._fitted
            notes = [*notes, sentence(recording, length, hop, period, given)]
        windows = Windows(recording, window_starts(recording.ends, length, hop), length, hop)
        windows = observed_only(windows)
        columns = {key: window_labels(samples, windows) for key, samples in labels.items()}
        return Items(windows, window_ids(windows), columns, name, tuple(notes), tuple(skipped))

    def _length_and_hop(self, recording: Recording) -> tuple[int, int, float | None]:
        if self.window is None:
            length, hop, period = choose_window(recording)
            return length, min(self.hop or hop, length), period
        if self.window > recording.lengths.max():
            raise DataError(
                f"A window of {self.window} samples is longer than the recording "
                f"({int(recording.lengths.max())} samples)."
            )
        return self.window, self.hop or max(1, self.window // 2), None

    def take(self, items: Items, rows: NDArray[Any]) -> Items:
        """The windows at the integer positions `rows`."""
        return items.with_values(items.values.take(rows), rows)

    def told(self, items: Items) -> Any:
        """`series` (its name) and `start` (the sample in it) of each window; None for windows that came cut."""
        import pyarrow as pa

        recording, starts = items.values.recording, items.values.starts
        if recording.form in ("nct", "ntc"):
            return None
        series = items.values.series
        first = starts - (recording.ends - recording.lengths)[series]
        names = np.array(recording.names or range(len(recording.ends)))
        return pa.table({"series": names[series], "start": first})

    # learning

    def fit(self, items: Items) -> Signal:
        """Learn window length, channel names, and each channel's centre and spread from `items`."""
        windows: Windows = items.values
        if not len(windows.starts):
            raise DataError(f"There are no windows in {items.source}; at least one is needed.")
        self.channels = windows.recording.channels
        self.dtypes = windows.recording.dtypes
        self.form = windows.recording.form
        self.step = windows.recording.step
        self.stride = windows.hop
        self.shape = (len(self.channels), windows.length)
        samples = covered(windows)
        scales = [_scale(samples[:, c], name) for c, name in enumerate(self.channels)]
        self.bends, self.means, self.spreads = (list(column) for column in zip(*scales, strict=True))
        return self

    def transform(
        self, items: Items, dtype: Any = np.float32
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """(n, C, T) of mean 0, variance 1 in each channel; gaps and what lies past the end are unobserved."""
        windows: Windows = items.values
        n = len(windows.starts)
        found = (len(windows.recording.channels), windows.length)
        if found != self.shape:
            raise DataError(
                f"Windows of {found[1]} samples in {found[0]} channels do not fit those learnt "
                f"({self.shape[1]} in {self.shape[0]}); read the data with the fitted modality."
            )
        x = np.empty((n, *self.shape), dtype)
        observed = np.empty(x.shape, bool)
        for first in range(0, n, CHUNK):
            rows = slice(first, first + CHUNK)
            cut, inside = windows.cut(rows)
            scaled = self._scaled(cut.astype(np.float64))
            seen = inside[:, :, None] & ~np.isnan(scaled)
            x[rows] = np.where(seen, scaled, 0).transpose(0, 2, 1)
            observed[rows] = seen.transpose(0, 2, 1)
        return x, None if observed.all() else observed

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., C) standardised, in place."""
        for c, bend in enumerate(self.bends):
            if bend is not None:
                values[..., c] = np.arcsinh((values[..., c] - bend[0]) / bend[1])
        values -= self.means
        values /= self.spreads
        return values

    def inverse_transform(self, x: NDArray[Any], items: Items | None = None) -> Any:
        """The user's units again.

        With `items`: the recording that x were the windows of, put together where they overlap, in the form
        it came in (a frame with its time column, an array, a list of arrays, windows); what no window covers
        is missing. Without: windows (n, C, T).
        """
        values = np.asarray(x, np.float64) * _column(self.spreads) + _column(self.means)
        for c, bend in enumerate(self.bends):
            if bend is not None:
                # sinh of a decoder's stray value would be astronomical
                values[:, c] = bend[0] + bend[1] * np.sinh(np.clip(values[:, c], -bend[2], bend[2]))
        form = self.form if items is None else items.values.recording.form
        if items is None or form in ("nct", "ntc"):
            windows = typed_as(values, self.dtypes[0] if len(set(self.dtypes)) == 1 else np.dtype(float))
            return windows.transpose(0, 2, 1) if form == "ntc" else windows
        return in_its_form(overlap_add(items.values, values), items.values.recording)

    def parts(self) -> dict[str, NDArray[np.intp]]:
        """The channels; where there is one, the quarters of its window."""
        channels, length = self.shape
        index = np.arange(channels * length).reshape(self.shape)
        if channels > 1:
            return {name: index[c] for c, name in enumerate(self.channels)}
        quarters = np.array_split(index[0], 4)
        return {f"samples {q[0]} to {q[-1]}": q for q in quarters if len(q)}

    # keeping

    def state(self) -> dict[str, Any]:
        """All that was learnt, JSON-able."""
        return {
            "window": self.window,
            "hop": self.hop,
            "rate": self.rate,
            "labels": list(self.labels),
            "channels_first": self.channels_first,
            "strict": self.strict,
            "shape": list(self.shape),
            "stride": self.stride,
            "channels": list(self.channels),
            "dtypes": [dtype.str for dtype in self.dtypes],
            "form": self.form,
            "step": self.step,
            "bends": [None if bend is None else list(bend) for bend in self.bends],
            "means": list(self.means),
            "spreads": list(self.spreads),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Signal:
        """A fitted Signal from what `state` wrote."""
        options = ("window", "hop", "rate", "labels", "channels_first", "strict")
        signal = cls(**{name: state[name] for name in options})
        signal.labels = tuple(state["labels"])
        signal.shape = tuple(state["shape"])
        signal.channels = tuple(state["channels"])
        signal.dtypes = tuple(np.dtype(dtype) for dtype in state["dtypes"])
        signal.bends = [None if bend is None else tuple(bend) for bend in state["bends"]]
        signal.stride, signal.form, signal.step = state["stride"], state["form"], state["step"]
        signal.means, signal.spreads = state["means"], state["spreads"]
        return signal

    def describe(self) -> list[str]:
        """The windows, the channels and their scale, a sentence each."""
        count, length = self.shape
        channels = f"{count} channels ({', '.join(self.channels[:6])}{', ...' if count > 6 else ''})"
        sentences = [f"Windows of {length} samples of {channels if count > 1 else repr(self.channels[0])}."]
        bent = [name for name, bend in zip(self.channels, self.bends, strict=True) if bend is not None]
        if bent:
            sentences.append(f"Heavy tails, asinh-scaled: {', '.join(bent)}.")
        return sentences


def _check_options(window: int | None, hop: int | None, rate: float | None, channels_first: str) -> None:
    for name, value, least in (("window", window, FEWEST), ("hop", hop, 1)):
        if value is not None and value < least:
            raise OptionError(f"{name} is {value}; it is at least {least} samples.")
    if window is not None and hop is not None and hop > window:
        raise OptionError(
            f"hop is {hop}; it is at most the window ({window}), so that no sample is left out."
        )
    if rate is not None and not rate > 0:
        raise OptionError(f"rate is {rate}; it is a number of samples a second, above 0.")
    if channels_first not in ("auto", "yes", "no"):
        near = nearest(channels_first, ("auto", "yes", "no"))
        raise OptionError(f"channels_first is {channels_first!r}; it is 'auto', 'yes' or 'no'{near}.")


def _is_frame_file(path: Path) -> bool:
    return Path(path.name.lower().removesuffix(".gz")).suffix in FRAME_SUFFIXES


def _wavs_of(path: Path) -> list[Path]:
    """The WAV file, or those below a folder; hidden ones are left out."""
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() == ".wav" and not p.name.startswith("."))
    if not found:
        raise Reject(f"The folder {str(path)!r} holds no .wav file.")
    return found


def _to_arrow(source: Any) -> tuple[Any, str]:
    """A frame of any library as a pyarrow table, and the library's name."""
    import narwhals as nw

    try:
        frame = nw.from_native(source, eager_only=True)
    except TypeError as error:
        raise Reject(f"{type(source).__name__} is no signal: give a frame, an array or WAV files.") from error
    # the index of a pandas frame is no channel
    return frame.to_arrow().select(frame.columns), frame.implementation.name.lower()


def _scale(samples: NDArray[Any], name: str) -> tuple[tuple[float, ...] | None, float, float]:
    """Centre, width and limit of asinh, or None; mean and standard deviation after it."""
    known = samples.astype(np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        raise DataError(f"The channel {name!r} holds nothing but gaps in the training windows.")
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    width = float(high - low) / 1.349
    bend: tuple[float, ...] | None = None
    if width > 0 and _kurtosis(known) > HEAVY:
        known = np.arcsinh((known - middle) / width)
        bend = (float(middle), width, 1.0 + float(np.abs(known).max()))
    spread = _spread(known)
    return bend, float(known.mean()), spread if spread > 1e-12 * np.abs(known).max() else 1.0


def _column(values: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)[None, :, None]


def _spread(values: NDArray[np.float64]) -> float:
    """Standard deviation, of values of any size."""
    largest = float(np.abs(values).max()) or 1.0
    return float((values / largest).std()) * largest


def _kurtosis(values: NDArray[np.float64]) -> float:
    """Fourth moment of the standardised values; 0 where they do not vary."""
    spread = _spread(values)
    return float(np.mean(((values - values.mean()) / spread) ** 4)) if spread > 0 else 0.0
