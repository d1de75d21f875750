"""The networks as graphs: from their weights alone, or, one's own and transformers, through torch."""

from __future__ import annotations

import io
import logging
import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError
from latentspace.graphs.graph import OPSET, Graph, needs
from latentspace.likelihoods import Bernoulli, Categorical, Likelihood, Mixed

Array = NDArray[Any]
Weights = dict[str, Array]

#: kinds of networks that torch writes down: one's own, and transformers
TRACED = ("own", "vit")


def encoder(graph: Graph, x: str, settings: dict[str, Any], weights: Weights, module: Any = None) -> str:
    """Latents (n, k) of encoded items x (n, *shape)."""
    if settings["kind"] in TRACED:
        z = graph.include(_traced(module, tuple(settings["shape"])), x)
    elif settings["kind"] == "dense":
        z = _dense_encoder(graph, x, weights)
    else:
        z = _framed_encoder(graph, x, settings, weights)
    return _first(graph, z, settings["latent_dim"])


def decoder(graph: Graph, z: str, settings: dict[str, Any], weights: Weights, module: Any = None) -> str:
    """Natural parameters η (n, *shape) of latents z (n, k)."""
    if settings["kind"] == "own":
        return graph.include(_traced(module, (settings["latent_dim"],)), z)
    if settings["kind"] == "dense":
        eta = _dense_decoder(graph, z, weights)
    else:
        eta = _framed_decoder(graph, z, settings, weights)
    return eta if len(settings["shape"]) == 1 else _reshape(graph, eta, settings["shape"])


def mean(graph: Graph, eta: str, likelihood: Likelihood) -> str:
    """Expected x of natural parameters η, element by element or group by group."""
    if isinstance(likelihood, Bernoulli):
        return str(graph("Sigmoid", eta))
    if isinstance(likelihood, Categorical):
        return _side_by_side(graph, eta, [(None, size) for size in likelihood.sizes])
    if isinstance(likelihood, Mixed):
        return _side_by_side(graph, eta, list(likelihood.parts))
    return eta


def _side_by_side(graph: Graph, eta: str, parts: list[tuple[Likelihood | None, int]]) -> str:
    """Each run of columns by its own likelihood (None: one group of categories)."""
    if len(parts) == 1:
        pieces = [eta]
    else:
        sizes = np.array([width for _, width in parts], np.int64)
        pieces = graph("Split", eta, sizes, outputs=len(parts), axis=-1)
    means = [
        str(graph("Softmax", piece, axis=-1)) if part is None else mean(graph, piece, part)
        for piece, (part, _) in zip(pieces, parts, strict=True)
    ]
    return means[0] if len(means) == 1 else str(graph("Concat", *means, axis=-1))


# dense: see `networks/layers.py: DenseEncoder`, `DenseDecoder`


def _dense_encoder(graph: Graph, x: str, weights: Weights) -> str:
    both = _linear(graph, graph("Flatten", x, axis=1), weights, "first")
    width = weights["last.weight"].shape[0]
    inner = weights["first.bias"].size - width
    h, straight = graph("Split", both, np.array([inner, width]), outputs=2, axis=1)
    h = _middle(graph, graph("Relu", h), weights)
    return str(graph("Add", _linear(graph, h, weights, "last"), straight))


def _dense_decoder(graph: Graph, z: str, weights: Weights) -> str:
    h = _middle(graph, graph("Relu", _linear(graph, z, weights, "first")), weights)
    return _linear(graph, graph("Concat", h, z, axis=1), weights, "last")


def _middle(graph: Graph, h: str, weights: Weights) -> str:
    count = sum(name.startswith("middle.") and name.endswith(".weight") for name in weights)
    for i in range(count):
        h = graph("Relu", _linear(graph, h, weights, f"middle.{i}"))
    return h


def _linear(graph: Graph, x: str, weights: Weights, name: str) -> str:
    """Wx + b as one product and one sum: ONNX Runtime joins them, and can round the weights to 8 bits."""
    product = graph("MatMul", x, np.ascontiguousarray(weights[f"{name}.weight"].T))
    bias = weights.get(f"{name}.bias")
    return str(product if bias is None else graph("Add", product, bias))


