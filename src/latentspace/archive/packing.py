"""Sections packed block by block, without and with what is learnt from them, on disk until it is known what pays."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.blocks import Block, Blocks, Coded
from latentspace.archive.checks import Errors, check
from latentspace.archive.fields import Cells, Field
from latentspace.archive.sections import Section, block_rows
from latentspace.archive.streams import Effort
from latentspace.archive.threads import ordered, single_blas
from latentspace.codecs.predictor import Predictor, Size

__all__ = ["Counts", "How", "Packed", "Tell", "groups", "packed_together"]

#: told (what is going on, share done)
Tell = Callable[[str, float | None], None]
Given = tuple[Section, list[Field]]

#: numbers that the learnt codec is given to learn from, by level
LEARNT = {"default": 2**23, "max": 2**25}


@dataclass
class Counts:
    """What sections took, in bytes."""

    plain: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    by_codec: dict[str, int] = field(default_factory=dict)
    models: int = 0
    blocks: int = 0

    def add(self, other: Counts) -> None:
        """Take in another; where one of them does not know a codec, its best takes its place."""
        for name in self.sizes.keys() | other.sizes.keys():
            self.sizes[name] = self.sizes.get(name, self.plain) + other.sizes.get(name, other.plain)
        for name, size in other.by_codec.items():
            self.by_codec[name] = self.by_codec.get(name, 0) + size
        self.plain += other.plain
        self.models += other.models
        self.blocks += other.blocks


@dataclass
class How:
    """How hard to try, and whom to tell."""

    level: str
    seed: int
    tell: Tell
    threads: int
    block: int
    all: int
    done: int = 0

    def step(self, section: Section) -> int:
        """Rows of a block."""
        return section.step or block_rows(section.width, self.block)


@dataclass
class Spooled:
    """A block whose streams wait on disk."""

    entry: dict[str, Any]
    size: int
    by_codec: dict[str, int]


@dataclass
class _Way:
    """The blocks of a section in one way, on disk."""

    spool: IO[bytes]
    blocks: list[Spooled] = field(default_factory=list)
    errors: Errors = field(default_factory=Errors)

    @property
    def size(self) -> int:
        """Bytes of the blocks."""
        return sum(b.size for b in self.blocks)

    def add(self, block: Block, errors: Errors) -> None:
        """Put a block on disk."""
        by_codec: dict[str, int] = {}
        for stream in block.streams:
            self.spool.write(stream.data)
            name = stream.how.split(":")[0]
            by_codec[name] = by_codec.get(name, 0) + len(stream.data)
        self.blocks.append(Spooled(block.to_json(), block.size, by_codec))
        self.errors.merge(errors)


@dataclass
class Packed:
    """A section in the way that was chosen."""

    section: Section
    fields: list[Field]
    step: int
    blocks: list[Spooled]
    spool: IO[bytes]
    counts: Counts
    errors: Errors
    learnt: bool


def groups(sections: list[Section], settled: list[list[Field]]) -> list[list[int]]:
    """Places of sections that are learnt from together: arrays whose rows have one type, shape and scale."""
    found: dict[Any, list[int]] = {}
    for k, (section, fields) in enumerate(zip(sections, settled, strict=True)):
        alike = len(fields) == 1 and bool(fields[0].shape) and fields[0].levelled and section.instead is None
        f = fields[0] if fields else None
        key = (f.dtype, f.shape, f.scale, f.bound, f.exact) if alike and f is not None else k
        found.setdefault(key, []).append(k)
    return list(found.values())


def packed_together(
    given: list[Given], how: How, stack: ExitStack, folder: Path, table: bool
) -> tuple[bytes, list[Packed]]:
    """What was learnt from sections (nothing, where it does not pay for its own bytes), and each at its smallest."""
    learnt = None if how.level == "fast" else _learn(given, how)
    names = [None if table else section.name for section, _ in given]
    both = [
        _both(section, fields, learnt, how, stack, folder, name)
        for (section, fields), name in zip(given, names, strict=True)
    ]
    model = b"" if learnt is None else learnt.to_bytes()
    gain = sum(plain.size - ours.size for plain, ours, _ in both)
    if gain <= len(model):
        model = b""
    chosen = [
        _chosen(
            section, fields, how, (ours if model else plain), counts, bool(model) and ours.size < plain.size
        )
        for (section, fields), (plain, ours, counts) in zip(given, both, strict=True)
    ]
    instead = given[0][0].instead
    if instead is not None:
        other, _, counts = _both(instead, instead.fields, None, how, stack, folder, names[0])
        if other.size < sum(b.size for b in chosen[0].blocks) + len(model):
            return b"", [_chosen(instead, instead.fields, how, other, counts, False)]
    return model, chosen


def _chosen(
    section: Section, fields: list[Field], how: How, way: _Way, counts: Counts, learnt: bool
) -> Packed:
    for block in way.blocks:
        counts.add(Counts(by_codec=block.by_codec))
    return Packed(section, fields, how.step(section), way.blocks, way.spool, counts, way.errors, learnt)


def _both(
    section: Section,
    fields: list[Field],
    learnt: Any,
    how: How,
    stack: ExitStack,
    folder: Path,
    name: str | None,
) -> tuple[_Way, _Way, Counts]:
    """The blocks of a section without and with the learnt codec, each read again and compared."""
    coder = Blocks(fields, learnt, Effort.of(how.level))
    plain, ours = (_Way(stack.enter_context(tempfile.TemporaryFile(dir=folder))) for _ in range(2))  # noqa: SIM115
    counts = Counts()
    for cells, coded in _coded(coder, section, how):
        better = coded.ours if coded.ours is not None and coded.ours.size < coded.plain.size else None
        found = check(coder, coded.plain, cells, name)
        plain.add(coded.plain, found)
        if learnt is not None:
            ours.add(better or coded.plain, found if better is None else check(coder, better, cells, name))
        counts.add(Counts(coded.plain.size, coded.sizes, blocks=1))
        how.done += coded.plain.rows * section.width
        how.tell("packing", min(1.0, how.done / how.all))
    return plain, plain if learnt is None else ours, counts


def _coded(coder: Blocks, section: Section, how: How) -> Iterator[tuple[list[Cells], Coded]]:
    """Every block with what it became, in order, a few at a time."""

    def one(cells: list[Cells]) -> tuple[list[Cells], Coded]:
        return cells, coder.encode(cells)

    with single_blas(), ThreadPoolExecutor(how.threads) as pool:
        yield from ordered(pool, one, section.read(how.step(section)), how.threads)


# learning


def _learn(given: list[Given], how: How) -> Any:
    """The learnt codec of sections; None where there is too little to learn from."""
    rows = sum(section.rows for section, _ in given)
    if not rows or not any(f.levelled for f in given[0][1]):
        return None
    levels: list[NDArray[np.int64]] = []
    masks: list[NDArray[np.bool_]] = []
    for section, fields in given:
        for part, seen in _spread(section, fields, how, LEARNT[how.level] * section.rows // rows):
            levels.append(part)
            masks.append(seen)
    whole, observed = np.concatenate(levels), np.concatenate(masks)
    total = rows * (whole.size // len(whole))
    given_mask = None if observed.all() else observed
    size: Size = "max" if how.level == "max" else "default"
    return Predictor.fit(whole, given_mask, size=size, total=total, seed=how.seed, tell=how.tell)


def _spread(
    section: Section, fields: list[Field], how: How, most: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Levels of blocks from all over the section, about so many, and which of them are there."""
    coder, size = Blocks(fields), 0
    apart = max(1, section.rows * section.width // max(1, most))
    for number, cells in enumerate(section.read(how.step(section))):
        if number % apart:
            continue
        levels, seen = coder.matrix(coder.levels(cells))
        yield levels, np.ones(levels.shape, bool) if seen is None else seen
        size += levels.size
        if size >= most:
            return
