"""What I-JEPA makes of pictures in so much time, beside other ways to learn without labels.

    OMP_NUM_THREADS=1 python benchmarks/ijepa.py DATA_FOLDER [--only fashion] [--minutes 2 10] [--seeds 0]

Sets: Fashion-MNIST (10,000 pictures to learn from without labels, 10,000 new ones), blood cells (of two thirds of the
smears and of the others), emoji (two thirds and the rest; 8 categories). Signals, only where asked for: BasicMotions,
JapaneseVowels, and watch (two seconds of a smart watch, new ones of 6 of 20 people). Methods, for so long each:

"I-JEPA": ``IJEPA(minutes=...)``; "published": its recipe "published", by the paper; "MAE": the same network,
predictor, masks and Z, pixels predicted all the time; "LeJEPA": the same network and Z (`benchmarks/lejepa.py`);
"autoencoder": ``Autoencoder(64, max_seconds=...)``, which may end sooner. Without training: "untrained" (the network
of "I-JEPA"), "PCA" (64 axes) and "pixels". "published, regions" is "published" with the Z of "I-JEPA".

"linear": logistic regression, all labels, on Z centred and scaled or whitened, whichever and with whichever C of
three is better on a fifth of what was learnt from; "few": 1 % of the labels, 20 at least, of Z centred and scaled by
one number, C = 1, mean of five draws; "10-NN": by cosine on centred Z, of the first 3,000 new pictures. "rank":
effective rank of mean tokens. "seconds": of the fit, on the wall.

Rows are appended to OUT/ijepa.csv as they come; what is there is not repeated. OUT/ijepa.md has the table.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from by_seed import Row, append, done_in, finish

DRAWS, FEW, LEAST, ASKED, SIZE = 5, 0.01, 20, 3000, 64
TRAINED = ("I-JEPA", "published", "MAE", "LeJEPA", "autoencoder")
PLAIN = ("pixels", "PCA", "untrained")
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def fashion(folder: Path) -> Split:
    with np.load(folder / "images/fashion_mnist_20k.npz") as data:
        x, y, new, y_new = (data[key] for key in ("X_train", "y_train", "X_test", "y_test"))
    return x, y, new, y_new


def blood(folder: Path) -> Split:
    with np.load(folder / "images/blood_cells_48.npz") as data:
        x, y, smear = data["X"], data["y"], data["source_image"]
    smears = np.random.default_rng(0).permutation(np.unique(smear))
    new = np.isin(smear, smears[: len(smears) // 3])
    return x[~new], y[~new], x[new], y[new]


def emoji(folder: Path) -> Split:
    with np.load(folder / "images/noto_emoji_64.npz") as data:
        x, y = data["X"], data["category"]
    rows = np.random.default_rng(0).permutation(len(x))
    old, new = rows[: len(x) * 2 // 3], rows[len(x) * 2 // 3 :]
    return x[old], y[old], x[new], y[new]


def basic(folder: Path) -> Split:
    return _ucr(folder, "BasicMotions")


def vowels(folder: Path) -> Split:
    return _ucr(folder, "JapaneseVowels")


def _ucr(folder: Path, name: str) -> Split:
    with np.load(folder / f"signals/ucr_{name}.npz") as data:
        x, y, new, y_new = (data[key] for key in ("X_train", "y_train", "X_test", "y_test"))
    return x, y, new, y_new


def watch(folder: Path) -> Split:
    with np.load(folder / "signals/watch_exercise_imu.npz") as data:
        x, lengths, labels, people = (data[key] for key in ("X", "lengths", "y", "subject"))
    ends = np.cumsum(lengths)
    windows = [
        (x[start : start + 100].T, labels[i], people[i])
        for i, end in enumerate(ends)
        for start in range(end - lengths[i], end - 99, 50)
    ]
    x, y, who = (np.array(each) for each in zip(*windows, strict=True))
    new = np.isin(who, np.random.default_rng(0).permutation(np.unique(who))[:6])
    return x[~new], y[~new], x[new], y[new]


PICTURES = {"fashion": fashion, "blood": blood, "emoji": emoji}
SIGNALS = {"BasicMotions": basic, "JapaneseVowels": vowels, "watch": watch}
SETS = {**PICTURES, **SIGNALS}
#: of our methods, those that take signals
FOR_SIGNALS = ("pixels", "PCA", "untrained", "I-JEPA", "MAE", "autoencoder")


def whitened(z: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (n, d) along the axes of `z`, each of variance 1."""
    mean = z.mean(axis=0)
    _, values, axes = np.linalg.svd(z - mean, full_matrices=False)
    kept = values > 3e-4 * values.max()
    change = axes[kept].T / values[kept] * len(z) ** 0.5
    return (z - mean) @ change, (new - mean) @ change


