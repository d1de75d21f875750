"""One reason for an item's oddness, and how it and its values are said."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Reason:
    """One part that made an item odd.

    part : its name; share : of the item's oddness, 0 to 1; observed : its value, None for a gap;
    expected : what such an item usually has there; usual : (low, high), the middle 95 % of the training items,
    or with `levels` the common categories; gap : whether `observed` could not be read and counts as a gap;
    place : where within the item (stretch, region); start, at, over : the words for that.
    """

    part: str
    share: float
    observed: Any
    expected: Any
    usual: tuple[Any, ...]
    levels: bool = False
    gap: bool = False
    place: dict[str, Any] = field(default_factory=dict)
    start: str = ""
    at: str = ""
    over: str = ""

    @property
    def words(self) -> str:
        """``"fare = 512.3 (expected 21.5, usual 7.225 to 113.3)"``."""
        alike = self.observed is not None and spoken(self.observed) == spoken(self.expected)
        beside = "so are items like it" if alike else f"expected {spoken(self.expected)}"
        return f"{self._start()}{self.at} ({beside}{self._usual()}){self.over}"

    def _start(self) -> str:
        if self.observed is None:
            return f"{self.part} is a gap"
        start = self.start or f"{self.part} ="
        return f"{start} {spoken(self.observed)}" + (", read as a gap" if self.gap else "")

    def _usual(self) -> str:
        if not self.usual:
            return ""
        if self.levels:
            return f", usual {_either([spoken(level) for level in self.usual])}"
        low, high = (spoken(end) for end in self.usual)
        return f", usual {low}" if low == high else f", usual {low} to {high}"

    def to_json(self) -> dict[str, Any]:
        """All of it, and the words, for a JSON object."""
        found = {"part": self.part, "share": self.share, "observed": _plain(self.observed)}
        found |= {"expected": _plain(self.expected), "usual": [_plain(end) for end in self.usual]}
        return {**found, **self.place, "words": self.words}


def said(found: list[Reason]) -> str:
    """An item's reasons as one line, each with its share of the oddness where there is more than one.

    >>> said([Reason("fare", 0.71, 512.3292, 21.5, (7.225, 113.3)), Reason("deck", 0.2, None, "C", ())])
    '71 %: fare = 512.3 (expected 21.5, usual 7.225 to 113.3); 20 %: deck is a gap (expected C)'
    """
    return "; ".join(
        reason.words if reason.share > 0.995 else f"{100 * reason.share:.0f} %: {reason.words}"
        for reason in found
    )


def spoken(value: Any) -> str:
    """A value to be read: numbers to 4 digits but never with an exponent, moments without an idle clock.

    >>> spoken(215433.2), spoken(0.000123456), spoken(np.datetime64("2014-11-27T00:00")), spoken(3.0)
    ('215433', '0.0001235', '2014-11-27', '3')
    """
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, np.datetime64) or hasattr(value, "isoformat"):
        text = spoken_time(str(value).replace("T", " ", 1))
        return text.removesuffix(" 00:00")
    return str(value)[:40]


def spoken_time(stamp: str) -> str:
    """A written moment without fractions and seconds that are none; anything else as it is.

    >>> spoken_time("2014-11-27 10:30:00"), spoken_time("2014-11-27 10:30:01.500000"), spoken_time("a.wav:2000")
    ('2014-11-27 10:30', '2014-11-27 10:30:01.5', 'a.wav:2000')
    """
    short = re.sub(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.0+|(\.\d*?)0+)$", r"\1\2", stamp)
    return re.sub(r"^(\d{4}-\d\d-\d\d \d\d:\d\d):00$", r"\1", short)


def _number(value: float) -> str:
    if not np.isfinite(value) or (value and not 1e-6 < abs(value) < 1e12):
        return f"{value:.4g}"
    digits = max(4, len(str(int(abs(value)))))
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def _plain(value: Any) -> Any:
    """A value as JSON holds it: moments as text."""
    moment = isinstance(value, np.datetime64) or hasattr(value, "isoformat")
    return spoken(value) if moment else value


def _either(words: list[str], most: int = 3) -> str:
    if len(words) > most + 1:
        return f"{', '.join(words[:most])} and {len(words) - most} others"
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
