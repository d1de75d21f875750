"""What pixels a token stands for: a linear map from frozen tokens to their patches, learnt after all else."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from latentspace.errors import SpaceError

__all__ = ["PatchProbe"]

#: added to the variances of tokens, as a share of their mean, so that directions without any do not count
RIDGE = 1e-3


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
        mean_tokens, mean_pixels = tokens[:-held_out].mean(dim=0), pixels[:-held_out].mean(dim=0)
        told, asked = (tokens - mean_tokens).double(), (pixels - mean_pixels).double()
        a, b = told[:-held_out].flatten(0, 1), asked[:-held_out].flatten(0, 1)
        among = a.T @ a
        among.diagonal().add_(RIDGE * among.diagonal().mean() + 1e-12)
        weight = torch.linalg.solve(among, a.T @ b)
        new = asked[-held_out:]
        left = (new - told[-held_out:] @ weight).square().sum() / new.square().sum().clamp(min=1e-12)
        for name, value in (
            ("mean_tokens", mean_tokens),
            ("mean_pixels", mean_pixels),
            ("weight", weight),
            ("explained", 1 - left),
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
