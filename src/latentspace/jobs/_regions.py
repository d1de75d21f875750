"""Regions of a map, each named by what sets it apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._map_differences import Difference, differences

Array = NDArray[Any]

#: items that regions are looked for in, and regions at most
MAX_ITEMS, MOST = 3000, 8
#: a part of the map that holds more than this share of the items is cut up, as long as there are few
LARGE = 0.15
#: a label names a region that it covers more than this share of; a column that is set apart by at least this
MAJORITY, TELLING = 0.5, 0.6
#: a category is told of a region where its share there differs by at least this from that elsewhere
FAR = 0.35
#: regions of one name that lie within this share of the map's span of each other are one
NEAR = 0.35
#: whole numbers with more values than this are no categories
FEW_NUMBERS = 12


@dataclass(frozen=True)
class Region:
    """A part of the map: its name, how many items lie in it, its middle (2,), and what sets it apart."""

    name: str
    items: int
    place: NDArray[np.float64]
    apart: list[Difference]


def regions_of(points: Array, colour: tuple[str, Array] | None, columns: dict[str, Array]) -> list[Region]:
    """The regions of a map (n, 2) that have a name, the largest first.

    The name is the category, or the two, of `colour` (name, (n,)) that most items of a region have and few others;
    else the one or two of `columns` that set it apart most.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(points))[:MAX_ITEMS])
    at = np.asarray(points, float)[rows]
    label = None if colour is None else _categories(colour[1][rows])
    codes = found_regions(at) if label is None else _merged(found_regions(at), at, label)
    if (codes == codes[0]).all():
        return []  # one region: there is nothing to set it apart from
    share, told = len(points) / len(rows), {name: values[rows] for name, values in columns.items()}
    named = []
    for code in np.unique(codes[codes >= 0]):
        inside = codes == code
        apart = [d for d in differences(told, inside) if d.sure]
        name = "" if colour is None or label is None else _majority(colour[0], label, inside)
        named.append(Region(name or _short(apart), round(share * inside.sum()), _middle(at[inside]), apart))
    return sorted((region for region in named if region.name), key=lambda region: -region.items)


def found_regions(at: NDArray[np.float64]) -> NDArray[np.intp]:
    """(n,) the region of each point, -1 for none: dense groups, and where one is large, its parts."""
    from sklearn.cluster import HDBSCAN

    if len(at) < 20:
        return np.full(len(at), -1, np.intp)
    least = max(8, len(at) // 40)
    codes = np.asarray(HDBSCAN(min_cluster_size=least, copy=True).fit_predict(at), np.intp)
    if codes.max() < 0:
        codes[:] = 0
    enough = max(LARGE * len(at), 4 * least)
    while codes.max() + 1 < MOST and (sizes := np.bincount(codes[codes >= 0])).max() > enough:
        inside = np.flatnonzero(codes == sizes.argmax())
        codes[inside[_second_half(at[inside])]] = codes.max() + 1
    sizes = np.bincount(codes[codes >= 0])
    order = np.full(len(sizes) + 1, -1, np.intp)
    order[np.argsort(-sizes)[:MOST]] = np.arange(min(MOST, len(sizes)))
    return order[codes]


def _second_half(at: NDArray[np.float64]) -> NDArray[np.bool_]:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(2, n_init=3, random_state=0).fit_predict(at) == 1)


def _categories(values: Array) -> Array | None:
    """Values as texts, where they are categories and not measured on a scale."""
    if values.dtype.kind in "fM" or (values.dtype.kind in "iu" and len(np.unique(values)) > FEW_NUMBERS):
        return None
    return values.astype(str)


def _merged(codes: NDArray[np.intp], at: NDArray[np.float64], label: Array) -> NDArray[np.intp]:
    """Regions that lie near each other and would have the same name, as one."""
    reach, merged = NEAR * float(np.ptp(at, axis=0).max()), codes.copy()
    kept: list[tuple[str, NDArray[np.float64], int]] = []
    for code in range(codes.max(initial=-1) + 1):
        inside = codes == code
        name, middle = _majority("", label, inside), np.median(at[inside], axis=0)
        near = [c for other, place, c in kept if name == other and np.linalg.norm(place - middle) < reach]
        merged[inside] = near[0] if name and near else code
        kept.append((name, middle, int(merged[inside][0])))
    return merged


def _majority(name: str, label: Array, inside: NDArray[np.bool_]) -> str:
    """The category, or the two, that most of the items inside have and few others; "" where there is none."""
    levels, codes = np.unique(label, return_inverse=True)
    share, rest = (
        np.bincount(codes[rows], minlength=len(levels)) / max(1, rows.sum()) for rows in (inside, ~inside)
    )
    order = np.argsort(-share, kind="stable")
    few = order[: 1 if share[order[0]] > MAJORITY else 2]
    if share[few].sum() <= MAJORITY or share[few].sum() - rest[few].sum() < FAR:
        return ""
    words = " or ".join(levels[few])
    return f"{name} {words}" if words.replace(" or ", "").isdecimal() else words


def _short(apart: list[Difference]) -> str:
    """``"alcohol high, pH low"``."""
    telling = [
        d for d in apart if abs(d.size) >= TELLING and (d.level is None or abs(d.inside - d.outside) >= FAR)
    ]
    return ", ".join(d.short for d in telling[:2])


def _middle(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point of the region that is nearest to its middle, so that it lies within."""
    away = ((at - np.median(at, axis=0)) ** 2).sum(axis=1)
    return np.asarray(at[away.argmin()])
