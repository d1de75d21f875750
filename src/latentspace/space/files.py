"""The files of a space: how they are named, stamped, checked, written and read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import SpaceError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

    from latentspace.space.folder import Space

Part = Literal["encoder", "decoder"]

#: the newest format that this version reads; it writes 2 where the items are in a store, and else 1
FORMAT = 2
NETWORK, EVIDENCE, SCORER, MAP, DENSITY, CARD = (
    "network.safetensors",
    "evidence.safetensors",
    "scorer.safetensors",
    "map.safetensors",
    "density.safetensors",
    "space.json",
)
#: what changes when items are added or removed, and what a file of it is called before the first time
LATENTS, COLUMNS, INDEX = "latents.parquet", "columns.parquet", "index.faiss"


def family(name: str) -> str:
    """What a file of a space is called before items were added or removed.

    >>> family("latents.2.parquet"), family("latents.parquet")
    ('latents.parquet', 'latents.parquet')
    """
    first, *_, last = name.split(".")
    return f"{first}.{last}"


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
        return bool(json.loads((path / CARD).read_text(encoding="utf-8")).get("latentspace") == "space")
    except (OSError, ValueError, AttributeError):
        return False


def named(path: Path) -> Path:
    """`path` with ".space" at its end."""
    return path if path.suffix == ".space" else path.with_name(path.name + ".space")


def read_card(path: Path) -> dict[str, Any]:
    """space.json, once it is sure that this version can read it."""
    if not path.exists():
        near = nearest(path.stem, [p.stem for p in path.parent.glob("*.space")])
        raise SpaceError(f"There is no space at {path}{near}.")
    if not path.is_dir():
        raise SpaceError(f"{path} is a file; a space is a folder, as written by `latentspace fit`.")
    if not (path / CARD).is_file():
        raise SpaceError(f"{path} is not a space: it has no {CARD}.")
    try:
        stored = json.loads((path / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise SpaceError(f"The space {path} is damaged: its {CARD} cannot be read ({failure}).") from failure
    if not isinstance(stored, dict) or stored.get("latentspace") != "space":
        raise SpaceError(f"{path} is not a space: its {CARD} was not written by latentspace.")
    if stored.get("format", 0) > FORMAT:
        raise SpaceError(
            f"The space {path} has format {stored['format']}; this latentspace reads up to {FORMAT}: "
            "upgrade latentspace."
        )
    missing = {"model", "card", "figures", "files", "labels"} - set(stored)
    if missing:
        raise SpaceError(f"The space {path} is damaged: its {CARD} lacks {', '.join(sorted(missing))}.")
    return stored


def has_store(path: Path) -> bool:
    """Whether the items of the space at `path` are in a store, and not in its folder."""
    return bool(read_card(path).get("store"))


def stamp(file: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def verify(path: Path, name: str, expected: dict[str, Any]) -> None:
    """Raise SpaceError where the file `name` of the space at `path` is not as its stamp says."""
    file = path / name
    try:
        found = stamp(file)
    except FileNotFoundError as failure:
        raise SpaceError(f"The space {path} is damaged: {name} is missing.") from failure
    except OSError as failure:
        raise SpaceError(f"{file} cannot be read: {failure.strerror}.") from failure
    if found["bytes"] != expected["bytes"]:
        size = f"{found['bytes']:,} bytes where {expected['bytes']:,} were written"
        raise SpaceError(f"The space {path} is damaged: {name} has {size}; copy it again from its source.")
    if found["sha256"] != expected["sha256"]:
        raise SpaceError(f"The space {path} is damaged: {name} has changed since it was written.")


def read_weights(file: Path, part: Part | None) -> dict[str, NDArray[Any]]:
    """Arrays by name; with `part`, without those of the other half."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as stored:
        return {name: stored.get_tensor(name) for name in of_part(stored.keys(), part)}


def of_part(names: Iterable[str], part: Part | None) -> list[str]:
    """The names of weights without those of the half that `part` is not; all where it is None."""
    other = {"encoder": "decoder.", "decoder": "encoder."}.get(part or "")
    return [name for name in names if not (other and name.startswith(other))]


def write_items(space: Space, folder: Path, number: str = "") -> list[str]:
    """Write what changes when items are added or removed into `folder`, with a number (".2") in the files' names,
    which are returned."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def file(name: str) -> Path:
        first, last = name.split(".")
        return folder / f"{first}{number}.{last}"

    held_out = np.zeros(len(space), bool) if space.held_out is None else space.held_out
    columns = [("id", space.ids), *((f"z{j}", z) for j, z in enumerate(space.latents.T))]
    columns += [("held_out", held_out), *space.labels.items()]
    pq.write_table(pa.table([arrow_column(v) for _, v in columns], names=_distinct(columns)), file(LATENTS))
    if space.columns is not None:
        pq.write_table(space.columns, file(COLUMNS), compression="zstd")
    space.index.write(file(INDEX))
    return [file(name).name for name in (LATENTS, COLUMNS, INDEX) if file(name).exists()]


def write_card(file: Path, card: dict[str, Any]) -> None:
    """Write `space.json`."""
    file.write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")


def read_columns(file: Path) -> pa.Table:
    """What the items' own columns say, a row an item."""
    import pyarrow.parquet as pq

    return pq.read_table(file)


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


def read_latents(
    file: Path, labels: list[str]
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.bool_], dict[str, NDArray[Any]]]:
    """(ids (n,), latents (n, k), held_out (n,), labels by name) as `write_items` wrote them."""
    import pyarrow.parquet as pq

    columns = [c.to_numpy() for c in pq.read_table(file).columns]
    split = len(columns) - len(labels)
    latents = np.empty((len(columns[0]), split - 2), np.float32)
    for j, column in enumerate(columns[1 : split - 1]):
        latents[:, j] = column
    named = dict(zip(labels, columns[split:], strict=True))
    return columns[0], latents, columns[split - 1].astype(bool), named
