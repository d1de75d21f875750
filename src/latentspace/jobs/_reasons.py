"""Why an item is odd: the columns, stretches or regions that caused it, in the user's own units and names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._windows import Windows, window_ids
from latentspace.data.base import Items, Modality
from latentspace.data.image import Image
from latentspace.jobs._parts import columns
from latentspace.jobs._reason import Reason, spoken, spoken_time
from latentspace.likelihoods import Categorical

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer

#: reasons named for an item at most, the share of the oddness after which no more are, the least share of one
MOST, ENOUGH, LEAST = 3, 0.8, 0.05
#: share of the oddness that a marked stretch of a signal holds, and each side of a marked region of a picture
STRETCH, SIDE = 0.7, 0.7
#: a region that covers more than this share of a picture is no place within it
EVERYWHERE = 0.6


def reasons(modality: Modality, scorer: Scorer, items: Items) -> list[list[Reason]]:
    """For each item the parts that made it odd, the weightiest first; all items are held at once."""
    if isinstance(items.values, Windows):
        return _of_windows(modality, scorer, items)
    if isinstance(modality, Image):
        return _of_pictures(modality, scorer, items)
    return _of_rows(modality, scorer, items)


def _weightiest(shares: NDArray[Any]) -> list[int]:
    """Positions of the few largest shares that together make most of the oddness."""
    kept: list[int] = []
    for j in np.argsort(-shares, kind="stable")[:MOST]:
        if kept and (shares[j] < LEAST or shares[kept].sum() >= ENOUGH):
            break
        kept.append(int(j))
    return kept


# rows of tables, vectors


def _of_rows(modality: Modality, scorer: Scorer, items: Items) -> list[list[Reason]]:
    x, observed = modality.transform(items)
    written, encoded = _written(modality, items), _in_units(modality, x)
    expected = _in_units(modality, scorer.expected(x, observed))
    usual, one_hot = usual_of(modality, scorer), _one_hot(modality)
    flat = scorer.contributions(x, observed).reshape(len(x), -1)
    parts = modality.parts()
    names = list(parts)
    shares = np.stack([flat[:, where].sum(axis=1) for where in parts.values()], axis=1)

    def reason(i: int, j: int) -> Reason:
        name, where = names[j], parts[names[j]]
        gap = observed is not None and not bool(observed[i].reshape(-1)[where].any())
        # a column that goes by another name now is shown as it was encoded, and holds nothing of its own in a gap
        seen = written[name][i] if name in written else None if gap else encoded[name][i]
        value = None if _is_gap(seen) else seen
        levels = bool(one_hot[where].all()) or isinstance(expected[name][i], bool | np.bool_)
        return Reason(
            name,
            float(shares[i, j]),
            value,
            expected[name][i],
            usual[name],
            levels,
            gap and value is not None,
        )

    each = [[reason(i, j) for j in _weightiest(row)] for i, row in enumerate(shares)]
    # a part that is as expected is no reason, unless there is no other
    return [found[:1] + [r for r in found[1:] if spoken(r.observed) != spoken(r.expected)] for found in each]


def _in_units(modality: Modality, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Each part's values (n,) in the user's units; of what has no columns, its mean on the model's scale."""
    found, flat = columns(modality, x), x.reshape(len(x), -1)
    return {
        name: found[name] if name in found else flat[:, where].mean(axis=1)
        for name, where in modality.parts().items()
    }


def _written(modality: Modality, items: Items) -> dict[str, NDArray[Any]]:
    """The items' columns as the user wrote them, by name."""
    if modality.name not in ("table", "vectors"):
        return {}
    import narwhals as nw

    from latentspace.data._frames import names_of

    if isinstance(items.values, np.ndarray):
        return {
            str(name): values for name, values in zip(names_of(items.values), items.values.T, strict=True)
        }
    frame = nw.from_native(items.values, eager_only=True)
    return {str(name): frame.get_column(name).to_numpy() for name in frame.columns}


