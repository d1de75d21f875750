"""Labels from a few labelled items among many, as a scikit-learn estimator."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from latentspace.data.base import Modality
from latentspace.data.sources import read_items
from latentspace.errors import DataError, OptionError
from latentspace.estimators._encoder import fitted_model
from latentspace.models.base import LatentModel, precision, validated
from latentspace.models.labels import LabelVote, Told
from latentspace.training.compared import Compared

__all__ = ["LatentClassifier"]

Array = NDArray[Any]


class LatentClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Tell the classes of many items from the labels of a few, how sure that is, and which to label next.

    An encoder learns from all items; the labelled ones vote in Z (`models.labels.LabelVote`).

    Parameters
    ----------
    model : fitted model or Space, default None
        Whose encoder is used. None fits a small Autoencoder of the data.
    unlabelled : value, default None
        What stands in y for "no label yet". None, NaN and pandas' NA do so where it is None; scikit-learn's
        semi-supervised estimators use -1.
    alpha : float, default 0.1
        Share of errors that `predict_set` and `known` allow, of new items like the labelled ones.
    modality : str or Modality, default "auto"
        What the items are: "table", "image", "signal", "vectors"; of no use where a model is given.
    random_state : int, RandomState or None
        Everything random comes from it.

    Attributes
    ----------
    classes_ : (c,) the classes; transduction_ : (n,) the class of each training item, given or told.
    expected_accuracy_ : (value, low, high), a 95 % interval, of new items like the labelled ones; NaN before any
    class has two labels.
    model_ : the encoder; vote_ : what tells classes.

    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (100, 6)), rng.normal(8, 1, (100, 6))])
    >>> y = np.full(200, None); y[[0, 1, 2]] = "low"; y[[100, 101, 102]] = "high"
    >>> LatentClassifier(random_state=0).fit(X, y).predict(X[[50, 150]]).tolist()
    ['low', 'high']
    """

    def __init__(
        self,
        model: Any = None,
        unlabelled: Any = None,
        alpha: float = 0.1,
        modality: str | Modality = "auto",
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.unlabelled = unlabelled
        self.alpha = alpha
        self.modality = modality
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LatentClassifier:
        """Learn from X and the labels y (n,), most of which may be missing.

        Raises OptionError, and DataError where fewer than 2 classes are labelled.
        """
        if y is None:
            raise ValueError("LatentClassifier requires y to be passed, but the target y is None.")
        if not (isinstance(self.alpha, Real) and 0 < self.alpha < 1):
            raise OptionError(f"alpha must lie between 0 and 1, got {self.alpha!r}.")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        model, items = fitted_model(self, X, seed, "a classifier", 2)
        self.model_: LatentModel = model
        y = column_or_1d(y, warn=True)
        if len(y) != len(items):
            check_consistent_length(y, np.zeros(len(items)))
        rows = np.flatnonzero(~_missing(y, self.unlabelled))
        classes, codes = _classes(y[rows])
        self.classes_: Array = classes
        z = self.model_.encode(self.model_.modality_.transform(items, precision(X))[0])
        z = np.ascontiguousarray(z, np.float32)
        self.vote_: LabelVote = LabelVote(z, Compared(z).nearest, rows, codes, len(self.classes_), seed)
        told = self.classes_[self.vote_.own.probabilities.argmax(axis=1)]
        told[rows] = self.classes_[codes]
        self.transduction_: Array = told
        self.expected_accuracy_ = self.vote_.accuracy
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each class, (n, c)."""
        return self._tell(X).probabilities

    def predict(self, X: Any) -> Array:
        """The likeliest class of each item, (n,); `known` says of which it can be relied on."""
        told = self._tell(X)
        return np.asarray(self.classes_[told.probabilities.argmax(axis=1)])

    def predict_set(self, X: Any) -> NDArray[np.bool_]:
        """(n, c) the classes that cannot be excluded at a share `alpha` of errors."""
        return self._tell(X).sets(self.alpha)

    def known(self, X: Any) -> NDArray[np.bool_]:
        """(n,) items of which one class alone is left, and that lie no farther from all others than 99 % of these.

        The class of at most about a share `alpha` of new items is known wrongly.
        """
        return self._tell(X).known(self.alpha)

    def suggest(self, n: int = 10) -> NDArray[np.intp]:
        """(n,) the rows of the unlabelled training items that are worth most to label next.

        Raises OptionError where n is no whole number of at least 1.
        """
        check_is_fitted(self)
        return self.vote_.suggest(n)

    def _tell(self, X: Any) -> Told:
        check_is_fitted(self)
        items = read_items(validated(self, X, reset=False), self.model_.modality_)[1]
        z = self.model_.encode(self.model_.modality_.transform(items, precision(X))[0])
        return self.vote_.tell(np.ascontiguousarray(z, np.float32))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _missing(y: Array, unlabelled: Any) -> NDArray[np.bool_]:
    """(n,) whether there is no label."""
    if unlabelled is not None:
        return np.array([value == unlabelled for value in y.tolist()], bool)
    if y.dtype.kind == "O":
        return np.array([_is_missing(value) for value in y.tolist()], bool)
    return np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), bool)


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    same = value == value  # pandas' NA is neither equal nor unequal to itself
    return not isinstance(same, bool | np.bool_) or not same


def _classes(labels: Array) -> tuple[Array, NDArray[np.intp]]:
    """(classes (c,), their codes (m,)) of the labels that are there."""
    if labels.dtype.kind == "O":
        labels = np.array(labels.tolist())
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError("The labels y contain infinity; leave those items out.")
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        found = f"only one class: {classes[0]!r}" if len(classes) else "no label"
        raise DataError(f"LatentClassifier needs labels of at least 2 classes; y holds {found}.")
    return classes, codes.astype(np.intp)
