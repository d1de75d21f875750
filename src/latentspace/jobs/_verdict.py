"""What the figures say, in plain words."""

from __future__ import annotations

from typing import Any

#: two means closer than this (relative) count as equal, whatever the interval says: float32 rounds as much
SAME = 1e-3


def outcome(row: dict[str, Any], rival: str) -> str:
    """ "better", "worse" or "as good", from the 95 % interval of the paired difference with `rival`."""
    difference, theirs = row[f"against_{rival}"], row[rival]["value"]
    if abs(difference["value"]) <= SAME * max(abs(theirs), 1e-12):
        return "as good"
    sign = 1 if row["higher_is_better"] else -1
    low, high = sorted((sign * difference["low"], sign * difference["high"]))
    return "better" if low > 0 else "worse" if high < 0 else "as good"


def verdict(figures: dict[str, Any]) -> list[str]:
    """The figures in plain sentences, the unflattering ones included."""
    sentences = [_reconstruction_verdict(figures["reconstruction"], figures["latent_dim"])]
    for rival, name in (("pca", "PCA's latents"), ("raw", "the raw items")):
        rows = [row for row in figures["latents"] if row.get(rival)]
        if rows:
            sentences.append(_latents_verdict(rows, rival, name))
    return sentences


def _reconstruction_verdict(row: dict[str, Any], k: int) -> str:
    pca = max(row["pca"]["value"], 1e-300)
    change, low, high = (100 * row["against_pca"][key] / pca for key in ("value", "low", "high"))
    interval = f"(95 % interval {_signed(low)} to {_signed(high)} %)"
    latents = f"{k} latents" if k > 1 else "1 latent"
    match outcome(row, "pca"):
        case "better":
            return (
                f"With {latents}, our error on held-out items is {abs(change):.3g} % below PCA's {interval}."
            )
        case "worse":
            return (
                f"PCA is better here: with {latents}, our error on held-out items is {abs(change):.3g} % "
                f"above PCA's {interval}."
            )
    return (
        f"PCA is as good here: with {latents}, our error on held-out items differs from PCA's by "
        f"{_signed(change)} % {interval}, and PCA is simpler."
    )


def _signed(percent: float) -> str:
    return f"{percent:+.0f}" if abs(percent) >= 10 else f"{percent:+.1f}"


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
