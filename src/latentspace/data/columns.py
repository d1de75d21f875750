"""Kinds of column: each tries to take a column, and refuses (Reject) with the reason where it cannot.

A kind is fitted from one `Column`, writes its features into a block of the table's tensor, and reads them
back. `KINDS` is the order in which they are tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.data._dates import Datetime
from latentspace.data._frames import Column
from latentspace.data._numeric import Numeric, Options, blank, like, standardise, write
from latentspace.errors import DataError, Reject

__all__ = [
    "KINDS",
    "Boolean",
    "Categorical",
    "Datetime",
    "Numeric",
    "Options",
    "Ordinal",
    "SetAside",
    "kind_from_state",
    "kind_state",
    "standardise",
]

Array = NDArray[Any]
#: With this many rows or fewer, distinct values say nothing about a column being an identifier.
FEW = 10


def _codes(col: Column, levels: Sequence[Any]) -> tuple[Array, list[Any]]:
    """Each row's index in `levels` (−1: a gap or unknown), and the column's values that are not in them."""
    where = {_key(level): i for i, level in enumerate(levels)}
    own, codes = col.levels, col.values
    if col.kind not in ("text", "ordered"):
        distinct, codes = np.unique(col.values, return_inverse=True)
        own = tuple(distinct.tolist())
    found = np.array([where.get(_key(level), -1) for level in own] + [-1], dtype=np.int32)
    result = found[codes]
    if col.missing is not None:
        result[col.missing] = -1
    strange = np.setdiff1d(np.unique(codes if col.missing is None else codes[~col.missing]), [-1])
    return result, [own[i] for i in strange if found[i] < 0 and not blank(own[i])]


def _key(level: Any) -> str:
    """Levels are the same where they read the same: True, 1 and 1.0 and "1" do."""
    if isinstance(level, bool | np.bool_ | int | float | np.number):
        number = float(level)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(level).strip()


def _unknown(col: Column, strange: list[Any], policy: str) -> None:
    """Warn of unseen categories, or refuse them."""
    if not strange:
        return
    few = ", ".join(repr(level) for level in strange[:3]) + (", ..." if len(strange) > 3 else "")
    if policy == "error":
        values = col.levels if col.kind in ("text", "ordered") else None
        row = int(np.argmax(col.values == (values.index(strange[0]) if values else strange[0])))
        raise DataError(f"Column {col.name!r}, row {row} (from 0), holds {few}, not seen in training.")
    warnings.warn(f"Column {col.name!r} holds {few}, not seen in training: treated as missing.", stacklevel=2)


@dataclass(frozen=True)
class Boolean:
    """One of two values: one Bernoulli feature, 1 for `high`."""

    low: Any
    high: Any
    frequency: float

    family: ClassVar[str] = "bernoulli"
    width: ClassVar[int] = 1

    @classmethod
    def fit(cls, col: Column, options: Options) -> Boolean:
        """Take booleans, two whole numbers, or two texts; raises Reject otherwise."""
        if col.kind == "boolean":
            low, high = False, True
        elif col.kind == "text" and len(col.levels) == 2:
            low, high = col.levels
        elif col.kind == "number":
            low, high = _two_numbers(col)
        else:
            raise Reject(f"column {col.name!r} does not hold two values")
        codes, _ = _codes(col, (low, high))
        return cls(low, high, float(np.mean(codes[codes >= 0])))

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, 1) of 0 and 1; returns which rows are gaps, or None."""
        codes, strange = _codes(col, (self.low, self.high))
        _unknown(col, strange, options.unknown)
        gaps = codes < 0
        write(out[:, 0], codes, gaps, self.frequency)
        return gaps if gaps.any() else None

    def decode(self, block: Array, col: Column) -> Column:
        """The likelier value of each row."""
        likely = block[:, 0] >= 0.5
        if isinstance(self.low, bool):
            return like(col, likely, kind="boolean")
        if isinstance(self.low, int | float):
            return like(col, np.where(likely, self.high, self.low), kind="number")
        return like(col, likely.astype(np.int32), kind="text", levels=(self.low, self.high))


