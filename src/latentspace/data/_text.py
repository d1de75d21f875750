"""Tables written as text: encoding, separator, decimal comma and header are found from the content."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentspace.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["BYTE_ORDER_MARKS", "MISSING", "check_names", "read_text", "text_batches"]

#: How a missing value is written in text.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "?")
BYTE_ORDER_MARKS = (
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
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")


def read_text(path: Path, data: bytes) -> pyarrow.Table:
    """The content of a text file as a table; raises DataError where it is none (see `files.read_frame`)."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    encoding = _encoding(data)
    # one block: a column's type is decided from all of it
    separator, options = _options(path, data, encoding, min(len(data) + 1, 2**30))
    try:
        table = arrow_csv.read_csv(pyarrow.BufferReader(data), *options)
    except (pyarrow.ArrowInvalid, UnicodeError) as error:
        raise _text_error(path, data.decode(encoding, "replace"), separator, str(error)) from error
    return _without_end(table)


def text_batches(path: Path, block: int = 2**24) -> Iterator[pyarrow.RecordBatch]:
    """The record batches of a large text file; a column's type is decided from the first `block` bytes.

    Raises pyarrow.ArrowInvalid where that does not fit what follows: `read_text` is to be used then.
    """
    from pyarrow import csv as arrow_csv

    with path.open("rb") as file:
        head = file.read(2**17)
    encoding = _encoding(head[: head.rfind(b"\n") + 1] or head)
    options = _options(path, head, encoding, block)[1]
    with arrow_csv.open_csv(str(path), *options) as reader:
        yield from reader


def _options(path: Path, data: bytes, encoding: str, block: int) -> tuple[str, tuple[Any, Any, Any]]:
    """The separator, and how pyarrow is to read, parse and convert a text that begins with `data`."""
    from pyarrow import csv as arrow_csv

    sample = _sample(path, data, encoding)
    separator = _separator(sample)
    rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=separator, skipinitialspace=True))
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        raise DataError(f"{path.name} holds nothing but blank lines.")
    names = _header(rows)
    if names and len(rows) == 1:
        raise DataError(f"{path.name} has column names but no rows.")
    check_names(path, names or [])
    read = arrow_csv.ReadOptions(
        encoding=encoding,
        block_size=block,
        column_names=names or [f"x{i}" for i in range(len(rows[0]))],
        skip_rows_after_names=1 if names else 0,
    )
    parse = arrow_csv.ParseOptions(
        delimiter=separator, newlines_in_values=True, ignore_empty_lines=len(rows[0]) > 1
    )
    convert = arrow_csv.ConvertOptions(
        null_values=list(MISSING),
        strings_can_be_null=True,
        decimal_point="," if _decimal_comma(rows[1:], separator) else ".",
    )
    return separator, (read, parse, convert)


def _encoding(data: bytes) -> str:
    """By byte-order mark; else UTF-8 where the bytes are; else Latin or what charset-normalizer finds.

    Bytes beyond ASCII stand alone in Latin text and in runs in other scripts, which short texts tell more
    surely than charset-normalizer does; western Latin (cp1252) is taken for all Latin.
    """
    for bom, name in BYTE_ORDER_MARKS:
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


def check_names(path: Path, names: list[str]) -> None:
    """Raise DataError where two columns of a file have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        listed = ", ".join(repr(name) for name in twice[:5])
        raise DataError(
            f"{path.name} has more than one column named {listed}: every column needs its own name."
        )
