"""Signals: windows of one period, and recordings put together again on their own stamps."""

import json
import struct
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latentspace.data._clock import SPLIT, duration, find_time, regular
from latentspace.data._wav import read_wav
from latentspace.data._windows import window_starts
from latentspace.data.signal import Signal
from latentspace.errors import DataError, OptionError, Reject

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def hourly(rows=480, step="h"):
    """A frame with a daily rhythm and a noisy second channel."""
    rng = np.random.default_rng(1)
    time = pd.date_range("2024-01-01", periods=rows, freq=step)
    return pd.DataFrame(
        {"when": time, "load": np.sin(np.arange(rows) * np.pi / 12), "heat": rng.normal(size=rows)}
    )


def fitted(source, reading=None, **options):
    signal = Signal(**options)
    items = signal.read(source, **(reading or {}))
    return signal.fit(items), items


def round_trip(signal, items):
    return signal.inverse_transform(signal.transform(items, np.float64)[0], items)


# windows


def test_windows_are_one_period_long_and_it_is_said():
    _, items = fitted(hourly(1200))
    assert items.values.length == 24
    assert items.notes[-1] == "Windows of 24 samples = 1 day, half overlapping (one period)."
    assert items.ids[:2].tolist() == ["2024-01-01 00:00:00", "2024-01-01 12:00:00"]


@pytest.mark.parametrize("period", [20, 37, 150, 400])
def test_the_period_is_found_despite_noise_and_trend(period, rng):
    time = np.arange(12_000)
    values = np.sin(2 * np.pi * time / period) + rng.normal(size=len(time)) + time / 1000
    items = Signal().read(values)
    assert abs(items.values.length - period) <= max(2, 0.02 * period)


def test_a_train_of_spikes_has_its_own_period(rng):
    values = rng.normal(scale=0.01, size=5000)
    values[::100] += 1
    assert Signal().read(values).values.length == 100


def test_a_period_near_a_day_is_a_day(rng):
    time = np.arange(8000)
    frame = hourly(8000, "5min").assign(load=np.sin(2 * np.pi * time / 288) + rng.normal(size=8000))
    assert Signal().read(frame[["when", "load"]]).values.length == 288


def test_short_and_long_periods_are_brought_within_bounds():
    time = np.arange(20_000)
    assert Signal().read(np.sin(2 * np.pi * time / 5)).values.length == 20
    assert Signal().read(np.sin(2 * np.pi * time / 1200)).values.length == 400


def test_noise_has_no_period(rng):
    items = Signal().read(rng.normal(size=5000))
    assert "no period was found" in items.notes[-1]
    assert len(items) >= 50


def test_there_are_fifty_windows_where_possible():
    items = Signal().read(np.sin(np.arange(1000) * 2 * np.pi / 100))
    assert items.values.length == 100 and items.values.hop == 12
    assert len(items) >= 50


def test_window_starts_cover_every_series_and_never_cross():
    ends = np.array([10, 14, 17])
    starts = window_starts(ends, length=4, hop=3)
    assert starts.tolist() == [0, 3, 6, 10, 14]
    covered = np.unique(np.concatenate([np.arange(s, s + 4) for s in starts]))
    assert set(range(17)) <= set(covered)


def test_given_window_and_hop_are_kept():
    items = Signal(window=30, hop=10).read(np.arange(101.0))
    assert (items.values.length, items.values.hop) == (30, 10)
    assert items.values.starts.tolist() == [0, 10, 20, 30, 40, 50, 60, 70, 71]


# there and back


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8", "float32", "float64"])
@pytest.mark.parametrize("shape", [(500,), (500, 3), (3, 500)])
def test_arrays_come_back_whole(shape, dtype, rng):
    values = (rng.normal(size=shape) * 30 + 100).astype(dtype)
    signal, items = fitted(values)
    back = round_trip(signal, items)
    assert back.dtype == values.dtype and back.shape == values.shape
    np.testing.assert_allclose(back, values, rtol=1e-6)


