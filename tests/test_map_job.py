"""The map: near is alike and said to be so only where it is, planted differences are found, every format is whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from latentspace import Space, fit, load
from latentspace.cli import main
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs._map_differences import differences
from latentspace.jobs._map_items import placed
from latentspace.jobs._map_measures import add_map_figures
from latentspace.jobs._map_select import read_ids
from latentspace.jobs._regions import found_regions, regions_of
from latentspace.jobs.map import map as map_of
from latentspace.jobs.report import report
from latentspace.models.map import MapHead
from latentspace.plots_marks import CANVAS, THUMBNAILS, _on_canvas, thumbnail_rows

KINDS = ("apple", "lemon", "melon")


def fruit(n: int = 420, seed: int = 0) -> pa.Table:
    """Three kinds: lemons are sour, melons heavy; `picked` is a date, `note` has gaps."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    note = [None if i % 7 == 0 else float(v) for i, v in enumerate(rng.normal(size=n))]
    return pa.table(
        {
            "name": [f"f{i}" for i in range(n)],
            "weight": np.where(kind == 2, 1500.0, 150.0) + rng.normal(0, 20, n),
            "sour": np.where(kind == 1, 8.0, 3.0) + rng.normal(0, 0.5, n),
            "width": rng.normal(7, 1, n),
            "colour": np.array(["red", "yellow", "green"])[kind],
            "picked": np.datetime64("2024-05-01") + (rng.integers(0, 90, n)).astype("timedelta64[D]"),
            "note": note,
            "kind": np.array(KINDS)[kind],
        }
    )


