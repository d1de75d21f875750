"""The encoder, the decoder or the scorer alone, for programs that know nothing of this library."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from latentspace.errors import OptionError
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space

__all__ = ["export"]

SUFFIX = {"onnx": ".onnx", "safetensors": ".safetensors", "torch": ".pt2"}
#: kept items on which the error of 8-bit weights is measured
MEASURED = 2000


@job
def export(
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    part: Literal["encoder", "decoder", "scorer", "all"] = "all",
    format: Literal["onnx", "safetensors", "torch"] = "onnx",
    int8: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Write the encoder, the decoder or the scorer alone, to be run without this library.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    out
        Where the part goes: .onnx, .safetensors or .pt2, as the format says; with all parts, a folder for them. Left
        out: beside the space, called after it.
    part
        encoder: items to latents. decoder: latents to items. scorer: items to surprise, p-value and flag. all: each
        one that the space has and the format can hold.
    format
        onnx: takes the user's own columns, pixels, windows or vectors; scaling, categories and names are inside.
        safetensors: the weights, and a card that says how to rebuild. torch: a program for torch.export.load.
    int8
        Keep the weights of encoder and decoder as 8-bit numbers (onnx only); the error is measured and stated.
    progress
        Called with what is going on and the share done.
    """
    tell = progress or (lambda words, share: None)
    space = opened(space)
    _check(format, part, int8)
    learnt = space.learnt()
    wanted = [part] if part != "all" else [p for p in learnt.parts if format != "torch" or p != "scorer"]
    for one in wanted:
        learnt.has(one)
    if int8:
        wanted = [one for one in wanted if one != "scorer"]
    target = _target(space, out, part, format)
    errors = {str(one): _int8_error(space, learnt, one) for one in wanted} if int8 else {}
    contents: dict[str, bytes] = {}
    for i, one in enumerate(wanted):
        tell(f"writing the {one}", i / len(wanted))
        contents[one] = _content(space, learnt, one, format, errors.get(one))
    files = _written(contents, target, part, SUFFIX[format])
    return _result(contents, files, format, errors)


def _check(format: str, part: str, int8: bool) -> None:
    if int8 and format != "onnx":
        raise OptionError(f"int8 is for format onnx; {format} keeps the weights as they are.")
    if int8 and part == "scorer":
        raise OptionError("int8 is for encoder and decoder: the scorer's distances do not bear rounding.")
    if format == "torch" and part == "scorer":
        raise OptionError("The scorer is no torch network: export it as onnx or safetensors.")


def _target(space: Space, out: str | Path | None, part: str, format: str) -> Path:
    """The file to write, or with all parts the folder. Raises OptionError where the name says something else."""
    suffix = SUFFIX[format]
    if out is None:
        home = space.path or Path("space")
        return home.with_name(home.stem + ("-export" if part == "all" else f".{part}{suffix}"))
    out = Path(out)
    if part == "all" and (out.suffix or out.is_file()):
        raise OptionError(
            f"{out} is a file's name; all parts go into a folder, one part into a file: choose part."
        )
    if part != "all" and out.suffix != suffix:
        raise OptionError(f"{out} should end in {suffix}, as format {format} does.")
    if part == "all" and out.is_dir():
        raise OptionError(f"The folder {out} is there already: choose another name.")
    return out


def _content(space: Space, learnt: Any, part: Any, format: str, error: float | None) -> bytes:
    from latentspace.graphs import files

    facts = {"items": len(space)} | ({"int8_error": error} if error is not None else {})
    if format == "onnx":
        return files.onnx_bytes(learnt, part, facts, int8=error is not None)
    if format == "safetensors":
        return files.safetensors_bytes(learnt, part, facts)
    network = space.model.network_
    return files.torch_bytes(learnt, part, facts, network)


def _int8_error(space: Space, learnt: Any, part: Any) -> float:
    """On the space's kept items: encoded ones for the encoder, latents for the decoder."""
    from latentspace.graphs.runtime import int8_error

    if part == "decoder":
        return int8_error(learnt, part, np.ascontiguousarray(space.latents[:MEASURED]))
    if "examples.x" not in space.evidence or not len(space.evidence["examples.x"]):
        raise OptionError("int8: this space kept no items to measure the encoder's error on.")
    return int8_error(learnt, part, space.evidence["examples.x"][:MEASURED])


def _written(contents: dict[str, bytes], target: Path, part: str, suffix: str) -> list[Path]:
    """One file, or a folder of them, whole or not at all."""
    if part != "all":
        with whole(target) as beside:
            beside.write_bytes(contents[part])
        return [target]
    with whole(target) as beside:
        beside.mkdir()
        for one, content in contents.items():
            (beside / f"{one}{suffix}").write_bytes(content)
    return [target / f"{one}{suffix}" for one in contents]


def _result(contents: dict[str, bytes], files: list[Path], format: str, errors: dict[str, float]) -> Result:
    rows = []
    for (part, content), file in zip(contents.items(), files, strict=True):
        row = {"part": part, "file": str(file), "kilobytes": round(len(content) / 1000, 1)}
        rows.append(row | ({"int8 error": f"{100 * errors[part]:.2g} %"} if part in errors else {}))
    words = f"{_listed(list(contents))} as {format}."
    if errors:
        worst = max(errors.values())
        words += f" Weights of 8 bits change what comes out by up to {100 * worst:.2g} % of its spread."
    return Result(
        words[0].upper() + words[1:],
        tables={"Written": rows},
        files=files,
        data={
            "format": format,
            "parts": {p: {"bytes": len(c), "int8_error": errors.get(p)} for p, c in contents.items()},
        },
        value=files,
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
