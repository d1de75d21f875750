"""Tables as sections of columns, and back with their names, types, gaps and frames."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.fields import Cells, Field
from latentspace.archive.parts import ipc_array, ipc_bytes
from latentspace.archive.sections import Content, Section, slices
from latentspace.data._text import text_batches
from latentspace.errors import DataError

__all__ = ["parquet_content", "table_content", "table_of", "text_content"]

Array = NDArray[Any]


def table_content(table: Any, name: str, frame: str = "arrow") -> Content:
    """The content of a pyarrow table; `frame` is the library that it came from."""
    table = _unified(table)
    fields = [_field(f) for f in table.schema]

    def read(step: int) -> Iterator[list[Cells]]:
        for part in slices(table.num_rows, step):
            rows = table.slice(part.start, part.stop - part.start)
            yield [cells_of(rows.column(j), f) for j, f in enumerate(fields)]

    members = {
        f"dictionary/{j}.arrow": ipc_bytes(_dictionary(table.column(j)))
        for j, f in enumerate(table.schema)
        if _is_dictionary(f.type)
    }
    schema = _schema(table.schema, frame)
    section = Section("table", fields, table.num_rows, read)
    return Content(
        "table", name, [section], schema, table.nbytes, table.num_rows * len(fields), members=members
    )


def parquet_content(path: Path) -> Content | None:
    """The content of a Parquet file read group by group; None where it is to be read whole."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    schema, rows = file.schema_arrow, file.metadata.num_rows
    if any(_is_dictionary(f.type) for f in schema):
        return None
    fields = [_field(f) for f in schema]

    def read(step: int) -> Iterator[list[Cells]]:
        for batch in _exact(pq.ParquetFile(path).iter_batches(batch_size=step), step):
            yield [cells_of(batch.column(j), f) for j, f in enumerate(fields)]

    groups = [file.metadata.row_group(g) for g in range(file.metadata.num_row_groups)]
    nbytes = sum(np.dtype(f.dtype).itemsize * rows for f in fields if f.dtype)
    nbytes += sum(
        g.column(c).total_uncompressed_size
        for g in groups
        for c in range(g.num_columns)
        if not _numeric(schema, c)
    )
    section = Section("table", fields, rows, read)
    return Content("table", path.name, [section], _schema(schema, "arrow"), nbytes, rows * len(fields))


def text_content(path: Path) -> Content | None:
    """The content of a large text file read bit by bit; None where it is to be read whole for its columns' types."""
    import pyarrow as pa

    schema, rows, nbytes = None, 0, 0
    try:
        for batch in text_batches(path):
            schema, rows, nbytes = batch.schema, rows + batch.num_rows, nbytes + batch.nbytes
    except (pa.ArrowInvalid, UnicodeError):
        return None
    if schema is None or len(schema) < 2 or any(pa.types.is_null(f.type) for f in schema):
        return None
    fields = [_field(f) for f in schema]

    def read(step: int) -> Iterator[list[Cells]]:
        for table in _exact(text_batches(path), step):
            yield [cells_of(table.column(j), f) for j, f in enumerate(fields)]

    section = Section("table", fields, rows, read)
    return Content("table", path.name, [section], _schema(schema, "arrow"), nbytes, rows * len(fields))


def _numeric(schema: Any, column: int) -> bool:
    return column < len(schema) and bool(_field(schema.field(column)).dtype)


def _exact(batches: Iterator[Any], step: int) -> Iterator[Any]:
    """Batches as tables of exactly `step` rows, the last one aside."""
    import pyarrow as pa

    held: list[Any] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= step:
            table = pa.Table.from_batches(held)
            yield table.slice(0, step)
            held = table.slice(step).to_batches()
            count -= step
    if count:
        yield pa.Table.from_batches(held)


def _field(column: Any) -> Field:
    """How a column of Arrow is stored."""
    import pyarrow.types as is_

    t = column.type
    if is_.is_boolean(t):
        return Field(column.name, dtype="|u1", exact=True)
    if is_.is_integer(t) or is_.is_floating(t):
        return Field(column.name, dtype=np.dtype(t.to_pandas_dtype()).str)
    if is_.is_date32(t) or is_.is_time32(t) or _is_dictionary(t):
        return Field(column.name, dtype="<i4", exact=True)
    if is_.is_date64(t) or is_.is_time64(t) or is_.is_timestamp(t) or is_.is_duration(t):
        return Field(column.name, dtype="<i8", exact=True)
    if is_.is_string(t) or is_.is_large_string(t) or is_.is_string_view(t):
        return Field(column.name, kind="text")
    if is_.is_binary(t) or is_.is_large_binary(t) or is_.is_binary_view(t):
        return Field(column.name, kind="bytes")
    return Field(column.name, kind="arrow")


def _is_dictionary(kind: Any) -> bool:
    import pyarrow.types as is_

    return bool(is_.is_dictionary(kind)) and not is_.is_dictionary(kind.value_type)


