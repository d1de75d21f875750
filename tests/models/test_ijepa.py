import json

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from latentspace import IJEPA, load
from latentspace.data.sources import read_items
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.models.base import from_state
from latentspace.models.ijepa_recipe import patch_for, recipe
from latentspace.networks.vit import load_ijepa
from latentspace.space.folder import Space
from latentspace.types import Batch

SMALL = {"width": 32, "depth": 2, "patch_size": 2, "batch_size": 64, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images.astype(np.float32) / 16, data.target


@pytest.fixture(scope="module")
def fitted(digits):
    return IJEPA(epochs=1, **SMALL).fit(digits[0][:300])


def slopes(n, seed=0):
    """Pictures (n, 12, 12) that are planes: any few patches tell all others."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[-1:1:12j, -1:1:12j]
    return np.einsum("nk,kij->nij", rng.normal(size=(n, 3)), [down, across, np.ones((12, 12))])


def test_what_is_hidden_is_foreseen_after_training_alone():
    options = {"width": 32, "depth": 1, "patch_size": 3, "random_state": 0, "learning_rate": 3e-3}
    shares = [dials.foreseen for dials in IJEPA(epochs=8, **options).fit(slopes(1500)).dials_]
    assert 0.4 < shares[0] < 0.6 and shares[-1] > 0.9


def test_z_spreads_where_spread_has_a_weight_and_progress_shows_it(digits):
    x, y = digits
    sort, items = read_items(x, "auto")
    said = []
    model = IJEPA(epochs=5, learning_rate=2e-3, spread=0.3, **SMALL)
    model.fit_items(sort, items, progress=lambda words, share: said.append(words), y=y.astype(np.int64))
    start, end = model.dials_[0], model.dials_[-1]
    assert end.spread > 2 * start.spread and end.uniformity < start.uniformity - 1
    assert len(model.dials_) == len(model.history_.dials) == 6
    assert said[-3].startswith("training: epoch 5 of 5, rank ") and "neighbours 0." in said[-3]
    assert not any("loss" in words for words in said)


def test_what_follows_too_closely_collapses_is_stopped_and_said_so(digits):
    options = SMALL | {"recipe": "published", "momentum": (0.5, 0.5), "epochs": 60}
    model = IJEPA(**options).fit(digits[0])
    assert "collapse begins" in model.history_.stopped and "autoencoder" in model.history_.stopped
    assert model.history_.ended_early and len(model.history_.epochs) < 60
    first, last = model.history_.epochs[0], model.history_.epochs[-1]
    assert last[2] < 0.7 * first[2]  # the loss had nothing to say against it


def test_the_same_comes_back_from_disk(digits, fitted):
    state, weights = fitted.to_state()
    again = from_state(json.loads(json.dumps(state)), {k: v.copy() for k, v in weights.items()})
    x = digits[0][:50]
    assert np.array_equal(again.transform(x), fitted.transform(x))
    assert np.array_equal(again.score_samples(x), fitted.score_samples(x))
    assert again.get_params() == fitted.get_params() and again.recipe_ == fitted.recipe_
    assert [d.words() for d in again.dials_] == [d.words() for d in fitted.dials_]
    del weights["encoder.tokens.norm.weight"]
    with pytest.raises(SpaceError, match="weights of the encoder do not fit"):
        from_state(state, weights)


def test_a_space_holds_it(digits, fitted, tmp_path):
    x = digits[0][:100]
    z = fitted.transform(x)
    Space(model=fitted, ids=np.arange(100), latents=z).save(tmp_path / "digits.space")
    again = load(tmp_path / "digits.space")
    assert np.array_equal(again.model.transform(x), z)
    assert again.model.dials_[-1].words() == fitted.dials_[-1].words()
    rows, distances = again.nearest(z[:5], 1)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4] and np.allclose(distances, 0, atol=1e-3)


def test_what_is_learnt_is_a_checkpoint_of_the_published_form(digits):
    model = IJEPA(recipe="published", epochs=2, **SMALL).fit(digits[0][:300])
    objective, kept = model.objective_, model.network_.encoder
    state = {
        "encoder": objective.encoder.tokens.state_dict(),
        "predictor": objective.predictor.state_dict(),
        "target_encoder": kept.tokens.state_dict(),
    }
    network = load_ijepa(state, 8, 2, heads=1, predictor_heads=1)
    x = torch.from_numpy(model.modality_.transform(read_items(digits[0][:20], "auto")[1])[0])
    masks = objective.drawn(20, torch.Generator().manual_seed(1), "cpu")
    with torch.no_grad():
        whole = network.target_encoder(x).mean(dim=1)
        ours = objective(model.network_, Batch(x), torch.Generator().manual_seed(1))["loss"].mean()
        theirs = network.loss(x, masks.context, masks.targets)
    torch.testing.assert_close(ours, theirs)
    np.testing.assert_allclose(model.transform(digits[0][:20]), whole.numpy(), rtol=1e-5, atol=1e-6)


def test_one_seed_gives_one_space_and_the_global_generator_stays(digits):
    x, before = digits[0][:200], torch.get_rng_state()
    first, again, other = (
        IJEPA(epochs=2, **{**SMALL, "random_state": seed}).fit(x).transform(x) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_goes_on_from_a_checkpoint_as_if_nothing_had_happened(digits, tmp_path):
    x = digits[0][:300]
    whole = IJEPA(epochs=4, **SMALL).fit(x)
    options = SMALL | {"epochs": 4, "checkpoint": tmp_path / "run.safetensors"}
    sort, items = read_items(x, "auto")

    def stop(words, share):
        if share == 0.5:
            raise KeyboardInterrupt

    part = IJEPA(**options).fit_items(sort, items, progress=stop)
    assert part.history_.ended_early and "interrupted in epoch 3" in part.history_.stopped
    again = IJEPA(**options).fit(x)
    np.testing.assert_allclose(again.transform(x), whole.transform(x), rtol=1e-4, atol=1e-5)


def test_a_step_takes_as_long_as_its_two_kinds_do_by_their_shares(monkeypatch):
    from types import SimpleNamespace

    from latentspace.models import ijepa_watch

    now = SimpleNamespace(at=0.0)

    class Slow(torch.nn.Module):
        pixels = 0.25

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        def after_step(self, network, progress):
            self.cost = 3.0 if progress == 1 else 1.0

        def forward(self, network, batch, generator):
            now.at += self.cost
            return {"loss": self.weight.sum()[None]}

    monkeypatch.setattr(ijepa_watch.time, "perf_counter", lambda: now.at)
    data = SimpleNamespace(batch=lambda rows, device: None)
    how = SimpleNamespace(batch_size=4, device="cpu")
    each = ijepa_watch.seconds_per_step(torch.nn.Linear(1, 1), Slow(), data, np.arange(4), how)
    assert each == pytest.approx(0.25 * 1 + 0.75 * 3)


def test_minutes_decide_how_many_epochs(digits):
    model = IJEPA(minutes=0.02, **SMALL).fit(digits[0][:300])
    assert 1 <= len(model.history_.epochs) < 200 and model.history_.seconds < 10


def test_pictures_that_do_not_divide_and_colours():
    x = np.random.default_rng(0).random((60, 13, 17, 3)).astype(np.float32)
    model = IJEPA(width=32, depth=1, patch_size=4, epochs=1, random_state=0).fit(x)
    assert model.network_.encoder.tokens.grid == (4, 5)
    z = model.transform(x)
    assert z.shape == (60, model.latent_dim_) and np.isfinite(z).all()
    assert list(model.get_feature_names_out())[:2] == ["ijepa0", "ijepa1"]


def test_recipes_follow_pictures_and_time():
    small, published = (recipe(name, (1, 28, 28), 20_000) for name in ("small", "published"))
    assert published.momentum == (0.996, 1.0) and published.num_pred_masks == 4
    assert published.following(100) == published
    assert small.following(100).momentum == (0.98, 1.0) and small.following(10**6).momentum == (0.996, 1.0)
    assert small.following(3000).momentum[0] == pytest.approx(0.99)
    assert recipe("small", (1, 28, 28), 20_000, 120.0).sizes.width > small.sizes.width
    assert recipe("small", (1, 28, 28), 200).batch_size == 8
    assert small.keep == 0.25 and recipe("small", (1, 8, 8), 1000, patch_size=2).keep == 0.5
    for side, patch in ((28, 4), (48, 6), (64, 8), (105, 15), (224, 28), (8, 1)):
        assert patch_for(side, side) == patch


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"recipe": "smal"}, "did you mean 'small'"),
        ({"width": 40}, "multiple of 32"),
        ({"patch_size": 4}, "cut pictures of 8 x 8 into 2 x 2; at least 3 x 3"),
        ({"targets": "raw"}, "targets is one of published, standardised"),
        ({"momentum": (0.9, 2.0)}, "momentum must be two numbers from 0 to 1"),
        ({"momentum": "high"}, "momentum must be 'auto' or two numbers"),
        ({"spread": -1.0}, "spread must be 0 or more"),
        ({"minutes": 0.0}, "minutes must be None or a number above 0"),
        ({"learning_rate": "fast"}, "learning_rate must be 'auto'"),
        ({"sampler": "every", "min_keep": 16}, "Contexts keep"),
        ({"sampler": "randm"}, "sampler is one of every, official, random, not 'randm'"),
        ({"keep": 1.0}, "keep must lie between 0 and 1"),
        ({"keep": "half"}, "keep must be 'auto' or a number"),
        ({"pixels": 2.0}, "pixels must be a share of training"),
        ({"layers": 9}, "layers must be at most 2, the depth"),
        ({"latent_dim": 10_000}, "at most 288, the width 32 times 9 regions"),
        ({"sampler": "official", "min_keep": 10}, "of the patches on a grid of 4 x 4"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(options, says):
    x = np.random.default_rng(0).random((40, 8, 8))
    with pytest.raises(OptionError, match=says):
        IJEPA(**{**SMALL, "epochs": 1, **options}).fit(x)


def test_items_that_are_no_pictures_are_refused():
    with pytest.raises(DataError, match="IJEPA learns from pictures, of shape"):
        IJEPA(epochs=1).fit(np.random.default_rng(0).normal(size=(50, 6)))


def waves(n, seed=0):
    """Signals (n, 2, 96) whose two kinds differ in pitch alone; where a wave begins is chance."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    turn = np.arange(96) * np.where(kind, 0.05, 0.09)[:, None] + rng.random((n, 1))
    beside = np.arange(96) * 0.02 + rng.random((n, 1))
    clean = np.stack([np.sin(2 * np.pi * turn), np.cos(2 * np.pi * beside)], axis=1)
    return (clean + 0.2 * rng.normal(size=clean.shape)).astype(np.float32), kind


@pytest.mark.slow
def test_signals_are_pictures_of_one_row():
    x, _ = waves(300)
    options = {"modality": "signal", "width": 32, "depth": 2, "random_state": 0}
    model = IJEPA(epochs=25, **options).fit(x)
    assert model.recipe_.sizes.patch_size == (1, 6) and model.network_.seeing.tokens.grid == (1, 16)
    assert model.dials_[0].foreseen < 0.6 and model.dials_[-1].foreseen > 0.65
    z = model.transform(x)
    assert z.shape == (300, model.latent_dim_) and np.isfinite(z).all()
    assert ((model.reconstruct(x) - x) ** 2).mean() < 0.1 * x.var()
    state, weights = model.to_state()
    again = from_state(json.loads(json.dumps(state)), weights)
    assert np.array_equal(again.transform(x), z)
    with pytest.raises(OptionError, match="'published' hides blocks of pictures; these are signals"):
        IJEPA(recipe="published", **options).fit(x)
    with pytest.raises(OptionError, match="cut signals of 96 samples are too short"):
        IJEPA(patch_size=48, **options).fit(x)


def test_a_masked_autoencoder_predicts_pixels_alone(digits):
    x = digits[0][:300]
    model = IJEPA(epochs=2, pixels=1.0, momentum=(0.0, 0.0), **SMALL).fit(x)
    trained = model.objective_.encoder.tokens.state_dict()
    for name, kept in model.network_.seeing.tokens.state_dict().items():
        torch.testing.assert_close(kept, trained[name])
    batch = Batch(torch.from_numpy(model.modality_.transform(read_items(x, "auto")[1])[0]))
    for progress in (0.0, 0.99):
        model.objective_.after_step(model.network_, progress)
        terms = model.objective_(model.network_, batch, torch.Generator().manual_seed(0))
        assert set(terms) == {"loss", "pixels"}


def test_z_is_the_regions_means_along_axes_that_lie_halfway_to_one_variance(digits):
    model = IJEPA(epochs=1, latent_dim=6, **SMALL).fit(digits[0][:400])
    z = model.transform(digits[0][:400])
    covariance = np.cov(z.T)
    spread = np.sqrt(np.diag(covariance))
    assert z.shape == (400, 6) and np.all(np.diff(spread) < 0)
    off = covariance / np.outer(spread, spread) - np.eye(6)
    assert np.abs(off).max() < 0.2
    plain = IJEPA(epochs=1, recipe="published", **SMALL).fit(digits[0][:400])
    assert plain.latent_dim_ == 32 and plain.recipe_.sizes.regions == 1
