"""How many of the answers about pairs are wrong, and which should be given again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.models.pair_metric import area
from latentspace.models.pair_noise import Noise, noise_of
from latentspace.space.answers import Answer, Implied
from latentspace.space.folder import Space
from latentspace.space.pair_head import PairHead

#: doubtful answers in a JSON object
MOST = 100


@dataclass(frozen=True)
class Doubted:
    """answers : those that were learnt from, the most doubtful first; wrong : how probably each is; noise : None for
    too few; contradictions : sets of answers that cannot all be true; given : all that there are."""

    answers: list[Answer]
    wrong: list[float]
    noise: Noise | None
    contradictions: int
    given: int

    @property
    def least(self) -> float:
        """The share of all answers that must be wrong, since each contradiction holds a wrong one of its own."""
        return self.contradictions / max(1, self.given)

    def doubtful(self, most: int) -> list[tuple[Answer, float]]:
        """The most doubtful answers, and how probably each is wrong; none where that is not known."""
        return list(zip(self.answers, self.wrong, strict=False))[:most]

    def to_json(self) -> dict[str, Any]:
        """All figures, for a JSON object."""
        noise = self.noise
        return {
            "answers": len(self.answers),
            "share": None if noise is None else {"value": noise.share, "low": noise.low, "high": noise.high},
            "contradictions": self.contradictions,
            "at_least": self.least,
            "doubtful": [
                {"a": one.a, "b": one.b, "said": word(one), "who": one.who, "wrong": wrong}
                for one, wrong in self.doubtful(MOST)
            ],
        }


def doubted(space: Space, head: PairHead, every: list[Answer], implied: Implied) -> Doubted:
    """What the distances of held-out pairs say of the answers themselves."""
    there = {str(name): row for row, name in enumerate(space.ids.tolist())}
    at = {(a, b): i for i, (a, b) in enumerate(head.pairs.tolist())}
    distances = _telling(head)
    last = {frozenset((one.a, one.b)): one for one in every if one.a in there and one.b in there}
    found: dict[int, Answer] = {}
    for one in last.values():
        a, b = sorted((there[one.a], there[one.b]))
        i = at.get((a, b), -1)
        if i >= 0 and bool(head.same[i]) == one.same and np.isfinite(distances[i]):
            found[i] = one
    rows = np.array(list(found), np.intp)
    noise = noise_of(distances[rows], head.same[rows])
    wrong = np.zeros(0) if noise is None else noise.wrong
    answers = list(found.values())
    order = np.argsort(-wrong, kind="stable").tolist()
    return Doubted(
        answers if noise is None else [answers[i] for i in order],
        wrong[order].tolist(),
        noise,
        len(implied.conflicts),
        len(every),
    )


def _telling(head: PairHead) -> NDArray[np.float64]:
    """(m,) distances of the pairs as others have them: of the way in use, or of the best that learns where that tells
    them better, since it may have been left for want of proof."""

    def worth(distances: NDArray[np.float64]) -> float:
        known = np.isfinite(distances)
        both = 0 < head.same[known].sum() < known.sum()
        return area(distances[known], head.same[known]) if both else 0.0

    return max(head.metric.held_out, head.curve.held_out, key=worth)


def word(one: Answer) -> str:
    """The answer in a word."""
    return "same" if one.same else "different"
