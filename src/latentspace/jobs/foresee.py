"""What an I-JEPA believes is behind its mask, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from latentspace.errors import OptionError, SpaceError
from latentspace.errors import nearest as nearest_name
from latentspace.jobs._output import check_out
from latentspace.jobs.base import Names, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space

__all__ = ["foresee"]

#: pictures drawn where none is named, and drawn at most
SHOWN, MOST = 6, 40


@job
def foresee(
    space: Space | str | Path,
    data: Any,
    out: str | Path | None = None,
    *,
    item: Names = (),
    nearest: Annotated[int, Ge(0)] = 2,
    seed: int = 0,
) -> Result:
    """Hide parts of pictures and draw what an I-JEPA believes is there, a row a picture.

    From left to right: the picture; the part that is seen; the pixels that the predicted tokens stand for; for each
    hidden place, real patches of other pictures whose tokens are nearest to the predicted one; the tokens' three main
    axes as red, green and blue; how much attention each patch gets in the last block.

    Parameters
    ----------
    space
        A space made by fit --model ijepa, or the folder that holds one.
    data
        Pictures: those that are drawn, and the others, whose patches are looked at.
    out
        The picture (.png, .pdf or .svg).
    item
        Ids of the pictures to draw; by default six, drawn by the seed.
    nearest
        Columns of nearest real patches.
    seed
        Of what is hidden, and of the choice of pictures.
    """
    space = opened(space)
    check_out(out, (".png", ".pdf", ".svg"))
    from latentspace.models.foresight import foresee as foresight_of
    from latentspace.models.ijepa import IJEPA

    if not isinstance(space.model, IJEPA):
        raise SpaceError(
            f"A space made by {type(space.model).__name__} foresees nothing that is hidden: fit --model ijepa does."
        )
    if space.modality.name != "image":
        raise SpaceError("foresee draws pictures, and this space is of signals.")
    space.needs_rebuilding("foresee")
    items = space.items(data)
    x = space.modality.transform(items)[0]
    rows = _rows(item, items.ids, seed)
    others = np.concatenate([rows, np.setdiff1d(np.random.default_rng(seed).permutation(len(x)), rows)])
    shown = foresight_of(space.model, x[rows], x[others], nearest, seed, np.arange(len(rows)))
    figures = {
        "explained": shown.explained,
        "by targets": shown.probe,
        "probe": float(space.model.probe_.explained),
    }

    def draw() -> Any:
        from latentspace.plots_foresight import foresight

        columns = {"picture": shown.pictures, "seen": shown.seen, "believed": shown.believed}
        columns |= {f"real patch {k + 1}": each for k, each in enumerate(shown.nearest)}
        drawn = {name: _unscaled(space, each) for name, each in columns.items()}
        return foresight(drawn, shown.colours, shown.attention, [str(i) for i in items.ids[rows]])

    files = []
    if out:
        with whole(Path(out)) as beside:
            draw().savefig(beside, format=Path(out).suffix.lower()[1:])
        files = [Path(out)]
    return Result(
        f"Of what hidden pixels of {len(rows)} pictures differ from the mean patch of their place, the prediction "
        f"explains {shown.explained:.0%}; the tokens that it should have foreseen explain {shown.probe:.0%}. "
        "This is for looking: what nobody can foresee need not be there.",
        figures={"foresight": draw},
        files=files,
        data={"items": [str(i) for i in items.ids[rows]], **figures},
        value=shown,
    )


def _rows(item: Sequence[str], ids: NDArray[Any], seed: int) -> NDArray[np.intp]:
    if not len(item):
        return np.sort(np.random.default_rng(seed).permutation(len(ids))[:SHOWN])
    place = {str(name): row for row, name in enumerate(ids)}
    for name in item:
        if name not in place:
            raise OptionError(f"item {name!r} is none of these pictures{nearest_name(name, list(place))}.")
    if len(item) > MOST or len(set(item)) < len(item):
        raise OptionError(f"item takes up to {MOST} different pictures, got {len(item)}.")
    return np.array([place[name] for name in item], np.intp)


def _unscaled(space: Space, pictures: NDArray[Any]) -> NDArray[Any]:
    """(n, H, W[, C]) in [0, 1], NaN where it was."""
    modality: Any = space.modality
    hidden = np.isnan(pictures)
    plain = modality.inverse_transform(np.nan_to_num(pictures))
    top = np.iinfo(plain.dtype).max if plain.dtype.kind in "iu" else 1.0
    shown = np.asarray(plain, float) / top
    moved = np.moveaxis(hidden, 1, -1)
    shown[moved.reshape(shown.shape) if moved.shape[-1] == 1 else moved] = np.nan
    return shown
