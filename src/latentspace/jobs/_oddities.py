"""The picture of the oddest items: pictures with heat maps, signals with marked stretches, bars of reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots
from latentspace.data._windows import Windows
from latentspace.data.base import Modality
from latentspace.data.image import Image
from latentspace.jobs._drawings import as_pictures
from latentspace.jobs._judged import Judged, in_time
from latentspace.jobs._reasons import channel_names, in_channels

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer

#: items, windows and channels drawn at most
FEW_ITEMS, FEW_WINDOWS, FEW_CHANNELS = 8, 3, 3


def draw(modality: Modality, scorer: Scorer, judged: Judged, most: int) -> Any:
    """One figure of the `most` oddest items, and of all that is flagged where they are windows of a signal."""
    shown = judged.worst[: min(most, FEW_ITEMS)]
    if isinstance(judged.items.values, Windows):
        return _signal(modality, scorer, judged, _apart(judged, FEW_WINDOWS))
    if isinstance(modality, Image):
        return _pictures(modality, scorer, judged, shown)
    rows = [
        (_title(judged, i), [(reason.words, reason.share) for reason in judged.why[int(i)]]) for i in shown
    ]
    return plots.reasons(rows)


def _title(judged: Judged, i: np.intp) -> str:
    aside = "" if judged.flagged[i] else ", not flagged"
    return f"{judged.items.ids[i]}  (surprise {judged.surprise[i]:.2f}{aside})"


def _pictures(image: Image, scorer: Scorer, judged: Judged, shown: NDArray[np.intp]) -> Any:
    x, observed = image.transform(image.take(judged.items, shown))
    versions = {
        "picture": as_pictures(image, x),
        "expected": as_pictures(image, scorer.expected(x, observed)),
    }
    heat = scorer.contributions(x, observed).sum(axis=1)
    places = [reason.place for i in shown for reason in judged.why[int(i)][:1]]
    boxes = [
        (*place["rows"], *place["columns"]) if judged.flagged[i] else None
        for i, place in zip(shown, places, strict=True)
    ]
    titles = [
        f"{str(judged.items.ids[i])[-16:]}\n{judged.surprise[i]:.2f}{'' if judged.flagged[i] else ' not flagged'}"
        for i in shown
    ]
    return plots.odd_pictures(versions, heat, boxes, titles)


def _apart(judged: Judged, most: int) -> NDArray[np.intp]:
    """The oddest windows (of the flagged, where any are), of those that overlap the oddest only."""
    windows: Windows = judged.items.values
    kept: list[np.intp] = []
    for i in judged.worst:
        if int(i) not in judged.why or len(kept) == most or (kept and not judged.flagged[i]):
            break
        if all(abs(int(windows.starts[i] - windows.starts[j])) >= windows.length for j in kept):
            kept.append(i)
    return np.array(kept, np.intp)


def _signal(modality: Modality, scorer: Scorer, judged: Judged, shown: NDArray[np.intp]) -> Any:
    windows: Windows = judged.items.values
    flagged = np.flatnonzero(judged.flagged)
    ends = windows.recording.ends[windows.series]
    spans = [
        (int(windows.starts[i]), int(min(windows.starts[i] + windows.length, ends[i]) - 1)) for i in flagged
    ]
    marks: dict[str, list[tuple[int, int]]] = {}
    for i, (start, end) in zip(flagged, spans, strict=True):
        for reason in judged.why[int(i)][:1]:
            mark = (start + reason.place["first"], min(start + reason.place["last"], end))
            marks.setdefault(reason.part, []).append(mark)
    return plots.odd_stretches(
        _recording(modality, judged) if in_time(judged.items) else None,
        merged(spans),
        {channel: merged(stretches) for channel, stretches in marks.items()},
        _windows(modality, scorer, judged, shown),
    )


def merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that touch, as one.

    >>> merged([(0, 5), (3, 8), (12, 14)])
    [(0, 8), (12, 14)]
    """
    out: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return out


def _recording(modality: Modality, judged: Judged) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Times, and the channels that are blamed most."""
    recording = judged.items.values.recording
    names = channel_names(modality)
    blamed = [found[0].part for i, found in judged.why.items() if found and judged.flagged[i]]
    order = sorted(names, key=lambda name: -blamed.count(name))[:FEW_CHANNELS]
    values = {name: recording.samples[:, names.index(name)].astype(float) for name in order}
    return _times(recording), values


def _times(recording: Any) -> NDArray[Any]:
    if recording.clock is None:
        return np.arange(len(recording.samples))
    stamps = recording.clock.stamps
    if recording.clock.origin is None:
        return np.asarray(stamps)
    since = np.rint(stamps * 1e6).astype("timedelta64[us]")
    return np.asarray(recording.clock.origin.astype("datetime64[us]") + since)


def _windows(
    modality: Modality, scorer: Scorer, judged: Judged, shown: NDArray[np.intp]
) -> list[dict[str, Any]]:
    if not len(shown):
        return []
    x, observed = modality.transform(modality.take(judged.items, shown))
    values, expected = in_channels(modality, x), in_channels(modality, scorer.expected(x, observed))
    low, high = in_channels(modality, np.asarray(scorer.usual))
    seen = np.where(True if observed is None else observed, values.astype(float), np.nan)
    names, found = channel_names(modality), []
    for j, i in enumerate(shown):
        for reason in judged.why[int(i)][:1]:
            c = names.index(reason.part)
            lines = {
                "values": seen[j, c],
                "expected": expected[j, c],
                "low": low[c].astype(float),
                "high": high[c].astype(float),
            }
            mark = (reason.place["first"], reason.place["last"])
            found.append({"title": _title(judged, i), "channel": reason.part, "mark": mark, **lines})
    return found
