"""The pictures, one function a figure; each is returned, never shown.

Figures are built without pyplot, so they need no display and leave nothing open. Lines differ in dash and
marker as well as in colour, so that they can be told apart in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: colours that keep their order of lightness in grey (Okabe and Ito)
COLOURS = ("#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800")
#: one fewer than the colours, so that no two of the first 56 labels look the same
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
OURS, PCA, ORIGINAL = "#0072B2", "#D55E00", "#000000"
#: labels with more values than this are coloured by a scale, or not at all
MAX_COLOURS = 12


def _figure(width: float = 6.4, height: float = 4.0) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def reconstructions(
    versions: dict[str, NDArray[Any]],
    *,
    kind: str = "pictures",
    channels: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> Figure:
    """The same few items in several versions (such as original, ours, PCA), side by side.

    versions : name → (n, H, W) or (n, H, W, C) for ``kind="pictures"``, one row of pictures a version;
    name → (n, C, T) for ``kind="signals"``, overlaid curves in one panel an item and channel.
    """
    return _pictures(versions, titles) if kind == "pictures" else _curves(versions, channels, titles)


def _pictures(versions: dict[str, NDArray[Any]], titles: Sequence[str]) -> Figure:
    n = len(next(iter(versions.values())))
    figure = _figure(1.2 + 0.85 * n, 0.35 + 0.95 * len(versions))
    grid = figure.subplots(len(versions), n, squeeze=False)
    for row, (name, pictures) in zip(grid, versions.items(), strict=True):
        for axes, picture in zip(row, pictures, strict=True):
            show_picture(axes, picture)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, title in zip(grid[0], titles, strict=False):
        axes.set_title(title[:12], fontsize=7)
    return figure


def show_picture(axes: Axes, picture: NDArray[Any]) -> None:
    """One picture (H, W) or (H, W, 1 or 3) on `axes`, whole numbers as stored, floats in [0, 1]."""
    picture = picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture
    top = float(np.iinfo(picture.dtype).max) if picture.dtype.kind in "iu" else 1.0
    axes.imshow(np.clip(picture / top, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _curves(versions: dict[str, NDArray[Any]], channels: Sequence[str], titles: Sequence[str]) -> Figure:
    first = next(iter(versions.values()))
    n, c = len(first), min(first.shape[1], 4)
    figure = _figure(2.7 * n + 0.6, 1.5 * c + 0.9)
    grid = figure.subplots(c, n, squeeze=False, sharex=True)
    styles = dict(zip(versions, (("-", ORIGINAL, 1.8), ("--", OURS, 1.5), (":", PCA, 1.5)), strict=False))
    for i, column in enumerate(grid.T):
        for j, axes in enumerate(column):
            for name, values in versions.items():
                dash, colour, width = styles[name]
                axes.plot(values[i, j], dash, color=colour, linewidth=width, label=name)
            _tidy(axes)
        column[-1].set_xlabel("sample in the window")
        column[0].set_title(titles[i] if i < len(titles) else "", fontsize=8)
    for j, axes in enumerate(grid[:, 0]):
        axes.set_ylabel(channels[j] if j < len(channels) else "value")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure


def loss_curve(
    epochs: Sequence[Sequence[float]], best_epoch: int, start_loss: float | None, unit: str = "nats per item"
) -> Figure:
    """Training and held-out loss by epoch, with the loss of the PCA start as a line.

    epochs : (epoch, training loss, held-out loss, seconds) each.
    """
    figure = _figure(6.4, 3.4)
    axes = figure.subplots()
    number, train, held_out = (np.array([row[i] for row in epochs], float) for i in range(3))
    mark = "o" if len(number) <= 40 else ""
    axes.plot(number, train, "--", color="#777777", label="training items")
    axes.plot(number, held_out, "-", marker=mark, markersize=4, color=OURS, label="held-out items")
    if start_loss is not None and np.isfinite(start_loss):
        axes.axhline(start_loss, linestyle=":", color=PCA, label="PCA (where training starts)")
    best = number == best_epoch
    if best.any():
        axes.plot(number[best], held_out[best], "*", markersize=13, color=ORIGINAL, label="kept")
    axes.set_xlabel("epoch (passes over the training items)")
    axes.set_ylabel(f"loss ({unit})")
    _whole_numbers(axes)
    _tidy(axes)
    axes.legend(frameon=False)
    return figure


def latent_sizes(sizes: Sequence[dict[str, Any]], chosen: int, intrinsic: float | None = None) -> Figure:
    """Held-out loss by latent size, for the autoencoder and PCA, with the size that was chosen.

    sizes : dictionaries with "latent_dim", "pca" and "autoencoder" (None where it was not tried). Size 0, where every
    item is reconstructed as the mean, is left out: the scale is logarithmic.
    """
    figure = _figure(6.4, 3.4)
    axes = figure.subplots()
    for key, label, dash, marker, colour in (
        ("pca", "PCA", ":", "s", PCA),
        ("autoencoder", "autoencoder", "-", "o", OURS),
    ):
        points = [(s["latent_dim"], s[key]) for s in sizes if s["latent_dim"] and s.get(key) is not None]
        if points:
            axes.plot(*np.array(points, float).T, dash, marker=marker, color=colour, label=label)
    axes.axvline(chosen, color=ORIGINAL, linewidth=1, linestyle="-.", label=f"chosen: {chosen}")
    if intrinsic is not None:
        axes.axvline(
            intrinsic,
            color="#777777",
            linewidth=1,
            linestyle=":",
            label=f"intrinsic dimension: {intrinsic:.1f}",
        )
    axes.set_xscale("log", base=2)
    ticks = sorted({int(s["latent_dim"]) for s in sizes} - {0})
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("latent size (numbers kept of each item)")
    axes.set_ylabel("held-out loss (nats per item)")
    _tidy(axes)
    axes.legend(frameon=False)
    return figure


def latent_view(z: NDArray[Any], labels: NDArray[Any] | None = None, name: str = "") -> Figure:
    """The latents (n, k) on their first two principal axes, coloured by `labels` (n,) where given."""
    figure = _figure(6.4, 4.8)
    axes = figure.subplots()
    points, share = _principal(np.asarray(z, float))
    size = float(np.clip(12000 / max(len(z), 1), 6, 30))
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=size, color=OURS, alpha=0.5, linewidths=0)
    else:
        _coloured(figure, axes, points, labels, name, size)
    axes.set_xlabel(f"first principal axis ({share[0]:.0%} of the latents' variance)")
    axes.set_ylabel(f"second principal axis ({share[1]:.0%})")
    _tidy(axes)
    return figure


def _principal(z: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(n, 2) coordinates and the two axes' shares of variance; a single latent gets a flat second axis."""
    centred = z - z.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    share = np.append(values[::-1] / max(values.sum(), 1e-300), 0.0)[:2]
    points = centred @ vectors[:, ::-1][:, :2]
    return (points if points.shape[1] == 2 else np.hstack([points, np.zeros_like(points)])), share


