"""Which items are selected on a map, and what sets them apart from the rest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.image import Image
from latentspace.errors import DataError, OptionError, nearest
from latentspace.jobs._map_differences import Difference, differences
from latentspace.jobs._map_items import Mapped, grids
from latentspace.jobs._reasons import channel_names
from latentspace.jobs._verdict import count

#: fewer items than this, in the selection or outside, set nothing apart
ENOUGH = 5
#: among more ids than this none is looked for that is like a wrong one
MAX_IDS = 5000
#: channels whose curves are drawn
FEW_CHANNELS = 4
#: regions of a picture that are named by their place
REGIONS = 9

Array = NDArray[Any]


def read_ids(select: Any) -> list[str]:
    """The ids in a file, one a line, or those given; each once. Raises DataError where there is no such file."""
    if isinstance(select, str | Path):
        path = Path(select)
        if not path.exists() or path.is_dir():
            raise DataError(f"There is no file {str(select)!r} of selected ids (one a line).")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as failure:
            raise DataError(f"{path} is no text: selected ids are written one a line.") from failure
        given: Iterable[Any] = (line.strip() for line in text.splitlines())
    elif isinstance(select, Iterable):
        given = select
    else:
        raise OptionError(f"select is a file of ids (one a line) or a list of them, not {select!r}.")
    return list(dict.fromkeys(str(name) for name in given if str(name)))


def selected(ids: Array, wanted: list[str]) -> NDArray[np.bool_]:
    """(n,) whether each item is among the `wanted`.

    Raises DataError at the first that is not there, OptionError where too few are selected, or left, to compare.
    """
    rows = {str(name): row for row, name in enumerate(ids.tolist())}
    chosen = np.zeros(len(ids), bool)
    for name in wanted:
        if name not in rows:
            near = nearest(name, rows) if len(rows) <= MAX_IDS else ""
            raise DataError(
                f"select names {name!r}, which is none of the {count(len(ids), 'item')} shown{near}."
            )
        chosen[rows[name]] = True
    inside = int(chosen.sum())
    if not inside:
        raise OptionError("select is empty: it names no item, one id a line.")
    if inside == len(ids):
        raise OptionError(f"select holds all {len(ids):,} items: there is no rest to set them apart from.")
    if min(inside, len(ids) - inside) < ENOUGH:
        side = (
            f"holds {count(inside, 'item')}"
            if inside < ENOUGH
            else f"leaves {count(len(ids) - inside, 'item')}"
        )
        raise OptionError(f"select {side}: at least {ENOUGH} are needed to say what sets them apart.")
    return chosen


def set_apart(mapped: Mapped, chosen: NDArray[np.bool_]) -> list[Difference]:
    """What sets the chosen items apart, the largest difference first; of pictures, the lightness of their regions."""
    return differences(compared(mapped), chosen)


def compared(mapped: Mapped) -> dict[str, Array]:
    """name → (n,) what items are compared by: what can be said of them, and of pictures the lightness of regions."""
    columns = dict(mapped.told)
    if isinstance(mapped.space.modality, Image) and mapped.can_be_seen:
        columns |= _lightness(mapped, mapped.space.modality)
    return columns


def _lightness(mapped: Mapped, image: Image) -> dict[str, Array]:
    """Mean lightness of each of the nine regions of the pictures, in the user's numbers."""
    _, height, width = image.shape
    pixel = np.arange(height * width).reshape(height, width)
    parts = {
        name: np.isin(pixel, where % pixel.size) for name, where in list(image.parts().items())[:REGIONS]
    }
    found: dict[str, list[Array]] = {name: [] for name in parts}
    for grid in grids(mapped.space, mapped.items, mapped.latents):
        for name, inside in parts.items():
            values = grid[:, inside]
            seen = np.isfinite(values)
            total = np.where(seen, values, 0).sum(axis=1)
            found[name].append(np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan))
    return {f"lightness {name}": np.concatenate(each) for name, each in found.items()}


# what is drawn of it


def details(mapped: Mapped, chosen: NDArray[np.bool_], found: list[Difference]) -> Any:
    """What `plots_selection.selection_view` shows beside the map: pictures, curves or bars."""
    kind = mapped.space.modality.name
    if not mapped.can_be_seen or kind not in ("image", "signal"):
        return [_bar(difference) for difference in found]
    means, spreads, d, sure = _grids_apart(mapped, chosen)
    if kind == "image":
        return {"inside": means[0], "outside": means[1], "difference": np.where(sure, d, 0)}
    names = channel_names(mapped.space.modality)
    return [
        {
            "name": names[c],
            "inside": means[0, c],
            "outside": means[1, c],
            "spread": {"inside": spreads[0, c], "outside": spreads[1, c]},
            "sure": sure[c],
        }
        for c in _telling(names, found)
    ]


def _telling(names: list[str], found: list[Difference]) -> list[int]:
    """The channels that differ most, in level or spread, in their own order."""
    order = [c for d in found for c, name in enumerate(names) if d.column.rpartition(": ")[0] == name]
    return sorted(list(dict.fromkeys([*order, *range(len(names))]))[:FEW_CHANNELS])


def _bar(difference: Difference) -> dict[str, Any]:
    ends = {"size": difference.size, "low": difference.low, "high": difference.high, "sure": difference.sure}
    return {"name": difference.name, "words": " : ".join(difference.measured), **ends}


def _grids_apart(mapped: Mapped, chosen: NDArray[np.bool_]) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """(means (2, A, B), spreads (2, A, B), d (A, B), whether its 95 % interval excludes 0) of pictures' pixels or
    signals' samples, in the chosen and the other items."""
    n, total, square, offset = (np.zeros((2, *_grid_shape(mapped))) for _ in range(4))
    start = 0
    for grid in grids(mapped.space, mapped.items, mapped.latents):
        if not start:
            offset = np.where(np.isfinite(grid), grid, 0).mean(
                axis=0
            )  # near the mean, so that squares stay small
        part = chosen[start : start + len(grid)]
        start += len(grid)
        for i, rows in enumerate((part, ~part)):
            seen = np.isfinite(grid[rows])
            value = np.where(seen, grid[rows] - offset, 0)
            n[i] += seen.sum(axis=0)
            total[i] += value.sum(axis=0)
            square[i] += (value**2).sum(axis=0)
    counts = np.maximum(n, 1)
    means = total / counts
    variances = np.maximum(square / counts - means**2, 0)
    pooled = np.sqrt((n * variances).sum(axis=0) / np.maximum(n.sum(axis=0) - 2, 1))
    d = (means[0] - means[1]) / np.maximum(pooled, 0.05 * max(float(pooled.max()), 1e-12))
    # the standard error of d for large samples
    error = np.sqrt((1 / counts).sum(axis=0) + d**2 / (2 * counts.sum(axis=0)))
    return means + offset, np.sqrt(variances), d, np.abs(d) > 1.96 * error


def _grid_shape(mapped: Mapped) -> tuple[int, int]:
    """(height, width) of pictures, (channels, samples) of signals."""
    a, b = mapped.space.modality.shape[-2:]
    return a, b
