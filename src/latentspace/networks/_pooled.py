"""A vision transformer as the encoder of pictures: Z is the mean of a picture's tokens. There is no decoder."""

from __future__ import annotations

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


@dataclass(frozen=True)
class Sizes:
    """Of a vision transformer: sides of a patch in pixels, width of its tokens, blocks, heads of attention."""

    patch_size: tuple[int, int]
    width: int
    depth: int
    heads: int
    ratio: float = 4.0


class PooledEncoder(nn.Module):
    """(batch, C, H, W) → (batch, width): the mean of all tokens.

    Pictures whose sides do not divide into patches are bordered with zeros, the mean picture, below and to the right.
    """

    def __init__(self, shape: tuple[int, ...], sizes: Sizes) -> None:
        super().__init__()
        channels, *sides = shape
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

    def bordered(self, x: Float[Tensor, "batch channels h w"]) -> Tensor:
        """Pictures whose sides divide into patches."""
        return F.pad(x, self.border) if any(self.border) else x

    def forward(self, x: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch width"]:
        """(batch, C, H, W) → (batch, width)."""
        return self.tokens(self.bordered(x)).mean(dim=1)  # type: ignore[no-any-return]


class PooledNetwork(Network):
    """e: pictures → the mean of a vision transformer's tokens; no d."""

    kind = "vit"

    def __init__(self, shape: tuple[int, ...], sizes: Sizes) -> None:
        super().__init__(PooledEncoder(shape, sizes), nn.Identity(), shape, sizes.width)
        self.sizes = sizes

    def settings(self) -> dict[str, Any]:
        """What builds this network again; the weights apart."""
        return {**super().settings(), "sizes": asdict(self.sizes)}

    @torch.no_grad()
    def start_wide(self, generator: torch.Generator) -> None:
        """Let first tokens of pictures of variance 1 have variance 1, and blocks do as much as those of wide ones.

        Published weights start at a deviation of .02, under which positions, of about .7, drown small patches.
        """
        widen(self.encoder)
        weight: Any = self.encoder.tokens.patch_embed.proj.weight  # type: ignore[union-attr]
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
