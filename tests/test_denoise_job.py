"""Denoise: noise goes, what was left alone comes back bit for bit, gaps are filled in, and clean items stay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from latentspace import Space, fit
from latentspace.cli import main
from latentspace.data.table import Table
from latentspace.errors import DataError, LatentspaceError, OptionError
from latentspace.jobs import _denoise_pairs as pairing
from latentspace.jobs._denoise_items import in_users_units
from latentspace.jobs._denoise_words import decibels
from latentspace.jobs.denoise import denoise, unseen
from latentspace.jobs.report import report
from latentspace.models import corrector

LEVEL = 0.3


@pytest.fixture(autouse=True, scope="module")
def short() -> Any:
    """Little training: what is not about quality needs none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corrector, "MOST_STEPS", 10)
        patch.setattr(corrector, "MOST_ROW_STEPS", 400)
        yield


@pytest.fixture(scope="module")
def steps() -> Any:
    """A function that lets networks over grids train for so many steps, until the test ends."""

    @contextmanager
    def trained(most: int) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(corrector, "MOST_STEPS", most)
            yield

    return trained


def squares(n: int = 700, seed: int = 0) -> np.ndarray:
    """Grey pictures (n, 12, 12) in [0, 1] of a bright square that may be anywhere: no plane holds them."""
    rng = np.random.default_rng(seed)
    pictures = np.full((n, 12, 12), 0.1, np.float32)
    for picture, (row, column) in zip(pictures, rng.integers(0, 9, (n, 2)), strict=True):
        picture[row : row + 4, column : column + 4] = 0.9
    return pictures


def with_noise(clean: np.ndarray, level: float = LEVEL, seed: int = 9) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=clean.shape)
    return (clean + level * noise).astype(clean.dtype)


def wave(n: int = 5000) -> np.ndarray:
    at = np.arange(n)
    return 100 + 40 * (np.sin(at / 8) + 0.5 * np.sin(at / 3.1 + 1))


