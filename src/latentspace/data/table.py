"""Tables: rows of numbers, yes/no, categories and dates, with gaps, from files, frames and arrays."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.data._building import build
from latentspace.data._frames import Column, Name, as_arrow, backend_of, column, names_of, take_rows
from latentspace.data._rows import read_table
from latentspace.data.base import Items, Modality
from latentspace.data.columns import (
    KINDS,
    Boolean,
    Categorical,
    Datetime,
    Numeric,
    Options,
    Ordinal,
    SetAside,
    kind_from_state,
    kind_state,
    standardise,
)
from latentspace.errors import DataError, OptionError, Reject, nearest
from latentspace.likelihoods import Bernoulli, Gaussian, Likelihood, Mixed
from latentspace.likelihoods import Categorical as CategoricalLikelihood

__all__ = ["Table"]

Array = NDArray[Any]


@dataclass(frozen=True)
class _Fitted:
    """What was learnt of a column: `empty` is a column of no rows that says how to build it back."""

    empty: Column
    kind: Any
    gaps: int
    start: int = 0

    @property
    def name(self) -> Name:
        return self.empty.name

    @property
    def block(self) -> slice:
        return slice(self.start, self.start + self.kind.width)


class Table(Modality):
    """Rows of a table, each column by its own kind (see `columns`).

    Numbers and dates are Gaussian features and come first, then yes/no as Bernoulli, then categories as
    Categorical groups.

    id_column : a column that names the rows; labels : columns kept out of training (for colouring only).
    scaling : of numbers: "auto" (decided from the data), "standard", "robust" or "rank"; see `Numeric`.
    unknown : a category not seen in training is treated as missing with a warning ("ignore"), or an "error".
    max_categories : beyond it, a column's rarer categories share one level.
    ordinal : columns whose categories have an order, from low to high: ``{"size": ["S", "M", "L"]}``.

    Gaps are allowed everywhere: x holds a neutral value there and `observed` is False. Constant, empty,
    duplicate, identifier and free-text columns are set aside (`describe` names them).

    >>> table = Table()
    >>> items = table.read([{"size": i * i, "color": "red" if i % 3 else "blue"} for i in range(12)])
    >>> x, observed = table.fit(items).transform(items)
    >>> x.shape, observed is None, table.describe()[0]
    ((12, 2), True, '1 numeric column.')
    >>> table.inverse_transform(x).to_pylist()[3]
    {'size': 9, 'color': 'blue'}
    """

    name: ClassVar[str] = "table"

    def __init__(
        self,
        id_column: Name | None = None,
        labels: tuple[Name, ...] = (),
        scaling: str = "auto",
        unknown: str = "ignore",
        max_categories: int = 50,
        ordinal: Mapping[Name, Sequence[Any]] | None = None,
    ) -> None:
        self.id_column = id_column
        self.labels = labels
        self.scaling = scaling
        self.unknown = unknown
        self.max_categories = max_categories
        self.ordinal = ordinal

    # ------------------------------------------------------------------------------------------ reading

    def read(self, source: Any, **where: Any) -> Items:
        """Items from a path, a frame, a 2-D array or a list of dicts; ``values`` is a native frame or array.

        Raises Reject where the source is no table, DataError where it is a broken one.
        """
        if where:
            raise OptionError(f"A table is read without {', '.join(map(repr, where))}.")
        labels = (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)
        return read_table(source, self.id_column, labels, required=not hasattr(self, "columns"))

    def take(self, items: Items, rows: Array) -> Items:
        """The items at the integer positions `rows`."""
        return items.with_values(take_rows(items.values, rows), rows)

    def told(self, items: Items) -> Any:
        """A pyarrow Table of the columns as the user wrote them, those set aside included; gaps are null."""
        return as_arrow(items.values)

    # ------------------------------------------------------------------------------------------ fitting

    def fit(self, items: Items) -> Table:
        """Decide each column's kind and learn its scaling or categories; returns self.

        Raises DataError where no column is left to learn from, OptionError for an impossible option.
        """
        names = names_of(items.values)
        self._check_options(names)
        self.backend = backend_of(items.values)
        self.dtype = items.values.dtype.str if self.backend == "numpy" else None
        seen: dict[bytes, Name] = {}
        fitted = [self._fit_column(column(items.values, name), seen) for name in names]
        self._lay_out(fitted)
        if self.shape == (0,):
            reasons = "; ".join(f"{f.name!r} is {f.kind.reason}" for f in fitted[:5])
            raise DataError(f"{items.source} has no column to learn from: {reasons}.")
        return self

    def _check_options(self, names: list[Name]) -> None:
        for option, choices in (("scaling", _SCALINGS), ("unknown", ("ignore", "error"))):
            value = getattr(self, option)
            if value not in choices:
                raise OptionError(f"{option} is one of {', '.join(choices)}, not {value!r}.")
        if self.max_categories < 2:
            raise OptionError(f"max_categories is at least 2, not {self.max_categories}.")
        for name in self.ordinal or ():
            if name not in names:
                raise OptionError(f"ordinal names no column {name!r}{nearest(str(name), map(str, names))}.")

    def _options(self, name: Name) -> Options:
        order = (self.ordinal or {}).get(name)
        return Options(self.scaling, self.unknown, self.max_categories, order)

    def _fit_column(self, col: Column, seen: dict[bytes, Name]) -> _Fitted:
        empty = replace(col, values=col.values[:0], missing=None, levels=())
        gaps = 0 if col.missing is None else int(col.missing.sum())
        kind = self._kind_of(col)
        if not isinstance(kind, SetAside):
            twin = seen.setdefault(_fingerprint(col), col.name)
            kind = kind if twin == col.name else SetAside(f"a copy of {twin!r}", twin=twin)
        return _Fitted(empty, kind, gaps)

    def _kind_of(self, col: Column) -> Any:
        """The first kind that takes the column, or SetAside with the last refusal."""
        reason = ""
        for kind in KINDS:
            # two values in a column of a float array are two of many: the next rows may hold others
            if kind is Boolean and self.dtype is not None and np.dtype(self.dtype).kind == "f":
                continue
            try:
                return kind.fit(col, self._options(col.name))
            except Reject as refusal:
                reason = str(refusal)
        return SetAside(reason)

    def _lay_out(self, fitted: list[_Fitted]) -> None:
        """Give each column its place in the tensor: by family, then in the user's order."""
        place, starts = 0, {}
        runs: list[tuple[Likelihood, int]] = []
        for family in ("gaussian", "bernoulli", "categorical"):
            widths = {f.name: f.kind.width for f in fitted if f.kind.family == family}
            for name, width in widths.items():
                starts[name] = place
                place += width
            if widths:
                runs.append((_likelihood(family, tuple(widths.values())), sum(widths.values())))
        self.columns = [replace(f, start=starts.get(f.name, 0)) for f in fitted]
        self.shape = (place,)
        self.likelihood = Gaussian() if len(runs) == 1 and runs[0][0] == Gaussian() else Mixed(tuple(runs))

    # ------------------------------------------------------------------------------------------ using

    def transform(self, items: Items, dtype: Any = np.float32) -> tuple[Array, NDArray[np.bool_] | None]:
        """(n, F) of `dtype` without NaN, and which elements were observed (None: all).

        Columns are matched by name, or by position where there are no names. Raises DataError where one is
        missing, of another kind, or infinite.
        """
        source = self._matched(items)
        if (
            isinstance(items.values, np.ndarray)
            and self._plain_numbers()
            and items.values.dtype.kind in "fiu"
        ):
            means, stds = (
                np.array([getattr(f.kind, name) for f in self.columns]) for name in ("mean", "std")
            )
            return standardise(items.values, means, stds, np.dtype(dtype), names_of(items.values))
        x = np.empty((len(items), *self.shape), dtype)
        observed: NDArray[np.bool_] | None = None
        for f in self.columns:
            if f.kind.width == 0:
                continue
            gaps = f.kind.encode(column(items.values, source[f.name]), x[:, f.block], self._options(f.name))
            if gaps is not None and gaps.any():
                observed = np.ones(x.shape, bool) if observed is None else observed
                observed[gaps, f.block] = False
        return x, observed

    def _plain_numbers(self) -> bool:
        return all(isinstance(f.kind, Numeric) and f.kind.scaling == "standard" for f in self.columns)

    def _matched(self, items: Items) -> dict[Name, Name]:
        """The column of `items` for each column that was learnt."""
        names, known = names_of(items.values), [f.name for f in self.columns]
        needed = [f.name for f in self.columns if f.kind.width]
        unnamed = self.backend == "numpy" and not set(needed) <= set(names)
        if unnamed or isinstance(items.values, np.ndarray):
            if len(names) != len(known):
                raise DataError(f"{items.source} has {len(names)} columns, but {len(known)} were learnt.")
            return dict(zip(known, names, strict=True))
        for name in needed:
            if name not in names:
                close = nearest(str(name), [str(n) for n in names if n not in known])
                raise DataError(f"{items.source} has no column {name!r}, which the training data had{close}.")
        extra = [name for name in names if name not in known]
        if extra:
            listed = ", ".join(repr(name) for name in extra[:5]) + (", ..." if len(extra) > 5 else "")
            warnings.warn(
                f"{items.source} has columns that were not learnt, ignored: {listed}.", stacklevel=3
            )
        return {name: name for name in known if name in names}

    def inverse_transform(self, x: Array, items: Items | None = None) -> Any:
        """(n, F) expected values as a frame or array like the one learnt from: names, order, types, no gaps.

        `items`, where given, lend the columns that were set aside as identifiers, names or free text (without
        them these are empty) and a pandas index.
        """
        x = np.asarray(x)
        if x.ndim != 2 or x.shape[1:] != self.shape:
            raise DataError(f"A table's tensor has shape (n, {self.shape[0]}), not {x.shape}.")
        if self.backend == "numpy" and self._plain_numbers() and not any(f.kind.step for f in self.columns):
            return self._scale_back(x)
        kinds = {f.name: f for f in self.columns}
        lent = {} if items is None else self._lendable(items, len(x))
        columns = [lent.get(f.name) or self._decode(f, kinds, x) for f in self.columns]
        index = None if items is None else getattr(items.values, "index", None)
        return build(self.backend, columns, self.dtype, index)

    def _scale_back(self, x: Array) -> Array:
        out = np.empty(x.shape, np.dtype(self.dtype))
        top = float(np.finfo(out.dtype).max)
        for f in self.columns:
            out[:, f.start] = np.clip(f.kind.backward(x[:, f.start].astype(np.float64)), -top, top)
        return out

    def _decode(self, f: _Fitted, kinds: dict[Name, _Fitted], x: Array) -> Column:
        twin = getattr(f.kind, "twin", None)
        source = f if twin is None else kinds[twin]
        decoded: Column = source.kind.decode(x[:, source.block], f.empty)
        return decoded

    def _lendable(self, items: Items, n: int) -> dict[Name, Column]:
        """Columns set aside that only the original items can give back."""
        if len(items) != n:
            raise DataError(f"There are {n} rows to bring back, but {len(items)} original items.")
        present = set(names_of(items.values))
        wanted = [f for f in self.columns if isinstance(f.kind, SetAside) and f.kind.lent]
        found = {f.name: column(items.values, f.name) for f in wanted if f.name in present}
        return {f.name: replace(found[f.name], dtype=f.empty.dtype) for f in wanted if f.name in found}

    @property
    def measured(self) -> NDArray[np.bool_] | None:
        """(F,) which elements are numbers, not categories, yes/no or dates; None: all."""
        found = np.zeros(self.shape, bool)
        for f in self.columns:
            found[f.block] = isinstance(f.kind, Numeric)
        return None if found.all() else found

    def parts(self) -> dict[str, NDArray[np.intp]]:
        """Each learnt column's features: flat indices."""
        return {str(f.name): np.arange(f.block.start, f.block.stop) for f in self.columns if f.kind.width}

    # ------------------------------------------------------------------------------------------ keeping

    def state(self) -> dict[str, Any]:
        """All that was learnt, JSON-able, options included."""
        return {
            "options": {
                "id_column": self.id_column,
                "labels": [self.labels] if isinstance(self.labels, str) else list(self.labels),
                "scaling": self.scaling,
                "unknown": self.unknown,
                "max_categories": self.max_categories,
                "ordinal": None if self.ordinal is None else {n: list(o) for n, o in self.ordinal.items()},
            },
            "backend": self.backend,
            "dtype": self.dtype,
            "columns": [_column_state(f) for f in self.columns],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Table:
        """A fitted table from what `state` wrote."""
        options = state["options"]
        table = cls(**{**options, "labels": tuple(options["labels"])})
        table.backend, table.dtype = state["backend"], state["dtype"]
        table._lay_out([_column_from_state(one) for one in state["columns"]])
        return table

    def describe(self) -> list[str]:
        """What the columns are, which were set aside and why, and where there are gaps, one sentence each."""
        sentences = [_of_kind(self.columns, kind, words) for kind, words in _WORDS]
        sentences += [_set_aside(self.columns), _parsed_text(self.columns), _gaps(self.columns)]
        return [sentence for sentence in sentences if sentence]


_SCALINGS = ("auto", "standard", "robust", "rank")
_WORDS = (
    (Numeric, "numeric"),
    (Datetime, "date"),
    (Ordinal, "ordered"),
    (Boolean, "yes/no"),
    (Categorical, "category"),
)


def _likelihood(family: str, widths: tuple[int, ...]) -> Likelihood:
    if family == "categorical":
        return CategoricalLikelihood(widths)
    return Gaussian() if family == "gaussian" else Bernoulli()


def _fingerprint(col: Column) -> bytes:
    """The same for columns that hold the same values and gaps."""
    values = col.values.astype(np.float64) if col.kind == "number" else col.values
    if col.missing is not None:
        values = np.where(col.missing, -1, values)
    digest = hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16)
    digest.update(repr((col.levels, col.unit)).encode())
    if col.missing is not None:
        digest.update(np.packbits(col.missing).data)
    return digest.digest()


