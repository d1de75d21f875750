"""Writing an archive: a pass over the data for ranges and words, what is learnt from them, then block by block."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
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
from latentspace.archive.sections import BLOCK, Content, Section, block_rows
from latentspace.archive.streams import Effort

__all__ = ["Written", "write"]

#: numbers that the learnt codec is given to learn from, by level
LEARNT = {"default": 2**23, "max": 2**25}
#: told (what is going on, share done)
Tell = Callable[[str, float | None], None]
T = TypeVar("T")


@dataclass
class Written:
    """What was written, in bytes.

    size : the file. sizes : what the file would have with each well-kept codec alone. by_codec : what the streams
    take, by the codec that won them. models : the learnt codecs. fields : all, with their scales and bounds.
    """

    path: Path
    size: int
    sizes: dict[str, int]
    by_codec: dict[str, int]
    models: int
    blocks: int
    fields: list[Field]
    errors: Errors
    notes: tuple[str, ...] = ()


@dataclass
class _Total:
    """Counts while writing."""

    done: int = 0
    all: int = 1
    sizes: dict[str, int] = field(default_factory=dict)
    by_codec: dict[str, int] = field(default_factory=dict)
    models: int = 0
    blocks: int = 0
    plain: int = 0


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
) -> Written:
    """Write `content` to the file `path`, whole or not at all, and say what it took.

    bounds : how far numbers may come back from what they were; None for bit for bit. level : "fast", "default" or
    "max". threads, block : how many blocks at a time, and of how many numbers.

    Raises OptionError where a bound is of no column or the file cannot be written.
    """
    settled = [_settled(section, bounds, block, tell) for section in content.sections]
    if bounds is not None:
        _check_names(content, bounds)
    total, errors = _Total(all=max(1, content.values)), Errors()
    with writing(path) as out:
        cards = []
        for k, (section, fields) in enumerate(zip(content.sections, settled, strict=True)):
            options = (level, seed, tell, threads or _threads(), block)
            cards.append(_section(out, k, section, fields, total, errors, options, path.parent))
        words = [[f.words for f in fields] for fields in settled]
        if any(w is not None for of_section in words for w in of_section):
            out.add_json("words.json", words)
        for name, data in content.members.items():
            out.add(name, data, pack=True)
        out.add_json(CARD, _card(content, bounds, level, seed, cards))
    size = path.stat().st_size
    beside = size - total.models - sum(total.by_codec.values())
    sizes = {name: taken + beside for name, taken in total.sizes.items()}
    fields = [f for of_section in settled for f in of_section]
    return Written(path, size, sizes, total.by_codec, total.models, total.blocks, fields, errors)


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


def _settled(section: Section, bounds: Bounds | None, block: int, tell: Tell) -> list[Field]:
    """The section's fields with their scales, bounds and words."""
    scans = [Scan(f) for f in section.fields]
    done = 0
    for cells in section.read(block_rows(section.width, block)):
        for scan, part in zip(scans, cells, strict=True):
            scan.see(part)
        done += len(cells[0]) if cells else 0
        tell("looking at the numbers", done / max(1, section.rows))
    return [scan.settled(_bound_of(section, scan, scans, bounds)) for scan in scans]


def _bound_of(section: Section, scan: Scan, scans: list[Scan], bounds: Bounds | None) -> float:
    if bounds is None or scan.facts is None:
        return 0.0
    if not section.one_range:
        return bounds.of(scan.field.name, scan.facts.span)
    facts = [s.facts for s in scans if s.facts is not None and s.facts.low is not None]
    span = float(max(f.high for f in facts)) - float(min(f.low for f in facts)) if facts else 0.0
    return bounds.of(section.name, span)


# the second pass


def _section(
    out: Writer,
    k: int,
    section: Section,
    fields: list[Field],
    total: _Total,
    errors: Errors,
    options: tuple[str, int, Tell, int, int],
    folder: Path,
) -> dict[str, Any]:
    """Write the blocks of one section, with the learnt codec where all is smaller with it; its entry in the card."""
    level, seed, tell, threads, block = options
    effort = Effort.of(level)
    step = block_rows(section.width, block)
    learnt = None if level == "fast" else _learn(section, fields, step, level, seed, tell)
    coder = Blocks(fields, learnt, effort)
    with ExitStack() as stack:
        spools = [stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(2)]
        plain, ours = [], []
        for cells, coded in _coded(coder, section, step, threads):
            best = (
                coded.ours if coded.ours is not None and coded.ours.size < coded.plain.size else coded.plain
            )
            plain.append(_spooled(coded.plain, spools[0]))
            ours.append(_spooled(best, spools[1]))
            errors.merge(check(coder, coded.plain, cells))
            if best is not coded.plain:
                check(coder, best, cells)
            for name, size in coded.sizes.items():
                total.sizes[name] = total.sizes.get(name, total.plain) + size
            for name in total.sizes.keys() - coded.sizes.keys():
                total.sizes[name] += coded.plain.size
            total.plain += coded.plain.size
            total.done += coded.plain.rows * section.width
            total.blocks += 1
            tell("packing", min(1.0, total.done / total.all))
        model = b"" if learnt is None else learnt.to_bytes()
        gain = sum(b.size for b in plain) - sum(b.size for b in ours)
        chosen, spool = (ours, spools[1]) if learnt is not None and gain > len(model) else (plain, spools[0])
        if chosen is ours:
            out.add(f"predictor/{k}.bin", model)
            total.models += len(model)
        spool.seek(0)
        for number, found in enumerate(chosen):
            out.add(f"blocks/{k}/{number}.bin", spool.read(found.size))
            for name, size in found.by_codec.items():
                total.by_codec[name] = total.by_codec.get(name, 0) + size
    return {
        "name": section.name,
        "rows": section.rows,
        "step": step,
        "fields": [f.to_json() for f in fields],
        "predictor": chosen is ours,
        "blocks": [b.entry for b in chosen],
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

    with _single_blas(), ThreadPoolExecutor(threads) as pool:
        yield from ordered(pool, one, section.read(step), threads)


def ordered(
    pool: ThreadPoolExecutor, work: Callable[[Any], T], given: Iterable[Any], ahead: int
) -> Iterator[T]:
    """`work` on all that is given, in order, at most `ahead` at a time."""
    waiting: deque[Future[T]] = deque()
    try:
        for one in given:
            waiting.append(pool.submit(work, one))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _single_blas() -> AbstractContextManager[Any]:
    """Matrix products of one thread each, as there are several blocks at a time."""
    if find_spec("threadpoolctl") is None:
        return nullcontext()
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits


def _threads() -> int:
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, there)


def _learn(section: Section, fields: list[Field], step: int, level: str, seed: int, tell: Tell) -> Any:
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
        if size >= LEARNT[level]:
            break
    whole = np.concatenate(parts)
    observed = None
    if any(m is not None for m in masks):
        observed = np.concatenate(
            [np.ones(p.shape, bool) if m is None else m for p, m in zip(parts, masks, strict=True)]
        )
    total = section.rows * (whole.size // len(whole))
    return member.fit(whole, observed, size=level, total=total, seed=seed, tell=tell)


def predictor() -> Any:
    """The class of the learnt codec; None where it is not there."""
    if find_spec("latentspace.codecs.predictor") is None:
        return None
    from latentspace.folder import find

    return find("codecs", "predictor")