def recording(values: np.ndarray) -> pa.Table:
    stamps = np.datetime64("2024-01-01T00:00:00") + np.arange(len(values)) * np.timedelta64(30, "m")
    words = ["even" if i < len(values) // 2 else "odd" for i in range(len(values))]
    return pa.table({"time": stamps, "load": values, "shift": words})


def people(n: int = 800, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(with gaps, whole): three numbers make eight columns; a count, a category, yes/no and a date hang on them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3))
    columns = z @ np.random.default_rng(5).normal(size=(3, 8))
    whole = pd.DataFrame(columns, columns=[f"c{j}" for j in range(8)], index=[f"p{i}" for i in range(n)])
    whole["count"] = np.rint(50 + 10 * z[:, 0]).astype(int)
    whole["side"] = np.where(z[:, 0] > 0, "up", "down")
    whole["yes"] = z[:, 1] > 0
    whole["joined"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D")
    whole["remark"] = [f"remark no. {i} of many" for i in range(n)]
    gaps = whole.copy()
    hole = np.zeros((n, 8), bool)
    hole[np.arange(n) % 3 == 0] = rng.random((len(range(0, n, 3)), 8)) < 0.25
    gaps.iloc[:, :8] = gaps.iloc[:, :8].mask(hole)
    gaps.loc[gaps.index[1::9], "side"] = None
    return gaps, whole


def psnr_gain(noisy: np.ndarray, restored: np.ndarray, clean: np.ndarray) -> float:
    before, after = (np.mean((a.astype(float) - clean) ** 2) for a in (noisy, restored))
    return float(10 * np.log10(before / after))


@pytest.fixture(scope="module")
def gallery() -> Space:
    return fit(with_noise(squares()), latent_dim=4, epochs=1, held_out=0.2)


@pytest.fixture(scope="module")
def restored(gallery: Space, steps: Any) -> Any:
    with steps(150):
        return denoise(gallery, with_noise(squares()))


@pytest.fixture(scope="module")
def station() -> Space:
    noisy = recording(with_noise(wave(), 16.0))
    return fit(noisy, latent_dim=4, epochs=1, modality="signal", window=64, hop=32, held_out=0.2)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("crowd") / "crowd"
    return fit(people()[0], place, latent_dim=3, epochs=1, held_out=0.2, report=False)


# quality


def test_noise_goes_from_pictures(restored: Any) -> None:
    clean = squares()
    assert psnr_gain(with_noise(clean), restored.value, clean) > 5
    data = restored.data
    assert data["changed"] and data["noise"]["kind"] == "gaussian" and data["learnt_from"] == 700
    assert data["noise"]["in_units"]["level"] == pytest.approx(LEVEL, rel=0.15)
    gains = {row["name"]: row["gain"] for row in data["candidates"]}
    assert {"input", "shrinkage", "autoencoder", "network", "smoothing", "median"} <= set(gains)
    assert gains["network"] > gains["shrinkage"] + 1  # no plane holds them
    assert all(row["low"] <= row["gain"] <= row["high"] for row in data["candidates"])
    assert sum(row["weight"] for row in data["candidates"]) == pytest.approx(1)


def test_an_untrained_network_gains_nothing_over_shrinkage(
    gallery: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrector, "MOST_STEPS", 0)
    gains = {row["name"]: row["gain"] for row in denoise(gallery, with_noise(squares())).data["candidates"]}
    assert gains["network"] < gains["shrinkage"] + 0.1


def test_what_is_said_of_it(restored: Any) -> None:
    assert restored.summary.startswith("Restored by ")
    assert "Noise of standard deviation 0." in restored.summary and "in lightness" in restored.summary
    assert "What was removed looks like noise" in restored.summary
    (candidates, *_) = restored.tables.values()
    assert candidates[-1]["candidate"] in ("leaving alone", "median", "the space's d(e(x))")
    told = restored.to_json()
    assert told["removed"]["looks_like_noise"] and abs(told["removed"]["correlation"]) < 0.15
    json.dumps(told)


def test_clean_items_come_back_as_they_are(crowd: Space) -> None:
    _, whole = people()
    result = denoise(crowd, whole)
    assert result.value is whole and not result.data["changed"] and result.data["removed"] is None
    assert result.summary.startswith("The items are left alone.")


def test_a_recording_is_put_together_again(station: Space, tmp_path: Path) -> None:
    noisy = recording(with_noise(wave(), 16.0))
    result = denoise(station, noisy, tmp_path / "calm.parquet")
    assert result.value.column_names == ["time", "load", "shift"] and result.value.num_rows == 5000
    assert result.value["time"].equals(noisy["time"]) and result.value["shift"].equals(noisy["shift"])
    assert psnr_gain(noisy["load"].to_numpy(), result.value["load"].to_numpy(), wave()) > 6
    assert "in 'load'" in result.summary
    assert result.data["noise"]["in_units"]["level"] == pytest.approx(16, rel=0.1)
    assert result.data["learnt_from"] == result.data["items"] < 500  # those of the space are these
    assert pq.read_table(tmp_path / "calm.parquet").cast(result.value.schema).equals(result.value)


def test_few_items_are_learnt_with_those_that_the_space_keeps(gallery: Space) -> None:
    clean = squares(30, seed=3)
    noisy = with_noise(clean, seed=4)
    result = denoise(gallery, noisy)
    assert result.data["learnt_from"] > 500 and psnr_gain(noisy, result.value, clean) > 4
    weak = denoise(gallery, with_noise(squares(60, seed=3), 0.1, seed=4))
    assert weak.data["learnt_from"] == 60  # theirs is another noise


def test_the_spaces_own_way_is_judged_by_items_that_it_has_not_learnt_from(gallery: Space) -> None:
    def found(pictures: np.ndarray) -> np.ndarray:
        items = gallery.items(pictures)
        return unseen(gallery, items, gallery.modality.transform(items)[0])

    pictures = with_noise(squares())
    assert gallery.held_out is not None and (found(pictures) == gallery.held_out).all()
    assert not found(pictures[::-1].copy()).any()  # known again, though no id says which is which
    assert found(with_noise(squares(30, seed=3))).all()


# gaps


def test_gaps_of_a_table_are_filled_and_all_else_is_exact(crowd: Space) -> None:
    gaps, whole = people()
    result = denoise(crowd, gaps)
    made = result.value
    assert list(made.columns) == list(gaps.columns) and made.index.equals(gaps.index)
    assert made.dtypes.equals(gaps.dtypes) and not made.isna().any().any()
    for name in gaps.columns:
        there = gaps[name].notna()
        assert (made[name][there] == gaps[name][there]).all(), name
    missing = gaps.iloc[:, :8].isna().to_numpy()
    truth, filled = (f.iloc[:, :8].to_numpy() for f in (whole, made))
    mean = np.broadcast_to(gaps.iloc[:, :8].mean().to_numpy(), truth.shape)
    off, by_mean = (np.sqrt(np.mean((a - truth)[missing] ** 2)) for a in (filled, mean))
    assert off < 0.5 * by_mean
    hidden = gaps["side"].isna()
    assert (made["side"][hidden] == whole["side"][hidden]).mean() > 0.9
    assert result.data["gaps_filled"] == missing.sum() + hidden.sum()
    assert f"{result.data['gaps_filled']:,} gaps were filled in." in result.summary


def test_where_noise_cannot_be_told_only_gaps_are_filled() -> None:
    gaps, _ = people()
    numbers = gaps.iloc[:, :8]
    gaps.iloc[:, :8] = numbers + np.random.default_rng(1).normal(size=numbers.shape) * np.linspace(
        0.1, 0.8, 8
    )
    result = denoise(fit(gaps, latent_dim=3, epochs=1), gaps)
    assert not result.data["noise"]["trusted"] and result.data["gaps_filled"] > 0
    there = gaps.notna()
    assert ((result.value == gaps) | ~there).all().all() and not result.value.isna().any().any()


@pytest.mark.slow
def test_missing_blocks_of_pictures(steps: Any) -> None:
    clean = squares()
    pictures = clean.copy()
    rng = np.random.default_rng(2)
    for picture, (row, column) in zip(pictures[::2], rng.integers(0, 9, (350, 2)), strict=True):
        picture[row : row + 4, column : column + 4] = np.nan
    space = fit(pictures, latent_dim=4, epochs=1, held_out=0.2)
    with steps(150):
        result = denoise(space, pictures, kind="missing")
    hole = np.isnan(pictures)
    assert np.array_equal(result.value[~hole], pictures[~hole])
    mean = np.broadcast_to(np.nanmean(pictures, axis=0), clean.shape)
    assert np.mean((result.value - clean)[hole] ** 2) < 0.7 * np.mean((mean - clean)[hole] ** 2)
    assert result.data["gaps_filled"] == hole.sum()
    result.figures["denoised"]().canvas.draw()


@pytest.mark.parametrize("form", ["flat", "time", "channels", "list", "windows"])
def test_gaps_of_recordings_in_any_form(form: str, tmp_path: Path) -> None:
    values = np.stack([wave(1500), 10 * wave(1500)[::-1]], axis=1)
    values[200:212, 0] = np.nan
    data: Any = {
        "flat": values[:, 0],
        "time": values,
        "channels": values.T,
        "list": [values[:700], values[700:]],
        "windows": values[:1440].reshape(30, 48, 2).transpose(0, 2, 1),
    }[form]
    options: dict[str, Any] = {} if form == "windows" else {"window": 48, "hop": 24}
    space = fit(data, modality="signal", latent_dim=3, epochs=1, **options)
    result = denoise(space, data, tmp_path / "out.csv", kind="missing")
    pieces = zip(data, result.value, strict=True) if form == "list" else [(data, result.value)]
    for was, made in pieces:
        assert made.shape == was.shape and not np.isnan(made).any()
        assert np.array_equal(made[~np.isnan(was)], was[~np.isnan(was)])
    assert result.data["gaps_filled"] == 12
    rows = pyarrow.csv.read_csv(tmp_path / "out.csv")
    assert rows.num_rows == (1440 if form == "windows" else 1500)


@pytest.mark.slow
def test_salt_and_pepper(steps: Any) -> None:
    clean = np.rint(squares() * 80 + 90).astype(np.uint8)
    pictures, draw = clean.copy(), np.random.default_rng(0).random(clean.shape)
    pictures[draw < 0.06], pictures[draw > 0.94] = 0, 255
    space = fit(pictures, latent_dim=4, epochs=1, held_out=0.2)
    with steps(100):
        result = denoise(space, pictures)
    assert result.data["noise"]["kind"] == "salt-and-pepper" and result.value.dtype == np.uint8
    assert psnr_gain(pictures, result.value, clean) > 8
    assert (result.value == pictures).mean() > 0.8


# in the user's units


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "numpy", "dictionary", "rows"])
def test_only_what_changed_is_replaced(library: str) -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {
        "a": rng.normal(size=40),
        "b": rng.integers(0, 90, 40),
        "c": np.array(["x", "y", "z", "w"])[rng.integers(0, 4, 40)],
    }
    table = pa.table(columns)
    data: Any = {
        "pandas": lambda: table.to_pandas().set_axis([f"r{i}" for i in range(40)]),
        "polars": lambda: pl.DataFrame(columns),
        "pyarrow": lambda: table,
        "numpy": lambda: np.stack([columns["a"], columns["b"]], axis=1),
        "dictionary": lambda: table.set_column(2, "c", table["c"].dictionary_encode()),
        "rows": lambda: table.to_pylist(),
    }[library]()
    modality = Table()
    items = modality.read(data)
    x, _ = modality.fit(items).transform(items)
    changed = np.zeros(x.shape, bool)
    changed[:5, 0] = changed[:, 1] = True
    made = in_users_units(modality, items, data, changed, x + np.float32(0.5))
    same = in_users_units(modality, items, data, np.zeros(x.shape, bool), x)
    assert same is data
    own = items.values if library == "rows" else data
    assert type(made) is type(own)
    if library == "numpy":
        assert np.array_equal(made[5:, 0], data[5:, 0]) and not np.isclose(made[:5, 0], data[:5, 0]).any()
        return
    frames = [pl.DataFrame(f) if library != "pandas" else pl.from_pandas(f) for f in (own, made)]
    was, now = frames
    assert now.columns == was.columns and now.dtypes == was.dtypes
    assert was["c"].equals(now["c"]) and was["a"][5:].equals(now["a"][5:])
    assert not (was["a"][:5] == now["a"][:5]).any() and (now["b"] > was["b"]).mean() > 0.9
    if library == "pandas":
        assert made.index.equals(data.index)


