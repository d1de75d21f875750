"""The map, coloured by the classes that items are told; hollow where they are unknown."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspace import plots_map
from latentspace.jobs._label_words import Classified
from latentspace.jobs._map_items import head_of
from latentspace.jobs._regions import regions_of
from latentspace.jobs._verdict import count


def draw(found: Classified) -> Any:
    """Items on the map by class, those that are unknown as rings."""
    space = found.space
    head = head_of(space)
    points = head.place(found.latents)
    classes = np.array(found.given.classes)[found.best]
    hollow = ~(found.known | found.labelled)
    beneath = None if found.own is not None else head.place(space.latents)
    unknown = (
        f" Hollow: {count(int(hollow.sum()), 'item')} not known at alpha = {found.alpha:g}."
        if hollow.any()
        else ""
    )
    return plots_map.map_view(
        points,
        classes,
        found.given.name,
        hollow=hollow,
        backdrop=beneath,
        regions=[(r.name, r.place) for r in regions_of(points, (found.given.name, classes), {})],
        note=f"{count(len(points), 'item')} by what {count(len(found.given.rows), 'label')} tell.{unknown}",
    )
