"""Ways from one latent to another: straight, around the middle, and along where the items lie."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentspace.models.density import Density, overall
from latentspace.training.compared import Compared

Array = NDArray[Any]
Floats = NDArray[np.float64]
Path = Literal["straight", "spherical", "data"]

#: items that make the graph at most, and neighbours that each is joined to
MOST, NEIGHBOURS = 5000, 10
#: a step of the graph costs its length to this power: many short steps are cheaper than a long one across a void
POWER = 2
#: points that a way is refined at, steps of that, and how far a point moves in one
POINTS, STEPS, RATE = 31, 150, 0.05
#: how strongly thin places stretch lengths: by the density to the power of -1/k at 1
WEIGHT = 1.0


class Ways:
    """Ways between latents of a space.

    "straight"; "spherical": direction and distance from the middle change evenly, in the items' own spread (Shoemake
    1985); "data": the shortest way when each length counts by how few items are there. That is sought on the graph
    of nearest items with squared lengths (Fermat distances: Groisman, Jonckheere and Sapienza 2022), and refined
    until it is shortest by the density (a geodesic: Arvanitidis, Hansen and Hauberg 2018).

    latents (n, k) : where the items lie; density : theirs.

    >>> z = np.random.default_rng(0).normal(size=(400, 2))
    >>> ways = Ways(z, Density.fit(z))
    >>> ways.between(z[0], z[1], "data", 5).shape
    (5, 2)
    """

    def __init__(self, latents: Array, density: Density, seed: int = 0) -> None:
        rows = np.random.default_rng(seed).permutation(len(latents))[:MOST]
        some = np.asarray(latents[rows], np.float64)
        self.density = density
        self.middle, self.factor = overall(some)
        self.white = self._whitened(some)

    def between(self, a: Array, b: Array, path: Path, steps: int) -> NDArray[np.float32]:
        """(steps, k) latents at even lengths from a (k,) to b (k,), both ends included."""
        ends = self._whitened(np.stack([a, b]).astype(np.float64))
        if path == "straight":
            way = _straight(ends[0], ends[1], steps)
        elif path == "spherical":
            way = _spherical(ends[0], ends[1], steps)
        else:
            way = self._along(ends[0], ends[1], steps)
        found = (way @ self.factor.T + self.middle).astype(np.float32)
        found[0], found[-1] = a, b
        return found

    def _whitened(self, z: Floats) -> Floats:
        return np.asarray(np.linalg.solve(self.factor, (z - self.middle).T).T)

    def _along(self, a: Floats, b: Floats, steps: int) -> Floats:
        starts = [_even(_straight(a, b, 2), POINTS), _even(self._by_items(a, b), POINTS)]
        refined = [self._refined(start) for start in starts]
        best = min(refined, key=lambda way: self._length(way))
        return _even(best, steps)

    def _by_items(self, a: Floats, b: Floats) -> Floats:
        """(m, k) from a to b by items, the cheapest way; straight where they do not hang together."""
        from scipy.sparse.csgraph import dijkstra  # type: ignore[import-untyped]

        points = np.concatenate([self.white, a[None], b[None]])
        costs, before = dijkstra(
            _graph(points), directed=False, indices=len(points) - 2, return_predecessors=True
        )
        if not np.isfinite(costs[-1]):
            return np.stack([a, b])
        rows = [len(points) - 1]
        while rows[-1] != len(points) - 2:
            rows.append(int(before[rows[-1]]))
        return np.asarray(points[rows[::-1]])

    def _stretch(self, way: Floats) -> tuple[Floats, Floats]:
        """How much longer each step of a way counts (m,) and the way's middles (m, k) in Z."""
        middles = (way[1:] + way[:-1]) / 2 @ self.factor.T + self.middle
        away = -WEIGHT * (self.density.log_prob(middles) - self.density.held_level) / way.shape[1]
        return np.exp(np.clip(away, -5, 5)), middles

    def _length(self, way: Floats) -> float:
        stretch, _ = self._stretch(way)
        return float((stretch * np.linalg.norm(np.diff(way, axis=0), axis=1)).sum())

    def _refined(self, way: Floats) -> Floats:
        """The way moved until its energy, the sum of squared stretched steps, falls no more (Adam)."""
        way, first, second = way.copy(), np.zeros_like(way[1:-1]), np.zeros_like(way[1:-1])
        for step in range(1, STEPS + 1):
            slope = self._slope(way)
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            move = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-12)
            way[1:-1] -= RATE * (1 - step / STEPS) * move
        return way

    def _slope(self, way: Floats) -> Floats:
        """(m, k) how the energy of a way grows as its inner points move."""
        stretch, middles = self._stretch(way)
        apart = np.diff(way, axis=0)
        squares = stretch[:, None] ** 2
        by_length = 2 * apart * squares
        dense = self.density.gradient(middles) @ self.factor
        by_stretch = (apart**2).sum(axis=1, keepdims=True) * squares * (-WEIGHT / way.shape[1]) * dense
        return np.asarray(by_length[:-1] - by_length[1:] + by_stretch[:-1] + by_stretch[1:])


def _straight(a: Floats, b: Floats, steps: int) -> Floats:
    share = np.linspace(0, 1, steps)[:, None]
    return np.asarray((1 - share) * a + share * b)


def _spherical(a: Floats, b: Floats, steps: int) -> Floats:
    far = [max(float(np.linalg.norm(end)), 1e-12) for end in (a, b)]
    angle = np.arccos(np.clip(a @ b / (far[0] * far[1]), -1, 1))
    if angle < 1e-6 or np.pi - angle < 1e-6:
        return _straight(a, b, steps)
    share = np.linspace(0, 1, steps)[:, None]
    turned = (np.sin((1 - share) * angle) * a / far[0] + np.sin(share * angle) * b / far[1]) / np.sin(angle)
    return np.asarray(turned * ((1 - share) * far[0] + share * far[1]))


def _even(way: Floats, steps: int) -> Floats:
    """A way at `steps` points that are as far from each other along it."""
    at = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1)))
    if at[-1] <= 0:
        return np.repeat(way[:1], steps, axis=0)
    wanted = np.linspace(0, at[-1], steps)
    return np.stack([np.interp(wanted, at, column) for column in way.T], axis=1)


def _graph(points: Floats) -> Any:
    """The graph that joins each point with its nearest."""
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    k = min(NEIGHBOURS, len(points) - 1)
    rows, distances = Compared(points).nearest(points, k + 1)
    # the least that is not nothing: the graph forgets what costs 0
    costs = np.maximum(distances[:, 1:].ravel().astype(float), 1e-6) ** POWER
    own = np.repeat(np.arange(len(points)), k)
    return csr_matrix((costs, (own, rows[:, 1:].ravel())), shape=(len(points), len(points)))
