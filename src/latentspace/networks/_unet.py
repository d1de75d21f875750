"""Networks that correct a first guess: over the grid of pictures and signals, and over rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

#: elements along each axis folded into channels, so that convolutions run over a coarser grid
FOLD = {1: 4, 2: 2}


class _Pair(nn.Module):
    """Two convolutions with σ between and after."""

    def __init__(self, n_in: int, n_out: int, axes: int) -> None:
        super().__init__()
        convolution: Any = nn.Conv2d if axes == 2 else nn.Conv1d
        self.first = convolution(n_in, n_out, 3, padding=1)
        self.second = convolution(n_out, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.second(functional.silu(self.first(x))))


class UNet(nn.Module):
    """guess + g(inputs) (x - guess) + f(inputs) over a grid: (batch, n_in, ...) inputs, (batch, n_out, ...) results.

    x are the first `n_out` of the inputs, where `gated`: how far they are to be believed, g, is learnt too.

    Ronneberger, Fischer and Brox (2015), on elements folded into channels as in FFDNet (Zhang, Zuo and Zhang, 2018).
    f and g are zero at first, so that learning starts at the guess. Any size: edges are repeated where needed.

    >>> import torch
    >>> net = UNet(3, 1, axes=2, width=8, levels=2)
    >>> net(torch.zeros(2, 1, 9, 7), torch.zeros(2, 3, 9, 7)).shape
    torch.Size([2, 1, 9, 7])
    """

    def __init__(
        self, n_in: int, n_out: int, axes: int, gated: bool = False, width: int = 48, levels: int = 2
    ) -> None:
        super().__init__()
        self.settings = {
            "n_in": n_in,
            "n_out": n_out,
            "axes": axes,
            "gated": gated,
            "width": width,
            "levels": levels,
        }
        self.n_out, self.gated = n_out, gated
        self.axes, self.fold, self.levels = axes, FOLD[axes], levels
        widths = [width * 2**level for level in range(levels)]
        convolution: Any = nn.Conv2d if axes == 2 else nn.Conv1d
        firsts = [n_in * self.fold**axes, *widths[:-1]]
        self.down = nn.ModuleList(_Pair(a, b, axes) for a, b in zip(firsts, widths, strict=True))
        self.up = nn.ModuleList(convolution(b, a, 1) for a, b in pairwise(widths))
        self.mix = nn.ModuleList(_Pair(a, a, axes) for a in widths[:-1])
        self.last = convolution(width, n_out * (1 + gated) * self.fold**axes, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, guess: Tensor, inputs: Tensor) -> Tensor:
        """(batch, n_out, ...) and (batch, n_in, ...) -> (batch, n_out, ...)."""
        size = guess.shape[2:]
        multiple = self.fold * 2 ** (self.levels - 1)
        edges = [n for side in reversed(size) for n in (0, -side % multiple)]
        h = functional.pad(inputs, edges, mode="replicate") if any(edges) else inputs
        h, skips = self._folded(h), []
        for level, pair in enumerate(self.down):
            if level:
                h = functional.avg_pool2d(h, 2) if self.axes == 2 else functional.avg_pool1d(h, 2)
            h = pair(h)
            skips.append(h)
        skips.pop()
        for level in range(self.levels - 2, -1, -1):
            h = functional.interpolate(self.up[level](h), scale_factor=2, mode="nearest")
            h = self.mix[level](h + skips.pop())
        change = self._unfolded(self.last(h))
        for axis, side in enumerate(size):
            change = change.narrow(2 + axis, 0, side)
        if not self.gated:
            return guess + change
        own, believed = change[:, : self.n_out], change[:, self.n_out :]
        restored: Tensor = guess + own + believed * (inputs[:, : self.n_out] - guess)
        return restored

    def _folded(self, x: Tensor) -> Tensor:
        if self.axes == 2:
            return functional.pixel_unshuffle(x, self.fold)
        n, c, t = x.shape
        return x.reshape(n, c, t // self.fold, self.fold).transpose(2, 3).reshape(n, c * self.fold, -1)

    def _unfolded(self, x: Tensor) -> Tensor:
        if self.axes == 2:
            return functional.pixel_shuffle(x, self.fold)
        n, c, t = x.shape
        return x.reshape(n, c // self.fold, self.fold, t).transpose(2, 3).reshape(n, c // self.fold, -1)


class RowNet(nn.Module):
    """guess + f(inputs) over rows: (batch, n_in) inputs, (batch, n_out) guess and result; f is zero at first.

    >>> import torch
    >>> RowNet(6, 3)(torch.zeros(2, 3), torch.zeros(2, 6)).shape
    torch.Size([2, 3])
    """

    def __init__(self, n_in: int, n_out: int, hidden: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        self.settings = {"n_in": n_in, "n_out": n_out, "hidden": list(hidden)}
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(n_in, width), nn.SiLU()]
            n_in = width
        self.body = nn.Sequential(*layers)
        self.last = nn.Linear(n_in, n_out)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, guess: Tensor, inputs: Tensor) -> Tensor:
        """(batch, n_out) and (batch, n_in) -> (batch, n_out)."""
        change: Tensor = self.last(self.body(inputs))
        return guess + change
