"""The learnt codec: every array comes back, the same bytes everywhere, fewer than without learning."""

import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from latentspace.archive.exact_decoder import ExactDecoder
from latentspace.codecs import _fitting, _tokens
from latentspace.codecs._exact import CEILING, ExactNetwork
from latentspace.codecs._mixture import TOKENS, Mixture
from latentspace.codecs.predictor import Predictor


def waves(n: int, columns: int = 1, seed: int = 0) -> np.ndarray:
    """Rows of a slowly turning signal and its noisy echo, as whole numbers."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    base = 300 * np.sin(t / 17) + 40 * np.sin(t / 3.1) + rng.normal(0, 2, n)
    return np.rint(np.stack([base * (c + 1) + rng.normal(0, 2, n) for c in range(columns)], axis=1)).astype(
        np.int64
    )


def pictures(n: int, seed: int = 0, channels: int = 0) -> np.ndarray:
    """Pictures of one soft disc each on black, with noise where there is light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    centre, size = rng.uniform(4, 12, (2, n, 1, 1)), rng.uniform(2, 6, (n, 1, 1))
    light = 200 * np.clip(size - np.hypot(y - centre[0], x - centre[1]), 0, 1)
    grey = np.where(light > 0, light + rng.normal(0, 6, light.shape), 0)
    whole = np.clip(np.rint(grey), 0, 255).astype(np.int64)
    return np.stack([whole // (c + 1) for c in range(channels)], axis=-1) if channels else whole


@pytest.fixture(scope="module", autouse=True)
def short():
    """No more to learn from, and no longer, than these tests need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_fitting, "SIZES", ((4_000, 20, 16, 16), (1_500, 10, 8, 12)))
        patch.setattr(_fitting, "ROOTS", 1)
        patch.setattr(_fitting, "BATCH", 1024)
        patch.setattr(_fitting, "LINE", 10_000)
        patch.setattr(_fitting, "FINENESS", (6, 8))
        patch.setattr(_fitting, "PILOT", 60)
        yield


ARRAYS = {
    "column": lambda: waves(6_000),
    "flat": lambda: waves(6_000)[:, 0],
    "rows": lambda: waves(6_001, 3),
    "apart": lambda: np.random.default_rng(0).permutation(waves(6_000, 3)),
    "pictures": lambda: pictures(520),
    "colour": lambda: pictures(30, channels=3),
    "volume": lambda: waves(6_000).reshape(12, 20, 25),
    "curves": lambda: waves(70 * 90).reshape(70, 90),
    "large": lambda: waves(6_000) * 2**20 + 2**35,
}


@cache
def fitted(name: str) -> tuple[np.ndarray, Predictor]:
    """An array and the predictor of it."""
    levels = ARRAYS[name]()
    predictor = Predictor.fit(levels)
    assert predictor is not None
    return levels, predictor


@pytest.fixture
def signal():
    return fitted("column")


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_comes_back(name):
    levels, predictor = fitted(name)
    read = Predictor.from_bytes(predictor.to_bytes())
    part = levels[: len(levels) // 4 + 1] if levels.ndim < 3 else levels[:40]
    assert np.array_equal(read.decode(predictor.encode(part), part.shape), part)


def test_fewer_bytes_than_without_learning(signal):
    x, predictor = signal
    coded = len(predictor.encode(x))
    # the noise's own entropy is 0.5 log2(2 pi e (2**2 + 2**2)) = 3.55 bits
    assert coded * 8 / x.size < 4.4
    assert len(predictor.to_bytes()) < 2000
    assert predictor.sizes(x)[0] == pytest.approx(coded, rel=0.02)


def test_an_untrained_network_takes_more(signal):
    x, predictor = signal
    part = predictor.parts[0]
    network = part.network
    idle = ExactNetwork(
        (*network.weights[:2], np.zeros_like(network.weights[2])),
        (*network.biases[:2], np.zeros_like(network.biases[2])),
    )
    untrained = Predictor(
        predictor.layout, (type(part)(part.context, idle, part.mixture),), predictor.fill, predictor.dtype
    )
    assert len(untrained.encode(x)) > 1.15 * len(predictor.encode(x))


def test_pictures_are_seen_as_bytes_and_where_they_lie():
    _, predictor = fitted("pictures")
    assert predictor.parts[0].network.places and not predictor.layout.linked
    new = pictures(100, seed=1)
    assert np.array_equal(predictor.decode(predictor.encode(new), new.shape), new)
    # lossless PNG-like coding of the noise alone takes more than half of these bits
    assert len(predictor.encode(new)) * 8 / new.size < 2.2


def test_items_apart_are_told_from_items_one_after_another():
    assert fitted("rows")[1].layout.linked
    assert not fitted("apart")[1].layout.linked


def test_values_far_off_come_back(signal):
    x, predictor = signal
    odd = x[:3000].copy()
    odd[[5, 900, 2999], 0] = [30_000, -30_000, 12_345]
    assert np.array_equal(predictor.decode(predictor.encode(odd), odd.shape), odd)


def test_values_that_cannot_be_held_are_refused():
    _, predictor = fitted("pictures")
    with pytest.raises(ValueError, match="values from 0 to 255 were expected"):
        predictor.encode(pictures(10) + 1000)


@pytest.mark.slow
def test_what_is_not_observed_is_not_coded():
    x = waves(6_000)
    observed = np.random.default_rng(0).random(x.shape) > 0.4
    predictor = Predictor.fit(np.where(observed, x, -9), observed)
    coded = predictor.encode(x, observed)
    found = predictor.decode(coded, x.shape, observed)
    assert np.array_equal(found[observed], x[observed])
    assert len(coded) < 0.75 * len(predictor.encode(x))


def test_columns_may_be_given():
    x, predictor = fitted("rows")
    kept = np.array([False, True, False])
    coded = predictor.encode(x, kept=kept)
    known = np.where(kept, 0, x)
    assert np.array_equal(predictor.decode(coded, x.shape, kept=kept, known=known), x)
    assert len(coded) < 0.5 * len(predictor.encode(x))


def test_too_little_to_learn_from():
    assert Predictor.fit(waves(200)) is None
    assert Predictor.fit(np.zeros((0, 3), np.int64)) is None
    assert Predictor.fit(waves(6_000), np.zeros((6_000, 1), bool)) is None
    assert Predictor.fit(np.full((6_000, 1), 2**60)) is None


def test_a_predictor_of_another_version_is_refused(signal, monkeypatch):
    from latentspace.codecs import _state

    data = signal[1].to_bytes()
    monkeypatch.setattr(_state, "VERSION", 99)
    with pytest.raises(ValueError, match="version 1; this version of latentspace reads 99"):
        Predictor.from_bytes(data)


def test_batches_do_not_change_a_bit(signal):
    """Exact sums: the same logits whatever is computed beside, in any order."""
    _, predictor = signal
    network = predictor.parts[0].network
    rng = np.random.default_rng(0)
    f = (np.rint(rng.uniform(-4, 4, (3000, network.weights[0].shape[0])) * 64) / 64).astype(np.float32)
    whole = network(f)
    alone = np.concatenate([network(f[i : i + 1]) for i in range(200)])
    assert np.array_equal(whole[:200], alone)
    turn = rng.permutation(f.shape[1])
    turned = ExactNetwork((network.weights[0][turn], *network.weights[1:]), network.biases)
    assert np.array_equal(turned(f[:, turn]), whole)
    assert np.array_equal(_in_doubles(network, f), whole)


def _in_doubles(network: ExactNetwork, f: np.ndarray) -> np.ndarray:
    h = f.astype(np.float64)
    for weights, bias in network.layers[:-1]:
        h = np.clip(np.rint((h @ weights + bias) * 32), 0, CEILING * 32) / 32
    weights, bias = network.layers[-1]
    return np.asarray((h @ weights + bias) * 32, np.float32)


def test_sums_stay_exact_for_the_largest_inputs():
    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 30, s).astype(np.float32) for s in ((60, 128), (128, 128), (128, 64))]
    network = ExactNetwork.on_grid(
        weights, [rng.normal(0, 30, w.shape[1]).astype(np.float32) for w in weights], []
    )
    f = np.where(rng.random((500, 60)) < 0.5, 4, -4).astype(np.float32)
    assert np.array_equal(network(f), _in_doubles(network, f))


@pytest.mark.parametrize("threads", ["1", "5"])
def test_other_thread_counts_write_the_same_bytes(signal, tmp_path, threads):
    x, predictor = signal
    (tmp_path / "p").write_bytes(predictor.to_bytes())
    np.save(tmp_path / "x.npy", x[:4000])
    code = (
        "import sys, numpy as np, hashlib; from latentspace.codecs.predictor import Predictor;"
        f"p = Predictor.from_bytes(open(r'{tmp_path / 'p'}', 'rb').read()); x = np.load(r'{tmp_path / 'x.npy'}');"
        "b = p.encode(x); assert (p.decode(b, x.shape) == x).all(); assert 'torch' not in sys.modules;"
        "print(hashlib.sha256(b).hexdigest())"
    )
    variables = {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "OPENBLAS_CORETYPE": "Sandybridge",
    }
    variables = variables if threads == "5" else {k: v for k, v in variables.items() if "CORE" not in k}
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    import hashlib

    assert out.stdout.strip() == hashlib.sha256(predictor.encode(x[:4000])).hexdigest()


def test_probabilities_are_whole_numbers_that_a_float_holds():
    mixture = Mixture(np.arange(0, 256 * 16, 64, dtype=np.int32), np.full(64, 30, np.int32))
    rng = np.random.default_rng(0)
    shares = mixture.shares(rng.normal(0, 100, (400, 64)).astype(np.float32))
    p = shares @ mixture.table
    assert np.array_equal(p, np.rint(p)) and p.max() < 2**24 - TOKENS
    assert np.array_equal(p, (shares.astype(np.float64) @ mixture.table.astype(np.float64)))
    tokens = rng.integers(0, 256, 400).astype(np.int32)
    whole = (p + 1) / (p + 1).sum(axis=1, keepdims=True)
    assert np.allclose(mixture.bits(shares, tokens), -np.log2(whole[np.arange(400), tokens]))


def test_an_exact_decoder_is_near_the_one_it_came_from():
    rng = np.random.default_rng(0)
    sizes = ((3, 20), (20, 30), (33, 50))
    layers = [(rng.normal(0, 0.3, s), rng.normal(0, 0.1, s[1])) for s in sizes]
    z = rng.integers(-20, 20, (100, 3)).astype(float)
    h = np.maximum(np.maximum(z @ layers[0][0] + layers[0][1], 0) @ layers[1][0] + layers[1][1], 0)
    expected = np.concatenate([h, z], axis=1) @ layers[2][0] + layers[2][1]
    exact = ExactDecoder.on_grid(layers, 12)
    assert np.abs(exact(z) - expected).max() < 0.02 * np.abs(expected).max()
    again = ExactDecoder.of(exact.numbers(), exact.widths, exact.fine, exact.unit)
    assert np.array_equal(again(z), exact(z))
    still = np.array([False, True, False])
    z[:, 1] = 7
    assert np.allclose(exact.without(still, np.array([0.0, 7.0, 0.0]))(z[:, ~still]), exact(z), atol=1e-3)


@pytest.mark.slow
def test_low_bits_are_kept_as_they_are():
    """Values whose noise is far wider than the tokens: their low bits are coded whole."""
    rng = np.random.default_rng(0)
    x = np.rint(rng.normal(0, 1e6, (6_000, 1))).astype(np.int64)
    predictor = Predictor.fit(x)
    assert predictor is not None
    coded = predictor.encode(x)
    assert np.array_equal(predictor.decode(coded, x.shape), x)
    assert len(coded) * 8 / x.size < 0.5 * np.log2(2 * np.pi * np.e * 1e12) + 0.6
    assert _tokens.PIECE == 16


@pytest.mark.slow
def test_low_bits_that_are_zero_cost_nothing():
    """Eight-bit sound kept in sixteen, between stretches that use them all."""
    fine, coarse = waves(3000), 256 * waves(3000, seed=1)
    x = np.concatenate([fine, coarse, fine[:1000]])
    predictor = Predictor.fit(x)
    assert predictor is not None
    coded = predictor.encode(x)
    assert np.array_equal(predictor.decode(coded, x.shape), x)
    assert len(coded) * 8 / x.size < 5.5  # eight bits more in nearly half of the values without


@pytest.mark.slow
def test_a_value_that_stays_is_no_reason_to_expect_zero_bits():
    """Coarse steps: most values are as the one before, some are odd."""
    x = np.cumsum(np.random.default_rng(0).choice([-1, 0, 1], (6_000, 1), p=[0.02, 0.96, 0.02]), axis=0) + 40
    predictor = Predictor.fit(x)
    assert predictor is not None
    coded = predictor.encode(x)
    assert np.array_equal(predictor.decode(coded, x.shape), x)
    assert len(coded) * 8 / x.size < 0.4  # an entropy of .28 bits