@pytest.mark.parametrize("shape", [(20, 3, 50), (20, 50, 3), (20, 1, 24)])
def test_ready_windows_stay_as_they_are(shape, rng):
    values = rng.normal(size=shape)
    signal, items = fitted(values)
    x, _ = signal.transform(items, np.float64)
    assert x.shape == (20, min(shape[1:]), max(shape[1:]))
    assert items.ids.tolist() == list(range(20))
    np.testing.assert_allclose(signal.inverse_transform(x, items), values)
    some = signal.take(items, np.array([3, 1]))
    np.testing.assert_allclose(round_trip(signal, some), values[[3, 1]])


def test_training_channels_have_mean_0_and_variance_1(rng):
    values = rng.normal(size=(2000, 2)) * [5, 0.01] + [100, -3]
    signal, items = fitted(values, window=20, hop=20)
    x, observed = signal.transform(items)
    assert observed is None
    np.testing.assert_allclose(x.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(x.var(axis=(0, 2)), 1, atol=1e-4)


def test_where_windows_overlap_the_middle_counts_most():
    signal, items = fitted(np.arange(24.0), window=16, hop=8)
    x = np.zeros((2, 1, 16))
    x[1] = 1.0
    back = (signal.inverse_transform(x, items) - signal.means[0]) / signal.spreads[0]
    assert back[:8].tolist() == [0] * 8 and np.allclose(back[16:], 1)
    np.testing.assert_allclose(back[8], 1 / 9)
    assert (np.diff(back[8:16]) > 0).all()


def test_samples_without_a_window_are_missing():
    frame = hourly()
    signal, items = fitted(frame, window=24, hop=24)
    x, _ = signal.transform(items, np.float64)
    back = signal.inverse_transform(x[1:3], signal.take(items, np.array([1, 2])))
    assert back["load"].notna().to_numpy().nonzero()[0].tolist() == list(range(24, 72))
    assert len(back) == 480


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
def test_frames_come_back_in_their_own_library_with_their_stamps(kind):
    frame = hourly()
    signal, items = fitted(kind(frame))
    back = round_trip(signal, items)
    assert type(back) is type(kind(frame))
    table = back if isinstance(back, pa.Table) else pa.table({n: pa.array(back[n]) for n in frame.columns})
    assert table.column_names == ["when", "load", "heat"]
    assert table["when"].cast(pa.timestamp("ns")).to_pylist() == pa.array(frame["when"]).to_pylist()
    np.testing.assert_allclose(table["heat"].to_numpy(), frame["heat"], atol=1e-12)


def test_series_of_unequal_length_lie_one_after_another(rng):
    values = rng.normal(size=(330, 2))
    lengths = np.array([100, 10, 220])
    signal, items = fitted(
        values, {"lengths": lengths, "channels": ["left", "right"], "rate": 50.0}, window=20
    )
    x, observed = signal.transform(items, np.float64)
    assert list(signal.parts()) == ["left", "right"]
    assert np.bincount(items.values.series).tolist() == [9, 1, 21]
    # the second series is shorter than a window: what is missing is not observed, and nothing of the third
    assert observed[9, 0].tolist() == [True] * 10 + [False] * 10
    assert (x[9, :, 10:] == 0).all()
    np.testing.assert_allclose(signal.inverse_transform(x, items), values)
    assert items.ids[9] == "1:0"
    assert "400 ms" in items.notes[-1]


def test_lists_of_series_come_back_as_lists(rng):
    values = [rng.normal(size=100), rng.normal(size=60)]
    signal, items = fitted(values)
    for back, own in zip(round_trip(signal, items), values, strict=True):
        np.testing.assert_allclose(back, own)


def test_gaps_are_not_observed(rng):
    values = rng.normal(size=300)
    values[50:60] = np.nan
    signal, items = fitted(values, window=20, hop=20)
    x, observed = signal.transform(items)
    assert (~observed).sum() == 10 and np.isfinite(x).all()
    filled = round_trip(signal, items)
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(filled[50:60], np.nanmean(values))


def test_heavy_tails_are_compressed_and_come_back(rng):
    values = rng.normal(size=3000)
    values[100], values[2000] = 1e6, -1e300
    signal, items = fitted(values, window=20)
    x, _ = signal.transform(items, np.float64)
    assert np.abs(x).max() < 100 and signal.bends[0] is not None
    np.testing.assert_allclose(round_trip(signal, items), values, rtol=1e-6, atol=1e-6)
    assert "asinh" in signal.describe()[1]
    stray = signal.inverse_transform(np.full((1, 1, 20), 1e5))
    assert np.isfinite(stray).all()


def test_a_plain_wave_is_not_bent():
    signal, _ = fitted(np.sin(np.arange(1000) / 5))
    assert signal.bends == [None]


# time


def test_rows_out_of_order_are_sorted_and_come_back_in_theirs(rng):
    frame = hourly()
    mixed = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    signal, items = fitted(mixed)
    assert "Rows were sorted by 'when'" in items.notes[0]
    np.testing.assert_allclose(items.values.recording.samples[:, 0], frame["load"])
    back = round_trip(signal, items)
    assert (back["when"] == mixed["when"]).all()
    np.testing.assert_allclose(back["load"], mixed["load"], atol=1e-12)


def test_repeated_stamps_are_averaged_and_said():
    frame = hourly()
    frame.loc[101, "when"] = frame.loc[100, "when"]
    frame.loc[[100, 101], "heat"] = [1.0, 3.0]
    signal, items = fitted(frame)
    assert "1 stamps of 'when' repeat" in items.notes[0]
    back = round_trip(signal, items)
    np.testing.assert_allclose(back["heat"][[100, 101]], 2.0)
    assert len(back) == 480


def test_short_gaps_are_bridged_and_long_ones_unobserved():
    frame = hourly().drop(index=[10, *range(100, 110)])
    signal, items = fitted(frame, window=24, hop=24)
    samples = items.values.recording.samples
    assert len(samples) == 480
    full = hourly()
    np.testing.assert_allclose(samples[10], full[["load", "heat"]].iloc[[9, 11]].mean())
    assert np.isnan(samples[100:110]).all() and np.isfinite(np.delete(samples, range(100, 110), 0)).all()
    assert "gaps of more than 3 steps (1) are unobserved" in items.notes[0]
    back = round_trip(signal, items)
    np.testing.assert_allclose(back["heat"], frame["heat"], atol=1e-12)


def test_a_long_pause_starts_a_new_series():
    frame = pd.concat([hourly(200), hourly(100).assign(when=lambda f: f["when"] + pd.Timedelta(days=4000))])
    items = Signal(window=20).read(frame)
    assert items.values.recording.ends.tolist() == [200, 300]
    assert f"those of more than {SPLIT} (1) start a new series" in items.notes[0]
    assert items.ids[-1].startswith("2034-12-")


def test_a_clock_that_starts_over_starts_a_new_series():
    part = pd.DataFrame(
        {"cycle": np.arange(100), "value": np.sin(np.arange(100.0)), "flow": np.cos(np.arange(100.0))}
    )
    frame = pd.concat([part.assign(unit=u)[: 100 - 30 * u] for u in range(3)])
    items = Signal(window=20).read(frame)
    assert items.values.recording.ends.tolist() == [100, 170, 210]
    assert items.notes[0] == "'cycle' starts over 2 times: each run is a series of its own."
    assert "one value a series: unit" in items.notes[1]


def test_stamps_that_drift_stay_one_row_a_sample():
    stamps = np.cumsum(np.tile([1.0, 1.004, 0.997], 1000))
    clock = regular(find_time(pa.table({"time": stamps, "v": stamps})))
    assert clock.positions.tolist() == list(range(3000))


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M", "%Y/%m/%d %H:%M"]
)
def test_written_dates_are_read_and_kept_as_written(form):
    frame = hourly()
    frame["when"] = frame["when"].dt.strftime(form)
    signal, items = fitted(pa.Table.from_pandas(frame))
    assert items.values.recording.step == 3600
    assert round_trip(signal, items)["when"].to_pylist() == frame["when"].tolist()


