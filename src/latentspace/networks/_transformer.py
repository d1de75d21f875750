"""What transformers over patches are made of: tokens, attention, positions."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentspace.errors import OptionError

#: of LayerNorm, and the standard deviation of weights before training (a normal distribution)
EPS, START = 1e-6, 0.02


class PatchEmbed(nn.Module):
    """Pictures cut into patches, each a token."""

    def __init__(self, channels: int, width: int, patch_size: tuple[int, int]) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch_size, patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, H, W) → (batch, tokens, width), row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """Two layers on each token alone."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, width) → the same shape."""
        return self.fc2(F.gelu(self.fc1(tokens)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and an MLP, each on what is normalised and added to what came in."""

    def __init__(self, width: int, heads: int, ratio: float, eps: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.attn, self.mlp = Attention(width, heads), Mlp(width, int(width * ratio))

    def forward(self, tokens: Tensor, last: int | None = None) -> Tensor:
        """(batch, tokens, width) → the same shape, or what becomes of the `last` tokens, which see all, alone."""
        kept = tokens if last is None else tokens[:, -last:]
        kept = kept + self.attn(self.norm1(tokens), last)
        return kept + self.mlp(self.norm2(kept))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Attention of several heads, each of which sees a part of the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise OptionError(f"A width of {width} does not divide into {heads} heads.")
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor, last: int | None = None) -> Tensor:
        """(batch, tokens, width) → the same shape, or that of the `last` tokens alone."""
        batch, n, width = tokens.shape
        if last is None:
            q, k, v = self.qkv(tokens).view(batch, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        else:
            weight, bias = self.qkv.weight, self.qkv.bias
            asks = F.linear(tokens[:, -last:], weight[:width], bias[:width])
            q = asks.view(batch, last, self.heads, -1).transpose(1, 2)
            tells = F.linear(tokens, weight[width:], bias[width:])
            k, v = tells.view(batch, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        told = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, -1, width)
        return self.proj(told)  # type: ignore[no-any-return]

    def shares(self, tokens: Tensor) -> Tensor:
        """(batch, heads, n, n): how much each token, by rows, hears of each; for drawing, rows sum to 1."""
        batch, n, width = tokens.shape
        q, k, _ = self.qkv(tokens).view(batch, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return (q @ k.mT / math.sqrt(width // self.heads)).softmax(dim=-1)  # type: ignore[no-any-return]


def gather(tokens: Tensor, mask: Tensor) -> Tensor:
    """(batch, kept, width): the tokens (batch, n, width) at the indices `mask` (batch, kept)."""
    return torch.gather(tokens, 1, mask[..., None].expand(-1, -1, tokens.shape[-1]))


def sine_cosine(width: int, grid: tuple[int, int]) -> Tensor:
    """(rows · columns, width) fixed positions of patches: half of the width for the column, half for the row.

    Sines, then cosines, of frequencies from 1 to 1 / 10,000. Raises OptionError unless the width divides by 4.
    """
    if width % 4:
        raise OptionError(f"Sine-cosine positions need a width that divides by 4, not {width}.")
    frequencies = 1.0 / 10_000 ** (np.arange(width // 4, dtype=float) / (width / 4))
    row, column = np.meshgrid(np.arange(grid[0], dtype=float), np.arange(grid[1], dtype=float), indexing="ij")
    angles = [np.outer(along.ravel(), frequencies) for along in (column, row)]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return torch.from_numpy(np.concatenate(waves, axis=1)).float()


def interpolated(positions: Tensor, made: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Positions (1, n, width) of one grid for another, by bicubic interpolation; as they are for the same."""
    if made == wanted:
        return positions
    image = positions.reshape(1, *made, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(image, size=wanted, mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1).flatten(1, 2)


def start(network: nn.Module) -> None:
    """Weights before training: normal, small, and smaller the deeper the block lies, so that sums do not grow."""
    for part in network.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(part.weight, std=START)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    blocks = getattr(network, "blocks", None) or getattr(network, "predictor_blocks", [])
    with torch.no_grad():
        for depth, block in enumerate(blocks, 1):
            block.attn.proj.weight.div_(math.sqrt(2.0 * depth))
            block.mlp.fc2.weight.div_(math.sqrt(2.0 * depth))


def both(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def grid_of(image: tuple[int, int], patch: tuple[int, int]) -> tuple[int, int]:
    if image[0] % patch[0] or image[1] % patch[1]:
        raise OptionError(
            f"Pictures of {image[0]} x {image[1]} do not divide into patches of {patch[0]} x {patch[1]}."
        )
    return image[0] // patch[0], image[1] // patch[1]
