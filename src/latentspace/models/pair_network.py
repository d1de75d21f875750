"""A network learnt from pairs that are the same or different, where there are enough of them to teach one."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from latentspace.errors import DataError, OptionError
from latentspace.models.base import Tell
from latentspace.models.defaults import device as device_of
from latentspace.models.framing import Frame
from latentspace.models.known_pairs import KnownPairs
from latentspace.networks.layers import seeded
from latentspace.networks.pair_encoder import PairEncoder
from latentspace.objectives.likeness import loss_name, needs_both, pair_loss

Array = NDArray[Any]

#: steps of training, items in each, and of how many groups where the groups are classes
STEPS, BATCH, GROUPS = 500, 96, 32
#: greatest learning rate, and weight decay, of AdamW with one cycle
RATE, DECAY = 2e-3, 0.05
#: how pictures and signals are damaged: degrees turned, log of size, shear, shift (of half a side), bends
TURN, SIZE, SHEAR, SHIFT, BEND = 12.0, 0.12, 0.15, 0.06, 0.05
#: rows of numbers: the share of values that are another item's
SWAPPED = 0.1
#: items that go through the network together
BLOCK = 500


@dataclass(frozen=True)
class PairTraining:
    """How a network is learnt from pairs.

    loss : a name of `objectives.likeness.LOSSES`, or a loss of pytorch-metric-learning; margin : of those that have
    one; turns : 4: a picture that is turned by a quarter is another thing, which makes four things of each group (as
    Omniglot's characters are multiplied: Santoro et al. 2016); 1: not.
    """

    loss: Any = "multi-similarity"
    margin: float | None = None
    turns: int = 4
    steps: int = STEPS
    device: str = "auto"

    def check(self) -> None:
        """Raise OptionError for what nothing could be learnt with, whatever is known."""
        needs_both(self.loss)  # a loss that is none, or that takes more than pairs
        number = isinstance(self.margin, Real) and not isinstance(self.margin, bool)
        if self.margin is not None and not (number and 0 < self.margin < np.inf):
            raise OptionError(f"margin must be a number above 0, or None, got {self.margin!r}.")
        device_of(self.device)


class PairNetwork:
    """Where items lie on the unit sphere by a network that pairs taught: encoded items (n, *shape) -> (n, width).

    Both items of a pair go through the same encoder (`networks.pair_encoder.PairEncoder`), each damaged anew at every
    step: turned, bent and shifted a little, which does not make it another thing.
    """

    def __init__(self, frame: Frame, encoder: PairEncoder, device: str = "cpu", turns: int = 1) -> None:
        self.frame, self.encoder, self.device = frame, encoder, device
        self.turns = turns  # as it was learnt: 1 of all but square pictures

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled and copied: on the CPU, so that it can be read anywhere."""
        return vars(self) | {"encoder": copy.deepcopy(self.encoder).to("cpu"), "device": "cpu"}

    @classmethod
    def fit(
        cls,
        x: Array,
        known: KnownPairs,
        how: PairTraining | None = None,
        seed: int = 0,
        origin: Array | None = None,
        tell: Tell | None = None,
        words: str = "learning a network from pairs",
    ) -> PairNetwork:
        """Learn from encoded items x (n, *shape), of which `known` says what is the same; `tell` gets `words`.

        Raises OptionError where the loss is zero for what is known, DataError where that is of one sort.
        """
        how = how or PairTraining()
        rows = np.flatnonzero(known.group >= 0)
        check_known(known, how)
        frame = Frame.fit(x[rows], origin, seed)
        device = device_of(how.device)
        seen = frame(x[rows]).to(device)
        known = KnownPairs(known.group[rows], known.apart, known.groups)
        turns = how.turns if seen.ndim == 4 and seen.shape[2] == seen.shape[3] > 1 else 1
        draw = _Draw(known, turns, seed)
        with seeded(seed):
            encoder = PairEncoder(tuple(seen.shape[1:])).to(device)
        loss, random = pair_loss(how.loss), torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(encoder.parameters(), RATE, weight_decay=DECAY)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=how.steps)
        for step in range(how.steps):
            some, turned = draw()
            same, different = known.relations(some)
            if turns > 1:
                alike = turned[:, None] == turned
                different |= same & ~alike | (some[:, None] == some) & ~alike
                same &= alike
            z = encoder(
                _damaged(_turned(seen[torch.from_numpy(some).to(device)], turned), random, frame.plain)
            )
            near, far = (torch.from_numpy(mask).to(device) for mask in (same, different))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss(z, near, far, how.margin))
            optimiser.step()
            rate.step()
            if tell is not None:
                tell(words, (step + 1) / how.steps)
        return cls(frame, encoder.eval(), device, turns)

    def features(self, x: Array) -> NDArray[np.float32]:
        """(n, width) where encoded items x (n, *shape) lie."""
        parts = [np.zeros((0, self.encoder.width), np.float32)]
        with torch.inference_mode():
            for at in range(0, len(x), BLOCK):
                parts.append(self.encoder(self.frame(x[at : at + BLOCK]).to(self.device)).cpu().numpy())
        return np.concatenate(parts)

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; `PairNetwork.of` reads it back."""
        kept = {f"frame.{name}": array for name, array in self.frame.arrays().items()}
        weights = {name: w for name, w in self.encoder.state_dict().items() if w.ndim}
        kept |= {f"encoder.{name}": weight.cpu().numpy() for name, weight in weights.items()}
        return {**kept, "shape": np.array(self.encoder.shape)}

    @classmethod
    def of(cls, arrays: dict[str, Array]) -> PairNetwork:
        """What `arrays` gave, on the CPU."""
        frame, weights = (
            {name.removeprefix(f"{part}."): a for name, a in arrays.items() if name.startswith(f"{part}.")}
            for part in ("frame", "encoder")
        )
        with seeded(0):
            encoder = PairEncoder(tuple(int(n) for n in arrays["shape"]))
        own = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        encoder.load_state_dict(encoder.state_dict() | own)
        return cls(Frame.of(frame), encoder.eval())


class _Draw:
    """The items of each step and by how many quarters each is turned: (rows (b,), turned (b,))."""

    def __init__(self, known: KnownPairs, turns: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.known, self.turns = known, turns
        order = np.argsort(known.group, kind="stable")
        sizes = known.sizes
        self.members = np.split(order, np.cumsum(sizes)[:-1])
        self.several = np.flatnonzero(sizes > 1)
        # a group as often as it has items
        self.weight = sizes[self.several] / sizes[self.several].sum()

    def __call__(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """One batch."""
        return self._of_classes() if self.known.apart is None else self._of_pairs()

    def _of_classes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """As many items of each of some groups; a group that is turned is another."""
        there = len(self.several) * self.turns
        codes = self.random.choice(there, min(GROUPS, there), replace=False)
        alone = len(self.several) == 1  # of one item each are all other groups
        each = BATCH // (2 * len(codes) if alone else len(codes))
        rows = [self._some(self.several[code // self.turns], each) for code in codes.tolist()]
        turned = np.repeat(codes % self.turns, [len(some) for some in rows])
        if alone:
            others = np.flatnonzero(self.known.group != self.several[0])
            rows.append(self.random.permutation(others)[: BATCH // 2])
            turned = np.append(turned, self.random.integers(0, self.turns, len(rows[-1])))
        return np.concatenate(rows), turned

    def _of_pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs, half of them the same, both items of each turned alike."""
        half = BATCH // 4
        groups = self.random.choice(self.several, half, p=self.weight)
        rows = [self._some(group, 2) for group in groups.tolist()]
        apart = self.known.apart
        assert apart is not None
        codes = self.random.choice(apart, half)
        for g, h in zip(
            (codes // self.known.groups).tolist(), (codes % self.known.groups).tolist(), strict=True
        ):
            rows.append(np.array([self.random.choice(self.members[g]), self.random.choice(self.members[h])]))
        return np.concatenate(rows), np.repeat(self.random.integers(0, self.turns, 2 * half), 2)

    def _some(self, group: int, count: int) -> NDArray[np.intp]:
        own = self.members[group]
        return self.random.choice(own, min(count, len(own)), replace=False)


def teaches(known: KnownPairs) -> bool:
    """Whether there are pairs of the same and pairs of different items."""
    apart = (known.sizes > 0).sum() > 1 if known.apart is None else len(known.apart) > 0
    return bool((known.sizes > 1).any() and apart)


def check_known(known: KnownPairs, how: PairTraining) -> None:
    """Raise OptionError where the loss is none, or zero for what is known; DataError where that is of one sort."""
    both = needs_both(how.loss)  # a loss that is none is told first
    if not teaches(known):
        raise DataError("A network needs pairs of the same and pairs of different items to learn from.")
    if known.apart is None or not both:
        return
    if not (known.sizes[known.apart // known.groups] > 1).any():
        raise OptionError(
            f"The loss {loss_name(how.loss)} compares each item's pairs of both sorts, and no item here is in a "
            "pair of the same and in one of different items: it would be exactly zero. Take multi-similarity or "
            "contrastive."
        )


def _turned(x: Tensor, turned: Array) -> Tensor:
    """Square pictures, each turned by so many quarters."""
    if not turned.any():
        return x
    x = x.clone()
    for quarters in (1, 2, 3):
        which = torch.from_numpy(turned == quarters).to(x.device)
        x[which] = torch.rot90(x[which], quarters, (2, 3))
    return x


def _damaged(x: Tensor, random: torch.Generator, plain: bool) -> Tensor:
    """Items as they might as well have been; see `PairTraining`."""
    n = len(x)

    def drawn(extent: float, *shape: int) -> Tensor:
        return (2 * torch.rand(n, *shape, generator=random) - 1) * extent

    if x.ndim == 2:
        other = x[torch.randperm(n, generator=random).to(x.device)]
        return torch.where((torch.rand(x.shape, generator=random) < SWAPPED).to(x.device), other, x)
    flat = x.shape[2] == 1  # a signal: along it alone
    wide, high = torch.exp(drawn(SIZE)), torch.exp(drawn(0 if flat else SIZE))
    angle, shear = drawn(0 if flat else TURN / 180 * torch.pi), drawn(0 if flat else SHEAR)
    cos, sin = torch.cos(angle), torch.sin(angle)
    place = torch.stack(
        [
            torch.stack([cos * wide, (shear - sin) * high, drawn(SHIFT)], dim=1),
            torch.stack([sin * wide, cos * high, drawn(0 if flat else SHIFT)], dim=1),
        ],
        dim=1,
    )
    bends = torch.randn(n, 2, 4, 4, generator=random) * BEND
    if flat:
        bends[:, 1] = 0
    bends = F.interpolate(bends.to(x.device), x.shape[2:], mode="bicubic", align_corners=True)
    grid = F.affine_grid(place.to(x.device), list(x.shape), align_corners=False) + bends.permute(0, 2, 3, 1)
    made = F.grid_sample(x, grid, padding_mode="zeros" if plain else "border", align_corners=False)
    return made * torch.exp(drawn(SIZE)).to(x.device)[:, None, None, None] if flat else made
