"""How a low-rate archive's network is made from that of a space: turned, trained to be rounded, put on a grid."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.exact_decoder import ExactDecoder
from latentspace.data.base import Modality
from latentspace.errors import DataError, OptionError
from latentspace.models.defaults import limited_threads

__all__ = ["Made", "Measure", "made", "own_decoder", "referred"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Tell = Callable[[str, float | None], None]

#: multiplications of training, steps at least and at most, items of a batch
WORK, LEAST, MOST, BATCH = 3e12, 500, 8000, 256
#: values to code for each weight that the space's own hidden layers are worth keeping for; fewer units below that
WORTH, FEW = 12, 16
#: items that the fineness of the weights is judged by, and the bits tried
JUDGED, FINENESS = 4000, (4, 5, 6, 7, 8, 10, 12)
#: dB above what was asked for, that whole numbers in the user's units may take away again
MARGIN = 0.003
#: latents may be this many times finer than training left them, to reach the quality asked for
FINEST = 64.0


@dataclass(frozen=True)
class Measure:
    """What an error counts: each element's in units of its range.

    low, high : (F,) what no element leaves. weight : (F,) what its squared error counts, 1 / range², 0 where it is no
    measurement or never varies. The range is that of all elements where they share a scale, else of each part.
    """

    low: Floats
    high: Floats
    weight: Floats

    @classmethod
    def of(cls, modality: Modality, x: Floats, observed: Mask | None) -> Measure:
        """As it is in x (n, F)."""
        seen = x if observed is None else np.where(observed, x, np.nan)
        with np.errstate(all="ignore"):
            low, high = np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)
        span = high - low
        if modality.origin is not None:  # one scale, on which 0 stands for a mean item
            shift = np.asarray(modality.origin).reshape(-1)
            least, most = np.nanmin(low + shift), np.nanmax(high + shift)
            low, high, span = least - shift, most - shift, np.full(len(low), most - least)
        else:
            for rows in map(np.asarray, modality.parts().values()):
                span[rows] = np.nanmax(high[rows]) - np.nanmin(low[rows])
        measured = modality.measured
        counted = np.ones(x.shape[1], bool) if measured is None else np.asarray(measured).reshape(-1).copy()
        largest = np.nan_to_num(np.maximum(np.abs(low), np.abs(high)))
        counted &= np.nan_to_num(span) > 1e-5 * largest  # not by rounding alone
        weight = counted / np.where(counted, span, 1.0) ** 2
        return cls(*(np.nan_to_num(a).astype(np.float32) for a in (low, high, weight)))

    def error(self, x: Floats, y: Floats, observed: Mask | None) -> float:
        """Mean squared error in units of the ranges, over what is observed and counted."""
        squares, many = self.squares(x, y, observed)
        return squares / max(1, many)

    def squares(self, x: Floats, y: Floats, observed: Mask | None) -> tuple[float, int]:
        """The sum of squared errors in units of the ranges, and over how many elements."""
        weight = self.weight if observed is None else self.weight * observed
        counted = weight > 0
        many = int(counted.sum()) * (len(x) if counted.ndim == 1 else 1)
        return float(((y - x) ** 2 * weight).sum(dtype=np.float64)), many


@dataclass(frozen=True)
class Made:
    """An encoder x (n, F) -> z before rounding, and the exact decoder of whole z."""

    encode: Callable[[Floats], Floats]
    decoder: ExactDecoder
    measure: Measure


def made(
    model: Any, x: Floats, observed: Mask | None, psnr: float, total: int, seed: int, tell: Tell
) -> Made:
    """From a fitted model and items x (n, F); raises DataError where the quality is out of its reach."""
    import torch

    from latentspace.training.rounding import learn

    measure = Measure.of(model.modality_, x, observed)
    if not measure.weight.any():
        raise DataError("These items have no numbers that vary: there is nothing for --quality to keep.")
    aim = 10 ** (-(psnr + MARGIN) / 10)
    weight = measure.weight if observed is None else measure.weight * observed
    encoder, decoder = _halves(model, x, total)
    _turned(encoder, decoder, x, measure, aim)
    size = sum(p.numel() for p in encoder.parameters()) + sum(p.numel() for p in decoder.parameters())
    batch = int(min(BATCH, max(16, len(x) // 4)))
    steps = int(np.clip(WORK / (3 * batch * size), LEAST, min(MOST, 40 * len(x) // batch + LEAST)))
    goal = aim * float((weight > 0).sum() / (len(x) if weight.ndim == 2 else 1))
    with limited_threads(batch * size):
        learn(
            encoder, decoder, x, weight, goal, steps=steps, batch=batch, seed=seed,
            tell=lambda share: tell("training latents to be rounded", share),
        )  # fmt: skip
    rows = np.random.default_rng(seed).permutation(len(x))[:JUDGED]
    seen = None if observed is None else observed[rows]

    def encode(items: Floats) -> Floats:
        with torch.no_grad():
            blocks = [encoder(torch.from_numpy(items[i : i + 4096])) for i in range(0, len(items), 4096)]
        return torch.cat(blocks).numpy() if blocks else np.zeros((0, encoder.n_out), np.float32)

    layers = _layers(decoder)
    for numbers in layers[-1]:  # what does not count need not be stored
        numbers[..., measure.weight == 0] = 0
    judged, found = x[rows], encode(x[rows])
    fine = _fineness(layers, judged, found, seen, measure, aim, total / x.shape[1])
    every = encode(x)
    unit = _unit(layers, fine, x, every, observed, measure, aim)
    decoder = ExactDecoder.on_grid(layers, fine, unit)
    _check_reached(_error(decoder, x, every, observed, measure), psnr, encoder.n_out)
    return Made(lambda items: encode(items) / np.float32(decoder.unit), decoder, measure)


def own_decoder(model: Any, steps: NDArray[Any], unit: float) -> ExactDecoder:
    """A space's own decoder for latents in `steps` (k,) of theirs, on the finest grid.

    Raises OptionError where its network is not dense: then no other machine is sure to decode the same.
    """
    from latentspace.networks.layers import DenseDecoder

    decoder = model.network_.decoder
    if not isinstance(decoder, DenseDecoder):
        raise OptionError(
            f"refer needs a space whose network is dense, this one is {model.network_.kind!r}: without refer the "
            "file holds a dense network of its own."
        )
    first, *middle, last = _layers(decoder)
    hidden = len(last[0]) - len(steps)
    scaled = np.concatenate([last[0][:hidden], last[0][hidden:] * steps[:, None]])
    return ExactDecoder.on_grid(
        [(first[0] * steps[:, None], first[1]), *middle, (scaled, last[1])], FINENESS[-1], unit
    )


def referred(model: Any, x: Floats, observed: Mask | None, psnr: float) -> tuple[Made, NDArray[np.float32]]:
    """As `made`, but with the space's own encoder and decoder as they are; and the steps (k,) of its latents."""
    measure = Measure.of(model.modality_, x, observed)
    if not measure.weight.any():
        raise DataError("These items have no numbers that vary: there is nothing for --quality to keep.")
    z = np.asarray(model.encode(x.reshape(-1, *model.modality_.shape)), np.float32)
    centred, away = z - z.mean(axis=0), (x - x.mean(axis=0)) * np.sqrt(measure.weight)
    covariance = (centred.T @ centred).astype(np.float64) / len(z)
    ridge = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-12) * np.eye(len(covariance))
    effect = np.linalg.solve(covariance + ridge, centred.T @ away / len(z))
    aim = 10 ** (-(psnr + MARGIN) / 10)
    steps = np.sqrt(
        6 * aim * (measure.weight > 0).sum() / len(effect) / np.maximum((effect**2).sum(axis=1), 1e-12)
    )
    steps = np.minimum(steps, 4 * z.std(axis=0) + 1e-6).astype(np.float32)
    low, high = 1 / FINEST, 4.0
    for _ in range(12):
        middle = float(np.sqrt(low * high))
        error = _error(own_decoder(model, steps, middle), x, z / steps, observed, measure)
        low, high = (low, middle) if error > aim else (middle, high)
    decoder = own_decoder(model, steps, low)
    _check_reached(_error(decoder, x, z / steps, observed, measure), psnr, len(steps))

    def encode(items: Floats) -> Floats:
        latents = model.encode(items.reshape(-1, *model.modality_.shape))
        return np.asarray(latents / steps / np.float32(decoder.unit), np.float32)

    return Made(encode, decoder, measure), steps


