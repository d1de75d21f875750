"""What an archive holds, said and written."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentspace.errors import OptionError
from latentspace.jobs._compress_words import size_words
from latentspace.jobs._output import check_out
from latentspace.jobs.base import Progress
from latentspace.space.atomic import whole
from latentspace.space.files import arrow_column

if TYPE_CHECKING:
    from latentspace.archive.reading import Archive
    from latentspace.archive.stored_pictures import StoredPictures
    from latentspace.data.base import Modality

__all__ = ["contents", "counted", "data", "described", "write"]

#: columns that are listed
MOST = 60
_KINDS = {"table": (".csv", ".parquet"), "arrays": (".npy", ".npz"), "pictures": ()}


def described(archive: Archive) -> list[str]:
    """What is in the file, in a few lines."""
    card = archive.card
    size = archive.size
    modes = {
        "lossless": "bit for bit",
        "max-error": "numbers within a bound",
        "quality": f"as latents, {card.get('psnr') or 0:.2f} dB",
    }
    return [
        f"{archive.path.name} holds {counted(archive, len(archive))} of {card['name']}, {modes[card['mode']]}.",
        f"{size_words(size)} for {size_words(card['nbytes'])}: {card['nbytes'] / max(1, size):.3g} to 1, "
        f"{8 * size / max(1, card['values']):.3g} bits a value. Written by latentspace {card['version']}.",
    ]


def counted(archive: Archive, count: int) -> str:
    """So many rows, pictures or items, or what arrays there are."""
    noun = {"pictures": "picture", "items": "item"}.get(archive.kind, "row")
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def contents(archive: Archive) -> dict[str, list[dict[str, Any]]]:
    """Columns or arrays, their types and bounds."""
    return {"Contents": archive.contents()[:MOST]}


def data(archive: Archive) -> dict[str, Any]:
    """The same as numbers."""
    card = archive.card
    keys = ("content", "name", "mode", "level", "seed", "nbytes", "values", "version", "format")
    return {k: card.get(k) for k in keys} | {
        "rows": len(archive),
        "bytes": archive.size,
        "contents": archive.contents(),
    }


def write(archive: Archive, out: Path, rows: slice | None, tell: Progress) -> list[Path]:
    """Write all or some rows, block by block where the kind of file allows; whole or not at all."""
    if archive.pictures is not None:
        return _write_pictures(archive, archive.pictures, out, rows, tell)
    if archive.modality is not None:
        return _write_items(archive, archive.modality, out, rows)
    known = _KINDS.get(archive.kind, (".csv", ".parquet", ".npy"))
    _check_kind(archive, out, known)
    if archive.kind == "table":
        return _write_table(archive, out, rows, tell)
    if out.suffix.lower() == ".npz":
        return _write_npz(archive, out, rows)
    return _write_npy(archive, out, rows, tell)


def _check_kind(archive: Archive, out: Path, known: tuple[str, ...]) -> None:
    what = {"table": "a table", "arrays": "arrays"}[archive.kind]
    if out.suffix.lower() not in known:
        raise OptionError(
            f"{archive.path.name} holds {what}, which can be written as {' or '.join(known)}, not as {out.name!r}."
        )
    check_out(out, known)
    several = archive.kind == "arrays" and len(archive.contents()) != 1
    if out.suffix.lower() == ".npy" and several:
        names = ", ".join(repr(row["name"]) for row in archive.contents()[:5])
        raise OptionError(
            f"{archive.path.name} holds several arrays ({names}), which go into one .npz, not .npy."
        )


def _write_table(archive: Archive, out: Path, rows: slice | None, tell: Progress) -> list[Path]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    schema = archive.table_schema()
    if out.suffix.lower() == ".csv":
        nested = next((f for f in schema if pa.types.is_nested(f.type)), None)
        if nested is not None:
            raise OptionError(
                f"{out} cannot hold the column {nested.name!r} of {nested.type}: choose .parquet."
            )
        make = pyarrow.csv.CSVWriter
    else:
        make = pq.ParquetWriter
    with whole(out) as beside:
        try:
            with make(beside, schema) as writer:
                for part in _parts(archive, rows, tell):
                    writer.write_table(part)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise OptionError(f"{out} cannot hold these columns ({str(error).splitlines()[0]}).") from error
    return [out]


def _parts(archive: Archive, rows: slice | None, tell: Progress) -> Iterator[Any]:
    start, stop = (0, len(archive)) if rows is None else (rows.start, rows.stop)
    for part, end in archive.parts(start, stop):
        yield part
        tell("unpacking", (end - start) / max(1, stop - start))


def _write_npy(archive: Archive, out: Path, rows: slice | None, tell: Progress) -> list[Path]:
    probe = archive.empty_array()
    if not probe.ndim:
        with whole(out) as beside, beside.open("wb") as handle:
            np.save(handle, archive.array(), allow_pickle=False)
        return [out]
    start, stop = (0, len(archive)) if rows is None else (rows.start, rows.stop)
    with whole(out) as beside, beside.open("wb") as handle:
        header = {
            "descr": np.lib.format.dtype_to_descr(probe.dtype),
            "fortran_order": False,
            "shape": (stop - start, *probe.shape[1:]),
        }
        np.lib.format.write_array_header_2_0(handle, header)
        for part in _parts(archive, rows, tell):
            handle.write(np.ascontiguousarray(part).tobytes())
    return [out]


def _write_npz(archive: Archive, out: Path, rows: slice | None) -> list[Path]:
    with whole(out) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED, allowZip64=True) as target:
        for name, array in archive.each_array(rows):
            with target.open(f"{name}.npy", "w", force_zip64=True) as handle:
                np.lib.format.write_array(handle, np.asanyarray(array), allow_pickle=False)
    return [out]


def _write_items(archive: Archive, modality: Modality, out: Path, rows: slice | None) -> list[Path]:
    """Items that were stored as latents, with their ids and labels."""
    from latentspace.jobs._output import TABLES, as_table, kinds_for, write_items, write_table

    check_out(out, *kinds_for(modality))
    ids, labels = archive.labelled(rows)
    value = archive.read(rows)
    if modality.name == "image" or out.suffix.lower() not in TABLES[:2] or not labels:
        return write_items(modality, value, out, ids)
    table = as_table(value, ids, [str(name) for name in modality.parts()])
    for name, column in labels.items():
        if len(column) == table.num_rows and name not in table.column_names:
            table = table.append_column(name, arrow_column(column))
    return write_table(table, out)


def _write_pictures(
    archive: Archive, pictures: StoredPictures, out: Path, rows: slice | None, tell: Progress
) -> list[Path]:
    if out.suffix and not out.is_dir():
        raise OptionError(
            f"{archive.path.name} holds pictures, which are written to a folder, not to {out.name!r}."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OptionError(f"{out} is there already and is not an empty folder: choose another name.")
    count = len(archive)
    start, stop = (0, count) if rows is None else (rows.start, rows.stop)
    with whole(out) as beside:
        beside.mkdir()
        for done, (name, save) in enumerate(pictures.files(start, stop)):
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            save(target)
            tell("unpacking", done / max(1, stop - start))
    return [out]
