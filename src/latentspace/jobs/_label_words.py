"""What classes items are told, in words and rows: known, unknown and why, and labels that others contradict."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._given_labels import Given, as_texts
from latentspace.jobs._verdict import count
from latentspace.models.labels import LabelVote, Told
from latentspace.models.promises import rounded_up
from latentspace.space.folder import Space
from latentspace.space.quality import bootstrap_interval

Array = NDArray[Any]

#: a given label is doubted where others give it less than the first probability, and another class more than the
#: second
DOUBTED, SURE = 0.1, 0.8
#: rows that are printed, and classes that are named of an item between them
PRINTED, NAMED = 20, 4
#: items that are listed one by one for machines, at most
LISTED = 10_000
#: fewer items whose class is known in new data say nothing of how many are told rightly
ENOUGH = 10


@dataclass(frozen=True, eq=False)
class Classified:
    """Items of latents (n, k) and ids (n,), and what the labels given tell of them.

    own : (n,) their rows in the space; None for new ones. truth : labels that came with new items.
    """

    space: Space
    given: Given
    vote: LabelVote
    told: Told
    latents: Array
    ids: Array
    alpha: float
    own: NDArray[np.intp] | None = None
    truth: dict[str, Array] = field(default_factory=dict)

    @cached_property
    def best(self) -> NDArray[np.intp]:
        """(n,) the class of each item: the given one, or the likeliest."""
        likeliest: NDArray[np.intp] = self.told.probabilities.argmax(axis=1)
        if self.own is not None:
            likeliest[self.given.rows] = self.given.codes
        return likeliest

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """(n,) items whose label was given."""
        found = np.zeros(len(self.ids), bool)
        if self.own is not None:
            found[self.given.rows] = True
        return found

    @property
    def promised(self) -> bool:
        """Whether the labels suffice to promise so few errors."""
        return self.vote.smallest_p <= self.alpha

    @cached_property
    def far(self) -> NDArray[np.bool_]:
        """(n,) items that are unlike all others."""
        return self.told.far()

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(n,) items without a label whose class is known."""
        return self.told.known(self.alpha) & ~self.labelled & self.promised

    def status(self, i: int) -> str:
        """What is known of item i, and why not more."""
        if self.labelled[i]:
            return "given"
        if self.far[i]:
            return "unknown: unlike all items"
        if not self.promised:
            return "a guess: too few labels"
        if self.known[i]:
            return "known"
        left = np.flatnonzero(self.told.sets(self.alpha)[i])
        left = left[np.argsort(-self.told.probabilities[i][left], kind="stable")]
        names = [self.given.classes[c] for c in left[:NAMED]]
        return f"unknown: {' or '.join(names)}{' or others' if len(left) > NAMED else ''}"

    @cached_property
    def doubted(self) -> NDArray[np.intp]:
        """Rows whose given label is contradicted by what others tell, the most first."""
        if self.own is None:
            return np.zeros(0, np.intp)
        judged = self.vote.judged
        own = self.vote.told[np.arange(len(self.given.codes)), self.given.codes]
        doubt = np.flatnonzero(judged & (own < DOUBTED) & (self.vote.told.max(axis=1) > SURE))
        return self.given.rows[doubt[np.argsort(own[doubt], kind="stable")]]


def frame(found: Classified, ask: NDArray[np.intp]) -> Any:
    """A pyarrow Table, a row an item: id, its class where known, the likeliest with its probability, why, and, of the
    space's own, in which turn to label it."""
    import pyarrow as pa

    from latentspace.space.files import arrow_column

    guesses = [found.given.classes[c] for c in found.best.tolist()]
    sure = (found.known | found.labelled).tolist()
    columns = {
        "id": arrow_column(found.ids),
        found.given.name if found.given.name != "id" else "class": pa.array(
            [g if k else None for g, k in zip(guesses, sure, strict=True)], pa.string()
        ),
        "likeliest": pa.array(guesses),
        "probability": pa.array(found.told.probabilities[np.arange(len(found.best)), found.best]),
        "status": pa.array([found.status(i) for i in range(len(guesses))]),
    }
    if len(ask):
        turn = np.zeros(len(found.space), int)
        turn[ask] = np.arange(1, len(ask) + 1)
        if found.own is not None:
            columns["label next"] = pa.array([t or None for t in turn[found.own].tolist()], pa.int64())
    return pa.table(columns)


def summary(found: Classified, ask: NDArray[np.intp]) -> list[str]:
    """What the labels tell, how sure that is, and what they do not."""
    given, n = found.given, int((~found.labelled).sum())
    told = f" tell {count(n, 'item')} without one" if n else ""
    labels = f"{count(len(given.rows), 'label')} ({given.name}) of {len(given.classes)} classes"
    lines = [f"{labels}{told}. {_expected(found)}"]
    if n:
        lines.append(_unknown(found, n))
    lines += _right(found)
    if len(found.doubted):
        lines.append(
            f"{count(len(found.doubted), 'given label')} should be looked at again: others say something else."
        )
    if len(ask):
        lines.append(f"Worth most to label next: {', '.join(str(found.space.ids[row]) for row in ask)}.")
    return lines