def _is_gap(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def usual_of(modality: Modality, scorer: Scorer) -> dict[str, tuple[Any, ...]]:
    """What training items usually have in each part: (low, high) of the middle 95 %, or the categories that
    at least one item in 40 has."""
    usual, one_hot = np.asarray(scorer.usual), _one_hot(modality)
    ends = _in_units(modality, usual)
    found = {}
    for name, where in modality.parts().items():
        if one_hot[where].all():
            found[name] = _common(modality, usual, name, where)
        else:
            low, high = ends[name]
            found[name] = tuple({low: None, high: None}) if isinstance(low, bool | np.bool_) else (low, high)
    return found


def _common(modality: Modality, usual: NDArray[Any], name: str, where: NDArray[np.intp]) -> tuple[Any, ...]:
    """The categories whose place in the one-hot group is 1 at the upper end of what is usual, commonest first."""
    each = np.repeat(usual[:1], len(where), axis=0)
    each[:, where] = np.eye(len(where))
    levels = _in_units(modality, each)[name]
    shares = np.array(_frequency(modality, name) or np.zeros(len(where)))
    return tuple(levels[i] for i in np.argsort(-shares, kind="stable") if usual[1, where[i]] > 0.5)


def _frequency(modality: Modality, name: str) -> tuple[float, ...]:
    from latentspace.data.table import Table

    known = modality.columns if isinstance(modality, Table) else []
    return next((f.kind.frequency for f in known if str(f.name) == name), ())


def _one_hot(modality: Modality) -> NDArray[np.bool_]:
    """(F,) whether an element belongs to a one-hot group."""
    whole = ((modality.likelihood, int(np.prod(modality.shape))),)
    runs = getattr(modality.likelihood, "parts", whole)
    return np.repeat([isinstance(run, Categorical) for run, _ in runs], [width for _, width in runs])


# windows of signals


def _of_windows(modality: Modality, scorer: Scorer, items: Items) -> list[list[Reason]]:
    x, observed = modality.transform(items)
    values, expected = items.values.samples, in_channels(modality, scorer.expected(x, observed))
    low, high = in_channels(modality, np.asarray(scorer.usual))
    shares = scorer.contributions(x, observed)
    names = channel_names(modality)

    def reason(i: int, c: int) -> Reason:
        first, last = shortest(shares[i, c], STRETCH)
        at = first + int(np.argmax(shares[i, c, first : last + 1]))
        begin, end, moment = times(items, i, [first, last, at])
        return Reason(
            names[c],
            float(shares[i, c].sum()),
            None if np.isnan(values[i, c, at]) else values[i, c, at],
            expected[i, c, at],
            (low[c, at], high[c, at]),
            place={"from": begin, "to": end, "at": moment, "first": first, "last": last},
            at=f" at {moment}",
            over=f", odd from {begin} to {end}" if begin != end else "",
        )

    return [[reason(i, c) for c in _weightiest(row.sum(axis=1))] for i, row in enumerate(shares)]


def channel_names(modality: Modality) -> list[str]:
    """The names of a signal's channels."""
    names = [str(name) for name in getattr(modality, "channels", ())]
    return names or [f"channel {c}" for c in range(modality.shape[0])]


def in_channels(modality: Modality, x: NDArray[Any]) -> NDArray[Any]:
    """x (n, C, T) in the user's units."""
    values = np.asarray(modality.inverse_transform(x))
    return values.transpose(0, 2, 1) if getattr(modality, "form", "") == "ntc" else values


def times(items: Items, row: int, samples: list[int]) -> list[str]:
    """When `samples` of the window at `row` were: time stamps, or sample numbers where there are none."""
    windows: Windows = items.values
    if windows.recording.form in ("nct", "ntc"):
        return [f"sample {j}" for j in samples]
    end = windows.recording.ends[windows.series[row]]
    return moments(windows, np.minimum(windows.starts[row] + np.array(samples), end - 1))


def moments(windows: Windows, at: NDArray[np.int64]) -> list[str]:
    """When the samples `at` (m,) of the recording were, as the ids of windows write it."""
    distinct, back = np.unique(at, return_inverse=True)
    stamps = [spoken_time(str(stamp)) for stamp in window_ids(replace(windows, starts=distinct))]
    return [stamps[i] for i in back]


def shortest(share: NDArray[Any], part: float) -> tuple[int, int]:
    """First and last place of the shortest run that holds `part` of all of `share` (T,).

    >>> shortest(np.array([0.1, 0.0, 0.4, 0.4, 0.1]), 0.5)
    (2, 3)
    """
    total = np.append(0.0, np.cumsum(share))
    ends = np.searchsorted(total, total[:-1] + part * total[-1] - 1e-12)
    lengths = np.where(ends < len(total), ends - np.arange(len(share)), len(share) + 1)
    first = int(np.argmin(lengths))
    return first, max(first, int(ends[first]) - 1)


# pictures


def _of_pictures(image: Image, scorer: Scorer, items: Items) -> list[list[Reason]]:
    x, observed = image.transform(items)
    values, expected = lightness(image, x), lightness(image, scorer.expected(x, observed))
    low, high = lightness(image, np.asarray(scorer.usual))
    heat = scorer.contributions(x, observed).sum(axis=1)
    return [[_region(h, values[i], expected[i], low, high)] for i, h in enumerate(heat)]


def lightness(image: Image, x: NDArray[Any]) -> NDArray[np.float64]:
    """(n, H, W) mean over the channels, in the user's own numbers."""
    values = np.asarray(image.inverse_transform(x)).astype(float)
    if values.ndim == 3:
        return values
    return np.asarray(values.mean(axis=1 if image.layout == "nchw" else 3))


def _region(
    heat: NDArray[Any], value: NDArray[Any], expected: NDArray[Any], low: NDArray[Any], high: NDArray[Any]
) -> Reason:
    """The smallest box around most of the oddness, with its mean values, each pixel by its share."""
    spread = _blurred(heat)
    rows = shortest(spread.sum(axis=1), SIDE)
    across = shortest(spread[rows[0] : rows[1] + 1].sum(axis=0), SIDE)
    box = (slice(rows[0], rows[1] + 1), slice(across[0], across[1] + 1))
    weights = spread[box]
    seen, made, least, most = (
        float(np.average(a[box], weights=weights)) for a in (value, expected, low, high)
    )
    apart = abs(seen - made) > 0.1 * (most - least)
    how = ("brighter" if seen > made else "darker") if apart else "other"
    where = f"{_lines('row', rows)}, {_lines('column', across)}"
    return Reason(
        _place_words(rows, across, heat.shape),
        float(heat[box].sum() / heat.sum()),
        seen,
        made,
        (least, most),
        place={"rows": list(rows), "columns": list(across)},
        start=f"{how} than expected {_place_words(rows, across, heat.shape)} ({where}): mean",
    )


def _blurred(heat: NDArray[Any]) -> NDArray[Any]:
    """Mean over a small square around each pixel, so that single pixels make a place."""
    reach = max(1, min(heat.shape) // 20)
    square = (2 * reach + 1, 2 * reach + 1)
    seen = np.lib.stride_tricks.sliding_window_view(np.pad(heat, reach), square)
    return np.asarray(seen.mean(axis=(2, 3)))


def _lines(name: str, ends: tuple[int, int]) -> str:
    return f"{name} {ends[0]}" if ends[0] == ends[1] else f"{name}s {ends[0]} to {ends[1]}"


def _place_words(rows: tuple[int, int], across: tuple[int, int], shape: tuple[int, ...]) -> str:
    """ "at the top left", "in the middle", "all over"."""
    sides = [ends[1] - ends[0] + 1 for ends in (rows, across)]
    if sides[0] * sides[1] > EVERYWHERE * shape[0] * shape[1]:
        return "all over"
    names = (("top", "", "bottom"), ("left", "", "right"))
    third = [
        int(1.5 * (ends[0] + ends[1] + 1) / side) for ends, side in zip((rows, across), shape, strict=True)
    ]
    words = " ".join(n[t] for n, t in zip(names, third, strict=True) if n[t])
    return f"at the {words}" if words else "in the middle"
