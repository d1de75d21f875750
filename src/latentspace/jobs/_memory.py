"""Memory that was freed, returned to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back_memory() -> None:
    """Return what was freed to the system, so that what comes next does not come on top of it.

    glibc keeps freed blocks of a few megabytes; elsewhere there is nothing to do.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
