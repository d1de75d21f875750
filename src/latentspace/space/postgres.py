"""The items of a space in PostgreSQL with pgvector, so that many people and machines share them.

A space has a schema of its own there (``latentspace_NAME_12ab34cd``) with two tables: `items`, a row an item (its
place `row`, `id`, latents `z`, `held_out`, labels and columns), and `about`, one row. Whatever changes them is one
transaction, and those who change take turns: items get their places in the order in which they were committed, so
that who has seen the items up to some place has seen all of them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError, SpaceError
from latentspace.space import _postgres_graph as graph
from latentspace.space._postgres_fields import column_of, fields_of
from latentspace.space._postgres_link import Link
from latentspace.space._postgres_tables import About, Batch, Graph, Making, Tables
from latentspace.space.changes import already_there
from latentspace.space.index import Rows

if TYPE_CHECKING:
    import pyarrow as pa

#: items that are put into a store on trial
REHEARSED = 100


class Store:
    """The items of one space in a database.

    link : the way to it; schema : where they lie; id : which space they are of.
    """

    def __init__(self, link: Link, schema: str, id: str) -> None:
        self.link, self.schema, self.id = link, schema, id

    @classmethod
    def of(cls, card: Mapping[str, str], url: str | None = None) -> Store:
        """The store that a space's card names; by `url` instead of the one in the card, with a password perhaps."""
        return cls(Link(url or card["url"]), card["schema"], card["id"])

    @classmethod
    def new(cls, url: str, name: str) -> Store:
        """A store for a space called `name`, not made yet; raises SpaceError where none could be made there."""
        id = uuid.uuid4().hex
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:30] or "space"
        store = cls(Link(url), f"latentspace_{slug}_{id[:8]}", id)
        with store.link.transaction() as connection:
            asked = "SELECT has_database_privilege(current_database(), 'CREATE')"
            if connection.execute(asked).fetchone() != (True,):
                raise SpaceError(
                    f"The store at {store.link.where} does not let this user make a schema: ask its owner "
                    "for `GRANT CREATE ON DATABASE … TO …`."
                )
        store.link.close()  # training may take longer than a connection lives
        return store

    def card(self) -> dict[str, str]:
        """What a space's card keeps of it; no password."""
        return {"url": self.link.public, "schema": self.schema, "id": self.id}

    def create(self, batch: Batch, seed: int = 0) -> None:
        """Make the schema and put items into it, with their index: all of it or nothing."""
        about = About(
            batch.latents.shape[1], batch.whole_ids, fields_of(batch.labels, batch.columns), Graph()
        )
        with self.tables() as tables:
            tables.create(about)
            tables.send(batch.rows(0, about.fields), about)
            tables.do("ALTER TABLE {items} ADD PRIMARY KEY (row), ADD UNIQUE (id)")
            built = graph.build(tables, batch.latents, seed)
            tables.tell(replace(about, graph=built, next=len(batch.ids)))

    def rehearse(self, batch: Batch) -> None:
        """Make the tables with a few items, and undo it; raises DataError or SpaceError where they cannot be kept."""
        about = About(1, batch.whole_ids, fields_of(batch.labels, batch.columns), Graph())
        rows = list(islice(batch.rows(0, about.fields), REHEARSED))  # looks at the values of all
        with self.tables() as tables:
            tables.create(about)
            tables.send(rows, about)
            tables.do("DROP SCHEMA {schema} CASCADE")

    def drop(self) -> None:
        """Take the schema away with all that it holds."""
        with self.tables() as tables:
            tables.do("DROP SCHEMA IF EXISTS {schema} CASCADE")

    def add(self, making: Making, source: str, *, replacing: bool = False) -> None:
        """Put items after those that are there, all of them or none; with `replacing` in place of those of their ids.

        Raises DataError where an id is there already.
        """
        with self.tables() as tables:
            about = tables.about(changing=True)
            batch = making(about, tables)
            about = tables.widen(about, batch)
            known = tables.do("SELECT id FROM {items} WHERE id = ANY(%s)", [batch.names]).fetchall()
            if known and not replacing:
                there = {name for (name,) in known}
                raise already_there([name for name in batch.names if name in there], source)
            tables.do("DELETE FROM {items} WHERE id = ANY(%s)", [[name for (name,) in known]])
            tables.send(batch.rows(about.next, about.fields), about)
            whole = about.whole_ids and batch.whole_ids
            about = replace(about, whole_ids=whole, next=about.next + len(batch.ids))
            tables.tell(replace(about, graph=_measured_again(tables, about)))

    def remove(self, places: NDArray[np.int64]) -> int:
        """Take items away by their places; returns how many. Raises OptionError where none would be left."""
        with self.tables() as tables:
            tables.about(changing=True)
            gone = tables.do("DELETE FROM {items} WHERE row = ANY(%s)", [places.tolist()]).rowcount
            if tables.do("SELECT 1 FROM {items} LIMIT 1").fetchone() is None:
                raise OptionError("No item would be left: a space holds at least 1.")
        return gone

    def view(self) -> View:
        """The items that are there now."""
        return View(self)

    @contextmanager
    def tables(self, *, reading: bool = False) -> Iterator[Tables]:
        """The tables within a transaction, which is wholly done or not at all; `reading` sees one moment."""
        with self.link.transaction(reading=reading) as connection:
            yield Tables(connection, self.schema, self.id, self.link.where)

    @contextmanager
    def moment(self) -> Iterator[Tables]:
        """The tables as they are at one moment."""
        with self.tables(reading=True) as tables:
            # before the moment is fixed: a table that is being rewritten looks empty from before that
            tables.do("LOCK TABLE {items} IN ACCESS SHARE MODE")
            yield tables


