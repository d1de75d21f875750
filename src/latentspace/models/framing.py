"""What a network of pairs sees of items: pictures on a plain ground at one place and size, all else made small."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Array = NDArray[Any]

#: pixels along the longer side of a picture, and samples of a signal, at most
SIDE, LENGTH = 28, 256
#: half a framed picture's side, in standard deviations of where what is on the ground lies
REACH = 1.9
#: share of the range within which a pixel is ground; share of border pixels that must be, to call the ground plain
NEAR, PLAIN = 0.1, 0.9
#: items from which that is learnt, and items brought into the frame together
LEARNT, BLOCK = 2000, 250


class Frame:
    """Brings encoded items (n, *shape) to what `networks.pair_encoder` takes: (n, C, H, W), (n, C, 1, T) or (n, d).

    Where pictures have a plain ground, what is on it is brought to the middle and to one size by its centre of mass
    and spread (moments: Hu 1962): where and how large somebody drew is no difference. Values get one scale.

    >>> x = np.zeros((60, 1, 40, 40), np.float32); x[:30, 0, 5:11, 5:11] = 1; x[30:, 0, 20:32, 20:32] = 1
    >>> seen = Frame.fit(x)(x)  # the same square, elsewhere and twice as large
    >>> tuple(seen.shape), bool((seen[0] - seen[-1]).abs().mean() < 0.1 * seen[0].abs().mean())
    ((60, 1, 28, 28), True)
    """

    def __init__(self, origin: Array, level: Array, spread: Array, near: float, plain: bool) -> None:
        self.origin, self.level, self.spread = origin, level, spread
        self.near, self.plain = near, plain

    @classmethod
    def fit(cls, x: Array, origin: Array | None = None, seed: int = 0) -> Frame:
        """Learn from items; `origin` (*shape) is what 0 stands for where that is no ground (a mean picture)."""
        rows = np.sort(np.random.default_rng(seed).permutation(len(x))[:LEARNT])
        start = (
            np.zeros((1,) * (x.ndim - 1), np.float32) if origin is None else np.asarray(origin, np.float32)
        )
        some = x[rows] + start
        near = NEAR * float(some.max() - some.min()) if len(some) else 0.0
        plain = x.ndim == 4 and min(x.shape[2:]) > 4 and _is_plain(some, near)
        made = cls(start, np.zeros(1, np.float32), np.ones(1, np.float32), near, plain)
        seen = made(x[rows]).numpy()
        along = (0, *range(2, seen.ndim))
        if not plain:
            made.level = seen.mean(axis=along)
        spread = seen.std(axis=along)
        made.spread = np.where(spread > 1e-6, spread, 1.0)  # what never varied stays as small as it is
        return made

    def __call__(self, x: Array) -> Tensor:
        """What the network sees of encoded items (n, *shape)."""
        parts = [self._seen(x[at : at + BLOCK]) for at in range(0, max(len(x), 1), BLOCK)]
        seen = torch.cat(parts)
        shape = (1, -1, *(1,) * (seen.ndim - 2))
        level, spread = (
            torch.from_numpy(np.asarray(a, np.float32)).view(shape) for a in (self.level, self.spread)
        )
        return (seen - level) / spread

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; `Frame.of` reads it back."""
        kept = {name: np.asarray(getattr(self, name), np.float32) for name in ("origin", "level", "spread")}
        return {**kept, "numbers": np.array([self.near, self.plain], float)}

    @classmethod
    def of(cls, arrays: dict[str, Array]) -> Frame:
        """What `arrays` gave."""
        near, plain = arrays["numbers"].tolist()
        return cls(arrays["origin"], arrays["level"], arrays["spread"], near, bool(plain))

    def _seen(self, x: Array) -> Tensor:
        t = torch.from_numpy(np.ascontiguousarray(x + self.origin, np.float32))
        if t.ndim == 3:
            return F.adaptive_avg_pool1d(t, min(LENGTH, t.shape[2]))[:, :, None]
        if t.ndim != 4:
            return t.flatten(1)
        if self.plain:
            return self._framed(t)
        longest = max(t.shape[2:])
        high, wide = (max(1, round(n * min(1, SIDE / longest))) for n in t.shape[2:])
        return F.adaptive_avg_pool2d(t, (high, wide))

    def _framed(self, t: Tensor) -> Tensor:
        n, _, height, width = t.shape
        t = t - _ground(t)[:, :, None, None]
        mass = t.abs().sum(dim=1)
        mass = mass * (mass > self.near)
        total = mass.sum(dim=(1, 2))
        down, along = torch.arange(height) + 0.5, torch.arange(width) + 0.5
        x, y = mass.sum(dim=1), mass.sum(dim=2)  # (n, W), (n, H)
        safe = total.clamp(min=1e-12)
        cx, cy = (x @ along) / safe, (y @ down) / safe
        variance = ((x * (along - cx[:, None]) ** 2).sum(1) + (y * (down - cy[:, None]) ** 2).sum(1)) / safe
        half = (REACH * variance.sqrt()).clamp(1.0, float(max(height, width)))
        there = total > 0
        cx, cy = (torch.where(there, c, torch.tensor(side / 2)) for c, side in ((cx, width), (cy, height)))
        half = torch.where(there, half, torch.tensor(max(height, width) / 2))
        zero = torch.zeros(n)
        place = torch.stack(
            [
                torch.stack([2 * half / width, zero, 2 * cx / width - 1], dim=1),
                torch.stack([zero, 2 * half / height, 2 * cy / height - 1], dim=1),
            ],
            dim=1,
        )
        # samples that each pixel is the mean of, along each side
        finer = min(4, math.ceil(max(height, width) / SIDE))
        grid = F.affine_grid(place, [n, t.shape[1], finer * SIDE, finer * SIDE], align_corners=False)
        return F.avg_pool2d(F.grid_sample(t, grid, align_corners=False), finer)


def _ground(t: Tensor) -> Tensor:
    """(n, C) the middle value of each picture's border."""
    return _border(t).median(dim=2).values


def _border(t: Tensor) -> Tensor:
    """(n, C, p) the pixels along the four sides."""
    return torch.cat([t[:, :, 0], t[:, :, -1], t[:, :, :, 0], t[:, :, :, -1]], dim=2)


def _is_plain(x: Array, near: float) -> bool:
    t = torch.from_numpy(np.ascontiguousarray(x, np.float32))
    border = _border(t)
    return bool(((border - _ground(t)[:, :, None]).abs() <= near).all(dim=1).float().mean() > PLAIN)
