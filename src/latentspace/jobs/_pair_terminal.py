"""Pairs asked one by one in the terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.space.answers import Answer
from latentspace.space.folder import Space

_KEYS = {"s": True, "same": True, "d": False, "different": False}
HOW = "s: the same, d: different, Enter: skip, q: stop. Every answer is kept at once."


def asked_one_by_one(
    space: Space,
    rows: NDArray[np.intp],
    who: str,
    keep: Callable[[Answer], None],
    read: Callable[[str], str] = input,
    show: Callable[[str], Any] = print,
) -> list[Answer]:
    """Ask about pairs (n, 2), `keep` each answer as it comes, and return all of them."""
    show(HOW)
    given: list[Answer] = []
    for number, (a, b) in enumerate(rows.tolist(), 1):
        names = str(space.ids[a]), str(space.ids[b])
        show(f"\n{number} of {len(rows)}: {names[0]} and {names[1]}")
        for line in side_by_side(space, a, b):
            show(line)
        word = _word(read)
        if word == "q":
            break
        if word in _KEYS:
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            given.append(Answer(*names, _KEYS[word], who, now))
            keep(given[-1])
    return given


def side_by_side(space: Space, a: int, b: int) -> list[str]:
    """The columns of two rows of a table, a line each, with a * where they differ; nothing for other items."""
    if space.columns is None or space.modality.name != "table":
        return []
    one, other = (space.columns.slice(row, 1).to_pylist()[0] for row in (a, b))
    width = max(len(name) for name in one)
    cells = [[_cell(values[name]) for name in one] for values in (one, other)]
    left = max(map(len, cells[0]))
    return [
        f"{'*' if x != y else ' '} {name:<{width}}  {x:<{left}}  {y}"
        for name, x, y in zip(one, *cells, strict=True)
    ]


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _word(read: Callable[[str], str]) -> str:
    """What was typed: one of the keys, "" or "q"; asked again for anything else, and q where nothing more comes."""
    while True:
        try:
            word = read("same or different? ").strip().lower()
        except EOFError:
            return "q"
        if word in (*_KEYS, "", "q"):
            return word
