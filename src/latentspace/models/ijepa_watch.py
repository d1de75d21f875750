"""What is looked at while an I-JEPA trains: dials of held-out items, seconds of a step, means that Z is made of."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentspace.models import collapse
from latentspace.networks._pooled import PooledNetwork
from latentspace.objectives.ijepa import PatchPrediction
from latentspace.training.flat import Adam, FlatParameters
from latentspace.training.loop import Data, Training

__all__ = ["looking", "region_means", "seconds_per_step"]

#: items of which targets are looked at, and items looked at together
TARGET_ITEMS, BLOCK = 256, 256
#: steps that are timed, after a first one
TIMED_STEPS = 3


def looking(
    network: PooledNetwork,
    objective: PatchPrediction,
    data: Data,
    rows: NDArray[Any],
    device: str,
) -> Callable[[], collapse.Dials]:
    """A function that reads the dials of the network as it is."""
    y = None if data.y is None else data.y[rows]

    @torch.no_grad()
    def look() -> collapse.Dials:
        whole, parts, targets, predicted = [], [], [], []
        for start in range(0, len(rows), BLOCK):
            x = data.batch(rows[start : start + BLOCK], device).x
            masks = objective.drawn(len(x), None, device)
            whole.append(network.seeing.seen(x).mean(dim=1))
            context = objective.context(x, masks)
            parts.append(context.mean(dim=1))
            if start < TARGET_ITEMS:
                targets.append(objective.hidden(network, x, masks))
                predicted.append(objective.predicted(context, masks))
        z, seen_part, asked, told = (_array(torch.cat(e)) for e in (whole, parts, targets, predicted))
        return collapse.Dials.read(z, seen_part, asked, told, y)

    return look


def seconds_per_step(
    network: PooledNetwork, objective: PatchPrediction, data: Data, rows: NDArray[Any], how: Training
) -> float:
    """Seconds that a step takes, timed on copies; steps on pixels and on representations count by their shares."""
    network, objective = copy.deepcopy(network), copy.deepcopy(objective)
    flat = FlatParameters(network, objective)
    adam, generator = Adam(flat), torch.Generator().manual_seed(0)
    batch = data.batch(rows[: how.batch_size], how.device)

    def seconds(progress: float) -> float:
        times = []
        for _ in range(TIMED_STEPS + 1):
            objective.after_step(network, progress)
            began = time.perf_counter()
            flat.gradient.zero_()
            loss = objective(network, batch, generator)["loss"].mean()
            loss.backward()
            adam.step(1e-6)
            loss.item()
            times.append(time.perf_counter() - began)
        return float(np.median(times[1:]))

    early = objective.pixels and objective.pixels * seconds(0.0)
    return early + (objective.pixels < 1 and (1 - objective.pixels) * seconds(1.0))


@torch.no_grad()
def region_means(network: PooledNetwork, data: Data, rows: NDArray[Any], device: str) -> Tensor:
    """(n, means) what Z is made of; see `PooledEncoder.means`."""
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    return torch.cat([network.seeing.means(data.batch(block, device).x) for block in blocks])


def _array(x: Tensor) -> NDArray[Any]:
    return x.cpu().numpy()
