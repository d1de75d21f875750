"""The pictures of items that were made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots_generate
from latentspace.data.image import Image
from latentspace.jobs._drawings import MAX_POINTS, as_pictures
from latentspace.jobs._made import Made
from latentspace.jobs._reasons import in_channels
from latentspace.space.folder import Space

Array = NDArray[Any]

#: items drawn, side by side
MOST = 8
#: latents drawn, a row each
MAX_LATENTS = 10


def looks(space: Space, x: Array) -> Array:
    """Encoded items as pictures (n, H, W, 1 or 3) in [0, 1] or curves (n, C, T) in the user's units."""
    if isinstance(space.modality, Image):
        return np.asarray(as_pictures(space.modality, x))
    return in_channels(space.modality, x)


def can_be_drawn(space: Space) -> bool:
    """Whether single items can be looked at: pictures and windows."""
    return len(space.modality.shape) > 1


def draw_rows(space: Space, rows: Sequence[tuple[str, Array, Sequence[str]]], note: str = "") -> Any:
    """Rows of (name, encoded items, words under each), as pictures or curves."""
    shown = [(name, looks(space, x), texts) for name, x, texts in rows]
    return plots_generate.rows_view(shown, note)


def draw_samples(made: Made) -> dict[str, Callable[[], Any]]:
    """Name → a function that draws it: samples above their nearest training items, and where they lie on the map."""
    drawn: dict[str, Callable[[], Any]] = {}
    if can_be_drawn(made.space):
        drawn["samples"] = lambda: _above_nearest(made)
    if made.space.map is not None:
        drawn["samples on the map"] = lambda: on_the_map(made)
    return drawn or {"samples in Z": lambda: _in_z(made)}


def _above_nearest(made: Made) -> Any:
    few = slice(MOST)
    near = made.space.model.decode(made.space.latents[made.rows[few]])
    news = [f"novelty {new:.2f}" for new in made.novelty[few]]
    ids = [str(name) for name in made.space.ids[made.rows[few]]]
    rows = [("sample", made.x[few], news), ("nearest in training", near, ids)]
    note = "Novelty: the share of held-out items that lie nearer to a training item (0 is a copy)."
    return draw_rows(made.space, rows, note)


def on_the_map(made: Made, joined: bool = False) -> Any:
    """Items on the space's map, its own beneath; `joined` draws the way from each to the next."""
    head = made.space.map
    assert head is not None
    few = np.random.default_rng(0).permutation(len(made.space))[:MAX_POINTS]
    beneath = head.place(made.space.latents[few])
    note = f"{len(made):,} items on the map of the {len(made.space):,} of the space (pale)."
    return plots_generate.on_map(head.place(made.z), beneath, note, joined)


def _in_z(made: Made) -> Any:
    """Two latents of few items, for a space without a map."""
    own = made.space.latents
    pair = [np.pad(z, ((0, 0), (0, max(0, 2 - z.shape[1]))))[:, :2] for z in (made.z, own)]
    return plots_generate.on_map(
        pair[0], pair[1], "The first two latents; pale: the items of the space.", False
    )


def draw_way(made: Made, beside: Made, path: str, levels: dict[str, Array]) -> dict[str, Callable[[], Any]]:
    """Name → a function that draws it: the items of a way (the straight one beneath), its density, its place on the
    map."""
    drawn: dict[str, Callable[[], Any]] = {}
    if can_be_drawn(made.space):
        drawn["way"] = lambda: _way(made, beside, path)
    else:
        drawn["way"] = lambda: plots_generate.columns_along(*_columns(made), made.names)
    drawn["density"] = lambda: plots_generate.density_along(levels)
    if made.space.map is not None:
        drawn["way on the map"] = lambda: on_the_map(made, joined=True)
    return drawn


def _way(made: Made, beside: Made, path: str) -> Any:
    few = np.unique(np.linspace(0, len(made) - 1, min(len(made), 13)).round().astype(int))
    names = [made.names[i] for i in few]
    rows = [(path, made.x[few], names), ("nearest in training", _nearest(made, few), _ids(made, few))]
    if path != "straight":
        rows.insert(1, ("straight", beside.x[few], [""] * len(few)))
    return draw_rows(made.space, rows)


def _nearest(made: Made, few: Array) -> Array:
    return np.asarray(made.space.model.decode(made.space.latents[made.rows[few]]))


def _ids(made: Made, few: Array) -> list[str]:
    return [str(name) for name in made.space.ids[made.rows[few]]]


def _columns(made: Made) -> tuple[list[str], Array]:
    """(names, values (parts, n)) of the parts that change, encoded; of a category the place of the likeliest."""
    flat = made.x.reshape(len(made.x), -1)
    found = {
        str(name): flat[:, where[0]] if len(where) == 1 else flat[:, where].max(axis=1)
        for name, where in made.space.modality.parts().items()
        if len(where) == 1
    }
    return list(found), np.array(list(found.values()))


def draw_sum(made: Made, signs: Sequence[str], parts: Array, near: Array) -> dict[str, Callable[[], Any]]:
    """Name → a function that draws it: what was added up (m, k), what came out, and the items nearest to it."""
    drawn: dict[str, Callable[[], Any]] = {}
    if can_be_drawn(made.space):
        drawn["sum"] = lambda: _sum(made, signs, parts, near)
    if made.space.map is not None:
        drawn["sum on the map"] = lambda: on_the_map(made)
    return drawn or {"sum in Z": lambda: _in_z(made)}


def _sum(made: Made, signs: Sequence[str], parts: Array, near: Array) -> Any:
    space = made.space
    decoded = np.asarray(space.model.decode(np.asarray(parts, np.float32)))
    ids = [str(name) for name in space.ids[near]]
    rows = [
        ("added up", np.concatenate([decoded, made.x])[-MOST:], [*signs, "="][-MOST:]),
        ("nearest items", np.asarray(space.model.decode(space.latents[near])), ids),
    ]
    return draw_rows(space, rows)


def draw_walk(
    walked: Made, names: Sequence[str], steps: int, moves: Array, parts: Sequence[str]
) -> dict[str, Callable[[], Any]]:
    """Name → a function that draws it: a row a latent of what it changes, and how far it moves each part."""
    drawn: dict[str, Callable[[], Any]] = {}
    if can_be_drawn(walked.space):
        drawn["walk"] = lambda: _walk(walked, names, steps)
    drawn["what moves"] = lambda: plots_generate.moves_view(moves, names, parts)
    return drawn


def _walk(walked: Made, names: Sequence[str], steps: int) -> Any:
    few = names[:MAX_LATENTS]
    ends = [name.partition(" = ")[2] for name in walked.names]
    rows = [
        (name, walked.x[i * steps : (i + 1) * steps], ends[i * steps : (i + 1) * steps])
        for i, name in enumerate(few)
    ]
    return draw_rows(walked.space, rows, "A latent a row, from its low to its high end; all others stay.")
