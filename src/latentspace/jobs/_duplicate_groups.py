"""Items of a space that are all but the same, in groups around one that stands for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.space.index import Index

Array = NDArray[Any]
Rows = NDArray[np.intp]

#: neighbours whose distances say what is usual around an item
AROUND = 20
#: nowhere is usual taken to be less than this share of what it is at most places
DENSEST = 0.5
#: latents are the same where they differ by less than this share of what is usual: rounding
ROUNDING = 1e-3
#: the share of what is usual that is near, at most, and how often chance may put an item so near another
WITHIN, CHANCE = 0.3, 0.002


@dataclass(frozen=True)
class Group:
    """Items that are all but the same: the row of the one that stands for them, those of the others (m,), how far
    these are from it (m,), and the same as a share of what is usual around it (m,)."""

    first: int
    others: Rows
    distances: NDArray[np.float32]
    shares: NDArray[np.float64]


def groups_of(latents: Array, index: Index, within: float | None) -> tuple[list[Group], float]:
    """(groups, share): items whose distance from the first of their group is at most a share of what is usual there.

    Usual is the median distance to the AROUND nearest. Every item is in one group at most, and all of a group are
    near its first: chains of small steps do not join what is unlike. The largest group comes first. Where `within` is
    None, the share is chosen by `chosen_share`.
    """
    once, copies = _once(latents, index)
    near, apart = (index if len(once) == len(latents) else Index(latents[once])).nearest(
        latents[once], min(AROUND + 1, len(once))
    )
    usual = _usual(near, apart)
    within = chosen_share(apart) if within is None else within
    pairs = _pairs(near, apart, usual, within)
    found = []
    taken = np.zeros(len(once), bool)
    for i in sorted(range(len(once)), key=lambda i: (-len(pairs[i]), i)):
        if taken[i]:
            continue
        every = pairs[i] if len(pairs[i]) < AROUND else _all_near(latents[once], i, usual, within)
        others = [(j, d) for j, d in every if not taken[j]]
        taken[[i, *(j for j, _ in others)]] = True
        rows = [(row, 0.0) for row in copies[i][1:]]
        rows += [(row, d) for j, d in others for row in copies[j]]
        if rows:
            distances = np.array([d for _, d in rows], np.float32)
            found.append(
                Group(
                    int(copies[i][0]),
                    np.array([r for r, _ in rows], np.intp),
                    distances,
                    distances / usual[i],
                )
            )
    return sorted(found, key=lambda group: (-len(group.others), group.first)), within


def chosen_share(apart: NDArray[np.float32]) -> float:
    """The share of what is usual within which chance would put another item beside one in CHANCE at most.

    apart : (n, AROUND + 1) distances to the nearest, itself included. In d dimensions a ball of a share s of the
    usual distance holds about AROUND / 2 · s^d others; how distances grow tells d (Levina and Bickel 2004).
    """
    there = np.sort(apart, axis=1)[:, 1:].astype(float)
    if there.shape[1] < 3:
        return WITHIN
    logs = np.log(np.maximum(there[:, -1:], 1e-30) / np.maximum(there[:, :-1], 1e-30))
    dimensions = max(float(np.median(1 / np.maximum(logs.mean(axis=1), 1e-12))), 0.5)
    return min(WITHIN, float((2 * CHANCE / there.shape[1]) ** (1 / dimensions)))


def _once(latents: Array, index: Index) -> tuple[Rows, list[list[int]]]:
    """(rows of items that are unlike even beyond rounding, for each the rows of all that are the same)."""
    some = np.random.default_rng(0).permutation(len(latents))[:1000]
    step = ROUNDING * max(
        float(np.median(index.nearest(latents[some], min(AROUND, len(latents)))[1][:, -1])), 1e-12
    )
    cells = np.floor(latents.astype(float) / step + 0.5).astype(np.int64)
    _, first, which = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(first), np.intp)
    place[order] = np.arange(len(first))
    copies: list[list[int]] = [[] for _ in first]
    for row, group in enumerate(place[which.reshape(-1)].tolist()):
        copies[group].append(row)
    return first[order], copies


def _usual(near: Rows, apart: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) the median distance of each item to those around it."""
    others = np.where(near == np.arange(len(near))[:, None], np.nan, apart)
    usual = np.nanmedian(others, axis=1) if near.shape[1] > 1 else np.ones(len(near))
    return np.asarray(np.maximum(usual, max(DENSEST * float(np.median(usual)), 1e-12)))


def _all_near(points: Array, i: int, usual: NDArray[np.float64], within: float) -> list[tuple[int, float]]:
    """All that are within a share of what is usual around them and point i: more than the AROUND nearest may be."""
    apart = np.linalg.norm(points - points[i], axis=1)
    close = np.flatnonzero(apart <= within * np.minimum(usual, usual[i]))
    return sorted(((int(j), float(apart[j])) for j in close if j != i), key=lambda pair: (pair[1], pair[0]))


def _pairs(
    near: Rows, apart: NDArray[np.float32], usual: NDArray[np.float64], within: float
) -> list[list[tuple[int, float]]]:
    """For each item those that are within a share of what is usual around both, with their distances; both ways."""
    least = np.minimum(usual[:, None], usual[near])
    close = (apart <= within * least) & (near != np.arange(len(near))[:, None])
    found: list[dict[int, float]] = [{} for _ in near]
    for i, c in zip(*np.nonzero(close), strict=True):
        j, distance = int(near[i, c]), float(apart[i, c])
        found[i][j] = found[j][int(i)] = distance
    return [sorted(each.items(), key=lambda pair: (pair[1], pair[0])) for each in found]
