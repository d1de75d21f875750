"""The error of each named part of an item (column, channel, region), in the user's own terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality

MAX_PARTS = 100
#: a part that varies less than this share of the average has no variance to explain
ROUNDING = 1e-5


@dataclass
class Sample:
    """Items as the model sees them: x (n, *shape), `observed` of the same shape or None, labels by name."""

    x: NDArray[np.float32]
    observed: NDArray[np.bool_] | None
    labels: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def of(cls, modality: Modality, items: Items, rows: NDArray[np.intp]) -> Sample:
        """The items at `rows`, encoded."""
        if not len(rows):
            return cls(np.zeros((0, *modality.shape), np.float32), None, {})
        part = modality.take(items, rows)
        return cls(*modality.transform(part), part.labels)


def squared_error(sample: Sample, expected: NDArray[Any]) -> NDArray[np.float32]:
    """(n, F) squared error of `expected` (n, *shape), NaN where nothing was observed."""
    error = (expected - sample.x).reshape(len(sample), -1) ** 2
    if sample.observed is not None:
        error[~sample.observed.reshape(error.shape)] = np.nan
    return np.asarray(error, np.float32)


def part_rows(
    modality: Modality, sample: Sample, ours: NDArray[Any], theirs: NDArray[Any], mean: NDArray[Any]
) -> list[dict[str, Any]]:
    """Share of variance explained of each named part, ours and PCA's, the worst explained first."""
    mean_error = squared_error(sample, np.broadcast_to(mean.reshape(sample.x.shape[1:]), sample.x.shape))
    errors = (squared_error(sample, ours), squared_error(sample, theirs))
    units = in_units(modality, sample, ours, theirs)
    least = ROUNDING * float(np.nanmean(mean_error))
    rows = []
    for name, where in modality.parts().items():
        base = float(np.nansum(mean_error[:, where], dtype=float))
        if base > least * len(where) * len(sample):
            share = [1 - float(np.nansum(e[:, where], dtype=float)) / base for e in errors]
            rows.append({"part": str(name), "ours": share[0], "pca": share[1], **units.get(str(name), {})})
    return sorted(rows, key=lambda row: row["ours"])[:MAX_PARTS]


def in_units(
    modality: Modality, sample: Sample, ours: NDArray[Any], theirs: NDArray[Any]
) -> dict[str, dict[str, Any]]:
    """Errors in the user's own terms for each column or channel: typical miss in its unit, or share right.

    Keys "miss_ours", "miss_pca" (median absolute difference) or "right_ours", "right_pca" (share).
    """
    views = [columns(modality, x) for x in (sample.x, ours, theirs)]
    observed = None if sample.observed is None else sample.observed.reshape(len(sample), -1)
    found = {}
    for name, where in modality.parts().items():
        if not all(str(name) in c for c in views):
            continue
        truth, *guesses = (c[str(name)] for c in views)
        rows = np.ones(len(sample), bool) if observed is None else observed[:, where].any(axis=1)
        if rows.any():
            found[str(name)] = _column_errors(truth[rows], [g[rows] for g in guesses])
    return found


def columns(modality: Modality, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """x in the user's units as named columns (n, ...); empty for what has none, such as pictures."""
    if modality.name == "signal":
        values = np.asarray(modality.inverse_transform(x))
        channels = list(modality.parts())
        return (
            dict(zip(channels, values.swapaxes(0, 1), strict=True))
            if len(channels) == values.shape[1]
            else {}
        )
    if len(modality.shape) != 1:
        return {}
    import narwhals as nw

    values = modality.inverse_transform(x)
    if isinstance(values, np.ndarray):
        return (
            {str(name): values[:, j] for j, name in enumerate(modality.parts())}
            if values.ndim == 2 and values.shape[1] == len(modality.parts())
            else {}
        )
    frame = nw.from_native(values, eager_only=True)
    # by get_column: frame[0] would be the first row
    return {str(name): frame.get_column(name).to_numpy() for name in frame.columns}


def _column_errors(truth: NDArray[Any], guesses: list[NDArray[Any]]) -> dict[str, float]:
    names = ("ours", "pca")
    if truth.dtype.kind in "iuf":
        misses = [np.median(np.abs(g.astype(float) - truth)) for g in guesses]
        return {f"miss_{name}": float(m) for name, m in zip(names, misses, strict=True)}
    if truth.dtype.kind in "mM":
        return {}
    return {f"right_{n}": float(np.mean(g == truth)) for n, g in zip(names, guesses, strict=True)}


def part_word(modality: Modality) -> str:
    """What the parts of such an item are called."""
    if modality.name == "signal":
        return "channel" if len(modality.parts()) == modality.shape[0] else "stretch"
    return {"table": "column", "image": "region", "vectors": "dimension"}.get(modality.name, "part")
