"""A vision transformer as the encoder of pictures, and of signals, which are pictures of one row.

Z is made of means of their tokens. There is no decoder.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from latentspace.networks.base import Network
from latentspace.networks.vit import VisionTransformer

__all__ = ["PooledEncoder", "PooledNetwork", "Sizes", "widen"]

#: width of the published base size
BASE = 768
#: added to the variance of each axis of Z, as a share of the largest
LEAST_VARIANCE = 1e-3


@dataclass(frozen=True)
class Sizes:
    """Of a vision transformer: sides of a patch in pixels, width of its tokens, blocks, heads of attention.

    regions : rows and columns of regions of a picture, or parts of a signal, that have a mean of their own; 1 as
    published.
    axes : what Z keeps of these means, see `PooledNetwork.read_axes`; 0 keeps them as they are.
    """

    patch_size: tuple[int, int]
    width: int
    depth: int
    heads: int
    ratio: float = 4.0
    regions: int = 1
    axes: int = 0

    def means(self, shape: tuple[int, ...]) -> int:
        """Numbers in the mean tokens of all regions of items of a shape."""
        return self.width * math.prod(min(self.regions, side) for side in self.grid(shape))

    def grid(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns of patches of items of a shape (C, H, W) or (C, T)."""
        _, rows, columns = as_picture(shape)
        return -(-rows // self.patch_size[0]), -(-columns // self.patch_size[1])

    def latent_dim(self, shape: tuple[int, ...]) -> int:
        """Numbers in Z of items of a shape."""
        return self.axes or self.means(shape)


def as_picture(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W) of a picture, or of a signal (C, T), which has one row."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape  # type: ignore[return-value]


class PooledEncoder(nn.Module):
    """(batch, C, H, W) or (batch, C, T) → (batch, latents): means of tokens over regions, along a few axes of these.

    Pictures whose sides do not divide into patches are bordered with zeros, the mean picture, below and to the right.
    """

    def __init__(self, shape: tuple[int, ...], sizes: Sizes) -> None:
        super().__init__()
        channels, *sides = as_picture(shape)
        full = tuple(-(-side // p) * p for side, p in zip(sides, sizes.patch_size, strict=True))
        self.border = (0, full[1] - sides[1], 0, full[0] - sides[0])
        self.tokens = VisionTransformer(
            (full[0], full[1]),
            sizes.patch_size,
            sizes.width,
            sizes.depth,
            sizes.heads,
            sizes.ratio,
            channels,
        )
        self.regions: Tensor
        self.register_buffer("regions", shares(self.tokens.grid, sizes.regions), persistent=False)
        self.axes = (
            nn.Linear(sizes.means(shape), sizes.axes).requires_grad_(False) if sizes.axes else nn.Identity()
        )

    def bordered(self, x: Float[Tensor, "batch channels *sides"]) -> Float[Tensor, "batch channels h w"]:
        """Pictures whose sides divide into patches."""
        x = x[:, :, None] if x.ndim == 3 else x
        return F.pad(x, self.border) if any(self.border) else x

    def seen(self, x: Float[Tensor, "batch channels *sides"]) -> Float[Tensor, "batch patches width"]:
        """(batch, C, H, W) → (batch, patches, width): all tokens of a picture."""
        return self.tokens(self.bordered(x))  # type: ignore[no-any-return]

    def means(self, x: Float[Tensor, "batch channels *sides"]) -> Float[Tensor, "batch means"]:
        """(batch, C, H, W) → (batch, regions · width): the mean token of each region."""
        return (self.regions @ self.seen(x)).flatten(1)

    def forward(self, x: Float[Tensor, "batch channels *sides"]) -> Float[Tensor, "batch latents"]:
        """(batch, C, H, W) → (batch, latents)."""
        return self.axes(self.means(x))  # type: ignore[no-any-return]


def shares(grid: tuple[int, int], regions: int) -> Float[Tensor, "regions patches"]:
    """What each patch counts in the mean of each of regions x regions parts of a grid, which overlap where they must.

    >>> shares((2, 4), 2)[0]
    tensor([0.5000, 0.5000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000, 0.0000])
    """
    patches = torch.eye(grid[0] * grid[1]).view(-1, *grid)
    many = min(regions, grid[0]), min(regions, grid[1])
    return F.adaptive_avg_pool2d(patches, many).flatten(1).T.contiguous()


class PooledNetwork(Network):
    """e: pictures → means of a vision transformer's tokens; no d."""

    kind = "vit"

    def __init__(self, shape: tuple[int, ...], sizes: Sizes) -> None:
        super().__init__(PooledEncoder(shape, sizes), nn.Identity(), shape, sizes.latent_dim(shape))
        self.sizes = sizes

    @property
    def seeing(self) -> PooledEncoder:
        """The encoder, known to be one of tokens."""
        assert isinstance(self.encoder, PooledEncoder)
        return self.encoder

    def settings(self) -> dict[str, Any]:
        """What builds this network again; the weights apart."""
        return {**super().settings(), "sizes": asdict(self.sizes)}

    @torch.no_grad()
    def read_axes(self, means: Float[Tensor, "batch means"]) -> None:
        """Let Z be the first principal axes of such means, centred, each divided by the root of its deviation.

        What varies most in tokens is seldom what tells pictures apart: axes as they are let it drown all else, and
        axes of one variance let noise do so. This lies halfway (LOG.md).
        """
        layer = self.seeing.axes
        assert isinstance(layer, nn.Linear)
        means = means.double()
        centre = means.mean(dim=0)
        variances, axes = torch.linalg.eigh((means - centre).T.cov())
        variances, axes = variances.flip(0)[: self.latent_dim], axes.flip(1)[:, : self.latent_dim]
        floor = LEAST_VARIANCE * variances[0].clamp(min=1e-12)
        weight = (axes / (variances.clamp(min=0) + floor) ** 0.25).T
        layer.weight.copy_(weight)
        layer.bias.copy_(-weight @ centre)

    @torch.no_grad()
    def start_wide(self, generator: torch.Generator) -> None:
        """Let first tokens of pictures of variance 1 have variance 1, and blocks do as much as those of wide ones.

        Published weights start at a deviation of .02, under which positions, of about .7, drown small patches.
        """
        widen(self.encoder)
        weight: Any = self.seeing.tokens.patch_embed.proj.weight
        weight.copy_(torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5)


@torch.no_grad()
def widen(part: nn.Module) -> None:
    """Let the linear layers of a narrow transformer start as strong as those of one of `BASE`: .02 is made for these.

    A layer of deviation .02 makes a signal .55 times as large where 768 numbers come in, .11 times where 32 do, and
    what blocks add to tokens is then next to nothing for thousands of steps.
    """
    for layer in part.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.mul_((BASE / layer.in_features) ** 0.5)