class View:
    """The items that were in a store at one moment, read when they are needed.

    What others add later is not in it. What they remove is found no more; where something that was not read before
    can therefore no longer be read whole, that is said (SpaceError).
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        with store.moment() as tables:
            self.about = tables.about()
            found = tables.do("SELECT count(*), coalesce(max(row), -1) FROM {items}").fetchone()
            self.n, self.last = (int(number) for number in found or (0, -1))
            # where none was ever removed, they are in the places from 0
            self.places = np.arange(self.n) if self.last + 1 == self.n else tables.places(self.last)

    def __len__(self) -> int:
        return self.n

    @cached_property
    def latents(self) -> NDArray[np.float32]:
        """(n, k) where the items lie."""
        with self.store.moment() as tables:
            latents = tables.latents(self.about.latents, self.last)[1]
        self._check(len(latents))
        return latents

    @cached_property
    def ids(self) -> NDArray[Any]:
        """(n,) what the items are called."""
        (names,) = self._columns(["id"], ["text"])
        if not self.about.whole_ids:
            return np.array(names, object)
        numbers = [int(name) for name in names]
        return np.array(numbers, np.uint64 if max(numbers, default=0) >= 2**63 else np.int64)

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """(n,) True where the item was kept for measuring."""
        return np.array(self._columns(["held_out"], ["boolean"])[0], bool)

    @cached_property
    def labels(self) -> dict[str, NDArray[Any]]:
        """name → (n,)."""
        table = self._table("label")
        return {name: table[name].to_numpy() for name in table.column_names}

    @cached_property
    def columns(self) -> pa.Table | None:
        """A pyarrow Table, a row an item; None where no columns are kept."""
        return self._table("column") if any(f.kind == "column" for f in self.about.fields) else None

    def some_latents(self, rows: Rows | None = None) -> tuple[Rows, NDArray[np.float32]]:
        """(rows, latents (n, k)) of the items at `rows` (left out: of all) that are there still, in order."""
        wanted = None if rows is None else self.places[rows]
        with self.store.moment() as tables:
            places, latents = tables.latents(self.about.latents, self.last, wanted)
        return np.searchsorted(self.places, places), latents

    def nearest(self, queries: NDArray[np.float32], k: int) -> tuple[Rows, NDArray[np.float32]]:
        """(rows (q, k), distances (q, k)) of the items nearest to queries (q, d), as the store's index finds them."""
        with self.store.tables(reading=True) as tables:
            found, distances = graph.closest(tables, queries, k, self.last, self.about.graph.width)
        there = found >= 0
        rows = np.full(found.shape, -1, np.intp)
        rows[there] = np.searchsorted(self.places, found[there])
        return rows, distances

    def _table(self, kind: str) -> pa.Table:
        import pyarrow as pa

        kept = [f for f in self.about.fields if f.kind == kind]
        if not kept:
            return pa.table({})
        values = self._columns([f.column for f in kept], [f.kept[0] for f in kept])
        arrays = [column_of(v, f) for v, f in zip(values, kept, strict=True)]
        return pa.table(arrays, names=[f.name for f in kept])

    def _columns(self, names: list[str], types: list[str]) -> list[tuple[Any, ...]]:
        with self.store.moment() as tables:
            found = tables.columns(names, types, self.last)
        self._check(len(found[0]) if found else 0)
        return found

    def _check(self, n: int) -> None:
        if n != self.n:
            raise SpaceError(
                f"{self.n - n:,} items of this space were removed by others since it was opened: open it again."
            )


def _measured_again(tables: Tables, about: About) -> Graph:
    """The store's index, measured anew where as many items came as there were when it was."""
    if not about.graph.links or about.next < 2 * about.graph.measured:
        return about.graph
    _, latents = tables.latents(about.latents, about.next)
    return graph.measure(tables, latents, about.next - 1, about.graph)
