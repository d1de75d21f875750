"""Restored items written: tables and recordings with their own columns, pictures as a sheet, a folder or an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._windows import Windows
from latentspace.data.base import Items, Modality
from latentspace.data.image import Image
from latentspace.jobs._denoise_draw import lightness
from latentspace.jobs._output import as_table, write_pictures, write_table
from latentspace.plots_denoise import checkered
from latentspace.space.atomic import whole

Array = NDArray[Any]
#: pictures on a sheet, pixels between them, and the height that small ones are brought to
ROWS, GAP, SIDE = 12, 2, 64


def write_restored(
    modality: Modality, items: Items, value: Any, out: str | Path, sheet: list[Array]
) -> list[Path]:
    """Write restored items where and as `out` says; `sheet` (of pictures) holds one row of three a picture."""
    out = Path(out)
    if isinstance(modality, Image):
        if out.suffix.lower() == ".png":
            return _write_sheet(sheet, out)
        return write_pictures(list(value), out, list(items.ids))
    if out.suffix.lower() != ".npy" and isinstance(items.values, Windows):
        value = _samples(value, items)
    if isinstance(value, list):
        value = np.concatenate(value)
    names = [str(name) for name in modality.parts()] if isinstance(value, np.ndarray) else []
    return write_table(value, out, names=names)


def sheet_of(before: Modality, x: Array, after: Modality, y: Array) -> list[Array]:
    """Rows of a sheet, each noisy | restored | removed (mid-grey: nothing; left out where the kinds differ)."""
    left, right = (lightness(m, a[:ROWS]) for m, a in ((before, x), (after, y)))
    columns = [checkered(left), right]
    if left.shape == right.shape:
        columns.append(np.clip(0.5 + np.nan_to_num(left - right), 0, 1))
    larger = max(1, SIDE // left.shape[1])
    columns = [c.repeat(larger, axis=1).repeat(larger, axis=2) for c in columns]
    return [np.concatenate([_padded(c, columns) for c in row], axis=1) for row in zip(*columns, strict=True)]


def _padded(picture: Array, columns: list[Array]) -> NDArray[np.uint8]:
    """One picture as bytes in colour, as high and wide as the largest, with a mid-grey edge."""
    high, wide = (max(c.shape[axis] for c in columns) for axis in (1, 2))
    whole = np.full((high + GAP, wide + GAP, 3), 128, np.uint8)
    whole[: picture.shape[0], : picture.shape[1]] = np.rint(255 * picture)
    return whole


def _write_sheet(rows: list[Array], out: Path) -> list[Path]:
    from PIL import Image as Pillow

    drawn = np.concatenate(rows)[:-GAP, :-GAP]
    with whole(out) as beside:
        Pillow.fromarray(drawn).save(beside, format="PNG")
    return [out]


def _samples(value: Any, items: Items) -> Any:
    """A recording as a table of one row a sample: a frame as it is, an array by its channels."""
    import pyarrow as pa

    recording = items.values.recording
    names = list(recording.channels)
    if recording.form == "frame":
        return value
    if recording.form in ("nct", "ntc"):
        return as_table(value if recording.form == "nct" else value.transpose(0, 2, 1), items.ids, names)
    columns: dict[str, Array] = {}
    if recording.form in ("list", "flat list"):
        lengths = [len(series) for series in value]
        columns["series"] = np.repeat(recording.names or np.arange(len(value)), lengths)
        columns["sample"] = np.concatenate([np.arange(n) for n in lengths])
        value = np.concatenate(value)
    samples = value.T if recording.form == "channels" else value.reshape(len(value), -1)
    return pa.table(columns | dict(zip(names, samples.T, strict=True)))
