"""Pairs as users give them: rows or ids with "same" or "different", triplets, or the classes of the items."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from latentspace.data.base import Items
from latentspace.errors import DataError, nearest

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: pairs that are drawn from the classes of items: so many an item, and at most
EACH, MOST = 10, 20_000
_WORDS = {"same": True, "different": False}


def given_pairs(
    items: Items, y: Any, same: Any, seed: int
) -> tuple[NDArray[np.intp], Mask, NDArray[np.intp] | None]:
    """(rows (m, 2), same (m,), the class of each item (n,) or None) of what `fit` was given.

    Raises DataError that names what is wrong.
    """
    if same is None:
        given = np.asarray(y)
        if given.ndim == 2 and given.shape[1] == 3:
            return *_of_triplets(_rows_of(items, given)), None
        if given.ndim == 2 and given.shape[1] == 2:
            raise DataError("Of pairs it must be said whether they are the same: fit(X, pairs, same).")
        return _of_classes(items, given, seed)
    rows = _rows_of(items, np.asarray(y))
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise DataError(f"pairs must have shape (m, 2), not {rows.shape}.")
    alike = sames(same, len(rows))
    itself = np.flatnonzero(rows[:, 0] == rows[:, 1])
    if len(itself):
        rows, alike = np.delete(rows, itself, axis=0), np.delete(alike, itself)
    if not len(rows):
        raise DataError("pairs hold no two different items: there is nothing to learn from.")
    return rows, alike, None


def sames(y: Any, m: int) -> Mask:
    """(m,) whether pairs are the same, from 1 and 0, 1 and -1, True and False, or "same" and "different"."""
    values = np.asarray(y).reshape(-1)
    if len(values) != m:
        raise DataError(f"y says of {len(values):,} pairs whether they are the same; there are {m:,}.")
    if values.dtype.kind in "OUS":
        words = [str(value).strip().lower() for value in values.tolist()]
        wrong = next((i for i, word in enumerate(words) if word not in _WORDS), None)
        if wrong is not None:
            raise DataError(
                f"y says {words[wrong]!r} of pair {wrong}{nearest(words[wrong], _WORDS)}; it may say 'same' or "
                "'different', 1 or 0, 1 or -1."
            )
        return np.array([_WORDS[word] for word in words], bool)
    wrong_numbers = np.flatnonzero(~np.isin(values, (-1, 0, 1)))
    if len(wrong_numbers):
        raise DataError(
            f"y says {values[wrong_numbers[0]]} of pair {wrong_numbers[0]}; it may say 1 or 0, 1 or -1."
        )
    return np.asarray(values > 0)


def _rows_of(items: Items, pairs: Array) -> NDArray[np.intp]:
    """Rows of items that are named by row, or by id."""
    n = len(items)
    if pairs.dtype.kind in "iu":
        wrong = pairs[(pairs < 0) | (pairs >= n)]
        if wrong.size:
            raise DataError(f"pairs name row {int(wrong[0])}; {items.source} has items 0 to {n - 1}.")
        return pairs.astype(np.intp)
    there = {str(name): row for row, name in enumerate(items.ids.tolist())}
    for name in pairs.reshape(-1).tolist():
        if str(name) not in there:
            near = nearest(str(name), there) if n <= 5000 else ""
            raise DataError(f"pairs name the item {name!r}, which {items.source} does not hold{near}.")
    return np.array([there[str(name)] for name in pairs.reshape(-1).tolist()], np.intp).reshape(pairs.shape)


def _of_triplets(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], Mask]:
    pairs = np.concatenate([rows[:, [0, 1]], rows[:, [0, 2]]])
    return pairs, np.repeat([True, False], len(rows))


def _of_classes(items: Items, y: Any, seed: int) -> tuple[NDArray[np.intp], Mask, NDArray[np.intp] | None]:
    """Pairs of which half are of the same class, as far as there are such."""
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError("The labels y contain NaN or infinity; leave those items out.")
    check_classification_targets(labels)
    if len(labels) != len(items):
        check_consistent_length(labels, np.zeros(len(items)))
    codes = np.unique(labels, return_inverse=True)[1]
    if codes.max(initial=0) == 0:
        raise DataError(f"Labels of at least 2 classes are needed; y holds only one class: {labels[0]!r}.")
    rng = np.random.default_rng(seed)
    m = min(MOST, EACH * len(codes))
    by_class = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    first = rng.integers(0, len(codes), m)
    second = np.array(
        [
            rng.choice(by_class[codes[row]]) if i % 2 else rng.integers(0, len(codes))
            for i, row in enumerate(first.tolist())
        ]
    )
    pairs = np.stack([first, second], axis=1)[first != second].astype(np.intp)
    return pairs, codes[pairs[:, 0]] == codes[pairs[:, 1]], codes
