"""Items made from places in Z: in the user's units, with the training item nearest to each and how new it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Modality
from latentspace.data.image import Image
from latentspace.errors import SpaceError
from latentspace.jobs._density import learnt
from latentspace.jobs._neighbour_queries import nearest_distances
from latentspace.jobs.base import jsonable
from latentspace.space.folder import Space

if TYPE_CHECKING:
    from latentspace.models.density import Density
    from latentspace.models.residuals import Margins, Residuals

Array = NDArray[Any]
Mask = NDArray[np.bool_]
#: latents (n, k) -> what is expected there (n, *shape), encoded
Decode = Callable[[NDArray[np.float32]], Array]

#: training items whose differences from what is expected can be lent, rows that tell how often values are drawn,
#: and held-out items whose nearest distances say what is usual
LENDING, RANKED, USUAL = 4000, 2000, 1000
#: from a seed to that of draws that are ranked among
OTHERS = 1_000_003
#: digits that a number of a table that was made is told with
DIGITS = 12


@dataclass(frozen=True, eq=False)
class Made:
    """Items made from latents, each (n, ...).

    names : what they are called; z (n, k) : their latents; x (n, *shape) : the items, encoded.
    """

    space: Space
    names: list[str]
    z: NDArray[np.float32]
    x: Array

    def __len__(self) -> int:
        return len(self.z)

    @cached_property
    def value(self) -> Any:
        """The items in the user's own units, names and types."""
        value = self.space.modality.inverse_transform(self.x)
        return _rounded(value) if self.space.modality.name == "table" else value

    @cached_property
    def _near(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        return nearest_learnt(self.space, self.z)

    @property
    def rows(self) -> NDArray[np.intp]:
        """(n,) the row of the training item nearest to each."""
        return self._near[0]

    @property
    def distances(self) -> NDArray[np.float32]:
        """(n,) how far it is, in Z."""
        return self._near[1]

    @cached_property
    def novelty(self) -> NDArray[np.float64]:
        """(n,) the share of held-out items that lie nearer to a training item: 0 is a copy, 0.5 is usual."""
        usual = usual_distances(self.space)
        return np.asarray(np.searchsorted(usual, self.distances) / max(1, len(usual)))

    def figures(self) -> list[dict[str, Any]]:
        """A row an item: its name, its nearest training item, the distance in Z and how new it is."""
        near = self.space.ids[self.rows].tolist()
        return [
            {"id": name, "nearest": jsonable(other), "distance": float(d), "novelty": float(new)}
            for name, other, d, new in zip(self.names, near, self.distances, self.novelty, strict=True)
        ]

    def columns(self) -> Any:
        """A pyarrow Table of the items' own columns; None where they have none (pictures, windows)."""
        if len(self.space.modality.shape) != 1:
            return None
        from latentspace.jobs._output import as_table

        return as_table(self.value, None, [str(name) for name in self.space.modality.parts()])


def _rounded(rows: Any) -> Any:
    """A table with its numbers to DIGITS digits of each column's largest, where only rounding made others."""
    import narwhals as nw

    if isinstance(rows, np.ndarray):
        return rows
    frame = nw.from_native(rows, eager_only=True)
    places = {}
    for name in frame.columns:
        column = frame.get_column(name)
        if column.dtype == nw.Float64 and len(column):
            most = float(np.nanmax(np.abs(column.to_numpy()), initial=0.0))
            places[name] = DIGITS - int(np.ceil(np.log10(most))) if 0 < most < np.inf else 0
    rounded = [nw.col(name).round(n) for name, n in places.items() if 0 < n < 20]
    return frame.with_columns(*rounded).to_native() if rounded else rows


def made_at(space: Space, names: Sequence[str], z: Array) -> Made:
    """What the decoder expects at latents z (n, k)."""
    z = np.asarray(z, np.float32)
    if space.part is not None:
        raise SpaceError(f"Only the {space.part} of this space was loaded: load it whole to make items.")
    return Made(space, list(names), z, held_in(space, np.asarray(space.model.decode(z))))


def held_in(space: Space, x: Array) -> Array:
    """Encoded rows (n, F) with their numbers within the range of training items; other items as they are."""
    kept = lending(space) if space.modality.name == "table" else None
    if kept is None:
        return x
    from latentspace.models.residuals import numbers

    columns = numbers(space.modality.likelihood, x.shape[1])
    x = x.copy()
    x[:, columns] = np.clip(x[:, columns], kept[0][:, columns].min(axis=0), kept[0][:, columns].max(axis=0))
    return x


def nearest_learnt(space: Space, z: Array) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """(rows (n,) of the space, distances (n,)) of the training item nearest to each of latents z (n, k)."""
    from latentspace.space.index import Index

    rows = learnt(space)
    found, distances = Index(space.latents[rows]).nearest(np.asarray(z, np.float32), 1)
    return rows[found[:, 0]], distances[:, 0]


def usual_distances(space: Space) -> NDArray[np.float32]:
    """Sorted distances of held-out items to their nearest training item; of training items to their nearest other
    where none were held out."""
    rng = np.random.default_rng(0)
    held = np.zeros(0, np.intp) if space.held_out is None else np.flatnonzero(space.held_out)
    if len(held):
        _, distances = nearest_learnt(space, space.latents[rng.permutation(held)[:USUAL]])
        return np.sort(distances)
    return nearest_distances(space)


# the noise that a decoder leaves out


class Observing:
    """Draws what could be observed at places of Z: what the decoder expects, and the noise of the items.

    The noise is that of training items, from the columns that a space keeps, else from those that its scorer does.
    """

    def __init__(
        self, modality: Modality, decode: Decode, residuals: Residuals, margins: Margins | None = None
    ) -> None:
        self.modality, self.decode, self.residuals, self.margins = modality, decode, residuals, margins

    @classmethod
    def of(cls, space: Space, density: Density) -> Observing | None:
        """That of a space; None where it keeps no training items to learn noise from."""
        kept = lending(space)
        return None if kept is None else cls.learn(space.modality, space.model.decode, density, *kept)

    @classmethod
    def learn(
        cls,
        modality: Modality,
        decode: Decode,
        density: Density,
        x: Array,
        observed: Mask | None,
        z: NDArray[np.float32],
        seed: int = 0,
    ) -> Observing:
        """From encoded training items x (n, *shape) and their latents z (n, k), whatever decodes them."""
        from latentspace.models.residuals import Margins, Residuals, numbers

        flat, seen = x.reshape(len(x), -1), None if observed is None else observed.reshape(len(x), -1)
        expected = decode(z).reshape(flat.shape)
        plain = cls(modality, decode, Residuals(flat, expected, z, modality.likelihood, seen))
        if modality.name != "table":
            return plain
        # other latents than those that will be drawn, or ranks would be too even
        ranked = plain.draw(density.sample(RANKED, seed + OTHERS), seed + OTHERS)
        columns = numbers(modality.likelihood, flat.shape[1])
        return cls(modality, decode, plain.residuals, Margins(flat, ranked, columns, seen))

    def draw(self, z: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
        """(n, *shape) encoded items at latents z (n, k)."""
        rng = np.random.default_rng([seed, 1])
        expected = np.asarray(self.decode(z)).reshape(len(z), -1)
        drawn = self.residuals.draw(expected, z, rng)
        drawn = drawn if self.margins is None else self.margins.settle(drawn)
        return drawn.reshape(-1, *self.modality.shape)


def observed_at(
    space: Space, observing: Observing, names: Sequence[str], z: NDArray[np.float32], seed: int
) -> Made:
    """Items with noise at latents z (n, k); the latents that they are made with are then their own."""
    x = observing.draw(z, seed)
    own = np.asarray(space.model.encode(x.astype(np.float32)), np.float32)
    return Made(space, list(names), own, x)


def has_noise(modality: Modality) -> bool:
    """Whether samples of such items carry noise: all but pictures, where it would be seen as dirt."""
    return not isinstance(modality, Image)


def lending(space: Space) -> tuple[Array, Mask | None, NDArray[np.float32]] | None:
    """(x, observed, latents) of training items that the space keeps, LENDING at most; None where there are none."""
    if space.columns is not None and space.modality.name == "table":
        rows = np.sort(np.random.default_rng(0).permutation(learnt(space))[:LENDING])
        # in float64, so that a value that is lent comes back as it was
        x, observed = space.modality.transform(space.items(space.columns.take(rows)), np.float64)
        return x, observed, space.latents[rows]
    if space.scorer is None:
        return None
    x = np.asarray(space.scorer.reference, np.float32).reshape(-1, *space.modality.shape)
    return x, None, np.asarray(space.model.encode(x), np.float32)


def settled(space: Space, x: Array) -> NDArray[np.float32]:
    """Encoded rows (n, F) as the values that their columns can hold: whole numbers, one category, one of two."""
    if space.modality.name != "table":
        return np.asarray(x, np.float32)
    with warnings.catch_warnings():
        # columns that were set aside come back empty, and tell nothing here
        warnings.simplefilter("ignore", UserWarning)
        items = space.items(space.modality.inverse_transform(x))
        return np.asarray(space.modality.transform(items)[0], np.float32)