def _check_reached(error: float, psnr: float, latents: int) -> None:
    reached = -10 * np.log10(max(1e-12, error))
    if reached < psnr - 0.05:
        raise DataError(
            f"{latents} latents of this space reach {reached:.1f} dB at most, {psnr:g} dB were asked for: ask "
            "for less, fit a space with more latents, or promise a bound with --max-error."
        )


def _halves(model: Any, x: Floats, total: int) -> tuple[Any, Any]:
    """Dense halves: the space's own, or small ones that start at PCA where it has others or would cost too much."""
    import torch

    from latentspace.likelihoods import Gaussian
    from latentspace.networks.layers import DenseDecoder, DenseEncoder, principal_axes, seeded

    network = model.network_
    dense = isinstance(network.encoder, DenseEncoder) and isinstance(network.decoder, DenseDecoder)
    own = dense and not network.variational and isinstance(model.modality_.likelihood, Gaussian)
    k, width = network.latent_dim, x.shape[1]
    if own and sum(p.numel() for p in network.decoder.parameters()) * WORTH <= total:
        return copy.deepcopy(network.encoder).cpu(), copy.deepcopy(network.decoder).cpu()
    with seeded(0):
        encoder, decoder = DenseEncoder(width, (FEW, FEW), k), DenseDecoder(k, (FEW, FEW), (width,))
    mean, axes, _ = principal_axes(x, k, 0, np.arange(min(len(x), 20_000)))
    encoder.start_linear(
        torch.tensor(axes.T, dtype=torch.float32), torch.tensor(-(mean @ axes), dtype=torch.float32)
    )
    decoder.start_linear(torch.tensor(axes, dtype=torch.float32), torch.tensor(mean, dtype=torch.float32))
    return encoder, decoder


