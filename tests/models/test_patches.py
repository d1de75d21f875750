"""Patches tell what pictures and windows hold, wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from latentspace.models.patches import PatchDictionary


def stripes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 1, 16, 16) of noise with a patch of stripes somewhere, upright or level."""
    rng = np.random.default_rng(seed)
    level = rng.integers(0, 2, n)
    pictures = rng.normal(0, 0.4, (n, 1, 16, 16)).astype("float32")
    for picture, upright in zip(pictures[:, 0], level, strict=True):
        row, column = rng.integers(0, 9, 2)
        patch = np.tile(2 * np.sin(np.arange(8) * 2 + rng.uniform(0, 6.3)), (8, 1))
        picture[row : row + 8, column : column + 8] += patch if upright else patch.T
    return pictures, level


def test_one_look_at_few_tells_stripes_by_patches_and_not_by_pixels() -> None:
    (x, y), (new, y_new) = stripes(200, 0), stripes(200, 1)
    dictionary = PatchDictionary.fit(x)
    a, b = dictionary.features(x), dictionary.features(new)
    flat, flat_new = x.reshape(200, -1), new.reshape(200, -1)
    assert KNeighborsClassifier(1).fit(a[:10], y[:10]).score(b, y_new) > 0.98
    assert KNeighborsClassifier(1).fit(flat[:10], y[:10]).score(flat_new, y_new) < 0.95


@pytest.mark.parametrize("shape", [(30, 3, 12, 20), (30, 2, 40), (30, 1, 4, 4), (30, 1, 9)])
def test_shapes_and_what_is_saved(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    dictionary = PatchDictionary.fit(x)
    found = dictionary.features(x)
    assert found.shape[0] == 30 and (found >= 0).all() and np.isfinite(found).all()
    assert np.array_equal(PatchDictionary(dictionary.arrays()).features(x), found)
    assert np.allclose(dictionary.features(x[:7]), found[:7], atol=1e-5)


def test_a_constant_channel_says_nothing_and_breaks_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2, 12, 12)).astype("float32")
    x[:, 1] = 3
    assert np.isfinite(PatchDictionary.fit(x).features(x)).all()
