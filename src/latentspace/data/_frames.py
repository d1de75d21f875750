"""Frames and 2-D arrays seen one column at a time.

A column becomes a `Column`: numbers as they are, text as codes into its distinct values, times as integers.
Frames of any library are taken through narwhals; nothing here holds the whole table as Python objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

__all__ = [
    "SECONDS",
    "Column",
    "Name",
    "backend_of",
    "column",
    "infinite",
    "names_of",
    "select",
    "take_rows",
    "to_arrow",
]
Name = str | int
#: Seconds in one unit of a time column.
SECONDS = {"D": 86400.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of a table, whatever library holds it.

    kind : "number" (values as they are), "boolean", "text" (int32 codes into `levels`, −1 for a gap),
    "ordered" (the same, levels from low to high), "time" (int64 since 1970 in `unit`) or "other" (unusable).
    missing : (n,) bool, or None where there is no gap.
    dtype : how to build it back, JSON-able.
    """

    name: Name
    kind: Literal["number", "boolean", "text", "ordered", "time", "other"]
    values: NDArray[Any]
    missing: NDArray[np.bool_] | None = None
    levels: tuple[Any, ...] = ()
    unit: str = "s"
    dtype: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    def known(self) -> NDArray[Any]:
        """The values that are not missing."""
        return self.values if self.missing is None else self.values[~self.missing]

    @property
    def step(self) -> int:
        """What numbers are multiples of: 1 for integers (also as floats, for their gaps), 0 for measurements.

        Of times of day and durations it is the coarsest unit that all are whole numbers of.
        """
        if str(self.dtype.get("arrow")).startswith(("time", "duration")):
            return int(np.gcd.reduce(self.known()))
        if self.values.dtype.kind in "iu":
            return 1
        return int(self.missing is not None and not np.mod(self.known(), 1).any())


def names_of(values: Any) -> list[Name]:
    """Column names; those of an array are ``x0, x1, ...``."""
    if isinstance(values, np.ndarray):
        return [f"x{i}" for i in range(values.shape[1])]
    names: list[Name] = []
    for name in nw.from_native(values, eager_only=True).columns:
        if not isinstance(name, str | int | np.integer):
            raise DataError(f"Column name {name!r} is not a text or a number: rename it.")
        names.append(name if isinstance(name, str) else int(name))
    return names


def backend_of(values: Any) -> str:
    """What holds the values: "numpy", "pandas", "polars", "pyarrow", ..."""
    if isinstance(values, np.ndarray):
        return "numpy"
    return str(nw.from_native(values, eager_only=True).implementation.name.lower())


def select(values: Any, names: list[Name]) -> Any:
    """Some of the columns, in the kind of `values`."""
    if isinstance(values, np.ndarray):
        return values[:, [int(str(name)[1:]) for name in names]]
    frame = nw.from_native(values, eager_only=True)
    return frame.select(*names).to_native() if names else frame.drop(*frame.columns).to_native()


def take_rows(values: Any, rows: NDArray[Any]) -> Any:
    """The rows at integer positions, in the kind of `values`."""
    if isinstance(values, np.ndarray):
        return values[rows]
    return nw.from_native(values, eager_only=True)[np.asarray(rows)].to_native()


def column(values: Any, name: Name) -> Column:
    """One column by its name. Raises DataError at an infinite value, naming the row (counted from 0)."""
    if isinstance(values, np.ndarray):
        return _from_numpy(values[:, int(str(name)[1:])], name)
    series = nw.from_native(values, eager_only=True).get_column(name)
    native = str(series.to_native().dtype) if series.implementation.is_pandas_like() else None
    if series.dtype.is_numeric() and not series.dtype.is_decimal():
        dtype = {"arrow": type(series.dtype).__name__.lower(), "native": native}
        missing = series.is_null().to_numpy() if series.dtype.is_integer() else None
        if missing is not None and missing.any():
            return _number(series.fill_null(0).to_numpy(), name, dtype, missing)
        return _number(series.to_numpy(), name, dtype)
    return _from_arrow(_series_to_arrow(series, name), name, native)


def _from_numpy(values: NDArray[Any], name: Name) -> Column:
    dtype = {"arrow": values.dtype.name}
    if values.dtype.kind in "fiu":
        return _number(values, name, dtype)
    if values.dtype.kind == "b":
        return Column(name, "boolean", values, dtype={"arrow": "bool"})
    return _from_arrow(to_arrow(values.tolist(), name), name, None)


def _number(
    values: NDArray[Any], name: Name, dtype: Mapping[str, Any], missing: NDArray[np.bool_] | None = None
) -> Column:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        endless = np.isinf(values)
        if endless.any():
            raise infinite(name, int(endless.argmax()))
        missing = np.isnan(values)
    return Column(name, "number", values, missing, dtype=dtype)


