"""The variational autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latentspace.models.base import LatentModel
from latentspace.objectives.base import Objective
from latentspace.objectives.variational import Variational, kl_per_dimension

__all__ = ["VariationalAutoencoder"]


class VariationalAutoencoder(LatentModel):
    """An autoencoder whose latents are distributions near N(0, 1), so that Z can be sampled.

    beta, free_bits : see `latentspace.objectives.variational.Variational`; the other parameters are those of
    `Autoencoder`. `transform` gives the means. `score_samples` is the evidence lower bound at the mean.

    Source: Kingma and Welling (2014), "Auto-encoding variational Bayes".

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 6))
    >>> VariationalAutoencoder(latent_dim=2, epochs=2, random_state=0).fit(X).kl_per_dimension(X).shape
    (2,)
    """

    _variational = True

    def __init__(
        self,
        latent_dim: int | str = "auto",
        *,
        beta: float = 1.0,
        free_bits: float = 0.0,
        network: str | tuple[nn.Module, nn.Module] = "auto",
        modality: Any = "auto",
        hidden: str | Sequence[int] = "auto",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float | str = "auto",
        patience: int | str = "auto",
        validation_fraction: float = 0.1,
        max_seconds: float | None = None,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.latent_dim = latent_dim
        self.beta = beta
        self.free_bits = free_bits
        self.network = network
        self.modality = modality
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.max_seconds = max_seconds
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def _objective(self, latent_dim: int) -> Objective:
        return Variational(self.beta, self.free_bits)

    def kl_per_dimension(self, X: Any) -> NDArray[Any]:
        """Mean KL(q(z | x) ‖ N(0, 1)) of each latent over X in nats, (latent_dim,): 0 means an unused one."""
        x, _ = self.modality_.transform(self._read(X))
        with torch.inference_mode():
            kl = kl_per_dimension(self.network_.encode(torch.from_numpy(x)))
        return np.asarray(kl.mean(dim=0).numpy())
