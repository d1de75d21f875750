"""A map that is a function: latents to places on a plane (or in space) that keep neighbours, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentspace.errors import DataError
from latentspace.networks.layers import principal_axes
from latentspace.training.layout import layout, nearest, smallest

Array = NDArray[Any]

#: items that the map is drawn from at most; all others are placed among them
LANDMARKS = 20_000
#: directions of the items in which their neighbours are looked for
DIRECTIONS = 64
#: a new item is placed by so many landmarks, in so many steps towards where most of them lie
PLACING, STEPS = 15, 6
#: as many more are looked at twice: at the edge, rounding must not decide
EDGE = 5
#: a new item is compared with so many landmarks around its cell, and one cell stands for so many landmarks
CANDIDATES, CELL_ITEMS = 2048, 256
#: items placed at once, and those whose distances are worked out at once
BLOCK, FEW = 4096, 512


class MapHead:
    """Places latents (n, k) on a map (n, 1 to 3), each by itself and always the same way, and goes back.

    A layout of the training items that keeps their neighbours (`training.layout`) is learnt once; from then on an
    item lies where most of its nearest landmarks lie: the middle of their places, weighted by 1 / distance², is
    drawn in a few steps to the densest of them (a plain mean would put what resembles two groups into the void
    between both). A landmark's own latents lead exactly to its place.

    landmarks : (m, k) float32 latents; positions : (m, dimensions) float32 where they lie. Axes mean nothing.

    >>> rng = np.random.default_rng(0)
    >>> z = np.concatenate([rng.normal(c, 1, size=(200, 5)) for c in (0, 9)]).astype("float32")
    >>> head = MapHead.fit(z)
    >>> head.place(z[:3]).shape, head.invert(head.positions[:3]).shape
    ((3, 2), (3, 5))
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.landmarks, self.positions = arrays["landmarks"], arrays["positions"]

    @classmethod
    def fit(
        cls,
        z: Array,
        x: Array | None = None,
        *,
        dimensions: int = 2,
        n_neighbors: int = 15,
        seed: int = 0,
        tell: Callable[[float], None] | None = None,
    ) -> MapHead:
        """Learn the map of latents z (n, k). Neighbours to be kept are those of x (n, ...), or of z where left out.

        Where there are more than LANDMARKS items, so many are drawn by `seed`. Raises DataError for fewer than 3.
        """
        if len(z) < 3:
            raise DataError(f"A map needs at least 3 items; here are {len(z)}.")
        rows = np.arange(len(z))
        if len(z) > LANDMARKS:
            rows = np.sort(np.random.default_rng(seed).choice(len(z), LANDMARKS, replace=False))
        landmarks = np.asarray(z[rows], np.float32)
        seen = _directions(landmarks if x is None else np.asarray(x[rows], np.float32), seed)
        # of few items all would be neighbours of all, and none could be kept apart
        neighbours = nearest(seen, max(1, min(n_neighbors, (len(rows) - 1) // 3)))
        start: Array = np.pad(seen, ((0, 0), (0, max(0, dimensions - seen.shape[1]))))[:, :dimensions]
        # a little of chance sets apart what would start in one place
        little = 1e-4 * max(float(seen[:, 0].std()), 1e-12)
        start = start + little * np.random.default_rng(seed).normal(size=start.shape)
        return cls({"landmarks": landmarks, "positions": layout(neighbours, start, tell=tell)})

    @cached_property
    def _there(self) -> _Search:
        """Finds landmarks by latents; made when first asked, since opening a space places nothing."""
        return _Search(self.landmarks)

    @cached_property
    def _back(self) -> _Search:
        """Finds landmarks by places."""
        return _Search(self.positions)

    @property
    def dimensions(self) -> int:
        """1 on a line, 2 on a plane, 3 in space."""
        return int(self.positions.shape[1])

    def place(self, z: Array) -> Array:
        """Where latents z (n, k) lie on the map, (n, dimensions), in the dtype of z."""
        return _by_blocks(lambda part: self._placed(*self._there.nearest(part)), z, self.dimensions)

    def invert(self, y: Array) -> Array:
        """Latents (n, k) at places y (n, dimensions) of the map: those of the landmarks there, in the dtype of y."""
        return _by_blocks(lambda part: _middle(*self._back.nearest(part), self.landmarks), y, self._width)

    @property
    def _width(self) -> int:
        return int(self.landmarks.shape[1])

    def _placed(self, rows: Array, squared: Array) -> Array:
        places = self.positions[rows].astype(squared.dtype)
        weights = _weights(squared)
        at = np.einsum("nk,nkd->nd", weights, places)
        for _ in range(STEPS):
            apart = ((places - at[:, None]) ** 2).sum(axis=2)
            within = 0.25 * np.median(apart, axis=1, keepdims=True) + 1e-9
            drawn = weights / (1 + apart / within)
            at = np.einsum("nk,nkd->nd", drawn / drawn.sum(axis=1, keepdims=True), places)
        return np.asarray(at)

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, to be saved; ``MapHead(arrays)`` reads it back."""
        return {"landmarks": self.landmarks, "positions": self.positions}


class _Search:
    """The nearest of some points: each query is compared with the points around its cell."""

    def __init__(self, points: Array) -> None:
        self.points = np.ascontiguousarray(points, np.float32)
        self.offset = self.points.mean(axis=0)
        centred = torch.from_numpy(self.points - self.offset)
        self.centres = _centres(centred, max(1, len(points) // CELL_ITEMS) if len(points) > CANDIDATES else 1)
        self.centred, self.norms = centred, (centred**2).sum(1)
        self.members = self._members()

    def _members(self) -> list[torch.Tensor]:
        """The points that each cell's queries are compared with: its own, and as many around as are worth it."""
        own, most = _cells(self.centred, self.centres).numpy(), min(CANDIDATES, len(self.centred))
        apart = torch.addmm(self.norms, self.centres, self.centred.T, alpha=-2)
        return [
            torch.from_numpy(
                np.union1d(row.topk(most, largest=False)[1].numpy(), np.flatnonzero(own == cell))
            )
            for cell, row in enumerate(apart)
        ]

    def nearest(self, queries: Array) -> tuple[NDArray[np.int64], Array]:
        """(rows, squared distances) of the PLACING nearest points of each query, in the dtype of the queries.

        The distances are worked out anew from the differences, so that no result hangs on what else is asked.
        """
        k = min(PLACING + EDGE, len(self.points))
        asked = torch.from_numpy(np.asarray(queries - self.offset, np.float32))
        cells = _cells(asked, self.centres)
        rows = torch.empty((len(asked), k), dtype=torch.int64)
        order = cells.argsort()
        starts = torch.bincount(cells, minlength=len(self.centres)).cumsum(0).tolist()
        for cell, (start, end) in enumerate(zip([0, *starts], starts, strict=False)):
            if end > start:
                members, own = self.members[cell], order[start:end]
                apart = torch.addmm(self.norms[members], asked[own], self.centred[members].T, alpha=-2)
                rows[own] = members[smallest(apart, k)]
        few = rows.sort(1).values
        points, given = torch.from_numpy(self.points), torch.from_numpy(queries)
        squared = torch.cat(
            [
                (points[part] - own[:, None]).square_().sum(2)
                for part, own in zip(torch.split(few, FEW), torch.split(given, FEW), strict=True)
            ]
        )
        best = torch.sort(squared, dim=1, stable=True).indices[:, :PLACING]
        return few.gather(1, best).numpy(), squared.gather(1, best).numpy()


def _apart(queries: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Squared distances, less each query's own square: enough to compare points."""
    return torch.addmm((points**2).sum(1), queries, points.T, alpha=-2)


def _cells(queries: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """The cell that each query lies in: that of the nearest centre."""
    return torch.cat([_apart(part, centres).argmin(1) for part in torch.split(queries, BLOCK)])


def _centres(points: torch.Tensor, cells: int, rounds: int = 8) -> torch.Tensor:
    """Centres of `cells` cells by k-means (Lloyd), begun at points evenly through the pile."""
    centres = points[torch.linspace(0, len(points) - 1, cells).long()].clone()
    for _ in range(rounds if cells > 1 else 1):
        own = _cells(points, centres)
        counts = torch.bincount(own, minlength=cells)
        sums = torch.zeros_like(centres).index_add_(0, own, points)
        centres = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centres)
    return centres


def _weights(squared: Array) -> Array:
    """1 / squared distance, summing to 1; a distance of 0 leaves next to nothing to the others."""
    weights = 1 / (squared + 1e-12 * squared.mean(axis=1, keepdims=True) + 1e-30)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _middle(rows: Array, squared: Array, values: Array) -> Array:
    return np.asarray(np.einsum("nk,nkd->nd", _weights(squared), values[rows].astype(squared.dtype)))


def _by_blocks(apply: Callable[[Array], Array], given: Array, width: int) -> Array:
    given = np.asarray(given)
    given = given if given.dtype in (np.float32, np.float64) else given.astype(np.float32)
    made = np.empty((len(given), width), given.dtype)
    for start in range(0, len(given), BLOCK):
        made[start : start + BLOCK] = apply(given[start : start + BLOCK])
    return made


def _directions(x: Array, seed: int) -> NDArray[np.float32]:
    """x (n, ...) along its first DIRECTIONS principal axes, widest first."""
    flat = x.reshape(len(x), -1)
    mean, axes, _ = principal_axes(flat, min(DIRECTIONS, flat.shape[1]), seed)
    return np.asarray((flat - mean.astype(np.float32)) @ axes.astype(np.float32), np.float32)
