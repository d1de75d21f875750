"""Items without their noise and with their gaps filled, learnt from the noisy items alone, or from pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError
from latentspace.models.arrangement import arrangement
from latentspace.models.classics import (
    WIDTHS,
    Shrinkage,
    has_skimage,
    median,
    non_local_means,
    smoothing,
    wavelets,
)
from latentspace.models.corrector import CROP, Corrector
from latentspace.models.noise import Noise, estimate_noise, spoilt_elements
from latentspace.models.recorruption import Candidate, Damage, Restore, Trial, gain, noise_score
from latentspace.models.removed import Removed, judge_removed

__all__ = ["Candidate", "Restorer", "noise_score"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: share of the items held out to choose by, and so many at least and at most; fewer than FEW are cut into tiles
HELD_OUT, LEAST_HELD, MOST_HELD, FEW = 0.15, 8, 400, 40
#: more than this, in dB, is not believed: what was taken for noise is none, or not of that level
BEYOND = 30.0
#: slow methods are only used where they are worth so much, in dB
SLOW, WORTH = ("non-local means", "wavelets"), 0.05
#: values restored at once
BLOCK_VALUES = 2**22


class Restorer:
    """Gives items back without their noise, and fills their gaps; learnt from the noisy items alone, or from pairs.

    A network corrects what the principal axes make of an item (`classics.Shrinkage`), and learns to from items with
    noise added anew (`recorruption`). Beside it stand the classical methods and leaving the item alone; held-out
    items, still without clean ones, say what each is worth, and the mean of them that is best is used.

    noise : what was found or told. candidates : what each way is worth, best first. message : what was chosen.
    changes : False where nothing beats leaving the items alone; gaps are filled all the same.

    >>> rng = np.random.default_rng(0)
    >>> clean = np.sin(np.arange(64) / 6 + rng.uniform(0, 6, size=(300, 1, 1))).astype("float32")
    >>> noisy = clean + 0.4 * rng.normal(size=clean.shape).astype("float32")
    >>> restorer = Restorer.fit(noisy)
    >>> error = np.mean((restorer.restore(noisy) - clean) ** 2)
    >>> bool(error < 0.2 * np.mean((noisy - clean) ** 2))
    True
    """

    noise: Noise
    candidates: list[Candidate]
    message: str
    changes: bool

    def __init__(
        self, shape: tuple[int, ...], noise: Noise, noisy: Mask | None, grid: tuple[int, ...] | None
    ):
        self.shape, self.noise, self.noisy, self.grid = shape, noise, noisy, grid
        self.made_shape = shape
        self.candidates, self.message, self.changes = [], "", False
        self.width = 0.0
        self.corrector: Corrector | None = None
        self.reconstruct: Callable[[Array], Array] | None = None
        self.origin: Array | None = None
        self.fill = True
        self.ends = (0.0, 0.0)
        self.weights: dict[str, float] = {}

    @property
    def level(self) -> float:
        """Standard deviation of the noise that is taken off; 0 where it is of another kind, or cannot be told."""
        return self.noise.level if self.noise.kind == "gaussian" and self.noise.trusted else 0.0

    # learning

    @classmethod
    def fit(
        cls,
        x: Array,
        observed: Mask | None = None,
        *,
        clean: Array | None = None,
        kind: str = "auto",
        level: float | None = None,
        reconstruct: Callable[[Array], Array] | None = None,
        noisy: Mask | None = None,
        arranged: bool = False,
        held: NDArray[np.intp] | None = None,
        origin: Array | None = None,
        fill: bool = True,
        seed: int = 0,
        tell: Callable[[str, float | None], None] | None = None,
    ) -> Restorer:
        """Learn from noisy encoded items x (n, *shape), gaps (not `observed`) at any value.

        kind, level : of the noise, found where left out. reconstruct : the space's d(e(x)), one of the candidates.
        noisy (*shape) : which elements may hold noise (numbers, not categories); None: all. arranged : rows may be
        pictures or curves written out flat: look whether they are. held : the rows to choose by, which `reconstruct`
        has not learnt from; it is left out where there are none. origin (*shape): the mean item that 0 stands for.
        fill : False where what was not observed is no gap but padding, to be left as it is.
        clean (n, ...): learn to give these back instead. tell(words, share).

        Raises OptionError for options that are none, DataError for pairs that don't match.
        """
        if clean is not None:
            from latentspace.models.paired import PairedRestorer

            return PairedRestorer.of_pairs(x, observed, clean, seed, tell)
        origin = None if origin is None else np.asarray(origin - origin.mean(), np.float32)
        x = np.asarray(x, np.float32) if origin is None else np.asarray(x + origin, np.float32)
        grid = arrangement(x) if arranged and x.ndim == 2 and observed is None else None
        shaped = x.reshape(len(x), *grid) if grid else x
        if noisy is not None and not noisy.any():
            noise = Noise("none", 0.0, 0.0, 0.0, True, "no element is a number.")
        else:
            part = shaped if noisy is None else shaped[:, noisy]
            seen = None if observed is None else observed if noisy is None else observed[:, noisy]
            noise = estimate_noise(part, seen, kind, level)
        self = cls(x.shape[1:], noise, noisy, grid)
        self.origin, self.reconstruct, self.fill = origin, reconstruct, fill
        self.ends = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
        self._learn(shaped, self._seen(shaped, observed), held, seed, tell or (lambda words, share: None))
        return self

    def _seen(self, x: Array, observed: Mask | None) -> Mask | None:
        """Which elements are to be believed: observed, and not spoilt."""
        if self.noise.kind != "salt-and-pepper":
            return None if observed is None or observed.all() else observed
        spoilt = spoilt_elements(x, observed, self.ends)
        return ~spoilt if observed is None else observed & ~spoilt

    def _learn(
        self,
        x: Array,
        seen: Mask | None,
        held: NDArray[np.intp] | None,
        seed: int,
        tell: Callable[[str, float | None], None],
    ) -> None:
        level = self.level
        whole = x.shape[1:]
        if len(x) < FEW and x.ndim > 2:
            x, seen = _tiles(x, seen)
        if (not level and not self._to_fill(seen)) or len(x) < 2:
            self._leave_alone()
            return
        if seen is not None:
            x = np.where(seen, x, np.float32(0))
        rng = np.random.default_rng(seed)
        if held is None or not len(held) or x.shape[1:] != whole:
            self.reconstruct = None
            held = held_rows(len(x), seed)
        train = np.setdiff1d(np.arange(len(x)), held)
        gaps = _patterns(seen, rng) if seen is not None and self._to_fill(seen) else None
        damage = Damage(level, self.noisy, gaps)
        parts = [None if seen is None else seen[r] for r in (train, held)]
        trial = Trial.of(damage, x[held], parts[1], seed)
        tell("learning to restore", 0.0)
        self.corrector = Corrector.fit(
            x[train],
            parts[0],
            damage,
            trial,
            axes=x.shape[1:] == whole,
            absolute=self.noise.kind == "salt-and-pepper",
            seed=seed,
            tell=lambda share: tell("learning to restore", share),
        )
        tell("choosing without clean items", None)
        self._choose(
            trial, level, Damage(self.noise.low, self.noisy) if level else damage, x[held], parts[1], seed
        )
        if self.corrector.shrinkage is not None and level:
            self.corrector.shrinkage = Shrinkage.fit(x, level, seen, seed)

    # choosing

    def _choose(
        self, trial: Trial, level: float, cautious: Damage, x: Array, seen: Mask | None, seed: int
    ) -> None:
        if trial.spoilt.ndim > 2 and level:
            self.width = self._smoothest(trial)
        methods = self._methods(trial.spoilt.ndim)
        given = {name: trial.given_back(restore) for name, restore in methods.items()}
        errors = {name: trial.errors(back) for name, back in given.items()}
        names = list(given)
        shares = dict(zip(names, trial.weights([given[name] for name in names]), strict=True))
        shares = self._without_slow(shares, trial, given)
        self.weights = {name: float(w) for name, w in shares.items() if w > 0}
        alone = errors["input"] - trial.added
        found = [
            Candidate(name, *gain(errors[name], alone, seed), self.weights.get(name, 0.0))
            for name in names
            if name != "input"
        ]
        found.append(Candidate("input", 0.0, 0.0, 0.0, self.weights.get("input", 0.0)))
        self.candidates = sorted(found, key=lambda c: -c.gain)
        mixed = trial.errors(sum(self.weights[name] * given[name] for name in self.weights))  # type: ignore[arg-type]
        # were there only as little noise as there may be, would it still be better than leaving alone?
        doubted = Trial.of(cautious, x, seen, seed + 2)
        kept = doubted.errors(doubted.spoilt) - doubted.added
        _, least, _ = gain(doubted.errors(doubted.given_back(self._mixed)), kept, seed)
        value, low, high = gain(mixed, alone, seed)
        self.changes = least > 0 and self.weights.get("input", 0) < 1 and (not level or low < BEYOND)
        self.message = self._words(value, low, high, level, self._to_fill(seen))

    def _without_slow(
        self, shares: dict[str, float], trial: Trial, given: dict[str, Array]
    ) -> dict[str, float]:
        """The shares with no slow method in them, where it is hardly worth its time."""
        quick = [name for name in shares if name not in SLOW]
        if not any(shares[name] > 0 for name in SLOW if name in shares):
            return shares
        fewer = dict(zip(quick, trial.weights([given[name] for name in quick]), strict=True))
        with_slow, without = (
            float(np.nanmean(trial.errors(sum(w * given[name] for name, w in s.items() if w > 0))))  # type: ignore[arg-type]
            for s in (shares, fewer)
        )
        return shares if without > with_slow * 10 ** (WORTH / 10) else fewer

    def _words(self, value: float, low: float, high: float, level: float, gaps: bool) -> str:
        interval = f"{value:.1f} dB (95 % interval {low:.1f} to {high:.1f})"
        parts = sorted(self.weights.items(), key=lambda item: -item[1])
        shares = (
            " and ".join(f"{100 * w:.0f} % {name}" for name, w in parts) if len(parts) > 1 else parts[0][0]
        )
        if not level:
            what = "Spoilt values and gaps" if self.noise.kind == "salt-and-pepper" else "Gaps"
            return f"{what} are filled by {shares}: {interval} better than by the mean, told by values hidden for it."
        if self.changes:
            better = f"{interval} better than leaving alone, estimated on held-out items without clean ones."
            return f"Restored by {shares}: {better}"
        if gaps:
            alone = "What was observed is left alone: nothing tried beats that beyond chance."
            return f"{alone} Gaps are filled by {shares}."
        if low >= BEYOND:
            return (
                f"These items are left alone: a gain of {value:.0f} dB would be too good to be true, so what looks "
                "like noise is none, or of another kind (tell kind and level, if you know them)."
            )
        return (
            "Nothing tried beats leaving these items alone beyond chance: they are given back as they are. "
            f"The best would gain {interval}, estimated without clean items."
        )

    def _to_fill(self, seen: Mask | None) -> bool:
        """Whether what is not seen is to be made up: gaps, and what salt and pepper spoilt."""
        return seen is not None and (self.fill or self.noise.kind == "salt-and-pepper")

    def _leave_alone(self) -> None:
        self.candidates = [Candidate("input", 0.0, 0.0, 0.0, 1.0)]
        self.weights = {"input": 1.0}
        self.message = f"The items are left alone. {self.noise.words()}"

    def _smoothest(self, trial: Trial) -> float:
        """The width of the smoothing that gives back most."""
        tried = {width: self._filter(smoothing(width)) for width in WIDTHS}
        errors = {w: np.nanmean(trial.errors(trial.given_back(f))) for w, f in tried.items()}
        return min(errors, key=lambda w: errors[w])

    def _methods(self, ndim: int) -> dict[str, Restore]:
        """Name → what it makes of (x, seen), x of so many axes; the axes fill gaps before a filter sees them."""
        methods: dict[str, Restore] = {"input": lambda x, seen: x, "shrinkage": self._guess}
        if self.reconstruct is not None and self.grid is None:
            methods["autoencoder"] = lambda x, seen: self._whole(self.reconstruct, x)
        if self.corrector is not None:
            methods["network"] = self.corrector.apply
            if self.corrector.shrinkage is None:
                del methods["shrinkage"]
        if ndim > 2:
            methods["median"] = self._filter(median)
        if ndim > 2 and self.level:
            methods["smoothing"] = self._filter(smoothing(self.width))
            if has_skimage():
                methods["wavelets"] = self._filter(wavelets(self.level))
            if has_skimage() and ndim == 4:
                methods["non-local means"] = self._filter(non_local_means(self.level))
        return methods

    def _filter(self, apply: Callable[[Array], Array]) -> Restore:
        def restore(x: Array, seen: Mask | None) -> Array:
            return apply(x if seen is None else np.where(seen, x, self._guess(x, seen)))

        return restore

    # restoring

    def restore(
        self,
        x: Array,
        observed: Mask | None = None,
        tell: Callable[[str, float | None], None] | None = None,
    ) -> NDArray[np.float32]:
        """(n, *shape) float32: x without its noise, gaps filled in; a bounded number of items at a time."""
        x = np.asarray(x, np.float32)
        if x.shape[1:] != self.shape:
            raise DataError(
                f"Items of shape {x.shape[1:]} cannot be restored by what was learnt from {self.shape}."
            )
        made = np.empty((len(x), *self.made_shape), np.float32)
        step = max(1, BLOCK_VALUES // int(np.prod(self.made_shape)))
        for start in range(0, len(x), step):
            if tell is not None:
                tell("restoring", start / len(x))
            rows = slice(start, start + step)
            made[rows] = self._block(x[rows], None if observed is None else observed[rows])
        return made

    def _block(self, x: Array, seen: Mask | None) -> Array:
        """A bounded number of items restored."""
        part = x if self.origin is None else x + self.origin
        if self.grid:
            part = part.reshape(-1, *self.grid)
            seen = None if seen is None else seen.reshape(part.shape)
        return self._restored(part, self._seen(part, seen) if self.changes else seen, x)

    def _restored(self, x: Array, seen: Mask | None, given: Array) -> Array:
        """Items `given`, as x (n, *grid) with 0 at its origin, restored; what is not changed stays bit for bit."""
        everywhere = self.changes and self.level > 0
        if not everywhere and (not self._to_fill(seen) or seen is None or seen.all()):
            return given
        made = self._mixed(x if seen is None else np.where(seen, x, np.float32(0)), seen).reshape(given.shape)
        if self.origin is not None:
            made = made - self.origin
        touched = np.full(given.shape, everywhere)
        if self.noisy is not None:
            touched &= self.noisy
        if seen is not None:
            unseen = ~seen.reshape(given.shape)
            touched = touched | unseen if self._to_fill(seen) else touched & ~unseen
        return np.where(touched, made, given)

    def _mixed(self, x: Array, seen: Mask | None) -> Array:
        if not self.changes and self.weights.get("input", 0) > 0.5:
            return self._guess(x, seen)  # gaps are filled even where nothing else is done
        methods = self._methods(x.ndim)
        total: Array = np.zeros_like(x)
        for name, weight in self.weights.items():
            total += np.float32(weight) * methods[name](x, seen)
        return total

    def _whole(self, apply: Any, x: Array) -> Array:
        """What a function of whole encoded items makes of x, which has 0 at its origin."""
        origin = np.float32(0) if self.origin is None else self.origin
        return np.asarray(apply(x.reshape(-1, *self.shape) - origin) + origin, np.float32).reshape(x.shape)

    def _guess(self, x: Array, seen: Mask | None) -> Array:
        """What the principal axes make of x; the mean in gaps where no axes were learnt."""
        return x if self.corrector is None else self.corrector.guess(x, seen)

    def judge(self, x: Array, restored: Array, observed: Mask | None = None) -> Removed:
        """Whether what was removed looks like noise, and where more was changed than noise explains."""
        return judge_removed(np.asarray(x, np.float32), restored, self.noise, observed)


def held_rows(n: int, seed: int) -> NDArray[np.intp]:
    """The rows, of n items, that ways to restore are chosen by."""
    least = max(1, min(LEAST_HELD, n // 2))
    return np.random.default_rng(seed).permutation(n)[: int(np.clip(HELD_OUT * n, least, MOST_HELD))]


def _patterns(seen: Mask, rng: np.random.Generator) -> Mask:
    """Up to 500 items' own gaps, to hide elements by; none where gaps leave nothing of most items."""
    gaps = ~seen
    rows = np.flatnonzero(gaps.reshape(len(gaps), -1).any(axis=1))
    return np.asarray(gaps[rng.permutation(rows)[:500]])


def _tiles(x: Array, seen: Mask | None) -> tuple[Array, Mask | None]:
    """Few large items as many small ones, so that some can be held out."""
    crop = CROP[x.ndim - 2]

    def cut(a: Array) -> Array:
        for axis in range(2, a.ndim):
            size = min(crop, a.shape[axis])
            count = a.shape[axis] // size
            pieces = [np.take(a, range(i * size, (i + 1) * size), axis) for i in range(count)]
            a = np.concatenate(pieces)
        return a

    return cut(x), None if seen is None else cut(seen)
