"""The density on Z, the ways through it, and the noise that a decoder leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from latentspace.errors import DataError
from latentspace.likelihoods import Bernoulli, Categorical, Gaussian, Mixed
from latentspace.models.density import Density
from latentspace.models.paths import Ways
from latentspace.models.residuals import Margins, Residuals, numbers
from latentspace.space.likeness import copied, covered, discrepancy, told_apart


def ring(n: int = 1500, seed: int = 0) -> np.ndarray:
    """Points around a circle, in three dimensions."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, n)
    flat = np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)
    return (5 * flat + rng.normal(0, 0.3, (n, 3))).astype(np.float32)


def test_it_is_likelier_on_held_out_latents_than_one_normal_distribution() -> None:
    density, new = Density.fit(ring()), ring(seed=1)
    covariance = np.cov(new.T.astype(float))
    away = new - new.mean(axis=0)
    normal = -0.5 * np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away)
    normal = normal - 0.5 * np.log(np.linalg.det(2 * np.pi * covariance))
    assert density.components > 1
    assert density.score(new) > normal.mean() + 1
    assert density.held_out == pytest.approx(density.score(new), abs=0.25)


def test_it_integrates_to_one_and_its_gradient_is_its_slope() -> None:
    density = Density.fit(np.random.default_rng(0).normal(size=(400, 2)) * [1, 3])
    side = np.linspace(-15, 15, 301)
    grid = np.stack(np.meshgrid(side, side), axis=2).reshape(-1, 2)
    assert np.exp(density.log_prob(grid)).sum() * 0.01 == pytest.approx(1, abs=0.01)
    at, step = np.array([[0.3, -1.0]]), 1e-4
    slope = [(density.log_prob(at + e) - density.log_prob(at - e))[0] / (2 * step) for e in step * np.eye(2)]
    np.testing.assert_allclose(density.gradient(at)[0], slope, rtol=1e-4)


def test_the_same_seed_draws_the_same_and_arrays_bring_it_back() -> None:
    z = ring()
    density = Density.fit(z, seed=3)
    again = Density(Density.fit(z, seed=3).arrays())
    np.testing.assert_array_equal(density.sample(50, 1), again.sample(50, 1))
    np.testing.assert_array_equal(density.sample(50, 1)[:9], density.sample(9, 1))
    assert not np.array_equal(density.sample(50, 1), density.sample(50, 2))


def test_samples_lie_on_the_ring_and_near_ones_near() -> None:
    density = Density.fit(ring())
    drawn = density.sample(400)
    assert np.abs(np.linalg.norm(drawn[:, :2], axis=1) - 5).mean() < 0.5
    at = np.array([5.0, 0, 0])
    near = density.near(at, 0.5 * np.eye(3)).sample(200)
    assert np.linalg.norm(near - at, axis=1).mean() < 1.2 < np.linalg.norm(drawn - at, axis=1).mean()


def test_the_density_of_some_is_theirs() -> None:
    z = ring(3000)
    right = z[:, 0] > 0
    half = Density.fit(z).of(z[right])
    assert (half.sample(300)[:, 0] > -0.5).mean() > 0.93
    assert half.score(z[right]) > half.score(z[~right]) + 3
    assert np.isfinite(Density.fit(z).of(z[:3]).sample(5)).all()


@pytest.mark.parametrize("n", [2, 5, 30])
def test_few_and_flat_latents_have_a_density_too(n: int) -> None:
    z = np.random.default_rng(0).normal(size=(n, 8))
    z[:, 3], z[:, 4] = 1.0, z[:, 5]
    drawn = Density.fit(z).sample(20)
    assert np.isfinite(drawn).all() and np.abs(drawn[:, 3] - 1).max() < 0.1
    with pytest.raises(DataError, match="at least 2 items"):
        Density.fit(z[:1])


def test_a_way_along_the_data_goes_around_the_void() -> None:
    z = ring()
    density = Density.fit(z)
    ways, a, b = Ways(z, density), np.array([5.0, 0, 0]), np.array([-5.0, 0.2, 0])
    straight, along = (ways.between(a, b, path, 15) for path in ("straight", "data"))  # type: ignore[arg-type]
    assert density.score(along[1:-1]) > density.score(straight[1:-1]) + 3
    assert density.log_prob(along).min() > density.log_prob(straight).min() + 3
    assert np.linalg.norm(along[:, :2], axis=1).min() > 3.5 > np.linalg.norm(straight[7, :2])
    np.testing.assert_allclose(along[[0, -1]], [a, b], atol=1e-6)
    steps = np.linalg.norm(np.diff(along, axis=0), axis=1)
    assert steps.max() < 1.6 * steps.min()


