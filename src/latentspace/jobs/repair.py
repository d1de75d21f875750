"""The smallest change that makes an odd item normal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from latentspace.errors import DataError
from latentspace.jobs import _repair_words as words
from latentspace.jobs._made_files import FIGURES
from latentspace.jobs._output import TABLES, check_out, kinds_for
from latentspace.jobs._repair_files import Mended, changed_table, draw_repairs, write_repairs
from latentspace.jobs._repairs import Repairer
from latentspace.jobs.anomalies import check_promised, scorer_of
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.folder import Space

__all__ = ["repair"]


@job
def repair(
    space: Space | str | Path,
    data: Any,
    out: str | Path | None = None,
    *,
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05,
    top: Annotated[int, Ge(1)] = 10,
    progress: Progress | None = None,
) -> Result:
    """Find the smallest change that makes each odd item normal: few columns, not far, and where items lie.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        The items: anything that was good for `fit`, with the same columns or channels.
    out
        Where all items go, the odd ones repaired and the others as they are: tables and signals .csv, .parquet or
        .npy; pictures a sheet (.png), a folder or .npy. A table may also be drawn (.png, .svg, .pdf).
    alpha
        What is odd: of usual new items, at most this share is (as in `anomalies`).
    top
        How many repairs are shown, those of the oddest items first.
    progress
        Called with what is going on and the share done.
    """
    space = opened(space)
    kinds, folder = kinds_for(space.modality)
    check_out(out, tuple(dict.fromkeys((*kinds, *FIGURES))) if folder else (*TABLES, *FIGURES), folder)
    scorer = scorer_of(space)
    check_promised(scorer, alpha, None)
    tell = progress or (lambda words, share: None)
    tell("judging", None)
    items = space.items(data)
    if not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to repair.")
    x, observed = space.modality.transform(items)
    surprise, p = scorer.judge(x, observed)
    odd = np.flatnonzero(p <= alpha)
    odd = odd[np.argsort(-surprise[odd], kind="stable")]
    repairer, found = Repairer(space, scorer, alpha), []
    for i, row in enumerate(odd):
        tell("repairing", i / len(odd))
        found.append(repairer.repair(x[row], None if observed is None else observed[row], float(p[row])))
    mended = Mended(space, items, x, observed, odd, found)
    return Result(
        summary="\n".join(words.summary(mended, alpha)),
        tables=words.tables(mended, top),
        figures={"repairs": lambda: draw_repairs(mended)} if found else {},
        files=[] if out is None else write_repairs(mended, out),
        data={"items": len(items), "odd": len(odd), "alpha": alpha, "repairs": words.rows(mended)},
        value=changed_table(mended),
    )