def _column_state(f: _Fitted) -> dict[str, Any]:
    empty = {"kind": f.empty.kind, "values": f.empty.values.dtype.str, "unit": f.empty.unit}
    return {
        "name": f.name,
        "dtype": dict(f.empty.dtype),
        **empty,
        "fitted": kind_state(f.kind),
        "gaps": f.gaps,
    }


def _column_from_state(state: dict[str, Any]) -> _Fitted:
    values = np.empty(0, np.dtype(state["values"]))
    empty = Column(state["name"], state["kind"], values, unit=state["unit"], dtype=state["dtype"])
    return _Fitted(empty, kind_from_state(state["fitted"]), state["gaps"])


# ---------------------------------------------------------------------------------------------- sentences


def _list(words: Sequence[str], most: int = 6) -> str:
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def _count(n: int, words: str) -> str:
    return f"{n} {words} column{'s' * (n != 1)}"


def _of_kind(columns: list[_Fitted], kind: type, words: str) -> str:
    found = [f for f in columns if isinstance(f.kind, kind)]
    if not found:
        return ""
    if kind is Numeric:
        shaped = [f"{f.name} by {_SHAPES[f.kind.scaling]}" for f in found if f.kind.scaling != "standard"]
        tails = f" ({len(shaped)} reshaped for heavy tails: {_list(shaped)})" if shaped else ""
        return f"{_count(len(found), words)}{tails}."
    names = [f"{f.name} {_levels(f.kind)}".strip() for f in found]
    return f"{_count(len(found), words)} ({_list(names)})."


