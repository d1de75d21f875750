"""How few bits an item's rounded latents take, beside those of PCA at the same error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.jobs._measures import learnt_and_tried
from latentspace.jobs._parts import Sample, squared_error
from latentspace.jobs._verdict import count
from latentspace.jobs.base import jsonable
from latentspace.rivals.pca import PCA
from latentspace.space.folder import Space
from latentspace.space.quality import bootstrap_interval

__all__ = ["add_storing_figures"]

#: training items that PCA and how often a level occurs are learnt from; held-out items tried, at most and at least
MAX_TRAIN, MAX_TRIED, ENOUGH = 2000, 500, 20
#: principal axes at most, and the error allowed, as a multiple of that of the space's latents as they are
AXES, ALLOWED = 256, (1.05, 1.5)
#: times that a step is halved
TURNS = 12

Floats = NDArray[Any]
Decode = Callable[[Floats], Floats]


def add_storing_figures(
    space: Space, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> None:
    """Put the report's section into the space's figures, under "storing".

    Keys: "n", "rows" (by error allowed: "error", bits an item of "ours" and "pca" with their intervals, "pca" None
    where its axes do not reach the error), "decoder" (numbers of ours and of PCA's axes) and "words". Nothing is
    added where too few items are held out, or nothing decodes.
    """
    network = getattr(space.model, "network_", None)
    decoder = getattr(network, "decoder", None)
    if decoder is None or not space.decodes or len(held) < ENOUGH or len(train) < ENOUGH:
        return
    most = MAX_TRAIN, MAX_TRIED
    learnt, tried = learnt_and_tried(space.modality, items, train, held, most, seed)
    ours = Rounded.of(space.model.encode(learnt.x), space.model.encode(tried.x), space.model.decode, tried)
    axes = PCA(seed).fit(learnt.x, AXES)
    theirs = Rounded.of(
        axes.transform(learnt.x), axes.transform(tried.x), _decoder_of(axes, tried.x.shape), tried
    )
    rows = [_row(ours, theirs, share * ours.error(0.0), seed) for share in ALLOWED]
    found = {"n": len(tried), "rows": rows, "decoder": _numbers(decoder, theirs, rows, learnt.x[0].size)}
    space.figures["storing"] = jsonable(found | {"words": _words(found)})


class Rounded:
    """Latents rounded to a step: what error that makes, and how many bits each item takes.

    learnt, tried : (n, k), from the mean of `learnt`. decode : latents -> items. sample : the items tried.
    """

    def __init__(self, learnt: Floats, tried: Floats, decode: Decode, sample: Sample) -> None:
        self.learnt, self.tried, self.decode, self.sample = learnt, tried, decode, sample

    @classmethod
    def of(cls, learnt: Floats, tried: Floats, decode: Decode, sample: Sample) -> Rounded:
        """With the latents' mean taken off, so that what hardly varies is rounded to it."""
        mean = learnt.mean(axis=0)
        return cls(learnt - mean, tried - mean, lambda z: decode((z + mean).astype(np.float32)), sample)

    def error(self, step: float) -> float:
        """Mean squared error on the model's scale, of what was observed; a step of 0 rounds nothing."""
        z = np.rint(self.tried / step) * step if step else self.tried
        return float(np.nanmean(squared_error(self.sample, self.decode(z)), dtype=float))

    def step(self, allowed: float) -> float | None:
        """About the largest step within the error allowed; None where even unrounded latents are not."""
        if self.error(0.0) > allowed:
            return None
        high = 8 * float(self.tried.std(axis=0).max()) or 1.0
        low = high / 2**12
        for _ in range(TURNS):
            middle = float(np.sqrt(low * high))
            low, high = (middle, high) if self.error(middle) <= allowed else (low, middle)
        return low

    def bits(self, step: float) -> Floats:
        """(n,) bits of each item: levels as often as among the items learnt from, none of them impossible."""
        total = np.zeros(len(self.tried))
        for known, new in zip(np.rint(self.learnt.T / step), np.rint(self.tried.T / step), strict=True):
            low = min(known.min(), new.min())
            times = np.bincount((known - low).astype(int), minlength=int(new.max() - low) + 1) + 1 / 16
            total -= np.log2(times / times.sum())[(new - low).astype(int)]
        return total

    def moving(self, step: float) -> int:
        """How many latents are ever anything but their mean."""
        return int((np.rint(self.learnt / step) != 0).any(axis=0).sum())


def _decoder_of(axes: PCA, shape: tuple[int, ...]) -> Decode:
    return lambda z: (z @ axes.components + axes.mean).reshape(len(z), *shape[1:])


def _row(ours: Rounded, theirs: Rounded, allowed: float, seed: int) -> dict[str, Any]:
    steps = ours.step(allowed), theirs.step(allowed)
    mine, other = (
        None if step is None else way.bits(step) for way, step in zip((ours, theirs), steps, strict=True)
    )
    row: dict[str, Any] = {"error": allowed, "axes": None if steps[1] is None else theirs.moving(steps[1])}
    for name, bits in (("ours", mine), ("pca", other)):
        row[name] = None if bits is None else asdict(bootstrap_interval(bits, seed=seed))
    row["against_pca"] = None
    if mine is not None and other is not None:
        row["against_pca"] = asdict(bootstrap_interval(mine, other, seed=seed))
    return row


def _numbers(decoder: Any, theirs: Rounded, rows: list[dict[str, Any]], width: int) -> dict[str, int]:
    axes = max((row["axes"] or 0 for row in rows), default=0)
    return {"ours": sum(p.numel() for p in decoder.parameters()), "pca": (axes + 1) * width}


def _words(found: dict[str, Any]) -> str:
    """Who takes fewer bits at about the latents' own error, and from how many items on its decoder is paid for."""
    row = found["rows"][0]
    if row["ours"] is None:
        return "Rounding these latents costs more error than is allowed here."
    said = f"Rounded latents take {row['ours']['value']:.0f} bits an item at about their own error"
    if row["pca"] is None:
        return f"{said}; PCA does not come that near with {AXES} axes."
    theirs, difference = row["pca"]["value"], row["against_pca"]
    if difference["low"] > 0:
        return f"{said}, PCA's {theirs:.0f} at the same: fewer, and its axes are the smaller decoder."
    if difference["high"] >= 0:
        return f"{said}, PCA's {theirs:.0f} at the same: no clear difference."
    more = found["decoder"]["ours"] - found["decoder"]["pca"]
    paid = max(0, int(np.ceil(8 * more / -difference["value"])))
    rest = (
        f"; with a byte for each of its numbers the decoder is paid for from {count(paid, 'item')} on"
        if paid
        else ""
    )
    return f"{said}, PCA's {theirs:.0f} at the same{rest}."
