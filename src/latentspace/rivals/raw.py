"""The items themselves: what neighbours and probes reach with no latents at all."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Raw"]


class Raw:
    """Every item as it is, flattened.

    >>> Raw().fit(np.zeros((4, 2, 3)), latent_dim=1).transform(np.ones((5, 2, 3))).shape
    (5, 6)
    """

    label: ClassVar[str] = "raw items"

    def fit(self, x: NDArray[Any], latent_dim: int) -> Raw:
        """Nothing to learn; returns self."""
        return self

    def transform(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """(n, F): x flattened, float32."""
        return x.reshape(len(x), -1).astype(np.float32, copy=False)
