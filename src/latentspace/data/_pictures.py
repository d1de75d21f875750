"""Pictures as arrays: their axes, ranges and sizes, and how they come to one working size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import DataError, Reject

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

#: Files of one common size are kept at it up to KEEP_FILES pixels a side, arrays up to KEEP_ARRAYS; anything
#: else is brought to at most LONGEST and at least SHORTEST pixels a side.
KEEP_FILES, KEEP_ARRAYS, LONGEST, SHORTEST = 128, 256, 64, 8
#: A picture with a side below this has nothing to learn from.
SMALLEST = 4
#: Pictures handled at once where a temporary copy is needed.
CHUNK = 512


def by(shape: Sequence[int]) -> str:
    """Sides with a cross between them, for messages: (28, 28) is "28 x 28"."""
    return " x ".join(str(side) for side in shape)


def chunks(n: int) -> list[slice]:
    """Slices of CHUNK rows over n."""
    return [slice(start, start + CHUNK) for start in range(0, n, CHUNK)]


@dataclass(frozen=True)
class Pictures:
    """Pictures at one working size.

    pixels : (n, H, W, C) in the user's own number type; padding holds 0.
    boxes : (n, 4) top, left, height, width of each picture inside H x W (None: each fills it).
    sizes : (n, 2) height and width of the originals (None: H x W).
    layout : the axes as the user had them: "nhw", "nhwc", "nchw" or "list" (pictures of unequal size).
    """

    pixels: NDArray[Any]
    boxes: NDArray[np.int64] | None = None
    sizes: NDArray[np.int64] | None = None
    layout: str = "nhwc"

    def take(self, rows: NDArray[Any]) -> Pictures:
        """The pictures at `rows`."""
        boxes = None if self.boxes is None else self.boxes[rows]
        sizes = None if self.sizes is None else self.sizes[rows]
        return replace(self, pixels=self.pixels[rows], boxes=boxes, sizes=sizes)

    def cropped(self) -> list[NDArray[Any]]:
        """Each picture (h, w, C) without its padding, at the working size."""
        if self.boxes is None:
            return list(self.pixels)
        return [
            picture[top : top + height, left : left + width]
            for picture, (top, left, height, width) in zip(self.pixels, self.boxes, strict=True)
        ]

    def inside(self) -> NDArray[np.bool_] | None:
        """(n, H, W): True on the picture, False on its padding (None: no padding)."""
        if self.boxes is None:
            return None
        top, left, height, width = (side[:, None, None] for side in self.boxes.T)
        row = np.arange(self.pixels.shape[1])[None, :, None]
        column = np.arange(self.pixels.shape[2])[None, None, :]
        inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
        return np.asarray(inside)


def working_size(sizes: NDArray[np.int64], keep: int) -> tuple[int, int]:
    """Height and width to work at: a common size up to `keep`, else the median shape within bounds.

    >>> working_size(np.array([[28, 28], [28, 28]]), keep=128)
    (28, 28)
    >>> working_size(np.array([[480, 640], [640, 480], [480, 640]]), keep=128)
    (48, 64)
    """
    height, width = np.median(sizes, axis=0)
    if (sizes == sizes[0]).all() and max(height, width) <= keep:
        return int(height), int(width)
    shrink = min(1.0, LONGEST / max(height, width))
    # in steps of four, so that convolutions can halve both sides twice
    sides = [max(SHORTEST, 4 * round(side * shrink / 4)) for side in (height, width)]
    return sides[0], sides[1]


def letterbox(size: tuple[int, int], into: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, height, width of a picture of `size` brought as large as possible into `into`.

    A side that would fall short by no more than a pixel is stretched over it.

    >>> letterbox((100, 50), (64, 64))
    (0, 16, 64, 32)
    """
    scale = min(into[0] / size[0], into[1] / size[1])
    sides = [max(1, round(side * scale)) for side in size]
    height, width = (full if full - side <= 1 else side for side, full in zip(sides, into, strict=True))
    return (into[0] - height) // 2, (into[1] - width) // 2, height, width


def resized(picture: PillowImage, size: tuple[int, int]) -> NDArray[Any]:
    """Resized with area-aware interpolation; `size` is (height, width)."""
    from PIL import Image

    height, width = size
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(picture)


