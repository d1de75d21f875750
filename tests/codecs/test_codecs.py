"""Codecs: every way of every codec gives back the same bits, and damage is said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latentspace.codecs.base import BEST, FAST, PROBE, Codec, prepared, restored
from latentspace.codecs.bz2 import Bz2
from latentspace.codecs.pcodec import Pcodec
from latentspace.codecs.sz3 import Sz3
from latentspace.codecs.xz import Xz
from latentspace.codecs.zstd import Zstd
from latentspace.errors import DataError

EXACT: list[Codec] = [Zstd(), Xz(), Bz2(), Pcodec()]
DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
SHAPES = [(0,), (1,), (257,), (1, 1), (16, 9), (3, 8, 7), (4, 5, 6, 3)]


def noise(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Any bits at all: NaN of every kind, infinities, -0.0."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.random.default_rng(0).integers(0, 256, count, np.uint8).view(dtype).reshape(shape)


@pytest.mark.parametrize("codec", EXACT, ids=lambda codec: codec.name)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_way_gives_back_the_bits(codec: Codec, dtype: str, shape: tuple[int, ...]) -> None:
    values = noise(dtype, shape)
    ways = codec.ways(values)
    assert "" in ways or (codec.name == "bz2" and (dtype != "u1" or len(shape) > 1))
    for way in ways:
        for effort in (PROBE, FAST, BEST):
            back = codec.decode(codec.encode(values, way, effort=effort), dtype, shape, way)
            assert back.dtype == values.dtype and back.shape == shape
            assert back.tobytes() == values.tobytes(), way


def test_a_way_makes_a_ramp_small() -> None:
    """Differences of a plane are nought, and of a ramp one: a way that did nothing would fail here."""
    ramp = np.arange(20000, dtype=np.uint32) * 3
    plane = np.add.outer(np.arange(200) * 5, np.arange(300) * 7).astype(np.uint32)
    assert set(prepared(ramp, "d")[1:].tolist()) == {3}
    assert set(prepared(plane, "l").reshape(200, 300)[1:, 1:].reshape(-1).tolist()) == {0}
    assert set(prepared(plane, "r").reshape(200, 300)[1:].reshape(-1).tolist()) == {5}
    for codec in (Zstd(), Xz()):
        assert len(codec.encode(ramp, "dz")) < 0.02 * len(codec.encode(ramp, ""))


def test_small_numbers_of_both_signs_stay_small() -> None:
    values = np.array([0, -1, 1, -2, 2, -128, 127], np.int8)
    assert prepared(values, "z").tolist() == [0, 1, 2, 3, 4, 255, 254]
    assert restored(prepared(values, "z"), np.int8, (7,), "z").tolist() == values.tolist()


@pytest.mark.parametrize("n", [1, 24, 256 + 8, 256 * 5 + 32, 256 * 5 + 33, 2**18 + 2])
def test_pcodec_predicts_linearly_where_it_can(n: int) -> None:
    """A wave is a line of its own past; pcodec itself panics where the last batch is shorter than its order."""
    wave = np.rint(9000 * np.sin(np.arange(n) / 7) + 5000 * np.sin(np.arange(n) / 3.3)).astype(np.int16)
    data = Pcodec().encode(wave)
    assert Pcodec().decode(data, np.int16, (n,)).tobytes() == wave.tobytes()
    if n == 256 * 5 + 33:
        assert len(data) < 0.6 * len(Pcodec().encode(wave, effort=FAST))


@pytest.mark.parametrize("codec", EXACT, ids=lambda codec: codec.name)
def test_damage_is_said_or_changes_only_numbers(codec: Codec) -> None:
    values = np.arange(5000, dtype=np.uint16)
    values = values.astype(np.uint8) if codec.name == "bz2" else values
    data = codec.encode(values)
    for damaged in (data[: len(data) // 2], b"", b"nonsense", data[:3] + b"\xff\xff\xff" + data[6:]):
        try:
            back: Any = codec.decode(damaged, values.dtype, (5000,))
        except DataError:
            continue
        assert back.shape == (5000,) and back.tobytes() != values.tobytes()


def test_sz3_keeps_its_bound() -> None:
    pytest.importorskip("pysz")
    values = np.sin(np.arange(40000) / 60).reshape(40, 1000)
    for bound in (1e-2, 1e-4):
        back = Sz3().decode(data := Sz3().encode(values, bound=bound), "f8", values.shape)
        assert 0 < np.abs(back - values).max() <= bound
        assert len(data) < values.nbytes / 5
    assert Sz3().ways(values.astype(np.int64)) == ()
