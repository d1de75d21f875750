"""How far the places of a map can be trusted, beside the cheapest map there is: the latents' two principal axes."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.jobs._map_items import CONTINUITY, MAX_REFERENCE, NEIGHBOURS, TRUSTWORTHINESS
from latentspace.jobs._measures import room_for
from latentspace.jobs._parts import Sample
from latentspace.jobs._verdict import outcome
from latentspace.jobs.base import jsonable
from latentspace.space.folder import Space
from latentspace.space.quality import bootstrap_interval, local_trustworthiness

Array = NDArray[Any]

#: held-out items that are tried at most, and at least
MAX_TRIED, ENOUGH = 1000, 20


def plane_of(z: Array, dimensions: int = 2) -> Array:
    """(k, dimensions) the first principal axes of latents z (n, k), with zeros where there are fewer."""
    _, vectors = np.linalg.eigh(np.cov(z.T.astype(float)).reshape(z.shape[1], z.shape[1]))
    axes = vectors[:, ::-1][:, :dimensions]
    return np.pad(axes, ((0, 0), (0, dimensions - axes.shape[1])))


def beside_plane(
    x: Array, ours: Array, plane: Array, tried: NDArray[np.intp], seed: int = 0
) -> list[dict[str, Any]]:
    """Rows of trustworthiness and continuity of the items `tried`: our map's and the plane's, with intervals.

    x (n, ...) says who is near whom; ours, plane (n, 2 or 3) are the places. JSON-able, as
    `_verdict.outcome` reads it.
    """
    k = max(1, min(NEIGHBOURS, (len(x) - 1) // 3))
    rows = []
    for name in (TRUSTWORTHINESS, CONTINUITY):
        each = []
        for y in (ours, plane):
            a, b = (x, y) if name == TRUSTWORTHINESS else (y, x)
            each.append(local_trustworthiness(a[tried], b[tried], a, b, k, tried))
        row: dict[str, Any] = {"measure": f"{name}({k})", "higher_is_better": True}
        row |= {
            "ours": asdict(bootstrap_interval(each[0], seed=seed)),
            "pca": asdict(bootstrap_interval(each[1], seed=seed)),
        }
        rows.append({**row, "against_pca": asdict(bootstrap_interval(*each, seed=seed))})
    return rows


def plane_words(rows: list[dict[str, Any]], dimensions: int = 2) -> str:
    """How the map does beside the plane, the unflattering included."""
    groups: dict[str, list[str]] = {"better": [], "as good": [], "worse": []}
    for row in rows:
        groups[outcome(row, "pca")].append(row["measure"].split("(")[0])
    theirs = " and ".join(f"{row['pca']['value']:.3f}" for row in rows)
    said = "; ".join(f"{word} in {' and '.join(found)}" for word, found in groups.items() if found)
    plane = "is the better map" if groups["worse"] else "does as well, and is simpler"
    more = "" if groups["better"] else f" Here PCA {plane}."
    first = {2: "plane of the first two", 3: "space of the first three"}[dimensions]
    return f"The {first} principal axes (PCA) has {theirs}: beside it the map is {said}.{more}"


def with_interval(interval: dict[str, float]) -> str:
    """``"0.971 (95 % interval 0.969 to 0.973)"``."""
    return f"{interval['value']:.3f} (95 % interval {interval['low']:.3f} to {interval['high']:.3f})"


def add_map_figures(space: Space, items: Items, held: NDArray[np.intp], seed: int) -> None:
    """Put the report's section into the space's figures, under "map", and its verdict beside the others.

    Held-out items are tried among up to MAX_REFERENCE items, held out or not: who is near whom is told by the items
    themselves. Keys: "n", "rows" (trustworthiness and continuity, ours and the plane's), "verdict". Nothing is added
    where the space has no map, or too few items are held out.
    """
    if space.map is None or len(held) < ENOUGH:
        return
    rng, room = np.random.default_rng(seed), room_for(space.modality.shape, MAX_REFERENCE)
    tried = rng.permutation(held)[: min(MAX_TRIED, room)]
    others = np.delete(np.arange(len(items)), tried)
    rows = np.concatenate([tried, rng.permutation(others)[: room - len(tried)]])
    with warnings.catch_warnings():
        # What only a held-out item holds (a rare category) is measured as a gap, and no mistake of the user's.
        warnings.simplefilter("ignore", UserWarning)
        x = Sample.of(space.modality, items, rows).x
    z = space.latents[rows]
    measured = beside_plane(x, space.map.place(z), z @ plane_of(space.latents), np.arange(len(tried)), seed)
    found = {"n": len(tried), "rows": measured, "verdict": _verdict(measured, len(tried))}
    space.figures["map"] = jsonable(found)
    space.figures["verdict"] += [found["verdict"]]


def _verdict(rows: list[dict[str, Any]], n: int) -> str:
    trust, continuity = (row["ours"] for row in rows)
    return (
        f"How far the map can be trusted, by {n:,} held-out items: {rows[0]['measure']} {with_interval(trust)}, "
        f"{rows[1]['measure']} {with_interval(continuity)}. {plane_words(rows)}"
    )
