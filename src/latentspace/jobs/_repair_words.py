"""What is said of repairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspace.jobs._reason import spoken
from latentspace.jobs._repair_files import Mended
from latentspace.jobs._verdict import count
from latentspace.jobs.base import jsonable


def summary(mended: Mended, alpha: float) -> list[str]:
    """How many were odd, how many are normal now, and what that took."""
    n, odd = len(mended.items), len(mended.odd)
    if not odd:
        return [f"None of {count(n, 'item')} is odd at alpha={alpha:g}: there is nothing to repair."]
    fine = [one for one in mended.found if one.normal]
    said = [
        f"{odd:,} of {count(n, 'item')} are odd at alpha={alpha:g}; {len(fine):,} of them are normal after a change."
    ]
    if fine and len(mended.space.modality.shape) == 1:
        changed = np.mean([len(one.changed) for one in fine])
        of = len(mended.space.modality.parts())
        said.append(f"On average {changed:.1f} of {of} columns had to change; all others stay as they are.")
    if len(fine) < odd:
        said.append(
            f"For {odd - len(fine):,} nothing was found that makes them normal; they are left as they are."
        )
    return said


def rows(mended: Mended) -> list[dict[str, Any]]:
    """A row a repair: its id, p-values before and after, whether it is normal, and what was changed."""
    found = []
    for i, (row, one) in enumerate(zip(mended.odd, mended.found, strict=True)):
        changes = [
            {"part": name, "before": _plain(a), "after": _plain(b)} for name, a, b in mended.changes(i)
        ]
        found.append(
            {
                "id": jsonable(mended.items.ids[row]),
                "p_value": one.p,
                "p_value_after": one.p_after,
                "normal": one.normal,
                "changes": changes,
                "share_changed": float(np.mean(~np.isclose(one.x, one.after, atol=1e-6))),
            }
        )
    return found


def _plain(value: Any) -> Any:
    moment = isinstance(value, np.datetime64) or hasattr(value, "isoformat")
    return spoken(value) if moment else jsonable(value)


def tables(mended: Mended, top: int) -> dict[str, list[dict[str, str]]]:
    """The repairs of the oddest items, to print."""
    if not mended.found:
        return {}
    return {"Repairs of the oddest": [_row(mended, i, row) for i, row in enumerate(rows(mended)[:top])]}


def _row(mended: Mended, i: int, row: dict[str, Any]) -> dict[str, str]:
    changes = "; ".join(f"{name} {spoken(a)} → {spoken(b)}" for name, a, b in mended.changes(i))
    if not changes:
        changes = (
            f"{100 * row['share_changed']:.0f} % of its values changed" if row["normal"] else "none found"
        )
    return {
        "id": str(row["id"]),
        "p before": f"{row['p_value']:.2g}",
        "p after": f"{row['p_value_after']:.2g}",
        "change": changes,
    }
