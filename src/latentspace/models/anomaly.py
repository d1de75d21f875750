"""How odd an item is, how sure that is, and which of its elements are to blame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError
from latentspace.training.denoiser import Denoiser

Array = NDArray[Any]
Mask = NDArray[np.bool_]

#: usual items that others are compared with, and the values that they may hold
REFERENCE, REFERENCE_VALUES = 2048, 2**22
#: training items that the denoiser learns from, and the values that they may hold
SAMPLE, SAMPLE_VALUES = 10_000, 2**22
#: nearest usual items: of a new item, and of one from the training pile, whose companions may be odd as well
NARROW, WIDE = 3, 20
#: the pile is compared with usual items less this share of them, those farthest from their JUDGES nearest that stay,
#: settled in so many rounds
TRIMMED, JUDGES, ROUNDS = 0.2, 75, 2
#: noise level at which the denoiser is asked, and how much its verdict weighs beside the neighbours'
NOISE, WEIGHT = 0.3, 0.4
#: the denoiser is believed wholly where items it has not seen come back 1.05 times as badly as those it has, and
#: not at all from 1.2 times on: then it remembers instead of understanding
BELIEVED, DOUBTED = 1.05, 1.2
#: the denoiser has learnt the pile with whatever is odd in it: its verdict there counts as far as it agrees about
#: this share, the items oddest by their neighbours
ODDEST = 0.1
#: where a value that is far away begins to be drawn in, in standard deviations
BEND = 4.0
#: calibration items from which it is learnt how much each element usually differs
BLAME = 500
#: values looked at together
BLOCK_VALUES = 2**19


class Scorer:
    """How odd encoded items are, fitted on training items and on calibration items that took no part in training.

    The score joins the distance to the nearest usual items, seen by the range of each element (far away is far
    away) and by the spread of them all with far values drawn in (one wild element does not hide the others), with
    what a denoising network cannot give back. A new item is judged by its NARROW nearest; one of the training pile,
    recognised by its values, without itself and, since its companions may be odd too, by its WIDE nearest among
    those that the pile itself finds least odd (see `_least_odd`). Both are put on one scale by calibration: see
    `scores`.

    Conformal p-values: Vovk, Gammerman and Shafer (2005); for anomalies Bates, Candès, Lei, Romano and Sesia (2023).

    reference : (m, d) usual items; usual : (2, *shape) 2.5 % and 97.5 % quantiles of the training items.
    n_calibration : calibration items; smallest_p : the smallest p-value there is.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(600, 4)).astype("float32")
    >>> scorer = Scorer.fit(x[:500], None, x[500:], None)
    >>> far = np.array([[0.0, 0.0, 9.0, 0.0]], "float32")
    >>> bool(scorer.p_values(far)[0] < 0.02), int(scorer.contributions(far)[0].argmax())
    (True, 2)
    """

    def __init__(self, arrays: dict[str, Array]) -> None:
        # a space written before these were kept is read as if all of its reference were usual
        everything = {"kept": np.ones((2, len(arrays["reference"])), bool), "agreement": np.ones(1)}
        self._arrays = arrays = everything | arrays
        self.usual = arrays["usual"]
        self.shape = self.usual.shape[1:]
        self.reference, self.pile = arrays["reference"], arrays["pile"]
        self._scale, self._range = arrays["scale"], arrays["range"]
        self._trust = float(arrays["trust"][0])
        layers = sorted(name for name in arrays if name.startswith("denoiser."))
        self.denoiser = Denoiser([arrays[name] for name in layers])
        self.views = _two_ways(self.reference, self._range, self._scale)
        self._kept = [np.flatnonzero(kept) for kept in arrays["kept"]]
        self._marks = _marks(self.reference)

    @classmethod
    def fit(
        cls,
        x: Array,
        observed: Mask | None,
        calibration_x: Array,
        calibration_observed: Mask | None,
        seed: int = 0,
    ) -> Scorer:
        """Learn from items x (n, *shape), calibrate on others; raises DataError where there are too few."""
        if len(x) < 4 or len(calibration_x) < 1:
            raise DataError(
                f"Oddness is learnt from at least 4 items and calibrated on at least 1 other; here are {len(x)} and "
                f"{len(calibration_x)}."
            )
        shape, rng = x.shape[1:], np.random.default_rng(seed)
        flat, calibration = _flat(x), _flat(calibration_x)
        seen, calibration_seen = _flat_mask(observed), _flat_mask(calibration_observed)
        # one scale for all: the modality has put elements of different units on a common one
        rms = max(float(np.sqrt(np.mean(_spread(flat) ** 2))), 1e-6)
        scale = np.array([rms], np.float32)
        most = int(np.clip(REFERENCE_VALUES // flat.shape[1], 16, REFERENCE))
        rows = rng.permutation(len(flat))
        few = np.sort(rows[: max(most, min(SAMPLE, SAMPLE_VALUES // flat.shape[1]))])
        all_of_them = len(few) == len(flat)  # then no copy
        sample = flat if all_of_them else flat[few]
        sample_seen = seen if seen is None or all_of_them else seen[few]
        # six standard deviations of a normal element are about its range
        extent = np.maximum((sample.max(axis=0) - sample.min(axis=0)) / 6, 0.1 * rms)
        denoiser = Denoiser.fit(sample, sample_seen, seed, lambda x: _drawn_in(x / scale))
        chosen = np.sort(rows[:most])
        reference, reference_seen = flat[chosen], None if seen is None else seen[chosen]
        views = _two_ways(reference, extent, scale)
        arrays = {
            "reference": reference,
            "kept": np.stack([_least_odd(view, reference_seen) for view in views]),
            "scale": scale,
            "range": extent.astype(np.float32),
            "usual": np.quantile(sample[:2000], [0.025, 0.975], axis=0).astype(np.float32).reshape(2, *shape),
            "pile": np.zeros(0, np.uint64),
            "trust": np.ones(1),
            **{f"denoiser.{i}": weight for i, weight in enumerate(denoiser.weights)},
        }
        scorer = cls(arrays)
        scorer.remember(x)
        scorer._calibrate(sample, sample_seen, calibration, calibration_seen)
        return scorer

    def remember(self, x: Array) -> None:
        """Know items x (n, *shape) again as members of the training pile; those it was fitted on are known."""
        self.pile = self._arrays["pile"] = np.union1d(self.pile, _marks(_flat(x)))

    def knows(self, x: Array) -> Mask:
        """(n,) which items x (n, *shape) are members of the training pile."""
        known: Mask = np.isin(_marks(_flat(x)), self.pile)
        return known

    def _calibrate(
        self, sample: Array, seen: Mask | None, calibration: Array, calibration_seen: Mask | None
    ) -> None:
        arrays = self._arrays
        own = self._residual(calibration, calibration_seen)
        ratio = np.median(own) / max(float(np.median(self._residual(sample, seen))), 1e-12)
        self._trust = float(np.clip((DOUBTED - ratio) / (DOUBTED - BELIEVED), 0, 1))
        arrays["trust"] = np.array([self._trust])
        pile = self._parts(sample, seen, np.ones(len(sample), bool))
        arrays["agreement"] = np.array([_agreement(pile)])
        new = self._parts(calibration, calibration_seen, np.zeros(len(calibration), bool))
        for name, parts in (("new", new), ("pile", pile)):
            middle = np.median(parts, axis=0)
            arrays[f"{name}.scale"] = np.stack([middle, np.quantile(parts, 0.9, axis=0) - middle + 0.05])
            arrays[f"{name}.calibration"] = np.sort(self._join(parts, name))
        calibration = calibration[:BLAME]
        calibration_seen = None if calibration_seen is None else calibration_seen[:BLAME]
        terms = self._terms(calibration, calibration_seen, None)
        seen_too = np.ones(calibration.shape, bool) if calibration_seen is None else calibration_seen
        counts = np.maximum(seen_too.sum(axis=0), 1)
        usual = np.stack([(term * seen_too).sum(axis=0) / counts for term in terms])
        # and as much again as all differ by: one that hardly ever does is not to blame for a hair
        arrays["blame"] = usual + usual.mean(axis=1, keepdims=True) + 1e-6

    # --- how odd ---------------------------------------------------------------------------------------------

    @property
    def n_calibration(self) -> int:
        """How many items the p-values of new items are calibrated on."""
        return len(self._arrays["new.calibration"])

    @property
    def smallest_p(self) -> float:
        """No p-value of a new item is below this: no smaller false-alarm rate can be promised."""
        return 1 / (self.n_calibration + 1)

    def scores(self, x: Array, observed: Mask | None = None) -> NDArray[np.float64]:
        """(n,) surprise of items x (n, *shape), higher is odder: minus log10 of the share of usual items as odd.

        1.3 is one in 20, 2 one in 100. Between calibration items it is interpolated, beyond the last one continued
        along the tail. For a new item 10 to the power of minus the score is no smaller than its p-value until there.
        """
        return self.judge(x, observed)[0]

    def p_values(self, x: Array, observed: Mask | None = None) -> NDArray[np.float64]:
        """(n,) conformal p-values: (1 + calibration items at least as odd) / (calibration items + 1).

        Of a new item that is like the calibration items it is at most alpha with a chance of at most alpha. An item
        of the training pile is ranked among the pile's own.
        """
        return self.judge(x, observed)[1]

    def judge(
        self, x: Array, observed: Mask | None = None, pile: Mask | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`scores` and `p_values` of items x (n, *shape), for the work of one.

        pile : (n,) which of them to judge as members of the training pile. None: those that are.
        """
        flat, seen = _flat(x), _flat_mask(observed)
        pile = self.knows(flat) if pile is None else pile
        parts = self._parts(flat, seen, pile)
        scores, p = np.empty(len(flat)), np.empty(len(flat))
        for rows, name in ((pile, "pile"), (~pile, "new")):
            raw, calibration = self._join(parts[rows], name), self._arrays[f"{name}.calibration"]
            scores[rows] = _surprise(raw, calibration)
            above = len(calibration) - np.searchsorted(calibration, raw, side="left")
            p[rows] = (above + 1) / (len(calibration) + 1)
        return scores, p

    def _join(self, parts: Array, name: str) -> Array:
        middle, spread = self._arrays[f"{name}.scale"]
        plain, drawn_in, residual = ((parts - middle) / spread).T
        weight = WEIGHT * self._trust * (self._arrays["agreement"][0] if name == "pile" else 1)
        joined: Array = (plain + drawn_in) / 2 + weight * residual
        return joined

    def _parts(self, flat: Array, seen: Mask | None, pile: Mask) -> NDArray[np.float64]:
        """(n, 3) logarithms: distance to the neighbours, plain and drawn in, and what the denoiser leaves."""
        out = np.empty((len(flat), 3))
        out[~pile, :2] = self._distances(flat, seen, ~pile, None, NARROW)
        out[pile, :2] = self._distances(flat, seen, pile, self._kept, WIDE)
        out[:, 2] = self._residual(flat, seen)
        return np.log(out + 1e-6)

    def _distances(
        self, flat: Array, seen: Mask | None, which: Mask, kept: list[NDArray[np.intp]] | None, k: int
    ) -> NDArray[np.float64]:
        """(n, 2) mean distances in both views to the k nearest usual items: to all, or to those `kept` but itself."""
        members = np.flatnonzero(which)
        out = np.empty((len(members), 2))
        references = self.views if kept is None else [v[at] for v, at in zip(self.views, kept, strict=True)]
        for block in self._blocks(len(members)):
            rows = members[block]
            known = None if seen is None else seen[rows]
            views = _two_ways(flat[rows], self._range, self._scale)
            for j, (view, reference) in enumerate(zip(views, references, strict=True)):
                squares = _squared_distances(view, known, reference)
                if kept is not None:
                    squares[self._selves(flat[rows], kept[j])] = np.inf
                out[block, j] = _to_nearest(squares, k)
        return out

    def _selves(self, flat: Array, kept: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of the items that are among the reference items `kept`, and their places there."""
        marks, known = _marks(flat), self._marks[kept]
        order = np.argsort(known)
        at = np.minimum(np.searchsorted(known, marks, sorter=order), len(order) - 1)
        found = known[order[at]] == marks
        return np.flatnonzero(found), order[at[found]]

    def _residual(self, flat: Array, seen: Mask | None) -> Array:
        """(n,) mean squared difference between items and what the denoiser gives back; 0 at gaps."""
        out = np.empty(len(flat))
        for rows in self._blocks(len(flat)):
            known = None if seen is None else seen[rows]
            squares = self._left(flat[rows], known)
            out[rows] = (squares if known is None else squares * known).mean(axis=1)
        return out

    def _left(self, flat: Array, seen: Mask | None) -> Array:
        """(n, d) squared difference from what the denoiser gives back; gaps are filled as the neighbours are."""
        if seen is not None:
            flat = np.where(seen, flat, self._means(flat, seen)).astype(flat.dtype)
        view = _drawn_in(flat / self._scale.astype(flat.dtype))
        squares: Array = (self.denoiser.restore(view, NOISE) - view) ** 2
        return squares

    def _blocks(self, n: int) -> Iterator[slice]:
        step = max(1, BLOCK_VALUES // max(*self.reference.shape, 1))
        for start in range(0, n, step):
            yield slice(start, start + step)

    # --- why -------------------------------------------------------------------------------------------------

    def expected(self, x: Array, observed: Mask | None = None) -> NDArray[np.float32]:
        """(n, *shape) what items like these usually are: the mean of their nearest usual items, encoded scale.

        The neighbours are sought by the elements that are not to blame.
        """
        flat, seen = _flat(x), _flat_mask(observed)
        out = np.empty(flat.shape, np.float32)
        for rows in self._blocks(len(flat)):
            known = None if seen is None else seen[rows]
            share = self._shares(flat[rows], known, None)
            out[rows] = self._means(flat[rows], self._blameless(share, known))
        return out.reshape(-1, *self.shape)

    def contributions(self, x: Array, observed: Mask | None = None) -> NDArray[np.float64]:
        """(n, *shape) share of each element in an item's oddness; what it usually differs by is allowed for."""
        flat, seen = _flat(x), _flat_mask(observed)
        out = np.empty(flat.shape)
        for rows in self._blocks(len(flat)):
            known = None if seen is None else seen[rows]
            share = self._shares(flat[rows], known, None)
            out[rows] = self._shares(flat[rows], known, self._blameless(share, known))
        return out.reshape(-1, *self.shape)

    def _blameless(self, share: Array, seen: Mask | None) -> Mask:
        """Elements with no more than three times an equal share, and at least the better half of them."""
        middle = np.median(share, axis=1, keepdims=True)
        fine: Mask = share <= np.maximum(3 / share.shape[1], middle)
        return fine if seen is None else fine & seen

    def _shares(self, flat: Array, seen: Mask | None, sought_by: Mask | None) -> Array:
        neighbours, denoiser = self._arrays["blame"]
        far, left = self._terms(flat, seen, sought_by)
        each = far / neighbours + self._trust * left / denoiser
        if seen is not None:
            each = each * seen
        total = each.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, each / np.where(total > 0, total, 1), 1 / each.shape[1]))

    def _terms(self, flat: Array, seen: Mask | None, sought_by: Mask | None) -> tuple[Array, Array]:
        """Squared differences (n, d) from the neighbours' mean and from what the denoiser gives back."""
        z = flat / self._scale
        means = self._means(flat, seen if sought_by is None else sought_by) / self._scale
        return (z - means) ** 2, self._left(flat, seen)

    def _means(self, flat: Array, sought_by: Mask | None) -> Array:
        view = _drawn_in(flat / self._scale)
        out = np.empty(flat.shape)
        for rows in self._blocks(len(flat)):
            squares = _squared_distances(
                view[rows], None if sought_by is None else sought_by[rows], self.views[1]
            )
            # without the item itself, should it be among them
            squares[squares < 1e-9] = np.inf
            k = min(2 * NARROW, squares.shape[1] - 1)
            nearest = np.argpartition(squares, k - 1, axis=1)[:, :k]
            out[rows] = self.reference[nearest].mean(axis=1)
        return out

    # --- on disk ---------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, Array]:
        """All that was learnt, by name; `Scorer(arrays)` is the same scorer again."""
        return dict(self._arrays)


