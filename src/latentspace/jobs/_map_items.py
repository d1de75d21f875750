"""Items on a map: where they lie, how far their places can be trusted, and what can be said or shown of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.data.image import Image
from latentspace.errors import DataError, OptionError, SpaceError, nearest
from latentspace.jobs._drawings import as_pictures
from latentspace.jobs._measures import MAX_VALUES
from latentspace.jobs._reasons import channel_names, in_channels, lightness
from latentspace.space.folder import Space
from latentspace.space.quality import local_trustworthiness

if TYPE_CHECKING:
    from latentspace.data._frames import Column
    from latentspace.models.map import MapHead

Array = NDArray[Any]

#: neighbours that are compared, and items among which they are looked for
NEIGHBOURS, MAX_REFERENCE = 15, 2000
#: a place with a trustworthiness below this is not to be trusted
TRUSTED = 0.8
#: fewer items than this make no map
ENOUGH = 5
#: what can colour a map besides labels and columns
TRUSTWORTHINESS, CONTINUITY, SURPRISE = "trustworthiness", "continuity", "surprise"


@dataclass(frozen=True, eq=False)
class Mapped:
    """Items on a map, each (n, ...).

    ids, latents (n, k), points (n, 2 or 3), labels : of the items shown. own : their rows in the space, -1 for new
    ones. items : the user's own; None where the space's are shown, which are then seen as its decoder sees them.
    trustworthiness, continuity : of each place, among the `neighbours` nearest of the items of the space.
    """

    space: Space
    head: MapHead
    items: Items | None
    ids: Array
    latents: Array
    points: Array
    own: NDArray[np.intp]
    labels: dict[str, Array]
    neighbours: int
    trustworthiness: NDArray[np.float64]
    continuity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """Where each place can be trusted."""
        return np.asarray(self.trustworthiness >= TRUSTED)

    @property
    def can_be_seen(self) -> bool:
        """Whether items can be looked at: they are given, or the decoder is there."""
        return self.items is not None or self.space.decodes

    @cached_property
    def backdrop(self) -> Array | None:
        """Where the items of the space lie, beneath new ones; None where no item is new."""
        return None if (self.own >= 0).all() else self.head.place(self.space.latents)

    @cached_property
    def told(self) -> dict[str, Array]:
        """What can be said of each item: its labels, columns of a table as they are written, level and spread of each
        channel of a signal; numbers, texts or times (n,)."""
        labels = {name: plain_label(values) for name, values in self.labels.items()}
        columns = columns_of(self.space, self.items, self.latents) if self.can_be_seen else {}
        return {**labels, **{name: values for name, values in columns.items() if name not in labels}}

    @cached_property
    def surprise(self) -> NDArray[np.float64] | None:
        """How odd each item is (1.3: as one usual item in 20, 2: as one in 100): an odd one lands somewhere, too.

        None where the space cannot tell, or the items themselves are not given.
        """
        scorer = self.space.scorer
        if scorer is None or self.items is None:
            return None
        each = encoded(self.space, self.items, self.latents, np.arange(len(self)))
        return np.concatenate([np.zeros(0), *(scorer.judge(x, observed)[0] for x, observed in each)])

    @property
    def measures(self) -> dict[str, Array]:
        """How far each place can be trusted and, where it can be told, how odd each item is, by name."""
        odd = {} if self.surprise is None else {SURPRISE: self.surprise}
        return {TRUSTWORTHINESS: self.trustworthiness, CONTINUITY: self.continuity, **odd}

    def values(self, name: str) -> Array:
        """(n,) the values that colour the map by `name`. Raises OptionError with the nearest right name."""
        every = {**self.measures, **self.told} if name not in self.labels else self.told
        if name not in every:
            raise OptionError(f"There is no {name!r} to colour by{nearest(name, every)}: {_known(every)}.")
        return every[name]

    def pictures(self, rows: Array) -> NDArray[np.uint8]:
        """(m, H, W, 1 or 3) the pictures at `rows`."""
        image: Image = self.space.modality  # type: ignore[assignment]
        shown = [as_pictures(image, x) for x, _ in encoded(self.space, self.items, self.latents, rows)]
        none = np.zeros((0, *image.shape[1:], 3 if image.shape[0] == 3 else 1))
        return np.asarray(np.concatenate([none, *shown]) * 255 + 0.5, np.uint8)


def _known(names: dict[str, Array]) -> str:
    shown = list(names)[:12]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"it can be {', '.join(shown)}{more}"


# placing


def head_of(
    space: Space, dimensions: int = 2, tell: Callable[[str, float | None], None] | None = None
) -> MapHead:
    """The space's own map, or one made on the spot where it has none of so many dimensions.

    Raises SpaceError where there are too few items.
    """
    from latentspace.models.map import MapHead

    if space.map is not None and space.map.dimensions == dimensions:
        return space.map
    learnt = space.latents if space.held_out is None else space.latents[~space.held_out]
    if len(learnt) < ENOUGH:
        raise SpaceError(
            f"{space.path or 'This space'} holds {len(learnt)} items that a map could be drawn from; it needs "
            f"at least {ENOUGH}."
        )
    say = None if tell is None else lambda share: tell("drawing a map", share)
    return MapHead.fit(learnt, dimensions=dimensions, seed=0, tell=say)


def placed(
    space: Space,
    items: Items | None,
    dimensions: int = 2,
    tell: Callable[[str, float | None], None] | None = None,
) -> Mapped:
    """Place `items` (None: those of the space) and measure how far their places can be trusted."""
    if items is not None and not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to place.")
    head = head_of(space, dimensions, tell)
    ids = space.ids if items is None else items.ids
    latents = space.latents if items is None else space.encode(items)
    own = np.arange(len(space)) if items is None else own_rows(space, items, latents)
    points = head.place(latents)
    k, trust, continuity = distortion(space, head, latents, points, own)
    labels = _labels(space, items, own)
    return Mapped(space, head, items, ids, latents, points, own, labels, k, trust, continuity)


def own_rows(space: Space, items: Items, latents: Array) -> NDArray[np.intp]:
    """(n,) the row of the space that holds each item: that of its id, if it lies where the item does; else -1."""
    rows = {str(name): row for row, name in enumerate(space.ids.tolist())}
    own = np.array([rows.get(str(name), -1) for name in items.ids.tolist()], np.intp)
    there = np.flatnonzero(own >= 0)
    scale = float(space.latents.std()) if len(space) else 1.0
    moved = np.abs(latents[there] - space.latents[own[there]]).max(axis=1, initial=0) > 1e-3 * scale
    own[there[moved]] = -1
    return own


def _labels(space: Space, items: Items | None, own: NDArray[np.intp]) -> dict[str, Array]:
    """The items' labels; those of the space where the items are all its own."""
    if items is None:
        return space.labels
    kept = {name: values[own] for name, values in space.labels.items()} if (own >= 0).all() else {}
    return {**kept, **items.labels}


