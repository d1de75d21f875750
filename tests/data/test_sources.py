"""What kind of data a source holds, found out by one rule a kind; and what lies beside the items."""

import wave
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.data.sources import describe_source, read_items, refusals
from latentspace.errors import DataError, OptionError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
RNG = np.random.default_rng(0)
TIMED = pd.DataFrame(
    {"time": pd.date_range("2024-01-01", periods=400, freq="h"), "load": np.sin(np.arange(400) * np.pi / 12)}
)
SALES = pd.DataFrame(
    {
        "date": pd.date_range("2024-01-01", periods=400, freq="h"),
        "price": RNG.random(400),
        "item": RNG.choice(list("abc"), 400),
    }
)
EVENTS = pd.DataFrame(
    {"time": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(RNG.exponential(size=400) ** 2), "h"),
     "size": RNG.random(400)}
)  # fmt: skip
UNIT = RNG.normal(size=(200, 64))
UNIT /= np.linalg.norm(UNIT, axis=1, keepdims=True)

EXAMPLES = {
    "uint8 pictures": (RNG.integers(0, 255, (20, 28, 28), dtype=np.uint8), "image"),
    "float pictures": (RNG.random((20, 8, 8)), "image"),
    "colour": (RNG.integers(0, 255, (20, 16, 16, 3), dtype=np.uint8), "image"),
    "channels first": (RNG.random((20, 3, 16, 16)), "image"),
    "one colour picture": (RNG.integers(0, 255, (40, 60, 3), dtype=np.uint8), "image"),
    "a list of pictures": ([np.zeros((20, 30)), np.zeros((30, 20))], "image"),
    "windows": (RNG.normal(size=(20, 6, 100)), "signal"),
    "windows, time first": (RNG.normal(size=(20, 100, 6)), "signal"),
    "one channel": (RNG.normal(size=(20, 1, 24)), "signal"),
    "whole-number windows": (RNG.integers(0, 99, (20, 1, 24)), "signal"),
    "a long array": (RNG.normal(size=1000), "signal"),
    "a list of series": ([RNG.normal(size=100), RNG.normal(size=80)], "signal"),
    "an array with a rate": ({"emg": RNG.normal(size=(1000, 2)), "fs": np.array(100)}, "signal"),
    "an array with lengths": ({"X": RNG.normal(size=(300, 2)), "lengths": np.array([100, 200])}, "signal"),
    "a timed frame": (TIMED, "signal"),
    "a timed frame with labels": (TIMED.assign(label="normal"), "signal"),
    "a timed frame in parts": (TIMED.assign(part=["train"] * 200 + ["test"] * 200), "signal"),
    "cycles": (pd.DataFrame({"cycle": np.tile(np.arange(50), 5), "v": RNG.normal(size=250)}), "signal"),
    "vectors": (UNIT, "vectors"),
    "half-precision vectors": (UNIT.astype(np.float16), "vectors"),
    "a narrow array": (RNG.normal(size=(100, 5)), "table"),
    "an unlike array": (RNG.normal(size=(200, 64)) * np.logspace(0, 6, 64), "table"),
    "a named array": ({"X": RNG.normal(size=(100, 40)), "genes": np.arange(40).astype(str)}, "table"),
    "a frame": (pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}), "table"),
    "a polars frame": (pl.DataFrame({"a": [1, 2, 3], "b": [1.5, 2.5, 3.5]}), "table"),
    "dated sales": (SALES, "table"),
    "events": (EVENTS, "table"),
    "shuffled rows": (TIMED.sample(frac=1, random_state=0), "table"),
    "a column called time": (pd.DataFrame({"Time": RNG.integers(6, 60, 100), "v": RNG.random(100)}), "table"),
    "columns": ({"a": [1, 2, 3], "b": ["x", "y", "z"]}, "table"),
    "dicts": ([{"a": 1}, {"a": 2}], "table"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_kind_and_only_one_takes_each_example(name):
    source, kind = EXAMPLES[name]
    assert [k for k, reason in refusals(source).items() if not reason] == [kind]
    modality, items = read_items(source)
    assert modality.name == kind
    assert describe_source(modality, items).startswith(f"{len(items):,} ")


def save_pictures(folder, names=("a.png", "b.png")):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(RNG.integers(0, 255, (16, 16), dtype=np.uint8)).save(folder / name)
    return folder


def save_sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes((np.sin(np.arange(4000) / 9) * 9999).astype("<i2").tobytes())
    return path


def test_files_and_folders(tmp_path):
    pictures = save_pictures(tmp_path / "pictures")
    sounds = save_sound(tmp_path / "sounds" / "a.wav").parent
    save_pictures(sounds, ("cover.png",))
    save_sound(sounds / "b.wav")
    TIMED.to_csv(tmp_path / "timed.csv", index=False)
    SALES.to_csv(tmp_path / "sales.csv", index=False, sep=";", decimal=",")
    np.savez(tmp_path / "digits.npz", X=np.zeros((9, 8, 8), np.uint8))
    np.save(tmp_path / "vectors.npy", UNIT)
    kinds = {
        pictures: "image", pictures / "a.png": "image", sounds: "signal", sounds / "a.wav": "signal",
        tmp_path / "timed.csv": "signal", tmp_path / "sales.csv": "table", tmp_path / "digits.npz": "image",
        tmp_path / "vectors.npy": "vectors",
    }  # fmt: skip
    for path, kind in kinds.items():
        assert [k for k, reason in refusals(path).items() if not reason] == [kind], path
        modality, items = read_items(str(path))
        assert (modality.name, items.source) == (kind, path.name)
    assert read_items([pictures / "a.png", pictures / "b.png"])[0].name == "image"
    assert read_items([sounds / "a.wav"])[0].name == "signal"


# what lies beside an array


def test_train_and_test_parts_are_one_and_labels_get_their_names():
    source = {
        "X_train": np.zeros((6, 8, 8), np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2], np.uint8),
        "X_test": np.ones((3, 8, 8), np.uint8),
        "y_test": np.array([2, 2, 1], np.uint8),
        "names": np.array(["shirt", "shoe", "bag"]),
    }
    modality, items = read_items(source)
    assert len(items) == 9 and items.values.pixels[8].max() == 1
    assert items.labels["y"].tolist() == ["shirt", "shoe", "bag"] * 2 + ["bag", "bag", "shoe"]
    assert items.notes == ("X_train and X_test were read as one (9 items).",)
    assert describe_source(modality, items).endswith("(labels set aside: y)")


