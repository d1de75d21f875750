"""Training of a network that corrects a first guess: steps, rate, and the best weights by held-out loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentspace.training.flat import Adam, FlatParameters

#: peak of the rate, steps until it is reached, and what of it is left at the end
PEAK_RATE, WARM_UP, LAST = 2e-3, 50, 0.02
#: gradients longer than this are cut to it
LONGEST = 1.0
#: how often the held-out loss is looked at in one training
LOOKS = 12
#: so many looks without a better one end it
PATIENCE = 4


@dataclass(frozen=True)
class Example:
    """A batch: where the network starts from, what it is shown, what it is to give, and what of that counts.

    guess, target, weight (batch, n_out, ...); inputs (batch, n_in, ...).
    """

    guess: Tensor
    inputs: Tensor
    target: Tensor
    weight: Tensor | None = None


def learn(
    net: nn.Module,
    examples: Iterator[Example],
    held_out: list[Example],
    steps: int,
    *,
    absolute: bool = False,
    tell: Callable[[float], None] | None = None,
) -> float:
    """Train `net` (guess, inputs -> target) for `steps` steps of Adam; the best weights by held-out loss are kept.

    Loss: mean square, or mean absolute difference where `absolute` (the median, which few spoilt values do not
    move). Returns the held-out loss; the start counts as a try, so that it never gets worse.
    """
    if not steps:
        return _held_out(net, held_out, absolute)
    flat = FlatParameters(net)
    adam = Adam(flat, betas=(0.9, 0.99))
    best, kept, worse = _held_out(net, held_out, absolute), flat.values.clone(), 0
    every = max(1, steps // LOOKS)
    for step in range(steps):
        flat.gradient.zero_()
        _loss(net, next(examples), absolute).backward()  # type: ignore[no-untyped-call]
        flat.gradient *= min(1.0, LONGEST / max(float(flat.gradient.norm()), 1e-12))
        share = step / steps
        adam.step(PEAK_RATE * min(1, (step + 1) / WARM_UP) * max(LAST, 1 - share))
        if (step + 1) % every == 0 or step + 1 == steps:
            loss, worse = _held_out(net, held_out, absolute), worse + 1
            if loss < best:
                best, worse = loss, 0
                kept.copy_(flat.values)
            if worse == PATIENCE:
                break
        if tell is not None and step % 10 == 0:
            tell(share)
    with torch.no_grad():
        flat.values.copy_(kept)
    return best


def _loss(net: nn.Module, example: Example, absolute: bool) -> Tensor:
    off = net(example.guess, example.inputs) - example.target
    each = off.abs() if absolute else off * off
    if example.weight is not None:
        each = each * example.weight / example.weight.mean().clamp(min=1e-9)
    loss: Tensor = each.mean()
    return loss


@torch.no_grad()
def _held_out(net: nn.Module, held_out: list[Example], absolute: bool) -> float:
    return sum(float(_loss(net, example, absolute)) for example in held_out) / max(len(held_out), 1)