def test_numbers_written_as_text_are_a_channel():
    frame = hourly()
    frame["level"] = [f"{v:.2f}" for v in np.cos(np.arange(480.0))]
    frame.loc[7, "level"] = "nil"
    items = Signal().read(frame)
    assert items.values.recording.channels == ("load", "heat", "level")
    assert "Text in the column of numbers 'level' counts as a gap." in items.notes


def test_text_and_constants_are_set_aside_and_named():
    items = Signal().read(hourly().assign(site="A", zero=0.0))
    assert items.values.recording.channels == ("load", "heat")
    assert "Set aside, text: site." in items.notes and "Set aside, constant: zero." in items.notes


def test_a_pandas_index_is_no_channel(rng):
    frame = hourly().set_index(pd.Index(rng.permutation(480)))
    assert Signal().read(frame).values.recording.channels == ("load", "heat")


def test_window_labels_are_the_largest_of_their_samples_and_text_of_their_middle():
    frame = hourly().assign(label=0, phase=["a"] * 240 + ["b"] * 240)
    frame.loc[30, "label"] = 1
    signal = Signal(window=24, hop=12, labels=("label", "phase"))
    items = signal.read(frame)
    assert items.values.recording.channels == ("load", "heat")
    assert np.flatnonzero(items.labels["label"]).tolist() == [1, 2]
    assert items.labels["phase"].tolist().index("b") == 19
    cut = signal.take(items, np.array([2, 5]))
    assert cut.labels["label"].tolist() == [1, 0]