def told(z: np.ndarray, y: np.ndarray, new: np.ndarray, y_new: np.ndarray) -> Iterator[tuple[str, float]]:
    """Accuracy of the three probes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    scaled = [(each - z.mean(axis=0)) / z.std() for each in (z, new)]
    rows = np.random.default_rng(1).permutation(len(y))
    learnt, judged = rows[: len(y) * 4 // 5], rows[len(y) * 4 // 5 :]
    best = max(
        (LogisticRegression(C=c, max_iter=200).fit(a[learnt], y[learnt]).score(a[judged], y[judged]), i, c)
        for i, (a, cs) in enumerate(
            ((scaled[0], (0.03, 0.3, 3)), (whitened(z, new)[0], (0.0003, 0.003, 0.03)))
        )
        for c in cs
    )
    a, b = (scaled, whitened(z, new))[best[1]]
    yield "linear", float(LogisticRegression(C=best[2], max_iter=300).fit(a, y).score(b, y_new))

    a, b = scaled
    many = max(LEAST, round(FEW * len(y)))
    few = [np.random.default_rng(seed).permutation(len(y))[:many] for seed in range(DRAWS)]
    scores = [LogisticRegression(C=1, max_iter=200).fit(a[rows], y[rows]).score(b, y_new) for rows in few]
    yield "few", float(np.mean(scores))
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b[:ASKED]))
    yield "10-NN", float(KNeighborsClassifier(10).fit(a, y).score(b, y_new[:ASKED]))


def model(method: str, minutes: float, seed: int, signals: bool) -> Any:
    from latentspace import IJEPA, Autoencoder

    kind = "signal" if signals else "image"
    if method == "autoencoder":
        return Autoencoder(SIZE, max_seconds=60 * minutes, random_state=seed, modality=kind)
    options: dict[str, Any] = {
        "I-JEPA": {"minutes": minutes},
        "untrained": {"epochs": 0},
        "published": {"minutes": minutes, "recipe": "published", "stop_at_collapse": False},
        "MAE": {"minutes": minutes, "pixels": 1.0, "momentum": (0.0, 0.0), "stop_at_collapse": False},
    }[method]
    return IJEPA(random_state=seed, modality=kind, **options)


def views(method: str, x: np.ndarray, new: np.ndarray, minutes: float, seed: int) -> dict[str, Any]:
    """Name → Z of both, in float64, of what the method learnt; "rank" where there are tokens."""
    from sklearn.decomposition import PCA

    signals = x.dtype.kind == "f"
    pixels, new_pixels = (_plain(each, x) for each in (x, new))
    if method == "pixels":
        return {method: (pixels, new_pixels)}
    if method == "PCA":
        axes = PCA(min(SIZE, len(x)), random_state=seed).fit(pixels)
        return {method: (axes.transform(pixels), axes.transform(new_pixels))}
    if method == "LeJEPA":
        return {method: lejepa(x, new, minutes, seed)}
    fitted = model(method, minutes, seed, signals).fit(x)
    found: dict[str, Any] = {method: tuple(fitted.transform(each).astype(np.float64) for each in (x, new))}
    if method != "autoencoder":
        found["rank"] = fitted.dials_[-1].rank
    if method == "published":
        found["published, regions"] = _by_regions(fitted, x, new)
    return found


def _plain(x: np.ndarray, learnt: np.ndarray) -> np.ndarray:
    """Rows: pixels from 0 to 1, or samples of signals, each channel centred and scaled by what was learnt from."""
    if x.dtype.kind == "f":
        x = (x - learnt.mean(axis=(0, 2), keepdims=True)) / learnt.std(axis=(0, 2), keepdims=True)
        return x.reshape(len(x), -1)
    return x.reshape(len(x), -1) / 255


def lejepa(x: np.ndarray, new: np.ndarray, minutes: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from lejepa import trained

    from latentspace import IJEPA

    like = IJEPA(minutes=minutes, epochs=0, random_state=seed).fit(x)  # its network, untrained
    encoded = _encoded(like, x)
    like.network_ = trained(encoded, like.recipe_.sizes, 60 * minutes, seed, mirror=True)
    _read_axes(like, encoded)
    return tuple(like.transform(each).astype(np.float64) for each in (x, new))  # type: ignore[return-value]


def _by_regions(fitted: Any, x: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Z of the recipe "small" from the tokens of a fitted model."""
    from latentspace import IJEPA

    sizes = fitted.recipe_.sizes
    like = IJEPA(epochs=0, width=sizes.width, depth=sizes.depth).fit(x)
    like.network_.encoder.tokens.load_state_dict(fitted.network_.encoder.tokens.state_dict())
    _read_axes(like, _encoded(like, x))
    return tuple(like.transform(each).astype(np.float64) for each in (x, new))  # type: ignore[return-value]


def _encoded(fitted: Any, x: np.ndarray) -> np.ndarray:
    from latentspace.data.sources import read_items

    return np.asarray(fitted.modality_.transform(read_items(x, "auto")[1])[0])


@torch.no_grad()
def _read_axes(fitted: Any, encoded: np.ndarray) -> None:
    blocks = np.array_split(encoded, max(1, len(encoded) // 256))
    network = fitted.network_.eval()
    network.read_axes(torch.cat([network.seeing.means(torch.from_numpy(each)) for each in blocks]))


def rows_of(name: str, method: str, minutes: float, folder: Path, seed: int) -> Iterator[Row]:
    x, y, new, y_new = SETS[name](folder)
    start = time.perf_counter()
    found = views(method, x, new, minutes, seed)
    amount = int(minutes)
    if method in TRAINED:
        yield "ijepa", amount, method, "seconds", time.perf_counter() - start
    if "rank" in found:
        yield "ijepa", amount, method, "rank", found.pop("rank")
    for each, (z, z_new) in found.items():
        for measure, value in told(z, y, z_new, y_new):
            yield "ijepa", amount, each, measure, value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", default=list(PICTURES), choices=list(SETS))
    parser.add_argument("--methods", nargs="+", default=[*PLAIN, *TRAINED], choices=[*PLAIN, *TRAINED])
    parser.add_argument("--minutes", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "ijepa.csv"
    for seed in options.seeds:
        for minutes in options.minutes:
            for name in options.only:
                for method in options.methods:
                    if name in SIGNALS and method not in FOR_SIGNALS:
                        continue
                    amount = minutes if method in TRAINED else 0
                    if (name, seed, amount, method) in done_in(file, ("set", "seed", "minutes", "method")):
                        continue
                    append(file, name, seed, "minutes", rows_of(name, method, amount, options.data, seed))
    finish(file, "minutes")


if __name__ == "__main__":
    main()
