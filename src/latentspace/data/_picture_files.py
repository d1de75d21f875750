"""Picture files: their headers first, then each decoded straight down to the working size."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._pictures import SMALLEST, Pictures, by, letterbox, resize, resized
from latentspace.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

#: File name endings that are looked at in a folder.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass
class Reading:
    """What reading files found on the way: names kept, parts skipped, and counts worth a note."""

    names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    transparent: int = 0
    animated: int = 0

    def skip(self, name: str, reason: str, strict: bool) -> None:
        """Remember a broken part; raises DataError where `strict`."""
        if strict:
            raise DataError(f"The picture {name!r} cannot be read: {reason}.")
        self.skipped.append((name, reason))


@dataclass(frozen=True)
class Header:
    """What a picture file says before it is decoded; height and width are those after EXIF rotation."""

    path: Path
    name: str
    height: int
    width: int
    mode: str


def find_files(folder: Path) -> list[Path]:
    """Picture files anywhere below `folder` by their ending, sorted; hidden ones are left out."""
    found = [
        Path(where, name)
        for where, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
    ]
    return sorted(found)


@contextmanager
def _opened(path: Path) -> Iterator[PillowImage]:
    """A picture file with Pillow's notices silenced, but its warning of a decompression bomb an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as picture:
            yield picture


def _reason(error: Exception) -> str:
    """Why a file could not be decoded, without its path."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is empty or no picture"
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return "it claims more pixels than is safe to decode"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return (str(error) or type(error).__name__).rstrip(".")


def read_headers(paths: Sequence[Path], root: Path, reading: Reading, strict: bool) -> list[Header]:
    """The headers of all readable files; the rest goes to ``reading.skipped``."""
    headers = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            headers.append(_header(path, name, reading))
        except Exception as error:  # a damaged file may raise anything: whatever it is, the file is skipped
            reading.skip(name, _reason(error), strict)
    return headers


def _header(path: Path, name: str, reading: Reading) -> Header:
    with _opened(path) as picture:
        width, height = picture.size
        if picture.mode == "F":
            raise ValueError("its pixels are floating-point numbers; save them as .npy instead")
        if min(width, height) < SMALLEST:
            raise ValueError(f"{width} x {height} pixels are too small (at least {SMALLEST} x {SMALLEST})")
        # EXIF orientations 5 to 8 lie on their side
        if picture.getexif().get(0x0112, 1) >= 5:
            width, height = height, width
        reading.transparent += _transparent(picture)
        reading.animated += bool(getattr(picture, "is_animated", False))
        return Header(path, name, height, width, picture.mode)


def _transparent(picture: PillowImage) -> bool:
    return "A" in picture.mode.upper().replace("LAB", "") or "transparency" in picture.info


def decode(
    headers: list[Header], size: tuple[int, int], depth: Any, grey: bool, reading: Reading, strict: bool
) -> Pictures:
    """Decode each file straight down to `size` (height, width), in numbers of type `depth`."""
    pixels = np.zeros((len(headers), *size, 1 if grey else 3), depth)
    boxes: list[tuple[int, ...]] = []
    sizes: list[tuple[int, int]] = []
    for header in headers:
        box = letterbox((header.height, header.width), size)
        top, left, height, width = box
        try:
            picture = _decoded(header.path, (height, width), depth, grey)
        except Exception as error:  # as in read_headers
            reading.skip(header.name, _reason(error), strict)
            continue
        pixels[len(boxes), top : top + height, left : left + width] = picture
        boxes.append(box)
        sizes.append((header.height, header.width))
        reading.names.append(header.name)
    kept = pixels[: len(boxes)]
    whole = all(box == (0, 0, *size) for box in boxes)
    return Pictures(kept, None if whole else np.array(boxes), np.array(sizes), "nhw" if grey else "nhwc")


def _decoded(path: Path, size: tuple[int, int], depth: Any, grey: bool) -> NDArray[Any]:
    """(height, width, C) of one file."""
    from PIL import ImageOps

    with _opened(path) as picture:
        # lets a JPEG be decoded at a fraction of its size
        picture.draft(None, (2 * max(size), 2 * max(size)))
        upright = ImageOps.exif_transpose(picture) or picture
        if upright.mode.startswith("I"):
            return _sixteen_bit(np.asarray(upright), size, depth, grey)
        flat = _on_white(upright).convert("L" if grey else "RGB")
        array = resized(flat, size)
        array = array[:, :, None] if array.ndim == 2 else array
        return array.astype(depth) * 257 if depth == np.uint16 else array


def _sixteen_bit(array: NDArray[Any], size: tuple[int, int], depth: Any, grey: bool) -> NDArray[Any]:
    if array.min() < 0 or array.max() > 65535:
        raise ValueError("its pixels are 32-bit numbers; 16-bit is the most that is read")
    small = resize(array.astype(np.uint16)[:, :, None], size)
    small = small if depth == np.uint16 else (small // 257).astype(depth)
    return small if grey else np.repeat(small, 3, axis=2)


def _on_white(picture: PillowImage) -> PillowImage:
    """The picture without transparency: what shines through is white."""
    from PIL import Image

    if not _transparent(picture):
        return picture
    layered = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")


def folders(names: list[str]) -> dict[str, NDArray[Any]]:
    """The label "folder", where the files lie in two or more."""
    folders = [name.rpartition("/")[0] for name in names]
    return {"folder": np.array(folders)} if len(set(folders)) > 1 else {}


def none_readable(source: str, reading: Reading) -> str:
    """The sentence where not one file could be read."""
    name, reason = reading.skipped[0]
    if len(reading.skipped) == 1:
        return f"The picture {name!r} cannot be read: {reason}."
    return f"None of the {len(reading.skipped)} pictures of {source} can be read; {name!r}: {reason}."


def file_notes(pictures: Pictures, reading: Reading) -> tuple[str, ...]:
    """What was done to the pictures on the way, a sentence each."""
    sizes = pictures.sizes
    assert sizes is not None
    working = pictures.pixels.shape[1:3]
    notes = []
    kinds = len(np.unique(sizes, axis=0))
    if kinds > 1:
        (short, narrow), (tall, wide) = sizes.min(axis=0), sizes.max(axis=0)
        notes.append(
            f"Pictures of {kinds} sizes, {_span(short, tall)} pixels high and {_span(narrow, wide)} wide, "
            f"were brought to {by(working)} (option size); padding does not count."
        )
    elif tuple(sizes[0]) != working:
        notes.append(f"Pictures of {by(sizes[0])} pixels were brought to {by(working)} (option size).")
    if reading.transparent:
        notes.append(f"Transparent pixels of {reading.transparent} pictures were laid on white.")
    if reading.animated:
        notes.append(f"Of {reading.animated} animated or many-page files the first picture was read.")
    return tuple(notes)


def _span(low: int, high: int) -> str:
    return f"{low} to {high}" if low < high else f"{low}"
