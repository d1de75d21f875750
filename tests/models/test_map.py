"""A map is a function: it keeps neighbours, stays put, and goes back."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

from latentspace.errors import DataError
from latentspace.models import map as room
from latentspace.models.map import MapHead


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(x))
    return x[rows].astype(np.float32), y[rows]


@pytest.fixture(scope="module")
def head(digits):
    return MapHead.fit(digits[0][:1300])


def test_new_items_land_among_their_like(digits, head):
    x, y = digits
    places, new = head.place(x[:1300]), head.place(x[1300:])
    assert trustworthiness(x[1300:], new, n_neighbors=15) > 0.95  # PCA's plane: .83
    assert KNeighborsClassifier(10).fit(places, y[:1300]).score(new, y[1300:]) > 0.95  # PCA's plane: .64


def test_a_layout_of_noise_fails_the_same_test(digits, head):
    x, _ = digits
    noise = MapHead(
        {**head.arrays(), "positions": np.random.default_rng(0).normal(size=(1300, 2)).astype("f")}
    )
    assert trustworthiness(x[1300:], noise.place(x[1300:]), n_neighbors=15) < 0.8


def test_a_place_is_a_matter_of_the_item_alone(digits, head):
    x = digits[0][1300:]
    together = head.place(x)
    alone = np.concatenate([head.place(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(alone, together, atol=1e-3)
    np.testing.assert_array_equal(head.place(x), together)


def test_landmarks_stay_where_they_were_laid(digits, head):
    np.testing.assert_allclose(head.place(digits[0][:1300]), head.positions, atol=0.01)


def test_it_goes_back(digits, head):
    np.testing.assert_allclose(head.invert(head.positions), head.landmarks, atol=1e-3)
    back = head.place(head.invert(head.positions[:200] + 0.01))
    assert np.median(np.linalg.norm(back - head.positions[:200], axis=1)) < 0.01 * np.ptp(head.positions)


def test_cells_find_nearly_all_that_an_exact_search_finds():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16)) * 3
    points = (centres[rng.integers(40, size=6000)] + rng.normal(size=(6000, 16))).astype(np.float32)
    queries = (centres[rng.integers(40, size=500)] + rng.normal(size=(500, 16))).astype(np.float32)
    found, squared = room._Search(points).nearest(queries)
    exact = ((points[None] - queries[:, None]) ** 2).sum(axis=2)
    right = np.argsort(exact, axis=1)[:, : room.PLACING]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(right, found, strict=True)]) > 0.97
    np.testing.assert_allclose(squared, np.take_along_axis(exact, found, axis=1), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("dimensions", [1, 3])
def test_lines_and_space(digits, dimensions):
    head = MapHead.fit(digits[0][:400], dimensions=dimensions)
    assert head.place(digits[0][:5]).shape == (5, dimensions) == head.positions[:5].shape
    assert head.invert(head.positions[:5]).shape == (5, 64)


@pytest.mark.parametrize(
    "z",
    [
        np.zeros((10, 3), "f"),
        np.repeat(np.arange(3.0), 20)[:, None],
        np.arange(3.0)[:, None] ** 2,
        np.eye(7, 2),
    ],
    ids=["all equal", "many twice", "three", "few"],
)
def test_small_and_degenerate_piles(z):
    head = MapHead.fit(z)
    assert np.isfinite(head.place(z)).all() and np.isfinite(head.invert(head.positions)).all()


def test_landmarks_are_drawn_from_a_large_pile(monkeypatch):
    monkeypatch.setattr(room, "LANDMARKS", 200)
    z = np.random.default_rng(0).normal(size=(900, 4)).astype(np.float32)
    one, two, other = (MapHead.fit(z, seed=seed) for seed in (0, 0, 1))
    assert len(one.landmarks) == 200
    np.testing.assert_array_equal(one.positions, two.positions)
    assert not np.array_equal(one.landmarks, other.landmarks)


def test_too_few_items():
    with pytest.raises(DataError, match="at least 3 items; here are 2"):
        MapHead.fit(np.zeros((2, 3), "f"))
