"""What learns is used where it is smaller with its own bytes counted, column by column, and never otherwise."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from latentspace.archive import packing, stored
from latentspace.archive.bounds import Bounds
from latentspace.archive.contents import content_of
from latentspace.archive.reading import Archive
from latentspace.archive.streams import Effort
from latentspace.archive.writing import write


class Fake:
    """Codes columns as differences from the row before, one column after another."""

    weight = 10

    @classmethod
    def fit(cls, levels: Any, observed: Any = None, **_: Any) -> Fake | None:
        assert levels.dtype == np.int64 and 1 <= levels.ndim <= 4
        assert observed is None or observed.shape == levels.shape
        return cls()

    def encode(self, levels: Any, observed: Any = None, kept: Any = None) -> bytes:
        kept = np.ones(levels.shape[-1], bool) if kept is None else kept
        values = levels if observed is None else np.where(observed, levels, 0)
        return zlib.compress(np.diff(values[..., kept], axis=0, prepend=0).tobytes(), 9)

    def decode(
        self, data: bytes, shape: Any, observed: Any = None, kept: Any = None, known: Any = None
    ) -> Any:
        kept = np.ones(shape[-1], bool) if kept is None else kept
        made = np.zeros(shape, np.int64) if known is None else known.copy()
        parts = np.frombuffer(zlib.decompress(data), np.int64).reshape(*shape[:-1], int(kept.sum()))
        made[..., kept] = np.cumsum(parts, axis=0)
        return made if observed is None else np.where(observed, made, -7)

    def sizes(self, levels: Any, observed: Any = None) -> Any:
        if levels.ndim != 2:
            return np.array([len(self.encode(levels, observed))], float)
        columns = np.eye(levels.shape[1], dtype=bool)
        return np.array([len(self.encode(levels, observed, c)) for c in columns], float)

    def to_bytes(self) -> bytes:
        return bytes(self.weight)

    @classmethod
    def from_bytes(cls, data: bytes) -> Fake:
        return cls()


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    """The stand-in, beside codecs that it can beat."""
    made = type("Fake", (Fake,), {})
    monkeypatch.setattr(packing, "Predictor", made)
    monkeypatch.setattr(stored, "Predictor", made)
    monkeypatch.setattr(Effort, "of", lambda level: Effort(("pcodec",)))
    return made


def steps(n: int = 3000) -> np.ndarray:
    """A walk whose steps repeat every 7: zlib sees that, pcodec does not."""
    return np.cumsum(np.tile([3, 1000, -999, 17, 40000, -39990, 5], n // 7 + 1)[:n])


def table() -> pa.Table:
    rng = np.random.default_rng(0)
    walk = steps()
    return pa.table(
        {
            "walk": walk,
            "noise": rng.integers(0, 2**40, len(walk)),
            "gaps": pa.array([None if i % 4 == 0 else int(w) for i, w in enumerate(walk)]),
            "words": np.array(["a", "b", "c"])[rng.integers(0, 3, len(walk))],
            "floats": rng.normal(size=len(walk)),
            "decimal": walk / 4,
        }
    )


def saved(data: Any, folder: Path, bound: str | None = None, **options: Any) -> tuple[Archive, Any]:
    written = write(
        content_of(data), folder / "a.lsz", bounds=None if bound is None else Bounds(bound), **options
    )
    return Archive(folder / "a.lsz"), written


@pytest.mark.parametrize("bound", [None, "0.001%"])
@pytest.mark.parametrize("block", [2**20, 4000])
def test_columns_that_are_smaller_by_it_are_its(tmp_path: Path, bound: str | None, block: int) -> None:
    archive, written = saved(table(), tmp_path, bound, block=block)
    assert written.by_codec["ours"] > 0 and written.models == Fake.weight
    kept = {tuple(b["kept"]) for b in archive.card["sections"][0]["blocks"]}
    names = [f["name"] for f in archive.card["sections"][0]["fields"] if "scale" in f]
    assert all("noise" not in [names[j] for j in k] and "walk" in [names[j] for j in k] for k in kept)
    back = archive.read()
    for name in ("walk", "gaps", "words"):
        assert back[name].to_pylist() == table()[name].to_pylist() or bound
    if bound is None:
        assert back.equals(table())
    assert archive[1000:1200].equals(back.slice(1000, 200))


def test_it_must_pay_for_its_own_bytes(tmp_path: Path, fake: type[Fake]) -> None:
    with_it = saved(table(), tmp_path)[1]
    fake.weight = 10**6
    without = saved(table(), tmp_path)
    assert without[1].models == 0 and "ours" not in without[1].by_codec
    assert "predictor/0.bin" not in without[0]._file.names()
    gain = without[1].size - with_it.size
    fake.weight = gain - 200
    assert saved(table(), tmp_path)[1].models == gain - 200
    fake.weight = gain + 200
    assert saved(table(), tmp_path)[1].models == 0


def test_level_fast_learns_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing.Predictor, "fit", lambda *_, **__: pytest.fail("learnt"))
    assert saved(table(), tmp_path, level="fast")[1].models == 0


@pytest.mark.parametrize("shape", [(40, 90), (20, 9, 30), (10, 8, 9, 3), (6, 5, 4, 3, 30)])
def test_arrays_of_rows(tmp_path: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Effort, "of", lambda level: Effort(()))
    x = (
        np.broadcast_to(steps(shape[0]).reshape(-1, *(1,) * (len(shape) - 1)), shape)
        + np.arange(shape[-1]) ** 2
    )
    archive, written = saved(x, tmp_path, block=x[0].size * 4)
    assert written.by_codec["ours"] > 0 and (archive.read() == x).all() and (archive[3:7] == x[3:7]).all()
    floats = x.astype(np.float32) / 8
    floats[1] = np.nan
    floats[2, 0] = np.inf
    archive, written = saved(floats, tmp_path, "0.0001%")
    assert written.by_codec["ours"] > 0
    back = archive.read()
    assert back[1:3].tobytes() == floats[1:3].tobytes() or np.isnan(back[1]).all()
    assert np.abs(back[3:] - floats[3:]).max() <= 1e-6 * float(np.ptp(floats[3:]))


def test_a_codec_that_lies_writes_nothing(
    tmp_path: Path, fake: type[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = fake.decode
    monkeypatch.setattr(fake, "decode", lambda self, *given: decode(self, *given) + 1)
    with pytest.raises(RuntimeError, match="did not come back"):
        saved(table(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_arrays_that_are_alike_are_learnt_from_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Effort, "of", lambda level: Effort(()))
    x = np.random.default_rng(0).integers(0, 256, (1, 9, 8), np.uint8).repeat(40, axis=0)
    other = x[:, :5]
    archive, written = saved({"train": x, "y": np.arange(40) % 7, "test": x[5:25], "other": other}, tmp_path)
    names = [n for n in archive._file.names() if n.startswith("predictor")]
    cards = {card["name"]: card.get("predictor") for card in archive.card["sections"]}
    assert (
        cards["train"] == cards["test"] == 0
        and cards["other"] == 3
        and len(names) * Fake.weight == written.models
    )
    back = archive.read()
    assert (back["train"] == x).all() and (back["test"] == x[5:25]).all() and (back["other"] == other).all()
