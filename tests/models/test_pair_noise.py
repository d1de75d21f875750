"""Wrong answers are counted and found by what the others say of their items."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from latentspace.models.pair_metric import learn
from latentspace.models.pair_noise import SHORT, Noise, longest_chain, noise_of

X, Y = load_digits(return_X_y=True)
M = 600


def judged(share: float) -> tuple[Noise, np.ndarray]:
    """(what is said of answers by what the others taught, which of them were turned round)."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(Y), (30 * M, 2))
    rows = rows[rows[:, 0] != rows[:, 1]]
    same = Y[rows[:, 0]] == Y[rows[:, 1]]
    chosen = np.concatenate([np.flatnonzero(same)[: M // 2], np.flatnonzero(~same)[: M // 2]])
    turned = rng.random(M) < share
    rows, said = rows[chosen], same[chosen] ^ turned
    distances = learn({"latents": X}, rows, said).held_out
    known = np.isfinite(distances)
    found = noise_of(distances[known], said[known])
    assert found is not None
    return found, turned[known]


@pytest.mark.slow
def test_the_share_follows_how_many_answers_were_turned_round() -> None:
    shares = (0.0, 0.05, 0.1, 0.2)
    every = [judged(share) for share in shares]
    for found, turned in every:
        assert found.low <= turned.mean() <= found.high
        assert found.low <= found.share <= found.high and abs(found.share - turned.mean()) < 0.05
        assert found.high - found.low < 0.2
    assert (np.diff([found.share for found, _ in every]) > 0.01).all()
    assert every[0][0].high < 0.02 < every[2][0].low


@pytest.mark.slow
def test_the_most_doubtful_are_those_that_were_turned_round() -> None:
    for share in (0.05, 0.2):
        found, turned = judged(share)
        first = np.argsort(-found.wrong)
        assert turned[first[:10]].mean() >= 0.8 > 3 * turned.mean()
        assert found.wrong[turned].mean() > 4 * found.wrong[~turned].mean()
        assert abs(found.wrong.mean() - found.share) < 0.02


def test_hard_pairs_are_not_called_wrong() -> None:
    # a quarter of the pairs is on the wrong side of any line, without one answer that is wrong
    rng = np.random.default_rng(0)
    distances = rng.normal(0, 1, 2000)
    same = rng.random(2000) < 1 / (1 + np.exp(2 * distances))
    found = noise_of(np.exp(distances / 3), same)
    assert found is not None and ((distances < 0) != same).mean() > 0.2
    assert found.low == 0 and found.share < 0.06


def test_few_answers_and_distances_that_say_nothing() -> None:
    rng = np.random.default_rng(0)
    assert noise_of(rng.random(60), np.arange(60) < 19) is None
    found = noise_of(rng.random(300), rng.random(300) < 0.5)
    assert found is not None and found.low < 0.1 and found.high > 0.4


def test_chains_are_learnt_from_the_longer_the_fewer_answers_are_wrong() -> None:
    rng = np.random.default_rng(0)
    same = np.arange(600) < 300
    distances = np.where(same, 1, 3) + rng.normal(0, 0.4, 600)
    longest = [longest_chain(distances, same ^ (rng.random(600) < share)) for share in (0.0, 0.04, 0.08, 0.3)]
    assert longest[0] > 15 > longest[1] > 2 == longest[2] and longest[3] == 1
    assert longest_chain(np.where(same, distances, np.nan), same) == SHORT  # nothing says how many
