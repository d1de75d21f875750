"""The scorer: what is odd, how sure that is, and why."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from latentspace.errors import DataError
from latentspace.models.anomaly import Scorer, _agreement, _least_odd
from latentspace.models.promises import benjamini_hochberg


def curved(n: int, seed: int) -> np.ndarray:
    """Items on a bent sheet in eight dimensions, a little noise on them."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1.5, 1.5, (2, n))
    x = np.stack([a, b, a * b, np.sin(2 * a), np.cos(2 * b), a**2, b - a, np.abs(a)], axis=1)
    return (x - x.mean(axis=0) + 0.05 * rng.normal(size=x.shape)).astype(np.float32)


def shuffled(x: np.ndarray, seed: int) -> np.ndarray:
    """Items whose columns are each usual and do not belong together."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(column) for column in x.T], axis=1)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer.fit(curved(2000, 0), None, curved(800, 1), None)


def test_items_whose_columns_do_not_belong_together_are_told(scorer: Scorer) -> None:
    usual, odd = curved(500, 2), shuffled(curved(500, 3), 4)
    scores = scorer.scores(np.concatenate([usual, odd]))
    assert roc_auc_score(np.repeat([0, 1], 500), scores) > 0.97
    assert (scorer.p_values(odd) <= 0.05).mean() > 0.8


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_false_alarms_keep_their_promise(scorer: Scorer, alpha: float) -> None:
    p = scorer.p_values(curved(4000, 5))
    # three standard errors of the 800 calibration items and of the 4,000 judged ones
    allowed = 3 * np.sqrt(alpha * (1 - alpha) * (1 / 800 + 1 / 4000))
    assert abs((p <= alpha).mean() - alpha) < allowed


def test_scores_and_p_values_agree_and_scores_go_on_where_p_values_end(scorer: Scorer) -> None:
    x = np.concatenate([curved(300, 6), shuffled(curved(300, 7), 8)])
    scores, p = scorer.scores(x), scorer.p_values(x)
    assert np.all(np.diff(p[np.argsort(scores)]) <= 1e-12)
    inside = p > 2 * scorer.smallest_p
    assert np.all(10 ** -scores[inside] >= p[inside] - 1e-12)
    far = np.zeros((2, 8), np.float32)
    far[0, 0], far[1, 0] = 20, 40
    assert scorer.scores(far)[1] > scorer.scores(far)[0] > scores.max()
    assert np.all(scorer.p_values(far) == scorer.smallest_p)


def test_an_item_of_the_pile_is_judged_without_itself_and_by_more_neighbours() -> None:
    rng = np.random.default_rng(0)
    clump = rng.normal(size=(12, 6)) * 0.01 + 6
    x = np.concatenate([rng.normal(size=(600, 6)), clump]).astype(np.float32)
    scorer = Scorer.fit(x, None, rng.normal(size=(200, 6)).astype(np.float32), None)
    # a dozen odd items close together hide each other from a narrow look, not from a wide one
    assert scorer.p_values(x)[600:].max() < 0.05
    assert scorer.scores(x)[600:].min() > np.quantile(scorer.scores(x)[:600], 0.95)
    assert scorer.scores(x[:1] + np.float32(1e-3))[0] != scorer.scores(x[:1])[0]


def test_odd_items_of_the_pile_that_hide_each_other_are_not_compared_with() -> None:
    rng = np.random.default_rng(0)
    clump = rng.normal(size=(40, 6)) * 0.01 + 4
    x = np.concatenate([rng.normal(size=(600, 6)), clump]).astype(np.float32)
    kept = _least_odd(x, None)
    assert kept.mean() == pytest.approx(0.8, abs=0.01)
    assert not kept[600:].any()
    # more of them than the neighbours that an item of the pile is judged by
    scores = Scorer.fit(x, None, rng.normal(size=(200, 6)).astype(np.float32), None).scores(x)
    assert scores[600:].min() > np.quantile(scores[:600], 0.95)


def test_the_network_is_heard_as_far_as_it_agrees() -> None:
    rng = np.random.default_rng(0)
    near, other = rng.normal(size=(2, 1000))
    assert _agreement(np.stack([near, near, near], axis=1)) > 0.85
    assert _agreement(np.stack([near, near, other], axis=1)) < 0.25
    assert _agreement(np.stack([near, near, -near], axis=1)) == 0


def test_the_element_to_blame_is_named_with_what_would_be_usual(scorer: Scorer) -> None:
    x = curved(200, 9)
    spoilt = x.copy()
    which = np.random.default_rng(0).integers(0, 8, 200)
    spoilt[np.arange(200), which] += 2.0
    shares = scorer.contributions(spoilt)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (shares.argmax(axis=1) == which).mean() > 0.85
    error = np.abs(scorer.expected(spoilt) - x)[np.arange(200), which]
    assert np.median(error) < 0.25


def test_gaps_count_for_nothing(scorer: Scorer) -> None:
    x = curved(100, 10)
    observed = np.ones(x.shape, bool)
    observed[:, 3] = False
    spoilt = x.copy()
    spoilt[:, 3] = 0.0
    wild = x.copy()
    wild[:, 3] = 50.0
    assert np.allclose(scorer.contributions(spoilt, observed)[:, 3], 0)
    assert (scorer.p_values(spoilt, observed) < 0.05).mean() < 0.2
    assert (scorer.p_values(wild) == scorer.smallest_p).all()


def test_what_was_learnt_survives_as_arrays(scorer: Scorer) -> None:
    again, x = Scorer(scorer.arrays()), curved(50, 11)
    assert np.array_equal(again.scores(x), scorer.scores(x))
    assert np.array_equal(again.contributions(x), scorer.contributions(x))
    assert all(a.dtype != object for a in scorer.arrays().values())


def test_pictures_keep_their_shape() -> None:
    x = np.random.default_rng(0).normal(size=(60, 1, 5, 4)).astype(np.float32)
    scorer = Scorer.fit(x[:40], None, x[40:], None)
    assert scorer.expected(x[:3]).shape == scorer.contributions(x[:3]).shape == (3, 1, 5, 4)
    assert scorer.usual.shape == (2, 1, 5, 4)


def test_too_few_items_are_refused_in_a_sentence() -> None:
    x = np.zeros((3, 2), np.float32)
    with pytest.raises(DataError, match="at least 4 items"):
        Scorer.fit(x, None, x, None)


def test_benjamini_hochberg_keeps_the_false_discovery_rate() -> None:
    rng, shares = np.random.default_rng(0), []
    for _ in range(200):
        p = np.concatenate([rng.uniform(size=180), rng.uniform(size=20) * 1e-3])
        flagged = benjamini_hochberg(p, 0.1)
        assert flagged[180:].mean() > 0.9
        shares.append(flagged[:180].sum() / max(1, flagged.sum()))
    assert 0.05 < np.mean(shares) < 0.11
