"""A map of items that is a function, as a scikit-learn estimator."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from latentspace.data.base import Modality
from latentspace.data.sources import read_items
from latentspace.errors import DataError, OptionError
from latentspace.estimators._encoder import fitted_model
from latentspace.models.base import precision, validated
from latentspace.models.map import MapHead

__all__ = ["LatentMap"]

Array = NDArray[Any]


class LatentMap(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """See the whole pile on a plane; a new item lands where its like are, the old ones stay, and it goes back.

    An encoder gives each item's latents, and a head on it its place (`models.map.MapHead`): items that are neighbours
    are kept neighbours. A map is a function: a new item's place does not hang on what else is asked.

    Parameters
    ----------
    n_components : 1, 2 or 3, default 2
        A line, a plane, or space.
    n_neighbors : int, default 15
        How many neighbours of each item are to be kept: fewer show small groups, more the large shape.
    model : fitted model or Space, default None
        Whose encoder is used. None fits a small Autoencoder of the data.
    modality : str or Modality, default "auto"
        What the items are: "table", "image", "signal", "vectors"; of no use where a model is given.
    random_state : int, RandomState or None
        Everything random comes from it.

    Attributes
    ----------
    model_ : the encoder and decoder; head_ : places latents and goes back.
    embedding_ : (n, n_components) where the training items lie.

    Columns of an array that have comparable ranges (pixels, embeddings, what was scaled already) are compared as
    they are, those of other arrays and of frames on one scale. Axes mean nothing, nor do distances between far
    groups: what is near is alike.

    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (100, 6)), rng.normal(8, 1, (100, 6))])
    >>> map_ = LatentMap(random_state=0).fit(X)
    >>> map_.transform(X[:2]).shape, map_.inverse_transform([[0.0, 0.0]]).shape
    ((2, 2), (1, 6))
    """

    def __init__(
        self,
        n_components: int = 2,
        n_neighbors: int = 15,
        model: Any = None,
        modality: str | Modality = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.model = model
        self.modality = modality
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> LatentMap:
        """Learn the map of X: an array, a frame, pictures, signals, or a path; y is ignored.

        Raises OptionError, and DataError where there are fewer than 3 items.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Array:
        """Learn the map of X, and where its items lie, (n, n_components)."""
        self._check_options()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.model_, items = fitted_model(self, X, seed, "a map", 3)
        x, _ = self.model_.modality_.transform(items, precision(X))
        z = self.model_.encode(x)
        self.head_ = MapHead.fit(
            z, x, dimensions=int(self.n_components), n_neighbors=int(self.n_neighbors), seed=seed
        )
        self.embedding_: Array = self.head_.place(z)
        return self.embedding_

    def _check_options(self) -> None:
        if not isinstance(self.n_components, Integral) or self.n_components not in (1, 2, 3):
            raise OptionError(f"n_components must be 1, 2 or 3, got {self.n_components!r}.")
        if (
            not isinstance(self.n_neighbors, Integral)
            or isinstance(self.n_neighbors, bool)
            or self.n_neighbors < 1
        ):
            raise OptionError(f"n_neighbors must be a whole number of at least 1, got {self.n_neighbors!r}.")

    def transform(self, X: Any) -> Array:
        """Where the items of X lie on the map, (n, n_components)."""
        check_is_fitted(self)
        items = read_items(validated(self, X, reset=False), self.model_.modality_)[1]
        return self.head_.place(self.model_.encode(self.model_.modality_.transform(items, precision(X))[0]))

    def inverse_transform(self, X: Any) -> Any:
        """The items expected at places X (n, n_components) of the map, in the user's own units and names."""
        check_is_fitted(self)
        places = np.asarray(X)
        if places.ndim != 2 or places.shape[1] != self.head_.dimensions:
            raise DataError(f"Places must have shape (n, {self.head_.dimensions}), got {places.shape}.")
        return self.model_.inverse_transform(self.head_.invert(places))

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
