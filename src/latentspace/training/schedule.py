"""How fast to walk and how much to forget: numbers that change from step to step.

`step` counts from 0, `total` is the number of all steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Schedule", "cosine", "learning_rate", "warmup_cosine"]


def learning_rate(step: int, total: int, peak: float, warmup: float = 0.1) -> float:
    """Rate at `step` of `total`: linear from 0 to `peak` over the share `warmup`, then linear to zero.

    >>> [round(learning_rate(s, 10, 1.0), 2) for s in (0, 1, 5, 9)]
    [1.0, 1.0, 0.56, 0.11]
    """
    rising = max(1, int(total * warmup))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * (total - step) / max(1, total - rising)


def warmup_cosine(
    step: int, total: int, peak: float, warmup_steps: int, start: float = 0.0, final: float = 0.0
) -> float:
    """Rate of the optimiser's step: linear from `start` to `peak` in `warmup_steps`, then half a cosine to `final`.

    As published with I-JEPA (Assran et al. 2023, appendix A; the official code counts its steps from 1).

    >>> [round(warmup_cosine(s, 10, 1.0, 2), 2) for s in (0, 1, 5, 9)]
    [0.5, 1.0, 0.5, 0.0]
    """
    done = step + 1
    if done < warmup_steps:
        return start + (peak - start) * done / warmup_steps
    return cosine(done - warmup_steps, total - warmup_steps, peak, final)


def cosine(step: int, total: int, first: float, last: float) -> float:
    """From `first` at step 0 to `last` at `total`, by half a cosine; `last` after it.

    >>> [round(cosine(s, 4, 0.04, 0.4), 2) for s in (0, 2, 4)]
    [0.04, 0.22, 0.4]
    """
    done = min(1.0, step / total) if total > 0 else 1.0
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Schedule:
    """Learning rate with warm-up and cosine, and weight decay along a cosine: AdamW as I-JEPA was trained.

    peak : the highest rate; start, final : rates before and after; warmup : share of the steps with a rising rate.
    decay : weight decay before the first and after the last step, of weights alone: no bias, nothing of one
    dimension. The published shares are 40 of 300 epochs, start 1/5 of the peak, final 1/1,000.
    """

    peak: float
    start: float = 0.0
    final: float = 0.0
    warmup: float = 40 / 300
    decay: tuple[float, float] = (0.04, 0.4)

    def rate(self, step: int, total: int) -> float:
        """The learning rate of a step."""
        return warmup_cosine(step, total, self.peak, int(self.warmup * total), self.start, self.final)

    def weight_decay(self, step: int, total: int) -> float:
        """The weight decay of a step."""
        return cosine(step + 1, total, *self.decay)
