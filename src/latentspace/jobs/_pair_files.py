"""Pairs to be asked as a table, a page or a picture, and the answers read back."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.errors import DataError, OptionError, nearest
from latentspace.jobs._given_tables import given_table
from latentspace.jobs._neighbour_draw import draw
from latentspace.jobs._neighbour_queries import Found, Query
from latentspace.jobs._output import write_table
from latentspace.jobs._page import page, picture
from latentspace.space.answers import Answer
from latentspace.space.atomic import whole
from latentspace.space.folder import Space

PAGE, TABLES, PICTURES = ".html", (".csv", ".parquet"), (".png", ".svg", ".pdf")
KINDS = (*TABLES, PAGE, *PICTURES)
_SAME, _DIFFERENT = ("same", "1", "true", "yes"), ("different", "0", "-1", "false", "no")

_SCRIPT = """<script>
const pairs = [...document.querySelectorAll('.pair')];
const said = pair => (pair.querySelector('input:checked') || {value: ''}).value;
const count = () => document.querySelector('#count').textContent = pairs.filter(said).length;
document.addEventListener('change', count);
document.querySelector('#save').addEventListener('click', () => {
  const quoted = text => '"' + text.replaceAll('"', '""') + '"';
  const rows = pairs.map(pair => [pair.dataset.a, pair.dataset.b, said(pair)].map(quoted).join(','));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(['a,b,answer\\n' + rows.join('\\n') + '\\n'], {type: 'text/csv'}));
  link.download = 'answers.csv';
  link.click();
});
</script>"""


def write_asked(space: Space, items: Items | None, rows: NDArray[np.intp], out: Path) -> list[Path]:
    """Write pairs (n, 2) as the name of `out` says; labels stay hidden from who is asked."""
    import pyarrow as pa

    space = replace(space, labels={})
    ids = [str(name) for name in space.ids.tolist()]
    suffix = out.suffix.lower()
    if suffix in TABLES:
        a, b = ([ids[row] for row in side] for side in (rows[:, 0].tolist(), rows[:, 1].tolist()))
        return write_table(pa.table({"a": a, "b": b, "answer": [""] * len(rows)}), out)
    with whole(out) as beside:
        if suffix == PAGE:
            beside.write_text(_page(space, items, rows, ids), encoding="utf-8")
        else:
            _drawn(space, items, rows).savefig(beside, format=suffix[1:])
    return [out]


def read_answers(space: Space, answers: Any, who: str) -> list[Answer]:
    """The answers in a table with the columns a, b and answer, or in (a, b, answer) triples; empty ones are skipped.

    Raises DataError that names the row of an unknown item or answer, and OptionError for what is no table.
    """
    source, triples = _triples(answers)
    there = {str(name) for name in space.ids.tolist()}
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    found = []
    for number, (a, b, word) in enumerate(triples, 1):
        text = str(word).strip().lower()
        if word is None or text in ("", "none", "nan"):
            continue
        for item in (str(a), str(b)):
            if item not in there:
                near = nearest(item, there) if len(there) <= 5000 else ""
                raise DataError(f"{source}, row {number}: the space holds no item {item!r}{near}.")
        if text not in (*_SAME, *_DIFFERENT):
            raise DataError(f"{source}, row {number}: {word!r} is no answer; it may be same or different.")
        found.append(Answer(str(a), str(b), text in _SAME, who, now))
    if not found:
        raise DataError(f"{source} holds no answer: write same or different behind a pair.")
    return found


def _triples(answers: Any) -> tuple[str, list[tuple[Any, Any, Any]]]:
    if isinstance(answers, list | tuple):
        for number, one in enumerate(answers, 1):
            if not (isinstance(one, list | tuple) and len(one) == 3):
                raise OptionError(f"answers, row {number}: {one!r} is no triple (a, b, answer).")
        return "answers", [(a, b, word) for a, b, word in answers]
    source = Path(answers).name if isinstance(answers, str | Path) else "answers"
    frame = given_table(answers, "answers", "a table with a, b and answer, or (a, b, answer) triples")
    missing = [name for name in ("a", "b", "answer") if name not in frame.column_names]
    if missing:
        raise DataError(f"{source} has no column {missing[0]!r}: it needs a, b and answer.")
    columns = [frame[name].to_pylist() for name in ("a", "b", "answer")]
    return source, list(zip(*columns, strict=True))


def _drawn(space: Space, items: Items | None, rows: NDArray[np.intp]) -> Any:
    queries = [Query(str(space.ids[a]), space.latents[a], (a,)) for a in rows[:, 0].tolist()]
    apart = np.linalg.norm(space.latents[rows[:, 0]] - space.latents[rows[:, 1]], axis=1)
    distances = apart[:, None].astype(np.float32)
    return draw(Found(space, queries, rows[:, 1:], distances, "euclidean", None, items, "the same as"))


def _page(space: Space, items: Items | None, rows: NDArray[np.intp], ids: list[str]) -> str:
    """A page with a question a pair, and a button that saves the answers as answers.csv."""
    parts = []
    for i, (a, b) in enumerate(rows.tolist()):
        shown = picture(_drawn(space, items, rows[i : i + 1]), f"{ids[a]} and {ids[b]}")
        choices = "".join(
            f'<label><input type="radio" name="p{i}" value="{word}"> {word}</label> '
            for word in ("same", "different")
        )
        names = f'data-a="{escape(ids[a])}" data-b="{escape(ids[b])}"'
        parts.append(f'<div class="pair" {names}>{shown}<p>{choices}</p></div>')
    save = (
        f'<p><span id="count">0</span> of {len(rows)} answered. <button id="save">Save answers.csv</button> '
        "Then: <code>latentspace pairs answer SPACE --answers answers.csv</code></p>"
    )
    return page("The same, or different?", [("", "".join(parts)), ("", save + _SCRIPT)])
