"""Several arrays in one file: which of them holds the items, and what the others say about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

Arrays = Mapping[str, NDArray[Any]]

#: Names under which the items themselves lie, the first that is there.
ITEMS = ("X", "x", "images", "data", "samples", "features", "inputs")
#: Names of a label that the array "names" may spell out.
TARGETS = ("y", "label", "labels", "target", "targets", "class")
_IDS = ("id", "ids", "name", "filename", "file", "key")
_RATES = ("fs", "rate", "sr", "sampling_rate", "sample_rate", "hz")
_SPLIT = re.compile(r"(?:(train|valid|val|test)_(.+))|(?:(.+)_(train|valid|val|test))")


@dataclass(frozen=True)
class Choice:
    """The array of items and what lies beside it.

    labels : (n,) or, where there are `lengths`, one entry a series. columns : names of the last axis.
    """

    key: str
    items: NDArray[Any]
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    ids: NDArray[Any] | None = None
    lengths: NDArray[Any] | None = None
    columns: tuple[str, ...] = ()
    rate: float | None = None
    notes: tuple[str, ...] = ()


def choose(arrays: Arrays, source: str) -> Choice:
    """Tell the items from labels, names, lengths and rates; raises DataError where there are no items.

    >>> y, names = np.array([0, 1, 1]), np.array(["a", "b"])
    >>> choice = choose({"X": np.zeros((3, 5)), "y": y, "names": names}, "a.npz")
    >>> choice.key, choice.labels["y"].tolist()
    ('X', ['a', 'b', 'b'])
    """
    arrays, notes = _joined(arrays)
    key = _items_key(arrays, source)
    items = arrays[key]
    lengths = _lengths(arrays, items)
    count = len(items) if lengths is None else len(lengths)
    texts = {k: a for k, a in arrays.items() if a.ndim == 1 and a.dtype.kind in "US"}
    columns = next((k for k in texts if k != "names" and _names_an_axis(texts[k], items, count)), None)
    beside = {
        k: a for k, a in arrays.items() if k not in (key, columns, "lengths") and not k.endswith("names")
    }
    labels = {k: a.reshape(-1) for k, a in beside.items() if a.shape in ((count,), (count, 1))}
    ids = next((k for k in labels if k.lower() in _IDS and len(np.unique(labels[k])) == count), None)
    unused = [k for k, a in beside.items() if k not in labels and a.ndim > 0]
    if unused:
        notes.append(f"Read the array {key!r}; left out: {', '.join(unused)}.")
    return Choice(
        key,
        items,
        {k: _spelt(k, a, arrays, len(labels)) for k, a in labels.items() if k != ids},
        None if ids is None else labels[ids],
        lengths,
        () if columns is None else tuple(str(name) for name in texts[columns]),
        next((float(a) for k, a in arrays.items() if a.ndim == 0 and k.lower() in _RATES), None),
        tuple(notes),
    )


def _joined(arrays: Arrays) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays with X_train, X_test and such made one, and the labels beside them alike."""
    stems: dict[str, dict[str, str]] = {}
    for key in arrays:
        match = _SPLIT.fullmatch(key)
        if match:
            stems.setdefault(match[2] or match[3], {})[match[1] or match[4]] = key
    whole = dict(arrays)
    notes: list[str] = []
    items = next((stem for stem in ITEMS if stem in stems and stem not in arrays), None)
    if items is None or not _alike([arrays[k] for k in stems[items].values()]):
        return whole, notes
    lengths = [len(arrays[k]) for k in stems[items].values()]
    for stem, keys in stems.items():
        same = list(keys) == list(stems[items]) and [len(arrays[k]) for k in keys.values()] == lengths
        if same and _alike([arrays[k] for k in keys.values()]):
            whole[stem] = np.concatenate([whole.pop(k) for k in keys.values()])
    if len(lengths) > 1:
        notes.append(f"{' and '.join(stems[items].values())} were read as one ({sum(lengths):,} items).")
    return whole, notes


def _alike(parts: list[NDArray[Any]]) -> bool:
    return all(p.ndim > 0 and p.shape[1:] == parts[0].shape[1:] and p.dtype == parts[0].dtype for p in parts)


def _items_key(arrays: Arrays, source: str) -> str:
    """The name of the array of items: X, another of ITEMS, X_..., ..._train, or the largest."""
    numbers = {k: a for k, a in arrays.items() if a.dtype.kind in "biuf" and a.ndim > 0 and a.size}
    wide = {k: a for k, a in numbers.items() if a.ndim > 1 and a.shape[1:] != (1,)} or numbers
    if not wide:
        raise DataError(f"{source} holds no array of numbers with anything in it.")
    named = [k for k in ITEMS if k in wide] + [k for k in wide if k.startswith("X")]
    named += [k for k in wide if k.endswith("_train") or k.startswith("train_")]
    return named[0] if named else max(wide, key=lambda k: wide[k].size)


def _lengths(arrays: Arrays, items: NDArray[Any]) -> NDArray[Any] | None:
    """Lengths of series that lie one after another; as many as there are items, they are a label like any."""
    lengths = arrays.get("lengths")
    if lengths is None or lengths.ndim != 1 or items.ndim > 2 or len(lengths) == len(items):
        return None
    return lengths


def _names_an_axis(names: NDArray[Any], items: NDArray[Any], count: int) -> bool:
    return items.ndim in (2, 3) and len(names) != count and len(names) in items.shape[1:]


def _spelt(key: str, codes: NDArray[Any], arrays: Arrays, count: int) -> NDArray[Any]:
    """Integer labels as the words of ``<key>_names``, or of ``names`` for the target or an only label."""
    names = arrays.get(f"{key}_names")
    if names is None and (key in TARGETS or count == 1):
        names = arrays.get("names")
    if names is None or names.ndim != 1 or names.dtype.kind not in "US" or codes.dtype.kind not in "iu":
        return codes
    return names.astype(str)[codes] if codes.min() >= 0 and codes.max() < len(names) else codes
