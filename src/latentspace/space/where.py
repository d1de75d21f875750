"""The items that fulfil a condition on their labels and columns, such as ``price > 100 and kind = 'a'``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import OptionError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

#: the column that numbers the rows while a condition is asked
_ROW = "latentspace row"
#: no file, no network, no variable of the calling program, and no condition changes that
_CLOSED: dict[str, Any] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
}


def rows_where(table: pa.Table, condition: str) -> NDArray[np.intp]:
    """The rows of `table` that fulfil a condition in SQL (DuckDB's), in order; none where none does.

    The condition sees the table and nothing else: no file and no network. Raises OptionError with one sentence where
    it names no column, cannot be read, or is no condition.

    >>> import pyarrow as pa
    >>> rows_where(pa.table({"price": [5, 200, None], "kind": ["a", "a", "b"]}), "price > 100 or kind = 'b'").tolist()
    [1, 2]
    """
    import duckdb
    import pyarrow as pa

    numbered = table.append_column(_ROW, pa.array(np.arange(len(table))))
    with duckdb.connect(config=_CLOSED) as database:
        try:
            rows = database.from_arrow(numbered)
            chosen = rows.filter(condition)
            kind = str(rows.project(f"({condition}\n)").types[0])
            if kind != "BOOLEAN":
                raise OptionError(
                    f'where: {condition!r} is {kind.lower()}, not yes or no: compare it, as in "price > 100".'
                )
            found = chosen.project(f'"{_ROW}"').fetchnumpy()[_ROW]
        except duckdb.Error as failure:
            raise OptionError(_sentence(condition, failure, table.column_names)) from failure
    return np.sort(np.asarray(found, np.intp))


def _sentence(condition: str, failure: Any, columns: list[str]) -> str:
    """What is wrong with a condition, from what DuckDB says of it."""
    unknown = re.search(r'Referenced column "(.+?)" (?:was )?not found', str(failure))
    if unknown:
        names = ", ".join(columns[:12]) + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
        return f"where: there is no column {unknown[1]!r}{nearest(unknown[1], columns)}; there are {names}."
    reason = str(failure).split("\n")[0].split("Error: ")[-1].rstrip(".")
    return f"where: {condition!r} is no condition such as \"price > 100 and kind = 'a'\": {reason}."
