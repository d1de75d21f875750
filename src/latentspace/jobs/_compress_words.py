"""What compressing came to, in words, tables and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentspace.archive.reading import Archive
    from latentspace.archive.sections import Content
    from latentspace.archive.writing import Written

__all__ = ["data", "opened", "summary", "tables"]

#: what the streams' codecs are called; those that are no codec at all are left out
OURS = "this package's"
#: columns whose errors are listed
MOST_COLUMNS = 40


def opened(path: Path) -> Archive:
    """The archive just written."""
    from latentspace.archive.reading import Archive

    return Archive(path)


def size_words(number: float) -> str:
    """Bytes in a unit that suits them.

    >>> size_words(950), size_words(1234567)
    ('950 bytes', '1.23 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}" if number < 100 * size else f"{number / size:.0f} {unit}"
    return f"{number:.0f} bytes"


def bits(number: float, content: Content) -> float:
    """Bits a value."""
    return 8 * number / max(1, content.values)


def summary(content: Content, written: Written) -> list[str]:
    """What was stored, how well, and who won."""
    lines = [_what(content, written), _how(content, written)]
    if content.file_bytes is not None:
        more = written.size > content.file_bytes
        lines.append(
            f"The file given has {size_words(content.file_bytes)}{': there is little to gain' * more}."
        )
    if written.errors.largest:
        lines.append(_errors(written))
    won = _won(written)
    if won:
        lines.append(won)
    return [*lines, *content.notes]


def _what(content: Content, written: Written) -> str:
    ratio = content.nbytes / max(1, written.size)
    beside = size_words(content.nbytes)
    return f"{content.name}: {beside} in {size_words(written.size)}, {ratio:.3g} to 1."


def _how(content: Content, written: Written) -> str:
    """The line of bits a value beside the other ways."""
    mine = bits(written.size, content)
    others = sorted(written.sizes.items(), key=lambda pair: pair[1])
    if not others:
        return f"{mine:.3g} bits a value."
    (best, size), *rest = others
    share = 100 * (1 - written.size / size)
    beside = (
        "no more than" if abs(share) < 0.05 else f"{abs(share):.1f} % {'below' if share > 0 else 'above'}"
    )
    said = ", ".join(f"{name} {bits(taken, content):.3g}" for name, taken in rest)
    line = f"{mine:.3g} bits a value: {beside} the best other way ({best} {bits(size, content):.3g})"
    return f"{line}, {said}." if said else f"{line}."


def _errors(written: Written) -> str:
    worst = max(far / written.bounds[name] for name, far in written.errors.largest.items())
    return f"Every number came back within its bound when the file was read again: at most {worst:.0%} of it."


def _won(written: Written) -> str:
    shares = {called(name): size for name, size in written.by_codec.items() if size}
    total = sum(shares.values())
    if not total:
        return ""
    ranked = sorted(shares.items(), key=lambda pair: -pair[1])
    words = ", ".join(f"{name} {size / total:.0%}" for name, size in ranked if size / total >= 0.005)
    model = f"; of that file {size_words(written.models)} are what was learnt" if written.models else ""
    return f"Of its bytes: {words}{model}."


def called(name: str) -> str:
    """A codec's name as it is shown."""
    return {"ours": OURS, "raw": "plain", "same": "plain"}.get(name, name)


def tables(content: Content, written: Written) -> dict[str, list[dict[str, Any]]]:
    """Each way's size, and each column's error."""
    ways = [("this file", written.size), *sorted(written.sizes.items(), key=lambda pair: pair[1])]
    made = {
        "Ways": [
            {"way": name, "bytes": f"{size:,}", "bits a value": f"{bits(size, content):.3f}"}
            for name, size in ways
        ]
    }
    errors = [
        {
            "column": name,
            "bound": f"{written.bounds[name]:.4g}",
            "largest error": f"{far:.4g}",
            "RMSE": f"{written.errors.rmse(name):.4g}",
        }
        for name, far in written.errors.largest.items()
    ]
    if errors:
        made["Errors"] = errors[:MOST_COLUMNS]
    return made


def data(content: Content, written: Written) -> dict[str, Any]:
    """All numbers."""
    errors = {
        name: {"bound": written.bounds[name], "largest": far, "rmse": written.errors.rmse(name)}
        for name, far in written.errors.largest.items()
    }
    return {
        "bytes": written.size,
        "bytes_in_memory": content.nbytes,
        "bytes_of_file": content.file_bytes,
        "values": content.values,
        "bits_per_value": bits(written.size, content),
        "ratio": content.nbytes / max(1, written.size),
        "others": written.sizes,
        "by_codec": written.by_codec,
        "bytes_learnt": written.models,
        "blocks": written.blocks,
        "errors": errors,
    }
