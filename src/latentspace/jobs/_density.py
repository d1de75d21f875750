"""How densely a space's items lie, all of them or some, and which places of Z are meant by what a user names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError, OptionError, SpaceError, nearest
from latentspace.jobs._map_items import ENOUGH
from latentspace.space.changes import rows_of
from latentspace.space.folder import Space

if TYPE_CHECKING:
    from latentspace.models.density import Density

Array = NDArray[Any]
Rows = NDArray[np.intp]

#: items around a latent that say how far "near" reaches
AROUND = 20


def learnt(space: Space) -> Rows:
    """The rows of the items that training saw."""
    return np.arange(len(space)) if space.held_out is None else np.flatnonzero(~space.held_out)


def density_of(space: Space) -> Density:
    """The space's own density, or one fitted on the spot where it has none. Raises SpaceError for too few items."""
    from latentspace.models.density import Density

    if space.density is not None:
        return space.density
    rows = learnt(space)
    if len(rows) < ENOUGH:
        raise SpaceError(
            f"{space.path or 'This space'} holds {len(rows)} items that a density could be learnt from; it needs at "
            f"least {ENOUGH}."
        )
    return Density.fit(space.latents[rows])


def density_of_some(space: Space, label: str | None, where: str | None) -> Density:
    """The density of the items that have a label's value and fulfil a condition; of all where neither is given.

    Raises OptionError where fewer than ENOUGH do.
    """
    whole, rows = density_of(space), learnt(space)
    if label is None and where is None:
        return whole
    if label is not None:
        rows = np.intersect1d(rows, labelled(space, label))
    if where is not None:
        rows = np.intersect1d(rows, space.rows_where(where))
    if len(rows) < ENOUGH:
        asked = " and ".join(repr(part) for part in (label, where) if part is not None)
        raise OptionError(f"Only {len(rows)} training items are {asked}: at least {ENOUGH} are needed.")
    return whole.of(space.latents[rows])


def labelled(space: Space, label: str) -> Rows:
    """The rows whose label is `label`: a value, or NAME=VALUE. Raises OptionError with the nearest right one."""
    if not space.labels:
        raise OptionError("This space has no labels (fit it with labels=NAME): say which items by where.")
    name, equals, value = label.partition("=")
    named = {name: space.labels[name]} if equals and name in space.labels else space.labels
    wanted = value if equals and name in space.labels else label
    found = {n: np.flatnonzero(_texts(values) == wanted) for n, values in named.items()}
    found = {n: rows for n, rows in found.items() if len(rows)}
    if len(found) > 1:
        raise OptionError(
            f"Several labels have the value {wanted!r}: say which, such as {next(iter(found))}={wanted}."
        )
    if not found:
        every = sorted({text for values in named.values() for text in _texts(values).tolist()})
        shown = ", ".join(every[:10]) + (" ..." if len(every) > 10 else "")
        raise OptionError(f"No item has the label {wanted!r}{nearest(wanted, every)}: there are {shown}.")
    return next(iter(found.values()))


def _texts(values: Array) -> Array:
    return np.array([str(value) for value in values.tolist()])


def around(space: Space, density: Density, z: Array) -> Density:
    """The density around latents z (k,), as far as their AROUND nearest items reach."""
    rows, _ = space.nearest(z[None], min(AROUND, len(space)))
    apart = space.latents[rows[0][rows[0] >= 0]].astype(float) - z
    spread = apart.T @ apart / len(apart)
    # as round as it is wide, in part: few items fill no more than a plane
    even = np.eye(len(spread)) * max(float(np.trace(spread)) / len(spread), 1e-12)
    return density.near(z.astype(float), 0.7 * spread + 0.3 * even)


def place(space: Space, what: Any) -> tuple[str, NDArray[np.float32], Rows]:
    """(what it is called, its latents (k,), rows of the space it is made of) of what a user names.

    The id of an item; a condition such as ``kind = 'shoe'``, for the mean of the items that fulfil it; a file or an
    object that holds new items, for their mean. Raises OptionError where it is none of these.
    """
    if not isinstance(what, str | Path):
        items = space.items(what)
        return _mean_of(space, items, "the item given" if len(items) == 1 else "the items given")
    text = str(what)
    ids = {str(name) for name in space.ids.tolist()}
    if text in ids:
        rows = rows_of(space, [text])
        return text, space.latents[rows[0]], rows
    if Path(text).exists():
        return _mean_of(space, space.items(text), Path(text).name)
    if any(sign in text for sign in "=<>"):
        rows = space.rows_where(text)
        return f"mean of {text}", space.latents[rows].mean(axis=0), rows
    raise OptionError(
        f"This space holds no item {text!r}{nearest(text, ids)}, and there is no such file; a condition such as "
        '"price > 100" stands for the mean of the items that fulfil it.'
    )


def _mean_of(space: Space, items: Any, name: str) -> tuple[str, NDArray[np.float32], Rows]:
    if not len(items):
        raise DataError(f"{items.source} holds no items.")
    z = space.encode(items).mean(axis=0)
    return name if len(items) == 1 else f"mean of {name}", z, np.zeros(0, np.intp)
