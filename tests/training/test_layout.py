"""The layout's forces against sums written out, and neighbours against scikit-learn's."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from latentspace.training import layout as room


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_nearest_are_scikit_learns(rng):
    x = rng.normal(size=(700, 9)).astype(np.float32) + 100
    ours = room.nearest(x, 7)
    theirs = (
        NearestNeighbors(n_neighbors=8, algorithm="brute").fit(x).kneighbors(x, return_distance=False)[:, 1:]
    )
    assert np.mean(ours == theirs) > 0.999


@pytest.mark.parametrize(("dimensions", "spread"), [(1, 8), (2, 8), (3, 3)])
def test_the_grid_gives_the_push_of_all_pairs(rng, dimensions, spread):
    at = rng.normal(scale=spread, size=(600, dimensions)).astype(np.float32)
    exact_close, exact_slope = room._all_pairs(at)
    close, slope = room._on_grid(at)
    np.testing.assert_allclose(close, exact_close, rtol=0.02)
    assert np.mean((slope - exact_slope) ** 2) < 0.1**2 * np.mean(exact_slope**2)


def test_the_push_is_the_gradient_of_what_it_says(rng):
    at = rng.normal(size=(12, 2)).astype(np.float32)
    close, slope = room._all_pairs(at)
    step = 0.01
    for axis in range(2):
        moved = at.copy()
        moved[3, axis] += step
        assert slope[3, axis] == pytest.approx((room._all_pairs(moved)[0][3] - close[3]) / step, abs=0.1)


def test_groups_are_kept_apart_and_the_same_twice(rng):
    x = np.concatenate([rng.normal(c, 1, size=(150, 6)) for c in (0, 12, 24)]).astype(np.float32)
    group = np.repeat([0, 1, 2], 150)
    neighbours = room.nearest(x, 15)
    at = room.layout(neighbours, x[:, :2])
    near = NearestNeighbors(n_neighbors=11).fit(at).kneighbors(at, return_distance=False)[:, 1:]
    assert np.mean(group[near] == group[:, None]) == 1
    np.testing.assert_array_equal(at, room.layout(neighbours, x[:, :2]))
    shuffled = room.layout(rng.integers(len(x), size=neighbours.shape), rng.normal(size=(len(x), 2)))
    near = NearestNeighbors(n_neighbors=11).fit(shuffled).kneighbors(shuffled, return_distance=False)[:, 1:]
    assert np.mean(group[near] == group[:, None]) < 0.5  # neighbours that mean nothing keep nothing


def test_progress_is_told(rng):
    heard = []
    x = rng.normal(size=(40, 3)).astype(np.float32)
    room.layout(room.nearest(x, 5), x[:, :2], tell=heard.append)
    assert heard == sorted(heard) and heard[0] == 0 and 0.9 < heard[-1] < 1
