"""What a block is made of: fields (a column, or an array of rows) and their cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.levels import Facts, Scale, find_scale

__all__ = ["Cells", "Field", "Scan"]

Array = NDArray[Any]
Mask = NDArray[np.bool_]
#: different words that a column of text may have to be stored as codes, as a share of its rows and in all
WORDS_SHARE, MOST_WORDS = 0.3, 2**16


@dataclass
class Cells:
    """The cells of a field in some rows: numbers (n, *shape) or a pyarrow array, and which are there (None: all)."""

    values: Any
    valid: Mask | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Field:
    """A column, or an array of rows.

    kind : "number", "text", "bytes" or "arrow" (anything else that Arrow has, stored as its IPC). dtype : of the
    numbers. shape : of one row's. bound : how far a number may come back from what it was. exact : it has none.
    scale : how the numbers become levels; None where they don't. words : what the codes of text stand for.
    """

    name: str
    kind: Literal["number", "text", "bytes", "arrow"] = "number"
    dtype: str = ""
    shape: tuple[int, ...] = ()
    exact: bool = False
    bound: float = 0.0
    scale: Scale | None = None
    words: tuple[str, ...] | None = None

    @property
    def levelled(self) -> bool:
        """Whether its cells are stored as levels, or codes of words."""
        return self.scale is not None

    def to_json(self) -> dict[str, Any]:
        """Without the words, which have a member of their own."""
        made: dict[str, Any] = {"name": self.name}
        if self.kind != "number":
            made["kind"] = self.kind
        for key in ("dtype", "shape", "bound", "exact"):
            if getattr(self, key):
                made[key] = getattr(self, key)
        if self.scale is not None:
            made["scale"] = self.scale.to_json()
        return made

    @classmethod
    def from_json(cls, made: dict[str, Any], words: list[str] | None) -> Field:
        """What `to_json` wrote."""
        scale = Scale(**made["scale"]) if "scale" in made else None
        given = {k: v for k, v in made.items() if k != "scale"} | {"shape": tuple(made.get("shape", ()))}
        return cls(**given, scale=scale, words=None if words is None else tuple(words))

    def coded(self, cells: Cells) -> Cells:
        """Text as the codes of its words; anything else as it is."""
        if self.words is None:
            return cells
        import pyarrow as pa
        import pyarrow.compute as pc

        codes = pc.index_in(cells.values, pa.array(self.words, cells.values.type))
        return Cells(codes.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32), cells.valid)

    @property
    def number(self) -> np.dtype[Any]:
        """The type of the numbers, or of the codes of words."""
        return np.dtype(np.int32 if self.words is not None else self.dtype)


class Scan:
    """One pass over a field's cells, for its scale or its words."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.facts = Facts(field.dtype) if field.kind == "number" else None
        self.rows = 0
        self.words: dict[str, int] | None = {} if field.kind == "text" else None

    def see(self, cells: Cells) -> None:
        """Take in the cells of a block."""
        self.rows += len(cells)
        if self.facts is not None:
            values = cells.values if cells.valid is None else cells.values[cells.valid]
            self.facts.see(values)
        elif self.words is not None:
            self._see_words(cells.values)

    def _see_words(self, values: Any) -> None:
        import pyarrow.compute as pc

        assert self.words is not None
        counts = pc.value_counts(values)
        if len(counts) > max(16, WORDS_SHARE * len(values)) or len(counts) + len(self.words) > 2 * MOST_WORDS:
            self.words = None
            return
        for word, count in zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True):
            if word is not None:
                self.words[word] = self.words.get(word, 0) + count
        if len(self.words) > MOST_WORDS:
            self.words = None

    def settled(self, bound: float) -> Field:
        """The field with its scale, or with its words, the commonest first."""
        if self.facts is not None:
            bound = 0.0 if self.field.exact else bound
            return replace(self.field, bound=bound, scale=find_scale(self.facts, bound))
        if self.words is None:
            return self.field
        words = tuple(sorted(self.words, key=lambda w: (-self.words[w], w)))  # type: ignore[index]
        return replace(self.field, words=words, scale=Scale(top=max(len(words) - 1, 0)))
