"""The figures of a space as rows to print."""

from __future__ import annotations

from typing import Any

from latentspace.jobs._denoise_words import decibels
from latentspace.jobs._dial_words import dial_rows
from latentspace.jobs._verdict import interval_words, outcome

Row = dict[str, str]
#: parts shown where there is little room
FEW_PARTS = 10


def tables(figures: dict[str, Any], parts: str, most: int = FEW_PARTS) -> dict[str, list[Row]]:
    """Title → rows: the measures, and the `most` worst explained parts (`parts` says what they are)."""
    found = {f"Measured on {figures['n']:,} held-out items (95 % intervals)": measure_rows(figures)}
    every = figures.get("parts", [])
    if len(every) > 1:
        shown = f"the {most} worst of {len(every)}" if len(every) > most else f"{len(every)}"
        found[f"By {parts} ({shown}, worst explained first)"] = part_rows(every[:most], parts)
    odd = figures.get("anomalies", {})
    if odd.get("rows"):
        title = f"Finding {odd['odd']:,} odd items of {odd['n']:,}: {odd['what']} (95 % intervals)"
        found[title] = anomaly_rows(odd)
    found["The oddest held-out items"] = worst_rows(odd)
    noise = figures.get("noise", {})
    if noise.get("rows"):
        found[f"Taking off noise: {noise['n']:,} held-out items (95 % intervals)"] = noise_rows(noise)
    storing = figures.get("storing", {})
    if storing:
        title = f"Storing rounded latents: {storing['n']:,} held-out items (95 % intervals)"
        found[title] = storing_rows(storing)
    near = figures.get("neighbours", {})
    if near.get("rows"):
        title = f"Nearest of {near['of']:,} training items: {near['n']:,} held-out items (95 % intervals)"
        found[title] = neighbour_rows(near)
    placed = figures.get("map", {})
    if placed:
        found[f"How far the map can be trusted: {placed['n']:,} held-out items (95 % intervals)"] = map_rows(
            placed
        )
    samples = figures.get("samples", {})
    if samples:
        found[f"Samples beside {samples['n']:,} held-out items (95 % intervals)"] = sample_rows(samples)
    dials = figures.get("dials", {})
    if dials:
        found[f"Dials on held-out items, before training and in {len(dials['rows']) - 1} epochs"] = dial_rows(
            dials
        )
    return {title: rows for title, rows in found.items() if rows}


def measure_rows(figures: dict[str, Any]) -> list[Row]:
    """One row a measure: ours, PCA, raw items, guessing the commonest label, how ours compares."""
    rows = []
    error = figures.get("reconstruction")
    if error:
        explained = error["explained"]
        rows.append(_measure_row(error, percent=False))
        if explained["ours"] is not None:
            share = {name: f"{100 * explained[name]:.1f} %" for name in ("ours", "pca")}
            rows.append(_row("variance explained", share["ours"], share["pca"]))
    rows += [_measure_row(row, percent=True) for row in figures.get("latents", [])]
    return without_empty(rows)


def _measure_row(row: dict[str, Any], percent: bool) -> Row:
    ours, pca, raw = (interval_words(row.get(name), percent) for name in ("ours", "pca", "raw"))
    joins = {"better": "than", "worse": "than", "as good": "as"}
    against = [
        f"{outcome(row, rival)} {joins[outcome(row, rival)]} {name}"
        for rival, name in (("pca", "PCA"), ("raw", "raw"))
        if row.get(rival)
    ]
    return _row(row["measure"], ours, pca, raw, ", ".join(against), _percent(row.get("baseline")))


def _row(measure: str, ours: str, pca: str, raw: str = "", ours_is: str = "", guess: str = "") -> Row:
    return {
        "measure": measure,
        "ours": ours,
        "PCA": pca,
        "raw items": raw,
        "guess": guess,
        "ours is": ours_is,
    }


def part_rows(parts: list[dict[str, Any]], name: str) -> list[Row]:
    """One row a part; figures that no part has make no column."""
    rows = [
        {
            name: part["part"],
            "explained, ours": _percent(part["ours"]),
            "PCA": _percent(part["pca"]),
            "typical miss, ours": _number(part.get("miss_ours")),
            "PCA's miss": _number(part.get("miss_pca")),
            "right, ours": _percent(part.get("right_ours")),
            "PCA right": _percent(part.get("right_pca")),
        }
        for part in parts
    ]
    return without_empty(rows)


