"""The labels that a user gives of some items of a space: a label or column of the space, or a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError, OptionError, nearest
from latentspace.jobs._given_tables import given_table
from latentspace.jobs._map_items import plain_label
from latentspace.space.folder import Space
from latentspace.space.quality import MAX_CLASSES

Array = NDArray[Any]


@dataclass(frozen=True)
class Given:
    """Labels of some of a space's items: what they are called, the rows (m,) they are of, and their codes (m,) among
    the classes (c,), which are texts."""

    name: str
    rows: NDArray[np.intp]
    codes: NDArray[np.intp]
    classes: list[str]


def given_labels(space: Space, label: str | None, labels: Any) -> Given:
    """The labels in `labels` (a file, a frame, or id → label), or the space's own of the name `label`.

    Raises OptionError or DataError where there are none, or fewer than two classes.
    """
    name, texts = _own(space, label) if labels is None else _of_file(space, label, labels)
    rows = np.flatnonzero(texts != "")
    classes, codes = np.unique(texts[rows], return_inverse=True)
    if len(classes) < 2:
        found = f"only {str(classes[0])!r}" if len(classes) else "none at all"
        raise DataError(f"{name}: labels of at least 2 classes are needed, there is {found}.")
    most = MAX_CLASSES if _numbers(classes) else max(MAX_CLASSES, len(rows) // 2)
    if len(classes) > most:
        raise DataError(
            f"{name} has {len(classes):,} different values in {len(rows):,} items: these name no classes."
        )
    return Given(name, rows, codes.astype(np.intp), [str(c) for c in classes.tolist()])


def as_texts(values: Array) -> Array:
    """(n,) labels as texts; "" where there is none."""
    plain = plain_label(values)
    if plain.dtype.kind == "f":
        whole = np.isfinite(plain) & (plain == np.round(plain))
        return np.array(
            [
                "" if v != v else str(int(v)) if w else f"{v:g}"
                for v, w in zip(plain.tolist(), whole, strict=True)
            ]
        )
    return np.array([str(v) for v in plain.tolist()])


def _numbers(classes: Array) -> bool:
    try:
        classes.astype(float)
    except ValueError:
        return False
    return True


def _own(space: Space, label: str | None) -> tuple[str, Array]:
    if label is None and len(space.labels) == 1:
        label = next(iter(space.labels))
    columns = [] if space.columns is None else space.columns.column_names
    if label is None:
        also = f" of {', '.join(space.labels)}" if space.labels else ""
        raise OptionError(
            f"Say which labels to learn from: one{also} (label), or a file of ids and labels (labels)."
        )
    if label in space.labels:
        return label, as_texts(space.labels[label])
    if space.columns is not None and label in columns:
        return label, as_texts(np.array(space.columns[label].to_pylist(), object))
    known = [*space.labels, *columns]
    raise OptionError(f"This space has no label or column {label!r}{nearest(label, known)}.")


def _of_file(space: Space, label: str | None, labels: Any) -> tuple[str, Array]:
    source = Path(labels).name if isinstance(labels, str | Path) else "labels"
    name, pairs = _pairs(labels, label, source)
    rows = {str(i): row for row, i in enumerate(space.ids.tolist())}
    texts = np.full(len(space), "", object)
    for item, text in pairs:
        if item not in rows:
            raise DataError(
                f"{source} names the item {item!r}, which the space does not hold{_near(item, rows)}."
            )
        if texts[rows[item]] not in ("", text):
            raise DataError(
                f"{source} gives the item {item!r} two labels: {texts[rows[item]]!r} and {text!r}."
            )
        texts[rows[item]] = text
    return name, texts.astype(str)


def _near(item: str, rows: dict[str, int]) -> str:
    return nearest(item, rows) if len(rows) <= 5000 else ""


def _pairs(labels: Any, label: str | None, source: str) -> tuple[str, list[tuple[str, str]]]:
    """(what the labels are called, (id, label) of each labelled item). Raises OptionError for what is no table."""
    if isinstance(labels, dict):
        return label or "label", _known(labels.keys(), labels.values())
    frame = given_table(labels, "labels", "a table with id and label, or id → label")
    names = [str(name) for name in frame.column_names]
    if "id" not in names:
        raise DataError(
            f"{source} has no column 'id': it needs one with the items' ids, and one with their labels."
        )
    others = [name for name in names if name != "id"]
    if label is None and len(others) != 1:
        raise OptionError(
            f"{source} has the columns {', '.join(others) or 'id alone'}: say which holds the labels (label)."
        )
    name = others[0] if label is None else label
    if name not in others:
        raise OptionError(f"{source} has no column {name!r}{nearest(name, others)}.")
    return name, _known(frame["id"].to_pylist(), frame[name].to_pylist())


def _known(ids: Iterable[Any], labels: Iterable[Any]) -> list[tuple[str, str]]:
    """(id, label) as texts, of the items that have one."""
    values = np.empty(len(listed := list(labels)), object)
    values[:] = listed
    return [(str(i), t) for i, t in zip(ids, as_texts(values).tolist(), strict=True) if t != ""]