def test_noise_lies_on_numbers_only(crowd: Space) -> None:
    there = crowd.modality.measured
    assert there is not None and there.sum() == 9  # eight columns and the count
    assert crowd.modality.shape == (len(there),)


def test_columns_that_were_not_learnt_come_back_too(tmp_path: Path) -> None:
    gaps, _ = people()
    gaps = gaps.reset_index(names="name")
    gaps["mood"] = np.where(np.arange(len(gaps)) % 2, "good", "bad")
    space = fit(gaps, latent_dim=3, epochs=1, id_column="name", labels=("mood",), report=False)
    file = tmp_path / "people.csv"
    gaps.to_csv(file, index=False)
    result = denoise(space, file, tmp_path / "whole.csv", kind="missing")
    rows = pd.read_csv(tmp_path / "whole.csv")
    assert list(rows.columns) == list(gaps.columns) and not rows.isna().any().any()
    assert (rows["name"] == gaps["name"]).all() and (rows["mood"] == gaps["mood"]).all()
    assert result.value.column_names == list(gaps.columns)


# pairs


def test_pairs_are_matched_by_id_or_by_order(gallery: Space, tmp_path: Path) -> None:
    for name, pictures in (("noisy", with_noise(squares(20))), ("clean", squares(20))):
        (tmp_path / name).mkdir()
        for i, picture in enumerate(pictures[: 20 if name == "noisy" else 15]):
            Image.fromarray(np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)).save(
                tmp_path / name / f"{i:02d}.png"
            )
    noisy = gallery.items(tmp_path / "noisy")
    pairs = pairing.read_pairs(gallery.modality, noisy, tmp_path / "clean")
    assert pairs.rows.tolist() == list(range(15)) and pairs.modality is gallery.modality
    coloured = pairing.read_pairs(
        gallery.modality, noisy, np.stack([squares(20)] * 3, axis=3) * [1, 0.5, 0.2]
    )
    assert coloured.x.shape == (20, 3, 12, 12) and coloured.rows.tolist() == list(range(20))


