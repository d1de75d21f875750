"""How far numbers may come back from what they were: "0.01", "1%", or one for each column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context

from latentspace.errors import OptionError, nearest

__all__ = ["Bounds"]

#: a hair less than the share of the range, so that it holds in whatever precision it is checked
_HAIR = 1e-6


@dataclass(frozen=True)
class Bound:
    """So much, or so much of the range."""

    size: float
    relative: bool

    def of(self, span: float) -> float:
        """The bound of numbers that lie within `span`."""
        return _short(self.size * span * (1 - _HAIR)) if self.relative else self.size


def _short(number: float) -> float:
    """A little less, in four digits: each column's bound stands in the file."""
    if not 0 < number < float("inf"):
        return number
    return float(Context(prec=4, rounding=ROUND_DOWN).create_decimal(number))


class Bounds:
    """The bound of every column or array; ``*`` is for those that are not named, which are exact without it.

    >>> bounds = Bounds("price=0.5,area=1%,*=1e-3")
    >>> bounds.of("price", 100.0), round(bounds.of("area", 100.0), 3), bounds.of("rooms", 9.0)
    (0.5, 1.0, 0.001)
    """

    def __init__(self, given: str | float | Mapping[str, str | float]) -> None:
        self.each = {name: _bound(name, value) for name, value in _pairs(given).items()}

    def of(self, name: str, span: float) -> float:
        """The absolute bound of the column `name` whose finite numbers lie within `span`; 0 where it is exact."""
        bound = self.each.get(name, self.each.get("*"))
        return 0.0 if bound is None else bound.of(span)

    def check(self, numbers: Sequence[str], others: Sequence[str], source: str) -> None:
        """Raise OptionError at a name that is no column of numbers."""
        for name in self.each:
            if name in others:
                raise OptionError(
                    f"{name!r} of {source} is not numbers: it is kept exactly, without max_error."
                )
            if name != "*" and name not in numbers:
                raise OptionError(
                    f"max_error names {name!r}, which is not in {source}{nearest(name, numbers)}."
                )


def _pairs(given: str | float | Mapping[str, str | float]) -> dict[str, str | float]:
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    if not isinstance(given, str) or "=" not in given:
        return {"*": given}
    pairs: dict[str, str | float] = {}
    for part in given.split(","):
        name, equals, value = part.rpartition("=")
        if not equals or not name.strip():
            raise OptionError(
                f"max_error cannot be read at {part.strip()!r}: write column=bound, as in 'price=0.5,*=1%'."
            )
        pairs[name.strip()] = value
    return pairs


def _bound(name: str, value: str | float) -> Bound:
    text = str(value).strip()
    try:
        size = float(text.removesuffix("%"))
    except ValueError:
        size = math.nan
    relative = text.endswith("%")
    if not (math.isfinite(size) and size >= 0) or (name == "*" and size == 0):
        where = "" if name == "*" else f" of {name!r}"
        raise OptionError(
            f"max_error{where} must be a number above 0, such as 0.01, or a share of the range, "
            f"such as 1%, not {text!r}."
        )
    return Bound(size / 100 if relative else size, relative)
