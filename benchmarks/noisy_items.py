"""The sets of denoising.py, clean, and the noise that is added to them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SETS = ("fashion_mnist", "ecg", "cells", "nir", "wine", "ames", "optdigits", "pneumonia", "blood_cells")
#: what is looked at besides SETS where nothing is added
CLEAN = ("images/mnist_5k", "images/quickdraw_3x1000", "images/omniglot_5_alphabets", "images/noto_emoji_64")
PICTURES = {
    "fashion_mnist": "fashion_mnist_20k",
    "blood_cells": "blood_cells_48",
    "pneumonia": "pneumoniamnist",
}
TABLES = {
    "cells": "cell_segmentation",
    "nir": "meats_nir_spectra",
    "wine": "wine_quality",
    "ames": "ames_housing",
}
MOST, FASHION, WINDOW, BLOCK = 10_000, 16_000, 256, 8


@dataclass(frozen=True)
class Case:
    """Clean training and test items, and what form they have: "pictures", "lines" (signals, spectra) or "rows"."""

    train: np.ndarray
    test: np.ndarray
    form: str


def generator(name: str, seed: int, *use: int) -> np.random.Generator:
    """The one of this set and seed; another for each `use`."""
    return np.random.default_rng([seed, *use, zlib.crc32(name.encode())])


# --- sets ------------------------------------------------------------------------------------------------------


def numbers(path: Path) -> np.ndarray:
    """(n, d) distinct rows of the numeric columns without gaps; ADBench's labels are left out."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            x = arrays["X" if "X" in arrays else "X_log"].astype(float)
    else:
        frame = pd.read_parquet(path).select_dtypes("number")
        if path.stem == "meats_nir_spectra":
            frame = frame.filter(regex="^x_")
        x = frame.drop(columns=["quality"], errors="ignore").dropna().to_numpy(float)
    return np.unique(x, axis=0)


def table(path: Path, rng: np.random.Generator) -> Case:
    """Columns standardised by the training rows; those that are constant there are left out."""
    x = numbers(path)
    x = x[rng.permutation(len(x))[:MOST]]
    train, test = np.split(x, [len(x) * 4 // 5])
    spread = train.std(0)
    varied = spread > 1e-6 * np.maximum(np.abs(train).max(0), np.median(spread))
    train, test = ((part[:, varied] - train[:, varied].mean(0)) / spread[varied] for part in (train, test))
    form = "lines" if path.stem == "meats_nir_spectra" else "rows"
    return Case(train.astype(np.float32), test.astype(np.float32), form)


def windows(path: Path) -> Case:
    """The last quarter is new; (n, 1, 256)."""
    with np.load(path) as arrays:
        x = arrays["signal_mV"].astype(float)
    cut = len(x) * 3 // 4
    x = (x - np.median(x[:cut])) / x[:cut].std()
    parts = (part[: len(part) // WINDOW * WINDOW].reshape(-1, 1, WINDOW) for part in (x[:cut], x[cut:]))
    return Case(*(part.astype(np.float32) for part in parts), "lines")


def pictures(path: Path, rng: np.random.Generator) -> Case:
    """A fifth is new: whole smears of blood cells, the official test part of the X-rays."""
    with np.load(path) as arrays:
        if path.stem == "pneumoniamnist":
            fitted = np.concatenate([arrays["train_images"], arrays["val_images"]])
            parts = fitted[rng.permutation(len(fitted))], arrays["test_images"]
        elif "source_image" in arrays:
            x, smear = arrays["X"], arrays["source_image"]
            smears = rng.permutation(np.unique(smear))
            fitted = np.isin(smear, smears[: len(smears) * 4 // 5])
            parts = x[fitted], x[~fitted]
        else:
            x = np.concatenate([arrays[name] for name in ("X_train", "X_test", "X") if name in arrays])
            x = x[rng.permutation(len(x))]
            parts = np.split(x, [FASHION if "X_test" in arrays else len(x) * 4 // 5])
    top = np.float32(max(1, *(part.max() for part in parts)))
    return Case(*(part.astype(np.float32) / top for part in parts), "pictures")


def load(name: str, folder: Path, seed: int) -> Case:
    """One of SETS, or a path below `folder` without its suffix."""
    rng = generator(name, seed)
    if name == "ecg":
        return windows(folder / "signals/ecg_mitbih208.npz")
    if name in PICTURES:
        return pictures(folder / f"images/{PICTURES[name]}.npz", rng)
    if name in TABLES:
        return table(folder / f"tables/{TABLES[name]}.parquet", rng)
    path = next(folder.glob({"optdigits": "adbench/26_optdigits"}.get(name, name) + ".*"))
    return pictures(path, rng) if path.parent.name == "images" else table(path, rng)


def others(folder: Path) -> list[str]:
    """Open tables of numbers and pictures besides SETS."""
    known = {*TABLES.values(), "26_optdigits"}
    tables = [path for path in sorted(folder.glob("adbench/*.npz")) if path.stem not in known]
    tables += sorted(folder.glob("tables/*.npz"))
    return [name for name in CLEAN if (folder / f"{name}.npz").exists()] + [
        f"{path.parent.name}/{path.stem}" for path in tables
    ]


# --- noise -----------------------------------------------------------------------------------------------------


def spoiled(x: np.ndarray, kind: str, level: float, rng: np.random.Generator) -> np.ndarray:
    """A copy with noise of this kind; the same generator gives the same pattern at every level."""
    if kind == "clean":
        return x.copy()
    if kind == "gaussian":
        return x + np.float32(level) * rng.standard_normal(x.shape, dtype=np.float32)
    if kind == "block":
        top, left = (rng.integers(side - BLOCK + 1, size=len(x)) for side in x.shape[1:3])
        row, column = np.arange(x.shape[1])[:, None], np.arange(x.shape[2])
        hidden = (row >= top[:, None, None]) & (row < top[:, None, None] + BLOCK)
        hidden = hidden & (column >= left[:, None, None]) & (column < left[:, None, None] + BLOCK)
        return np.where(hidden, np.float32(np.nan), x)
    drawn, heads = rng.random(x.shape), rng.random(x.shape) < 0.5
    put = np.float32(np.nan) if kind == "missing" else heads.astype(np.float32)
    return np.where(drawn < level, put, x)
