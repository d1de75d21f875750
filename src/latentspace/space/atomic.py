"""Files and folders that are either wholly there or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentspace.errors import LatentspaceError, OptionError


@contextmanager
def whole(path: Path, error: type[LatentspaceError] = OptionError) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or a folder at; it takes `path`'s place once all is written.

    Whatever goes wrong, nothing is left beside `path` and what was there before stays. An OSError is raised
    as one sentence of class `error`.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with whole(target) as beside:
    ...     _ = beside.write_text("hello")
    >>> target.read_text(), len(list(target.parent.iterdir()))
    ('hello', 1)
    """
    beside = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}"
    try:
        yield beside
        sync(beside)
        _replace(beside, path)
    except OSError as failure:
        raise error(_sentence(path, failure)) from failure
    finally:
        _remove(beside)


def sync(written: Path) -> None:
    """Ask the disk to hold it before it takes its name, so that a power cut leaves old or new."""
    for file in [*written.rglob("*"), written] if written.is_dir() else [written]:
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _replace(beside: Path, path: Path) -> None:
    """Rename `beside` to `path`; a folder in the way is moved off first and removed last."""
    if not path.is_dir():
        os.replace(beside, path)
        return
    old = path.parent / f".{path.stem}.{uuid.uuid4().hex[:8]}.old"
    os.rename(path, old)
    try:
        os.rename(beside, path)
    except OSError:
        os.rename(old, path)
        raise
    _remove(old)


def _remove(leftover: Path) -> None:
    if leftover.is_dir():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        leftover.unlink(missing_ok=True)


def _sentence(path: Path, failure: OSError) -> str:
    match failure.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"The disk is full: {path} was not written; make room or choose another place."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"No permission to write {path}: choose a place that you may write to."
        case errno.ENOENT | errno.ENOTDIR if not path.parent.is_dir():
            return f"There is no folder {path.parent} to write {path.name} in: make it first."
    return f"{path} cannot be written: {failure.strerror or failure}."
