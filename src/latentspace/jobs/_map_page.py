"""The interactive map: one HTML file that holds its items, their pictures and its script, and opens from disk.

The script and the style are in `_map_page.html`; here the data are packed for it. Numbers go in as little-endian
arrays in base64, so that 100,000 items take a few megabytes and are read in milliseconds.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: pictures that a page holds, pixels along their longer side, and pictures along the side of a sheet
MAX_PICTURES, MAX_SIDE, ACROSS = 10_000, 32, 32
#: whole numbers with no more values than this are categories in their order
FEW = 12


@dataclass(frozen=True, eq=False)
class Colour:
    """What a map can be coloured by, (n,): numbers or times on a scale, or texts as categories; NaN and "" are gaps.

    Whole numbers of up to 12 values, and truth values, are categories too.
    """

    name: str
    values: Array


def map_page(
    points: Array,
    ids: Array,
    *,
    title: str,
    colours: Sequence[Colour] = (),
    hover: Sequence[tuple[str, Array]] = (),
    pictures: Array | None = None,
    backdrop: Array | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Return a self-contained HTML document that shows items at points (n, 2 or 3).

    ids : (n,), shown first and exported from a lasso, one a line. hover : named values (n,) told of each item.
    pictures : uint8 (m, H, W) or (m, H, W, 1 or 3) of the first m items; up to 10,000, drawn at random, go in, of up
    to 32 pixels a side.
    backdrop : (m, 2 or 3) other items, pale beneath. notes : sentences told beside the map.

    >>> page = map_page(np.eye(3, 2), np.array(["a", "b", "c"]), title="Three")
    >>> "Three" in page, "3 items" in page, "://" in page
    (True, True, False)
    """
    shown, other = _on_one_scale(points, backdrop)
    sheets, told = _sheets(pictures, len(ids))
    columns = _Columns()
    content = {
        "dimensions": points.shape[1],
        "points": _packed(shown),
        "backdrop": _packed(other),
        "ids": [str(name) for name in ids.tolist()],
        "colours": [[colour.name, columns.place(colour.values)] for colour in colours],
        "hover": [[name, columns.place(values)] for name, values in hover],
        "columns": columns.packed,
        "pictures": sheets,
    }
    parts = {
        "title": escape(title),
        "count": f"{len(ids):,} {'item' if len(ids) == 1 else 'items'}",
        "notes": "".join(f"<li>{escape(sentence)}</li>" for sentence in [*notes, *told]),
        "data": _in_script(content),
    }
    template = files("latentspace.jobs").joinpath("_map_page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _in_script(content: Any) -> str:
    """JSON that cannot end the script element that it stands in, nor open a comment there."""
    return json.dumps(content, separators=(",", ":")).replace("<", r"\u003c")


def _packed(values: Array) -> str:
    """Numbers as little-endian bytes in base64."""
    return base64.b64encode(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data).decode("ascii")


def _on_one_scale(points: Array, backdrop: Array | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Points and backdrop moved and scaled as one, so that the longest side of all is from -1 to 1."""
    other = points[:0] if backdrop is None else backdrop
    every = [part for part in (points, other) if len(part)] or [np.zeros((1, points.shape[1]))]
    low = np.min([part.min(axis=0) for part in every], axis=0).astype(float)
    high = np.max([part.max(axis=0) for part in every], axis=0).astype(float)
    middle, half = (low + high) / 2, float((high - low).max()) / 2 or 1.0
    return ((points - middle) / half).astype(np.float32), ((other - middle) / half).astype(np.float32)


# columns


class _Columns:
    """Columns as the page reads them; one that colours and is told is written once."""

    def __init__(self) -> None:
        self.packed: list[dict[str, Any]] = []
        self._places: dict[int, int] = {}
        self._kept: list[Array] = []  # else the id of an array could come to mean another

    def place(self, values: Array) -> int:
        """Where a column is in `packed`."""
        if id(values) not in self._places:
            self._kept.append(values)
            column = _column(values)
            if column not in self.packed:
                self.packed.append(column)
            self._places[id(values)] = self.packed.index(column)
        return self._places[id(values)]


def _column(values: Array) -> dict[str, Any]:
    kind = values.dtype.kind
    if kind == "M":
        ms = values.astype("datetime64[ms]")
        return _numbers("time", np.where(np.isnat(ms), np.nan, ms.astype(np.int64).astype(float)))
    if kind == "f":
        single = _is_single(values[np.isfinite(values)].astype(float))
        return _numbers("number", values.astype(np.float32 if single else float))
    if kind in "iu":
        levels, codes = np.unique(values, return_inverse=True)
        if len(levels) > FEW:
            return _numbers("number", _smallest(values))
        return _levels([str(level) for level in levels], codes, ordered=True)
    if kind == "b":
        values = np.where(values, "yes", "no")
    return _categories(np.array([_text(value) for value in values.tolist()], dtype=object))


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _numbers(kind: str, values: Array) -> dict[str, Any]:
    return {"kind": kind, "type": values.dtype.str[1:], "data": _packed(values)}


def _is_single(known: NDArray[np.float64]) -> bool:
    """Whether single precision tells numbers apart to a millionth of their span."""
    if not len(known):
        return True
    with np.errstate(over="ignore"):
        lost = np.abs(known.astype(np.float32) - known).max()
    return bool(lost <= 1e-6 * (np.ptp(known) or np.abs(known).max()))


def _smallest(values: Array) -> Array:
    """Whole numbers in the fewest bytes that the page can read; double precision for the largest."""
    low, high = int(values.min()), int(values.max())
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return values.astype(dtype)
    return values.astype(np.float64)


def _categories(texts: Array) -> dict[str, Any]:
    """Texts as the number of their level, the commonest first and gaps last."""
    levels, codes, counts = np.unique(texts, return_inverse=True, return_counts=True)
    order = np.argsort(np.where(levels == "", 0, -counts), kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order))
    return _levels(levels[order].tolist(), rank[codes], ordered=False)


def _levels(levels: list[str], codes: Array, *, ordered: bool) -> dict[str, Any]:
    packed = codes.astype(
        np.uint8 if len(levels) <= 256 else np.uint16 if len(levels) <= 65536 else np.uint32
    )
    return {
        "kind": "category",
        "ordered": ordered,
        "levels": levels,
        "type": packed.dtype.str[1:],
        "data": _packed(packed),
    }


# pictures


def _sheets(pictures: Array | None, items: int) -> tuple[dict[str, Any] | None, list[str]]:
    """Small pictures side by side on sheets, and what must be told of `items` left without one."""
    if pictures is None or not len(pictures):
        return None, []
    rows = np.sort(np.random.default_rng(0).permutation(len(pictures))[:MAX_PICTURES])
    told = f"Pictures of {len(rows):,} of the {items:,} items are in this page; the others are shown by their values."
    size = ACROSS**2
    small = [_small(pictures[rows[start : start + size]]) for start in range(0, len(rows), size)]
    height, width = small[0].shape[1:3]
    packed = {"width": width, "height": height, "across": ACROSS, "rows": _packed(rows.astype(np.uint32))}
    return {**packed, "sheets": [_sheet(part) for part in small]}, [told] if len(rows) < items else []


def _small(pictures: Array) -> NDArray[np.uint8]:
    """(n, h, w, 1 or 3) pictures of at most MAX_SIDE pixels a side."""
    from PIL import Image

    shown = pictures[..., None] if pictures.ndim == 3 else pictures
    height, width = shown.shape[1:3]
    shrink = MAX_SIDE / max(height, width)
    if shrink >= 1:
        return np.asarray(shown)
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    made = [
        Image.fromarray(p.squeeze(-1) if p.shape[-1] == 1 else p).resize(size, Image.Resampling.BOX)
        for p in shown
    ]
    return np.stack([np.asarray(picture) for picture in made]).reshape(len(shown), size[1], size[0], -1)


def _sheet(pictures: Array) -> str:
    """Pictures (n, h, w, c), ACROSS in a line, as one PNG in base64."""
    from PIL import Image

    n, height, width, channels = pictures.shape
    down = -(-n // ACROSS)
    cells = np.zeros((down * ACROSS, height, width, channels), np.uint8)
    cells[:n] = pictures
    grid = cells.reshape(down, ACROSS, height, width, channels).swapaxes(1, 2)
    sheet = grid.reshape(down * height, ACROSS * width, channels)
    buffer = io.BytesIO()
    Image.fromarray(sheet.squeeze(-1) if channels == 1 else sheet).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
