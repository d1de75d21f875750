"""Frames and 2-D arrays seen one column at a time, and built back in the kind that they came in.

A column becomes a `Column`: numbers as they are, text as codes into its distinct values, times as integers.
Frames of any library are taken through narwhals; nothing here holds the whole table as Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.data.files import ARRAY_SUFFIXES, FRAME_SUFFIXES, read_arrays, read_frame
from latentspace.errors import DataError, Reject, nearest

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "Column",
    "backend_of",
    "build",
    "column",
    "infinite",
    "names_of",
    "numeric_frame",
    "read_table",
    "take_rows",
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
    def whole(self) -> bool:
        """Whether these are whole numbers: integers, or floats only because integers had gaps."""
        if self.values.dtype.kind in "iu":
            return True
        return self.missing is not None and bool(np.all(np.mod(self.known(), 1) == 0))


# ---------------------------------------------------------------------------------------------- reading


def read_table(
    source: Any, id_column: Name | None = None, labels: Sequence[Name] = (), required: bool = True
) -> Items:
    """Items of one row each from a path, a frame, a 2-D array or a list of dicts.

    The id and label columns are taken out of ``values`` (a native frame or an array). Beside the 2-D array
    of an ``.npz``, arrays with one entry a row become labels. Where `required`, an absent id or label column
    is an error.

    Raises Reject where the source is no table, DataError where it is a broken one.
    """
    values, side, where = _load(source)
    rows = len(values)
    if rows == 0:
        raise DataError(f"{where} has no rows.")
    names = names_of(values)
    if required:
        _check_named(names, [n for n in (id_column, *labels) if n is not None and n not in side], where)
    notes = [f"{name} ({len(array):,} values beside the table) was kept out of training as a label"
             for name, array in side.items()]  # fmt: skip
    labelled = side | {str(n): _plain(column(values, n)) for n in labels if n in names}
    ids = _default_ids(values) if id_column not in names else _plain(column(values, id_column))
    _check_ids(ids, id_column)
    out = {*labels, id_column}
    kept = _select(values, [name for name in names if name not in out]) if out & set(names) else values
    if not names_of(kept):
        raise DataError(f"{where} has no column left beside its ids and labels.")
    return Items(kept, ids, labelled, where, tuple(notes))


def _load(source: Any) -> tuple[Any, dict[str, NDArray[Any]], str]:
    """(frame or 2-D array, arrays beside it, what it is)."""
    if isinstance(source, str | Path):
        return _load_path(Path(source))
    if isinstance(source, np.ndarray):
        return _two_axes(source, "the array"), {}, "an array of " + " x ".join(map(str, source.shape))
    if isinstance(source, list) and source and all(isinstance(row, Mapping) for row in source):
        return _from_rows(source), {}, f"a list of {len(source):,} dicts"
    if isinstance(source, list | tuple):
        return _two_axes(_as_array(source), "the list"), {}, f"a list of {len(source):,} rows"
    if hasattr(source, "toarray"):
        raise Reject("A sparse matrix is not read as a table: pass matrix.toarray().")
    try:
        frame = nw.from_native(source, eager_only=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(f"Every column needs its own name: {' '.join(str(error).split()[6:])}.") from error
    except TypeError as error:
        raise Reject(
            f"A {type(source).__name__} is not a table: pass a data frame or a 2-D array."
        ) from error
    size = f"{len(frame):,} x {len(frame.columns)}"
    return source, {}, f"a {frame.implementation.name.lower()} frame of {size}"


def _load_path(path: Path) -> tuple[Any, dict[str, NDArray[Any]], str]:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in FRAME_SUFFIXES:
        return read_frame(path), {}, path.name
    if suffix not in ARRAY_SUFFIXES:
        wanted = ", ".join((*FRAME_SUFFIXES, *ARRAY_SUFFIXES))
        raise Reject(f"{path.name} is not a table by its extension: {wanted}.")
    arrays = read_arrays(path)
    tables = [name for name, array in arrays.items() if array.ndim == 2]
    chosen = next((n for n in ("X", "x", "data") if n in tables), tables[0] if len(tables) == 1 else None)
    if chosen is None:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise Reject(f"{path.name} should hold one 2-D array, or name it X; it holds {found or 'nothing'}.")
    rows = len(arrays[chosen])
    side = {name: array for name, array in arrays.items() if array.ndim == 1 and len(array) == rows}
    return arrays[chosen], side, path.name


def _as_array(rows: Sequence[Any]) -> NDArray[Any]:
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise Reject("A list of rows is a table only where all rows have the same length.") from error
    return np.asarray(rows, dtype=object) if array.dtype.kind in "US" else array


def _two_axes(array: NDArray[Any], what: str) -> NDArray[Any]:
    if array.ndim != 2:
        raise Reject(f"A table has two axes (rows, columns), but {what} has shape {array.shape}.")
    if array.dtype.kind not in "fiubOUS":
        raise Reject(f"An array of {array.dtype} is not a table: numbers, booleans or text are needed.")
    return array


def _from_rows(rows: list[Mapping[str, Any]]) -> pyarrow.Table:
    import pyarrow

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pyarrow.table({str(name): _to_arrow([row.get(name) for row in rows], name) for name in names})


def _check_named(names: list[Name], wanted: Sequence[Name], where: str) -> None:
    for name in wanted:
        if name not in names:
            raise DataError(f"{where} has no column {name!r}{nearest(str(name), map(str, names))}.")


def _default_ids(values: Any) -> NDArray[Any]:
    """A pandas index that names the rows, else 0, 1, ..., n − 1."""
    index: Any = getattr(values, "index", None)
    if not hasattr(values, "iloc") or type(index).__name__ == "RangeIndex" or not index.is_unique:
        return np.arange(len(values))
    array = np.asarray(index)
    return array if array.dtype.kind in "iu" else array.astype(str)


def _check_ids(ids: NDArray[Any], id_column: Name | None) -> None:
    distinct, counts = np.unique(ids, return_counts=True)
    if len(distinct) < len(ids):
        twice = distinct[counts > 1][0]
        raise DataError(f"The id column {id_column!r} names {twice!s} more than once: ids must be unique.")


def _plain(col: Column) -> NDArray[Any]:
    """A column as one NumPy array: text as str ("" for a gap), times as datetime64, all else as it is."""
    if col.kind in ("text", "ordered"):
        return np.asarray(np.array([*(str(level) for level in col.levels), ""])[col.values])
    if col.kind == "time":
        return col.values.astype(f"datetime64[{col.unit}]")
    return col.values


# ---------------------------------------------------------------------------------------------- columns


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


def _select(values: Any, names: list[Name]) -> Any:
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
    return _from_arrow(_to_arrow(values.tolist(), name), name, None)


def _number(
    values: NDArray[Any], name: Name, dtype: Mapping[str, Any], missing: NDArray[np.bool_] | None = None
) -> Column:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        endless = np.isinf(values)
        if endless.any():
            raise infinite(name, int(endless.argmax()))
        missing = np.isnan(values)
    return Column(name, "number", values, missing, dtype=dtype)


def infinite(name: Name, row: int) -> DataError:
    """The error for an infinite value."""
    return DataError(f"Infinite value in column {name!r}, row {row} (from 0): replace it or leave it empty.")


def _to_arrow(values: list[Any], name: Name) -> Any:
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
        return pyarrow.array([None if _is_gap(value) else str(value) for value in values])


def _is_gap(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _series_to_arrow(series: nw.Series[Any], name: Name) -> Any:
    if series.dtype == nw.Object:
        return _to_arrow(series.to_list(), name)
    return series.to_arrow()


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
    dtype: dict[str, Any] = {"arrow": plain or str(array.type.value_type), "native": native}
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


# ---------------------------------------------------------------------------------------------- building


def build(backend: str, columns: list[Column], dtype: str | None = None, index: Any = None) -> Any:
    """Columns as a frame of `backend` ("pandas", "polars", "pyarrow"), or as an array of `dtype` ("numpy").

    A frame library that is not installed here gives a pyarrow table. `index` becomes a pandas index.
    """
    if backend == "numpy":
        return _build_array(columns, np.dtype(dtype or "float64"))
    import pyarrow

    table = pyarrow.table([_arrow_column(col) for col in columns], names=[str(col.name) for col in columns])
    if backend == "pandas":
        return _build_pandas(table, columns, index)
    if backend == "polars":
        return _build_polars(table, columns)
    return table


def numeric_frame(backend: str, values: NDArray[Any], names: Sequence[Name], index: Any = None) -> Any:
    """A 2-D float array as a frame of `backend`, each column of the array's dtype."""
    dtype = {"arrow": values.dtype.name, "native": values.dtype.name}
    columns = [Column(name, "number", values[:, j], dtype=dtype) for j, name in enumerate(names)]
    return build(backend, columns, index=index)