def distortion(
    space: Space, head: MapHead, latents: Array, points: Array, own: NDArray[np.intp]
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """(neighbours, trustworthiness (n,), continuity (n,)) of places, among up to MAX_REFERENCE items of the space."""
    rows = np.sort(np.random.default_rng(0).permutation(len(space))[:MAX_REFERENCE])
    place = np.full(len(space) + 1, -1, np.intp)
    place[rows] = np.arange(len(rows))
    z = space.latents[rows]
    y = head.place(z)
    k = max(1, min(NEIGHBOURS, (len(rows) - 1) // 3))
    mine = place[own]
    return (
        k,
        local_trustworthiness(latents, points, z, y, k, mine),
        local_trustworthiness(points, latents, y, z, k, mine),
    )


# what is in the items


def encoded(
    space: Space, items: Items | None, latents: Array, rows: Array
) -> Iterator[tuple[Array, NDArray[np.bool_] | None]]:
    """(x, observed), each (b, *shape), of the items at `rows`, given or decoded; a bounded number at a time."""
    step = max(1, MAX_VALUES // 16 // int(np.prod(space.modality.shape)))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        if items is None:
            yield np.asarray(space.model.decode(latents[part])), None
        else:
            yield space.modality.transform(space.modality.take(items, part))


def columns_of(space: Space, items: Items | None, latents: Array) -> dict[str, Array]:
    """Columns of a table as they are written, or decoded; level and spread of each channel of a signal."""
    from latentspace.data._frames import column, names_of

    modality = space.modality
    if modality.name in ("table", "vectors"):
        frame = space.decode(latents) if items is None else items.values
        found = {str(name): _plain(column(frame, name)) for name in names_of(frame)}
        return {name: values for name, values in found.items() if values is not None}
    if modality.name == "signal":
        return _channels(space, items, latents)
    return {}


def _plain(values: Column) -> Array | None:
    """A column as numbers (NaN: a gap), texts ("": a gap) or times (NaT: a gap); None where it is neither."""
    from latentspace.data._frames import SECONDS

    gap = np.zeros(len(values), bool) if values.missing is None else values.missing
    match values.kind:
        case "number":
            return np.where(gap, np.nan, values.values) if gap.any() else values.values
        case "boolean":
            return np.where(gap, "", np.where(values.values, "yes", "no"))
        case "text" | "ordered":
            levels = np.array([*(str(level) for level in values.levels), ""])
            return np.asarray(levels[values.values])
        case "time":
            seconds = np.rint(values.values * SECONDS[values.unit]).astype("datetime64[s]")
            return np.asarray(np.where(gap, np.datetime64("NaT"), seconds))
    return None


def plain_label(values: Array) -> Array:
    """A label as numbers (NaN: a gap), texts ("": a gap) or times."""
    if values.dtype.kind == "b":
        return np.where(values, "yes", "no")
    if values.dtype.kind != "O":
        return values
    known = [v for v in values if v is not None and v == v]
    if known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
        return np.array([np.nan if v is None else v for v in values], float)
    return np.array(["" if v is None or v != v else str(v) for v in values])


def _channels(space: Space, items: Items | None, latents: Array) -> dict[str, Array]:
    """Mean and standard deviation over time of each channel, in the user's units."""
    level, spread = [], []
    for values in grids(space, items, latents):
        seen = np.isfinite(values)
        n = np.maximum(seen.sum(axis=2), 1)
        mean = np.where(seen, values, 0).sum(axis=2) / n
        level.append(mean)
        spread.append(np.sqrt((np.where(seen, values - mean[:, :, None], 0) ** 2).sum(axis=2) / n))
    levels, spreads = np.concatenate(level), np.concatenate(spread)
    found = {}
    for c, name in enumerate(channel_names(space.modality)):
        found[f"{name}: level"], found[f"{name}: spread"] = levels[:, c], spreads[:, c]
    return found


def grids(space: Space, items: Items | None, latents: Array) -> Iterator[NDArray[np.float64]]:
    """All items as they can be drawn, in the user's numbers, a bounded number at a time: lightness of pictures
    (b, H, W), channels of signals (b, C, T); NaN is a gap."""
    modality = space.modality
    for x, observed in encoded(space, items, latents, np.arange(len(latents))):
        image = isinstance(modality, Image)
        values = (
            lightness(modality, x) if isinstance(modality, Image) else in_channels(modality, x).astype(float)
        )
        if observed is not None:
            values[~(observed.any(axis=1) if image else observed)] = np.nan
        yield values
