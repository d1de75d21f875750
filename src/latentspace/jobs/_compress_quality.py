"""Items stored as latents, said and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latentspace.archive.container import check_path
from latentspace.archive.items import Measured, write_items
from latentspace.archive.sections import Content
from latentspace.archive.writing import Written
from latentspace.data.image import Image
from latentspace.jobs._compress_words import bits, size_words
from latentspace.jobs.base import Progress, Result
from latentspace.space.folder import Space

__all__ = ["compress_items"]


def compress_items(
    space: Space, data: Any, out: Path, quality: float, refer: bool, seed: int, tell: Progress
) -> Result:
    """Store the items' latents; see `compress`."""
    from latentspace.archive.reading import Archive

    check_path(out)
    items = space.items(data)
    content, written, found = write_items(space, items, out, psnr=quality, refer=refer, seed=seed, tell=tell)
    return Result(
        summary="\n".join([*_summary(space, content, written, found, refer), *items.notes]),
        tables={"Parts": _parts(content, written, found, refer)},
        figures=_figures(space, found),
        files=[written.path],
        data=_data(content, written, found) | {"quality": quality, "refer": refer},
        value=Archive(written.path, space if refer else None),
    )


def _summary(space: Space, content: Content, written: Written, found: Measured, refer: bool) -> list[str]:
    ratio = content.nbytes / max(1, written.size)
    lines = [
        f"{found.count:,} items of {content.name}: {size_words(content.nbytes)} in {size_words(written.size)}, "
        f"{ratio:.3g} to 1, {bits(written.size, content):.3g} bits a value.",
        f"They come back at {found.psnr:.2f} dB (RMSE {found.rmse:.4g}, range {found.span:.4g}), measured on all.",
    ]
    if refer:
        lines.append("The network is not in the file: the space is needed to read it.")
    else:
        lines.append(
            f"Of the file {size_words(found.network)} are the network, {size_words(found.latents)} latents."
        )
    if space.modality.name == "table":
        lines.append("Each column counts by its own range; text, categories and dates come back exactly.")
    if found.gaps:
        lines.append(f"{found.gaps:,} gaps come back filled in.")
    return lines


def _parts(content: Content, written: Written, found: Measured, refer: bool) -> list[dict[str, Any]]:
    rest = written.size - found.network - found.latents
    learnt = "how likely latents are" if refer else "network"
    parts = {"latents": found.latents, learnt: found.network, "ids, labels and all else": rest}
    return [
        {"part": name, "bytes": f"{size:,}", "bits a value": f"{bits(size, content):.4f}"}
        for name, size in parts.items()
    ]


def _data(content: Content, written: Written, found: Measured) -> dict[str, Any]:
    return {
        "bytes": written.size,
        "bytes_in_memory": content.nbytes,
        "values": content.values,
        "items": found.count,
        "bits_per_value": bits(written.size, content),
        "ratio": content.nbytes / max(1, written.size),
        "psnr": found.psnr,
        "rmse": found.rmse,
        "range": found.span,
        "bytes_network": found.network,
        "bytes_latents": found.latents,
        "gaps": found.gaps,
    }


def _figures(space: Space, found: Measured) -> dict[str, Any]:
    """A few items before and after: pictures side by side, anything else as curves."""
    return {"restored": lambda: _draw(space, found)}


def _draw(space: Space, found: Measured) -> Any:
    from latentspace import plots_compress

    note = f"{found.psnr:.1f} dB"
    if isinstance(space.modality, Image):
        from latentspace.jobs._drawings import as_pictures

        before, after = (list(as_pictures(space.modality, part)) for part in (found.before, found.after))
        return plots_compress.pictures_view(before, after, note)
    was, made = (np.asarray(part).reshape(len(part), -1) for part in (found.before, found.after))
    return plots_compress.curves_view(was, made, note)
