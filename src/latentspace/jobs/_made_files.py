"""Items that were made, as files: the user's own columns, pictures, windows, or a figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from latentspace.data.image import Image
from latentspace.errors import OptionError
from latentspace.jobs._made import Made
from latentspace.jobs._output import TABLES, check_out, kinds_for, write_items, write_table
from latentspace.space.atomic import whole
from latentspace.space.folder import Space

FIGURES = (".png", ".svg", ".pdf")


def check_made(space: Space, out: str | Path | None) -> None:
    """Raise OptionError where `out` cannot be written; to be called before the work."""
    if out is None:
        return
    if isinstance(space.modality, Image):
        kinds, folder = kinds_for(space.modality)
        check_out(out, (*kinds, ".svg", ".pdf"), folder)
        place = Path(out)
        if not place.suffix and place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise OptionError(f"{out} is there already and is not an empty folder: choose another name.")
    else:
        check_out(out, (*TABLES, *FIGURES))


def write_made(
    made: Made, out: str | Path, figures: list[dict[str, Any]], drawn: dict[str, Callable[[], Any]]
) -> list[Path]:
    """Write items as the name of `out` says; a table has the user's columns, and what `figures` say behind them."""
    out, suffix = Path(out), Path(out).suffix.lower()
    if suffix in FIGURES and not (suffix == ".png" and isinstance(made.space.modality, Image)):
        with whole(out) as beside:
            next(iter(drawn.values()))().savefig(beside, format=suffix[1:])
        return [out]
    columns = made.columns()
    if columns is None or suffix == ".npy":
        return write_items(made.space.modality, made.value, out, np.array(made.names))
    for name in (key for key in figures[0] if key != "id"):
        values = [row[name] for row in figures]
        columns = columns.append_column(
            name if name not in columns.column_names else f"{name} (in Z)", [values]
        )
    return write_table(columns, out, np.array(made.names))
