"""The pairs that answers make: those that were said, and some of what follows."""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from latentspace.space.answers import Answer, Implied, following
from latentspace.space.folder import Space

#: pairs that follow from answers are learnt from too, so many times as many at most
FOLLOWING = 3


def pairs_of(
    space: Space, every: list[Answer], said: Implied, longest: int | None
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """(rows (m, 2), same (m,)): the answers that nothing contradicts, then the same that follow from chains of up to
    `longest` answers, the shortest first, at most FOLLOWING times as many."""
    there = {str(name): row for row, name in enumerate(space.ids.tolist())}
    direct: dict[tuple[int, int], bool] = {}
    for one in every:
        if one.a in there and one.b in there and said.known(one.a, one.b) is one.same:
            a, b = sorted((there[one.a], there[one.b]))
            direct[a, b] = one.same
    follow = ((there[a], there[b]) for a, b in following(every, longest) if a in there and b in there)
    found = direct | {(min(pair), max(pair)): True for pair in islice(follow, FOLLOWING * len(direct))}
    rows = np.array(list(found), np.intp).reshape(-1, 2)
    return rows, np.array(list(found.values()), bool)
