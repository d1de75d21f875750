"""Items taken out of a space, without learning anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError
from latentspace.jobs._verdict import count
from latentspace.jobs.base import Names, Result, job, opened
from latentspace.space.changes import changing, rows_of, without_rows, write
from latentspace.space.folder import Space
from latentspace.space.stored import in_a_store

__all__ = ["remove"]


@job
def remove(space: Space | str | Path, ids: Names = (), *, where: str | None = None) -> Result:
    """Take items out of a space: they are found no more, but what was learnt from them stays learnt.

    The network, the scorer, the map and the report may still hold them: to forget an item, fit again without it.

    Parameters
    ----------
    space
        The folder that holds a space, which is changed; a space in memory stays as it is, and the result's `value`
        is the new one.
    ids
        The items' ids.
    where
        A condition on id, labels and columns instead, such as "price > 100".
    """
    ids = (ids,) if isinstance(ids, str) else tuple(ids)
    if bool(ids) == (where is not None):
        raise OptionError("Say which items to remove: either their ids or a condition (where).")
    if isinstance(space, Space):
        less = without_rows(space, _rows(space, ids, where))
        return _said(len(space) - len(less), less)
    path = Path(space)
    if stored := in_a_store(path):
        gone = stored.take_out(_rows(stored, ids, where))
        return _said(gone, stored)
    with changing(path):
        before = opened(path)
        made = without_rows(before, _rows(before, ids, where))
        write(made, path)
    return _said(len(before) - len(made), made)


def _rows(space: Space, ids: Names, where: str | None) -> NDArray[np.intp]:
    return rows_of(space, list(ids)) if where is None else space.rows_where(where)


def _said(gone: int, after: Space) -> Result:
    return Result(
        summary=f"{count(gone, 'item')} removed; the space holds {len(after):,} now.",
        files=[] if after.path is None else [after.path],
        data={"removed": gone, "items": len(after)},
        value=after,
    )
