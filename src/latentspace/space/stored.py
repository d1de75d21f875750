"""A space whose items are in a store, read when they are needed: the same calls, with the same results."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.errors import SpaceError
from latentspace.space._postgres_tables import About, Batch, Tables
from latentspace.space.answers import keep
from latentspace.space.atomic import whole
from latentspace.space.changes import are_counted, below, counted_on, distinct, label
from latentspace.space.files import arrow_column, has_store
from latentspace.space.folder import Space, load
from latentspace.space.index import Index, Rows
from latentspace.space.postgres import Store, View

if TYPE_CHECKING:
    import pyarrow as pa

#: what is in the store
_ITEMS = ("ids", "latents", "labels", "held_out", "columns")


def _kept(name: str) -> Any:
    """A field that is read from the store when it is needed, unless it was given."""

    def get(space: StoredSpace) -> Any:
        own = space.__dict__.setdefault("_given", {})
        return own[name] if name in own else getattr(space.view, name)

    def give(space: StoredSpace, value: Any) -> None:
        space.__dict__.setdefault("_given", {})[name] = value

    return property(get, give)


class StoredSpace(Space):
    """A space whose ids, latents, labels and columns are in a store; all else is as in any Space.

    It sees the items that were there when it was opened (with a part alone: when one was first needed), and after
    `put`, `take_out` and `refresh` those that are there then.
    """

    store: Store
    ids: Any = _kept("ids")
    latents: Any = _kept("latents")
    labels: Any = _kept("labels")
    held_out: Any = _kept("held_out")
    columns: Any = _kept("columns")

    @classmethod
    def of(cls, store: Store, fitted: dict[str, Any]) -> StoredSpace:
        """A space of the other fields of Space with the items of a store."""
        space = cls(**fitted, ids=np.empty(0), latents=np.empty((0, 0), np.float32))
        space.store = store
        space.refresh()
        return space

    @cached_property
    def view(self) -> View:
        """The items that it sees."""
        return View(self.store)

    def refresh(self) -> None:
        """See the items that are there now, with what others have added and removed."""
        self.__dict__["_given"] = {}
        for name in ("view", "index", "table", "_other"):
            self.__dict__.pop(name, None)
        if self.part is None:
            _ = self.view

    def __len__(self) -> int:
        return len(self.ids) if self.__dict__["_given"] else self.view.n

    @property
    def latent_dim(self) -> int:
        """How many numbers an item becomes."""
        return int(self.model.latent_dim_)

    @cached_property
    def index(self) -> Index:
        """Finds the nearest items by Euclidean distance."""
        return Index.build(self.latents) if self.__dict__["_given"] else StoreIndex(self.view)

    def put(self, items: Items, latents: NDArray[Any], *, replacing: bool = False) -> StoredSpace:
        """Write items of latents (n, k) into the store, all or none; the space sees them then. Returns itself.

        Raises DataError where an id is there already (unless it is `replacing` those items), or given twice.
        """
        distinct([str(name) for name in items.ids.tolist()], items.source)

        def making(about: About, tables: Tables) -> Batch:
            new = {f.name: arrow_column(label(items, f.name)) for f in about.fields if f.kind == "label"}
            ids = items.ids
            if are_counted(self, items, whole=about.whole_ids):
                ids = counted_on(items, tables.highest_id(), replacing).ids
            return Batch(ids, np.asarray(latents, np.float32), _table(new), self._told(about, items))

        self.store.add(making, items.source, replacing=replacing)
        self.refresh()
        return self

    def take_out(self, rows: Rows) -> int:
        """Remove the items at `rows` from the store; returns how many were there still."""
        gone = self.store.remove(self.view.places[rows])
        self.refresh()
        return gone

    def _told(self, about: About, items: Items) -> pa.Table | None:
        import pyarrow as pa

        kept = [(f.name, f.type) for f in about.fields if f.kind == "column"]
        if not kept:
            return None
        return below(pa.schema(kept).empty_table(), self.modality.told(items), len(items))


class StoreIndex(Index):
    """Finds the nearest of the items in a store: pgvector does, or where that is less work, all are compared here.

    So they are where there is a condition (an approximate search inside a selection misses many), where a large share
    of the items is asked for, or the neighbours of many at once.
    """

    def __init__(self, view: View) -> None:
        self.view, self.cells = view, None
        self._some: tuple[bytes, Rows, Index] | None = None

    @cached_property
    def points(self) -> NDArray[np.float32]:  # type: ignore[override]
        """(n, d) read from the store once."""
        return self.view.latents

    def __len__(self) -> int:
        return self.view.n

    @property
    def recall(self) -> float:
        """The share of the true 10 nearest that is found, measured on the items."""
        return self.view.about.graph.recall

    def describe(self) -> str:
        """Where the items are, and how neighbours are found, in one or two sentences."""
        graph, store = self.view.about.graph, self.view.store
        place = f"The {self.view.n:,} items are in PostgreSQL at {store.link.where}, schema {store.schema}."
        if not graph.links:
            return f"{place} Neighbours are found by comparing all items."
        return (
            f"{place} Neighbours are looked for by pgvector (HNSW, m {graph.links}, ef_search {graph.width}), which "
            f"finds {100 * graph.recall:.1f} % of the true 10 nearest."
        )

    def nearest(
        self, queries: NDArray[Any], k: int, within: Rows | None = None
    ) -> tuple[Rows, NDArray[np.float32]]:
        """See `Index.nearest`."""
        queries = np.ascontiguousarray(queries, np.float32)
        if within is None and self.view.about.graph.links and not self._is_less_work(len(queries), k):
            found, distances = self.view.nearest(queries, k)
            if (found >= 0).all():
                return found, distances
            # too many items that came or went since lie in between: pgvector gave up
        rows, index = (
            self._every if within is None or self._reads_all(len(within)) else self._selected(within)
        )
        chosen = None if within is None else np.flatnonzero(np.isin(rows, within))
        found, distances = index.nearest(queries, k, chosen)
        return np.where(found >= 0, rows[found], -1), distances

    @cached_property
    def _every(self) -> tuple[Rows, Index]:
        """(rows, an index of them): of the items that others have not removed, read once."""
        if "latents" in self.view.__dict__:
            return np.arange(self.view.n), Index(self.view.latents)
        rows, latents = self.view.some_latents()
        if len(rows) == self.view.n:
            self.view.__dict__["latents"] = latents
        return rows, Index(latents)

    def _selected(self, within: Rows) -> tuple[Rows, Index]:
        """(rows, an index of them): those of `within` that are there; the last selection is kept."""
        key = np.asarray(within).tobytes()
        if self._some is None or self._some[0] != key:
            rows, latents = self.view.some_latents(within)
            self._some = key, rows, Index(latents)
        return self._some[1:]

    def _reads_all(self, wanted: int) -> bool:
        return "_every" in self.__dict__ or wanted > SHARE * self.view.n

    def _is_less_work(self, queries: int, k: int) -> bool:
        """Whether to compare all items here, by what each way takes (benchmarks/stores.py)."""
        read = 0.0 if "_every" in self.__dict__ or "latents" in self.view.__dict__ else READ
        here = self.view.n * self.view.about.latents * (read + queries * COMPARE)
        return here < queries * WALK * max(1.0, k / self.view.about.graph.width) or 2 * k > self.view.n


#: seconds to read a number of the latents from the store, to compare one with a query's, for pgvector to answer
READ, COMPARE, WALK = 2e-8, 5e-11, 1e-3
#: of a selection with more of the items than this, all are read
SHARE = 0.25


def in_a_store(path: Path) -> StoredSpace | None:
    """The space in the folder `path` where its items are in a store, else None."""
    space = load(path) if has_store(path) else None
    return space if isinstance(space, StoredSpace) else None


def opened(stored: dict[str, Any], url: str | None, fitted: dict[str, Any]) -> StoredSpace:
    """The space with the card `stored` whose items are in a store, reached by `url` where that is given."""
    if not stored.get("store"):
        raise SpaceError(
            f"The items of {fitted['path']} are in its folder, not in a store: leave `store` away."
        )
    return StoredSpace.of(Store.of(stored["store"], url), fitted)


def save(space: Space, path: Path, store: str | Store) -> None:
    """Write `space` to the folder `path` and its items to a store, both or neither."""
    kept = Store.new(store, path.stem) if isinstance(store, str) else store
    try:
        with whole(path, SpaceError) as beside:
            beside.mkdir()
            space.write(beside, kept.card())
            keep(path, beside)
            kept.create(_everything(space))
    except BaseException:
        with suppress(SpaceError):  # what went wrong first is what is said
            kept.drop()
        raise


def in_store(space: Space, store: Store) -> StoredSpace:
    """`space`, whose items were saved to a store, with its items read from there."""
    return StoredSpace.of(
        store, {f.name: getattr(space, f.name) for f in fields(Space) if f.name not in _ITEMS}
    )


def rehearse(store: Store, items: Items, columns: pa.Table | None) -> None:
    """Raise DataError or SpaceError where items could not be kept in a store, before a space is made of them."""
    store.rehearse(Batch(items.ids, np.zeros((len(items), 1), np.float32), _labels(items.labels), columns))


def _everything(space: Space) -> Batch:
    return Batch(space.ids, space.latents, _labels(space.labels), space.columns, space.held_out)


def _labels(labels: Mapping[str, Any]) -> pa.Table:
    return _table({name: arrow_column(values) for name, values in labels.items()})


def _table(columns: dict[str, Any]) -> pa.Table:
    import pyarrow as pa

    return pa.table(columns)
