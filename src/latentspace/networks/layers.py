"""Parts that the networks share: the linear path of PCA, a stack of σ∘f, seeded weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

#: share of the largest variance below which an axis is rounding
RANK = 1e-9


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from `seed` inside the block; the global generator is left as it was."""
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


def principal_axes(
    x: NDArray[np.float32], k: int, seed: int = 0, rows: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean (d,), the first `k` principal axes (d, k) and the items' standard deviations along them (k,).

    Exact by the covariance where d <= 2,048, by the Gram matrix where items are few, else by the randomised
    range finder of Halko, Martinsson and Tropp (2011), five power iterations. Memory beyond x: O(d² ), O(n²)
    or O((n + d) k). `rows`: learn from these items only. Axes beyond the rank of x have deviation 0: zeros, or
    (d <= 2,048) some orthonormal completion, which costs nothing and keeps what new items hold there.
    """
    rows = np.arange(len(x)) if rows is None else rows
    n, d = len(rows), x.shape[1]
    if d <= 2048:
        mean, covariance = _covariance(x, rows)
        # beyond the rank of x, where x says nothing, axes follow the columns that vary most
        covariance[np.diag_indices(d)] *= 1 + RANK
        values, axes = np.linalg.eigh(covariance)
        values, axes = values[::-1][:k], axes[:, ::-1][:, :k].copy()
    elif n <= 4096:
        from scipy.linalg import eigh  # type: ignore[import-untyped]

        centred = x[rows]
        mean = centred.mean(axis=0, dtype=np.float64)
        centred -= mean.astype(np.float32)
        gram = (centred @ centred.T).astype(np.float64) / n
        values, left = eigh(gram, subset_by_index=(max(0, n - k), n - 1), overwrite_a=True)
        values, left = values[::-1], left[:, ::-1]
        scale = np.sqrt(np.maximum(values, 1e-12) * n)
        axes = (centred.T @ left.astype(np.float32)) / scale
    else:
        x = x if n == len(x) else x[rows]
        mean = x.mean(axis=0, dtype=np.float64)
        values, axes = _randomised_axes(x, mean.astype(np.float32), k, seed)
    values = np.maximum(values, 0.0)
    real = values > 2 * RANK * max(float(values.max(initial=0.0)), 1e-30)
    if d > 2048:  # from products with x, so rounding only
        axes = np.where(real, axes, 0.0)
    if axes.shape[1] < k:
        missing = k - axes.shape[1]
        axes, values = np.pad(axes, ((0, 0), (0, missing))), np.pad(values * real, (0, missing))
        return mean, axes, np.sqrt(values)
    return mean, axes, np.sqrt(values * real)


def _covariance(
    x: NDArray[np.float32], rows: NDArray[np.intp], block: int = 1024
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (d,) and covariance (d, d) of the items at `rows`, a block at a time."""
    blocks = [rows[start : start + block] for start in range(0, len(rows), block)]
    mean = np.sum([x[b].sum(axis=0, dtype=np.float64) for b in blocks], axis=0) / len(rows)
    total = np.zeros((x.shape[1], x.shape[1]))
    for b in blocks:
        centred = x[b]
        centred -= mean.astype(np.float32)
        total += centred.T @ centred
    return mean, total / len(rows)


def _randomised_axes(
    x: NDArray[np.float32], mean: NDArray[np.float32], k: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    width = min(k + 16, *x.shape)

    def forward(q: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(x @ q - mean @ q)

    def backward(y: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(x.T @ y - np.outer(mean, y.sum(axis=0)))

    q = rng.standard_normal((x.shape[1], width)).astype(np.float32)
    for _ in range(5):
        y, _ = np.linalg.qr(forward(q))
        q, _ = np.linalg.qr(backward(y))
    y = forward(q).astype(np.float64)
    values, turn = np.linalg.eigh(y.T @ y / len(x))
    return values[::-1][:k], (q @ turn[:, ::-1])[:, :k]


class DenseEncoder(nn.Module):
    """z = Wx + f(x): W and the first layer of f are one matrix product, rows [f | W] of `first`."""

    def __init__(self, n_in: int, hidden: Sequence[int], n_out: int) -> None:
        super().__init__()
        self.hidden, self.n_out = tuple(hidden), n_out
        self.first = nn.Linear(n_in, hidden[0] + n_out)
        self.middle = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.last = nn.Linear(hidden[-1], n_out, bias=False)

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch out"]:
        """(batch, *shape) -> (batch, n_out)."""
        both = self.first(x.flatten(1))
        h = both[:, : self.hidden[0]].relu()
        for layer in self.middle:
            h = layer(h).relu()
        z: Tensor = self.last(h) + both[:, self.hidden[0] :]
        return z

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Make this map exactly x -> weight x + bias; the nonlinear part starts at zero."""
        self.first.weight[self.hidden[0] :] = weight
        self.first.bias[self.hidden[0] :] = bias
        self.last.weight.zero_()

    @torch.no_grad()
    def reframe(self, turn: Tensor) -> None:
        """Give turn @ z where z was given, (k, k)."""
        self.first.weight[self.hidden[0] :] = turn @ self.first.weight[self.hidden[0] :]
        self.first.bias[self.hidden[0] :] = turn @ self.first.bias[self.hidden[0] :]
        self.last.weight.copy_(turn @ self.last.weight)


class DenseDecoder(nn.Module):
    """η = Uz + g(z): U and the last layer of g are one matrix product, columns [g | U] of `last`."""

    def __init__(self, n_in: int, hidden: Sequence[int], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.hidden, self.shape = tuple(hidden), shape
        self.first = nn.Linear(n_in, hidden[0])
        self.middle = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.last = nn.Linear(hidden[-1] + n_in, int(np.prod(shape)))

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch *shape"]:
        """(batch, latent) -> (batch, *shape)."""
        h = self.first(z).relu()
        for layer in self.middle:
            h = layer(h).relu()
        out: Tensor = self.last(torch.cat([h, z], dim=1))
        return out.reshape(-1, *self.shape)

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Make this map exactly z -> weight z + bias; the nonlinear part starts at zero."""
        self.last.weight[:, : self.hidden[-1]] = 0
        self.last.weight[:, self.hidden[-1] :] = weight
        self.last.bias.copy_(bias)

    @torch.no_grad()
    def reframe(self, back: Tensor) -> None:
        """Take z where back @ z was taken, (k, k)."""
        self.first.weight.copy_(self.first.weight @ back)
        self.last.weight[:, self.hidden[-1] :] = self.last.weight[:, self.hidden[-1] :] @ back


class WithLinearPath(nn.Module):
    """Any module f beside a linear path: Wx + α f(x), each α starting at zero (ReZero, Bachlechner 2021)."""

    def __init__(self, module: nn.Module, n_in: int, out_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.module, self.out_shape = module, out_shape
        self.linear = nn.Linear(n_in, int(np.prod(out_shape)))
        self.gain = nn.Parameter(torch.zeros(out_shape))

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *out"]:
        """(batch, *shape) -> (batch, *out_shape)."""
        out: Tensor = self.linear(x.flatten(1)).reshape(-1, *self.out_shape)
        beside: Tensor = self.module(x)
        return out + self.gain * beside.reshape(out.shape)

    @torch.no_grad()
    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Make this map exactly x -> weight x + bias; the module's gain starts at zero."""
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)
        self.gain.zero_()


class FramedEncoder(nn.Module):
    """A module f beside a linear path, its latents in a frame that is set after training (``reframe``)."""

    def __init__(self, module: nn.Module, n_in: int, n_out: int) -> None:
        super().__init__()
        self.path, self.frame = WithLinearPath(module, n_in, (n_out,)), _identity(n_out)

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch out"]:
        """(batch, *shape) -> (batch, n_out)."""
        z: Tensor = self.frame(self.path(x))
        return z

    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Make this map exactly x -> weight x + bias; the module's gain starts at zero."""
        self.path.start_linear(weight, bias)

    @torch.no_grad()
    def reframe(self, turn: Tensor) -> None:
        """Give turn @ z where z was given, (k, k)."""
        self.frame.weight.copy_(turn @ self.frame.weight)


class FramedDecoder(nn.Module):
    """The mirror of `FramedEncoder`: takes latents in the same frame."""

    def __init__(self, module: nn.Module, n_in: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.path, self.frame = WithLinearPath(module, n_in, shape), _identity(n_in)

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch *shape"]:
        """(batch, latent) -> (batch, *shape)."""
        eta: Tensor = self.path(self.frame(z))
        return eta

    def start_linear(self, weight: Tensor, bias: Tensor) -> None:
        """Make this map exactly z -> weight z + bias; the module's gain starts at zero."""
        self.path.start_linear(weight, bias)

    @torch.no_grad()
    def reframe(self, back: Tensor) -> None:
        """Take z where back @ z was taken, (k, k)."""
        self.frame.weight.copy_(self.frame.weight @ back)


def _identity(k: int) -> nn.Linear:
    """z -> z, not trained."""
    frame = nn.Linear(k, k, bias=False).requires_grad_(False)
    nn.init.eye_(frame.weight)
    return frame


def conv_stack(shape: tuple[int, ...], widths: Sequence[int]) -> tuple[nn.Sequential, tuple[int, ...]]:
    """σ∘f with stride 2 for each width, over (C, T) or (C, H, W); returns it and the shape that comes out."""
    ndim = len(shape) - 1
    conv = (nn.Conv1d, nn.Conv2d)[ndim - 1]
    layers: list[nn.Module] = []
    channels, sides = shape[0], list(shape[1:])
    for width in widths:
        layers += [conv(channels, width, 3, stride=2, padding=1), nn.ReLU()]
        channels, sides = width, [(s + 1) // 2 for s in sides]
    return nn.Sequential(*layers), (channels, *sides)


def conv_transpose_stack(shape: tuple[int, ...], widths: Sequence[int]) -> nn.Sequential:
    """The mirror of `conv_stack`: from its output shape back to `shape`."""
    ndim = len(shape) - 1
    conv = (nn.ConvTranspose1d, nn.ConvTranspose2d)[ndim - 1]
    sides = [list(shape[1:])]
    for _ in widths:
        sides.append([(s + 1) // 2 for s in sides[-1]])
    channels = [shape[0], *widths]
    layers: list[nn.Module] = []
    for i in range(len(widths), 0, -1):
        extra: Any = tuple(1 - (2 * small - big) for small, big in zip(sides[i], sides[i - 1], strict=True))
        layers.append(conv(channels[i], channels[i - 1], 3, stride=2, padding=1, output_padding=extra))
        if i > 1:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def convolutional_pair(
    shape: tuple[int, ...], n_out: int, latent_dim: int, widths: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """Encoder (batch, *shape) -> (batch, n_out) and its mirrored decoder, each beside a linear path."""
    down, inner = conv_stack(shape, widths)
    size = int(np.prod(inner))
    f = nn.Sequential(down, nn.Flatten(), nn.Linear(size, n_out))
    g = nn.Sequential(
        nn.Linear(latent_dim, size), nn.ReLU(), nn.Unflatten(1, inner), conv_transpose_stack(shape, widths)
    )
    n_in = int(np.prod(shape))
    return FramedEncoder(f, n_in, n_out), FramedDecoder(g, latent_dim, shape)
