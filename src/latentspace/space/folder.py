"""A space: a fitted model with the items it has encoded, and the folder ``NAME.space/`` that holds it.

The folder: `space.json` (format, model card, schema, checksums), `network.safetensors` (weights),
`latents.parquet` (id, z0 …, labels), `evidence.safetensors` (what the report draws from) and, where there
were enough items, `scorer.safetensors` (what tells odd items) and `map.safetensors` (what places items on the
map). Nothing in it is executable and no pickle is read or written.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality
from latentspace.errors import SpaceError, nearest
from latentspace.space.atomic import whole
from latentspace.space.index import Index, Metric

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer
    from latentspace.models.map import MapHead

#: the format that this version writes, and the newest that it reads
FORMAT = 1
Part = Literal["encoder", "decoder"]
_NETWORK, _LATENTS, _EVIDENCE, _SCORER, _MAP, _CARD = (
    "network.safetensors",
    "latents.parquet",
    "evidence.safetensors",
    "scorer.safetensors",
    "map.safetensors",
    "space.json",
)


@dataclass(eq=False)
class Space:
    """A fitted model with the items it has encoded.

    model : a fitted model (Autoencoder, VariationalAutoencoder, Classifier).
    ids : (n,) the items' names; latents : (n, k) float32 where they lie.
    labels : name → (n,), kept out of training.
    held_out : (n,) True where the item was kept for measuring.
    card : what was fitted on what, how, and with which versions (JSON-able).
    figures : what was measured on the held-out items (JSON-able).
    evidence : arrays that the report draws from: a few held-out items, the rival.
    scorer : tells odd items; None where there were too few items to learn it from.
    map : places latents on a map; None where there were too few items.
    path : the folder it was saved to or loaded from.
    part : "encoder" or "decoder" where only that half was loaded.
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
    path: Path | None = None
    part: Part | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"<Space of {len(self):,} items in {self.latents.shape[1]} latents{where}>"

    @property
    def modality(self) -> Modality:
        """How the items become tensors and come back."""
        modality: Modality = self.model.modality_
        return modality

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
        z = np.asarray(z, np.float32)
        k = self.latents.shape[1]
        if z.ndim != 2 or z.shape[1] != k:
            raise SpaceError(f"These latents have shape {z.shape}; this space decodes (n, {k}).")
        if not np.isfinite(z).all():
            row = int(np.flatnonzero(~np.isfinite(z).all(axis=1))[0])
            raise SpaceError(f"Row {row} of these latents is not finite: only numbers can be decoded.")
        return self.modality.inverse_transform(self.model.decode(z))

    def reconstruct(self, data: Any) -> Any:
        """The items of `data` through their latents and back, in the user's own units; gaps are filled in."""
        self._needs("decoder", "reconstruct")
        items = self.items(data)
        return self.modality.inverse_transform(self.model.decode(self.encode(items)), items)

    def nearest(
        self,
        z: Any,
        k: int = 10,
        *,
        metric: Metric = "euclidean",
        where: str | None = None,
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """(rows (q, k) of the space, distances (q, k)) of the k items nearest to latents z (q, latents).

        where : a condition on labels and columns that an item must fulfil, such as "price > 100 and kind = 'a'".
        Row -1 at an infinite distance where fewer than k items are found.
        """
        return self.index.nearest(np.asarray(z, np.float32), k)

    @cached_property
    def index(self) -> Index:
        """Finds the nearest items."""
        return Index(self.latents)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the space to the folder `path` (".space" is added), whole or not at all; returns where it is.

        Raises SpaceError where something is there already, unless it is a space and `overwrite` is given.
        """
        if self.part:
            raise SpaceError(f"Only the {self.part} of this space was loaded: load it whole to save it.")
        path = _named(Path(path))
        check_free(path, overwrite=overwrite)
        with whole(path, SpaceError) as beside:
            beside.mkdir()
            self._write(beside)
        self.path = path
        return path

    def _write(self, folder: Path) -> None:
        from safetensors.numpy import save

        state, weights = self.model.to_state()
        contents = {_NETWORK: weights, _EVIDENCE: self.evidence}
        for file, head in ((_SCORER, self.scorer), (_MAP, self.map)):
            if head is not None:
                contents[file] = head.arrays()
        for file, arrays in contents.items():
            # Written by us: safetensors' own files could be read by their owner only.
            (folder / file).write_bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
        _write_latents(self, folder / _LATENTS)
        files = {name: _stamp(folder / name) for name in (*contents, _LATENTS)}
        card = {
            "latentspace": "space",
            "format": FORMAT,
            "labels": list(self.labels),
            "card": self.card,
            "figures": self.figures,
            "model": state,
            "files": files,
        }
        (folder / _CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")

    def _needs(self, part: Part, verb: str) -> None:
        if self.part not in (None, part):
            raise SpaceError(f"Only the {self.part} of this space was loaded: load it whole to {verb}.")


def load(path: str | Path, part: Part | None = None, network: Any = None) -> Space:
    """Read the space in the folder `path`; with `part` only the weights of that half.

    A space made with a network of one's own needs that (encoder, decoder) pair again as `network`: no code is
    stored.

    Raises SpaceError with one sentence where there is none, or it is damaged or newer than this version.
    """
    from latentspace.models.anomaly import Scorer
    from latentspace.models.base import from_state
    from latentspace.models.map import MapHead

    if part not in (None, "encoder", "decoder"):
        raise SpaceError(f"A space has the parts 'encoder' and 'decoder', not {part!r}.")
    path = Path(path)
    stored = _read_card(path)
    for name, stamp in stored["files"].items():
        _verify(path, name, stamp)
    learnt = {f: _read_weights(path / f, None) for f in (_SCORER, _MAP) if f in stored["files"]}
    ids, latents, held_out, labels = _read_latents(path / _LATENTS, stored["labels"])
    return Space(
        model=from_state(stored["model"], _read_weights(path / _NETWORK, part), network),
        ids=ids,
        latents=latents,
        labels=labels,
        held_out=held_out,
        card=stored["card"],
        figures=stored["figures"],
        evidence=_read_weights(path / _EVIDENCE, None),
        scorer=Scorer(learnt[_SCORER]) if _SCORER in learnt else None,
        map=MapHead(learnt[_MAP]) if _MAP in learnt else None,
        path=path,
        part=part,
    )


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise SpaceError where `path` cannot become a space: something is there that may not be replaced."""
    if not path.exists() and not path.is_symlink():
        return
    if not _is_space(path):
        raise SpaceError(f"{path} is there already and is not a space: choose another name.")
    if not overwrite:
        raise SpaceError(f"The space {path} is there already: choose another name, or overwrite it.")


def _is_space(path: Path) -> bool:
    try:
        return bool(json.loads((path / _CARD).read_text(encoding="utf-8")).get("latentspace") == "space")
    except (OSError, ValueError, AttributeError):
        return False


def _named(path: Path) -> Path:
    return path if path.suffix == ".space" else path.with_name(path.name + ".space")


def _read_card(path: Path) -> dict[str, Any]:
    """space.json, once it is sure that this version can read it."""
    if not path.exists():
        near = nearest(path.stem, [p.stem for p in path.parent.glob("*.space")])
        raise SpaceError(f"There is no space at {path}{near}.")
    if not path.is_dir():
        raise SpaceError(f"{path} is a file; a space is a folder, as written by `latentspace fit`.")
    if not (path / _CARD).is_file():
        raise SpaceError(f"{path} is not a space: it has no {_CARD}.")
    try:
        stored = json.loads((path / _CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise SpaceError(f"The space {path} is damaged: its {_CARD} cannot be read ({failure}).") from failure
    if not isinstance(stored, dict) or stored.get("latentspace") != "space":
        raise SpaceError(f"{path} is not a space: its {_CARD} was not written by latentspace.")
    if stored.get("format", 0) > FORMAT:
        raise SpaceError(
            f"The space {path} has format {stored['format']}; this latentspace reads up to {FORMAT}: "
            "upgrade latentspace."
        )
    missing = {"model", "card", "figures", "files", "labels"} - set(stored)
    if missing:
        raise SpaceError(f"The space {path} is damaged: its {_CARD} lacks {', '.join(sorted(missing))}.")
    return stored


def _stamp(file: Path) -> dict[str, Any]:
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def _verify(path: Path, name: str, stamp: dict[str, Any]) -> None:
    file = path / name
    try:
        found = _stamp(file)
    except FileNotFoundError as failure:
        raise SpaceError(f"The space {path} is damaged: {name} is missing.") from failure
    except OSError as failure:
        raise SpaceError(f"{file} cannot be read: {failure.strerror}.") from failure
    if found["bytes"] != stamp["bytes"]:
        size = f"{found['bytes']:,} bytes where {stamp['bytes']:,} were written"
        raise SpaceError(f"The space {path} is damaged: {name} has {size}; copy it again from its source.")
    if found["sha256"] != stamp["sha256"]:
        raise SpaceError(f"The space {path} is damaged: {name} has changed since it was written.")


def _read_weights(file: Path, part: Part | None) -> dict[str, NDArray[Any]]:
    """Arrays by name; with `part`, without those of the other half."""
    from safetensors import safe_open

    other = {"encoder": "decoder.", "decoder": "encoder."}.get(part or "")
    with safe_open(file, framework="numpy") as stored:
        names = [n for n in stored.keys() if not (other and n.startswith(other))]  # noqa: SIM118 (no mapping)
        return {name: stored.get_tensor(name) for name in names}


def _write_latents(space: Space, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    held_out = np.zeros(len(space), bool) if space.held_out is None else space.held_out
    columns = [("id", space.ids), *((f"z{j}", z) for j, z in enumerate(space.latents.T))]
    columns += [("held_out", held_out), *space.labels.items()]
    pq.write_table(pa.table([arrow_column(v) for _, v in columns], names=_distinct(columns)), file)


def arrow_column(values: NDArray[Any]) -> Any:
    """`values` (n,) as a pyarrow array; a mixture of types as text."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a mixture of types has no column type of its own
        return pa.array([None if v is None else str(v) for v in values])


def _distinct(columns: list[tuple[str, Any]]) -> list[str]:
    """Column names; a label that is called like an earlier column is told apart."""
    names: list[str] = []
    for name, _ in columns:
        names.append(name if name not in names else f"{name} (label)")
    return names


def _read_latents(
    file: Path, labels: list[str]
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], dict[str, NDArray[Any]]]:
    import pyarrow.parquet as pq

    columns = [c.to_numpy() for c in pq.read_table(file).columns]
    split = len(columns) - len(labels)
    latents = np.empty((len(columns[0]), split - 2), np.float32)
    for j, column in enumerate(columns[1 : split - 1]):
        latents[:, j] = column
    named = dict(zip(labels, columns[split:], strict=True))
    return columns[0], latents, columns[split - 1].astype(bool), named
