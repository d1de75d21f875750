"""What compression.py runs beside ours on pictures at a given PSNR, settings searched.

Each is (pictures, decibels) -> Packed whose pictures have at least that many, and hardly more: qualities are halved
to .005 dB, or, where they come in steps, some mosaics take the next finer step.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from packed_levels import Array, Packed, xz_bytes
from picture_packers import Decode, channels, fitted, items, mosaics, sides


def psnr(x: Array, made: Array) -> float:
    """Of the mean squared error over all pixels on 0..1."""
    total = 0.0
    for start in range(0, len(x), 4096):
        part = x[start : start + 4096].astype(np.float32) - made[start : start + 4096].astype(np.float32)
        total += float(np.square(part, dtype=np.float64).sum())
    return float(-10 * np.log10(max(total / x.size, 1e-12) / 255**2))


#: items on which a quality is first looked for
FEW = 1024


@dataclass(frozen=True)
class Lossy:
    """A format with a quality from coarse to fine, in whole steps or to be halved; pixels of a mosaic's side."""

    code: Callable[[Array, float], bytes]
    decode: Decode
    low: float
    high: float
    steps: bool = True
    side: int = 2048


def pillow(kind: str, **how: object) -> Callable[[Array], bytes]:
    from PIL import Image

    def encode(x: Array) -> bytes:
        file = io.BytesIO()
        Image.fromarray(x).save(file, kind, **how)
        return file.getvalue()

    return encode


def opened(data: bytes) -> Array:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("L"))


def avif_lossy(side: int, speed: int = 3) -> Lossy:
    """aom told to care for the squared error (its default cares for looks: .29 bits for .21); grey is 4:0:0."""

    def code(x: Array, quality: float) -> bytes:
        how = {"speed": speed, "subsampling": "4:0:0", "max_threads": 1, "codec": "aom"}
        return pillow("AVIF", quality=int(quality), advanced={"tune": "psnr"}, **how)(channels(x))

    return Lossy(code, opened, 0, 60, side=side)


def jxl_lossy() -> Lossy:
    import imagecodecs as codecs

    def code(x: Array, quality: float) -> bytes:
        return bytes(codecs.jpegxl_encode(x, distance=quality, effort=7, usecontainer=False, numthreads=1))

    return Lossy(code, codecs.jpegxl_decode, 25, 0.5, steps=False)


def webp_lossy() -> Lossy:
    import imagecodecs as codecs

    def code(x: Array, quality: float) -> bytes:
        return bytes(
            codecs.webp_encode(channels(x), level=float(quality), lossless=False, method=6, numthreads=1)
        )

    return Lossy(code, lambda data: np.asarray(codecs.webp_decode(data))[..., 0], 0, 100, steps=False)


def jpeg2000_lossy() -> Lossy:
    """Quality is the ratio, so that its own rate control does the rest."""

    def code(x: Array, quality: float) -> bytes:
        how = {"quality_mode": "rates", "quality_layers": [float(quality)], "irreversible": True}
        return pillow("JPEG2000", no_jp2=True, codeblock_size=(64, 64), num_resolutions=4, **how)(x)

    return Lossy(code, opened, 200, 5, steps=False)


def reach(codec: Callable[[], Lossy]) -> Callable[[Array, float], Packed]:
    """The least bytes of mosaics whose pictures have `decibels`."""

    def method(x: Array, decibels: float) -> Packed:
        lossy = codec()
        wide, high = sides(x.shape, lossy.side)
        grids = mosaics(x, wide, high)
        found = by_steps if lossy.steps else by_halving
        packed, how = found(lossy, grids, x, decibels)

        def unpack() -> list[Array]:
            made = [fitted(lossy.decode(data), grid.shape) for data, grid in zip(packed, grids, strict=True)]
            return [items(made, x.shape)]

        return Packed(sum(map(len, packed)), unpack, f"{how}, {len(grids)} mosaics of {wide} x {high}")

    return method


def decoded(lossy: Lossy, packed: list[bytes], grids: list[Array], shape: tuple[int, ...]) -> Array:
    return items([fitted(lossy.decode(data), g.shape) for data, g in zip(packed, grids, strict=True)], shape)