def marks(n: int = 150, seed: int = 0) -> dict[str, np.ndarray]:
    """Grey pictures (n, 12, 12): a bright bar across the top, or down the left side."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 20, (n, 12, 12)).astype(np.uint8)
    pictures[::2, 1:4, 1:11] = 200
    pictures[1::2, 1:11, 1:4] = 200
    return {"pictures": pictures, "kind": np.where(np.arange(n) % 2, "side", "top")}


def waves(n: int = 120, seed: int = 0) -> np.ndarray:
    """Windows (n, 2, 32): the second half have a quick first channel."""
    rng = np.random.default_rng(seed)
    speed = np.where(np.arange(n) < n // 2, 1.0, 4.0)[:, None]
    first = 10 + 2 * np.sin(speed * np.arange(32) / 5 + rng.uniform(0, 6, (n, 1)))
    return np.stack([first, rng.normal(size=(n, 32))], axis=1)


@pytest.fixture(scope="module")
def basket(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("basket") / "basket"
    options: dict[str, Any] = {"id_column": "name", "labels": ("kind",), "report": False}
    return fit(fruit(), place, latent_dim=3, epochs=2, held_out=0.2, **options)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("gallery") / "gallery"
    return fit(marks(), place, latent_dim=2, epochs=2, held_out=0.2, report=False)


@pytest.fixture(scope="module")
def motion() -> Space:
    return fit(waves(), modality="signal", latent_dim=4, epochs=1, held_out=0.2)


def shuffled(space: Space) -> Space:
    """The space with a map that knows nothing: each item where another lies."""
    assert space.map is not None
    arrays = space.map.arrays()
    arrays["positions"] = np.random.default_rng(0).permutation(arrays["positions"])
    return replace(space, map=MapHead(arrays))


def value(result: Any, measure: int = 0) -> float:
    return float(result.data["measures"][measure]["ours"]["value"])


# quality


def test_near_on_the_map_is_near_in_the_latents(basket: Space) -> None:
    result = map_of(basket)
    assert value(result) > 0.93 and value(result, 1) > 0.9
    table = result.value.to_pydict()
    places = np.stack([table["x"], table["y"]], axis=1)
    kinds = np.array(table["kind"])
    apart = ((places[:, None] - places) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (kinds[apart.argmin(axis=1)] == kinds).mean() > 0.97
    assert np.mean(table["trustworthiness"]) == pytest.approx(value(result), abs=0.02)


def test_a_map_that_knows_nothing_is_not_praised(basket: Space) -> None:
    result = map_of(shuffled(basket))
    assert 0.35 < value(result) < 0.65 and 0.35 < value(result, 1) < 0.65
    assert result.data["not_to_be_trusted"] > 0.9 * len(basket)
    assert "Here PCA is the better map." in result.summary and "drawn hollow" in result.summary


def test_new_items_land_among_their_like_and_the_old_lie_beneath(basket: Space) -> None:
    new = fruit(60, seed=1)
    shown = placed(basket, basket.items(new))
    assert (shown.own == -1).all() and shown.backdrop is not None and len(shown.backdrop) == len(basket)
    near = ((shown.points[:, None] - shown.backdrop) ** 2).sum(axis=2).argmin(axis=1)
    assert (basket.labels["kind"][near] == np.array(new["kind"])).mean() > 0.95
    alone = placed(basket, basket.items(new.slice(7, 1)))
    np.testing.assert_allclose(alone.points[0], shown.points[7], rtol=1e-5)


def test_an_odd_item_is_pointed_out_where_it_lands(basket: Space, tmp_path: Path) -> None:
    fresh = fruit(60, seed=3)
    heavy = fresh["weight"].to_numpy().copy()
    heavy[7] = 40_000.0
    odd = fresh.set_column(1, "weight", pa.array(heavy)).set_column(
        0, "name", pa.array([f"n{i}" for i in range(60)])
    )
    result = map_of(basket, odd, tmp_path / "places.csv")
    surprise = pyarrow.csv.read_csv(tmp_path / "places.csv")["surprise"].to_numpy()
    assert surprise.argmax() == 7 and "odd (surprise above 2" in result.summary
    assert "surprise" not in map_of(basket).summary  # the items themselves are not kept


def test_the_spaces_own_items_are_known_by_id_and_place(basket: Space) -> None:
    shown = placed(basket, basket.items(fruit()))
    assert (shown.own == np.arange(len(basket))).all() and shown.backdrop is None
    assert map_of(basket, fruit()).data["new"] == 0
    # the same ids, other fruit
    assert map_of(basket, fruit(seed=5)).data["new"] > 400


# what sets a selection apart


def test_a_planted_difference_is_found_and_its_interval_covers_it() -> None:
    rng, covered, false = np.random.default_rng(0), [0, 0], 0
    for seed in range(60):
        n = 400
        chosen = rng.random(n) < 0.3
        kind = np.where(rng.random(n) < np.where(chosen, 0.7, 0.4), "a", "b")
        columns = {
            "shifted": 50 + 10 * (rng.normal(size=n) + 0.8 * chosen),
            "kind": kind,
            "same": rng.normal(size=n),
        }
        found = {d.column: d for d in differences(columns, chosen, seed)}
        shifted, share = found["shifted"], found["kind"]
        covered[0] += shifted.low <= 0.8 <= shifted.high
        truth = 2 * (np.arcsin(np.sqrt(0.7)) - np.arcsin(np.sqrt(0.4)))
        covered[1] += share.low <= truth <= share.high
        false += found["same"].sure
        assert shifted.sure and share.sure and share.level == "a"
        assert shifted.inside == pytest.approx(58, abs=4) and shifted.outside == pytest.approx(50, abs=3)
    assert min(covered) >= 52 and false <= 8


def test_differences_of_gaps_dates_constants_and_names() -> None:
    n = 200
    chosen = np.arange(n) < 60
    dates = np.datetime64("2024-01-01") + np.where(chosen, 100, 0) + np.arange(n) % 5
    gaps = np.where(np.arange(n) % 3 == 0, np.nan, np.where(chosen, 2.0, 1.0) + np.arange(n) % 7)
    columns = {
        "date": dates.astype("datetime64[D]"),
        "gaps": gaps,
        "constant": np.ones(n),
        "name": np.array([f"n{i}" for i in range(n)]),
        "unknown outside": np.where(chosen, 1.0 + np.arange(n), np.nan),
        "words": np.where(chosen, np.where(np.arange(n) % 4, "x", ""), "y"),
    }
    found = {d.column: d for d in differences(columns, chosen)}
    assert set(found) == {"date", "gaps", "words"}
    assert str(found["date"].inside)[:10] == "2024-04-12" and found["date"].measured[1].startswith(
        "2024-01-0"
    )
    assert found["words"].level == "x" and found["words"].inside == 1.0 and found["words"].outside == 0.0
    assert np.isfinite([d.size for d in found.values()]).all()
    json.dumps([d.to_json() for d in found.values()])


def test_a_selection_is_told_by_the_datas_own_values(basket: Space, tmp_path: Path) -> None:
    melons = [f"f{i}" for i in range(2, 420, 3)]
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(melons) + "\n")
    result = map_of(basket, fruit(), select=ids)
    first = {d["column"]: d for d in result.data["differences"]}
    assert first["weight"]["inside"] == pytest.approx(1500, abs=10) and first["weight"]["sure"]
    assert first["weight"]["outside"] == pytest.approx(150, abs=10) and abs(first["width"]["size"]) < 0.3
    assert first["kind"]["level"] == "melon" and first["kind"]["inside"] == 1.0
    assert "as they are in the data" in result.summary and "140 items selected" in result.summary
    sizes = [abs(d["size"]) for d in result.data["differences"]]
    assert sizes == sorted(sizes, reverse=True)
    assert result.value["selected"].to_pylist() == [i % 3 == 2 for i in range(420)]
    decoded = map_of(basket, select=melons)
    told = {d["column"]: d for d in decoded.data["differences"]}
    assert (
        told["weight"]["inside"] == pytest.approx(1500, abs=150)
        and "as the decoder sees them" in decoded.summary
    )


def test_a_chance_selection_differs_in_nothing(basket: Space) -> None:
    ids = np.random.default_rng(3).permutation(basket.ids)[:100]
    result = map_of(basket, fruit(), select=ids)
    assert sum(d["sure"] for d in result.data["differences"]) <= 1


def test_pictures_are_set_apart_by_their_regions(gallery: Space) -> None:
    pictures = marks()["pictures"]
    result = map_of(gallery, pictures, select=range(0, 150, 2))
    found = {d["column"]: d for d in result.data["differences"]}
    right, left = found["lightness top right"], found["lightness bottom left"]
    assert right["inside"] - right["outside"] > 60 and left["outside"] - left["inside"] > 60
    assert right["sure"] and left["sure"] and not found["lightness bottom right"]["sure"]
    # the map, two mean pictures, the heat map and its scale
    figure = result.figures["selection"]()
    heat = next(a for a in figure.axes if a.get_title().startswith("where they differ")).images[0].get_array()
    assert heat[2, 8] > 1 and heat[8, 2] < -1 and abs(heat[8, 8]) < 1
    assert (heat[8:, 8:] == 0).mean() > 0.8


def test_signals_are_set_apart_by_channel(motion: Space) -> None:
    data = waves()
    data[60:, 1] *= 3
    result = map_of(motion, data, select=range(60, 120))
    found = {d["column"]: d for d in result.data["differences"]}
    assert found["channel 1: spread"]["sure"] and found["channel 1: spread"]["inside"] == pytest.approx(
        3, abs=0.3
    )
    figure = result.figures["selection"]()
    assert {"channel 0", "channel 1"} <= {a.get_ylabel() for a in figure.axes}


# regions


def test_regions_carry_the_label_or_the_telling_columns(basket: Space) -> None:
    by_label = map_of(basket, fruit())
    assert {r["name"] for r in by_label.data["regions"]} == set(KINDS)
    items = [r["items"] for r in by_label.data["regions"]]
    assert sum(items) > 300 and items == sorted(items, reverse=True)
    by_column = map_of(basket, fruit(), colour="width")
    names = " / ".join(r["name"] for r in by_column.data["regions"])
    assert all(f"kind = {kind}" in names for kind in KINDS) and "note" not in names
    rows = by_column.tables["Regions"]
    assert all(row["region"] and "against" in row["what sets it apart (against the rest)"] for row in rows)


def test_regions_are_named_by_what_is_high_and_low_there() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(300) % 2
    at = rng.normal(size=(300, 2)) + 30 * group[:, None]
    columns = {"pH": 3 + group + 0.1 * rng.normal(size=300), "noise": rng.normal(size=300)}
    told = regions_of(at, ("noise", columns["noise"]), columns)
    assert {region.name for region in told} == {"pH high", "pH low"}
    for region in told:
        assert (region.name == "pH high") == (region.place[0] > 15)
    assert regions_of(at, ("kind", np.array(["x", "y"])[rng.integers(2, size=300)]), {}) == []


def test_one_region_has_no_name() -> None:
    at = np.random.default_rng(0).normal(size=(28, 2))
    assert regions_of(at, ("kind", np.array(["x"] * 28)), {"pH": at[:, 0]}) == []


def test_groups_are_found_as_regions() -> None:
    rng = np.random.default_rng(0)
    at = np.concatenate([rng.normal(c, 1, (100, 2)) for c in ((0, 0), (20, 0), (0, 20))])
    codes = found_regions(at)
    for start in (0, 100, 200):
        inside = set(codes[start : start + 100].tolist()) - {-1}
        assert not inside & (set(codes.tolist()) - {-1} - inside) and inside
    assert codes.max() < 8 and (found_regions(at[:10]) == -1).all()


def test_vectors_and_pictures_without_labels_get_no_names(gallery: Space) -> None:
    assert map_of(gallery, marks(60, seed=3)["pictures"]).data["regions"] == []


# what comes out


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_pictures_of_the_map(basket: Space, tmp_path: Path, suffix: str, start: bytes) -> None:
    out = tmp_path / f"map{suffix}"
    result = map_of(basket, None, out, colour="trustworthiness")
    assert out.read_bytes().startswith(start) and result.files == [out]
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_the_legend_names_what_colours(basket: Space) -> None:
    figure = map_of(basket, fruit()).figures["map"]()
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "kind"
    assert {text.get_text() for text in legend.get_texts()} == set(KINDS)
    assert figure.axes[0].get_xticks().size == 0
    for colour, label in (("weight", "weight"), ("picked", "picked"), ("note", "note")):
        figure = map_of(basket, fruit(), colour=colour).figures["map"]()
        assert figure.axes[1].get_ylabel() == label
    low, high = map_of(basket, fruit(), colour="picked").figures["map"]().axes[1].get_ylim()
    assert 2024.2 < low < high < 2024.7


def test_untrusted_places_are_hollow(basket: Space) -> None:
    figure = map_of(shuffled(basket)).figures["map"]()
    filled, hollow = figure.axes[0].collections
    assert len(hollow.get_offsets()) > 0.9 * len(basket) > len(filled.get_offsets())
    assert len(hollow.get_facecolor()) == 0 or hollow.get_facecolor()[:, 3].max() == 0


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table(basket: Space, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"map{suffix}"
    map_of(basket, None, out)
    table = pyarrow.csv.read_csv(out) if suffix == ".csv" else pq.read_table(out)
    assert table.column_names == ["id", "x", "y", "trustworthiness", "continuity", "kind"]
    assert table.num_rows == len(basket) and table["id"].to_pylist() == basket.ids.tolist()


def test_the_page(gallery: Space, tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    map_of(gallery, None, out)
    text = out.read_text(encoding="utf-8")
    assert "150 items" in text and '"kind"' in text and "trustworthiness" in text and "http://" not in text


def test_the_projectors_folder(gallery: Space, tmp_path: Path) -> None:
    out = tmp_path / "marks.projector"
    map_of(gallery, None, out)
    names = {"tensors.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt"}
    assert {file.name for file in out.iterdir()} == names
    tensors = np.loadtxt(out / "tensors.tsv", delimiter="\t")
    np.testing.assert_allclose(tensors, gallery.latents, rtol=1e-4, atol=1e-5)
    rows = [line.split("\t") for line in (out / "metadata.tsv").read_text().splitlines()]
    assert rows[0] == ["id", "kind", "trustworthiness", "continuity"] and len(rows) == 151
    assert [row[1] for row in rows[1:]] == gallery.labels["kind"].tolist()
    config = (out / "projector_config.pbtxt").read_text()
    assert config.count("single_image_dim: 12") == 2 and config.count("{") == config.count("}") == 2
    assert 'tensor_path: "tensors.tsv"' in config and 'image_path: "sprite.png"' in config
    # as many across as down: the projector counts on it
    sheet = np.asarray(Pillow.open(out / "sprite.png"))
    assert sheet.shape == (13 * 12, 13 * 12)
    assert sheet[2, 3 * 12 + 10] < 100 < sheet[2, 2 * 12 + 10]
    map_of(gallery, None, out)  # an older export gives way, anything else stays
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="is not an empty folder"):
        map_of(gallery, None, out)


def test_metadata_cells_hold_no_tabs(tmp_path: Path) -> None:
    table = fruit(60).set_column(0, "name", pa.array([f"a\tb\n{i}" for i in range(60)]))
    space = fit(table, latent_dim=2, epochs=1, id_column="name", labels=("kind",))
    map_of(space, None, tmp_path / "x.projector")
    lines = (tmp_path / "x.projector" / "metadata.tsv").read_text().splitlines()
    assert (
        len(lines) == 61 and len({line.count("\t") for line in lines}) == 1 and lines[1].startswith("a b 0\t")
    )


def test_a_folder_gets_every_picture(gallery: Space, tmp_path: Path) -> None:
    map_of(gallery, None, tmp_path / "all", select=range(20))
    names = {"map.png", "distortion.png", "decoded-grid.png", "latents.png", "selection.png"}
    assert {file.name for file in (tmp_path / "all").iterdir()} == names
    with pytest.raises(OptionError, match="is not an empty folder"):
        map_of(gallery, None, tmp_path / "all")


def test_the_grid_lies_over_two_latents_as_they_are(gallery: Space) -> None:
    figure = map_of(gallery).figures["decoded grid"]()
    assert "each place of the two latents" in figure.get_supxlabel()


def test_the_grid_is_blank_where_no_item_is() -> None:
    gallery = fit(marks(), latent_dim=3, epochs=2, held_out=0.2, report=False)
    image = map_of(gallery).figures["decoded grid"]().axes[0].images[0].get_array()
    cells = image[1:, 1:].reshape(20, 13, 20, 13, 3)[:, :12, :, :12].transpose(0, 2, 1, 3, 4)
    blank = (cells == 255).all(axis=(2, 3, 4))
    assert 0.1 < blank.mean() < 0.98
    drawn = cells[~blank].astype(float)[..., 0]
    assert (drawn[:, 1:4, 1:4].mean(axis=(1, 2)) > 100).all()  # both marks are bright there
    assert (drawn[:, 8:, 8:].mean(axis=(1, 2)) < 60).all()


def test_thumbnails_stand_apart_and_at_their_items() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 2))
    wanted = rng.random(500) < 0.8
    rows = thumbnail_rows(points, wanted)
    side = CANVAS // THUMBNAILS
    at, (left, right, bottom, top) = _on_canvas(points, points)
    gaps = np.abs(at[rows][:, None] - at[rows]).max(axis=2)
    np.fill_diagonal(gaps, side)
    assert len(rows) > 100 and wanted[rows].all() and gaps.min() >= side
    middle = (at[rows] + side / 2) / CANVAS
    seen = np.stack([left + middle[:, 0] * (right - left), top - middle[:, 1] * (top - bottom)], axis=1)
    np.testing.assert_allclose(seen, points[rows], atol=1.5 * (right - left) / CANVAS)


def test_there_is_room_for_all_that_is_drawn(gallery: Space) -> None:
    assert gallery.map is not None
    for figure in map_of(gallery, marks(3, seed=4)["pictures"]).figures.values():
        for axes in figure().axes:
            for dots in axes.collections if axes.get_label() != "<colorbar>" else ():
                (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
                x, y = np.asarray(dots.get_offsets()).reshape(-1, 2).T
                assert ((left < x) & (x < right) & (low < y) & (y < high)).all()


def test_pictures_stand_at_their_points(gallery: Space) -> None:
    axes = map_of(gallery, marks()["pictures"]).figures["map"]().axes[0]
    canvas = axes.images[0].get_array()
    ink = canvas[..., 3] > 0
    assert 0.001 < ink.mean() < 0.5


@pytest.mark.parametrize("kind", ["basket", "gallery", "motion"])
def test_every_figure_of_every_kind_draws(kind: str, request: pytest.FixtureRequest) -> None:
    space = request.getfixturevalue(kind)
    result = map_of(space, select=list(space.ids[:40]))
    for draw in result.figures.values():
        draw().canvas.draw()
    assert {"map", "distortion", "selection"} <= set(result.figures)


@pytest.mark.slow
def test_a_map_in_space(basket: Space) -> None:
    result = map_of(basket, dimensions=3)
    assert result.data["dimensions"] == 3 and value(result) > 0.95 and result.data["regions"] == []
    assert "first three principal axes" in result.summary and result.value.column_names[:4] == [
        "id",
        "x",
        "y",
        "z",
    ]
    result.figures["map"]().canvas.draw()


def test_labels_of_any_kind_colour(basket: Space) -> None:
    n = len(basket)
    odd: dict[str, Any] = {
        "mixed": np.array([None, "a", "$x_", 3] * (n // 4), dtype=object),
        "numbers": np.array([None, 1, 2.5, 3] * (n // 4), dtype=object),
        "yes": np.arange(n) % 2 == 0,
        "many": np.array([f"v{i}" for i in range(n)]),
        "when": np.datetime64("2024-01-01") + np.arange(n),
        "x": np.arange(n) % 5,
    }
    space = replace(basket, labels=odd)
    for name in odd:
        result = map_of(space, colour=name)
        result.figures["map"]().canvas.draw()
    assert {"x", "x (label)"} <= set(result.value.column_names)
    json.dumps(result.to_json())


def test_a_saved_space_maps_as_the_one_in_memory(basket: Space) -> None:
    here, there = map_of(basket), map_of(basket.path or "")
    assert here.value["x"].to_pylist() == there.value["x"].to_pylist() and here.summary == there.summary


def test_half_a_space_maps_what_it_has(gallery: Space, tmp_path: Path) -> None:
    half = load(gallery.path or "", part="encoder")
    result = map_of(half, None, tmp_path / "m.projector", select=range(30))
    assert not (tmp_path / "m.projector" / "sprite.png").exists() and "decoded grid" not in result.figures
    for draw in result.figures.values():
        draw().canvas.draw()
    assert map_of(half, marks(20)["pictures"]).data["items"] == 20


def test_a_space_without_a_map_gets_one(basket: Space) -> None:
    result = map_of(replace(basket, map=None))
    assert value(result) > 0.93


# the report's section


def test_the_report_tells_how_far_the_map_can_be_trusted(basket: Space, tmp_path: Path) -> None:
    space = replace(basket, figures={**basket.figures, "verdict": list(basket.figures["verdict"])})
    space.figures.pop("map", None)
    assert space.held_out is not None
    held = np.flatnonzero(space.held_out)
    add_map_figures(space, space.items(fruit()), held, 0)
    found = space.figures["map"]
    ours = {row["measure"]: row["ours"] for row in found["rows"]}
    assert found["n"] == len(held) and set(ours) == {"trustworthiness(15)", "continuity(15)"}
    assert all(i["low"] <= i["value"] <= i["high"] and i["value"] > 0.75 for i in ours.values())
    assert found["verdict"] in space.figures["verdict"]
    result = report(space, out=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "<h2>Map</h2>" in text and "first two principal axes" in text and "map" in result.figures
    assert any("map can be trusted" in title for title in result.tables)


def test_a_map_that_knows_nothing_is_reported_so(basket: Space) -> None:
    space = shuffled(replace(basket, figures={"verdict": []}))
    assert space.held_out is not None
    add_map_figures(space, space.items(fruit()), np.flatnonzero(space.held_out), 0)
    assert space.figures["map"]["rows"][0]["ours"]["value"] < 0.7
    assert "Here PCA is the better map." in space.figures["verdict"][0]
    add_map_figures(space, space.items(fruit()), np.arange(5), 0)
    assert len(space.figures["verdict"]) == 1


# bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"colour": "wieght"}, "There is no 'wieght' to colour by (did you mean 'weight'?)"),
        ({"out": "map.jpg"}, "it can be .png, .svg, .pdf, .html, .csv, .parquet, .projector or a folder."),
        ({"out": "map.pngg"}, "did you mean '.png'?"),
        ({"dimensions": 4}, "dimensions must be a whole number of at least 2 and up to 3, not 4."),
        ({"color": "kind"}, "did you mean 'colour'?"),
        (
            {"select": ["f1", "f2", "nobody", "none"]},
            "select names 'nobody', which is none of the 420 items shown",
        ),
        ({"select": ["f1", "f20x"]}, "did you mean"),
        ({"select": []}, "select is empty"),
        ({"select": ["f1"]}, "select holds 1 item: at least 5"),
        ({"select": [f"f{i}" for i in range(418)]}, "select leaves 2 items: at least 5"),
        ({"select": [f"f{i}" for i in range(420)]}, "select holds all 420 items"),
        ({"select": 7}, "select is a file of ids (one a line) or a list of them, not 7."),
        ({"select": "missing.txt"}, "There is no file 'missing.txt'"),
    ],
)
def test_bad_options(basket: Space, options: dict[str, Any], words: str) -> None:
    with pytest.raises((OptionError, DataError)) as failure:
        map_of(basket, **options)
    assert words in str(failure.value)


def test_ids_are_read_as_they_are_exported(tmp_path: Path) -> None:
    file = tmp_path / "ids.txt"
    file.write_bytes(b"\xef\xbb\xbf1\r\n 22 \n\n1\na b\n")
    assert read_ids(file) == ["1", "22", "a b"] and read_ids(np.arange(2)) == ["0", "1"]
    file.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(DataError, match="is no text"):
        read_ids(file)


def test_data_of_another_kind(basket: Space, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'weight'"):
        map_of(basket, fruit(30).drop_columns(["weight"]), tmp_path / "x.png")
    with pytest.raises(DataError):
        map_of(basket, fruit(0), tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_too_few_items() -> None:
    space = fit(fruit(4).drop_columns(["note"]), latent_dim=1, epochs=1, held_out=0)
    with pytest.raises(SpaceError, match="holds 4 items that a map could be drawn from; it needs at least 5"):
        map_of(space)


def test_the_command(basket: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, ids = tmp_path / "rows.parquet", tmp_path / "ids.txt"
    pq.write_table(fruit(), rows)
    ids.write_text("\n".join(f"f{i}" for i in range(0, 420, 3)))
    args = ["map", str(basket.path), str(rows), str(tmp_path / "m.png")]
    assert main([*args, "--select", str(ids), "--colour", "sour"]) == 0
    printed = capsys.readouterr().out
    assert (
        "trustworthiness(15)" in printed and "principal axes (PCA)" in printed and "kind is apple" in printed
    )
    assert main(["map", str(basket.path), "--json", "--dimensions", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["items"] == 420 and found["dimensions"] == 2 and found["measures"][0]["pca"]["value"] > 0.5


@pytest.mark.parametrize(
    "options", [["--colour", "knid"], ["--out", "x.docx"], ["--select", "no.txt"], ["--dimensions", "two"]]
)
def test_the_command_refuses(
    basket: Space, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["map", str(basket.path), "--out", str(tmp_path / "m.png"), *options]) == 2
    said = capsys.readouterr()
    assert not said.out and len(said.err.strip().splitlines()) == 1 and not list(tmp_path.iterdir())