def _coloured(
    figure: Figure, axes: Axes, points: NDArray[Any], labels: NDArray[Any], name: str, size: float
) -> None:
    values, codes = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels, return_inverse=True)
    if labels.dtype.kind in "iuf" and len(values) > MAX_COLOURS:
        seen = axes.scatter(points[:, 0], points[:, 1], c=labels, s=size, cmap="viridis", linewidths=0)
        figure.colorbar(seen, ax=axes, label=name)
        return
    often = np.argsort(-np.bincount(codes))[:MAX_COLOURS]
    rest = ~np.isin(codes, often)
    if rest.any():
        axes.scatter(points[rest, 0], points[rest, 1], s=size, color="#CCCCCC", linewidths=0, label="others")
    for i, code in enumerate(np.sort(often)):
        x, y = points[codes == code].T
        marker, colour = MARKERS[i % len(MARKERS)], COLOURS[i % len(COLOURS)]
        axes.scatter(x, y, s=size, marker=marker, color=colour, linewidths=0, label=str(values[code])[:24])
    axes.legend(
        title=name, frameon=False, markerscale=2, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
    )


def latent_spread(spread: NDArray[Any]) -> Figure:
    """The standard deviation of each latent (k,), largest first: latents near zero carry nothing."""
    figure = _figure(6.4, 2.6)
    axes = figure.subplots()
    ordered = np.sort(np.asarray(spread, float))[::-1]
    axes.bar(np.arange(1, len(ordered) + 1), ordered, color=OURS, width=0.8)
    axes.set_xlabel("latent, widest first")
    axes.set_ylabel("standard deviation")
    _whole_numbers(axes)
    _tidy(axes)
    return figure


