"""Losses of pairs: the same are to lie close on the unit sphere, different items apart; the unknown counts not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from latentspace.errors import OptionError, nearest

__all__ = ["LOSSES", "loss_name", "needs_both", "pair_loss"]

#: how far apart different items are to be, on the unit sphere, where no margin is given
MARGIN, TRIPLET_MARGIN = 1.0, 0.2
#: similarities are divided by it before they compete
TEMPERATURE = 0.05
#: multi-similarity: how strongly the hardest of the same and of the different count, and the similarity between them
PULL, PUSH, BETWEEN = 2.0, 40.0, 0.5

#: (z (b, d) of length 1, same (b, b), different (b, b), margin or None) -> the loss, a scalar
PairLoss = Callable[[Tensor, Tensor, Tensor, float | None], Tensor]


def pair_loss(loss: Any) -> PairLoss:
    """A loss by its name, or one of pytorch-metric-learning's (any call of embeddings and ``indices_tuple``).

    Raises OptionError for a name that is none, and for a class instead of a loss.

    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0]]); same = torch.eye(2).flip(0) > 0
    >>> round(float(pair_loss("contrastive-linear")(z, same, ~same & False, None)), 4)  # y d
    1.4142
    """
    if isinstance(loss, type):
        raise OptionError(f"loss is the class {loss.__name__}, not a loss: make one, {loss.__name__}().")
    if callable(loss):
        return lambda z, same, different, margin: loss(
            z, indices_tuple=(*torch.nonzero(same, as_tuple=True), *torch.nonzero(different, as_tuple=True))
        )
    if not isinstance(loss, str) or loss not in LOSSES:
        raise OptionError(
            f"loss is one of {', '.join(LOSSES)}, or a loss of pytorch-metric-learning, not {loss!r}"
            f"{nearest(str(loss), LOSSES)}."
        )
    return LOSSES[loss]


def needs_both(loss: Any) -> bool:
    """Whether a loss is exactly zero, and teaches nothing, where no item is in pairs of both sorts.

    It is tried on a pair of the same that lie apart and a pair of others that lie close. Raises OptionError for a
    loss that cannot be called with pairs alone.

    >>> needs_both("triplet"), needs_both("contrastive")
    (True, False)
    """
    z, same = torch.eye(4, 128), torch.zeros(4, 4, dtype=torch.bool)
    z[3] = F.normalize(z[2] + 0.1 * z[3], dim=0)
    different = same.clone()
    same[0, 1] = same[1, 0] = different[2, 3] = different[3, 2] = True
    if not callable(loss):
        return float(pair_loss(loss)(z, same, different, None)) == 0
    try:
        with torch.no_grad():  # a copy: what a loss keeps of its calls is the user's
            return float(pair_loss(copy.deepcopy(loss))(z, same, different, None)) == 0
    except OptionError:
        raise
    except Exception as failure:  # whatever a loss of the user's own may raise
        raise OptionError(
            f"The loss {loss_name(loss)} cannot be called with embeddings and their pairs (indices_tuple) alone: "
            f"{failure}."
        ) from failure


def loss_name(loss: Any) -> str:
    """What a loss is called in a sentence."""
    return loss if isinstance(loss, str) else str(getattr(loss, "__name__", type(loss).__name__))


def contrastive(z: Tensor, same: Tensor, different: Tensor, margin: float | None) -> Tensor:
    """y d² + (1 − y) max(0, m − d)²: means over pairs of each sort (Hadsell, Chopra and LeCun 2006)."""
    d = _apart(z)
    return _mean(d.square(), same) + _mean((_or(margin, MARGIN) - d).relu().square(), different)


def contrastive_linear(z: Tensor, same: Tensor, different: Tensor, margin: float | None) -> Tensor:
    """The lecture's y d + (1 − y) max(0, m − d): means over pairs of each sort."""
    d = _apart(z)
    return _mean(d, same) + _mean((_or(margin, MARGIN) - d).relu(), different)


def triplet(z: Tensor, same: Tensor, different: Tensor, margin: float | None) -> Tensor:
    """max(0, d(a, p) − d(a, n) + m), the mean over the triplets where it is not 0 (Schroff et al. 2015)."""
    d = _apart(z)
    over = (d[:, :, None] - d[:, None, :] + _or(margin, TRIPLET_MARGIN)).relu()
    over = over * (same[:, :, None] & different[:, None, :])
    return over.sum() / (over > 0).sum().clamp(min=1)


def nt_xent(z: Tensor, same: Tensor, different: Tensor, margin: float | None) -> Tensor:
    """−log of the share of e^(s/T) that one of the same has beside the different ones (Chen et al. 2020)."""
    s = z @ z.T / TEMPERATURE
    others = s.masked_fill(~different, -torch.inf).logsumexp(dim=1, keepdim=True)
    return _mean(torch.logaddexp(s, others) - s, same)


def supervised_contrastive(z: Tensor, same: Tensor, different: Tensor, margin: float | None) -> Tensor:
    """As NT-Xent, all of the same competing too; the mean over items of that over their like (Khosla et al. 2020)."""
    s = z @ z.T / TEMPERATURE
    total = s.masked_fill(~(same | different), -torch.inf).logsumexp(dim=1, keepdim=True)
    like = same.sum(dim=1)
    each = ((total - s).masked_fill(~same, 0.0)).sum(dim=1) / like.clamp(min=1)
    return each[like > 0].sum() / (like > 0).sum().clamp(min=1)


def multi_similarity(z: Tensor, same: Tensor, different: Tensor, margin: float | None) -> Tensor:
    """log(1 + Σ e^(−α (s − λ))) / α over the same, β over the different (Wang et al. 2019); the mean of items."""
    s = z @ z.T - BETWEEN
    return (_soft_sum(-PULL * s, same) / PULL + _soft_sum(PUSH * s, different) / PUSH).mean()


def _soft_sum(powers: Tensor, which: Tensor) -> Tensor:
    """(b,) log(1 + Σ e^power) over what is asked for."""
    return F.pad(powers.masked_fill(~which, -torch.inf), (0, 1)).logsumexp(dim=1)


def _apart(z: Tensor) -> Tensor:
    """(b, b) Euclidean distances of points of length 1; a slope of 0 where they are 0."""
    return (2 - 2 * z @ z.T).clamp(min=1e-12).sqrt()


def _mean(values: Tensor, which: Tensor) -> Tensor:
    """The mean of the values asked for; 0 where there are none."""
    return values.masked_fill(~which, 0.0).sum() / which.sum().clamp(min=1)


def _or(margin: float | None, usual: float) -> float:
    return usual if margin is None else margin


#: the losses by name
LOSSES: dict[str, PairLoss] = {
    "multi-similarity": multi_similarity,
    "contrastive": contrastive,
    "contrastive-linear": contrastive_linear,
    "triplet": triplet,
    "nt-xent": nt_xent,
    "supervised-contrastive": supervised_contrastive,
}
