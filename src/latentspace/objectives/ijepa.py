"""I-JEPA: predict the representation of what is hidden, not its pixels."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from latentspace.errors import OptionError, nearest
from latentspace.likelihoods import Likelihood
from latentspace.networks._pooled import PooledEncoder, PooledNetwork
from latentspace.networks._transformer import gather
from latentspace.networks.base import Network
from latentspace.networks.vit import Predictor
from latentspace.objectives._masks import BlockMasks, Masks
from latentspace.objectives.base import Objective
from latentspace.types import Batch

__all__ = ["PatchPrediction"]

#: how targets are scaled: each token by itself, as published, or each dimension over items and patches
TARGETS = ("published", "standardised")
#: how far the running mean and variance of targets follow a batch
FOLLOW = 0.05
#: weight of the covariances beside the variances (VICReg has 1 to 25)
COVARIANCE = 0.04


class PatchPrediction(Objective):
    """Mean smooth-L1 distance of what a predictor makes of a context from what the target encoder sees behind it.

    What is kept, the network, is the target encoder: it follows, with a `momentum` that rises evenly from its first
    to its second value, the context encoder that is trained here and thrown away with the predictor. The loss tells
    nothing of how good representations are.

    predictor_width, predictor_depth, predictor_heads : of the predictor. momentum : at the first and after the last
    step. targets : "published" (each token normalised) or "standardised" (each dimension by its mean and deviation
    over items and patches, which takes away what is the same everywhere). spread : weight of variances below 1 and of
    covariances of the contexts' mean tokens, as in VICReg (Bardes, Ponce and LeCun 2022); 0 as published. masks :
    options of `BlockMasks`.

    Source: Assran et al. (2023), "Self-supervised learning from images with a joint-embedding predictive
    architecture".
    """

    judges = False

    def __init__(
        self,
        predictor_width: int = 384,
        predictor_depth: int = 6,
        predictor_heads: int = 12,
        *,
        momentum: tuple[float, float] = (0.996, 1.0),
        targets: str = "published",
        spread: float = 0.0,
        masks: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if targets not in TARGETS:
            raise OptionError(
                f"targets is one of {', '.join(TARGETS)}, not {targets!r}{nearest(targets, TARGETS)}."
            )
        if not (0 <= momentum[0] <= 1 and 0 <= momentum[1] <= 1):
            raise OptionError(f"momentum must be two numbers from 0 to 1, got {momentum!r}.")
        if not spread >= 0:
            raise OptionError(f"spread must be 0 or more, got {spread!r}.")
        self.predictor_width, self.predictor_depth = predictor_width, predictor_depth
        self.predictor_heads = predictor_heads
        self.momentum, self.targets, self.spread = momentum, targets, float(spread)
        self.mask_options = dict(masks or {})

    def setup(self, network: Network, likelihood: Likelihood) -> None:
        """Make a context encoder, which starts as a copy of the network's, and a predictor of its width."""
        super().setup(network, likelihood)
        if not isinstance(network, PooledNetwork):
            raise OptionError("Predicting patches needs pictures and a vision transformer.")
        kept = network.encoder.requires_grad_(False)
        assert isinstance(kept, PooledEncoder)
        self.encoder = copy.deepcopy(kept).requires_grad_(True)
        self.encoder.tokens.pos_embed.requires_grad_(False)
        grid = kept.tokens.grid
        self.masks = BlockMasks(grid, **self.mask_options)
        self.predictor = Predictor(
            grid,
            kept.tokens.width,
            self.predictor_width,
            self.predictor_depth,
            self.predictor_heads,
            network.sizes.ratio,
        )
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", torch.zeros(kept.tokens.width))
        self.register_buffer("scale", torch.full((kept.tokens.width,), -1.0))
        # items that are judged all have the same blocks hidden
        self._fixed = self.masks.draw(1, torch.Generator().manual_seed(0))

    def forward(
        self, network: Network, batch: Batch, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """{"loss", "prediction"} of each item, and in training "spread"; means over hidden values, no nats."""
        masks = self.drawn(len(batch.x), generator, batch.x.device)
        targets = self.hidden(network, batch.x, masks, generator is not None)
        context = self.context(batch.x, masks)
        each = F.smooth_l1_loss(self.predicted(context, masks), targets, reduction="none")
        prediction = each.mean(dim=(1, 2))
        if not self.spread or generator is None:
            return {"loss": prediction, "prediction": prediction}
        price = scatter(context.mean(dim=1)).expand(len(prediction))
        return {"loss": prediction + self.spread * price, "prediction": prediction, "spread": price}

    def drawn(self, batch: int, generator: torch.Generator | None, device: torch.device | str) -> Masks:
        """Masks of a batch; without a generator the same for every item."""
        if generator is None:
            fixed = self._fixed
            context, targets = fixed.context.expand(batch, -1), fixed.targets.expand(-1, batch, -1)
        else:
            drawn = self.masks.draw(batch, generator)
            context, targets = drawn.context, drawn.targets
        return Masks(context.to(device), targets.to(device))

    def context(self, x: Tensor, masks: Masks) -> Float[Tensor, "batch kept width"]:
        """What the context encoder makes of the patches it sees."""
        return self.encoder.tokens(self.encoder.bordered(x), masks.context)  # type: ignore[no-any-return]

    def predicted(self, context: Tensor, masks: Masks) -> Float[Tensor, "batch hidden width"]:
        """What the predictor makes of hidden patches, block by block for each item."""
        blocks, batch, _ = masks.targets.shape
        tokens: Tensor = self.predictor(context, masks.context, masks.targets)
        return tokens.view(blocks, batch, -1, tokens.shape[-1]).transpose(0, 1).flatten(1, 2)

    def hidden(
        self, network: Network, x: Tensor, masks: Masks, learning: bool = False
    ) -> Float[Tensor, "batch hidden width"]:
        """What the target encoder makes of hidden patches, block by block for each item."""
        return gather(self.seen(network, x, learning), masks.targets.transpose(0, 1).flatten(1))

    @torch.no_grad()
    def seen(
        self, network: Network, x: Tensor, learning: bool = False
    ) -> Float[Tensor, "batch patches width"]:
        """What the target encoder, which sees all, makes of each patch, scaled as targets are."""
        encoder = network.encoder
        assert isinstance(encoder, PooledEncoder)
        tokens: Tensor = encoder.tokens(encoder.bordered(x))
        if self.targets == "published":
            return F.layer_norm(tokens, tokens.shape[-1:])
        if learning or self.scale[0] < 0:
            self._follow_scale(tokens, 1.0 if self.scale[0] < 0 else FOLLOW)
        return (tokens - self.centre) / self.scale

    def _follow_scale(self, tokens: Tensor, share: float) -> None:
        deviations, centre = torch.std_mean(tokens.flatten(0, 1), dim=0)
        self.centre.lerp_(centre, share)
        self.scale.lerp_(deviations.clamp(min=1e-3), share)

    @torch.no_grad()
    def after_step(self, network: Network, progress: float) -> None:
        """Move the network's encoder, which gives targets, towards the one that was trained."""
        momentum = self.momentum[0] + (self.momentum[1] - self.momentum[0]) * progress
        pairs = zip(network.encoder.parameters(), self.encoder.parameters(), strict=True)
        kept, trained = zip(*((old, new) for old, new in pairs if new.requires_grad), strict=True)
        torch._foreach_mul_(kept, momentum)
        torch._foreach_add_(kept, trained, alpha=1 - momentum)

    def settings(self) -> dict[str, Any]:
        """The options."""
        return {
            "predictor_width": self.predictor_width,
            "predictor_depth": self.predictor_depth,
            "predictor_heads": self.predictor_heads,
            "momentum": list(self.momentum),
            "targets": self.targets,
            "spread": self.spread,
            "masks": self.mask_options,
        }


def scatter(z: Float[Tensor, "batch width"]) -> Tensor:
    """How far deviations of Z's dimensions lie below 1, and how much dimensions say the same; 0 is the best."""
    centred = z - z.mean(dim=0)
    low = F.relu(1 - (centred.var(dim=0) + 1e-4).sqrt()).mean()
    covariance = centred.T @ centred / max(1, len(z) - 1)
    alike = covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()
    return low + COVARIANCE * alike / z.shape[1]
