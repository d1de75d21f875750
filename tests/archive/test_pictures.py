"""A folder of pictures: same pixels, modes and names, and never much larger than its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentspace.archive import packing
from latentspace.archive.bounds import Bounds
from latentspace.archive.contents import content_of
from latentspace.archive.reading import Archive
from latentspace.archive.writing import write
from latentspace.errors import DataError, OptionError
from latentspace.jobs.decompress import decompress


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_learn", lambda given, how: None)


def smooth(height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    walk = rng.normal(size=(height, width, 3)).cumsum(0).cumsum(1)
    return (127 + 100 * np.sin(walk / 9)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of every mode, several sizes, some the same, one broken, one animated, and a text beside them."""
    root = tmp_path / "pictures"
    (root / "more").mkdir(parents=True)
    for i in range(6):
        Image.fromarray(smooth(20, 30, i)).save(root / f"rgb{i}.png")
        Image.fromarray(smooth(20, 30, i)[..., 0]).save(root / "more" / f"grey{i}.png")
        Image.fromarray(smooth(12 + i, 17, i)).quantize(9).save(root / f"palette{i}.png")
    grey = Image.fromarray(smooth(9, 11, 1)[..., 0])
    grey.convert("1").save(root / "bits.png")
    grey.convert("LA").save(root / "la.png")
    Image.fromarray(np.arange(99, dtype=np.uint16).reshape(9, 11) * 600).save(root / "deep.png")
    rgba = Image.fromarray(np.dstack([smooth(9, 11, 2), np.full((9, 11), 80, np.uint8)]))
    rgba.save(root / "rgba.png", dpi=(72, 72))
    see_through = Image.fromarray(smooth(9, 11, 3)).quantize(5)
    see_through.save(root / "clear.png", transparency=2)
    Image.fromarray(smooth(40, 50, 4)).save(root / "photo.jpg", quality=80)
    Image.fromarray(smooth(9, 11, 5)).save(root / "old.bmp")
    Image.fromarray(smooth(9, 11, 6)).save(root / "old.png")
    frames = [Image.fromarray(smooth(9, 11, i)[..., 0]) for i in range(3)]
    frames[0].save(root / "film.gif", save_all=True, append_images=frames[1:])
    (root / "broken.png").write_bytes(b"\x89PNG nothing")
    (root / "notes.txt").write_text("a note")
    return root


def names(root: Path) -> list[str]:
    return sorted(
        p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and p.suffix != ".txt"
    )


def test_every_picture_comes_back(folder: Path, tmp_path: Path) -> None:
    content = content_of(folder)
    assert content.notes == ("Not stored, being no pictures: notes.txt.",)
    written = write(content, tmp_path / "a.lsz")
    archive = Archive(tmp_path / "a.lsz")
    assert len(archive) == len(names(folder)) and written.size < content.nbytes
    assert decompress(tmp_path / "a.lsz", tmp_path / "out").data["rows"] == len(archive)
    back = names(tmp_path / "out")
    assert {n.replace("old.bmp.png", "old.bmp") for n in back} >= set(names(folder)) - {"old.bmp"}
    for name in back:
        source = folder / name.replace("old.bmp.png", "old.bmp")
        if name in ("broken.png", "photo.jpg", "film.gif"):
            assert (tmp_path / "out" / name).read_bytes() == source.read_bytes()
            continue
        with Image.open(source) as a, Image.open(tmp_path / "out" / name) as b:
            assert a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes(), name
            assert a.convert("RGBA").tobytes() == b.convert("RGBA").tobytes(), name
            if name == "rgba.png":
                assert b.info["dpi"] == pytest.approx((72, 72), abs=0.1)


def test_some_pictures_as_arrays(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.png").unlink()
    write(content_of(folder), tmp_path / "a.lsz")
    archive = Archive(tmp_path / "a.lsz")
    at = archive.pictures.names.index("rgb3.png")
    (found,) = archive[at]
    assert np.array_equal(found, smooth(20, 30, 3))
    decompress(tmp_path / "a.lsz", tmp_path / "two", rows=f"{at}:{at + 2}")
    assert names(tmp_path / "two") == ["rgb3.png", "rgb4.png"]


def test_jpegs_are_kept_as_their_files(tmp_path: Path) -> None:
    """Their pixels take more: the archive is never more than 1 % above the files."""
    (tmp_path / "in").mkdir()
    for i in range(8):
        Image.fromarray(smooth(120, 160, i)).save(tmp_path / "in" / f"{i}.jpg", quality=70)
    size = sum(p.stat().st_size for p in (tmp_path / "in").iterdir())
    assert write(content_of(tmp_path / "in"), tmp_path / "a.lsz").size < 1.01 * size
    decompress(tmp_path / "a.lsz", tmp_path / "out")
    for p in (tmp_path / "in").iterdir():
        assert p.read_bytes() == (tmp_path / "out" / p.name).read_bytes()


def test_pictures_that_are_alike_take_less_than_their_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(20):
        Image.fromarray(np.roll(smooth(28, 28, 0), i, axis=0)[..., 0]).save(tmp_path / "in" / f"{i:02}.png")
    size = sum(p.stat().st_size for p in (tmp_path / "in").iterdir())
    assert write(content_of(tmp_path / "in"), tmp_path / "a.lsz").size < 0.6 * size


def test_pictures_within_a_bound(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(6):
        Image.fromarray(smooth(30, 40, i)).save(tmp_path / "in" / f"{i}.png")
    exact = write(content_of(tmp_path / "in"), tmp_path / "a.lsz").size
    near = write(content_of(tmp_path / "in"), tmp_path / "b.lsz", bounds=Bounds("3"))
    assert near.size < 0.7 * exact and near.errors.largest == {"0": 3.0}
    back = Archive(tmp_path / "b.lsz").read()
    far = [np.abs(b.astype(int) - smooth(30, 40, i)).max() for i, b in enumerate(back)]
    assert max(far) == 3


def test_where_pictures_cannot_go(folder: Path, tmp_path: Path) -> None:
    write(content_of(folder), tmp_path / "a.lsz", level="fast")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for out, words in (("a.npy", "to a folder"), ("full", "not an empty folder")):
        with pytest.raises(OptionError, match=words):
            decompress(tmp_path / "a.lsz", tmp_path / out)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        content_of(tmp_path / "none")
    with pytest.raises(DataError, match="no readable picture"):
        Archive(tmp_path / "a.lsz").read()
