"""What a space is worth on items it has not seen, beside PCA and the raw items."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality
from latentspace.jobs._parts import Sample, part_rows, squared_error
from latentspace.jobs._verdict import verdict
from latentspace.rivals.pca import PCA
from latentspace.rivals.raw import Raw
from latentspace.space.quality import (
    are_classes,
    bootstrap_change,
    bootstrap_interval,
    knn_accuracy,
    linear_probe,
    neighbours_kept,
    trustworthiness,
)

#: fewer items than this measure nothing
ENOUGH = 10
#: items whose neighbours are compared, and items that a label is learnt from
MAX_NEIGHBOURS, MAX_REFERENCE = 2000, 5000
#: values (items x elements) that are held at once while measuring: 64 MB an array
MAX_VALUES = 2**24
MAX_ITEMS = 5000
MAX_LABELS = 5


def room_for(shape: tuple[int, ...], most: int = MAX_ITEMS) -> int:
    """How many items of `shape` are measured at most, so that memory stays bounded."""
    return max(ENOUGH, min(most, MAX_VALUES // max(1, int(np.prod(shape)))))


def learnt_and_tried(
    modality: Modality,
    items: Items,
    train: NDArray[np.intp],
    held: NDArray[np.intp],
    most: tuple[int, int],
    seed: int,
) -> tuple[Sample, Sample]:
    """Training items to learn a rival from and held-out items to try it on, at most so many of each."""
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        # What only a held-out item holds (a rare category) is measured as a gap, and no mistake of the user's.
        warnings.simplefilter("ignore", UserWarning)
        learnt, tried = (
            Sample.of(modality, items, rng.permutation(rows)[: room_for(modality.shape, n)])
            for rows, n in zip((train, held), most, strict=True)
        )
    return learnt, tried


def measure(
    model: Any, pca: PCA, held_out: Sample, reference: Sample | None, seed: int = 0
) -> dict[str, Any]:
    """All figures on `held_out` items, JSON-able; labels are learnt from `reference` items.

    Keys: "n", "latent_dim", "reconstruction", "parts", "latents" (rows by measure), "spread", "notes",
    "verdict" (sentences). What cannot be measured is absent, and "notes" says why; without a decoder there is no
    "reconstruction".
    """
    n, k = len(held_out), model.latent_dim_
    if n < ENOUGH:
        kept = f"Only {n} items were" if n else "No item was"
        note = f"{kept} kept for measuring, too few to say how good the space is (at least {ENOUGH})."
        return {"n": n, "latent_dim": k, "latents": [], "parts": [], "notes": [note], "verdict": [note]}
    z = model.encode(held_out.x)
    figures: dict[str, Any] = {"n": n, "latent_dim": k, "notes": [], "parts": []}
    if hasattr(model, "decode"):
        ours, theirs = model.decode(z), pca.reconstruct(held_out.x)
        figures["reconstruction"] = _reconstruction(held_out, ours, theirs, pca.mean, seed)
        figures["parts"] = part_rows(model.modality_, held_out, ours, theirs, pca.mean)
    figures["latents"] = _neighbourhoods(held_out.x, z, pca, figures["notes"], seed)
    if reference is not None and len(reference) >= ENOUGH:
        figures["latents"] += _labels(model, pca, held_out, reference, figures["notes"], seed)
    figures["spread"] = [float(s) for s in z.std(axis=0)]
    figures["effective_dimension"] = effective_dimension(z)
    figures["verdict"] = verdict(figures)
    return figures


def _item_means(error: NDArray[Any]) -> NDArray[np.float64]:
    """(n,) mean over what was observed of each item; items with nothing observed are left out."""
    counts = np.isfinite(error).sum(axis=1)
    return np.asarray(np.nansum(error, axis=1, dtype=float)[counts > 0] / counts[counts > 0])


def _reconstruction(
    sample: Sample, ours: NDArray[Any], theirs: NDArray[Any], mean: NDArray[Any], seed: int
) -> dict[str, Any]:
    e_ours, e_pca = _item_means(squared_error(sample, ours)), _item_means(squared_error(sample, theirs))
    base = float(
        _item_means(squared_error(sample, np.broadcast_to(mean.reshape(ours.shape[1:]), ours.shape))).mean()
    )
    row = compared(e_ours, e_pca, None, seed)
    row["change"] = asdict(bootstrap_change(e_ours, e_pca, seed=seed))
    explained = {name: 1 - row[name]["value"] / base if base > 0 else None for name in ("ours", "pca")}
    return {
        "measure": "reconstruction error",
        "higher_is_better": False,
        "scale": base,
        **row,
        "explained": explained,
    }


def compared(
    ours: NDArray[Any], pca: NDArray[Any] | None, raw: NDArray[Any] | None, seed: int
) -> dict[str, Any]:
    """Means with intervals, and the intervals of the paired differences ours − rival."""
    row: dict[str, Any] = {"ours": asdict(bootstrap_interval(ours, seed=seed))}
    for name, theirs in (("pca", pca), ("raw", raw)):
        row[name] = None if theirs is None else asdict(bootstrap_interval(theirs, seed=seed))
        difference = None if theirs is None else bootstrap_interval(ours, theirs, seed=seed)
        row[f"against_{name}"] = None if difference is None else asdict(difference)
    return row


def _neighbourhoods(
    x: NDArray[Any], z: NDArray[Any], pca: PCA, notes: list[str], seed: int
) -> list[dict[str, Any]]:
    x, z = x[:MAX_NEIGHBOURS], z[:MAX_NEIGHBOURS]
    k = min(10, (len(x) - 1) // 3)
    if k < 3:
        notes.append(f"With {len(x)} held-out items, neighbourhoods were not compared.")
        return []
    theirs = pca.transform(x)
    return [
        {"measure": name, "higher_is_better": True, **compared(of(x, z, k), of(x, theirs, k), None, seed)}
        for name, of in (
            ("trustworthiness", trustworthiness),
            (f"{k} nearest neighbours kept", neighbours_kept),
        )
    ]


def _labels(
    model: Any, pca: PCA, test: Sample, train: Sample, notes: list[str], seed: int
) -> list[dict[str, Any]]:
    """Rows of 10-NN and linear probe for each label: ours, PCA, raw items."""
    rows: list[dict[str, Any]] = []
    raw = Raw()
    views = [(model.encode(s.x), pca.transform(s.x), raw.transform(s.x)) for s in (train, test)]
    for name in list(test.labels)[:MAX_LABELS]:
        if name not in train.labels:
            continue
        y_train, y_test = train.labels[name], test.labels[name]
        in_train, in_test = known(y_train), known(y_test)
        reason = unusable(y_train[in_train], y_test[in_test])
        if reason:
            notes.append(f"The label {name} was not predicted: {reason}.")
            continue
        pairs = [(a[in_train], b[in_test]) for a, b in zip(*views, strict=True)]
        rows += _label_rows(name, pairs, plain_labels(y_train[in_train]), plain_labels(y_test[in_test]), seed)
    return rows


def _label_rows(
    name: str,
    pairs: list[tuple[NDArray[Any], NDArray[Any]]],
    y: NDArray[Any],
    y_test: NDArray[Any],
    seed: int,
) -> list[dict[str, Any]]:
    classes = are_classes(y)
    figure = "accuracy" if classes else "R²"
    baseline = float(np.mean(y_test == _commonest(y))) if classes else None
    rows = []
    for method, score in (("10-NN", knn_accuracy), ("linear probe", linear_probe)):
        ours, pca, raw = (score(a, y, b, y_test) for a, b in pairs)
        row = {"measure": f"{name}: {method} {figure}", "higher_is_better": True, "baseline": baseline}
        rows.append({**row, **compared(ours, pca, raw, seed)})
    return rows


def known(y: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a label is not missing."""
    if y.dtype.kind == "O":
        return np.array([v is not None and v == v for v in y], bool)
    return np.isfinite(y) if y.dtype.kind == "f" else np.ones(len(y), bool)


def plain_labels(y: NDArray[Any]) -> NDArray[Any]:
    """Labels of one type: numbers, or text."""
    return y.astype(str) if y.dtype.kind == "O" else y


def _commonest(y: NDArray[Any]) -> Any:
    values, counts = np.unique(y, return_counts=True)
    return values[counts.argmax()]


def unusable(y: NDArray[Any], y_test: NDArray[Any]) -> str:
    """Why a label cannot be predicted, "" where it can; y and y_test hold no gaps."""
    if len(y) < ENOUGH or len(y_test) < ENOUGH:
        return "too few items carry it"
    if y.dtype.kind == "M":
        return "it is a date"
    values = len(np.unique(plain_labels(y)))
    if values < 2:
        return "it has one value only"
    return f"its {values:,} values are too many to learn" if are_classes(y) and values > len(y) / 5 else ""


def effective_dimension(z: NDArray[Any]) -> float:
    """Participation ratio (Σλ)²/Σλ² of the latents' covariance: how many directions carry the variance."""
    values = np.linalg.eigvalsh(np.cov(z.T.astype(float), ddof=0).reshape(z.shape[1], z.shape[1]))
    return float(values.sum() ** 2 / max(float((values**2).sum()), 1e-300))
