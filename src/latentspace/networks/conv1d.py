"""Convolutions over signals of shape (C, T)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latentspace.networks.base import Network
from latentspace.networks.layers import convolutional_pair

__all__ = ["Conv1d"]


class Conv1d(Network):
    """e and d of strided 1-d convolutions over (C, T), σ = max(0, ·), beside a linear path from PCA.

    `hidden` are the channels of each halving, from the input inwards; the decoder mirrors them.
    """

    kind = "conv1d"

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        hidden: Sequence[int] | None = None,
        variational: bool = False,
    ) -> None:
        self_hidden = tuple(hidden) if hidden else (16, 32)
        n_out = latent_dim * (2 if variational else 1)
        super().__init__(
            *convolutional_pair(tuple(shape), n_out, latent_dim, self_hidden), shape, latent_dim, variational
        )
        self.hidden = self_hidden

    def settings(self) -> dict[str, Any]:
        """What builds this network again."""
        return {**super().settings(), "hidden": list(self.hidden)}
