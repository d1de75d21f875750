import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from latentspace import Autoencoder, Classifier, VariationalAutoencoder
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.models.base import from_state
from latentspace.models.latent_size import candidates, intrinsic_dimension


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images.astype(np.float32) / 16, data.target


@pytest.fixture(scope="module")
def mixed():
    """A table whose columns all follow one hidden number, with gaps."""
    rng = np.random.default_rng(0)
    t = rng.normal(size=800)
    table = pd.DataFrame(
        {
            "height": 170 + 10 * t + rng.normal(size=800),
            "weight": 70 + 12 * t + rng.normal(size=800),
            "size": np.array(["S", "M", "L"])[np.digitize(t, [-0.6, 0.6])],
            "tall": t > 0,
        }
    )
    table.loc[rng.random(800) < 0.1, "weight"] = np.nan
    return table


def test_digits_are_reconstructed_better_than_by_pca_and_much_better_than_untrained(digits):
    x, _ = digits
    train, test = x[:1400], x[1400:]
    model = Autoencoder(latent_dim=8, random_state=0).fit(train)
    pca = PCA(8).fit(train.reshape(1400, -1))
    flat = test.reshape(len(test), -1)
    theirs = ((pca.inverse_transform(pca.transform(flat)) - flat) ** 2).mean()
    ours = ((model.reconstruct(test) - test) ** 2).mean()
    assert ours < 0.75 * theirs
    untrained = Autoencoder(latent_dim=8, epochs=0, random_state=0).fit(train)
    assert ((untrained.reconstruct(test) - test) ** 2).mean() > 0.94 * theirs


@pytest.mark.slow
def test_mixed_table_comes_back_in_its_own_types_with_gaps_filled(mixed):
    model = Autoencoder(latent_dim=1, random_state=0).fit(mixed)
    back = model.reconstruct(mixed)
    assert list(back.columns) == list(mixed.columns)
    assert back.dtypes.tolist() == mixed.dtypes.tolist()
    gaps = mixed["weight"].isna()
    assert not back["weight"].isna().any()
    # the other columns tell the weight: far better than its spread of 12
    filled = 70 + 12 * (mixed.loc[gaps, "height"] - 170) / 10
    assert np.abs(back.loc[gaps, "weight"] - filled).mean() < 4
    assert (back["size"] == mixed["size"]).mean() > 0.85
    assert (back["tall"] == mixed["tall"]).mean() > 0.9
    assert isinstance(model.inverse_transform(model.transform(mixed)), pd.DataFrame)


def test_polars_frames_and_set_output(mixed):
    table = pl.from_pandas(mixed)
    model = Autoencoder(latent_dim=2, epochs=3, random_state=0).fit(table)
    assert isinstance(model.reconstruct(table), pl.DataFrame)
    out = model.set_output(transform="polars").transform(table)
    assert out.columns == ["autoencoder0", "autoencoder1"]
    assert model.get_feature_names_out().tolist() == ["autoencoder0", "autoencoder1"]


def test_pipeline_grid_search_and_clone():
    x = np.random.default_rng(0).normal(size=(120, 3)) @ np.random.default_rng(1).normal(size=(3, 6))
    model = make_pipeline(StandardScaler(), Autoencoder(latent_dim=2, epochs=3, random_state=0))
    search = GridSearchCV(
        Autoencoder(epochs=3, random_state=0),
        {"latent_dim": [1, 3]},
        scoring=lambda est, x, y=None: est.score_samples(x).mean(),
        cv=2,
    )
    assert model.fit_transform(x).shape == (120, 2)
    assert search.fit(x).best_params_ == {"latent_dim": 3}
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()


def test_seeds_decide_and_the_global_generators_stay(digits):
    x = digits[0][:300]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (
        Autoencoder(latent_dim=3, epochs=3, random_state=seed).fit(x).transform(x) for seed in (1, 1, 2)
    )
    assert (first == again).all() and (first != other).any()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


@pytest.mark.slow
def test_auto_size_follows_the_data():
    rng = np.random.default_rng(0)
    t = rng.normal(size=(1500, 3))
    x = t @ rng.normal(size=(3, 20)) + 0.05 * rng.normal(size=(1500, 20))
    model = Autoencoder(random_state=0, epochs=5).fit(x)
    assert model.latent_dim_ == 4  # the power of two that holds three directions
    assert 2 < model.intrinsic_dim_ < 5
    losses = [point["autoencoder"] for point in model.latent_sizes_]
    assert model.latent_sizes_[0]["latent_dim"] == 0 and losses[0] > 5 * losses[3]


def test_candidates_and_intrinsic_dimension():
    assert candidates(2, 100) == [1]
    assert candidates(1000, 40) == [1, 2, 4, 8, 16]
    assert max(candidates(10_000, 10_000)) == 128
    assert intrinsic_dimension(np.zeros((100, 3))) is None
    sheet = np.random.default_rng(0).uniform(size=(1500, 2)) @ np.random.default_rng(1).normal(size=(2, 30))
    assert intrinsic_dimension(sheet) == pytest.approx(2, abs=0.3)


