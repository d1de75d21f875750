"""Classification: the supervised contrast, Loss(ŷ, y), with the same encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from latentspace.networks.base import Network
from latentspace.objectives.base import Objective
from latentspace.types import Batch

__all__ = ["Classification"]


class Classification(Objective):
    """Cross-entropy of a linear head on the latents with the labels: X → Z → {0, 1} in place of X → Z → X.

    The head is the lecture's last f_n; `n_classes` >= 2. Only the encoder learns; the decoder is not used.
    Source: Cox (1958), "The regression analysis of binary sequences" (the multinomial form).
    """

    def __init__(self, n_classes: int, latent_dim: int) -> None:
        super().__init__()
        self.head = nn.Linear(latent_dim, n_classes)

    def forward(
        self, network: Network, batch: Batch, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """{"loss": nats of each item}."""
        assert batch.y is not None
        logits = self.head(network.encode(batch.x).mean)
        return {"loss": cross_entropy(logits, batch.y, reduction="none")}
