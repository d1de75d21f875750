"""Pictures, signal windows and vectors as inputs and outputs of a graph, scaling and gaps inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentspace.data._numeric import LIMIT
from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.data.vectors import Vectors
from latentspace.graphs.graph import Graph, cast, table
from latentspace.graphs.scale import F, asinh, clip, sinh

N = "n"


# pictures: as `data/image.py: Image.transform`, at the size that was learnt


def _axes(image: Image) -> list[Any]:
    channels, height, width = image.shape
    if image.layout == "nchw":
        return [N, channels, height, width]
    grey = image.layout == "nhw" and channels == 1
    return [N, height, width] if grey else [N, height, width, channels]


def _pixel_type(image: Image) -> np.dtype[Any]:
    """The number type of pixels in a graph: the user's own, bytes for yes/no."""
    return np.dtype(np.uint8) if image.dtype == bool else image.dtype


def read_image(graph: Graph, image: Image) -> tuple[str, str | None, list[dict[str, Any]]]:
    """(x (n, C, H, W) float32, observed or None, what the input is)."""
    dtype = _pixel_type(image)
    name = graph.input("pixels", dtype, _axes(image))
    exact = np.result_type(image.dtype, np.float32).type
    pixels = cast(graph, name, exact)
    if len(_axes(image)) == 3:
        pixels = graph("Unsqueeze", pixels, np.array([1]))
    elif image.layout != "nchw":
        pixels = graph("Transpose", pixels, perm=[0, 3, 1, 2])
    known = graph("Not", graph("IsNaN", pixels)) if dtype.kind == "f" else None
    scaled = graph("Mul", graph("Sub", pixels, exact(image.low)), exact(1 / (image.high - image.low)))
    x = graph("Div", graph("Sub", scaled, image.centre.astype(exact)[None]), exact(image.spread))
    words = {
        "name": name,
        "type": dtype.name,
        "size": list(image.shape[1:]),
        "range": [image.low, image.high],
    }
    if known is None:
        return cast(graph, x, np.float32), None, [words]
    x = graph("Where", known, x, exact(0))
    return cast(graph, x, np.float32), cast(graph, known, np.float32), [words | {"gaps": "NaN"}]


def write_image(graph: Graph, x: str, image: Image) -> list[dict[str, Any]]:
    """Pixels of expected x, in the user's number type and axes, clipped to its range."""
    dtype = _pixel_type(image)
    shifted = graph("Add", graph("Mul", cast(graph, x, F), F(image.spread)), image.centre.astype(F)[None])
    values = graph("Add", graph("Mul", shifted, F(image.high - image.low)), F(image.low))
    if image.limits is not None:
        values = clip(graph, values, *image.limits)
    if image.dtype == bool:
        values = graph("GreaterOrEqual", values, F(0.5))
    elif dtype.kind in "iu":
        values = graph("Round", values)
    values = cast(graph, values, dtype)
    if len(_axes(image)) == 3:
        values = graph("Squeeze", values, np.array([1]))
    elif image.layout != "nchw":
        values = graph("Transpose", values, perm=[0, 2, 3, 1])
    graph.output("pixels", values, dtype, _axes(image))
    return [{"name": "pixels", "type": dtype.name}]


# signals: as `data/signal.py: Signal.transform`, windows of the learnt length


def _windows(signal: Signal) -> list[Any]:
    channels, length = signal.shape
    return [N, length, channels] if signal.form == "ntc" else [N, channels, length]


def read_signal(graph: Graph, signal: Signal) -> tuple[str, str | None, list[dict[str, Any]]]:
    """(x (n, C, T) float32, observed, what the input is)."""
    name = graph.input("windows", np.float64, _windows(signal))
    values = graph("Transpose", name, perm=[0, 2, 1]) if signal.form == "ntc" else name
    known = graph("Not", graph("IsNaN", values))
    values = graph("Where", known, values, F(0))
    bent = np.array([bend is not None for bend in signal.bends])
    if bent.any():
        middle, width = (_column([1.0 if b is None else b[i] for b in signal.bends]) for i in (0, 1))
        drawn = asinh(graph, graph("Div", graph("Sub", values, middle), width))
        values = graph("Where", bent[None, :, None], drawn, values)
    x = graph("Div", graph("Sub", values, _column(signal.means)), _column(signal.spreads))
    x = graph("Where", known, x, F(0))
    words = {
        "name": name,
        "type": "double",
        "gaps": "NaN",
        "channels": list(signal.channels),
        "step": signal.step,
    }
    return cast(graph, x, np.float32), cast(graph, known, np.float32), [words]


def _column(values: Any) -> Any:
    """Numbers of the channels as (1, C, 1)."""
    return np.asarray(values, F)[None, :, None]


def write_signal(graph: Graph, x: str, signal: Signal) -> list[dict[str, Any]]:
    """Windows in the user's units and number type."""
    values = graph("Add", graph("Mul", cast(graph, x, F), _column(signal.spreads)), _column(signal.means))
    bent = np.array([bend is not None for bend in signal.bends])
    if bent.any():
        middle, width, most = (_column([1.0 if b is None else b[i] for b in signal.bends]) for i in (0, 1, 2))
        held = graph("Min", graph("Max", values, -most), most)
        wide = graph("Add", graph("Mul", sinh(graph, held), width), middle)
        values = graph("Where", bent[None, :, None], wide, values)
    dtype = signal.dtypes[0] if len(set(signal.dtypes)) == 1 else np.dtype(F)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = clip(graph, graph("Round", values), float(limits.min), float(limits.max))
    values = graph("Transpose", values, perm=[0, 2, 1]) if signal.form == "ntc" else values
    plain = dtype if dtype.kind in "iuf" else np.dtype(F)
    graph.output("windows", cast(graph, values, plain), plain, _windows(signal))
    return [{"name": "windows", "type": plain.name, "channels": list(signal.channels)}]


# vectors: as `data/vectors.py: Vectors.transform`


def read_vectors(graph: Graph, vectors: Vectors) -> tuple[str, str | None, list[dict[str, Any]]]:
    """(x (n, F) float32, observed, what the input is)."""
    name = graph.input("vectors", np.float64, [N, *vectors.shape])
    known = graph("Not", graph("IsNaN", name))
    centred = graph(
        "Div", graph("Sub", graph("Where", known, name, F(0)), table(vectors.mean)), F(vectors.scale)
    )
    x = graph("Where", known, clip(graph, centred, -LIMIT, LIMIT), F(0))
    words = {"name": name, "type": "double", "gaps": "NaN", "columns": [str(c) for c in vectors.columns]}
    return cast(graph, x, np.float32), cast(graph, known, np.float32), [words]


def write_vectors(graph: Graph, x: str, vectors: Vectors) -> list[dict[str, Any]]:
    """Vectors in the user's number type."""
    values = graph("Add", graph("Mul", cast(graph, x, F), F(vectors.scale)), table(vectors.mean))
    dtype = np.dtype(vectors.dtype)
    plain = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float32)
    graph.output("vectors", cast(graph, values, plain), plain, [N, *vectors.shape])
    return [{"name": "vectors", "type": plain.name}]
