"""Pixels of tokens, and what is foreseen, drawn."""

import json

import numpy as np
import pytest
import torch

from latentspace import IJEPA, load
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs.fit import fit
from latentspace.jobs.foresee import foresee as draw
from latentspace.jobs.reconstruct import reconstruct
from latentspace.models.base import from_state
from latentspace.models.foresight import foresee
from latentspace.models.patch_probe import PatchProbe
from latentspace.networks._transformer import Attention

OPTIONS = {"width": 32, "depth": 1, "patch_size": 3, "learning_rate": 3e-3, "random_state": 0}


def planes(n, seed=0):
    """Pictures (n, 12, 12) that are planes: any few patches tell all others."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[-1:1:12j, -1:1:12j]
    return np.einsum("nk,kij->nij", rng.normal(size=(n, 3)), [down, across, np.ones((12, 12))]).astype(
        "float32"
    )


@pytest.fixture(scope="module")
def fitted():
    return IJEPA(epochs=8, **OPTIONS).fit(planes(1500))


def encoded(model, x):
    return ((x - x.mean()) / x.std())[:, None]


def test_a_probe_is_least_squares_about_the_means_of_places():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(300, 4, 5, generator=generator) + torch.arange(4.0)[:, None]
    weight = torch.randn(5, 7, generator=generator)
    pixels = tokens @ weight + 3 * torch.arange(4.0)[:, None]
    probe = PatchProbe(4, 5, 7).learn(tokens, pixels, held_out=60)
    assert float(probe.explained) > 0.999
    torch.testing.assert_close(probe(tokens), pixels, atol=0.02, rtol=0.02)
    places = torch.tensor([[3, 0]]).expand(300, -1)
    torch.testing.assert_close(probe(tokens[:, [3, 0]], places), probe(tokens)[:, [3, 0]])
    noise = torch.randn(300, 4, 7, generator=generator)
    assert float(PatchProbe(4, 5, 7).learn(tokens, noise, held_out=60).explained) < 0.05


def test_attention_that_is_drawn_is_the_one_that_is_used():
    attention, tokens = Attention(12, 3), torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0))
    shares = attention.shares(tokens)
    torch.testing.assert_close(shares.sum(dim=-1), torch.ones(2, 3, 5))
    values = attention.qkv(tokens).view(2, 5, 3, 3, 4).permute(2, 0, 3, 1, 4)[2]
    heard = attention.proj((shares @ values).transpose(1, 2).reshape(2, 5, 12))
    torch.testing.assert_close(heard, attention(tokens))


def test_what_is_foreseen_beats_the_mean_patch_after_training_alone(fitted):
    new, others = (encoded(fitted, planes(n, seed)) for n, seed in ((20, 1), (200, 2)))
    trained = foresee(fitted, new, others)
    untrained = foresee(IJEPA(epochs=0, **OPTIONS).fit(planes(300)), new, others)
    assert trained.explained > 0.6 and untrained.explained < 0.3
    assert trained.probe > trained.explained and float(fitted.probe_.explained) > 0.9
    seen = ~np.isnan(trained.seen)
    assert seen.mean() == 0.5  # 8 of 16 patches
    assert np.array_equal(trained.seen[seen], new[seen]) and np.array_equal(trained.believed[seen], new[seen])
    np.testing.assert_allclose(trained.attention.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert (
        trained.colours.shape == (20, 4, 4, 3) and trained.colours.min() >= 0 and trained.colours.max() <= 1
    )
    real = ((trained.nearest[0] - new) ** 2)[~seen].mean()
    other = ((others[:20] - new) ** 2)[~seen].mean()
    assert real < 0.3 * other  # real patches that fit, and not just any


def test_real_patches_are_never_the_pictures_own(fitted):
    x = encoded(fitted, planes(50, 3))
    with_own = foresee(fitted, x[:5], x, 1).nearest[0]
    without = foresee(fitted, x[:5], x, 1, own=np.arange(5)).nearest[0]
    hidden = np.isnan(foresee(fitted, x[:5], x, 0).seen)
    assert np.isclose(with_own, x[:5])[hidden].mean() > 0.1
    assert np.isclose(without, x[:5])[hidden].mean() < 0.01


def test_pictures_come_back_from_their_tokens_and_from_disk(fitted):
    x = planes(40, 4)
    rebuilt = fitted.reconstruct(x)
    assert ((rebuilt - x) ** 2).mean() < 0.1 * x.var()
    state, weights = fitted.to_state()
    again = from_state(json.loads(json.dumps(state)), weights)
    np.testing.assert_array_equal(again.reconstruct(x), rebuilt)
    older = from_state(
        state, {k: v for k, v in weights.items() if not k.startswith("probe.") and "progress" not in k}
    )
    assert np.array_equal(older.transform(x), fitted.transform(x))
    with pytest.raises(SpaceError, match="older version"):
        older.reconstruct(x)


def test_bad_input_ends_in_one_sentence(fitted):
    x = encoded(fitted, planes(10))
    with pytest.raises(DataError, match="have shape"):
        foresee(fitted, x[:, :, :9], x)
    with pytest.raises(OptionError, match="nearest must lie between 0 and 9"):
        foresee(fitted, x, x, nearest=10)


@pytest.mark.slow
def test_the_job_draws_and_says(tmp_path):
    x = (40 * planes(120) + 128).clip(0, 255).astype(np.uint8)
    np.savez(tmp_path / "planes.npz", images=x)
    space = fit(tmp_path / "planes.npz", tmp_path / "planes.space", model="ijepa", epochs=2)
    found = draw(space, tmp_path / "planes.npz", tmp_path / "seen.png", item=("3", "7"), nearest=1)
    assert (tmp_path / "seen.png").stat().st_size > 10_000 and found.data["items"] == ["3", "7"]
    assert found.data["explained"] < 1 and "mean patch of their place" in found.summary
    said = reconstruct(load(tmp_path / "planes.space"), x[:5], tmp_path / "r.npy")
    assert "from their tokens, not from Z" in said.summary and np.load(tmp_path / "r.npy").shape == (
        5,
        12,
        12,
    )
    with pytest.raises(OptionError, match="item '300' is none of these pictures"):
        draw(space, x, item=("300",))
    plain = fit(x, tmp_path / "plain.space", latent_dim=3, epochs=1)
    with pytest.raises(SpaceError, match="foresees nothing"):
        draw(plain, x)