def test_pairs_teach_colour(gallery: Space, steps: Any, tmp_path: Path) -> None:
    clean = squares()
    coloured = np.rint(255 * np.stack([clean, clean**2, 1 - clean], axis=3)).astype(np.uint8)
    with steps(60):
        result = denoise(gallery, with_noise(clean), tmp_path / "out.png", clean=coloured)
    assert result.value.shape == (700, 12, 12, 3) and result.value.dtype == np.uint8
    assert np.abs(result.value.astype(float) - coloured).mean() < 25
    assert result.data["pairs"] == 700 and "Learnt from 700 pairs of pictures" in result.summary
    assert next(iter(result.tables)).startswith("Gain over a linear map, told by the pairs")
    for draw in result.figures.values():
        draw().canvas.draw()


def test_pairs_of_rows_keep_the_users_frame_or_take_that_of_the_clean(tmp_path: Path) -> None:
    _, whole = people()
    clean = pl.from_pandas(whole[["c0", "c1", "c2", "c3", "c4", "side"]])
    rng = np.random.default_rng(0)
    noisy = clean.with_columns(pl.col(f"c{j}") + 0.7 * rng.normal(size=800) for j in range(5))
    space = fit(noisy, latent_dim=3, epochs=1)
    made = denoise(space, noisy, tmp_path / "out.csv", clean=clean).value
    assert made.columns == noisy.columns and isinstance(made, pl.DataFrame)
    off, before = (
        ((f - clean.drop("side"))[:, :5].to_numpy() ** 2).mean()
        for f in (made.drop("side"), noisy.drop("side"))
    )
    assert off < 0.7 * before
    other = denoise(space, noisy, clean=pl.DataFrame({"sum": clean["c0"] + clean["c1"]})).value
    assert other.columns == ["sum"] and abs(np.corrcoef(other["sum"], clean["c0"] + clean["c1"])[0, 1]) > 0.8


