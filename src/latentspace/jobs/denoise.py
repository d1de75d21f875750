"""Items without their noise and with their gaps filled, learnt from them as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from latentspace.data.base import Items
from latentspace.data.image import Image
from latentspace.errors import DataError
from latentspace.jobs import _denoise_words as words
from latentspace.jobs._denoise_draw import figures
from latentspace.jobs._denoise_files import sheet_of, write_restored
from latentspace.jobs._denoise_noise import noise_of, observed_of_kept
from latentspace.jobs._denoise_pairs import Pairs, read_pairs
from latentspace.jobs._measures import MAX_VALUES
from latentspace.jobs._output import check_out, kinds_for
from latentspace.jobs.base import Progress, Result, job, opened
from latentspace.space.folder import Space

if TYPE_CHECKING:
    from latentspace.models.restorer import Restorer

__all__ = ["denoise"]

#: with fewer items than this, those that the space keeps are learnt from as well
FEW = 500
#: items that the space has not learnt from, needed to judge its reconstruction beside the other ways
ENOUGH = 20

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@job
def denoise(
    space: Space | str | Path,
    data: Any,
    out: str | Path | None = None,
    *,
    clean: Any = None,
    kind: Literal["auto", "gaussian", "salt-and-pepper", "missing"] = "auto",
    noise: Literal["auto"] | Annotated[float, Ge(0)] = "auto",
    seed: Annotated[int, Ge(0)] = 0,
    progress: Progress | None = None,
) -> Result:
    """Take the noise off items and fill their gaps, learnt from the noisy items alone, or leave them alone.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    data
        The items: anything that was good for `fit`, with the same columns or channels.
    out
        Where they go: .csv, .parquet or .npy; pictures as a sheet of noisy, restored and removed (.png), a folder
        of PNGs, or .npy.
    clean
        Clean versions of the items, in the same order or with the same ids, to learn from; they may be of another
        kind (grey pictures and their coloured ones). The result is of theirs.
    kind
        The kind of noise: gaussian, salt-and-pepper (pictures), or missing, which only fills gaps.
    noise
        How much: standard deviations of the data, or the share of the values; found out where it is not given.
    seed
        Everything random comes from it.
    progress
        Called with what is going on and the share done.
    """
    from latentspace.jobs._denoise_items import in_users_units

    space = opened(space)
    if clean is None:
        check_out(out, *kinds_for(space.modality))
    items = space.items(data)
    if not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to restore.")
    pairs = None if clean is None else read_pairs(space.modality, items, clean)
    target = space.modality if pairs is None else pairs.modality
    check_out(out, *kinds_for(target))
    level = None if noise == "auto" else float(noise)
    story, changed = _restored(
        space, items, pairs, kind, level, seed, progress or (lambda words, share: None)
    )
    lender = items if pairs is None or target is space.modality else pairs.lend(items)
    if target is space.modality:
        value = in_users_units(target, items, data, changed, story.y)
    else:
        value = target.inverse_transform(story.y, lender)
    return Result(
        summary="\n".join(words.summary(story)),
        tables=words.tables(story),
        figures=figures(story),
        files=_written(story, lender or items, value, out) if out else [],
        data=words.data(story),
        value=value,
    )


def _restored(
    space: Space, items: Items, pairs: Pairs | None, kind: str, level: float | None, seed: int, tell: Progress
) -> tuple[words.Story, Mask]:
    """What was made of the items, and where (n, *shape) that differs from what they were."""
    from latentspace.jobs._denoise_items import gaps_of

    modality = space.modality
    x, observed = modality.transform(items)
    tell("learning the noise", None)
    restorer, learnt = _restorer(space, items, x, observed, pairs, kind, level, seed, tell)
    tell("restoring", 0.0)
    y = _applied(restorer, x, observed, tell)
    target = modality if pairs is None else pairs.modality
    changed = np.ones(y.shape, bool)
    if target is modality:
        changed = y != x if observed is None else (y != x) | ~observed
    found = gaps_of(modality, items, observed)
    removed = restorer.judge(x, y, observed) if y.shape == x.shape else None
    story = words.Story(
        modality, items, x, y, observed, target, restorer, removed, found, learnt,
        None if pairs is None else len(pairs.rows),
    )  # fmt: skip
    return story, changed


def _restorer(
    space: Space,
    items: Items,
    x: Array,
    observed: Mask | None,
    pairs: Pairs | None,
    kind: str,
    level: float | None,
    seed: int,
    tell: Progress,
) -> tuple[Restorer, int]:
    """What restores the items, and how many it was learnt from."""
    from latentspace.jobs._denoise_items import gaps_of
    from latentspace.models.restorer import Restorer, held_rows

    options: dict[str, Any] = {"kind": kind, "level": level, "seed": seed, "tell": tell}
    if pairs is not None:
        seen = None if observed is None else observed[pairs.rows]
        return Restorer.fit(x[pairs.rows], seen, clean=pairs.x, **options), len(pairs.rows)
    new, given = unseen(space, items, x), observed
    if len(x) < FEW:
        x, observed = _with_kept(space, x, observed, kind)
    else:
        rows = np.random.default_rng(seed).permutation(len(x))[: max(FEW, 2 * MAX_VALUES // x[0].size)]
        rows = np.sort(rows)
        x, observed, new = x[rows], None if observed is None else observed[rows], new[rows]
    held = np.random.default_rng(seed).permutation(np.flatnonzero(new))[: len(held_rows(len(x), seed))]
    options |= {
        "held": held if len(held) >= ENOUGH else None,
        "noisy": space.modality.measured,
        "origin": space.modality.origin,
        "fill": gaps_of(space.modality, items, given) > 0,
    }
    options |= {"reconstruct": _reconstruction(space)}
    return Restorer.fit(x, observed, **options), len(x)


def _reconstruction(space: Space) -> Any:
    """d(e(x)) of encoded items; None where there is no decoder, or only half of the space was loaded."""
    if space.part is not None or not space.decodes:
        return None
    return lambda x: np.asarray(space.model.decode(space.model.encode(np.asarray(x, np.float32))))


def unseen(space: Space, items: Items, x: Array) -> Mask:
    """(n,) which items the space has not learnt from: new ones, and those that it held out."""
    if space.scorer is None or space.held_out is None or space.part is not None:
        return np.zeros(len(items), bool)
    found = ~space.scorer.knows(x)
    held = dict(zip(space.ids[space.held_out].tolist(), space.latents[space.held_out], strict=True))
    rows = np.array([i for i, name in enumerate(items.ids.tolist()) if name in held and not found[i]], int)
    if len(rows):
        there = np.stack([held[name] for name in items.ids[rows].tolist()])
        found[rows] = np.isclose(space.model.encode(x[rows]), there, atol=1e-3).all(axis=1)
    return found


def _with_kept(space: Space, x: Array, observed: Mask | None, kind: str) -> tuple[Array, Mask | None]:
    """A few items with those that the space keeps, unless they are themselves among them or hold other noise."""
    if space.scorer is None:
        return x, observed
    kept = np.asarray(space.scorer.reference, np.float32).reshape(-1, *space.modality.shape)
    known = {row.tobytes() for row in x.reshape(len(x), -1).astype(np.float32)}
    kept = kept[[row.tobytes() not in known for row in kept.reshape(len(kept), -1)]]
    if not len(kept):
        return x, observed
    if kind != "missing":
        own, theirs = (noise_of(space.modality, a, seen, kind) for a, seen in ((x, observed), (kept, None)))
        apart = own.low > theirs.high or theirs.low > own.high or own.kind != theirs.kind
        if own.trusted and apart:
            return x, observed
    seen = observed_of_kept(space.modality, kept)
    if observed is not None or not seen.all():
        observed = np.concatenate([np.ones(x.shape, bool) if observed is None else observed, seen])
    return np.concatenate([x, kept]), observed


def _applied(restorer: Restorer, x: Array, observed: Mask | None, tell: Progress) -> Array:
    """All items restored, a bounded number at a time."""
    step = max(1, MAX_VALUES // 4 // x[0].size)
    made = []
    for start in range(0, len(x), step):
        tell("restoring", start / len(x))
        rows = slice(start, start + step)
        made.append(restorer.restore(x[rows], None if observed is None else observed[rows]))
    return np.concatenate(made)


def _written(story: words.Story, items: Items, value: Any, out: str | Path) -> list[Path]:
    shown = []
    if isinstance(story.target, Image) and Path(out).suffix.lower() == ".png":
        before = story.modality if isinstance(story.modality, Image) else story.target
        x = story.x if story.observed is None else np.where(story.observed, story.x, np.nan)
        shown = sheet_of(before, x, story.target, story.y)
    return write_restored(story.target, items, value, out, shown)
