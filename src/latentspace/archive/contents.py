"""From a path or an object to what an archive holds of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from latentspace.archive.arrays import arrays_content
from latentspace.archive.container import SUFFIX
from latentspace.archive.pictures import pictures_content
from latentspace.archive.sections import Content
from latentspace.archive.tables import parquet_content, table_content, text_content
from latentspace.data._picture_files import SUFFIXES, find_files
from latentspace.data.files import FRAME_SUFFIXES, LARGE, read_arrays, read_frame
from latentspace.errors import DataError

__all__ = ["content_of"]

#: tables of text
TEXT = (".csv", ".tsv", ".txt")


def content_of(source: Any) -> Content:
    """What `source` holds: a path of a table, arrays or pictures, a frame, an array, or named arrays.

    Raises DataError with one sentence where it cannot be read or stored.
    """
    if isinstance(source, (str, os.PathLike)):
        return _of_path(Path(source))
    if isinstance(source, np.ndarray):
        name = f"an array of {' x '.join(map(str, source.shape))}" if source.ndim else "a single number"
        return arrays_content({"X": source}, name, single=True)
    if isinstance(source, Mapping):
        return _of_mapping(source)
    if isinstance(source, (list, tuple)):
        return _of_list(list(source))
    return _of_frame(source)


def _of_path(path: Path) -> Content:
    if not path.exists():
        raise DataError(f"There is no file or folder {str(path)!r}.")
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in (".parquet", ".pq"):
        return _sized(_of_parquet(path), path)
    if suffix in FRAME_SUFFIXES:
        large = suffix in TEXT and path.suffix.lower() in TEXT and path.stat().st_size > LARGE
        return _sized(
            (text_content(path) if large else None) or table_content(read_frame(path), path.name), path
        )
    if suffix == ".wav":
        raise DataError(
            f"{path.name} is a sound: read it as an array first (scipy.io.wavfile), or store it as FLAC."
        )
    if path.is_dir():
        return _of_folder(path)
    if suffix in SUFFIXES:
        return pictures_content([path], path.parent)
    if suffix == SUFFIX:
        raise DataError(
            f"{path.name} is an archive already: `latentspace decompress` gets back what is in it."
        )
    arrays = read_arrays(path)
    if not arrays or not all(isinstance(a, np.ndarray) for a in arrays.values()):
        raise DataError(f"{path.name} is a ZIP archive, but none of arrays (.npz): unpack it first.")
    single = suffix != ".npz" and list(arrays) == ["X"]
    return _sized(arrays_content(arrays, path.name, single=single), path)


def _of_folder(folder: Path) -> Content:
    """The pictures anywhere below a folder; what else lies there is named in a note."""
    pictures = find_files(folder)
    if not pictures:
        raise DataError(
            f"The folder {str(folder)!r} holds no picture ({', '.join(sorted(SUFFIXES))}): of a folder, pictures are "
            "what is stored."
        )
    known = set(pictures)
    others = sorted(p for p in folder.rglob("*") if p.is_file() and p not in known)
    notes: tuple[str, ...] = ()
    if others:
        named = ", ".join(str(p.relative_to(folder)) for p in others[:3])
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        notes = (f"Not stored, being no pictures: {named}{more}.",)
    return pictures_content(pictures, folder, notes)


def _of_parquet(path: Path) -> Content:
    """Read group by group where that can be; else whole, with the errors of the one way to read tables."""
    import pyarrow as pa

    try:
        found = parquet_content(path)
    except (pa.ArrowInvalid, OSError):
        found = None
    return found or table_content(read_frame(path), path.name)


def _sized(content: Content, path: Path) -> Content:
    return replace(content, file_bytes=path.stat().st_size)


def _of_mapping(source: Mapping[str, Any]) -> Content:
    arrays = {str(key): np.asarray(value) for key, value in source.items()}
    if not arrays:
        raise DataError("The mapping is empty: there is nothing to store.")
    columns = all(a.ndim == 1 and len(a) == len(next(iter(arrays.values()))) for a in arrays.values())
    if columns and any(a.dtype.hasobject for a in arrays.values()):
        return _of_frame(dict(source))
    return arrays_content(arrays, f"a mapping of {len(arrays)} arrays")


def _of_list(source: list[Any]) -> Content:
    if not source:
        raise DataError("The list is empty: there is nothing to store.")
    if isinstance(source[0], Mapping):
        return _of_frame(source)
    if all(isinstance(p, (str, os.PathLike)) and Path(p).suffix.lower() in SUFFIXES for p in source):
        return _of_files([Path(p) for p in source])
    try:
        array = np.asarray(source)
    except ValueError as error:
        raise DataError(
            "The entries of this list have unequal sizes: give them as a mapping of arrays."
        ) from error
    return arrays_content({"X": array}, f"a list of {len(source)} entries", single=True)


def _of_files(paths: list[Path]) -> Content:
    missing = next((p for p in paths if not p.is_file()), None)
    if missing is not None:
        raise DataError(f"There is no file {str(missing)!r}.")
    root = Path(os.path.commonpath([p.resolve().parent for p in paths]))
    return pictures_content([p.resolve() for p in paths], root)


def _of_frame(source: Any) -> Content:
    """A frame of pandas, polars or pyarrow, or columns or rows of Python's own values."""
    import pyarrow as pa

    library = type(source).__module__.partition(".")[0]
    name = f"a {library} {type(source).__name__}"
    try:
        match library:
            case "pandas":
                return table_content(_of_pandas(source), name, "pandas")
            case "polars":
                return table_content(_of_polars(source), name, "polars")
            case "pyarrow":
                return table_content(source if isinstance(source, pa.Table) else pa.table(source), name)
        if isinstance(source, dict):
            return table_content(pa.table(source), f"a mapping of {len(source)} columns")
        if isinstance(source, list):
            return table_content(pa.Table.from_pylist(source), f"a list of {len(source)} rows")
    except (pa.ArrowException, TypeError, ValueError, UnicodeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} cannot be stored as a table: {_first_line(error)}.") from error
    raise DataError(f"{name} is nothing that can be stored: give a path, a frame, an array or named arrays.")


def _of_pandas(source: Any) -> Any:
    import pyarrow as pa

    frame = source.to_frame() if source.ndim == 1 else source
    names = [str(c) for c in frame.columns]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"More than one column is named {twice[0]!r}: every column needs its own name.")
    return pa.Table.from_pandas(frame)


def _of_polars(source: Any) -> Any:
    frame = source.collect() if hasattr(source, "collect") else source
    return (frame.to_frame() if hasattr(frame, "to_frame") else frame).to_arrow()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