def _two_numbers(col: Column) -> tuple[Any, Any]:
    known = col.known()
    distinct = np.unique(known[:1000])
    if len(distinct) <= 2:
        distinct = np.unique(known)
    if len(distinct) != 2 or np.mod(distinct, 1).any():
        raise Reject(f"column {col.name!r} does not hold two whole numbers")
    return distinct[0].item(), distinct[1].item()


@dataclass(frozen=True)
class Ordinal:
    """Categories with an order, as their position brought to mean 0 and variance 1. One Gaussian feature.

    Taken only where the order was declared, by option or by the frame (ordered categorical, Enum).
    """

    levels: tuple[Any, ...]
    position: Numeric

    family: ClassVar[str] = "gaussian"
    width: ClassVar[int] = 1

    @classmethod
    def fit(cls, col: Column, options: Options) -> Ordinal:
        """Take declared orders; raises Reject where there is none, DataError where a value is not in it."""
        if options.order is None and col.kind != "ordered":
            raise Reject(f"column {col.name!r} has no declared order")
        levels = tuple(col.levels if options.order is None else options.order)
        codes, strange = _codes(col, levels)
        if strange:
            raise DataError(
                f"Column {col.name!r} holds {strange[0]!r}, which its declared order {levels} lacks."
            )
        return cls(levels, Numeric.of(codes[codes >= 0].astype(np.float64), "standard"))

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, 1); returns which rows are gaps, or None."""
        codes, strange = _codes(col, self.levels)
        _unknown(col, strange, options.unknown)
        gaps = codes < 0
        write(out[:, 0], self.position.forward(codes.astype(np.float64)), gaps, 0.0)
        return gaps if gaps.any() else None

    def decode(self, block: Array, col: Column) -> Column:
        """The nearest level of each row."""
        codes = np.rint(self.position.backward(block[:, 0].astype(np.float64)))
        codes = np.clip(codes, 0, len(self.levels) - 1).astype(np.int32)
        if isinstance(self.levels[0], int | float) and "categories" not in col.dtype:
            return like(col, np.asarray(self.levels)[codes], kind="number")
        return like(col, codes, kind="ordered", levels=self.levels)


@dataclass(frozen=True)
class Categorical:
    """Categories, one-hot: as many features of one Categorical group as there are levels.

    Beyond `max_categories`, the rarer ones share a last level, which decodes to the most frequent of them.
    """

    levels: tuple[Any, ...]
    frequency: tuple[float, ...]
    gathered: tuple[Any, ...] = ()

    family: ClassVar[str] = "categorical"

    @property
    def width(self) -> int:
        """Number of features."""
        return len(self.frequency)

    @classmethod
    def fit(cls, col: Column, options: Options) -> Categorical:
        """Take text that repeats; raises Reject where nearly every row differs (names, free text)."""
        if col.kind not in ("text", "ordered"):
            raise Reject(f"column {col.name!r} is no text")
        counts = np.bincount(col.values[col.values >= 0], minlength=len(col.levels))
        rows = int(counts.sum())
        if rows > FEW and len(col.levels) == len(col) and _spaceless(col.levels):
            raise Reject("an identifier")
        if rows > FEW and len(col.levels) > max(rows / 2, FEW):
            raise Reject(f"free text or names ({len(col.levels):,} different values in {rows:,} rows)")
        keep = np.arange(len(col.levels))
        gathered = keep[:0]
        if len(keep) > options.max_categories:
            common = np.argsort(-counts, kind="stable")
            keep = np.sort(common[: options.max_categories - 1])
            gathered = common[options.max_categories - 1 :]
        shares = [*counts[keep], *([counts[gathered].sum()] if len(gathered) else [])]
        return cls(
            tuple(col.levels[i] for i in keep),
            tuple((np.array(shares) / rows).tolist()),
            tuple(col.levels[i] for i in gathered),
        )

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Write (n, width) of 0 and 1; returns which rows are gaps, or None."""
        codes, strange = _codes(col, (*self.levels, *self.gathered))
        _unknown(col, strange, options.unknown)
        gaps = codes < 0
        codes = np.minimum(codes, self.width - 1)
        out[...] = 0
        out[np.flatnonzero(~gaps), codes[~gaps]] = 1
        out[gaps] = self.frequency
        return gaps if gaps.any() else None

    def decode(self, block: Array, col: Column) -> Column:
        """The likeliest level of each row."""
        levels = (*self.levels, *self.gathered[:1])
        return like(col, block.argmax(1).astype(np.int32), kind="text", levels=levels)


