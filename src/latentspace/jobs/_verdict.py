"""What the figures say, in plain words."""

from __future__ import annotations

from typing import Any

#: two means closer than this (relative) count as equal, whatever the interval says: float32 rounds as much
SAME = 1e-3
#: errors that differ by less than this share of the items' variance are rounding
ROUNDING = 1e-5
#: below this share of the items' variance PCA's error is nothing to take a percentage of
NOTHING = 1e-3


def outcome(row: dict[str, Any], rival: str) -> str:
    """ "better", "worse" or "as good", from the 95 % interval of the paired difference with `rival`."""
    difference, theirs = row[f"against_{rival}"], row[rival]["value"]
    if abs(difference["value"]) <= max(SAME * abs(theirs), ROUNDING * row.get("scale", 0.0)):
        return "as good"
    sign = 1 if row["higher_is_better"] else -1
    low, high = sorted((sign * difference["low"], sign * difference["high"]))
    return "better" if low > 0 else "worse" if high < 0 else "as good"


def verdict(figures: dict[str, Any]) -> list[str]:
    """The figures in plain sentences, the unflattering ones included."""
    error = figures.get("reconstruction")
    sentences = [] if error is None else [_reconstruction_verdict(error, figures["latent_dim"])]
    for rival, name in (("pca", "PCA's latents"), ("raw", "the raw items")):
        rows = [row for row in figures["latents"] if row.get(rival)]
        if rows:
            sentences.append(_latents_verdict(rows, rival, name))
    return sentences


def _reconstruction_verdict(row: dict[str, Any], k: int) -> str:
    found, latents = outcome(row, "pca"), count(k, "latent")
    if row["pca"]["value"] <= NOTHING * row["scale"]:
        return _exact_verdict(row, found, latents)
    change, low, high = (100 * row["change"][key] for key in ("value", "low", "high"))
    if found == "as good":
        differs = (
            f"differs from PCA's by {_signed(change)} % (95 % interval {_signed(low)} to {_signed(high)} %)"
        )
        how = differs if _differs(low) or _differs(high) else "equals PCA's"
        return f"PCA is as good here: with {latents}, our error on held-out items {how}, and PCA is simpler."
    start, side = ("PCA is better here: with", "above") if found == "worse" else ("With", "below")
    size, *ends = (_percent(abs(v)) for v in (change, *sorted((low, high), key=abs)))
    interval = f"(95 % interval {ends[0]} to {ends[1]} %)"
    return f"{start} {latents}, our error on held-out items is {size} % {side} PCA's {interval}."


def _exact_verdict(row: dict[str, Any], found: str, latents: str) -> str:
    """Where PCA leaves next to nothing, so that the latents are as many as the data have directions."""
    start = {"as good": "PCA is as good here", "worse": "PCA is better here", "better": "Ours is better"}[
        found
    ]
    left = [f"{100 * row[name]['value'] / max(row['scale'], 1e-300):.2g} %" for name in ("pca", "ours")]
    return (
        f"{start}: {latents} hold next to everything (PCA leaves {left[0]} of the items' variance, "
        f"ours {left[1]}); fewer would tell the two apart."
    )


def count(n: int, word: str) -> str:
    """``"1 latent"``, ``"8 latents"``."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _differs(percent: float) -> bool:
    return abs(percent) >= 0.05


def _signed(percent: float) -> str:
    return f"{'-' if percent < 0 else '+'}{_percent(abs(percent))}" if _differs(percent) else "0"


def _percent(value: float) -> str:
    if 99 < value < 100:
        return f"{value:.2f}"  # what is left of the error is the figure that counts
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _latents_verdict(rows: list[dict[str, Any]], rival: str, name: str) -> str:
    groups: dict[str, list[str]] = {"better": [], "worse": [], "as good": []}
    for row in rows:
        groups[outcome(row, rival)].append(row["measure"])
    said = [f"{word} in {', '.join(group)}" for word, group in groups.items() if group]
    return f"Beside {name}, ours are {'; '.join(said)}."


def interval_words(interval: dict[str, float] | None, percent: bool = False) -> str:
    """``"0.82 (0.80 to 0.84)"``, or in per cent; an empty string for None."""
    if interval is None:
        return ""
    value, low, high = (interval[k] * (100 if percent else 1) for k in ("value", "low", "high"))
    if percent:
        return f"{value:.1f} % ({low:.1f} to {high:.1f})"
    return f"{value:.3g} ({low:.3g} to {high:.3g})"
