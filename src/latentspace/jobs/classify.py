"""Labels of all items from those of a few, with a promise, and which to label next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.errors import DataError
from latentspace.jobs import _label_words as words
from latentspace.jobs._given_labels import given_labels
from latentspace.jobs._label_draw import draw
from latentspace.jobs._label_words import Classified
from latentspace.jobs._map_items import encoded
from latentspace.jobs._output import check_out, write_table
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space
from latentspace.space.index import Index
from latentspace.space.pair_head import PairHead

if TYPE_CHECKING:
    from latentspace.models.labels import LabelVote, Told

__all__ = ["classify"]

PICTURES, TABLES = (".png", ".svg", ".pdf"), (".csv", ".parquet")


@job
def classify(
    space: Space | str | Path,
    data: Any = None,
    out: str | Path | None = None,
    *,
    label: str | None = None,
    labels: Any = None,
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.1,
    suggest: Annotated[int, Ge(0)] = 0,
    metric: Literal["euclidean", "pairs"] = "euclidean",
    seed: Annotated[int, Ge(0)] = 0,
    progress: Progress | None = None,
) -> Result:
    """Tell the classes of items from the labels of a few, say which cannot be told, and which to label next.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        New items to classify. Left out: those of the space that have no label yet.
    out
        Where the classes go: a table (.csv, .parquet), or a map of them (.png, .svg, .pdf).
    label
        Which label or column of the space holds the classes of some items, or which column of `labels` does.
    labels
        A table (.csv, .parquet) with the columns id and label of the items whose class is known.
    alpha
        Share of items that may be given a wrong class; the others that cannot be told are called unknown.
    suggest
        How many items to name that are worth most to label next.
    metric
        Distance in Z: euclidean; pairs, what answers to "same or different?" taught (`pairs fit`).
    seed
        Everything random comes from it.
    progress
        Called with what is going on and the share done.
    """
    from latentspace.models.labels import LabelVote

    check_out(out, (*TABLES, *PICTURES))
    tell = progress or (lambda words, share: None)
    space = opened(space)
    given = given_labels(space, label, labels)
    items = None if data is None else space.items(data)
    if items is not None and not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to classify.")
    tell("learning from the labels", None)
    head = PairHead.of(space) if metric == "pairs" else None
    places, near = (
        (space.latents, space.nearest) if head is None else (head.places, Index(head.places).nearest)
    )
    vote = LabelVote(places, near, given.rows, given.codes, len(given.classes), seed)
    tell("telling", None)
    if items is None:
        rows = np.arange(len(space))
        found = Classified(space, given, vote, vote.own, space.latents, space.ids, alpha, rows)
    else:
        z, told = _told(space, items, vote, head)
        found = Classified(space, given, vote, told, z, items.ids, alpha, None, items.labels)
    ask = vote.suggest(suggest, seed) if suggest else np.zeros(0, np.intp)
    frame = words.frame(found, ask)
    return Result(
        summary="\n".join(words.summary(found, ask)),
        tables=words.tables(found, ask),
        figures={"classes": lambda: draw(found)} if space.map is not None else {},
        files=[] if out is None else _written(found, frame, Path(out)),
        data=words.data(found, ask, frame),
        value=frame,
    )


def _told(
    space: Space, items: Items, vote: LabelVote, head: PairHead | None
) -> tuple[NDArray[np.float32], Told]:
    """(latents (n, k), what new items are told); how odd they are is judged by all that is in them, where it can be.

    An encoder may place what it never saw among what it knows.
    """
    from latentspace.models.labels import FAR

    judging = space.scorer if space.scorer is not None and space.scorer.smallest_p <= FAR else None
    latents, places, p_values = [], [], []
    for x, observed in encoded(space, items, space.latents[:0], np.arange(len(items))):
        z = space.model.encode(x)
        latents.append(z)
        places.append(z if head is None else head.place(x, z))
        if judging is not None:
            p_values.append(judging.p_values(x, observed))
    told = vote.tell(np.concatenate(places))
    return np.concatenate(latents), told if judging is None else replace(told, near=np.concatenate(p_values))


def _written(found: Classified, frame: Any, out: Path) -> list[Path]:
    if out.suffix.lower() in TABLES:
        return write_table(frame, out)
    with whole(out) as beside:
        draw(found).savefig(beside, format=out.suffix.lower()[1:])
    return [out]
