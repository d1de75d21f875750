"""Items added to a space and removed from it, without learning anew: the folder holds the old or the new, always."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.errors import DataError, OptionError, SpaceError, nearest
from latentspace.space.atomic import sync, whole
from latentspace.space.files import (
    CARD,
    COLUMNS,
    INDEX,
    LATENTS,
    family,
    read_card,
    stamp,
    write_card,
    write_items,
)
from latentspace.space.folder import Space
from latentspace.space.index import EXACT_UP_TO, Index

Rows = NDArray[np.intp]

#: the index is divided anew where so large a share of it has changed since it was
CHANGED = 0.5
#: and its recall is measured again after each such share
MEASURED = 0.1
#: among more ids than this none is looked for that is like a wrong one
MANY = 5000
_KINDS = (LATENTS, COLUMNS, INDEX)


def with_items(space: Space, items: Items, latents: NDArray[Any], *, replacing: bool = False) -> Space:
    """`space` with items after its own, of latents (n, k), each under its id; not written anywhere.

    Items without ids of their own, which reading has numbered from 0, get the numbers after the largest. Their labels
    are kept where the space has labels of that name, their columns where it keeps columns. They took no part in
    learning. With `replacing` an item takes the place of one of the same id.

    Raises DataError where an id is there already, or twice among the items.
    """
    if are_counted(space, items, whole=space.ids.dtype.kind == "i"):
        items = counted_on(items, int(space.ids.max()), replacing)
    names = [str(name) for name in items.ids.tolist()]
    distinct(names, items.source)
    there = {str(name): row for row, name in enumerate(space.ids.tolist())}
    known = [name for name in names if name in there]
    if known and not replacing:
        raise already_there(known, items.source)
    if known:
        space = without_rows(space, np.array([there[name] for name in known], np.intp), emptied=True)
    columns = None
    if space.columns is not None:
        columns = below(space.columns, space.modality.told(items), len(items))
    held_out = (
        None if space.held_out is None else np.concatenate([space.held_out, np.zeros(len(items), bool)])
    )
    return _changed(
        replace(
            space,
            ids=_joined(space.ids, items.ids),
            latents=np.concatenate([space.latents, np.asarray(latents, np.float32)]),
            labels={name: _joined(own, label(items, name)) for name, own in space.labels.items()},
            held_out=held_out,
            columns=columns,
        ),
        space.index.with_points(latents),
        len(items),
    )


def without_rows(space: Space, rows: Rows, *, emptied: bool = False) -> Space:
    """`space` without the items at `rows`; not written anywhere. Raises OptionError where none would be left."""
    kept = np.setdiff1d(np.arange(len(space)), rows)
    if not len(kept) and not emptied:
        raise OptionError("No item would be left: a space holds at least 1.")
    return _changed(
        replace(
            space,
            ids=space.ids[kept],
            latents=space.latents[kept],
            labels={name: values[kept] for name, values in space.labels.items()},
            held_out=None if space.held_out is None else space.held_out[kept],
            columns=None if space.columns is None else space.columns.take(kept),
        ),
        space.index.without(rows),
        len(space) - len(kept),
    )


def rows_of(space: Space, ids: list[Any]) -> Rows:
    """The rows of the items called `ids`. Raises OptionError with the nearest right name where there is none."""
    there = {str(name): row for row, name in enumerate(space.ids.tolist())}
    for name in ids:
        if str(name) not in there:
            near = nearest(str(name), there) if len(there) <= MANY else ""
            raise OptionError(f"This space holds no item {str(name)!r}{near}.")
    return np.array([there[str(name)] for name in ids], np.intp)


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Only one process changes the space in the folder `path` at a time; others wait, for a minute at most.

    Raises SpaceError where the wait was in vain.
    """
    from filelock import FileLock, Timeout

    read_card(path)  # where there is no space, nothing is to be left beside it
    try:
        with FileLock(path.parent / f".{path.name}.lock", timeout=60):
            yield
    except Timeout as failure:
        raise SpaceError(
            f"{path} is being changed by another process: try again when that has ended."
        ) from failure


