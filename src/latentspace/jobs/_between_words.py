"""What is said of a way between items, and of a place that others were added up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._made import Made
from latentspace.jobs._made_words import COLUMNS, near_words
from latentspace.jobs._reason import spoken
from latentspace.space.folder import Space


def between(names: list[str], path: str, measures: Mapping[str, dict[str, float]]) -> list[str]:
    """Where the way goes, and how densely items lie along it, beside the straight one."""
    ours, plain = measures[path], measures["straight"]
    said = [
        f"From {names[0]} to {names[-1]} in {len(names)} items, the {_PATHS[path]}.",
        f"Its points are {ours['distance']:.3g} from the nearest training item on average (in Z; newer than "
        f"{100 * ours['novelty']:.0f} % of held-out items); mean log density {ours['log_density']:.1f} nats.",
    ]
    if path != "straight":
        said.append(
            f"The straight way: {plain['distance']:.3g}, newer than {100 * plain['novelty']:.0f} %, "
            f"{plain['log_density']:.1f} nats; it is {100 * (1 - plain['length'] / ours['length']):.0f} % shorter."
        )
    return said


_PATHS = {"straight": "straight way", "spherical": "way around the middle", "data": "way where items lie"}


def rows(made: Made, figures: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A row an item: the columns that change most on the way, the nearest training item."""
    names = telling(made)
    columns = made.columns()
    found = []
    for i, row in enumerate(figures):
        own = {name: spoken(columns[name][i].as_py()) for name in names}
        more = {"log density": f"{row['log_density']:.1f}"} if "log_density" in row else {}
        found.append({"id": row["id"], **own, **more, **near_words(row)})
    return found


def telling(made: Made, most: int = COLUMNS) -> list[str]:
    """The columns that change most among items, in the table's order; none for what has no columns."""
    columns = made.columns()
    if columns is None:
        return []
    spread = part_spreads(made)
    order = sorted(spread, key=lambda name: -spread[name])[:most]
    return [name for name in columns.column_names if name in order]


def part_spreads(made: Made) -> dict[str, float]:
    """How far each part of the items spreads, in standard deviations of the encoded items."""
    flat = made.x.reshape(len(made.x), -1)
    return {
        str(name): float(np.sqrt((flat[:, where].std(axis=0) ** 2).sum()))
        for name, where in made.space.modality.parts().items()
    }


def near_rows(space: Space, rows: NDArray[np.intp], distances: NDArray[Any]) -> list[dict[str, str]]:
    """A row an item of the space: its id, its labels, how far it is."""
    return [
        {
            "id": str(space.ids[row]),
            **{name: str(values[row]) for name, values in space.labels.items()},
            "distance": f"{distance:.3g}",
        }
        for row, distance in zip(rows, distances, strict=True)
    ]
