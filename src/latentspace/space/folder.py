"""A space: a fitted model with the items it has encoded, and the folder ``NAME.space/`` that holds it.

The folder: `space.json` (format, model card, schema, checksums), `network.safetensors` (weights),
`latents.parquet` (id, z0 …, labels), `evidence.safetensors` (what the report draws from) and, where there is one,
`columns.parquet` (what the items' own columns say), `index.faiss` (finds neighbours among many),
`scorer.safetensors` (what tells odd items), `map.safetensors` (what places items on the map) and
`density.safetensors` (how densely the items lie). Once items were added or removed, the files that change carry a
number (`latents.2.parquet`). Nothing in it is executable and no pickle is read or written.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality
from latentspace.errors import OptionError, SpaceError, nearest
from latentspace.space.answers import keep
from latentspace.space.atomic import whole
from latentspace.space.files import (
    CARD,
    COLUMNS,
    DENSITY,
    EVIDENCE,
    INDEX,
    LATENTS,
    MAP,
    NETWORK,
    SCORER,
    Part,
    arrow_column,
    check_free,
    family,
    named,
    of_part,
    read_card,
    read_columns,
    read_latents,
    read_weights,
    stamp,
    verify,
    write_card,
    write_items,
)
from latentspace.space.index import MEASURED_K, Cells, Index, Metric
from latentspace.space.where import rows_where

if TYPE_CHECKING:
    import pyarrow as pa

    from latentspace.graphs.parts import Learnt
    from latentspace.graphs.runtime import OnnxSpace
    from latentspace.models.anomaly import Scorer
    from latentspace.models.density import Density
    from latentspace.models.map import MapHead
    from latentspace.space.postgres import Store

#: models that make no decoder
WITHOUT_DECODER = ("Classifier", "IJEPA")
#: the least variance along an axis of the latents that counts for mahalanobis distances, as a share of the largest
FLAT = 1e-6


@dataclass(eq=False)
class Space:
    """A fitted model with the items it has encoded.

    model : a fitted model (Autoencoder, VariationalAutoencoder, Classifier, IJEPA).
    ids : (n,) the items' names; latents : (n, k) float32 where they lie.
    labels : name → (n,), kept out of training.
    held_out : (n,) True where the item was kept for measuring.
    card : what was fitted on what, how, and with which versions (JSON-able).
    figures : what was measured on the held-out items (JSON-able).
    evidence : arrays that the report draws from: a few held-out items, the rival.
    scorer : tells odd items; None where there were too few items to learn it from.
    map : places latents on a map; None where there were too few items.
    density : how densely the items lie in Z; None where it was not fitted.
    columns : a pyarrow Table, a row an item: what the items' own columns said; None where none were kept.
    path : the folder it was saved to or loaded from.
    part : "encoder" or "decoder" where only that half was loaded.
    cells : where the cells of the index are kept, and how they are used; None: they are made when first needed.
    """

    model: Any
    ids: NDArray[Any]
    latents: NDArray[np.float32]
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    held_out: NDArray[np.bool_] | None = None
    card: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, NDArray[Any]] = field(default_factory=dict)
    scorer: Scorer | None = None
    map: MapHead | None = None
    density: Density | None = None
    columns: pa.Table | None = None
    path: Path | None = None
    part: Part | None = None
    cells: tuple[Path, int, float] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"<Space of {len(self):,} items in {self.latent_dim} latents{where}>"

    @property
    def latent_dim(self) -> int:
        """How many numbers an item becomes."""
        return int(self.latents.shape[1])

    @property
    def modality(self) -> Modality:
        """How the items become tensors and come back."""
        modality: Modality = self.model.modality_
        return modality

    @property
    def decodes(self) -> bool:
        """Whether latents become items again: whether a decoder was made, and is loaded."""
        return bool(self.model._decodes) and self.part != "encoder"

    def items(self, data: Any) -> Items:
        """`data` (a path, a frame, an array, or Items already) read the way the fitted data were."""
        if isinstance(data, Items):
            return data
        from latentspace.data.sources import read_items

        return read_items(data, modality=self.modality)[1]

    def encode(self, data: Any) -> NDArray[np.float32]:
        """(n, k): where the items of `data` lie."""
        self._needs("encoder", "encode")
        return np.asarray(self.model.encode_items(self.items(data)))

    def decode(self, z: Any) -> Any:
        """The items expected at latents z (n, k), in the user's own units and types.

        Raises SpaceError where z has another width or is not finite.
        """
        self._needs("decoder", "decode")
        z = self._latents_of(z, "decodes")
        return self.modality.inverse_transform(self.model.decode(z))

    def _latents_of(self, z: Any, does: str) -> NDArray[np.float32]:
        """z as latents (n, k) of this space; raises SpaceError where they have another width or are not finite."""
        given: NDArray[np.float32] = np.asarray(z, np.float32)
        k = self.latent_dim
        if given.ndim != 2 or given.shape[1] != k:
            raise SpaceError(f"These latents have shape {given.shape}; this space {does} (n, {k}).")
        if not np.isfinite(given).all():
            row = int(np.flatnonzero(~np.isfinite(given).all(axis=1))[0])
            raise SpaceError(f"Row {row} of these latents is not finite: only numbers lie in the space.")
        return given

    def reconstruct(self, data: Any) -> Any:
        """The items of `data` through their latents and back, in the user's own units; gaps are filled in."""
        self.needs_rebuilding("reconstruct")
        items = self.items(data)
        x, _ = self.modality.transform(items)
        return self.modality.inverse_transform(self.model.rebuild(x), items)

    def nearest(
        self, z: Any, k: int = 10, *, metric: Metric = "euclidean", where: str | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """(rows (q, k) of the space, distances (q, k)) of the k items nearest to latents z (q, latents).

        metric : "euclidean"; "cosine", 1 minus the cosine of the angle at 0; "mahalanobis", in standard deviations of
        the space's latents. where : a condition on id, labels and columns that an item must fulfil, such as
        ``price > 100 and kind = 'a'``. The nearest comes first; row -1 at an infinite distance where fewer than k are
        found. Of many items without a condition a share `index.recall` of the nearest is found, else all.
        """
        z = self._latents_of(z, "looks around")
        if k < 1:
            raise OptionError(f"k must be a whole number of at least 1, not {k}.")
        within = None if where is None else self.rows_where(where)
        index, change = self._measured_by(metric)
        rows, distances = index.nearest(change(z), k, within)
        return rows, (distances**2 / 2).astype(np.float32) if metric == "cosine" else distances

    def rows_where(self, condition: str) -> NDArray[np.intp]:
        """The rows whose id, labels and columns fulfil a condition in SQL, in order.

        Raises OptionError where it cannot be read, names no column, or no item fulfils it.
        """
        found = rows_where(self.table, condition)
        if not len(found):
            raise OptionError(f"where: no item of this space fulfils {condition!r}.")
        return found

    @cached_property
    def table(self) -> pa.Table:
        """A pyarrow Table, a row an item: id, labels, and the items' own columns."""
        import pyarrow as pa

        own = [("id", self.ids), *((n, v) for n, v in self.labels.items() if n != "id")]
        table = pa.table({name: arrow_column(values) for name, values in own})
        if self.columns is not None:
            for name, column in zip(self.columns.column_names, self.columns.columns, strict=True):
                if name not in table.column_names:  # of two that are called alike the first
                    table = table.append_column(name, column)
        return table

    @cached_property
    def index(self) -> Index:
        """Finds the nearest items by Euclidean distance."""
        # the cells may have gone since, where another process added or removed items: these latents are still whole
        if self.cells is None or not self.cells[0].exists():
            return Index.build(self.latents)
        return Index(self.latents, Cells.read(*self.cells, points=len(self)))

    def _measured_by(self, metric: Metric) -> tuple[Index, Callable[[NDArray[Any]], NDArray[Any]]]:
        """An index in which Euclidean distances are those of `metric`, and what brings latents there."""
        if metric == "euclidean":
            return self.index, lambda z: z
        if metric not in get_args(Metric):
            known = ", ".join(get_args(Metric))
            raise OptionError(
                f"metric is one of {known}, not {metric!r}{nearest(str(metric), get_args(Metric))}."
            )
        if metric not in self._other:
            change = _on_sphere if metric == "cosine" else _whitened(self.latents)
            self._other[metric] = Index(change(self.latents)), change
        return self._other[metric]

    @cached_property
    def _other(self) -> dict[str, tuple[Index, Callable[[NDArray[Any]], NDArray[Any]]]]:
        return {}

    def save(self, path: str | Path, *, overwrite: bool = False, store: str | Store | None = None) -> Path:
        """Write the space to the folder `path` (".space" is added), whole or not at all; returns where it is.

        store : "postgresql://…": the items go there, the rest into the folder. Raises SpaceError where something is
        there already, unless it is a space and `overwrite` is given; answers about pairs in it are kept.
        """
        if self.part:
            raise SpaceError(f"Only the {self.part} of this space was loaded: load it whole to save it.")
        path = named(Path(path))
        check_free(path, overwrite=overwrite)
        before = read_card(path).get("store") if path.exists() else None
        if store is not None:
            from latentspace.space.stored import save

            save(self, path, store)
        else:
            with whole(path, SpaceError) as beside:
                beside.mkdir()
                self.write(beside)
                keep(path, beside)
        if before:
            warnings.warn(
                f"The items of the space that was replaced are still in the store, schema {before['schema']}: others "
                f"may use them. If none does: DROP SCHEMA {before['schema']} CASCADE.",
                UserWarning,
                stacklevel=2,
            )
        self.path = path
        return path

    def write(self, folder: Path, store: dict[str, str] | None = None) -> None:
        """Write the files of the space into an empty folder; without the items where they are in `store`."""
        from safetensors.numpy import save

        state, weights = self.model.to_state()
        contents = {NETWORK: weights, EVIDENCE: self.evidence}
        for file, head in ((SCORER, self.scorer), (MAP, self.map), (DENSITY, self.density)):
            if head is not None:
                contents[file] = head.arrays()
        for name, arrays in contents.items():
            # Written by us: safetensors' own files could be read by their owner only.
            (folder / name).write_bytes(save({key: np.ascontiguousarray(a) for key, a in arrays.items()}))
        if store is None:
            write_items(self, folder)
        files = {file.name: stamp(file) for file in sorted(folder.iterdir())}
        write_card(folder / CARD, self.contents(files, store) | {"model": state})

    def contents(self, files: dict[str, Any], store: dict[str, str] | None = None) -> dict[str, Any]:
        """What `space.json` says, the model apart; `files` are the stamps of the other files."""
        cells = self.index.cells if store is None else None
        return {
            "latentspace": "space",
            "format": 1 if store is None else 2,
            "labels": list(self.labels),
            "card": self.card,
            "figures": self.figures,
            "index": None if cells is None else {"probes": cells.probes[MEASURED_K], "recall": cells.recall},
            "files": files,
        } | ({} if store is None else {"store": store})

    def learnt(self) -> Learnt:
        """What was learnt as arrays, from which `graphs` makes graphs that need no torch."""
        from latentspace.graphs.network import TRACED
        from latentspace.graphs.parts import Learnt

        state, weights = self.model.to_state()
        kept = {name: weights[name] for name in of_part(weights, self.part)}
        traced = state["network"]["kind"] in TRACED
        halves = (self.model.network_.encoder, self.model.network_.decoder) if traced else None
        return Learnt(self.modality, state["network"], kept, self.scorer, halves, self.model._decodes)

    def needs_decoder(self, verb: str) -> None:
        """Raise SpaceError with the reason where there is no decoder, which is needed to `verb`."""
        self._needs("decoder", verb)

    def needs_rebuilding(self, verb: str) -> None:
        """Raise SpaceError with the reason where items cannot be made again, which is needed to `verb`."""
        if not self.model._rebuilds:
            self._needs("decoder", verb)
        if self.part is not None:
            raise SpaceError(f"Only the {self.part} of this space was loaded: load it whole to {verb}.")

    def _needs(self, part: Part, verb: str) -> None:
        if part == "decoder" and not self.model._decodes:
            raise SpaceError(
                f"A space made by {type(self.model).__name__} has no decoder, which is needed to {verb}: fit an "
                "Autoencoder (fit --model autoencoder)."
            )
        if self.part not in (None, part):
            raise SpaceError(f"Only the {self.part} of this space was loaded: load it whole to {verb}.")


@overload
def load(
    path: str | Path,
    part: Part | None = None,
    network: Any = None,
    *,
    runtime: Literal["torch"] = "torch",
    store: str | None = None,
) -> Space: ...
@overload
def load(
    path: str | Path,
    part: Part | None = None,
    network: Any = None,
    *,
    runtime: Literal["onnx"],
    store: str | None = None,
) -> OnnxSpace: ...
def load(
    path: str | Path,
    part: Part | None = None,
    network: Any = None,
    *,
    runtime: str = "torch",
    store: str | None = None,
) -> Space | OnnxSpace:
    """Read the space in the folder `path`; with `part` only the weights of that half.

    With ``runtime="onnx"`` ONNX Runtime runs it instead of torch, which need not be installed: what comes back has
    `transform`, `inverse_transform` and `anomaly_score`.

    A space made with a network of one's own needs that (encoder, decoder) pair again as `network`: no code is
    stored. Items in a store are read when they are needed; `store` is its URL where that of the card, which has no
    password, does not do ("postgresql://user:password@host/database").

    Raises SpaceError with one sentence where there is none, or it is damaged or newer than this version.
    """
    if part not in (None, "encoder", "decoder"):
        raise SpaceError(f"A space has the parts 'encoder' and 'decoder', not {part!r}.")
    if runtime not in ("torch", "onnx"):
        raise OptionError(f"runtime must be 'torch' or 'onnx', not {runtime!r}.")
    path = Path(path)
    stored = read_card(path)
    if runtime == "onnx":
        return _load_onnx(path, stored, part)
    try:
        return _loaded(path, stored, part, network, store)
    except (SpaceError, FileNotFoundError):
        if read_card(path)["files"] == stored["files"]:
            raise
    return load(path, part, network, store=store)  # items came or went while it was read


def _loaded(path: Path, stored: dict[str, Any], part: Part | None, network: Any, store: str | None) -> Space:
    from latentspace.models.anomaly import Scorer
    from latentspace.models.base import from_state
    from latentspace.models.density import Density
    from latentspace.models.map import MapHead

    for name, expected in stored["files"].items():
        verify(path, name, expected)
    learnt = {f: read_weights(path / f, None) for f in (SCORER, MAP, DENSITY) if f in stored["files"]}
    fitted: dict[str, Any] = {
        "model": from_state(stored["model"], read_weights(path / NETWORK, part), network),
        "card": stored["card"],
        "figures": stored["figures"],
        "evidence": read_weights(path / EVIDENCE, None),
        "scorer": Scorer(learnt[SCORER]) if SCORER in learnt else None,
        "map": MapHead(learnt[MAP]) if MAP in learnt else None,
        "density": Density(learnt[DENSITY]) if DENSITY in learnt else None,
        "path": path,
        "part": part,
    }
    if stored.get("store") or store:
        from latentspace.space.stored import opened

        return opened(stored, store, fitted)
    return Space(**fitted, **_own_items(path, stored))


def _own_items(path: Path, stored: dict[str, Any]) -> dict[str, Any]:
    """The items of a space that are in its folder, as fields of Space."""
    known = {family(name): path / name for name in stored["files"]}
    ids, latents, held_out, labels = read_latents(known[LATENTS], stored["labels"])
    cells = stored.get("index") if INDEX in known else None
    return {
        "ids": ids,
        "latents": latents,
        "labels": labels,
        "held_out": held_out,
        "columns": read_columns(known[COLUMNS]) if COLUMNS in known else None,
        "cells": None if cells is None else (known[INDEX], cells["probes"], cells["recall"]),
    }


def _load_onnx(path: Path, stored: dict[str, Any], part: Part | None) -> OnnxSpace:
    """What the graphs are made of, from the files that they need; nothing here imports torch."""
    from latentspace.folder import find
    from latentspace.graphs.parts import Learnt
    from latentspace.graphs.runtime import OnnxSpace
    from latentspace.models.anomaly import Scorer

    model = stored["model"]
    if model["network"]["kind"] == "vit":
        raise SpaceError(
            "A vision transformer becomes a graph through torch: load this space with torch, and export it (export)."
        )
    if model["network"]["kind"] == "own":
        raise SpaceError(
            "This space was made with a network of your own, whose code is not stored: load it with torch, export it."
        )
    for name in (NETWORK, SCORER):
        if name in stored["files"]:
            verify(path, name, stored["files"][name])
    scorer = Scorer(read_weights(path / SCORER, None)) if SCORER in stored["files"] else None
    modality = find("data", model["modality"]["name"]).from_state(model["modality"]["state"])
    weights = read_weights(path / NETWORK, part)
    learnt = Learnt(
        modality, model["network"], weights, scorer, decodes=model["model"] not in WITHOUT_DECODER
    )
    return OnnxSpace(learnt, stored["card"])


def _on_sphere(z: NDArray[Any]) -> NDArray[Any]:
    """Latents (n, k) at a distance of 1 from 0, (n, k + 1); those without a direction point where no other does."""
    norms: NDArray[Any] = np.linalg.norm(z, axis=1, keepdims=True)
    return np.concatenate([z / np.where(norms > 0, norms, 1), norms == 0], axis=1, dtype=np.float32)


def _whitened(latents: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """What gives latents (n, k) unit variance along all axes of these."""
    mean = latents.mean(axis=0, dtype=float)
    values, axes = np.linalg.eigh(
        np.cov((latents - mean).T.astype(float), ddof=0).reshape(2 * (latents.shape[1],))
    )
    change = (axes / np.sqrt(np.maximum(values, FLAT * max(float(values[-1]), 1e-30)))).astype(np.float32)
    return lambda z: np.asarray((z - mean.astype(np.float32)) @ change)
