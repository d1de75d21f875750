"""What is said of odd items: sentences, rows to print, and all figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._windows import Windows
from latentspace.jobs._judged import Judged, in_time, span, spans
from latentspace.jobs._reason import said
from latentspace.jobs._verdict import count

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer


def summary(
    judged: Judged, scorer: Scorer, alpha: float, fdr: float | None, events: list[dict[str, Any]]
) -> list[str]:
    """How many are flagged, what is promised, and what that is beside chance; a sentence each."""
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
    windows = " Windows resemble their neighbours, so it holds over long stretches." * in_time(judged.items)
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


def tables(
    judged: Judged, shown: NDArray[np.intp], events: list[dict[str, Any]], top: int
) -> dict[str, list[dict[str, Any]]]:
    """The oddest items, and the oddest events, as rows to print."""
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


def data(
    judged: Judged,
    scorer: Scorer,
    alpha: float,
    fdr: float | None,
    shown: NDArray[np.intp],
    events: list[dict[str, Any]],
) -> dict[str, Any]:
    """All figures, JSON-able: the oddest items and all flagged ones with their reasons."""
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
    return found | ({"events": events} if in_time(judged.items) else {})


def _row(judged: Judged, i: np.intp) -> dict[str, Any]:
    found: dict[str, Any] = {"id": judged.items.ids[i]}
    if in_time(judged.items):
        found["start"], found["end"] = span(judged.items, i)
    return {
        **found,
        "surprise": judged.surprise[i],
        "p_value": judged.p[i],
        "flagged": judged.flagged[i],
        "reasons": [reason.to_json() for reason in judged.why[int(i)]],
    }


def frame(judged: Judged) -> Any:
    """All items as a pyarrow table: id, (start, end,) surprise, p_value, flagged, reason of the flagged."""
    import pyarrow as pa

    n = len(judged.p)
    why = [said(judged.why[i]) if judged.flagged[i] else "" for i in range(n)]
    stretch = {}
    if in_time(judged.items):
        stretch["start"], stretch["end"] = spans(judged.items, np.arange(n))
    return pa.table(
        {
            "id": judged.items.ids,
            **stretch,
            "surprise": judged.surprise,
            "p_value": judged.p,
            "flagged": judged.flagged,
            "reason": why,
        }
    )
