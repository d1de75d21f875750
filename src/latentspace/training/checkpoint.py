"""A checkpoint: weights, optimiser and history in one safetensors file, written beside and renamed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from latentspace.errors import TrainingError


def write_checkpoint(path: Path, epoch: int, history: Any, tensors: dict[str, Tensor]) -> None:
    """Write `tensors`, the epoch and the history (a dataclass) to `path`, whole or not at all."""
    from safetensors.torch import save_file

    beside = path.with_name(path.name + ".part")
    notes = {"epoch": str(epoch), "history": json.dumps(asdict(history))}
    save_file({k: v.contiguous().clone() for k, v in tensors.items()}, beside, metadata=notes)
    os.replace(beside, path)


def read_checkpoint(path: Path, n_parameters: int) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    """(epoch, history's fields, tensors); raises TrainingError where the file is damaged or of another network."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        epoch, history = int(notes["epoch"]), json.loads(notes["history"])
    except (SafetensorError, KeyError, ValueError) as e:
        raise TrainingError(f"The checkpoint {path} is damaged; delete it to start anew.") from e
    if len(tensors["values"]) != n_parameters:
        raise TrainingError(
            f"The checkpoint {path} is of a network with {len(tensors['values']):,} parameters, this one has "
            f"{n_parameters:,}; delete it or use the settings it was made with."
        )
    history["epochs"] = [tuple(e) for e in history["epochs"]]
    return epoch, history, tensors
