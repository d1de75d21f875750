"""Same or different? Ask about pairs of items, keep the answers, and let them reshape where the items lie."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from latentspace.errors import DataError, OptionError, SpaceError, nearest
from latentspace.jobs import _pair_words as words
from latentspace.jobs._answered_pairs import pairs_of
from latentspace.jobs._map_items import encoded
from latentspace.jobs._neighbour_queries import check_seen, own_items
from latentspace.jobs._output import check_out
from latentspace.jobs._pair_files import KINDS, PAGE, read_answers, write_asked
from latentspace.jobs._pair_report import draw_report, measured
from latentspace.jobs._pair_terminal import asked_one_by_one
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space import answers as journal
from latentspace.space.answers import Implied, implied
from latentspace.space.atomic import whole
from latentspace.space.folder import Space
from latentspace.space.pair_head import HEAD, PairHead

__all__ = ["pairs"]

Depth = Literal["auto", "head", "network"]
Verb = Literal["ask", "answer", "undo", "fit", "report"]
PICTURES = (".png", ".svg", ".pdf")


@job
def pairs(
    verb: str,
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    n: Annotated[int, Ge(1)] = 20,
    answers: Any = None,
    who: str = "",
    items: Any = None,
    depth: Depth = "auto",
    seed: Annotated[int, Ge(0)] = 0,
    progress: Progress | None = None,
) -> Result:
    """Ask which items are the same, keep the answers, and let them reshape where the items lie.

    ask names pairs worth asking about; answer keeps what was said of them; undo takes the last n answers back; fit
    lets the answers reshape the space, where that is of use; report says how well pairs are told, what
    more of them would gain, and how many answers are wrong.

    Parameters
    ----------
    verb
        ask, answer, undo, fit or report.
    space
        A space, or the folder that holds one.
    out
        ask: a table to fill in (.csv), a page to answer on (.html) or a picture (.png, .svg, .pdf). report: a
        picture.
    n
        How many pairs to ask about, or answers to take back.
    answers
        answer: a table (.csv, .parquet) with the columns a, b and answer (same or different; empty: skipped), as ask
        writes and its page saves; or (a, b, answer) triples. Left out in a terminal: n pairs are asked there.
    who
        answer: who said so.
    items
        The data that the space was fitted on: fit and report then see the items themselves, and not their latents
        alone; ask shows them as they are.
    depth
        fit: how much is learnt from the answers: head, a linear map; network, a network too (which needs items);
        auto, a network too where 5,000 pairs of the same are known of pictures or signals.
    seed
        Everything random comes from it.
    progress
        Called with what is going on and the share done.
    """
    if verb not in get_args(Verb):
        raise OptionError(
            f"pairs can {', '.join(get_args(Verb))}, not {verb!r}{nearest(verb, get_args(Verb))}."
        )
    if out is not None and verb not in ("ask", "report"):
        raise OptionError(f"pairs {verb} writes into the space, and nothing else: leave out away.")
    check_out(out, KINDS if verb == "ask" else PICTURES)
    tell = progress or (lambda words, share: None)
    space = opened(space)
    if space.path is None:
        raise SpaceError("This space is in no folder, where answers could be kept: save it first.")
    match verb:
        case "ask":
            return _ask(space, None if out is None else Path(out), n, items, seed, tell)
        case "answer":
            return _answer(space, answers, who, n, seed)
        case "undo":
            gone = journal.undo(space.path, n)
            left = journal.read(space.path)
            return Result(words.taken_back(gone, left), data={"undone": len(gone), "answers": len(left)})
        case "fit":
            return _fit(space, items, depth, seed, tell)
    return _report(space, None if out is None else Path(out), items, tell)


def _chosen(space: Space, said: Implied, n: int, seed: int) -> NDArray[np.intp]:
    """(n, 2) rows of items to ask about."""
    from latentspace.models.asking import ask

    assert space.path is not None
    ids = [str(name) for name in space.ids.tolist()]
    places = PairHead.of(space).places if (space.path / HEAD).exists() else space.latents
    return ask(places, n, lambda a, b: said.known(ids[a], ids[b]) is not None, seed + len(said.group))


def _ask(space: Space, out: Path | None, n: int, items: Any, seed: int, tell: Progress) -> Result:
    assert space.path is not None
    check_seen(space, items, out, (PAGE, *PICTURES))
    said = implied(journal.read(space.path))
    ids = [str(name) for name in space.ids.tolist()]
    tell("choosing pairs", None)
    rows = _chosen(space, said, n, seed)
    own = None if items is None else own_items(space, items)
    again = [one for conflict in said.conflicts for one in conflict]
    return Result(
        summary=words.asked(rows, said.conflicts),
        tables=words.asked_tables(ids, rows, said.conflicts),
        files=[] if out is None else write_asked(space, own, rows, out),
        data={
            "pairs": [{"a": ids[a], "b": ids[b]} for a, b in rows.tolist()],
            "ask_again": [{"a": one.a, "b": one.b} for one in again],
        },
        value=rows,
    )


def _answer(space: Space, answers: Any, who: str, n: int, seed: int) -> Result:
    assert space.path is not None
    folder = space.path
    if answers is not None:
        given = read_answers(space, answers, who)
        journal.append(folder, given)
    elif sys.stdin is not None and sys.stdin.isatty():
        rows = _chosen(space, implied(journal.read(folder)), n, seed)
        given = asked_one_by_one(space, rows, who, lambda answer: journal.append(folder, [answer]))
    else:
        raise OptionError("Give the answers: a table with the columns a, b and answer (answers).")
    every = journal.read(folder)
    said = implied(every)
    return Result(
        summary=words.answered(given, every, said),
        tables=words.conflict_tables(said.conflicts),
        data={"new": len(given), "answers": len(every), "conflicts": len(said.conflicts)},
        value=every,
    )


def _fit(space: Space, items: Any, depth: str, seed: int, tell: Progress) -> Result:
    assert space.path is not None
    if depth == "network" and items is None:
        raise OptionError(
            "A network learns from the items themselves: give the data that the space was fitted on."
        )
    every = journal.read(space.path)
    said = implied(every)
    rows, same = pairs_of(space, every, said, 1)
    if not 0 < same.sum() < len(same):
        raise DataError(
            "Answers of both sorts are needed, same and different: ask more pairs (pairs ask), answer them "
            "(pairs answer)."
        )
    from latentspace.models.pair_metric import learn
    from latentspace.models.pair_noise import longest_chain
    from latentspace.models.views import Views

    x = None if items is None else _encoded(space, items)
    tell("learning from pairs", None)
    more = pairs_of(space, every, said, None)
    views = Views(x, seed)
    features, longest = views.of(x, space.latents), None
    if len(more[0]) > len(rows):
        longest = longest_chain(learn(features, rows, same, seed).held_out, same)
    rows, same = more if longest is None else pairs_of(space, every, said, longest)
    left_out = longest if len(more[0]) > len(rows) else None
    head = PairHead.fit(space, views, features, x, rows, same, seed, depth, tell)
    head.save(space.path)
    return Result(
        summary=words.learnt(head, every, len(rows), items is None, left_out, depth == "network"),
        files=[space.path / HEAD],
        data={
            "answers": len(every),
            "pairs": len(rows),
            "before": head.metric.before,
            "after": head.metric.after,
            "kept_old": head.metric.kept_old,
            "view": head.metric.view,
            "network": None if np.isnan(head.metric.network) else head.metric.network,
        },
        value=head,
    )


def _report(space: Space, out: Path | None, items: Any, tell: Progress) -> Result:
    assert space.path is not None
    tell("measuring", None)
    found, doubt, stale = measured(space, None if items is None else _encoded(space, items))
    if out is not None:
        with whole(out) as beside:
            draw_report(found).savefig(beside, format=out.suffix.lower()[1:])
    return Result(
        summary="\n".join(words.report(found, doubt, stale)),
        tables=words.report_tables(found, doubt),
        figures={"roc": lambda: draw_report(found)},
        files=[] if out is None else [out],
        data=found.to_json() | {"wrong_answers": doubt.to_json()},
    )


def _encoded(space: Space, items: Any) -> NDArray[np.float32]:
    """(n, *shape) the space's items as the model sees them, in the space's order."""
    own = own_items(space, items)
    parts = [x for x, _ in encoded(space, own, space.latents, np.arange(len(space)))]
    return np.concatenate(parts).astype(np.float32, copy=False)
