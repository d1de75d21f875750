"""A layout: positions on a plane (or in space) that keep neighbours, found by pull and push.

t-SNE (van der Maaten and Hinton, 2008) with equal weights for the nearest neighbours and the push of all items on
each other, read off a grid by FFT as Linderman, Rachh, Hoskins, Steinerberger and Kluger (2019) do; the
pull stays a little exaggerated, which brings out groups (Böhm, Berens and Kobak, 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import scipy.fft  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

#: steps with a strong pull, which gather each group, then steps that spread them; and how strong the pull is
GATHER, SPREAD = 100, 200
GATHER_PULL, SPREAD_PULL = 12.0, 1.5
#: up to so many items all pairs push each other; above, the push is read off a grid
PAIRS = 300
#: a cell's side (the push changes over 1), and cells along one side of the grid at most
CELL, MOST_CELLS = 0.5, {1: 4096, 2: 256, 3: 48}
#: columns that are looked at as one when the smallest are sought
GROUP = 8
#: distances held at once
BLOCK_VALUES = 2**21


def nearest(x: Floats, k: int) -> NDArray[np.int64]:
    """(n, k) the k nearest items of each of x (n, d), the nearest first, itself left out; exact, Euclidean.

    >>> nearest(np.array([[0.0], [1.0], [3.0]]), 1).ravel().tolist()
    [1, 0, 1]
    """
    items = torch.from_numpy(np.ascontiguousarray(x - x.mean(axis=0), np.float32))
    norms = (items**2).sum(1)
    found = torch.empty((len(items), k), dtype=torch.int64)
    step = max(1, BLOCK_VALUES // len(items))
    for start in range(0, len(items), step):
        rows = torch.arange(start, min(start + step, len(items)))
        distances = torch.addmm(norms, items[rows], items.T, alpha=-2)
        distances[rows - start, rows] = torch.inf
        found[rows] = smallest(distances, k)
    return found.numpy()


def smallest(values: torch.Tensor, k: int) -> torch.Tensor:
    """(n, k) where the k smallest of each row of values (n, m) are, the smallest first; as topk, in half its time.

    Columns go by GROUP: the k smallest lie in the k groups with the smallest least values, so only those are sorted.

    >>> smallest(torch.tensor([[3.0, 1.0, 2.0]]), 2).tolist()
    [[1, 2]]
    """
    n, m = values.shape
    groups = m // GROUP
    if groups < 4 * k:
        return values.topk(k, largest=False).indices
    rest = torch.arange(groups * GROUP, m)  # what makes no whole group is looked at in any case
    least = values[:, : groups * GROUP].reshape(n, GROUP, groups).amin(1)
    near = least.topk(k, largest=False, sorted=False).indices
    members = (near[:, None] + groups * torch.arange(GROUP)[None, :, None]).reshape(n, -1)
    members = torch.cat([members, rest.expand(n, -1)], dim=1)
    return members.gather(1, values.gather(1, members).topk(k, largest=False).indices)


def layout(
    neighbours: NDArray[np.int64], start: Floats, *, tell: Callable[[float], None] | None = None
) -> NDArray[np.float32]:
    """Positions (n, dimensions) float32 that keep `neighbours` (n, k), begun from `start` (n, 1 to 3).

    Nothing in it is random. `tell` hears the share done.
    """
    n = len(neighbours)
    at = _spread_out(start)
    source, target, weight = _edges(neighbours)
    speed, gain = np.zeros_like(at), np.ones_like(at)
    for step in range(GATHER + SPREAD):
        pull, keep = (GATHER_PULL, 0.5) if step < GATHER else (SPREAD_PULL, 0.8)
        gradient = 4 * (pull * _pull(at, source, target, weight) - _push(at))
        gain = np.clip(np.where(gradient * speed < 0, gain + 0.2, gain * 0.8), 0.01, None)
        speed = (keep * speed - n / pull * gain * gradient).astype(np.float32)
        at = at + speed
        at -= at.mean(axis=0)
        if tell is not None and step % 10 == 0:
            tell(step / (GATHER + SPREAD))
    return at


def _spread_out(start: Floats) -> NDArray[np.float32]:
    """`start` made small, so that the first steps are gentle."""
    at = np.asarray(start, np.float32) - np.mean(start, axis=0, dtype=np.float32)
    return np.asarray(at * (0.01 / max(float(at[:, 0].std()), 1e-12)), np.float32)


def _edges(neighbours: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The neighbour graph made symmetric: (source, target, weight) of each edge, weights summing to 1."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    n, k = neighbours.shape
    ends = np.arange(0, n * k + 1, k)
    graph = csr_array((np.ones(n * k, np.float32), neighbours.ravel(), ends), shape=(n, n))
    both = (graph + graph.T).tocoo()
    rows, columns = (torch.from_numpy(side.astype(np.int64)) for side in both.coords)
    return rows, columns, torch.from_numpy(both.data / (2 * n * k))


def _pull(
    at: NDArray[np.float32], source: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> NDArray[np.float32]:
    """How each item is drawn by its neighbours, (n, dimensions), as a gradient."""
    places = torch.from_numpy(at)
    apart = places[source] - places[target]
    strength = weight / (1 + (apart**2).sum(1))
    drawn = torch.zeros_like(places).index_add_(0, source, apart * strength[:, None])
    return np.asarray(drawn.numpy())


def _push(at: NDArray[np.float32]) -> NDArray[np.float32]:
    """How each item is pushed by all others, (n, dimensions), as a gradient: sum of d / (1 + d²)² over the sum of
    1 / (1 + d²) over all pairs."""
    closeness, slope = _all_pairs(at) if len(at) <= PAIRS else _on_grid(at)
    return np.asarray(-0.5 * slope / max(float(closeness.sum()) - len(at), 1e-12), np.float32)


def _all_pairs(at: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Sum over all items of 1 / (1 + d²) at each, itself included, and its slope."""
    apart = at[:, None] - at[None]
    close = 1 / (1 + (apart**2).sum(axis=2))
    return close.sum(axis=1), -2 * (apart * (close**2)[:, :, None]).sum(axis=1)


