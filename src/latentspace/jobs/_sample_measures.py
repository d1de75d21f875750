"""How like held-out items the samples of a space are, beside samples of PCA's space made alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality
from latentspace.jobs._drawings import rival_of
from latentspace.jobs._made import Observing, has_noise
from latentspace.jobs._parts import Sample
from latentspace.jobs._verdict import outcome
from latentspace.jobs.base import jsonable
from latentspace.likelihoods import Bernoulli, Categorical, Likelihood
from latentspace.space.folder import Space
from latentspace.space.likeness import copied, covered, discrepancy, told_apart
from latentspace.space.quality import bootstrap_interval
from latentspace.training.compared import Compared

Array = NDArray[Any]

#: held-out items and samples that are compared at most and at least, and training items that samples are made with
MAX_TRIED, ENOUGH, MAX_LEARNT = 500, 40, 3000
#: values that the training items may hold, and directions of items without columns that are compared at most
MAX_VALUES, DIRECTIONS = 2**22, 32

TOLD, COVERAGE, DENSITY, COPIES = "told apart", "coverage", "density", "copies"
HIGHER = {TOLD: False, COVERAGE: True, DENSITY: True, COPIES: False}


@dataclass(frozen=True, eq=False)
class Maker:
    """What makes items: latents z (n, k) of training items, and a decoder to (n, *shape); `encode` goes back."""

    z: NDArray[np.float32]
    decode: Callable[[NDArray[np.float32]], Array]
    encode: Callable[[Array], NDArray[np.float32]]


def made_by(maker: Maker, modality: Modality, learnt: Sample, n: int, seed: int) -> tuple[Array, Array]:
    """(items (n, F), latents (n, k)) drawn as `sample` draws them, whatever makes them."""
    from latentspace.models.density import Density

    density = Density.fit(maker.z, seed)
    z = density.sample(n, seed)
    if not has_noise(modality):
        return maker.decode(z).reshape(n, -1), z
    drawn = Observing.learn(modality, maker.decode, density, learnt.x, learnt.observed, maker.z, seed).draw(
        z, seed
    )
    return drawn.reshape(n, -1), maker.encode(drawn.astype(np.float32))


def views(modality: Modality, learnt: Array, latents: int) -> Callable[[Array], Array]:
    """What brings encoded items (n, F) to what a classifier looks at: a row's columns, categories as numbers; the
    first principal axes of training items for anything else, no more than there are latents: PCA has no others."""
    if modality.name == "table":
        return lambda x: _columns(modality.likelihood, x)
    from latentspace.networks.layers import principal_axes

    mean, axes, _ = principal_axes(learnt, min(DIRECTIONS, latents, *learnt.shape), 0)
    return lambda x: np.asarray((x - mean) @ axes)


def _columns(likelihood: Likelihood, x: Array) -> Array:
    """(n, columns) encoded rows with a category as its place."""
    found, start = [], 0
    for part, width in getattr(likelihood, "parts", ((likelihood, x.shape[1]),)):
        run = x[:, start : start + width]
        if isinstance(part, Categorical):
            groups = np.split(run, np.cumsum(part.sizes)[:-1], axis=1)
            found += [group.argmax(axis=1)[:, None].astype(float) for group in groups]
        else:
            found.append(np.round(run) if isinstance(part, Bernoulli) else run)
        start += width
    return np.concatenate(found, axis=1)


def compared(
    ours: Maker, theirs: Maker, modality: Modality, learnt: Sample, held: Sample, seed: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """(rows of each measure, ours and PCA's with intervals; squared discrepancy of each)."""
    flat, real = (sample.x.reshape(len(sample), -1) for sample in (learnt, held))
    view, each, mmd = views(modality, flat, ours.z.shape[1]), {}, {}
    for name, maker in (("ours", ours), ("pca", theirs)):
        x, z = made_by(maker, modality, learnt, len(held), seed)
        mine, made = view(real), view(x)
        density, coverage = covered(mine, made)
        near, at_held = Compared(maker.z), maker.encode(held.x)
        each[name] = {
            TOLD: told_apart(mine, made, seed),
            COVERAGE: coverage,
            DENSITY: density,
            COPIES: copied(near.nearest(z, 1)[1][:, 0], near.nearest(at_held, 1)[1][:, 0]),
        }
        mmd[name] = discrepancy(mine, made)
    return [_row(name, each["ours"][name], each["pca"][name], seed) for name in HIGHER], mmd


def _row(name: str, ours: Array, theirs: Array, seed: int) -> dict[str, Any]:
    return {
        "measure": name,
        "higher_is_better": HIGHER[name],
        "ours": asdict(bootstrap_interval(ours, seed=seed)),
        "pca": asdict(bootstrap_interval(theirs, seed=seed)),
        "against_pca": asdict(bootstrap_interval(ours, theirs, seed=seed)),
    }


def makers(space: Space, learnt: Sample) -> tuple[Maker, Maker]:
    """What makes items: the space, and PCA at the same size, whose values stay within the range of `learnt`."""
    shape, model, pca = space.modality.shape, space.model, rival_of(space)
    low, high = learnt.x.reshape(len(learnt), -1).min(axis=0), learnt.x.reshape(len(learnt), -1).max(axis=0)

    def back(z: Array) -> Array:
        return np.asarray(np.clip(z @ pca.components + pca.mean, low, high))

    ours = Maker(np.asarray(model.encode(learnt.x), np.float32), model.decode, model.encode)
    theirs = Maker(pca.transform(learnt.x), back, lambda x: pca.transform(np.asarray(x).reshape(-1, *shape)))
    return ours, theirs


def add_sample_figures(
    space: Space, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> None:
    """Put the report's section into the space's figures, under "samples", and its verdict beside the others.

    Keys: "n", "rows" (see `compared`), "mmd", "noise", "verdict". Nothing is added where there are too few items, or
    nothing decodes.
    """
    if not space.decodes:
        return
    if space.density is None or len(held) < ENOUGH or not any(n.startswith("pca.") for n in space.evidence):
        return
    rng, room = np.random.default_rng(seed), MAX_VALUES // int(np.prod(space.modality.shape))
    learnt = Sample.of(space.modality, items, rng.permutation(train)[: min(MAX_LEARNT, max(room, ENOUGH))])
    tried = Sample.of(space.modality, items, rng.permutation(held)[: min(MAX_TRIED, max(room, ENOUGH))])
    rows, mmd = compared(*makers(space, learnt), space.modality, learnt, tried, seed)
    found = {"n": len(tried), "rows": rows, "mmd": mmd, "noise": has_noise(space.modality)}
    space.figures["samples"] = jsonable({**found, "verdict": _verdict(rows, len(tried))})
    space.figures["verdict"] += [space.figures["samples"]["verdict"]]


def _verdict(rows: list[dict[str, Any]], n: int) -> str:
    by_name = {row["measure"]: row for row in rows}
    told, copies, coverage = by_name[TOLD], by_name[COPIES], by_name[COVERAGE]
    low = copies["ours"]["low"]
    memory = "samples are no copies" if low <= 0.05 else "SOME SAMPLES ARE ALL BUT COPIES of training items"
    how = {"better": "better than", "worse": "worse than", "as good": "as good as"}[outcome(told, "pca")]
    return (
        f"How like {n:,} held-out items new ones are: a classifier tells them apart in {_percent(told['ours'])} of "
        f"cases (50 % is chance; {how} sampling from PCA's space, {_percent(told['pca'])}), they cover "
        f"{_percent(coverage['ours'])} of the held-out items (PCA's {_percent(coverage['pca'])}), and {memory} "
        f"({_percent(copies['ours'])} lie nearer to one than all but 5 % of held-out items do)."
    )


def _percent(interval: dict[str, float]) -> str:
    return f"{100 * interval['value']:.0f} %"
