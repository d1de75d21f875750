"""The autoencoder: AE(x) = d(e(x))."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from latentspace.models.base import LatentModel
from latentspace.objectives.base import Objective
from latentspace.objectives.denoising import Denoising
from latentspace.objectives.reconstruction import Reconstruction

__all__ = ["Autoencoder"]


class Autoencoder(LatentModel):
    """An encoder and a decoder learnt from unlabelled items by minimising their reconstruction error.

    Starts where PCA ends: with f and g of z = Wx + f(x), x̂ = Uz + g(z) at zero it is PCA, and where training
    does not beat that on held-out items beyond chance, it stays PCA (``history_.kept_start``).

    Parameters
    ----------
    latent_dim : "auto" or the number of latents; "auto" chooses from held-out losses over sizes.
    network : "auto", "dense", "conv", "conv1d", or one's own (encoder, decoder) pair of torch modules.
    modality : "auto", "table", "image", "signal", "vectors", or a Modality.
    hidden : "auto" or widths from the input inwards, such as (256, 128); the decoder mirrors them.
    corruption : None, or how to damage items in training: "gaussian", "masking", "swap", "salt-and-pepper",
        "grey", or a function (x, strength, generator) -> x; the clean item is the target.
    strength : how much damage (noise deviation on data of variance 1, or share of elements).
    epochs, batch_size, learning_rate, patience : "auto" or numbers.
    validation_fraction : share of the items held out for early stopping.
    max_seconds : stop training after so many seconds, with the best so far.
    checkpoint : file to write after every epoch and to resume from where it exists.
    device : "auto", "cpu", "cuda" or "mps".
    random_state : seed, RandomState or None.

    Attributes
    ----------
    modality_, network_, objective_, history_, latent_dim_, n_parameters_, latent_sizes_, intrinsic_dim_.

    Source: Hinton and Salakhutdinov (2006), "Reducing the dimensionality of data with neural networks".

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 2)) @ np.ones((2, 6))
    >>> Autoencoder(latent_dim=1, epochs=5, random_state=0).fit(X).transform(X).shape
    (200, 1)
    """

    def __init__(
        self,
        latent_dim: int | str = "auto",
        *,
        network: str | tuple[nn.Module, nn.Module] = "auto",
        modality: Any = "auto",
        hidden: str | Sequence[int] = "auto",
        corruption: str | Callable[..., Any] | None = None,
        strength: float = 0.3,
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
        self.network = network
        self.modality = modality
        self.hidden = hidden
        self.corruption = corruption
        self.strength = strength
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
        if self.corruption is None:
            return Reconstruction()
        return Denoising(self.corruption, self.strength)
