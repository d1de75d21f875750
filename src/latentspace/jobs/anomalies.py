"""Which items are odd, how sure that is, and why."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from latentspace.data._windows import Windows
from latentspace.data.base import Items
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs._measures import MAX_VALUES
from latentspace.jobs._oddities import Judged, draw
from latentspace.jobs._output import check_out, write_table
from latentspace.jobs._reason import said
from latentspace.jobs._reasons import moments, reasons
from latentspace.jobs._verdict import count
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
    check_promise(scorer, alpha, fdr)
    items, note = _in_step(space, space.items(data))
    if not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to judge.")
    judged = judge(space, scorer, items, alpha, fdr, top, progress or (lambda words, share: None))
    events = _events(judged)
    shown = judged.worst[:top]

    def figure() -> Any:
        return draw(space.modality, scorer, judged, top)

    return Result(
        summary="\n".join([*_summary(judged, scorer, alpha, fdr, events), *note]),
        tables=_tables(judged, shown, events, top),
        figures={"anomalies": figure},
        files=_written(judged, out, figure) if out else [],
        data=_data(judged, scorer, alpha, fdr, shown, events),
        value=frame(judged),
    )


def scorer_of(space: Space) -> Scorer:
    """The space's scorer; raises SpaceError where it has none."""
    if space.scorer is None:
        raise SpaceError(
            f"{space.path or 'This space'} cannot tell what is odd: no items were held out when it was fitted "
            "(fit it again, with at least 20 items and held_out above 0)."
        )
    return space.scorer


def check_promise(scorer: Scorer, alpha: float, fdr: float | None) -> None:
    """Raise OptionError where there are too few calibration items to promise so few false alarms."""
    name, value = ("alpha", alpha) if fdr is None else ("fdr", fdr)
    if scorer.smallest_p > value:
        least = _rounded_up(scorer.smallest_p)
        raise OptionError(
            f"{name}={value:g} cannot be promised with {count(scorer.n_calibration, 'calibration item')}: "
            f"the smallest that can is {least:g} (more items held out allow less)."
        )


def _rounded_up(p: float) -> float:
    """To two digits, upwards, so that it can be given back as an option."""
    step = 10.0 ** (math.floor(math.log10(p)) - 1)
    return float(f"{math.ceil(round(p / step, 9)) * step:.6g}")


# judging


def _in_step(space: Space, items: Items) -> tuple[Items, list[str]]:
    """Without the windows that were put where a recording ends: out of step with its period, all would be odd."""
    if not _in_time(items):
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
    from latentspace.models.anomaly import benjamini_hochberg

    surprise, p = np.empty(len(items)), np.empty(len(items))
    for rows in _blocks(space, np.arange(len(items))):
        tell("judging", float(rows[0]) / len(items))
        x, observed = space.modality.transform(space.modality.take(items, rows))
        surprise[rows], p[rows] = scorer.scores(x, observed), scorer.p_values(x, observed)
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


def _events(judged: Judged) -> list[dict[str, Any]]:
    """Flagged windows that overlap, as one event each, in the order of time; none for other items."""
    windows = judged.items.values
    rows = np.flatnonzero(judged.flagged)
    if not _in_time(judged.items) or not len(rows):
        return []
    rows = rows[np.argsort(windows.starts[rows], kind="stable")]
    starts, series = windows.starts[rows], windows.series[rows]
    fresh = (np.diff(starts) >= windows.length) | (np.diff(series) > 0)
    groups = np.split(rows, np.flatnonzero(fresh) + 1)
    return [_event(judged, group) for group in groups]


def _event(judged: Judged, rows: NDArray[np.intp]) -> dict[str, Any]:
    worst = int(rows[np.argmax(judged.surprise[rows])])
    (start, _), (_, end) = _span(judged.items, rows[0]), _span(judged.items, rows[-1])
    return {
        "start": start,
        "end": end,
        "windows": len(rows),
        "surprise": float(judged.surprise[worst]),
        "p_value": float(judged.p[rows].min()),
        "reasons": [reason.to_json() for reason in judged.why[worst]],
        "reason": said(judged.why[worst]),
    }


def _span(items: Items, row: np.intp) -> tuple[str, str]:
    """When the window at `row` starts and ends."""
    begin, end = _spans(items, np.array([row]))
    return begin[0], end[0]


def _spans(items: Items, rows: NDArray[np.intp]) -> tuple[list[str], list[str]]:
    """When each window at `rows` starts, and when it ends."""
    windows: Windows = items.values
    starts, ends = windows.starts[rows], windows.recording.ends[windows.series[rows]]
    return moments(windows, starts), moments(windows, np.minimum(starts + windows.length, ends) - 1)


def _in_time(items: Items) -> bool:
    """Whether the items are stretches of a longer recording."""
    return isinstance(items.values, Windows) and items.values.recording.form not in ("nct", "ntc")


# saying


