"""One example of each class: how often a new item is recognised by it, of classes that nobody ever saw.

    python benchmarks/one_shot.py DATA_FOLDER [--seeds 0 1 ... 9] [--only omniglot digits] [--out FOLDER]

Omniglot's first small background set (Lake, Salakhutdinov and Tenenbaum 2015): five alphabets, 136 characters, 20
drawers. Each of the seeds 0 to 9 is one of the ten choices of two alphabets to test on; the other three are learnt
from, pictures and characters, by ``SiameseNetwork().fit(pictures, characters)``. "5 of all": 3,000 times five
characters of the two unseen alphabets are drawn, one drawing of each is shown, another of each is to be recognised by
the nearest (Vinyals et al. 2016 draw so); "20 of all": of 20. "5 of one", "20 of one": all of the same alphabet,
which is harder, mean of both (the original task draws so).

"digits": scikit-learn's; six of the ten, drawn by the seed, are learnt from, and one example of each of the others is
shown ("4 of all"): few classes teach to tell those, and no others.

"latentspace": every default (pictures as they are, 105 x 105); "head": without the network (depth="head"); "latents":
the space before any pair; rivals: raw pixels and PCA at 32 axes, by Euclidean distance. "seconds": to learn, the
autoencoder and both trainings included.

Rows are appended to OUT/one_shot.csv as they come; what is there is not repeated. OUT/one_shot.md has the tables.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from by_seed import Row, run

CHOICES = tuple(combinations(range(5), 2))
WAYS, EPISODES, AXES = (5, 20), 3000, 32


def recognised(z: np.ndarray, classes: np.ndarray, ways: int, seed: int) -> float:
    """The share of drawings (n, r) that the one example of their class is nearest to, of so many classes."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    z = np.asarray(z, np.float64)
    right = 0
    for _ in range(EPISODES):
        drawn = [rng.choice(members[c], 2, replace=False) for c in rng.choice(len(members), ways, False)]
        shown, new = z[[pair[0] for pair in drawn]], z[[pair[1] for pair in drawn]]
        apart = (shown**2).sum(axis=1) - 2 * new @ shown.T
        right += int((apart.argmin(axis=1) == np.arange(ways)).sum())
    return right / (EPISODES * ways)


def told(z: np.ndarray, alphabets: np.ndarray, classes: np.ndarray, seed: int) -> Iterator[tuple[str, float]]:
    if len(np.unique(alphabets)) == 1:
        yield "4 of all", recognised(z, classes, 4, seed)
        return
    for ways in WAYS:
        yield f"{ways} of all", recognised(z, classes, ways, seed)
        own = [
            recognised(z[alphabets == a], classes[alphabets == a], ways, seed) for a in np.unique(alphabets)
        ]
        yield f"{ways} of one", float(np.mean(own))


def read(name: str, folder: Path, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(pictures, alphabets, classes, which are new)."""
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        new = np.isin(digits.target, np.random.default_rng(seed).permutation(10)[6:])
        return digits.images.astype("uint8") * 15, np.zeros(len(new)), digits.target, new
    with np.load(folder / "images/omniglot_5_alphabets.npz") as d:
        new = np.isin(d["alphabet"], CHOICES[seed % len(CHOICES)])
        return d["X"] * 255, d["alphabet"], d["character"], new


def rows_of(name: str, folder: Path, seed: int) -> Iterator[Row]:
    from sklearn.decomposition import PCA

    from latentspace import SiameseNetwork

    pictures, alphabets, classes, new = read(name, folder, seed)
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    start = time.perf_counter()
    network = SiameseNetwork(random_state=seed).fit(pictures[~new], classes[~new])
    yield "one_shot", 0, "latentspace", "seconds", time.perf_counter() - start
    yield "one_shot", 0, "latentspace", "says", network.metric_.after
    head = SiameseNetwork(network.model_, depth="head", random_state=seed).fit(pictures[~new], classes[~new])
    ways = {
        "latentspace": network.transform(pictures[new]),
        "head": head.transform(pictures[new]),
        "latents": network.model_.transform(pictures[new]),
        "raw": flat[new],
        "PCA": PCA(AXES, random_state=seed).fit(flat[~new]).transform(flat[new]),
    }
    for method, z in ways.items():
        for measure, value in told(z, alphabets[new], classes[new], seed):
            yield "one_shot", 0, method, measure, value


if __name__ == "__main__":
    run(__doc__, "one_shot", ("omniglot", "digits"), "pairs", rows_of)
