"""Fully connected encoder and decoder: tables, vectors and small pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentspace.networks.base import Network
from latentspace.networks.layers import DenseDecoder, DenseEncoder

__all__ = ["Dense"]


class Dense(Network):
    """e and d of dense layers, σ = max(0, ·), beside a linear path that starts at PCA.

    `hidden` are the widths from the input inwards; the decoder mirrors them. Any `shape`; items are flattened.

    >>> net = Dense((30,), 8)
    >>> import torch
    >>> net(torch.zeros(2, 30)).shape
    torch.Size([2, 30])
    """

    kind = "dense"

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        hidden: Sequence[int] | None = None,
        variational: bool = False,
    ) -> None:
        size = int(np.prod(shape))
        hidden = tuple(hidden) if hidden else default_hidden(size)
        n_out = latent_dim * (2 if variational else 1)
        encoder = DenseEncoder(size, hidden, n_out)
        decoder = DenseDecoder(latent_dim, hidden[::-1], tuple(shape))
        super().__init__(encoder, decoder, shape, latent_dim, variational, hidden)


def default_hidden(size: int) -> tuple[int, ...]:
    """Two hidden layers: 128 and 64 units for small items, 256 and 128 for large ones."""
    return (128, 64) if size <= 64 else (256, 128)
