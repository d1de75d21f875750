"""What an I-JEPA believes is behind its mask, drawn with pixels: for eyes, not for training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from latentspace.errors import DataError, OptionError
from latentspace.models.ijepa import IJEPA
from latentspace.networks._pooled import as_picture
from latentspace.networks._transformer import gather

__all__ = ["Foresight", "foresee"]

Array = NDArray[np.float32]

#: pictures of which nearest patches are taken at most, and pictures looked at together
AMONG, BLOCK = 2000, 256


@dataclass(frozen=True)
class Foresight:
    """Pictures in several versions, each (n, C, H, W) on the model's scale; NaN where nothing is to be drawn.

    seen : the context alone. believed : the context, and behind the mask the pixels of predicted tokens. nearest :
    for each of k, the context, and behind the mask the real patches of other pictures whose tokens at that place are
    nearest to what was predicted. colours (n, rows, columns, 3) : tokens along three principal axes, from 0 to 1, the
    mean of each place taken away. attention (n, rows, columns) : how much of all attention in the last block a patch
    gets; sums to 1. explained : share of the variance of hidden pixels about the mean patch of their place that the
    prediction explains; 0 is that mean patch, which needs no model; `probe`: what the targets' own tokens explain.
    """

    pictures: Array
    seen: Array
    believed: Array
    nearest: tuple[Array, ...]
    colours: Array
    attention: Array
    explained: float
    probe: float


@torch.no_grad()
def foresee(
    model: IJEPA, x: Array, among: Array, nearest: int = 2, seed: int = 0, own: NDArray[np.intp] | None = None
) -> Foresight:
    """What `model` foresees of encoded pictures x (n, C, H, W), with patches of other pictures `among` (m, C, H, W).

    own : (n,) the row of each picture in `among`, whose patches are not its own neighbours; -1 for none.
    Raises SpaceError for a model of an older version, DataError for other pictures, OptionError for too many nearest.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.random((60, 16, 16))
    >>> model = IJEPA(width=32, depth=1, epochs=1, random_state=0).fit(x)
    >>> shown = foresee(model, x[:3, None].astype("float32"), x[3:, None].astype("float32"))
    >>> shown.believed.shape, len(shown.nearest), shown.attention.shape
    ((3, 1, 16, 16), 2, (3, 8, 8))
    """
    probe, objective, encoder = model.probe_.needed(), model.objective_, model.network_.seeing
    for given in (x, among):
        _check(model, given)
    among = among[:AMONG]
    if not 0 <= nearest <= len(among) - 1:
        raise OptionError(
            f"nearest must lie between 0 and {len(among) - 1}, the other pictures, got {nearest}."
        )
    own_rows = torch.full((len(x),), -1) if own is None else torch.from_numpy(own)
    pictures, others = torch.from_numpy(x), torch.from_numpy(among)
    masks = objective.drawn(len(x), torch.Generator().manual_seed(seed), "cpu")
    hidden = masks.targets.transpose(0, 1).flatten(1)
    told = objective.predicted(objective.context(pictures, masks), masks)
    patches = objective.patches(pictures)
    blank = torch.full_like(patches, torch.nan)
    seen = _with(blank, masks.context, gather(patches, masks.context))
    believed = _with(seen, hidden, probe(told, hidden))
    tokens, other_tokens = (_tokens(model, each) for each in (pictures, others))
    rows = _nearest(told, hidden, other_tokens, own_rows, nearest)
    other_patches = objective.patches(others)
    real = [_with(seen, hidden, other_patches[rows[..., k], hidden]) for k in range(nearest)]
    missed = misses(model, x, seed)
    return Foresight(
        pictures=x,
        seen=_drawn(model, seen),
        believed=_drawn(model, believed),
        nearest=tuple(_drawn(model, each) for each in real),
        colours=_colours(tokens - probe.mean_tokens, other_tokens - probe.mean_tokens, encoder.tokens.grid),
        attention=encoder.tokens.attention(encoder.bordered(pictures))
        .numpy()
        .reshape(-1, *encoder.tokens.grid),
        explained=_share(missed["predicted"], missed["mean patch"]),
        probe=_share(missed["target"], missed["mean patch"]),
    )


@torch.no_grad()
def misses(model: IJEPA, x: Array, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Squared errors (n,) of the hidden pixels of encoded pictures x (n, C, H, W), by what they are told from.

    "predicted": the predicted tokens; "target": the tokens that should have been predicted; "mean patch": the place
    alone, which needs no model. Raises SpaceError for a model of an older version, DataError for other pictures.

    >>> x = np.random.default_rng(0).random((60, 16, 16))
    >>> model = IJEPA(width=32, depth=1, epochs=1, random_state=0).fit(x)
    >>> {name: each.shape for name, each in misses(model, x[:9, None].astype("float32")).items()}
    {'predicted': (9,), 'target': (9,), 'mean patch': (9,)}
    """
    probe, objective = model.probe_.needed(), model.objective_
    _check(model, x)
    generator, found = torch.Generator().manual_seed(seed), []
    for block in torch.split(torch.from_numpy(x), BLOCK):
        masks = objective.drawn(len(block), generator, "cpu")
        hidden = masks.targets.transpose(0, 1).flatten(1)
        told = objective.predicted(objective.context(block, masks), masks)
        target = objective.hidden(model.network_, block, masks)
        versions = (probe(told, hidden), probe(target, hidden), probe.mean_pixels[hidden])
        real = gather(objective.patches(block), hidden)
        found.append(torch.stack([(each - real).square().sum(dim=(1, 2)) for each in versions]))
    errors = torch.cat(found, dim=1).double().numpy()
    return dict(zip(("predicted", "target", "mean patch"), errors, strict=True))


