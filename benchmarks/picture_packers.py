"""What compression.py runs beside ours on pictures bit for bit, settings searched.

Small pictures go into mosaics, as large as a format likes best (headers then cost nothing, and most formats learn
from all of them); one by one is a method of its own. Each is (parts, None) -> Packed, as in packers.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from packed_levels import Array, Bounds, Method, Packed, xz_bytes, xz_filters, zstd_bytes

Encode = Callable[[Array], bytes]
Decode = Callable[[bytes], Array]
#: a mosaic's side in pictures is the largest with at most this many pixels; libjxl below effort 10 cuts wider ones up
SIDE = 2048


# --- mosaics ---------------------------------------------------------------------------------------------------


def mosaics(x: Array, wide: int, high: int) -> list[Array]:
    """(n, H, W[, C]) as pictures of `high` rows of `wide` items; black where there are none left."""
    made = []
    for start in range(0, len(x), wide * high):
        part = x[start : start + wide * high]
        rows = -(-len(part) // wide)
        part = np.pad(part, ((0, rows * wide - len(part)), *((0, 0),) * (x.ndim - 1)))
        grid = part.reshape(rows, wide, *x.shape[1:]).swapaxes(1, 2)
        made.append(np.ascontiguousarray(grid.reshape(rows * x.shape[1], wide * x.shape[2], *x.shape[3:])))
    return made


def items(made: list[Array], shape: tuple[int, ...]) -> Array:
    """The pictures of `mosaics` again."""
    n, height, width = shape[:3]
    cut = [
        part.reshape(len(part) // height, height, -1, width, *shape[3:])
        .swapaxes(1, 2)
        .reshape(-1, *shape[1:])
        for part in made
    ]
    return np.concatenate(cut)[:n]


def sides(shape: tuple[int, ...], side: int = SIDE) -> tuple[int, int]:
    """Items beside and below each other of the largest mosaic of `side` pixels; a square where fewer are there."""
    wide = min(max(side // shape[2], 1), int(np.ceil(np.sqrt(shape[0]))))
    return wide, max(side // shape[1], 1)


def channels(x: Array) -> Array:
    """Grey as three channels, for formats without grey."""
    return x if x.ndim == 3 else np.repeat(x[..., None], 3, axis=2)


# --- formats ---------------------------------------------------------------------------------------------------


def jxl(effort: int) -> tuple[Encode, Decode]:
    import imagecodecs as codecs

    return (
        lambda x: bytes(
            codecs.jpegxl_encode(x, lossless=True, effort=effort, usecontainer=False, numthreads=1)
        ),
        lambda data: codecs.jpegxl_decode(data, numthreads=1),
    )


def webp() -> tuple[Encode, Decode]:
    import imagecodecs as codecs

    return (
        lambda x: bytes(codecs.webp_encode(channels(x), lossless=True, level=100, method=6, numthreads=1)),
        codecs.webp_decode,
    )


def png() -> tuple[Encode, Decode]:
    """The least of its filters."""
    import imagecodecs as codecs

    def encode(x: Array) -> bytes:
        kinds = codecs.PNG.FILTER
        tried = (kinds.ALL, kinds.NONE, kinds.PAETH)
        return min((bytes(codecs.png_encode(x, level=9, filter=kind)) for kind in tried), key=len)

    return encode, codecs.png_decode


def jpegls() -> tuple[Encode, Decode]:
    import imagecodecs as codecs

    return lambda x: bytes(codecs.jpegls_encode(x)), codecs.jpegls_decode


def jpeg2000() -> tuple[Encode, Decode]:
    import imagecodecs as codecs

    return lambda x: bytes(codecs.jpeg2k_encode(x, level=0, reversible=True)), codecs.jpeg2k_decode


def avif() -> tuple[Encode, Decode]:
    import imagecodecs as codecs

    def encode(x: Array) -> bytes:
        kind, matrix = ("400", None) if x.ndim == 2 else ("444", codecs.AVIF.MATRIX_COEFFICIENTS.IDENTITY)
        return bytes(codecs.avif_encode(x, level=100, speed=4, pixelformat=kind, matrix=matrix, numthreads=1))

    return encode, codecs.avif_decode


def fitted(made: Array, shape: tuple[int, ...]) -> Array:
    """Decoded pixels in the shape that went in: formats add channels."""
    made = np.asarray(made)
    if made.ndim == 3 and len(shape) == 2:
        made = made[..., 0]
    if made.ndim == 3 and made.shape[2] > shape[2]:
        made = made[..., : shape[2]]
    if made.ndim == 3 and made.shape[2] == 3 and shape[2] == 4:  # WebP drops what is opaque throughout
        made = np.concatenate([made, np.full((*made.shape[:2], 1), 255, made.dtype)], axis=2)
    return np.ascontiguousarray(made.reshape(shape))


# --- lossless --------------------------------------------------------------------------------------------------


def stacks(parts: list[Array]) -> bool:
    """One stack of equal pictures; otherwise each part is a picture."""
    return len(parts) == 1


def tiled(codec: Callable[[], tuple[Encode, Decode]], whole: bool = False) -> Method:
    """In mosaics, `whole` in a single one; pictures of a folder each by itself, equal ones once."""

    def method(parts: list[Array], bounds: Bounds) -> Packed:
        if not stacks(parts):
            return single(codec)(parts, bounds)
        encode, decode = codec()
        x = parts[0]
        wide, high = sides(x.shape)
        if whole:
            wide = int(np.ceil(np.sqrt(len(x) * x.shape[1] / x.shape[2])))
            high = -(-len(x) // wide)
        grids = mosaics(x, wide, high)
        packed = [encode(grid) for grid in grids]

        def unpack() -> list[Array]:
            made = [fitted(decode(data), grid.shape) for data, grid in zip(packed, grids, strict=True)]
            return [items(made, x.shape)]

        return Packed(sum(map(len, packed)), unpack, f"{len(grids)} mosaics of {wide} x {high}")

    return method


def single(codec: Callable[[], tuple[Encode, Decode]]) -> Method:
    """Every picture a file of its own, four bytes for its length; equal ones once."""

    def method(parts: list[Array], bounds: Bounds) -> Packed:
        encode, decode = codec()
        pictures = list(parts[0]) if stacks(parts) else parts
        known: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        for picture in pictures:
            key = (picture.tobytes(), picture.shape)
            if key not in known:
                known[key] = encode(np.ascontiguousarray(picture))
        packed = [known[picture.tobytes(), picture.shape] for picture in pictures]

        def unpack() -> list[Array]:
            made = [fitted(decode(data), at.shape) for data, at in zip(packed, pictures, strict=True)]
            return [np.stack(made)] if stacks(parts) else made

        size = sum(map(len, known.values())) + 4 * len(packed)
        return Packed(size, unpack, f"{len(known)} distinct of {len(packed)}")

    return method


def solid(parts: list[Array], bounds: Bounds) -> Packed:
    """The pixels of all pictures one after the other through xz or zstd with its longest window."""
    import lzma

    import zstandard

    data = b"".join(part.tobytes() for part in parts)
    shapes = [part.shape for part in parts]

    def cut(data: bytes) -> list[Array]:
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        flat = np.split(np.frombuffer(data, np.uint8), ends[:-1])
        return [pixels.reshape(shape) for pixels, shape in zip(flat, shapes, strict=True)]

    xz, zstd = xz_bytes(data, 1), zstd_bytes(data, 22)
    filters = xz_filters(1, False)
    if len(xz) <= len(zstd):
        return Packed(len(xz), lambda: cut(lzma.decompress(xz, lzma.FORMAT_RAW, filters=filters)), "xz")
    return Packed(len(zstd), lambda: cut(zstandard.ZstdDecompressor().decompress(zstd)), "zstd 22")


LOSSLESS: dict[str, Method] = {
    "JPEG XL, effort 10, one mosaic": tiled(lambda: jxl(10), whole=True),
    "JPEG XL, effort 9, mosaics": tiled(lambda: jxl(9)),
    "JPEG XL, effort 9, one by one": single(lambda: jxl(9)),
    "WebP, mosaics": tiled(webp),
    "WebP, one by one": single(webp),
    "PNG, mosaics": tiled(png),
    "PNG, one by one": single(png),
    "JPEG-LS, mosaics": tiled(jpegls),
    "JPEG 2000, mosaics": tiled(jpeg2000),
    "AVIF, mosaics": tiled(avif),
    "pixels, solid": solid,
}
