"""The variational objective: a reconstruction and a price for every latent dimension."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentspace.errors import OptionError
from latentspace.likelihoods import Gaussian, Likelihood
from latentspace.networks.base import Network
from latentspace.objectives.base import Objective, nats_per_item
from latentspace.types import Batch, Latent

__all__ = ["Variational"]


class Variational(Objective):
    """Negative evidence lower bound, −log p(x | z) + β KL(q(z | x) ‖ N(0, 1)), nats per item.

    beta : weight of the KL (Higgins et al. 2017). free_bits : nats below which a latent dimension's batch-mean
    KL is free (Kingma et al. 2016). The Gaussian's variance follows the one that fits best (a running mean over
    batches), so that β = 1 needs no tuning to the data's scale (Rybkin, Daniilidis and Levine 2021, "σ-VAE").
    Source: Kingma and Welling (2014), "Auto-encoding variational Bayes".
    """

    def __init__(self, beta: float = 1.0, free_bits: float = 0.0) -> None:
        super().__init__()
        if not beta >= 0 or not free_bits >= 0:
            raise OptionError(f"beta and free_bits must be 0 or more, got {beta!r} and {free_bits!r}.")
        self.beta, self.free_bits = beta, free_bits
        self.variance: Tensor
        self.register_buffer("variance", torch.ones(()))

    def setup(self, network: Network, likelihood: Likelihood) -> None:
        """Check that the network has log-variances."""
        super().setup(network, likelihood)
        if not network.variational:
            raise OptionError("The variational objective needs a network made with variational=True.")

    def forward(
        self, network: Network, batch: Batch, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """{"loss", "reconstruction", "kl"}, each (batch,). Held-out items are decoded at their mean."""
        latent = network.encode(batch.x)
        z = latent.mean if generator is None else sample(latent, generator)
        reconstruction = self._nats(network.decode(z), batch, learning=generator is not None)
        each = kl_per_dimension(latent)
        kl = each.sum(dim=1)
        paid = each.mean(dim=0).clamp(min=self.free_bits).sum() if self.free_bits else kl
        return {"loss": reconstruction + self.beta * paid, "reconstruction": reconstruction, "kl": kl}

    def _nats(self, eta: Tensor, batch: Batch, learning: bool) -> Tensor:
        nats = nats_per_item(self.likelihood, eta, batch.x, batch.observed)
        if not isinstance(self.likelihood, Gaussian):
            return nats
        if batch.observed is None:
            counts = torch.full_like(nats, batch.x[0].numel())
        else:
            counts = batch.observed.flatten(1).sum(dim=1).to(nats.dtype)
        if learning:
            fits_best = (2 * nats.detach().sum() / counts.sum().clamp(min=1)).clamp(min=1e-6)
            self.variance.lerp_(fits_best, 0.05)
        return nats / self.variance + 0.5 * counts * self.variance.log()

    def settings(self) -> dict[str, Any]:
        """The options."""
        return {"beta": self.beta, "free_bits": self.free_bits}


def sample(latent: Latent, generator: torch.Generator) -> Tensor:
    """One draw z ~ q(z | x), differentiable in mean and log-variance, (batch, latent_dim)."""
    assert latent.logvar is not None
    noise = torch.randn(latent.mean.shape, generator=generator).to(latent.mean.device)
    return latent.mean + noise * (0.5 * latent.logvar).exp()


def kl_per_dimension(latent: Latent) -> Tensor:
    """KL(q(z | x) ‖ N(0, 1)) of each latent dimension in nats, (batch, latent_dim)."""
    assert latent.logvar is not None
    return 0.5 * (latent.mean**2 + latent.logvar.exp() - 1 - latent.logvar)
