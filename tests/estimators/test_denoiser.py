"""Denoiser: arrays, frames, pictures, spaces and pairs; options and their errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from latentspace import Autoencoder, Denoiser
from latentspace.errors import DataError, OptionError
from latentspace.models import corrector

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is not how well the network learns."""
    monkeypatch.setattr(corrector, "MOST_STEPS", 60)
    monkeypatch.setattr(corrector, "MOST_ROW_STEPS", 100)


def curves(n: int, level: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    clean = np.sin(np.arange(48) / 5 + rng.uniform(0, 6, size=(n, 1)))
    return clean, clean + level * rng.normal(size=clean.shape)


def test_flat_curves_are_restored_in_their_own_type() -> None:
    clean, noisy = curves(400)
    denoiser = Denoiser(random_state=0).fit(noisy[:300])
    restored = denoiser.transform(noisy[300:])
    assert restored.dtype == noisy.dtype and restored.shape == (100, 48)
    assert np.mean((restored - clean[300:]) ** 2) < 0.4 * 0.09
    assert denoiser.noise_.kind == "gaussian" and "dB" in denoiser.message_
    assert {c.name for c in denoiser.candidates_} >= {"network", "shrinkage", "input", "smoothing"}
    assert denoiser.judge(noisy[300:]).looks_like_noise


def test_what_is_left_alone_is_the_same_bit_for_bit() -> None:
    x = rng.normal(size=(300, 5)) * np.linspace(0.5, 1.5, 5)
    denoiser = Denoiser(random_state=0).fit(x)
    assert np.array_equal(denoiser.transform(x), x) and "left alone" in denoiser.message_


def test_frames_keep_names_categories_and_what_was_observed() -> None:
    z = rng.normal(size=(500, 2))
    frame = pd.DataFrame(z @ rng.normal(size=(2, 6)), columns=list("abcdef"))
    frame["kind"] = np.where(z[:, 0] > 0, "left", "right")
    gaps = frame.mask(rng.random(frame.shape) < 0.1)
    restored = Denoiser(kind="missing", random_state=0).fit_transform(gaps)
    assert list(restored.columns) == list(frame.columns) and not restored.isna().any().any()
    assert ((restored["kind"] == gaps["kind"]) | gaps["kind"].isna()).all()
    hidden = gaps["a"].isna()
    assert np.mean((restored["a"] - frame["a"])[hidden] ** 2) < 0.5 * frame["a"].var()


def test_a_fitted_model_lends_its_modality() -> None:
    _, noisy = curves(300)
    model = Autoencoder(4, epochs=2, random_state=0).fit(noisy)
    denoiser = Denoiser(model=model, random_state=0).fit(noisy)
    assert denoiser.model_ is model and denoiser.transform(noisy[:3]).shape == (3, 48)


def test_pairs_may_have_colours_and_labels_are_no_pairs() -> None:
    grey = rng.random((60, 12, 12)).astype("float32")
    coloured = np.stack([grey, 1 - grey, grey / 2], axis=-1)
    assert Denoiser(random_state=0).fit(grey, coloured).transform(grey[:2]).shape == (2, 12, 12, 3)
    assert Denoiser(random_state=0).fit(grey, np.zeros(60)).transform(grey[:2]).shape == (2, 12, 12)
    with pytest.raises(DataError, match="y must be the clean version of each"):
        Denoiser(random_state=0).fit(grey, coloured[:50])


@pytest.mark.parametrize("options", [{"kind": "pink"}, {"noise": -1}, {"noise": "much"}, {"model": 3}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Denoiser(**options).fit(rng.normal(size=(30, 4)))


def test_the_same_seed_gives_the_same_items() -> None:
    _, noisy = curves(200)
    first, second = (Denoiser(random_state=3).fit_transform(noisy) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.slow
def test_large_pictures_are_restored_at_their_own_size() -> None:
    y, x = np.mgrid[:100, :120]
    clean = np.stack([np.sin(x / 9) * np.cos(y / 13), np.sin(y / 7)]).astype("float32")
    noisy = clean + 0.3 * rng.normal(size=clean.shape).astype("float32")
    restored = Denoiser(random_state=0).fit_transform(noisy)
    assert restored.shape == clean.shape and np.mean((restored - clean) ** 2) < 0.4 * 0.09


def test_gaps_that_were_not_there_before_are_filled_by_the_mean() -> None:
    x = rng.normal(3, 1, size=(200, 4)) * np.linspace(0.5, 1.5, 4)
    denoiser = Denoiser(random_state=0).fit(x)
    gaps = x[:5].copy()
    gaps[0, 1] = np.nan
    restored = denoiser.transform(gaps)
    assert restored[0, 1] == pytest.approx(x[:, 1].mean(), rel=0.05)
    assert np.array_equal(restored[1:], gaps[1:])
