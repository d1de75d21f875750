"""LeJEPA as a rival of `benchmarks/ijepa.py`: the same vision transformer and the same Z, another objective.

Views of a picture (crops, mirrored or not) shall lie together in a projection of their mean token, and projections of
a batch shall look like a standard normal distribution from every side (sketched isotropic Gaussian regularisation);
there is no teacher and no predictor. Source: Balestriero and LeCun (2025), "LeJEPA: provable and scalable
self-supervised learning without the heuristics", section 5.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentspace.networks._pooled import PooledNetwork, Sizes
from latentspace.networks.layers import seeded
from latentspace.training.flat import Adam, FlatParameters
from latentspace.training.schedule import Schedule

#: large and small views, and the shares of a picture that they show
VIEWS, SHARES = (2, 2), ((0.5, 1.0), (0.2, 0.5))
#: weight of looking like a normal distribution, directions that are looked from, width of the projection
LAMBDA, DIRECTIONS, WIDTH = 0.05, 128, 64
BATCH = 64


def trained(
    x: np.ndarray, sizes: Sizes, seconds: float, seed: int, mirror: bool, rate: float = 2e-3
) -> PooledNetwork:
    """A network that learnt from encoded pictures x (n, C, H, W) for so long; its axes are not read yet."""
    with seeded(seed):
        network = PooledNetwork(x.shape[1:], sizes)
        width = sizes.width
        project = nn.Sequential(nn.Linear(width, 256), nn.BatchNorm1d(256), nn.GELU(), nn.Linear(256, WIDTH))
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    network.start_wide(generator)
    flat = FlatParameters(network, project)
    adam, schedule = Adam(flat), Schedule(rate, rate / 5, rate / 1000)
    began, rows = time.perf_counter(), np.array([], int)
    steps = 1_000_000  # of a schedule that follows the clock
    while (passed := (time.perf_counter() - began) / seconds) < 1:
        if len(rows) < BATCH:
            rows = rng.permutation(len(x))
        batch, rows = torch.from_numpy(x[rows[:BATCH]]), rows[BATCH:]
        flat.gradient.zero_()
        _loss(network, project, batch, mirror, generator).backward()
        at = int(passed * steps)
        adam.step(schedule.rate(at, steps), schedule.weight_decay(at, steps))
    return network


def _loss(
    network: PooledNetwork, project: nn.Module, batch: Tensor, mirror: bool, generator: torch.Generator
) -> Tensor:
    views = [
        crop(batch, share, mirror, generator)
        for many, share in zip(VIEWS, SHARES, strict=True)
        for _ in range(many)
    ]
    tokens = network.encoder.tokens(network.encoder.bordered(torch.cat(views)))
    z = project(tokens.mean(dim=1)).view(len(views), len(batch), -1)
    together = (z - z[: VIEWS[0]].mean(dim=0)).square().mean()
    normal = torch.stack([unlike_normal(each, generator) for each in z]).mean()
    return (1 - LAMBDA) * together + LAMBDA * normal


def crop(x: Tensor, share: tuple[float, float], mirror: bool, generator: torch.Generator) -> Tensor:
    """As large as `x`: a part of each picture, of one size and at a place of its own."""
    side = float(torch.empty(1).uniform_(*share, generator=generator)) ** 0.5
    change = torch.zeros(len(x), 2, 3)
    change[:, 0, 0] = change[:, 1, 1] = side
    change[:, :, 2] = (2 * torch.rand(len(x), 2, generator=generator) - 1) * (1 - side)
    if mirror:
        change[:, 0, 0] *= torch.where(torch.rand(len(x), generator=generator) < 0.5, -1.0, 1.0)
    places = F.affine_grid(change, list(x.shape), align_corners=False)
    return F.grid_sample(x, places, padding_mode="border", align_corners=False)


def unlike_normal(z: Tensor, generator: torch.Generator) -> Tensor:
    """How far characteristic functions of z (n, d) along random directions are from that of N(0, 1); Epps-Pulley."""
    directions = F.normalize(torch.randn(z.shape[1], DIRECTIONS, generator=generator), dim=0)
    t = torch.linspace(-4, 4, 17)
    along = (z @ directions)[..., None] * t
    normal = torch.exp(-t.square() / 2)
    far = (along.cos().mean(dim=0) - normal).square() + along.sin().mean(dim=0).square()
    return len(z) * torch.trapezoid(far * normal, t, dim=-1).mean()
