"""Noise told, taken off and judged without clean items; gaps filled; pairs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from latentspace.errors import DataError, OptionError
from latentspace.models import corrector
from latentspace.models.arrangement import arrangement
from latentspace.models.classics import Shrinkage, non_local_means, smoothing, wavelets
from latentspace.models.noise import estimate_noise
from latentspace.models.paired import PairedRestorer
from latentspace.models.recorruption import ALPHA, Damage, Trial, gain, noise_score
from latentspace.models.restorer import Restorer

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def few_steps() -> Iterator[None]:
    """Enough of them for items as simple as these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corrector, "MOST_STEPS", 150)
        yield


def discs(n: int, side: int = 16, seed: int = 0) -> np.ndarray:
    """(n, 1, side, side) discs of unequal size and place, bright on dark, soft at the edge."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    places = draw.uniform(4, side - 4, size=(2, n, 1, 1))
    far = np.hypot(x - places[0], y - places[1]) - draw.uniform(2, 5, size=(n, 1, 1))
    return np.asarray(2 / (1 + np.exp(2 * far)) - 0.5, np.float32)[:, None]


def factors(n: int, columns: int = 12, seed: int = 0) -> np.ndarray:
    """(n, columns) rows that three numbers make, each column of variance 1."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, 3)) @ np.random.default_rng(9).normal(size=(3, columns))
    return np.asarray(x / x.std(axis=0), np.float32)


def noisy(x: np.ndarray, level: float, seed: int = 1) -> np.ndarray:
    return x + np.random.default_rng(seed).normal(size=x.shape).astype(np.float32) * np.float32(level)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean((a - b) ** 2))


# the noise


@pytest.mark.parametrize("level", [0.15, 0.5])
def test_the_level_is_told_from_pictures_curves_and_rows(level: float) -> None:
    curves = np.sin(np.arange(100) / 9 + rng.uniform(0, 6, size=(80, 1, 1)))
    for clean in (discs(200), curves, factors(2000)):
        found = estimate_noise(noisy(clean, level))
        assert found.kind == "gaussian" and found.trusted
        assert found.level == pytest.approx(level, rel=0.12)
        assert found.low < found.level < found.high


def test_no_noise_is_found_where_there_is_none() -> None:
    assert estimate_noise(discs(200)).kind == "none"
    drawn = (discs(200) > 0.5).astype(np.float32)
    assert estimate_noise(drawn).kind == "none"


def test_the_level_is_not_believed_where_columns_tell_nothing_of_each_other() -> None:
    spread = np.linspace(0.5, 1.5, 12)
    found = estimate_noise(np.random.default_rng(0).normal(size=(1000, 12)) * spread)
    assert not found.trusted and "columns" in found.words()


def test_few_rows_of_many_columns_tell_it_too() -> None:
    curves = np.asarray(factors(150, 100))
    assert estimate_noise(noisy(curves, 0.4)).level == pytest.approx(0.4, rel=0.1)
    assert not estimate_noise(rng.normal(size=(150, 100))).trusted


def test_salt_and_pepper_is_told_from_cut_off_noise() -> None:
    clean = discs(200)
    spoilt, u = clean.copy(), rng.random(clean.shape)
    spoilt[u < 0.05], spoilt[u > 0.95] = clean.min(), clean.max()
    assert estimate_noise(spoilt).kind == "salt-and-pepper"
    cut = np.clip(noisy(clean, 0.5), clean.min(), clean.max())
    assert estimate_noise(cut).kind == "gaussian"


