"""What compression.py runs beside ours on numbers: each is (parts, bounds) -> Packed, settings searched.

`bounds` has one largest error a part, or is None where every bit must come back. No rival is given less than ours:

- Coders of whole numbers (pcodec, zstd, xz, FLAC) get levels: steps of twice the bound, and, where a part's values
  are decimal numbers, the widest step of their own units that keeps it; whichever is smaller. SZ3 gets both, too.
- Only ours keeps NaN as such. Everyone gets a mask, packed and compressed, whose bytes count, and the better of
  three fillings: the value before, a straight line over the gap, and (one-dimensional) the gaps left out.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
from byte_packers import bzip2, xz, xz_part, zstd
from packed_levels import (
    Array,
    Coded,
    Method,
    fillings,
    least,
    orders,
    packed_mask,
    part_by_part,
    small,
    sources,
    within,
    xz_bytes,
)

# --- numbers: pcodec, SZ3, zfp, SPERR, FLAC --------------------------------------------------------------------


@cache
def deltas() -> dict[str, object]:
    from pcodec import DeltaSpec

    said = {"auto": DeltaSpec.auto(), "none": DeltaSpec.no_op(), "lookback": DeltaSpec.try_lookback()}
    said |= {f"consecutive {order}": DeltaSpec.try_consecutive(order) for order in (1, 2)}
    return said | {f"conv1 {order}": DeltaSpec.try_conv1(order) for order in (4, 8, 16, 32)}


def pcodec_part(x: Array, bound: float | None) -> Iterator[Coded]:
    from pcodec import ChunkConfig, standalone

    for q, restore, how in sources(x, bound):
        if q.dtype.kind in "iu":
            q = small(q)
            q = q.astype(f"{q.dtype.kind}2") if q.itemsize == 1 else q
        for turned, unturn, order in orders(q):
            flat = np.ascontiguousarray(turned).ravel()
            if flat.dtype == np.int64:
                flat = small(flat)
                flat = flat.astype(f"{flat.dtype.kind}2") if flat.itemsize == 1 else flat
            for name, delta in deltas().items():
                try:
                    config = ChunkConfig(compression_level=12, delta_spec=delta)
                    packed = standalone.simple_compress(flat, config)
                except RuntimeError:  # some ways to take differences are not for all types
                    continue
                back = partial(unpacked, packed, turned.shape, q.dtype.kind, unturn, restore)
                yield len(packed), back, f"{how}, delta {name}{f', {order}' * bool(order)}"


def unpacked(
    packed: bytes,
    shape: tuple[int, ...],
    kind: str,
    unturn: Callable[[Array], Array],
    restore: Callable[[Array], Array],
) -> Array:
    """The part that pcodec's bytes hold."""
    from pcodec import standalone

    made = standalone.simple_decompress(packed).reshape(shape)
    return restore(unturn(made.astype(np.int64) if kind in "iu" else made))


def sz3_once(x: Array, bound: float, algorithm: int) -> tuple[int, Callable[[], Array]]:
    from pysz import sz, szConfig, szErrorBoundMode

    config = szConfig(x.shape)
    config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, bound
    config.cmprAlgo, config.openmp = algorithm, False
    packed = sz.compress(np.array(x, order="C"), config)[0].copy()
    return len(packed), lambda: sz.decompress(packed, x.dtype, x.shape)[0]


def sz3_part(x: Array, bound: float | None) -> Iterator[Coded]:
    """Floats under the bound itself, and levels; on the part's own shape and as one line; every algorithm."""
    from pysz import szAlgorithm

    names = {"Lorenzo": szAlgorithm.LORENZO_REG, "interpolation + Lorenzo": szAlgorithm.INTERP_LORENZO}
    names |= {"interpolation": szAlgorithm.INTERP, "no prediction": szAlgorithm.NOPRED}
    if bound is None:
        raise ValueError("SZ3 needs a bound")
    for name, algorithm in names.items():
        for filled, refill, filling in fillings(x):
            for flat in (False, True) if filled.ndim > 1 else (False,):
                for less in (0, 1e-6, 1e-4):
                    size, back = sz3_floats(filled, refill, bound * (1 - less), algorithm, flat)
                    if within(x, back().astype(x.dtype), bound):
                        yield size, back, f"{name}{', as a line' * flat} {filling}".strip()
                        break
        for q, restore, how in sources(x, bound):
            for flat in (False, True) if q.ndim > 1 else (False,):
                size, back = sz3_levels(q, restore, algorithm, flat)
                if within(x, back(), bound):
                    yield size, back, f"{name}{', as a line' * flat}, levels of {how}"


def sz3_floats(
    filled: Array, refill: Callable[[Array], Array], bound: float, algorithm: int, flat: bool
) -> tuple[int, Callable[[], Array]]:
    floats = filled if filled.dtype.kind == "f" else filled.astype(np.float64)
    size, back = sz3_once(floats.ravel() if flat else floats, bound, algorithm)
    return size, lambda: refill(back().reshape(filled.shape)).astype(filled.dtype)


def sz3_levels(
    q: Array, restore: Callable[[Array], Array], algorithm: int, flat: bool
) -> tuple[int, Callable[[], Array]]:
    floats = q.astype(np.float32 if np.abs(q).max(initial=0) < 2**22 else np.float64)
    size, back = sz3_once(floats.ravel() if flat else floats, 0.49, algorithm)
    return size, lambda: restore(np.rint(back()).astype(np.int64).reshape(q.shape))


