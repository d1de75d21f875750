"""The files that a part is exported to: ONNX, weights with a card, a torch program."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

import latentspace
from latentspace.graphs.graph import needs
from latentspace.graphs.parts import Learnt, Part, whole
from latentspace.graphs.runtime import rounded


def onnx_bytes(learnt: Learnt, part: Part, facts: dict[str, Any], int8: bool = False) -> bytes:
    """A part as an ONNX file that takes the user's own columns, pixels, windows or vectors."""
    needs("onnxruntime")
    model = whole(learnt, part, facts)
    content: bytes = (rounded(model) if int8 else model).SerializeToString()
    return content


def card(learnt: Learnt, part: Part, facts: dict[str, Any]) -> dict[str, Any]:
    """How to rebuild a half from its weights: the network's settings, and how items become tensors (schema)."""
    return {
        "latentspace": latentspace.__version__,
        "part": part,
        "network": learnt.settings,
        "likelihood": learnt.modality.likelihood.state(),
        "modality": {"name": learnt.modality.name, "state": learnt.modality.state()},
        **facts,
    }


def safetensors_bytes(learnt: Learnt, part: Part, facts: dict[str, Any]) -> bytes:
    """The weights of a half, or the scorer's arrays, with the card as JSON under "latentspace" in the header."""
    from safetensors.numpy import save

    learnt.has(part)
    if part == "scorer":
        assert learnt.scorer is not None
        arrays = learnt.scorer.arrays()
    else:
        arrays = learnt.half(part)
    words = json.dumps(card(learnt, part, facts), ensure_ascii=False)
    content: bytes = save(
        {name: np.ascontiguousarray(a) for name, a in arrays.items()}, {"latentspace": words}
    )
    return content


def torch_bytes(learnt: Learnt, part: Part, facts: dict[str, Any], network: Any) -> bytes:
    """A half as a program for `torch.export.load`: encoded items to latents, or latents to expected encoded items.

    A program is a list of operators and weights, so whoever opens it needs no class of ours. Scaling and names are
    the card's, an extra file called "latentspace.json".
    """
    import torch

    learnt.has(part)
    shape = tuple(learnt.settings["shape"]) if part == "encoder" else (learnt.settings["latent_dim"],)
    half = _half(network, part, learnt.modality.likelihood).eval()
    n = torch.export.Dim("n", min=1, max=2**31 - 1)
    program = torch.export.export(half, (torch.zeros(2, *shape),), dynamic_shapes=({0: n},))
    file = io.BytesIO()
    words = json.dumps(card(learnt, part, facts), ensure_ascii=False)
    torch.export.save(program, file, extra_files={"latentspace.json": words})
    return file.getvalue()


def _half(network: Any, part: Part, likelihood: Any) -> Any:
    """The module that maps items to latents, or latents to expected items."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.path = network.encoder if part == "encoder" else network.decoder

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.path(x)
            return y[:, : network.latent_dim] if part == "encoder" else likelihood.mean(y)

    return Half()
