"""A restoration drawn: some items before and after, and the candidates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots_denoise
from latentspace.data.base import Modality
from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.jobs._denoise_words import OURS, Story, called
from latentspace.jobs._drawings import as_pictures

Array = NDArray[Any]
#: pictures and windows that are drawn
PICTURES, WINDOWS = 8, 3
NOTE = "The last is the one that changed most beyond what noise explains."


def figures(story: Story) -> dict[str, Any]:
    """Name → a function that draws it."""
    found: dict[str, Any] = {}
    if len(story.items) and _can_be_seen(story):
        found["denoised"] = lambda: draw_items(story)
    if len(story.restorer.candidates) > 1:
        found["candidates"] = lambda: draw_candidates(story)
    return found


def _can_be_seen(story: Story) -> bool:
    if isinstance(story.modality, Image):
        return isinstance(story.target, Image) or story.target is story.modality
    return story.removed is not None


def draw_candidates(story: Story) -> Any:
    """What each candidate gains, with intervals."""
    rows = story.restorer.candidates
    gains, lows, highs, weights = (
        np.array([getattr(c, name) for c in rows], float) for name in ("gain", "low", "high", "weight")
    )
    ours = [c.name in OURS for c in rows]
    return plots_denoise.candidates_view(
        [called(c.name) for c in rows], gains, lows, highs, weights, ours, story.rival
    )


def draw_items(story: Story) -> Any:
    """Some items before and after, in their own form."""
    if isinstance(story.modality, Image):
        return _pictures(story)
    if isinstance(story.modality, Signal):
        return _curves(story)
    return _columns(story)


def _rows(story: Story, most: int) -> NDArray[np.intp]:
    """Items spread over all of them, and the one with most suspect elements."""
    n = len(story.x)
    if story.removed is None or not story.removed.suspect.any():
        return np.unique(np.linspace(0, n - 1, min(most, n)).astype(np.intp))
    worst = int(story.removed.suspect.reshape(n, -1).mean(axis=1).argmax())
    spread = np.unique(np.linspace(0, n - 1, min(most, n)).astype(np.intp))
    return np.append(spread[spread != worst][: most - 1], worst)


def _marked(story: Story, rows: NDArray[np.intp]) -> tuple[NDArray[np.bool_] | None, str]:
    if story.removed is None or not story.removed.suspect.any():
        return None, ""
    return story.removed.suspect[rows], NOTE


def _pictures(story: Story) -> Any:
    rows = _rows(story, PICTURES)
    x, y = _seen(story, rows)
    before, after = lightness(story.modality, x), lightness(story.target, y)
    suspect, note = _marked(story, rows)
    removed = before - after if before.shape == after.shape else None
    marks = None if suspect is None else np.asarray(suspect.any(axis=1))
    if np.isnan(before).any():
        note = f"{note} Chequered: gaps.".strip()
    titles = [str(i) for i in story.items.ids[rows]]
    return plots_denoise.denoised_pictures(before, after, removed, marks, titles, note)


def _seen(story: Story, rows: NDArray[np.intp]) -> tuple[Array, Array]:
    """Items before, NaN at their gaps, and after."""
    x = story.x[rows]
    if story.observed is not None:
        x = np.where(story.observed[rows], x, np.nan)
    return x, story.y[rows]


def lightness(modality: Modality, x: Array) -> Array:
    """(n, H, W, 1 or 3) in [0, 1] of encoded pictures (n, C, H, W); NaN stays."""
    assert isinstance(modality, Image)
    return as_pictures(modality, x)


def _curves(story: Story) -> Any:
    rows = _rows(story, WINDOWS)
    x, y = _seen(story, rows)
    before, after = (np.asarray(story.modality.inverse_transform(a), float) for a in (x, y))
    before, after = (_channels_first(a, story) for a in (before, after))
    suspect, note = _marked(story, rows)
    channels = list(getattr(story.modality, "channels", ()))
    titles = [str(i) for i in story.items.ids[rows]]
    removed = np.nan_to_num(before - after)
    return plots_denoise.denoised_curves(before, after, removed, suspect, channels, titles, note)


def _channels_first(values: Array, story: Story) -> Array:
    shape = story.modality.shape
    return values if values.shape[1:] == shape else values.transpose(0, 2, 1)


def _columns(story: Story) -> Any:
    removed, suspect = story.x - story.y, np.zeros(story.x.shape, bool)
    if story.observed is not None:
        removed = np.where(story.observed, removed, np.nan)
    if story.removed is not None:
        suspect = story.removed.suspect
    flat, marks = removed.reshape(len(removed), -1), suspect.reshape(len(removed), -1)
    parts = {str(name): where for name, where in story.modality.parts().items()}
    there = story.modality.measured
    changed = {n: w for n, w in parts.items() if there is None or there[w].all()}
    gaps = not any(np.nanmax(np.abs(flat[:, w]), initial=0) > 0 for w in changed.values())
    if gaps:
        lacking = np.isnan(flat)
        sizes = np.array([float(lacking[:, where].any(axis=1).mean()) for where in parts.values()])
        return plots_denoise.denoised_columns(list(parts), sizes, 0.0, np.zeros(len(parts)), gaps=True)
    sizes = np.array([float(np.sqrt(np.nanmean(flat[:, where] ** 2))) for where in changed.values()])
    shares = np.array([float(marks[:, where].mean()) for where in changed.values()])
    noise = story.restorer.noise
    expected = noise.level if noise.kind == "gaussian" and noise.trusted else 0.0
    return plots_denoise.denoised_columns(list(changed), sizes, expected, shares)
