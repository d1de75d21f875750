"""A table's own columns as inputs and outputs of a graph: names, scaling, categories, dates and gaps inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._frames import SECONDS
from latentspace.data._text import MISSING
from latentspace.data.columns import Boolean, Categorical, Datetime, Numeric, Ordinal, SetAside
from latentspace.data.columns import _key as key_of
from latentspace.data.table import Table
from latentspace.graphs.graph import Graph, cast, table
from latentspace.graphs.scale import F, backward, forward

#: a moment that is missing, as NumPy's NaT reads as a whole number
NAT = np.iinfo(np.int64).min
#: how many items, for shapes
N = "n"


def read(graph: Graph, modality: Table) -> tuple[str, str | None, list[dict[str, Any]]]:
    """(x (n, F) float32, observed (n, F) float32, what the inputs are); as `data/table.py: Table.transform`."""
    learnt = [f for f in modality.columns if f.kind.width]
    columns, inputs = _inputs(graph, modality, learnt)
    blocks: dict[int, tuple[str, str, int]] = {}
    for f, (value, kind) in zip(learnt, columns, strict=True):
        features, known = _encoded(graph, value, kind, f)
        blocks[f.start] = (features, known, f.kind.width)
    ordered = [blocks[start] for start in sorted(blocks)]
    x = _joined(graph, [cast(graph, features, np.float32) for features, _, _ in ordered])
    wide = [_repeated(graph, cast(graph, known, np.float32), width) for _, known, width in ordered]
    return x, _joined(graph, wide), inputs


def _joined(graph: Graph, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else str(graph("Concat", *parts, axis=1))


def _repeated(graph: Graph, column: str, width: int) -> str:
    return column if width == 1 else str(graph("Expand", column, np.array([1, width])))


def _inputs(
    graph: Graph, modality: Table, learnt: list[Any]
) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """((name, kind) of each learnt column (n, 1), what the inputs are); an array of numbers is one input."""
    if modality.backend == "numpy" and modality.dtype and np.dtype(modality.dtype).kind in "fiu":
        x = graph.input("x", np.float64, [N, len(modality.columns)])
        places = {f.name: j for j, f in enumerate(modality.columns)}
        picked = [(graph("Gather", x, np.array([places[f.name]]), axis=1), "number") for f in learnt]
        names = [str(f.name) for f in modality.columns]
        return picked, [{"name": "x", "type": "double", "columns": names, "gaps": "NaN"}]
    columns, inputs = [], []
    for f in learnt:
        kind, dtype, words = _kind_of(f)
        name = graph.input(str(f.name), dtype, None)
        columns.append((str(graph("Reshape", name, np.array([-1, 1]))), kind))
        inputs.append({"name": name} | words)
    return columns, inputs


def _kind_of(f: Any) -> tuple[str, Any, dict[str, Any]]:
    """("number", "text" or "time", type, words for the card) of a column's input."""
    if isinstance(f.kind, Datetime):
        words = {"type": "int64", "unit": f"{_unit(f)} since 1970", "gaps": "NaT"}
        return "time", np.int64, words | ({"was": f"text as {f.kind.form}"} if f.kind.form else {})
    if f.empty.kind in ("text", "ordered") and not _of_numbers(f.kind):
        levels = list(_levels_of(f.kind))
        return "text", str, {"type": "string", "gaps": "empty", **({"levels": levels} if levels else {})}
    return "number", np.float64, {"type": "double", "gaps": "NaN"}


def _of_numbers(kind: Any) -> bool:
    return isinstance(kind, Ordinal | Categorical) and all(
        isinstance(level, int | float) for level in _levels_of(kind)
    )


def _levels_of(kind: Any) -> tuple[Any, ...]:
    match kind:
        case Categorical():
            return (*kind.levels, *kind.gathered)
        case Ordinal():
            return kind.levels
        case Boolean():
            return (kind.low, kind.high)
    return ()


# a column's features


def _encoded(graph: Graph, value: str, given: str, f: Any) -> tuple[str, str]:
    """(features (n, width) float64, known (n, 1) bool) of a column (n, 1)."""
    kind = f.kind
    match kind:
        case Numeric():
            number = _number_of(graph, value, kind) if given == "text" else value
            return _filled(graph, number, kind)
        case Datetime():
            return _moments(graph, value, kind, _unit(f))
    codes = _codes(graph, value, given, _levels_of(kind))
    known = graph("GreaterOrEqual", codes, np.int64(0))
    match kind:
        case Boolean():
            return _or(graph, known, cast(graph, codes, F), kind.frequency), known
        case Ordinal():
            z = forward(graph, cast(graph, codes, F), kind.position)
            return _or(graph, known, z, 0.0), known
        case Categorical():
            return _one_hot(graph, codes, known, kind), known
    raise TypeError(f"no graph is known for {type(kind).__name__}")


