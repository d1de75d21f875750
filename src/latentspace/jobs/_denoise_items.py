"""Restored items in the user's own units and types: what was left alone comes back bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from latentspace.data._frames import Column, Name, column, names_of
from latentspace.data._numeric import Numeric, blank
from latentspace.data._pictures import Pictures, arranged
from latentspace.data._recordings import in_its_form
from latentspace.data._windows import Windows
from latentspace.data.base import Items, Modality
from latentspace.data.columns import SetAside
from latentspace.data.files import FRAME_SUFFIXES, read_frame
from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.data.table import Table
from latentspace.data.vectors import Vectors

Array = NDArray[Any]
Mask = NDArray[np.bool_]
#: windows whose samples are looked up at once
CHUNK = 4096


def gaps_of(modality: Modality, items: Items, observed: Mask | None) -> int:
    """How many values the user's data lack: cells, pixels or samples, each once, padding not counted."""
    values = items.values
    if observed is None:
        return 0
    if isinstance(values, Windows):
        lacking = _samples_changed(values, ~observed)
        clock = values.recording.clock
        return int((lacking if clock is None else lacking[clock.positions]).sum())
    if isinstance(values, Pictures):
        inside = values.inside()
        lacking = ~observed if inside is None else ~observed & inside[:, None]
        return int(lacking.sum())
    if isinstance(modality, Table):
        return sum(int(mask.sum()) for mask in _cells(modality, items, ~observed, gaps=True).values())
    return int((~observed).sum())


def in_users_units(modality: Modality, items: Items, data: Any, changed: Mask, y: Array) -> Any:
    """Items y (n, *shape) as the user has them; where not `changed` (n, *shape) the user's own values.

    data : what the user gave, a path or an object; it lends the columns that the items do not hold.
    """
    if not changed.any():
        return own_data(items, data)
    restored = modality.inverse_transform(y, items)
    if isinstance(modality, Image):
        return _pictures(items.values, changed, restored)
    if isinstance(modality, Signal):
        return _recording(items, data, changed, restored)
    if isinstance(modality, (Table, Vectors)):
        return _rows(modality, items, data, changed, restored)
    return restored


def own_data(items: Items, data: Any) -> Any:
    """The user's data as they are: the object that was given, or what the path holds."""
    if not isinstance(data, (str, Path, Items)):
        return data
    frame = _frame(items, data)
    if frame is not None:
        return frame
    values = items.values
    if isinstance(values, Pictures):
        return _as_given(values.pixels, values)
    if isinstance(values, Windows):
        ready = values.recording.form in ("nct", "ntc")
        if not ready:
            return in_its_form(values.recording.samples, values.recording)
        return values.samples if values.recording.form == "nct" else values.samples.transpose(0, 2, 1)
    return values


def _frame(items: Items, data: Any) -> Any:
    """The whole frame that the user gave, ids and labels with it; None where there is none."""
    if isinstance(data, (str, Path)):
        suffix = Path(Path(data).name.lower().removesuffix(".gz")).suffix
        return read_frame(Path(data)) if suffix in FRAME_SUFFIXES else None
    if isinstance(data, (Items, np.ndarray, list, tuple, dict)):
        return None
    try:
        nw.from_native(data, eager_only=True)
    except TypeError:
        return None
    return data


# pictures


def _as_given(pixels: Array, like: Pictures) -> Any:
    """Pixels (n, H, W, C) with the axes and sizes of the pictures `like`: a list where sizes differ."""
    pictures = replace(like, pixels=pixels).cropped() if like.boxes is not None else [pixels]
    if like.boxes is None:
        return arranged(np.moveaxis(pixels, 3, 1), like.layout)
    each = [arranged(np.moveaxis(picture, 2, 0)[None], like.layout)[0] for picture in pictures]
    return np.stack(each) if len({picture.shape for picture in each}) == 1 else each


def _pictures(own: Pictures, changed: Mask, restored: Any) -> Any:
    kinds = {p.dtype for p in restored} if isinstance(restored, list) else {restored.dtype}
    if changed.all() or kinds != {own.pixels.dtype}:
        return restored  # of another number type they have other units
    was, new = _as_given(own.pixels, own), _as_given(np.moveaxis(changed, 1, 3), own)
    if isinstance(restored, list):
        return [np.where(c, r, w) for c, r, w in zip(new, restored, was, strict=True)]
    return np.where(new, restored, was)


# recordings


