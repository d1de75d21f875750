"""What training minimises, and what only training needs."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentspace.likelihoods import Likelihood
from latentspace.networks.base import Network
from latentspace.types import Batch


class Objective(nn.Module):
    """A loss over a network and a batch, with its named terms.

    Parameters of an objective (a predictor, a projector, a head) are trained with the network and thrown away
    after it. Options are plain constructor arguments.
    """

    #: the loss is the plain NLL of d(e(view(x))): dense networks may then be trained without autograd
    is_reconstruction = False
    #: the loss of an untrained network started at PCA is a sensible thing to fall back on
    keeps_start = False
    #: a smaller loss of held-out items means better weights; where it does not, the last weights are kept
    judges = True

    def setup(self, network: Network, likelihood: Likelihood) -> None:
        """Learn what the objective needs to know before the first step."""
        self.likelihood = likelihood

    def view(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """What the encoder sees of `x` in training: `x` itself, or a damaged copy."""
        return x

    def forward(
        self, network: Network, batch: Batch, generator: torch.Generator | None = None
    ) -> dict[str, Float[Tensor, " batch"]]:
        """Nats of each item, (batch,): "loss" and its named terms. No generator: as held-out items are judged."""
        raise NotImplementedError

    def after_step(self, network: Network, progress: float) -> None:
        """Called after each step with the share of training done before it (moving averages and the like)."""

    def settings(self) -> dict[str, Any]:
        """The options, JSON-able, for the model card."""
        return {}


class ReconstructionBase(Objective):
    """Shared by the objectives whose loss is the plain NLL of the item under d(e(view(x)))."""

    is_reconstruction = True
    keeps_start = True

    def forward(
        self, network: Network, batch: Batch, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """{"loss": nats of each item}; gaps do not count."""
        seen = batch.x if generator is None else self.view(batch.x, generator)
        eta = network.decode(network.encode(seen).mean)
        return {"loss": nats_per_item(self.likelihood, eta, batch.x, batch.observed)}


def nats_per_item(
    likelihood: Likelihood, eta: Tensor, x: Tensor, observed: Tensor | None
) -> Float[Tensor, " batch"]:
    """Negative log-likelihood summed over an item's observed elements, (batch,)."""
    each = likelihood.nll(eta, x)
    if observed is not None:
        each = each * observed
    return each.flatten(1).sum(dim=1)
