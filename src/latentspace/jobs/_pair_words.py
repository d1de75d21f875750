"""What is asked, answered and learnt of pairs, in words and rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.jobs._pair_doubt import Doubted, word
from latentspace.jobs._pair_report import MORE, Judged
from latentspace.jobs._verdict import count
from latentspace.space.answers import Answer, Implied
from latentspace.space.pair_head import PairHead
from latentspace.space.quality import Interval

#: rows that are printed, and doubtful answers
PRINTED, DOUBTFUL = 20, 5
#: a smaller share of wrong answers may be none
NONE = 0.005
_VIEWS = {
    "latents": "the latents",
    "values": "the items' values",
    "patches": "their patches",
    "network": "the items, by a network",
}


def asked(rows: NDArray[np.intp], conflicts: list[list[Answer]]) -> str:
    """What to do with the pairs."""
    said = f"{count(len(rows), 'pair')} worth asking about: the same, or different?"
    return said + (" First, answers that contradict each other should be given again." if conflicts else "")


def asked_tables(
    ids: list[str], rows: NDArray[np.intp], conflicts: list[list[Answer]]
) -> dict[str, list[dict[str, Any]]]:
    """The pairs, and answers to give again."""
    pairs = [{"a": ids[a], "b": ids[b]} for a, b in rows[:PRINTED].tolist()]
    return {"Pairs": pairs, **conflict_tables(conflicts)}


def conflict_tables(conflicts: list[list[Answer]]) -> dict[str, list[dict[str, Any]]]:
    """Answers that cannot all be true: one of each set is wrong."""
    rows = [
        {"set": number, "a": one.a, "b": one.b, "said": word(one), "who": one.who}
        for number, conflict in enumerate(conflicts[:PRINTED], 1)
        for one in conflict
    ]
    return {"Ask again: one answer of each set is wrong": rows} if rows else {}


def answered(given: list[Answer], every: list[Answer], said: Implied) -> str:
    """How many answers there are now, and whether they agree."""
    same = sum(one.same for one in every)
    lines = [
        f"{count(len(given), 'answer')} kept; there are {len(every):,} now ({same:,} same, {len(every) - same:,} "
        "different)."
    ]
    if said.conflicts:
        noise = len(said.conflicts) / max(1, len(every))
        lines.append(
            f"{count(len(said.conflicts), 'contradiction')}: at least {100 * noise:.1f} % of the answers are wrong."
        )
    return "\n".join(lines)


def taken_back(gone: list[Answer], left: list[Answer]) -> str:
    """What was undone."""
    pairs = ", ".join(f"{one.a} and {one.b}" for one in gone[:5]) + (" …" if len(gone) > 5 else "")
    return f"{count(len(gone), 'answer')} taken back ({pairs}); {len(left):,} are left."


def learnt(
    head: PairHead, every: list[Answer], pairs: int, latents_alone: bool, longest: int | None, asked: bool
) -> str:
    """What the answers taught, the unflattering included; `longest`: what follows from more than so many was left
    out; `asked`: a network was asked for."""
    metric = head.metric
    lines = [f"{count(len(every), 'answer')}, with what follows from them {count(pairs, 'pair')}."]
    if longest is not None:
        lines.append(
            "What follows from answers was left out: too many of them seem to be wrong (pairs report)."
            if longest < 2
            else f"What takes more than {longest} answers to follow was left out: long chains multiply what is wrong."
        )
    if np.isnan(metric.after):
        lines.append("Too few to hold any out, so nothing was learnt: the space stays as it was.")
    elif metric.kept_old:
        lines.append(
            f"No way to learn from them tells held-out pairs surely better than the space does (area under the ROC "
            f"curve {metric.before:.3f}): it stays as it was."
        )
    else:
        lines.append(
            f"Area under the ROC curve of held-out pairs: {metric.after:.3f}, before {metric.before:.3f} (learnt "
            f"from {_VIEWS[metric.view]}). neighbours and classify use it with --metric pairs."
        )
    if metric.view != "network" and np.isfinite(metric.network):
        lines.append(f"A network learnt from them tells held-out pairs no better ({metric.network:.3f}).")
    if asked and np.isnan(metric.network):
        lines.append(
            "No network was tried: to judge one, five pairs of each sort are needed among items that are held out."
        )
    if latents_alone:
        lines.append("Only latents were seen: give the data (items), and more can be learnt.")
    return "\n".join(lines)


def report(found: Judged, doubt: Doubted, stale: bool) -> list[str]:
    """How well held-out pairs are told, beside other distances, what more would gain, and how many answers are wrong;
    `stale`: answers came or went since."""
    ours = found.ways["pairs"]
    lines = [
        f"{count(found.n, 'held-out pair')} ({found.same:,} the same): area under the ROC curve "
        f"{ours.area.value:.3f} ({ours.area.low:.3f} to {ours.area.high:.3f}), equal error rate "
        f"{100 * ours.equal:.1f} %."
    ]
    for name, way in found.ways.items():
        if name != "pairs":
            gain = way.behind
            verdict = "Better than" if gain.low > 0 else "Worse than" if gain.high < 0 else "As good as"
            change = f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
            lines.append(f"{verdict} {name} ({way.area.value:.3f}): {change}.")
    lines += [*_more(found), _wrong(doubt)]
    if stale:
        lines.append("Answers came or went since this was learnt: pairs fit learns from them.")
    return [
        *lines,
        "Pairs that were asked because their items are near each other are harder to tell than others.",
    ]


def _more(found: Judged) -> list[str]:
    """What more pairs gained, and would gain."""
    learning = found.learning
    if learning is None:
        return ["Too few pairs to say what more of them would gain."]
    areas = ", ".join(f"{n:,}: {area:.3f}" for n, area in zip(learning.sizes, learning.areas, strict=True))
    said = "" if learning.in_use else ", by the best linear map, which is not what is in use"
    lines = [f"By pairs learnt from{said}: {areas}. The last doubling gained {_gain(learning.doubling)}."]
    if learning.more is not None and learning.twice is not None:
        lines.append(
            f"Extrapolated by a power law, not measured: the next {MORE} pairs would probably gain "
            f"{_gain(learning.more)}, twice as many as now {_gain(learning.twice)}."
        )
    return lines


def _wrong(doubt: Doubted) -> str:
    """How many answers are wrong: by their distances, and by contradictions."""
    noise, n = doubt.noise, count(len(doubt.answers), "answer")
    if noise is None:
        line = "Too few answers to tell by distances how many are wrong."
    elif noise.high <= NONE:
        line = f"By how far apart the items are, hardly any of {n} is wrong."
    elif noise.low < NONE:
        line = f"By how far apart the items are, at most about {100 * noise.high:.0f} % of {n} are wrong, or none."
    else:
        line = (
            f"By how far apart the items are, about {100 * noise.share:.0f} % of {n} are wrong "
            f"({100 * noise.low:.0f} to {100 * noise.high:.0f} %)."
        )
    if doubt.contradictions:
        line += f" {count(doubt.contradictions, 'contradiction')}: at least {100 * doubt.least:.1f} % must be wrong."
    return line


def _gain(gain: Interval) -> str:
    value, low, high = (f"{round(each, 3) + 0.0:+.3f}" for each in (gain.value, gain.low, gain.high))
    figures = f"{value} ({low} to {high})"
    return f"no more than chance would, {figures}" if gain.low <= 0 else figures


def report_tables(found: Judged, doubt: Doubted) -> dict[str, list[dict[str, Any]]]:
    """False matches and false non-matches at thresholds, each distance beside the others, and doubtful answers."""
    lines = [
        {
            "false-match rate": f"{100 * row['fmr']:.2g} %",
            "false non-match rate": f"{100 * row['fnmr']:.1f} %",
            "threshold": f"{row['threshold']:.4g}",
        }
        for row in found.lines
    ]
    each = [
        {
            "distance": name,
            "area under the ROC curve": f"{way.area.value:.3f} ({way.area.low:.3f} to {way.area.high:.3f})",
            "equal error rate": f"{100 * way.equal:.1f} %",
        }
        for name, way in found.ways.items()
    ]
    again = [
        {"a": one.a, "b": one.b, "said": word(one), "who": one.who, "probably wrong": f"{100 * wrong:.0f} %"}
        for one, wrong in doubt.doubtful(DOUBTFUL)
    ]
    tables = {"Where to draw the line": lines, "Distances": each}
    return tables | ({"Ask again: the others contradict these answers most": again} if again else {})
