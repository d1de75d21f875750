"""Which items are odd, how sure that is, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from latentspace.data._windows import Windows
from latentspace.data.base import Items
from latentspace.errors import DataError, SpaceError
from latentspace.jobs import _odd_words
from latentspace.jobs._judged import Judged, events, in_time
from latentspace.jobs._measures import MAX_VALUES
from latentspace.jobs._oddities import draw
from latentspace.jobs._output import check_out, write_table
from latentspace.jobs._reasons import reasons
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer

__all__ = ["anomalies"]

KINDS = (".csv", ".parquet", ".png")


@job
def anomalies(
    space: Space | str | Path,
    data: Any,
    out: str | Path | None = None,
    *,
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05,
    fdr: Annotated[float, Gt(0), Lt(1)] | None = None,
    top: Annotated[int, Ge(1)] = 10,
    progress: Progress | None = None,
) -> Result:
    """Find the odd items, with a promise of how many false alarms there are, and the reason for each.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        The items: anything that was good for `fit`, with the same columns or channels.
    out
        Where all items go, with surprise, p-value, flag and reason: .csv or .parquet; .png draws the worst.
    alpha
        False-alarm rate: of usual new items, at most this share is flagged.
    fdr
        False-discovery rate, instead of alpha: of the flagged items, at most this share is usual.
    top
        How many of the worst items are shown.
    progress
        Called with what is going on and the share done.
    """
    check_out(out, KINDS)
    space = opened(space)
    scorer = scorer_of(space)
    check_promised(scorer, alpha, fdr)
    items, note = _in_step(space, space.items(data))
    if not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to judge.")
    judged = judge(space, scorer, items, alpha, fdr, top, progress or (lambda words, share: None))
    found = events(judged)
    shown = judged.worst[:top]

    def figure() -> Any:
        return draw(space.modality, scorer, judged, top)

    return Result(
        summary="\n".join([*_odd_words.summary(judged, scorer, alpha, fdr, found), *note]),
        tables=_odd_words.tables(judged, shown, found, top),
        figures={"anomalies": figure},
        files=_written(judged, out, figure) if out else [],
        data=_odd_words.data(judged, scorer, alpha, fdr, shown, found),
        value=_odd_words.frame(judged),
    )


def scorer_of(space: Space) -> Scorer:
    """The space's scorer; raises SpaceError where it has none."""
    if space.scorer is None:
        raise SpaceError(
            f"{space.path or 'This space'} cannot tell what is odd: when it was fitted no items were held out, "
            "or none were kept (fit it again, with at least 20 items, held_out above 0 and keep_items on)."
        )
    return space.scorer


def check_promised(scorer: Scorer, alpha: float, fdr: float | None) -> None:
    """Raise OptionError where there are too few calibration items to promise so few false alarms."""
    from latentspace.models.promises import check_promise

    check_promise(scorer, *(("alpha", alpha) if fdr is None else ("fdr", fdr)))


# judging


def _in_step(space: Space, items: Items) -> tuple[Items, list[str]]:
    """Without the windows that were put where a recording ends: out of step with its period, all would be odd."""
    if not in_time(items):
        return items, []
    windows: Windows = items.values
    begins = (windows.recording.ends - windows.recording.lengths)[windows.series]
    out = (windows.starts - begins) % windows.hop > 0
    if not out.any():
        return items, []
    left = f"Of {out.sum():,} series the last" if out.sum() > 1 else "The last"
    return space.modality.take(items, np.flatnonzero(~out)), [
        f"{left} samples (fewer than {windows.hop}) are not judged: a window there is out of step with the rest."
    ]


def judge(
    space: Space, scorer: Scorer, items: Items, alpha: float, fdr: float | None, top: int, tell: Progress
) -> Judged:
    """All items scored, and the reasons of the flagged and the `top` worst, a bounded number at a time."""
    from latentspace.models.promises import benjamini_hochberg

    surprise, p = np.empty(len(items)), np.empty(len(items))
    for rows in _blocks(space, np.arange(len(items))):
        tell("judging", float(rows[0]) / len(items))
        x, observed = space.modality.transform(space.modality.take(items, rows))
        surprise[rows], p[rows] = scorer.judge(x, observed)
    flagged = p <= alpha if fdr is None else benjamini_hochberg(p, fdr)
    found = Judged(items, surprise, p, flagged, {})
    told = np.union1d(np.flatnonzero(flagged), found.worst[:top])
    for rows in _blocks(space, told):
        tell("looking for reasons", float(np.searchsorted(told, rows[0])) / len(told))
        each = reasons(space.modality, scorer, space.modality.take(items, rows))
        found.why.update(zip(rows.tolist(), each, strict=True))
    return found


def _blocks(space: Space, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    step = max(1, MAX_VALUES // 16 // int(np.prod(space.modality.shape)))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _written(judged: Judged, out: str | Path, figure: Any) -> list[Path]:
    out = Path(out)
    if out.suffix.lower() != ".png":
        return write_table(_odd_words.frame(judged), out)
    with whole(out) as beside:
        figure().savefig(beside, format="png")
    return [out]
