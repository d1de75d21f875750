"""What every model shares: a scikit-learn face over a modality, a network, an objective and the trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from latentspace import folder
from latentspace.data._holdout import hold_out
from latentspace.data.base import Items, Modality
from latentspace.data.sources import read_items
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.models import defaults, latent_size
from latentspace.networks.base import FRAME, FRAME_ITEMS, Network, own_network
from latentspace.networks.layers import seeded
from latentspace.objectives.base import Objective
from latentspace.training.loop import Data, History, Training, item_losses, train

Array = NDArray[Any]

#: told what is going on, in words, and the share done (None: unknown)
Tell = Callable[[str, float | None], None]

#: values an encoding or decoding block may hold, so that memory stays bounded whatever the number of items
BLOCK_VALUES = 1_000_000
#: items held out for early stopping at most
MAX_HELD_OUT = 10_000


def _has_decoder(model: LatentModel) -> bool:
    return model._decodes


def _makes_again(model: LatentModel) -> bool:
    return model._rebuilds


class LatentModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Base of the models; not made by itself. See `Autoencoder` for the parameters."""

    _decodes: ClassVar[bool] = True
    #: items can be made again, from latents or by another way
    _rebuilds: ClassVar[bool] = True
    _variational: ClassVar[bool] = False

    # --- what a model adds ---------------------------------------------------------------------------------

    def _objective(self, latent_dim: int) -> Objective:
        """The objective that this model minimises."""
        raise NotImplementedError

    # --- fitting -------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> LatentModel:
        """Learn encoder and decoder from X: an array, a frame, pictures, signals, or a path; y is ignored."""
        modality, items = self._read_to_fit(X)
        return self.fit_items(modality, items)

    def fit_items(
        self, modality: Modality, items: Items, progress: Tell | None = None, y: Array | None = None
    ) -> LatentModel:
        """Learn from items already read; the modality is fitted to them. `y`: (n,) int64 where there are classes."""
        tell = progress or (lambda words, share: None)
        if len(items) < 2:
            raise DataError(
                f"{items.source} has {len(items)} item (n_samples = {len(items)}); fitting needs at least 2."
            )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.modality_ = modality.fit(items)
        x, observed = modality.transform(items)
        data = Data(x, observed, y)
        fit_rows, held_out_rows = self._split(items, seed)
        with defaults.limited_threads(self._work(x.shape[1:], len(fit_rows))):
            self.latent_dim_ = self._choose_latent_dim(data, fit_rows, held_out_rows, seed, tell)
            self.network_, self.history_ = self._train(data, fit_rows, held_out_rows, seed, tell)
        self.n_parameters_ = sum(p.numel() for p in self.network_.parameters())
        return self

    def _work(self, shape: tuple[int, ...], n: int) -> float:
        """About how many multiply-adds a step takes."""
        return float(np.prod(shape)) * defaults.batch_size(n) * 256

    def _split(self, items: Items, seed: int) -> tuple[Array, Array]:
        """Rows to learn from, shuffled by `seed`, and rows held out for early stopping.

        Windows of signals are held out by whole series or stretches: overlapping ones would tell of training.
        """
        share = self.validation_fraction
        if not 0 < share < 1:
            raise OptionError(f"validation_fraction must lie between 0 and 1, got {share!r}.")
        fit_rows, held_out_rows = hold_out(items, share, seed, MAX_HELD_OUT)
        rows = np.random.default_rng(seed).permutation(len(items))
        if len(held_out_rows):
            return rows[np.isin(rows, fit_rows)], held_out_rows
        few = max(1, round(len(items) * share))
        return rows[few:], np.sort(rows[:few])

    def _choose_latent_dim(
        self, data: Data, fit_rows: Array, held_out_rows: Array, seed: int, tell: Tell
    ) -> int:
        size, asked = data.x[0].size, self.latent_dim
        self.latent_sizes_, self.intrinsic_dim_ = None, None
        if isinstance(asked, str) and asked == "auto":
            choice = latent_size.choose(
                data, fit_rows, held_out_rows, self.modality_.likelihood, self._hidden(), seed, tell
            )
            self.latent_sizes_, self.intrinsic_dim_ = choice.curve, choice.intrinsic_dim
            return choice.latent_dim
        if not isinstance(asked, Integral) or isinstance(asked, bool) or not 1 <= int(asked) <= size:
            raise OptionError(
                f"latent_dim must be 'auto' or a whole number from 1 to {size} (the values of one encoded item), "
                f"got {asked!r}."
            )
        return int(asked)

    def _hidden(self) -> tuple[int, ...] | None:
        hidden = self.hidden
        if isinstance(hidden, str) and hidden == "auto":
            return None
        try:
            widths = tuple(int(h) for h in hidden)
        except (TypeError, ValueError):
            widths = ()
        if not widths or min(widths) < 1:
            raise OptionError(
                f"hidden must be 'auto' or whole numbers of at least 1 such as (256, 128), got {hidden!r}."
            )
        return widths

    def _train(
        self, data: Data, fit_rows: Array, held_out_rows: Array, seed: int, tell: Tell
    ) -> tuple[Network, History]:
        network = self._make_network(data.x.shape[1:], seed)
        how = self._training(data, len(fit_rows), seed)
        with seeded(seed):
            objective = self._objective(self.latent_dim_)
        objective.setup(network, self.modality_.likelihood)
        rival = None
        if objective.keeps_start:  # PCA of all items, the held-out ones included, is what to beat
            network.start_at_pca(data.x, self.modality_.likelihood, seed)
            rival = item_losses(network, objective, data, held_out_rows)
        network.start_at_pca(data.x, self.modality_.likelihood, seed, fit_rows)
        network.to(how.device), objective.to(how.device)

        def each_epoch(epoch: int, epochs: int, loss: float) -> None:
            tell(
                f"training: epoch {epoch} of at most {epochs}, held-out loss {loss:.4g} nats an item",
                epoch / epochs,
            )

        history = train(network, objective, data, fit_rows, held_out_rows, how, each_epoch, rival)
        self.objective_ = objective.to("cpu").eval()
        network.to("cpu").eval()
        if history.kept_start:
            network.start_at_pca(data.x, self.modality_.likelihood, seed)
        if self._decodes and not self._variational:
            network.reframe(data.x, 1.0 if history.kept_start else FRAME, fit_rows[:FRAME_ITEMS])
        return network, history

    def _make_network(self, shape: tuple[int, ...], seed: int) -> Network:
        kind = self.network
        if isinstance(kind, tuple):
            if len(kind) != 2 or not all(isinstance(part, nn.Module) for part in kind):
                raise OptionError("network as a pair must be two torch modules, (encoder, decoder).")
            return own_network(copy.deepcopy(kind), shape, self.latent_dim_, self._variational)
        name = defaults.network_kind(shape) if kind == "auto" else kind
        network_class = folder.find("networks", name)
        wanted = {"conv": 3, "conv1d": 2}.get(name)
        if wanted is not None and len(shape) != wanted:
            raise OptionError(
                f"network={name!r} needs items of {wanted} axes; these have shape {tuple(shape)}: use 'dense'."
            )
        with seeded(seed):
            return network_class(shape, self.latent_dim_, self._hidden(), self._variational)  # type: ignore[no-any-return]

    def _training(self, data: Data, n: int, seed: int) -> Training:
        batch = _number("batch_size", self.batch_size, defaults.batch_size(n), 1)
        epochs = _number("epochs", self.epochs, defaults.epochs(n, batch), 0)
        rate = self.learning_rate
        if isinstance(rate, str):
            if rate != "auto":
                raise OptionError(f"learning_rate must be 'auto' or a number above 0, got {rate!r}.")
            rate = defaults.learning_rate(data.x.shape[1:])
        if not rate > 0:
            raise OptionError(f"learning_rate must be 'auto' or a number above 0, got {rate!r}.")
        return Training(
            epochs=epochs,
            batch_size=batch,
            peak_rate=float(rate),
            patience=_number("patience", self.patience, max(10, epochs // 3), 1),
            max_seconds=self.max_seconds,
            seed=seed,
            device=defaults.device(self.device),
            checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
        )

    # --- reading X -----------------------------------------------------------------------------------------

    def _read_to_fit(self, X: Any) -> tuple[Modality, Items]:
        X = validated(self, X, reset=True)
        return read_items(X, self.modality)

    def _read(self, X: Any) -> Items:
        check_is_fitted(self)
        return read_items(validated(self, X, reset=False), self.modality_)[1]

    # --- using ---------------------------------------------------------------------------------------------

    def encode(self, x: Array) -> Array:
        """Latents (n, latent_dim) of encoded items x (n, *shape), in the dtype of x."""
        check_is_fitted(self)
        return self._blockwise(lambda t, net: net.encode(t).mean, x)

    @available_if(_has_decoder)  # type: ignore[untyped-decorator]
    def decode(self, z: Array) -> Array:
        """Expected encoded items (n, *shape) of latents z (n, latent_dim), in the dtype of z."""
        check_is_fitted(self)
        z = np.asarray(z)
        if z.ndim != 2 or z.shape[1] != self.latent_dim_:
            raise DataError(f"Latents must have shape (n, {self.latent_dim_}), got {z.shape}.")
        likelihood = self.modality_.likelihood
        return self._blockwise(lambda t, net: likelihood.mean(net.decode(t)), z)

    def encode_items(self, items: Items) -> NDArray[np.float32]:
        """Latents (n, latent_dim) float32 of items already read."""
        latents: NDArray[np.float32] = self.encode(self.modality_.transform(items)[0])
        return latents

    def transform(self, X: Any) -> Array:
        """Latents (n, latent_dim) of X; float64 arrays are computed in float64, all else in float32."""
        items = self._read(X)
        return self.encode(self.modality_.transform(items, precision(X))[0])

    @available_if(_has_decoder)  # type: ignore[untyped-decorator]
    def inverse_transform(self, X: Any) -> Any:
        """Items in the user's own units and names, decoded from latents X (n, latent_dim)."""
        check_is_fitted(self)
        z = np.asarray(X)
        return self.modality_.inverse_transform(
            self.decode(z if z.dtype == np.float64 else z.astype(np.float32))
        )

    @available_if(_makes_again)  # type: ignore[untyped-decorator]
    def reconstruct(self, X: Any) -> Any:
        """d(e(x)) of every item of X, in the user's own units and names; gaps come back filled in."""
        items = self._read(X)
        x, _ = self.modality_.transform(items)
        return self.modality_.inverse_transform(self.rebuild(x), items)

    def rebuild(self, x: Array) -> Array:
        """d(e(x)) of encoded items x (n, *shape), as expected encoded items."""
        rebuilt: Array = self.decode(self.encode(x))
        return rebuilt

    def score_samples(self, X: Any) -> Array:
        """How normal each item is, (n,): minus its loss in nats; higher is more normal."""
        items = self._read(X)
        x, observed = self.modality_.transform(items, np.float64)
        objective, network = copy.deepcopy(self.objective_).double(), self._network(np.dtype(np.float64))
        losses = []
        with torch.no_grad():
            for rows in _blocks(x):
                losses.append(objective(network, Data(x, observed).batch(rows, "cpu"))["loss"].numpy())
        return -np.concatenate(losses)

    @available_if(_has_decoder)  # type: ignore[untyped-decorator]
    def errors(self, x: Array, observed: Array | None = None) -> Array:
        """Squared error of each element of encoded items, shape of x; NaN where it was not observed."""
        each: Array = self.decode(self.encode(x))
        np.square(np.subtract(each, x, out=each), out=each)
        if observed is not None:
            each[~observed.astype(bool)] = np.nan
        return each

    @property
    def _n_features_out(self) -> int:
        return self.latent_dim_

    def _blockwise(self, apply: Any, x: Array) -> Array:
        """`apply` (tensor, network) -> tensor over blocks of x, memory bounded."""
        x = np.asarray(x)
        x = x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)
        network, pieces = self._network(x.dtype), []
        with torch.inference_mode():
            for rows in _blocks(x, max(network.latent_dim, int(np.prod(network.shape)))):
                pieces.append(apply(torch.from_numpy(np.ascontiguousarray(x[rows])), network).numpy())
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _network(self, dtype: np.dtype[Any]) -> Network:
        """The network in `dtype`: float64 results do not depend on which items share a block."""
        return copy.deepcopy(self.network_).double() if dtype == np.float64 else self.network_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # --- on disk -------------------------------------------------------------------------------------------

    def to_state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """All that was learnt: a JSON-able description and the weights by name. Nothing is pickled."""
        check_is_fitted(self)
        state = {
            "model": type(self).__name__,
            "params": {k: v for k, v in self.get_params(deep=False).items() if _plain(v)},
            "network": self.network_.settings(),
            "modality": {"name": self.modality_.name, "state": self.modality_.state()},
            "history": asdict(self.history_),
            "latent_sizes": self.latent_sizes_,
            "intrinsic_dim": self.intrinsic_dim_,
            "columns": [str(name) for name in getattr(self, "feature_names_in_", ())],
            "n_columns": getattr(self, "n_features_in_", None),
            **self._extra_state(),
        }
        weights = {
            f"{part}.{name}": tensor.detach().cpu().numpy()
            for part, module in self._modules().items()
            if part != "decoder" or self._decodes
            for name, tensor in module.state_dict().items()
        }
        return state, weights

    def _modules(self) -> dict[str, nn.Module]:
        """What has weights to be kept, by name."""
        return {
            "encoder": self.network_.encoder,
            "decoder": self.network_.decoder,
            "objective": self.objective_,
        }

    def _extra_state(self) -> dict[str, Any]:
        """What a model adds to its state."""
        return {}

    def _load_extra_state(self, state: dict[str, Any]) -> None:
        """Read `_extra_state` back."""


def validated(estimator: Any, X: Any, reset: bool) -> Any:
    """X through scikit-learn's checks where it is a 2-d array; paths, pictures and frames pass as they are."""
    if isinstance(X, str | Path | dict) and not issparse(X):
        return X
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return X
    if isinstance(X, list) and X and isinstance(X[0], str | Path | dict):
        return X
    if isinstance(X, np.ndarray | list | tuple) and np.ndim(X) > 2:
        return np.asarray(X)
    dtype: Any = None if getattr(X, "dtype", None) is not None and X.dtype.kind in "bu" else "numeric"
    return validate_data(estimator, X, reset=reset, dtype=dtype, ensure_all_finite="allow-nan")


def precision(X: Any) -> type[np.floating[Any]]:
    """float64 for arrays of float64, so that no result depends on which items share a batch; else float32."""
    return np.float64 if getattr(X, "dtype", None) == np.float64 else np.float32


def from_state(
    state: dict[str, Any], weights: dict[str, Array], network: tuple[nn.Module, nn.Module] | None = None
) -> LatentModel:
    """A fitted model from what `to_state` gave. Without the weights of one half, only the other can be used.

    A model made with one's own modules needs them again as `network`, since no code is stored.
    """
    from latentspace.models.autoencoder import Autoencoder
    from latentspace.models.classifier import Classifier
    from latentspace.models.ijepa import IJEPA
    from latentspace.models.variational import VariationalAutoencoder

    classes = {c.__name__: c for c in (Autoencoder, VariationalAutoencoder, Classifier, IJEPA)}
    model: LatentModel = classes[state["model"]](**_tuples(state["params"]))
    settings = state["network"]
    model.latent_dim_ = settings["latent_dim"]
    if settings["kind"] == "own" and network is None:
        raise SpaceError(
            "This space was made with a network of your own: give it again as network=(encoder, decoder)."
        )
    if network is not None:
        model.network = network
    else:
        model.network, model.hidden = settings["kind"], tuple(settings["hidden"])
    model._load_extra_state(state)
    modality = folder.find("data", state["modality"]["name"])
    model.modality_ = modality.from_state(state["modality"]["state"])
    model.network_ = model._make_network(tuple(settings["shape"]), 0).eval()
    for name in ("network", "hidden"):
        if name in state["params"]:
            setattr(model, name, _tuples(state["params"])[name])
    history = dict(state["history"])
    model.history_ = History(**{**history, "epochs": [tuple(e) for e in history["epochs"]]})
    if state["columns"]:
        model.feature_names_in_ = np.array(state["columns"], dtype=object)
    if state["n_columns"] is not None:
        model.n_features_in_ = state["n_columns"]
    model.latent_sizes_, model.intrinsic_dim_ = state["latent_sizes"], state["intrinsic_dim"]
    model.objective_ = model._objective(model.latent_dim_).eval()
    model.objective_.setup(model.network_, model.modality_.likelihood)
    _load_weights(model, weights)
    model.n_parameters_ = sum(p.numel() for p in model.network_.parameters())
    return model


def _load_weights(model: LatentModel, weights: dict[str, Array]) -> None:
    for part, module in model._modules().items():
        own = {k.removeprefix(part + "."): v for k, v in weights.items() if k.startswith(part + ".")}
        if own:
            try:
                module.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in own.items()})
            except RuntimeError as e:
                raise SpaceError(
                    f"The weights of the {part} do not fit the network that the space describes."
                ) from e


def _tuples(params: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}


def _plain(value: Any) -> bool:
    """Whether JSON can hold `value`."""
    if isinstance(value, tuple | list):
        return all(_plain(v) for v in value)
    return value is None or isinstance(value, str | int | float | bool)


def _number(name: str, value: Any, default: int, least: int) -> int:
    if isinstance(value, str) and value == "auto":
        return default
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise OptionError(f"{name} must be 'auto' or a whole number of at least {least}, got {value!r}.")
    return int(value)


def _blocks(x: Array, width: int | None = None) -> Iterator[slice]:
    rows = max(1, BLOCK_VALUES // max(1, width or x[0].size if len(x) else 1))
    for start in range(0, max(1, len(x)), rows):
        yield slice(start, start + rows)
