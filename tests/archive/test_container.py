"""The file: written whole or not at all, and one sentence for whatever is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from latentspace.archive import checks, packing
from latentspace.archive.contents import content_of
from latentspace.archive.reading import Archive
from latentspace.archive.writing import write
from latentspace.errors import DataError, OptionError


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_learn", lambda given, how: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    table = pa.table(
        {"x": rng.normal(size=500), "t": [f"text {i}" for i in range(500)], "n": rng.integers(0, 9, 500)}
    )
    write(content_of(table), tmp_path / "a.lsz", block=900)
    return tmp_path / "a.lsz"


def test_it_is_a_zip_whose_members_are_stored_with_checksums(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["blocks/0/0.bin", "blocks/0/1.bin", "archive.json"]
        card = json.loads(archive.read("archive.json"))
        assert card["latentspace"] == "archive" and card["format"] == 1 and card["sections"][0]["rows"] == 500
        streams = card["sections"][0]["blocks"][0]["streams"]
        assert sum(s[2] for s in streams) == len(archive.read("blocks/0/0.bin"))


def test_the_same_data_give_the_same_bytes(file: Path) -> None:
    first = file.read_bytes()
    table = Archive(file).read()
    write(content_of(table), file, block=900)
    assert file.read_bytes() == first


def test_every_cut_and_every_kind_of_damage_is_one_sentence(file: Path) -> None:
    whole = file.read_bytes()
    want = Archive(file).read()
    rng = np.random.default_rng(0)
    for cut in [0, 1, 3, 4, 30, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1]:
        file.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"a\.lsz") as error:
            Archive(file).read()
        assert str(error.value).count("\n") == 0
    said = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        try:
            assert Archive(file).read().equals(want)
        except DataError as error:
            assert "a.lsz" in str(error)
            said += 1
    assert said > 100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "reads up to 1: upgrade"),
        ({"format": None}, "upgrade"),
        ({"latentspace": "space"}, "something else"),
        ({"sections": 3}, "does not make sense"),
        ({"sections": []}, "does not make sense"),
        ({"schema": {}}, "does not make sense"),
        ({"content": "films"}, "does not make sense"),
    ],
)
def test_a_card_that_makes_no_sense(file: Path, change: dict[str, Any], words: str) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    card = json.loads(members["archive.json"]) | change
    members["archive.json"] = json.dumps(card).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match=words):
        Archive(file).read()


def test_files_of_another_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", x=np.arange(3))
    (tmp_path / "c.lsz").write_text("hello")
    (tmp_path / "d.lsz").write_bytes(b"")
    for name, words in (
        ("b.npz", "no archive of latentspace"),
        ("c.lsz", "no such file: archives"),
        ("d.lsz", "is empty"),
        ("e.lsz", "There is no file"),
        (".", "folder"),
    ):
        with pytest.raises(DataError, match=words):
            Archive(tmp_path / name)


def test_nothing_half_written_is_left(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    real, calls = checks.check, []

    def stop(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(packing, "check", stop)
    with pytest.raises(KeyboardInterrupt):
        write(content_of(np.arange(9000).reshape(900, 10)), file, block=900)
    assert file.read_bytes() == before and [p.name for p in file.parent.iterdir()] == ["a.lsz"]
    monkeypatch.setattr(packing, "check", real)
    for bad in (file.parent / "a.zip", file.parent / "no" / "a.lsz", file.parent):
        with pytest.raises(OptionError):
            write(content_of(np.arange(9)), bad)


def test_reading_needs_no_torch(file: Path) -> None:
    code = (
        "import sys; from latentspace.cli import main;"
        f"main(['decompress', {str(file)!r}, {str(file.parent / 'a.parquet')!r}]);"
        f"main(['decompress', {str(file)!r}]);"
        "print([m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]") and (file.parent / "a.parquet").exists()


def test_memory_is_bounded_by_the_block(tmp_path: Path) -> None:
    """80 MB of numbers are written and read with far less in memory at a time."""
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (200_000, 100))
    for start in range(0, len(x), 10000):
        x[start : start + 10000] = np.arange(start, start + 10000)[:, None] // 100
    x.flush()
    del x
    code = (
        "import resource, sys; from latentspace.cli import main;"
        "import numpy, pyarrow, zstandard, pcodec, latentspace.archive.writing, latentspace.archive.reading;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"import os; os.chdir({str(tmp_path)!r});"
        "assert main(['compress', 'x.npy', 'x.lsz', '--level', 'fast']) == 0;"
        "assert main(['decompress', 'x.lsz', 'y.npy']) == 0;"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (tmp_path / "y.npy").stat().st_size == (tmp_path / "x.npy").stat().st_size
    assert np.array_equal(
        np.load(tmp_path / "y.npy", mmap_mode="r"), np.load(tmp_path / "x.npy", mmap_mode="r")
    )
    assert float(done.stdout.split()[-1]) < 200
