"""The measures agree with the reference and the intervals cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as reference
from sklearn.neighbors import NearestNeighbors

from latentspace.space.quality import (
    are_classes,
    bootstrap_change,
    bootstrap_interval,
    knn_accuracy,
    linear_probe,
    local_trustworthiness,
    neighbours_kept,
    trustworthiness,
)


def _curved(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points on a curved sheet in five dimensions, and a flattening that loses some of it."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(0, 6, size=(n, 2))
    x = np.stack([np.sin(t[:, 0]), np.cos(t[:, 0]), t[:, 0] / 3, t[:, 1], rng.normal(size=n) / 10], axis=1)
    return x, x[:, :2]


@pytest.mark.parametrize("k", [3, 10])
def test_trustworthiness_is_scikit_learns(k: int) -> None:
    x, z = _curved()
    each = trustworthiness(x, z, k)
    assert each.shape == (len(x),)
    assert each.mean() == pytest.approx(reference(x, z, n_neighbors=k), abs=1e-12)


def test_trustworthiness_says_when_there_are_too_few_items() -> None:
    with pytest.raises(ValueError, match="at least 20 other items, not 19"):
        trustworthiness(np.zeros((20, 2)), np.zeros((20, 2)), 10)
    x = np.arange(21.0)[:, None]
    assert (trustworthiness(x, 2 * x, 10) == 1).all()


def test_neighbours_kept_counts_shared_neighbours() -> None:
    x, z = _curved()
    near_x = NearestNeighbors(n_neighbors=11).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    near_z = NearestNeighbors(n_neighbors=11).fit(z).kneighbors(z, return_distance=False)[:, 1:]
    expected = [len(set(a) & set(b)) / 10 for a, b in zip(near_x, near_z, strict=True)]
    assert np.allclose(neighbours_kept(x, z, 10), expected)
    assert neighbours_kept(x, x * 3 + 1, 10).mean() == 1


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        interval = bootstrap_interval(rng.exponential(size=80), seed=trial, draws=400)
        inside += interval.low <= 1 <= interval.high
    assert 178 <= inside <= 199  # 95 % of 200, less what the skew of 80 draws costs


def test_a_paired_difference_is_sharper_than_the_two_means() -> None:
    rng = np.random.default_rng(0)
    hard = rng.exponential(size=500)
    ours, theirs = hard, hard + 0.02 + rng.normal(size=500) * 0.01
    paired = bootstrap_interval(ours, theirs)
    assert paired.high < 0
    assert bootstrap_interval(ours).high > bootstrap_interval(theirs).low


def test_a_change_is_relative_and_never_below_minus_one() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.exponential(size=400)
    change = bootstrap_change(0.01 * theirs * rng.random(400), theirs)
    assert -1 < change.low < change.value < change.high < -0.98
    assert bootstrap_change(1.5 * theirs, theirs).low == pytest.approx(0.5)


def test_intervals_repeat_with_the_seed() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_labels_are_classes_or_quantities() -> None:
    assert are_classes(np.array(["a", "b"])) and are_classes(np.array([True, False]))
    assert are_classes(np.arange(7)) and are_classes(np.array([3.0, 4.0, 5.0]))
    assert not are_classes(np.arange(200)) and not are_classes(np.array([0.5, 1.5]))


def test_probes_find_what_is_there_and_nothing_in_noise() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, size=600)
    z = rng.normal(size=(600, 3))
    z[:, 0] += 3 * y
    for probe in (knn_accuracy, linear_probe):
        right = probe(z[:400], y[:400], z[400:], y[400:])
        assert set(right) <= {0.0, 1.0} and right.mean() > 0.88  # Bayes: 0.933
        assert probe(z[:400, 1:], y[:400], z[400:, 1:], y[400:]).mean() < 0.6


def test_a_quantity_is_measured_by_r_squared() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 2))
    y = z @ [2.0, -1.0] + rng.normal(size=600) * 0.5
    assert linear_probe(z[:400], y[:400], z[400:], y[400:]).mean() == pytest.approx(0.95, abs=0.02)
    assert knn_accuracy(z[:400], y[:400], z[400:], y[400:]).mean() > 0.8


def test_a_probe_of_one_class_says_that_class() -> None:
    z = np.zeros((5, 2))
    assert linear_probe(z, np.zeros(5, int), z, np.array([0, 0, 1, 0, 0])).mean() == 0.8


def test_local_trustworthiness_is_the_usual_one_where_items_are_their_own_reference():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    y = x[:, :2] + 0.3 * rng.normal(size=(300, 2))
    each = local_trustworthiness(x, y, x, y, 15, own=np.arange(300))
    assert each.mean() == pytest.approx(reference(x, y, n_neighbors=15), abs=1e-9)
    new = rng.normal(size=(50, 6))
    assert local_trustworthiness(new, new[:, :2], x, x[:, :2], 15).mean() < 0.95
    assert (local_trustworthiness(new, 3 * new, x, 3 * x, 15) == 1).all()
