"""Columns built back into a frame of the library that they came from, or into an array."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._frames import Column, Name

if TYPE_CHECKING:
    import pyarrow

__all__ = ["build", "numeric_frame"]


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
        if native == "category" and "categories" in col.dtype:
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