@pytest.mark.parametrize("options", [{"kind": "pink"}, {"level": -1.0}, {"kind": "salt-and-pepper"}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        estimate_noise(factors(50), **options)  # type: ignore[arg-type]


# scores without clean items


def test_the_score_without_clean_items_is_the_error_from_them() -> None:
    clean = factors(3000)
    x = noisy(clean, 0.5)
    shrinkage = Shrinkage.fit(x[:2000], 0.5)
    told = noise_score(shrinkage.apply, x[2000:], None, 0.5).mean()
    again = noisy(clean[2000:], 0.5 * np.sqrt(1 + ALPHA**2), seed=5)
    assert told == pytest.approx(error(shrinkage.apply(again), clean[2000:]), rel=0.15)


def test_the_best_mean_of_restorations_is_found() -> None:
    clean = factors(500)
    trial = Trial.of(Damage(0.5), noisy(clean, 0.5), None, 0)
    given = [trial.spoilt, Shrinkage.fit(noisy(clean, 0.5), 0.5).apply(trial.spoilt), trial.spoilt * 0]
    weights = trial.weights(given)
    assert weights.sum() == pytest.approx(1) and weights.argmax() == 1
    mixed = trial.errors(sum(w * g for w, g in zip(weights, given, strict=True))).mean()
    assert mixed <= min(trial.errors(g).mean() for g in given) + 1e-6


def test_a_gain_has_an_interval() -> None:
    value, low, high = gain(np.full(50, 0.1), np.linspace(0.5, 1.5, 50))
    assert low < value < high and value == pytest.approx(10, abs=0.1)


# classical ways


def test_rows_that_are_pictures_or_curves_are_recognised() -> None:
    pictures = discs(300).reshape(300, -1)
    assert arrangement(noisy(pictures, 0.3)) == (1, 16, 16)
    assert arrangement(pictures[:, rng.permutation(256)]) is None
    assert arrangement(factors(300, 40)) is None


def test_filters_keep_shapes_and_take_noise_off() -> None:
    clean = discs(30)
    x = noisy(clean, 0.5)
    for restore in (smoothing(1.0), non_local_means(0.5), wavelets(0.5)):
        assert restore(x).shape == x.shape and error(restore(x), clean) < 0.8 * error(x, clean)


# restoring


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer.fit(noisy(discs(600), 0.5))


def test_unseen_pictures_are_restored_better_than_by_the_classical_ways(restorer: Restorer) -> None:
    clean = discs(200, seed=7)
    x = noisy(clean, 0.5, seed=8)
    ours = error(restorer.restore(x), clean)
    axes = Shrinkage.fit(noisy(discs(600), 0.5), 0.5)
    rivals = (axes.apply, smoothing(1.0), smoothing(1.4), non_local_means(0.5), wavelets(0.5))
    best = min(error(rival(x), clean) for rival in rivals)
    assert ours < 0.7 * best  # 1.5 dB
    assert restorer.changes and restorer.candidates[0].name == "network"


def test_the_gain_is_told_without_clean_items(restorer: Restorer) -> None:
    clean = discs(200, seed=7)
    x = noisy(clean, 0.5, seed=8)
    true = 10 * np.log10(error(x, clean) / error(restorer.restore(x), clean))
    network = restorer.candidates[0]
    # it is told at a little more noise than there is, so rather too low than too high
    assert true - 3 < network.gain < true + 0.5 and network.low < true


def test_an_untrained_network_is_no_better_than_the_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrector, "MOST_STEPS", 0)
    untrained = Restorer.fit(noisy(discs(600), 0.5))
    gains = {each.name: each.gain for each in untrained.candidates}
    assert gains["network"] == pytest.approx(gains["shrinkage"], abs=0.01)


def test_what_was_removed_looks_like_noise_and_lost_structure_does_not(restorer: Restorer) -> None:
    clean = discs(200, seed=7)
    x = noisy(clean, 0.5, seed=8)
    good = restorer.judge(x, restorer.restore(x))
    assert good.looks_like_noise and good.level == pytest.approx(0.5, rel=0.15)
    assert good.suspect.mean() < 0.01
    lost = restorer.judge(x, np.zeros_like(x))  # the discs are gone
    assert not lost.looks_like_noise and lost.suspect.mean() > 0.05


def test_what_cannot_be_told_from_noise_comes_back_bit_for_bit() -> None:
    x = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32) * np.linspace(
        0.5, 1.5, 6, dtype=np.float32
    )
    restorer = Restorer.fit(x)
    assert not restorer.changes and np.array_equal(restorer.restore(x), x)
    assert "left alone" in restorer.message


