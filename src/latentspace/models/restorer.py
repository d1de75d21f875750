"""Items without their noise and with their gaps filled, learnt from the noisy items alone, or from pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
from latentspace.models.noise import Noise, Removed, estimate_noise, judge_removed, spoilt_elements
from latentspace.models.recorruption import Candidate, Damage, Restore, Trial, gain, noise_score
from latentspace.networks.layers import seeded
from latentspace.networks.unet import RowNet, UNet
from latentspace.training.restoring import Example, learn

__all__ = ["Candidate", "Restorer", "noise_score"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: share of the items held out to choose by, and so many at most; fewer items than FEW are cut into tiles
HELD_OUT, MOST_HELD, FEW = 0.15, 400, 40
#: multiplications that training may take, and steps at most; items in a step, of a grid and of rows
WORK, MOST_STEPS, MOST_ROW_STEPS, BATCH, ROW_BATCH = 3e12, 1000, 2000, 64, 128
#: sides that are learnt from at once: elements of a signal, pixels of a picture
CROP = {1: 256, 2: 32}
#: up to so many items the axes are learnt on one half for the other, so that they don't hold an item's own noise
CROSSED = 5000
#: levels at which the axes are tried where there are gaps but no noise
LEVELS = (0.03, 0.1, 0.3, 0.6)
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
        self.candidates, self.message, self.changes = [], "", False
        self.shrinkage: Shrinkage | None = None
        self.net: nn.Module | None = None
        self.width = 0.0
        self.reconstruct: Callable[[Array], Array] | None = None
        self.origin: Array | None = None
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
        seed: int = 0,
        tell: Callable[[str, float | None], None] | None = None,
    ) -> Restorer:
        """Learn from noisy encoded items x (n, *shape), gaps (not `observed`) at any value.

        kind, level : of the noise, found where left out. reconstruct : the space's d(e(x)), one of the candidates.
        noisy (*shape) : which elements may hold noise (numbers, not categories); None: all. arranged : rows may be
        pictures or curves written out flat: look whether they are. held : the rows to choose by, which `reconstruct`
        has not learnt from; it is left out where there are none. origin (*shape): the mean item that 0 stands for.
        clean (n, ...): learn to give these back instead. tell(words, share). Raises
        OptionError for options that are none, DataError for pairs that don't match.
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
        self.origin, self.reconstruct = origin, reconstruct
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
        if (not level and seen is None) or len(x) < 2:
            self._leave_alone()
            return
        if seen is not None:
            x = np.where(seen, x, np.float32(0))
        whole = x.shape[1:]
        if len(x) < FEW and x.ndim > 2:
            x, seen = _tiles(x, seen)
        rng = np.random.default_rng(seed)
        if held is None or not len(held) or x.shape[1:] != whole:
            self.reconstruct = None
            held = held_rows(len(x), seed)
        train = np.setdiff1d(np.arange(len(x)), held)
        gaps = None if seen is None else _patterns(seen, rng)
        damage = Damage(level, self.noisy, gaps)
        parts = [None if seen is None else seen[r] for r in (train, held)]
        trial = Trial.of(damage, x[held], parts[1], seed)
        if x.shape[1:] == whole:
            tell("learning the principal axes", None)
            self._learn_axes(x[train], parts[0], level, trial, seed)
        tell("learning to restore", 0.0)
        self._learn_net(x[train], parts[0], damage, trial, seed, lambda s: tell("learning to restore", s))
        tell("choosing without clean items", None)
        self._choose(
            trial, level, Damage(self.noise.low, self.noisy) if level else damage, x[held], parts[1], seed
        )
        if self.shrinkage is not None and level:
            self.shrinkage = Shrinkage.fit(x, level, seen, seed)

    def _learn_axes(self, x: Array, seen: Mask | None, level: float, trial: Trial, seed: int) -> None:
        if level:
            self.shrinkage = Shrinkage.fit(x, level, seen, seed)
            return
        tried = [Shrinkage.fit(x, tried, seen, seed) for tried in LEVELS]
        errors = [np.nanmean(trial.errors(trial.given_back(each.apply))) for each in tried]
        self.shrinkage = tried[int(np.argmin(errors))]

    def _learn_net(
        self,
        x: Array,
        seen: Mask | None,
        damage: Damage,
        trial: Trial,
        seed: int,
        tell: Callable[[float], None],
    ) -> None:
        guesses = self._crossed(x, seen, damage.level, seed)
        net = self._new_net(x.shape[1:], damage.gaps is not None, seed)
        batch = ROW_BATCH if x.ndim == 2 else BATCH
        steps = steps_for(net, x.shape[1:], batch)

        def examples() -> Iterator[Example]:
            rng = np.random.default_rng(seed + 1)
            while True:
                rows = rng.integers(0, len(x), batch)
                spoilt, keep, target, weight = damage.spoil(
                    x[rows], None if seen is None else seen[rows], rng
                )
                guess = spoilt
                if guesses is not None:
                    guess = np.empty_like(spoilt)
                    for half, shrinkage in enumerate(guesses[1]):
                        own = guesses[0][rows] == half
                        guess[own] = shrinkage.apply(spoilt[own], None if keep is None else keep[own])
                yield example(spoilt, keep, guess, target, weight, damage.gaps is not None, rng)

        few = slice(0, 4 * BATCH)
        tried = self._guess(trial.spoilt[few], None if trial.keep is None else trial.keep[few])
        keep, weight = (None if a is None else a[few] for a in (trial.keep, trial.weight))
        held = example(
            trial.spoilt[few], keep, tried, trial.target[few], weight, damage.gaps is not None, None
        )
        learn(net, examples(), [held], steps, absolute=self.noise.kind == "salt-and-pepper", tell=tell)
        self.net = net.eval()

    def _new_net(self, shape: tuple[int, ...], gaps: bool, seed: int) -> nn.Module:
        channels = shape[0]
        shown = channels * ((2 if self.shrinkage is not None else 1) + gaps)
        with seeded(seed):
            return (
                RowNet(shown, channels)
                if len(shape) == 1
                else UNet(shown, channels, len(shape) - 1, gated=self.shrinkage is not None)
            )

    def _crossed(
        self, x: Array, seen: Mask | None, level: float, seed: int
    ) -> tuple[Array, list[Shrinkage]] | None:
        """(which axes serve each training item, the axes): those of the other half, where there are few items."""
        if self.shrinkage is None:
            return None
        if len(x) > CROSSED or len(x) < 8 or not level:
            return np.zeros(len(x), int), [self.shrinkage]
        half = np.random.default_rng(seed).permutation(len(x)) % 2
        axes = [
            Shrinkage.fit(x[half != own], level, None if seen is None else seen[half != own], seed)
            for own in (0, 1)
        ]
        return half, axes

    # choosing

    def _choose(
        self, trial: Trial, level: float, cautious: Damage, x: Array, seen: Mask | None, seed: int
    ) -> None:
        methods = self._methods(level, trial)
        given = {name: trial.given_back(restore) for name, restore in methods.items()}
        errors = {name: trial.errors(back) for name, back in given.items()}
        names = list(given)
        shares = dict(zip(names, trial.weights([given[name] for name in names]), strict=True))
        shares = self._without_slow(shares, trial, given, errors)
        self.weights = {name: float(w) for name, w in shares.items() if w > 0}
        alone = errors["input"]
        found = [
            Candidate(name, *gain(errors[name], alone, seed), self.weights.get(name, 0.0)) for name in names
        ]
        self.candidates = sorted(found, key=lambda c: -c.gain)
        mixed = trial.errors(sum(self.weights[name] * given[name] for name in self.weights))  # type: ignore[arg-type]
        # were there only as little noise as there may be, would it still be better than leaving alone?
        doubted = Trial.of(cautious, x, seen, seed + 2)
        _, least, _ = gain(
            doubted.errors(doubted.given_back(self._mixed)), doubted.errors(doubted.spoilt), seed
        )
        value, low, high = gain(mixed, alone, seed)
        self.changes = least > 0 and self.weights.get("input", 0) < 1 and (not level or low < BEYOND)
        self.message = self._words(value, low, high, level, seen is not None)

    def _without_slow(
        self, shares: dict[str, float], trial: Trial, given: dict[str, Array], errors: dict[str, Array]
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

    def _leave_alone(self) -> None:
        self.candidates = [Candidate("input", 0.0, 0.0, 0.0, 1.0)]
        self.weights = {"input": 1.0}
        self.message = f"The items are left alone. {self.noise.words()}"

    def _methods(self, level: float, trial: Trial) -> dict[str, Restore]:
        """Name → what it makes of (x, seen); gaps are filled by the axes before a filter sees them."""
        methods: dict[str, Restore] = {"input": lambda x, seen: x}
        if self.shrinkage is not None:
            methods["shrinkage"] = self.shrinkage.apply
        if self.reconstruct is not None and self.grid is None:
            methods["autoencoder"] = lambda x, seen: self._whole(self.reconstruct, x)
        if self.net is not None:
            methods["network"] = self._by_net
        if trial.spoilt.ndim > 2:
            if level:
                tried = {width: self._filter(smoothing(width)) for width in WIDTHS}
                errors = {w: np.nanmean(trial.errors(trial.given_back(f))) for w, f in tried.items()}
                self.width = min(errors, key=lambda w: errors[w])
                methods["smoothing"] = self._filter(smoothing(self.width))
            methods["median"] = self._filter(median)
            if level and has_skimage():
                if trial.spoilt.ndim == 4:
                    methods["non-local means"] = self._filter(non_local_means(level))
                methods["wavelets"] = self._filter(wavelets(level))
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
        made = np.empty_like(x)
        step = max(1, BLOCK_VALUES // int(np.prod(self.shape)))
        for start in range(0, len(x), step):
            if tell is not None:
                tell("restoring", start / len(x))
            rows = slice(start, start + step)
            part = x[rows] if self.origin is None else x[rows] + self.origin
            part = part.reshape(-1, *self.grid) if self.grid else part
            seen = None if observed is None else observed[rows]
            if self.grid and seen is not None:
                seen = seen.reshape(part.shape)
            seen = self._seen(part, seen) if self.changes else seen
            made[rows] = self._restored(part, seen, x[rows])
        return made

    def _restored(self, x: Array, seen: Mask | None, given: Array) -> Array:
        """Items `given`, as x (n, *grid) with 0 at its origin, restored; what is not changed stays bit for bit."""
        everywhere = self.changes and self.level > 0
        if not everywhere and (seen is None or seen.all()):
            return given
        made = self._mixed(x if seen is None else np.where(seen, x, np.float32(0)), seen).reshape(given.shape)
        if self.origin is not None:
            made = made - self.origin
        touched = np.full(given.shape, everywhere)
        if self.noisy is not None:
            touched &= self.noisy
        if seen is not None:
            touched |= ~seen.reshape(given.shape)
        return np.where(touched, made, given)

    def _mixed(self, x: Array, seen: Mask | None) -> Array:
        level = self.noise.level
        ways: dict[str, Callable[[], Restore]] = {
            "input": lambda: lambda a, s: a,
            "shrinkage": lambda: self._guess,
            "autoencoder": lambda: lambda a, s: self._whole(self.reconstruct, a),
            "network": lambda: self._by_net,
            "smoothing": lambda: self._filter(smoothing(self.width)),
            "median": lambda: self._filter(median),
            "non-local means": lambda: self._filter(non_local_means(level)),
            "wavelets": lambda: self._filter(wavelets(level)),
        }
        weights = self.weights
        if (
            not self.changes and weights.get("input", 0) > 0.5
        ):  # gaps are filled even where nothing else is done
            weights = {"shrinkage": 1.0}
        total: Array = np.zeros_like(x)
        for name, weight in weights.items():
            total += np.float32(weight) * ways[name]()(x, seen)
        return total

    def _whole(self, apply: Any, x: Array) -> Array:
        """What a function of whole encoded items makes of x, which has 0 at its origin."""
        origin = np.float32(0) if self.origin is None else self.origin
        return np.asarray(apply(x.reshape(-1, *self.shape) - origin) + origin, np.float32).reshape(x.shape)

    def _guess(self, x: Array, seen: Mask | None) -> Array:
        return x if self.shrinkage is None else self.shrinkage.apply(x, seen)

    @torch.no_grad()
    def _by_net(self, x: Array, seen: Mask | None) -> Array:
        assert self.net is not None
        made = np.empty_like(x)
        step = max(1, 2**18 // int(np.prod(x.shape[1:])))
        gaps = seen is not None or self._shown_gaps(x.shape[1])
        for start in range(0, len(x), step):
            part, s = x[start : start + step], None if seen is None else seen[start : start + step]
            one = example(part, s, self._guess(part, s), part, None, gaps, None)
            made[start : start + step] = self.net(one.guess, one.inputs).numpy()
        return made

    def _shown_gaps(self, channels: int) -> bool:
        settings: Any = self.net.settings  # type: ignore[union-attr]
        return bool(settings["n_in"] > channels * (2 if self.shrinkage is not None else 1))

    def judge(self, x: Array, restored: Array, observed: Mask | None = None) -> Removed:
        """Whether what was removed looks like noise, and where more was changed than noise explains."""
        return judge_removed(np.asarray(x, np.float32), restored, self.noise, observed)


def example(
    spoilt: Array,
    keep: Mask | None,
    guess: Array,
    target: Array,
    weight: Array | None,
    gaps: bool,
    rng: np.random.Generator | None,
    show_guess: bool = True,
) -> Example:
    """What the network is shown: the spoilt items, the guess where it differs, which elements are there; cropped."""
    shown = [spoilt, guess] if show_guess and guess is not spoilt else [spoilt]
    if gaps:
        shown.append(np.ones_like(spoilt) if keep is None else keep.astype(np.float32))
    whole: list[Array | None] = [guess, np.concatenate(shown, axis=1), target, weight]
    if rng is not None and spoilt.ndim > 2:
        crop = CROP[spoilt.ndim - 2]
        for axis in range(2, spoilt.ndim):
            if spoilt.shape[axis] > crop:
                start = int(rng.integers(0, spoilt.shape[axis] - crop + 1))
                at = (slice(None),) * axis + (slice(start, start + crop),)
                whole = [None if a is None else a[at] for a in whole]
    tensors = [None if a is None else torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in whole]
    return Example(*tensors)  # type: ignore[arg-type]


def held_rows(n: int, seed: int) -> NDArray[np.intp]:
    """The rows, of n items, that ways to restore are chosen by."""
    return np.random.default_rng(seed).permutation(n)[: int(np.clip(HELD_OUT * n, 1, MOST_HELD))]


def steps_for(net: nn.Module, shape: tuple[int, ...], batch: int) -> int:
    """Steps that a training may take, by the multiplications of one."""
    if len(shape) == 1:
        each = sum(p.numel() for p in net.parameters())
        return int(np.clip(WORK / (3 * each * batch), 200, MOST_ROW_STEPS))
    sides = [min(side, CROP[len(shape) - 1]) for side in shape[1:]]
    settings: Any = net.settings
    positions = np.prod(sides) / (2.0 * (3 - len(sides))) ** len(sides)
    # halved at each level, with four (two) times the weights: a level costs about as much as the one above
    each = positions * sum(p.numel() for p in net.parameters()) / settings["levels"]
    return int(np.clip(WORK / (3 * each * batch), 200, MOST_STEPS))


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
