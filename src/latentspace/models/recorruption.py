"""What a restoration is worth, and what it is learnt from, told without clean items.

Recorrupted-to-Recorrupted (Pang, Zheng, Quan and Ji, 2021): of a noisy x, two versions are made, x + a s w and
x - s w / a, with fresh noise w of the same deviation s. Their noises are independent, so that giving back the second
from the first is, up to a constant, giving back the clean item. Gaps: some of what was observed is hidden and asked
for, in the shapes in which the items' own gaps come (Batson and Royer, 2019, call such masks J-invariant).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]
#: (n, *shape) spoilt items and which of their elements are there -> (n, *shape) restored ones
Restore = Callable[[Array, Mask | None], Array]

#: how much of the noise is added again
ALPHA = 0.5
#: share of the observed elements that are hidden where the items' gaps have no shape of their own
HIDDEN = 0.15
#: values looked at in a score, and new versions made of every item at most
SCORED, VERSIONS = 2_000_000, 8
#: a method with a smaller weight is left out
LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class Candidate:
    """One way to restore: its gain over leaving the items alone, in dB, with a 95 % interval, and its weight."""

    name: str
    gain: float
    low: float
    high: float
    weight: float


@dataclass(frozen=True)
class Damage:
    """Spoils items further, so that giving back what was spoilt can be learnt and measured.

    level : standard deviation of the noise, 0 for none. noisy : (*shape) which elements hold noise, None for all.
    gaps : some items' own gaps (m, *shape) to hide elements by; None where there are no gaps to be filled.
    """

    level: float
    noisy: Mask | None = None
    gaps: Mask | None = None

    @property
    def added(self) -> float:
        """The squared error that spoiling adds to an item: what leaving it alone does not have."""
        return (ALPHA * self.level) ** 2

    def spoil(
        self, x: Array, seen: Mask | None, rng: np.random.Generator
    ) -> tuple[Array, Mask | None, Array, Array | None]:
        """(spoilt x, which elements are left, target, weight of each element or None), of x (n, *shape)."""
        keep, weight = seen, None if seen is None else seen.astype(np.float32)
        if self.gaps is not None:
            seen = np.ones(x.shape, bool) if seen is None else seen
            keep = seen & ~self._hidden(x.shape, rng)
            weight = (seen if self.level else seen & ~keep).astype(np.float32)
        spoilt, target = x, x
        if self.level:
            noise = self.level * rng.standard_normal(x.shape, np.float32)
            if self.noisy is not None:
                noise *= self.noisy
                weight = np.broadcast_to(self.noisy, x.shape) * (1 if weight is None else weight)
            spoilt, target = x + np.float32(ALPHA) * noise, x - noise / np.float32(ALPHA)
        if keep is not None:
            spoilt = np.where(keep, spoilt, np.float32(0))
        return spoilt.astype(np.float32, copy=False), keep, target.astype(np.float32, copy=False), weight

    def _hidden(self, shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
        assert self.gaps is not None
        if not len(self.gaps):
            return rng.random(shape) < HIDDEN
        return np.asarray(self.gaps[rng.integers(0, len(self.gaps), shape[0])])


class Trial:
    """Held-out items spoilt once and for all; what each restoration gives back of them is measured on the same.

    x (n, *shape); errors are squared differences from the clean items, estimated, (n,) an item. floor : what
    clean items would be off by; added : what spoiling adds to an item left alone.
    """

    def __init__(
        self,
        spoilt: Array,
        keep: Mask | None,
        target: Array,
        weight: Array | None,
        n: int | None = None,
        floor: Any = 0.0,
        added: float = 0.0,
    ) -> None:
        self.spoilt, self.keep, self.target, self.weight = spoilt, keep, target, weight
        self.n, self.floor, self.added = len(spoilt) if n is None else n, floor, added

    @classmethod
    def of(cls, damage: Damage, x: Array, seen: Mask | None, seed: int) -> Trial:
        """Items x (n, *shape) spoilt by `damage`, several times where they are few."""
        rng = np.random.default_rng(seed)
        times = (int(np.clip(SCORED // max(x.size, 1), 1, VERSIONS)), *(1,) * (x.ndim - 1))
        many, seen_of_many = np.tile(x, times), None if seen is None else np.tile(seen, times)
        spoilt, keep, target, weight = damage.spoil(many, seen_of_many, rng)
        # what clean items would be off by: their noise, and what was added to it, which is known to the last digit
        floor = damage.level**2 + _mean_square(target - many, weight)
        return cls(spoilt, keep, target, weight, len(x), floor, damage.added)

    def given_back(self, restore: Restore) -> Array:
        """What `restore` makes of the spoilt items."""
        return np.asarray(restore(self.spoilt, self.keep), np.float32)

    def errors(self, restored: Array) -> NDArray[np.float64]:
        """(n,) estimated squared error of each item, all its versions together; NaN where nothing of it counts."""
        each = (_mean_square(restored - self.target, self.weight) - self.floor).reshape(-1, self.n)
        counted = np.isfinite(each)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(counted, each, 0).sum(axis=0) / counted.sum(axis=0))

    def weights(self, restored: list[Array]) -> NDArray[np.float64]:
        """(m,) shares of m restorations, none negative, summing to 1, whose mean has the least squared error."""
        from scipy.optimize import nnls  # type: ignore[import-untyped]

        weight = 1.0 if self.weight is None else np.sqrt(self.weight)
        off = np.stack([((r - self.target) * weight).ravel() for r in restored])
        # the error of a mean with weights that sum to 1 is w'Gw: least under the sum, which a heavy row enforces
        gram = (off @ off.T).astype(float) / off.shape[1]
        values, vectors = np.linalg.eigh(gram)
        root = (np.sqrt(np.maximum(values, 0)) * vectors).T
        heavy = 1e4 * np.sqrt(np.trace(gram))
        found, _ = nnls(np.vstack([root, np.full(len(gram), heavy)]), np.append(np.zeros(len(gram)), heavy))
        found[found < LEAST_WEIGHT * found.sum()] = 0
        return np.asarray(found / found.sum())


def _mean_square(off: Array, weight: Array | None) -> NDArray[np.float64]:
    """(n,) weighted mean square of each item's elements; NaN where none counts."""
    squares = (off**2).reshape(len(off), -1)
    if weight is None:
        return np.asarray(squares.mean(axis=1, dtype=float))
    counted = weight.reshape(len(off), -1)
    with np.errstate(invalid="ignore"):
        return np.asarray((squares * counted).sum(axis=1, dtype=float) / counted.sum(axis=1, dtype=float))


