"""Writing an archive: a pass over the data for ranges and words, what is learnt from them, then block by block."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from latentspace import __version__
from latentspace.archive.blocks import Block, Blocks, Coded
from latentspace.archive.bounds import Bounds
from latentspace.archive.checks import Errors, check
from latentspace.archive.container import CARD, FORMAT, Writer, writing
from latentspace.archive.fields import Cells, Field, Scan
from latentspace.archive.levels import Facts
from latentspace.archive.sections import BLOCK, Content, Section, block_rows
from latentspace.archive.streams import Effort, predictor
from latentspace.archive.threads import ordered, single_blas
from latentspace.archive.threads import threads as available

__all__ = ["Tell", "Written", "write"]

#: numbers that the learnt codec is given to learn from, by level
LEARNT = {"default": 2**23, "max": 2**25}
#: told (what is going on, share done)
Tell = Callable[[str, float | None], None]
T = TypeVar("T")


@dataclass
class Written:
    """What was written, in bytes.

    size : the file. sizes : what the file would have with each well-kept codec alone. by_codec : what the streams
    take, by the codec that won them. models : the learnt codecs. bounds : of the columns or arrays that have one.
    """

    path: Path
    size: int
    sizes: dict[str, int]
    by_codec: dict[str, int]
    models: int
    blocks: int
    bounds: dict[str, float]
    errors: Errors
    notes: tuple[str, ...] = ()


@dataclass
class _Counts:
    """What sections took, in bytes."""

    plain: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    by_codec: dict[str, int] = field(default_factory=dict)
    models: int = 0
    blocks: int = 0

    def add(self, other: _Counts) -> None:
        """Take in another; where one of them does not know a codec, its best takes its place."""
        for name in self.sizes.keys() | other.sizes.keys():
            self.sizes[name] = self.sizes.get(name, self.plain) + other.sizes.get(name, other.plain)
        for name, size in other.by_codec.items():
            self.by_codec[name] = self.by_codec.get(name, 0) + size
        self.plain += other.plain
        self.models += other.models
        self.blocks += other.blocks


@dataclass
class _How:
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


def write(
    content: Content,
    path: Path,
    *,
    bounds: Bounds | None = None,
    level: str = "default",
    seed: int = 0,
    tell: Tell = lambda words, share: None,
    threads: int | None = None,
    block: int = BLOCK,
    extra: Callable[[Writer], dict[str, Any]] | None = None,
) -> Written:
    """Write `content` to the file `path`, whole or not at all, and say what it took.

    bounds : how far numbers may come back from what they were; None for bit for bit. level : "fast", "default" or
    "max". threads, block : how many blocks at a time, and of how many numbers. extra : adds members of its own and
    gives what the card says of them.

    Raises OptionError where a bound is of no column or the file cannot be written.
    """
    how = _How(level, seed, tell, threads or available(), block, max(1, content.values))
    settled = [_settled(section, bounds, how) for section in content.sections]
    if bounds is not None:
        _check_names(content, bounds)
    counts, errors = _Counts(), Errors()
    with writing(path) as out:
        cards = []
        for k, (section, fields) in enumerate(zip(content.sections, settled, strict=True)):
            with ExitStack() as stack:
                name = None if content.kind == "table" else section.name
                packed = _packed(section, fields, how, stack, path.parent, name)
                if section.instead is not None:
                    other = _packed(section.instead, section.instead.fields, how, stack, path.parent, name)
                    packed = min(packed, other, key=lambda p: p.size)
                cards.append(_added(out, k, packed))
                counts.add(packed.counts)
                errors.merge(packed.errors)
                settled[k] = packed.fields
        _add_rest(out, content, settled)
        card = _card(content, bounds, level, seed, cards)
        out.add_json(CARD, card | (extra(out) if extra is not None else {}))
    size = path.stat().st_size
    beside = size - counts.models - sum(counts.by_codec.values())
    sizes = {name: taken + beside for name, taken in counts.sizes.items()}
    bound = {
        (f.name if content.kind == "table" else section.name): f.bound
        for section, fields in zip(content.sections, settled, strict=True)
        for f in fields
        if f.bound
    }
    return Written(path, size, sizes, counts.by_codec, counts.models, counts.blocks, bound, errors)


def _add_rest(out: Writer, content: Content, settled: list[list[Field]]) -> None:
    """Words and dictionaries."""
    words = [[f.words for f in fields] for fields in settled]
    if any(w is not None for of_section in words for w in of_section):
        out.add_json("words.json", words)
    for name, data in content.members.items():
        out.add(name, data, pack=True)


def _card(content: Content, bounds: Bounds | None, level: str, seed: int, cards: list[Any]) -> dict[str, Any]:
    return {
        "latentspace": "archive",
        "format": FORMAT,
        "version": __version__,
        "content": content.kind,
        "name": content.name,
        "mode": "lossless" if bounds is None else "max-error",
        "level": level,
        "seed": seed,
        "nbytes": content.nbytes,
        "values": content.values,
        "schema": content.schema,
        "sections": cards,
    }


def _check_names(content: Content, bounds: Bounds) -> None:
    if content.kind == "table":
        fields = content.sections[0].fields
        able = [f.name for f in fields if f.kind == "number" and not f.exact]
        bounds.check(able, [f.name for f in fields if f.name not in able], content.name)
        return
    able = [s.name for s in content.sections if not all(f.exact for f in s.fields)]
    bounds.check(able, [s.name for s in content.sections if s.name not in able], content.name)


# the first pass


def _settled(section: Section, bounds: Bounds | None, how: _How) -> list[Field]:
    """The section's fields with their scales, bounds and words."""
    scans = [Scan(f) for f in section.fields]
    if all(f.kind in ("bytes", "arrow") for f in section.fields):
        return section.fields
    done = 0
    for cells in section.read(how.step(section)):
        for scan, part in zip(scans, cells, strict=True):
            scan.see(part)
        done += len(cells[0]) if cells else 0
        how.tell("looking at the numbers", done / max(1, section.rows))
    return [scan.settled(_bound_of(section, scan, scans, bounds)) for scan in scans]


