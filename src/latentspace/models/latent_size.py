"""How many latents? Held-out loss over sizes, beside PCA's, and the data's intrinsic dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentspace.likelihoods import Likelihood
from latentspace.models import defaults
from latentspace.networks.dense import Dense
from latentspace.networks.layers import seeded
from latentspace.objectives.reconstruction import Reconstruction
from latentspace.training.loop import Data, Training, train

#: share of the largest size's gain over "no latents at all" that the chosen size must keep
KEEP = 0.9
LARGEST = 128
#: items whose neighbours tell the intrinsic dimension
NEIGHBOUR_ITEMS = 1500
TRIAL_ITEMS = 4000
TRIAL_STEPS = 300
#: arithmetic that one trial may cost, about 2 s of one core: counted, not timed, so that the choice does not
#: depend on what else the machine is doing
TRIAL_WORK = 1.5e11


@dataclass(frozen=True)
class Choice:
    """The chosen size; `curve`: held-out nats per item of PCA and of a briefly trained network at each size."""

    latent_dim: int
    curve: list[dict[str, float]]
    intrinsic_dim: float | None


def choose(
    data: Data,
    fit_rows: NDArray[Any],
    held_out_rows: NDArray[Any],
    likelihood: Likelihood,
    hidden: tuple[int, ...] | None,
    seed: int,
    tell: Callable[[str, float | None], None] = lambda words, share: None,
) -> Choice:
    """The smallest size that keeps 90 % of what the largest one gains, and no less than the intrinsic dimension.

    Sizes are powers of two below the number of values in an item, at most 128. Each is tried by a short
    training (at most 4,000 items, 300 steps and TRIAL_WORK) of a dense network that starts at PCA.
    """
    fit_rows, held_out_rows = fit_rows[:TRIAL_ITEMS], held_out_rows[:TRIAL_ITEMS]
    sizes = candidates(data.x[0].size, len(fit_rows))
    if len(sizes) == 1:
        return Choice(sizes[0], [], None)
    baseline = _loss_of_mean(data, fit_rows, held_out_rows, likelihood)
    curve = [{"latent_dim": 0, "pca": baseline, "autoencoder": baseline}]
    for size in sizes:
        tell(f"trying {size} latent{'s' * (size > 1)}", sizes.index(size) / len(sizes))
        curve.append(_trial(size, data, fit_rows, held_out_rows, likelihood, hidden, seed))
        if baseline - curve[-1]["autoencoder"] > 0.995 * abs(baseline):
            break
    few = fit_rows[:NEIGHBOUR_ITEMS]
    intrinsic = intrinsic_dimension(data.x[few].reshape(len(few), -1))
    return Choice(_smallest_good(curve, intrinsic), curve, intrinsic)


def candidates(size: int, n: int) -> list[int]:
    """Powers of two below `size` values an item, at most 128 and at most half the number of items.

    >>> candidates(10, 1000)
    [1, 2, 4, 8]
    """
    most = max(1, min(size - 1, LARGEST, n // 2))
    return [2**i for i in range(int(math.log2(most)) + 1)]


def _smallest_good(curve: list[dict[str, float]], intrinsic: float | None) -> int:
    gains = [curve[0]["autoencoder"] - point["autoencoder"] for point in curve]
    floor = intrinsic or 0.0
    for point, gain in zip(curve[1:], gains[1:], strict=True):
        if gain >= KEEP * max(gains) and point["latent_dim"] >= floor:
            return int(point["latent_dim"])
    return int(curve[-1]["latent_dim"])


def _loss_of_mean(
    data: Data, fit_rows: NDArray[Any], held_out_rows: NDArray[Any], likelihood: Likelihood
) -> float:
    """Held-out nats per item when every item is reconstructed as the training mean: no latents at all."""
    held_out = data.batch(held_out_rows)
    total = sum(data.x[row].astype(np.float64) for row in fit_rows)
    eta = likelihood.link(total / len(fit_rows)).astype(np.float32)
    each = likelihood.nll(torch.from_numpy(eta).expand_as(held_out.x), held_out.x)
    if held_out.observed is not None:
        each = each * held_out.observed
    return float(each.flatten(1).sum(dim=1).mean())


def _trial(
    size: int,
    data: Data,
    fit_rows: NDArray[Any],
    held_out_rows: NDArray[Any],
    likelihood: Likelihood,
    hidden: tuple[int, ...] | None,
    seed: int,
) -> dict[str, float]:
    shape = data.x.shape[1:]
    with seeded(seed):
        network = Dense(shape, size, hidden)
    network.start_at_pca(data.x, likelihood, seed, fit_rows)
    objective = Reconstruction()
    objective.setup(network, likelihood)
    batch = defaults.batch_size(len(fit_rows))
    weights = sum(p.numel() for p in network.parameters())
    # forward and backward are 6 operations a weight and item; Adam's passes over memory cost as much as 200
    steps = min(TRIAL_STEPS, TRIAL_WORK / (weights * (6 * batch + 200)))
    epochs = max(1, round(steps * batch / len(fit_rows)))
    how = Training(epochs, batch, defaults.learning_rate(shape), seed=seed)
    history = train(network, objective, data, fit_rows, held_out_rows, how)
    return {"latent_dim": size, "pca": history.start_loss, "autoencoder": history.best_loss}


def intrinsic_dimension(x: NDArray[Any]) -> float | None:
    """How many directions the data really vary in, by TwoNN; None where too few distinct items are left.

    From the ratio of the distances to the second and the first neighbour (Facco, d'Errico, Rodriguez and Laio
    2017), largest tenth left out. x : (n, d); a thousand items or two are plenty.

    >>> flat = np.random.default_rng(0).normal(size=(500, 2)) @ np.ones((2, 9)) * 1.0
    >>> 0.5 < intrinsic_dimension(flat) < 1.5
    True
    """
    from sklearn.neighbors import NearestNeighbors

    distances = NearestNeighbors(n_neighbors=3).fit(x).kneighbors(x)[0]
    real = distances[:, 1] > 0
    ratios = np.sort(distances[real, 2] / distances[real, 1])
    kept = ratios[: int(0.9 * len(ratios))]
    if len(kept) < 20 or kept[-1] <= 1:
        return None
    below = -np.log(1 - np.arange(1, len(kept) + 1) / len(ratios))
    logs = np.log(kept)
    return float((logs @ below) / (logs @ logs))
