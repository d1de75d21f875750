"""zstd, xz and bzip2 on numbers, beside ours in compression.py: layouts are searched, part by part and row by row."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from packed_levels import (
    Array,
    Bounds,
    Coded,
    Method,
    Packed,
    orders,
    packed_mask,
    part_by_part,
    small,
    sources,
    xz_bytes,
    xz_filters,
    zstd_bytes,
)

#: settings are searched over this many of the layouts that a fast zstd finds smallest
SHORTLIST = 3


def layouts(q: Array) -> Iterator[tuple[bytes, Callable[[bytes], Array], str, int]]:
    """(Bytes, back to the numbers, which layout, bytes a value): orders, differences in that order, shuffled."""
    for turned, unturn, order in orders(q):
        whole = q.dtype.kind in "iu"
        for times in range(3) if whole and "differences" not in order else (0,):
            flat = turned.ravel()
            for _ in range(times):
                flat = np.diff(flat.astype(np.int64), prepend=np.int64(0))
            stored = small(flat) if whole else flat
            for shuffled in (False, True) if stored.itemsize > 1 else (False,):
                data = stored.view(np.uint8).reshape(-1, stored.itemsize).T if shuffled else stored
                back = partial(
                    unlaid,
                    kind=stored.dtype,
                    shape=turned.shape,
                    times=times,
                    shuffled=shuffled,
                    unturn=unturn,
                )
                how = ", ".join(
                    filter(None, (order, f"differences {times}" * bool(times), "shuffled" * shuffled))
                )
                yield np.ascontiguousarray(data).tobytes(), back, how or "as it is", stored.itemsize


def unlaid(
    data: bytes,
    kind: np.dtype,
    shape: tuple[int, ...],
    times: int,
    shuffled: bool,
    unturn: Callable[[Array], Array],
) -> Array:
    """The numbers of a layout again."""
    made = np.frombuffer(data, np.uint8 if shuffled else kind)
    if shuffled:
        made = np.ascontiguousarray(made.reshape(kind.itemsize, -1).T).view(kind).ravel()
    for _ in range(times):
        made = np.cumsum(made, dtype=np.int64)
    return unturn((made if kind.kind == "f" else made.astype(np.int64)).reshape(shape))


def shortlisted(x: Array, bound: float | None) -> list[tuple[bytes, Callable[[], Array], str, int]]:
    """The layouts that a fast zstd finds smallest; bytes, back, how, bytes a value."""
    options = []
    for q, restore, how in sources(x, bound):
        for data, back, layout, width in layouts(q):
            options.append((data, lambda data, b=back, r=restore: r(b(data)), f"{how}, {layout}", width))
    return sorted(options, key=lambda option: len(zstd_bytes(option[0], 3)))[:SHORTLIST]


def zstd_part(x: Array, bound: float | None) -> Iterator[Coded]:
    import zstandard

    for data, back, how, _ in shortlisted(x, bound):
        for level in (19, 22):
            packed = zstd_bytes(data, level)
            yield (
                len(packed),
                lambda packed=packed, back=back: back(zstandard.ZstdDecompressor().decompress(packed)),
                f"level {level}, {how}",
            )


def xz_part(x: Array, bound: float | None) -> Iterator[Coded]:
    for data, back, how, width in shortlisted(x, bound):
        for aligned in (False, True) if width > 1 else (False,):
            packed = xz_bytes(data, width, aligned)
            filters = xz_filters(width, aligned)
            yield (
                len(packed),
                lambda p=packed, b=back, f=filters: b(lzma.decompress(p, lzma.FORMAT_RAW, filters=f)),
                how,
            )


def bzip2_part(x: Array, bound: float | None) -> Iterator[Coded]:
    for data, back, how, _ in shortlisted(x, bound):
        packed = bz2.compress(data)
        yield len(packed), lambda packed=packed, back=back: back(bz2.decompress(packed)), how


def records(parts: list[Array], bounds: Bounds) -> tuple[bytes, Callable[[bytes], list[Array]]] | None:
    """All columns row by row, each in its smallest dtype: what repeats in rows is found there."""
    if len(parts) < 2 or any(x.ndim > 1 or len(x) != len(parts[0]) for x in parts):
        return None
    each = bounds or [None] * len(parts)
    chosen = [list(sources(x, bound))[:1][0] for x, bound in zip(parts, each, strict=True)]
    stored = [small(q) if q.dtype.kind in "iu" else q for q, _, _ in chosen]
    rows = np.empty(len(parts[0]), [(f"f{j}", q.dtype) for j, q in enumerate(stored)])
    for j, q in enumerate(stored):
        rows[f"f{j}"] = q

    def back(data: bytes) -> list[Array]:
        made = np.frombuffer(data, rows.dtype)
        return [
            restore(made[f"f{j}"].astype(q.dtype if q.dtype.kind == "f" else np.int64))
            for j, (q, (_, restore, _)) in enumerate(zip(stored, chosen, strict=True))
        ]

    return rows.tobytes(), back


def or_records(method: Method, pack: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes]) -> Method:
    """Part by part, or row by row where that is smaller."""

    def best(parts: list[Array], bounds: Bounds) -> Packed:
        alone, rows = method(parts, bounds), records(parts, bounds)
        if rows is None:
            return alone
        packed = pack(rows[0])
        masks = sum(packed_mask(np.isnan(x)) for x in parts if x.dtype.kind == "f")
        if len(packed) + masks >= alone.size:
            return alone
        return Packed(len(packed) + masks, lambda: rows[1](unpack(packed)), "row by row")

    return best


def unzstd(data: bytes) -> bytes:
    import zstandard

    return bytes(zstandard.ZstdDecompressor().decompress(data))


zstd = or_records(part_by_part(zstd_part), lambda data: zstd_bytes(data, 22), unzstd)
xz = or_records(
    part_by_part(xz_part),
    lambda data: xz_bytes(data, 1),
    lambda data: lzma.decompress(data, lzma.FORMAT_RAW, filters=xz_filters(1, False)),
)
bzip2 = or_records(part_by_part(bzip2_part), bz2.compress, bz2.decompress)
