"""Neighbours in words and rows: which items, how far, what they are called, and in what they differ."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspace.jobs._neighbour_queries import Found
from latentspace.jobs._verdict import count

#: a query is called far where so large a share of the space's items are nearer to their nearest than it is to its
FAR = 0.95
#: queries that the summary tells of one by one, and columns in which a neighbour differs that are named
FEW, DIFFERING = 10, 2
#: numbers differ where they are apart by this share of the column's spread
APART = 0.25


def summary(found: Found, drawn: bool, all_items: bool, away: bool) -> list[str]:
    """What was found, in sentences; `drawn`: as a picture; `all_items`: no condition; `away`: unlike some."""
    space, k = found.space, found.rows.shape[1]
    lines = [
        f"The {count(k, 'item')} of {len(space):,} that are nearest to {_asked(found)} ({found.metric} distance)."
    ]
    far = np.flatnonzero(found.strangeness > FAR) if all_items and not away else np.zeros(0, int)
    for q in far[:FEW].tolist():
        lines.append(
            f"{found.queries[q].name} is far from everything: {100 * found.strangeness[q]:.0f} % of the space's "
            "items are nearer to their nearest."
        )
    if len(far) > FEW:
        lines.append(f"{len(far) - FEW:,} more are as far from everything.")
    for name in space.labels:
        lines += [_vote(found, name, q) for q in range(min(len(found.queries), FEW))]
    if drawn and found.items is None and space.modality.name in ("image", "signal"):
        lines.append(
            "Items are drawn as the decoder sees them; give the data (items) to see them as they are."
        )
    if all_items and space.index.recall < 1 and found.metric == "euclidean":
        lines.append(space.index.describe())
    return [line for line in lines if line]


def _asked(found: Found) -> str:
    names = [query.name for query in found.queries]
    return names[0] if len(names) == 1 else f"each of {count(len(names), 'item')}"


def _vote(found: Found, name: str, q: int) -> str:
    """The commonest label of the neighbours, and how many have it."""
    rows = found.rows[q][found.rows[q] >= 0]
    labels = [str(v) for v in found.space.labels[name][rows].tolist() if v is not None and v == v]
    if not labels or len(set(found.space.labels[name].tolist())) > max(20, len(found.space) // 5):
        return ""
    commonest = max(sorted(set(labels)), key=labels.count)
    most = f"{labels.count(commonest)} have {name} {commonest}"
    return f"{found.queries[q].name}: of its nearest {len(labels)}, {most}."


def rows_of(found: Found) -> list[dict[str, Any]]:
    """A row a neighbour: query, rank, id, distance, labels, and for tables what differs most."""
    rows = []
    told = found.space.columns
    for q, query in enumerate(found.queries):
        mine = None if told is None else written(found, q)
        near = [
            pair
            for pair in zip(found.rows[q].tolist(), found.distances[q].tolist(), strict=True)
            if pair[0] >= 0
        ]
        for rank, (row, distance) in enumerate(near, 1):
            labels = {name: cell(values[row]) for name, values in found.space.labels.items()}
            differs = {} if mine is None else {"differs most in": _differences(found, mine, row)}
            rows.append(
                {"to": query.name, "rank": rank, "id": cell(found.space.ids[row]), "distance": distance}
                | labels
                | differs
            )
    return rows


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they are printed."""
    return [{**row, "distance": f"{row['distance']:.4g}"} for row in rows]


def written(found: Found, q: int) -> dict[str, Any] | None:
    """What the columns of query `q` say; None where it is no item."""
    query, space = found.queries[q], found.space
    if query.place >= 0:
        table = (
            space.modality.told(space.modality.take(found.given, np.array([query.place])))
            if found.given
            else None
        )
        return None if table is None else table.to_pylist()[0]
    if len(query.own) == 1 and space.columns is not None:
        row: dict[str, Any] = space.columns.slice(query.own[0], 1).to_pylist()[0]
        return row
    return None


def _differences(found: Found, mine: dict[str, Any], row: int) -> str:
    """Where a neighbour's columns differ most from the query's, in words."""
    columns = found.space.columns
    assert columns is not None
    other = columns.slice(row, 1).to_pylist()[0]
    weights = {name: difference(found, name, mine.get(name), other[name]) for name in other}
    most = sorted((name for name, w in weights.items() if w > APART), key=lambda name: -weights[name])[
        :DIFFERING
    ]
    return "; ".join(f"{name} {cell(mine.get(name))} → {cell(other[name])}" for name in most)


def difference(found: Found, name: str, a: Any, b: Any) -> float:
    """How much two cells of a column differ: in its standard deviations, 1 where categories do."""
    if a is None or b is None:
        return 0.0
    if isinstance(a, bool | str) or isinstance(b, bool | str) or not isinstance(b, int | float):
        return float(a != b)
    spread = found.spread(name)
    return abs(float(a) - float(b)) / spread if spread > 0 else 0.0


def cell(value: Any) -> Any:
    """A value as it is written: floats in six digits."""
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.6g}") if isinstance(value, float) else value
