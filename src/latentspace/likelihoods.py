"""How a reconstruction is compared with what was observed, element by element, in nats.

Every likelihood here is an exponential family with its canonical link: the decoder gives the natural
parameters η, and the gradient of the negative log-likelihood with respect to η is simply ``mean(η) − x``.
That one fact is what lets training run without autograd for dense networks (``training/flat.py``).

torch is not imported by this file, so that a modality can name its likelihood where torch is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

#: A frequency below this is treated as this one when a linear path is started from PCA.
RARE = 0.02


class Likelihood:
    """p(x | η), element by element; x and η have the same shape (batch, *shape)."""

    kind: str

    def mean(self, eta: Tensor) -> Tensor:
        """Expected x under η, shape of η."""
        raise NotImplementedError

    def nll(self, eta: Tensor, x: Tensor) -> Tensor:
        """Negative log-likelihood of each element in nats, shape of x (a group's nats are spread over it)."""
        raise NotImplementedError

    def link(self, mean: NDArray[Any]) -> NDArray[Any]:
        """η whose expectation is `mean`: where an untrained decoder starts."""
        raise NotImplementedError

    def slope(self, mean: NDArray[Any]) -> NDArray[Any]:
        """dη/dmean at `mean`: turns a linear reconstruction of x into one of η."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """JSON-able description; `likelihood_from_state` reads it back."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Unit-variance normal: half the squared error (the constant ½log 2π is left out)."""

    kind = "gaussian"

    def mean(self, eta: Tensor) -> Tensor:
        """η itself."""
        return eta

    def nll(self, eta: Tensor, x: Tensor) -> Tensor:
        """½(x − η)²."""
        return 0.5 * (x - eta) ** 2

    def link(self, mean: NDArray[Any]) -> NDArray[Any]:
        """The mean itself."""
        return mean

    def slope(self, mean: NDArray[Any]) -> NDArray[Any]:
        """1 everywhere."""
        return np.ones_like(mean)


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Yes/no columns, or pixels in [0, 1]: cross-entropy of x with sigmoid(η)."""

    kind = "bernoulli"

    def mean(self, eta: Tensor) -> Tensor:
        """sigmoid(η)."""
        return eta.sigmoid()

    def nll(self, eta: Tensor, x: Tensor) -> Tensor:
        """softplus(η) − xη."""
        from torch.nn.functional import softplus

        return softplus(eta) - x * eta

    def link(self, mean: NDArray[Any]) -> NDArray[Any]:
        """logit of the frequency."""
        p = np.clip(mean, RARE, 1 - RARE)
        return np.asarray(np.log(p / (1 - p)))

    def slope(self, mean: NDArray[Any]) -> NDArray[Any]:
        """1 / p(1 − p)."""
        p = np.clip(mean, RARE, 1 - RARE)
        return np.asarray(1 / (p * (1 - p)))


@dataclass(frozen=True)
class Categorical(Likelihood):
    """Categories side by side, each one-hot in its own group; `sizes` are the groups' widths.

    A group is observed whole or not at all.
    """

    sizes: tuple[int, ...]
    kind = "categorical"

    def _groups(self, eta: Tensor) -> Tensor:
        import torch

        ids = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return torch.from_numpy(ids).to(eta.device)

    def _log_softmax(self, eta: Tensor) -> Tensor:
        """η − log Σ exp(η) within each group, shape of η; exact however large η is."""
        import torch

        groups = self._groups(eta)
        shape = (*eta.shape[:-1], len(self.sizes))
        top = torch.full(shape, -torch.inf, dtype=eta.dtype, device=eta.device)
        # the largest of a group only moves the sum into range; it is no part of the gradient
        top = top.scatter_reduce(-1, groups.expand(eta.shape), eta.detach(), "amax")
        shifted = eta - top.index_select(-1, groups)
        total = torch.zeros(shape, dtype=eta.dtype, device=eta.device).index_add(-1, groups, shifted.exp())
        return shifted - total.log().index_select(-1, groups)

    def mean(self, eta: Tensor) -> Tensor:
        """softmax(η) within each group."""
        return self._log_softmax(eta).exp()

    def nll(self, eta: Tensor, x: Tensor) -> Tensor:
        """−x log softmax(η), so a group's elements add up to its cross-entropy."""
        return -x * self._log_softmax(eta)

    def link(self, mean: NDArray[Any]) -> NDArray[Any]:
        """log of the frequency."""
        return np.asarray(np.log(np.clip(mean, RARE, 1)))

    def slope(self, mean: NDArray[Any]) -> NDArray[Any]:
        """1 / p (exact where the group's deviations add up to zero)."""
        return np.asarray(1 / np.clip(mean, RARE, 1))

    def state(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"kind": self.kind, "sizes": list(self.sizes)}


@dataclass(frozen=True)
class Mixed(Likelihood):
    """Columns side by side, each run of them with its own likelihood: ``((Gaussian(), 4), (Bernoulli(), 2))``."""

    parts: tuple[tuple[Likelihood, int], ...]
    kind = "mixed"

    @property
    def _widths(self) -> list[int]:
        return [width for _, width in self.parts]

    def mean(self, eta: Tensor) -> Tensor:
        """Each run's own mean."""
        import torch

        pieces = torch.split(eta, self._widths, dim=-1)
        return torch.cat([part.mean(e) for (part, _), e in zip(self.parts, pieces, strict=True)], dim=-1)

    def nll(self, eta: Tensor, x: Tensor) -> Tensor:
        """Each run's own negative log-likelihood."""
        import torch

        etas, xs = torch.split(eta, self._widths, dim=-1), torch.split(x, self._widths, dim=-1)
        each = [part.nll(e, v) for (part, _), e, v in zip(self.parts, etas, xs, strict=True)]
        return torch.cat(each, dim=-1)

    def _by_part(self, name: str, mean: NDArray[Any]) -> NDArray[Any]:
        pieces = np.split(mean, np.cumsum(self._widths)[:-1], axis=-1)
        each = [getattr(part, name)(m) for (part, _), m in zip(self.parts, pieces, strict=True)]
        return np.concatenate(each, axis=-1)

    def link(self, mean: NDArray[Any]) -> NDArray[Any]:
        """Each run's own link."""
        return self._by_part("link", mean)

    def slope(self, mean: NDArray[Any]) -> NDArray[Any]:
        """Each run's own slope."""
        return self._by_part("slope", mean)

    def state(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"kind": self.kind, "parts": [[part.state(), width] for part, width in self.parts]}


def likelihood_from_state(state: dict[str, Any]) -> Likelihood:
    """Read back what ``Likelihood.state`` wrote.

    >>> likelihood_from_state(Categorical((3, 2)).state()).sizes
    (3, 2)
    """
    match state["kind"]:
        case "gaussian":
            return Gaussian()
        case "bernoulli":
            return Bernoulli()
        case "categorical":
            return Categorical(tuple(int(s) for s in state["sizes"]))
        case "mixed":
            return Mixed(tuple((likelihood_from_state(s), int(w)) for s, w in state["parts"]))
        case kind:
            raise ValueError(f"unknown likelihood {kind!r}")
