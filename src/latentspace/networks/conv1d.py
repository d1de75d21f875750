"""Convolutions over signals of shape (C, T)."""

from __future__ import annotations

from latentspace.networks.base import ConvolutionalNetwork

__all__ = ["Conv1d"]


class Conv1d(ConvolutionalNetwork):
    """e and d of strided 1-d convolutions over (C, T); see `ConvolutionalNetwork` for the parameters."""

    kind = "conv1d"