def _or(graph: Graph, known: str, value: str, neutral: float) -> str:
    return str(graph("Where", known, value, F(neutral)))


def _filled(graph: Graph, number: str, kind: Numeric) -> tuple[str, str]:
    """A number's feature, 0 where it is a gap."""
    known = graph("Not", graph("IsNaN", number))
    whole = graph("Where", known, number, F(0))
    return _or(graph, known, forward(graph, whole, kind), 0.0), known


def _number_of(graph: Graph, text: str, kind: Numeric) -> str:
    """Text as float64; NaN for what stands for a gap. ONNX Runtime stops at what is no number."""
    gap = _member(graph, text, [*MISSING, *kind.words])
    text = graph("Where", gap, np.array("nan", object), text)
    if kind.text == ",":
        # "1,5" is cut at its comma and joined by a point; a comma after it makes sure of two pieces
        pieces, _ = graph(
            "StringSplit", graph("StringConcat", text, np.array(",", object)), outputs=2, delimiter=","
        )
        whole, part = (graph("Gather", pieces, np.int64(j), axis=-1) for j in (0, 1))
        part = graph("StringConcat", np.array(".", object), part)
        text = graph("Where", gap, np.array("nan", object), graph("StringConcat", whole, part))
    return cast(graph, text, F)


def _member(graph: Graph, text: str, words: Sequence[str]) -> str:
    """(n, 1) bool: which texts are one of `words`."""
    keys = _spelt({word: 1 for word in words})
    found = graph(
        "LabelEncoder", text, domain="ai.onnx.ml", keys_strings=list(keys), values_int64s=list(keys.values()),
        default_int64=0,
    )  # fmt: skip
    return str(graph("Equal", found, np.int64(1)))


def _spelt(codes: dict[str, int]) -> dict[str, int]:
    """The texts as they are, and with a blank before, behind or on both sides."""
    spelt = dict(codes)
    for text, code in codes.items():
        for variant in (f" {text}", f"{text} ", f" {text} "):
            spelt.setdefault(variant, code)
    return spelt


def _codes(graph: Graph, value: str, given: str, levels: Sequence[Any]) -> str:
    """(n, 1) int64 place of each value in `levels`, -1 where it is none of them: a gap, or not seen in training."""
    if given == "text":
        written: dict[str, int] = {}
        for i, level in enumerate(levels):
            written.setdefault(str(level), i)
            written.setdefault(key_of(level), i)
        keys = _spelt(written)
        return str(
            graph(
                "LabelEncoder", value, domain="ai.onnx.ml", keys_strings=list(keys),
                values_int64s=list(keys.values()), default_int64=-1,
            )
        )  # fmt: skip
    numbers = table([float(level) for level in levels])
    same = cast(graph, graph("Equal", value, numbers), np.int64)
    # one place more than there is, where any is the same; less one
    places = graph("Mul", same, np.arange(1, len(levels) + 1, dtype=np.int64)[None, :])
    return str(graph("Sub", graph("ReduceMax", places, np.array([1]), keepdims=1), np.int64(1)))


def _one_hot(graph: Graph, codes: str, known: str, kind: Categorical) -> str:
    place = graph("Min", codes, np.int64(kind.width - 1))
    hot = cast(graph, graph("Equal", place, np.arange(kind.width, dtype=np.int64)[None, :]), F)
    return str(graph("Where", known, hot, table(kind.frequency)))


def _unit(f: Any) -> str:
    """The unit of a column of moments; those that were text are in seconds."""
    return "s" if f.kind.form else str(f.empty.unit)


def _moments(graph: Graph, value: str, kind: Datetime, unit: str) -> tuple[str, str]:
    """(features (n, width), known (n, 1)) of moments (n, 1) int64 in `unit`."""
    known = graph("Not", graph("Equal", value, np.int64(NAT)))
    whole = cast(graph, graph("Where", known, value, np.int64(0)), F)
    seconds = graph("Mul", whole, F(SECONDS[unit]))
    features = [_or(graph, known, forward(graph, seconds, kind.elapsed), 0.0)]
    for period, sine, cosine in kind.cycles:
        rest = graph(
            "Sub", seconds, graph("Mul", graph("Floor", graph("Div", seconds, F(period))), F(period))
        )
        angle = graph("Mul", rest, F(2 * np.pi / period))
        for turned, scale in ((angle, sine), (graph("Add", angle, F(np.pi / 2)), cosine)):
            features.append(_or(graph, known, forward(graph, graph("Sin", turned), scale), 0.0))
    return _joined(graph, features), str(known)


# back again