def test_images_and_column_labels_of_three_splits():
    source = {}
    for split, count in (("train", 5), ("val", 3), ("test", 2)):
        source[f"{split}_images"] = np.zeros((count, 8, 8), np.uint8)
        source[f"{split}_labels"] = np.full((count, 1), count, np.uint8)
    _, items = read_items(source)
    assert items.labels["labels"].tolist() == [5] * 5 + [3] * 3 + [2] * 2


def test_each_label_has_its_own_names_and_unique_names_are_ids():
    source = {
        "X": np.zeros((4, 8, 8), np.uint8),
        "category": np.array([1, 0, 1, 0]),
        "source": np.array([7, 7, 8, 8]),
        "name": np.array(["a", "b", "c", "d"]),
        "category_names": np.array(["fruit", "tool"]),
    }
    _, items = read_items(source)
    assert items.ids.tolist() == ["a", "b", "c", "d"]
    assert items.labels["category"].tolist() == ["tool", "fruit", "tool", "fruit"]
    assert items.labels["source"].tolist() == [7, 7, 8, 8]


def test_columns_are_named_and_other_candidates_are_told():
    source = {
        "X_scaled": RNG.normal(size=(20, 3)),
        "X_log": RNG.normal(size=(20, 3)),
        "genes": np.array(["CD3", "CD4", "CD8"]),
        "y": np.arange(20) % 2,
    }
    _, items = read_items(source)
    assert items.values.column_names == ["CD3", "CD4", "CD8"]
    assert items.notes[0] == "Read the array 'X_scaled'; left out: X_log."
    assert items.labels["y"].tolist() == [0, 1] * 10


def test_without_an_x_the_training_part_or_the_largest_is_read():
    normal = {
        "columns": np.array(["a", "b"]),
        "normal_train": np.zeros((9, 2)),
        "fault_test": np.ones((30, 5, 2)),
    }
    _, items = read_items(normal)
    assert len(items) == 9 and "left out: fault_test" in items.notes[0]
    _, items = read_items({"small": np.zeros((4, 8, 8)), "large": np.ones((6, 8, 8))})
    assert len(items) == 6


def test_labels_of_series_are_those_of_their_windows():
    source = {
        "X": RNG.normal(size=(300, 2)).astype(np.float32),
        "lengths": np.array([100, 60, 140]),
        "y": np.array([0, 1, 0]),
        "names": np.array(["walk", "run"]),
        "channels": np.array(["left", "right"]),
        "fs": np.array(50),
    }
    modality, items = read_items(source, window=20)
    assert items.values.recording.channels == ("left", "right")
    assert items.values.recording.step == 0.02
    run = items.labels["y"] == "run"
    assert (run == (items.values.series == 1)).all() and run.sum() == 5
    assert describe_source(modality, items).startswith("27 windows of 20 samples in 2 channels")