_SHAPES = {"robust": "asinh", "rank": "rank"}


def _levels(kind: Boolean | Categorical | Datetime | Ordinal) -> str:
    if isinstance(kind, Categorical):
        rare = f", {len(kind.gathered)} rare ones as one" if kind.gathered else ""
        return f"{len(kind.frequency)} levels{rare}"
    return f"{len(kind.levels)} levels" if isinstance(kind, Ordinal) else ""


def _set_aside(columns: list[_Fitted]) -> str:
    found = [f"{f.name} is {f.kind.reason}" for f in columns if isinstance(f.kind, SetAside)]
    return f"{_count(len(found), 'set-aside')}: {_list(found)}." if found else ""


def _parsed_text(columns: list[_Fitted]) -> str:
    found = [_reading(f) for f in columns if getattr(f.kind, "text", "") or getattr(f.kind, "form", "")]
    return f"{_count(len(found), 'text')} read as numbers or dates: {_list(found)}." if found else ""


def _reading(f: _Fitted) -> str:
    words = getattr(f.kind, "words", ())
    return f"{f.name}" + (f" ({_list([repr(word) for word in words])} as missing)" if words else "")


def _gaps(columns: list[_Fitted]) -> str:
    found = [f"{f.name} {f.gaps:,}" for f in columns if f.gaps and f.kind.width]
    return f"{_count(len(found), 'learnt')} with gaps ({_list(found)})." if found else ""
