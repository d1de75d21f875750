"""pgvector's index of the items of a space: built, searched, and measured until it finds what it should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from latentspace.space._postgres_tables import Graph, Tables
from latentspace.space.index import LEAST_RECALL, MEASURED, MEASURED_K, WANTED_RECALL, Index, Rows

Latents = NDArray[np.float32]

#: more numbers than this pgvector does not index
MOST_INDEXED = 2000
#: the widest search that is tried (pgvector itself goes to 1,000), and the largest graph
MOST_WIDTH, WIDEST, MOST_LINKS = 640, 1000, 64
#: queries sent at once
_AT_ONCE = 1000
#: the graph, not a scan and a sort, however few items there are; and on where it leads to items that do not count
_SETTINGS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "hnsw.iterative_scan": "strict_order",
}


def build(tables: Tables, latents: Latents, seed: int = 0) -> Graph:
    """Index the items, of latents (n, k) in order, with more links until it finds what it should."""
    if latents.shape[1] > MOST_INDEXED:
        return Graph(links=0, measured=len(latents))
    room = int(np.clip(len(latents) * (6 * latents.shape[1] + 600) / 2**20, 64, 1024))
    tables.do(f"SET LOCAL maintenance_work_mem = '{room}MB'")
    links = Graph.links
    while True:
        tables.do("DROP INDEX IF EXISTS {nearest}")
        _create(tables, links)
        graph = measure(tables, latents, len(latents) - 1, Graph(links), seed)
        if graph.recall >= LEAST_RECALL or links >= MOST_LINKS:
            return graph
        links *= 2


def _create(tables: Tables, links: int) -> None:
    from psycopg.errors import DiskFull

    query = (
        "CREATE INDEX nearest ON {items} USING hnsw (z vector_l2_ops) "
        f"WITH (m = {links}, ef_construction = {4 * links})"
    )
    try:
        with tables.connection.transaction():
            tables.do(query)
    except DiskFull:  # of the shared memory perhaps, of which a container has little: one process needs none
        tables.do("SET LOCAL max_parallel_maintenance_workers = 0")
        tables.do(query)


def measure(tables: Tables, latents: Latents, last: int, graph: Graph, seed: int = 0) -> Graph:
    """`graph` with the share of the true 10 nearest that it finds, searched more widely until that is enough.

    latents (n, k) of all items; last : the place of the last. An item is not counted among its own nearest, and of
    items equally near any will do.
    """
    k = min(MEASURED_K, len(latents) - 1)
    if k < 1:
        return replace(graph, measured=last + 1)
    some = latents[np.random.default_rng(seed).permutation(len(latents))[:MEASURED]]
    farthest = Index(latents).nearest(some, k + 1)[1][:, -1:]
    width = graph.width
    while True:
        _, distances = closest(tables, some, k + 1, last, width)
        share = ((distances <= farthest * (1 + 1e-4) + 1e-6).sum(axis=1) - 1).mean() / k
        if share >= WANTED_RECALL or width >= MOST_WIDTH:
            return replace(graph, width=width, recall=float(share), measured=last + 1)
        width *= 2


def closest(
    tables: Tables, queries: Latents, k: int, last: int, width: int
) -> tuple[Rows, NDArray[np.float32]]:
    """(places (q, k), distances (q, k)) of the items nearest to queries (q, d) that the graph finds, up to `last`.

    Where it leads to items that are gone or too new, pgvector goes on walking. -1 at an infinite distance where there
    are no more.
    """
    settings = _SETTINGS | {"hnsw.ef_search": str(min(WIDEST, max(width, k)))}
    each = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    tables.do(f"SELECT {each}", [word for setting in settings.items() for word in setting])
    places = np.full((len(queries), k), -1, np.intp)
    distances = np.full((len(queries), k), np.inf, np.float32)
    for start in range(0, len(queries), _AT_ONCE):
        filled = np.zeros(len(queries), int)
        for n, place, distance in _asked(tables, queries[start : start + _AT_ONCE], k, last):
            query = start + n - 1
            places[query, filled[query]], distances[query, filled[query]] = place, distance
            filled[query] += 1
    order = np.lexsort((places, distances))
    return np.take_along_axis(places, order, 1), np.take_along_axis(distances, order, 1)


def _asked(tables: Tables, queries: Latents, k: int, last: int) -> Iterator[tuple[int, int, float]]:
    """(number of the query from 1, place, distance)."""
    yield from tables.do(
        """SELECT q.n, near.row, near.d FROM unnest(%s::vector[]) WITH ORDINALITY AS q (z, n)
        CROSS JOIN LATERAL (SELECT row, z <-> q.z AS d FROM {items} WHERE row <= %s
        ORDER BY z <-> q.z LIMIT %s) AS near""",
        [list(queries), last, k],
    )
