"""Every error raised on purpose: one sentence that names what was wrong and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LatentspaceError(Exception):
    """Base of every error that latentspace raises on purpose; its text is one clear sentence."""


class DataError(LatentspaceError, ValueError):
    """The user's data cannot be used: the sentence names the file, column or row and what would be right."""


class Reject(DataError):
    """A modality declines a source, with the reason; another modality may take it."""


class OptionError(LatentspaceError, ValueError):
    """An option is out of its range or not one of its choices."""


class SpaceError(LatentspaceError, ValueError):
    """A space on disk is missing, damaged, newer than this version, or of another kind."""


class TrainingError(LatentspaceError, RuntimeError):
    """Training cannot go on; the sentence names the cause (a NaN, no items left, ...)."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest of `names`, or an empty string.

    >>> nearest("mean", ["median", "mean_", "max"])
    " (did you mean 'mean_'?)"
    """
    close = difflib.get_close_matches(str(name), [str(n) for n in names], n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