def anomaly_rows(odd: dict[str, Any]) -> list[Row]:
    """One row a method that scores items, the best first."""
    order = sorted(odd.get("rows", []), key=lambda row: -float(row["auroc"]["value"]))
    return [
        {
            "method": row["method"],
            "AUROC": interval_words(row["auroc"]),
            "average precision": interval_words(row["average_precision"]),
        }
        for row in order
    ]


def noise_rows(found: dict[str, Any]) -> list[Row]:
    """One row a method, the best first."""
    order = sorted(found.get("rows", []), key=lambda row: -float(row["gain"]["value"]))
    return [
        {
            "method": row["method"],
            "gain over leaving alone (dB)": decibels(*(row["gain"][key] for key in ("value", "low", "high"))),
        }
        for row in order
    ]


def storing_rows(found: dict[str, Any]) -> list[Row]:
    """Bits an item of ours and PCA by error allowed, and how many numbers each decoder holds."""
    rows = [
        {
            "squared error": f"{row['error']:.4g}",
            "bits an item": interval_words(row["ours"]),
            "PCA": interval_words(row["pca"]) or "does not reach it",
        }
        for row in found["rows"]
    ]
    size = found["decoder"]
    return [
        *rows,
        {
            "squared error": "numbers in the decoder",
            "bits an item": f"{size['ours']:,}",
            "PCA": f"{size['pca']:,}" if size["pca"] else "",
        },
    ]


def neighbour_rows(near: dict[str, Any]) -> list[Row]:
    """One row a label: how many of the nearest have an item's own."""
    return without_empty([_measure_row(row, percent=True) for row in near.get("rows", [])])


def class_rows(row: dict[str, Any]) -> list[Row]:
    """One row a class of a label, the one that Z keeps together least first."""
    return [
        {
            row["label"]: str(each[row["label"]]),
            "items": f"{each['n']:,}",
            "ours": _percent(each["ours"]),
            "PCA": _percent(each["pca"]),
            "raw items": _percent(each["raw"]),
        }
        for each in row["classes"]
    ]


def label_rows(found: dict[str, Any]) -> list[Row]:
    """One row a number of labels: what share of held-out items they tell rightly."""
    return [
        {
            "labels": f"{row['labels']:,}",
            "ours": interval_words(row["ours"], percent=True),
            "nearest in PCA": interval_words(row["pca"], percent=True),
            "linear, raw items": interval_words(row["raw"], percent=True),
            "ours is": f"{outcome(row, 'pca')}; {outcome(row, 'raw')}",
            "known, and wrong": f"{_percent(row['known'])}, {_percent(row['wrong'])}"
            if row["promised"]
            else "",
        }
        for row in found["rows"]
    ]


def map_rows(placed: dict[str, Any]) -> list[Row]:
    """Trustworthiness and continuity of the map, beside the plane of the latents' principal axes."""
    return [
        {
            "measure": row["measure"],
            "map": interval_words(row["ours"]),
            "first two principal axes": interval_words(row["pca"]),
            "the map is": outcome(row, "pca"),
        }
        for row in placed["rows"]
    ]


def sample_rows(samples: dict[str, Any]) -> list[Row]:
    """How like held-out items samples are, beside those of PCA's space."""
    rows = [
        {
            "measure": row["measure"],
            "ours": interval_words(row["ours"], percent=row["measure"] != "density"),
            "PCA's space": interval_words(row["pca"], percent=row["measure"] != "density"),
            "ours is": "" if row["measure"] == "copies" else outcome(row, "pca"),
        }
        for row in samples["rows"]
    ]
    mmd = samples["mmd"]
    return [
        *rows,
        {"measure": "MMD²", "ours": f"{mmd['ours']:.4f}", "PCA's space": f"{mmd['pca']:.4f}", "ours is": ""},
    ]


def worst_rows(odd: dict[str, Any]) -> list[Row]:
    """The oddest held-out items, with what made them so."""
    return [
        {"id": str(row["id"]), "surprise": f"{row['surprise']:.2f}", "reason": row["reason"]}
        for row in odd.get("worst", [])
    ]


def without_empty(rows: list[Row]) -> list[Row]:
    """Rows without the columns that no row fills."""
    filled = {key for row in rows for key, cell in row.items() if cell}
    return [{key: cell for key, cell in row.items() if key in filled} for row in rows]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
