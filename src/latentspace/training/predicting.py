"""Learning what the next whole number will be: small networks, one a class of cells, weigh logistic components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from latentspace.training.flat import Adam, FlatParameters

__all__ = ["Batch", "Learnt", "learn"]

#: peak rate of Adam, share of warm-up
RATE, WARM_UP = 4e-3, 0.05


@dataclass(frozen=True)
class Batch:
    """Cells of every class: features (G, B, C), tokens (G, B), counted (G, B) 0 or 1, places: per axis (B,)."""

    features: NDArray[np.float32]
    tokens: NDArray[np.int64]
    counted: NDArray[np.float32]
    places: tuple[NDArray[np.int64], ...]


@dataclass(frozen=True)
class Learnt:
    """Of one class: the weights and biases of three layers, what places add, and the components, in tokens.

    bits : what a token of the last batches cost on average.
    """

    weights: list[NDArray[np.float32]]
    biases: list[NDArray[np.float32]]
    places: list[NDArray[np.float32]]
    centres: NDArray[np.float32]
    widths: NDArray[np.float32]
    bits: float


def learn(
    draw: Callable[[np.random.Generator], Batch],
    *,
    hidden: int,
    components: int,
    ceiling: float,
    spread: bool,
    sides: tuple[int, ...],
    steps: int,
    seed: int,
    tell: Callable[[float], None] | None = None,
) -> list[Learnt]:
    """Fit the classes' networks on `steps` batches by Adam, one rise and a linear fall of the rate.

    ceiling : bound of hidden activations (see codecs/_exact.py).
    spread : components start all over the 256 tokens (values as they are), or around the middle (residuals).
    sides : sizes of the axes whose places are known. Minimises the mean of -log2 of the tokens' probabilities under
    the mixture of discretised logistics (Salimans et al. 2017, "PixelCNN++", arXiv:1701.05517).
    """
    random, torch_random = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    first = draw(random)
    groups, _, inputs = first.features.shape
    parts = _initial(groups, inputs, hidden, components, spread, sides, torch_random)
    flat = FlatParameters(parts)
    adam = Adam(flat)
    late: list[NDArray[np.float32]] = []
    for step in range(steps):
        batch = draw(random)
        loss = _bits(parts, batch, ceiling)
        flat.gradient.zero_()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        adam.step(RATE * min(1.0, (step + 1) / (WARM_UP * steps)) * (1 - step / steps))
        if step >= 0.9 * steps:
            late.append(loss.detach().numpy())
        if tell and step % 20 == 0:
            tell(step / steps)
    found = {name: p.detach().numpy() for name, p in parts.items()}
    cost = np.mean(late, axis=0)
    return [
        Learnt(
            [found[f"w{k}"][g] for k in range(3)],
            [found[f"b{k}"][g, 0] for k in range(3)],
            [found[f"p{k}"][g] for k in range(len(sides))],
            found["centres"][g],
            np.exp(found["widths"][g]),
            float(cost[g]),
        )
        for g in range(groups)
    ]


def _initial(
    groups: int,
    inputs: int,
    hidden: int,
    components: int,
    spread: bool,
    sides: tuple[int, ...],
    generator: torch.Generator,
) -> nn.ParameterDict:
    parts: dict[str, torch.Tensor] = {}
    shapes = ((inputs, hidden), (hidden, hidden), (hidden, components))
    for k, (rows, columns) in enumerate(shapes):
        bound = (3 / rows) ** 0.5 * (0.5 if k == 0 else 1.0)
        parts[f"w{k}"] = bound * (2 * torch.rand(groups, rows, columns, generator=generator) - 1)
        parts[f"b{k}"] = torch.zeros(groups, 1, columns)
    for k, side in enumerate(sides):
        parts[f"p{k}"] = torch.zeros(groups, side, hidden)
    if spread:
        centres, widths = torch.linspace(0, 255, components), torch.full((components,), np.log(8.0))
    else:
        # widths from a fraction of a token to what escapes, three centres each
        widths = torch.linspace(np.log(0.25), np.log(40.0), components)
        centres = 128 + widths.exp() * (torch.arange(components) % 3 - 1)
    parts["centres"] = centres.repeat(groups, 1).float()
    parts["widths"] = widths.repeat(groups, 1).float()
    return nn.ParameterDict(parts)


def _bits(parts: nn.ParameterDict, batch: Batch, ceiling: float) -> torch.Tensor:
    """(G,) mean bits a counted token."""
    x = torch.from_numpy(batch.features)
    h = torch.baddbmm(parts["b0"], x, parts["w0"])
    for k, place in enumerate(batch.places):
        h = h + parts[f"p{k}"][:, torch.from_numpy(place)]
    h = torch.baddbmm(parts["b1"], h.clamp(0, ceiling), parts["w1"]).clamp(0, ceiling)
    share = torch.baddbmm(parts["b2"], h, parts["w2"]).softmax(dim=-1)
    edges = torch.arange(1, 256) - 0.5
    widths = parts["widths"].clamp(np.log(0.0625), np.log(120.0)).exp()
    below = torch.sigmoid((edges - parts["centres"][..., None]) / widths[..., None])
    table = torch.diff(F.pad(F.pad(below, (0, 1), value=1.0), (1, 0)), dim=-1)  # (G, K, 256)
    tokens = torch.from_numpy(batch.tokens)
    at = table.transpose(1, 2)[torch.arange(len(tokens))[:, None], tokens]  # (G, B, K)
    counted = torch.from_numpy(batch.counted)
    bits = -torch.log2((share * at).sum(dim=-1) + 1e-6)
    return (bits * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)
