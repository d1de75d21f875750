"""Embeddings keep their geometry."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentspace.data.vectors import Vectors, looks_like_vectors
from latentspace.errors import DataError, Reject

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def array():
    scales = np.linspace(0.5, 2, 40)
    return np.random.default_rng(0).normal(size=(300, 40)) * scales + 5


def test_one_scale_keeps_the_geometry(array):
    vectors = Vectors()
    items = vectors.read(array)
    x, observed = vectors.fit(items).transform(items, np.float64)
    assert observed is None and vectors.shape == (40,)
    assert np.allclose(x.mean(0), 0, atol=1e-12) and x.var(0).mean() == pytest.approx(1)
    centred = array - array.mean(0)
    ratio = np.linalg.norm(centred[0] - centred[1]) / np.linalg.norm(x[0] - x[1])
    assert np.allclose(x * ratio, centred)
    assert np.allclose(vectors.inverse_transform(x), array)


def test_half_precision_in_and_out(array):
    half = array.astype(np.float16)
    vectors = Vectors()
    items = vectors.read(half)
    x, _ = vectors.fit(items).transform(items)
    assert x.dtype == np.float32
    back = vectors.inverse_transform(x)
    assert back.dtype == np.float16 and np.array_equal(back, half)


def test_gaps_are_neutral_and_not_observed(array):
    array[3, 7] = np.nan
    vectors = Vectors()
    items = vectors.read(array)
    x, observed = vectors.fit(items).transform(items)
    assert x[3, 7] == 0 and not observed[3, 7] and observed.sum() == observed.size - 1
    assert vectors.mean[7] == pytest.approx(np.nanmean(array[:, 7]))
    assert "1 values are missing" in vectors.describe()[1]


def test_frames_and_state(array):
    frame = pd.DataFrame(array, columns=[f"e{i}" for i in range(40)]).assign(who=np.arange(300))
    vectors = Vectors(id_column="who")
    items = vectors.read(frame)
    assert items.ids.tolist() == list(range(300))
    x, _ = vectors.fit(items).transform(items)
    again = Vectors.from_state(json.loads(json.dumps(vectors.state())))
    assert again.state() == vectors.state()
    assert np.array_equal(again.transform(items)[0], x)
    back = again.inverse_transform(x)
    assert list(back.columns) == list(items.values.columns) and np.allclose(back, array, atol=1e-5)
    assert again.parts()["e3"].tolist() == [3]


def test_refusals(array):
    with pytest.raises(Reject, match="column 'b' is not numbers"):
        Vectors().read(pd.DataFrame({"a": [1.0], "b": ["x"]}))
    with pytest.raises(DataError, match="are all equal"):
        Vectors().fit(Vectors().read(np.ones((5, 3))))
    vectors = Vectors().fit(Vectors().read(array))
    with pytest.raises(DataError, match="vectors of 3 numbers, but 40"):
        vectors.transform(vectors.read(np.ones((5, 3))))
    array[2, 5] = np.inf
    for act in (Vectors().fit, vectors.transform):
        with pytest.raises(DataError, match="Infinite value in column 'x5', row 2"):
            act(vectors.read(array))


def test_what_looks_like_vectors():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(200, 32))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    assert looks_like_vectors(unit.astype(np.float16))
    assert looks_like_vectors(rng.normal(size=(200, 64)))
    assert not looks_like_vectors(rng.normal(size=(200, 33)))
    assert not looks_like_vectors(rng.normal(size=(200, 64)) * np.logspace(0, 3, 64))
    assert not looks_like_vectors(rng.integers(0, 9, (200, 64)))
    assert not looks_like_vectors(rng.integers(0, 9, (200, 64)).astype(float))


@pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not here")
def test_real_embeddings():
    vectors = Vectors()
    items = vectors.read(DATA / "text" / "sotu_minilm.npz")
    assert looks_like_vectors(items.values)
    x, _ = vectors.fit(items).transform(items)
    assert np.array_equal(vectors.inverse_transform(x), items.values)