def _flat(x: Array) -> Array:
    flat = np.asarray(x).reshape(len(x), -1)
    return flat if flat.dtype in (np.float32, np.float64) else flat.astype(np.float32)


def _flat_mask(observed: Mask | None) -> Mask | None:
    return None if observed is None else np.asarray(observed, bool).reshape(len(observed), -1)


def _drawn_in(z: Array) -> Array:
    """Nearly z within BEND standard deviations, never more than BEND beyond."""
    far = z / BEND
    np.sqrt(np.add(np.square(far, out=far), 1, out=far), out=far)
    return np.asarray(np.divide(z, far, out=far))


def _two_ways(flat: Array, extent: Array, scale: Array) -> tuple[Array, Array]:
    """Items by the range of each element, and by the spread of all with far values drawn in."""
    return flat / extent.astype(flat.dtype), _drawn_in(flat / scale.astype(flat.dtype))


def _spread(flat: Array) -> NDArray[np.float64]:
    """(d,) standard deviations, in blocks of rows."""
    mean, squares = flat.mean(axis=0, dtype=np.float64), np.zeros(flat.shape[1])
    for start in range(0, len(flat), 1024):
        squares += ((flat[start : start + 1024] - mean) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(squares / len(flat)))


def _squared_distances(view: Array, seen: Mask | None, reference: Array) -> Array:
    """(n, m) squared distances; what was not seen adds nothing, so that gaps raise no alarm."""
    reference = reference.astype(view.dtype, copy=False)
    if seen is None:
        each = (view**2).sum(axis=1)[:, None] + (reference**2).sum(axis=1) - 2 * (view @ reference.T)
        return np.asarray(each)
    known = seen.astype(view.dtype)
    view = view * known
    return np.asarray((view**2).sum(axis=1)[:, None] + known @ (reference**2).T - 2 * (view @ reference.T))


