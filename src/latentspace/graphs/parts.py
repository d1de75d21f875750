"""The parts of what was learnt, each as one whole graph from the user's own data to its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import latentspace
from latentspace.data.base import Modality
from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.data.table import Table
from latentspace.data.vectors import Vectors
from latentspace.errors import SpaceError
from latentspace.graphs import arrays, network, scorer, table
from latentspace.graphs.graph import OPSET, Graph
from latentspace.models.anomaly import Scorer

Part = Literal["encoder", "decoder", "scorer"]
PARTS: tuple[Part, ...] = ("encoder", "decoder", "scorer")
#: the share of usual items flagged where a caller says nothing else
ALPHA = 0.05


@dataclass(frozen=True)
class Learnt:
    """What graphs are made of; nothing here needs torch.

    modality : fitted; settings : the network's (`Network.settings`); weights : arrays named "encoder. ..." and
    "decoder. ..."; scorer : None where there is none; modules : (encoder, decoder) where
    torch writes them down (`network.TRACED`), else None.
    """

    modality: Modality
    settings: dict[str, Any]
    weights: dict[str, NDArray[Any]]
    scorer: Scorer | None = None
    modules: tuple[Any, Any] | None = None
    decodes: bool = True

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that there are."""
        there: dict[Part, bool] = {
            "encoder": any(name.startswith("encoder.") for name in self.weights),
            "decoder": self.decodes and any(name.startswith("decoder.") for name in self.weights),
            "scorer": self.scorer is not None,
        }
        return tuple(part for part in PARTS if there[part])

    def half(self, part: str) -> dict[str, NDArray[Any]]:
        """The weights of one half, without its name before theirs. Raises SpaceError where there is no such half."""
        self.has(part)
        return {
            name.removeprefix(f"{part}."): weight
            for name, weight in self.weights.items()
            if name.startswith(f"{part}.")
        }

    def has(self, part: str) -> None:
        """Raise SpaceError with the reason where the part is not there."""
        if part in self.parts:
            return
        reason = {
            "decoder": "neither a Classifier nor an IJEPA makes one"
            if not self.decodes
            else "only its encoder was loaded",
            "encoder": "only its decoder was loaded",
            "scorer": "no items were held out when it was fitted, or none were kept",
        }[part]
        raise SpaceError(f"This space has no {part}: {reason}.")


def core(learnt: Learnt, part: Part) -> Any:
    """The network's half alone as an onnx model: encoded items "x" to latents "z", or latents to expected items."""
    graph, shape = Graph(), list(learnt.settings["shape"])
    z_shape = ["n", learnt.settings["latent_dim"]]
    if part == "encoder":
        x = graph.input("x", np.float32, ["n", *shape])
        graph.output("z", _encoder(graph, x, learnt), np.float32, z_shape)
    else:
        z = graph.input("z", np.float32, z_shape)
        graph.output("x", _decoder(graph, z, learnt), np.float32, ["n", *shape])
    return graph.model()


def whole(learnt: Learnt, part: Part, facts: dict[str, Any] | None = None) -> Any:
    """A part as an onnx model that takes the user's own columns, pixels, windows or vectors, or gives them.

    Its metadata says under "latentspace" (JSON) what the inputs and outputs are. Raises SpaceError where the space
    has no such part.
    """
    learnt.has(part)
    graph = Graph()
    k = learnt.settings["latent_dim"]
    if part == "decoder":
        z = graph.input("latents", np.float32, ["n", k])
        inputs = [{"name": "latents", "type": "float32", "latents": k}]
        outputs = _write(graph, _decoder(graph, z, learnt), learnt.modality)
    else:
        x, observed, inputs = _read(graph, learnt.modality)
        name = _free("latents", inputs)
        if part == "encoder":
            graph.output(name, _encoder(graph, x, learnt), np.float32, ["n", k])
            outputs = [{"name": name, "type": "float32", "latents": k}]
        else:
            outputs, more = _score(graph, x, observed, learnt, inputs)
            inputs = [*inputs, more]
    card = {
        "latentspace": latentspace.__version__,
        "part": part,
        "opset": OPSET,
        "modality": learnt.modality.name,
        "latent_dim": k,
        "inputs": inputs,
        "outputs": outputs,
        **_calibrated(learnt, part),
        **(facts or {}),
    }
    return graph.model({"latentspace": json.dumps(card, ensure_ascii=False)})


def _calibrated(learnt: Learnt, part: Part) -> dict[str, Any]:
    if part != "scorer" or learnt.scorer is None:
        return {}
    return {
        "calibration_items": learnt.scorer.n_calibration,
        "smallest_p": learnt.scorer.smallest_p,
        "note": "every item counts as new; those of the training pile are recognised in Python alone",
    }


def _free(name: str, inputs: list[dict[str, Any]]) -> str:
    taken = {one["name"] for one in inputs}
    while name in taken:
        name += "_"
    return name


def _encoder(graph: Graph, x: str, learnt: Learnt) -> str:
    module = None if learnt.modules is None else learnt.modules[0]
    return network.encoder(graph, x, learnt.settings, learnt.half("encoder"), module)


def _decoder(graph: Graph, z: str, learnt: Learnt) -> str:
    module = None if learnt.modules is None else learnt.modules[1]
    eta = network.decoder(graph, z, learnt.settings, learnt.half("decoder"), module)
    return network.mean(graph, eta, learnt.modality.likelihood)


def _read(graph: Graph, modality: Modality) -> tuple[str, str | None, list[dict[str, Any]]]:
    match modality:
        case Table():
            return table.read(graph, modality)
        case Image():
            return arrays.read_image(graph, modality)
        case Signal():
            return arrays.read_signal(graph, modality)
        case Vectors():
            return arrays.read_vectors(graph, modality)
    raise SpaceError(f"A graph is not known for items of the kind {modality.name!r}.")


def _write(graph: Graph, x: str, modality: Modality) -> list[dict[str, Any]]:
    match modality:
        case Table():
            return table.write(graph, x, modality, {"latents"})
        case Image():
            return arrays.write_image(graph, x, modality)
        case Signal():
            return arrays.write_signal(graph, x, modality)
        case Vectors():
            return arrays.write_vectors(graph, x, modality)
    raise SpaceError(f"A graph is not known for items of the kind {modality.name!r}.")


def _score(
    graph: Graph, x: str, observed: str | None, learnt: Learnt, inputs: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    assert learnt.scorer is not None
    surprise, p = scorer.judge(graph, x, observed, learnt.scorer)
    alpha = graph.input(_free("alpha", inputs), np.float64, [1], np.array([ALPHA]))
    names = [_free(name, inputs) for name in ("surprise", "p_value", "flag")]
    flag = graph("LessOrEqual", p, alpha)
    for name, value, dtype in zip(names, (surprise, p, flag), (np.float64, np.float64, bool), strict=True):
        graph.output(name, value, dtype, ["n"])
    types = ("double", "double", "bool")
    outputs = [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)]
    return outputs, {"name": alpha, "type": "double", "default": ALPHA, "from": 0, "to": 1}
