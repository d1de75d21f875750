"""Writing an archive: a pass over the data for ranges and words, what is learnt from them, then block by block."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentspace import __version__
from latentspace.archive.bounds import Bounds
from latentspace.archive.checks import Errors
from latentspace.archive.container import CARD, FORMAT, Writer, writing
from latentspace.archive.fields import Field, Scan
from latentspace.archive.levels import Facts
from latentspace.archive.packing import Counts, How, Packed, Tell, groups, packed_together
from latentspace.archive.sections import BLOCK, Content, Section
from latentspace.archive.threads import threads as available

__all__ = ["Tell", "Written", "write"]


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
    how = How(level, seed, tell, threads or available(), block, max(1, content.values))
    settled = [_settled(section, bounds, how) for section in content.sections]
    if bounds is not None:
        _check_names(content, bounds)
    counts, errors = Counts(), Errors()
    cards: list[dict[str, Any]] = [{} for _ in settled]
    with writing(path) as out:
        for members in groups(content.sections, settled):
            with ExitStack() as stack:
                given = [(content.sections[k], settled[k]) for k in members]
                model, chosen = packed_together(given, how, stack, path.parent, content.kind == "table")
                if model:
                    out.add(f"predictor/{members[0]}.bin", model)
                    counts.models += len(model)
                for k, packed in zip(members, chosen, strict=True):
                    cards[k] = _added(out, k, packed, members[0])
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


def _settled(section: Section, bounds: Bounds | None, how: How) -> list[Field]:
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


def _added(out: Writer, k: int, packed: Packed, model: int) -> dict[str, Any]:
    """Write the blocks of a section; its entry in the card."""
    packed.spool.seek(0)
    for number, found in enumerate(packed.blocks):
        out.add(f"blocks/{k}/{number}.bin", packed.spool.read(found.size))
    return {
        "name": packed.section.name,
        "rows": packed.section.rows,
        "step": packed.step,
        "fields": [f.to_json() for f in packed.fields],
        **({"predictor": model} if packed.learnt else {}),
        "blocks": [b.entry for b in packed.blocks],
    }
