"""Items as latents: written and read through the interface of the codec of latents, measured, labelled, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from latentspace import Space, fit
from latentspace.archive import items as stored
from latentspace.archive.reading import Archive
from latentspace.cli import main
from latentspace.errors import OptionError, SpaceError
from latentspace.jobs.compress import compress
from latentspace.jobs.decompress import decompress


class FakeLatents:
    """Stores the items as 16-bit floats of `digits` binary places fewer."""

    def __init__(self, shape: tuple[int, ...], step: float, refer: bool, mark: str) -> None:
        self.shape, self.step, self.refer, self.mark = shape, step, refer, mark

    @classmethod
    def fit(
        cls, space: Any, x: Any, observed: Any, *, psnr: float, refer: bool, seed: int, tell: Any
    ) -> FakeLatents:
        assert x.dtype == np.float32
        step = float(np.ptp(x)) / 10 ** (psnr / 20) * 12**0.5
        return cls(x.shape[1:], step, refer, str(space.card["settings"]["latent_dim"]))

    def encode(self, x: Any, observed: Any = None) -> bytes:
        return np.rint(x / self.step).astype(np.int16).tobytes()

    def decode(self, data: bytes, n: int) -> Any:
        return np.frombuffer(data, np.int16).reshape(n, *self.shape).astype(np.float32) * np.float32(
            self.step
        )

    def to_bytes(self) -> bytes:
        return json.dumps([self.shape, self.step, self.refer, self.mark]).encode()

    @classmethod
    def from_bytes(cls, data: bytes, space: Any = None) -> FakeLatents:
        shape, step, refer, mark = json.loads(data)
        if refer and str(space.card["settings"]["latent_dim"]) != mark:
            raise SpaceError("This is another space than the one that the file refers to.")
        return cls(tuple(shape), step, refer, mark)


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_member", lambda: FakeLatents)
    monkeypatch.setattr(stored, "BLOCK", 30)


def bars(n: int = 80) -> np.ndarray:
    pictures = np.random.default_rng(0).integers(0, 30, (n, 12, 12), np.uint8)
    for picture, row in zip(pictures, np.arange(n) % 10, strict=True):
        picture[row : row + 3] = 255
    return pictures


@pytest.fixture(scope="module")
def space() -> Space:
    return fit(bars(), latent_dim=2, epochs=1)


@pytest.fixture(scope="module")
def rows() -> Space:
    return fit(frame(), latent_dim=2, epochs=1, labels=("kind",))


def frame(n: int = 100) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(n, 4))
    return pd.DataFrame(x, columns=list("abcd")).assign(kind=np.where(x[:, 0] > 0, "up", "down"))


@pytest.mark.parametrize("psnr", [20, 35])
def test_pictures_come_back_at_what_is_said(space: Space, tmp_path: Path, psnr: float) -> None:
    made = compress(bars(), tmp_path / "a.lsz", quality=psnr, space=space)
    back = made.value.read()
    assert back.dtype == np.uint8 and back.shape == (80, 12, 12)
    rmse = np.sqrt(((back.astype(float) - bars()) ** 2).mean())
    assert made.data["rmse"] == pytest.approx(rmse)
    assert made.data["psnr"] == pytest.approx(20 * np.log10(255 / rmse)) and abs(made.data["psnr"] - psnr) < 2
    assert np.array_equal(made.value[25:65], back[25:65])
    size = (tmp_path / "a.lsz").stat().st_size
    assert made.data["bytes"] == size > made.data["bytes_latents"] + made.data["bytes_network"]
    assert made.data["bits_per_value"] == pytest.approx(8 * size / bars().size)
    assert made.figures["restored"]().axes


def test_reading_needs_no_space_unless_it_refers_to_one(space: Space, rows: Space, tmp_path: Path) -> None:
    space.save(tmp_path / "s.space")
    path = tmp_path / "a.lsz"
    first = compress(bars(), path, quality=30, space=space).value.read()
    assert np.array_equal(Archive(path).read(), first)
    compress(bars(), path, quality=30, space=tmp_path / "s.space", refer=True)
    assert np.array_equal(Archive(path, space).read(), first)
    assert decompress(path, tmp_path / "b.npy", space=tmp_path / "s.space").files == [tmp_path / "b.npy"]
    with pytest.raises(OptionError, match=r"refers to the space .* --space"):
        Archive(path).read()
    other = fit(bars(), latent_dim=3, epochs=1)
    with pytest.raises(SpaceError, match="another space"):
        Archive(path, other).read()


def test_labels_and_ids_are_exact(rows: Space, tmp_path: Path) -> None:
    data = frame().set_index(pd.Index([f"row {i}" for i in range(100)], name="id")).reset_index()
    made = compress(data.drop(columns="id"), tmp_path / "a.lsz", quality=40, space=rows)
    ids, labels = made.value.labelled(slice(10, 50))
    assert labels["kind"].tolist() == frame().kind[10:50].tolist() and len(ids) == 40
    assert decompress(tmp_path / "a.lsz", tmp_path / "b.csv", rows="10:50").data["rows"] == 40
    back = pd.read_csv(tmp_path / "b.csv")
    assert back.kind.tolist() == frame().kind[10:50].tolist()
    assert np.abs(back[list("abcd")].to_numpy() - frame()[list("abcd")][10:50].to_numpy()).max() < 0.2


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
    assert main([*given, "--quality", "25"]) == 0
    out = capsys.readouterr().out
    assert "80 items of x.npy" in out and "dB (RMSE" in out and "network" in out
    assert main(["decompress", str(tmp_path / "a.lsz")]) == 0
    assert "80 items of x.npy, as latents, 2" in capsys.readouterr().out
    assert main(["decompress", str(tmp_path / "a.lsz"), str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 80
    assert main(["decompress", str(tmp_path / "a.lsz"), str(tmp_path / "x.csv")]) == 2
    assert main([*given[:3], "--space", "none.space", "--quality", "25"]) == 2
    assert "There is no space at none.space" in capsys.readouterr().err
