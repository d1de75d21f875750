"""Whose neighbours are wanted: items of the space, new ones, latents, a mean of several, like A but unlike B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.errors import DataError, OptionError
from latentspace.jobs._latents import read_latents
from latentspace.jobs._map_items import encoded, own_rows
from latentspace.space.changes import rows_of
from latentspace.space.folder import Space
from latentspace.space.index import Index, Metric
from latentspace.space.pair_head import PairHead

Array = NDArray[Any]
Rows = NDArray[np.intp]

#: how far "like A but unlike B" steps from A, away from B, in lengths of A − B: what is then nearest minimises
#: (1 + AWAY) d(A)² − AWAY d(B)². Rocchio (1971); LOG.md, 2026-11-26, has what other steps find.
AWAY = 0.5
#: new items that are kept as they look, to be drawn
SEEN = 8
#: items of the space whose own nearest distances say what is usual
USUAL = 2000


@dataclass(frozen=True, eq=False)
class Query:
    """Latents whose neighbours are looked for.

    name : what it is called; z : (k,) its latents; own : rows of the space it was made from, no neighbours of itself.
    x : (*shape) how it looks, encoded, of the first that are given; place : its row among the items given, or -1.
    """

    name: str
    z: Array
    own: tuple[int, ...] = ()
    x: Array | None = None
    place: int = -1


@dataclass(frozen=True, eq=False)
class Found:
    """Neighbours of queries in a space: rows (q, k) and distances (q, k); -1 and infinite where there are no more.

    given : the new items among the queries; items : those of the space, where they were given too.
    called : what a picture says of a query; head : by what pairs taught they were found.
    """

    space: Space
    queries: list[Query]
    rows: Rows
    distances: NDArray[np.float32]
    metric: Metric | Literal["pairs"]
    given: Items | None = None
    items: Items | None = None
    called: str = "asked"
    head: PairHead | None = None

    def spread(self, name: str) -> float:
        """The standard deviation of a column of numbers over the space's items."""
        if name not in self._spreads:
            import pyarrow.compute as pc

            assert self.space.columns is not None
            self._spreads[name] = float(pc.stddev(self.space.columns[name]).as_py() or 0.0)
        return self._spreads[name]

    @cached_property
    def _spreads(self) -> dict[str, float]:
        return {}

    @cached_property
    def strangeness(self) -> NDArray[np.float64]:
        """(q,) the share of the space's items that are nearer to their nearest than each query is to its."""
        metric = "euclidean" if self.metric == "pairs" else self.metric
        usual = nearest_distances(self.space, metric, self.head)
        return np.asarray(np.searchsorted(usual, self.distances[:, 0]) / max(1, len(usual)))

    def encoded(self, rows: Rows) -> Array:
        """(n, *shape) the space's items at `rows`: as they are where they are given, else as decoded."""
        if self.items is None:
            return np.asarray(self.space.model.decode(self.space.latents[rows]))
        return np.asarray(self.space.modality.transform(self.space.modality.take(self.items, rows))[0])

    def looks(self, q: int) -> Array:
        """(*shape) how query `q` looks: as it was given, or decoded."""
        query = self.queries[q]
        if query.x is not None:
            return np.asarray(query.x)
        if len(query.own) == 1 and self.items is not None:
            return np.asarray(self.encoded(np.array(query.own))[0])
        decoded: Array = self.space.model.decode(query.z[None])[0]
        return decoded


def queries_of(
    space: Space, items: Items | None, ids: Sequence[str], latent: Any, unlike: Sequence[str], mean: bool
) -> list[Query]:
    """All that was asked for. Raises OptionError where that is nothing."""
    found = [Query(str(space.ids[row]), space.latents[row], (int(row),)) for row in rows_of(space, list(ids))]
    found += [] if items is None else _of_items(space, items)
    found += [] if latent is None else _of_latents(space, latent)
    if not found:
        raise OptionError(
            "Say whose neighbours are wanted: items of the space (item), new items (data), or latents."
        )
    if mean and len(found) > 1:
        found = [_mean(found)]
    if not unlike:
        return found
    away = rows_of(space, list(unlike))
    return [_unlike(query, space.latents[away].mean(axis=0), list(unlike), away) for query in found]


def find(
    space: Space,
    queries: list[Query],
    k: int,
    metric: Metric | Literal["pairs"],
    where: str | None,
    given: Items | None = None,
) -> Found:
    """The k nearest items of the space to each query, those that it was made from left out."""
    most = max(len(query.own) for query in queries)
    z, head = np.stack([query.z for query in queries]), None
    if metric == "pairs":
        head = PairHead.of(space)
        within = None if where is None else space.rows_where(where)
        rows, distances = Index(head.places).nearest(
            _places(space, head, queries, z, given), k + most, within
        )
    else:
        rows, distances = space.nearest(z, k + most, metric=metric, where=where)
    for i, query in enumerate(queries):
        others = np.flatnonzero(~np.isin(rows[i], query.own))[:k]
        rows[i, : len(others)], distances[i, : len(others)] = rows[i, others], distances[i, others]
        rows[i, len(others) :], distances[i, len(others) :] = -1, np.inf
    return Found(space, queries, rows[:, :k], distances[:, :k], metric, given, head=head)


