"""Anomalies with a promise and a reason, as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from latentspace.data._holdout import hold_out
from latentspace.data.base import Items, Modality
from latentspace.data.sources import read_items
from latentspace.data.table import Table
from latentspace.errors import DataError, OptionError
from latentspace.models.anomaly import Scorer
from latentspace.models.base import precision, validated

__all__ = ["AnomalyDetector"]

Array = NDArray[Any]

#: share of the items that calibrate the scores, and no more of them than this
CALIBRATION, MAX_CALIBRATION = 0.2, 2000


class AnomalyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Tell odd items, how sure that is, and why, without a guess of how many there are.

    Parameters
    ----------
    alpha : float, default 0.05
        False-alarm rate: of usual new items, at most this share is flagged (where contamination is "auto").
    contamination : "auto" or float in (0, 0.5], default "auto"
        "auto" needs no guess. A number flags that share of the training items instead, and promises nothing.
    modality : str or Modality, default "auto"
        What the items are: "table", "image", "signal", "vectors".
    random_state : int, RandomState or None
        Everything random comes from it.

    Attributes
    ----------
    modality_ : how items become numbers; scorer_ : the fitted Scorer.
    offset_ : the threshold on `score_samples`; it may be set to another value at any time, without refitting.

    A new item is compared with the training items ("novelty"). An item that was among them is recognised, and judged
    without itself and by a wider neighbourhood, since its companions may be odd too ("contaminated" training data).

    >>> rng = np.random.default_rng(0)
    >>> detector = AnomalyDetector(random_state=0).fit(rng.normal(size=(500, 3)))
    >>> detector.predict([[0.1, 0.2, 0.0], [0.0, 8.0, 0.0]]).tolist()
    [1, -1]
    """

    def __init__(
        self,
        alpha: float = 0.05,
        contamination: float | str = "auto",
        modality: str | Modality = "auto",
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.contamination = contamination
        self.modality = modality
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Learn what is usual from X: an array, a frame, pictures, signals, or a path; y is ignored.

        A fifth of the items only calibrates the scores. X may hold anomalies itself. Raises OptionError, and
        DataError where there are fewer than 5 items.
        """
        self._check_options()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        given = validated(self, X, reset=True)
        modality, items = read_items(given, self.modality)
        if isinstance(modality, Table) and not isinstance(self.modality, Modality):
            modality.scaling = "standard"  # a value far out must stay far out
        fit_rows, calibration_rows = _split(items, seed)
        self.modality_ = modality.fit(modality.take(items, fit_rows))
        x, observed = self.modality_.transform(items, precision(X))
        x = x.astype(np.float32)
        seen = (None, None) if observed is None else (observed[fit_rows], observed[calibration_rows])
        self.scorer_ = Scorer.fit(x[fit_rows], seen[0], x[calibration_rows], seen[1], seed)
        self.scorer_.remember(x[calibration_rows])
        self.offset_ = float(np.log10(self.alpha))
        self._warn_of_few(items)
        if not isinstance(self.contamination, str):
            self.offset_ = float(np.quantile(self.score_samples(X), self.contamination))
        return self

    def _check_options(self) -> None:
        if not (isinstance(self.alpha, Real) and 0 < self.alpha < 1):
            raise OptionError(f"alpha must lie between 0 and 1, got {self.alpha!r}.")
        share = self.contamination
        if share != "auto" and not (isinstance(share, Real) and 0 < share <= 0.5):
            raise OptionError(
                f"contamination must be 'auto' or a number above 0 and at most 0.5, got {share!r}."
            )

    def _warn_of_few(self, items: Items) -> None:
        if isinstance(self.contamination, str) and self.alpha < self.scorer_.smallest_p:
            warnings.warn(
                f"{items.source} has {len(items)} items, {self.scorer_.n_calibration} of them to calibrate on: no "
                f"false-alarm rate below {self.scorer_.smallest_p:.2g} can be promised, so alpha={self.alpha} is an "
                "extrapolation; give more items or a larger alpha.",
                UserWarning,
                stacklevel=3,
            )

    def anomaly_score(self, X: Any) -> NDArray[np.float64]:
        """(n,) how odd each item is, higher is odder: minus log10 of the share of usual items as odd.

        1.3 is one in 20, 2 is one in 100.
        """
        x, observed = self._encoded(X)
        return self.scorer_.scores(x, observed)

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """(n,) how normal each item is: minus `anomaly_score`."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """(n,) above 0 for usual items, below for odd ones: `score_samples` minus `offset_`."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """(n,) -1 for odd items, +1 for usual ones."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: Any) -> NDArray[np.float64]:
        """(n,) conformal p-values: at most alpha for at most a share alpha of usual new items."""
        x, observed = self._encoded(X)
        return self.scorer_.p_values(x, observed)

    def explain(self, X: Any) -> list[dict[str, float]]:
        """For each item, how large a share of its oddness each column (channel, region) has, the largest first."""
        x, observed = self._encoded(X)
        shares = self.scorer_.contributions(x, observed)
        flat = shares.reshape(len(shares), -1)
        parts = self.modality_.parts()
        sums = {str(name): flat[:, where].sum(axis=1) for name, where in parts.items()}
        rows = [{name: float(column[i]) for name, column in sums.items()} for i in range(len(flat))]
        return [dict(sorted(row.items(), key=lambda part: -part[1])) for row in rows]

    def _encoded(self, X: Any) -> tuple[Array, Array | None]:
        check_is_fitted(self)
        items = read_items(validated(self, X, reset=False), self.modality_)[1]
        return self.modality_.transform(items, precision(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _split(items: Items, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to learn from and rows to calibrate on; windows of signals share no samples across."""
    if len(items) < 5:
        raise DataError(
            f"{items.source} has {len(items)} items (n_samples = {len(items)}); telling odd ones needs at least 5."
        )
    fit_rows, calibration_rows = hold_out(items, CALIBRATION, seed, MAX_CALIBRATION)
    if len(calibration_rows):
        return fit_rows, calibration_rows
    rows = np.random.default_rng(seed).permutation(len(items))
    few = max(1, len(items) // 5)
    return np.sort(rows[few:]), np.sort(rows[:few])
