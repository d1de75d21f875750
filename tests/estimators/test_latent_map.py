"""LatentMap: arrays, frames, pictures and spaces; options and their errors."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_wine
from sklearn.manifold import trustworthiness
from sklearn.preprocessing import scale

from latentspace import Autoencoder, LatentMap
from latentspace.errors import DataError, OptionError
from latentspace.estimators._encoder import _share_a_unit


@pytest.fixture(scope="module")
def digits():
    return load_digits().images.astype(np.uint8)[:900]


@pytest.fixture(scope="module")
def fitted(digits):
    return LatentMap(random_state=0).fit(digits[:700])


def test_pictures_are_mapped_better_than_by_a_plane_through_them(digits, fitted):
    from sklearn.decomposition import PCA

    flat, new = digits.reshape(len(digits), -1), slice(700, None)
    plane = PCA(2).fit(flat[:700]).transform(flat[new])
    ours = trustworthiness(flat[new], fitted.transform(digits[new]), n_neighbors=10)
    assert ours > 0.93 > trustworthiness(flat[new], plane, n_neighbors=10) + 0.07


def test_the_embedding_is_what_transform_gives(digits, fitted):
    np.testing.assert_allclose(fitted.transform(digits[:700]), fitted.embedding_, atol=0.05)
    assert fitted.get_feature_names_out().tolist() == ["latentmap0", "latentmap1"]


def test_a_place_decodes_to_an_item_like_those_there(digits, fitted):
    back = fitted.inverse_transform(fitted.embedding_[:50])
    assert back.shape == (50, 8, 8) and back.dtype == np.uint8
    error = np.mean((back.astype(float) - digits[:50]) ** 2)
    assert error < 0.15 * np.var(digits[:50].astype(float))


def test_columns_of_other_units_are_brought_to_one_scale():
    x = load_wine().data  # proline ranges over 1,400, hue over 1.2
    ours = LatentMap(random_state=0).fit_transform(x)
    assert trustworthiness(scale(x), ours, n_neighbors=10) > 0.9


def test_columns_of_one_unit_keep_their_distances():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (400, 3)), rng.normal(0, 1 / 8, (400, 3))[::-1]], axis=1)
    kept = trustworthiness(x, LatentMap(random_state=0).fit_transform(x), n_neighbors=10)
    assert kept > 0.97 > trustworthiness(x, LatentMap(random_state=0).fit_transform(scale(x)), n_neighbors=10)


def test_frames_with_words_and_gaps():
    rng = np.random.default_rng(0)
    kind = rng.integers(3, size=300)
    frame = pd.DataFrame({"kind": np.array(["a", "b", "c"])[kind], "size": kind * 10 + rng.normal(size=300)})
    frame.loc[::17, "size"] = np.nan
    places = LatentMap(random_state=0).fit_transform(frame)
    middles = np.stack([places[kind == k].mean(axis=0) for k in range(3)])
    nearest = ((places[:, None] - middles) ** 2).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == kind) > 0.95


def test_a_column_of_gaps_alone_warns_of_nothing_new():
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[::9, 1] = np.nan
    assert np.isfinite(LatentMap(random_state=0).fit_transform(x)).all()
    assert _share_a_unit(np.column_stack([x, np.full(60, np.nan)])) and not _share_a_unit(x * [1, 1, 1, 1e4])


def test_a_fitted_model_serves(digits):
    model = Autoencoder(8, epochs=2, random_state=0).fit(digits[:300])
    map_ = LatentMap(model=model, random_state=0).fit(digits[:300])
    assert map_.model_ is model and map_.head_.landmarks.shape == (300, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_components": 4}, "n_components must be 1, 2 or 3, got 4"),
        ({"n_neighbors": 0}, "n_neighbors must be a whole number of at least 1, got 0"),
        ({"model": "pca"}, "model must be a fitted model or a Space, got 'pca'"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(OptionError, match=words):
        LatentMap(**options).fit(np.eye(9))


def test_bad_input(fitted):
    with pytest.raises(DataError, match=r"n_samples = 2\); a map needs at least 3"):
        LatentMap().fit(np.eye(2, 5))
    with pytest.raises(DataError, match=r"shape \(n, 2\), got \(1, 3\)"):
        fitted.inverse_transform([[0.0, 0.0, 0.0]])
