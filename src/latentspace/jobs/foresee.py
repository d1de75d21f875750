"""What an I-JEPA believes is behind its mask, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from latentspace.data.image import Image
from latentspace.errors import OptionError, SpaceError
from latentspace.jobs._drawings import as_pictures
from latentspace.jobs._foresee_items import Chosen, given, kept
from latentspace.jobs._output import check_out
from latentspace.jobs.base import Names, Progress, Result, job, opened
from latentspace.space.atomic import whole
from latentspace.space.folder import Space
from latentspace.space.quality import bootstrap_change

__all__ = ["foresee"]


@job
def foresee(
    space: Space | str | Path,
    data: Any = None,
    out: str | Path | None = None,
    *,
    item: Names = (),
    nearest: Annotated[int, Ge(0)] = 2,
    seed: Annotated[int, Ge(0)] = 0,
    progress: Progress | None = None,
) -> Result:
    """Hide parts of pictures and draw what an I-JEPA believes is there, a row a picture.

    From left to right: the picture; the part that is seen; the pixels that the predicted tokens stand for; for each
    hidden place, real patches of other pictures whose tokens are nearest to the predicted one, of training pictures
    where the data hold some; the tokens' three main axes as red, green and blue; how much attention each patch gets
    in the last block. What is foreseen is judged on pictures that training did not see.

    Parameters
    ----------
    space
        A space made by fit --model ijepa, or the folder that holds one.
    data
        Pictures: those that are drawn, and the others, whose patches are looked at. Left out: a few held-out ones
        that the space keeps.
    out
        The picture (.png, .pdf or .svg).
    item
        Ids of the pictures to draw; by default six that training did not see, drawn by the seed.
    nearest
        Columns of nearest real patches.
    seed
        Of what is hidden, and of the choice of pictures.
    progress
        Called with what is going on and the share done.
    """
    tell = progress or (lambda words, share: None)
    space = opened(space)
    check_out(out, (".png", ".pdf", ".svg"))
    from latentspace.models.foresight import foresee as foresight_of
    from latentspace.models.foresight import misses

    _check(space)
    if data is None and item:
        raise OptionError("item names pictures of data: give these, too.")
    tell("reading", None)
    chosen = kept(space) if data is None else given(space, data, item, seed)
    tell("foreseeing", None)
    shown = foresight_of(space.model, chosen.shown, chosen.among, nearest, seed, chosen.own)
    figures = _figures(space, misses(space.model, chosen.judged, seed), chosen, seed)

    def draw() -> Any:
        from latentspace.plots_foresight import foresight

        columns = {"picture": shown.pictures, "seen": shown.seen, "believed": shown.believed}
        columns |= {f"nearest real {k + 1}": each for k, each in enumerate(shown.nearest)}
        image: Image = space.modality  # type: ignore[assignment]
        drawn = {name: as_pictures(image, each) for name, each in columns.items()}
        return foresight(drawn, shown.colours, shown.attention, chosen.names)

    files = []
    if out:
        tell("drawing", None)
        with whole(Path(out)) as beside:
            draw().savefig(beside, format=Path(out).suffix.lower()[1:])
        files = [Path(out)]
    return Result(
        _words(figures),
        figures={"foresight": draw},
        files=files,
        data={"items": chosen.names, **figures},
        value=shown,
    )


def _check(space: Space) -> None:
    """Raise SpaceError where nothing is foreseen, or cannot be drawn."""
    from latentspace.models.ijepa import IJEPA

    if not isinstance(space.model, IJEPA):
        raise SpaceError(
            f"A space made by {type(space.model).__name__} foresees nothing that is hidden: fit --model ijepa does."
        )
    if space.modality.name != "image":
        raise SpaceError("foresee draws pictures, and this space is of signals.")
    space.needs_rebuilding("foresee")
    space.model.probe_.needed()


def _figures(space: Space, missed: dict[str, Any], chosen: Chosen, seed: int) -> dict[str, Any]:
    """Shares of what hidden pixels differ from the mean patch of their place, which itself explains 0."""
    change = bootstrap_change(missed["predicted"], missed["mean patch"], seed=seed)
    by_targets = missed["target"].sum() / max(missed["mean patch"].sum(), np.finfo(float).tiny)
    return {
        "explained": -change.value,
        "low": -change.high,
        "high": -change.low,
        "by targets": float(1 - by_targets),
        "mean patch": 0.0,
        "judged": len(chosen.judged),
        "unseen": chosen.unseen,
        "probe": float(space.model.probe_.explained),
    }


def _words(figures: dict[str, Any]) -> str:
    who = f"{figures['judged']:,} pictures that training {'did not see' if figures['unseen'] else 'saw'}"
    return (
        f"Of what hidden pixels of {who} differ from the mean patch of their place, the prediction explains "
        f"{figures['explained']:.0%} (95 % interval {figures['low']:.0%} to {figures['high']:.0%}); the tokens that "
        f"it should have foreseen explain {figures['by targets']:.0%}. "
        "This is for looking: what nobody can foresee need not be there."
    )
