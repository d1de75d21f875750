"""What pixels a token stands for: a linear map from frozen tokens to their patches, learnt after all else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentspace.errors import SpaceError

__all__ = ["PatchProbe"]

#: added to the variances of tokens, as a share of their mean, so that directions without any do not count
RIDGE = 1e-3
#: pictures looked at together
BLOCK = 64


class PatchProbe(nn.Module):
    """(…, patches, width) tokens → (…, patches, pixels): the mean patch of a place and what a token adds to it.

    Least squares on tokens that stay as they are: it shows what they hold and teaches them nothing.
    `explained` is the share of the variance of held-out pixels about the mean patches that it explains; NaN before
    `learn`.
    """

    def __init__(self, patches: int, width: int, pixels: int) -> None:
        super().__init__()
        self.mean_tokens: Tensor
        self.mean_pixels: Tensor
        self.weight: Tensor
        self.explained: Tensor
        self.register_buffer("mean_tokens", torch.zeros(patches, width))
        self.register_buffer("mean_pixels", torch.zeros(patches, pixels))
        self.register_buffer("weight", torch.zeros(width, pixels))
        self.register_buffer("explained", torch.tensor(torch.nan))

    @torch.no_grad()
    def learn(
        self,
        tokens: Float[Tensor, "n patches width"],
        pixels: Float[Tensor, "n patches pixels"],
        held_out: int,
    ) -> PatchProbe:
        """From pictures' tokens and patches, of which the last `held_out` judge it."""
        learnt = len(tokens) - held_out
        mean_tokens, mean_pixels = tokens[:learnt].mean(dim=0), pixels[:learnt].mean(dim=0)
        width, many = tokens.shape[-1], pixels.shape[-1]
        among = torch.zeros(width, width, dtype=torch.float64)
        along = torch.zeros(width, many, dtype=torch.float64)
        for told, asked in _parts(tokens[:learnt], pixels[:learnt], mean_tokens, mean_pixels):
            among += told.T @ told
            along += told.T @ asked
        among.diagonal().add_(RIDGE * among.diagonal().mean() + 1e-12)
        weight = torch.linalg.solve(among, along)
        left, whole = 0.0, 1e-12
        for told, asked in _parts(tokens[learnt:], pixels[learnt:], mean_tokens, mean_pixels):
            left += float((asked - told @ weight).square().sum())
            whole += float(asked.square().sum())
        for name, value in (
            ("mean_tokens", mean_tokens),
            ("mean_pixels", mean_pixels),
            ("weight", weight),
            ("explained", torch.tensor(1 - left / whole)),
        ):
            getattr(self, name).copy_(value)
        return self

    def needed(self) -> PatchProbe:
        """Itself. Raises SpaceError where it was never learnt: an older version made this space."""
        if torch.isnan(self.explained):
            raise SpaceError(
                "This space was made by an older version, which learnt no pixels of tokens: fit it again."
            )
        return self

    def forward(
        self, tokens: Float[Tensor, "n asked width"], places: Int[Tensor, "n asked"] | None = None
    ) -> Float[Tensor, "n asked pixels"]:
        """Patches of tokens at `places`, or at all places in their order."""
        tokens_there, pixels_there = self.mean_tokens, self.mean_pixels
        if places is not None:
            tokens_there, pixels_there = tokens_there[places], pixels_there[places]
        return pixels_there + (tokens - tokens_there) @ self.weight


def _parts(
    tokens: Tensor, pixels: Tensor, mean_tokens: Tensor, mean_pixels: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens and pixels about their means, (places, …) float64, of a few pictures at a time."""
    for told, asked in zip(torch.split(tokens, BLOCK), torch.split(pixels, BLOCK), strict=True):
        yield (told - mean_tokens).flatten(0, 1).double(), (asked - mean_pixels).flatten(0, 1).double()