def _bound_of(section: Section, scan: Scan, scans: list[Scan], bounds: Bounds | None) -> float:
    if bounds is None or scan.facts is None:
        return 0.0
    if not section.one_range:
        return bounds.of(scan.field.name, scan.facts.span)
    whole = Facts(np.float64)
    for facts in (s.facts for s in scans):
        if facts is not None and facts.low is not None:
            whole.see(np.array([facts.low, facts.high], np.float64))
    return bounds.of(section.name, whole.span)


# the second pass


@dataclass
class _Packed:
    """A section whose blocks wait on disk; `model` where the learnt codec pays."""

    section: Section
    fields: list[Field]
    step: int
    blocks: list[_Spooled]
    spool: IO[bytes]
    model: bytes
    counts: _Counts
    errors: Errors

    @property
    def size(self) -> int:
        """Bytes of its blocks and of what was learnt."""
        return sum(b.size for b in self.blocks) + len(self.model)


def _packed(
    section: Section, fields: list[Field], how: _How, stack: ExitStack, folder: Path, name: str | None
) -> _Packed:
    """The blocks of a section, read again and compared; with the learnt codec where all is smaller with it."""
    step = how.step(section)
    learnt = None if how.level == "fast" else _learn(section, fields, step, how)
    coder = Blocks(fields, learnt, Effort.of(how.level))
    spools = [stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(2)]  # noqa: SIM115
    plain, ours = [], []
    counts, far, far_ours = _Counts(), Errors(), Errors()
    for cells, coded in _coded(coder, section, step, how.threads):
        best = coded.ours if coded.ours is not None and coded.ours.size < coded.plain.size else coded.plain
        plain.append(_spooled(coded.plain, spools[0]))
        ours.append(_spooled(best, spools[1]))
        found = check(coder, coded.plain, cells, name)
        far.merge(found)
        far_ours.merge(found if best is coded.plain else check(coder, best, cells, name))
        counts.add(_Counts(coded.plain.size, coded.sizes, blocks=1))
        how.done += coded.plain.rows * section.width
        how.tell("packing", min(1.0, how.done / how.all))
    model = b"" if learnt is None else learnt.to_bytes()
    gain = sum(b.size for b in plain) - sum(b.size for b in ours)
    pays = learnt is not None and gain > len(model)
    model, chosen, spool = (model, ours, spools[1]) if pays else (b"", plain, spools[0])
    counts.models = len(model)
    for block in chosen:
        counts.add(_Counts(by_codec=block.by_codec))
    return _Packed(section, fields, step, chosen, spool, model, counts, far_ours if pays else far)


def _added(out: Writer, k: int, packed: _Packed) -> dict[str, Any]:
    """Write the blocks of a section; its entry in the card."""
    if packed.model:
        out.add(f"predictor/{k}.bin", packed.model)
    packed.spool.seek(0)
    for number, found in enumerate(packed.blocks):
        out.add(f"blocks/{k}/{number}.bin", packed.spool.read(found.size))
    return {
        "name": packed.section.name,
        "rows": packed.section.rows,
        "step": packed.step,
        "fields": [f.to_json() for f in packed.fields],
        "predictor": bool(packed.model),
        "blocks": [b.entry for b in packed.blocks],
    }


@dataclass
class _Spooled:
    """A block whose streams wait on disk."""

    entry: dict[str, Any]
    size: int
    by_codec: dict[str, int]


def _spooled(block: Block, spool: IO[bytes]) -> _Spooled:
    by_codec: dict[str, int] = {}
    for stream in block.streams:
        spool.write(stream.data)
        name = stream.how.split(":")[0]
        by_codec[name] = by_codec.get(name, 0) + len(stream.data)
    return _Spooled(block.to_json(), block.size, by_codec)


def _coded(coder: Blocks, section: Section, step: int, threads: int) -> Iterator[tuple[list[Cells], Coded]]:
    """Every block with what it became, in order, a few at a time."""

    def one(cells: list[Cells]) -> tuple[list[Cells], Coded]:
        return cells, coder.encode(cells)

    with single_blas(), ThreadPoolExecutor(threads) as pool:
        yield from ordered(pool, one, section.read(step), threads)


def _learn(section: Section, fields: list[Field], step: int, how: _How) -> Any:
    """The learnt codec of a section; None where there is none to be had or too little to learn from."""
    member = predictor()
    if member is None or not any(f.levelled for f in fields) or not section.rows:
        return None
    coder = Blocks(fields)
    parts: list[NDArray[np.int64]] = []
    masks: list[NDArray[np.bool_] | None] = []
    size = 0
    for cells in section.read(step):
        levels, seen = coder.matrix(coder.levels(cells))
        parts.append(levels)
        masks.append(seen)
        size += levels.size
        if size >= LEARNT[how.level]:
            break
    whole = np.concatenate(parts)
    observed = None
    if any(m is not None for m in masks):
        observed = np.concatenate(
            [np.ones(p.shape, bool) if m is None else m for p, m in zip(parts, masks, strict=True)]
        )
    total = section.rows * (whole.size // len(whole))
    return member.fit(whole, observed, size=how.level, total=total, seed=how.seed, tell=how.tell)