def _expected(found: Classified) -> str:
    value, low, high = found.vote.accuracy
    if np.isnan(value):
        return "How many rightly cannot be said yet: no class has two labels."
    return (
        f"Expected accuracy: {100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f}), "
        "if new items are like the labelled ones."
    )


def _unknown(found: Classified, n: int) -> str:
    far = int((found.far & ~found.labelled).sum())
    apart = f", of which {far:,} are unlike all others" if far else ""
    if not found.promised:
        smallest = rounded_up(found.vote.smallest_p)
        least = (
            f"the smallest that can is {smallest:g}" if smallest < 1 else "each class needs two labels first"
        )
        return (
            f"No share of errors of {found.alpha:g} can be promised ({least}): all {n:,} are guesses{apart}."
        )
    known = int(found.known.sum())
    return (
        f"Known: {count(known, 'item')}, so that about {100 * found.alpha:g} % of all items are given a wrong class "
        f"at most. Unknown: {n - known:,}{apart}."
    )


def _right(found: Classified) -> list[str]:
    """How many new items are told rightly, where their own labels came with them."""
    if found.own is not None or found.given.name not in found.truth:
        return []
    truth = as_texts(found.truth[found.given.name])
    there = truth != ""
    if there.sum() < ENOUGH:
        return []
    hits = (np.array(found.given.classes)[found.best] == truth)[there].astype(float)
    share = bootstrap_interval(hits)
    wrong = float((found.known[there] & (hits == 0)).mean())
    said = f"; known and wrong: {100 * wrong:.1f} %" if found.promised else ""
    return [
        f"Of {count(int(there.sum()), 'new item')} whose {found.given.name} is known, {100 * share.value:.1f} % "
        f"({100 * share.low:.1f} to {100 * share.high:.1f}) are told rightly{said}."
    ]


def tables(found: Classified, ask: NDArray[np.intp]) -> dict[str, list[dict[str, Any]]]:
    """How many items each class has; labels to look at again; new items one by one."""
    rows = _classes(found)
    shown = {
        "Classes": sorted(rows, key=lambda row: -row["items told"])[:PRINTED] if len(rows) > PRINTED else rows
    }
    if found.own is None:
        shown["Items"] = [_row(found, i) for i in range(min(PRINTED, len(found.ids)))]
    if len(found.doubted):
        shown["Labels to look at again"] = [_doubt(found, int(row)) for row in found.doubted[:PRINTED]]
    if len(ask) and found.own is not None:
        shown["Label next"] = [_row(found, int(row)) for row in ask[:PRINTED]]
    return shown


def _classes(found: Classified) -> list[dict[str, Any]]:
    rows = []
    for c, name in enumerate(found.given.classes):
        told = (found.best == c) & ~found.labelled
        rows.append(
            {
                found.given.name: name,
                "labels": int((found.given.codes == c).sum()),
                "items told": int(told.sum()),
                "of them known": int((told & found.known).sum()),
            }
        )
    return rows


def _row(found: Classified, i: int) -> dict[str, Any]:
    return {
        "id": str(found.ids[i]),
        "likeliest": found.given.classes[found.best[i]],
        "probability": f"{found.told.probabilities[i, found.best[i]]:.2f}",
        "status": found.status(i),
    }


def _doubt(found: Classified, row: int) -> dict[str, Any]:
    at = int(np.flatnonzero(found.given.rows == row)[0])
    said = found.vote.told[at]
    return {
        "id": str(found.ids[row]),
        "given": found.given.classes[found.given.codes[at]],
        "others say": found.given.classes[int(said.argmax())],
        "probability": f"{said.max():.2f}",
    }


def data(found: Classified, ask: NDArray[np.intp], rows: Any) -> dict[str, Any]:
    """All of it, JSON-able; the `rows` of the table one by one where they are few."""
    value, low, high = found.vote.accuracy
    every = rows.to_pylist() if len(found.ids) <= LISTED else None
    return {
        "label": found.given.name,
        "labels": len(found.given.rows),
        "classes": _classes(found),
        "alpha": found.alpha,
        "promised": found.promised,
        "known": int(found.known.sum()),
        "far": int((found.far & ~found.labelled).sum()),
        "expected_accuracy": {"value": value, "low": low, "high": high},
        "doubted": [str(found.ids[row]) for row in found.doubted],
        "label_next": [str(found.space.ids[row]) for row in ask],
        "items": every,
    }
