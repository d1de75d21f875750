"""Convolutions over pictures of shape (C, H, W)."""

from __future__ import annotations

from latentspace.networks.base import ConvolutionalNetwork

__all__ = ["Conv"]


class Conv(ConvolutionalNetwork):
    """e and d of strided 2-d convolutions over (C, H, W); see `ConvolutionalNetwork` for the parameters."""

    kind = "conv"