def test_pairs_of_recordings(station: Space) -> None:
    noisy = recording(with_noise(wave(), 16.0))
    two = pa.table({"time": noisy["time"], "a": wave(), "b": -wave()})
    made = denoise(station, pl.from_arrow(noisy), clean=recording(wave())).value
    assert isinstance(made, pl.DataFrame) and made.columns == ["time", "load", "shift"]
    other = denoise(station, noisy, clean=two).value
    assert other.column_names == ["time", "a", "b"] and other.num_rows == 5000


@pytest.mark.parametrize(
    ("clean", "words"),
    [
        (squares(19), "an array of 19 x 12 x 12 holds 19 items, but"),
        (squares(5)[:0], "no pictures"),
        ("nowhere.npy", "nowhere.npy"),
    ],
)
def test_pairs_that_do_not_match(gallery: Space, tmp_path: Path, clean: Any, words: str) -> None:
    with pytest.raises(LatentspaceError, match=words):
        denoise(gallery, with_noise(squares(20)), tmp_path / "out.npy", clean=clean)
    assert not list(tmp_path.iterdir())


def test_a_clean_version_of_nobody(crowd: Space) -> None:
    gaps, whole = people(30)
    with pytest.raises(DataError, match=r"holds 'q0', but .* has no item of that id"):
        denoise(crowd, gaps, clean=whole.set_axis([f"q{i}" for i in range(30)]))
    with pytest.raises(DataError, match="makes 4 pairs: at least 10 are needed"):
        denoise(crowd, gaps, clean=whole.iloc[:4])


# what comes out


def test_pictures_go_into_a_sheet_a_folder_or_an_array(gallery: Space, tmp_path: Path) -> None:
    pictures = with_noise(squares(30, seed=3), seed=4)
    for name in ("sheet.png", "folder", "all.npy"):
        denoise(gallery, pictures, tmp_path / name)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (
        12 * 62 - 2,
        3 * 62 - 2,
        3,
    )  # twelve rows of noisy, restored, removed, five times as large
    assert len(list((tmp_path / "folder").iterdir())) == 30
    assert np.load(tmp_path / "all.npy").shape == (30, 12, 12)