def _turned(encoder: Any, decoder: Any, x: Floats, measure: Measure, aim: float) -> None:
    """Turn and stretch Z so that a unit of any latent moves a reconstruction alike, by what the aim allows.

    Latents then are uncorrelated where d is linear, and rounding all of them to whole numbers is the best that
    reverse water-filling knows for the aim (Cover and Thomas, "Elements of Information Theory", 10.3).
    """
    import torch

    with torch.no_grad():
        rows = np.random.default_rng(0).permutation(len(x))[:5000]
        items = x[rows]
        z = encoder(torch.from_numpy(items)).double().numpy()
        z -= z.mean(axis=0)
        centred = (items - items.mean(axis=0)) * np.sqrt(measure.weight)
        k = z.shape[1]
        covariance = z.T @ z / len(z)
        ridge = 1e-6 * max(float(np.trace(covariance)) / k, 1e-12) * np.eye(k)
        effect = np.linalg.solve(covariance + ridge, z.T @ centred / len(z))
        values, vectors = np.linalg.eigh(effect @ effect.T)
        root = np.sqrt(np.maximum(values, 1e-6 * max(float(values[-1]), 1e-12)))
        metric, back = (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
        axes = np.linalg.eigh(metric @ covariance @ metric)[1][:, ::-1]
        step = np.sqrt(6 * aim * (measure.weight > 0).sum() / k)
        encoder.reframe(torch.tensor(axes.T @ metric / step, dtype=torch.float32))
        decoder.reframe(torch.tensor(back @ axes * step, dtype=torch.float32))


def _layers(decoder: Any) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    found = [decoder.first, *decoder.middle, decoder.last]
    return [(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()) for layer in found]


def _error(
    decoder: ExactDecoder, x: Floats, z: Floats, observed: Mask | None, measure: Measure, block: int = 2048
) -> float:
    total = 0.0
    for start in range(0, len(x), block):
        rows = slice(start, start + block)
        y = decoder(np.rint(z[rows] / np.float32(decoder.unit))).astype(np.float32)
        y = np.clip(y, measure.low, measure.high)
        total += measure.error(x[rows], y, None if observed is None else observed[rows]) * len(y)
    return total / max(1, len(x))


def _fineness(
    layers: list[Any],
    x: Floats,
    z: Floats,
    observed: Mask | None,
    measure: Measure,
    aim: float,
    items: float,
) -> int:
    """Bits after the point of the weights: what they take beside the latents that then are fine enough."""
    weights = sum(w.size + b.size for w, b in layers)
    spread = float(np.log2(layers[-1][0].std() + 1e-9)) + 2.05

    def cost(fine: int) -> float:
        unit = _unit(layers, fine, x, z, observed, measure, aim, tries=8)
        if _error(ExactDecoder.on_grid(layers, fine, unit), x, z, observed, measure) > aim:
            return np.inf
        return float(weights * max(0.5, spread + fine) + items * _bits(np.rint(z / np.float32(unit))))

    return min(FINENESS[::-1], key=cost)


def _bits(z: Floats) -> float:
    """Bits of an item's latents, each coded by how often it occurs."""
    total = 0.0
    for latent in z.T:
        share = np.unique(latent, return_counts=True)[1] / len(latent)
        total -= float((share * np.log2(share)).sum())
    return total


def _unit(
    layers: list[Any],
    fine: int,
    x: Floats,
    z: Floats,
    observed: Mask | None,
    measure: Measure,
    aim: float,
    tries: int = 12,
) -> float:
    """The coarsest latents that keep the aim."""
    low, high = 1 / FINEST, 4.0
    for _ in range(tries):
        middle = float(np.sqrt(low * high))
        error = _error(ExactDecoder.on_grid(layers, fine, middle), x, z, observed, measure)
        low, high = (low, middle) if error > aim else (middle, high)
    return low