def zfp_part(x: Array, bound: float | None) -> Iterator[Coded]:
    """The largest tolerance and the least precision that keep the bound; without one, its reversible mode."""
    for filled, refill, filling in fillings(x):
        for flat in (False, True) if filled.ndim > 1 else (False,):
            if bound is None:
                yield zfp_once(filled, refill, flat, filling)
                continue
            kept = None
            for power in range(-1, 6):
                option = zfp_once(filled, refill, flat, filling, tolerance=bound * 2.0**power)
                if not within(x, option[1](), bound):
                    break
                kept = option
            if kept:
                yield kept
            low, high = 1, 64
            while low < high:
                middle = (low + high) // 2
                option = zfp_once(filled, refill, flat, filling, precision=middle)
                low, high = (low, middle) if within(x, option[1](), bound) else (middle + 1, high)
            option = zfp_once(filled, refill, flat, filling, precision=low)
            if within(x, option[1](), bound):
                yield option


def zfp_once(
    filled: Array, refill: Callable[[Array], Array], flat: bool, filling: str, **how: float
) -> Coded:
    import zfpy

    whole = filled.dtype.kind in "iu"
    given = filled.astype((np.float64 if how else np.int64) if whole else filled.dtype)
    packed = zfpy.compress_numpy(np.ascontiguousarray(given.ravel() if flat else given), **how)

    def back() -> Array:
        made = zfpy.decompress_numpy(packed).reshape(filled.shape)
        return refill((np.rint(made) if whole and how else made).astype(filled.dtype))

    said = ", ".join(f"{key} {value:.3g}" for key, value in how.items()) or "reversible"
    return len(packed), back, f"{said}{', as a line' * flat} {filling}".strip()


def sperr_part(x: Array, bound: float | None) -> Iterator[Coded]:
    """Wavelets under a point-wise bound; two and three dimensions."""
    import imagecodecs

    if bound is None or x.ndim not in (2, 3) or x.dtype.kind != "f":
        raise ValueError("SPERR needs floats of two or three dimensions and a bound")
    for filled, refill, filling in fillings(x):
        if filled.shape != x.shape:
            continue
        for less in (0, 1e-6, 1e-4, 1e-2):
            packed = imagecodecs.sperr_encode(filled, level=bound * (1 - less), mode="pwe", numthreads=1)

            def back(p: bytes = packed, r: Callable[[Array], Array] = refill) -> Array:
                return r(imagecodecs.sperr_decode(p).reshape(x.shape).astype(x.dtype))

            if within(x, back(), bound):
                yield len(packed), back, f"point-wise {filling}".strip()
                break


def flac_part(x: Array, bound: float | None) -> Iterator[Coded]:
    """Linear prediction and Rice codes, for one-dimensional levels of 16 or 24 bits."""
    import soundfile

    for q, restore, how in sources(x, bound):
        if q.ndim > 1 or q.dtype.kind not in "iu" or np.ptp(q) >= 2**24:
            continue
        middle = int(q.min()) + (int(np.ptp(q)) + 1) // 2
        bits = 16 if np.ptp(q) < 2**16 else 24
        samples = (q - middle).astype(np.int16) if bits == 16 else ((q - middle) << 8).astype(np.int32)
        file = io.BytesIO()
        with soundfile.SoundFile(
            file, "w", 8000, 1, f"PCM_{bits}", format="FLAC", compression_level=1.0
        ) as flac:
            flac.write(samples)
        packed = file.getvalue()

        def back(
            p: bytes = packed, bits: int = bits, middle: int = middle, r: Callable[[Array], Array] = restore
        ) -> Array:
            made, _ = soundfile.read(io.BytesIO(p), dtype=f"int{16 if bits == 16 else 32}")
            return r((made.astype(np.int64) >> (0 if bits == 16 else 8)) + middle)

        yield len(packed), back, f"{how}, {bits} bits"


#: of numbers; those of EXACT go without a bound, too
NUMBERS: dict[str, Method] = {
    "pcodec": part_by_part(pcodec_part),
    "xz": xz,
    "zstd": zstd,
    "bzip2": bzip2,
    "FLAC": part_by_part(flac_part),
    "zfp": part_by_part(zfp_part),
    "SZ3": part_by_part(sz3_part),
    "SPERR": part_by_part(sperr_part),
}
BOUNDED = tuple(NUMBERS)
EXACT = ("pcodec", "xz", "zstd", "bzip2", "FLAC", "zfp")


def words_size(words: list[object]) -> int:
    """A column of text, its best way: codes of a dictionary through pcodec or xz, and the dictionary."""
    if not words:
        return 0
    distinct = sorted({str(word) for word in words if word is not None})
    place = {word: code for code, word in enumerate(distinct)}
    codes = np.array([len(distinct) if word is None else place[str(word)] for word in words])
    known = xz_bytes("\n".join(distinct).encode(), 1)
    plain = xz_bytes("\n".join("" if word is None else str(word) for word in words).encode(), 1)
    coded = min(least(pcodec_part(codes, None))[0], least(xz_part(codes, None))[0])
    return min(len(known) + coded, len(plain) + packed_mask(codes == len(distinct)))