@dataclass(frozen=True)
class SetAside:
    """A column that teaches nothing: no feature. `reason` says why; it comes back where that is possible.

    A constant comes back as its `value`, a duplicate as its `twin`, names and texts from the original items.
    """

    reason: str
    value: Any = None
    twin: str | int | None = None

    family: ClassVar[str] = "none"
    width: ClassVar[int] = 0

    @property
    def lent(self) -> bool:
        """Whether only the original items can give the column back."""
        return self.value is None and self.twin is None

    @classmethod
    def fit(cls, col: Column, options: Options) -> SetAside:
        """Take empty, constant and identifier-like columns; raises Reject where there is more to learn."""
        known = col.known()
        if col.kind == "other":
            return cls(f"of a kind that cannot be used ({col.dtype['arrow']})")
        if len(known) == 0 or (col.kind == "text" and all(blank(level) for level in col.levels)):
            return cls("empty")
        if known[0] == known[-1] and (known == known[0]).all():
            value = col.levels[known[0]] if col.kind in ("text", "ordered") else known[0].item()
            return cls("constant", value)
        if _identifies(col):
            return cls("an identifier")
        raise Reject(f"column {col.name!r} varies")

    def encode(self, col: Column, out: Array, options: Options) -> Array | None:
        """Nothing to write."""
        return None

    def decode(self, block: Array, col: Column) -> Column:
        """The constant, or gaps."""
        n = len(block)
        if self.value is None:
            return replace(_gaps(col, n), kind=col.kind)
        if col.kind in ("text", "ordered"):
            return like(col, np.zeros(n, np.int32), levels=(self.value,))
        return like(col, np.full(n, self.value))


def _gaps(col: Column, n: int) -> Column:
    empty = np.full(n, -1, np.int32) if col.kind in ("text", "ordered") else np.zeros(n, col.values.dtype)
    return replace(col, values=empty, missing=np.ones(n, bool), levels=())


def _identifies(col: Column) -> bool:
    """Whether the column holds whole numbers, all different, that count the rows or are named like an id.

    They count rows where they fill more than half of their range (1..n, also shuffled or with some taken
    out).
    """
    if col.missing is not None or len(col) <= FEW:
        return False
    if col.kind != "number" or len(np.unique(col.values[:1000])) < min(len(col), 1000):
        return False
    values = col.values.astype(np.float64)
    if np.mod(values, 1).any() or len(np.unique(values)) < len(values):
        return False
    return bool(np.ptp(values) < 2 * len(values)) or _named_like_id(col.name)


def _spaceless(levels: Sequence[Any]) -> bool:
    return sum(" " in str(level) for level in levels) < len(levels) / 2


def _named_like_id(name: str | int) -> bool:
    words = str(name).lower().replace("-", "_").replace(" ", "_").split("_")
    return bool({"id", "index", "uid", "uuid", "key", "udi", "nr", "no"} & set(words)) or str(name).endswith(
        "Id"
    )


def kind_state(kind: Any) -> dict[str, Any]:
    """A fitted kind as JSON-able values; `kind_from_state` reads it back."""
    return {"kind": type(kind).__name__} | {f.name: _plain(getattr(kind, f.name)) for f in fields(kind)}


def kind_from_state(state: Mapping[str, Any]) -> Any:
    """Read back what `kind_state` wrote."""
    kinds = {kind.__name__: kind for kind in KINDS}
    return kinds[state["kind"]](**{name: _rich(value) for name, value in state.items() if name != "kind"})


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return kind_state(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return kind_from_state(value)
    return tuple(_rich(one) for one in value) if isinstance(value, list) else value


#: The kinds in the order in which they are tried.
KINDS: tuple[Any, ...] = (SetAside, Ordinal, Boolean, Datetime, Numeric, Categorical)
