import numpy as np
import pytest

from latentspace.models.collapse import (
    Dials,
    alignment,
    begins,
    deviations,
    effective_rank,
    foreseen,
    neighbours_agree,
    target_variance,
    uniformity,
)


def cloud(n=2000, d=8, directions=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, directions)) @ np.linalg.qr(rng.normal(size=(d, d)))[0][:directions]


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_effective_rank_counts_directions(directions):
    assert effective_rank(cloud(directions=directions)) == pytest.approx(directions, rel=0.01)


def test_effective_rank_is_that_of_rankme():
    z = cloud() * np.arange(1, 9)
    s = np.linalg.svd(z, compute_uv=False)
    p = s / np.abs(s).sum() + 1e-7
    assert effective_rank(z) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-4)
    assert effective_rank(3 * z + 0.0) == pytest.approx(effective_rank(z))


def test_an_offset_counts_as_a_direction_unless_it_is_taken_away():
    z = cloud() + 1e4
    assert effective_rank(z) < 1.1
    assert effective_rank(z, centred=True) == pytest.approx(8, rel=0.01)
    assert effective_rank(np.zeros((5, 3))) == 1.0


def test_deviations_alignment_and_target_variance_have_known_values():
    z = cloud() * 2
    np.testing.assert_allclose(deviations(z), 2, rtol=0.05)
    assert alignment(z, 5 * z) == pytest.approx(0) and alignment(z, -z) == pytest.approx(4)
    places = np.broadcast_to(np.arange(6.0)[:, None], (50, 6, 3))
    assert target_variance(places) == 0
    noise = np.random.default_rng(0).normal(size=(5000, 6, 3))
    assert target_variance(places[:1] + 0.5 * noise) == pytest.approx(0.25, rel=0.02)


def test_uniformity_is_zero_in_one_place_and_that_of_a_circle_on_a_circle():
    assert uniformity(np.ones((50, 3))) == pytest.approx(0)
    angle = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # the mean of exp(−2 (2 − 2 cos a)) over a circle is exp(−4) I₀(4)
    assert uniformity(circle) == pytest.approx(np.log(np.exp(-4) * np.i0(4)), abs=5e-3)
    assert uniformity(cloud()) < uniformity(cloud(directions=2)) < uniformity(cloud() + 5)


def test_neighbours_agree_where_labels_lie_apart():
    z = cloud(n=400)
    labels = np.where(z[:, 0] > 0, "a", "b")
    z[:, 0] += 20 * (labels == "a")
    assert neighbours_agree(z, labels) == 1.0
    chance = neighbours_agree(z, np.random.default_rng(0).permutation(labels))
    assert 0.4 < chance < 0.6


def test_what_is_told_from_places_alone_is_not_foreseen():
    rng = np.random.default_rng(0)
    places, own = rng.normal(size=(1, 9, 4)), rng.normal(size=(400, 9, 4))
    targets = 3 * places + own
    assert foreseen(np.broadcast_to(3 * places, targets.shape), targets) == pytest.approx(0.5, abs=0.02)
    assert foreseen(3 * places + 0.5 * own, targets) > 0.9


def dials(rank=20.0, spread=0.3, target_variance=0.5):
    return Dials(rank, 64, spread, 0.1, -2.0, target_variance, 0.7)


def test_collapse_begins_after_two_checks_and_says_what_fell():
    fine = [dials(), dials(18), dials(21)]
    assert begins(fine) is None and begins(fine[:1]) is None
    assert begins([*fine, dials(3)]) is None
    assert "effective rank fell from 20 to 2.5" in begins([*fine, dials(3), dials(2.5)])
    assert "spread of Z fell" in begins([*fine, dials(spread=0.05), dials(spread=0.01)])
    said = begins([dials(), dials(target_variance=0.01), dials(target_variance=0.02)])
    assert "variance of the targets fell from 0.5 to 0.02" in said and "autoencoder" in said


def test_dials_read_a_collapsed_encoder_as_such():
    rng = np.random.default_rng(0)
    z, y = cloud(n=300), rng.integers(0, 3, 300)
    targets = rng.normal(size=(300, 4, 8))
    healthy = Dials.read(z, z, targets, targets + 0.1, y)
    same = np.ones((300, 8)) + 1e-6 * z
    collapsed = Dials.read(same, same, np.ones((300, 4, 8)), np.ones((300, 4, 8)))
    assert healthy.rank > 7.5 and healthy.target_variance == pytest.approx(1, rel=0.05)
    assert collapsed.spread < 1e-5 and collapsed.target_variance == 0 and collapsed.uniformity > -1e-6
    assert healthy.foreseen == 1 and collapsed.foreseen == 0.5
    assert begins([healthy, collapsed, collapsed]) is not None
    assert "neighbours" in healthy.words() and "neighbours" not in collapsed.words()
    assert "neighbours" in healthy.figures() and "neighbours" not in collapsed.figures()
