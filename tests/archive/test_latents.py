"""The low-rate codec: the quality asked for, in fewer bytes than principal axes, and the same numbers everywhere."""

import numpy as np
import pytest

import latentspace
from latentspace.archive import latent_fitting
from latentspace.archive.latents import LatentCodec
from latentspace.codecs import _fitting
from latentspace.errors import DataError, OptionError


def discs(n: int, seed: int = 0) -> np.ndarray:
    """Pictures of one soft disc each: three numbers tell all of a picture, but no straight line does."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    centre, size = rng.uniform(4, 12, (2, n, 1, 1)), rng.uniform(2, 6, (n, 1, 1))
    return np.rint(220 * np.clip(size - np.hypot(y - centre[0], x - centre[1]), 0, 1)).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def short():
    """No longer training than these small pictures need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_fitting, "LEAST", 500)
        patch.setattr(latent_fitting, "MOST", 500)
        patch.setattr(latent_fitting, "FINENESS", (5, 7, 9))
        patch.setattr(_fitting, "ROOTS", 1)
        yield


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("latents") / "discs.space"
    latentspace.fit(discs(600), path, latent_dim=10, seed=0, report=False)
    return latentspace.load(path)


@pytest.fixture(scope="module")
def items(space):
    return space.modality.transform(space.items(discs(1500, seed=1)))[0]


@pytest.fixture(scope="module")
def codec(space, items):
    return LatentCodec.fit(space, items, psnr=20, total=10 * items.size)


def psnr(space, y: np.ndarray, x: np.ndarray) -> float:
    """dB of the pictures that come back."""
    back = np.asarray(space.modality.inverse_transform(y)).reshape(x.shape).astype(float)
    return float(-10 * np.log10(((back - x) ** 2).mean() / 220**2))


def test_the_quality_asked_for_is_reached(space, items, codec):
    data = codec.encode(items)
    found = LatentCodec.from_bytes(codec.to_bytes()).decode(data, len(items))
    assert 20 <= psnr(space, found, discs(1500, seed=1)) < 20.2
    new = space.modality.transform(space.items(discs(500, seed=2)))[0]
    assert psnr(space, codec.decode(codec.encode(new), 500), discs(500, seed=2)) > 19.5


def test_fewer_bits_than_principal_axes(items, codec):
    """Principal axes at the same error: reverse water-filling of a Gaussian, without its model."""
    x = items.reshape(len(items), -1).astype(np.float64)
    values = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    aim = codec.high.max() - codec.low.min()
    aim = x.shape[1] * ((codec.high - codec.low).max() ** 2) * 10 ** (-20 / 10)
    low, high = 0.0, values[0]
    for _ in range(60):
        level = (low + high) / 2
        low, high = (level, high) if np.minimum(values, level).sum() < aim else (low, level)
    rival = 0.5 * np.log2(np.maximum(values / level, 1)).sum()
    ours = len(codec.encode(items)) * 8 / len(items)
    assert ours < 0.8 * rival


def test_an_untrained_network_takes_more(space, items, codec, monkeypatch):
    monkeypatch.setattr("latentspace.training.rounding.learn", lambda *args, **kwargs: None)
    untrained = LatentCodec.fit(space, items, psnr=20, total=10 * items.size)
    assert len(untrained.encode(items)) > 1.15 * len(codec.encode(items))


def test_batches_do_not_change_a_bit(codec, items):
    z = np.rint(codec.encoder(items[:300].reshape(300, -1)))
    whole = codec.decoder(z)
    assert np.array_equal(np.concatenate([codec.decoder(z[i : i + 1]) for i in range(300)]), whole)
    turn = np.random.default_rng(0).permutation(300)
    assert np.array_equal(codec.decoder(z[turn]), whole[turn])


def test_what_is_out_of_reach_is_said(space, items):
    with pytest.raises(
        DataError, match=r"10 latents of this space reach \d+\.\d dB at most, 60 dB were asked for"
    ):
        LatentCodec.fit(space, items, psnr=60)


def test_a_codec_read_from_a_file_has_no_encoder(codec, items):
    with pytest.raises(ValueError, match="no encoder"):
        LatentCodec.from_bytes(codec.to_bytes()).encode(items)


@pytest.mark.slow
def test_a_file_may_refer_to_the_space(space, items, codec, tmp_path):
    there = LatentCodec.fit(space, items, psnr=20, refer=True)
    assert len(there.to_bytes()) < 0.3 * len(codec.to_bytes())
    data = there.encode(items)
    found = LatentCodec.from_bytes(there.to_bytes(), space).decode(data, len(items))
    assert psnr(space, found, discs(1500, seed=1)) >= 20
    with pytest.raises(OptionError, match="refer to a space: give the one"):
        LatentCodec.from_bytes(there.to_bytes())
    latentspace.fit(discs(300), tmp_path / "other.space", latent_dim=10, seed=1, report=False)
    with pytest.raises(OptionError, match="another space"):
        LatentCodec.from_bytes(there.to_bytes(), latentspace.load(tmp_path / "other.space"))


@pytest.mark.slow
def test_mixed_rows_with_gaps(tmp_path):
    import pandas as pd

    rng = np.random.default_rng(0)
    t = rng.normal(size=(1500, 2))
    frame = pd.DataFrame(np.tanh(t @ rng.normal(size=(2, 8))) + 0.02 * rng.normal(size=(1500, 8)))
    frame.columns = [f"c{i}" for i in range(8)]
    frame["kind"] = np.where(t[:, 0] > 0, "a", "b")
    frame = frame.mask(rng.random(frame.shape) < 0.05)
    latentspace.fit(frame, tmp_path / "t.space", seed=0, latent_dim=6, report=False)
    space = latentspace.load(tmp_path / "t.space")
    x, observed = space.modality.transform(space.items(frame))
    codec = LatentCodec.fit(space, x, observed, psnr=22)
    found = codec.decode(codec.encode(x), len(x))
    measure = latent_fitting.Measure.of(space.modality, x, observed)
    assert -10 * np.log10(measure.error(x, found, observed)) >= 21.99
