"""The rivals are what they say: PCA is scikit-learn's, raw items are untouched."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA as Reference

from latentspace.folder import find, names
from latentspace.rivals.pca import PCA
from latentspace.rivals.raw import Raw


@pytest.mark.parametrize("shape", [(400, 12), (60, 3, 20), (30, 2, 8, 8)])
def test_pca_reconstructs_as_well_as_a_full_decomposition(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(int(np.prod(shape[1:])), int(np.prod(shape[1:])))) * np.geomspace(
        1, 0.01, int(np.prod(shape[1:]))
    )
    x = (rng.normal(size=(shape[0], mixing.shape[0])) @ mixing.T + 3).astype(np.float32).reshape(shape)
    ours = PCA().fit(x, latent_dim=5)
    flat = x.reshape(len(x), -1)
    best = Reference(5, svd_solver="full").fit(flat)
    expected = ((best.inverse_transform(best.transform(flat)) - flat) ** 2).mean()
    assert ((ours.reconstruct(x) - x) ** 2).mean() == pytest.approx(expected, rel=0.02)
    assert ours.reconstruct(x).shape == x.shape
    assert ours.transform(x).shape == (len(x), 5)
    assert abs(ours.transform(x).mean(axis=0)).max() < 1e-2


def test_pca_survives_storage_and_never_asks_for_more_than_there_is() -> None:
    x = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)
    rival = PCA().fit(x, latent_dim=50)
    again = PCA.from_arrays(rival.arrays())
    assert rival.components.shape == (4, 4)
    assert np.array_equal(again.reconstruct(x), rival.reconstruct(x))


def test_raw_items_are_the_items() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(Raw().fit(x, 2).transform(x), x.reshape(2, 12).astype(np.float32))


def test_every_rival_has_the_same_shape() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    assert names("rivals") == ["pca", "raw"]
    for name in names("rivals"):
        rival = find("rivals", name)()
        z = rival.fit(x, 2).transform(x)
        assert len(z) == 40 and z.dtype == np.float32 and rival.label
