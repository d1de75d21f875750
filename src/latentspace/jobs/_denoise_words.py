"""What is said of a restoration: sentences, rows to print, and all figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._windows import Windows
from latentspace.data.base import Items, Modality
from latentspace.data.image import Image
from latentspace.data.signal import Signal
from latentspace.jobs._judged import in_time, span
from latentspace.jobs._parts import part_word
from latentspace.jobs._verdict import count

if TYPE_CHECKING:
    from latentspace.models.noise import Noise
    from latentspace.models.removed import Removed
    from latentspace.models.restorer import Candidate, Restorer

Array = NDArray[Any]
#: items and parts named where structure may have been invented
FEW = 5
#: what is nobody's classical method
OURS = ("autoencoder", "network")
#: a gain of this many dB or more is that of an error too small to be told from 0
TOP = 39.9


@dataclass(frozen=True)
class Story:
    """All that is to be told of one restoration.

    x, y (n, *shape) : items before and after, on the model's scale; y is of the modality `target`, where pairs say so
    of another shape. observed (n, *shape) : where x was (None: all).
    removed : None where x and y cannot be compared. gaps : values that the user's data lacked, all of them filled.
    pairs : how many clean versions were learnt from (None: none were given). learnt : items learnt from.
    """

    modality: Modality
    items: Items
    x: Array
    y: Array
    observed: NDArray[np.bool_] | None
    target: Modality
    restorer: Restorer
    removed: Removed | None
    gaps: int
    learnt: int
    pairs: int | None = None

    @property
    def noise_removed(self) -> bool:
        """Whether Gaussian noise was taken off, so that what was removed can be compared with it."""
        noise = self.restorer.noise
        return self.restorer.changes and noise.kind == "gaussian" and noise.trusted and self.pairs is None

    @property
    def rival(self) -> str:
        """What gains are measured against."""
        if all(c.name != "input" for c in self.restorer.candidates):
            return "a linear map"  # of another shape, an item cannot be left alone
        return "leaving alone (of a gap: the mean)" if self.gaps and self.pairs is None else "leaving alone"

    @property
    def word(self) -> str:
        """What one item is called."""
        return {"image": "picture", "signal": "window", "table": "row", "vectors": "vector"}.get(
            self.modality.name, "item"
        )


def summary(story: Story) -> list[str]:
    """What was done and why, how much noise there is, what was removed, and where to be careful."""
    restorer = story.restorer
    said = [restorer.message]
    if story.pairs is not None:
        said.append(f"Learnt from {count(story.pairs, 'pair')} of {story.word}s and their clean versions.")
    if story.pairs is None and restorer.noise.words() not in restorer.message:
        said.append(noise_words(restorer.noise, story.modality))
    if story.removed is not None and story.noise_removed:
        said += [story.removed.words()[0], *_invented(story, story.removed)]
    if story.gaps:
        said.append(f"{count(story.gaps, 'gap')} {'was' if story.gaps == 1 else 'were'} filled in.")
    return [words for words in said if words]


def noise_words(noise: Noise, modality: Modality) -> str:
    """The noise found, in the user's unit where all parts share one."""
    unit = unit_of(modality)
    if not noise.trusted or noise.kind != "gaussian" or unit is None:
        return noise.words()
    scale, name = unit
    level, low, high = (scale * v for v in (noise.level, noise.low, noise.high))
    return (
        f"Noise of standard deviation {level:.3g} {name} (95 % interval {low:.3g} to {high:.3g}), "
        f"{noise.level:.2g} of the data's own: {noise.reason}"
    )


def unit_of(modality: Modality) -> tuple[float, str] | None:
    """What 1 on the model's scale is in the user's unit, and its name; None where columns differ."""
    if isinstance(modality, Image):
        scale = modality.spread * (modality.high - modality.low)
        whole = modality.limits is not None and modality.limits[1] > 1
        return (
            scale,
            f"grey levels of {modality.limits[1]:.0f}" if whole and modality.limits else "in lightness",
        )
    if isinstance(modality, Signal) and len(modality.channels) == 1 and modality.bends[0] is None:
        return float(modality.spreads[0]), f"in {modality.channels[0]!r}"
    if modality.name == "vectors":
        return float(modality.scale), "in each column"  # type: ignore[attr-defined]
    return None


# where to be careful


