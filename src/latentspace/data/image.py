"""Pictures: folders, files and arrays, as (C, H, W) tensors of mean 0 and overall variance 1."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.data._picture_files import (
    SUFFIXES,
    Reading,
    decode,
    file_notes,
    find_files,
    folders,
    none_readable,
    read_headers,
)
from latentspace.data._pictures import (
    KEEP_ARRAYS,
    KEEP_FILES,
    SHORTEST,
    Pictures,
    arranged,
    by,
    channels_last,
    check_pixels,
    chunks,
    colourless,
    full_range,
    mean_picture,
    over_white,
    place,
    recolour,
    scale_of,
    value_range,
    working_size,
)
from latentspace.data.base import Items, Modality
from latentspace.errors import DataError, OptionError, Reject, nearest
from latentspace.likelihoods import Gaussian

__all__ = ["Image", "Pictures"]


class Image(Modality):
    """Pictures of any number type, grey or colour, equal or unequal in size.

    size : height and width to work at, one number for both; None decides from the data: a common size is
        kept (files up to 128 pixels a side, arrays up to 256), anything else is brought to the median shape
        with at most 64 pixels on the longest side.
    channels : "grey", "rgb", or "auto" (grey where every picture is).
    strict : stop at the first file that cannot be read, instead of skipping and naming it.

    Pictures of another shape than the working size are letterboxed; the padding is not observed. Pixels are
    brought to 0..1 by the range of their number type (by their largest value where that is below half of it,
    by the smallest and largest training value where floats leave 0..1); then the mean picture is taken away
    and all is divided by one number, so that encoded items have mean 0 and overall variance 1.

    >>> pictures = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    >>> image = Image()
    >>> items = image.read(pictures)
    >>> x, observed = image.fit(items).transform(items)
    >>> x.shape, observed, bool((image.inverse_transform(x) == pictures).all())
    ((3, 1, 8, 8), None, True)
    """

    name: ClassVar[str] = "image"

    def __init__(
        self, size: int | tuple[int, int] | None = None, channels: str = "auto", strict: bool = False
    ) -> None:
        if channels not in ("auto", "grey", "rgb"):
            near = nearest(channels, ("auto", "grey", "rgb"))
            raise OptionError(f"channels is {channels!r}; it is 'auto', 'grey' or 'rgb'{near}.")
        self.size = size
        self.channels = channels
        self.strict = strict
        self.likelihood = Gaussian()
        _wanted(size)

    @property
    def _fitted(self) -> bool:
        return hasattr(self, "shape")

    # reading

    def read(self, source: Any, **where: Any) -> Items:
        """Pictures of a folder, a file, a list of files, an array or a list of arrays.

        Names of files below the folder become the ids; where there are two or more subfolders, theirs become
        the label "folder". Raises Reject where `source` is no picture, DataError where none can be used.
        """
        if isinstance(source, (str, os.PathLike)):
            return self._read_path(Path(source))
        if isinstance(source, np.ndarray):
            return self._read_array(source)
        if isinstance(source, Sequence) and source:
            if all(isinstance(part, (str, os.PathLike)) for part in source):
                return self._read_list([Path(part) for part in source])
            return self._read_arrays([np.asarray(part) for part in source])
        raise Reject(f"{type(source).__name__} is no picture: give a folder, files or an array.")

    def _read_path(self, path: Path) -> Items:
        if path.is_dir():
            files = find_files(path)
            if not files:
                raise Reject(f"The folder {str(path)!r} holds no picture ({', '.join(sorted(SUFFIXES))}).")
            return self._read_files(files, path, path.name)
        if not path.exists():
            raise DataError(f"There is no file {str(path)!r}.")
        if path.suffix.lower() not in SUFFIXES:
            raise Reject(f"{path.name!r} does not end like a picture ({', '.join(sorted(SUFFIXES))}).")
        return self._read_files([path], path.parent, path.name)

    def _read_list(self, paths: list[Path]) -> Items:
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise DataError(f"There is no file {str(missing[0])!r} (one of {len(paths)} in the list).")
        paths = [path.absolute() for path in paths]
        root = Path(os.path.commonpath([path.parent for path in paths]))
        return self._read_files(paths, root, f"{len(paths)} files")

    def _read_files(self, paths: list[Path], root: Path, source: str) -> Items:
        reading = Reading()
        headers = read_headers(paths, root, reading, self.strict)
        if headers:
            sizes = np.array([(h.height, h.width) for h in headers])
            size = self._size(sizes, KEEP_FILES)
            depth = np.uint16 if any(h.mode.startswith("I") for h in headers) else np.uint8
            pictures = decode(headers, size, depth, self._grey(headers), reading, self.strict)
        if not headers or not len(pictures.pixels):
            raise DataError(none_readable(source, reading))
        if self.channels == "auto" and not self._fitted and colourless(pictures.pixels):
            pictures = replace(pictures, pixels=pictures.pixels[..., :1].copy(), layout="nhw")
        notes = file_notes(pictures, reading)
        labels = folders(reading.names)
        return Items(pictures, np.array(reading.names), labels, source, notes, tuple(reading.skipped))

    def _grey(self, headers: list[Any]) -> bool:
        if self._fitted:
            return self.shape[0] == 1
        grey = all(h.mode in ("1", "L", "LA", "La") or h.mode.startswith("I") for h in headers)
        return self.channels == "grey" or (self.channels == "auto" and grey)

    def _size(self, sizes: NDArray[np.int64], keep: int) -> tuple[int, int]:
        if self._fitted:
            return self.shape[1], self.shape[2]
        return _wanted(self.size) or working_size(sizes, keep)

    def _read_array(self, array: NDArray[Any]) -> Items:
        pixels, layout = channels_last(array)
        check_pixels(pixels)
        notes: tuple[str, ...] = ()
        if pixels.shape[3] == 4:
            pixels = over_white(pixels)
            notes += ("Transparent pixels were laid on white.",)
        pictures = Pictures(pixels, layout=layout)
        full = pixels.shape[1:3]
        wanted = self._size(np.array([full]), KEEP_ARRAYS)
        if full != wanted:
            notes += (f"Pictures of {by(full)} pixels were brought to {by(wanted)} (option size).",)
        pictures = self._conform(pictures, wanted, self._depth(pixels.shape[3]))
        return Items(pictures, np.arange(len(pixels)), {}, f"an array of {by(array.shape)}", notes)

    def _depth(self, channels: int) -> int:
        """Channels to work with, given those of the source."""
        if self._fitted:
            return self.shape[0]
        return {"auto": channels, "grey": 1, "rgb": 3}[self.channels]

    def _read_arrays(self, arrays: list[NDArray[Any]]) -> Items:
        wrong = [a for a in arrays if a.ndim not in (2, 3) or (a.ndim == 3 and a.shape[2] not in (1, 3, 4))]
        if wrong:
            raise Reject(
                f"A list of pictures has arrays (h, w) or (h, w, c), not one of shape {wrong[0].shape}."
            )
        pictures = [a[:, :, None] if a.ndim == 2 else a for a in arrays]
        for picture in pictures:
            check_pixels(picture[None])
        pictures = [over_white(p) if p.shape[2] == 4 else p for p in pictures]
        channels = self._depth(max(p.shape[2] for p in pictures))
        pictures = [recolour(p, channels) for p in pictures]
        size = self._size(np.array([p.shape[:2] for p in pictures]), KEEP_FILES)
        layout = "nhw" if arrays[0].ndim == 2 else "nhwc"
        values = place(pictures, size, layout)
        return Items(values, np.arange(len(arrays)), {}, f"a list of {len(arrays)} pictures")

    def _conform(self, pictures: Pictures, size: tuple[int, int], channels: int) -> Pictures:
        """The pictures at `size` with `channels`, unchanged where they already are."""
        pixels = pictures.pixels
        if pixels.shape[3] != channels:
            layout = pictures.layout.removesuffix("c") if channels == 1 else pictures.layout
            layout = "nhwc" if channels == 3 and layout == "nhw" else layout
            pictures = replace(pictures, pixels=recolour(pixels, channels), layout=layout)
        if pixels.shape[1:3] == size:
            return pictures
        return place(pictures.cropped(), size, pictures.layout)

    def take(self, items: Items, rows: NDArray[Any]) -> Items:
        """The pictures at the integer positions `rows`."""
        return items.with_values(items.values.take(rows), rows)

    def told(self, items: Items) -> Any:
        """`height` and `width` of each picture as it was, in pixels; None where all have the working size."""
        import pyarrow as pa

        sizes = items.values.sizes
        return None if sizes is None else pa.table({"height": sizes[:, 0], "width": sizes[:, 1]})

    # learning

    def fit(self, items: Items) -> Image:
        """Learn size, scale and the mean picture from `items`."""
        pictures: Pictures = items.values
        n, height, width, channels = pictures.pixels.shape
        if n == 0:
            raise DataError(f"There are no pictures in {items.source}; at least one is needed.")
        self.shape = (channels, height, width)
        self.dtype = pictures.pixels.dtype
        self.layout = pictures.layout
        self.low, self.high, self.limits = scale_of(self.dtype, *value_range(pictures))
        mean, self.spread = mean_picture(pictures, self.low, self.high - self.low)
        # four digits are far finer than a pixel's step, and keep the state short
        self.centre = np.moveaxis(mean, 2, 0).round(4)
        return self

    def transform(
        self, items: Items, dtype: Any = np.float32
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """(n, C, H, W) of mean 0, overall variance 1; padding and NaN pixels are not observed and hold 0."""
        pictures = self._own(items)
        pixels = np.moveaxis(pictures.pixels, 3, 1)
        x = np.empty(pixels.shape, dtype)
        exact = np.result_type(pixels.dtype, dtype)
        units = self._units(pixels)
        low = np.asarray(self.low * units, exact)
        scale = np.asarray(1 / ((self.high - self.low) * units), exact)
        centre, spread = self.centre.astype(exact), np.asarray(self.spread, exact)
        for rows in chunks(len(x)):
            x[rows] = ((pixels[rows] - low) * scale - centre) / spread
        return self._mask(x, pictures)

    def _units(self, pixels: NDArray[Any]) -> float:
        """How many of the numbers of `pixels` make one of the training pictures': 257 for 16 bits after 8."""
        own = full_range(pixels.dtype)
        if own is None and pixels.dtype.kind == "f" and self.dtype.kind != "f" and not (pixels > 1).any():
            own = 1
        return 1.0 if own is None or self.limits is None else own / self.limits[1]

    def _mask(self, x: NDArray[Any], pictures: Pictures) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        inside = pictures.inside()
        gaps = pictures.pixels.dtype.kind == "f" and any(np.isnan(x[rows]).any() for rows in chunks(len(x)))
        if inside is None and not gaps:
            return x, None
        observed = ~np.isnan(x) if gaps else np.ones(x.shape, bool)
        if inside is not None:
            observed &= inside[:, None]
        np.copyto(x, 0, where=~observed)
        return x, observed

    def inverse_transform(self, x: NDArray[Any], items: Items | None = None) -> Any:
        """Pictures in the user's number type and axes, clipped to its range.

        With `items`, letterboxed pictures are cropped back to their own shape at the working size: a list of
        (h, w) or (h, w, c) arrays where they differ, else one array.
        """
        pixels = np.empty(x.shape, self.dtype)
        for rows in chunks(len(x)):
            pixels[rows] = self._unscaled(np.asarray(x[rows]))
        if items is None:
            return arranged(pixels, self.layout)
        own = self._own(items)
        pictures = replace(own, pixels=np.moveaxis(pixels, 1, 3)).cropped()
        if len({picture.shape for picture in pictures}) > 1:
            return [arranged(np.moveaxis(picture, 2, 0)[None], own.layout)[0] for picture in pictures]
        return arranged(np.moveaxis(np.stack(pictures), 3, 1), own.layout)

    def _own(self, items: Items) -> Pictures:
        """The pictures of `items` as this modality works with them."""
        channels, height, width = self.shape
        return self._conform(items.values, (height, width), channels)

    def _unscaled(self, x: NDArray[Any]) -> NDArray[Any]:
        values = (x * self.spread + self.centre) * (self.high - self.low) + self.low
        if self.limits is not None:
            values = np.clip(values, *self.limits)
        if self.dtype == bool:
            return np.asarray(values >= 0.5)
        return np.asarray((np.rint(values) if self.dtype.kind in "iu" else values).astype(self.dtype))

    @property
    def origin(self) -> NDArray[np.float32]:
        """(C, H, W) the mean picture that 0 stands for, on the tensor's scale."""
        return np.asarray(np.broadcast_to(self.centre / self.spread, self.shape), np.float32)

    def parts(self) -> dict[str, NDArray[np.intp]]:
        """Nine regions, "top left" to "bottom right", and where there is colour also red, green and blue."""
        channels, height, width = self.shape
        index = np.arange(channels * height * width).reshape(self.shape)
        rows = np.array_split(np.arange(height), 3)
        columns = np.array_split(np.arange(width), 3)
        parts = {}
        for vertical, r in zip(("top", "middle", "bottom"), rows, strict=True):
            for horizontal, c in zip(("left", "centre", "right"), columns, strict=True):
                name = (
                    "centre" if (vertical, horizontal) == ("middle", "centre") else f"{vertical} {horizontal}"
                )
                parts[name] = index[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1].ravel()
        if channels == 3:
            parts |= {name: index[c].ravel() for c, name in enumerate(("red", "green", "blue"))}
        return parts

    # keeping

    def state(self) -> dict[str, Any]:
        """All that was learnt, JSON-able."""
        return {
            "size": list(self.size) if isinstance(self.size, tuple) else self.size,
            "channels": self.channels,
            "strict": self.strict,
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "layout": self.layout,
            "low": self.low,
            "high": self.high,
            "limits": None if self.limits is None else list(self.limits),
            "centre": self.centre.ravel().tolist(),
            "spread": self.spread,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Image:
        """A fitted Image from what `state` wrote."""
        size = tuple(state["size"]) if isinstance(state["size"], list) else state["size"]
        image = cls(size, state["channels"], state["strict"])
        image.shape = tuple(state["shape"])
        image.dtype = np.dtype(state["dtype"])
        image.layout = state["layout"]
        image.low, image.high = state["low"], state["high"]
        image.limits = None if state["limits"] is None else (state["limits"][0], state["limits"][1])
        image.centre = np.array(state["centre"]).reshape(image.shape)
        image.spread = state["spread"]
        return image

    def describe(self) -> list[str]:
        """The working size and the scale, a sentence each."""
        channels, height, width = self.shape
        colour = "grey" if channels == 1 else "colour"
        sentences = [f"Pictures of {height} x {width} {colour} pixels ({self.dtype.name})."]
        if self.dtype != bool and (self.low, self.high) not in ((0, 1), (0, full_range(self.dtype))):
            sentences.append(f"Pixel values from {self.low:g} to {self.high:g} were scaled to 0..1.")
        return sentences


def _wanted(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """The option `size` as (height, width)."""
    if size is None:
        return None
    sides = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(sides) != 2 or min(sides) < SHORTEST:
        raise OptionError(f"size is {size!r}; it is one number or (height, width), each at least {SHORTEST}.")
    return int(sides[0]), int(sides[1])