def test_duration():
    assert [duration(s) for s in (86400, 5400, 90, 0.01)] == ["1 day", "1.5 hours", "1.5 minutes", "10 ms"]


# later data


def test_later_data_is_read_by_what_was_learnt():
    frame = hourly().assign(zero=0.0)
    signal, _ = fitted(frame)
    later = signal.read(frame.assign(zero=np.arange(480.0))[["zero", "heat", "when", "load"]])
    assert later.values.recording.channels == ("load", "heat")
    assert (later.values.length, later.values.hop) == (signal.shape[1], signal.stride)
    short = signal.read(frame[:10])
    x, observed = signal.transform(short)
    assert x.shape == (1, 2, signal.shape[1]) and observed.sum() == 20
    with pytest.raises(DataError, match=r"no column 'heat' \(did you mean 'heet'"):
        signal.read(frame.rename(columns={"heat": "heet"}))
    with pytest.raises(DataError, match="'heat' was numbers"):
        signal.read(frame.assign(heat="x"))
    with pytest.raises(DataError, match="do not fit those learnt"):
        signal.transform(Signal(window=50).read(frame))


def test_the_state_survives_json(rng):
    values = rng.normal(size=(500, 2))
    values[3, 1] = 1e9
    signal, items = fitted(values, labels=("y",), rate=10.0)
    again = Signal.from_state(json.loads(json.dumps(signal.state())))
    assert again.state() == signal.state()
    np.testing.assert_array_equal(again.transform(items)[0], signal.transform(items)[0])
    np.testing.assert_array_equal(round_trip(again, items), round_trip(signal, items))


def test_parts_of_one_channel_are_quarters():
    signal, _ = fitted(np.sin(np.arange(500.0)), window=32)
    assert list(signal.parts()) == [
        "samples 0 to 7",
        "samples 8 to 15",
        "samples 16 to 23",
        "samples 24 to 31",
    ]


# sounds


def sound(path, samples, rate=8000, channels=1, width=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples)
    return path


TONE = np.rint(np.sin(np.arange(4000) / 5) * 20000).astype("<i2")


