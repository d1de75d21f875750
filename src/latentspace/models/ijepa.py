"""I-JEPA: an encoder of pictures or signals that learns by predicting representations, not pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentspace.errors import OptionError
from latentspace.models import collapse, defaults
from latentspace.models.base import LatentModel, Tell, _number
from latentspace.models.ijepa_recipe import STEPS, Recipe, recipe
from latentspace.models.ijepa_watch import BLOCK, looking, region_means, seconds_per_step
from latentspace.models.patch_probe import PatchProbe
from latentspace.networks._pooled import PooledNetwork, widen
from latentspace.networks.base import Network
from latentspace.networks.layers import seeded
from latentspace.objectives.base import Objective
from latentspace.objectives.ijepa import PatchPrediction
from latentspace.training.loop import Data, History, Training, train
from latentspace.training.schedule import Schedule

__all__ = ["IJEPA"]

#: held-out items that the dials look at
DIAL_ITEMS = 1000
#: items that the axes of Z are read from
AXES_ITEMS = 10_000
#: items that what tokens look like is learnt from at most, and their values (64 MB)
PROBE_ITEMS, PROBE_VALUES = 2000, 2**24
#: share of the time that is for training itself
TRAINING_SHARE = 0.9


class IJEPA(LatentModel):
    """Hide parts of a picture and predict what an encoder makes of them, not their pixels; Z = means of its tokens.

    There is no decoder, and the loss does not tell how good Z is: `dials_` do. Training stops with advice where they
    show that collapse begins. Signals are pictures of one row. docs/13 says when an
    `Autoencoder` is the better choice.

    Parameters
    ----------
    latent_dim : "auto" or the number of latents, at most the width times the regions squared: principal axes of the
        means of tokens over regions x regions parts of a picture. "published": the mean of all tokens as it is.
    recipe : "small" (for thousands of pictures and minutes; docs/13 says what is other and why) or "published"
        (Assran et al. 2023, on a vision transformer of the same size).
    patch_size : "auto" or the side of a patch in pixels, or the samples of a piece; "auto" cuts pictures into about
        8 x 8, signals into about 16.
    width, depth : "auto" or the width of a token, a multiple of 32, and the number of blocks.
    regions : "auto" or rows and columns of parts of a picture, or parts of a signal, that have a mean of their own.
    sampler, keep : "auto", or "random", which hides all but the share `keep` of the patches, or that of blocks,
        "every" or "official", for which the next ones hold.
    enc_mask_scale, pred_mask_scale, aspect_ratio, num_enc_masks, num_pred_masks, min_keep, allow_overlap :
        blocks that are hidden; see `latentspace.objectives._masks.BlockMasks`, "auto" by the recipe.
    momentum : "auto" or that of the target encoder at the first and after the last step.
    targets, spread, layers, pixels : "auto" or see `latentspace.objectives.ijepa.PatchPrediction`.
    minutes : time for training, from which size and epochs follow; None for about 3,000 steps.
    epochs, batch_size, learning_rate : "auto" or numbers.
    weight_decay : before the first and after the last step.
    stop_at_collapse : whether to stop where collapse begins.
    modality, validation_fraction, checkpoint, device, random_state : as in `Autoencoder`.

    Attributes
    ----------
    modality_, network_ (the target encoder), objective_ (context encoder and predictor), history_, latent_dim_,
    recipe_, dials_ (of before training and of every epoch), probe_ (pixels of tokens), n_parameters_.

    Source: Assran et al. (2023), "Self-supervised learning from images with a joint-embedding predictive
    architecture".

    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((60, 16, 16))
    >>> IJEPA(width=32, depth=1, epochs=1, random_state=0).fit(X).transform(X).shape
    (60, 256)
    """

    _decodes = False
    network_: PooledNetwork
    objective_: PatchPrediction

    def __init__(
        self,
        latent_dim: int | str = "auto",
        *,
        recipe: str = "small",
        patch_size: int | str = "auto",
        width: int | str = "auto",
        depth: int | str = "auto",
        regions: int | str = "auto",
        sampler: str = "auto",
        keep: float | str = "auto",
        enc_mask_scale: tuple[float, float] = (0.85, 1.0),
        pred_mask_scale: tuple[float, float] = (0.15, 0.2),
        aspect_ratio: tuple[float, float] = (0.75, 1.5),
        num_enc_masks: int = 1,
        num_pred_masks: int | str = "auto",
        min_keep: int | str = "auto",
        allow_overlap: bool = False,
        momentum: tuple[float, float] | str = "auto",
        targets: str = "auto",
        spread: float | str = "auto",
        layers: int | str = "auto",
        pixels: float | str = "auto",
        minutes: float | None = None,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float | str = "auto",
        weight_decay: tuple[float, float] = (0.04, 0.4),
        stop_at_collapse: bool = True,
        modality: Any = "auto",
        validation_fraction: float = 0.1,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.latent_dim = latent_dim
        self.recipe = recipe
        self.patch_size = patch_size
        self.width = width
        self.depth = depth
        self.regions = regions
        self.sampler = sampler
        self.keep = keep
        self.enc_mask_scale = enc_mask_scale
        self.pred_mask_scale = pred_mask_scale
        self.aspect_ratio = aspect_ratio
        self.num_enc_masks = num_enc_masks
        self.num_pred_masks = num_pred_masks
        self.min_keep = min_keep
        self.allow_overlap = allow_overlap
        self.momentum = momentum
        self.targets = targets
        self.spread = spread
        self.layers = layers
        self.pixels = pixels
        self.minutes = minutes
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.stop_at_collapse = stop_at_collapse
        self.modality = modality
        self.validation_fraction = validation_fraction
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    # --- what it is made of --------------------------------------------------------------------------------

    def _choose_latent_dim(
        self, data: Data, fit_rows: NDArray[Any], held_out_rows: NDArray[Any], seed: int, tell: Tell
    ) -> int:
        self.latent_sizes_, self.intrinsic_dim_ = None, None
        self.recipe_ = self._recipe(data.x.shape[1:], len(fit_rows))
        return self.recipe_.sizes.latent_dim(data.x.shape[1:])

    def _recipe(self, shape: tuple[int, ...], n: int) -> Recipe:
        """The recipe, with what was said of it."""
        if self.minutes is not None and not self.minutes > 0:
            raise OptionError(f"minutes must be None or a number above 0, got {self.minutes!r}.")
        patch = None if _auto(self.patch_size) else _number("patch_size", self.patch_size, 1, 1)
        chosen = recipe(self.recipe, shape, n, self.minutes, patch)
        width = _number("width", self.width, chosen.sizes.width, 32)
        if width % 32:
            raise OptionError(f"width must be 'auto' or a multiple of 32, got {self.width!r}.")
        regions = _number("regions", self.regions, chosen.sizes.regions, 1)
        sizes = replace(
            chosen.sizes,
            width=width,
            depth=_number("depth", self.depth, chosen.sizes.depth, 1),
            heads=width // 32,
            regions=regions,
        )
        means = sizes.means(shape)
        sizes = replace(sizes, axes=_number("latent_dim", self.latent_dim, min(sizes.axes, means), 1))
        if sizes.axes > means:
            raise OptionError(
                f"latent_dim must be 'auto' or at most {means}, the width {width} times {means // width} regions, "
                f"got {self.latent_dim!r}."
            )
        for name in ("momentum", "spread", "keep", "pixels"):
            value = getattr(self, name)
            if isinstance(value, str) and value != "auto":
                kind = "two numbers" if name == "momentum" else "a number"
                raise OptionError(f"{name} must be 'auto' or {kind}, got {value!r}.")
        rate = chosen.learning_rate if _auto(self.learning_rate) else self.learning_rate
        if isinstance(rate, str) or not rate > 0:
            raise OptionError(f"learning_rate must be 'auto' or a number above 0, got {rate!r}.")
        given = {name: getattr(self, name) for name in ("targets", "spread", "sampler", "keep", "pixels")}
        return replace(
            chosen,
            sizes=sizes,
            predictor=(width // 2, chosen.predictor[1], max(1, width // 64)),
            num_pred_masks=_number("num_pred_masks", self.num_pred_masks, chosen.num_pred_masks, 1),
            min_keep=_number("min_keep", self.min_keep, chosen.min_keep, 0),
            layers=_number("layers", self.layers, min(chosen.layers, sizes.depth), 1),
            batch_size=_number("batch_size", self.batch_size, chosen.batch_size, 1),
            learning_rate=float(rate),
            **{name: value for name, value in given.items() if not _auto(value)},
        )

    def _make_network(self, shape: tuple[int, ...], seed: int) -> PooledNetwork:
        with seeded(seed):
            return PooledNetwork(shape, self.recipe_.sizes)

    def _objective(self, latent_dim: int) -> Objective:
        chosen = self.recipe_
        masks = {
            "enc_mask_scale": self.enc_mask_scale,
            "pred_mask_scale": self.pred_mask_scale,
            "aspect_ratio": self.aspect_ratio,
            "num_enc_masks": self.num_enc_masks,
            "num_pred_masks": chosen.num_pred_masks,
            "min_keep": chosen.min_keep,
            "allow_overlap": self.allow_overlap,
            "sampler": chosen.sampler,
            "keep": chosen.keep,
        }
        first, last = chosen.momentum if isinstance(self.momentum, str) else self.momentum
        return PatchPrediction(
            *chosen.predictor,
            momentum=(first, last),
            targets=chosen.targets,
            spread=chosen.spread,
            layers=chosen.layers,
            pixels=chosen.pixels,
            masks=masks,
        )

    def _work(self, shape: tuple[int, ...], n: int) -> float:
        return 2e7 + 1  # every step is worth all threads

    # --- training ------------------------------------------------------------------------------------------

    def _train(
        self, data: Data, fit_rows: NDArray[Any], held_out_rows: NDArray[Any], seed: int, tell: Tell
    ) -> tuple[Network, History]:
        network = self._make_network(data.x.shape[1:], seed)
        if self.recipe_.wide:
            network.start_wide(torch.Generator().manual_seed(seed))
        objective = self._set_up(network, seed)
        how = self._training(data, len(fit_rows), seed)
        network.to(how.device), objective.to(how.device)
        how = self._in_time(how, network, objective, data, fit_rows, tell)
        self.recipe_ = self.recipe_.following(how.epochs * max(1, len(fit_rows) // how.batch_size))
        if isinstance(self.momentum, str):
            objective.momentum = self.recipe_.momentum
        look = looking(network, objective, data, held_out_rows[:DIAL_ITEMS], how.device)
        dials = [look()]

        def watch(epoch: int) -> tuple[dict[str, float], str | None]:
            dials.append(look())
            return dials[-1].figures(), collapse.begins(dials) if self.stop_at_collapse else None

        def each_epoch(epoch: int, epochs: int, loss: float) -> None:
            tell(f"training: epoch {epoch} of {epochs}, {dials[-1].words()}", epoch / epochs)

        history = train(network, objective, data, fit_rows, held_out_rows, how, each_epoch, watch=watch)
        history.dials.insert(0, dials[0].figures())
        self.dials_ = dials
        if self.recipe_.sizes.axes:
            tell("looking for the axes of Z", None)
            network.read_axes(region_means(network, data, fit_rows[:AXES_ITEMS], how.device))
        self.objective_ = objective.to("cpu").eval()
        self.network_ = network.to("cpu").eval()
        tell("looking for what tokens look like", None)
        self.probe_ = self._learnt_probe(data, fit_rows, held_out_rows)
        return network, history

    @torch.no_grad()
    def _learnt_probe(self, data: Data, fit_rows: NDArray[Any], held_out_rows: NDArray[Any]) -> PatchProbe:
        most = max(8, min(PROBE_ITEMS, PROBE_VALUES // data.x[0].size))
        held_out_rows = held_out_rows[: most // 4]
        rows = np.concatenate([fit_rows[:most], held_out_rows])
        x, tokens = data.batch(rows).x, []
        for block in torch.split(x, BLOCK):
            tokens.append(self.objective_.seen(self.network_, block))
        return self._probe().learn(torch.cat(tokens), self.objective_.patches(x), len(held_out_rows))

    def _set_up(self, network: PooledNetwork, seed: int) -> PatchPrediction:
        with seeded(seed):
            objective = self._objective(self.latent_dim_)
            objective.setup(network, self.modality_.likelihood)
        assert isinstance(objective, PatchPrediction)
        if self.recipe_.wide:
            widen(objective.predictor)
        return objective

    def _training(self, data: Data, n: int, seed: int) -> Training:
        chosen = self.recipe_
        steps = max(1, n // chosen.batch_size)
        schedule = Schedule(
            chosen.learning_rate,
            chosen.learning_rate / 5,
            chosen.learning_rate / 1000,
            decay=self.weight_decay,
        )
        return Training(
            epochs=_number("epochs", self.epochs, max(1, round(STEPS / steps)), 0),
            batch_size=chosen.batch_size,
            peak_rate=chosen.learning_rate,
            patience=2**31,
            max_seconds=None if self.minutes is None else 60 * self.minutes,
            seed=seed,
            device=defaults.device(self.device),
            checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
            schedule=schedule,
        )

    def _in_time(
        self,
        how: Training,
        network: PooledNetwork,
        objective: PatchPrediction,
        data: Data,
        rows: NDArray[Any],
        tell: Tell,
    ) -> Training:
        """As many epochs as there is time for, by a few steps that are timed on copies."""
        if self.minutes is None or not _auto(self.epochs):
            return how
        tell("timing a step", None)
        each = seconds_per_step(network, objective, data, rows, how)
        steps = max(1, len(rows) // how.batch_size)
        return replace(how, epochs=max(1, int(60 * self.minutes * TRAINING_SHARE / (each * steps))))

    def _probe(self) -> PatchProbe:
        tokens = self.network_.seeing.tokens
        pixels = self.network_.shape[0] * tokens.patch_size[0] * tokens.patch_size[1]
        return PatchProbe(tokens.grid[0] * tokens.grid[1], tokens.width, pixels)

    # --- using ---------------------------------------------------------------------------------------------

    def score_samples(self, X: Any) -> NDArray[Any]:
        """How normal each item is, (n,): minus the mean error of what is foreseen of blocks, the same in all items.

        Higher is more normal. No likelihood, and no measure of how good Z is.
        """
        return np.asarray(super().score_samples(X))

    def rebuild(self, x: NDArray[Any]) -> NDArray[Any]:
        """Encoded pictures again, by the pixels that their tokens stand for: not from Z, which has no decoder."""
        from latentspace.models.foresight import rebuilt

        return rebuilt(self, x)

    # --- on disk -------------------------------------------------------------------------------------------

    def _modules(self) -> dict[str, torch.nn.Module]:
        if not hasattr(self, "probe_"):
            self.probe_ = self._probe()
        return {**super()._modules(), "probe": self.probe_}

    def _extra_state(self) -> dict[str, Any]:
        return {"recipe": self.recipe_.state(), "dials": [d.state() for d in self.dials_]}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        self.recipe_ = Recipe.from_state(state["recipe"])
        self.dials_ = [collapse.Dials.from_state(d) for d in state["dials"]]


def _auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"
