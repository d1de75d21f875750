"""How fast to walk: warm-up, then decay to zero."""

from __future__ import annotations


def learning_rate(step: int, total: int, peak: float, warmup: float = 0.1) -> float:
    """Rate at `step` of `total`: linear from 0 to `peak` over the share `warmup`, then linear to zero.

    >>> [round(learning_rate(s, 10, 1.0), 2) for s in (0, 1, 5, 9)]
    [1.0, 1.0, 0.56, 0.11]
    """
    rising = max(1, int(total * warmup))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * (total - step) / max(1, total - rising)
