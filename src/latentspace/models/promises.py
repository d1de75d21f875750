"""What false-alarm and false-discovery rates can be promised, and which items they flag."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError
from latentspace.models.anomaly import Scorer

Array = NDArray[Any]
Mask = NDArray[np.bool_]


def check_promise(scorer: Scorer, name: str, rate: float) -> None:
    """Raise OptionError where the option `name` asks for a rate so small that calibration cannot promise it."""
    if scorer.smallest_p > rate:
        raise OptionError(
            f"{name}={rate:g} cannot be promised with {scorer.n_calibration:,} calibration items: "
            f"the smallest that can is {rounded_up(scorer.smallest_p):g} (more items held out allow less)."
        )


def rounded_up(p: float) -> float:
    """To two digits, upwards, so that it can be given back as an option."""
    step = 10.0 ** (math.floor(math.log10(p)) - 1)
    return float(f"{math.ceil(round(p / step, 9)) * step:.6g}")


def benjamini_hochberg(p: Array, fdr: float) -> Mask:
    """Which of the items with p-values p (n,) to flag, so that a share of at most `fdr` of them is flagged wrongly.

    Benjamini and Hochberg (1995); with conformal p-values Bates et al. (2023).

    >>> benjamini_hochberg(np.array([0.001, 0.8, 0.03, 0.5]), 0.1).tolist()
    [True, False, True, False]
    """
    order = np.sort(p)
    fine = np.flatnonzero(order <= fdr * np.arange(1, len(p) + 1) / len(p))
    return p <= order[fine[-1]] if len(fine) else np.zeros(len(p), bool)
