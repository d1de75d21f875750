"""Numbers as whole numbers and back: exactly, or within a bound that is kept for every one of them.

A number x of a field has the level ℓ with

    x = (low + every · ℓ) / base ** digits      where the numbers lie on a grid (whole, decimal or binary ones), or
    x = (low + ℓ) · step                        where a bound is given and they lie on none,

rounded to the field's own type. A number that does not come back (bit for bit, or within the bound) does not *fit*;
it is stored as it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Facts", "Scale", "find_scale"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: decimals and binary places that are looked for
MOST_DECIMALS, MOST_BINARY = 9, 40
#: levels of one field lie within so many
MOST_LEVELS = 2**62
#: whole numbers that a float holds
_WHOLE = 2**53
#: a grid must hold at least this share of the numbers
_ENOUGH = 0.9
#: with a bound, this share may fall outside of it by rounding
_FEW = 0.001
#: numbers kept to find the grid from
_SAMPLE = 2**16


@dataclass(frozen=True)
class Scale:
    """How the numbers of a field become levels; `top` is the highest level."""

    low: int = 0
    top: int = 0
    every: int = 1
    base: int = 10
    digits: int = 0
    step: float = 0.0

    def levels(self, values: Array, bound: float = 0.0) -> tuple[NDArray[np.int64], Mask]:
        """Levels like `values`, and which fit; the level of those that do not is 0."""
        if values.dtype.kind in "iu":
            levels, fits = self._of_whole(values)
        else:
            levels, fits = self._of_floats(values)
        back = self.values(levels, values.dtype)
        fits &= within(values, back, bound)
        return np.where(fits, levels, 0), fits

    def _of_whole(self, values: Array) -> tuple[NDArray[np.int64], Mask]:
        info = np.iinfo(values.dtype)
        last = min(self.low + self.every * self.top + self.every // 2, info.max)
        inside = np.asarray((values >= self.low) & (values <= last))
        off = values.astype(np.uint64) - np.uint64(self.low % 2**64)
        levels = (off + np.uint64(self.every // 2)) // np.uint64(self.every)
        return np.where(inside, levels, np.uint64(0)).astype(np.int64), inside

    def _of_floats(self, values: Array) -> tuple[NDArray[np.int64], Mask]:
        with np.errstate(all="ignore"):
            wide = values.astype(np.float64)
            k = np.rint(wide / self.step) if self.step else np.rint(wide * float(self.base) ** self.digits)
            last = self.low + self.every * self.top + self.every // 2
            inside = (k >= self.low) & (k <= last)  # False for NaN
        whole = np.where(inside, k, float(self.low)).astype(np.int64)
        return (whole - self.low + self.every // 2) // self.every, inside

    def values(self, levels: NDArray[np.int64], dtype: Any) -> Array:
        """The numbers of `dtype` that have these levels."""
        dtype = np.dtype(dtype)
        if dtype.kind in "iu":
            most = np.iinfo(dtype).max - self.low
            above = np.minimum(levels.astype(np.uint64) * np.uint64(self.every), np.uint64(most))
            return np.asarray((above + np.uint64(self.low % 2**64)).astype(dtype))
        with np.errstate(all="ignore"):
            if self.step:
                return ((self.low + levels).astype(np.float64) * self.step).astype(dtype)
            whole = (self.low + self.every * levels).astype(np.float64)
            return (whole / float(self.base) ** self.digits).astype(dtype)

    def to_json(self) -> dict[str, Any]:
        """What differs from a scale of nothing."""
        plain = asdict(Scale())
        return {k: v for k, v in asdict(self).items() if v != plain[k]}


def within(values: Array, back: Array, bound: float) -> Mask:
    """Which of `back` are `values` bit for bit, or, where there is a bound, at most that far from them."""
    bits = f"u{values.dtype.itemsize}"
    same = np.ascontiguousarray(values).view(bits) == np.ascontiguousarray(back).view(bits)
    if bound <= 0:
        return np.asarray(same)
    if values.dtype.kind in "iu":
        apart = np.maximum(values, back).astype(np.uint64) - np.minimum(values, back).astype(np.uint64)
        return np.asarray(apart <= np.uint64(min(int(bound), 2**63)))
    with np.errstate(all="ignore"):
        near = np.abs(back.astype(np.float64) - values.astype(np.float64)) <= bound
    return np.asarray(same | near)


class Facts:
    """What is to be known of a field's numbers before they become levels, gathered part by part."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.low: Any = None
        self.high: Any = None
        self.count = 0
        self._parts: list[Array] = []
        self._kept = 0

    def see(self, values: Array) -> None:
        """Take in some of the numbers, those that are not finite left out."""
        flat = values.reshape(-1)
        if flat.dtype.kind == "f":
            with np.errstate(all="ignore"):
                finite = np.isfinite(flat)
                flat = flat if finite.all() else flat[finite]
        self.count += flat.size
        if not flat.size:
            return
        low, high = flat.min(), flat.max()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if self._kept < 4 * _SAMPLE:
            part = flat[:: max(1, flat.size // _SAMPLE)].copy()
            self._parts.append(part)
            self._kept += part.size

    @property
    def span(self) -> float:
        """Highest less lowest number; 0 where there is none."""
        if self.low is None:
            return 0.0
        half = float(self.high) / 2 - float(self.low) / 2  # the whole may be more than a float holds
        return min(2 * half, float(np.finfo(np.float64).max))

    @property
    def sample(self) -> Array:
        """Some of the numbers, in their order, the lowest and the highest last."""
        return np.concatenate([*self._parts, np.array([self.low, self.high], self.dtype)])


def find_scale(facts: Facts, bound: float = 0.0) -> Scale | None:
    """The scale with the fewest levels under which (nearly) all numbers fit; None where there is none."""
    if facts.low is None:
        return Scale()
    found = [s for s in _grids(facts) if s is not None]
    if bound > 0:
        found = [c for s in found for c in _coarser(s, bound)] + [_steps(facts, bound)]  # type: ignore[list-item]
    usable = [s for s in found if s is not None and _fit(s, facts, bound)]
    return min(usable, key=lambda s: s.top, default=None)


def _fit(scale: Scale, facts: Facts, bound: float) -> bool:
    if scale.top >= MOST_LEVELS:
        return False
    fits = scale.levels(facts.sample, bound)[1].mean()
    return bool(fits >= (1 - _FEW if bound > 0 else _ENOUGH))


def _grids(facts: Facts) -> list[Scale | None]:
    if facts.dtype.kind in "iu":
        return [_whole(facts.sample, int(facts.low), int(facts.high), Scale())]
    decimal = _finest(facts.sample, 10, MOST_DECIMALS)
    binary = _finest(facts.sample, 2, MOST_BINARY)
    return [_on_grid(facts, 10, decimal), _on_grid(facts, 2, binary)]


def _finest(sample: Array, base: int, most: int) -> int | None:
    """The fewest digits that hold (nearly) as many of the numbers as any do."""
    best, digits = _ENOUGH, None
    few = sample[:: max(1, len(sample) // 2**12)]
    for d in range(most + 1):
        share = _held(few, base, d)
        if share > best + 0.002 or (digits is None and share >= best):
            best, digits = share, d
        if share == 1:
            break
    return digits


def _held(sample: Array, base: int, digits: int) -> float:
    """The share of the numbers that are whole after `digits` places, and come back bit for bit."""
    with np.errstate(all="ignore"):
        k = np.rint(sample.astype(np.float64) * float(base) ** digits)
        back = (k / float(base) ** digits).astype(sample.dtype)
    return float((within(sample, back, 0.0) & (np.abs(k) < _WHOLE)).mean())


def _on_grid(facts: Facts, base: int, digits: int | None) -> Scale | None:
    if digits is None:
        return None
    with np.errstate(all="ignore"):
        k = np.rint(facts.sample.astype(np.float64) * float(base) ** digits)
    if not (np.abs(k) < _WHOLE).all():
        return None
    k = k[within(facts.sample, (k / float(base) ** digits).astype(facts.dtype), 0.0)]
    whole = k.astype(np.int64)
    return _whole(whole, int(whole.min()), int(whole.max()), Scale(base=base, digits=digits), facts)


def _whole(sample: Array, low: int, high: int, scale: Scale, facts: Facts | None = None) -> Scale | None:
    """The coarsest grid of whole numbers that holds the sample, from `low` to `high`."""
    if facts is not None:  # the ends themselves may be off the grid
        ends = [round(float(v) * float(scale.base) ** scale.digits) for v in (facts.low, facts.high)]
        low, high = min(low, ends[0]), max(high, ends[1])
    if high - low >= MOST_LEVELS:
        return None
    steps = np.unique((sample.astype(np.uint64) - np.uint64(int(sample[0]) % 2**64)).astype(np.int64))
    every = int(np.gcd.reduce(np.abs(steps))) or 1
    first = int(sample[0])
    low = first - -(-(first - low) // every) * every
    return Scale(low, -(-(high - low) // every), every, scale.base, scale.digits)


def _coarser(scale: Scale, bound: float) -> list[Scale]:
    """Every m-th line of a grid, with m odd and m // 2 lines within the bound; m less where that is on the edge."""
    spacing = scale.every / float(scale.base) ** scale.digits
    half = int(min(bound / spacing * (1 + 1e-12), 2**40))
    made = []
    for lines in {half, max(half - 1, 0)}:
        m = 2 * lines + 1
        every = scale.every * m
        made.append(Scale(scale.low, (scale.top + lines) // m, every, scale.base, scale.digits))
    return made


def _steps(facts: Facts, bound: float) -> Scale | None:
    """Steps of twice the bound, a hair less so that rounding cannot leave it."""
    if facts.dtype.kind in "iu":
        return None
    step = 2 * bound * (1 - 1e-6)
    low, high = float(facts.low) / step, float(facts.high) / step
    if not step > 0 or not max(abs(low), abs(high)) < _WHOLE / 2:
        return None
    return Scale(round(low), round(high) - round(low), step=step)
