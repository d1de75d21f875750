""" "Same or different?" as a scikit-learn estimator: pairs of items reshape where all of them lie."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from latentspace.data.base import Items, Modality
from latentspace.data.sources import read_items
from latentspace.errors import DataError, OptionError, nearest
from latentspace.estimators._encoder import fitted_model
from latentspace.estimators._pairs import given_pairs, sames
from latentspace.models.base import LatentModel, precision, validated
from latentspace.models.pair_learning import check_options, learn_places
from latentspace.models.pair_metric import PairMetric
from latentspace.models.pair_network import PairTraining
from latentspace.models.thresholds import best_threshold
from latentspace.models.views import Views
from latentspace.training.compared import Compared

__all__ = ["SiameseNetwork"]

Array = NDArray[Any]
Strategy = Literal["accuracy", "f_beta", "max_tpr"]


class SiameseNetwork(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learn from pairs of items that are the same or different: Z is reshaped so that the same come to lie close.

    Both items of a pair go through one encoder f, s(f(x_i), f(x_j)) is their distance, and s is to be small where
    y = 1. f is learnt from all items without labels (an autoencoder's latents, the items' values and, of pictures and
    signals, their patches: `models.views.Views`); what the pairs teach is a linear map after it, in closed form
    (`models.pair_metric.learn`): a few pairs can bear no more. Among several such maps, and none, that which tells
    pairs of other items best is taken: the space as it was stays where none is better. Where very many pairs of
    pictures or signals are known (their classes, say) a network is learnt from them, too, and taken where it tells
    pairs of other items better still (`models.pair_learning`).

    Parameters
    ----------
    model : fitted model or Space, default None
        Whose encoder is used. None fits a small Autoencoder of the data.
    modality : str or Modality, default "auto"
        What the items are: "table", "image", "signal", "vectors"; of no use where a model is given.
    depth : str, default "auto"
        How much may be learnt: "head", the linear map alone; "network", a network too, of anything and however few
        pairs there are, if five of each sort can be held out to judge it by; "auto", a network too of pictures and
        signals with 5,000 known pairs of the same or more.
    loss : str or a loss of pytorch-metric-learning, default "multi-similarity"
        What the network minimises: "multi-similarity", "contrastive", "contrastive-linear" (the lecture's),
        "triplet", "nt-xent", "supervised-contrastive" (`objectives.likeness`). Those that are zero for what is known
        are refused where a network is tried, those that take more than pairs always.
    margin : float, default None
        How far apart different items are to be, on the unit sphere; None: 1, of triplets 0.2.
    device : str, default "auto"
        Where the network is learnt: "cpu", "cuda", "mps".
    random_state : int, RandomState or None
        Everything random comes from it.

    Attributes
    ----------
    metric_ : what the pairs taught; `metric_.before` and `metric_.after` are areas under the ROC curve of held-out
    pairs; `metric_.kept_old` says that nothing was gained. model_ : the encoder; threshold_ : up to this distance
    pairs are the same. embedding_ : (n, r) where the training items lie.

    Verbs are those of metric-learn. A pair is two rows of the training items (integers (m, 2)) or two collections of
    items (X_1, X_2); a single collection of items is compared with the training item nearest to each.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 6)); kind = X[:, 0] > 0  # what people see is in one column of six
    >>> pairs = rng.integers(0, 300, (200, 2))
    >>> same = kind[pairs[:, 0]] == kind[pairs[:, 1]]
    >>> network = SiameseNetwork(random_state=0).fit(X, pairs, same)
    >>> bool(network.metric_.after > network.metric_.before + 0.1)
    True
    """

    def __init__(
        self,
        model: Any = None,
        modality: str | Modality = "auto",
        depth: str = "auto",
        loss: Any = "multi-similarity",
        margin: float | None = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.modality = modality
        self.depth = depth
        self.loss = loss
        self.margin = margin
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, same: Any = None) -> SiameseNetwork:
        """Learn from items X and what is said of them: ``fit(X, pairs, same)``, ``fit(X, triplets)``, ``fit(X, y)``.

        pairs (m, 2) of rows or ids of X, and same (m,): 1 and 0, 1 and -1, True and False, or "same" and "different";
        triplets (m, 3), of which the second is the same as the first and the third is not; or the class of each item
        (n,), from which pairs are drawn. Raises DataError that names the pair that is wrong.
        """
        if y is None:
            raise ValueError("SiameseNetwork requires y to be passed, but the target y is None.")
        how = PairTraining(self.loss, self.margin, device=self.device)
        check_options(self.depth, how)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        model, items = fitted_model(self, X, seed, "a Siamese network", 2)
        self.model_: LatentModel = model
        rows, alike, classes = given_pairs(items, y, same, seed)
        x = self.model_.modality_.transform(items, precision(X))[0]
        z = self.model_.encode(x)
        x = x.astype(np.float32)
        self.views_ = Views(x, seed)
        self.metric_: PairMetric
        self.metric_, features = learn_places(
            self.views_,
            self.views_.of(x, z),
            x,
            rows,
            alike,
            classes,
            depth=self.depth,
            how=how,
            origin=getattr(self.model_.modality_, "origin", None),
            seed=seed,
        )
        self.embedding_: NDArray[np.float32] = self.metric_.transform(features)
        self._training = Compared(self.embedding_)
        self.threshold_ = self._line(rows, alike)
        return self

    def _line(self, rows: Array, alike: NDArray[np.bool_]) -> float:
        """The most accurate threshold for pairs, by held-out distances where these are of both sorts."""
        for distances in (self.metric_.held_out, self._apart(rows)):
            there = np.isfinite(distances)
            if 0 < alike[there].sum() < there.sum():
                return best_threshold(distances[there], alike[there])
        return float(np.median(distances))  # one sort alone: nothing says where the other begins

    def transform(self, X: Any) -> NDArray[np.float32]:
        """(n, r) where items lie, the same close to each other."""
        check_is_fitted(self)
        return self._placed(X)

    def pair_distance(self, pairs: Any) -> NDArray[np.float64]:
        """(m,) how far the items of each pair are apart."""
        check_is_fitted(self)
        if isinstance(pairs, tuple) and len(pairs) == 2:
            one, other = (self._placed(part) for part in pairs)
            if len(one) != len(other):
                raise DataError(f"Pairs need as many items on both sides, not {len(one)} and {len(other)}.")
            return np.asarray(np.linalg.norm(one.astype(float) - other, axis=1))
        if _are_rows(pairs, getattr(self, "n_features_in_", None)):
            return self._apart(np.asarray(pairs))
        return self._training.nearest(self._placed(pairs), 1)[1][:, 0].astype(float)

    def pair_score(self, pairs: Any) -> NDArray[np.float64]:
        """(m,) how much the items of each pair are the same: minus their distance."""
        return -self.pair_distance(pairs)

    def decision_function(self, pairs: Any) -> NDArray[np.float64]:
        """(m,) from 0 for the same, below for different ones: `threshold_` minus the distance."""
        check_is_fitted(self)
        return self.threshold_ - self.pair_distance(pairs)

    def predict(self, pairs: Any) -> NDArray[np.int64]:
        """(m,) 1 for the same, -1 for different ones."""
        return np.where(self.decision_function(pairs) >= 0, 1, -1)

    def set_threshold(self, threshold: float) -> SiameseNetwork:
        """Call pairs the same up to this distance."""
        check_is_fitted(self)
        self.threshold_ = float(threshold)
        return self

    def calibrate_threshold(
        self, pairs: Any, y: Any, strategy: Strategy = "accuracy", *, beta: float = 1.0, max_fmr: float = 0.01
    ) -> SiameseNetwork:
        """Set the threshold by pairs that took no part in learning.

        strategy : "accuracy"; "f_beta", with `beta` above 1 for finding more of the same; "max_tpr", the most of the
        same that are found while at most a share `max_fmr` of different pairs is called the same.
        """
        if strategy not in get_args(Strategy):
            raise OptionError(
                f"strategy is one of {', '.join(get_args(Strategy))}, not {strategy!r}"
                f"{nearest(str(strategy), get_args(Strategy))}."
            )
        distances = self.pair_distance(pairs)
        return self.set_threshold(
            best_threshold(distances, sames(y, len(distances)), strategy, beta, max_fmr)
        )

    def _apart(self, rows: Array) -> NDArray[np.float64]:
        n = len(self.embedding_)
        wrong = rows[(rows < 0) | (rows >= n)]
        if len(wrong):
            raise DataError(f"Pairs name row {int(wrong[0])}; there are training items 0 to {n - 1}.")
        ends = self.embedding_[rows]
        return np.asarray(np.linalg.norm(ends[:, 0].astype(float) - ends[:, 1], axis=1))

    def _placed(self, X: Any) -> NDArray[np.float32]:
        given = validated(self, X, reset=False)
        items: Items = read_items(given, self.model_.modality_)[1]
        x = self.model_.modality_.transform(items, precision(X))[0]
        return self._at(x.astype(np.float32), self.model_.encode(x))

    def _at(self, x: Array, z: Array) -> NDArray[np.float32]:
        return self.metric_.transform(self.views_.of(x, z, self.metric_.view))

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _are_rows(pairs: Any, columns: int | None) -> bool:
    """Whether `pairs` are rows of training items: whole numbers (m, 2), unless items have two columns themselves."""
    values = np.asarray(pairs) if isinstance(pairs, list | np.ndarray) else np.zeros(0)
    return values.ndim == 2 and values.shape[1] == 2 and values.dtype.kind in "iu" and columns != 2
