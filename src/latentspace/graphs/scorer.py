"""How odd encoded items are, as a graph: `models/anomaly.py: Scorer.judge` for new items."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.graphs.graph import Graph, cast
from latentspace.graphs.scale import F, interpolated
from latentspace.models.anomaly import BEND, NARROW, NOISE, WEIGHT, Scorer, surprise_knots

f = np.float32


def judge(graph: Graph, x: str, observed: str | None, scorer: Scorer) -> tuple[str, str]:
    """(surprise (n,), p-value (n,)) float64 of encoded items x (n, *shape) float32."""
    flat = graph("Flatten", x, axis=1)
    seen = None if observed is None else graph("Flatten", observed, axis=1)
    arrays = scorer.arrays()
    parts = [
        *(_to_nearest(graph, view, seen, reference) for view, reference in _views(graph, flat, scorer)),
        _residual(graph, flat, seen, scorer),
    ]
    middle, spread = arrays["new.scale"]
    plain, drawn_in, residual = (
        graph("Div", graph("Sub", graph("Log", graph("Add", part, F(1e-6))), F(m)), F(s))
        for part, m, s in zip(parts, middle, spread, strict=True)
    )
    near = graph("Mul", graph("Add", plain, drawn_in), F(0.5))
    raw = graph("Add", near, graph("Mul", residual, F(WEIGHT * float(arrays["trust"][0]))))
    return _ranked(graph, raw, arrays["new.calibration"])


def _views(graph: Graph, flat: str, scorer: Scorer) -> list[tuple[str, NDArray[Any]]]:
    """Items by the range of each element, and with far values drawn in, each beside the reference seen so."""
    arrays = scorer.arrays()
    by_range = graph("Div", flat, arrays["range"].astype(f)[None])
    return list(zip([by_range, _drawn_in(graph, flat, scorer)], scorer.views, strict=True))


def _drawn_in(graph: Graph, flat: str, scorer: Scorer) -> str:
    z = graph("Div", flat, scorer.arrays()["scale"].astype(f))
    far = graph("Div", z, f(BEND))
    return str(graph("Div", z, graph("Sqrt", graph("Add", graph("Mul", far, far), f(1)))))


def _squares(graph: Graph, view: str, seen: str | None, reference: NDArray[Any]) -> str:
    """(n, m) squared distances; what was not seen adds nothing."""
    reference = np.ascontiguousarray(reference.astype(f))
    view = view if seen is None else graph("Mul", view, seen)
    own = graph("ReduceSum", graph("Mul", view, view), np.array([1]), keepdims=1)
    theirs: Any = (reference**2).sum(axis=1)[None]
    if seen is not None:
        theirs = graph("MatMul", seen, np.ascontiguousarray((reference**2).T))
    cross = graph("MatMul", view, np.ascontiguousarray(reference.T))
    return str(graph("Sub", graph("Add", own, theirs), graph("Mul", cross, f(2))))


def _to_nearest(graph: Graph, view: str, seen: str | None, reference: NDArray[Any]) -> str:
    """(n, 1) float64 mean distance to the nearest usual items."""
    k = max(1, min(NARROW, len(reference) - 1))
    squares = _squares(graph, view, seen, reference)
    nearest, _ = graph("TopK", squares, np.array([k]), outputs=2, axis=1, largest=0, sorted=0)
    far = cast(graph, graph("Sqrt", graph("Max", nearest, f(0))), F)
    return str(graph("ReduceMean", far, np.array([1]), keepdims=1))


def _residual(graph: Graph, flat: str, seen: str | None, scorer: Scorer) -> str:
    """(n, 1) float64 mean squared difference between items and what the denoiser gives back."""
    if seen is not None:
        known = graph("Greater", seen, f(0))
        flat = graph("Where", known, flat, _means(graph, flat, seen, scorer))
    view = _drawn_in(graph, flat, scorer)
    left = graph("Sub", _restored(graph, view, scorer), view)
    squares = graph("Mul", left, left)
    squares = squares if seen is None else graph("Mul", squares, seen)
    return str(graph("ReduceMean", cast(graph, squares, F), np.array([1]), keepdims=1))


def _means(graph: Graph, flat: str, seen: str, scorer: Scorer) -> str:
    """What the nearest usual items hold on the whole."""
    squares = _squares(graph, _drawn_in(graph, flat, scorer), seen, scorer.views[1])
    other = graph("Where", graph("Less", squares, f(1e-9)), f(np.inf), squares)
    k = max(1, min(2 * NARROW, len(scorer.reference) - 1))
    _, places = graph("TopK", other, np.array([k]), outputs=2, axis=1, largest=0, sorted=0)
    found = graph("Gather", scorer.reference.astype(f), places)
    return str(graph("ReduceMean", found, np.array([1]), keepdims=0))


def _restored(graph: Graph, view: str, scorer: Scorer) -> str:
    """As `training/denoiser.py: Denoiser.restore`; the noise level, one for all, is part of the first bias."""
    h = view
    for i, weight in enumerate(scorer.denoiser.weights):
        w, b = weight[:-1], weight[-1]
        if i == 0:
            w, b = weight[:-2], weight[-1] + f(math.log(NOISE)) * weight[-2]
        h = graph("Add", graph("MatMul", h, np.ascontiguousarray(w, f)), b.astype(f)[None])
        if i + 1 < len(scorer.denoiser.weights):
            h = graph("Mul", h, graph("Sigmoid", h))
    return h


def _ranked(graph: Graph, raw: str, calibration: NDArray[Any]) -> tuple[str, str]:
    """Surprise and p-value (n,) of raw scores (n, 1), among those of the calibration items (rising)."""
    knots, heights, slope = surprise_knots(calibration)
    score = interpolated(graph, raw, knots, heights)
    above = graph("Max", graph("Sub", raw, F(knots[-1])), F(0))
    below = graph("Min", graph("Sub", raw, F(knots[0])), F(0))
    score = graph("Add", score, graph("Mul", above, F(slope)))
    score = graph("Add", score, graph("Mul", below, F(1e-3)))
    n = len(calibration)
    as_odd = cast(graph, graph("GreaterOrEqual", calibration.astype(F)[None], raw), F)
    rank = graph("Add", graph("ReduceSum", as_odd, np.array([1]), keepdims=1), F(1))
    p = graph("Div", rank, F(n + 1))
    return tuple(graph("Reshape", value, np.array([-1])) for value in (score, p))
