"""What is said of items that were made."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspace.jobs._made import Made
from latentspace.jobs._reason import spoken
from latentspace.jobs._verdict import count

#: rows and columns that are printed
MOST, COLUMNS = 20, 6
#: a sample that lies nearer to a training item than all but this share of held-out items do may be a copy, unless no
#: more than so many are
COPIED = 0.01


def sampled(made: Made, noisy: bool, near: str | None, label: str | None, where: str | None) -> list[str]:
    """How many were drawn from what, and how new they are."""
    of = " and ".join([*([label] if label else []), *([where] if where else [])])
    start = f"{count(len(made), 'item')} drawn" + (f" near {near}" if near else "")
    start += f" from those that are {of}." if of else "."
    noise = "They are what the decoder expects, without the noise that items have."
    if noisy:
        held = ", and numbers that training items hold" if made.space.modality.name == "table" else ""
        noise = f"They carry the noise of training items{held}."
    return [start, noise, _novelty(made)]


def _novelty(made: Made) -> str:
    copies = int(np.sum(made.novelty <= COPIED))
    middle = float(np.median(made.novelty))
    said = f"Half of them are newer than {100 * middle:.0f} % of held-out items (by distance to the nearest in Z)"
    by_chance = COPIED * len(made)
    if copies > by_chance + 3 * np.sqrt(by_chance) + 1:
        return f"{said}; {count(copies, 'sample')} all but copy one."
    return f"{said}; no more of them all but copy one than held-out items do."


def rows(made: Made, figures: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row an item to print: its first columns, the nearest training item and how new it is."""
    columns = made.columns()
    names = [] if columns is None else columns.column_names[:COLUMNS]
    found = []
    for i, row in enumerate(figures):
        own = {name: spoken(columns[name][i].as_py()) for name in names}
        found.append({"id": row["id"], **own, **near_words(row)})
    return found


def near_words(row: dict[str, Any]) -> dict[str, str]:
    """The nearest training item of one that was made."""
    return {
        "nearest": str(row["nearest"]),
        "distance": f"{row['distance']:.3g}",
        "novelty": f"{row['novelty']:.2f}",
    }