def test_a_spherical_way_keeps_its_distance_from_the_middle() -> None:
    z = np.random.default_rng(0).normal(size=(2000, 6))
    a, b = 2 * z[0] / np.linalg.norm(z[0]), 2 * z[1] / np.linalg.norm(z[1])
    way = Ways(z, Density.fit(z)).between(a, b, "spherical", 9)
    straight = Ways(z, Density.fit(z)).between(a, b, "straight", 9)
    assert np.ptp(np.linalg.norm(way, axis=1)) < 0.2 < np.ptp(np.linalg.norm(straight, axis=1))


# noise


MIXED = Mixed(((Gaussian(), 2), (Bernoulli(), 1), (Categorical((3,)), 3)))


def rows(n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, expected, z): two numbers that miss together, a coin of known bias, one of three."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 1))
    miss = rng.normal(size=n)
    shares = np.stack([np.full(n, 0.2), np.full(n, 0.5), np.full(n, 0.3)], axis=1)
    expected = np.concatenate([z, -z, np.full((n, 1), 0.3), shares], axis=1)
    x = expected.copy()
    x[:, 0] += miss
    x[:, 1] += miss
    x[:, 2] = rng.random(n) < 0.3
    x[:, 3:] = np.eye(3)[rng.choice(3, n, p=[0.2, 0.5, 0.3])]
    return x, expected, z


def test_noise_is_that_of_the_items() -> None:
    x, expected, z = rows()
    drawn = Residuals(x, expected, z, MIXED).draw(expected, z, np.random.default_rng(1))
    apart = drawn - expected
    assert apart[:, 0].std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(apart[:, 0], apart[:, 1])[0, 1] > 0.99
    assert drawn[:, 2].mean() == pytest.approx(0.3, abs=0.04)
    np.testing.assert_allclose(drawn[:, 3:].mean(axis=0), [0.2, 0.5, 0.3], atol=0.04)
    assert set(np.unique(drawn[:, 2:])) == {0.0, 1.0} and (drawn[:, 3:].sum(axis=1) == 1).all()
    other = expected.copy()
    other[:, 3:] = [0.0, 0.05, 0.95]
    moved = Residuals(x, expected, z, MIXED).draw(other, z, np.random.default_rng(1))
    np.testing.assert_allclose(moved[:, 3:].mean(axis=0), [0.0, 0.05, 0.95], atol=0.03)


def test_gaps_lend_what_others_do() -> None:
    x, expected, z = rows()
    seen = np.ones(x.shape, bool)
    seen[::2, 0] = False
    x[::2, 0] = 99
    drawn = Residuals(x, expected, z, MIXED, seen).draw(expected, z, np.random.default_rng(1))
    assert drawn[:, 0].max() < 20


def test_margins_bring_heaps_back_and_keep_the_range() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(2000) < 0.5, 40.0, rng.integers(1, 80, 2000))[:, None]
    smooth = rng.normal(40, 12, (3000, 1))
    settled = Margins(x, smooth, np.array([0])).settle(rng.normal(40, 12, (1000, 1)))
    assert np.mean(settled == 40) == pytest.approx(np.mean(x == 40), abs=0.05)
    assert set(settled.ravel()) <= set(x.ravel())
    np.testing.assert_array_equal(numbers(MIXED, 6), [0, 1])


# what measures samples


def test_the_measures_tell_good_samples_from_bad_ones_and_copies() -> None:
    rng = np.random.default_rng(0)
    train, real, good = (rng.normal(size=(400, 3)) for _ in range(3))
    narrow = 0.3 * rng.normal(size=(400, 3))
    assert told_apart(real, good).mean() < 0.57 < told_apart(real, narrow).mean()
    assert covered(real, good)[1].mean() > 0.9 > covered(real, narrow)[1].mean()
    assert abs(covered(real, good)[0].mean() - 1) < 0.2
    assert discrepancy(real, good) < 0.01 < discrepancy(real, narrow)
    held = np.sqrt(((real[:, None] - train) ** 2).sum(axis=2)).min(axis=1)
    memorised = train + 1e-3 * rng.normal(size=train.shape)
    for made, low, high in ((good, 0, 0.1), (memorised, 0.99, 1.01)):
        away = np.sqrt(((made[:, None] - train) ** 2).sum(axis=2)).min(axis=1)
        assert low <= copied(away, held).mean() <= high
