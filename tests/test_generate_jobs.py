"""What is made from Z: samples like the items and no copies, ways where items lie, what latents change, repairs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latentspace import Space, fit, load
from latentspace.cli import main
from latentspace.errors import OptionError, SpaceError
from latentspace.jobs._density import density_of
from latentspace.jobs._parts import Sample
from latentspace.jobs._sample_measures import COPIES, TOLD, compared, makers
from latentspace.jobs.anomalies import anomalies
from latentspace.jobs.combine import combine
from latentspace.jobs.interpolate import interpolate
from latentspace.jobs.repair import repair
from latentspace.jobs.sample import sample
from latentspace.jobs.walk import walk
from latentspace.models.density import Density

KINDS = ("apple", "lemon", "melon")


def fruit(n: int = 900, seed: int = 0) -> pa.Table:
    """Three kinds: lemons are sour, melons heavy, as many seeds as they are heavy; half are picked in week 40."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 3
    weight = np.where(kind == 2, 1500.0, 150.0) + rng.normal(0, 20, n)
    return pa.table(
        {
            "name": [f"f{i}" for i in range(n)],
            "weight": weight,
            "seeds": (weight / 10 + rng.normal(0, 3, n)).round().astype(int),
            "sour": np.where(kind == 1, 8.0, 3.0) + rng.normal(0, 0.5, n),
            "week": np.where(rng.random(n) < 0.5, 40, rng.integers(1, 53, n)),
            "colour": np.array(["red", "yellow", "green"])[np.where(rng.random(n) < 0.9, kind, 0)],
            "ripe": rng.random(n) < 0.7,
            "kind": np.array(KINDS)[kind],
        }
    )


def marks(n: int = 300, seed: int = 0) -> dict[str, np.ndarray]:
    """Grey pictures (n, 12, 12): a bright bar across, at any height, or down, at any place."""
    rng = np.random.default_rng(seed)
    pictures, at = rng.integers(0, 20, (n, 12, 12)), rng.integers(0, 9, n)
    for i, start in enumerate(at):
        if i % 2:
            pictures[i, 1:11, start : start + 3] = 200
        else:
            pictures[i, start : start + 3, 1:11] = 200
    return {"pictures": pictures.astype(np.uint8), "kind": np.where(np.arange(n) % 2, "down", "across")}