def held(grid: Array, shape: tuple[int, ...]) -> int:
    """How many items a mosaic has room for."""
    return (grid.shape[0] // shape[1]) * (grid.shape[1] // shape[2])


def by_halving(lossy: Lossy, grids: list[Array], x: Array, decibels: float) -> tuple[list[bytes], str]:
    """One quality for all mosaics: halved on a few items, then on a straight line through what all of them gave."""
    few = x[: min(FEW, held(grids[0], x.shape))]
    small = mosaics(few, *sides(few.shape, lossy.side))

    def at(quality: float, grids: list[Array], x: Array) -> tuple[list[bytes], float]:
        packed = [lossy.code(grid, quality) for grid in grids]
        return packed, psnr(x, decoded(lossy, packed, grids, x.shape))

    coarse, fine = lossy.low, lossy.high
    for _ in range(9):
        middle = (coarse + fine) / 2
        coarse, fine = (coarse, middle) if at(middle, small, few)[1] >= decibels else (middle, fine)
    best: tuple[list[bytes], float, float] | None = None
    tried: dict[float, float] = {}
    quality, least, most = fine, *sorted((lossy.low, lossy.high))
    for _ in range(7):
        packed, reached = at(quality, grids, x)
        tried[quality] = reached
        if reached >= decibels and (best is None or reached < best[1]):
            best = packed, reached, quality
        if best and best[1] < decibels + 0.005:
            break
        quality = float(np.clip(following(tried, decibels + 0.002, lossy.high - lossy.low), least, most))
        if quality in tried:
            break
    if best is None:
        raise ValueError(f"{decibels} dB were not reached")
    return best[0], f"quality {best[2]:.4g}"


def following(tried: dict[float, float], decibels: float, span: float) -> float:
    """The quality on the straight line between the two that lie around; a step further where all lie on one side."""
    below = [(p, q) for q, p in tried.items() if p < decibels]
    above = [(p, q) for q, p in tried.items() if p >= decibels]
    if not above:
        return max(below)[1] + span / 50 * len(below)
    if not below:
        return min(above)[1] - span / 50 * len(above)
    (p, low), (over, high) = max(below), min(above)
    return low + (decibels - p) / (over - p) * (high - low)


def by_steps(lossy: Lossy, grids: list[Array], x: Array, decibels: float) -> tuple[list[bytes], str]:
    """All mosaics at the last step that is too coarse, then one after the other at the next finer one."""
    per = held(grids[0], x.shape)
    pieces = [x[start : start + per] for start in range(0, len(x), per)]
    allowed = 10 ** (-decibels / 10) * 255**2

    def once(step: int, at: int) -> tuple[bytes, float]:
        data = lossy.code(grids[at], step)
        made = items([fitted(lossy.decode(data), grids[at].shape)], pieces[at].shape)
        error = np.square(pieces[at].astype(np.float32) - made.astype(np.float32), dtype=np.float64).sum()
        return data, float(error)

    step = int(lossy.low)
    while step < lossy.high and once(step + 1, 0)[1] > allowed * pieces[0].size:
        step += 1
    coded = [once(step, at) for at in range(len(grids))]
    finer = 0
    while sum(error for _, error in coded) > allowed * x.size:
        at = finer % len(grids)
        coded[at] = once(step + 1 + finer // len(grids), at)
        finer += 1
    return [data for data, _ in coded], f"quality {step}, {finer} times one finer"


# --- PCA -------------------------------------------------------------------------------------------------------


def principal(x: Array, decibels: float) -> Packed:
    """PCA latents on one step for all, a dead zone, each decoded to the mean of its step; 16-bit basis counted.

    Every latent has a table of how often each level occurs (counted, too) and is coded by it. The number of latents
    and the dead zone are searched; the step is halved to the figure.
    """
    flat = x.reshape(len(x), -1).astype(np.float32) / 255
    mean = flat.mean(0)
    flat = flat - mean
    _, vectors = np.linalg.eigh((flat.T @ flat).astype(np.float64))
    basis = vectors[:, ::-1].astype(np.float16).astype(np.float32)
    latents, power = flat @ basis, float(np.square(flat, dtype=np.float64).sum())
    allowed = 10 ** (-decibels / 10) * flat.size
    tried = [
        stepped(latents, power, allowed, k, zone)
        for k in (24, 32, 48, 64, 96, 128)
        for zone in (0.5, 0.42, 0.36)
    ]
    k, zone, step = min((option for option in tried if option), key=lambda option: option[0])[1:]
    low, high = step, 2 * step  # clipping to black and white gains a little, so the step may be larger
    for _ in range(10):
        middle = (low + high) / 2
        made = shown(centred(latents[:, :k], middle, zone), basis[:, :k], mean, x.shape)
        low, high = (middle, high) if psnr(x, made) >= decibels else (low, middle)
    tables, codes = coded_latents(latents[:, :k], low, zone)
    size = 2 * x[0].size * (k + 1) + sum(len(data) for data, *_ in codes) + len(tables)

    def unpack() -> list[Array]:
        z = np.stack([decoded_latent(*code, len(x)) for code in codes], axis=1)
        return [shown(z, basis[:, :k], mean, x.shape)]

    return Packed(size, unpack, f"{k} latents, step {low:.3g}, rounded up from {1 - zone:.2g}")


def shown(z: Array, basis: Array, mean: Array, shape: tuple[int, ...]) -> Array:
    """Latents as pictures of bytes."""
    return np.clip(np.rint((z @ basis.T + mean) * 255), 0, 255).astype(np.uint8).reshape(shape)


def centred(z: Array, step: float, zone: float) -> Array:
    """Latents as they are decoded: the mean of their step."""
    found = np.empty_like(z)
    for j, column in enumerate(z.T):
        q = levels_of(column, step, zone)
        q -= q.min()
        centre = np.bincount(q, column.astype(np.float64)) / np.maximum(np.bincount(q), 1)
        found[:, j] = centre.astype(np.float16)[q]
    return found


def levels_of(z: Array, step: float, zone: float) -> Array:
    return (np.sign(z) * np.floor(np.abs(z) / step + zone)).astype(np.int32)


def stepped(
    latents: Array, power: float, allowed: float, k: int, zone: float
) -> tuple[float, int, float, float] | None:
    """(Bytes, latents, zone, step): the largest step within the error allowed."""
    z = latents[:, :k]
    left = power - float(np.square(z, dtype=np.float64).sum())
    if left > allowed:
        return None
    low, high = 0.01, 20.0

    def error(step: float) -> float:
        total = left
        for column in z.T:
            q = levels_of(column, step, zone)
            q -= q.min()
            count = np.bincount(q)
            sums = np.bincount(q, column.astype(np.float64))
            squares = np.square(column, dtype=np.float64).sum()
            total += squares - float((sums[count > 0] ** 2 / count[count > 0]).sum())
        return total

    for _ in range(18):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if error(middle) <= allowed else (low, middle)
    bits = 0.0
    for column in z.T:
        q = levels_of(column, low, zone)
        count = np.bincount(q - q.min())
        share = count[count > 0] / len(column)
        bits += float(-(share * np.log2(share)).sum() * len(column) + 48 * len(share))
    return bits / 8 + 2 * (latents.shape[1]) * (k + 1), k, zone, low


def coded_latents(z: Array, step: float, zone: float) -> tuple[bytes, list[tuple[bytes, Array, Array]]]:
    """(Tables' bytes, (range-coded levels, how often each occurs, what each decodes to) a latent)."""
    import constriction

    tables, codes = [], []
    for column in z.T:
        q = levels_of(column, step, zone)
        q -= q.min()
        count = np.bincount(q)
        centre = np.divide(np.bincount(q, column.astype(np.float64)), np.maximum(count, 1)).astype(np.float32)
        model = constriction.stream.model.Categorical(count / count.sum(), perfect=False)
        coder = constriction.stream.queue.RangeEncoder()
        coder.encode(q.astype(np.int32), model)
        codes.append((coder.get_compressed().tobytes(), count, centre))
        tables.append(count.astype(np.uint32).tobytes() + centre.astype(np.float16).tobytes())
    return xz_bytes(b"".join(tables), 1), codes


def decoded_latent(data: bytes, count: Array, centre: Array, n: int) -> Array:
    import constriction

    model = constriction.stream.model.Categorical(count / count.sum(), perfect=False)
    coder = constriction.stream.queue.RangeDecoder(np.frombuffer(data, np.uint32))
    return centre.astype(np.float16).astype(np.float32)[coder.decode(model, n)]


PSNR: dict[str, Callable[[Array, float], Packed]] = {
    "AVIF, mosaics of 1 megapixel": reach(lambda: avif_lossy(1024)),
    "AVIF, mosaics of 4 megapixels": reach(lambda: avif_lossy(2048)),
    "JPEG XL, mosaics": reach(jxl_lossy),
    "WebP, mosaics": reach(webp_lossy),
    "JPEG 2000, mosaics": reach(jpeg2000_lossy),
    "PCA": principal,
}
