"""The two tables of a space in PostgreSQL, `items` and `about`, and how rows get there and come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import SpaceError
from latentspace.space import _postgres_fields as fields
from latentspace.space._postgres_fields import Field

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

    Connection = psycopg.Connection[Any]

#: the format of the tables that this version writes, and the newest that it reads
FORMAT = 1
_MARK = "items of a space of latentspace"


@dataclass(frozen=True)
class Graph:
    """pgvector's index (HNSW: Malkov and Yashunin 2018), and what it was measured to find.

    links : of an item (pgvector's m), 0 where there is no index and all are compared; width : of the search
    (ef_search); recall : the share of the true 10 nearest that it found among the items up to the place `measured`.
    """

    links: int = 16
    width: int = 40
    recall: float = 1.0
    measured: int = 0


@dataclass(frozen=True)
class About:
    """What the store says of itself: numbers an item, whether all ids are whole numbers, its fields, its index, and
    the place that the next item gets."""

    latents: int
    whole_ids: bool
    fields: list[Field]
    graph: Graph
    next: int = 0

    def told(self) -> str:
        """All of it but `next`, as JSON."""
        return json.dumps(
            {
                "latents": self.latents,
                "whole_ids": self.whole_ids,
                "fields": fields.written(self.fields),
                "graph": asdict(self.graph),
            }
        )

    @classmethod
    def of(cls, told: dict[str, Any], following: int) -> About:
        """What `told` wrote."""
        graph = Graph(**told["graph"])
        return cls(told["latents"], told["whole_ids"], fields.read(told["fields"]), graph, following)


@dataclass(frozen=True)
class Batch:
    """Items to be kept: ids (n,), latents (n, k), labels and columns as tables of n rows, held_out (n,) or none."""

    ids: NDArray[Any]
    latents: NDArray[np.float32]
    labels: pa.Table
    columns: pa.Table | None = None
    held_out: NDArray[np.bool_] | None = None

    @property
    def names(self) -> list[str]:
        """The ids as text."""
        return [str(name) for name in self.ids.tolist()]

    @property
    def whole_ids(self) -> bool:
        """Whether all ids are whole numbers."""
        return self.ids.dtype.kind in "iu"

    def own(self, field: Field) -> pa.ChunkedArray:
        """The values of a field."""
        table = self.labels if field.kind == "label" or self.columns is None else self.columns
        return table[field.name]

    def rows(self, first: int, kept: list[Field]) -> Iterator[tuple[Any, ...]]:
        """A tuple an item, as the table has them, from the place `first` on."""
        n = len(self.ids)
        held_out = [False] * n if self.held_out is None else self.held_out.tolist()
        values = [fields.values_of(self.own(f), f) for f in kept]
        yield from zip(range(first, first + n), self.names, self.latents, held_out, *values, strict=True)


@dataclass(frozen=True)
class Tables:
    """The tables in the schema `schema` of the space `id`, through a connection within a transaction."""

    connection: Connection
    schema: str
    id: str = ""
    where: str = field(default="", compare=False)

    def create(self, about: About) -> None:
        """The schema with empty tables."""
        own = "".join(f", {quoted(f.column)} {f.kept[0]}" for f in about.fields)
        self.do("CREATE SCHEMA {schema}")
        self.do("COMMENT ON SCHEMA {schema} IS '" + _MARK + "'")
        self.do(
            "CREATE TABLE {items} (row bigint NOT NULL, id text NOT NULL, "
            f"z vector({about.latents}) NOT NULL, held_out boolean NOT NULL{own})"
        )
        self.do(
            "CREATE TABLE {about} (format integer NOT NULL, space text NOT NULL, next bigint NOT NULL, "
            "told jsonb NOT NULL)"
        )
        first = "INSERT INTO {about} VALUES (%s, %s, %s, %s)"
        self.do(first, [FORMAT, self.id, about.next, about.told()])

    def about(self, *, changing: bool = False) -> About:
        """What the store says of itself; with `changing` others who want to change it wait for this transaction.

        Raises SpaceError where it is newer than this version, or of another space.
        """
        turn = " FOR UPDATE" if changing else ""
        found = self.do("SELECT format, space, next, told FROM {about}" + turn).fetchone()
        if found is None:
            raise SpaceError(f"The store at {self.where} is damaged: {self.schema}.about is empty.")
        version, space, following, told = found
        if version > FORMAT:
            raise SpaceError(
                f"The store at {self.where} has format {version}; this latentspace reads up to {FORMAT}: "
                "upgrade latentspace."
            )
        if space != self.id:
            raise SpaceError(f"The store at {self.where} holds another space in {self.schema}.")
        return About.of(told, following)

    def tell(self, about: About) -> None:
        """Let the store say `about` of itself."""
        self.do("UPDATE {about} SET next = %s, told = %s", [about.next, about.told()])

    def highest_id(self) -> int:
        """The largest of ids that are all whole numbers; -1 where there are none."""
        found = self.do("SELECT coalesce(max(id::numeric), -1) FROM {items}").fetchone()
        return -1 if found is None else int(found[0])

    def widen(self, about: About, batch: Batch) -> About:
        """Let fields of whole numbers keep fractions where a batch has some."""
        import pyarrow.types as t

        kept = []
        for f in about.fields:
            new = batch.own(f).type
            if t.is_integer(f.type) and t.is_floating(new):
                self.do(f"ALTER TABLE {{items}} ALTER {quoted(f.column)} TYPE double precision")
                f = replace(f, type=new)
            kept.append(f)
        return replace(about, fields=kept)

    def send(self, rows: Iterable[tuple[Any, ...]], about: About) -> None:
        """Put items after those that are there, a tuple each (`Batch.rows`)."""
        names = "".join(f", {quoted(f.column)}" for f in about.fields)
        types = ["bigint", "text", "vector", "boolean", *(f.kept[0] for f in about.fields)]
        query = self.sql("COPY {items} (row, id, z, held_out" + names + ") FROM STDIN (FORMAT BINARY)")
        fields.send(self.connection, query, types, rows)

    def latents(
        self, k: int, last: int, places: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(places (n,), latents (n, k)) of the items up to the place `last`, in order; only of those at `places`."""
        among = ""
        if places is not None:  # whole numbers only: nothing that anyone wrote
            among = f"AND row = ANY ('{{{{{','.join(map(str, places.tolist()))}}}}}'::bigint[])"
        return fields.fetch_latents(self.connection, self._copied("row, z", last, among), k)

    def places(self, last: int) -> NDArray[np.int64]:
        """(n,) the places of the items up to `last`, in order."""
        return fields.fetch_places(self.connection, self._copied("row", last))

    def columns(self, names: list[str], types: list[str], last: int) -> list[tuple[Any, ...]]:
        """The values of columns of `items` up to the place `last`, each (n,), in order."""
        # as the types that are asked for: others may have let a column keep fractions since
        asked = (f"{quoted(name)}::{kind}" for name, kind in zip(names, types, strict=True))
        query = self._copied(", ".join(asked), last)
        return fields.fetch(self.connection, query, types)

    def _copied(self, columns: str, last: int, among: str = "") -> Any:
        asked = f"SELECT {columns} FROM {{items}} WHERE row <= {int(last)} {among} ORDER BY row"
        return self.sql(f"COPY ({asked}) TO STDOUT (FORMAT BINARY)")

    def do(self, text: str, values: list[Any] | None = None) -> psycopg.Cursor[Any]:
        """Run SQL; values go beside it, never into it."""
        return self.connection.execute(self.sql(text), values)

    def sql(self, text: str) -> Any:
        """SQL in which {schema}, {items}, {about} and {nearest} are this space's own."""
        from psycopg.sql import SQL, Identifier

        own = {name: Identifier(self.schema, name) for name in ("items", "about", "nearest")}
        return SQL(text).format(schema=Identifier(self.schema), **own)


def quoted(name: str) -> str:
    """A column's name as SQL has it, whatever is in it."""
    from psycopg.sql import Identifier

    return Identifier(name).as_string().replace("{", "{{").replace("}", "}}")


#: what makes the items to be added, once it is known what the store keeps
Making = Callable[[About, Tables], Batch]
