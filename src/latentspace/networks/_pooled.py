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

__all__ = ["PooledEncoder", "PooledNetwork", "Sizes"]

#: share of the largest variance that is added to all before patches are whitened
RIDGE = 0.01
#: pictures from which the first weights are learnt
START_ITEMS = 2000


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
    def start_at_patches(self, x: Float[Tensor, "batch channels h w"], generator: torch.Generator) -> None:
        """Let first tokens be whitened patches of pictures x, turned at random: they tell patches apart.

        Published weights start at a deviation of .02, under which positions drown small patches.
        """
        encoder: Any = self.encoder
        conv = encoder.tokens.patch_embed.proj
        images = encoder.bordered(x[:START_ITEMS])
        pixels = F.unfold(images, conv.kernel_size, stride=conv.stride).transpose(1, 2).flatten(0, 1).double()
        mean = pixels.mean(dim=0)
        values, axes = torch.linalg.eigh((pixels - mean).T @ (pixels - mean) / len(pixels))
        kept = min(conv.out_channels, len(values))
        values, axes = values[-kept:], axes[:, -kept:]
        white = axes / (values + RIDGE * values[-1].clamp(min=1e-12)).sqrt()
        turn = torch.randn(conv.out_channels, kept, generator=generator, dtype=torch.double)
        weight = torch.linalg.qr(turn).Q @ white.T * (conv.out_channels / kept) ** 0.5
        conv.weight.copy_(weight.view_as(conv.weight))
        conv.bias.copy_(-weight @ mean)