def test_labels_of_samples_are_the_largest_in_a_window():
    label = np.zeros(200, int)
    label[35] = 1
    _, items = read_items({"signal": RNG.normal(size=200), "y": label, "fs": np.array(1)}, window=20, hop=10)
    assert np.flatnonzero(items.labels["y"]).tolist() == [2, 3]


def test_a_column_called_label_is_set_aside_from_a_signal_and_said():
    _, items = read_items(TIMED.assign(is_anomaly=(np.arange(400) == 100).astype(int)))
    assert items.values.recording.channels == ("load",)
    assert items.labels["is_anomaly"].sum() >= 1
    assert items.notes[-1] == "Set aside as labels, by their name: is_anomaly."
    table = SALES.assign(label=1)
    assert read_items(table)[1].labels == {}


# options


def test_labels_and_ids_of_a_table():
    frame = SALES.assign(key=[f"k{i}" for i in range(400)])
    _, items = read_items(frame, labels=("item",), id_column="key")
    assert items.ids[:2].tolist() == ["k0", "k1"]
    assert list(items.labels) == ["item"] and "item" not in items.values.columns


def test_a_kind_can_be_said_and_a_fitted_modality_reads_its_own_way():
    assert read_items(TIMED, "table")[0].name == "table"
    image, items = read_items(np.zeros((4, 16, 16)), "image", size=8)
    image.fit(items)
    again, later = read_items(np.zeros((2, 32, 32)), image)
    assert again is image and later.values.pixels.shape == (2, 8, 8, 1)
    signal = Signal(window=50)
    assert read_items(TIMED, signal)[1].values.length == 50


def test_strict_reaches_the_pictures(tmp_path):
    save_pictures(tmp_path)
    (tmp_path / "c.png").write_bytes(b"")
    modality, items = read_items(tmp_path)
    assert isinstance(modality, Image) and items.skipped == (("c.png", "it is empty or no picture"),)
    with pytest.raises(DataError, match=r"c\.png"):
        read_items(tmp_path, strict=True)


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        (np.zeros((2, 7, 9, 9)), {}, DataError, r"image: no axis of 1, 3 or 4 channels.*--modality"),
        (np.array(3.0), {}, DataError, "A single number is no kind of data"),
        (None, {}, DataError, "A NoneType is no kind of data"),
        ([], {}, DataError, "The list is empty"),
        ("nowhere.csv", {}, DataError, "There is no file or folder 'nowhere.csv'"),
        (UNIT, {"modality": "tabel"}, OptionError, "did you mean 'table'"),
        (np.zeros((4, 8, 8)), {"sise": 8}, OptionError, "no option 'sise' .did you mean 'size'"),
        (np.zeros((4, 8, 8)), {"modality": Image(), "size": 8}, OptionError, "'size' was settled"),
        (np.zeros((4, 8, 8)), {"labels": ("y",)}, DataError, "no label 'y'"),
        ({"X": np.zeros((9, 2)), "lengths": np.array([3, 3])}, {}, DataError, "add up to 6"),
        ({"a": np.array(["x"]), "b": np.array(3)}, {}, DataError, "no array of numbers"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(source, options, error, words):
    with pytest.raises(error, match=words):
        read_items(source, **options)


def test_files_that_are_not_what_they_say(tmp_path):
    save_pictures(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv holds a PNG picture"):
        read_items(tmp_path / "a.csv")
    (tmp_path / "b.xyz").write_text("x")
    with pytest.raises(DataError, match=r"b\.xyz cannot be read by its ending '\.xyz'"):
        read_items(tmp_path / "b.xyz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        read_items(tmp_path / "empty")


@pytest.mark.skipif(not SHARED.exists(), reason="the open data sets are not beside the repository")
def test_real_sets_are_of_one_kind():
    kinds = {
        "images/fashion_mnist_20k.npz": "image", "images/kodak": "image", "images/noto_emoji_64.npz": "image",
        "science/coads_climatology.npz": "image", "signals/ecg_mitbih208.npz": "signal",
        "signals/glucose_cgm.parquet": "signal", "signals/cmapss_train_FD001.parquet": "signal",
        "signals/ucr_anomaly_135.parquet": "signal", "signals/ucr_JapaneseVowels.npz": "signal",
        "signals/tennessee_eastman.npz": "table", "text/sotu_minilm.npz": "vectors",
        "tables/adult.parquet": "table", "tables/nyc_taxis.parquet": "table",
        "tables/meats_nir_spectra.parquet": "table",
        "tables/pbmc68k_reduced.npz": "table", "adbench/26_optdigits.npz": "table",
    }  # fmt: skip
    for path, kind in kinds.items():
        source = pq.read_table(SHARED / path) if path.startswith("tables/nyc") else SHARED / path
        assert [k for k, reason in refusals(source).items() if not reason] == [kind], path
