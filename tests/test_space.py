"""A space on disk: whole or not there, read back exactly, and clear about whatever is wrong with it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from latentspace import Space, fit, load
from latentspace.errors import LatentspaceError, OptionError, SpaceError
from latentspace.space import atomic
from latentspace.space.atomic import whole

FILES = {
    "columns.parquet",
    "space.json",
    "network.safetensors",
    "latents.parquet",
    "evidence.safetensors",
    "scorer.safetensors",
    "map.safetensors",
    "density.safetensors",
}


def table(n: int = 120) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(n, 6))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def fitted() -> Space:
    return fit(table(), latent_dim=2, epochs=2)


@pytest.fixture
def saved(fitted: Space, tmp_path: Path) -> Path:
    fitted.labels = {"kind": np.array(["a", "b"] * 60), "id": np.arange(120)}
    return fitted.save(tmp_path / "things")


def test_a_space_comes_back_as_it_was(fitted: Space, saved: Path) -> None:
    again = load(saved)
    assert saved.name == "things.space" and {p.name for p in saved.iterdir()} == FILES
    assert np.array_equal(again.latents, fitted.latents) and again.latents.dtype == np.float32
    assert np.array_equal(again.ids, fitted.ids) and np.array_equal(again.held_out, fitted.held_out)
    assert list(again.labels) == ["kind", "id"] and again.labels["kind"].tolist() == ["a", "b"] * 60
    assert again.figures == fitted.figures and again.card == fitted.card
    x = table()
    assert np.array_equal(again.encode(x), fitted.encode(x))
    assert np.array_equal(again.reconstruct(x), fitted.reconstruct(x))
    assert np.allclose(fitted.encode(x), fitted.latents, atol=1e-5)
    assert fitted.map is not None and again.map is not None
    assert np.array_equal(again.map.place(again.latents), fitted.map.place(fitted.latents))


def test_nothing_stored_is_executable(saved: Path) -> None:
    for file in saved.iterdir():
        assert b"pickle" not in file.read_bytes() and file.suffix in {".json", ".safetensors", ".parquet"}


def test_gaps_and_mixed_labels_survive(fitted: Space, tmp_path: Path) -> None:
    fitted.labels = {"mixed": np.array(["a", None, 3] * 40, dtype=object)}
    again = load(fitted.save(tmp_path / "a.space"))
    assert again.labels["mixed"][:3].tolist() == ["a", None, "3"]


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_one_half_works_alone(fitted: Space, saved: Path, part: str) -> None:
    half = load(saved, part=part)  # type: ignore[arg-type]
    x = table()
    if part == "encoder":
        assert np.array_equal(half.encode(x), fitted.encode(x))
        with pytest.raises(SpaceError, match="Only the encoder of this space was loaded"):
            half.decode(fitted.latents)
    else:
        assert np.array_equal(half.decode(fitted.latents), fitted.decode(fitted.latents))
        with pytest.raises(SpaceError, match="load it whole to encode"):
            half.encode(x)
    with pytest.raises(SpaceError, match="load it whole to save"):
        half.save(saved)


def test_latents_to_decode_must_fit(fitted: Space) -> None:
    with pytest.raises(SpaceError, match=r"shape \(3, 5\); this space decodes \(n, 2\)"):
        fitted.decode(np.zeros((3, 5)))
    with pytest.raises(SpaceError, match="Row 1 of these latents is not finite"):
        fitted.decode([[0, 0], [np.nan, 1]])


def _edit(saved: Path, **changes: object) -> None:
    card = json.loads((saved / "space.json").read_text())
    (saved / "space.json").write_text(json.dumps(card | changes))


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE = {
    "There is no space at": lambda p: shutil.rmtree(p),
    "is a file; a space is a folder": lambda p: (shutil.rmtree(p), p.write_text("x")),
    "is not a space: it has no space.json": lambda p: (p / "space.json").unlink(),
    "is damaged: its space.json cannot be read": lambda p: _cut(p / "space.json"),
    "its space.json was not written by latentspace": lambda p: (p / "space.json").write_text("[1]"),
    "has format 3; this latentspace reads up to 2: upgrade latentspace": lambda p: _edit(p, format=3),
    "network.safetensors has .* bytes where": lambda p: _cut(p / "network.safetensors"),
    "network.safetensors has changed since": lambda p: _flip(p / "network.safetensors"),
    "latents.parquet has .* bytes where": lambda p: _cut(p / "latents.parquet"),
    "latents.parquet has changed since": lambda p: _flip(p / "latents.parquet"),
    "network.safetensors is missing": lambda p: (p / "network.safetensors").unlink(),
    "latents.parquet is missing": lambda p: (p / "latents.parquet").unlink(),
}


@pytest.mark.parametrize("sentence", DAMAGE)
def test_a_damaged_space_says_so_in_one_sentence(saved: Path, sentence: str) -> None:
    DAMAGE[sentence](saved)
    with pytest.raises(SpaceError, match=sentence) as caught:
        load(saved)
    assert str(saved) in str(caught.value) and "\n" not in str(caught.value)


def test_a_space_misspelt_names_the_nearest(saved: Path) -> None:
    with pytest.raises(SpaceError, match="did you mean 'things'"):
        load(saved.with_name("thing.space"))


def test_an_unknown_part_is_refused(saved: Path) -> None:
    with pytest.raises(SpaceError, match="'encoder' and 'decoder', not 'both'"):
        load(saved, part="both")  # type: ignore[arg-type]


def test_a_space_is_replaced_only_when_asked(fitted: Space, saved: Path) -> None:
    with pytest.raises(SpaceError, match="is there already: choose another name, or overwrite it"):
        fitted.save(saved)
    fitted.card["notes"] = "second"
    fitted.save(saved, overwrite=True)
    assert load(saved).card["notes"] == "second"
    assert [p.name for p in saved.parent.iterdir()] == ["things.space"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_a_space_is_never_replaced(fitted: Space, tmp_path: Path, kind: str) -> None:
    mine = tmp_path / "mine.space"
    if kind == "folder":
        mine.mkdir()
        (mine / "thesis.txt").write_text("years of work")
    else:
        mine.write_text("years of work")
    with pytest.raises(SpaceError, match="is there already and is not a space"):
        fitted.save(mine, overwrite=True)
    assert mine.exists() and len(list(tmp_path.rglob("*"))) == (2 if kind == "folder" else 1)


def test_a_save_that_fails_leaves_the_old_space(
    fitted: Space, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(SpaceError, match="The disk is full"):
        fitted.save(saved, overwrite=True)
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before
    assert [p.name for p in saved.parent.iterdir()] == ["things.space"]


def test_a_rename_that_fails_puts_the_old_space_back(
    fitted: Space, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = os.rename, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(atomic.os, "rename", second_fails)
    with pytest.raises(SpaceError, match="cannot be written"):
        fitted.save(saved, overwrite=True)
    assert load(saved).latents.shape == (120, 2)
    assert [p.name for p in saved.parent.iterdir()] == ["things.space"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "The disk is full"),
        (errno.EACCES, "No permission to write"),
        (errno.EIO, "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, code: int, words: str) -> None:
    with pytest.raises(OptionError, match=words), whole(tmp_path / "a.csv") as beside:
        beside.write_text("half")
        raise OSError(code, os.strerror(code))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "a.csv"
    sentence = r"There is no folder .*nowhere to write a\.csv in"
    with pytest.raises(LatentspaceError, match=sentence), whole(target) as beside:
        beside.write_text("x")


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "a.csv") as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
