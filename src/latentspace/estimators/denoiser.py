"""Noise taken off and gaps filled without clean examples, as a scikit-learn estimator."""

from __future__ import annotations

from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from latentspace.data.base import Items, Modality
from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.data.sources import read_items
from latentspace.data.table import Table
from latentspace.errors import DataError, OptionError
from latentspace.models.arrangement import arrangement
from latentspace.models.autoencoder import Autoencoder
from latentspace.models.base import LatentModel, validated
from latentspace.models.noise import KINDS
from latentspace.models.removed import Removed
from latentspace.models.restorer import Restorer, held_rows

__all__ = ["Denoiser"]

Array = NDArray[Any]

#: latents of the space that is fitted where none is given, and passes over the items
LATENTS, EPOCHS = 64, 5
#: values of an item that is given to an autoencoder at most; larger ones do without
MOST_ENCODED = 2**15
#: values of pictures that are restored at their own size at most (256 MB); more are brought to the working size
MOST_FULL = 2**26
#: fewer items than this are given back as they are, gaps filled by the mean
ENOUGH = 8


class Denoiser(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Take noise off items, and fill their gaps, having seen only the noisy ones.

    How much noise there is, is told from the items; a network learns to take it off by what was added anew
    (`models.restorer.Restorer`), and is used, beside classical methods, as far as held-out items say that it helps.
    Where nothing helps, or nobody could tell noise from what the items are, they come back as they were, and
    `message_` says so.

    Parameters
    ----------
    kind : "auto", "gaussian", "salt-and-pepper" or "missing", default "auto"
        The kind of noise; "missing" only fills gaps.
    noise : "auto" or float, default "auto"
        Standard deviation of the noise, on the model's scale (all values of pictures, signals and arrays together, or
        each column of a table, brought to variance 1).
    model : fitted model or Space, default None
        Whose reconstructions are one of the candidates. None fits a small Autoencoder of the data.
    modality : str or Modality, default "auto"
        What the items are: "table", "image", "signal", "vectors"; of no use where a model is given.
    random_state : int, RandomState or None
        Everything random comes from it.

    Attributes
    ----------
    noise_ : kind and level of the noise, with its interval. candidates_ : what each way to restore is worth, in dB,
    estimated without clean items. message_ : what was chosen, and why. restorer_, model_.

    >>> rng = np.random.default_rng(0)
    >>> clean = np.sin(np.arange(50) / 5 + rng.uniform(0, 6, size=(300, 1)))
    >>> noisy = clean + 0.3 * rng.normal(size=clean.shape)
    >>> restored = Denoiser(random_state=0).fit_transform(noisy)
    >>> bool(np.mean((restored - clean) ** 2) < 0.3 * np.mean((noisy - clean) ** 2))
    True
    """

    def __init__(
        self,
        kind: str = "auto",
        noise: Any = "auto",
        model: Any = None,
        modality: str | Modality = "auto",
        random_state: Any = None,
    ) -> None:
        self.kind = kind
        self.noise = noise
        self.model = model
        self.modality = modality
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Denoiser:
        """Learn from noisy items X: an array, a frame, pictures, signals, or a path.

        y : the clean version of each item, to learn from pairs; None or labels (one-dimensional) are ignored.
        Raises OptionError, and DataError where pairs do not match.
        """
        self._check_options()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        given = validated(self, X, reset=True)
        clean = None if y is None or _are_labels(y) else y
        items, held = self._fitted_model(given, seed, clean is None)
        x, observed = self.modality_.transform(items)
        self.target_modality_: Modality | None = None
        target = None
        if clean is not None:
            self.target_modality_, target = self._target(clean, items)
        model = self.model_
        self.restorer_ = Restorer.fit(
            x,
            observed,
            clean=target,
            kind=self.kind,
            level=None if self.noise == "auto" else float(self.noise),
            reconstruct=None if model is None else _Reconstruct(model),
            noisy=self.modality_.measured,
            arranged=self.modality_.name == "vectors",
            held=held,
            origin=self.modality_.origin,
            fill=not is_padding(self.modality_, items),
            seed=seed,
        )
        self.noise_, self.candidates_ = self.restorer_.noise, self.restorer_.candidates
        self.message_ = self.restorer_.message
        return self

    def _check_options(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(f"kind is {self.kind!r}: it can be {', '.join(KINDS)}.")
        told = self.noise
        if told != "auto" and (
            not isinstance(told, Real) or isinstance(told, bool) or not 0 <= float(told) < np.inf
        ):
            raise OptionError(f"noise must be 'auto' or a number of at least 0, got {told!r}.")

    def _fitted_model(self, given: Any, seed: int, needed: bool) -> tuple[Items, NDArray[np.intp] | None]:
        """Set `model_` and `modality_`, fitted on the data or given; the data as items, and the rows that the model
        has not seen (None: unknown)."""
        if self.model is not None:
            model = getattr(self.model, "model", self.model)
            if not isinstance(model, LatentModel):
                raise OptionError(f"model must be a fitted model or a Space, got {self.model!r}.")
            check_is_fitted(model)
            self.model_: LatentModel | None = model
            self.modality_: Modality = model.modality_
            return read_items(given, model.modality_)[1], None
        flat = self.modality == "auto" and isinstance(given, np.ndarray) and given.ndim == 2
        drawn = flat and given.dtype.kind == "f" and not np.isnan(given).any() and arrangement(given)
        modality, items = read_items(given, "vectors" if drawn else self.modality)
        if isinstance(modality, Image) and not isinstance(self.modality, Modality):
            modality, items = _at_full_size(given, modality, items)
        if len(items) < 2 and not isinstance(modality, Image | Signal):
            raise DataError(
                f"{items.source} has {len(items)} items (n_samples = {len(items)}); noise is told from at least 2."
            )
        if isinstance(modality, Table) and not isinstance(self.modality, Modality):
            modality.scaling = "standard"  # noise is added in the user's units, and must stay noise
        self.modality_ = modality.fit(items)
        self.model_ = None
        if needed and len(items) >= ENOUGH and np.prod(self.modality_.shape) <= MOST_ENCODED:
            held = held_rows(len(items), seed)
            seen = np.setdiff1d(np.arange(len(items)), held)
            width = int(np.prod(self.modality_.shape))
            model = Autoencoder(min(LATENTS, width), epochs=EPOCHS, random_state=seed)
            model.fit_items(modality, modality.take(items, seen))
            self.model_, self.modality_ = model, model.modality_
            return items, held
        return items, None

    def _target(self, clean: Any, items: Items) -> tuple[Modality, Array]:
        """The clean items, encoded: as the noisy ones are where they have their shape."""
        modality, own = read_items(clean, self.modality if isinstance(self.modality, str) else "auto")
        if modality.fit(own).shape == self.modality_.shape and modality.name == self.modality_.name:
            modality, own = self.modality_, read_items(clean, self.modality_)[1]
        target, _ = modality.transform(own)
        if len(own) != len(items):
            raise DataError(
                f"X holds {len(items):,} items, y {len(own):,}: y must be the clean version of each."
            )
        return modality, target

    def transform(self, X: Any) -> Any:
        """X without its noise, gaps filled in, in the user's own units, types and names."""
        check_is_fitted(self)
        given = validated(self, X, reset=False)
        items = read_items(given, self.modality_)[1]
        x, observed = self.modality_.transform(items)
        restored = self.restorer_.restore(x, observed)
        if self.target_modality_ is not None:
            return self.target_modality_.inverse_transform(restored)
        made = self.modality_.inverse_transform(restored, items)
        if not isinstance(given, np.ndarray) or np.shape(made) != given.shape:
            return made
        # what was not touched comes back bit for bit, not through the scaling and back
        same = self.modality_.inverse_transform(x, items)
        touched = np.isnan(given) if given.dtype.kind == "f" else np.zeros(given.shape, bool)
        return np.where(touched | (made != same), made, given).astype(made.dtype, copy=False)

    def judge(self, X: Any) -> Removed:
        """Whether what is taken off X looks like noise, and where structure may have been removed or invented."""
        check_is_fitted(self)
        items = read_items(validated(self, X, reset=False), self.modality_)[1]
        x, observed = self.modality_.transform(items)
        return self.restorer_.judge(x, self.restorer_.restore(x, observed), observed)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _at_full_size(given: Any, image: Image, items: Items) -> tuple[Image, Items]:
    """Pictures of one size at that size, not at the smaller one that a latent space works at."""
    sizes = items.values.sizes
    if sizes is None or (sizes != sizes[0]).any():
        return image, items
    size = (int(sizes[0, 0]), int(sizes[0, 1]))
    if len(items) * size[0] * size[1] * items.values.pixels.shape[3] > MOST_FULL:
        return image, items
    modality, whole = read_items(given, Image(size))
    return modality, whole  # type: ignore[return-value]


def _are_labels(y: Any) -> bool:
    """Whether y has one value an item, as scikit-learn's y has, and no clean items."""
    return not isinstance(y, str | Path) and not hasattr(y, "columns") and np.asarray(y, object).ndim == 1


class _Reconstruct:
    """A model's d(e(x)) as a function that can be kept."""

    def __init__(self, model: LatentModel) -> None:
        self.model = model

    def __call__(self, x: Array) -> Array:
        """(n, *shape) through the latents and back."""
        return np.asarray(self.model.decode(self.model.encode(x)))


def is_padding(modality: Modality, items: Items) -> bool:
    """Whether what is not observed of these items is only the padding of pictures of another shape."""
    if not isinstance(modality, Image):
        return False
    pixels = items.values.pixels
    return pixels.dtype.kind != "f" or not any(bool(np.isnan(picture).any()) for picture in pixels)