def _on_grid(at: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """As `_all_pairs`, by a grid: items are spread over its cells by quadratic splines, the sums convolved by FFT,
    and value and slope read back by the same splines."""
    dimensions = at.shape[1]
    low = at.min(axis=0)
    span = float((at.max(axis=0) - low).max())
    most = MOST_CELLS[dimensions]
    side = max(CELL, span / (most - 5))
    cells = int(np.ceil(span / side)) + 5
    place = (at - low) / side + 2
    middle = np.floor(place + 0.5).astype(np.int64)
    off = (place - middle).astype(np.float32)
    value = np.stack([0.5 * (0.5 - off) ** 2, 0.75 - off**2, 0.5 * (0.5 + off) ** 2])
    slope = np.stack([off - 0.5, -2 * off, off + 0.5]) / np.float32(side)
    mass = np.zeros(cells**dimensions, np.float32)
    for cell, share, _ in _stencil(middle, value, slope, cells):
        mass += np.bincount(cell, share, len(mass)).astype(np.float32)
    potential = _convolved(mass.reshape((cells,) * dimensions), side).ravel()
    closeness, gradient = np.zeros(len(at), np.float32), np.zeros_like(at)
    for cell, share, slopes in _stencil(middle, value, slope, cells):
        held = potential[cell]
        closeness += share * held
        for axis, change in enumerate(slopes):
            gradient[:, axis] += change * held
    return closeness, gradient


def _stencil(
    middle: NDArray[np.int64], value: Floats, slope: Floats, cells: int
) -> Iterator[tuple[NDArray[np.int64], Floats, list[Floats]]]:
    """Of each of the 3^dimensions cells around the items: its flat index, each item's share in it, and how that
    share changes along each axis."""
    dimensions = middle.shape[1]
    strides = cells ** np.arange(dimensions - 1, -1, -1)
    for offset in product(range(3), repeat=dimensions):
        cell = (middle + np.array(offset) - 1) @ strides
        along = [value[o, :, axis] for axis, o in enumerate(offset)]
        changes = [
            np.prod([slope[o, :, a] if a == axis else along[a] for a, o in enumerate(offset)], axis=0)
            for axis in range(dimensions)
        ]
        yield cell, np.prod(along, axis=0), changes


def _convolved(mass: Floats, side: float) -> Floats:
    """`mass` on the grid convolved with 1 / (1 + d²)."""
    cells, axes = mass.shape[0], mass.ndim
    padded = (scipy.fft.next_fast_len(2 * cells - 1, real=True),) * axes
    steps = np.arange(padded[0])
    distance = (np.minimum(steps, padded[0] - steps) * side) ** 2
    kernel = (1 / (1 + reduce(np.add.outer, [distance] * axes))).astype(np.float32)
    workers = torch.get_num_threads()
    # a spline at whole cells is 1/8, 3/4, 1/8: what it blurs, spreading and reading, is taken back here
    blur = 0.75 + 0.25 * np.cos(2 * np.pi * steps / padded[0])
    blurred = reduce(np.multiply.outer, [blur**2] * axes)[..., : padded[0] // 2 + 1].astype(np.float32)
    spectrum = (
        scipy.fft.rfftn(mass, padded, workers=workers) * scipy.fft.rfftn(kernel, workers=workers) / blurred
    )
    whole = scipy.fft.irfftn(spectrum, padded, workers=workers)
    return np.asarray(whole[(slice(0, cells),) * axes], np.float32)
