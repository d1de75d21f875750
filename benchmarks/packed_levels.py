"""What the rivals of compression.py share: levels under a bound, gaps, what a method is, bytes of zstd and xz."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

Array = np.ndarray
Bounds = list[float] | None
#: a part as it is coded: bytes, how they become the part again, and what was chosen
Coded = tuple[int, Callable[[], Array], str]
DECIMALS = range(7)


@dataclass(frozen=True)
class Packed:
    """Bytes, the parts again, and how."""

    size: int
    unpack: Callable[[], list[Array]]
    how: str


Method = Callable[[list[Array], Bounds], Packed]


def within(x: Array, made: Array, bound: float | None) -> bool:
    """Every value within the bound (NaN where there was one), or every bit the same."""
    if bound is None:
        return x.dtype == made.dtype and x.shape == made.shape and x.tobytes() == made.tobytes()
    nan = np.isnan(x)
    return bool(np.array_equal(nan, np.isnan(made)) and (worst(x, made) <= bound))


def worst(x: Array, made: Array) -> float:
    error = np.abs(x.astype(np.float64) - made.astype(np.float64))
    return float(error[~np.isnan(error)].max(initial=0))


# --- bytes ---------------------------------------------------------------------------------------------------


def zstd_bytes(data: bytes, level: int) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True).compress(data)


def xz_filters(width: int, aligned: bool) -> list[dict[str, int]]:
    shape = {1: 0, 2: 1, 4: 2, 8: 3}[width] if aligned else 0
    places = {"lc": 3 - shape, "lp": shape, "pb": shape} if aligned else {}
    return [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, **places}]


def xz_bytes(data: bytes, width: int, aligned: bool = False) -> bytes:
    """Without xz's header and check, which a container would have once."""
    return lzma.compress(data, lzma.FORMAT_RAW, filters=xz_filters(width, aligned))


# --- gaps ------------------------------------------------------------------------------------------------------


def packed_mask(gaps: Array) -> int:
    if not gaps.any():
        return 0
    bits = np.packbits(gaps).tobytes()
    return min(len(zstd_bytes(bits, 22)), len(xz_bytes(bits, 1)))


def fillings(x: Array) -> Iterator[tuple[Array, Callable[[Array], Array], str]]:
    """(Part without gaps, how gaps come back, which filling)."""
    if x.dtype.kind != "f" or not np.isnan(x).any():
        yield x, lambda made: made, ""
        return
    gaps = np.isnan(x)
    there = np.flatnonzero(~gaps)

    def masked(made: Array) -> Array:
        return np.where(gaps, np.array(np.nan, x.dtype), made.reshape(x.shape))

    def put(made: Array) -> Array:
        full = np.full(x.size, np.nan, x.dtype)
        full[there] = made
        return full.reshape(x.shape)

    before = there[np.maximum(np.searchsorted(there, np.arange(x.size), side="right") - 1, 0)]
    line = np.interp(np.arange(x.size), there, x.ravel()[there]).astype(x.dtype)
    yield x.ravel()[before].reshape(x.shape), masked, "value before"
    yield line.reshape(x.shape), masked, "line"
    yield x.ravel()[there], put, "left out"


# --- levels ----------------------------------------------------------------------------------------------------


def unit(x: Array, bitwise: bool) -> tuple[Array, float] | None:
    """(Whole numbers, 10^d) so that whole / 10^d is `x`, for the least d."""
    if np.abs(x).max(initial=0) > 1e9:
        return None
    for d in DECIMALS:
        whole = np.rint(x.astype(np.float64) * 10**d)
        back = (whole / 10**d).astype(x.dtype)
        if back.tobytes() == x.tobytes() if bitwise else np.array_equal(back, x):
            return whole.astype(np.int64), 10.0**d
    return None