def cells_of(column: Any, field: Field) -> Cells:
    """The cells of a column of Arrow."""
    import pyarrow as pa

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # too much text for one array of 32-bit offsets
        whole = (
            pa.concat_arrays(whole.cast(pa.large_string()).chunks) if field.kind == "text" else whole.chunk(0)
        )
    if field.kind == "arrow":
        return Cells(whole)
    valid = None if not whole.null_count else np.asarray(whole.is_valid().to_numpy(zero_copy_only=False))
    if field.kind in ("text", "bytes"):
        return Cells(whole.cast(_large(field.kind)), valid)
    if _is_dictionary(whole.type):
        whole = whole.indices.cast(pa.int32())
    elif pa.types.is_boolean(whole.type):
        whole = whole.cast(pa.uint8())
    elif not (pa.types.is_integer(whole.type) or pa.types.is_floating(whole.type)):
        whole = whole.cast(pa.int32() if field.dtype == "<i4" else pa.int64())
    if valid is not None:
        whole = whole.fill_null(0) if not pa.types.is_float16(whole.type) else _half(whole)
    values = whole.to_numpy(zero_copy_only=False)
    return Cells(np.ascontiguousarray(values.astype(field.dtype, copy=False)), valid)


def _large(kind: str) -> Any:
    import pyarrow as pa

    return pa.large_string() if kind == "text" else pa.large_binary()


def _half(column: Any) -> Any:
    """Half floats with 0 in the gaps: Arrow does not fill them itself."""
    import pyarrow as pa

    bits = np.frombuffer(column.buffers()[1], np.float16, len(column), 2 * column.offset)
    return pa.array(bits, pa.float16())


def _schema(schema: Any, frame: str) -> dict[str, Any]:
    """Names and types in words, and Arrow's own bytes where those do not say all."""
    import pyarrow as pa

    made: dict[str, Any] = {"columns": [[f.name, str(f.type)] for f in schema]}
    if frame != "arrow":
        made["frame"] = frame
    try:
        plain = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in made["columns"]])
    except ValueError:
        plain = None
    if plain is not None and plain.equals(schema.remove_metadata(), check_metadata=True) and schema.metadata:
        # as text it is packed with the names that it repeats
        try:
            made["metadata"] = [[k.decode(), v.decode()] for k, v in schema.metadata.items()]
        except UnicodeDecodeError:
            plain = None
    elif plain is not None and not plain.equals(schema, check_metadata=True):
        plain = None
    if plain is None:
        made["arrow"] = base64.b64encode(zlib.compress(schema.serialize().to_pybytes(), 9)).decode()
    return made


def schema_of(made: dict[str, Any]) -> Any:
    """The Arrow schema that `_schema` wrote."""
    import pyarrow as pa

    if "arrow" in made:
        return pa.ipc.read_schema(pa.py_buffer(zlib.decompress(base64.b64decode(made["arrow"]))))
    columns = [(name, pa.type_for_alias(kind)) for name, kind in made["columns"]]
    return pa.schema(columns, metadata=dict(made["metadata"]) if "metadata" in made else None)


def table_of(made: dict[str, Any], parts: list[list[Cells]], dictionaries: dict[int, Any]) -> Any:
    """The pyarrow table of blocks of cells."""
    import pyarrow as pa

    schema = schema_of(made)
    if not parts:
        empty = schema.empty_table()
        columns = [
            _with_dictionary(c, f.type, dictionaries.get(j))
            for j, (c, f) in enumerate(zip(empty.columns, schema, strict=True))
        ]
        return pa.Table.from_arrays(columns, schema=schema)
    columns = []
    for j, column in enumerate(schema):
        chunks = [_column(block[j], column.type, dictionaries.get(j)) for block in parts]
        columns.append(pa.chunked_array(chunks, column.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _with_dictionary(column: Any, kind: Any, dictionary: Any) -> Any:
    import pyarrow as pa

    if dictionary is None:
        return column
    return pa.chunked_array([_column(Cells(np.zeros(0, np.int32)), kind, dictionary)], kind)


def _column(cells: Cells, kind: Any, dictionary: Any) -> Any:
    """One block of a column as an array of its type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(cells.values, np.ndarray):
        values = cells.values
        if cells.valid is not None:
            values = pc.if_else(pa.array(cells.valid), values, pa.scalar(None, values.type))
        return values if values.type == kind else values.cast(kind)
    mask = None if cells.valid is None else ~cells.valid
    if _is_dictionary(kind):
        indices = pa.array(cells.values, mask=mask).cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=kind.ordered)
    if pa.types.is_boolean(kind):
        return pa.array(cells.values.astype(bool), mask=mask)
    made = pa.array(cells.values, mask=mask, from_pandas=False)
    return made if made.type == kind else made.view(kind)


def _dictionary(column: Any) -> Any:
    return column.chunk(0).dictionary if column.num_chunks else _nothing(column.type)


def _nothing(kind: Any) -> Any:
    import pyarrow as pa

    return pa.array([], kind.value_type)


def _unified(table: Any) -> Any:
    """The table with one dictionary for each column of categories; raises DataError where two names are the same."""
    names = table.column_names
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"More than one column is named {twice[0]!r}: every column needs its own name.")
    return table.unify_dictionaries()


def dictionary_of(data: bytes) -> Any:
    """The categories of a column, from their member."""
    return ipc_array(data)
