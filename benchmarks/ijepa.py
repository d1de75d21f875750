"""What predicting representations makes of pictures in little time, beside an autoencoder, PCA and the pixels.

    OMP_NUM_THREADS=1 python benchmarks/ijepa.py DATA_FOLDER [--only short] [--seeds 0] [--out FOLDER]

Fashion-MNIST, 10,000 pictures to learn from without labels and 10,000 new ones. "I-JEPA": ``IJEPA(minutes=...)``, Z
of 64; "autoencoder": ``Autoencoder(64, max_seconds=...)``, as long at most; "PCA": 64 axes; "pixels" as they are.
short: 54 s of training; long: 10 minutes.

"linear": logistic regression on whitened Z (pixels as they are), all labels; "1 %": the same on 100 labels, mean of
five draws; "10-NN": by cosine on centred Z, of the first 3,000 new pictures. "seconds": of the fit, on the wall.

Rows are appended to OUT/ijepa.csv as they come; what is there is not repeated. OUT/ijepa.md has the table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from by_seed import Row, run

#: of training
SECONDS = {"short": 54, "long": 600}
SIZE, DRAWS, FEW, ASKED = 64, 5, 100, 3000


def whitened(z: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (n, d) along the axes of `z`, each of variance 1."""
    mean = z.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((z - mean).T))
    kept = values > 1e-9 * values.max()
    change = axes[:, kept] / np.sqrt(values[kept])
    return (z - mean) @ change, (new - mean) @ change


def told(
    z: np.ndarray, y: np.ndarray, new: np.ndarray, y_new: np.ndarray, whiten: bool
) -> Iterator[tuple[str, float]]:
    """Accuracy of the three probes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    a, b = whitened(z, new) if whiten else (z, new)
    yield "linear", float(LogisticRegression(C=1, max_iter=200).fit(a, y).score(b, y_new))
    few = [np.random.default_rng(seed).permutation(len(y))[:FEW] for seed in range(DRAWS)]
    scores = [LogisticRegression(C=0.1, max_iter=200).fit(a[rows], y[rows]).score(b, y_new) for rows in few]
    yield "1 %", float(np.mean(scores))
    a, b = (each - z.mean(axis=0) for each in (z, new[:ASKED]))
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b))
    yield "10-NN", float(KNeighborsClassifier(10).fit(a, y).score(b, y_new[:ASKED]))


def rows_of(name: str, folder: Path, seed: int) -> Iterator[Row]:
    from sklearn.decomposition import PCA

    from latentspace import IJEPA, Autoencoder

    with np.load(folder / "images/fashion_mnist_20k.npz") as data:
        x, y, new, y_new = (data[key] for key in ("X_train", "y_train", "X_test", "y_test"))
    pixels, new_pixels = (each.reshape(len(each), -1) / 255 for each in (x, new))
    seconds = SECONDS[name]
    models = {
        "I-JEPA": IJEPA(minutes=seconds / 60, random_state=seed),
        "autoencoder": Autoencoder(SIZE, max_seconds=seconds, random_state=seed),
    }
    views = {"pixels": (pixels, new_pixels)}
    axes = PCA(SIZE, random_state=seed).fit(pixels)
    views["PCA"] = (axes.transform(pixels), axes.transform(new_pixels))
    for method, model in models.items():
        start = time.perf_counter()
        model.fit(x)
        yield "ijepa", seconds, method, "seconds", time.perf_counter() - start
        views[method] = tuple(model.transform(each).astype(np.float64) for each in (x, new))
    for method, (z, z_new) in views.items():
        for measure, value in told(z, y, z_new, y_new, method != "pixels"):
            yield "ijepa", seconds, method, measure, value


if __name__ == "__main__":
    run(__doc__, "ijepa", tuple(SECONDS), "seconds", rows_of)
