"""What more pairs would gain, as a learning curve of held-out pairs says it."""

from __future__ import annotations

import numpy as np
import pytest

from latentspace.models.pair_curve import Curve, law_of, learning_curve
from latentspace.models.pair_metric import PairMetric, area, learn

Array = np.ndarray


def kinds(own: float, noise: float, seed: int = 0) -> tuple[Array, Array]:
    """(items (2400, 24), kinds (2400,)): six axes tell the kinds, and eighteen others vary `noise` times as much."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 8, 2400)
    x = rng.normal(0, own, (8, 6))[y] + rng.normal(size=(2400, 6))
    x = np.concatenate([x, noise * rng.normal(size=(2400, 18))], axis=1)
    return x @ np.linalg.qr(rng.normal(size=(24, 24)))[0], y


def drawn(y: Array, m: int, seed: int) -> tuple[Array, Array]:
    """(rows (m, 2), same (m,)), half of them the same."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(y), (30 * m, 2))
    rows = rows[rows[:, 0] != rows[:, 1]]
    same = y[rows[:, 0]] == y[rows[:, 1]]
    chosen = np.concatenate([np.flatnonzero(same)[: m // 2], np.flatnonzero(~same)[: m - m // 2]])
    chosen = rng.permutation(chosen)
    return rows[chosen], same[chosen]


def told(metric: PairMetric, x: Array, y: Array) -> float:
    """The area under the ROC curve of pairs of new items."""
    rows, same = drawn(y, 4000, 9)
    ends = metric.transform({"latents": x})[rows]
    return area(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), same)


@pytest.mark.slow
def test_where_more_pairs_help_it_says_by_how_much() -> None:
    x, y = kinds(1.6, 3.0)
    old, new = {"latents": x[:1200]}, slice(1200, 2400)
    rows, same = drawn(y[:1200], 600, 1)
    metric = learn(old, rows, same)
    curve = learning_curve(old, rows, same, metric)
    assert np.allclose(curve.sizes[1:] / curve.sizes[:-1], 2, atol=0.15) and len(curve) == 6
    assert np.isclose(curve.means[-1], metric.after)  # all of them: what learn itself says
    assert np.allclose(curve.held_out, metric.held_out)
    assert (np.diff(curve.means) > 0).all() and curve.means[-1] > curve.means[0] + 0.2
    gained, law = curve.last_gain(), law_of(curve)
    assert gained is not None and law is not None and gained[1] > -0.01 and gained[0] > 0.02

    true = {
        m: np.mean([told(learn(old, *drawn(y[:1200], m, seed)), x[new], y[new]) for seed in range(3)])
        for m in (600, 1200)
    }
    value, low, high = law.gain(600, 600)
    assert 0 < low < true[1200] - true[600] < high < 0.05
    assert 0.3 < value / (true[1200] - true[600]) < 3
    assert law.gain(600, 600)[0] > law.gain(600, 100)[0] > law.gain(6000, 100)[0] > 0
    again = Curve.of(curve.arrays())
    assert np.array_equal(again.errors, curve.errors) and np.array_equal(again.areas, curve.areas)


@pytest.mark.parametrize("answers", ["seen already", "by chance"])
def test_where_more_pairs_do_not_help_it_says_so(answers: str) -> None:
    x, y = kinds(2.0, 0.3)  # what tells kinds varies most: pairs have nothing to teach
    rows, same = drawn(y, 300, 1)
    if answers == "by chance":
        same = np.random.default_rng(0).random(300) < 0.5
    metric = learn({"latents": x}, rows, same)
    curve = learning_curve({"latents": x}, rows, same, metric)
    law, gained = law_of(curve), curve.last_gain()
    assert law is not None and gained is not None
    assert gained[1] <= 0 and abs(gained[0]) < 0.02
    value, low, _ = law.gain(300, 100)
    assert low <= 0.001 and abs(value) < 0.004


def test_a_law_is_found_again() -> None:
    sizes = np.array([50.0, 100, 200, 400, 800])
    noise = np.random.default_rng(0).normal(0, 2e-4, (5, 10))
    areas = (1 - 0.02 - 2 * sizes**-0.7)[:, None] + noise
    curve, *short = (Curve(sizes[:s], areas[:s], 0.25, np.zeros(0)) for s in (5, 2, 1))
    law = law_of(curve)
    assert law is not None
    value, low, high = law.gain(1000, 100)
    true = 2 * (1000**-0.7 - 1100**-0.7)
    assert low < true < high and abs(value - true) < 0.2 * true
    assert law_of(short[0]) is None and short[1].last_gain() is None


def test_few_pairs_have_no_curve() -> None:
    x, y = kinds(1.6, 3.0)
    rows, same = drawn(y, 8, 0)
    curve = learning_curve({"latents": x}, rows, same, learn({"latents": x}, rows, same))
    assert len(curve) == 0 and curve.last_gain() is None and law_of(curve) is None