def suspects(story: Story, removed: Removed) -> dict[str, list[dict[str, Any]]]:
    """Items and parts with the largest share of elements that changed more than noise explains."""
    suspect = removed.suspect.reshape(len(story.items), -1)
    by_item = suspect.mean(axis=1)
    worst = np.argsort(-by_item, kind="stable")[:FEW]
    items = [{"id": _name(story.items, i), "share": float(by_item[i])} for i in worst if by_item[i] > 0]
    shares = {name: float(suspect[:, where].mean()) for name, where in story.modality.parts().items()}
    order = sorted(shares, key=lambda name: -shares[name])[:FEW]
    return {
        "items": items,
        "parts": [{"part": str(name), "share": shares[name]} for name in order if shares[name] > 0],
    }


def _name(items: Items, row: np.intp) -> Any:
    if in_time(items):
        return " to ".join(span(items, row))
    return items.ids[row]


def _invented(story: Story, removed: Removed) -> list[str]:
    """Where structure may have been taken away or invented."""
    found = suspects(story, removed)
    if not found["items"]:
        return [f"Nowhere was a {story.word} changed by more than noise explains."]
    odd = int(removed.suspect.reshape(len(removed.suspect), -1).any(axis=1).sum())
    most = ", ".join(f"{row['id']} ({_percent(row['share'])})" for row in found["items"][:3])
    parts = ", ".join(f"{row['part']} ({_percent(row['share'])})" for row in found["parts"][:3])
    several = len(story.modality.parts()) > 1 and parts
    return [
        f"Be careful with {odd:,} of {count(len(removed.suspect), story.word)}: more was changed there than noise "
        f"explains, so structure may have been removed or invented. Most in {most}"
        + (f"; by {part_word(story.modality)}: {parts}." if several else ".")
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


# candidates


def candidate_rows(candidates: list[Candidate]) -> list[dict[str, Any]]:
    """One row a candidate, the best first."""
    return [
        {
            "candidate": called(c.name),
            "gain (dB)": decibels(c.gain, c.low, c.high) if c.low < c.high or c.gain else "0",
            "share of the restoration": f"{100 * c.weight:.0f} %" if c.weight > 0 else "",
        }
        for c in candidates
    ]


def decibels(value: float, low: float, high: float) -> str:
    """A gain with its interval; one too large to be told by its lower end.

    >>> decibels(3.214, 2.9, 3.5), decibels(40.0, 9.88, 40.0)
    ('+3.21 (+2.90 to +3.50)', 'above +9.88')
    """
    return f"above {low:+.2f}" if value >= TOP else f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


def called(name: str) -> str:
    """A candidate's name in a table."""
    names = {
        "input": "leaving alone",
        "shrinkage": "singular-value shrinkage",
        "autoencoder": "the space's d(e(x))",
        "linear": "a linear map",
    }
    return names.get(name, name)


def tables(story: Story) -> dict[str, list[dict[str, Any]]]:
    """The candidates, and where structure may have been invented, as rows to print."""
    rows = candidate_rows(story.restorer.candidates)
    how = "by the pairs" if story.pairs is not None else "without clean items"
    found = {f"Gain over {story.rival}, told {how} on held-out items (95 % intervals)": rows}
    if story.removed is not None and story.noise_removed:
        worst = suspects(story, story.removed)["items"]
        found["Changed by more than noise explains"] = [
            {story.word: row["id"], "share of it": _percent(row["share"])} for row in worst
        ]
    return {title: rows for title, rows in found.items() if rows}


def data(story: Story) -> dict[str, Any]:
    """All figures, JSON-able."""
    restorer, removed = story.restorer, story.removed
    unit = unit_of(story.modality)
    noise: dict[str, Any] = asdict(restorer.noise)
    if unit is not None and restorer.noise.kind == "gaussian":
        noise["in_units"] = {key: unit[0] * noise[key] for key in ("level", "low", "high")}
        noise["unit"] = unit[1]
    found: dict[str, Any] = {
        "items": len(story.items),
        "learnt_from": story.learnt,
        "pairs": story.pairs,
        "changed": restorer.changes,
        "message": restorer.message,
        "noise": {**noise, "words": noise_words(restorer.noise, story.modality)},
        "candidates": [asdict(c) for c in restorer.candidates],
        "gaps_filled": story.gaps,
        "removed": None,
    }
    if removed is not None and story.noise_removed:
        told = {key: value for key, value in asdict(removed).items() if key != "suspect"}
        share = float(removed.suspect.mean()) if removed.suspect.size else 0.0
        found["removed"] = {**told, "words": removed.words()}
        found["suspect"] = {"share": share, **suspects(story, removed)}
    if isinstance(story.items.values, Windows):
        found["windows"] = {"length": story.items.values.length, "hop": story.items.values.hop}
    return found