def rebuilt(model: IJEPA, x: Array) -> Array:
    """Encoded pictures x (n, C, H, W) again, by the pixels that their tokens stand for."""
    probe = model.probe_.needed()
    with torch.no_grad():
        blocks = torch.split(torch.from_numpy(np.asarray(x, np.float32)), BLOCK)
        return np.concatenate([_drawn(model, probe(_tokens(model, block))) for block in blocks])


def _tokens(model: IJEPA, x: Tensor) -> Float[Tensor, "n patches width"]:
    return torch.cat([model.objective_.seen(model.network_, block) for block in torch.split(x, BLOCK)])


def _with(
    patches: Float[Tensor, "n patches pixels"], places: Tensor, value: Float[Tensor, "n some pixels"]
) -> Tensor:
    return patches.scatter(1, places[..., None].expand(-1, -1, patches.shape[-1]), value)


def _nearest(told: Tensor, hidden: Tensor, others: Tensor, own: Tensor, k: int) -> Tensor:
    """(n, hidden, k): the pictures whose tokens at the same places are nearest to what is predicted there."""
    found = []
    for item in range(len(told)):
        far = torch.cdist(told[item][:, None], others[:, hidden[item]].transpose(0, 1))[:, 0]
        if own[item] >= 0:
            far[:, own[item]] = torch.inf
        found.append(far.topk(k, dim=1, largest=False).indices)
    return torch.stack(found)


def _drawn(model: IJEPA, patches: Float[Tensor, "n patches pixels"]) -> Array:
    """Patches as pictures (n, C, H, W), without borders."""
    shape = model.network_.shape
    channels, height, width = as_picture(shape)
    tokens = model.network_.seeing.tokens
    whole = [n * p for n, p in zip(tokens.grid, tokens.patch_size, strict=True)]
    picture = F.fold(
        patches.transpose(1, 2), (whole[0], whole[1]), tokens.patch_size, stride=tokens.patch_size
    )
    return np.asarray(picture[:, :channels, :height, :width].numpy().reshape(-1, *shape))


def _colours(tokens: Tensor, others: Tensor, grid: tuple[int, int]) -> Array:
    """Three principal axes of tokens, those of others too, from 0 to 1 between the 2 % at either end."""
    both = torch.cat([tokens, others]).flatten(0, 1)
    _, axes = torch.linalg.eigh((both.T @ both).double())
    along = both @ axes.flip(1)[:, :3].float()
    low, high = np.quantile(along.numpy(), (0.02, 0.98), axis=0)
    shown = (along[: tokens.shape[0] * tokens.shape[1]].numpy() - low) / np.maximum(high - low, 1e-9)
    clipped: Array = np.clip(shown, 0, 1).reshape(len(tokens), *grid, -1).astype(np.float32)
    return clipped


def _share(errors: NDArray[np.float64], rival: NDArray[np.float64]) -> float:
    return float(1 - errors.sum() / max(rival.sum(), 1e-12))


def _check(model: IJEPA, x: Array) -> None:
    shape = model.network_.shape
    if x.ndim != 4 or x.shape[1:] != shape:  # signals are not drawn
        raise DataError(f"Encoded pictures of this model have shape (n, {shape}), these have {x.shape}.")
