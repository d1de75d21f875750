"""What is drawn on a map: points and their colours, the legend, names of regions, thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

#: colours of categories, the commonest first; no two of neighbouring lightness look alike to the colour blind
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9",
    "#8C6D1F", "#882255", "#44AA99", "#5B5BD6", "#A6A600", "#555555",
)  # fmt: skip
#: other categories, gaps, other items beneath, items that nothing colours
OTHERS, PALE, PALER, ONE_COLOUR = "#9A9A9A", "#DADADA", "#EAEAEA", "#0072B2"
#: more points than this are drawn as pixels in .svg and .pdf too
MAX_VECTORS = 3000
#: pixels along a map's side that thumbnails are laid on, and thumbnails side by side
CANVAS, THUMBNAILS = 1140, 38
#: a picture's ink below this is its ground
FAINT = 0.12


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, built without pyplot."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=140, layout="constrained")


def map_axes(figure: Any, points: Array, place: tuple[int, int, int] = (1, 1, 1)) -> Axes:
    """Axes without ticks, the same scale both ways, around points (n, 2 or 3)."""
    if points.shape[1] == 3:
        axes = figure.add_subplot(*place, projection="3d")
        axes.set(xticks=[], yticks=[], zticks=[], box_aspect=(1, 1, 1))
        return axes  # type: ignore[no-any-return]
    axes = figure.add_subplot(*place)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    low, high = points.min(axis=0), points.max(axis=0)
    edge = 0.04 * float((high - low).max()) or 1.0
    axes.set_xlim(low[0] - edge, high[0] + edge)
    axes.set_ylim(low[1] - edge, high[1] + edge)
    return axes  # type: ignore[no-any-return]


def all_drawn(points: Array, backdrop: Array | None) -> Array:
    """The points that a map must have room for."""
    return points if backdrop is None else np.concatenate([backdrop, points])


def dots(axes: Any, points: Array, **looks: Any) -> Any:
    """Points (n, 2 or 3) without edges; many of them become pixels in .svg and .pdf too."""
    return axes.scatter(*points.T, **{"linewidths": 0, "rasterized": len(points) > MAX_VECTORS, **looks})


def point_size(n: int) -> float:
    """Area of a point among n, in points²."""
    return float(np.clip(36000 / max(n, 1), 2.0, 30))


def scatter(
    axes: Axes,
    points: Array,
    colours: Array,
    hollow: NDArray[np.bool_] | None,
    backdrop: Array | None,
    faint: bool = False,
) -> None:
    """All points in one go and in no order, so that no category lies on top of the others."""
    if backdrop is not None:
        dots(axes, backdrop, s=point_size(len(backdrop)), color=PALER)
    order, size = np.random.default_rng(0).permutation(len(points)), point_size(len(points))
    ring = np.zeros(len(points), bool) if hollow is None else hollow
    filled, rings = order[~ring[order]], order[ring[order]]
    look = {"s": 0.5 * size, "alpha": 0.35} if faint else {"s": size, "alpha": 0.85}
    dots(axes, points[filled], c=colours[filled], **look)
    dots(axes, points[rings], s=1.6 * size, facecolors="none", edgecolors=colours[rings], linewidths=0.7)


# colours


def colours_of(values: Array | None) -> Array:
    """(n, 4) the colour of each item; of no values, one for all."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgba, to_rgba_array

    if values is None:
        return _Same(to_rgba(ONE_COLOUR))  # type: ignore[return-value]
    if _is_scale(values):
        numbers = _numbers(values)
        low, high = _ends(numbers)
        found = mpl.colormaps["viridis"](np.clip((numbers - low) / (high - low), 0, 1))
        found[~np.isfinite(numbers)] = to_rgba(PALE)
        return np.asarray(found)
    names, codes = _categories(values)
    table = to_rgba_array([*_swatches(values, len(names)), PALE, OTHERS])
    return np.asarray(table[codes])


class _Same:
    """One colour for every row."""

    def __init__(self, colour: Any) -> None:
        self.colour = colour

    def __getitem__(self, rows: Array) -> Array:
        return np.tile(self.colour, (len(rows), 1))


def _is_scale(values: Array) -> bool:
    """Whether values are measured on a scale, rather than a few categories."""
    if values.dtype.kind in "fM":
        return True
    return values.dtype.kind in "iu" and len(np.unique(values)) > len(PALETTE)


