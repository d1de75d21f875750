"""Pictures of an archive as they are read: their files, or PNGs of the same pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from latentspace.archive.fields import Cells
from latentspace.archive.pictures import dtype_of, opened, picture_of, png_names, save_picture, shape_of
from latentspace.archive.stored import StoredSection, far
from latentspace.errors import DataError

if TYPE_CHECKING:
    from latentspace.archive.container import Reader

__all__ = ["StoredPictures"]


class StoredPictures:
    """The pictures of a file, by their entries [name, section, row, mode, size, ...] in the card."""

    def __init__(self, file: Reader, sections: list[StoredSection]) -> None:
        self._file, self._sections = file, sections
        self.entries: list[list[Any]] = file.card["schema"]["pictures"]

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, start: int, stop: int) -> list[Any]:
        """Their pixels, those of a palette as colours."""
        return [np.asarray(plain_pixels(picture)) for _, picture in self.pictures(start, stop)]

    @property
    def names(self) -> list[str]:
        """The pictures' file names, as they are written again."""
        return self._file.said(lambda: png_names(self.entries, self._is_pixels))

    def pictures(self, start: int, stop: int) -> Iterator[tuple[str, Any]]:
        """File names and Pillow's pictures; one whose file cannot be read as a picture raises DataError."""
        for name, entry, value in self._pictures(start, stop):
            if isinstance(value, bytes):
                try:
                    picture = opened(io.BytesIO(value))
                    picture.load()
                except Exception as error:
                    raise DataError(
                        f"{name} of {self._file.path.name} was no readable picture when it was stored."
                    ) from error
                yield name, picture
            else:
                yield name, self._file.said(lambda e=entry, v=value: picture_of(e, v))  # type: ignore[misc]

    def files(self, start: int, stop: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
        """File names, and what writes each: the file as it was, or a PNG of the same pixels."""
        for name, entry, value in self._pictures(start, stop):
            if isinstance(value, bytes):
                yield name, partial(_write_bytes, value)
            else:
                picture = self._file.said(lambda e=entry, v=value: picture_of(e, v))  # type: ignore[misc]
                yield name, partial(save_picture, picture)

    def _safe(self, name: str) -> str:
        """A file name that stays below the folder it is written to."""
        if (
            not name
            or PurePosixPath(name).is_absolute()
            or ".." in name.replace("\\", "/").split("/")
            or ":" in name
        ):
            raise self._file.damaged(f"{name!r} is no name of a picture")
        return name

    def _pictures(self, start: int, stop: int) -> Iterator[tuple[str, list[Any], Any]]:
        """Names, entries, and the bytes of the file or the pixels."""
        entries, names = self.entries, [self._safe(name) for name in self.names]
        held: dict[int, tuple[int, list[Cells]]] = {}
        for name, entry in zip(names[start:stop], entries[start:stop], strict=True):
            yield name, entry, self._file.said(lambda e=entry: self._picture(e, held))  # type: ignore[misc]

    def _picture(self, entry: list[Any], held: dict[int, tuple[int, list[Cells]]]) -> Any:
        k, row = entry[1], entry[2]
        section = self._sections[k]
        number = row // section.step
        if held.get(k, (-1,))[0] != number:
            held[k] = (number, section.block(number))
        cell = held[k][1][0].values[row - number * section.step]
        if isinstance(cell, np.ndarray) or section.fields[0].name == "files":
            return cell if isinstance(cell, np.ndarray) else cell.as_py()
        return np.frombuffer(cell.as_py(), dtype_of(entry)).reshape(shape_of(entry))

    def _is_pixels(self, entry: list[Any]) -> bool:
        return bool(self._sections[entry[1]].fields[0].name != "files")

    def contents(self) -> list[dict[str, Any]]:
        """How many there are of which size and mode, and how they are stored."""
        rows = []
        for k, section in enumerate(self._sections):
            members = [e for e in self.entries if e[1] == k]
            kinds = sorted({e[3] for e in members if len(e) > 3})
            sizes = sorted({tuple(e[4]) for e in members if len(e) > 4})
            size = (
                f"{sizes[0][0]} x {sizes[0][1]}"
                if len(sizes) == 1
                else "several"
                if sizes
                else "as in the files"
            )
            files = section.fields[0].name == "files"
            bound = next((f.bound for f in section.fields if f.bound), None)
            rows.append(
                {
                    "pictures": len(members),
                    "size": size,
                    "mode": " ".join(kinds) or "as in the files",
                    "stored as": "files" if files else "pixels",
                    "error up to": far(bound),
                }
            )
        return rows


def plain_pixels(picture: Any) -> Any:
    """A picture whose numbers are colours: without a palette."""
    if picture.mode != "P":
        return picture
    return picture.convert("RGBA" if "transparency" in picture.info else "RGB")


def _write_bytes(data: bytes, path: Path) -> None:
    path.write_bytes(data)