def grids(x: Array, bound: float | None) -> Iterator[tuple[Array, Callable[[Array], Array], str]]:
    """(Whole numbers, how the part comes back, which grid)."""
    if x.dtype.kind in "iu":
        step = 1 if bound is None else 2 * int(bound) + 1
        low = int(x.min(initial=0))
        wide = x.astype(np.int64) - low
        yield (wide + step // 2) // step, lambda q: (q * step + low).astype(x.dtype), f"step {step}"
        return
    decimal = unit(x, bound is None)
    if decimal:
        whole, scale = decimal
        common = int(np.gcd.reduce(np.unique(whole - whole.min(initial=0)))) or 1
        half = 0 if bound is None else int(bound * scale / common * (1 + 1e-9))
        for lines in dict.fromkeys((half, max(half - 1, 0))):  # one less where rounding leaves the bound
            q, back = on_grid(whole, scale, common, 2 * lines + 1, x.dtype)
            if within(x, back(q), bound):
                yield q, back, f"{2 * lines + 1} units"
                break
    if bound:
        for less in (0, 1e-7, 1e-5, 1e-3):
            q, back = even(x, 2 * bound * (1 - less))
            if within(x, back(q), bound):
                yield q, back, "steps of twice the bound"
                return


def on_grid(
    whole: Array, scale: float, common: int, step: int, kind: np.dtype
) -> tuple[Array, Callable[[Array], Array]]:
    """Levels `step` lines apart on the grid of `common` whole numbers."""
    low = int(whole.min(initial=0))
    q = ((whole - low) // common + step // 2) // step
    return q, lambda q: ((q * step * common + low) / scale).astype(kind)


def even(x: Array, step: float) -> tuple[Array, Callable[[Array], Array]]:
    return np.rint(x.astype(np.float64) / step).astype(np.int64), lambda q: (q * step).astype(x.dtype)


def small(q: Array) -> Array:
    """In the smallest dtype."""
    low, high = int(q.min(initial=0)), int(q.max(initial=0))
    kinds = ("u1", "u2", "u4", "u8") if low >= 0 else ("i1", "i2", "i4", "i8")
    return q.astype(next(kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max))


def sources(x: Array, bound: float | None) -> Iterator[tuple[Array, Callable[[Array], Array], str]]:
    """Every filling on every grid; where there is none, the floats as they are."""
    for filled, refill, filling in fillings(x):
        found = False
        for q, back, grid in grids(filled, bound):
            found = True
            yield q, lambda q, back=back, refill=refill: refill(back(q)), f"{grid} {filling}".strip()
        if not found:
            yield filled, refill, f"floats {filling}".strip()


def least(options: Iterator[Coded]) -> Coded:
    best = min(options, key=lambda option: option[0], default=None)
    if best is None:
        raise ValueError("it cannot take these numbers, or not within the bound")
    return best


def part_by_part(code: Callable[[Array, float | None], Iterator[Coded]]) -> Method:
    """The method that codes each part its best way, with the mask of its gaps."""

    def method(parts: list[Array], bounds: Bounds) -> Packed:
        each = bounds or [None] * len(parts)
        coded = [least(code(x, bound)) for x, bound in zip(parts, each, strict=True)]
        masks = sum(packed_mask(np.isnan(x)) for x in parts if x.dtype.kind == "f")
        hows = list(dict.fromkeys(how for _, _, how in coded))
        said = "; ".join(hows[:3]) + (" ..." if len(hows) > 3 else "")
        return Packed(
            sum(size for size, _, _ in coded) + masks, lambda: [back() for _, back, _ in coded], said
        )

    return method


# --- orders ----------------------------------------------------------------------------------------------------


def orders(q: Array) -> Iterator[tuple[Array, Callable[[Array], Array], str]]:
    """(Numbers in the order of their coding, back, which): as they are, axes turned, differences along axes."""
    yield q, lambda made: made, ""
    if q.ndim == 1:
        return
    yield (
        np.moveaxis(q, 0, -1),
        lambda made: np.ascontiguousarray(np.moveaxis(made, -1, 0)),
        "first axis last",
    )
    if q.dtype.kind == "f":
        return
    for axes in dict.fromkeys([*((axis,) for axis in range(q.ndim)), tuple(range(q.ndim))]):
        yield apart(q, axes), partial(together, axes=axes), f"differences along axes {axes}"


def apart(q: Array, axes: tuple[int, ...]) -> Array:
    made = q.astype(np.int64)
    for axis in axes:
        made = np.diff(made, axis=axis, prepend=np.int64(0))
    return made


def together(made: Array, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        made = np.cumsum(made, axis=axis, dtype=np.int64)
    return made
