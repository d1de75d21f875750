"""Principal components: the best linear encoder and decoder there is."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["PCA"]

#: Up to this many columns the covariance matrix is cheap; beyond it randomised PCA is.
MAX_COVARIANCE = 2000


class PCA:
    """scikit-learn's PCA on the model's own scale, at the model's latent size.

    mean : (F,), components : (k, F), both float32, once fitted.

    >>> x = np.random.default_rng(0).normal(size=(50, 4)) @ np.diag([3.0, 2.0, 0.0, 0.0])
    >>> rival = PCA().fit(x, latent_dim=2)
    >>> bool(np.allclose(rival.reconstruct(x), x, atol=1e-4))
    True
    """

    label: ClassVar[str] = "PCA"

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, x: NDArray[Any], latent_dim: int) -> PCA:
        """Learn from x (n, *shape), gaps at their neutral value; k = min(latent_dim, n, F) components."""
        from sklearn.decomposition import PCA as Components

        flat = x.reshape(len(x), -1)
        k = min(latent_dim, *flat.shape)
        solver = self._solver(*flat.shape, k)
        # ten power iterations: the rival is to be as good as it can be
        fitted = Components(k, svd_solver=solver, iterated_power=10, random_state=self.random_state).fit(flat)
        self.mean = np.asarray(fitted.mean_, np.float32)
        self.components = np.asarray(fitted.components_, np.float32)
        return self

    def transform(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """(n, k) coordinates on the principal axes."""
        flat = x.reshape(len(x), -1).astype(np.float32, copy=False)
        return np.asarray(flat @ self.components.T - self.mean @ self.components.T)

    def reconstruct(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """(n, *shape): x through its k coordinates and back."""
        back = self.transform(x) @ self.components
        back += self.mean
        return back.reshape(x.shape)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All that was learnt, to be stored."""
        return {"mean": self.mean, "components": self.components}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> PCA:
        """A fitted rival from what `arrays` gave."""
        rival = cls()
        rival.mean, rival.components = arrays["mean"], arrays["components"]
        return rival

    @staticmethod
    def _solver(n: int, width: int, k: int) -> str:
        # covariance_eigh makes no centred copy of a tall table; randomised PCA no full decomposition.
        if width <= MAX_COVARIANCE:
            return "covariance_eigh"
        return "randomized" if n > 1000 and k < 0.5 * min(n, width) else "full"
