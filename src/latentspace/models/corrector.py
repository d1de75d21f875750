"""A network that corrects a first guess: what is learnt to take noise off and to fill gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latentspace.models.classics import Shrinkage
from latentspace.models.recorruption import Damage, Trial
from latentspace.networks._unet import RowNet, UNet
from latentspace.networks.layers import seeded
from latentspace.training.restoring import Example, learn

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: multiplications that training may take, and steps at most; items in a step, of a grid and of rows
WORK, MOST_STEPS, MOST_ROW_STEPS, BATCH, ROW_BATCH = 3e12, 1000, 2000, 64, 128
#: sides that are learnt from at once: elements of a signal, pixels of a picture
CROP = {1: 256, 2: 32}
#: up to so many items the axes are learnt on one half for the other, so that they don't hold an item's own noise
CROSSED = 5000
#: levels at which the axes are tried where there are gaps but no noise
LEVELS = (0.03, 0.1, 0.3, 0.6)
#: values that the network is shown at once
SHOWN = 2**18


class Corrector:
    """What the principal axes make of an item (where there are enough of them), corrected by a network.

    shrinkage : the axes, or None. net : (guess, inputs) -> restored; it is shown the item, the guess and, where
    `gaps`, which elements are there.
    """

    def __init__(self, shrinkage: Shrinkage | None, shape: tuple[int, ...], gaps: bool, seed: int) -> None:
        self.shrinkage, self.gaps = shrinkage, gaps
        channels, gated = shape[0], shrinkage is not None
        shown = channels * (1 + gated + gaps)
        with seeded(seed):
            self.net: nn.Module = (
                RowNet(shown, channels) if len(shape) == 1 else UNet(shown, channels, len(shape) - 1, gated)
            )

    @classmethod
    def fit(
        cls,
        x: Array,
        seen: Mask | None,
        damage: Damage,
        trial: Trial,
        *,
        axes: bool = True,
        absolute: bool = False,
        seed: int = 0,
        tell: Callable[[float], None] | None = None,
    ) -> Corrector:
        """Learn from items x (n, *shape), 0 where not `seen`, as `damage` spoils them; `trial` says when to stop.

        axes : False where an element's place means nothing (tiles). absolute : learn medians, not means.
        """
        shrinkage = _axes(x, seen, damage.level, trial, seed) if axes else None
        self = cls(shrinkage, x.shape[1:], damage.gaps is not None, seed)
        batch = ROW_BATCH if x.ndim == 2 else BATCH
        few = slice(0, 4 * BATCH)
        keep, weight = (None if a is None else a[few] for a in (trial.keep, trial.weight))
        spoilt = trial.spoilt[few]
        held = example(spoilt, keep, self.guess(spoilt, keep), trial.target[few], weight, self.gaps, None)
        steps = steps_for(self.net, x.shape[1:], batch)
        learn(
            self.net,
            self._examples(x, seen, damage, batch, seed),
            [held],
            steps,
            absolute=absolute,
            tell=tell,
        )
        self.net.eval()
        return self

    def _examples(
        self, x: Array, seen: Mask | None, damage: Damage, batch: int, seed: int
    ) -> Iterator[Example]:
        """Batches of items spoilt anew, without end."""
        half, axes = self._crossed(x, seen, damage.level, seed)
        rng = np.random.default_rng(seed + 1)
        while True:
            rows = rng.integers(0, len(x), batch)
            spoilt, keep, target, weight = damage.spoil(x[rows], None if seen is None else seen[rows], rng)
            guess = np.empty_like(spoilt) if axes else spoilt
            for own, shrinkage in enumerate(axes):
                there = half[rows] == own
                guess[there] = shrinkage.apply(spoilt[there], None if keep is None else keep[there])
            yield example(spoilt, keep, guess, target, weight, self.gaps, rng)

    def _crossed(
        self, x: Array, seen: Mask | None, level: float, seed: int
    ) -> tuple[NDArray[np.int64], list[Shrinkage]]:
        """(which axes serve each training item, the axes): those of the other half, where there are few items."""
        if self.shrinkage is None or len(x) > CROSSED or len(x) < 8 or not level:
            return np.zeros(len(x), np.int64), [] if self.shrinkage is None else [self.shrinkage]
        half = np.random.default_rng(seed).permutation(len(x)) % 2
        others = [(x[half != own], None if seen is None else seen[half != own]) for own in (0, 1)]
        return half, [Shrinkage.fit(part, level, there, seed) for part, there in others]

    def guess(self, x: Array, seen: Mask | None) -> Array:
        """What the axes make of x (n, *shape), gaps filled; x itself where there are none."""
        return x if self.shrinkage is None else self.shrinkage.apply(x, seen)

    @torch.no_grad()
    def apply(self, x: Array, seen: Mask | None) -> Array:
        """(n, *shape) float32: x, 0 where not `seen`, restored."""
        made = np.empty_like(x)
        step = max(1, SHOWN // int(np.prod(x.shape[1:])))
        for start in range(0, len(x), step):
            part, there = x[start : start + step], None if seen is None else seen[start : start + step]
            one = example(part, there, self.guess(part, there), part, None, self.gaps, None)
            made[start : start + step] = self.net(one.guess, one.inputs).numpy()
        return made


def _axes(x: Array, seen: Mask | None, level: float, trial: Trial, seed: int) -> Shrinkage:
    """The axes for noise of that level; where there are only gaps, those that fill them best."""
    if level:
        return Shrinkage.fit(x, level, seen, seed)
    tried = [Shrinkage.fit(x, each, seen, seed) for each in LEVELS]
    errors = [np.nanmean(trial.errors(trial.given_back(each.apply))) for each in tried]
    return tried[int(np.argmin(errors))]


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
