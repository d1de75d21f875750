"""I-JEPA: predict the representation of what is hidden, not its pixels."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from latentspace.errors import OptionError, nearest
from latentspace.likelihoods import Likelihood
from latentspace.networks._pooled import PooledEncoder, PooledNetwork
from latentspace.networks._transformer import gather
from latentspace.networks.base import Network
from latentspace.networks.vit import Predictor
from latentspace.objectives._masks import SAMPLERS, BlockMasks, Masks, RandomMasks
from latentspace.objectives.base import Objective
from latentspace.types import Batch

__all__ = ["PatchPrediction"]

#: how targets are scaled: each token by itself, as published, or each dimension over items and patches
TARGETS = ("published", "standardised")
#: how far the running mean and variance of targets follow a batch
FOLLOW = 0.05
#: share of training in which pixels give way to representations
CHANGE = 0.1
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
    covariances of the contexts' mean tokens, as in VICReg (Bardes, Ponce and LeCun 2022); 0 as published. layers :
    targets are the mean of what so many last blocks make of a patch (data2vec); 1 as published. pixels : share of
    training, at its start, in which hidden pixels are predicted and not yet representations, which mean nothing then;
    0 as published, 1 is a masked autoencoder (He et al. 2022). masks : options of `RandomMasks` with a sampler of
    "random", else of `BlockMasks`.

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
        layers: int = 1,
        pixels: float = 0.0,
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
        if not 0 <= pixels <= 1:
            raise OptionError(f"pixels must be a share of training, from 0 to 1, got {pixels!r}.")
        if layers < 1:
            raise OptionError(f"layers must be at least 1, got {layers!r}.")
        self.layers, self.pixels = layers, float(pixels)
        self.predictor_width, self.predictor_depth = predictor_width, predictor_depth
        self.predictor_heads = predictor_heads
        self.momentum, self.targets, self.spread = momentum, targets, float(spread)
        self.mask_options = dict(masks or {})

    def setup(self, network: Network, likelihood: Likelihood) -> None:
        """Make a context encoder, which starts as a copy of the network's, and a predictor of its width."""
        super().setup(network, likelihood)
        if not isinstance(network, PooledNetwork):
            raise OptionError("Predicting patches needs pictures or signals, and a vision transformer.")
        kept = network.encoder.requires_grad_(False)
        assert isinstance(kept, PooledEncoder)
        self.encoder = copy.deepcopy(kept).requires_grad_(True)
        self.encoder.tokens.pos_embed.requires_grad_(False)
        grid = kept.tokens.grid
        self.masks = _masks(grid, self.mask_options)
        self.predictor = Predictor(
            grid,
            kept.tokens.width,
            self.predictor_width,
            self.predictor_depth,
            self.predictor_heads,
            network.sizes.ratio,
        )
        if self.layers > len(kept.tokens.blocks):
            raise OptionError(
                f"layers must be at most {len(kept.tokens.blocks)}, the depth, got {self.layers}."
            )
        if self.pixels:
            area = network.shape[0] * math.prod(kept.tokens.patch_size)
            self.to_pixels = nn.Linear(kept.tokens.width, area)
        self.progress: Tensor
        self.register_buffer("progress", torch.zeros(()))
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", torch.zeros(kept.tokens.width))
        self.register_buffer("scale", torch.full((kept.tokens.width,), -1.0))
        # items that are judged all have the same blocks hidden
        self._fixed = self.masks.draw(1, torch.Generator().manual_seed(0))

    def forward(
        self, network: Network, batch: Batch, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """{"loss"} of each item and, in training, its terms; means over hidden values, no nats."""
        masks = self.drawn(len(batch.x), generator, batch.x.device)
        context = self.context(batch.x, masks)
        predicted = self.predicted(context, masks)
        share = 1.0 if generator is None else self._share()
        terms: dict[str, Tensor] = {}
        if share > 0:
            targets = self.hidden(network, batch.x, masks, generator is not None)
            each = F.smooth_l1_loss(predicted, targets, reduction="none").mean(dim=(1, 2))
            terms["prediction"] = each
        if share < 1:
            hidden = gather(self.patches(batch.x), masks.targets.transpose(0, 1).flatten(1))
            terms["pixels"] = (self.to_pixels(predicted) - hidden).square().mean(dim=(1, 2))
        if self.spread and generator is not None:
            terms["spread"] = scatter(context.mean(dim=1)).expand(len(predicted))
        weights = {"prediction": share, "pixels": 1 - share, "spread": self.spread}
        loss = torch.stack([weights[name] * term for name, term in terms.items()]).sum(dim=0)
        return {"loss": loss, **terms}

    def _share(self) -> float:
        """How much of the loss is of representations at this point of training; the rest is of pixels."""
        past = float(self.progress) - self.pixels
        return 1.0 if not self.pixels else 0.0 if self.pixels == 1 else min(1.0, max(0.0, past / CHANGE))

    def patches(self, x: Tensor) -> Float[Tensor, "batch patches pixels"]:
        """The pixels of each patch, channel by channel and row by row."""
        images, (height, width) = self.encoder.bordered(x), self.encoder.tokens.patch_size
        cut = images.unfold(2, height, height).unfold(3, width, width)
        return cut.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

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
        images = encoder.bordered(x)
        tokens: Tensor = (
            encoder.tokens(images) if self.layers == 1 else encoder.tokens.late(images, self.layers)
        )
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
        self.progress.fill_(progress)
        momentum = self.momentum[0] + (self.momentum[1] - self.momentum[0]) * progress
        pairs = zip(network.encoder.parameters(), self.encoder.parameters(), strict=True)
        kept, trained = zip(*((old, new) for old, new in pairs if new.requires_grad), strict=True)
        torch._foreach_mul_(kept, momentum)
        torch._foreach_add_(kept, trained, alpha=1 - momentum)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        state_dict.setdefault(f"{prefix}progress", torch.ones(()))  # spaces of older versions do not say it
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def settings(self) -> dict[str, Any]:
        """The options."""
        return {
            "predictor_width": self.predictor_width,
            "predictor_depth": self.predictor_depth,
            "predictor_heads": self.predictor_heads,
            "momentum": list(self.momentum),
            "targets": self.targets,
            "spread": self.spread,
            "layers": self.layers,
            "pixels": self.pixels,
            "masks": self.mask_options,
        }


def _masks(grid: tuple[int, int], options: dict[str, Any]) -> BlockMasks | RandomMasks:
    name = options.get("sampler", "every")
    known = (*SAMPLERS, "random")
    if name not in known:
        raise OptionError(f"sampler is one of {', '.join(known)}, not {name!r}{nearest(name, known)}.")
    if name == "random":
        return RandomMasks(grid, keep=options.get("keep", 0.25))
    return BlockMasks(grid, **{option: value for option, value in options.items() if option != "keep"})


def scatter(z: Float[Tensor, "batch width"]) -> Tensor:
    """How far deviations of Z's dimensions lie below 1, and how much dimensions say the same; 0 is the best."""
    centred = z - z.mean(dim=0)
    low = F.relu(1 - (centred.var(dim=0) + 1e-4).sqrt()).mean()
    covariance = centred.T @ centred / max(1, len(z) - 1)
    alike = covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()
    return low + COVARIANCE * alike / z.shape[1]
