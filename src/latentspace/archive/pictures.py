"""A folder of pictures as sections: the pixels, or the files as they are, whichever is smaller."""

from __future__ import annotations

import base64
import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.fields import Cells, Field
from latentspace.archive.sections import Content, Section, slices
from latentspace.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Picture", "pictures_content"]

Array = NDArray[Any]
#: kinds of pixels that a PNG holds as they are: bits, numbers, and how many a pixel
MODES = {
    "1": ("|u1", 1),
    "L": ("|u1", 1),
    "LA": ("|u1", 2),
    "P": ("|u1", 1),
    "RGB": ("|u1", 3),
    "RGBA": ("|u1", 4),
}
MODES["I;16"] = ("<u2", 1)
#: kinds of files whose pixels are cheaper to store than their bytes: nothing was lost on the way into them
WHOLE = {"PNG", "BMP", "TIFF", "GIF", "PPM"}
#: what a picture carries beside its pixels
INFO = ("transparency", "icc_profile", "exif", "dpi", "gamma")
#: bytes of files in a block
_BLOCK = 2**23
#: so many pictures of one size and mode are stored as an array
_ALIKE = 4


@dataclass(frozen=True)
class Picture:
    """A picture file: its name below the folder, and, where its pixels can be stored, their kind and size."""

    path: Path
    name: str
    size: tuple[int, int] = (0, 0)
    mode: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array of its pixels."""
        width, height = self.size
        channels = MODES[self.mode][1]
        return (height, width) if channels == 1 else (height, width, channels)


def pictures_content(paths: Sequence[Path], root: Path, notes: tuple[str, ...] = ()) -> Content:
    """The content of picture files below `root`, in this order."""
    pictures = [_looked_at(path, path.relative_to(root).as_posix()) for path in paths]
    alike = Counter((p.mode, p.size) for p in pictures if p.mode)
    groups: dict[Any, list[int]] = {}
    for i, p in enumerate(pictures):
        key = (
            (p.mode, p.size)
            if p.mode and alike[p.mode, p.size] >= _ALIKE
            else ("unequal" if p.mode else "files")
        )
        groups.setdefault(key, []).append(i)
    sections, where = [], [[0, 0]] * len(pictures)
    for k, (key, members) in enumerate(groups.items()):
        chosen = [pictures[i] for i in members]
        sections.append(_section(str(k), chosen, key))
        for row, i in enumerate(members):
            where[i] = [k, row]
    entries = [_entry(p, at) for p, at in zip(pictures, where, strict=True)]
    nbytes = sum(p.path.stat().st_size for p in pictures)
    values = sum(_values(p) for p in pictures)
    schema = {"pictures": entries}
    return Content("pictures", root.name or str(root), sections, schema, nbytes, values, None, notes=notes)


def _values(p: Picture) -> int:
    return int(np.prod(p.shape)) if p.mode else p.size[0] * p.size[1]


def _looked_at(path: Path, name: str) -> Picture:
    """A file, with size and mode where Pillow reads it, it is one picture, and its pixels are worth storing."""
    try:
        with opened(path) as picture:
            picture.load()
            one = getattr(picture, "n_frames", 1) == 1
            fit = picture.format in WHOLE and picture.mode in MODES and one
            return Picture(path, name, picture.size, picture.mode if fit else "")
    except OSError as error:
        if isinstance(error, (PermissionError, FileNotFoundError)):
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        return Picture(path, name)
    except Exception:  # whatever is wrong with a picture, its file can be stored
        return Picture(path, name)


def opened(path: Path | io.BytesIO) -> Image:
    """A picture file, Pillow's notices silenced, its warning of too many pixels an error."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path)


def _entry(p: Picture, where: list[int]) -> list[Any]:
    """[name, section, row] of a file, with [mode, size, what it carries] where its pixels can be stored."""
    if not p.mode:
        return [p.name, *where]
    with opened(p.path) as picture:
        picture.load()
        info = {k: _plain(picture.info[k]) for k in INFO if k in picture.info}
        if p.mode == "P":
            palette = picture.palette
            assert palette is not None
            info["palette"] = [palette.mode, base64.b64encode(palette.tobytes()).decode()]
    return [p.name, *where, p.mode, list(p.size), *([info] if info else [])]


