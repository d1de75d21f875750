"""Restoration learnt from pairs: noisy and clean, grey and coloured, watermarked and not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latentspace.errors import DataError
from latentspace.models.corrector import BATCH, ROW_BATCH, SHOWN, example, steps_for
from latentspace.models.noise import Noise
from latentspace.models.recorruption import Candidate, Trial, gain
from latentspace.models.removed import Removed
from latentspace.models.restorer import MOST_HELD, Restorer
from latentspace.networks._unet import RowNet, UNet
from latentspace.networks.layers import seeded
from latentspace.training.restoring import Example, learn

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: share of the pairs held out to choose by, and pairs that are needed
HELD_OUT, ENOUGH = 0.15, 10
#: elements that the linear map is learnt from, and how far it is kept from extremes
SEEN, RIDGE = 200_000, 1e-3


class PairedRestorer(Restorer):
    """Gives back what the second item of each pair is to the first.

    A linear map (of the channels of each pixel or sample; of the columns of rows) is the guess, a network corrects
    it. Beside it stand that map alone and, where both have one shape, leaving the item alone; held-out pairs choose.
    """

    #: the linear map (weight, bias); whether the network is shown where gaps are; the network
    linear: tuple[Array, Array]
    gaps: bool
    net: nn.Module

    @classmethod
    def of_pairs(
        cls,
        x: Array,
        observed: Mask | None,
        clean: Array,
        seed: int = 0,
        tell: Callable[[str, float | None], None] | None = None,
    ) -> PairedRestorer:
        """Learn from items x (n, *shape) and the clean version of each, (n, *other shape) of the same sides.

        Raises DataError where numbers or sides differ, or there are fewer than ENOUGH pairs.
        """
        x, clean = (np.asarray(a, np.float32) for a in (x, clean))
        _check(x, clean)
        self = cls(x.shape[1:], Noise("pairs", 0.0, 0.0, 0.0, True, "learnt from pairs."), None, None)
        self.made_shape = clean.shape[1:]
        rows = np.random.default_rng(seed).permutation(len(x))
        held = rows[: int(np.clip(HELD_OUT * len(x), 2, MOST_HELD))]
        train = rows[len(held) :]
        self.linear = _linear_map(x[train], clean[train], seed)
        self.gaps = observed is not None and not observed.all()
        trial = Trial(x[held], None if observed is None else observed[held], clean[held], None)
        seen = None if observed is None else observed[train]
        self._learn_pairs(x[train], seen, clean[train], trial, seed, tell)
        self._choose_by_pairs(trial, seed)
        return self

    def _learn_pairs(
        self, x: Array, seen: Mask | None, clean: Array, trial: Trial, seed: int, tell: Any
    ) -> None:
        shown, made = x.shape[1] * (1 + self.gaps), clean.shape[1]
        with seeded(seed):
            net = RowNet(shown, made) if x.ndim == 2 else UNet(shown, made, x.ndim - 2)
        batch = min(len(x), ROW_BATCH if x.ndim == 2 else BATCH)

        def examples() -> Iterator[Example]:
            rng = np.random.default_rng(seed + 1)
            while True:
                rows = rng.integers(0, len(x), batch)
                yield self._example(x[rows], None if seen is None else seen[rows], clean[rows], rng)

        few = slice(0, 4 * BATCH)
        held = self._example(
            trial.spoilt[few], None if trial.keep is None else trial.keep[few], trial.target[few], None
        )
        heard = None if tell is None else lambda share: tell("learning to restore", share)
        learn(net, examples(), [held], steps_for(net, x.shape[1:], batch), tell=heard)
        self.net = net.eval()

    def _example(
        self, x: Array, seen: Mask | None, target: Array, rng: np.random.Generator | None
    ) -> Example:
        return example(x, seen, self._linear(x), target, None, self.gaps, rng, show_guess=False)

    def _choose_by_pairs(self, trial: Trial, seed: int) -> None:
        same = self.made_shape == self.shape
        given = {"input": trial.spoilt} if same else {}
        given |= {"linear": self._linear(trial.spoilt), "network": self._by_pairs(trial.spoilt, trial.keep)}
        errors = {name: trial.errors(back) for name, back in given.items()}
        shares = trial.weights(list(given.values()))
        self.weights = {name: float(w) for name, w in zip(given, shares, strict=True) if w > 0}
        alone = errors["input" if same else "linear"]
        found = [Candidate(n, *gain(e, alone, seed), self.weights.get(n, 0.0)) for n, e in errors.items()]
        self.candidates = sorted(found, key=lambda c: -c.gain)
        mixed = trial.errors(sum(self.weights[n] * given[n] for n in self.weights))  # type: ignore[arg-type]
        value, low, high = gain(mixed, alone, seed)
        self.changes = not same or low > 0
        than = "leaving alone" if same else "a linear map"
        shares_said = " and ".join(f"{100 * w:.0f} % {n}" for n, w in self.weights.items())
        self.message = (
            f"Restored by {shares_said}: {value:.1f} dB (95 % interval {low:.1f} to {high:.1f}) better than {than} "
            f"on {len(alone):,} held-out pairs."
            if self.changes
            else "Nothing learnt from these pairs beats leaving the items alone beyond chance: they are given back."
        )

    def _linear(self, x: Array) -> Array:
        weight, bias = self.linear
        if x.ndim == 2:
            return np.asarray(x @ weight + bias, np.float32)
        made = np.einsum("nc...,cd->nd...", x, weight) + bias.reshape(-1, *(1,) * (x.ndim - 2))
        return np.asarray(made, np.float32)

    @torch.no_grad()
    def _by_pairs(self, x: Array, seen: Mask | None) -> Array:
        made = np.empty((len(x), *self.made_shape), np.float32)
        step = max(1, SHOWN // int(np.prod(self.made_shape)))
        for start in range(0, len(x), step):
            rows = slice(start, start + step)
            one = self._example(x[rows], None if seen is None else seen[rows], x[rows], None)
            made[rows] = self.net(one.guess, one.inputs).numpy()
        return made

    def _block(self, x: Array, seen: Mask | None) -> Array:
        """A bounded number of items restored, (n, *made_shape)."""
        if not self.changes:
            return x
        given: dict[str, Callable[[], Array]] = {
            "input": lambda: x,
            "linear": lambda: self._linear(x),
            "network": lambda: self._by_pairs(x, seen),
        }
        parts = [np.float32(weight) * given[name]() for name, weight in self.weights.items()]
        return np.asarray(np.sum(parts, axis=0))

    def judge(self, x: Array, restored: Array, observed: Mask | None = None) -> Removed:
        """What was changed; of another shape than the items, nothing can be said."""
        if restored.shape == x.shape:
            return super().judge(x, restored, observed)
        return Removed(0.0, 0.0, 0.0, False, np.zeros(restored.shape, bool))


def _check(x: Array, clean: Array) -> None:
    if len(x) != len(clean):
        raise DataError(f"There are {len(x):,} items and {len(clean):,} clean ones: one is needed for each.")
    if len(x) < ENOUGH:
        raise DataError(f"{len(x)} pairs are too few to learn from: at least {ENOUGH} are needed.")
    if x.ndim != clean.ndim or (x.ndim > 2 and x.shape[2:] != clean.shape[2:]):
        raise DataError(
            f"The items have shape {x.shape[1:]}, their clean versions {clean.shape[1:]}: height and width, or "
            "length, must be the same."
        )


def _linear_map(x: Array, clean: Array, seed: int) -> tuple[Array, Array]:
    """(weight, bias) of the least-squares map from the channels (columns) of x to those of `clean`."""
    a, b = (v.reshape(*v.shape[:2], -1).swapaxes(1, 2).reshape(-1, v.shape[1]) for v in (x, clean))
    rows = np.random.default_rng(seed).permutation(len(a))[:SEEN]
    a, b = a[rows].astype(float), b[rows].astype(float)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    a -= mean_a
    gram = a.T @ a
    weight = np.linalg.solve(
        gram + RIDGE * (np.trace(gram) / len(gram) + 1e-9) * np.eye(len(gram)), a.T @ (b - mean_b)
    )
    return weight.astype(np.float32), (mean_b - mean_a @ weight).astype(np.float32)
