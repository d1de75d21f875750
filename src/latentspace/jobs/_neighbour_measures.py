"""What the nearest nine training items of held-out ones are worth, in Z, in PCA and among the raw items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.data.image import Image
from latentspace.jobs._drawings import Drawing, as_pictures, rival_of
from latentspace.jobs._measures import (
    ENOUGH,
    MAX_LABELS,
    MAX_REFERENCE,
    compared,
    known,
    learnt_and_tried,
    plain_labels,
    unusable,
)
from latentspace.jobs._parts import Sample
from latentspace.jobs._reasons import in_channels
from latentspace.jobs._verdict import outcome
from latentspace.jobs.base import jsonable
from latentspace.space.folder import Space
from latentspace.space.index import Index
from latentspace.space.quality import are_classes

Array = NDArray[Any]

#: the lecture's nine, and held-out items that are tried at most
NINE, MAX_TRIED = 9, 1000
#: held-out items that the space keeps with their neighbours to be shown, and values of all of these at most
SHOWN, MOST_VALUES = 3, 2**20
#: where the arrays of these lie among the evidence
QUERIES, NEAR = "neighbours.queries", "neighbours.{}"


def add_neighbour_figures(
    space: Space, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int, keep_items: bool
) -> None:
    """Put the report's section into the space's figures, under "neighbours", and its verdict beside the others.

    Keys: "n", "of" (training items looked through), "rows" (one a label: how many of the nearest nine have the
    item's own, ours, PCA's and the raw items'), "examples" (what stands under the pictures), "verdict". Pictures
    and curves of a few go into the space's evidence where `keep_items`. Nothing is added where too few are held out.
    """
    if len(held) < ENOUGH or len(train) <= NINE:
        return
    learnt, tried = learnt_and_tried(space.modality, items, train, held, (MAX_REFERENCE, MAX_TRIED), seed)
    views: dict[str, Callable[[Array], Array]] = {
        "ours": space.model.encode,
        "pca": rival_of(space).transform,
        "raw": lambda x: x.reshape(len(x), -1),
    }
    near = {name: Index(of(learnt.x)).nearest(of(tried.x), NINE) for name, of in views.items()}
    rows = [
        _row(name, learnt, tried, {view: found for view, (found, _) in near.items()}, seed)
        for name in list(tried.labels)[:MAX_LABELS]
    ]
    found: dict[str, Any] = {"n": len(tried), "of": len(learnt), "rows": [row for row in rows if row]}
    if keep_items and len(space.modality.shape) > 1:
        found["examples"] = _kept(space, learnt, tried, near)
    if found["rows"]:
        found["verdict"] = " ".join(_said(row) for row in found["rows"])
        space.figures["verdict"] += [found["verdict"]]
    space.figures["neighbours"] = jsonable(found)


def purity(near: Array, y: Array, y_tried: Array) -> NDArray[np.float64]:
    """(n,) the share of each item's neighbours, rows `near` (n, k) of y, that have its label.

    >>> purity(np.array([[0, 1], [1, 2]]), np.array(["a", "b", "b"]), np.array(["a", "b"])).tolist()
    [0.5, 1.0]
    """
    return np.asarray((y[near] == y_tried[:, None]).mean(axis=1))


def _row(
    name: str, learnt: Sample, tried: Sample, near: dict[str, Array], seed: int
) -> dict[str, Any] | None:
    """Purity by one label; None where it names no classes, or too few items have it."""
    if name not in learnt.labels:
        return None
    y, y_tried = learnt.labels[name], tried.labels[name]
    there = known(y_tried)
    if unusable(y[known(y)], y_tried[there]) or not are_classes(plain_labels(y[known(y)])):
        return None
    texts, own = _texts(y), _texts(y_tried)[there]
    each = {view: purity(rows[there], texts, own) for view, rows in near.items()}
    by_class = [
        {name: value, "n": int((own == value).sum())}
        | {view: float(shares[own == value].mean()) for view, shares in each.items()}
        for value in np.unique(own).tolist()
    ]
    return {
        "measure": f"{name}: the same among the nearest {NINE}",
        "label": name,
        "higher_is_better": True,
        "baseline": float((texts[:, None] == own[None, :200]).mean()),
        "classes": sorted(by_class, key=lambda row: float(row["ours"])),
        **compared(each["ours"], each["pca"], each["raw"], seed),
    }


def _texts(y: Array) -> Array:
    return np.array([str(v) if there else "" for v, there in zip(y.tolist(), known(y), strict=True)])


def _said(row: dict[str, Any]) -> str:
    """One sentence, the unflattering included."""
    share, *theirs = (f"{100 * row[name]['value']:.1f} %" for name in ("ours", "pca", "raw"))
    joined = {"better": "better than", "worse": "worse than", "as good": "as good as"}
    said = [
        f"{joined[outcome(row, rival)]} {name} ({value})"
        for (rival, name), value in zip((("pca", "PCA"), ("raw", "raw items")), theirs, strict=True)
    ]
    return (
        f"Of the nearest {NINE} in Z of a held-out item, {share} have its {row['label']}: {', '.join(said)}."
    )


# pictures


def _kept(
    space: Space, learnt: Sample, tried: Sample, near: dict[str, tuple[Array, Array]]
) -> list[dict[str, Any]]:
    """Put a few items and their neighbours into the space's evidence; what stands under each."""
    room = MOST_VALUES // (int(np.prod(space.modality.shape)) * (1 + 2 * NINE))
    shown = np.arange(min(SHOWN, room, len(tried)))
    if not len(shown):
        return []
    space.evidence[QUERIES] = tried.x[shown]
    label = next(iter(learnt.labels), None)
    words: list[dict[str, Any]] = [{} for _ in shown]
    for view in ("ours", "pca"):
        rows, distances = (found[shown] for found in near[view])
        space.evidence[NEAR.format(view)] = learnt.x[rows]
        for i in shown.tolist():
            names = [""] * NINE if label is None else _texts(learnt.labels[label][rows[i]]).tolist()
            words[i][view] = [
                f"{a}\n{b:.3g}".strip() for a, b in zip(names, distances[i].tolist(), strict=True)
            ]
    return words


def neighbour_drawings(space: Space) -> list[Drawing]:
    """A few held-out pictures or windows beside their nearest nine, ours above PCA's."""
    if QUERIES not in space.evidence:
        return []
    caption = (
        "Held-out items (framed) and the training items nearest to each: in our latents above, in PCA's below; under "
        "each its label, where there is one, and its distance."
    )
    return [Drawing("neighbours", caption, lambda: _drawn(space))]


def _drawn(space: Space) -> Any:
    from latentspace import plots_neighbours

    modality, queries = space.modality, space.evidence[QUERIES]
    rows, words = [], []
    for i, texts in enumerate(space.figures["neighbours"]["examples"]):
        for view, title in (("ours", "nearest by ours"), ("pca", "nearest by PCA")):
            rows.append((queries[i : i + 1], space.evidence[NEAR.format(view)][i]))
            words.append([title, *texts[view]])
    if isinstance(modality, Image):
        seen = [tuple(as_pictures(modality, x) for x in pair) for pair in rows]
        return plots_neighbours.neighbour_pictures([(a[0], b) for a, b in seen], words)
    seen = [tuple(in_channels(modality, x) for x in pair) for pair in rows]
    return plots_neighbours.neighbour_curves([(a[0], b) for a, b in seen], words)
