"""The network: all that is kept after training. e: X → Z, d: Z → X, and where both start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from latentspace.likelihoods import Likelihood
from latentspace.networks.layers import FramedDecoder, FramedEncoder, convolutional_pair, principal_axes
from latentspace.types import Latent

#: log-variance of a variational encoder's latents before training (standard deviation 0.1 of a unit latent)
START_LOGVAR = -4.6
#: how far the latents' scale follows what each of them tells about x: 0 not at all, 1 wholly
FRAME = 0.75
#: items from which the frame of the latents is learnt
FRAME_ITEMS = 5000
#: items looked at together, so that little memory is asked for
FRAME_BLOCK = 1000


class Network(nn.Module):
    """An encoder and a decoder, AE(x) = d(e(x)).

    `encoder` maps (batch, *shape) to (batch, latent_dim), or to twice as many where `variational` (means, then
    log-variances). `decoder` maps (batch, latent_dim) to natural parameters η of shape (batch, *shape).
    `hidden` are the widths from the input inwards.
    """

    kind: ClassVar[str] = "own"

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        shape: tuple[int, ...],
        latent_dim: int,
        variational: bool = False,
        hidden: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.hidden = tuple(hidden)
        self.encoder, self.decoder = encoder, decoder
        self.shape, self.latent_dim, self.variational = tuple(shape), latent_dim, variational

    def encode(self, x: Float[Tensor, "batch *shape"]) -> Latent:
        """(batch, *shape) -> Latent of (batch, latent_dim)."""
        out = self.encoder(x)
        if not self.variational:
            return Latent(out)
        mean, logvar = out.split(self.latent_dim, dim=1)
        return Latent(mean, logvar)

    def decode(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch *shape"]:
        """(batch, latent_dim) -> η (batch, *shape)."""
        eta: Tensor = self.decoder(z)
        return eta

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """AE(x) = d(e(x)), as η."""
        return self.decode(self.encode(x).mean)

    def settings(self) -> dict[str, Any]:
        """What builds this network again, JSON-able; the weights apart."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "latent_dim": self.latent_dim,
            "hidden": list(self.hidden),
        }

    def start_at_pca(
        self,
        x: NDArray[np.float32],
        likelihood: Likelihood,
        seed: int = 0,
        rows: NDArray[np.intp] | None = None,
    ) -> None:
        """Make AE(x) the PCA of `x` (n, *shape) at this latent size, latents of unit variance, f = g = 0.

        `rows`: PCA of these items only.

        For likelihoods other than the Gaussian the reconstruction is PCA's to first order in η. A network
        whose parts have no linear path is left as it is.
        """
        halves: tuple[Any, Any] = (self.encoder, self.decoder)
        if not all(hasattr(half, "start_linear") for half in halves):
            return
        flat = x.reshape(len(x), -1)
        mean, axes, deviations = principal_axes(flat, self.latent_dim, seed, rows)
        scale = np.where(deviations > 0, deviations, 1.0)
        weight, bias = (axes / scale).T, -(mean @ axes) / scale
        if self.variational:
            weight = np.concatenate([weight, np.zeros_like(weight)])
            bias = np.concatenate([bias, np.full(self.latent_dim, START_LOGVAR)])
        slope = likelihood.slope(mean)
        halves[0].start_linear(*_tensors(weight, bias))
        halves[1].start_linear(*_tensors((axes * scale) * slope[:, None], likelihood.link(mean)))

    def reframe(
        self, x: NDArray[np.float32], power: float = FRAME, rows: NDArray[np.intp] | None = None
    ) -> None:
        """Turn and stretch Z so that distances there resemble distances in X; d(e(x)) does not change.

        Training leaves latents of about equal variance, however much each of them tells. Here Z gets the inner
        product of the best linear reconstruction of x (n, *shape) from z, to a `power`: at 1 a network that
        stayed at PCA has PCA's own scores. LOG.md tells how neighbours and labels decided the default.
        `rows`: learn from these items only. Halves without ``reframe`` are left as they are.
        """
        halves: tuple[Any, Any] = (self.encoder, self.decoder)
        if not all(hasattr(half, "reframe") for half in halves):
            return
        blocks = _cut(np.arange(len(x)) if rows is None else rows, FRAME_BLOCK)
        with torch.no_grad():
            z = np.concatenate([self.encode(torch.from_numpy(x[b])).mean.double().numpy() for b in blocks])
        z -= z.mean(axis=0)
        ridge = 1e-9 * max(float((z * z).sum()), 1e-12) * np.eye(z.shape[1])
        # z is centred, so x need not be
        parts = zip(_cut(z, FRAME_BLOCK), blocks, strict=True)
        zx = sum(part.T @ x[b].reshape(len(b), -1) for part, b in parts)
        effect = np.linalg.solve(z.T @ z + ridge, zx)
        values, axes = np.linalg.eigh(effect @ effect.T)
        stretch = np.maximum(values, 1e-6 * max(float(values[-1]), 1e-12)) ** (power / 2)
        turn, back = (axes * stretch) @ axes.T, (axes / stretch) @ axes.T
        halves[0].reframe(*_tensors(turn))
        halves[1].reframe(*_tensors(back))


class ConvolutionalNetwork(Network):
    """Shared by the convolutional networks: strided convolutions, σ = max(0, ·), beside a linear path from PCA.

    `hidden` are the channels of each halving, from the input inwards; the decoder mirrors them.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        hidden: Sequence[int] | None = None,
        variational: bool = False,
    ) -> None:
        hidden = tuple(hidden) if hidden else (16, 32)
        n_out = latent_dim * (2 if variational else 1)
        encoder, decoder = convolutional_pair(tuple(shape), n_out, latent_dim, hidden)
        super().__init__(encoder, decoder, shape, latent_dim, variational, hidden)


def _cut(a: NDArray[Any], size: int) -> list[NDArray[Any]]:
    return [a[start : start + size] for start in range(0, len(a), size)]


def _tensors(*arrays: NDArray[Any]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in arrays)


def own_network(
    pair: tuple[nn.Module, nn.Module], shape: tuple[int, ...], latent_dim: int, variational: bool = False
) -> Network:
    """A user's own (encoder, decoder) as a network, each beside a linear path.

    The encoder must map (batch, *shape) to (batch, latent_dim) (twice that if variational), the decoder back.
    """
    encoder, decoder = pair
    n_out = latent_dim * (2 if variational else 1)
    return Network(
        FramedEncoder(encoder, int(np.prod(shape)), n_out),
        FramedDecoder(decoder, latent_dim, tuple(shape)),
        shape,
        latent_dim,
        variational,
    )
