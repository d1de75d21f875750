"""A predictor as bytes, and back: whole numbers packed by pcodec behind a short head."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._context import EXTRA, FINE, Context
from latentspace.codecs._exact import ExactNetwork
from latentspace.codecs._layout import Layout
from latentspace.codecs._mixture import Mixture
from latentspace.codecs._part import Part

__all__ = ["packed", "unpacked"]

#: the arithmetic that these bytes are for; another one would decode to other values
VERSION = 1


def packed(layout: Layout, parts: tuple[Part, ...], fill: NDArray[np.int64], dtype: str) -> bytes:
    """The bytes of a predictor."""
    from pcodec import ChunkConfig, standalone

    head = {
        "version": VERSION,
        "layout": layout.state(),
        "dtype": dtype,
        "hidden": parts[0].network.weights[1].shape[0],
        "components": len(parts[0].mixture.centres),
        "direct": [part.context.direct for part in parts],
        "sides": [len(place) for place in parts[0].network.places],
        "grids": [part.network.grids for part in parts],
    }
    text = zlib.compress(json.dumps(head, separators=(",", ":")).encode(), 9)
    coarse: list[NDArray[Any]] = []
    fine: list[NDArray[Any]] = [fill]
    for part in parts:
        for k, (weights, biases) in enumerate(part.network.layers):
            scale = 2.0 ** part.network.grids[k]
            coarse += [np.rint(a * scale).ravel() for a in (weights, biases)]
        coarse += [np.rint(p * 2.0 ** part.network.grids[0]).ravel() for p in part.network.places]
        coarse += [part.mixture.centres, part.mixture.widths]
        if not part.context.direct:
            c = part.context
            fine += [np.rint(np.append(c.weights, c.bias) * 2.0**FINE), c.centre, c.spread]
            fine += [np.array([*c.own, c.still])]
    config = ChunkConfig(compression_level=12)
    blocks = [
        standalone.simple_compress(np.concatenate([np.asarray(a, t).ravel() for a in arrays]), config)
        for arrays, t in ((coarse, np.int32), (fine, np.int64))
    ]
    lengths = np.array([len(text), len(blocks[0])], "<u4").tobytes()
    return lengths + text + bytes(blocks[0]) + bytes(blocks[1])


def unpacked(data: bytes) -> tuple[Layout, tuple[Part, ...], NDArray[np.int64], str]:
    """What `packed` was given. Raises ValueError where the bytes are of another version."""
    from pcodec import standalone

    first, second = np.frombuffer(data[:8], "<u4").tolist()
    head = json.loads(zlib.decompress(data[8 : 8 + first]))
    if head["version"] != VERSION:
        raise ValueError(
            f"a predictor of version {head['version']}; this version of latentspace reads {VERSION}"
        )
    middle = 8 + first + second
    coarse = _Taking(np.asarray(standalone.simple_decompress(data[8 + first : middle])))
    fine = _Taking(np.asarray(standalone.simple_decompress(data[middle:])))
    layout = Layout.from_state(head["layout"])
    fill = fine.take(len(layout.offsets))
    parts = tuple(_part(g, group, head, coarse, fine) for g, group in enumerate(layout.offsets))
    return layout, parts, fill, head["dtype"]


class _Taking:
    """Takes arrays off the front of a long one."""

    def __init__(self, numbers: NDArray[Any]) -> None:
        self.numbers, self.at = numbers, 0

    def take(self, *shape: int) -> NDArray[Any]:
        many = int(np.prod(shape))
        found = self.numbers[self.at : self.at + many].reshape(shape)
        if found.size != many:
            raise ValueError("a predictor that ends too early")
        self.at += many
        return found


def _part(g: int, group: Any, head: dict[str, Any], coarse: _Taking, fine: _Taking) -> Part:
    hidden, components = head["hidden"], head["components"]
    inputs, grids = len(group) + EXTRA, head["grids"][g]
    weights, biases = [], []
    for k, (rows, columns) in enumerate(((inputs, hidden), (hidden, hidden), (hidden, components))):
        scale = 2.0 ** -grids[k]
        weights.append((coarse.take(rows, columns) * scale).astype(np.float32))
        biases.append((coarse.take(columns) * scale).astype(np.float32))
    places = tuple(
        (coarse.take(side, hidden) * 2.0 ** -grids[0]).astype(np.float32) for side in head["sides"]
    )
    mixture = Mixture(coarse.take(components).astype(np.int32), coarse.take(components).astype(np.int32))
    network = ExactNetwork(tuple(weights), tuple(biases), places)
    alike = np.array([o[-1] == g for o in group], bool)
    nothing = np.zeros(len(group))
    if head["direct"][g]:
        context = Context(True, nothing, 0.0, alike, nothing, nothing.astype(np.int64), (0.0, 0), 0)
        return Part(context, network, mixture)
    line = fine.take(len(group) + 1) * 2.0**-FINE
    centre, spread = fine.take(len(group)).astype(float), fine.take(len(group)).astype(np.int64)
    own, power, still = fine.take(3).tolist()
    context = Context(False, line[:-1], float(line[-1]), alike, centre, spread, (float(own), power), still)
    return Part(context, network, mixture)
