"""compress and decompress as commands: what they say is true, and what is wrong is one sentence."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import latentspace
from latentspace.archive import packing
from latentspace.cli import main
from latentspace.errors import OptionError
from latentspace.jobs.compress import compress
from latentspace.jobs.decompress import decompress


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_learn", lambda given, how: None)


def table(n: int = 600) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "price": np.round(rng.lognormal(5, 1, n), 2),
            "rooms": pa.array([None if i % 9 == 0 else i % 7 for i in range(n)], pa.int8()),
            "town": np.array(["Bern", "Genève", "Zürich"])[rng.integers(0, 3, n)],
            "note": [f"no. {i}, “quoted”\nand more" for i in range(n)],
        }
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    pq.write_table(table(), tmp_path / "t.parquet")
    pa.csv.write_csv(table(), tmp_path / "t.csv")
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "a.npz",
        X=rng.normal(size=(200, 70)).astype(np.float32),
        y=np.arange(200),
        fs=np.array(360),
    )
    np.save(tmp_path / "b.npy", np.sin(np.arange(9000) / 40))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *tokens: Any) -> tuple[int, str, str]:
    code = main([str(t) for t in tokens])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_table_there_and_back_by_the_commands(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "compress", files / "t.parquet", files / "t.lsz")
    assert code == 0 and not err and "bits a value" in out and "t.parquet" in out and "zstd" in out
    code, out, _ = said(capsys, "decompress", files / "t.lsz")
    assert code == 0 and "600 rows of t.parquet, bit for bit" in out and "rooms" in out and "int8" in out
    for ending in ("parquet", "csv"):
        code, out, _ = said(capsys, "decompress", files / "t.lsz", files / f"u.{ending}")
        assert code == 0 and f"Written: {files / f'u.{ending}'}" in out
    assert pq.read_table(files / "u.parquet").equals(table())
    assert pa.csv.read_csv(
        files / "u.csv", parse_options=pa.csv.ParseOptions(newlines_in_values=True)
    ).equals(pa.csv.read_csv(files / "t.csv", parse_options=pa.csv.ParseOptions(newlines_in_values=True)))
    assert said(capsys, "decompress", files / "t.lsz", files / "v.parquet", "--rows", "100:130")[0] == 0
    assert pq.read_table(files / "v.parquet").equals(table().slice(100, 30))


def test_a_csv_comes_back_as_the_table_that_it_holds(files: Path) -> None:
    found = compress(files / "t.csv", files / "t.lsz", level="fast").value.read()
    assert found["price"].to_pylist() == table()["price"].to_pylist()
    assert found["note"].to_pylist() == table()["note"].to_pylist()


def test_arrays_there_and_back(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "compress", files / "a.npz", files / "a.lsz", "--level", "fast")[0] == 0
    assert said(capsys, "decompress", files / "a.lsz", files / "c.npz")[0] == 0
    with np.load(files / "a.npz") as a, np.load(files / "c.npz") as c:
        assert a.files == c.files
        assert all(
            a[k].tobytes() == c[k].tobytes() and a[k].dtype == c[k].dtype and a[k].shape == c[k].shape
            for k in a.files
        )
    assert said(capsys, "decompress", files / "a.lsz", files / "d.npz", "--rows", "5:")[0] == 0
    with np.load(files / "d.npz") as d:
        assert d["X"].shape == (195, 70) and d["y"][0] == 5 and d["fs"] == 360
    compress(files / "b.npy", files / "b.lsz")
    decompress(files / "b.lsz", files / "e.npy", rows="10:4000")
    assert np.load(files / "e.npy").tobytes() == np.load(files / "b.npy")[10:4000].tobytes()


def test_the_numbers_said_are_those_of_the_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "compress", files / "b.npy", files / "b.lsz", "--max-error", "0.1%", "--json")
    made = json.loads(out)
    size = (files / "b.lsz").stat().st_size
    assert code == 0 and made["bytes"] == size and made["bits_per_value"] == pytest.approx(8 * size / 9000)
    assert made["bytes_in_memory"] == 72000 and made["ratio"] == pytest.approx(72000 / size)
    assert {"zstd", "xz", "pcodec"} <= set(made["others"]) and size <= min(made["others"].values())
    x, back = np.load(files / "b.npy"), latentspace.Archive(files / "b.lsz").read()
    errors = made["errors"]["X"]
    assert errors["largest"] == pytest.approx(np.abs(back - x).max())
    assert errors["largest"] <= errors["bound"] <= 0.002
    assert errors["rmse"] == pytest.approx(np.sqrt(((back - x) ** 2).mean()))


def test_the_pictures_are_drawn(files: Path) -> None:
    found = compress(files / "b.npy", files / "b.lsz", max_error="1%")
    assert set(found.figures) == {"sizes", "errors"}
    sizes = found.figures["sizes"]().axes[0]
    bits = [bar.get_width() for bar in sizes.patches]
    assert bits[0] == pytest.approx(found.data["bits_per_value"]) and len(bits) == 1 + len(
        found.data["others"]
    )
    assert found.figures["errors"]().axes[0].get_xlabel().startswith("error")
    assert set(compress(files / "b.npy", files / "b.lsz").figures) == {"sizes"}


def test_in_python(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": np.arange(50) / 8, "c": ["a", "b"] * 25})
    found = latentspace.compress(frame, tmp_path / "f.lsz", max_error={"x": 0.5})
    back = found.value.read()
    assert isinstance(back, pd.DataFrame) and 0 < (back.x - frame.x).abs().max() <= 0.5
    assert back.c.tolist() == frame.c.tolist()
    assert len(latentspace.Archive(tmp_path / "f.lsz")[10:20]) == 10


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["nowhere.csv", "x.lsz"], "There is no file or folder 'nowhere.csv'"),
        (["t.parquet", "x.zip"], "an archive ends in .lsz"),
        (["t.parquet", "x"], "an archive ends in .lsz"),
        (["t.parquet", "no/x.lsz"], "There is no folder no"),
        (["t.parquet", "x.lsz", "--max-error", "much"], "max_error must be a number above 0"),
        (["t.parquet", "x.lsz", "--max-error", "town=1"], "'town' of t.parquet is not numbers"),
        (["t.parquet", "x.lsz", "--max-error", "prize=1"], "did you mean 'price'"),
        (["t.parquet", "x.lsz", "--level", "best"], "level must be 'fast' or 'default' or 'max'"),
        (["t.parquet", "x.lsz", "--quality", "20"], "needs a space"),
        (["t.parquet", "x.lsz", "--quality", "-1", "--space", "s"], "quality must be a number above 0"),
        (["t.parquet", "x.lsz", "--refer"], "refer goes with quality"),
        (["t.parquet", "x.lsz", "--space", "s.space"], "space goes with quality"),
        (["t.parquet", "x.lsz", "--lossless", "--max-error", "1"], "only one can be asked for"),
        (["t.parquet", "x.lsz", "--seed", "-1"], "seed must be a whole number"),
        (["broken.parquet", "x.lsz"], "broken.parquet"),
        (["sound.wav", "x.lsz"], "is a sound"),
        (["object.npy", "x.lsz"], "Python objects"),
        (["other.zip", "x.lsz"], "none of arrays"),
        (["old.lsz", "x.lsz"], "is an archive already"),
        (["folder", "x.lsz"], "holds no picture"),
    ],
)
def test_what_is_wrong_with_compress(
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tokens: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(files)
    (files / "broken.parquet").write_bytes((files / "t.parquet").read_bytes()[:900])
    (files / "sound.wav").write_bytes(b"RIFF")
    np.save(files / "object.npy", np.array([{}, 1], object), allow_pickle=True)
    (files / "folder").mkdir()
    with zipfile.ZipFile(files / "other.zip", "w") as other:
        other.writestr("a.txt", "text")
    (files / "old.lsz").write_bytes((files / "other.zip").read_bytes())
    before = sorted(p.name for p in files.iterdir())
    code, out, err = said(capsys, "compress", *tokens)
    assert code == 2 and not out and words in err and err.count("\n") == 1
    assert sorted(p.name for p in files.iterdir()) == before


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["nowhere.lsz"], "There is no file nowhere.lsz"),
        (["t.parquet"], "archives are written by"),
        (["t.lsz", "x.npy"], "holds a table, which can be written as .csv or .parquet"),
        (["t.lsz", "x"], "holds a table"),
        (["a.lsz", "x.csv"], "holds arrays, which can be written as .npy or .npz"),
        (["a.lsz", "x.npy"], "several arrays ('X', 'y', 'fs')"),
        (["t.lsz", "x.csv", "--rows", "5"], "rows must be two row numbers"),
        (["t.lsz", "x.csv", "--rows", "5:9000"], "not within the 600 rows"),
        (["t.lsz", "x.csv", "--rows", "9:9"], "not within"),
        (["t.lsz", "t.lsz"], "is the archive itself"),
        (["t.lsz", "no/x.csv"], "There is no folder no"),
        (["nested.lsz", "x.csv"], "cannot hold the column 'l'"),
    ],
)
def test_what_is_wrong_with_decompress(
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tokens: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(files)
    compress(files / "t.parquet", files / "t.lsz", level="fast")
    compress(files / "a.npz", files / "a.lsz", level="fast")
    compress(pa.table({"l": [[1], [2, 3]]}), files / "nested.lsz", level="fast")
    before = {p.name: p.read_bytes() for p in files.iterdir()}
    code, out, err = said(capsys, "decompress", *tokens)
    assert code == 2 and not out and words in err and err.count("\n") == 1
    assert {p.name: p.read_bytes() for p in files.iterdir()} == before


def test_the_data_are_not_overwritten(files: Path) -> None:
    compress(files / "t.parquet", files / "t.lsz", level="fast")
    with pytest.raises(OptionError, match="is the data itself"):
        compress(files / "t.lsz", files / "t.lsz")