def refuse_infinite(values: Any) -> None:
    """Raise DataError at the first infinite number, while rows still have the user's own places."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "f":
            for start in range(0, len(values), 65_536):
                endless = np.isinf(values[start : start + 65_536])
                if endless.any():
                    row, j = np.unravel_index(int(endless.argmax()), endless.shape)
                    raise infinite(names_of(values)[int(j)], start + int(row))
        return
    schema = nw.from_native(values, eager_only=True).schema
    for name in names_of(values):
        if str(name) in schema and schema[str(name)].is_float():
            column(values, name)


def infinite(name: Name, row: int) -> DataError:
    """The error for an infinite value."""
    return DataError(f"Infinite value in column {name!r}, row {row} (from 0): replace it or leave it empty.")


def to_arrow(values: list[Any], name: Name) -> Any:
    """Python values as an Arrow array; values of several types as text."""
    import pyarrow

    try:
        return pyarrow.array(values, from_pandas=True)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        pass
    for row, value in enumerate(values):
        if isinstance(value, Mapping | Sequence | np.ndarray) and not isinstance(value, str):
            raise DataError(
                f"Column {name!r}, row {row} (from 0) holds a {type(value).__name__}: a cell is a number, "
                "a text, a date or empty."
            )
    try:
        return pyarrow.array([None if _is_gap(value) else float(value) for value in values])
    except (TypeError, ValueError):
        return pyarrow.array([_text(value) for value in values])


def as_arrow(values: Any) -> Any:
    """All columns as a pyarrow Table, names as text; gaps are null."""
    import pyarrow

    columns = {}
    for name in names_of(values):
        if isinstance(values, np.ndarray):
            numbers = values[:, int(str(name)[1:])]
            columns[str(name)] = (
                to_arrow(numbers.tolist(), name) if numbers.dtype.kind == "O" else _plain(numbers)
            )
            continue
        series = nw.from_native(values, eager_only=True).get_column(name)
        floats = series.dtype.is_float()
        columns[str(name)] = _plain(series.to_numpy()) if floats else _series_to_arrow(series, name)
    return pyarrow.table(columns)


def _plain(numbers: NDArray[Any]) -> Any:
    import pyarrow

    return pyarrow.array(numbers, from_pandas=True)


def _is_gap(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _series_to_arrow(series: nw.Series[Any], name: Name) -> Any:
    if series.dtype == nw.Object:
        return to_arrow(series.to_list(), name)
    import pyarrow

    array: Any = None if series.dtype == nw.Unknown else series.to_arrow()
    levels = getattr(getattr(array, "type", None), "value_type", None)
    if array is not None and not isinstance(levels, pyarrow.BaseExtensionType):
        return array
    dense = series.to_numpy()  # of pandas: sparse numbers; periods, intervals and the like become text
    return to_arrow(dense.tolist() if dense.dtype.kind in "fiub" else [_text(v) for v in dense], name)


def _text(value: Any) -> str | None:
    return None if _is_gap(value) else str(value)


def _from_arrow(array: Any, name: Name, native: str | None) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    kind = array.type
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    dtype: dict[str, Any] = {"arrow": str(kind), "native": native}
    if pa.types.is_dictionary(kind):
        return _from_dictionary(array, name, missing, native)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        coded = array.cast(pa.large_string()).dictionary_encode()
        return _from_dictionary(coded, name, missing, native, str(kind).replace("_view", ""))
    if pa.types.is_boolean(kind):
        return Column(name, "boolean", pc.fill_null(array, False).to_numpy(False), missing, dtype=dtype)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        unit = "D" if kind == pa.date32() else "ms" if kind == pa.date64() else kind.unit
        return Column(name, "time", _integers(array), missing, unit=unit, dtype=dtype)
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return Column(name, "number", _integers(array), missing, dtype=dtype)
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = array.cast(pa.float64()) if missing is not None or pa.types.is_decimal(kind) else array
        return _number(values.to_numpy(zero_copy_only=False), name, dtype)
    if pa.types.is_null(kind):
        return Column(name, "text", np.full(len(array), -1, np.int32), missing, dtype=dtype)
    return Column(name, "other", np.zeros(len(array), bool), missing, dtype=dtype)


def _integers(array: Any) -> NDArray[Any]:
    """Times as int64 in their own unit, 0 in gaps."""
    import pyarrow as pa
    import pyarrow.compute as pc

    narrow = pa.types.is_date32(array.type) or pa.types.is_time32(array.type)
    whole = array.cast(pa.int32()) if narrow else array.cast(pa.int64())
    return np.asarray(pc.fill_null(whole, 0).to_numpy(zero_copy_only=False)).astype(np.int64, copy=False)


def _from_dictionary(
    array: Any, name: Name, missing: NDArray[np.bool_] | None, native: str | None, plain: str | None = None
) -> Column:
    """Codes into sorted levels that occur; all declared levels in their order where they are ordered."""
    import pyarrow as pa
    import pyarrow.compute as pc

    declared = array.dictionary.to_pylist()
    codes = pc.fill_null(array.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False)
    levels = [level if isinstance(level, str | int | float) else str(level) for level in declared]
    kept = all(old is new for old, new in zip(declared, levels, strict=True))
    kind = plain or (str(array.type.value_type) if kept else "large_string")
    dtype: dict[str, Any] = {"arrow": kind, "native": native}
    if plain is None:
        index = str(array.type.index_type)
        dtype |= {"categories": levels, "index": index, "ordered": bool(array.type.ordered)}
    if array.type.ordered:
        return Column(name, "ordered", codes, missing, tuple(levels), dtype=dtype)
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(levels)))
    order = sorted(used.tolist(), key=lambda i: str(levels[i]))
    renumbered = np.full(len(levels) + 1, -1, np.int32)
    renumbered[order] = np.arange(len(order), dtype=np.int32)
    return Column(name, "text", renumbered[codes], missing, tuple(levels[i] for i in order), dtype=dtype)
