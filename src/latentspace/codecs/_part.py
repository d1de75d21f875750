"""One class of cells: how its contexts are looked at, the network, and the components that it weighs."""

from __future__ import annotations

from dataclasses import dataclass

from latentspace.codecs._context import Context
from latentspace.codecs._exact import ExactNetwork
from latentspace.codecs._mixture import Mixture

__all__ = ["Part"]


@dataclass(frozen=True)
class Part:
    """All that one class of cells needs."""

    context: Context
    network: ExactNetwork
    mixture: Mixture
