"""What is known of items that are the same or different, with what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class KnownPairs:
    """group (n,) : items of one group are the same; -1: nothing was said. apart : groups that are different, as
    sorted codes g · groups + h, both ways round; None: all groups are different. groups : how many there are.

    >>> known = KnownPairs.of(np.array([[0, 1], [1, 2], [2, 3]]), np.array([True, True, False]), 5)
    >>> known.group.tolist(), known.same_pairs
    ([0, 0, 0, 1, -1], 3)
    >>> same, different = known.relations(np.array([0, 2, 3]))
    >>> bool(same[0, 1]), bool(different[0, 2])  # neither was said; both follow
    (True, True)
    """

    group: NDArray[np.intp]
    apart: NDArray[np.int64] | None
    groups: int

    @classmethod
    def of(cls, pairs: Array, same: Mask, n: int) -> KnownPairs:
        """From pairs (m, 2) of rows and same (m,): the same as the same are the same.

        A pair that is different and by others the same counts as the same.
        """
        from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
        from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

        a, b = pairs[same].T
        joined = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)[1]
        named = np.unique(pairs)
        group = np.full(n, -1, np.intp)
        kept, group[named] = np.unique(joined[named], return_inverse=True)
        g, h = group[pairs[~same]].T
        codes = np.concatenate([g * len(kept) + h, h * len(kept) + g])[np.tile(g != h, 2)]
        return cls(group, np.unique(codes).astype(np.int64), len(kept))

    @classmethod
    def of_classes(cls, codes: Array) -> KnownPairs:
        """From the class of each item (n,), -1 where it is not known."""
        return cls(np.asarray(codes, np.intp), None, int(np.max(codes, initial=-1)) + 1)

    @property
    def sizes(self) -> NDArray[np.intp]:
        """(groups,) items in each."""
        return np.bincount(self.group[self.group >= 0], minlength=self.groups)

    @property
    def same_pairs(self) -> int:
        """Pairs that are known to be the same."""
        sizes = self.sizes.astype(np.int64)
        return int((sizes * (sizes - 1) // 2).sum())

    def only(self, items: Mask) -> KnownPairs:
        """What is known of these items (n,) among themselves."""
        group, apart = np.where(items, self.group, -1), self.apart
        if apart is not None:
            there = np.bincount(group[group >= 0], minlength=self.groups) > 0
            apart = apart[there[apart // self.groups] & there[apart % self.groups]]
        return KnownPairs(group, apart, self.groups)

    def relations(self, rows: Array) -> tuple[Mask, Mask]:
        """(same (b, b), different (b, b)) of items; an item is not the same as itself."""
        g = self.group[rows]
        both = (g[:, None] >= 0) & (g >= 0)
        same = both & (g[:, None] == g)
        if self.apart is None:
            different = both & ~same
        elif not len(self.apart):
            different = np.zeros_like(both)
        else:
            codes = (g[:, None] * self.groups + g).astype(np.int64)
            at = np.minimum(np.searchsorted(self.apart, codes), len(self.apart) - 1)
            different = both & (self.apart[at] == codes)
        return same & (rows[:, None] != rows), different
