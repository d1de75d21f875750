"""Clean versions of items: read in their own kind, and matched to the noisy ones by id or by order."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality
from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.errors import DataError, LatentspaceError

#: fewer pairs than this teach nothing
ENOUGH = 10


@dataclass(frozen=True)
class Pairs:
    """Clean items and which of the noisy ones each belongs to.

    modality : how the clean items become tensors, the space's own where their shape is the same. items : they.
    x (m, *shape) : they, encoded. rows (m,) : the noisy item of each.
    """

    modality: Modality
    items: Items
    x: NDArray[np.float32]
    rows: NDArray[np.intp]

    def lend(self, noisy: Items) -> Items | None:
        """The items that lend what restored tensors do not hold: sizes, time stamps, columns set aside."""
        if isinstance(self.modality, Signal):
            return self.items if len(self.rows) == len(noisy) else None
        return noisy if isinstance(self.modality, Image) else None


def read_pairs(modality: Modality, noisy: Items, clean: Any) -> Pairs:
    """The clean versions of `noisy` items: a path or an object, in the same order or with the same ids.

    Read with the space's `modality` where they have its shape, else with one of their own. Raises DataError where an
    item has no clean version, or a clean one no item.
    """
    own, items = _read(modality, clean)
    rows = _matched(noisy, items)
    if len(rows) < ENOUGH:
        raise DataError(
            f"{items.source} makes {len(rows)} pairs: at least {ENOUGH} are needed to learn from."
        )
    x, _ = own.transform(items)
    return Pairs(own, items, x, rows)


def _read(modality: Modality, clean: Any) -> tuple[Modality, Items]:
    from latentspace.data.sources import read_items

    if isinstance(modality, Image):
        own, items = read_items(clean, Image(size=(modality.shape[1], modality.shape[2])))
        if items.values.pixels.shape[3] == modality.shape[0]:
            return modality, items
        return own.fit(items), items
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            items = read_items(clean, modality)[1]
            modality.transform(modality.take(items, np.arange(min(1, len(items)))))
        return modality, items
    except LatentspaceError:
        if isinstance(clean, (str, Path)) and not Path(clean).exists():
            raise
    window, hop = (modality.shape[1], modality.stride) if isinstance(modality, Signal) else (None, None)
    sort: Any = Signal(window=window, hop=hop) if isinstance(modality, Signal) else "auto"
    own, items = read_items(clean, sort)
    return own.fit(items), items


def _matched(noisy: Items, clean: Items) -> NDArray[np.intp]:
    """(m,) the noisy item that each clean one belongs to."""
    n, m = len(noisy), len(clean)
    if n == m and (not _named(noisy) or not _named(clean) or (noisy.ids == clean.ids).all()):
        return np.arange(n)
    if not _named(noisy) or not _named(clean):
        raise DataError(
            f"{clean.source} holds {m:,} items, but {noisy.source} holds {n:,}: each item needs its clean "
            "version, in the same order or with the same id."
        )
    place = {str(name): i for i, name in enumerate(noisy.ids.tolist())}
    strange = [name for name in clean.ids.tolist() if str(name) not in place]
    if strange:
        raise DataError(
            f"{clean.source} holds {strange[0]!r}, but {noisy.source} has no item of that id: clean versions "
            "have the ids of the items that they belong to."
        )
    return np.array([place[str(name)] for name in clean.ids.tolist()], np.intp)


def _named(items: Items) -> bool:
    """Whether the ids are names, not just places."""
    ids = items.ids
    return not (ids.dtype.kind in "iu" and (ids == np.arange(len(ids))).all())
