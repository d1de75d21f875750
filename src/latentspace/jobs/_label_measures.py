"""What the labels of a few items tell of held-out ones: in Z, in PCA, and by a line among the raw items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.jobs._drawings import rival_of
from latentspace.jobs._given_labels import as_texts
from latentspace.jobs._measures import (
    ENOUGH,
    MAX_REFERENCE,
    compared,
    known,
    learnt_and_tried,
    plain_labels,
    unusable,
)
from latentspace.jobs._verdict import outcome
from latentspace.jobs.base import jsonable
from latentspace.models.labels import LabelVote
from latentspace.space.folder import Space
from latentspace.space.quality import are_classes, knn_accuracy, linear_probe
from latentspace.training.compared import Compared

Array = NDArray[Any]

#: numbers of labels that are tried; held-out items that are told at most; neighbours that vote for the rival at most
LABELS, MAX_TRIED, NEIGHBOURS = (10, 100, 1000), 1000, 5
#: of so many training items one may be labelled, so that most are not
SPARE = 2
#: the share of errors that is allowed
ALPHA = 0.1


def add_label_figures(
    space: Space, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> None:
    """Put the report's section into the space's figures, under "labels", and its verdict beside the others.

    Keys: "n", "of" (training items), "label", "rows" (one a number of labels: accuracy ours, of the nearest in PCA,
    of a linear classifier of the raw items; known and wrong at ALPHA), "verdict". Nothing is added where the first
    label that names classes is on too few items.
    """
    if len(held) < ENOUGH:
        return
    learnt, tried = learnt_and_tried(space.modality, items, train, held, (MAX_REFERENCE, MAX_TRIED), seed)
    for name in learnt.labels:
        y, y_tried = learnt.labels[name], tried.labels[name]
        there, asked = known(y), known(y_tried)
        classes = not unusable(y[there], y_tried[asked]) and are_classes(plain_labels(y[there]))
        numbers = [m for m in LABELS if m * SPARE <= there.sum()]
        if not classes or not numbers:
            continue
        texts, own = as_texts(y), as_texts(y_tried[asked])
        raw = (learnt.x, tried.x[asked])
        views = [raw, *([of(x) for x in raw] for of in (space.model.encode, rival_of(space).transform))]
        found: dict[str, Any] = {"n": len(own), "of": len(learnt), "label": name, "alpha": ALPHA}
        rows = [_row(m, texts, own, views, seed) for m in numbers]
        found["rows"] = [row for row in rows if row]
        if found["rows"]:
            found["verdict"] = " ".join(_said(row, name) for row in found["rows"])
            space.figures["verdict"] += [found["verdict"]]
            space.figures["labels"] = jsonable(found)
        return


def drawn(texts: Array, m: int, seed: int) -> NDArray[np.intp]:
    """m labelled rows by `seed`, one of each class first."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(texts != ""))
    _, first = np.unique(texts[order], return_index=True)
    rest = np.setdiff1d(np.arange(len(order)), first)
    return np.asarray(order[np.concatenate([np.sort(first), rest])[:m]], np.intp)


def _row(m: int, texts: Array, own: Array, views: list[Sequence[Array]], seed: int) -> dict[str, Any] | None:
    """Accuracy by m labels; None where these are of one class."""
    rows = drawn(texts, m, seed)
    classes, codes = np.unique(texts[rows], return_inverse=True)
    if len(classes) < 2:
        return None
    raw, (z, z_tried), pca = views
    vote = LabelVote(z, Compared(z).nearest, rows, codes.astype(np.intp), len(classes), seed)
    told = vote.tell(z_tried)
    hit = classes[told.probabilities.argmax(axis=1)] == own
    voters = max(1, min(NEIGHBOURS, m // len(classes)))
    near = knn_accuracy(pca[0][rows], texts[rows], pca[1], own, voters)
    line = linear_probe(raw[0][rows], texts[rows], raw[1], own)
    sure = told.known(ALPHA, 0.0) & (vote.smallest_p <= ALPHA)
    return {
        "measure": f"told rightly by {m:,} labels",
        "labels": m,
        "higher_is_better": True,
        "known": float(sure.mean()),
        "wrong": float((sure & ~hit).mean()),
        "promised": bool(vote.smallest_p <= ALPHA),
        **compared(hit.astype(float), near, line, seed),
    }


def _said(row: dict[str, Any], label: str) -> str:
    """One sentence, the unflattering included."""
    share, *theirs = (f"{100 * row[name]['value']:.1f} %" for name in ("ours", "pca", "raw"))
    joined = {"better": "better than", "worse": "worse than", "as good": "as good as"}
    said = [
        f"{joined[outcome(row, rival)]} {name} ({value})"
        for (rival, name), value in zip(
            (("pca", "the nearest in PCA"), ("raw", "a linear classifier of the raw items")),
            theirs,
            strict=True,
        )
    ]
    return f"{row['labels']:,} labels ({label}) tell {share} of held-out items rightly: {', '.join(said)}."
