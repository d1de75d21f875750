"""Reconstruction: the lecture's Loss(d(e(x)), x)."""

from __future__ import annotations

import torch
from torch import Tensor

from latentspace.networks.base import Network
from latentspace.objectives.base import Objective, nats_per_item
from latentspace.types import Batch

__all__ = ["Reconstruction"]


class Reconstruction(Objective):
    """Negative log-likelihood of the item under its own reconstruction; gaps do not count.

    Source: Rumelhart, Hinton and Williams (1986), "Learning internal representations by error propagation".
    """

    is_reconstruction = True
    keeps_start = True

    def forward(
        self, network: Network, batch: Batch, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """{"loss": nats of each item}."""
        seen = batch.x if generator is None else self.view(batch.x, generator)
        eta = network.decode(network.encode(seen).mean)
        return {"loss": nats_per_item(self.likelihood, eta, batch.x, batch.observed)}