def _numbers(values: Array) -> NDArray[np.float64]:
    """Values of a scale as numbers, times as years; NaN for a gap."""
    if values.dtype.kind != "M":
        return values.astype(float)
    days = values.astype("datetime64[s]").astype(float) / 86400
    return np.where(np.isnat(values), np.nan, 1970 + days / 365.2425)


def _ends(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Where the scale starts and ends, so that a few stray values do not take all the colours."""
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(known, [0.01, 0.99])
    least, most = known.min(), known.max()
    wide = 0.15 * (high - low)
    low, high = least if low - least <= wide else low, most if most - high <= wide else high
    return float(low), float(high if high > low else low + 1)


def _categories(values: Array) -> tuple[list[str], NDArray[np.intp]]:
    """Names of the categories that get a colour of their own, and (n,) each item's, -1: another, -2: a gap."""
    levels, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    names = [str(level) for level in levels]
    real = [j for j in range(len(names)) if names[j] != ""]
    kept = sorted(real, key=lambda j: -counts[j])[: len(PALETTE)]
    kept = sorted(kept) if values.dtype.kind in "iu" else kept
    own = np.array(
        [kept.index(j) if j in kept else -2 if names[j] == "" else -1 for j in range(len(names))], np.intp
    )
    return [names[j] for j in kept], own[codes]


def _swatches(values: Array, n: int) -> list[Any]:
    """One colour a category; of numbers, along a scale."""
    if values.dtype.kind in "iu":
        import matplotlib as mpl

        return [tuple(c) for c in mpl.colormaps["viridis"](np.linspace(0, 0.95, n))]
    return list(PALETTE[:n])


def legend(figure: Figure, axes: Axes, values: Array, name: str) -> None:
    """What the colours of `values` mean: a scale, or dots with the names of the categories."""
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.lines import Line2D

    if _is_scale(values):
        numbers = _numbers(values)
        low, high = _ends(numbers)
        known = numbers[np.isfinite(numbers)]
        below, above = bool((known < low).any()), bool((known > high).any())
        extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
            (below, above), "neither"
        )
        scale = ScalarMappable(mpl.colors.Normalize(low, high), mpl.colormaps["viridis"])
        bar = figure.colorbar(scale, ax=axes, shrink=0.5, aspect=28, extend=extend, pad=0.02)
        bar.set_label(plain(name))
        bar.outline.set_visible(False)
        return
    names, codes = _categories(values)
    colours = _swatches(values, len(names))
    extra = [("others", OTHERS, -1), ("gap", PALE, -2)]
    named = [*zip(names, colours, strict=True), *((n, c) for n, c, code in extra if (codes == code).any())]
    dots = [
        Line2D([], [], linestyle="", marker="o", markersize=7, color=colour, label=plain(text[:24]))
        for text, colour in named
    ]
    figure.legend(handles=dots, title=plain(name), frameon=False, loc="outside right center", fontsize=9)


def plain(text: str) -> str:
    """Text that is no formula."""
    return text.replace("$", r"\$")


# names of regions


def show_regions(axes: Axes, regions: Sequence[tuple[str, Array]]) -> None:
    """The names of regions where they stand, moved off each other."""
    from matplotlib.patheffects import withStroke

    texts = [
        axes.text(
            float(place[0]),
            float(place[1]),
            plain(_in_lines(name)),
            fontsize=10,
            fontweight="bold",
            ha="center",
            va="center",
            color="#222222",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.6, "linewidth": 0},
            path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.9)],
            zorder=5,
        )
        for name, place in regions
        if name
    ]
    _push_apart(axes, texts)


def _in_lines(name: str) -> str:
    """A name of several parts, one below the other."""
    return "\n".join(part if len(part) <= 28 else f"{part[:27]}…" for part in name.split(", "))


def _push_apart(axes: Axes, texts: list[Any]) -> None:
    """Move texts that overlap up or down until they do not."""
    figure = axes.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    inverse = axes.transData.inverted()
    boxes = [text.get_window_extent().padded(2) for text in texts]
    for _ in range(60):
        moved = False
        for i, a in enumerate(boxes):
            for j in range(i):
                b = boxes[j]
                if a.overlaps(b):
                    step = 2.0 if (a.y0 + a.y1, i) > (b.y0 + b.y1, j) else -2.0
                    boxes[i] = a = a.translated(0, step)
                    boxes[j] = b.translated(0, -step)
                    moved = True
        if not moved:
            break
    for text, box in zip(texts, boxes, strict=True):
        text.set_position(inverse.transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)))