def _to_nearest(squares: Array, k: int) -> NDArray[np.float64]:
    """(n,) mean distance to the k nearest, from squared distances (n, m); one of them may be the item's own."""
    k = max(1, min(k, squares.shape[1] - 1))
    nearest = np.partition(squares, k - 1, axis=1)[:, :k]
    return np.asarray(np.sqrt(np.maximum(nearest, 0)).mean(axis=1, dtype=np.float64))


def _least_odd(view: Array, seen: Mask | None) -> Mask:
    """(m,) which items of a pile (m, d) to compare others with, should some be odd: all but the oddest TRIMMED.

    Odd items that are alike are each other's neighbours, and look usual. So the oddest are told and left out, all are
    judged anew by those that stayed, and so on, as in the concentration steps of Rousseeuw and Van Driessen (1999).
    """
    squares = _squared_distances(view, seen, view)
    np.fill_diagonal(squares, np.inf)
    kept = np.ones(len(view), bool)
    for _ in range(ROUNDS):
        far = _to_nearest(np.compress(kept, squares, axis=1), JUDGES)
        kept = far <= np.quantile(far, 1 - TRIMMED)
    return kept


def _agreement(parts: Array) -> float:
    """How much odder the items that neighbours find oddest are to the denoiser than half of all are; 0 to 1.

    Where they are not, what it leaves is of another kind: how strongly a common item varies, say.
    """
    near, left = parts[:, :2].mean(axis=1), np.sort(parts[:, 2])
    oddest = parts[near >= np.quantile(near, 1 - ODDEST), 2]
    return float(np.clip(2 * np.searchsorted(left, oddest).mean() / len(left) - 1, 0, 1))


