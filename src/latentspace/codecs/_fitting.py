"""How a predictor is fitted: the layout, the contexts and their straight line, then the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._cells import Cells
from latentspace.codecs._context import EXTRA, FINE, Context
from latentspace.codecs._exact import CEILING, ExactNetwork
from latentspace.codecs._layout import Layout, Size, candidates
from latentspace.codecs._mixture import CENTRE, TOKENS, WIDTH, WIDTH_LEAST, WIDTH_MOST, Mixture
from latentspace.codecs._part import Part
from latentspace.codecs._state import packed
from latentspace.codecs._tokens import tokens_of
from latentspace.codecs.predictor import Predictor
from latentspace.models.defaults import limited_threads

__all__ = ["fitted"]

Longs = NDArray[np.int64]
Mask = NDArray[np.bool_]
Tell = Callable[[str, float | None], None]

#: (values of a class, contexts, hidden units, components): the more there is to code, the larger a network pays
SIZES = (
    (4_000_000, 60, 96, 48),
    (1_200_000, 60, 64, 32),
    (400_000, 32, 32, 24),
    (80_000, 20, 16, 16),
    (15_000, 10, 8, 12),
)
#: values that are learnt from, cells that a straight line is laid through
MOST, LINE = 2**24, 40_000
#: multiplications of a fit; steps for each root of a value, and at most so many over all classes; cells of a batch
WORK = {"default": 1.5e12, "max": 1e13}
ROOTS, CALLS, BATCH = 6, 60_000, 2048
#: items one after another must save this many bits a value
CLEAR = 0.03
#: bits after the point of the networks' weights that are tried
FINENESS = (4, 5, 6, 7, 8, 10)
#: steps after which values as they are and residuals are compared
PILOT = 200


@dataclass
class Sample:
    """Values to learn from, laid out."""

    layout: Layout
    cells: Cells
    flat: NDArray[Any]
    seen: NDArray[np.bool_] | None

    @classmethod
    def of(cls, layout: Layout, levels: Longs, observed: Mask | None, fill: Longs, dtype: Any) -> Sample:
        cells, flat = layout.lay(levels, fill, dtype)
        if observed is None:
            return cls(layout, cells, flat, None)
        return cls(layout, cells, flat, layout.lay(observed, np.zeros_like(fill), np.bool_, last=False)[1])

    def draw(self, random: np.random.Generator, n: int) -> tuple[Longs, tuple[Longs, ...]]:
        """n cells: lanes, and positions along each linked axis."""
        lanes = random.integers(0, self.cells.lanes, n)
        return lanes, tuple(random.integers(0, side, n) for side in self.cells.shape)

    def look(self, g: int, lanes: Longs, places: tuple[Longs, ...]) -> tuple[Longs, Longs, Mask]:
        """(n,) values of class g, (n, C) of their contexts, (n,) whether they count."""
        at = self.cells.flat(lanes, places, g)
        counted = np.ones(len(at), bool) if self.seen is None else self.seen[at]
        values, around = self.flat[at], self.flat[at[:, None] + self.cells.steps[g]]
        return values.astype(np.int64), around.astype(np.int64), counted


def fitted(
    levels: Longs, observed: Mask | None, size: Size, total: int, seed: int, tell: Tell
) -> Predictor | None:
    """See Predictor.fit."""
    if levels.ndim == 1:
        levels, observed = levels[:, None], None if observed is None else observed[:, None]
    rows = max(1, MOST // max(1, levels[0].size)) if len(levels) else 0
    levels, observed = levels[:rows], None if observed is None else observed[:rows]
    if not levels.size or (observed is not None and not observed.any()):
        return None
    seen = levels if observed is None else levels[observed]
    low, high = int(seen.min()), int(seen.max())
    if max(abs(low), abs(high)) >= 2**40:
        return None
    dtype = next(t for t in (np.uint8, np.int16, np.int32, np.int64) if _holds(t, low, high))
    if observed is not None:
        levels = np.where(observed, levels, int(np.median(seen)))
    layout = _layout(levels, observed, size, dtype, seed)
    classes = len(layout.offsets)
    known = [row for row in SIZES if row[0] <= total / classes]
    if not known:
        return None
    _, contexts, hidden, components = known[0]
    layout, lines = _chosen(layout, levels, observed, contexts, dtype, seed)
    fill = _fill(levels, classes, layout)
    sample = Sample.of(layout, levels, observed, fill, dtype)
    options: dict[str, Any] = {"hidden": hidden, "components": components, "seed": seed, "tell": tell}
    steps = _steps(sample, size, total, contexts, hidden, components)
    if dtype is np.uint8:
        short = min(PILOT, steps)
        plain = [replace(line, direct=True) for line in lines]
        costs = [np.sum(_trained(sample, ways, steps=short, **options)[1]) for ways in (plain, lines)]
        lines = plain if costs[0] < costs[1] else lines
    learnt, _ = _trained(sample, lines, steps=steps, **options)
    return _coarse_enough(sample, lines, learnt, total, np.dtype(dtype).name, seed)


def _coarse_enough(
    sample: Sample, lines: list[Context], learnt: list[Any], total: int, dtype: str, seed: int
) -> Predictor:
    """The predictor whose own bytes and what it codes are fewest together: fine weights take more of their own."""
    tried = []
    for fine in FINENESS:
        parts = tuple(_part(context, found, fine) for context, found in zip(lines, learnt, strict=True))
        own = len(packed(sample.layout, parts, sample.cells.fill, dtype))
        each = np.mean([_cost(sample, g, part, seed) for g, part in enumerate(parts)])
        tried.append((own + each * total / 8, parts))
    best = min(tried, key=lambda way: way[0])[1]
    return Predictor(sample.layout, best, sample.cells.fill, dtype)


def _cost(sample: Sample, g: int, part: Part, seed: int) -> float:
    """Mean bits a value of class g, on cells drawn for it."""
    lanes, places = sample.draw(np.random.default_rng([seed, g, 1]), LINE // 4)
    values, around, counted = sample.look(g, lanes, places)
    if not counted.any():
        return 0.0
    view = part.context(around)
    shares = part.mixture.shares(part.network(view.features, places if part.network.places else ()))
    tokens, far = tokens_of(part.context, view, values)
    bits = part.mixture.bits(shares, tokens) + np.where(far, 64, view.shift)
    return float(bits[counted].mean())


def _holds(dtype: Any, low: int, high: int) -> bool:
    # values of later blocks may be larger than these: but for bytes there is room for twice as much
    bounds = np.iinfo(dtype)
    room = 1 if dtype is np.uint8 else 2
    return bool(bounds.min <= low * room and high * room <= bounds.max)


def _layout(levels: Longs, observed: Mask | None, size: Size, dtype: Any, seed: int) -> Layout:
    """Items apart or one after another: whichever leaves a straight line less to tell."""
    ways = candidates(levels.shape, size)
    if len(ways) == 1:
        return ways[0]
    if levels.ndim > 2 or not ways[0].classed:
        # what all items have in common is no reason to look at the one before
        levels, dtype = levels - np.rint(levels.mean(axis=0)).astype(np.int64), np.int64
    costs = [_line_bits(way, levels, observed, dtype, seed) for way in ways]
    return ways[1] if costs[1] < costs[0] - CLEAR else ways[0]


def _line_bits(layout: Layout, levels: Longs, observed: Mask | None, dtype: Any, seed: int) -> float:
    """About how many bits a value takes with a straight line alone."""
    sample = Sample.of(layout, levels, observed, _fill(levels, len(layout.offsets), layout), dtype)
    costs = []
    for g in range(len(layout.offsets)):
        values, around = _looked(sample, g, LINE // 4, seed)
        weights, bias = _line(around, values)
        costs.append(np.log2(1 + np.abs(values - around @ weights - bias)).mean())
    return float(np.mean(costs))


def _looked(sample: Sample, g: int, n: int, seed: int) -> tuple[Longs, Longs]:
    lanes, places = sample.draw(np.random.default_rng([seed, g]), n)
    values, around, counted = sample.look(g, lanes, places)
    return (values[counted], around[counted]) if counted.any() else (values, around)


def _line(around: Longs, values: Longs) -> tuple[NDArray[np.float64], float]:
    """Least squares with a little ridge, robust against a few values far off: these are drawn in."""
    if not around.shape[1]:
        return np.zeros(0), float(np.median(values))
    x, y = around.astype(np.float64), values.astype(np.float64)
    middle, level = x.mean(axis=0), y.mean()
    x, y = x - middle, y - level
    weights = np.zeros(x.shape[1])
    trust = np.ones(len(y))
    for _ in range(3):
        gram = (x * trust[:, None]).T @ x
        ridge = 1e-4 * np.trace(gram) / len(gram) / 10 + 1e-9
        weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), (x * trust[:, None]).T @ y)
        left = np.abs(y - x @ weights)
        trust = 1 / np.maximum(left, np.median(left) + 0.5)
    return weights, float(level - middle @ weights)


def _chosen(
    layout: Layout, levels: Longs, observed: Mask | None, most: int, dtype: Any, seed: int
) -> tuple[Layout, list[Context]]:
    """At most `most` contexts a class, those that the straight line leans on, and how they are looked at."""
    sample = Sample.of(layout, levels, observed, _fill(levels, len(layout.offsets), layout), dtype)
    offsets, contexts = [], []
    for g, group in enumerate(layout.offsets):
        values, around = _looked(sample, g, LINE, seed)
        weights, bias = _line(around, values)
        if len(group) > most:
            worth = np.abs(weights) * (around.std(axis=0) + 1e-9)
            best = np.sort(np.argsort(-worth, kind="stable")[:most])
            around, group = around[:, best], tuple(group[i] for i in best)
            weights, bias = _line(around, values)
        offsets.append(group)
        contexts.append(_context(g, group, values, around, weights, bias))
    return replace(layout, offsets=tuple(offsets)), contexts


def _context(
    g: int, group: Any, values: Longs, around: Longs, weights: NDArray[np.float64], bias: float
) -> Context:
    # sums must stay within the 53 bits of a double
    reach = np.abs(around).max(initial=1) * 4.0 * max(1.0, np.abs(weights).sum()) + abs(bias)
    grid = 2.0 ** int(min(FINE, 52 - np.ceil(np.log2(reach))))
    weights, bias = np.rint(weights * grid) / grid, float(np.rint(bias * grid) / grid)
    left = np.abs(values - around @ weights - bias)
    return Context(
        direct=False,
        weights=weights,
        bias=bias,
        alike=np.array([o[-1] == g for o in group], bool),
        centre=np.rint(around.mean(axis=0)) if len(around) else np.zeros(len(group)),
        spread=_power(around.std(axis=0)),
        own=(float(np.rint(values.mean())), int(_power(values.std()))),
        still=int(_power(left.mean())),
    )


def _power(spread: Any) -> Any:
    return np.ceil(np.log2(np.maximum(spread, 0.5))).astype(np.int64)


def _fill(levels: Longs, classes: int, layout: Layout) -> Longs:
    if not layout.classed:
        return np.array([int(np.median(levels[: 2**14]))], np.int64)
    middle: Longs = np.median(levels.reshape(-1, classes)[: 2**18], axis=0).astype(np.int64)
    return middle


def _steps(sample: Sample, size: Size, total: int, contexts: int, hidden: int, components: int) -> int:
    classes = len(sample.layout.offsets)
    weights = (contexts + hidden + components) * hidden
    each = 3 * max(BATCH, 64 * classes) * weights
    cells = min(total, sample.flat.size)
    return int(max(200, min(WORK[size] / each, ROOTS * cells**0.5, CALLS / classes)))


def _trained(
    sample: Sample,
    lines: list[Context],
    *,
    hidden: int,
    components: int,
    steps: int,
    seed: int,
    tell: Tell,
) -> tuple[list[Any], list[float]]:
    """What was learnt of each class, and about how many bits a value of it takes."""
    from latentspace.training.predicting import Batch, learn

    layout, classes = sample.layout, len(lines)
    many = max(64, BATCH // classes)
    widest = max(len(group) for group in layout.offsets) + EXTRA
    sides = sample.cells.shape if _placed(sample, hidden) else ()

    def draw(random: np.random.Generator) -> Batch:
        lanes, places = sample.draw(random, many)
        features = np.zeros((classes, many, widest), np.float32)
        tokens = np.zeros((classes, many), np.int64)
        counts = np.zeros((classes, many), np.float32)
        for g, context in enumerate(lines):
            values, around, counted = sample.look(g, lanes, places)
            view = context(around)
            features[g, :, : view.features.shape[1]] = view.features
            tokens[g], _ = tokens_of(context, view, values)
            counts[g] = counted
        return Batch(features, tokens, counts, places if sides else ())

    with limited_threads(classes * many * hidden * (widest + hidden + components)):
        learnt = learn(
            draw, hidden=hidden, components=components, ceiling=CEILING, spread=lines[0].direct, sides=sides,
            steps=steps, seed=seed, tell=lambda share: tell("learning to predict", share),
        )  # fmt: skip
    extra = _beside(sample, lines, seed)
    return learnt, [found.bits + more for found, more in zip(learnt, extra, strict=True)]


def _beside(sample: Sample, lines: list[Context], seed: int) -> list[float]:
    """For each class the bits a value that are coded as they are, beside its token."""
    found = []
    for g, context in enumerate(lines):
        values, around = _looked(sample, g, LINE // 4, seed)
        view = context(around)
        far = tokens_of(context, view, values)[1]
        found.append(float(np.where(far, 64, view.shift).mean()))
    return found


def _placed(sample: Sample, hidden: int) -> bool:
    """Whether where a cell lies in its item is worth telling: items of one size, many of them."""
    return (
        not sample.layout.linked
        and sample.layout.rank > 1 + sample.layout.classed
        and sample.cells.lanes >= 500
    )


def _part(context: Context, learnt: Any, fine: int) -> Part:
    inputs = len(context.weights) + EXTRA
    weights = [learnt.weights[0][:inputs], *learnt.weights[1:]]
    widths = np.rint(WIDTH * np.log2(learnt.widths)) - WIDTH_LEAST
    mixture = Mixture(
        np.rint(np.clip(learnt.centres, -64, TOKENS + 64) * CENTRE).astype(np.int32),
        np.clip(widths, 0, WIDTH_MOST - WIDTH_LEAST).astype(np.int32),
    )
    return Part(context, ExactNetwork.on_grid(weights, learnt.biases, learnt.places, fine), mixture)