@pytest.fixture(scope="module")
def basket(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("basket") / "basket"
    options: dict[str, Any] = {"id_column": "name", "labels": ("kind",), "report": False}
    return fit(fruit(), place, latent_dim=4, held_out=0.2, epochs=12, **options)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("gallery") / "gallery"
    return fit(marks(), place, latent_dim=4, epochs=8, held_out=0.2, report=False)


@pytest.fixture(scope="module")
def motion() -> Space:
    rng = np.random.default_rng(0)
    speed = rng.uniform(1, 3, (160, 1))
    first = 10 + 2 * np.sin(speed * np.arange(32) / 5)
    waves = np.stack([first, 0.1 * rng.normal(size=(160, 32))], axis=1)
    return fit(waves, modality="signal", latent_dim=3, epochs=4, held_out=0.2)


# sampling


def test_samples_hold_what_the_columns_can_hold(basket: Space, tmp_path: Path) -> None:
    out = tmp_path / "new.parquet"
    result = sample(basket, out, n=400)
    made, items = pq.read_table(out), fruit()
    own = [name for name in items.column_names if name not in ("kind", "name")]
    assert [name for name in made.column_names if name in own] == own
    assert made.column_names[-3:] == ["nearest", "distance", "novelty"]
    for name in own:
        assert made[name].type == items[name].type
    assert set(made["colour"].to_pylist()) <= {"red", "yellow", "green"}
    for name in ("weight", "seeds", "sour", "week"):
        given, new = (table[name].to_numpy() for table in (items, made))
        assert given.min() <= new.min() <= new.max() <= given.max()
    assert (made["week"].to_numpy() == 40).mean() == pytest.approx(0.5, abs=0.1)
    assert (made["ripe"].to_numpy(zero_copy_only=False)).mean() == pytest.approx(0.7, abs=0.1)
    heavy = made["weight"].to_numpy() > 800
    assert heavy.mean() == pytest.approx(1 / 3, abs=0.1)
    assert ((made["seeds"].to_numpy() > 100) == heavy).mean() > 0.98
    assert len(result.data["samples"]) == 400 and result.data["noise"]


def told(space: Space, seed: int = 0) -> dict[str, float]:
    """The mean of each measure of samples of the space (see `_sample_measures`)."""
    items = space.items(fruit())
    held = np.flatnonzero(space.held_out)
    learnt, tried = (
        Sample.of(space.modality, items, rows)
        for rows in (np.flatnonzero(~space.held_out), held)  # type: ignore[operator]
    )
    rows, _ = compared(*makers(space, learnt), space.modality, learnt, tried, seed)
    return {row["measure"]: row["ours"]["value"] for row in rows}


def test_samples_pass_the_two_sample_test_and_those_of_an_untrained_network_fail(basket: Space) -> None:
    fine = told(basket)
    assert fine[TOLD] < 0.62 and fine[COPIES] < 0.15
    model = basket.model
    torch_modules = (model.network_.encoder, model.network_.decoder)
    kept = [{k: v.clone() for k, v in module.state_dict().items()} for module in torch_modules]
    import torch

    generator = torch.Generator().manual_seed(0)
    try:
        for module in torch_modules:
            for weights in module.parameters():
                weights.data = 0.3 * torch.randn(weights.shape, generator=generator)
        assert told(basket)[TOLD] > 0.7
    finally:
        for module, state in zip(torch_modules, kept, strict=True):
            module.load_state_dict(state)
    assert told(basket)[TOLD] == fine[TOLD]


def test_a_density_that_memorises_is_caught(basket: Space) -> None:
    learnt = basket.latents[~basket.held_out]  # type: ignore[operator]
    k = learnt.shape[1]
    spikes = {
        "weights": np.full(len(learnt), 1 / len(learnt)),
        "means": learnt,
        "factors": np.repeat(1e-4 * np.eye(k)[None], len(learnt), axis=0),
        "held_out": np.array([np.nan]),
    }
    memory = replace(basket, density=Density(spikes))
    result = sample(memory, n=60, noise="no")
    assert "60 samples all but copy one" in result.summary
    assert max(row["novelty"] for row in result.data["samples"]) < 0.05
    fine = sample(basket, n=60, noise="no")
    assert np.median([row["novelty"] for row in fine.data["samples"]]) > 0.2


def test_the_same_seed_draws_the_same_items(basket: Space, gallery: Space) -> None:
    for space in (basket, gallery):
        one, other, more = sample(space, n=6, seed=5), sample(space, n=6, seed=5), sample(space, n=6, seed=6)
        assert one.data == other.data and one.data != more.data
        assert np.array_equal(np.asarray(one.value), np.asarray(other.value))


def test_samples_of_a_label_near_an_item_and_by_a_condition(basket: Space) -> None:
    table = sample(basket, n=150, label="lemon").value
    assert (np.asarray(table["sour"]) > 5.5).mean() > 0.95
    table = sample(basket, n=150, label="kind=melon").value
    assert (np.asarray(table["weight"]) > 800).mean() > 0.95
    table = sample(basket, n=150, where="weight > 1000").value
    assert (np.asarray(table["weight"]) > 800).mean() > 0.95
    melon = sample(basket, n=80, near="f2", noise="no").value
    assert (np.asarray(melon["weight"]) > 1000).mean() > 0.95


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label": "lemom"}, "did you mean 'lemon'"),
        ({"near": "f99999"}, "holds no item 'f99999'"),
        ({"where": "weight > 9999"}, "no item of this space"),
        ({"where": "weight > 1500 and sour > 4.2"}, "at least 5 are needed|no item of this space"),
        ({"n": 0}, "at least 1"),
        ({"noise": "maybe"}, "noise must be"),
    ],
)
def test_what_cannot_be_sampled_is_said(basket: Space, options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        sample(basket, **options)


def test_a_space_without_a_density_fits_one_on_the_spot(basket: Space, tmp_path: Path) -> None:
    bare = replace(basket, density=None, columns=None)
    assert density_of(bare).components >= 1
    assert (np.asarray(sample(bare, n=20).value["seeds"]) % 1 == 0).all()
    assert sample(replace(bare, scorer=None), n=5).data["noise"] is False
    with pytest.raises(SpaceError, match="needs at least 5"):
        density_of(replace(bare, held_out=np.arange(len(bare)) > 3))
    with pytest.raises(SpaceError, match="load it whole"):
        sample(load(basket.path, part="encoder"))  # type: ignore[arg-type]


def test_the_report_says_how_like_and_whether_copied(basket: Space) -> None:
    figures = basket.figures["samples"]
    assert {row["measure"] for row in figures["rows"]} == {TOLD, COPIES, "coverage", "density"}
    assert any("samples are no copies" in line for line in basket.figures["verdict"])
    assert set(figures["mmd"]) == {"ours", "pca"}


# between items


def test_the_way_along_the_data_is_denser_and_ends_where_it_should(gallery: Space) -> None:
    names = tuple(str(name) for name in gallery.ids[[1, 2, 7]])
    result = interpolate(gallery, names, steps=7)
    along, straight = result.data["measures"]["data"], result.data["measures"]["straight"]
    assert along["log_density"] > straight["log_density"] + 0.3
    assert along["thinnest"] > straight["thinnest"] and along["distance"] < straight["distance"]
    ids = [row["id"] for row in result.data["items"]]
    assert len(ids) == 13 and (ids[0], ids[6], ids[12]) == names
    assert np.asarray(result.value).shape[0] == 13


def test_a_way_of_rows_and_windows(basket: Space, motion: Space, tmp_path: Path) -> None:
    out = tmp_path / "way.csv"
    result = interpolate(basket, ("f0", "kind = 'melon'"), path="straight", steps=5, out=out)
    weights = np.asarray(result.value["weight"])
    assert weights[0] < 300 and weights[-1] > 1200 and (np.diff(weights) > 0).all()
    assert out.read_text().startswith('"id","weight"')
    assert result.data["items"][-1]["id"] == "mean of kind = 'melon'"
    curves = interpolate(motion, ("0", "3"), path="spherical", steps=4)
    assert np.asarray(curves.value).shape == (4, 2, 32)
    for figure in curves.figures.values():
        figure()
    with pytest.raises(OptionError, match="at least 2"):
        interpolate(basket, ("f0",))


# one latent at a time


def test_a_walk_says_what_each_latent_changes(basket: Space, gallery: Space, motion: Space) -> None:
    result = walk(basket, steps=5)
    latents = result.data["latents"]
    assert len(latents) == 4 and len(np.asarray(result.value["weight"])) == 20
    by_hand = basket.latents[~basket.held_out].mean(axis=0)  # type: ignore[operator]
    first = latents[0]
    j = int(first["latent"][1:])
    ends = np.repeat(by_hand[None], 2, axis=0)
    ends[:, j] = np.quantile(basket.latents[~basket.held_out][:, j], [0.025, 0.975])  # type: ignore[operator]
    decoded = basket.decode(ends)
    part = first["parts"][0]["part"]
    expected = np.asarray(decoded[part].to_pylist() if hasattr(decoded[part], "to_pylist") else decoded[part])
    assert [first["parts"][0]["low"], first["parts"][0]["high"]] == pytest.approx(
        list(expected), rel=0.05, abs=1
    )
    moved = [part["moved"] for part in first["parts"]]
    assert moved == sorted(moved, reverse=True)
    only = walk(basket, latents=("z2",), item="f1", steps=3)
    assert [row["latent"] for row in only.data["latents"]] == ["z2"] and only.data["start"] == "f1"
    for space, options in ((gallery, {"grid": "latents"}), (gallery, {"grid": "map"}), (motion, {})):
        for figure in walk(space, steps=3, **options).figures.values():  # type: ignore[arg-type]
            figure()
    with pytest.raises(OptionError, match="no latent 'z9'"):
        walk(basket, latents=("z9",))
    with pytest.raises(OptionError, match="draws pictures"):
        walk(basket, grid="map")


# sums


def test_a_minus_b_plus_c(basket: Space, gallery: Space) -> None:
    z = {str(name): row for name, row in zip(basket.ids, basket.latents, strict=True)}
    result = combine(basket, plus=("f2", "f1"), minus=("f0",))
    decoded = basket.decode((z["f2"] - z["f0"] + z["f1"])[None])
    # as decoded, within the range that training items hold
    most = fruit()["sour"].to_numpy().max()
    assert np.asarray(result.value["sour"])[0] == pytest.approx(
        min(np.asarray(decoded["sour"])[0], most), abs=0.3
    )
    assert {row["id"] for row in result.data["nearest"]}.isdisjoint({"f0", "f1", "f2"})
    same = combine(basket, plus=("f2",))
    assert same.data["item"]["distance"] < 1e-3 or basket.held_out[2]  # type: ignore[index]
    for figure in combine(
        gallery, plus=("0", "kind = 'down'") if gallery.labels else ("0", "2")
    ).figures.values():
        figure()
    with pytest.raises(OptionError, match="at least one"):
        combine(basket)


# repairs


def spoilt(n: int = 90) -> pa.Table:
    """New fruit, some of them wrong in one column or two."""
    table = fruit(n, seed=9)
    weight, sour = table["weight"].to_numpy().copy(), table["sour"].to_numpy().copy()
    weight[3], weight[10], sour[20] = 9e9, -4000.0, 60.0
    table = table.set_column(1, "weight", pa.array(weight))
    return table.set_column(3, "sour", pa.array(sour))


def test_repairs_are_normal_small_and_leave_the_rest(basket: Space, tmp_path: Path) -> None:
    out, given = tmp_path / "fixed.parquet", spoilt()
    result = repair(basket, given, out, alpha=0.02)
    fixed, found = pq.read_table(out), {row["id"]: row for row in result.data["repairs"]}
    assert {"f3", "f10", "f20"} <= set(found) and all(row["normal"] for row in found.values())
    for name, column in (("f3", "weight"), ("f10", "weight"), ("f20", "sour")):
        assert [change["part"] for change in found[name]["changes"]] == [column]
    again = anomalies(basket, fixed, alpha=0.02)
    assert not np.asarray(again.value["flagged"].to_pylist()).any()
    for name in given.column_names:
        mine, theirs = given[name].to_pylist(), fixed[name].to_pylist()
        rows = {int(row[1:]) for row in found if name in {c["part"] for c in found[row]["changes"]}}
        assert all(a == b for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if i not in rows)
    low, high = np.min(fruit()["weight"].to_numpy()), np.max(fruit()["weight"].to_numpy())
    assert low <= fixed["weight"][3].as_py() <= high


def test_repairs_of_pictures_and_of_nothing(gallery: Space, tmp_path: Path) -> None:
    pictures = marks(40, seed=4)["pictures"]
    pictures[5] = 255 - pictures[5]
    result = repair(gallery, pictures, tmp_path / "fixed", alpha=0.05)
    found = {row["id"]: row for row in result.data["repairs"]}
    assert found[5]["normal"] and len(list((tmp_path / "fixed").iterdir())) == 40
    result.figures["repairs"]()
    calm = repair(gallery, marks()["pictures"][:1], alpha=0.02)
    assert calm.data["odd"] == 0 and "nothing to repair" in calm.summary


def test_the_commands(
    basket: Space, gallery: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(spoilt(), rows)
    for words in (
        ["sample", str(basket.path), "--n", "3", "--label", "lemon", "--out", str(tmp_path / "s.csv")],
        ["sample", str(gallery.path), "--out", str(tmp_path / "sheet.png")],
        ["interpolate", str(basket.path), "f0", "f1", "f2", "--steps", "3", "--out", str(tmp_path / "w.svg")],
        ["walk", str(gallery.path), "--grid", "latents", "--out", str(tmp_path / "g.png")],
        ["combine", str(basket.path), "--plus", "f0", "--minus", "f1", "--plus", "f4"],
        ["repair", str(basket.path), str(rows), str(tmp_path / "r.csv")],
    ):
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["summary"]
        assert main(words) == 0
        assert capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "--out", "x.docx"],
        ["interpolate", "f0"],
        ["combine"],
        ["walk", "--latents", "q"],
        ["sample", "--n", "x"],
    ],
)
def test_the_commands_refuse(basket: Space, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([words[0], str(basket.path), *words[1:]]) == 2
    said = capsys.readouterr()
    assert not said.out and len(said.err.strip().splitlines()) == 1