def write(space: Space, path: Path) -> None:
    """Write what adding and removing changed into the folder of a space: at any moment it holds the old or the new.

    New files get names of their own; then `space.json`, which names them, takes the place of the old one at once;
    then the old files go. To be called within `changing`.
    """
    card = read_card(path)
    old = [name for name in card["files"] if family(name) in _KINDS]
    number = f".{_number(path) + 1}"
    new = write_items(space, path, number)
    kept = {name: mark for name, mark in card["files"].items() if name not in old}
    stamps = kept | {name: stamp(path / name) for name in new}
    sync(path)
    with whole(path / CARD, SpaceError) as beside:
        write_card(beside, space.contents(stamps) | {"model": card["model"]})
    left = {file.name for file in path.iterdir() if family(file.name) in _KINDS} - set(stamps)
    for name in left:  # the old, and what was left behind by whoever was stopped
        with suppress(PermissionError):  # on Windows, by who reads it: the next change takes it away
            (path / name).unlink(missing_ok=True)


def _number(path: Path) -> int:
    """The highest number that a file in the folder carries."""
    numbers = [file.name.split(".")[1:-1] for file in path.iterdir() if family(file.name) in _KINDS]
    return max((int(parts[0]) for parts in numbers if parts and parts[0].isdigit()), default=1)


def _changed(space: Space, index: Index, changes: int) -> Space:
    """A space whose index has changed by so many points; one that changed much is divided anew."""
    before = int(space.card.get("changed", 0))
    since = before + changes
    space.card = {**space.card, "changed": since}
    much = since > CHANGED * max(1, len(space))
    if index.cells is None or much:
        index = Index.build(space.latents) if len(space) > EXACT_UP_TO else Index(space.latents)
        space.card["changed"] = 0
    elif before // (MEASURED * len(space)) < since // (MEASURED * len(space)):
        index.measure()
    space.cells = None
    space.index = index
    return space


def are_counted(space: Space, items: Items, *, whole: bool) -> bool:
    """Whether items have no ids of their own but were only counted, as those of the space were, whose ids are `whole`
    numbers."""
    counted = getattr(space.modality, "id_column", None) is None and whole and items.ids.dtype.kind == "i"
    return counted and np.array_equal(items.ids, np.arange(len(items)))


def counted_on(items: Items, last: int, replacing: bool) -> Items:
    """Items counted on after the id `last`. Raises OptionError where they should take the place of others."""
    if replacing:
        raise OptionError(
            f"The items of {items.source} have no ids of their own: there is nothing to replace by."
        )
    return replace(items, ids=items.ids + last + 1)


def already_there(known: list[str], source: str) -> DataError:
    """The error for items whose names are `known` to a space already."""
    more = f" (and {len(known) - 1:,} more)" if len(known) > 1 else ""
    return DataError(
        f"{source}: the space holds an item {known[0]!r} already{more}: give it another id, or replace it."
    )


def distinct(names: list[str], source: str) -> None:
    """Raise DataError where two items have the same name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"{source}: the id {name!r} is given twice; each item needs one of its own.")
        seen.add(name)


def _joined(own: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Two columns as one; of one type where they can be, else as objects."""
    if own.dtype.kind == new.dtype.kind or {own.dtype.kind, new.dtype.kind} <= set("iuf"):
        return np.concatenate([own, new])
    return np.concatenate([own.astype(object), new.astype(object)])


def label(items: Items, name: str) -> NDArray[Any]:
    """The items' label of that name; gaps where they have none."""
    return items.labels.get(name, np.full(len(items), None, object))


def below(own: Any, new: Any, n: int) -> Any:
    """A table of n rows below another, with the first one's columns and types; gaps where it has no such column."""
    import pyarrow as pa

    columns = []
    for field in own.schema:
        if new is None or field.name not in new.column_names:
            columns.append(pa.nulls(n, field.type))
            continue
        try:
            columns.append(new[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as failure:
            if pa.types.is_integer(field.type) and pa.types.is_floating(new[field.name].type):
                columns.append(new[field.name])  # whole numbers so far, and now one that is not
                continue
            raise DataError(
                f"Column {field.name!r} holds {new[field.name].type} where the space has {field.type}."
            ) from failure
    added = pa.table(columns, names=own.column_names)
    return pa.concat_tables([own, added], promote_options="permissive")