def test_wav_of_every_width(tmp_path):
    own = TONE / 32768
    packed = {
        1: (TONE // 256 + 128).astype(np.uint8).tobytes(),
        2: TONE.tobytes(),
        3: b"".join(struct.pack("<i", int(v) * 256)[:3] for v in TONE),
        4: (TONE.astype("<i4") * 65536).tobytes(),
    }
    for width, data in packed.items():
        samples, rate = read_wav(sound(tmp_path / f"{width}.wav", data, width=width))
        assert rate == 8000 and samples.shape == (4000, 1)
        np.testing.assert_allclose(samples[:, 0], own, atol=0.008 if width == 1 else 0)


def test_a_folder_of_wavs_is_a_series_each_and_odd_files_are_skipped(tmp_path):
    sound(tmp_path / "a.wav", TONE.tobytes())
    sound(tmp_path / "sub" / "b.wav", TONE[:1500].tobytes())
    sound(tmp_path / "rate.wav", TONE.tobytes(), rate=44100)
    sound(tmp_path / "stereo.wav", TONE.tobytes(), channels=2)
    sound(tmp_path / "silent.wav", b"")
    (tmp_path / "junk.wav").write_bytes(b"RIFF")
    signal, items = fitted(tmp_path)
    assert sorted(name for name, _ in items.skipped) == ["junk.wav", "rate.wav", "silent.wav", "stereo.wav"]
    assert "44100 Hz" in dict(items.skipped)["rate.wav"]
    assert items.ids[-1].startswith("sub/b.wav:")
    first, second = round_trip(signal, items)
    np.testing.assert_allclose(first, TONE / 32768, atol=1e-7)
    assert second.shape == (1500,)
    with pytest.raises(DataError, match=r"The sound 'junk\.wav' cannot be read"):
        Signal(strict=True).read(tmp_path)


def test_unreadable_sounds(tmp_path):
    with pytest.raises(DataError, match="holds no samples"):
        Signal().read(sound(tmp_path / "silent.wav", b""))
    head = struct.pack("<IHHIIHH", 16, 3, 1, 8000, 32000, 4, 32)
    data = np.zeros(50, "<f4").tobytes()
    chunks = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data
    (tmp_path / "float.wav").write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    with pytest.raises(DataError, match="no uncompressed"):
        Signal().read(tmp_path / "float.wav")
    (tmp_path / "none").mkdir()
    with pytest.raises(Reject, match=r"holds no \.wav"):
        Signal().read(tmp_path / "none")


# bad input


def changed(**columns):
    return hourly().assign(**columns)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (hourly(5), DataError, "5 rows; at least 8"),
        (np.arange(4.0), DataError, "4 samples; at least 8"),
        (changed(when=pd.Timestamp("2024-01-01")), DataError, "one and the same stamp"),
        (
            changed(when=hourly()["when"].where(np.arange(480) != 7)),
            DataError,
            r"'when' is empty in 1 rows \(row 7",
        ),
        (changed(heat=np.inf), DataError, "Infinite value in column 'heat', row 0"),
        (changed(load=1.0, heat=2.0), DataError, "No column of numbers varies"),
        (np.array([1.0, np.inf] * 10), DataError, r"Infinite value at position \(1,\)"),
        (np.full(20, np.nan), DataError, "nothing but gaps"),
        (np.full(20, "a"), Reject, "A signal is numbers"),
        (np.zeros((2, 2, 2, 2)), Reject, "no signal"),
        (3, Reject, "int is no signal"),
        ("a.png", Reject, "no signal by its ending"),
    ],
)
def test_what_is_no_signal_is_refused_in_a_sentence(source, error, words):
    with pytest.raises(error, match=words):
        Signal().read(source)


@pytest.mark.parametrize(
    "options",
    [{"window": 3}, {"hop": 0}, {"window": 20, "hop": 30}, {"rate": 0.0}, {"channels_first": "maybe"}],
)
def test_bad_options(options):
    with pytest.raises(OptionError):
        Signal(**options)


def test_a_window_longer_than_the_recording():
    with pytest.raises(DataError, match="5000 samples is longer than the recording"):
        Signal(window=5000).read(hourly())


def test_lengths_that_do_not_add_up():
    with pytest.raises(DataError, match="add up to 30, but there are 40"):
        Signal().read(np.zeros(40), lengths=np.array([10, 20]))


@pytest.mark.skipif(not SHARED.exists(), reason="the open data sets are not beside the repository")
def test_real_taxis_are_windows_of_a_day():
    _, items = fitted(SHARED / "signals" / "nab" / "realKnownCause__nyc_taxi.parquet", labels=("label",))
    assert items.values.length == 48 and len(items) == 429
    assert "1 day" in items.notes[-1]
    assert 0 < items.labels["label"].mean() < 0.2
