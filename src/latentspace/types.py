"""The small values that travel between layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of training sees.

    x : (batch, *shape) float; `observed` : same shape, 1 where x was measured and 0 where it is a gap
    (None: all measured); `y` : (batch,) int64 class indices, for a supervised objective only.
    """

    x: Tensor
    observed: Tensor | None = None
    y: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Latent:
    """Where items lie in Z: `mean` (batch, latent_dim) and, for a variational model, `logvar` beside it."""

    mean: Tensor
    logvar: Tensor | None = None
