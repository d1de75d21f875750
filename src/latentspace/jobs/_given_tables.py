"""A table that a user gives beside the space, as a file or a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from latentspace.errors import OptionError


def given_table(values: Any, option: str, right: str) -> Any:
    """A file or a frame of any library as a pyarrow Table.

    Raises OptionError for what is no table: `option` is what the user called it, `right` says what it may be.
    """
    from latentspace.data._frames import as_arrow
    from latentspace.data.files import read_frame

    if isinstance(values, str | Path):
        return read_frame(Path(values))
    wrong = OptionError(f"{option} is {right}, not {_shown(values)}.")
    if isinstance(values, np.ndarray) and values.ndim != 2:
        raise wrong
    try:
        return as_arrow(values)
    except TypeError as failure:
        raise wrong from failure


def _shown(values: Any) -> str:
    """What was given, in a few letters."""
    if isinstance(values, np.ndarray):
        return f"an array of shape {values.shape}"
    text = repr(values)
    return text if len(text) <= 40 and "\n" not in text else f"a {type(values).__name__}"
