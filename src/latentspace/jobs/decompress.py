"""The data that `compress` stored, or some rows of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from latentspace.errors import OptionError
from latentspace.jobs.base import Progress, Result, job, opened

__all__ = ["decompress"]


@job
def decompress(
    file: str | Path,
    out: str | Path | None = None,
    *,
    rows: str | None = None,
    space: Any = None,
    progress: Progress | None = None,
) -> Result:
    """Get back what compress stored; without a place to write it, say what is in the file.

    Parameters
    ----------
    file
        The file that compress wrote.
    out
        Where the data go: a table as .csv or .parquet, arrays as .npy or .npz, pictures as a folder.
    rows
        Only some, as in 100:200 (from row 100 up to but without row 200); only what is needed is read.
    space
        The space that a file written with refer refers to.
    progress
        Called with what is going on and the share done.
    """
    from latentspace.archive.reading import Archive
    from latentspace.jobs import _decompress_files as files

    archive = Archive(file, None if space is None else opened(space))
    part = _part(rows, len(archive))
    if out is None:
        return Result(
            "\n".join(files.described(archive)),
            tables=files.contents(archive),
            data=files.data(archive),
            value=archive,
        )
    if Path(out).exists() and Path(out).samefile(file):
        raise OptionError(f"{out} is the archive itself: choose another name.")
    written = files.write(archive, Path(out), part, progress or (lambda words, share: None))
    count = len(archive) if part is None else part.stop - part.start
    return Result(
        f"{files.counted(archive, count)} of {archive.path.name}.",
        files=written,
        data={"rows": count},
        value=archive,
    )


def _part(rows: Any, count: int) -> slice | None:
    """Rows written as 100:200, :200 or 100: as a slice of `count` of them."""
    if rows is None:
        return None
    match = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", str(rows))
    if not match:
        raise OptionError(f"rows must be two row numbers, as in 100:200, not {rows!r}.")
    start, stop = int(match[1] or 0), int(match[2] or count)
    if not start < stop <= count:
        raise OptionError(f"rows {rows} is not within the {count:,} rows of this file (0:{count}).")
    return slice(start, stop)