def _recording(items: Items, data: Any, changed: Mask, restored: Any) -> Any:
    """The recording put together again, samples that no window changed as they were."""
    windows: Windows = items.values
    recording = windows.recording
    if recording.form in ("nct", "ntc"):
        axes = (0, 1, 2) if recording.form == "nct" else (0, 2, 1)
        was = windows.samples.transpose(axes)
        mixed = np.where(changed.transpose(axes), restored, was)
        return mixed.astype(was.dtype) if was.dtype == restored.dtype else mixed
    new = _samples_changed(windows, changed)
    if recording.form == "frame":
        positions = recording.clock.positions if recording.clock is not None else slice(None)
        masks: dict[Name, Mask] = {name: new[positions, c] for c, name in enumerate(recording.channels)}
        frame = _frame(items, data)
        return restored if frame is None else _merged(frame, restored, masks)
    if isinstance(restored, list):
        pieces = zip(*(np.split(a, recording.ends[:-1]) for a in (new, recording.samples)), strict=True)
        flat = recording.form == "flat list"
        return [
            np.where(n[:, 0] if flat else n, made, was[:, 0] if flat else was).astype(made.dtype)
            for made, (n, was) in zip(restored, pieces, strict=True)
        ]
    was = recording.samples
    if recording.form == "channels":
        new, was = new.T, was.T
    elif recording.form == "flat":
        new, was = new[:, 0], was[:, 0]
    return np.where(new, restored, was).astype(restored.dtype)


def _samples_changed(windows: Windows, changed: Mask) -> Mask:
    """(total, C) which samples any window changed."""
    found = np.zeros(windows.recording.samples.shape, bool)
    for first in range(0, len(changed), CHUNK):
        rows = slice(first, first + CHUNK)
        places, inside = windows.places(rows)
        for c in range(changed.shape[1]):
            found[places[inside & changed[rows, c]], c] = True
    return found


# rows


def _rows(modality: Table | Vectors, items: Items, data: Any, changed: Mask, restored: Any) -> Any:
    frame = _frame(items, data)
    own = frame if frame is not None and len(frame) == len(items) else items.values
    masks = (
        _cells(modality, items, changed)
        if isinstance(modality, Table)
        else {name: changed[:, j] for j, name in enumerate(modality.columns)}
    )
    if isinstance(own, np.ndarray):
        made = restored if isinstance(restored, np.ndarray) else nw.from_native(restored).to_numpy()
        where = np.stack(list(masks.values()), axis=1)
        return np.where(where, _typed(made, own.dtype), own)
    if isinstance(restored, np.ndarray):
        learnt = dict(zip(masks, restored.T, strict=True))
        restored = nw.from_dict(
            {str(n): v for n, v in learnt.items()}, backend=nw.from_native(own).implementation
        ).to_native()
    return _merged(own, restored, masks)


def _typed(made: Array, dtype: np.dtype[Any]) -> Array:
    """Restored numbers in the user's number type."""
    if dtype.kind not in "iu" or made.dtype.kind != "f":
        return made.astype(dtype, copy=False)
    ends = np.iinfo(dtype)
    return np.clip(np.rint(made), ends.min, ends.max).astype(dtype)


def _cells(table: Table, items: Items, changed: Mask, gaps: bool = False) -> dict[Name, Mask]:
    """Which cells of each of the user's columns are replaced: (n,) by the column's name in `items`.

    changed (n, F). Of categories, yes/no and dates only gaps are; a constant fills its own gaps, a copy goes with
    its original. `gaps`: only cells that are gaps.
    """
    names, learnt = names_of(items.values), [f.name for f in table.columns]
    by_place = isinstance(items.values, np.ndarray) or not set(learnt) & set(names)
    source = dict(zip(learnt, names, strict=False)) if by_place else {n: n for n in learnt if n in names}
    kinds = {f.name: f for f in table.columns}
    found: dict[Name, Mask] = {}
    for f in table.columns:
        if f.name not in source:
            continue
        told = kinds[f.kind.twin] if getattr(f.kind, "twin", None) is not None else f
        col = column(items.values, source[f.name])
        if isinstance(told.kind, Numeric) and not (gaps and told is not f):
            found[source[f.name]] = np.asarray(changed[:, told.block].any(axis=1))
        elif isinstance(told.kind, SetAside) and told.kind.lent:
            found[source[f.name]] = np.zeros(len(items), bool)
        else:
            found[source[f.name]] = _lacking(col)
    return found


def _lacking(col: Column) -> Mask:
    """(n,) which cells are empty, or blank text."""
    empty = np.zeros(len(col), bool) if col.missing is None else np.asarray(col.missing)
    if col.kind in ("text", "ordered"):
        blanks = np.array([*(blank(level) for level in col.levels), True])
        return np.asarray(empty | blanks[col.values])
    return empty


def _merged(own: Any, restored: Any, masks: dict[Name, Mask]) -> Any:
    """The user's frame with the restored cells in it, where the masks (n,) by column say so; all else untouched."""
    frame, made = nw.from_native(own, eager_only=True), nw.from_native(restored, eager_only=True)
    if made.implementation is not frame.implementation:
        made = nw.DataFrame.from_arrow(made.to_arrow(), backend=frame.implementation)
    new = []
    for name, mask in masks.items():
        at = np.flatnonzero(mask)
        if not len(at):
            continue
        was, now = frame.get_column(name), made.get_column(name if name in made.columns else str(name))
        filled = now[at]
        filled = filled if filled.dtype == was.dtype else filled.cast(was.dtype)
        new.append(filled.alias(name) if len(at) == len(was) else was.scatter(at.tolist(), filled))
    return frame.with_columns(*new).to_native() if new else own
