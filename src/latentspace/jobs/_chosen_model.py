"""The model that a fit's options ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality
from latentspace.errors import DataError, OptionError
from latentspace.jobs._measures import known, plain_labels, unusable
from latentspace.space.quality import are_classes


def chosen_model(
    name: str,
    latent_dim: Any,
    network: Any,
    epochs: Any,
    minutes: float | None,
    seed: int,
    corruption: str | None,
    strength: float,
    beta: float,
) -> Any:
    """An unfitted model; raises OptionError where options do not go together."""
    if beta != 1.0 and name != "variational":
        raise OptionError("beta goes with model='variational'; other models have no spread to weigh.")
    if corruption is not None and name != "autoencoder":
        other = "I-JEPA hides blocks" if name == "ijepa" else "a variational one is not trained on damage"
        raise OptionError(f"corruption goes with model='autoencoder'; {other}.")
    if name == "ijepa":
        return _ijepa(latent_dim, network, epochs, minutes, seed)
    from latentspace.models.autoencoder import Autoencoder
    from latentspace.models.variational import VariationalAutoencoder

    common: dict[str, Any] = {
        "network": network,
        "epochs": epochs,
        "max_seconds": None if minutes is None else 60 * minutes,
        "random_state": seed,
    }
    if name == "variational":
        return VariationalAutoencoder(latent_dim, beta=beta, **common)
    return Autoencoder(latent_dim, corruption=corruption, strength=strength, **common)


def check_fits(name: str, sort: Modality, what: str) -> None:
    """Raise DataError where this model does not learn from items of this kind; `what` says what they are."""
    if name == "ijepa" and sort.name not in ("image", "signal"):
        raise DataError(
            f"model='ijepa' learns from pictures and signals, and here are none ({what}): use an autoencoder."
        )


def _ijepa(latent_dim: Any, network: Any, epochs: Any, minutes: float | None, seed: int) -> Any:
    from latentspace.models.ijepa import IJEPA

    if not (isinstance(network, str) and network in ("auto", "vit")):
        raise OptionError("network goes with autoencoders; model='ijepa' is a vision transformer.")
    return IJEPA(latent_dim, epochs=epochs, minutes=minutes, random_state=seed)


def classes_of(items: Items) -> NDArray[np.int64] | None:
    """(n,) the first label that names classes and is known of all, as numbers: training shows how it is told, and
    learns nothing from it. None where there is none."""
    for y in items.labels.values():
        if known(y).all() and not unusable(y, y) and are_classes(plain_labels(y)):
            return np.unique(plain_labels(y), return_inverse=True)[1].astype(np.int64)
    return None
