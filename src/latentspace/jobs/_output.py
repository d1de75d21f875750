"""Writing what a job made, in the format that the file's extension names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Modality
from latentspace.errors import OptionError, nearest
from latentspace.space.atomic import whole

TABLES = (".csv", ".parquet", ".npy")
PICTURES = (".png", ".npy")


def check_out(out: str | Path | None, known: Sequence[str], folder: bool = False) -> None:
    """Raise OptionError where `out` has an extension that cannot be written; to be called before the work."""
    if out is None:
        return
    suffix = Path(out).suffix.lower()
    if suffix in known or (folder and not suffix):
        return
    also = " or a folder" if folder else ""
    given = f"{suffix!r}{nearest(suffix, known)}" if suffix else "no extension"
    raise OptionError(f"{out} has {given}: it can be {', '.join(known)}{also}.")


def kinds_for(modality: Modality) -> tuple[tuple[str, ...], bool]:
    """The extensions that items of this kind can be written with, and whether a folder will do."""
    return (PICTURES, True) if modality.name == "image" else (TABLES, False)


def write_items(modality: Modality, value: Any, out: str | Path, ids: NDArray[Any]) -> list[Path]:
    """Write items in the user's units: pictures, or a table whose columns have their names."""
    if modality.name == "image":
        return write_pictures(list(value), out, list(ids))
    names = [str(name) for name in modality.parts()]
    return write_table(value, out, ids, names)


def side_by_side(left: Sequence[NDArray[Any]], right: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Each picture beside its partner of the same size, as one picture."""
    return [np.concatenate([a, b], axis=1) for a, b in zip(left, right, strict=True)]


def write_table(
    value: Any, out: str | Path, ids: NDArray[Any] | None = None, names: Sequence[str] = ()
) -> list[Path]:
    """Write an array (n, k) or a frame as .csv, .parquet or .npy; `ids` become its first column."""
    out = Path(out)
    check_out(out, TABLES)
    if out.suffix.lower() == ".npy":
        return write_array(np.asarray(value), out)
    table = as_table(value, ids, names)
    with whole(out) as beside:
        _write_parquet(table, beside) if out.suffix.lower() == ".parquet" else _write_csv(table, beside)
    return [out]


def write_array(value: NDArray[Any], out: Path) -> list[Path]:
    """Write one array as .npy; raises OptionError where it would need a pickle."""
    if value.dtype.kind == "O":
        raise OptionError(
            f"{out} cannot hold columns of several types or unequal sizes: choose .csv or .png."
        )
    with whole(out) as beside, beside.open("wb") as handle:
        np.save(handle, value, allow_pickle=False)
    return [out]


def write_pictures(pictures: Sequence[NDArray[Any]], out: str | Path, names: Sequence[Any]) -> list[Path]:
    """Write pictures as one sheet (.png), one array (.npy), or one PNG each where `out` is a folder."""
    from PIL import Image

    from latentspace.plots import sheet

    out = Path(out)
    check_out(out, PICTURES, folder=True)
    if out.suffix.lower() == ".npy":
        return write_array(_stacked(pictures), out)
    if out.suffix:
        with whole(out) as beside:
            Image.fromarray(sheet(pictures)).save(beside, format="PNG")
        return [out]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OptionError(f"{out} is there already and is not an empty folder: choose another name.")
    with whole(out) as beside:
        beside.mkdir()
        for name, picture in zip(_file_names(names), pictures, strict=True):
            Image.fromarray(_for_png(picture)).save(beside / f"{name}.png", format="PNG")
    return [out]


def as_table(value: Any, ids: NDArray[Any] | None = None, names: Sequence[str] = ()) -> Any:
    """A pyarrow Table of any frame, or of an array, with `ids` first where there is one a row.

    An array (n, k) has the columns `names` (or z0, z1, ...); windows (n, C, T) become one row a sample.
    """
    import narwhals as nw
    import pyarrow as pa

    if not isinstance(value, np.ndarray):
        table = nw.from_native(value, eager_only=True).to_arrow()
    elif value.ndim == 3:
        return _samples(value, np.arange(len(value)) if ids is None else ids, names)
    else:
        flat = value.reshape(len(value), -1)
        names = names if len(names) == flat.shape[1] else [f"z{j}" for j in range(flat.shape[1])]
        table = pa.table(list(flat.T), names=[str(name) for name in names])
    if ids is None or "id" in table.column_names or len(ids) != table.num_rows:
        return table
    return table.add_column(0, "id", pa.array(ids))


def _samples(windows: NDArray[Any], ids: NDArray[Any], names: Sequence[str]) -> Any:
    """Windows (n, C, T) as one row a sample: window, sample, and a column a channel."""
    import pyarrow as pa

    n, channels, length = windows.shape
    names = names if len(names) == channels else [f"channel {c}" for c in range(channels)]
    columns = {"window": np.repeat(ids, length), "sample": np.tile(np.arange(length), n)}
    flat = windows.transpose(1, 0, 2).reshape(channels, -1)
    return pa.table({**columns, **dict(zip(names, flat, strict=True))})


def _write_csv(table: Any, path: Path) -> None:
    from pyarrow import csv

    csv.write_csv(table, path)


def _write_parquet(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path)


def _stacked(pictures: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len({p.shape for p in pictures}) > 1:
        raise OptionError("These pictures have unequal sizes, which one .npy cannot hold: choose a folder.")
    return np.stack(list(pictures))


def _for_png(picture: NDArray[Any]) -> NDArray[Any]:
    """Bytes (or 16-bit grey) as PNG stores them; floats are in [0, 1]."""
    planes = np.asarray(picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture)
    if planes.dtype == np.uint8 or (planes.dtype == np.uint16 and planes.ndim == 2):
        return planes
    if planes.dtype == np.uint16:
        return np.asarray(planes >> 8, np.uint8)
    return np.asarray(np.clip(planes.astype(float), 0, 1) * 255 + 0.5, np.uint8)


def _file_names(ids: Sequence[Any]) -> list[str]:
    """Ids as plain file names: no folders, and no extension unless it tells two apart."""
    flat = [str(i).replace("/", "-").replace("\\", "-") for i in ids]
    stems = [name.rsplit(".", 1)[0] if "." in name.strip(".") else name for name in flat]
    return stems if len(set(stems)) == len(stems) else flat
