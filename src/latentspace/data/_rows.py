"""Rows from a path, a frame, an array or a list: what `Table` and `Vectors` read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from latentspace.data._frames import Column, Name, column, names_of, refuse_infinite, select, to_arrow
from latentspace.data.base import Items
from latentspace.data.files import ARRAY_SUFFIXES, FRAME_SUFFIXES, read_arrays, read_frame
from latentspace.errors import DataError, Reject, nearest

if TYPE_CHECKING:
    import pyarrow

__all__ = ["read_table"]


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
    kept = select(values, [name for name in names if name not in out]) if out & set(names) else values
    if not names_of(kept):
        raise DataError(f"{where} has no column left beside its ids and labels.")
    refuse_infinite(kept)
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
    return pyarrow.table({str(name): to_arrow([row.get(name) for row in rows], name) for name in names})


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
