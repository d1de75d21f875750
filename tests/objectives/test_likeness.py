"""Losses of pairs have the values of their papers, and count nothing that is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from latentspace.errors import OptionError
from latentspace.objectives.likeness import BETWEEN, LOSSES, PULL, PUSH, TEMPERATURE, needs_both, pair_loss

Z = F.normalize(torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), dim=1)
LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
SAME = (LABELS[:, None] == LABELS) & ~torch.eye(12, dtype=torch.bool)
DIFFERENT = LABELS[:, None] != LABELS


def theirs(name: str) -> Any:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    from pytorch_metric_learning.reducers import MeanReducer

    return {
        "contrastive-linear": lambda: losses.ContrastiveLoss(neg_margin=1, reducer=MeanReducer()),
        "triplet": lambda: losses.TripletMarginLoss(margin=0.2),
        "nt-xent": lambda: losses.NTXentLoss(TEMPERATURE),
        "supervised-contrastive": lambda: losses.SupConLoss(TEMPERATURE),
        "multi-similarity": lambda: losses.MultiSimilarityLoss(PULL, PUSH, BETWEEN),
    }[name]()


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "contrastive"])
def test_losses_agree_with_pytorch_metric_learning(name: str) -> None:
    ours = float(pair_loss(name)(Z, SAME, DIFFERENT, None))
    assert ours == pytest.approx(float(theirs(name)(Z, LABELS)), rel=1e-5)
    # and theirs can be given instead of a name
    assert float(pair_loss(theirs(name))(Z, SAME, DIFFERENT, None)) == pytest.approx(ours, rel=1e-5)


def test_the_contrastive_loss_is_that_of_its_paper() -> None:
    z = Z.numpy().astype(float)
    near, far = [], []
    for i in range(12):
        for j in range(12):
            d = np.linalg.norm(z[i] - z[j])
            if i != j and LABELS[i] == LABELS[j]:
                near.append(d**2)
            elif i != j:
                far.append(max(0.0, 0.8 - d) ** 2)
    expected = np.mean(near) + np.mean(far)
    assert float(LOSSES["contrastive"](Z, SAME, DIFFERENT, 0.8)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_not_known_counts_nothing(name: str) -> None:
    same, different = SAME.clone(), DIFFERENT.clone()
    for mask in (same, different):
        mask[11], mask[:, 11] = False, False
    moved = Z.clone()
    moved[11] = -moved[11]
    of = pair_loss(name)
    assert float(of(Z, same, different, None)) == float(of(moved, same, different, None)) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_losses_fall_when_the_same_come_close(name: str) -> None:
    ideal = F.one_hot(LABELS, 5).float()
    z = Z.clone().requires_grad_()
    of = pair_loss(name)
    assert float(of(ideal, SAME, DIFFERENT, None)) < 0.5 * float(of(Z, SAME, DIFFERENT, None))
    of(z, SAME, DIFFERENT, None).backward()
    assert z.grad is not None and torch.isfinite(z.grad).all() and z.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["nt-xent", "supervised-contrastive", "triplet"])
def test_losses_that_need_both_sorts_are_zero_on_disjoint_pairs(name: str) -> None:
    same, different = torch.zeros(12, 12, dtype=torch.bool), torch.zeros(12, 12, dtype=torch.bool)
    same[0, 1] = same[1, 0] = different[2, 6] = different[6, 2] = True
    assert needs_both(name) and float(pair_loss(name)(Z, same, different, None)) == 0


def test_whether_a_loss_needs_both_sorts_is_seen_of_losses_given_as_they_are_too() -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    assert needs_both(losses.TupletMarginLoss()) and needs_both(losses.CircleLoss())
    assert not needs_both(losses.ContrastiveLoss()) and not needs_both(losses.MultiSimilarityLoss())
    with pytest.raises(OptionError, match=r"ProxyAnchorLoss cannot be called .* labels are required"):
        needs_both(losses.ProxyAnchorLoss(4, 128))


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(OptionError, match="did you mean 'triplet'"):
        pair_loss("tripplet")
    with pytest.raises(OptionError, match="loss is one of"):
        pair_loss(["triplet"])
    with pytest.raises(OptionError, match=r"make one, Linear\(\)"):
        pair_loss(torch.nn.Linear)