def gain(ours: Array, alone: Array, seed: int = 0) -> tuple[float, float, float]:
    """(gain, low, high) in dB of errors `ours` (n,) over leaving the items `alone` (n,): 95 % bootstrap interval."""
    counted = np.isfinite(ours) & np.isfinite(alone)
    ours, alone = ours[counted], alone[counted]
    if not len(ours):
        return 0.0, -np.inf, np.inf
    rows = np.random.default_rng(seed).integers(0, len(ours), (400, len(ours)))
    value = _decibels(alone.mean(), ours.mean())
    low, high = np.quantile(_decibels(alone[rows].mean(axis=1), ours[rows].mean(axis=1)), [0.025, 0.975])
    return float(value), float(low), float(high)


def _decibels(alone: Any, ours: Any) -> Any:
    least = 1e-4 * np.maximum(np.abs(alone), 1e-12)
    return 10 * np.log10(np.maximum(alone, least) / np.maximum(ours, least))


def noise_score(
    restore: Restore, x: Array, observed: Mask | None, level: float, seed: int = 0
) -> NDArray[np.float64]:
    """(n,) squared error of `restore` on noisy items x (n, *shape), estimated without clean ones.

    It is measured at slightly more noise than x have: level * sqrt(1 + ALPHA²). Leaving alone has that, squared.

    >>> rng = np.random.default_rng(0)
    >>> noisy = 0.5 * rng.normal(size=(200, 50)).astype("float32")  # of items that are all 0
    >>> half = noise_score(lambda x, seen: x / 2, noisy, None, 0.5)
    >>> bool(abs(half.mean() - 0.25 * 0.25 * 1.25) < 0.01)
    True
    """
    trial = Trial.of(Damage(level), x, observed, seed)
    return trial.errors(trial.given_back(restore))
