"""Every figure of a space beside its rivals', as a table and as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs import _pair_words as pair_words
from latentspace.jobs._dial_words import dial_rows
from latentspace.jobs._drawings import Drawing, drawings, examples_of, rival_of, versions
from latentspace.jobs._map_draw import map_drawings
from latentspace.jobs._measures import MAX_REFERENCE, measure, room_for
from latentspace.jobs._memory import give_back_memory
from latentspace.jobs._neighbour_measures import NINE, neighbour_drawings
from latentspace.jobs._page import bullets, folded, page, paragraphs, picture, table
from latentspace.jobs._pair_report import draw_report
from latentspace.jobs._pair_report import measured as measured_pairs
from latentspace.jobs._parts import Sample, columns, part_word
from latentspace.jobs._tables import (
    FEW_PARTS,
    anomaly_rows,
    class_rows,
    label_rows,
    map_rows,
    measure_rows,
    neighbour_rows,
    noise_rows,
    part_rows,
    sample_rows,
    storing_rows,
    tables,
    worst_rows,
)
from latentspace.jobs._verdict import count
from latentspace.jobs.base import Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space
from latentspace.space.pair_head import HEAD

__all__ = ["report"]

#: items and columns in the table of examples
FEW_ITEMS, FEW_COLUMNS = 4, 40

_HOW_TO_READ = (
    "Mean and 95 % interval over held-out items. Reconstruction error: mean squared difference on the scale "
    "the model sees. Trustworthiness and neighbours kept: whether an item's nearest stay its nearest in the "
    "latents. Guess: always the commonest label. Better, worse or as good: decided by the interval of the "
    "difference, item by item."
)


_HOW_TO_READ_ODD = (
    "AUROC: how often an odd item gets the higher score than a usual one (0.5 is guessing). Average precision: "
    "the share of odd ones among the highest scores. Surprise: 1.3 is as odd as one usual item in 20, 2 as one "
    "in 100."
)


_HOW_TO_READ_NOISE = (
    "Decibels by which the squared error falls, told without clean items (Recorrupted-to-Recorrupted): 3 is half of "
    "it, 10 a tenth."
)

_HOW_TO_READ_STORING = (
    "Mean and 95 % interval. Latents are rounded to one step and coded by how often each level occurs among training "
    "items; the decoder comes once. `latentspace compress --quality` does better: it trains on for it."
)

_HOW_TO_READ_MAP = (
    "Trustworthiness: whether those near on the map are near in the data; continuity: the other way round (1 is "
    "best, 0.5 is chance). Hollow points lie in a place not to be trusted."
)

_HOW_TO_READ_SAMPLES = (
    "Told apart: how often a random forest tells a sample from a held-out item (50 % is chance, less is better). "
    "Coverage: the share of held-out items that a sample lies near to; density: how near samples lie to held-out "
    "items (1 is alike). Copies: samples nearer to a training item than all but 5 % of held-out items are (5 % where "
    "nothing is memorised). MMD²: the squared distance of the two distributions."
)

_HOW_TO_READ_NEAR = (
    f"Of the {NINE} training items nearest to a held-out one, the share that have its label: by Euclidean distance "
    "in Z, in as many principal components (PCA), and between the items as they are. Guess: the share among all."
)


@job
def report(
    space: Space | str | Path,
    data: Any = None,
    out: str | Path = "report.html",
    *,
    seed: Annotated[int, Ge(0)] = 0,
) -> Result:
    """Say how good a space is, beside PCA and the raw items, in a table and a page.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        Items to measure on. Left out: the figures measured on held-out items when the space was fitted.
    out
        Where the page goes: one .html file that opens offline.
    seed
        Draws the items that are measured and the intervals.
    """
    space, out = opened(space), Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"{out} has {out.suffix or 'no extension'}: a report is a .html file.")
    figures, examples = (space.figures, _stored(space)) if data is None else _measured(space, data, seed)
    shown = drawings(space, figures, examples) + map_drawings(space) + neighbour_drawings(space)
    with whole(out) as beside:
        beside.write_text(_page(space, figures, shown, examples), encoding="utf-8")
    return Result(
        summary="\n".join(figures["verdict"]),
        tables=tables(figures, part_word(space.modality)),
        figures={drawing.name: drawing.draw for drawing in shown},
        files=[out],
        data={"figures": figures},
    )


def _stored(space: Space) -> Sample:
    empty = Sample(np.zeros((0, *space.modality.shape), np.float32), None, {})
    return examples_of(space) if "examples.x" in space.evidence else empty


def _measured(space: Space, data: Any, seed: int) -> tuple[dict[str, Any], Sample]:
    """Figures on other items; labels are learnt from one half of them and tried on the other."""
    items = space.items(data)
    rows = np.random.default_rng(seed).permutation(len(items))
    room = room_for(space.modality.shape)
    learnt = rows[room:][:MAX_REFERENCE] if len(rows) > 2 * room else rows[len(rows) // 2 :][:room]
    tried = rows[:room] if len(rows) > 2 * room else rows[: len(rows) // 2]
    measured = Sample.of(space.modality, items, tried if items.labels else rows[:room])
    reference = Sample.of(space.modality, items, learnt) if items.labels else None
    figures = measure(space.model, rival_of(space), measured, reference, seed)
    kept = ("training", "latent_sizes", "intrinsic_dim", "dials")
    training = {name: space.figures[name] for name in kept if name in space.figures}
    return {**figures, **training, "measured_on": items.source}, measured


def _page(space: Space, figures: dict[str, Any], shown: list[Drawing], examples: Sample) -> str:
    card = space.card
    title = card.get("data", {}).get("what", "A latent space")
    word = part_word(space.modality)
    by_place = {drawing.name: _drawn(drawing) for drawing in shown}
    first = by_place.pop("reconstructions", "")
    sections = [
        ("", paragraphs([f"{count(figures['latent_dim'], 'latent')} for each item. {card['made']}"])),
        ("", paragraphs(figures["verdict"], "verdict")),
        (f"Measured on {figures['n']:,} held-out items", _measures(figures)),
        ("Reconstructions", first + _example_table(space, examples)),
        (f"By {word}", _parts(figures.get("parts", []), word)),
        ("Odd items", _odd(figures.get("anomalies", {}))),
        ("Noise", _noise(figures.get("noise", {}))),
        ("Storing latents", _storing(figures.get("storing", {}))),
        ("Neighbours", by_place.pop("neighbours", "") + _near(figures.get("neighbours", {}))),
        ("Labels of a few", _told(figures.get("labels", {}))),
        ("Same or different?", _pairs(space)),
        ("Map", by_place.pop("map", "") + _placed(figures.get("map", {}))),
        ("Samples", _sampled(figures.get("samples", {}))),
        ("Dials of training", _dials(figures.get("dials", {}), by_place.pop("dials", ""))),
        ("Training", by_place.pop("loss curve", "") + by_place.pop("latent sizes", "")),
        ("The latent space", _latents(figures) + "".join(by_place.values())),
        ("The data", bullets(card.get("data", {}).get("about", []) + figures.get("notes", []))),
        ("Left out", bullets(_skipped(card))),
        ("How it was made", folded("settings, versions, fingerprint", table(_card_rows(card)))),
    ]
    return page(title, sections)


def _drawn(drawing: Drawing) -> str:
    give_back_memory()
    return picture(drawing.draw(), drawing.caption)


def _measures(figures: dict[str, Any]) -> str:
    rows = measure_rows(figures)
    return table(rows) + f'<p class="quiet">{_HOW_TO_READ}</p>' if rows else ""


def _parts(parts: list[dict[str, Any]], word: str) -> str:
    if len(parts) < 2:
        return ""
    rows = part_rows(parts, word)
    rest = folded(f"the other {len(rows) - FEW_PARTS}", table(rows[FEW_PARTS:]))
    note = '<p class="quiet">Share of each one\'s variance that is explained, the worst first.</p>'
    return note + table(rows[:FEW_PARTS]) + (rest if len(rows) > FEW_PARTS else "")


def _odd(odd: dict[str, Any]) -> str:
    measured = ""
    if odd.get("rows"):
        how = f"{odd['odd']:,} of {odd['n']:,} held-out items are the odd ones to be found."
        measured = paragraphs([odd["verdict"]]) + table(anomaly_rows(odd))
        measured += f'<p class="quiet">{how} {_HOW_TO_READ_ODD}</p>'
    worst = table(worst_rows(odd))
    return measured + (paragraphs(["The oddest held-out items, and why:"]) + worst if worst else "")


def _noise(found: dict[str, Any]) -> str:
    if not found:
        return ""
    if not found.get("rows"):
        return paragraphs([found["words"]])
    how = f'<p class="quiet">{found["n"]:,} held-out items. {_HOW_TO_READ_NOISE}</p>'
    return paragraphs([found["verdict"]]) + table(noise_rows(found)) + how


def _storing(found: dict[str, Any]) -> str:
    if not found:
        return ""
    how = f'<p class="quiet">{found["n"]:,} held-out items. {_HOW_TO_READ_STORING}</p>'
    return paragraphs([found["words"]]) + table(storing_rows(found)) + how


def _near(found: dict[str, Any]) -> str:
    if not found.get("rows"):
        return ""
    how = f'<p class="quiet">{found["n"]:,} held-out items among {found["of"]:,} of training. {_HOW_TO_READ_NEAR}</p>'
    each = [folded(f"by {row['label']}", table(class_rows(row))) for row in found["rows"]]
    return paragraphs([found["verdict"]]) + table(neighbour_rows(found)) + how + "".join(each)


def _told(found: dict[str, Any]) -> str:
    if not found:
        return ""
    promise = (
        f"Known: no other class is left at alpha = {found['alpha']:g}; no larger share than about that of all "
        "items should be known wrongly."
    )
    how = f"{found['n']:,} held-out items, told by labels ({found['label']}) of a few of {found['of']:,}. {promise}"
    return paragraphs([found["verdict"]]) + table(label_rows(found)) + f'<p class="quiet">{how}</p>'


def _pairs(space: Space) -> str:
    """What answers about pairs taught the space, where there are any."""
    if space.path is None or not (space.path / HEAD).exists():
        return ""
    try:
        found, doubt, stale = measured_pairs(space, None)
    except (DataError, SpaceError) as reason:
        return paragraphs([str(reason)])
    shown = picture(
        draw_report(found),
        "ROC curves of held-out pairs, and how well they are told by the number learnt from.",
    )
    tables = [folded(name, table(rows)) for name, rows in pair_words.report_tables(found, doubt).items()]
    return paragraphs(pair_words.report(found, doubt, stale)) + shown + "".join(tables)


def _placed(found: dict[str, Any]) -> str:
    if not found:
        return ""
    how = f'<p class="quiet">{found["n"]:,} held-out items, placed among others. {_HOW_TO_READ_MAP}</p>'
    return table(map_rows(found)) + how


def _sampled(found: dict[str, Any]) -> str:
    if not found:
        return ""
    noise = "with the noise of items" if found["noise"] else "as the decoder expects them"
    how = f"{found['n']:,} held-out items and as many samples, {noise}. {_HOW_TO_READ_SAMPLES}"
    return table(sample_rows(found)) + f'<p class="quiet">{how}</p>'


def _dials(found: dict[str, Any], drawn: str) -> str:
    """No loss: where representations are predicted, it says nothing of how good they are."""
    if not found:
        return ""
    return paragraphs([found["verdict"]]) + drawn + table(dial_rows(found))


def _latents(figures: dict[str, Any]) -> str:
    if "effective_dimension" not in figures:
        return ""
    directions = f"about {figures['effective_dimension']:.1f} directions carry the variance"
    said = f"Of {figures['latent_dim']} latents, {directions}."
    intrinsic = figures.get("intrinsic_dim")
    more = [f"The items' intrinsic dimension is estimated as {intrinsic:.1f}."] if intrinsic else []
    return paragraphs([said, *more])


def _skipped(card: dict[str, Any]) -> list[str]:
    return [f"{name}: {reason}" for name, reason in card.get("data", {}).get("skipped", [])]


def _card_rows(card: dict[str, Any]) -> list[dict[str, Any]]:
    flat = {**card.get("settings", {}), **card.get("versions", {})}
    flat |= {k: v for k, v in card.items() if not isinstance(v, dict)}
    flat["sha256 of the data"] = card.get("data", {}).get("sha256", "")
    return [{"what": name, "value": value} for name, value in flat.items()]


def _example_table(space: Space, examples: Sample) -> str:
    """A few held-out rows beside their reconstructions; gaps, which the model fills, are marked."""
    if (
        len(space.modality.shape) != 1
        or space.modality.name == "vectors"
        or not len(examples)
        or not space.decodes
    ):
        return ""
    kept = _telling(examples)
    shown = versions(space, examples.x)
    frames = {name: columns(space.modality, shown[name]) for name in ("original", "ours")}
    rows, filled = [], set()
    for i, (part, where) in enumerate(list(space.modality.parts().items())[:FEW_COLUMNS]):
        name = str(part)
        true, made = _texts(frames["original"][name], frames["ours"][name])
        row = {"column": name}
        for j, item in enumerate(kept):
            gap = examples.observed is not None and not examples.observed[item].reshape(-1)[where].any()
            row[f"item {j + 1}"] = "gap" if gap else true[item]
            row[f"→ {j + 1}"] = made[item]
            filled |= {(i, f"→ {j + 1}")} if gap else set()
        rows.append(row)
    note = '<p class="quiet">Held-out rows as they are and (→) as reconstructed; filled gaps in italics.</p>'
    return note + table(rows, frozenset(filled))


def _telling(examples: Sample) -> list[int]:
    """The rows to show: up to half of them with gaps, so that one sees how gaps are filled."""
    rows = list(range(len(examples)))
    if examples.observed is not None:
        gaps = np.asarray(~examples.observed.reshape(len(examples), -1).all(axis=1))
        first = np.flatnonzero(gaps)[: FEW_ITEMS // 2].tolist()
        rows = first + sorted(set(rows) - set(first), key=lambda i: bool(gaps[i]))
    return rows[:FEW_ITEMS]


def _texts(*versions: NDArray[Any]) -> list[list[str]]:
    """A column's values to be read, in several versions; what only rounding keeps from being 0 is 0."""
    if versions[0].dtype.kind != "f":
        return [[str(v)[:32] for v in values] for values in versions]
    least = 1e-5 * max(float(np.abs(values).max(initial=0.0)) for values in versions)
    return [[f"{0 if abs(v) <= least else v:.4g}" for v in values.tolist()] for values in versions]
