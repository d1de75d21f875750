"""The supervised contrast: the same encoder, a label as target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d
from torch import nn

from latentspace.errors import DataError
from latentspace.models.base import LatentModel
from latentspace.objectives.base import Objective
from latentspace.objectives.classification import Classification

__all__ = ["Classifier"]


class Classifier(ClassifierMixin, LatentModel):  # type: ignore[misc]
    """X → Z → {0, 1}: the encoder of `Autoencoder` with Loss(ŷ, y) in place of Loss(d(e(x)), x).

    The parameters are those of `Autoencoder`, less the damage; `transform` gives the latents, so that the
    two can be compared. There is no decoder. Any number of classes, of any type.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3)); y = X[:, 0] > 0
    >>> bool(Classifier(latent_dim=2, random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    _decodes = False
    _rebuilds = False

    def __init__(
        self,
        latent_dim: int | str = "auto",
        *,
        network: str | tuple[nn.Module, nn.Module] = "auto",
        modality: Any = "auto",
        hidden: str | Sequence[int] = "auto",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate: float | str = "auto",
        patience: int | str = "auto",
        validation_fraction: float = 0.1,
        max_seconds: float | None = None,
        checkpoint: Any = None,
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.latent_dim = latent_dim
        self.network = network
        self.modality = modality
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.max_seconds = max_seconds
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Classifier:
        """Learn the encoder and a linear head from X and its labels y (n,)."""
        if y is None:
            raise ValueError("Classifier requires y to be passed, but the target y is None.")
        modality, items = self._read_to_fit(X)
        y = column_or_1d(y, warn=True)
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise DataError("The labels y contain NaN or infinity; leave those items out.")
        check_classification_targets(y)
        if len(y) != len(items):
            check_consistent_length(y, np.zeros(len(items)))
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"Classifier needs at least 2 classes; y holds only one class: {self.classes_[0]!r}."
            )
        self.fit_items(modality, items, y=codes.astype(np.int64))
        return self

    def _objective(self, latent_dim: int) -> Objective:
        return Classification(len(self.classes_), latent_dim)

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Logits (n, n_classes), or for two classes their difference (n,)."""
        check_is_fitted(self)
        z = torch.from_numpy(np.asarray(self._latents(X)))
        head: Any = self.objective_.head
        with torch.inference_mode():
            logits = (z @ head.weight.double().t() + head.bias.double()).numpy()
        return np.asarray(logits[:, 1] - logits[:, 0]) if len(self.classes_) == 2 else np.asarray(logits)

    def _latents(self, X: Any) -> NDArray[np.float64]:
        """Latents computed in float64, whatever X is."""
        items = self._read(X)
        return np.asarray(self.encode(self.modality_.transform(items, np.float64)[0]))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Probability of each class, (n, n_classes)."""
        logits = self.decision_function(X)
        if logits.ndim == 1:
            logits = np.stack([np.zeros_like(logits), logits], axis=1)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each item, (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def score_samples(self, X: Any) -> NDArray[Any]:
        """How sure the classifier is of each item, (n,): the log-probability of its likeliest class, in nats."""
        return np.asarray(np.log(self.predict_proba(X).max(axis=1)))

    def _extra_state(self) -> dict[str, Any]:
        return {"classes": self.classes_.tolist()}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        self.classes_ = np.array(state["classes"])
