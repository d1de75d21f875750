"""Vectors: embeddings made elsewhere, whose columns share one scale that must be kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from latentspace.data._building import numeric_frame
from latentspace.data._frames import Name, backend_of, infinite, names_of, take_rows
from latentspace.data._rows import read_table
from latentspace.data.base import Items, Modality
from latentspace.data.columns import standardise
from latentspace.errors import DataError, OptionError, Reject
from latentspace.likelihoods import Gaussian

__all__ = ["Vectors", "looks_like_vectors"]

Array = NDArray[Any]
#: Rows taken at a time for the statistics.
ROWS = 4096


class Vectors(Modality):
    """Embeddings: centred per column, then divided by ONE number, so that angles and distances are kept.

    The number is the root of the mean column variance: encoded, the columns' variances average 1.
    id_column and labels name columns of a frame to keep out of training. Gaps (NaN) are allowed.

    >>> items = Vectors().read(np.array([[0.0, 10.0], [0.0, 30.0], [3.0, 20.0]]))
    >>> vectors = Vectors().fit(items)
    >>> x, _ = vectors.transform(items, np.float64)
    >>> (x[0] * vectors.scale).tolist(), vectors.inverse_transform(x).round(6).tolist()[2]
    ([-1.0, -10.0], [3.0, 20.0])
    """

    name: ClassVar[str] = "vectors"

    def __init__(self, id_column: Name | None = None, labels: tuple[Name, ...] = ()) -> None:
        self.id_column = id_column
        self.labels = labels

    def read(self, source: Any, **where: Any) -> Items:
        """Items from a path, a frame of numbers or a 2-D array; ``values`` is a native frame or an array.

        Raises Reject where a column is not numbers, DataError where the source is broken.
        """
        if where:
            raise OptionError(f"Vectors are read without {', '.join(map(repr, where))}.")
        required = not hasattr(self, "columns")
        items = read_table(source, self.id_column, tuple(self.labels), required)
        odd = _not_numbers(items.values)
        if odd:
            raise Reject(f"{items.source} is no vectors: {odd} is not numbers.")
        return items

    def take(self, items: Items, rows: Array) -> Items:
        """The items at the integer positions `rows`."""
        return items.with_values(take_rows(items.values, rows), rows)

    def fit(self, items: Items) -> Vectors:
        """Learn each column's mean and the one scale; raises DataError where all vectors are equal."""
        values = _matrix(items)
        self.columns = names_of(items.values)
        self.backend = backend_of(items.values)
        self.dtype = values.dtype.str
        self.rows = len(values)
        count = np.maximum(sum((~np.isnan(b)).sum(0) for b in _blocks(values)), 1)
        self.mean = sum(np.nansum(b, axis=0) for b in _blocks(values)) / count
        squares = sum(np.nansum((b - self.mean) ** 2, axis=0) for b in _blocks(values))
        self.scale = float(np.sqrt(np.mean(squares / count)))
        if not 0 < self.scale < np.inf:
            cause = (
                "hold values too large to square" if self.scale else "are all equal, so nothing can be learnt"
            )
            raise DataError(f"The vectors of {items.source} {cause}.")
        self.gaps = int(values.size - np.isfinite(values).sum())
        self._shape()
        return self

    def _shape(self) -> None:
        self.shape = (len(self.mean),)
        self.likelihood = Gaussian()

    def transform(self, items: Items, dtype: Any = np.float32) -> tuple[Array, NDArray[np.bool_] | None]:
        """(n, F) of `dtype` without NaN, and which elements were observed (None: all)."""
        values = _matrix(items)
        if values.shape[1:] != self.shape:
            raise DataError(
                f"{items.source} has vectors of {values.shape[1]} numbers, but {self.shape[0]} were learnt."
            )
        return standardise(values, self.mean, np.full(self.shape, self.scale), np.dtype(dtype), self.columns)

    def inverse_transform(self, x: Array, items: Items | None = None) -> Any:
        """(n, F) expected values as vectors of the learnt kind: an array of the same dtype, or a frame."""
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1:] != self.shape:
            raise DataError(f"Vectors have shape (n, {self.shape[0]}), not {x.shape}.")
        values = (x * self.scale + self.mean).astype(np.dtype(self.dtype))
        if self.backend == "numpy":
            return values
        index = None if items is None else getattr(items.values, "index", None)
        return numeric_frame(self.backend, values, self.columns, index)

    @property
    def origin(self) -> NDArray[np.float32]:
        """(F,) the mean vector that 0 stands for, on the tensor's scale."""
        return np.asarray(self.mean / self.scale, np.float32)

    def parts(self) -> dict[str, NDArray[np.intp]]:
        """Each column's place."""
        return {str(name): np.array([i]) for i, name in enumerate(self.columns)}

    def state(self) -> dict[str, Any]:
        """All that was learnt, JSON-able, options included."""
        return {
            "options": {"id_column": self.id_column, "labels": list(self.labels)},
            "columns": self.columns,
            "backend": self.backend,
            "dtype": self.dtype,
            "rows": self.rows,
            "gaps": self.gaps,
            "mean": self.mean.tolist(),
            "scale": self.scale,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Vectors:
        """Fitted vectors from what `state` wrote."""
        options = state["options"]
        vectors = cls(options["id_column"], tuple(options["labels"]))
        for key in ("columns", "backend", "dtype", "rows", "gaps", "scale"):
            setattr(vectors, key, state[key])
        vectors.mean = np.array(state["mean"])
        vectors._shape()
        return vectors

    def describe(self) -> list[str]:
        """What was learnt about the data, one short sentence each."""
        first = f"{self.rows:,} vectors of {self.shape[0]} numbers, centred and divided by {self.scale:.4g}."
        return [first, f"{self.gaps:,} values are missing."] if self.gaps else [first]


def looks_like_vectors(array: Array) -> bool:
    """Whether a 2-D array is embeddings rather than a table of measurements.

    It is where its values are floats, not all whole, and either it has 32 columns or more and nearly all rows
    have norm 1 (within 2 %), or it has 64 or more whose standard deviations are of one size: from the 5th to
    the 95th percentile they differ by less than a factor of 3, and the means lie within 3 of them.

    >>> looks_like_vectors(np.random.default_rng(0).normal(size=(100, 64)))
    True
    >>> looks_like_vectors(np.arange(6400.0).reshape(100, 64))
    False
    """
    if array.ndim != 2 or array.dtype.kind != "f" or array.shape[1] < 32 or len(array) < 2:
        return False
    rows = array[:: max(1, len(array) // 2000)].astype(np.float64)
    if not np.isfinite(rows).all() or not np.mod(rows, 1).any():
        return False
    norms = np.linalg.norm(rows, axis=1)
    if np.mean(np.abs(norms - 1) < 0.02) > 0.95:
        return True
    if array.shape[1] < 64:
        return False
    low, high = np.percentile(rows.std(0), [5, 95])
    return bool(0 < high < 3 * low and np.percentile(np.abs(rows.mean(0)), 95) < 3 * high)


def _not_numbers(values: Any) -> str:
    """The first column that is not numbers, or nothing."""
    if isinstance(values, np.ndarray):
        return "" if values.dtype.kind in "fiu" else f"an array of {values.dtype}"
    schema = nw.from_native(values, eager_only=True).schema
    odd = [name for name, dtype in schema.items() if not dtype.is_numeric() or dtype.is_decimal()]
    return f"column {odd[0]!r}" if odd else ""


def _matrix(items: Items) -> Array:
    """The values as a 2-D float array."""
    values: Any = items.values
    if not isinstance(values, np.ndarray):
        values = nw.from_native(values, eager_only=True).to_numpy()
    return np.asarray(values if values.dtype.kind == "f" else values.astype(np.float64))


def _blocks(values: Array) -> Iterator[Array]:
    for start in range(0, len(values), ROWS):
        block = values[start : start + ROWS].astype(np.float64)
        if np.isinf(block).any():
            row, j = np.argwhere(np.isinf(block))[0]
            raise infinite(f"x{j}", start + int(row))
        yield block
