"""How densely the items lie in the latent space: a mixture of normal distributions to draw new latents from."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

Array = NDArray[Any]
Floats = NDArray[np.float64]

#: numbers of components that are tried, as long as each makes held-out latents likelier
COMPONENTS = (1, 8, 32, 64)
#: latents that a mixture is fitted to at most, and the share of them held out to choose it by
MOST, HELD_OUT = 6000, 0.1
#: a component has to have so many latents for each of its dimensions
PER_DIMENSION = 3
#: variance added to each component along every direction, in units of that of all latents
FLOOR = 1e-4
#: steps of expectation and maximisation at most, and the gain in nats below which they end
STEPS, TOLERANCE = 20, 1e-2
#: points whose densities are worked out at once, times components
BLOCK = 2**18


class Density:
    """p(z) over latents z (n, k): a mixture of normal distributions with full covariances, fitted after training.

    How many there are is decided by the likelihood of latents that took no part. Kernel densities, normal scores with
    a mixture and a spline flow were likelier on no open set that was tried, or took ten times as long (LOG.md).

    weights (m,), means (m, k), factors (m, k, k) : the lower triangular Cholesky factors of the covariances.
    held_out : mean log density of the latents that took no part, in nats (NaN where there were too few).

    >>> z = np.random.default_rng(0).normal(size=(500, 3)).astype("float32")
    >>> density = Density.fit(z)
    >>> density.sample(4, seed=1).shape, bool(density.log_prob(z).mean() > density.log_prob(z + 3).mean())
    ((4, 3), True)
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.weights, self.means, self.factors = (
            np.asarray(arrays[name], np.float64) for name in ("weights", "means", "factors")
        )
        self.held_out = float(arrays["held_out"][0])
        identity = np.eye(self.means.shape[1])
        self._whiten = np.stack([np.linalg.solve(factor, identity) for factor in self.factors])
        self._centres = np.einsum("mij,mj->mi", self._whiten, self.means)
        heights = -np.log(np.diagonal(self.factors, axis1=1, axis2=2)).sum(axis=1)
        self._heights = np.log(self.weights) + heights - self.means.shape[1] / 2 * np.log(2 * np.pi)

    @classmethod
    def fit(cls, z: Array, seed: int = 0) -> Density:
        """Learn from latents z (n, k); raises DataError for fewer than 2. More than MOST are drawn from by `seed`."""
        if len(z) < 2:
            raise DataError(f"A density needs at least 2 items; here is {len(z)}.")
        rows = np.random.default_rng(seed).permutation(len(z))[:MOST]
        middle, factor = overall(np.asarray(z[rows], np.float64))
        white: Floats = np.asarray(np.linalg.solve(factor, (z[rows] - middle).T).T, np.float64)
        few = round(HELD_OUT * len(rows))
        best, score = _chosen(white[few:], white[:few], seed)
        score -= float(np.log(np.diagonal(factor)).sum())
        return cls(
            {
                "weights": best.weights_,
                "means": best.means_ @ factor.T + middle,
                "factors": np.linalg.cholesky(factor @ best.covariances_ @ factor.T),
                "held_out": np.array([score]),
            }
        )

    @property
    def components(self) -> int:
        """How many normal distributions there are."""
        return len(self.weights)

    @property
    def held_level(self) -> float:
        """What log density is usual, in nats: that of held-out latents, or of the thickest middle where unknown."""
        return self.held_out if np.isfinite(self.held_out) else float(self.log_prob(self.means).max())

    def log_prob(self, z: Array) -> Floats:
        """(n,) log density of latents z (n, k), in nats."""
        return np.concatenate([_log_sum(self._each(part)) for part in self._blocks(z)])

    def score(self, z: Array) -> float:
        """Mean log density of latents z (n, k), in nats."""
        return float(self.log_prob(z).mean())

    def gradient(self, z: Array) -> Floats:
        """(n, k) how the log density grows around latents z (n, k)."""
        return np.concatenate([self._gradient(part) for part in self._blocks(z)])

    def sample(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """(n, k) latents drawn by `seed`; the first of them are the same however many are drawn."""
        rng = np.random.default_rng(seed)
        drawn = np.empty((n, self.means.shape[1]))
        edges = np.cumsum(self.weights)
        for i in range(n):
            m = min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(edges) - 1)
            drawn[i] = self.means[m] + self.factors[m] @ rng.normal(size=self.means.shape[1])
        return drawn.astype(np.float32)

    def near(self, z: Array, spread: Array) -> Density:
        """The density around latents z (k,): this one times a normal one there of covariance `spread` (k, k).

        That is a mixture again, in closed form.
        """
        gain = np.linalg.inv(spread)
        precisions = np.einsum("mji,mjl->mil", self._whiten, self._whiten)
        covariances = np.linalg.inv(precisions + gain)
        means = np.einsum(
            "mij,mj->mi", covariances, np.einsum("mij,mj->mi", precisions, self.means) + gain @ z
        )
        wider = np.linalg.cholesky(self.factors @ self.factors.transpose(0, 2, 1) + spread)
        away = np.stack([np.linalg.solve(w, z - m) for w, m in zip(wider, self.means, strict=True)])
        logs = np.log(self.weights) - np.log(np.diagonal(wider, axis1=1, axis2=2)).sum(axis=1)
        logs = logs - 0.5 * (away**2).sum(axis=1)
        return self._of(np.exp(logs - _log_sum(logs[None])[0]), means, np.linalg.cholesky(covariances))

    def of(self, z: Array, seed: int = 0) -> Density:
        """The density of some of the latents, z (n, k): these components by how often they hold them, or others that
        are fitted to them alone, whichever makes held-out ones likelier."""
        rows = np.random.default_rng(seed).permutation(len(z))
        held, rest = np.split(rows, [round(2 * HELD_OUT * len(rows))])
        if len(held) < 2:
            return self._weighed(z)
        own = Density.fit(z[rest], seed)
        return own if own.score(z[held]) > self._weighed(z[rest]).score(z[held]) else self._weighed(z)

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; ``Density(arrays)`` reads it back."""
        kept = {"weights": self.weights, "means": self.means, "factors": self.factors}
        return {**kept, "held_out": np.array([self.held_out])}

    def _weighed(self, z: Array) -> Density:
        logs = np.concatenate([self._each(part) for part in self._blocks(z)])
        shares = np.exp(logs - _log_sum(logs)[:, None]).mean(axis=0)
        return self._of(shares, self.means, self.factors)

    def _of(self, weights: Array, means: Array, factors: Array) -> Density:
        kept = weights > 1e-9
        arrays = {"weights": weights[kept] / weights[kept].sum(), "means": means[kept]}
        return Density({**arrays, "factors": factors[kept], "held_out": np.array([np.nan])})

    def _each(self, z: Array) -> Floats:
        """(n, m) log of weight times density, a component each."""
        away = np.einsum("mij,nj->nmi", self._whiten, z, optimize=True) - self._centres
        return np.asarray(self._heights - 0.5 * (away**2).sum(axis=2))

    def _gradient(self, z: Array) -> Floats:
        away = np.einsum("mij,nj->nmi", self._whiten, z, optimize=True) - self._centres
        logs = self._heights - 0.5 * (away**2).sum(axis=2)
        shares = np.exp(logs - _log_sum(logs)[:, None])
        return np.asarray(-np.einsum("nm,nmi,mij->nj", shares, away, self._whiten, optimize=True))

    def _blocks(self, z: Array) -> list[Floats]:
        z = np.asarray(z, np.float64)
        step = max(1, BLOCK // self.means.size)
        return [z[start : start + step] for start in range(0, max(1, len(z)), step)]


def overall(z: Floats) -> tuple[Floats, Floats]:
    """Mean (k,) and Cholesky factor (k, k) of the covariance of latents z (n, k), shrunk where there are few."""
    from sklearn.covariance import ledoit_wolf

    middle, spread = z.mean(axis=0), z.std(axis=0)
    spread = np.maximum(spread, 1e-6 * max(float(spread.max()), 1e-30))
    correlation = ledoit_wolf((z - middle) / spread, assume_centered=True)[0]
    correlation = correlation + 1e-9 * np.eye(len(correlation))
    return middle, np.linalg.cholesky(correlation) * spread[:, None]


def _chosen(z: Floats, held: Floats, seed: int) -> tuple[Any, float]:
    """The mixture fitted to z (n, k) under which `held` are likeliest, and their mean log density there."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    best, score = None, -np.inf
    for components in COMPONENTS:
        if best is not None and (PER_DIMENSION * components * z.shape[1] > len(z) or len(held) < 2):
            break
        mixture = GaussianMixture(
            components, reg_covar=FLOOR, max_iter=STEPS, tol=TOLERANCE, random_state=seed
        )
        with warnings.catch_warnings():
            # stopped early on purpose: more steps fit the latents at hand, and no others
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(z)
        found = float(mixture.score(held)) if len(held) >= 2 else np.nan
        if best is not None and not found > score:
            break
        best, score = mixture, found
    return best, score


def _log_sum(logs: Floats) -> Floats:
    """log of the sum of exp over the last axis (n, m) -> (n,)."""
    top = logs.max(axis=1)
    return np.asarray(top + np.log(np.exp(logs - top[:, None]).sum(axis=1)))
