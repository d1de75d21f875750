"""The sets of compression.py: what is compressed, and the file that ours is given."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BOUNDED = ("ecg", "imu", "tennessee", "cmapss", "coads", "a1b", "etopo20", "magic", "cells", "wine")
EXACT = ("ecg", "speech", "imu", "cmapss", "glucose", "magic", "cells", "wine", "adult", "flights")
PICTURES = ("fashion_mnist", "mnist", "pneumonia", "blood_cells", "emoji", "kodak", "flags")
FILES = {
    "ecg": "signals/ecg_mitbih208.npz",
    "speech": "signals/spoken_digits_8k.npz",
    "imu": "signals/watch_exercise_imu.npz",
    "tennessee": "signals/tennessee_eastman.npz",
    "cmapss": "signals/cmapss_train_FD001.parquet",
    "glucose": "signals/glucose_cgm.parquet",
    "coads": "science/coads_climatology.npz",
    "a1b": "science/a1b_north_america_temp.npz",
    "etopo20": "science/etopo20_relief.npz",
    "magic": "adbench/22_magic.gamma.npz",
    "cells": "tables/cell_segmentation.parquet",
    "wine": "tables/wine_quality.parquet",
    "adult": "tables/adult.parquet",
    "flights": "tables/flights_3m.parquet",
    "fashion_mnist": "images/fashion_mnist_20k.npz",
    "mnist": "images/mnist_5k.npz",
    "pneumonia": "images/pneumoniamnist.npz",
    "blood_cells": "images/blood_cells_48.npz",
    "emoji": "images/noto_emoji_64.npz",
    "kodak": "images/kodak",
    "flags": "images/flags_png",
}
ARRAYS = {
    "ecg": ("signal_mV",),
    "speech": ("audio",),
    "imu": ("X",),
    "magic": ("X",),
    "pneumonia": ("train_images", "val_images", "test_images"),
}
FIRST_FLIGHTS = 500_000


@dataclass(frozen=True, eq=False)
class Case:
    """Parts have a bound of their own each: the columns of a table, the arrays of a file, a folder's pictures."""

    name: str
    form: str  # "table", "arrays", "pictures" or "folder"
    parts: dict[str, np.ndarray]
    #: columns that are no numbers: dictionary codes and dictionaries, coded by the same method for everyone
    words: dict[str, list[Any]] = field(default_factory=dict)
    #: writes the file or folder that ours reads, into the folder given
    write: Callable[[Path], Path] = field(default=lambda folder: folder)
    #: bytes of the source's own files, where these are compressed already
    source: int = 0

    @property
    def values(self) -> int:
        return sum(part.size for part in self.parts.values())

    @property
    def raw(self) -> int:
        return sum(part.nbytes for part in self.parts.values())


def table(name: str, frame: pd.DataFrame) -> Case:
    """Numbers are parts; the rest, and numbers with a missing mask of their own, as words."""
    parts, words = {}, {}
    for column in frame:
        values = frame[column]
        if pd.api.types.is_numeric_dtype(values) and isinstance(values.dtype, np.dtype):
            parts[str(column)] = values.to_numpy()
        elif pd.api.types.is_integer_dtype(values) and not values.isna().any():
            parts[str(column)] = values.to_numpy(dtype=str(values.dtype).lower())
        elif pd.api.types.is_datetime64_dtype(values):
            parts[str(column)] = values.to_numpy().view(np.int64)
        else:
            words[str(column)] = [None if pd.isna(value) else value for value in values]

    def write(folder: Path) -> Path:
        frame.to_parquet(folder / f"{name}.parquet")
        return folder / f"{name}.parquet"

    return Case(name, "table", parts, words, write)


def arrays(name: str, parts: dict[str, np.ndarray], form: str = "arrays") -> Case:
    def write(folder: Path) -> Path:
        if len(parts) == 1:
            path = folder / f"{name}.npy"
            np.save(path, *parts.values())
        else:
            path = folder / f"{name}.npz"
            np.savez(path, **parts)  # type: ignore[arg-type]
        return path

    return Case(name, form, parts, write=write)


def columns(x: np.ndarray, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({name: x[:, j] for j, name in enumerate(names)})


def folder(name: str, path: Path) -> Case:
    """Pictures as they are opened: palettes are looked up, an alpha channel stays."""
    from PIL import Image

    parts = {}
    files = sorted(path.glob("*.png"))
    for file in files:
        with Image.open(file) as picture:
            mode = "RGBA" if "transparency" in picture.info or picture.mode == "RGBA" else "RGB"
            parts[file.name] = np.asarray(picture.convert(mode))

    def write(to: Path) -> Path:
        shutil.copytree(path, to / name)
        return to / name

    return Case(name, "folder", parts, write=write, source=sum(file.stat().st_size for file in files))


def idx(path: Path) -> np.ndarray:
    """(60,000, 28, 28) of an IDX file, gzipped or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    shape = np.frombuffer(data, ">i4", 3, 4)
    return np.frombuffer(data, np.uint8, offset=16).reshape(shape)


def fashion(path: Path | None) -> Path | None:
    """The training pictures in a folder of Debian's dataset-fashion-mnist, or the file itself."""
    if path is None or path.is_file():
        return path
    return next(iter(sorted(path.rglob("train-images-idx3-ubyte*"))), None)


def load(name: str, data: Path, sixty: Path | None = None) -> Case:
    """One of FILES; "fashion_mnist_60k" is in `sixty`."""
    if name == "fashion_mnist_60k":
        if sixty is None:
            raise FileNotFoundError("--fashion names no folder with train-images-idx3-ubyte.gz")
        return arrays(name, {"X": idx(sixty)}, "pictures")
    path = data / FILES[name]
    if path.is_dir():
        return folder(name, path)
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return table(name, frame[:FIRST_FLIGHTS] if name == "flights" else frame)
    with np.load(path) as there:
        if name == "tennessee":
            sets = ("normal_train", "normal_test", "fault_train", "fault_test")
            x = np.concatenate([there[part].reshape(-1, 52) for part in sets])
            return table(name, columns(x, there["columns"].tolist()))
        if name == "imu":
            return table(name, columns(there["X"], there["channels"].tolist()))
        if name == "magic":
            return table(name, columns(there["X"], [f"x{j}" for j in range(10)]))
        if path.parent.name == "images":
            wanted = ARRAYS.get(name, ("X_train", "X_test") if "X_train" in there else ("X",))
            return arrays(name, {"X": np.concatenate([there[part] for part in wanted])}, "pictures")
        return arrays(name, {part: there[part] for part in ARRAYS.get(name, there.files)})


def every(names: tuple[str, ...], data: Path) -> Iterator[str]:
    """Those whose file is there."""
    return (name for name in names if (data / FILES[name]).exists())