# thumbnails


def thumbnail_rows(
    points: Array, wanted: NDArray[np.bool_], backdrop: Array | None = None
) -> NDArray[np.intp]:
    """Rows of the `wanted` items (n,) of a map (n, 2) whose thumbnails can be drawn without any two overlapping."""
    at, _ = _on_canvas(points, all_drawn(points, backdrop))
    side = CANVAS // THUMBNAILS
    taken, kept = np.zeros((CANVAS, CANVAS), bool), []
    for row in np.random.default_rng(0).permutation(np.flatnonzero(wanted)):
        x, y = at[row]
        box = taken[y : y + side, x : x + side]
        if not box.any():
            box[:] = True
            kept.append(row)
    return np.sort(np.array(kept, np.intp))


def show_thumbnails(
    axes: Axes, points: Array, drawn: Array, rows: Array, pictures: Array, colours: Array
) -> None:
    """Pictures (t, H, W, 1 or 3) at the points of their `rows`; grey ones on a plain ground as ink in `colours`."""
    from matplotlib.image import AxesImage

    at, (left, right, _, high) = _on_canvas(points, drawn)
    side = CANVAS // THUMBNAILS
    ground, pixel = _plain_ground(pictures), (right - left) / CANVAS
    # each by itself: to scale one large canvas costs a hundred megabytes
    for (x, y), picture, colour in zip(at[rows], pictures, colours, strict=True):
        where = (left + x * pixel, left + (x + side) * pixel, high - (y + side) * pixel, high - y * pixel)
        image = AxesImage(axes, extent=where, interpolation="antialiased", zorder=3)
        image.set_data(_thumbnail(picture, side, colour, ground))
        axes.add_image(image)


def _on_canvas(points: Array, drawn: Array) -> tuple[NDArray[np.intp], tuple[float, float, float, float]]:
    """(n, 2) the left top pixel of each item's thumbnail on a square canvas around all `drawn`, and its extent."""
    side = CANVAS // THUMBNAILS
    low, high = drawn.min(axis=0).astype(float), drawn.max(axis=0).astype(float)
    span = max(float((high - low).max()), 1e-9) * CANVAS / (CANVAS - side - 1)
    corner = (low + high) / 2 - span / 2
    at = (points - corner) / span * CANVAS
    at = np.stack([at[:, 0], CANVAS - at[:, 1]], axis=1) - side / 2
    pixels = np.clip(np.rint(at).astype(np.intp), 0, CANVAS - side)
    return pixels, (corner[0], corner[0] + span, corner[1], corner[1] + span)


def _plain_ground(pictures: Array) -> float | None:
    """The lightness (0 or 1) that nearly all borders of grey pictures have; None where they have none."""
    if pictures.shape[3] != 1 or not len(pictures):
        return None
    grey = pictures[..., 0] / 255
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    for ground in (0.0, 1.0):
        if np.mean(np.abs(border - ground) < 0.15) > 0.8:
            return ground
    return None


def _thumbnail(picture: Array, side: int, colour: Array, ground: float | None) -> NDArray[np.uint8]:
    """(side, side, 4) one picture, whole, in the middle; on a plain ground its ink, else with a frame."""
    from PIL import Image

    height, width = picture.shape[:2]
    inner = side if ground is not None else side - 4
    h, w = (max(1, round(inner * length / max(height, width))) for length in (height, width))
    shown = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    small = np.asarray(shown.resize((w, h), Image.Resampling.BOX if h < height else Image.Resampling.BICUBIC))
    top, left = (side - h) // 2, (side - w) // 2
    made = np.zeros((side, side, 4), np.uint8)
    if ground is not None:
        made[..., :3] = np.asarray(colour[:3]) * 215
        ink = (255.0 - small if ground else small.astype(float)) / 255
        made[top : top + h, left : left + w, 3] = 255 * np.clip((ink - FAINT) / (1 - FAINT), 0, 1)
        return made
    made[top - 2 : top + h + 2, left - 2 : left + w + 2] = np.rint(np.append(colour[:3], 1) * 255)
    made[top : top + h, left : left + w, :3] = small if small.ndim == 3 else small[..., None]
    return made