def _plain(value: Any) -> Any:
    return {"b": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value["b"])
    return tuple(value) if isinstance(value, list) else value


def _section(name: str, pictures: list[Picture], key: Any) -> Section:
    files = _bytes_section(name, pictures, lambda p: p.path.read_bytes())
    if key == "files":
        return files
    if key == "unequal":
        pixels = _bytes_section(name, pictures, lambda p: pixels_of(p).tobytes())
        pixels.fields[0] = Field("pixels", kind="bytes")
    else:
        pixels = _array_section(name, pictures)
    pixels.instead = files
    return pixels


def _bytes_section(name: str, pictures: list[Picture], data: Callable[[Picture], bytes]) -> Section:
    """The bytes of each, one after the other."""
    import pyarrow as pa

    mean = max(1, sum(p.path.stat().st_size for p in pictures) // len(pictures))
    rows = max(1, _BLOCK // mean)

    def read(step: int) -> Iterator[list[Cells]]:
        for part in slices(len(pictures), step):
            yield [Cells(pa.array([data(p) for p in pictures[part]], pa.large_binary()))]

    return Section(name, [Field("files", kind="bytes")], len(pictures), read, step=rows)


def _array_section(name: str, pictures: list[Picture]) -> Section:
    """The pixels of pictures of one size and mode."""
    first = pictures[0]
    dtype = MODES[first.mode][0]
    field = Field("pixels", dtype=dtype, shape=first.shape, exact=first.mode in ("1", "P"))

    def read(step: int) -> Iterator[list[Cells]]:
        for part in slices(len(pictures), step):
            yield [Cells(np.stack([pixels_of(p) for p in pictures[part]]))]

    return Section(name, [field], len(pictures), read, one_range=True)


def pixels_of(p: Picture) -> Array:
    """The pixels as they lie in the file: indices into its palette where it has one."""
    with opened(p.path) as picture:
        made = np.asarray(picture)
    return np.ascontiguousarray(made.astype(MODES[p.mode][0], copy=False)).reshape(p.shape)


# reading


def picture_of(entry: list[Any], pixels: Array) -> Image:
    """The picture of an entry with its pixels."""
    from PIL import Image

    mode, (width, height) = entry[3], entry[4]
    info = entry[5] if len(entry) > 5 else {}
    made = (
        Image.fromarray(pixels.astype(bool))
        if mode == "1"
        else Image.frombytes(mode, (width, height), pixels.tobytes())
    )
    if "palette" in info:
        kind, colours = info["palette"]
        made.putpalette(base64.b64decode(colours), kind)
    for key in INFO:
        if key in info:
            made.info[key] = _rich(info[key])
    return made


def save_picture(picture: Image, path: Path) -> None:
    """Write a PNG with what the picture carries."""
    known = {"transparency", "icc_profile", "exif", "dpi"}
    kept = {k: v for k, v in picture.info.items() if k in known}
    picture.save(path, format="PNG", **kept)


def shape_of(entry: list[Any]) -> tuple[int, ...]:
    """Of the pixels of an entry."""
    channels = MODES[entry[3]][1]
    width, height = entry[4]
    return (height, width) if channels == 1 else (height, width, channels)


def dtype_of(entry: list[Any]) -> str:
    """Of the pixels of an entry."""
    return MODES[entry[3]][0]


def png_names(entries: list[list[Any]], pixels: Callable[[list[Any]], bool]) -> list[str]:
    """A file name for each entry: its own, or as .png where its pixels are what is stored."""
    taken = {e[0] for e in entries if not pixels(e)}
    names = []
    for entry in entries:
        name = entry[0]
        if pixels(entry) and not name.lower().endswith(".png"):
            plain = str(Path(name).with_suffix(".png"))
            name = plain if plain not in taken and plain not in names else f"{name}.png"
        names.append(name)
    return names
