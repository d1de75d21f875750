"""What neighbours look like: pictures, curves, or rows of a table, the query first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.image import Image
from latentspace.jobs._drawings import as_pictures
from latentspace.jobs._neighbour_queries import SEEN, Found
from latentspace.jobs._neighbour_words import APART, cell, difference, written
from latentspace.jobs._reasons import in_channels

Array = NDArray[Any]

#: queries that are drawn, and columns of a table
MOST, COLUMNS = SEEN, 8


def draw(found: Found) -> Any:
    """Each query beside its nearest."""
    from latentspace import plots_neighbours

    modality = found.space.modality
    drawn = range(min(MOST, len(found.queries)))
    words = [_words(found, q) for q in drawn]
    if isinstance(modality, Image):
        rows = [tuple(as_pictures(modality, x) for x in _looks(found, q)) for q in drawn]
        return plots_neighbours.neighbour_pictures([(a[0], b) for a, b in rows], words)
    if len(modality.shape) == 2:
        windows = [tuple(in_channels(modality, x) for x in _looks(found, q)) for q in drawn]
        return plots_neighbours.neighbour_curves([(a[0], b) for a, b in windows], words)
    tables = [_table(found, q) for q in drawn]
    return plots_neighbours.neighbour_rows(
        [(names, cells) for names, cells, _ in tables], [m for *_, m in tables]
    )


def _looks(found: Found, q: int) -> tuple[Array, Array]:
    """((1, *shape) the query, (k, *shape) its neighbours), encoded."""
    rows = found.rows[q]
    return found.looks(q)[None], found.encoded(rows[rows >= 0])


def _words(found: Found, q: int) -> list[str]:
    """What stands under each picture: the query's name; a neighbour's label (or id) and its distance."""
    label = next(iter(found.space.labels), None)
    texts = [f"{found.called}:\n{found.queries[q].name}"]
    for row, distance in zip(found.rows[q].tolist(), found.distances[q].tolist(), strict=True):
        if row >= 0:
            name = found.space.ids[row] if label is None else found.space.labels[label][row]
            texts.append(f"{name}\n{distance:.3g}")
    return texts


def _table(found: Found, q: int) -> tuple[list[str], list[list[Any]], NDArray[np.bool_]]:
    """(names of columns, rows of cells with the query's first, which cells differ much from the query's)."""
    rows = [row for row in found.rows[q].tolist() if row >= 0]
    labels = found.space.labels
    mine = written(found, q) or _decoded(found, found.queries[q].z)
    others = [_own(found, row) for row in rows]
    apart = {
        name: [difference(found, name, mine.get(name), other.get(name)) for other in others] for name in mine
    }
    telling = sorted(mine, key=lambda name: -max(apart[name], default=0.0))[:COLUMNS]
    shown = [name for name in mine if name in telling]
    cells = [[found.queries[q].name, "", *_known(found, q), *(_text(mine[name]) for name in shown)]]
    differs = [[False] * len(cells[0])]
    for i, row in enumerate(rows):
        known = [cell(values[row]) for values in labels.values()]
        head = [cell(found.space.ids[row]), f"{found.distances[q][i]:.3g}", *known]
        cells.append(head + [_text(others[i].get(name)) for name in shown])
        differs.append([False] * len(head) + [apart[name][i] > 4 * APART - 1e-9 for name in shown])
    return ["id", "distance", *labels, *shown], cells, np.array(differs)


def _known(found: Found, q: int) -> list[Any]:
    """The labels of query `q` where it is one item of the space, else nothing."""
    own, labels = found.queries[q].own, found.space.labels.values()
    return [_text(values[own[0]]) if len(own) == 1 else "" for values in labels]


def _text(value: Any) -> Any:
    """A cell as it is drawn; a gap is empty."""
    return "" if value is None else cell(value)


def _own(found: Found, row: int) -> dict[str, Any]:
    columns = found.space.columns
    if columns is None:
        return _decoded(found, found.space.latents[row])
    kept: dict[str, Any] = columns.slice(row, 1).to_pylist()[0]
    return kept


def _decoded(found: Found, z: Array) -> dict[str, Any]:
    from latentspace.data._frames import as_arrow

    made: dict[str, Any] = as_arrow(found.space.decode(z[None])).to_pylist()[0]
    return made