def _places(
    space: Space, head: PairHead, queries: list[Query], z: Array, given: Items | None
) -> NDArray[np.float32]:
    """(q, r) where pairs have put the queries, of latents z; raises OptionError for latents that no item has."""
    if not head.needs_items:
        return head.place(None, z)
    new = np.array([query.place for query in queries], np.intp)
    own = np.array([query.own[0] if query.own else -1 for query in queries], np.intp)
    bare = np.flatnonzero((new < 0) & (own < 0))
    if len(bare):
        name = queries[bare[0]].name
        raise OptionError(f"{name}: metric='pairs' looks at items here, and there is none at these latents.")
    at = head.places[own]
    fresh, start = np.flatnonzero(new >= 0), 0
    if given is not None and len(fresh):
        for x, _ in encoded(space, given, z, new[fresh]):
            part = fresh[start : start + len(x)]
            start += len(x)
            at[part] = head.place(x, z[part])
    return at


def nearest_distances(
    space: Space, metric: Metric = "euclidean", head: PairHead | None = None
) -> NDArray[np.float32]:
    """(n,) sorted: how far items of the space, some of many, are from the nearest other one; by pairs with `head`."""
    some = np.random.default_rng(0).permutation(len(space))[:USUAL]
    if head is not None:
        rows, distances = Index(head.places).nearest(head.places[some], 2)
    else:
        rows, distances = space.nearest(space.latents[some], 2, metric=metric)
    # an item comes first among its own neighbours, but where others lie in the same place
    return np.sort(np.where(rows[:, 0] == some, distances[:, 1], distances[:, 0]))


def can_be_seen(space: Space, items: Any) -> bool:
    """Whether items of the space can be drawn: they are given, or their columns kept, or the decoder is there."""
    return items is not None or space.columns is not None or space.decodes


def check_seen(space: Space, items: Any, out: str | Path | None, drawn: Sequence[str]) -> None:
    """Raise OptionError where `out` is a picture (one of the endings `drawn`) of items that nothing decodes."""
    picture = out is not None and Path(out).suffix.lower() in drawn
    if picture and not can_be_seen(space, items):
        raise OptionError(
            f"{out}: this space has no decoder to draw its items with: give the data that it was fitted on as items."
        )


def own_items(space: Space, source: Any) -> Items:
    """The items that the space was fitted on, read again and put in the space's order.

    Raises DataError where an item of the space is not among them.
    """
    items = space.items(source)
    there = {str(name): row for row, name in enumerate(items.ids.tolist())}
    missing = [str(name) for name in space.ids.tolist() if str(name) not in there]
    if missing:
        raise DataError(
            f"{items.source} holds no item {missing[0]!r}, which the space has: give the data that it was fitted on."
        )
    return space.modality.take(items, np.array([there[str(name)] for name in space.ids.tolist()], np.intp))


def _of_items(space: Space, items: Items) -> list[Query]:
    if not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to look for.")
    x, _ = space.modality.transform(space.modality.take(items, np.arange(min(SEEN, len(items)))))
    z = space.encode(items)
    # an item of the space that is given again is no neighbour of itself either
    own = own_rows(space, items, z).tolist()
    return [
        Query(str(name), z[i], (own[i],) if own[i] >= 0 else (), x[i] if i < SEEN else None, i)
        for i, name in enumerate(items.ids.tolist())
    ]


def _of_latents(space: Space, latent: Any) -> list[Query]:
    k = space.latents.shape[1]
    given = latent if isinstance(latent, str | Path) else np.atleast_2d(np.asarray(latent, np.float32))
    names, z = read_latents(given, k)
    if z.ndim != 2 or z.shape[1] != k or not np.isfinite(z).all():
        raise DataError(f"Latents of this space are {k} finite numbers each; these have shape {z.shape}.")
    return [Query(f"latents {name}", row) for name, row in zip(names.tolist(), z, strict=True)]


def _mean(queries: list[Query]) -> Query:
    names = ", ".join(query.name for query in queries[:3]) + (" and others" if len(queries) > 3 else "")
    own = tuple(row for query in queries for row in query.own)
    return Query(f"mean of {names}", np.mean([query.z for query in queries], axis=0), own)


def _unlike(query: Query, away: Array, names: list[str], rows: Rows) -> Query:
    name = f"{query.name} unlike {', '.join(names)}"
    if np.isin(rows, query.own).any():
        raise OptionError(f"{name}: an item cannot be unlike itself.")
    own = (*query.own, *(int(row) for row in rows))
    return Query(name, query.z + AWAY * (query.z - away), own, query.x, query.place)