def test_gaps_are_filled_and_what_was_seen_stays() -> None:
    clean = factors(1200)
    seen = rng.random(clean.shape) > 0.2
    x = np.where(seen, clean, np.float32(77))
    restored = Restorer.fit(x[:1000], seen[:1000], kind="missing").restore(x[1000:], seen[1000:])
    gaps = ~seen[1000:]
    assert np.array_equal(restored[~gaps], clean[1000:][~gaps])
    assert error(restored[gaps], clean[1000:][gaps]) < 0.1 * clean.var()


@pytest.mark.slow
def test_missing_blocks_of_pictures_are_filled() -> None:
    clean = discs(600)
    seen = np.ones(clean.shape, bool)
    for each, (top, left) in zip(seen, rng.integers(0, 11, size=(600, 2)), strict=True):
        each[:, top : top + 5, left : left + 5] = False
    restorer = Restorer.fit(clean[:500], seen[:500], kind="missing")
    restored, gaps = restorer.restore(clean[500:] * seen[500:], seen[500:]), ~seen[500:]
    mean = np.broadcast_to(clean[:500].mean(axis=0), clean[500:].shape)
    assert error(restored[gaps], clean[500:][gaps]) < 0.3 * error(mean[gaps], clean[500:][gaps])


@pytest.mark.slow
def test_salt_and_pepper_goes_and_the_rest_stays() -> None:
    clean = discs(600)
    x, u = clean.copy(), rng.random(clean.shape)
    x[u < 0.1], x[u > 0.9] = clean.min(), clean.max()
    restored = Restorer.fit(x[:500]).restore(x[500:])
    assert error(restored, clean[500:]) < 0.1 * error(x[500:], clean[500:])
    assert np.mean(restored == x[500:]) > 0.7


@pytest.mark.slow
def test_one_large_picture_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrector, "MOST_STEPS", 60)
    y, x = np.mgrid[:96, :128]
    clean = (np.sin(x / 9) * np.cos(y / 13)).astype(np.float32)[None, None]
    restored = Restorer.fit(noisy(clean, 0.5)).restore(noisy(clean, 0.5))
    assert error(restored, clean) < 0.15 * 0.25


@pytest.mark.slow
def test_pairs_teach_what_no_noise_is() -> None:
    grey = discs(300)
    coloured = np.concatenate([grey, -grey, np.abs(grey)], axis=1)
    restorer = PairedRestorer.of_pairs(grey[:250], None, coloured[:250])
    restored = restorer.restore(grey[250:])
    assert restored.shape == coloured[250:].shape and error(restored, coloured[250:]) < 0.02 * coloured.var()


@pytest.mark.parametrize(
    ("clean", "words"),
    [(discs(40), "one is needed for each"), (discs(50, 12), "must be the same"), (factors(50), "must be")],
)
def test_pairs_that_do_not_match_are_refused(clean: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=words):
        PairedRestorer.of_pairs(discs(50), None, clean)


@pytest.mark.slow
def test_padding_is_no_gap() -> None:
    clean = discs(200)
    inside = np.ones(clean.shape, bool)
    inside[::2, :, :, :3] = False
    left_alone = Restorer.fit(clean, inside, fill=False)
    assert not left_alone.changes and np.array_equal(left_alone.restore(clean, inside), clean)
    x = noisy(clean, 0.5)
    restored = Restorer.fit(x, inside, fill=False).restore(x, inside)
    assert np.array_equal(restored[~inside], x[~inside])
    assert error(restored[inside], clean[inside]) < 0.2 * 0.25


def test_cut_off_noise_is_said_to_be() -> None:
    clean = discs(200)
    cut = np.clip(noisy(clean, 0.5), clean.min(), clean.max())
    assert (
        "cut off" in estimate_noise(cut).words()
        and "cut off" not in estimate_noise(noisy(clean, 0.5)).words()
    )
