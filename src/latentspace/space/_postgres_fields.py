"""What an item is called, its labels and columns, as columns of a table in PostgreSQL and back, type by type."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

#: names longer than this, in bytes, are cut: PostgreSQL itself would, at 63
LONGEST = 50
#: columns that PostgreSQL has room for beside ours; a row of more does not fit a page either
MOST = 1000
_TAKEN = ("row", "id", "z", "held_out", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")


@dataclass(frozen=True)
class Field:
    """One label or column of the items: its own `name` and Arrow `type`, and how the table in PostgreSQL calls it."""

    name: str
    kind: str
    column: str
    type: pa.DataType

    @property
    def kept(self) -> tuple[str, pa.DataType]:
        """(type in PostgreSQL, the Arrow type of the same values) that holds it."""
        return _kept(self.type)


def fields_of(labels: pa.Table, columns: pa.Table | None) -> list[Field]:
    """The fields that keep labels and columns, under names that PostgreSQL can tell apart.

    Raises DataError where there are too many.
    """
    taken, made = set(_TAKEN), []
    own = [("label", f) for f in labels.schema] + [("column", f) for f in (columns.schema if columns else ())]
    if len(own) > MOST:
        raise DataError(f"The items have {len(own):,} columns; PostgreSQL keeps up to {MOST:,}.")
    for kind, field in own:
        column = _free(field.name, taken)
        taken.add(column)
        made.append(Field(field.name, kind, column, field.type))
    return made


def _free(name: str, taken: set[str]) -> str:
    """`name` as PostgreSQL can have it, distinct from those that are taken."""
    short = name.replace("\0", "").encode()[:LONGEST].decode(errors="ignore") or "column"
    numbered = (f"{short} ({j})" for j in range(2, len(taken) + 3))
    return next(n for n in (short, *numbered) if n not in taken)


def _kept(kind: pa.DataType) -> tuple[str, pa.DataType]:
    import pyarrow.types as t
    from pyarrow import bool_ as boolean
    from pyarrow import date32, float32, float64, int16, int32, int64, string, timestamp

    if t.is_dictionary(kind):
        return _kept(kind.value_type)
    if t.is_timestamp(kind):
        return ("timestamp" if kind.tz is None else "timestamptz"), timestamp("us", kind.tz)
    for test, name, same in (
        (t.is_boolean, "boolean", boolean()),
        (lambda k: t.is_int8(k) or t.is_int16(k) or t.is_uint8(k), "smallint", int16()),
        (lambda k: t.is_int32(k) or t.is_uint16(k), "integer", int32()),
        (lambda k: t.is_int64(k) or t.is_uint32(k) or t.is_duration(k) or t.is_time(k), "bigint", int64()),
        (lambda k: t.is_float16(k) or t.is_float32(k), "real", float32()),
        (t.is_float64, "double precision", float64()),
        (t.is_date, "date", date32()),
    ):
        if test(kind):
            return name, same
    return (
        "text",
        string(),
    )  # texts, and what PostgreSQL has no exact type for: decimals, whole numbers of 64 bits


def values_of(column: Any, field: Field) -> list[Any]:
    """The values of an Arrow column as Python's own, as the table keeps them; raises DataError where it cannot."""
    import pyarrow as pa
    import pyarrow.types as t

    name, same = field.kept
    try:
        if t.is_time(field.type) or t.is_duration(field.type):
            column = column.cast(field.type).cast(_width(field.type))
        values: list[Any] = column.cast(same).to_pylist()
    except (
        ValueError,
        OverflowError,
        pa.ArrowNotImplementedError,
    ) as failure:  # ArrowInvalid is a ValueError
        raise DataError(
            f"{field.kind.capitalize()} {field.name!r} cannot be kept in PostgreSQL as {name}: {failure}."
        ) from failure
    if name == "text" and any("\0" in value for value in values if value is not None):
        raise DataError(
            f"{field.kind.capitalize()} {field.name!r} holds a text with a NUL character, which PostgreSQL "
            "cannot keep: take it out."
        )
    return values


def _width(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.int32() if kind.bit_width == 32 else pa.int64()


def column_of(values: Iterable[Any], field: Field) -> pa.Array:
    """An Arrow array of the field's own type from values as the table keeps them."""
    import pyarrow as pa
    import pyarrow.types as t

    _, same = field.kept
    array = pa.array(values, same)
    if t.is_null(field.type):
        return pa.nulls(len(array))
    if t.is_time(field.type) or t.is_duration(field.type):
        array = array.cast(_width(field.type))
    if t.is_dictionary(field.type):
        array = array.cast(field.type.value_type).dictionary_encode()
    return array.cast(field.type)


def written(fields: list[Field]) -> list[dict[str, str]]:
    """Fields as JSON can hold them; read back by `read`."""
    import pyarrow as pa

    def arrow(field: Field) -> str:
        return base64.b64encode(pa.schema([("", field.type)]).serialize().to_pybytes()).decode()

    return [{"name": f.name, "kind": f.kind, "column": f.column, "type": arrow(f)} for f in fields]


def read(fields: list[dict[str, str]]) -> list[Field]:
    """Fields from what `written` made of them."""
    import pyarrow as pa

    def arrow(kept: str) -> pa.DataType:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(kept))).field(0).type

    return [Field(f["name"], f["kind"], f["column"], arrow(f["type"])) for f in fields]


def fetch_latents(
    connection: psycopg.Connection[Any], query: Any, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(places (n,), latents (n, k)): the rows of a bigint and a vector that a COPY in binary gives."""
    place, vector = [("bytes", ">i4"), ("row", ">i8")], [("size", ">i4"), ("head", ">i4"), ("z", ">f4", (k,))]
    rows = _fixed(connection, query, np.dtype([("fields", ">i2"), *place, *vector]))
    return rows["row"].astype(np.int64), rows["z"].astype(np.float32)


def fetch_places(connection: psycopg.Connection[Any], query: Any) -> NDArray[np.int64]:
    """(n,) int64: the bigints that a COPY in binary gives, and nothing else."""
    row = np.dtype([("fields", ">i2"), ("bytes", ">i4"), ("row", ">i8")])
    return _fixed(connection, query, row)["row"].astype(np.int64)


def _fixed(connection: psycopg.Connection[Any], query: Any, row: np.dtype[Any]) -> NDArray[Any]:
    """The rows of a COPY in binary, all of one width: 19 bytes of header (no extension), rows, an end of 2 bytes."""
    with connection.cursor().copy(query) as copy:
        content = b"".join(copy)
    return np.frombuffer(content, row, (len(content) - 21) // row.itemsize, offset=19)


def fetch(connection: psycopg.Connection[Any], query: Any, types: list[str]) -> list[tuple[Any, ...]]:
    """One tuple a column (no rows: none): the values that a COPY in binary gives, as Python's own."""
    with connection.cursor().copy(query) as copy:
        copy.set_types([_SHORT.get(name, name) for name in types])
        return list(zip(*copy.rows(), strict=True))


def send(connection: psycopg.Connection[Any], query: Any, types: list[str], rows: Iterable[Any]) -> None:
    """Rows, a tuple each, into a COPY in binary."""
    with connection.cursor().copy(query) as copy:
        copy.set_types([_SHORT.get(name, name) for name in types])
        for row in rows:
            copy.write_row(row)


#: types by the names that psycopg knows them by
_SHORT = {
    "boolean": "bool",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
}
