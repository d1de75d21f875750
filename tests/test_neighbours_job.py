"""Neighbours are those that are alike, found from items, files, latents and means; duplicates are those put in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits

import latentspace
from latentspace import Space, fit, load
from latentspace.cli import main
from latentspace.errors import DataError, LatentspaceError
from latentspace.jobs._duplicate_groups import chosen_share, groups_of
from latentspace.jobs.duplicates import duplicates
from latentspace.jobs.neighbours import neighbours
from latentspace.jobs.report import report
from latentspace.space.index import Index

DIGITS = load_digits()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("digits")
    np.savez(
        place / "digits.npz", images=DIGITS.images[:1000].astype("uint8") * 15, digit=DIGITS.target[:1000]
    )
    fit(place / "digits.npz", place / "d", latent_dim=8, epochs=15, report=False)
    np.savez(place / "new.npz", images=DIGITS.images[1000:1400].astype("uint8") * 15)
    return place


@pytest.fixture(scope="module")
def space(digits: Path) -> Space:
    return load(digits / "d.space")


@pytest.fixture(scope="module")
def houses() -> Space:
    rng = np.random.default_rng(0)
    town = rng.integers(0, 3, 200)
    table = pa.table(
        {
            "price": 100.0 + 100 * town + rng.normal(0, 5, 200),
            "area": 40.0 + 60 * town + rng.normal(0, 5, 200),
            "town": np.array(["Bern", "Köln", "Nice"])[town],
            "garden": rng.random(200) > 0.5,
        }
    )
    return fit(table, latent_dim=3, epochs=5, labels=("town",))


def test_the_nine_closest_are_of_the_same_digit(digits: Path, space: Space) -> None:
    found = neighbours(space, digits / "new.npz")
    rows, distances = found.value
    alike = (space.labels["digit"][rows] == DIGITS.target[1000:1400, None]).mean()
    assert rows.shape == (400, 9) and (np.diff(distances, axis=1) >= 0).all()
    assert alike > 0.85  # of an untrained encoder .59 are
    untrained = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    index = Index(DIGITS.images[:1000].reshape(1000, 64) @ untrained)
    guessed = index.nearest(DIGITS.images[1000:1400].reshape(400, 64).astype("float32") @ untrained, 9)[0]
    assert (DIGITS.target[:1000][guessed] == DIGITS.target[1000:1400, None]).mean() < 0.75


def test_an_item_is_no_neighbour_of_itself(space: Space) -> None:
    found = neighbours(space, item=("3", "7"), k=4)
    assert found.value[0].shape == (2, 4) and 3 not in found.value[0][0] and 7 not in found.value[0][1]
    assert found.data["neighbours"][0]["to"] == "3" and "of its nearest 4" in found.summary


def test_latents_means_and_files_of_latents(space: Space, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", space.latents[:2])
    assert neighbours(space, latent=tmp_path / "z.npy", k=1).value[0][:, 0].tolist() == [0, 1]
    mean = neighbours(space, item=("0", "10"), mean=True, k=3)
    wanted = Index(space.latents).nearest(space.latents[[0, 10]].mean(axis=0)[None], 5)[0][0]
    assert mean.value[0][0].tolist() == [row for row in wanted.tolist() if row not in (0, 10)][:3]


@pytest.mark.slow
def test_unlike_turns_away(space: Space) -> None:
    label = space.labels["digit"]
    like, unlike = [], []
    for row in range(300):
        near = neighbours(space, item=str(row)).value[0][0]
        wrong = near[label[near] != label[row]]
        if len(wrong):
            away = neighbours(space, item=str(row), unlike=str(wrong[0])).value[0][0]
            like.append((label[near] == label[row]).mean())
            unlike.append((label[away] == label[row]).mean())
            assert row not in away and wrong[0] not in away
    assert len(like) > 20 and np.mean(unlike) > np.mean(like) + 0.05


def test_what_is_far_from_everything_is_said(space: Space) -> None:
    noise = np.random.default_rng(0).integers(0, 240, (1, 8, 8)).astype("uint8")
    far = neighbours(space, noise)
    assert far.data["strangeness"][0] > 0.95 and "far from everything" in far.summary
    assert "far from everything" not in neighbours(space, item="3").summary


def test_tables_say_in_what_they_differ(houses: Space) -> None:
    found = neighbours(houses, item="0", where="town <> 'Bern'", k=3)
    assert all(row["town"] != "Bern" for row in found.data["neighbours"])
    row = houses.latents[:1].repeat(1, axis=0)
    assert np.isfinite(neighbours(houses, latent=row, k=2).value[1]).all()
    new = pa.table({"price": [105.0], "area": [100.0], "town": ["Bern"], "garden": [True]})
    assert "→" in "".join(r["differs most in"] for r in neighbours(houses, new).data["neighbours"])


@pytest.mark.parametrize("name", ["n.png", "n.svg", "n.csv", "n.parquet"])
def test_written(space: Space, houses: Space, tmp_path: Path, digits: Path, name: str) -> None:
    for kept, more in ((space, {"items": digits / "digits.npz"}), (houses, {})):
        (tmp_path / name).unlink(missing_ok=True)
        found = neighbours(kept, item="5", out=tmp_path / name, k=3, **more)
        assert found.files == [tmp_path / name] and (tmp_path / name).stat().st_size > 100
    if name.endswith("parquet"):
        assert pq.read_table(tmp_path / name).column_names[:4] == ["to", "rank", "id", "distance"]


def test_items_as_they_are(space: Space, digits: Path) -> None:
    with pytest.raises(DataError, match="holds no item '400'"):
        neighbours(space, item="5", items=digits / "new.npz")
    figure = neighbours(space, item="5", items=digits / "digits.npz").figures["neighbours"]()
    shown = np.asarray(figure.axes[0].images[0].get_array(), float)
    assert np.allclose(shown * 255, DIGITS.images[5] * 15, atol=1)


def test_signals_are_drawn_as_curves(tmp_path: Path) -> None:
    t = np.arange(4000)
    wave = np.stack([np.sin(t / 5), np.cos(t / 9)]).astype("float32")
    found = fit(wave, latent_dim=4, epochs=3, modality="signal", window=64)
    neighbours(found, item=found.ids[0], out=tmp_path / "w.png", k=2)
    assert (tmp_path / "w.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Say whose neighbours"),
        ({"item": "5000"}, "no item '5000'"),
        ({"item": "5", "unlike": "x"}, "no item 'x'"),
        ({"item": "5", "unlike": "5"}, "cannot be unlike itself"),
        ({"item": "5", "k": 1000}, "k must be below the 1,000 items"),
        ({"item": "5", "metric": "euclid"}, "did you mean 'euclidean'"),
        ({"item": "5", "where": "digit = 'seven'"}, "is no condition|no item"),
        ({"latent": [[1.0, 2.0]]}, "8 finite numbers each"),
        ({"item": "5", "out": "a.gif"}, "'.gif'"),
    ],
)
def test_what_cannot_be_asked(space: Space, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LatentspaceError, match=words):
        neighbours(space, **options)


def planted() -> tuple[np.ndarray, int]:
    """Digits, then 20 exact copies, 20 with a little noise, and 30 copies of one item."""
    rng = np.random.default_rng(0)
    x = DIGITS.images[:1000] / 16
    rows = rng.permutation(1000)[:41]
    noisy = x[rows[20:40]] + rng.normal(0, 0.01, (20, 8, 8))
    return np.concatenate([x, x[rows[:20]], noisy, x[rows[40:]].repeat(30, axis=0)]), 1000


@pytest.mark.slow
def test_duplicates_are_those_put_in(tmp_path: Path) -> None:
    x, n = planted()
    space = fit(x, latent_dim=16, epochs=15)
    found = duplicates(space, out=tmp_path / "d.parquet")
    dropped = {row for group in found.value for row in group.others.tolist()}
    put_in = set(range(n, len(x)))
    assert len(dropped & put_in) >= 66 and len(dropped - put_in) <= 4
    assert len(found.value[0].others) == 30 and found.value[0].distances.max() < 1e-3
    table = pq.read_table(tmp_path / "d.parquet").to_pydict()
    assert (
        sum(table["keep"]) == len(found.value) and len(table["id"]) == len(found.value) + found.data["extra"]
    )


def test_few_dimensions_make_no_duplicates() -> None:
    rng = np.random.default_rng(0)
    for d in (2, 5, 20):
        points = rng.normal(size=(1500, d)).astype("float32")
        groups, share = groups_of(points, Index(points), None)
        assert sum(len(group.others) for group in groups) <= 8, d
        assert share == pytest.approx(0.3) or d < 20
    assert chosen_share(np.zeros((3, 2), "float32")) == 0.3


def test_more_copies_than_neighbours_are_looked_at_make_one_group() -> None:
    rng = np.random.default_rng(0)
    copies = rng.normal(0, 3, 8) + rng.normal(0, 0.02, (300, 8))
    points = np.concatenate([copies, rng.normal(0, 3, (600, 8))]).astype("float32")
    groups, _ = groups_of(points, Index(points), None)
    assert len(groups[0].others) == 299 and max([groups[0].first, *groups[0].others]) < 300


def test_one_or_two_items_have_no_duplicates() -> None:
    for n in (1, 2):
        points = np.eye(3, dtype="float32")[:n]
        assert groups_of(points, Index(points), None)[0] == []


def test_an_item_given_again_is_no_neighbour_of_itself(space: Space) -> None:
    again = {"images": DIGITS.images[:20].astype("uint8") * 15}
    rows, distances = neighbours(space, again).value
    assert not (rows == np.arange(20)[:, None]).any() and (distances > 0).all()


@pytest.mark.slow
def test_the_report_says_how_pure_the_nearest_are(space: Space, tmp_path: Path) -> None:
    near = space.figures["neighbours"]
    (row,) = near["rows"]
    assert near["n"] == 100 and near["of"] == 900
    assert row["ours"]["value"] > 0.85 and row["baseline"] == pytest.approx(0.1, abs=0.02)
    train, held = np.flatnonzero(~space.held_out), np.flatnonzero(space.held_out)
    y, raw = DIGITS.target[:1000], DIGITS.images[:1000].reshape(1000, 64).astype("float32")
    nearest = train[Index(raw[train]).nearest(raw[held], 9)[0]]
    assert row["raw"]["value"] == pytest.approx((y[nearest] == y[held, None]).mean(), abs=0.01)
    assert near["verdict"] in space.figures["verdict"] and len(row["classes"]) == 10
    page = report(space, out=tmp_path / "r.html")
    assert "<h2>Neighbours</h2>" in (tmp_path / "r.html").read_text()
    axes = page.figures["neighbours"]().axes
    assert len(axes) == 60 and axes[0].get_xlabel() == "nearest by ours"


@pytest.mark.slow
def test_items_that_are_not_to_be_kept_are_not(tmp_path: Path) -> None:
    kept = fit(DIGITS.images[:200], latent_dim=4, epochs=1, keep_items=False)
    assert not any(name.startswith("neighbours") for name in kept.evidence)
    assert "neighbours" not in report(kept, out=tmp_path / "r.html").figures


def test_an_untrained_network_has_no_pure_neighbours(space: Space) -> None:
    from dataclasses import replace

    from latentspace.jobs._neighbour_measures import purity

    z = np.random.default_rng(0).normal(size=(1000, 8)).astype("float32")
    made = replace(space, latents=z)
    near = neighbours(made, item=[str(i) for i in range(200)]).value[0]
    assert purity(near, DIGITS.target[:1000], DIGITS.target[:200]).mean() < 0.2


def test_a_chain_is_no_group() -> None:
    rng = np.random.default_rng(0)
    chain = np.outer(np.arange(12) * 0.25, [1.0, 0, 0, 0])
    points = np.concatenate([chain, rng.normal(0, 3, (400, 4))]).astype("float32")
    groups, _ = groups_of(points, Index(points), 0.29)
    assert max((np.ptp(points[[g.first, *g.others], 0]) for g in groups), default=0) < 2


def test_on_the_command_line(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["neighbours", str(digits / "d.space"), "--item", "3", "--k", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["rank"] for row in told["neighbours"]] == [1, 2]
    assert main(["duplicates", str(digits / "d.space"), "--within", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["within"] == 0.5
    assert main(["duplicates", str(digits / "d.space"), "--within", "2"]) == 2
    assert "within must be" in capsys.readouterr().err
    assert latentspace.neighbours is neighbours
