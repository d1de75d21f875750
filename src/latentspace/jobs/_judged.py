"""Items with how odd they are, and the stretches of time that odd windows make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._windows import Windows
from latentspace.data.base import Items
from latentspace.jobs._reason import Reason, said
from latentspace.jobs._reasons import moments


@dataclass(frozen=True)
class Judged:
    """Items with how odd they are: each (n,); `why` names the reasons of those that are shown or flagged."""

    items: Items
    surprise: NDArray[np.float64]
    p: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    why: dict[int, list[Reason]]

    @property
    def worst(self) -> NDArray[np.intp]:
        """Rows by how odd they are, the oddest first."""
        return np.argsort(-self.surprise, kind="stable")


def events(judged: Judged) -> list[dict[str, Any]]:
    """Flagged windows that overlap, as one event each, in the order of time; none for other items."""
    windows = judged.items.values
    rows = np.flatnonzero(judged.flagged)
    if not in_time(judged.items) or not len(rows):
        return []
    rows = rows[np.argsort(windows.starts[rows], kind="stable")]
    starts, series = windows.starts[rows], windows.series[rows]
    fresh = (np.diff(starts) >= windows.length) | (np.diff(series) > 0)
    groups = np.split(rows, np.flatnonzero(fresh) + 1)
    return [_event(judged, group) for group in groups]


def _event(judged: Judged, rows: NDArray[np.intp]) -> dict[str, Any]:
    worst = int(rows[np.argmax(judged.surprise[rows])])
    (start, _), (_, end) = span(judged.items, rows[0]), span(judged.items, rows[-1])
    return {
        "start": start,
        "end": end,
        "windows": len(rows),
        "surprise": float(judged.surprise[worst]),
        "p_value": float(judged.p[rows].min()),
        "reasons": [reason.to_json() for reason in judged.why[worst]],
        "reason": said(judged.why[worst]),
    }


def span(items: Items, row: np.intp) -> tuple[str, str]:
    """When the window at `row` starts and ends."""
    begin, end = spans(items, np.array([row]))
    return begin[0], end[0]


def spans(items: Items, rows: NDArray[np.intp]) -> tuple[list[str], list[str]]:
    """When each window at `rows` starts, and when it ends."""
    windows: Windows = items.values
    starts, ends = windows.starts[rows], windows.recording.ends[windows.series[rows]]
    return moments(windows, starts), moments(windows, np.minimum(starts + windows.length, ends) - 1)


def in_time(items: Items) -> bool:
    """Whether the items are stretches of a longer recording."""
    return isinstance(items.values, Windows) and items.values.recording.form not in ("nct", "ntc")