def _marks(flat: Array) -> NDArray[np.uint64]:
    """(n,) a number for each item by which it is known again."""
    bits = np.ascontiguousarray(flat, np.float32).view(np.uint32)
    odd = np.random.default_rng(0).integers(0, 2**63, bits.shape[1], dtype=np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    out = np.empty(len(bits), np.uint64)
    step = max(1, BLOCK_VALUES // 4 // bits.shape[1])
    for start in range(0, len(bits), step):
        block = bits[start : start + step].astype(np.uint64)
        block = (block ^ (block << np.uint64(29))) * odd
        out[start : start + step] = (block ^ (block >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
    return out


def surprise_knots(calibration: Array) -> tuple[Array, Array, float]:
    """Distinct calibration scores, the surprise at each, and how fast it rises beyond the last one."""
    n = len(calibration)
    knots, first = np.unique(calibration, return_index=True)
    tail = max(1, n // 10)
    slope = 1 / (np.log(10) * max(float((calibration[-tail:] - calibration[-tail]).mean()), 1e-3))
    return knots, -np.log10((n - first + 1) / (n + 1)), slope


def _surprise(raw: Array, calibration: Array) -> Array:
    """Minus log10 of the share of calibration scores (rising) at least as high, without steps."""
    knots, heights, slope = surprise_knots(calibration)
    out = np.interp(raw, knots, heights)
    out = np.where(raw > knots[-1], heights[-1] + slope * (raw - knots[-1]), out)
    # below the least odd one, so that the order stays
    return np.where(raw < knots[0], heights[0] - 1e-3 * (knots[0] - raw), out)