# convolutions: see `networks/layers.py: convolutional_pair`


def _framed_encoder(graph: Graph, x: str, settings: dict[str, Any], weights: Weights) -> str:
    h = x
    for i in range(len(settings["hidden"])):
        name = f"path.module.0.{2 * i}"
        w = weights[f"{name}.weight"]
        axes = w.ndim - 2
        h = graph("Conv", h, w, weights[f"{name}.bias"], strides=[2] * axes, pads=[1] * 2 * axes)
        h = graph("Relu", h)
    beside = _linear(graph, graph("Flatten", h, axis=1), weights, "path.module.2")
    z = _with_linear_path(graph, graph("Flatten", x, axis=1), beside, weights)
    return _linear(graph, z, weights, "frame")


def _framed_decoder(graph: Graph, z: str, settings: dict[str, Any], weights: Weights) -> str:
    z = _linear(graph, z, weights, "frame")
    sides = [list(settings["shape"][1:])]
    for _ in settings["hidden"]:
        sides.append([(s + 1) // 2 for s in sides[-1]])
    h = graph("Relu", _linear(graph, z, weights, "path.module.0"))
    h = _reshape(graph, h, [settings["hidden"][-1], *sides[-1]])
    for i in range(len(settings["hidden"])):
        name = f"path.module.3.{2 * i}"
        small, big = sides[-1 - i], sides[-2 - i]
        extra = [1 - (2 * s - b) for s, b in zip(small, big, strict=True)]
        h = _widened(graph, h, weights, name, extra)
        h = graph("Relu", h) if i + 1 < len(settings["hidden"]) else h
    flat = _with_linear_path(graph, z, graph("Flatten", h, axis=1), weights)
    return flat


def _widened(graph: Graph, h: str, weights: Weights, name: str, extra: list[int]) -> str:
    w = weights[f"{name}.weight"]
    axes = w.ndim - 2
    how: dict[str, Any] = {"strides": [2] * axes, "pads": [1] * 2 * axes, "output_padding": extra}
    return str(graph("ConvTranspose", h, w, weights[f"{name}.bias"], **how))


def _with_linear_path(graph: Graph, flat: str, beside: str, weights: Weights) -> str:
    """Wx + α f(x), both flat."""
    gain = weights["path.gain"].reshape(1, -1)
    return str(graph("Add", _linear(graph, flat, weights, "path.linear"), graph("Mul", beside, gain)))


def _reshape(graph: Graph, flat: str, shape: Any) -> str:
    return str(graph("Reshape", flat, np.array([-1, *shape], np.int64)))


def _first(graph: Graph, z: str, k: int) -> str:
    """The means, without the log-variances that a variational encoder gives after them."""
    return str(graph("Slice", z, np.array([0]), np.array([k]), np.array([1])))


# one's own modules


def _traced(module: Any, shape: tuple[int, ...]) -> Any:
    """A module as an onnx model, by torch's exporter."""
    import torch

    needs("onnxscript")
    onnx = needs("onnx")
    example = torch.zeros(2, *shape)
    # torch names what it would also know with torchvision, which no user needs
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("n", min=1, max=2**31 - 1)},),
                verbose=False,
            )
        except Exception as failure:  # torch raises whatever it meets in the user's code
            raise OptionError(
                f"torch cannot write this network as ONNX: {str(failure).strip().splitlines()[0]}"
            ) from failure
    file = io.BytesIO()
    assert program is not None
    onnx.save(program.model_proto, file)
    model = onnx.load_from_string(file.getvalue())
    if model.functions:
        model = needs("onnx.inliner").inline_local_functions(model)
    return model


def products(settings: dict[str, Any], weights: Weights) -> int:
    """Multiply-adds of the matrix products of one item: what the time of a dense half is held against."""
    return sum(math.prod(w.shape) for name, w in weights.items() if name.endswith("weight") and w.ndim == 2)
