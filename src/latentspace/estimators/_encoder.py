"""Whose encoder an estimator uses: that of a model or Space it was given, or a small one fitted on the spot."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from latentspace.data.base import Items, Modality
from latentspace.data.sources import read_items
from latentspace.data.table import Table
from latentspace.errors import DataError, OptionError
from latentspace.models.autoencoder import Autoencoder
from latentspace.models.base import LatentModel, validated

#: latents of the space that is fitted where none is given, and passes over the items
LATENTS, EPOCHS = 64, 5
#: columns of an array share a unit where the widest tenth ranges no further than so many times the narrowest
ALIKE = 20


def fitted_model(estimator: Any, X: Any, seed: int, purpose: str, least: int) -> tuple[LatentModel, Items]:
    """(the model of ``estimator.model``, or one fitted on X where that is None; X as its items).

    Raises OptionError where it is no fitted model, DataError where X has fewer than `least` items.
    """
    given = validated(estimator, X, reset=True)
    if estimator.model is not None:
        model = getattr(estimator.model, "model", estimator.model)
        if not isinstance(model, LatentModel):
            raise OptionError(f"model must be a fitted model or a Space, got {estimator.model!r}.")
        check_is_fitted(model)
        return model, read_items(given, model.modality_)[1]
    alike = estimator.modality == "auto" and _share_a_unit(given)
    modality, items = read_items(given, "vectors" if alike else estimator.modality)
    if len(items) < least:
        raise DataError(
            f"{items.source} has {len(items)} items (n_samples = {len(items)}); {purpose} needs at least {least}."
        )
    if isinstance(modality, Table) and not isinstance(estimator.modality, Modality):
        modality.scaling = "standard"  # what is far in the user's columns stays far
    width = int(np.prod(modality.fit(items).shape))
    fitted = Autoencoder(min(LATENTS, width), epochs=EPOCHS, random_state=seed)
    return fitted.fit_items(modality, items), items


def _share_a_unit(X: Any) -> bool:
    """Whether X is an array of numbers whose columns have comparable ranges: pixels, embeddings, what was scaled.

    Their distances mean something as they are; other columns are brought to one scale first.
    """
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "iuf" or not X.size:
        return False
    ranges = np.fmax.reduce(X).astype(float) - np.fmin.reduce(X)  # gaps do not count
    ranges = ranges[ranges > 0]
    return len(ranges) > 1 and bool(np.quantile(ranges, 0.9) <= ALIKE * np.quantile(ranges, 0.1))
