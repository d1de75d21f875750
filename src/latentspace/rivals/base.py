"""A rival: the cheap classical method that our latents are measured beside, on the same held-out items."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray


class Rival(Protocol):
    """Fit on training items, then represent any item; x is (n, *shape), latents are (n, k)."""

    #: what tables and legends call it
    label: ClassVar[str]

    def fit(self, x: NDArray[Any], latent_dim: int) -> Rival:
        """Learn from x (n, *shape), already on the model's scale, gaps at their neutral value."""
        ...

    def transform(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """(n, k) where the items lie."""
        ...
