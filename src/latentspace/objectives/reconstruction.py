"""Reconstruction: the lecture's Loss(d(e(x)), x)."""

from __future__ import annotations

from latentspace.objectives.base import ReconstructionBase

__all__ = ["Reconstruction"]


class Reconstruction(ReconstructionBase):
    """Negative log-likelihood of the item under its own reconstruction; gaps do not count.

    Source: Rumelhart, Hinton and Williams (1986), "Learning internal representations by error propagation".
    """
