"""Numbers brought to a well-behaved scale and back as operators, in float64: the arithmetic of `data/_numeric.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from latentspace.data._numeric import LARGEST, LIMIT, Numeric
from latentspace.graphs.graph import Graph, table

F = np.float64


def forward(graph: Graph, values: str, numeric: Numeric) -> str:
    """Values (n, 1) float64 on the standardised scale."""
    values = clip(graph, values, -LARGEST, LARGEST)
    if numeric.scaling == "robust":
        values = asinh(graph, graph("Div", graph("Sub", values, F(numeric.center)), F(numeric.scale)))
    elif numeric.scaling == "rank":
        values = lines(graph, values, numeric.knots, numeric.scores)
    z = graph("Div", graph("Sub", values, F(numeric.mean)), F(numeric.std))
    return clip(graph, z, -LIMIT, LIMIT)


def backward(graph: Graph, z: str, numeric: Numeric) -> str:
    """Standardised values (n, 1) float64 in the column's own units, a multiple of its step."""
    values = clip(graph, graph("Add", graph("Mul", z, F(numeric.std)), F(numeric.mean)), -LARGEST, LARGEST)
    if numeric.scaling == "robust":
        wide = graph("Mul", sinh(graph, clip(graph, values, -700, 700)), F(numeric.scale))
        values = clip(graph, graph("Add", wide, F(numeric.center)), -LARGEST, LARGEST)
    elif numeric.scaling == "rank":
        values = clip(graph, lines(graph, values, numeric.scores, numeric.knots), -LARGEST, LARGEST)
    if not numeric.step:
        return values
    return str(graph("Mul", graph("Round", graph("Div", values, F(numeric.step))), F(numeric.step)))


def clip(graph: Graph, values: str, low: float, high: float) -> str:
    """float64 values held within bounds."""
    return str(graph("Clip", values, F(low), F(high)))


def asinh(graph: Graph, values: str) -> str:
    """asinh of float64, for which ONNX Runtime has no operator; exact to rounding near 0 as well.

    ln(1 + y) with y = |v| + v² / (1 + √(v² + 1)), as y · ln(u) / (u − 1) with u = 1 + y (Kahan).
    """
    size = graph("Abs", values)
    # beyond 1e150 the square would overflow, and asinh is ln 2|v|
    near = graph("Min", size, F(1e150))
    square = graph("Mul", near, near)
    root = graph("Sqrt", graph("Add", square, F(1)))
    y = graph("Add", near, graph("Div", square, graph("Add", root, F(1))))
    u = graph("Add", y, F(1))
    less = graph("Sub", u, F(1))
    safe = graph("Where", graph("Equal", less, F(0)), F(1), less)
    small = graph("Div", graph("Mul", graph("Log", u), y), safe)
    small = graph("Where", graph("Equal", less, F(0)), y, small)
    far = graph("Add", graph("Log", graph("Max", size, F(1))), F(math.log(2)))
    result = graph("Where", graph("Greater", size, F(1e150)), far, small)
    return str(graph("Mul", graph("Sign", values), result))


def sinh(graph: Graph, values: str) -> str:
    """sinh of float64, for which ONNX Runtime has no operator."""
    grown = graph("Exp", values)
    exact = graph("Mul", graph("Sub", grown, graph("Exp", graph("Neg", values))), F(0.5))
    cube = graph("Mul", graph("Mul", values, values), values)
    near = graph("Add", values, graph("Div", cube, F(6)))
    return str(graph("Where", graph("Less", graph("Abs", values), F(1e-4)), near, exact))


def interpolated(graph: Graph, values: str, xs: Any, ys: Any) -> str:
    """NumPy's interp of float64 values (n, 1): straight lines between knots, flat beyond the ends."""
    x, y = np.asarray(xs, F), np.asarray(ys, F)
    if len(x) < 2:
        return str(graph("Add", graph("Mul", values, F(0)), F(y[0])))
    inside = clip(graph, values, x[0], x[-1])
    reached = graph("GreaterOrEqual", inside, table(x[1:-1])) if len(x) > 2 else None
    if reached is None:
        at = graph("Cast", graph("Mul", inside, F(0)), to=graph._type(np.int64))
    else:
        counted = graph("Cast", reached, to=graph._type(np.int64))
        at = graph("ReduceSum", counted, np.array([1]), keepdims=1)
    slope = np.diff(y) / np.diff(x)
    left, low, rise = (graph("Gather", a, at) for a in (x[:-1], y[:-1], slope))
    return str(graph("Add", graph("Mul", graph("Sub", inside, left), rise), low))


def lines(graph: Graph, values: str, xs: Sequence[float], ys: Sequence[float]) -> str:
    """As `data/_numeric.py: _extended`: beyond the ends a line goes on, with the slope from end to end."""
    result = interpolated(graph, values, xs, ys)
    if len(xs) < 2:
        return result
    slope = F((ys[-1] - ys[0]) / (xs[-1] - xs[0]))
    below = graph("Min", graph("Sub", values, F(xs[0])), F(0))
    above = graph("Max", graph("Sub", values, F(xs[-1])), F(0))
    return str(graph("Add", result, graph("Mul", graph("Add", below, above), slope)))
