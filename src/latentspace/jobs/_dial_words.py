"""What the dials of training say where no loss tells how good Z is, and when an autoencoder is the better choice."""

from __future__ import annotations

from typing import Any

from latentspace.jobs._verdict import outcome
from latentspace.jobs.base import jsonable
from latentspace.space.folder import Space

Row = dict[str, str]

#: name → (what it is called, what it says and what is good)
DIALS = {
    "rank": ("effective rank", "how many directions of Z items spread over; of {width}, more is better"),
    "spread": ("deviation", "mean standard deviation of Z's dimensions; 0 where all items look alike"),
    "alignment": (
        "alignment",
        "squared distance of a whole item and of the part that is seen, on a sphere; less is better",
    ),
    "uniformity": ("uniformity", "how evenly items lie on the sphere; lower is better, 0 is collapse"),
    "target_variance": ("target variance", "how much targets differ from item to item; 0 is collapse"),
    "foreseen": (
        "foreseen",
        "hidden patches whose prediction is nearest to their own target; 0.5 is knowing the place alone",
    ),
    "neighbours": ("neighbours", "held-out items whose nearest have their label"),
}
#: rivals of the labels' rows, as they are called
RIVALS = {"pca": "PCA's latents", "raw": "the items as they are"}
#: seeds 0, 1, 2, of the autoencoder seed 0 (docs/13, benchmarks/ijepa.py)
MEASURED = (
    "On 10,000 pictures of Fashion-MNIST, I-JEPA came to 0.86 by a linear probe and 0.83 by the 10 nearest in "
    "10 minutes, an autoencoder to 0.83 and 0.85 in one"
)


def add_dial_figures(space: Space, n: int) -> None:
    """Put the dials of training into the space's figures, under "dials", and what they say beside the verdicts.

    Keys: "rows" (dials by check, the first of before training), "advice" (whether an autoencoder is the better choice
    for `n` items and this time, by held-out labels or else by what was measured elsewhere), "verdict", "pixels" (the
    share of what held-out pixels differ from the mean patch of their place that tokens hold, by a linear map that was
    learnt afterwards; None of older models). Nothing is added where the loss judges.
    """
    rows = space.figures.get("training", {}).get("dials")
    if not rows:
        return
    said = [_said(rows, space.figures["training"]["stopped"]), _advice(space, n)]
    pixels = float(space.model.probe_.explained)
    space.figures["dials"] = jsonable(
        {"rows": rows, "advice": said[1], "verdict": " ".join(said), "pixels": pixels}
    )
    space.figures["verdict"] += said


def _said(rows: list[dict[str, float]], stopped: str) -> str:
    """Whether representations still tell items apart."""
    first, last = rows[0], rows[-1]
    ended = f" Training ended early: {stopped}." if "collapse" in stopped else ""
    return (
        f"Dials on held-out items, before training and after it: effective rank {first['rank']:.1f} and "
        f"{last['rank']:.1f} of {last['width']:.0f}, foreseen {first['foreseen']:.2f} and {last['foreseen']:.2f} "
        f"(0.5 is knowing places alone). They show collapse, not quality.{ended}"
    )


def _advice(space: Space, n: int) -> str:
    """Whether an autoencoder is the better choice, the unflattering included."""
    seconds = space.model.history_.seconds
    here = f"for {n:,} items and {_time(seconds)} of training"
    near = space.figures.get("neighbours", {}).get("rows", [])
    rows = [row for row in [*space.figures["latents"], *near] if row.get("raw")]
    if not rows:
        return (
            f"No label was set aside, so nothing here says how good Z is. {MEASURED}; an autoencoder is simpler, and "
            f"decodes (fit --model autoencoder). Here there were {n:,} items and {_time(seconds)}."
        )
    found = {rival: [row for row in rows if outcome(row, rival) == "worse"] for rival in RIVALS}
    if any(found.values()):
        worse = ", and ".join(
            f"worse than {RIVALS[rival]} in {_figures(those, rival)}"
            for rival, those in found.items()
            if those
        )
        return (
            f"I-JEPA's Z tells labels {worse}. So {here} an autoencoder, which starts at PCA and decodes, is most "
            "likely the better choice (fit --model autoencoder)."
        )
    if all(outcome(row, rival) == "better" for row in rows for rival in RIVALS):
        return f"I-JEPA's Z tells labels better than PCA's latents and the items as they are {here}."
    tried = space.figures["n"]
    return (
        f"By {tried:,} held-out items, I-JEPA's Z tells labels neither surely better nor surely worse than PCA's "
        f"latents and the items as they are {here}: an autoencoder is simpler, and decodes (fit --model autoencoder)."
    )


def _figures(rows: list[dict[str, Any]], rival: str) -> str:
    return ", ".join(
        f"{row['measure']} ({100 * row['ours']['value']:.1f} against {100 * row[rival]['value']:.1f} %)"
        for row in rows
    )


def _time(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} s"


def dial_rows(found: dict[str, Any]) -> list[Row]:
    """One row a dial: before training, half-way, after it, and what it says."""
    rows = found.get("rows", [])
    if not rows:
        return []
    shown = {"before": rows[0], "half-way": rows[len(rows) // 2], "after": rows[-1]}
    width = f"{rows[-1]['width']:.0f}"
    return [
        {"dial": called}
        | {when: f"{row[name]:.3g}" for when, row in shown.items()}
        | {"what it says": text.format(width=width)}
        for name, (called, text) in DIALS.items()
        if all(row.get(name) is not None for row in rows)
    ]
