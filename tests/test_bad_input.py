"""A table of bad input: each ends in one clear sentence, exit code 2, and nothing half written."""

from __future__ import annotations

import json
import os
import shutil
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from latentspace.cli import main

ROWS = np.random.default_rng(0).normal(size=(60, 3))


def csv(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def numbers(n: int = 60) -> list[str]:
    return [",".join(f"{v:.4f}" for v in row) for row in ROWS[:n]]


def with_cell(row: int, text: str) -> list[str]:
    rows = numbers()
    rows[row] = text
    return rows


def picture(path: Path, size: tuple[int, int]) -> Path:
    Pillow.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0]), np.uint8)).save(path)
    return path


def wav(path: Path, frames: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000)
        file.writeframes(struct.pack(f"<{frames}h", *([0] * frames)))
    return path


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def saved(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def truncated_parquet(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": np.arange(100.0)}), folder / "t.parquet")
    return raw(folder / "cut.parquet", (folder / "t.parquet").read_bytes()[:-40])


#: name: (what to fit, words that the sentence must hold)
FITS = {
    "no such file": (lambda d: d / "nothing.csv", ["nothing.csv"]),
    "empty file": (lambda d: raw(d / "empty.csv", b""), ["empty.csv", "empty"]),
    "header only": (lambda d: csv(d / "head.csv", "a,b,c", []), ["head.csv", "row"]),
    "one row": (lambda d: csv(d / "one.csv", "a,b,c", ["1.5,2.5,3.5"]), ["1"]),
    "constant data": (lambda d: csv(d / "same.csv", "a,b", ["1.5,2.5"] * 30), ["constant"]),
    "only empty columns": (lambda d: csv(d / "gaps.csv", "a,b", ["NA,NA"] * 30), ["empty|missing"]),
    "infinity": (lambda d: csv(d / "inf.csv", "a,b,c", with_cell(17, "1,inf,3")), ["'b'", "17"]),
    "ragged rows": (lambda d: csv(d / "ragged.csv", "a,b,c", with_cell(5, "1,2,3,4,5")), ["ragged.csv", "7"]),
    "duplicate names": (lambda d: csv(d / "twice.csv", "a,a,b", numbers()), ["twice.csv", "'a'"]),
    "binary as csv": (lambda d: raw(d / "x.csv", bytes(range(256)) * 20), ["x.csv"]),
    "png as csv": (lambda d: shutil.copy(picture(d / "p.png", (9, 9)), d / "p.csv"), ["p.csv"]),
    "text as npz": (lambda d: raw(d / "x.npz", b"hello"), ["x.npz"]),
    "text as parquet": (lambda d: raw(d / "x.parquet", b"hello there"), ["x.parquet"]),
    "truncated parquet": (truncated_parquet, ["cut.parquet"]),
    "objects in npz": (
        lambda d: saved(d / "o.npz", X=np.array([{"a": 1}, None], dtype=object)),
        ["o.npz", "object|pickle"],
    ),
    "no array of items": (lambda d: saved(d / "z.npz", a=np.array(3)), ["z.npz"]),
    "empty array": (lambda d: saved(d / "e.npz", X=np.zeros((0, 4))), ["e.npz"]),
    "five axes": (lambda d: saved(d / "5.npz", X=np.zeros((2, 2, 2, 2, 2))), ["axes|array"]),
    "infinite pixels": (
        lambda d: saved(d / "inf.npz", X=np.full((5, 9, 9), np.inf)),
        ["infinite"],
    ),
    "empty folder": (lambda d: (d / "hollow").mkdir() or d / "hollow", ["hollow", "picture"]),
    "unreadable pictures": (
        lambda d: raw(d / "a.png", b"not a picture").parent,
        ["a.png", "read"],
    ),
    "one-pixel picture": (lambda d: picture(d / "dot.png", (1, 1)), ["dot.png|small|pixel"]),
    "one picture": (lambda d: picture(d / "only.png", (16, 16)), ["1 item|at least 2"]),
    "wav without samples": (lambda d: wav(d / "silent.wav", 0), ["silent.wav"]),
    "wav that is none": (lambda d: raw(d / "x.wav", b"RIFFnothing"), ["x.wav"]),
    "wrong extension": (lambda d: raw(d / "x.xyz", b"1,2,3"), [r"\.xyz"]),
    "duplicate ids": (
        lambda d: csv(
            d / "ids.csv", "id,b,c", [f"{i // 2},{r[0]:.3f},{r[1]:.3f}" for i, r in enumerate(ROWS)]
        ),
        ["id", "once|twice|duplicate"],
        ["--id-column", "id"],
    ),
    "no such label": (
        lambda d: csv(d / "l.csv", "price,b,c", numbers()),
        ["did you mean 'price'"],
        ["--labels", "prise"],
    ),
    "no such modality": (
        lambda d: csv(d / "m.csv", "a,b,c", numbers()),
        ["did you mean 'table'"],
        ["--modality", "tabel"],
    ),
    "too many latents": (
        lambda d: csv(d / "k.csv", "a,b,c", numbers()),
        ["latent_dim", "3"],
        ["--latent-dim", "9"],
    ),
    "option out of range": (
        lambda d: csv(d / "r.csv", "a,b,c", numbers()),
        ["held.out", "0.5"],
        ["--held-out", "0.9"],
    ),
    "option of another kind": (
        lambda d: csv(d / "r.csv", "a,b,c", numbers()),
        ["epochs", "whole number|integer"],
        ["--epochs", "many"],
    ),
    "unknown option": (
        lambda d: csv(d / "r.csv", "a,b,c", numbers()),
        ["latent-dims"],
        ["--latent-dims", "2"],
    ),
}


def refused(capsys: pytest.CaptureFixture[str], *tokens: str) -> str:
    """The one sentence that a command ends with."""
    import re

    code = main(list(tokens))
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line and not line.startswith("Note: ")]
    assert code == 2, (code, out, err)
    assert len(lines) == 1, err
    assert not re.search('Traceback|Unexpected|File "', err), err
    assert 15 < len(lines[0]) < 600
    return lines[0]


@pytest.mark.parametrize("name", FITS)
def test_fit_refuses(name, tmp_path, capsys):
    import re

    make, words, *options = FITS[name]
    (tmp_path / "in").mkdir()
    data = make(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    said = refused(capsys, "fit", str(data), str(tmp_path / "out.space"), *(options[0] if options else []))
    for word in words:
        assert re.search(word, said, re.IGNORECASE), (word, said)
    assert sorted(tmp_path.rglob("*")) == before


def test_huge_numbers_do_not_overflow(tmp_path, capsys):
    data = csv(tmp_path / "huge.csv", "a,b,c", with_cell(3, "1e30,2,3"))
    out = tmp_path / "huge.space"
    assert main(["fit", str(data), str(out), "--epochs", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "nan" not in json.dumps(told).lower() and "infinity" not in json.dumps(told).lower()


def test_no_permission(tmp_path, capsys, monkeypatch):
    data = csv(tmp_path / "mine.csv", "a,b,c", numbers())
    data.chmod(0)
    if os.access(data, os.R_OK):  # root reads everything: let the system say no
        real = open

        def no(path, *args, **kwargs):
            if str(path) == str(data):
                raise PermissionError(13, "Permission denied", str(data))
            return real(path, *args, **kwargs)

        monkeypatch.setattr("builtins.open", no)
        monkeypatch.setattr("pathlib.Path.open", lambda self, *a, **k: no(self, *a, **k))
    said = refused(capsys, "fit", str(data), str(tmp_path / "out.space"))
    assert "mine.csv" in said


def test_a_full_disk_leaves_nothing(tmp_path, capsys, monkeypatch):
    data = csv(tmp_path / "rows.csv", "a,b,c", numbers())
    before = sorted(tmp_path.rglob("*"))

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr("pathlib.Path.write_text", full)
    said = refused(capsys, "fit", str(data), str(tmp_path / "out.space"), "--epochs", "1")
    assert "disk is full" in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    csv(folder / "rows.csv", "a,b,c", numbers())
    assert (
        main(
            [
                "fit",
                str(folder / "rows.csv"),
                str(folder / "rows.space"),
                "--epochs",
                "1",
                "--latent-dim",
                "2",
            ]
        )
        == 0
    )
    return folder / "rows.space"


def newer(folder: Path) -> None:
    card = json.loads((folder / "space.json").read_text())
    (folder / "space.json").write_text(json.dumps({**card, "format": 99}))


def cut(name: str, keep: int):
    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return damage


def changed(folder: Path) -> None:
    content = bytearray((folder / "network.safetensors").read_bytes())
    content[-3] ^= 255
    (folder / "network.safetensors").write_bytes(content)


DAMAGE = {
    "newer version": (newer, ["format 99", "upgrade"]),
    "truncated weights": (cut("network.safetensors", 500), ["network.safetensors", "damaged"]),
    "truncated latents": (cut("latents.parquet", 100), ["latents.parquet", "damaged"]),
    "truncated card": (cut("space.json", 200), ["space.json", "damaged"]),
    "changed weights": (changed, ["network.safetensors", "changed"]),
    "missing weights": (lambda f: (f / "network.safetensors").unlink(), ["network.safetensors", "missing"]),
    "not a space": (lambda f: (f / "space.json").unlink(), ["not a space"]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_space(name, space, tmp_path, capsys):
    damage, words = DAMAGE[name]
    shutil.copytree(space, tmp_path / "bad.space")
    damage(tmp_path / "bad.space")
    said = refused(capsys, "info", str(tmp_path / "bad.space"))
    assert all(word in said for word in words), said


LATER = {
    "no such space": (lambda d: ("encode", str(d / "rws.space"), str(d / "rows.csv")), ["rws.space"]),
    "column missing": (
        lambda d: ("encode", "SPACE", str(csv(d / "two.csv", "a,b", ["1.5,2.5"] * 5))),
        ["'c'"],
    ),
    "text where numbers were": (
        lambda d: ("encode", "SPACE", str(csv(d / "text.csv", "a,b,c", with_cell(4, "1,many,2")))),
        ["'b'", "many", "4"],
    ),
    "pictures for a table": (
        lambda d: ("encode", "SPACE", str(saved(d / "p.npz", X=np.zeros((3, 9, 9), np.uint8)))),
        [],
    ),
    "latents of another width": (
        lambda d: ("decode", "SPACE", str(csv(d / "z.csv", "z0,z1,z2", numbers(4)))),
        ["2"],
    ),
    "unknown output": (
        lambda d: (
            "encode",
            "SPACE",
            str(csv(d / "rows.csv", "a,b,c", numbers())),
            "--out",
            str(d / "z.xlsx"),
        ),
        ["xlsx", "csv", "parquet"],
    ),
    "output folder missing": (
        lambda d: (
            "encode",
            "SPACE",
            str(csv(d / "rows.csv", "a,b,c", numbers())),
            "--out",
            str(d / "no" / "z.csv"),
        ),
        ["no"],
    ),
}


@pytest.mark.parametrize("name", LATER)
def test_later_data(name, space, tmp_path, capsys):
    make, words = LATER[name]
    tokens = [str(space) if token == "SPACE" else token for token in make(tmp_path)]
    before = sorted(tmp_path.rglob("*"))
    said = refused(capsys, *tokens)
    assert all(word in said for word in words), said
    assert sorted(tmp_path.rglob("*")) == before


def test_an_existing_space_is_not_replaced_unasked(space, capsys):
    said = refused(capsys, "fit", str(space.parent / "rows.csv"), str(space))
    assert "is there already" in said
    assert main(["info", str(space)]) == 0
