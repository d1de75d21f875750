"""Which pictures are drawn, which ones judge what is foreseen, and whose patches are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError, OptionError, nearest
from latentspace.space.folder import Space

Array = NDArray[Any]
Rows = NDArray[np.intp]

#: pictures drawn where none is named, and drawn at most
SHOWN, MOST = 6, 40
#: pictures that judge at most, and pictures read at most besides those that are named
JUDGED, READ = 500, 3000
#: an item lies where another does if no latent differs by more, as a share of the latents' deviation
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Chosen:
    """Encoded pictures (n, C, H, W): `shown`, called `names`; `judged`; and `among`, whose patches are looked at.

    own : (n,) the row of each one shown in `among`, or -1. unseen : whether training saw none of `judged`.
    """

    names: list[str]
    shown: Array
    judged: Array
    among: Array
    own: Rows
    unseen: bool


def kept(space: Space) -> Chosen:
    """Held-out pictures that the space keeps to be shown, and training pictures that it keeps to tell odd ones by.

    Raises OptionError where it keeps none.
    """
    shown = space.evidence.get("examples.x")
    if shown is None or not len(shown) or space.scorer is None:
        raise OptionError("This space keeps no pictures to draw: give some as data.")
    among = np.asarray(space.scorer.reference, np.float32).reshape(-1, *space.modality.shape)
    names = [f"held out {i + 1}" for i in range(min(SHOWN, len(shown)))]
    return Chosen(names, shown[:SHOWN], shown, among, np.full(len(names), -1), True)


def given(space: Space, data: Any, item: Sequence[str], seed: int) -> Chosen:
    """Those of `data`: drawn are the named ones, else some that training did not see, by which it is also judged.

    Raises OptionError for names that are not there, DataError where there are too few.
    """
    items = space.items(data)
    if len(items) < 2:
        raise DataError(f"{items.source} holds {len(items)} picture, and foresee needs others beside it.")
    asked = _rows(item, items.ids)
    # a stream of its own: items are held out by the seed, too
    order = np.random.default_rng([seed, 1]).permutation(len(items))
    rows = np.concatenate([asked, order[~np.isin(order, asked)][:READ]])
    x = np.asarray(space.modality.transform(space.modality.take(items, rows))[0], np.float32)
    new = ~learnt(space, x)
    fresh = np.flatnonzero(new) if new.any() else np.arange(len(rows))
    drawn = np.arange(len(asked)) if len(asked) else fresh[:SHOWN][np.argsort(rows[fresh[:SHOWN]])]
    # patches of training pictures, where there are enough of them
    others = np.flatnonzero(~new) if (~new).sum() > len(rows) // 10 else np.arange(len(rows))
    place = np.full(len(rows), -1)
    place[others] = np.arange(len(others))
    names = [str(name) for name in items.ids[rows[drawn]]]
    return Chosen(names, x[drawn], x[fresh[:JUDGED]], x[others], place[drawn], bool(new.any()))


def learnt(space: Space, x: Array) -> NDArray[np.bool_]:
    """(n,) which encoded pictures the space learnt from: those that lie where one does that was not held out.

    Ids do not tell: those of arrays are places in the array that was given.
    """
    z = space.model.encode(x)
    rows = space.nearest(z, 1)[0][:, 0]
    far = np.abs(z - space.latents[rows]).max(axis=1, initial=0)
    there = far <= SAME * max(float(space.latents.std()), 1e-12)
    return np.asarray(there if space.held_out is None else there & ~space.held_out[rows])


def _rows(item: Sequence[str], ids: Array) -> Rows:
    place = {str(name): row for row, name in enumerate(ids)}
    for name in item:
        if name not in place:
            raise OptionError(f"item {name!r} is none of these pictures{nearest(name, list(place))}.")
    if len(item) > MOST or len(set(item)) < len(item):
        raise OptionError(f"item takes up to {MOST} different pictures, got {len(item)}.")
    return np.array([place[name] for name in item], np.intp)
