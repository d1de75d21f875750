"""What is kept from training, to be measured on."""

from __future__ import annotations

import numpy as np
import pytest

from latentspace import Autoencoder
from latentspace.data._holdout import hold_out
from latentspace.data.sources import read_items


def rows(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3))


def _held(n: int, share: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    _, items = read_items(rows(n))
    return hold_out(items, share, seed=0)


@pytest.mark.parametrize(("n", "count"), [(19, 0), (30, 5), (50, 10), (1000, 100), (60_000, 5000)])
def test_how_many_are_held_out(n: int, count: int) -> None:
    train, held = _held(n)
    assert len(held) == count and len(train) == n - count
    assert not set(train) & set(held)


def test_nothing_is_held_out_when_nothing_is_asked() -> None:
    assert len(_held(1000, share=0)[1]) == 0


def test_held_out_items_repeat_with_the_seed() -> None:
    _, items = read_items(rows(200))
    assert np.array_equal(hold_out(items, 0.1, 1)[1], hold_out(items, 0.1, 1)[1])
    assert not np.array_equal(hold_out(items, 0.1, 1)[1], hold_out(items, 0.1, 2)[1])


@pytest.mark.parametrize("series", [1, 12])
def test_windows_that_share_samples_are_never_on_both_sides(series: int) -> None:
    rng = np.random.default_rng(0)
    recording = {"X": rng.normal(size=(6000, 2)), "lengths": np.full(series, 6000 // series)}
    _, items = read_items(recording, modality="signal", window=32, hop=8)
    train, held = hold_out(items, 0.1, seed=0)
    starts = items.values.starts
    gaps = np.abs(starts[train][:, None] - starts[held][None, :])
    assert len(held) >= 0.08 * len(items) and len(train) >= 0.6 * len(items)
    assert gaps.min() >= 32
    if series > 1:
        assert not set(items.values.series[train]) & set(items.values.series[held])


def test_early_stopping_is_judged_on_windows_that_share_no_sample_with_training() -> None:
    recording = np.random.default_rng(0).normal(size=(6000, 2))
    _, items = read_items({"X": recording}, modality="signal", window=32, hop=8)
    fit, held = Autoencoder()._split(items, seed=0)
    starts = items.values.starts
    assert np.abs(starts[fit][:, None] - starts[held][None, :]).min() >= 32
    assert len(held) >= 0.08 * len(items)
