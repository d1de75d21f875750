"""Denoising: corrupt in, clean out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentspace.errors import OptionError, nearest
from latentspace.objectives.base import ReconstructionBase

__all__ = ["Denoising"]

Corruption = Callable[[Tensor, float, torch.Generator], Tensor]


def gaussian(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Add normal noise of standard deviation `strength` (encoded data have overall variance 1)."""
    return x + strength * torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def masking(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Set the share `strength` of the elements to the neutral value 0."""
    return x * (_uniform(x, generator) >= strength)


def swap(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Replace the share `strength` of the elements by the same element of another item of the batch."""
    other = x[torch.randperm(len(x), generator=generator).to(x.device)]
    return torch.where(_uniform(x, generator) < strength, other, x)


def salt_and_pepper(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Set the share `strength` of the elements to the batch's smallest or largest value, half each."""
    u = _uniform(x, generator)
    low, high = x.amin(), x.amax()
    return torch.where(u < strength / 2, low, torch.where(u > 1 - strength / 2, high, x))


def grey(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Mix `strength` of the mean over the channels into (batch, C, ...) items: 1 is grey in, colour out."""
    if x.ndim < 3:
        raise OptionError(
            "The corruption 'grey' needs pictures or signals with channels; these items have none."
        )
    return x + strength * (x.mean(dim=1, keepdim=True) - x)


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian": gaussian,
    "masking": masking,
    "swap": swap,
    "salt-and-pepper": salt_and_pepper,
    "grey": grey,
}


def _uniform(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=generator).to(x.device)


class Denoising(ReconstructionBase):
    """Reconstruct the clean item from a damaged one; held-out items are judged undamaged.

    corruption : "gaussian", "masking", "swap", "salt-and-pepper", "grey", or one's own function
        (x, strength, generator) -> damaged x. `strength` : noise deviation, or share of elements, >= 0.
    Source: Vincent, Larochelle, Bengio and Manzagol (2008), "Extracting and composing robust features with
    denoising autoencoders".
    """

    def __init__(self, corruption: str | Corruption = "gaussian", strength: float = 0.3) -> None:
        super().__init__()
        if isinstance(corruption, str) and corruption not in CORRUPTIONS:
            raise OptionError(
                f"There is no corruption {corruption!r}{nearest(corruption, CORRUPTIONS)}; "
                f"known: {', '.join(CORRUPTIONS)}, or a function of (x, strength, generator)."
            )
        if not strength >= 0:
            raise OptionError(f"strength must be 0 or more, got {strength!r}.")
        self.corruption, self.strength = corruption, strength

    def view(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """The damaged copy."""
        if generator is None:
            return x
        damage = CORRUPTIONS[self.corruption] if isinstance(self.corruption, str) else self.corruption
        return damage(x, self.strength, generator)

    def settings(self) -> dict[str, Any]:
        """The options."""
        name = self.corruption if isinstance(self.corruption, str) else self.corruption.__name__
        return {"corruption": name, "strength": self.strength}
