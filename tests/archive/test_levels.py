"""Levels: exactly or within the bound, on the coarsest grid, and what does not fit is said to."""

from __future__ import annotations

import numpy as np
import pytest

from latentspace.archive.levels import Facts, Scale, find_scale


def scale_of(values: np.ndarray, bound: float = 0.0) -> Scale | None:
    facts = Facts(values.dtype)
    for part in np.array_split(values, 3):
        facts.see(part)
    return find_scale(facts, bound)


def back_of(values: np.ndarray, bound: float = 0.0) -> tuple[np.ndarray, np.ndarray, Scale]:
    scale = scale_of(values, bound)
    assert scale is not None
    levels, fits = scale.levels(values, bound)
    assert levels.min() >= 0 and levels.max() <= scale.top
    return scale.values(levels, values.dtype), fits, scale


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_whole_numbers_to_the_ends_of_their_type(dtype: str) -> None:
    info = np.iinfo(dtype)
    near_top = np.array([info.max, info.max - 6, info.max - 3, info.max], dtype)
    near_low = np.array([info.min, info.min + 10, info.min], dtype)
    for values in (near_top, near_low):
        back, fits, scale = back_of(values)
        assert fits.all() and (back == values).all()
        assert scale.top == (2 if values is near_top else 1)  # every 3rd, every 10th
        back, fits, _ = back_of(values, 2.0)
        assert fits.all()
        assert max(abs(int(a) - int(b)) for a, b in zip(values, back, strict=True)) <= 2


def test_a_range_beyond_62_bits_has_no_levels() -> None:
    assert scale_of(np.array([-(2**63), 2**63 - 1, 5], np.int64)) is None
    assert scale_of(np.array([0, 2**64 - 1], np.uint64)) is None


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_decimal_numbers_are_whole_ones(dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = (rng.integers(-2000, 3000, 5000) / 200).astype(dtype)  # every 0.005
    back, fits, scale = back_of(values)
    assert fits.all() and back.tobytes() == values.tobytes()
    assert scale.top <= 5000 and scale.every in (1, 5)


def test_binary_fractions_are_whole_ones() -> None:
    values = np.random.default_rng(0).integers(0, 2**20, 4000) / 2**13 + 256
    back, fits, scale = back_of(values)
    assert fits.all() and (back == values).all() and scale.base == 2 and scale.top < 2**20


def test_noise_has_no_grid_but_has_steps() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    assert scale_of(values) is None
    for bound in (1e-1, 1e-3, 1e-9):
        back, fits, scale = back_of(values, bound)
        assert fits.all() and np.abs(back - values).max() <= bound
        assert scale.top <= 1.00001 * np.ptp(values) / (2 * bound) + 2


def test_what_does_not_fit_is_said_to() -> None:
    values = np.arange(1000) / 100
    values[[3, 50, 70, 90]] = [-0.0, np.nan, np.inf, np.pi]
    back, fits, _ = back_of(values)
    assert (~fits).nonzero()[0].tolist() == [3, 50, 70, 90]
    assert back[fits].tobytes() == values[fits].tobytes()


def test_a_bound_on_a_grid_takes_every_odd_line() -> None:
    """Numbers every 0.01 within 0.02 keep every fifth line: wider than steps of 0.04."""
    values = np.random.default_rng(0).integers(0, 10000, 5000) / 100
    back, fits, scale = back_of(values, 0.0201)
    assert scale.every == 5 and scale.step == 0 and fits.all()
    assert np.abs(back - values).max() <= 0.0201
    back, fits, scale = back_of(values, 0.0049)  # finer than the grid: exact costs less than steps
    assert scale.every == 1 and (back == values).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e4, 1e30])
def test_the_bound_holds_for_every_number_that_fits(dtype: str, size: float) -> None:
    with np.errstate(all="ignore"):
        values = (np.random.default_rng(1).standard_cauchy(3000) * size).astype(dtype)
    facts = Facts(dtype)
    facts.see(values)
    for share in (1e-1, 1e-4, 1e-7):
        bound = facts.span * share
        scale = find_scale(facts, bound) if np.isfinite(bound) and bound > 0 else None
        if scale is None:
            continue
        levels, fits = scale.levels(values, bound)
        back = scale.values(levels, values.dtype)
        wide = np.abs(back.astype(np.float64) - values.astype(np.float64))
        assert (wide[fits] <= bound).all() and fits[np.isfinite(values)].mean() > 0.99


@pytest.mark.parametrize("values", [[5], [np.nan], [], [1.0, 1.0], [-0.0], [np.inf, -np.inf]])
def test_few_numbers(values: list[float]) -> None:
    array = np.array(values, float)
    facts = Facts(array.dtype)
    facts.see(array)
    scale = find_scale(facts) or Scale()
    levels, fits = scale.levels(array)
    back = scale.values(levels, array.dtype)
    assert back[fits].tobytes() == array[fits].tobytes()
