"""Training an encoder and a decoder whose latents are rounded and stored: few bits for a given error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentspace.networks.layers import DenseDecoder, DenseEncoder
from latentspace.training.flat import Adam, FlatParameters

__all__ = ["Rounded", "learn"]

#: peak rate of Adam, share of warm-up, how fast the price of error follows, how slowly errors are averaged
RATE, WARM_UP, FOLLOW, MEMORY = 2e-3, 0.05, 0.02, 0.95


class Rounded(nn.Module):
    """A logistic distribution for each latent's whole numbers (Ballé et al. 2017, arXiv:1611.01704).

    >>> Rounded(torch.ones(3))(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, spread: Tensor) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros_like(spread))
        self.width = nn.Parameter(torch.log(0.55 * spread.clamp_min(0.1)))

    def forward(self, z: Tensor) -> Tensor:
        """(n, k) bits of each latent, were it rounded."""
        width, away = self.width.exp().clamp_min(0.05), (z - self.centre).abs()
        return -torch.log2(((0.5 - away) / width).sigmoid() - ((-0.5 - away) / width).sigmoid() + 1e-9)


def learn(
    encoder: DenseEncoder,
    decoder: DenseDecoder,
    x: NDArray[np.float32],
    weight: NDArray[np.float32],
    goal: float,
    *,
    steps: int,
    batch: int,
    seed: int,
    tell: Callable[[float], None] | None = None,
) -> None:
    """Move `encoder` and `decoder`, in place, to fewest bits at a mean weighted squared error of `goal`.

    x : (n, F). weight : (n, F) or (F,), how much each element's squared error counts; 0 where there is nothing.
    Rounding is noise of one unit's width while training; the price of error rises while
    it is above the goal, and falls while it is below.
    """
    generator = torch.Generator().manual_seed(seed)
    random = np.random.default_rng(seed)
    with torch.no_grad():
        rows = random.integers(0, len(x), min(len(x), 2000))
        bits = Rounded(encoder(torch.from_numpy(x[rows])).std(dim=0))
    flat = FlatParameters(encoder, decoder, bits)
    adam = Adam(flat)
    price, average, size = float(np.log(x.shape[1] / goal / 4)), goal, x.shape[1]
    for step in range(steps):
        rows = random.integers(0, len(x), batch)
        items = torch.from_numpy(x[rows])
        counts = torch.from_numpy(weight[rows] if weight.ndim == 2 else weight)
        z = encoder(items)
        noisy = z + torch.rand(z.shape, generator=generator) - 0.5
        error = ((decoder(noisy).flatten(1) - items).square() * counts).sum() / batch
        loss = (bits(noisy).sum() / batch + np.exp(price) * error) / size
        flat.gradient.zero_()
        loss.backward()
        adam.step(RATE * min(1.0, (step + 1) / (WARM_UP * steps)) * max(0.01, 1 - step / steps))
        average = MEMORY * average + (1 - MEMORY) * float(error.detach())
        price += FOLLOW * float(np.clip(np.log(average / goal), -1, 1))
        if tell and step % 20 == 0:
            tell(step / steps)