def _build_array(columns: list[Column], dtype: np.dtype[Any]) -> NDArray[Any]:
    out = np.empty((len(columns[0]), len(columns)), dtype)
    for j, col in enumerate(columns):
        values: NDArray[Any] = col.values
        if col.kind in ("text", "ordered"):
            values = np.array([*col.levels, None], dtype=object)[col.values]
        elif dtype.kind in "iuf":
            values = _cast(col.values, dtype)
            if col.missing is not None and dtype.kind == "f":
                values[col.missing] = np.nan
        out[:, j] = values
    return out


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers as `dtype` without overflow: rounded for integers, and brought within what it can hold."""
    if values.dtype == dtype:
        return values
    wide = values.astype(np.float64)
    if dtype.kind == "f":
        top = float(np.finfo(dtype).max)
        return np.clip(wide, -top, top).astype(dtype)
    ends = np.iinfo(dtype)
    inside = np.rint(wide)
    out = np.clip(inside, float(ends.min), np.nextafter(float(ends.max), 0) if ends.bits == 64 else ends.max)
    return out.astype(dtype)


def _arrow_type(text: str) -> Any:
    import pyarrow as pa

    zoned = re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", text)
    if zoned:
        return pa.timestamp(zoned[1], tz=zoned[2])
    decimal = re.fullmatch(r"decimal128\((\d+), (\d+)\)", text)
    if decimal:
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    try:
        return pa.type_for_alias(text)
    except ValueError:
        return None


def _arrow_column(col: Column) -> Any:
    """A column as an Arrow array of its own type (a dictionary array where it was one)."""
    import pyarrow as pa

    wanted = _arrow_type(str(col.dtype.get("arrow", "null")))
    if wanted is None or col.kind == "other" or wanted == pa.null():
        return pa.nulls(len(col), wanted or pa.null())
    if col.kind in ("text", "ordered"):
        return _coded(col, wanted)
    if pa.types.is_decimal(wanted):
        return pa.array(np.round(col.values.astype(float), wanted.scale), mask=col.missing).cast(wanted)
    if pa.types.is_integer(wanted) or pa.types.is_floating(wanted):
        return pa.array(_cast(col.values, np.dtype(wanted.to_pandas_dtype())), wanted, mask=col.missing)
    if wanted == pa.bool_():
        return pa.array(col.values.astype(bool), mask=col.missing)
    width = pa.int32() if wanted.bit_width == 32 else pa.int64()
    return pa.array(_cast(col.values, np.dtype(np.int64)), mask=col.missing).cast(width).cast(wanted)


def _coded(col: Column, wanted: Any) -> Any:
    """Codes and levels as Arrow text, or as the dictionary array that they came from."""
    import pyarrow as pa

    codes, levels = pa.array(col.values, mask=col.values < 0), pa.array(list(col.levels))
    if "categories" not in col.dtype:
        return pa.DictionaryArray.from_arrays(codes, levels).cast(wanted)
    index = codes.cast(pa.type_for_alias(col.dtype["index"]))
    return pa.DictionaryArray.from_arrays(index, levels.cast(wanted), ordered=col.dtype["ordered"])


def _build_pandas(table: pyarrow.Table, columns: list[Column], index: Any) -> Any:
    import pandas as pd

    frame = table.to_pandas(date_as_object=True)
    for col in columns:
        native = col.dtype.get("native")
        if native == "category":
            kinds = pd.CategoricalDtype(col.dtype["categories"], bool(col.dtype["ordered"]))
            frame[str(col.name)] = frame[str(col.name)].astype(kinds)
        elif native and str(frame[str(col.name)].dtype) != native:
            frame[str(col.name)] = _as_native(frame[str(col.name)], native)
    frame.columns = pd.Index([col.name for col in columns])
    return frame if index is None else frame.set_axis(index, axis=0)


def _as_native(series: Any, native: str) -> Any:
    """The pandas dtype that the user had, unless gaps keep it from being had."""
    try:
        return series.astype(native)
    except (TypeError, ValueError):
        return series


def _build_polars(table: pyarrow.Table, columns: list[Column]) -> Any:
    import polars as pl

    frame = pl.DataFrame(pl.from_arrow(table))
    kinds: dict[Any, Any] = {
        str(col.name): pl.Enum(col.dtype["categories"]) if col.dtype["ordered"] else pl.Categorical()
        for col in columns
        if "categories" in col.dtype
    }
    return frame.cast(kinds) if kinds else frame
