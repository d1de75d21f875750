"""What is said of a map: sentences, rows to print, and all figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._map_differences import Difference
from latentspace.jobs._map_items import TRUSTED, Mapped
from latentspace.jobs._map_measures import plane_words, with_interval
from latentspace.jobs._regions import Region
from latentspace.jobs._tables import without_empty
from latentspace.jobs._verdict import count

#: differences that are named in the summary, rows of a table, differences of a region
FEW, MOST, FEW_APART = 3, 20, 3
#: an interval from fewer items than this is rough; among so many columns some differ by chance
ROUGH, MANY = 20, 20
#: a surprise above this is pointed out: one usual item in 100 has it
ODD = 2


def summary(mapped: Mapped, rows: list[dict[str, Any]]) -> list[str]:
    """How many items, how far their places can be trusted, and what the plane of the principal axes would do."""
    n, new = len(mapped), int((mapped.own < 0).sum())
    among = f", {new:,} of them new" if 0 < new < n else ", all new" if new else ""
    said = [f"{count(n, 'item')} on a map of {count(len(mapped.head.positions), 'landmark')}{among}."]
    if rows:
        trust, continuity = (with_interval(row["ours"]) for row in rows)
        names = [row["measure"] for row in rows]
        said.append(
            f"Are those near on the map near in the latents? {names[0]} {trust}; and the other way round? "
            f"{names[1]} {continuity} (1 is best, .5 is chance)."
        )
        said.append(plane_words(rows, mapped.head.dimensions))
        if mapped.latents.shape[1] <= mapped.head.dimensions:
            said.append("These latents need no map: the figure of the latents shows them as they are.")
    astray = int((~mapped.trusted).sum())
    if astray:
        are = "lies" if astray == 1 else "lie"
        said.append(
            f"{count(astray, 'item')} ({100 * astray / n:.2g} %) {are} in a place not to be trusted "
            f"(trustworthiness below {TRUSTED}): drawn hollow."
        )
    if mapped.surprise is not None and (odd := int((mapped.surprise > ODD).sum())):
        said.append(
            f"{count(odd, 'item')} {'is' if odd == 1 else 'are'} odd "
            f"(surprise above {ODD}, as one usual item in 100): "
            "an odd one lands somewhere, too; colour by surprise to see them."
        )
    return said


def apart_words(mapped: Mapped, chosen: NDArray[np.bool_] | None, found: list[Difference]) -> list[str]:
    """What sets a selection apart from the rest, the largest differences first."""
    if chosen is None:
        return []
    inside, sure = int(chosen.sum()), [d for d in found if d.sure]
    seen = "as they are in the data" if mapped.items is not None else "as the decoder sees them"
    head = f"{count(inside, 'item')} selected, {len(chosen) - inside:,} not; compared {seen}"
    if not sure:
        return [f"{head}: in none of {count(len(found), 'column')} is there a sure difference."]
    words = "; ".join(d.words for d in sure[:FEW])
    said = [
        f"{head}. {len(sure)} of {count(len(found), 'column')} differ (selected against the rest): {words}."
    ]
    if inside < ROUGH:
        said.append(f"Of {inside} items the intervals are rough.")
    if len(found) >= MANY:
        said.append(
            f"Of {len(found)} columns about {len(found) / 20:.0f} would seem to differ by chance alone."
        )
    return said


def tables(
    regions: list[Region], chosen: NDArray[np.bool_] | None, found: list[Difference]
) -> dict[str, list[dict[str, Any]]]:
    """The selection's differences, and the regions of the map, as rows to print."""
    made: dict[str, list[dict[str, Any]]] = {}
    if chosen is not None and found:
        made["What sets the selected apart (largest first)"] = [_difference_row(d) for d in found[:MOST]]
    if regions:
        rows = [
            {
                "region": region.name,
                "items": f"{region.items:,}",
                "what sets it apart (against the rest)": "; ".join(d.words for d in region.apart[:FEW_APART]),
            }
            for region in regions
        ]
        made["Regions"] = without_empty(rows)
    return made


def _difference_row(difference: Difference) -> dict[str, Any]:
    inside, outside = difference.measured
    return {
        "column": difference.name,
        "selected": inside,
        "the rest": outside,
        "size": f"{difference.size:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})",
        "measure": difference.measure,
        "sure": "yes" if difference.sure else "no",
    }


def data(
    mapped: Mapped,
    rows: list[dict[str, Any]],
    regions: list[Region],
    chosen: NDArray[np.bool_] | None,
    found: list[Difference],
) -> dict[str, Any]:
    """All figures, JSON-able."""
    made: dict[str, Any] = {
        "items": len(mapped),
        "new": int((mapped.own < 0).sum()),
        "dimensions": mapped.head.dimensions,
        "neighbours": mapped.neighbours,
        "measures": rows,
        "not_to_be_trusted": int((~mapped.trusted).sum()),
        "regions": [
            {
                "name": region.name,
                "items": region.items,
                "place": region.place.tolist(),
                "apart": [d.to_json() for d in region.apart],
            }
            for region in regions
        ],
    }
    if chosen is None:
        return made
    return {**made, "selected": int(chosen.sum()), "differences": [d.to_json() for d in found]}
