"""Reading files as they are: tables (CSV, Parquet, Arrow) and arrays (NumPy, IDX), never unpickling.

Everything that can be wrong with a file is told as a DataError of one sentence that names the file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["ARRAY_SUFFIXES", "FRAME_SUFFIXES", "MISSING", "read_arrays", "read_frame"]

#: How a missing value is written in text.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "?")
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
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
#: Encodings considered where the bytes are not UTF-8, of all that exist: the common one of each script.
_ENCODINGS = [
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp932",
    "gb18030",
    "big5",
    "euc_kr",
]
_SEPARATORS = ",;\t|"
_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")


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
        table = _read_text(path)
    else:
        raise DataError(f"{path.name} is not a kind of table that can be read: {', '.join(FRAME_SUFFIXES)}.")
    _check_names(path, table.column_names)
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
    if head.startswith(tuple(bom for bom, _ in _BOMS)) or b"\0" not in head:
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


def _check_names(path: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        listed = ", ".join(repr(name) for name in twice[:5])
        raise DataError(
            f"{path.name} has more than one column named {listed}: every column needs its own name."
        )


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
    head = _head(path)
    if not head.startswith(magic):
        raise DataError(f"{path.name} holds {_content(head)}, not the {kind} table that its extension says.")
    try:
        with path.open("rb") as file:
            return read(file)
    except (
        Exception
    ) as error:  # pyarrow raises OSError, ArrowInvalid, ArrowIOError, ... by the kind of damage
        raise DataError(f"{path.name} is a damaged or cut-off {kind} file.") from error


def _read_text(path: Path) -> pyarrow.Table:
    import pyarrow
    from pyarrow import csv as arrow_csv

    data = _bytes(path)
    kind = _content(data[:64])
    if kind != "text":
        raise DataError(f"{path.name} holds {kind}, not the text table that its extension says.")
    encoding = _encoding(data)
    sample = _sample(path, data, encoding)
    separator = _separator(sample)
    rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=True))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise DataError(f"{path.name} holds nothing but blank lines.")
    names = _header(rows)
    if names and len(rows) == 1:
        raise DataError(f"{path.name} has column names but no rows.")
    _check_names(path, names or [])
    try:
        table = arrow_csv.read_csv(
            pyarrow.BufferReader(data),
            arrow_csv.ReadOptions(
                encoding=encoding,
                block_size=min(len(data) + 1, 2**30),  # one block: a column's type is decided from all of it
                column_names=names or [f"x{i}" for i in range(len(rows[0]))],
                skip_rows_after_names=1 if names else 0,
            ),
            arrow_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, ignore_empty_lines=len(rows[0]) > 1
            ),
            arrow_csv.ConvertOptions(
                null_values=list(MISSING),
                strings_can_be_null=True,
                decimal_point="," if _decimal_comma(rows[1:], separator) else ".",
            ),
        )
    except (pyarrow.ArrowInvalid, UnicodeError) as error:
        raise _text_error(path, data.decode(encoding, "replace"), separator, str(error)) from error
    return _without_end(table)


def _encoding(data: bytes) -> str:
    """By byte-order mark; else UTF-8 where the bytes are; else Latin or what charset-normalizer finds.

    Bytes beyond ASCII stand alone in Latin text and in runs in other scripts, which short texts tell more
    surely than charset-normalizer does; western Latin (cp1252) is taken for all Latin.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return name
    first = _not_utf8(data)
    if first is None:
        return "utf-8"
    start = data.rfind(b"\n", 0, first) + 1
    part = data[start : start + 2**16]
    runs = re.findall(rb"[\x80-\xff]+", part)
    if sum(map(len, runs)) >= 1.6 * len(runs):
        from charset_normalizer import from_bytes

        best = from_bytes(part, cp_isolation=_ENCODINGS).best()
        if best is not None:
            return best.encoding
    return "latin-1" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", part) else "cp1252"


def _not_utf8(data: bytes) -> int | None:
    """About where the first byte is that is not UTF-8 (None: there is none), without a copy of the whole."""
    if data.isascii():
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), 2**20):
        try:
            decoder.decode(data[start : start + 2**20], final=start + 2**20 >= len(data))
        except UnicodeDecodeError as error:
            return start + error.start
    return None


def _sample(path: Path, data: bytes, encoding: str) -> str:
    """The first lines (about 64 kB) as text."""
    text = data[: 2**16].decode(encoding, "ignore").removeprefix("\ufeff")
    if "\0" in text:
        raise DataError(f"{path.name} holds binary data, not the text table that its extension says.")
    if len(data) > 2**16 and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return text


def _separator(sample: str) -> str:
    """The separator that cuts most lines into the same number of cells, as many as the first line has.

    Where the first line holds none there is one column, and any separator that occurs nowhere will do.
    """
    if not any(separator in sample.split("\n", 1)[0] for separator in _SEPARATORS):
        return next((separator for separator in _SEPARATORS if separator not in sample), ",")
    best, score = ",", 0.0
    for separator in _SEPARATORS:
        widths = [
            len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=separator) if row
        ][:200]
        usual = max(set(widths), key=widths.count) if widths else 1
        share = widths.count(usual) / max(len(widths), 1)
        if usual > 1 and share + (widths[0] == usual) > score:
            best, score = separator, share + (widths[0] == usual)
    return best


def _decimal_comma(rows: list[list[str]], separator: str) -> bool:
    """Whether the cells write 1,5 and none writes 1.5."""
    if separator == "," and not any("," in cell for row in rows for cell in row):
        return False
    cells = [cell for row in rows for cell in row]
    commas = sum(bool(_DECIMAL_COMMA.fullmatch(cell)) for cell in cells)
    return commas > 0 and not any(_DECIMAL_POINT.fullmatch(cell) for cell in cells)


def _header(rows: list[list[str]]) -> list[str] | None:
    """The first row as names, or None where it is data: numbers that do not count 0, 1, 2, ... or years."""
    first = [cell.strip() for cell in rows[0]]
    numbers = [cell for cell in first if _is_number(cell)]
    if numbers and len(numbers) == len(first) and not _counts(numbers):
        return None
    return [name or ("index" if i == 0 else f"column_{i}") for i, name in enumerate(first)]


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _counts(cells: list[str]) -> bool:
    return all(cell.isdigit() for cell in cells) and bool(np.all(np.diff([int(cell) for cell in cells]) == 1))


def _records(text: str, separator: str) -> Iterator[tuple[int, int]]:
    """(line, number of cells) of every record; the line is the one where the record ends, from 1."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    for row in reader:
        if row:
            yield reader.line_num, len(row)


def _text_error(path: Path, text: str, separator: str, reason: str) -> DataError:
    """The sentence for a text table that cannot be read: the first ragged line where there is one."""
    wanted = 0
    try:
        for line, cells in _records(text, separator):
            wanted = wanted or cells
            if cells != wanted:
                return DataError(
                    f"{path.name}, line {line}, has {cells} cell{'s' * (cells != 1)} where the first has "
                    f"{wanted} (separator {separator!r}): every line needs the same number."
                )
    except csv.Error as error:
        reason = str(error)
    return DataError(f"{path.name} cannot be read as a text table: {reason.splitlines()[0].rstrip('.')}.")


def _without_end(table: pyarrow.Table) -> pyarrow.Table:
    """The table without the empty last row of a one-column file that ends in a newline, blank lines kept."""
    if table.num_columns == 1 and table.num_rows and not table.column(0)[-1].is_valid:
        return table.slice(0, table.num_rows - 1)
    return table
