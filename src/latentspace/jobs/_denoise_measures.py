"""How much noise a space's items hold, and what its reconstruction takes off beside singular-value shrinkage."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.jobs._denoise_noise import noise_of
from latentspace.jobs._denoise_words import decibels, noise_words
from latentspace.jobs._measures import learnt_and_tried
from latentspace.jobs._parts import Sample
from latentspace.jobs._verdict import count
from latentspace.jobs.base import jsonable
from latentspace.space.folder import Space
from latentspace.space.quality import bootstrap_interval

if TYPE_CHECKING:
    from latentspace.models.noise import Noise


#: training items that noise and shrinkage are learnt from; held-out items that are tried, at most and at least
MAX_TRAIN, MAX_TRIED, ENOUGH = 2000, 500, 20
OURS, SHRINKAGE = "d(e(x))", "singular-value shrinkage"
GAIN = ("value", "low", "high")


def add_noise_figures(
    space: Space, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> None:
    """Put the report's section into the space's figures, under "noise", and its verdict beside the others.

    Keys: "noise" (kind, level, interval on the model's scale, ...), "words", and where a level can be told and
    something decodes, "n", "rows" (gain in dB over leaving items alone, told without clean ones, of d(e(x)) and of
    singular-value shrinkage) and "verdict". Nothing is added where too few items are held out.
    """
    if len(held) < ENOUGH or len(train) < ENOUGH:
        return
    most = MAX_TRAIN, MAX_TRIED
    learnt, tried = learnt_and_tried(space.modality, items, train, held, most, seed)
    noise = noise_of(space.modality, learnt.x, learnt.observed)
    found: dict[str, Any] = {"noise": asdict(noise), "words": noise_words(noise, space.modality)}
    if space.decodes and noise.trusted and noise.kind == "gaussian" and noise.level > 0:
        rows, difference = _gains(space, learnt, tried, noise, seed)
        verdict = _verdict(found["words"], rows, difference, len(tried))
        found |= {"n": len(tried), "rows": rows, "verdict": verdict}
        space.figures["verdict"] += [verdict]
    space.figures["noise"] = jsonable(found)


def _gains(
    space: Space, learnt: Sample, tried: Sample, noise: Noise, seed: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """A row a method, and the interval of the difference of their squared errors (ours minus shrinkage's)."""
    from latentspace.models.classics import Shrinkage
    from latentspace.models.recorruption import Damage, Trial, gain

    shrinkage = Shrinkage.fit(learnt.x, noise.level, learnt.observed, seed)
    trial = Trial.of(Damage(noise.level, space.modality.measured), tried.x, tried.observed, seed)
    restored = {
        "input": trial.spoilt,
        OURS: np.asarray(space.model.decode(space.model.encode(trial.spoilt))),
        SHRINKAGE: shrinkage.apply(trial.spoilt, trial.keep),
    }
    errors = {name: trial.errors(each) for name, each in restored.items()}
    counted = np.isfinite(errors["input"])
    errors = {name: each[counted] for name, each in errors.items()}
    rows = [
        {"method": name, "gain": dict(zip(GAIN, gain(errors[name], errors["input"], seed), strict=True))}
        for name in (OURS, SHRINKAGE)
    ]
    difference = bootstrap_interval(errors[OURS], errors[SHRINKAGE], seed=seed)
    return rows, asdict(difference)


def _verdict(words: str, rows: list[dict[str, Any]], difference: dict[str, float], n: int) -> str:
    """Who takes more noise off, shrinkage where it does."""
    ours, theirs = (row["gain"] for row in rows)
    said = f"d(e(x)) {_decibels(ours)}, {SHRINKAGE} {_decibels(theirs)}"
    if difference["low"] > 0:
        who = f"Shrinkage takes off more than this space's reconstruction ({said})"
    elif difference["high"] < 0:
        who = f"This space's reconstruction takes off more than shrinkage ({said})"
    else:
        who = f"This space's reconstruction takes off as much as shrinkage ({said})"
    alone = " Neither is better than leaving the items alone." if max(ours["low"], theirs["low"]) <= 0 else ""
    return f"{words} {who}, by {count(n, 'held-out item')}.{alone} `latentspace denoise` takes the best there is."


def _decibels(interval: dict[str, float]) -> str:
    return f"{decibels(*(interval[key] for key in GAIN))} dB"
