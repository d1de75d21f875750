"""Reading files as they are: tables (CSV, Parquet, Arrow) and arrays (NumPy, IDX), never unpickling.

Everything that can be wrong with a file is told as a DataError of one sentence that names the file.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._text import BYTE_ORDER_MARKS, MISSING, check_names, read_text
from latentspace.errors import DataError

if TYPE_CHECKING:
    import pyarrow


__all__ = ["ARRAY_SUFFIXES", "FRAME_SUFFIXES", "MISSING", "read_arrays", "read_frame"]
#: Suffixes that `read_frame` reads; those of text may have ``.gz`` after them.
FRAME_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".feather", ".arrow", ".ipc")
#: Suffixes that `read_arrays` reads; IDX files also go by names such as ``train-images-idx3-ubyte.gz``.
ARRAY_SUFFIXES = (".npy", ".npz", ".idx")
#: A .npy of more bytes than this is memory-mapped rather than read.
LARGE = 64 * 2**20
_PARQUET, _ARROW = (".parquet", ".pq"), (".feather", ".arrow", ".ipc")
_MAGIC = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a RIFF file (WAV or WebP)"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive (.npz, .xlsx, ...)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"FEA1", "a Feather (version 1) file"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x89HDF", "an HDF5 file"),
)
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_frame(path: str | Path) -> pyarrow.Table:
    """Read a table: CSV, TSV or TXT (also ``.gz``), Parquet, Feather or Arrow IPC, by the file's extension.

    Of text, the encoding, the separator (``, ; tab |``), the decimal comma and a missing header (then the
    columns are ``x0, x1, ...``) are found from the content; `MISSING` lists how a gap may be written.

    Raises DataError where the file is missing, unreadable, empty, damaged or not what its extension says,
    where a row has too many or too few cells, and where two columns have one name.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("size;price\\n1,5;2\\n;3\\n")
    >>> read_frame(folder / "a.csv").to_pydict()
    {'size': [1.5, None], 'price': [2, 3]}
    """
    path = _existing(path)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in _PARQUET:
        table = _read_parquet(path)
    elif suffix in _ARROW:
        table = _read_arrow(path)
    elif suffix in FRAME_SUFFIXES:
        table = read_text(path, _text_bytes(path))
    else:
        raise DataError(f"{path.name} is not a kind of table that can be read: {', '.join(FRAME_SUFFIXES)}.")
    check_names(path, table.column_names)
    if table.num_rows == 0:
        raise DataError(f"{path.name} has column names but no rows.")
    return table


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a .npz, or the one array, named ``"X"``, of a .npy or IDX file (also .gz).

    A large ``.npy`` is memory-mapped, read-only. Raises DataError where the file is missing, damaged, of
    another kind, or holds Python objects, which could only be unpickled.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.npy"
    >>> np.save(path, np.arange(3))
    >>> read_arrays(path)["X"]
    array([0, 1, 2])
    """
    path = _existing(path)
    head = _head(path)
    try:
        if head.startswith(b"PK\x03\x04"):
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        if head.startswith(b"\x93NUMPY") and path.stat().st_size > LARGE:
            return {"X": np.load(path, mmap_mode="r", allow_pickle=False)}
        data = _bytes(path)
        if data.startswith(b"\x93NUMPY"):
            return {"X": np.load(io.BytesIO(data), allow_pickle=False)}
    except Exception as error:  # NumPy has no error of its own for a damaged file
        raise _array_error(path, error) from error
    if data[:2] == b"\0\0" and len(data) >= 4 and data[2] in _IDX_TYPES:
        return {"X": _idx(path, data)}
    raise DataError(
        f"{path.name} holds {_content(data[:64])}; arrays are read from .npy, .npz and IDX files."
    )


def _existing(path: str | Path) -> Path:
    """The path, once it is known to be a readable, non-empty file."""
    path = Path(path).expanduser()
    try:
        if not path.exists():
            raise DataError(f"There is no file {path}.")
        if path.is_dir():
            raise DataError(f"{path} is a folder, not a file.")
        if path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty (0 bytes).")
        path.open("rb").close()
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: no permission.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return path


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _content(head: bytes) -> str:
    """What the first bytes of a file say that it is."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(tuple(bom for bom, _ in BYTE_ORDER_MARKS)) or b"\0" not in head:
        return "text"
    return "unknown binary data"


def _bytes(path: Path) -> bytes:
    """The whole content, gunzipped where it is gzipped."""
    if not _head(path).startswith(b"\x1f\x8b"):
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is a damaged or cut-off gzip file.") from error


def _array_error(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    if "pickle" in str(error).lower() and "object" in str(error).lower():
        return DataError(
            f"{path.name} holds an array of Python objects, which is not read as unpickling can run code: "
            "save numbers or fixed-width strings (array.astype(float) or .astype(str)) instead."
        )
    return DataError(f"{path.name} is damaged or cut off and cannot be read as NumPy arrays.")


def _idx(path: Path, data: bytes) -> NDArray[Any]:
    """Decode IDX: two zero bytes, type, number of axes, big-endian sizes, then the values."""
    axes, dtype = data[3], np.dtype(_IDX_TYPES[data[2]])
    start = 4 + 4 * axes
    if axes == 0 or len(data) < start:
        raise DataError(f"{path.name} is cut off within its IDX header.")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", axes, 4))
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(data) - start != wanted:
        raise DataError(
            f"{path.name} should hold {wanted:,} bytes of values by its IDX header, "
            f"but holds {len(data) - start:,}."
        )
    values = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _read_parquet(path: Path) -> pyarrow.Table:
    import pyarrow.parquet

    return _read_binary(path, b"PAR1", "Parquet", lambda file: pyarrow.parquet.read_table(file))


def _read_arrow(path: Path) -> pyarrow.Table:
    import pyarrow.feather

    return _read_binary(path, b"ARROW1", "Arrow", lambda file: pyarrow.feather.read_table(file))


def _read_binary(path: Path, magic: bytes, kind: str, read: Any) -> pyarrow.Table:
    import pyarrow

    head = _head(path)
    if not head.startswith(magic):
        raise DataError(f"{path.name} holds {_content(head)}, not the {kind} table that its extension says.")
    try:
        # pyarrow's own file: a Python one would be called from its threads, even while Python shuts down
        with pyarrow.OSFile(str(path)) as file:
            return read(file)
    except (
        Exception
    ) as error:  # pyarrow raises OSError, ArrowInvalid, ArrowIOError, ... by the kind of damage
        raise DataError(f"{path.name} is a damaged or cut-off {kind} file.") from error


def _text_bytes(path: Path) -> bytes:
    data = _bytes(path)
    kind = _content(data[:64])
    if kind != "text":
        raise DataError(f"{path.name} holds {kind}, not the text table that its extension says.")
    return data