def resize(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(h, w, C) brought to `size` in its own number type; gaps (NaN) stay gaps where they prevail."""
    if picture.shape[:2] == size:
        return picture
    planes = [_resize_plane(picture[:, :, c].astype(np.float32), size) for c in range(picture.shape[2])]
    small = np.stack(planes, axis=2)
    if picture.dtype.kind in "iu":
        limits = np.iinfo(picture.dtype)
        small = np.clip(np.rint(small), limits.min, limits.max)
    return small >= 0.5 if picture.dtype == bool else small.astype(picture.dtype)


def _resize_plane(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    from PIL import Image

    gaps = np.isnan(plane)
    if not gaps.any():
        return resized(Image.fromarray(plane), size)
    weight = resized(Image.fromarray((~gaps).astype(np.float32)), size)
    total = resized(Image.fromarray(np.where(gaps, np.float32(0), plane)), size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= 0.5, total / weight, np.float32(np.nan))


def place(pictures: Sequence[NDArray[Any]], size: tuple[int, int], layout: str) -> Pictures:
    """Pictures (h, w, C) of any sizes brought to one working size."""
    kinds = np.result_type(*{picture.dtype for picture in pictures})
    pixels = np.zeros((len(pictures), *size, pictures[0].shape[2]), kinds)
    boxes = [letterbox((p.shape[0], p.shape[1]), size) for p in pictures]
    for row, (picture, (top, left, height, width)) in enumerate(zip(pictures, boxes, strict=True)):
        pixels[row, top : top + height, left : left + width] = resize(picture, (height, width))
    whole = all(box == (0, 0, *size) for box in boxes)
    sizes = np.array([p.shape[:2] for p in pictures])
    return Pictures(pixels, None if whole else np.array(boxes), sizes, layout)


def as_grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """(..., 3) to (..., 1) by luminance, in the same number type."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    grey = np.rint(grey) if pixels.dtype.kind in "iu" else grey
    return np.asarray(grey >= 0.5 if pixels.dtype == bool else grey.astype(pixels.dtype))[..., None]


def over_white(pixels: NDArray[Any]) -> NDArray[Any]:
    """(..., 4) with an alpha channel to (..., 3) laid on white, in the same number type."""
    full = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1.0
    alpha = pixels[..., 3:].astype(np.float32) / full
    mixed = pixels[..., :3] * alpha + full * (1 - alpha)
    return np.asarray((np.rint(mixed) if pixels.dtype.kind in "iu" else mixed).astype(pixels.dtype))


def channels_last(array: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """A view (n, h, w, c) of `array` and the name of the axes that it had."""
    if array.ndim == 3 and array.shape[2] in (3, 4):  # one picture in colour: no picture is 3 pixels wide
        return array[None], "nhwc"
    if array.ndim == 3:
        return array[:, :, :, None], "nhw"
    if array.ndim == 4 and array.shape[3] in (1, 3, 4):
        return array, "nhwc"
    if array.ndim == 4 and array.shape[1] in (1, 3, 4):
        return np.moveaxis(array, 1, 3), "nchw"
    raise Reject(
        f"An array of shape {array.shape} is no stack of pictures: those are (n, h, w), (n, h, w, c) or "
        "(n, c, h, w) with 1, 3 or 4 channels."
    )


def arranged(pixels: NDArray[Any], layout: str) -> NDArray[Any]:
    """Pixels (n, C, H, W) with the axes in the user's order."""
    if layout == "nchw":
        return pixels
    return pixels[:, 0] if layout == "nhw" else np.moveaxis(pixels, 1, 3)


def check_pixels(pixels: NDArray[Any]) -> None:
    """Raises DataError on what cannot be pixels: no pictures, too small, text, infinities."""
    n, height, width, _ = pixels.shape
    if n == 0:
        raise DataError("There are no pictures in the array; at least one is needed.")
    if min(height, width) < SMALLEST:
        raise DataError(
            f"Pictures of {height} x {width} are too small; at least {SMALLEST} x {SMALLEST} are needed."
        )
    if pixels.dtype.kind not in "buif":
        raise DataError(f"Pixels are numbers, not {pixels.dtype}; convert them to uint8 or float.")
    if pixels.dtype.kind == "f":
        for rows in chunks(n):
            infinite = np.isinf(pixels[rows]).any(axis=(1, 2, 3))
            if infinite.any():
                row = rows.start + int(infinite.argmax())
                raise DataError(f"Picture {row} has an infinite pixel; replace it, or use NaN for a gap.")


def recolour(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    if pixels.shape[-1] == channels:
        return pixels
    return as_grey(pixels) if channels == 1 else np.repeat(pixels, 3, axis=-1)


def colourless(pixels: NDArray[Any]) -> bool:
    """Whether colour pictures hold nothing but grey."""
    return pixels.shape[3] == 3 and all(
        (pixels[rows, ..., :1] == pixels[rows, ..., 1:]).all() for rows in chunks(len(pixels))
    )


def value_range(pictures: Pictures) -> tuple[float, float]:
    """Smallest and largest observed pixel; raises DataError where there is none."""
    low, high = np.inf, -np.inf
    for rows in chunks(len(pictures.pixels)):
        seen = _seen(pictures, rows)
        if seen.any():
            observed = pictures.pixels[rows][seen]
            low, high = min(low, float(observed.min())), max(high, float(observed.max()))
    if low > high:
        raise DataError("The pictures hold nothing but gaps (NaN); at least one pixel must be observed.")
    return low, high


def mean_picture(pictures: Pictures, low: float, span: float) -> tuple[NDArray[np.float64], float]:
    """Mean (H, W, C) of the observed pixels scaled by (p − low) / span, and their deviation from it.

    A pixel that no picture shows takes the mean of its channel. The deviation is one number for all.
    """
    shape = pictures.pixels.shape[1:]
    total, squares, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for rows in chunks(len(pictures.pixels)):
        seen = _seen(pictures, rows)
        scaled = np.where(seen, (pictures.pixels[rows].astype(np.float32) - low) / span, 0)
        total += scaled.sum(axis=0, dtype=np.float64)
        squares += np.square(scaled).sum(axis=0, dtype=np.float64)
        count += seen.sum(axis=0)
    channel = total.sum(axis=(0, 1)) / np.maximum(count.sum(axis=(0, 1)), 1)
    mean = np.where(count > 0, total / np.maximum(count, 1), channel)
    variance = (squares.sum() - (count * mean**2).sum()) / count.sum()
    return mean, float(np.sqrt(variance)) if variance > 1e-6 else 1.0


def _seen(pictures: Pictures, rows: slice) -> NDArray[np.bool_]:
    """Which of the pixels `rows` (m, H, W, C) are on a picture and no gap."""
    chunk = pictures.pixels[rows]
    seen = ~np.isnan(chunk) if chunk.dtype.kind == "f" else np.ones(chunk.shape, bool)
    inside = replace(pictures, boxes=None if pictures.boxes is None else pictures.boxes[rows]).inside()
    return seen if inside is None else seen & inside[..., None]


def full_range(dtype: np.dtype[Any]) -> int | None:
    """The largest value of an unsigned number type; None where the type sets no range."""
    if dtype.kind == "b":
        return 1
    return int(np.iinfo(dtype).max) if dtype in (np.uint8, np.uint16) else None


def scale_of(
    dtype: np.dtype[Any], low: float, high: float
) -> tuple[float, float, tuple[float, float] | None]:
    """What becomes 0, what becomes 1, and the range that reconstructions are clipped to."""
    full = full_range(dtype)
    if full is not None:
        # a 12-bit picture in 16 bits, or a 0/1 mask in 8, would otherwise hardly leave 0
        return 0.0, float(high) if 0 < high < full / 2 else float(full), (0.0, float(full))
    if low >= 0 and high <= 1:
        return 0.0, 1.0, (0.0, 1.0)
    if dtype.kind in "iu":
        full = 255 if high <= 255 else 65535
        return (0.0, float(full), (0.0, float(full))) if low >= 0 and high <= full else (low, high, None)
    return low, max(high, low + 1.0) if high == low else high, None
