"""New items put beside those of a space, without learning anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.errors import DataError
from latentspace.jobs._verdict import count
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.changes import changing, with_items, write
from latentspace.space.folder import Space
from latentspace.space.stored import in_a_store

__all__ = ["add"]


@job
def add(
    space: Space | str | Path, data: Any, *, replace: bool = False, progress: Progress | None = None
) -> Result:
    """Add items to a space: they are encoded and can be found; nothing is learnt anew.

    Parameters
    ----------
    space
        The folder that holds a space, which is changed; a space in memory stays as it is, and the result's `value`
        is the new one.
    data
        The items: anything that was good for `fit`, with the same columns or channels. Those without ids are numbered
        on from the last one.
    replace
        Items take the place of those of the same id, instead of being refused.
    progress
        Called with what is going on and the share done.
    """
    tell = progress or (lambda words, share: None)
    path = None if isinstance(space, Space) else Path(space)
    if path is None:
        return _said(*_added(opened(space), data, replace, tell))
    if stored := in_a_store(path):  # many may add at the same time: the store lets them take turns
        items, latents = _read(stored, data, tell)
        tell("writing", None)
        return _said(stored.put(items, latents, replacing=replace), len(items), items.source)
    with changing(path):
        made, n, source = _added(opened(path), data, replace, tell)
        tell("writing", None)
        write(made, path)
    return _said(made, n, source)


def _added(space: Space, data: Any, replace: bool, tell: Progress) -> tuple[Space, int, str]:
    """(the space with the items of `data`, how many, where they came from)."""
    items, latents = _read(space, data, tell)
    return with_items(space, items, latents, replacing=replace), len(items), items.source


def _read(space: Space, data: Any, tell: Progress) -> tuple[Items, NDArray[np.float32]]:
    items = space.items(data)
    if not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to add.")
    tell("encoding", None)
    return items, space.encode(items)


def _said(space: Space, n: int, source: str) -> Result:
    return Result(
        summary=f"{count(n, 'item')} of {source} added; the space holds {len(space):,} now.",
        files=[] if space.path is None else [space.path],
        data={"added": n, "items": len(space)},
        value=space,
    )
