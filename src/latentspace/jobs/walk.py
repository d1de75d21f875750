"""One latent at a time: what each of them changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from latentspace.data.image import Image
from latentspace.errors import OptionError, nearest
from latentspace.jobs import _walk_words as words
from latentspace.jobs._density import learnt, place
from latentspace.jobs._made import Made, made_at
from latentspace.jobs._made_draw import draw_walk
from latentspace.jobs._made_files import check_made, write_made
from latentspace.jobs._walk_grid import draw_two_latents, ends_of
from latentspace.jobs.base import Names, Result, job, opened
from latentspace.space.folder import Space

__all__ = ["walk"]


@job
def walk(
    space: Space | str | Path,
    out: str | Path | None = None,
    *,
    item: Any = None,
    latents: Names = (),
    steps: Annotated[int, Ge(2), Le(100)] = 9,
    grid: Literal["latents", "map"] | None = None,
) -> Result:
    """Change one latent at a time and see what it does, in the units of the data.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    out
        Where the items go: tables and signals .csv, .parquet, .npy or a picture (.png); pictures a sheet (.png), a
        folder or .npy. With `grid` a picture (.png, .svg, .pdf).
    item
        Start at an item (its id, a file that holds it, or a condition for the mean of some). Left out: at the mean.
    latents
        Which, such as z3. Left out: all, those first that change most.
    steps
        Items on the way from the low end of a latent (2.5 % of items lie beyond) to the high one.
    grid
        What the decoder draws all over two latents (the two given, or those that change most), or all over the map.
    """
    space = opened(space, "walk")
    check_made(space, out)
    rows = learnt(space)
    name, start, _ = (
        ("the mean", space.latents[rows].mean(axis=0), rows) if item is None else place(space, item)
    )
    chosen = _chosen(latents, space.latents.shape[1])
    walked, moves, order = _walked(space, start, chosen, rows, steps)
    parts = [str(part) for part in space.modality.parts()]
    names = [f"z{j}" for j in order]
    found = words.effects(walked, names, steps, moves, parts)
    drawn = draw_walk(walked, names, steps, moves, parts)
    if grid is not None:
        drawn = {"grid": _grid(space, grid, start, order, rows), **drawn}
    return Result(
        summary="\n".join(words.summary(found, name)),
        tables={"What each latent changes": words.rows(found)},
        figures=drawn,
        files=[] if out is None else _written(walked, out, drawn, grid is not None),
        data={"latents": found, "start": name},
        value=walked.value,
    )


def _chosen(latents: tuple[str, ...], k: int) -> list[int]:
    every = {f"z{j}": j for j in range(k)}
    for name in latents:
        if name not in every:
            raise OptionError(f"There is no latent {name!r}{nearest(name, every)}: they are z0 to z{k - 1}.")
    return [every[name] for name in latents] or list(every.values())


def _walked(
    space: Space, start: NDArray[Any], chosen: list[int], rows: NDArray[np.intp], steps: int
) -> tuple[Made, NDArray[np.float64], list[int]]:
    """(the items on all walks, a latent after the other; how far each moves each part (latents, parts); the latents),
    those first that move most."""
    low, high = ends_of(space, rows)
    z = np.repeat(np.asarray(start, np.float32)[None], len(chosen) * steps, axis=0)
    for i, j in enumerate(chosen):
        z[i * steps : (i + 1) * steps, j] = np.linspace(low[j], high[j], steps)
    x = np.asarray(space.model.decode(z)).reshape(len(chosen), steps, -1)
    reach = np.ptp(x, axis=1)
    moves = np.stack(
        [np.sqrt((reach[:, where] ** 2).mean(axis=1)) for where in space.modality.parts().values()], axis=1
    )
    total = (reach.astype(float) ** 2).sum(axis=1)
    order = np.argsort(-total, kind="stable")
    ways = (order[:, None] * steps + np.arange(steps)).ravel()
    names = [f"z{chosen[w // steps]} = {z[w, chosen[w // steps]]:.3g}" for w in ways]
    return made_at(space, names, z[ways]), moves[order].astype(float), [chosen[i] for i in order]


def _grid(space: Space, grid: str, start: NDArray[Any], order: list[int], rows: NDArray[np.intp]) -> Any:
    if not isinstance(space.modality, Image):
        raise OptionError("grid draws pictures; the items of this space are none.")
    if grid == "map":
        from latentspace.jobs._map_draw import draw_grid
        from latentspace.jobs._map_items import head_of

        head = head_of(space)
        return lambda: draw_grid(space, head)
    if len(order) < 2:
        raise OptionError("grid needs two latents.")
    return lambda: draw_two_latents(space, start, order[0], order[1], rows)


def _written(walked: Made, out: str | Path, drawn: dict[str, Any], grid: bool) -> list[Path]:
    from latentspace.space.atomic import whole

    if not grid:
        return write_made(walked, out, [{"id": name} for name in walked.names], drawn)
    out = Path(out)
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise OptionError(f"{out}: a grid is a picture, .png, .svg or .pdf.")
    with whole(out) as beside:
        drawn["grid"]().savefig(beside, format=out.suffix.lower()[1:])
    return [out]