def decoded_grid(pictures: NDArray[Any], side: int) -> Figure:
    """What the decoder draws on a walk over the two widest principal axes.

    pictures : (side², H, W[, C]), row by row from the top; both axes run from −2 to +2 standard deviations.
    """
    figure = _figure(0.62 * side + 0.6, 0.62 * side + 0.6)
    grid = figure.subplots(side, side, squeeze=False)
    for axes, picture in zip(grid.flat, pictures, strict=True):
        show_picture(axes, picture)
    figure.supxlabel("first principal axis: −2 to +2 standard deviations", fontsize=8)
    figure.supylabel("second principal axis", fontsize=8)
    return figure


def sheet(pictures: Sequence[NDArray[Any]]) -> NDArray[np.uint8]:
    """Pictures (H, W) or (H, W, C) of any sizes as one large picture, row by row, on a mid-grey ground."""
    as_rgb = [_rgb(p) for p in pictures]
    height, width = max(p.shape[0] for p in as_rgb), max(p.shape[1] for p in as_rgb)
    columns = max(1, round(np.sqrt(len(as_rgb) * height / width)))
    rows = -(-len(as_rgb) // columns)
    whole = np.full((rows * (height + 2), columns * (width + 2), 3), 128, np.uint8)
    for i, picture in enumerate(as_rgb):
        top, left = (i // columns) * (height + 2) + 1, (i % columns) * (width + 2) + 1
        whole[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return whole


def _rgb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) of bytes, whatever the picture's depth and channels."""
    planes = picture[..., None] if picture.ndim == 2 else picture
    if planes.dtype == np.uint16:
        planes = (planes >> 8).astype(np.uint8)
    elif planes.dtype != np.uint8:
        planes = (np.clip(planes.astype(float), 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.repeat(planes, 3, axis=2) if planes.shape[2] == 1 else planes[..., :3]


def reasons(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> Figure:
    """Why the oddest items are odd: (title, [(words of a reason, share of the oddness), ...]) each."""
    figure = _figure(8.4, 0.7 + sum(0.36 + 0.27 * len(bars) for _, bars in rows))
    axes = figure.subplots()
    place = 0.0
    for title, bars in rows:
        axes.text(0.0, place, title, fontsize=8.5, weight="bold", va="center")
        for words, share in bars:
            place += 1
            axes.barh(place, share, color="#A6CBE3", edgecolor=OURS, linewidth=0.8, height=0.8)
            short = words if len(words) <= 115 else f"{words[:114]}…"
            axes.text(0.008, place, short, fontsize=8, va="center")
        place += 1.5
    axes.set_ylim(place - 0.7, -0.8)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel("share of the item's oddness")
    axes.set_yticks([])
    _tidy(axes)
    axes.spines["left"].set_visible(False)
    return figure


def odd_pictures(
    versions: dict[str, NDArray[Any]],
    heat: NDArray[Any],
    boxes: Sequence[tuple[int, int, int, int] | None] = (),
    titles: Sequence[str] = (),
) -> Figure:
    """Odd pictures, what they were expected to be, and where the oddness lies.

    versions : name → (n, H, W[, C]), a row each; heat : (n, H, W) shares of the oddness, the last row; boxes :
    (first row, last row, first column, last column) drawn around a region.
    """
    n = len(heat)
    figure = _figure(1.2 + 1.05 * n, 0.75 + 1.05 * (len(versions) + 1))
    grid = figure.subplots(len(versions) + 1, n, squeeze=False)
    for row, (name, pictures) in zip(grid, versions.items(), strict=False):
        for axes, picture in zip(row, pictures, strict=True):
            show_picture(axes, picture)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axes, shares in zip(grid[-1], heat, strict=True):
        # dark is odd, also on paper; by its root, so that one pixel does not hide the rest
        axes.imshow(np.sqrt(shares), cmap="inferno_r", vmin=0, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
    grid[-1][0].set_ylabel("oddness\n(dark: more)", rotation=0, ha="right", va="center")
    for column, box in zip(grid.T, boxes, strict=False):
        for axes in column:
            if box is not None:
                _frame(axes, *box)
    for axes, title in zip(grid[0], titles, strict=False):
        axes.set_title(title, fontsize=7)
    return figure


def _frame(axes: Axes, top: int, bottom: int, left: int, right: int) -> None:
    """A rectangle around whole pixels, visible on light and on dark."""
    from matplotlib.patches import Rectangle

    corner, width, height = (left - 0.5, top - 0.5), right - left + 1, bottom - top + 1
    for colour, line, dash in (("#FFFFFF", 2.4, "-"), (PCA, 1.4, "--")):
        frame = Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=line, linestyle=dash)
        axes.add_patch(frame)


def odd_stretches(
    recording: tuple[NDArray[Any], dict[str, NDArray[Any]]] | None,
    spans: Sequence[tuple[int, int]],
    marks: dict[str, list[tuple[int, int]]],
    windows: Sequence[dict[str, Any]],
) -> Figure:
    """A signal with its odd stretches marked, and its oddest windows beside what was expected.

    recording : times (T,) and channels (T,) by name (None: there is no whole to show); spans : first and last
    sample of the flagged stretches; marks : those of what caused them, by channel; windows : the oddest, each
    with "title", "channel", "values", "expected", "low", "high" (t,) and "mark" (first, last).
    """
    channels = recording[1] if recording else {}
    rows = len(channels) + (1 if windows else 0)
    figure = _figure(9.0, 0.6 + 1.9 * len(channels) + (2.3 if windows else 0))
    grid = figure.add_gridspec(rows, max(len(windows), 1))
    for i, (name, values) in enumerate(channels.items()):
        axes = figure.add_subplot(grid[i, :])
        _recording(axes, recording[0] if recording else values, values, spans, marks.get(name, ()))
        axes.set_ylabel(name)
    for j, window in enumerate(windows):
        _odd_window(figure.add_subplot(grid[-1, j]), window)
    known = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        known.values(), known.keys(), loc="outside upper center", ncols=6, frameon=False, fontsize=8
    )
    return figure


def _recording(
    axes: Axes,
    times: NDArray[Any],
    values: NDArray[Any],
    spans: Sequence[tuple[int, int]],
    marks: Sequence[tuple[int, int]],
) -> None:
    shown = _extremes(values)
    axes.plot(times[shown], values[shown], "-", color="#555555", linewidth=0.7, label="signal")
    for i, (first, last) in enumerate(spans):
        label = None if i else "flagged"
        axes.axvspan(times[first], times[last], label=label, color="#F2C879", alpha=0.55, linewidth=0)
    for i, (first, last) in enumerate(marks):
        _mark(axes, times, values, first, last, None if i else "what caused it")
    axes.margins(x=0.01)
    _tidy(axes)
    if times.dtype.kind == "M":
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _mark(
    axes: Axes, times: NDArray[Any], values: NDArray[Any], first: int, last: int, label: str | None
) -> None:
    """A stretch drawn thick; a short one with dots, since a line of one sample is none."""
    part, dots = slice(first, last + 1), "o" if last - first < 5 else ""
    axes.plot(
        times[part], values[part], "-", marker=dots, markersize=4, color=PCA, linewidth=2.2, label=label
    )


def _extremes(values: NDArray[Any], most: int = 2000) -> NDArray[np.intp]:
    """Places of the lowest and highest value of each of `most` stretches, so that no spike is lost."""
    if len(values) <= 2 * most:
        return np.arange(len(values))
    kept = []
    for rows in np.array_split(np.arange(len(values)), most):
        known = rows[np.isfinite(values[rows])]
        kept += (
            [known[np.argmin(values[known])], known[np.argmax(values[known])]] if len(known) else [rows[0]]
        )
    return np.unique(kept)


def _odd_window(axes: Axes, window: dict[str, Any]) -> None:
    values, (first, last) = window["values"], window["mark"]
    at = np.arange(len(values))
    axes.fill_between(
        at, window["low"], window["high"], color="#D9D9D9", linewidth=0, label="usual (middle 95 %)"
    )
    axes.plot(at, window["expected"], "--", color=OURS, linewidth=1.3, label="expected")
    axes.plot(at, values, "-", color="#555555", linewidth=1.0, label="signal")
    _mark(axes, at, values, first, last, "what caused it")
    axes.set_title(window["title"], fontsize=8)
    axes.set_xlabel("sample in the window", fontsize=8)
    axes.set_ylabel(window["channel"], fontsize=8)
    axes.tick_params(labelsize=7)
    _tidy(axes)