@pytest.mark.parametrize("kind", ["gallery", "station", "crowd"])
def test_every_kind_draws(kind: str, request: pytest.FixtureRequest) -> None:
    space = request.getfixturevalue(kind)
    data = {"gallery": with_noise(squares(40)), "station": recording(with_noise(wave(2000), 16.0))}
    result = denoise(space, data.get(kind, people(60)[0]))
    assert set(result.figures) == {"denoised", "candidates"}
    for draw in result.figures.values():
        draw().canvas.draw()


def test_gains_that_cannot_be_told() -> None:
    assert decibels(40.0, 7.1, 40.0) == "above +7.10"


# the report's section


@pytest.mark.slow
def test_the_space_says_what_its_reconstruction_takes_off(gallery: Space, tmp_path: Path) -> None:
    found = gallery.figures["noise"]
    ours, theirs = (row["gain"] for row in found["rows"])
    assert found["n"] == 140 and ours["low"] <= ours["value"] <= ours["high"]
    assert found["verdict"] in gallery.figures["verdict"]
    wins = "Shrinkage takes off more" in found["verdict"]
    assert wins == (theirs["low"] > ours["high"]) or abs(ours["value"] - theirs["value"]) < 1.5
    page = report(gallery, out=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "Noise</h2>" in text and "singular-value shrinkage" in text
    assert any(title.startswith("Taking off noise") for title in page.tables)


def test_a_space_without_noise_says_so_in_a_sentence() -> None:
    space = fit(people()[1], latent_dim=3, epochs=1, held_out=0.2, report=False)
    found = space.figures["noise"]
    assert "rows" not in found and found["words"]
    assert not any("dB" in sentence for sentence in space.figures["verdict"])


# bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"noise": -1}, "noise must be 'auto' or a number of at least 0, not -1."),
        ({"noise": "much"}, "noise must be 'auto' or a number of at least 0, not 'much'."),
        ({"kind": "gausian"}, "(did you mean 'gaussian'?)"),
        ({"kind": "salt-and-pepper"}, "is for pictures"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"clen": 1}, "did you mean 'clean'?"),
        ({"out": "calm.png"}, "it can be .csv, .parquet, .npy."),
        ({"out": "calm"}, "no extension"),
    ],
)
def test_bad_options(
    crowd: Space, options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError) as failure:
        denoise(crowd, people(60)[0], **options)
    assert words in str(failure.value) and not list(tmp_path.iterdir())


def test_another_schema_and_no_items(crowd: Space, tmp_path: Path) -> None:
    gaps, _ = people(40)
    with pytest.raises(DataError, match="no column 'c3'"):
        denoise(crowd, gaps.drop(columns="c3"), tmp_path / "out.csv")
    with pytest.raises(DataError):
        denoise(crowd, gaps.iloc[:0], tmp_path / "out.csv")
    assert not list(tmp_path.iterdir())


def test_the_command(crowd: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "whole.csv"
    people(120)[0].to_csv(rows, index=False)
    assert main(["denoise", str(crowd.path), str(rows), "--out", str(out), "--kind", "missing"]) == 0
    printed = capsys.readouterr().out
    assert "gaps were filled in" in printed and "leaving alone" in printed and f"Written: {out}" in printed
    assert main(["denoise", str(crowd.path), str(rows), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["items"] == 120 and told["candidates"] and told["gaps_filled"] > 0


@pytest.mark.parametrize(
    "options",
    [
        ["--kind", "rain"],
        ["--noise", "-2"],
        ["--out", "x.docx"],
        ["--seed", "one"],
        ["--clean", "absent.csv"],
    ],
)
def test_the_command_refuses(
    crowd: Space, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    people(40)[0].to_csv(rows, index=False)
    assert main(["denoise", str(crowd.path), str(rows), *options]) == 2
    said = capsys.readouterr()
    assert not said.out and len(said.err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]