def _summary(
    judged: Judged, scorer: Scorer, alpha: float, fdr: float | None, events: list[dict[str, Any]]
) -> list[str]:
    n, flagged = len(judged.p), int(judged.flagged.sum())
    word = "window" if isinstance(judged.items.values, Windows) else "item"
    are = "is" if flagged == 1 else "are"
    merged = f", in {count(len(events), 'event')}" if events else ""
    first = f"{flagged:,} of {count(n, word)} {are} flagged ({100 * flagged / n:.3g} %){merged}."
    by = f"judged by {count(scorer.n_calibration, word)} that took no part in training"
    if fdr is None:
        promise = f"of usual new {word}s, at most {100 * alpha:.3g} % are flagged ({by})"
        more = [_beside_chance(flagged, alpha * n, word)]
    else:
        promise = f"of the new {word}s that are flagged, at most about {100 * fdr:.3g} % are usual ({by})"
        more = [] if flagged else _resolution(scorer, fdr, n, word)
    windows = " Windows resemble their neighbours, so it holds over long stretches." * _in_time(judged.items)
    return [first, f"Promise: {promise}.{windows}", *more]


def _beside_chance(flagged: int, chance: float, word: str) -> str:
    about = f"{chance:,.0f}" if chance >= 9.5 else f"{chance:.2g}"
    often = f"Were all of them usual, about {about} would be flagged by chance"
    if flagged <= chance + 2 * math.sqrt(chance):
        return f"{often}: here are not clearly more; the surprise says which to look at first."
    return f"{often}, so most of the flagged {word}s are odd." if flagged > 2 * chance else f"{often}."


def _resolution(scorer: Scorer, fdr: float, n: int, word: str) -> list[str]:
    """Why none is flagged, besides that none may be odd."""
    found = [
        f"{word.capitalize()}s that took part in training are ranked among themselves, where some are always "
        "the oddest: of them fdr can tell nothing, alpha can."
    ]
    least = math.ceil(scorer.smallest_p * n / fdr - 1e-9)
    if least > 1:
        found.append(
            f"Of {n:,} new {word}s none is flagged before {least:,} are odder than all "
            f"{count(scorer.n_calibration, 'calibration item')}: judge fewer at a time, or give alpha instead."
        )
    return found


def _tables(
    judged: Judged, shown: NDArray[np.intp], events: list[dict[str, Any]], top: int
) -> dict[str, list[dict[str, Any]]]:
    worst = [
        {
            "id": judged.items.ids[i],
            "surprise": f"{judged.surprise[i]:.2f}",
            "p-value": f"{judged.p[i]:.2g}",
            "flagged": "yes" if judged.flagged[i] else "no",
            "main reason (its share)": said(judged.why[int(i)][:1]),
        }
        for i in shown
    ]
    found = {f"The {len(worst)} oddest" if len(worst) > 1 else "The oddest": worst}
    if events:
        kept = sorted(events, key=lambda event: -event["surprise"])[:top]
        found["Events: flagged windows that overlap, as one (the oddest first)"] = [
            {
                "from": event["start"],
                "to": event["end"],
                "windows": event["windows"],
                "surprise": f"{event['surprise']:.2f}",
                "main reason": event["reasons"][0]["words"] if event["reasons"] else "",
            }
            for event in kept
        ]
    return found


def _data(
    judged: Judged,
    scorer: Scorer,
    alpha: float,
    fdr: float | None,
    shown: NDArray[np.intp],
    events: list[dict[str, Any]],
) -> dict[str, Any]:
    flagged = [i for i in judged.worst if judged.flagged[i]]
    found = {
        "items": len(judged.p),
        "flagged": len(flagged),
        "alpha": alpha if fdr is None else None,
        "fdr": fdr,
        "calibration_items": scorer.n_calibration,
        "smallest_p": scorer.smallest_p,
        "worst": [_row(judged, i) for i in shown],
        "flagged_items": [_row(judged, i) for i in flagged],
    }
    return found | ({"events": events} if _in_time(judged.items) else {})


def _row(judged: Judged, i: np.intp) -> dict[str, Any]:
    found: dict[str, Any] = {"id": judged.items.ids[i]}
    if _in_time(judged.items):
        found["start"], found["end"] = _span(judged.items, i)
    return {
        **found,
        "surprise": judged.surprise[i],
        "p_value": judged.p[i],
        "flagged": judged.flagged[i],
        "reasons": [reason.to_json() for reason in judged.why[int(i)]],
    }


# writing


def frame(judged: Judged) -> Any:
    """All items as a pyarrow table: id, (start, end,) surprise, p_value, flagged, reason of the flagged."""
    import pyarrow as pa

    n = len(judged.p)
    why = [said(judged.why[i]) if judged.flagged[i] else "" for i in range(n)]
    spans = {}
    if _in_time(judged.items):
        spans["start"], spans["end"] = _spans(judged.items, np.arange(n))
    return pa.table(
        {
            "id": judged.items.ids,
            **spans,
            "surprise": judged.surprise,
            "p_value": judged.p,
            "flagged": judged.flagged,
            "reason": why,
        }
    )


def _written(judged: Judged, out: str | Path, figure: Any) -> list[Path]:
    out = Path(out)
    if out.suffix.lower() != ".png":
        return write_table(frame(judged), out)
    with whole(out) as beside:
        figure().savefig(beside, format="png")
    return [out]
