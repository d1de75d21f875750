"""One self-contained page: no script, no link, pictures inline; readable on a phone and in the dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1b1b1b; --paper: #fff; --soft: #f3f4f6; --line: #d5d8dd; --mark: #0072b2;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181c; --soft: #22252b; --line: #3a3f47; --mark: #6db8e8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
.verdict { background: var(--soft); border-left: 4px solid var(--mark); padding: .6rem 1rem; margin: 1rem 0; }
.verdict p { margin: .3rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { background: var(--soft); }
td:last-child { white-space: normal; min-width: 8rem; }
td.filled { font-style: italic; color: var(--mark); }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; padding: 6px; }
figcaption, .quiet { font-size: .88rem; opacity: .85; }
ul { padding-left: 1.2rem; }
"""


def page(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole HTML document of (heading, body) sections; an empty heading makes none."""
    body = "\n".join(f"<h2>{escape(h)}</h2>\n{b}" if h else b for h, b in sections if b)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def paragraphs(sentences: Sequence[str], kind: str = "") -> str:
    """Sentences as paragraphs, in a box of the class `kind` where given."""
    text = "".join(f"<p>{escape(s)}</p>" for s in sentences)
    return f'<div class="{kind}">{text}</div>' if kind and text else text


def bullets(sentences: Sequence[str]) -> str:
    """Sentences as a list."""
    return f"<ul>{''.join(f'<li>{escape(s)}</li>' for s in sentences)}</ul>" if sentences else ""


def table(rows: Sequence[dict[str, Any]], filled: frozenset[tuple[int, str]] = frozenset()) -> str:
    """Rows as a table that scrolls sideways; cells (row, column) in `filled` are marked."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(_cell(value, (i, name) in filled) for name, value in row.items()) + "</tr>"
        for i, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any, filled: bool) -> str:
    mark = ' class="filled"' if filled else ""
    return f"<td{mark}>{escape(str(value))}</td>"


def folded(heading: str, body: str) -> str:
    """A body that opens on a click."""
    return f"<details><summary>{escape(heading)}</summary>{body}</details>" if body else ""


def picture(figure: Any, caption: str) -> str:
    """A matplotlib figure as an inline PNG with its caption."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    source = base64.b64encode(buffer.getvalue()).decode("ascii")
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{source}">'
        f"<figcaption>{text}</figcaption></figure>"
    )
