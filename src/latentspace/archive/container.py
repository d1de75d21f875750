"""The file itself: a ZIP archive of stored members, written beside its name and renamed, and told when damaged."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from latentspace.errors import DataError, LatentspaceError, OptionError
from latentspace.space.atomic import whole

__all__ = ["CARD", "FORMAT", "SUFFIX", "Reader", "Writer", "writing"]

#: the format that this version writes, and the newest that it reads
FORMAT = 1
SUFFIX = ".lsz"
CARD = "archive.json"
#: the time in every member: the same data give the same bytes
_TIME = (1980, 1, 1, 0, 0, 0)
#: a member that is to be packed by the ZIP itself uses LZMA from here on
_LONG = 2**16


T = TypeVar("T")
#: what a damaged member can make go wrong on the way, beside what is said on purpose
_SURPRISES = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError, OverflowError, zlib.error,
)  # fmt: skip


class Writer:
    """Adds members to a file that is being written; `size` is what they and their entries take so far."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.size = 22  # the end of the directory

    def add(self, name: str, data: bytes, *, pack: bool = False) -> None:
        """Write one member as it is, or packed where it is text."""
        how = (
            (zipfile.ZIP_LZMA if len(data) > _LONG else zipfile.ZIP_DEFLATED) if pack else zipfile.ZIP_STORED
        )
        entry = zipfile.ZipInfo(name, _TIME)
        entry.compress_type = how
        self._archive.writestr(entry, data, how, 9)
        self.size += self._archive.getinfo(name).compress_size + 2 * len(name) + 30 + 46

    def add_json(self, name: str, value: Any) -> None:
        """Write a member of JSON, packed."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        self.add(name, text.encode(), pack=True)


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A writer of the file `path`, which is there once all is written, or not at all.

    Raises OptionError with one sentence where it cannot be written.
    """
    check_path(path)
    with whole(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        yield Writer(archive)


def check_path(path: Path) -> None:
    """Raise OptionError where `path` cannot become an archive; to be called before the work."""
    if path.suffix.lower() != SUFFIX:
        given = repr(path.suffix) if path.suffix else "no extension"
        raise OptionError(f"{path} has {given}: an archive ends in {SUFFIX}.")
    if path.is_dir():
        raise OptionError(f"{path} is a folder: an archive is a file, choose another name.")
    if not path.parent.is_dir():
        raise OptionError(f"There is no folder {path.parent} to write {path.name} in: make it first.")


class Reader:
    """Reads members of the file `path`; raises DataError with one sentence at whatever is wrong with it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._archive = zipfile.ZipFile(self.path)
        except FileNotFoundError as error:
            raise DataError(f"There is no file {self.path}.") from error
        except IsADirectoryError as error:
            raise DataError(f"{self.path} is a folder; an archive is a file ending in {SUFFIX}.") from error
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}.") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise self._foreign() from error
        self.card = self._card()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def names(self) -> list[str]:
        """All members."""
        return self._archive.namelist()

    def read(self, name: str) -> bytes:
        """One member whole, its checksum verified."""
        try:
            return self._archive.read(name)
        except KeyError as error:
            raise self.damaged(f"{name} is missing") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise self.damaged(f"{name} has changed since it was written") from error
        except Exception as error:  # LZMA's own
            raise self.damaged(f"{name} cannot be unpacked") from error

    def read_json(self, name: str) -> Any:
        """One member of JSON."""
        try:
            return json.loads(self.read(name))
        except ValueError as error:
            raise self.damaged(f"{name} cannot be read") from error

    def damaged(self, reason: str) -> DataError:
        """The error to raise where something in the file is wrong."""
        return DataError(f"{self.path.name} is damaged: {reason}; get it again from its source.")

    def said(self, work: Callable[[], T]) -> T:
        """What `work` gives; whatever goes wrong in a damaged file is said as one sentence about it."""
        try:
            return work()
        except DataError as error:
            if self.path.name in str(error):
                raise
            raise self.damaged(str(error)) from error
        except LatentspaceError:
            raise
        except _SURPRISES as error:
            raise self.damaged(f"a part of it does not make sense ({error})") from error

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    def _foreign(self) -> DataError:
        with self.path.open("rb") as file:
            head = file.read(4)
        if head == b"PK\x03\x04":
            return DataError(
                f"{self.path.name} is damaged or cut off: the directory at its end is missing; "
                "get it again from its source."
            )
        said = "is empty" if not head else "is no such file"
        return DataError(f"{self.path.name} {said}: archives are written by `latentspace compress`.")

    def _card(self) -> dict[str, Any]:
        if CARD not in self.names():
            raise DataError(
                f"{self.path.name} is a ZIP file but no archive of latentspace: it has no {CARD}."
            )
        card = self.read_json(CARD)
        if not isinstance(card, dict) or card.get("latentspace") != "archive":
            raise DataError(f"{self.path.name} is no archive of latentspace: its {CARD} is something else.")
        if not isinstance(card.get("format"), int) or card["format"] > FORMAT:
            raise DataError(
                f"{self.path.name} has format {card.get('format')}; this latentspace reads up to {FORMAT}: "
                "upgrade latentspace."
            )
        return card