def write(graph: Graph, x: str, modality: Table, taken: set[str]) -> list[dict[str, Any]]:
    """Outputs in the user's units and categories of expected x (n, F) float32; says what they are."""
    if modality.backend == "numpy" and modality.dtype and np.dtype(modality.dtype).kind in "fiu":
        return _write_matrix(graph, x, modality)
    outputs = []
    for f in modality.columns:
        source = f if getattr(f.kind, "twin", None) is None else _named(modality, f.kind.twin)
        if isinstance(source.kind, SetAside) and source.kind.value is None:
            continue  # names and free text: only the original items know them
        value, dtype, words = _decoded(graph, x, source, f)
        name = f"{f.name}_" if str(f.name) in taken else str(f.name)
        graph.output(name, value, dtype, [N, 1])
        outputs.append({"name": name} | words)
    return outputs


def _named(modality: Table, name: Any) -> Any:
    return next(f for f in modality.columns if f.name == name)


def _write_matrix(graph: Graph, x: str, modality: Table) -> list[dict[str, Any]]:
    dtype = np.dtype(modality.dtype)
    columns = []
    for f in modality.columns:
        source = f if getattr(f.kind, "twin", None) is None else _named(modality, f.kind.twin)
        value = cast(graph, _decoded(graph, x, source, source)[0], F)
        columns.append(_as_type(graph, value, dtype))
    graph.output("x", _joined(graph, columns), _plain(dtype), [N, len(columns)])
    names = [str(f.name) for f in modality.columns]
    return [{"name": "x", "type": str(_plain(dtype)), "columns": names}]


def _plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The number type that comes out: float64, float32 or int64."""
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return np.dtype(np.int64)


def _as_type(graph: Graph, value: str, dtype: np.dtype[Any]) -> str:
    plain = _plain(dtype)
    if plain.kind == "f":
        return cast(graph, value, plain) if plain != np.float64 else value
    low, high = (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
    bounds = (max(low, -(2.0**63)), min(high, 2.0**63 - 1024))
    return cast(graph, graph("Clip", graph("Round", value), F(bounds[0]), F(bounds[1])), np.int64)


def _decoded(graph: Graph, x: str, source: Any, own: Any) -> tuple[str, Any, dict[str, Any]]:
    """(value (n, 1), type, words for the card) of a column, from its features in x."""
    kind = source.kind
    if isinstance(kind, SetAside):
        return _constant(graph, x, kind.value)
    places = np.arange(source.block.start, source.block.stop)
    block = graph("Gather", x, places, axis=1)
    match kind:
        case Numeric():
            number = backward(graph, cast(graph, block, F), kind)
            whole = own.empty.values.dtype.kind in "iu" and not kind.text
            if whole:
                return _as_type(graph, number, own.empty.values.dtype), np.int64, {"type": "int64"}
            return number, np.float64, {"type": "double"}
        case Datetime():
            return _date(graph, graph("Gather", x, places[:1], axis=1), kind, _unit(source))
        case Boolean():
            likely = cast(graph, graph("GreaterOrEqual", block, np.float32(0.5)), np.int64)
            return _chosen(graph, likely, (kind.low, kind.high))
        case Ordinal():
            place = graph("Round", backward(graph, cast(graph, block, F), kind.position))
            place = graph("Clip", place, F(0), F(len(kind.levels) - 1))
            return _chosen(graph, cast(graph, place, np.int64), kind.levels)
    likeliest = graph("ArgMax", block, axis=1, keepdims=1)
    return _chosen(graph, likeliest, (*kind.levels, *kind.gathered[:1]))


def _constant(graph: Graph, x: str, value: Any) -> tuple[str, Any, dict[str, Any]]:
    first = graph("Gather", x, np.array([0]), axis=1)
    nowhere = cast(graph, graph("Mul", first, np.float32(0)), np.int64)
    return _chosen(graph, nowhere, (value,))


def _chosen(graph: Graph, codes: str, levels: Sequence[Any]) -> tuple[str, Any, dict[str, Any]]:
    """The level at each place (n, 1): text, numbers or yes/no."""
    if all(isinstance(level, bool) for level in levels):
        array: NDArray[Any] = np.array(levels, bool)
        return graph("Gather", array, codes), bool, {"type": "bool"}
    if all(isinstance(level, int) for level in levels):
        return graph("Gather", np.array(levels, np.int64), codes), np.int64, {"type": "int64"}
    if all(isinstance(level, int | float) for level in levels):
        return graph("Gather", np.array(levels, F), codes), F, {"type": "double"}
    texts = np.array([str(level) for level in levels], object)
    return graph("Gather", texts, codes), str, {"type": "string"}


def _date(graph: Graph, block: str, kind: Datetime, unit: str) -> tuple[str, Any, dict[str, Any]]:
    seconds = backward(graph, cast(graph, block, F), kind.elapsed)
    steps = graph("Round", graph("Div", graph("Clip", seconds, F(-6e10), F(2.5e11)), F(kind.step)))
    values = graph("Round", graph("Mul", steps, F(kind.step / SECONDS[unit])))
    return cast(graph, values, np.int64), np.int64, {"type": "int64", "unit": f"{unit} since 1970"}
