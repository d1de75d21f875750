"""Named arrays as sections of numbers, and back with their types, shapes and names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from latentspace.archive.fields import Cells, Field
from latentspace.archive.sections import Content, Section, little, slices
from latentspace.errors import DataError

__all__ = ["array_of", "arrays_content"]

Array = NDArray[Any]
#: an array (n, F) of at most so many columns is stored column by column
MOST_COLUMNS = 64


def arrays_content(arrays: Mapping[str, Array], name: str, *, single: bool = False) -> Content:
    """The content of named arrays; `single` for one that has no name of its own.

    Raises DataError at an array of Python objects.
    """
    sections, schemas = [], []
    for key, array in arrays.items():
        if array.dtype.hasobject:
            raise DataError(
                f"The array {key!r} of {name} holds Python objects, which are not stored: "
                "make it numbers or fixed-width strings (array.astype(float) or .astype(str))."
            )
        sections.append(_section(key, array))
        dtype = npy.dtype_to_descr(array.dtype)
        schemas.append({"name": key, "dtype": dtype, "shape": list(array.shape)})
    nbytes = sum(a.nbytes for a in arrays.values())
    values = sum(a.size for a in arrays.values())
    return Content("arrays", name, sections, {"arrays": schemas, "single": single}, nbytes, values)


def _section(key: str, array: Array) -> Section:
    rows = array if array.ndim else array.reshape(1)
    empty = not rows.size or not rows.dtype.itemsize
    probe, exact = _numbers(rows[:1] if not empty else np.zeros((1, 1), np.uint8))
    kind, shape = probe.dtype.str, probe.shape[1:]
    split = len(shape) <= 1 and (shape[0] if shape else 1) <= MOST_COLUMNS
    count = shape[0] if shape else 1
    if split:
        fields = [Field(str(j), dtype=kind, exact=exact) for j in range(count)]
    else:
        fields = [Field(key, dtype=kind, shape=shape, exact=exact)]

    def read(step: int) -> Iterator[list[Cells]]:
        for part in slices(0 if empty else len(rows), step):
            values = _numbers(rows[part])[0]
            valid = ~np.isnat(rows[part]) if rows.dtype.kind in "mM" else None
            if not split:
                yield [Cells(values, valid)]
                continue
            columns = values.reshape(len(values), -1).T
            masks = [None] * count if valid is None else list(valid.reshape(len(valid), -1).T)
            yield [Cells(np.ascontiguousarray(c), m) for c, m in zip(columns, masks, strict=True)]

    return Section(key, fields, 0 if empty else len(rows), read, one_range=True)


def _numbers(array: Array) -> tuple[Array, bool]:
    """Any array as numbers that have levels or as bytes, and whether a bound is not for it."""
    array = little(array)
    match array.dtype.kind:
        case "i" | "u":
            return array, False
        case "f" if array.dtype.itemsize <= 8:
            return array, False
        case "b":
            return array.view(np.uint8), True
        case "m" | "M":
            return array.view(np.int64), True
        case "U":
            return array.view(np.uint32).reshape(*array.shape, -1), True
        case "c" if array.dtype.itemsize <= 16:
            return array.view(f"<f{array.dtype.itemsize // 2}").reshape(*array.shape, 2), True
    return array.view(np.uint8).reshape(*array.shape, -1), True


def array_of(schema: dict[str, Any], parts: list[list[Cells]], rows: int | None) -> Array:
    """The array of blocks of cells; `rows` of them, or None for the whole in its own shape."""
    dtype = npy.descr_to_dtype(_tuples(schema["dtype"]))
    shape = tuple(schema["shape"])
    if rows is not None:
        shape = (rows, *shape[1:])
    if not parts:
        return np.zeros(shape, dtype)
    blocks = []
    for cells in parts:
        split = cells[0].values.ndim == 1
        values = np.stack([c.values for c in cells], axis=1) if split else cells[0].values
        if dtype.kind in "mM":
            masks = [np.ones(c.values.shape, bool) if c.valid is None else c.valid for c in cells]
            valid = np.stack(masks, axis=1) if split else masks[0]
            values = np.where(valid, values, np.iinfo(np.int64).min)
        blocks.append(np.ascontiguousarray(values))
    whole = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
    made = whole.view(np.uint8).reshape(-1).view(dtype.newbyteorder("<")).reshape(shape)
    return made.astype(dtype) if made.dtype != dtype else made


def _tuples(descr: Any) -> Any:
    """JSON's lists as the tuples that a structured type is written with."""
    if isinstance(descr, list):
        return [
            tuple(_tuples(p) if isinstance(p, list) and i == 1 else _shape(p) for i, p in enumerate(f))
            for f in descr
        ]
    return descr


def _shape(part: Any) -> Any:
    return tuple(part) if isinstance(part, list) else part