@pytest.mark.slow
def test_variational_uses_few_latents_and_samples_resemble_the_data(digits):
    x, _ = digits
    model = VariationalAutoencoder(latent_dim=16, random_state=0).fit(x)
    kl = model.kl_per_dimension(x)
    assert kl.shape == (16,) and kl.max() > 0.5
    heavy = VariationalAutoencoder(latent_dim=16, beta=100.0, random_state=0).fit(x)
    assert heavy.kl_per_dimension(x).sum() < 0.5 * kl.sum()
    z = model.transform(x)
    assert 0.3 < z.std(axis=0)[kl > 0.5].mean() < 1.5
    samples = model.inverse_transform(np.random.default_rng(0).normal(size=(200, 16)))
    assert samples.shape == (200, 8, 8)
    # a drawn digit lies nearer to a real one than noise of the same pixels does
    flat, real = samples.reshape(200, -1), x.reshape(len(x), -1)
    shuffled = np.random.default_rng(1).permuted(flat, axis=1)
    near = [
        np.sqrt(((a[:, None] - real[None]) ** 2).sum(axis=2)).min(axis=1).mean() for a in (flat, shuffled)
    ]
    assert near[0] < 0.7 * near[1]


@pytest.mark.slow
def test_classifier_is_the_supervised_contrast(digits):
    order = np.random.default_rng(0).permutation(len(digits[0]))
    x, y = digits[0][order], digits[1][order]
    model = Classifier(latent_dim=8, random_state=0).fit(x[:1400], y[:1400])
    assert model.score(x[1400:], y[1400:]) > 0.94
    assert model.transform(x[:5]).shape == (5, 8)
    np.testing.assert_allclose(model.predict_proba(x[:5]).sum(axis=1), 1)
    assert not hasattr(model, "inverse_transform") and not hasattr(model, "reconstruct")
    names = np.array(["even", "odd"])[y % 2]
    assert (
        Classifier(latent_dim=4, random_state=0).fit(x[:1400], names[:1400]).score(x[1400:], names[1400:])
        > 0.9
    )


@pytest.mark.parametrize("model_class", [Autoencoder, VariationalAutoencoder])
def test_state_round_trip_gives_the_same_numbers(model_class, mixed):
    model = model_class(latent_dim=2, epochs=3, random_state=0).fit(mixed)
    again = from_state(*model.to_state())
    np.testing.assert_array_equal(again.transform(mixed), model.transform(mixed))
    pd.testing.assert_frame_equal(again.reconstruct(mixed), model.reconstruct(mixed))
    np.testing.assert_allclose(again.score_samples(mixed), model.score_samples(mixed))
    assert again.get_params() == model.get_params()
    assert again.history_ == model.history_


def test_classifier_state_round_trip(digits):
    x, y = digits
    model = Classifier(latent_dim=4, epochs=3, random_state=0).fit(x, np.array(list("abcdefghij"))[y])
    again = from_state(*model.to_state())
    assert (again.predict(x) == model.predict(x)).all()


class Half(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(n_in, 32), nn.Tanh(), nn.Linear(32, n_out))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.slow
def test_own_modules_train_and_are_left_as_given(digits):
    x = digits[0]
    pair = (Half(64, 4), Half(4, 64))
    before = copy.deepcopy(pair[0].state_dict())
    model = Autoencoder(latent_dim=4, network=pair, random_state=0).fit(x)
    assert not model.history_.kept_start
    assert model.reconstruct(x).shape == x.shape
    assert all(torch.equal(a, b) for a, b in zip(before.values(), pair[0].state_dict().values(), strict=True))
    state, weights = model.to_state()
    with pytest.raises(SpaceError, match="network of your own"):
        from_state(state, weights)
    again = from_state(state, weights, network=pair)
    np.testing.assert_array_equal(again.transform(x), model.transform(x))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"latent_dim": 0}, "latent_dim must be 'auto' or a whole number from 1 to 6"),
        ({"latent_dim": 7}, "latent_dim must be 'auto' or a whole number from 1 to 6"),
        ({"latent_dim": "many"}, "latent_dim must be 'auto'"),
        ({"network": "dens"}, "did you mean 'dense'"),
        ({"network": "conv"}, "needs items of 3 axes"),
        ({"network": (1, 2)}, "two torch modules"),
        ({"hidden": 5}, "hidden must be 'auto' or whole numbers"),
        ({"hidden": (0,)}, "hidden must be 'auto' or whole numbers"),
        ({"epochs": -1}, "epochs must be 'auto' or a whole number of at least 0"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"learning_rate": 0}, "learning_rate must be"),
        ({"learning_rate": "fast"}, "learning_rate must be"),
        ({"validation_fraction": 1.5}, "validation_fraction must lie between 0 and 1"),
        ({"corruption": "gauss"}, "did you mean 'gaussian'"),
        ({"corruption": "grey"}, "no|none"),
        ({"modality": "tabel"}, "did you mean 'table'"),
        ({"device": "gpu"}, "device must be"),
    ],
)
def test_bad_options_say_what_would_be_right(options, says):
    x = np.random.default_rng(0).normal(size=(50, 6))
    with pytest.raises(OptionError, match=says):
        Autoencoder(**{"latent_dim": 2, **options}).fit(x)


def test_latents_of_another_width_are_refused():
    x = np.random.default_rng(0).normal(size=(50, 6))
    model = Autoencoder(latent_dim=2, epochs=1).fit(x)
    with pytest.raises(DataError, match=r"shape \(n, 2\), got \(5, 3\)"):
        model.inverse_transform(np.zeros((5, 3)))


def test_float32_stays_float32_and_blocks_do_not_matter(digits, monkeypatch):
    x = digits[0].reshape(-1, 64)
    model = Autoencoder(latent_dim=4, epochs=2, random_state=0).fit(x)
    whole = model.transform(x)
    assert whole.dtype == np.float32 and model.transform(x.astype(np.float64)).dtype == np.float64
    monkeypatch.setattr("latentspace.models.base.BLOCK_VALUES", 64 * 100)
    np.testing.assert_allclose(model.transform(x), whole, atol=1e-5)
