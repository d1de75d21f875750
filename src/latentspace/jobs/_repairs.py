"""The smallest change that makes an odd item normal: which parts to change, and to what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._density import density_of, learnt
from latentspace.jobs._made import lending, settled
from latentspace.space.folder import Space

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: an item is normal again when its p-value is this many times what would flag it: not just over the edge
MARGIN = 4.0
#: usual items that lend their values, numbers of columns that are tried at most, and halvings of a change
LENDERS, SIZES, HALVINGS = 5, 24, 7
#: held-out items that lie where fewer than this share do are in thin places of Z
THIN = 0.02
#: of items that are no rows the smallest shares of elements that are changed
SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Repaired:
    """An odd item before and after: encoded items x, after (*shape), p-values, and whether it is normal now.

    changed : names of the parts that were changed, the one that made it oddest first.
    """

    x: Array
    after: Array
    p: float
    p_after: float
    changed: list[str]
    normal: bool


class Repairer:
    """Repairs encoded items so that the space's scorer finds them normal, where training items lie."""

    def __init__(self, space: Space, scorer: Scorer, alpha: float) -> None:
        self.space, self.scorer, self.alpha = space, scorer, alpha
        self.shape = space.modality.shape
        self.rows = len(self.shape) == 1
        kept = lending(space)
        reference = np.asarray(
            scorer.reference if kept is None else kept[0].reshape(len(kept[0]), -1), np.float32
        )
        p = scorer.p_values(reference.reshape(-1, *self.shape))
        fine = p > self.wanted
        self.usual = reference[fine] if fine.any() else reference
        self.ends = self.usual.min(axis=0), self.usual.max(axis=0)
        self.density = density_of(space)
        held = learnt(space) if space.held_out is None or not space.held_out.any() else space.held_out
        self.thin = float(np.quantile(self.density.log_prob(space.latents[held]), THIN))
        self.member = False
        self.parts = {str(name): where for name, where in space.modality.parts().items()}

    @property
    def wanted(self) -> float:
        """The p-value that a repaired item has at least."""
        return min(MARGIN * self.alpha, 0.5)

    def repair(self, x: Array, seen: Mask | None, p: float) -> Repaired:
        """The smallest change found for one item x (*shape) of p-value `p`; gaps stay gaps."""
        flat = np.asarray(x, np.float32).reshape(-1)
        known = None if seen is None else seen.reshape(-1)
        self.member = bool(self.scorer.knows(flat[None])[0])
        groups, names = self._groups(flat, known)
        found = self._cheapest(flat, known, groups)
        if found is None:
            return Repaired(x, x, p, p, [], False)
        best, used = self._without_needless(flat, known, groups, *found)
        best = self._no_farther(flat, known, best)
        changed = [names[g] for g in used if not np.allclose(best[groups[g]], flat[groups[g]], atol=1e-6)]
        p_after = float(self._p(best[None], known)[0])
        return Repaired(x, best.reshape(self.shape), p, p_after, changed, p_after > self.alpha)

    def _groups(self, flat: Array, known: Mask | None) -> tuple[list[NDArray[np.intp]], list[str]]:
        """What is changed together, the most to blame first: columns of a row, elements of other items by share."""
        shape = (1, *self.shape)
        share = self.scorer.contributions(
            flat.reshape(shape), None if known is None else known.reshape(shape)
        )
        share = share.reshape(-1)
        if self.rows:
            names = [n for n, where in self.parts.items() if known is None or known[where].any()]
            names.sort(key=lambda name: -share[self.parts[name]].sum())
            return [self.parts[name] for name in names], names
        order = np.argsort(-share, kind="stable")
        if known is not None:
            order = order[known[order]]
        ends = np.unique([max(1, round(part * len(order))) for part in SHARES])
        pieces = np.split(order, ends[:-1])
        return pieces, [f"share {i}" for i in range(len(pieces))]

    def _cheapest(
        self, flat: Array, known: Mask | None, groups: list[NDArray[np.intp]]
    ) -> tuple[Array, list[int]] | None:
        """The normal item with the fewest groups changed, and which: of several the nearest in a thick place of Z."""
        sizes = _sizes(len(groups))
        for size in sizes:
            where = np.concatenate(groups[:size])
            tried = self._candidates(flat, known, where)
            fine = self._p(tried, known) >= self.wanted
            if fine.any():
                return self._nearest(flat, tried[fine]), list(range(size))
        return None

    def _candidates(self, flat: Array, known: Mask | None, where: NDArray[np.intp]) -> Array:
        """Items (c, F) with the elements `where` changed: to what usual items that are alike elsewhere hold, to their
        mean, and to what the decoder, if there is one, makes of the item so repaired."""
        rest = np.setdiff1d(np.arange(len(flat)), where)
        if known is not None:
            rest = rest[known[rest]]
        sought = rest if len(rest) else where
        apart = _drawn_in(self.usual[:, sought] - flat[sought])
        near = np.argsort((apart**2).sum(axis=1), kind="stable")[:LENDERS]
        lent = [*self.usual[near], self.usual[near].mean(axis=0)]
        filled = np.repeat(flat[None], len(lent), axis=0)
        for row, values in zip(filled, lent, strict=True):
            row[where] = values[where]
        if not self.space.decodes:
            return self._settled(filled)
        made = self._decoded(filled[-1:])
        again = flat.copy()
        again[where] = made[0, where]
        return self._settled(np.concatenate([filled, again[None]]))

    def _decoded(self, flat: Array) -> Array:
        model = self.space.model
        return np.asarray(model.decode(model.encode(flat.reshape(-1, *self.shape)))).reshape(flat.shape)

    def _settled(self, flat: Array) -> Array:
        return settled(self.space, flat) if self.rows else flat

    def _p(self, flat: Array, known: Mask | None) -> NDArray[np.float64]:
        seen = None if known is None else np.repeat(known[None], len(flat), axis=0).reshape(-1, *self.shape)
        x = flat.reshape(-1, *self.shape)
        p = self.scorer.judge(x, seen, np.zeros(len(x), bool))[1]
        # once changed it is no member of the training pile, but what was odd there has to be mended, too
        return np.minimum(p, self.scorer.judge(x, seen, np.ones(len(x), bool))[1]) if self.member else p

    def _nearest(self, flat: Array, tried: Array) -> Array:
        """Of normal items the one nearest to `flat`, if it can be one that does not lie in a thin place of Z."""
        levels = self.density.log_prob(self.space.model.encode(tried.reshape(-1, *self.shape)))
        costs = (_drawn_in(tried - flat) ** 2).sum(axis=1)
        thick = levels >= self.thin
        return np.asarray(tried[np.argmin(np.where(thick | ~thick.any(), costs, np.inf))])

    def _without_needless(
        self, flat: Array, known: Mask | None, groups: list[NDArray[np.intp]], best: Array, used: list[int]
    ) -> tuple[Array, list[int]]:
        """The change without the groups that are not needed for it, the least to blame first; of rows only."""
        if not self.rows:
            return best, used
        for group in reversed(used.copy()):
            if len(used) == 1:
                break
            tried = best.copy()
            tried[groups[group]] = flat[groups[group]]
            if self._p(tried[None], known)[0] >= self.wanted:
                best, used = tried, [g for g in used if g != group]
        return best, used

    def _no_farther(self, flat: Array, known: Mask | None, best: Array) -> Array:
        """The item as far on the way to `best` as is needed."""
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            share = (low + high) / 2
            moved = np.clip(flat + share * (best - flat), *self.ends)
            tried = self._settled(np.where(best == flat, flat, moved)[None])
            if self._p(tried, known)[0] >= self.wanted:
                high, best_share = share, tried[0]
                found = best_share
            else:
                low = share
        return best if high == 1.0 else found


def _sizes(groups: int) -> list[int]:
    """How many groups are changed at once: all numbers while they are small, then by larger steps."""
    if groups <= SIZES:
        return list(range(1, groups + 1))
    return [int(size) for size in np.unique(np.geomspace(1, groups, SIZES).round())]


def _drawn_in(apart: Array) -> Array:
    """Differences as they are up to a few standard deviations, and hardly more beyond: one wild column must not hide
    the others."""
    return np.asarray(apart / np.sqrt(1 + (apart / 4.0) ** 2))
