"""Answers to "same or different?", kept in a space: a journal that is appended to, and what follows from it."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentspace.errors import OptionError, SpaceError

#: the journal of a space
JOURNAL = "pairs.jsonl"


@dataclass(frozen=True)
class Answer:
    """What somebody said of two items: their ids, whether they are the same, who said so and when (ISO 8601)."""

    a: str
    b: str
    same: bool
    who: str = ""
    when: str = ""


def append(folder: Path, answers: Sequence[Answer]) -> None:
    """Put answers after those that are there; they are on the disk when this returns.

    Whoever is stopped in between leaves at most a torn last line, which reading leaves out.
    """
    lines = [{"a": one.a, "b": one.b, "same": one.same, "who": one.who, "when": one.when} for one in answers]
    _write(folder, lines)


def undo(folder: Path, n: int) -> list[Answer]:
    """Take back the last n answers, which is itself written down; returns them. Raises OptionError for too many."""
    there = read(folder)
    if n > len(there):
        raise OptionError(f"There are {len(there)} answers to take back, not {n}.")
    _write(folder, [{"undo": n}])
    return there[len(there) - n :]


def read(folder: Path) -> list[Answer]:
    """The answers that hold, in the order in which they were given.

    Raises SpaceError at a line that is no answer, unless it is the last: that one was torn.
    """
    file = folder / JOURNAL
    if not file.exists():
        return []
    lines = file.read_bytes().split(b"\n")  # a torn one may end within a letter
    kept: list[Answer] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said: dict[str, Any] = json.loads(line)
            if "undo" in said:
                kept = kept[: len(kept) - int(said["undo"])]
            else:
                kept.append(
                    Answer(str(said["a"]), str(said["b"]), bool(said["same"]), said["who"], said["when"])
                )
        except (ValueError, KeyError, TypeError) as failure:
            if number == len(lines):
                break
            raise SpaceError(f"Line {number} of {file} is no answer: repair it or take it out.") from failure
    return kept


def keep(old: Path, new: Path) -> None:
    """Let the answers in a folder that is about to be replaced be in the new one, too."""
    if (old / JOURNAL).exists():
        shutil.copy2(old / JOURNAL, new / JOURNAL)


def _write(folder: Path, lines: Sequence[dict[str, Any]]) -> None:
    file = folder / JOURNAL
    try:
        with file.open("a+b") as journal:
            _cut(journal)
            journal.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
            journal.flush()
            os.fsync(journal.fileno())
    except OSError as failure:
        raise SpaceError(f"{file} cannot be written: {failure.strerror or failure}.") from failure


def _cut(journal: Any) -> None:
    """Take away a last line that has no end: whoever wrote it was stopped."""
    journal.seek(0)
    journal.truncate(journal.read().rfind(b"\n") + 1)
    journal.seek(0, os.SEEK_END)


# what follows


@dataclass(frozen=True)
class Implied:
    """What answers say together.

    group : item → the number of its group of the same; apart : pairs of groups that are different; conflicts :
    answers that cannot all be true, each the smallest set around one "different" within a group.
    """

    group: dict[str, int]
    apart: set[tuple[int, int]]
    conflicts: list[list[Answer]]

    def known(self, a: str, b: str) -> bool | None:
        """Whether two items are known to be the same or different; None where nothing follows."""
        one, other = self.group.get(a), self.group.get(b)
        if one is None or other is None:
            return None
        if one == other:
            return True
        return False if (min(one, other), max(one, other)) in self.apart else None


def implied(answers: Sequence[Answer]) -> Implied:
    """What follows from answers: the same as the same are the same; what is apart from one of them is from all.

    The last answer of a pair holds. Where a "different" lies within a group of the same, the shortest chain of "same"
    between its two items makes a conflict with it, and the "different" is left out.

    >>> said = [Answer("a", "b", True), Answer("b", "c", True), Answer("a", "c", False), Answer("c", "d", False)]
    >>> found = implied(said)
    >>> found.known("a", "d"), [len(conflict) for conflict in found.conflicts]
    (False, [3])
    """
    last = {frozenset((one.a, one.b)): one for one in answers if one.a != one.b}
    sames = [one for one in last.values() if one.same]
    # in the order of the answers, and not of a set's: what follows is the same in every process
    near: dict[str, list[Answer]] = {item: [] for one in last.values() for item in (one.a, one.b)}
    for one in sames:
        near[one.a].append(one)
        near[one.b].append(one)
    group: dict[str, int] = {}
    groups = 0
    for item in near:
        if item not in group:
            group |= dict.fromkeys(_reached(item, near), groups)
            groups += 1
    apart, conflicts = set(), []
    for one in last.values():
        if one.same:
            continue
        x, y = group[one.a], group[one.b]
        if x == y:
            conflicts.append([*_chain(one.a, one.b, near), one])
        else:
            apart.add((min(x, y), max(x, y)))
    return Implied(group, apart, sorted(conflicts, key=len))


def following(answers: Sequence[Answer], longest: int | None = None) -> Iterator[tuple[str, str]]:
    """Pairs that are the same by a chain of two answers or more, at most `longest`: the shortest chains first.

    >>> said = [Answer("a", "b", True), Answer("b", "c", True), Answer("c", "d", True)]
    >>> list(following(said)), list(following(said, 2))
    ([('a', 'c'), ('b', 'd'), ('a', 'd')], [('a', 'c'), ('b', 'd')])
    """
    last = {frozenset((one.a, one.b)): one for one in answers if one.a != one.b}
    near: dict[str, list[str]] = {}
    for one in last.values():
        if one.same:
            near.setdefault(one.a, []).append(one.b)
            near.setdefault(one.b, []).append(one.a)
    seen = {item: {item} for item in near}
    ahead, length = {item: [item] for item in near}, 0
    while ahead and (longest is None or length < longest):
        length += 1
        for item in list(ahead):
            reached = dict.fromkeys(other for end in ahead[item] for other in near[end])
            ahead[item] = [other for other in reached if other not in seen[item]]
            seen[item].update(ahead[item])
            if length > 1:
                yield from ((item, other) for other in ahead[item] if item < other)
            if not ahead[item]:
                del ahead[item]


def _reached(start: str, near: dict[str, list[Answer]]) -> list[str]:
    seen, queue = {start: None}, deque([start])
    while queue:
        item = queue.popleft()
        for one in near[item]:
            other = one.b if one.a == item else one.a
            if other not in seen:
                seen[other] = None
                queue.append(other)
    return list(seen)


def _chain(a: str, b: str, near: dict[str, list[Answer]]) -> list[Answer]:
    """The fewest answers "same" that lead from a to b."""
    came: dict[str, tuple[str, Answer] | None] = {a: None}
    queue = deque([a])
    while b not in came:
        item = queue.popleft()
        for one in near[item]:
            other = one.b if one.a == item else one.a
            if other not in came:
                came[other] = (item, one)
                queue.append(other)
    chain: list[Answer] = []
    step = came[b]
    while step is not None:
        chain.append(step[1])
        step = came[step[0]]
    return chain[::-1]
