"""What each latent changes, in words and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._made import Made
from latentspace.jobs._parts import columns
from latentspace.jobs._reason import spoken
from latentspace.jobs._verdict import count
from latentspace.jobs.base import jsonable

#: parts named for a latent, and the least that a part moves (standard deviations) to be named
MOST, LEAST = 4, 0.1


def effects(
    walked: Made, names: list[str], steps: int, moves: NDArray[np.float64], parts: list[str]
) -> list[dict[str, Any]]:
    """A row a latent: its ends, and the parts that it moves most, with their values at both ends in the user's
    units."""
    told = columns(walked.space.modality, walked.x)
    found = []
    for i, name in enumerate(names):
        first, last = i * steps, (i + 1) * steps - 1
        order = np.argsort(-moves[i], kind="stable")[:MOST]
        parts_moved = [
            {
                "part": parts[j],
                "moved": float(moves[i, j]),
                "low": _value(told, parts[j], first),
                "high": _value(told, parts[j], last),
            }
            for j in order
            if moves[i, j] >= LEAST
        ]
        ends = [float(walked.names[row].partition(" = ")[2]) for row in (first, last)]
        found.append({"latent": name, "low": ends[0], "high": ends[1], "parts": parts_moved})
    return found


def _value(told: dict[str, NDArray[Any]], part: str, row: int) -> Any:
    """A part's value in the user's units; of a signal its mean; None for what has no columns."""
    if part not in told:
        return None
    value = told[part][row]
    mean: Any = value.mean() if isinstance(value, np.ndarray) and value.ndim else value
    return jsonable(mean)


def rows(found: list[dict[str, Any]], most: int = 20) -> list[dict[str, str]]:
    """A row a latent to print."""
    return [
        {
            "latent": row["latent"],
            "from, to": f"{row['low']:.3g}, {row['high']:.3g}",
            "what it changes most": _said(row),
        }
        for row in found[:most]
    ]


def _said(row: dict[str, Any]) -> str:
    words = []
    for part in row["parts"]:
        values = "" if part["low"] is None else f" {spoken(part['low'])} to {spoken(part['high'])}"
        words.append(f"{part['part']}{values} ({part['moved']:.1f} sd)")
    return "; ".join(words) or "next to nothing"


def summary(found: list[dict[str, Any]], start: str) -> list[str]:
    """How many latents were walked, and from where."""
    idle = sum(not row["parts"] for row in found)
    still = f" {count(idle, 'latent')} move next to nothing there." if idle else ""
    return [f"{count(len(found), 'latent')} walked around {start}, one at a time; all others stay.{still}"]
