"""Compressing drawn: the size beside that of the other ways, and the errors beside their bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentspace.archive.sections import Content
    from latentspace.archive.writing import Written

__all__ = ["figures"]


def figures(content: Content, written: Written) -> dict[str, Any]:
    """Name → a function that draws it."""
    found: dict[str, Any] = {"sizes": lambda: _sizes(content, written)}
    if written.errors.bars.sum():
        found["errors"] = lambda: _errors(written)
    return found


def _sizes(content: Content, written: Written) -> Any:
    from latentspace.jobs._compress_words import bits
    from latentspace.plots_compress import sizes_view

    ways = {"this file": written.size, **written.sizes}
    return sizes_view(list(ways), [bits(size, content) for size in ways.values()])


def _errors(written: Written) -> Any:
    from latentspace.plots_compress import errors_view

    return errors_view(written.errors.bars)
