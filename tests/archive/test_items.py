"""Items as latents: written, read, measured, labelled, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentspace import Space, fit
from latentspace.archive import items as stored
from latentspace.archive import latent_fitting
from latentspace.archive.reading import Archive
from latentspace.cli import main
from latentspace.errors import OptionError
from latentspace.jobs.compress import compress
from latentspace.jobs.decompress import decompress


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, and no more training than these few pictures need."""
    monkeypatch.setattr(stored, "BLOCK", 30)
    monkeypatch.setattr(latent_fitting, "LEAST", 200)
    monkeypatch.setattr(latent_fitting, "MOST", 200)


def bars(n: int = 80) -> np.ndarray:
    pictures = np.random.default_rng(0).integers(0, 30, (n, 12, 12), np.uint8)
    for picture, row in zip(pictures, np.arange(n) % 10, strict=True):
        picture[row : row + 3] = 255
    return pictures


@pytest.fixture(scope="module")
def space() -> Space:
    return fit(bars(), latent_dim=12, epochs=1)


@pytest.fixture(scope="module")
def rows() -> Space:
    return fit(frame(), latent_dim=4, epochs=1, labels=("kind",))


def frame(n: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(n, 4))
    return pd.DataFrame(x, columns=list("abcd")).assign(kind=np.where(x[:, 0] > 0, "up", "down"))


@pytest.mark.parametrize("psnr", [15, 18])
def test_pictures_come_back_at_what_is_said(space: Space, tmp_path: Path, psnr: float) -> None:
    made = compress(bars(), tmp_path / "a.lsz", quality=psnr, space=space)
    back = made.value.read()
    assert back.dtype == np.uint8 and back.shape == (80, 12, 12)
    rmse = np.sqrt(((back.astype(float) - bars()) ** 2).mean())
    assert made.data["rmse"] == pytest.approx(rmse)
    assert (
        made.data["psnr"] == pytest.approx(20 * np.log10(255 / rmse)) and abs(made.data["psnr"] - psnr) < 0.3
    )
    assert np.array_equal(made.value[25:65], back[25:65])
    size = (tmp_path / "a.lsz").stat().st_size
    assert made.data["bytes"] == size > made.data["bytes_latents"] + made.data["bytes_network"]
    assert made.data["bits_per_value"] == pytest.approx(8 * size / bars().size)
    assert made.figures["restored"]().axes


def test_reading_needs_no_space_unless_it_refers_to_one(space: Space, rows: Space, tmp_path: Path) -> None:
    space.save(tmp_path / "s.space")
    path = tmp_path / "a.lsz"
    first = compress(bars(), path, quality=16, space=space).value.read()
    assert np.array_equal(Archive(path).read(), first)
    there = compress(bars(), path, quality=16, space=tmp_path / "s.space", refer=True).value.read()
    assert np.array_equal(Archive(path, space).read(), there)
    assert -20 * np.log10(np.sqrt(((there.astype(float) - bars()) ** 2).mean()) / 255) >= 15.95
    assert decompress(path, tmp_path / "b.npy", space=tmp_path / "s.space").files == [tmp_path / "b.npy"]
    with pytest.raises(OptionError, match=r"refers to the space .* --space"):
        Archive(path).read()
    other = fit(bars(), latent_dim=11, epochs=1)
    with pytest.raises(OptionError, match="another space"):
        Archive(path, other).read()


def test_labels_and_ids_are_exact(rows: Space, tmp_path: Path) -> None:
    data = frame().set_index(pd.Index([f"row {i}" for i in range(100)], name="id")).reset_index()
    made = compress(data.drop(columns="id"), tmp_path / "a.lsz", quality=30, space=rows)
    ids, labels = made.value.labelled(slice(10, 50))
    assert labels["kind"].tolist() == frame().kind[10:50].tolist() and len(ids) == 40
    assert decompress(tmp_path / "a.lsz", tmp_path / "b.csv", rows="10:50").data["rows"] == 40
    back = pd.read_csv(tmp_path / "b.csv")
    assert back.kind.tolist() == frame().kind[10:50].tolist()
    away = back[list("abcd")].to_numpy() - frame()[list("abcd")][10:50].to_numpy()
    assert np.sqrt((away**2).mean()) < 0.2


def test_the_commands(space: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space.save(tmp_path / "s.space")
    np.save(tmp_path / "x.npy", bars())
    given = [
        "compress",
        str(tmp_path / "x.npy"),
        str(tmp_path / "a.lsz"),
        "--space",
        str(tmp_path / "s.space"),
    ]
    assert main([*given, "--quality", "16"]) == 0
    out = capsys.readouterr().out
    assert "80 items of x.npy" in out and "dB (RMSE" in out and "network" in out
    assert main(["decompress", str(tmp_path / "a.lsz")]) == 0
    assert "80 items of x.npy, as latents, 16" in capsys.readouterr().out
    assert main(["decompress", str(tmp_path / "a.lsz"), str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 80
    assert main(["decompress", str(tmp_path / "a.lsz"), str(tmp_path / "x.csv")]) == 2
    assert main([*given[:3], "--space", "none.space", "--quality", "16"]) == 2
    assert "There is no space at none.space" in capsys.readouterr().err


def test_text_categories_and_dates_of_a_table_are_exact(tmp_path: Path) -> None:
    data = frame(300)
    data["name"] = [f"item {i}" for i in range(300)]
    data["day"] = pd.date_range("2024-01-01", periods=300, freq="D")
    data["sort"] = pd.Categorical(np.where(np.arange(300) % 7 == 0, None, np.where(data.a > 0, "x", "y")))
    space = fit(data, latent_dim=4, epochs=1)
    made = compress(data, tmp_path / "a.lsz", quality=25, space=space)
    back = Archive(tmp_path / "a.lsz").read()
    assert list(back.columns) == list(data.columns)
    for name in ("kind", "name", "day"):
        assert back[name].tolist() == data[name].tolist()
    assert (
        back["sort"].astype(object).fillna("gap").tolist()
        == data["sort"].astype(object).fillna("gap").tolist()
    )
    share = (back[list("abcd")] - data[list("abcd")]) / (data[list("abcd")].max() - data[list("abcd")].min())
    assert -10 * np.log10((share.to_numpy() ** 2).mean()) == pytest.approx(made.data["psnr"], abs=0.05)
    assert made.data["psnr"] >= 25 and "come back exactly" in made.summary
