"""Items with the odd ones repaired: in the user's own values, as files and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots_generate
from latentspace.data.base import Items
from latentspace.data.image import Image
from latentspace.jobs._made_draw import can_be_drawn, draw_rows
from latentspace.jobs._made_files import FIGURES
from latentspace.jobs._output import as_table, write_items, write_table
from latentspace.jobs._parts import columns
from latentspace.jobs._reason import spoken
from latentspace.jobs._repairs import Repaired
from latentspace.space.atomic import whole
from latentspace.space.files import arrow_column
from latentspace.space.folder import Space

Array = NDArray[Any]

#: items drawn, side by side, and changed columns drawn
DRAWN, DRAWN_COLUMNS = 8, 14


@dataclass(frozen=True, eq=False)
class Mended:
    """Items (n) and what became of the odd ones: their rows, the oddest first, and a repair each."""

    space: Space
    items: Items
    x: Array
    observed: NDArray[np.bool_] | None
    odd: NDArray[np.intp]
    found: list[Repaired]

    @cached_property
    def after(self) -> Array:
        """(n, *shape) all items, encoded, the odd ones as repaired."""
        x = np.array(self.x)
        for row, one in zip(self.odd, self.found, strict=True):
            x[row] = one.after
        return x

    @cached_property
    def told(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Name → values of the odd items, as they were encoded and after, in the user's units."""
        before = columns(self.space.modality, self.x[self.odd]) if len(self.odd) else {}
        return before, columns(self.space.modality, self.after[self.odd]) if len(self.odd) else {}

    def changes(self, i: int) -> list[tuple[str, Any, Any]]:
        """(column, value before, after) of the i-th odd item, where the two read differently; none of pictures."""
        before, after = self.told
        if len(self.space.modality.shape) != 1:
            return []
        pairs = [(name, before[name][i], after[name][i]) for name in self.found[i].changed if name in before]
        return [(name, a, b) for name, a, b in pairs if spoken(a) != spoken(b)]


def changed_table(mended: Mended) -> Any:
    """All items with the odd ones repaired: a pyarrow Table with the user's columns, or pictures, or windows.

    What was not changed is what the user gave.
    """
    table = mended.space.modality.told(mended.items)
    if table is None:
        return mended.space.modality.inverse_transform(mended.after, mended.items)
    decoded = (
        as_table(mended.space.modality.inverse_transform(mended.after[mended.odd]), None)
        if len(mended.odd)
        else None
    )
    names = sorted({name for i in range(len(mended.odd)) for name, *_ in mended.changes(i)})
    for name in names:
        column, new = table[name].to_pylist(), decoded[name]  # type: ignore[index]
        for i, row in enumerate(mended.odd):
            if name in {changed for changed, *_ in mended.changes(i)}:
                column[row] = new[i].as_py()
        table = table.set_column(table.column_names.index(name), name, _like(column, table[name].type))
    named = getattr(mended.space.modality, "id_column", None)
    if named is not None and str(named) not in table.column_names:
        table = table.add_column(0, str(named), arrow_column(mended.items.ids))
    for name, values in mended.items.labels.items():
        if name not in table.column_names:
            table = table.append_column(name, arrow_column(values))
    return table


def _like(values: list[Any], sort: Any) -> Any:
    """Values as an array of the type that they had, if it holds them."""
    import pyarrow as pa

    try:
        return pa.array(values, type=sort)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array(values)


def write_repairs(mended: Mended, out: str | Path) -> list[Path]:
    """Write all items, the odd ones repaired, or a figure of the repairs."""
    out, suffix = Path(out), Path(out).suffix.lower()
    if suffix in FIGURES and not (suffix == ".png" and isinstance(mended.space.modality, Image)):
        with whole(out) as beside:
            draw_repairs(mended).savefig(beside, format=suffix[1:])
        return [out]
    value = changed_table(mended)
    if isinstance(mended.space.modality, Image) or isinstance(value, np.ndarray):
        return write_items(mended.space.modality, value, out, mended.items.ids)
    return write_table(value, out)


def draw_repairs(mended: Mended) -> Any:
    """The oddest items before and after: pictures and windows side by side, the changed columns of rows."""
    few = slice(DRAWN)
    if can_be_drawn(mended.space) and len(mended.odd):
        ids = [str(name) for name in mended.items.ids[mended.odd[few]]]
        news = [f"p {one.p_after:.2g}" for one in mended.found[few]]
        olds = [f"{name}, p {one.p:.2g}" for name, one in zip(ids, mended.found[few], strict=True)]
        rows = [("odd", mended.x[mended.odd[few]], olds), ("repaired", mended.after[mended.odd[few]], news)]
        return draw_rows(mended.space, rows)
    return plots_generate.repairs_view(_dumbbells(mended))


def _dumbbells(mended: Mended) -> list[tuple[str, float, float]]:
    """What changed, in words and on the data's own scale; NaN for a category, which lies on none."""
    parts = {str(name): where for name, where in mended.space.modality.parts().items()}
    found = []
    for i, row in enumerate(mended.odd):
        for name, before, after in mended.changes(i):
            where = parts[name]
            old, new = (float(x[row].reshape(-1)[where[0]]) for x in (mended.x, mended.after))
            old, new = (old, new) if len(where) == 1 else (np.nan, np.nan)
            found.append((f"{mended.items.ids[row]}: {name} {spoken(before)} → {spoken(after)}", old, new))
    return found[:DRAWN_COLUMNS]
