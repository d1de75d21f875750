"""Pixels of tokens, and what is foreseen, drawn."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from latentspace import IJEPA, load
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs._foresee_items import given, learnt
from latentspace.jobs.fit import fit
from latentspace.jobs.foresee import foresee as draw
from latentspace.jobs.reconstruct import reconstruct
from latentspace.models.base import from_state
from latentspace.models.foresight import _nearest, foresee, misses
from latentspace.models.patch_probe import PatchProbe
from latentspace.networks._transformer import Attention
from latentspace.plots_foresight import HIDDEN

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


def test_a_probe_learnt_in_parts_is_the_one_learnt_at_once(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    tokens, pixels = torch.randn(50, 4, 5, generator=generator), torch.randn(50, 4, 7, generator=generator)
    whole = PatchProbe(4, 5, 7).learn(tokens, pixels, held_out=10)
    monkeypatch.setattr("latentspace.models.patch_probe.BLOCK", 3)
    parts = PatchProbe(4, 5, 7).learn(tokens, pixels, held_out=10)
    torch.testing.assert_close(parts.weight, whole.weight)
    torch.testing.assert_close(parts.explained, whole.explained)
    told = (tokens[:40] - tokens[:40].mean(dim=0)).flatten(0, 1).double()
    asked = (pixels[:40] - pixels[:40].mean(dim=0)).flatten(0, 1).double()
    plain = torch.linalg.lstsq(told, asked).solution.float()
    torch.testing.assert_close(whole.weight, plain, atol=1e-3, rtol=1e-2)


def test_what_prediction_misses_is_counted_by_hand(fitted):
    new = encoded(fitted, planes(30, 5))
    shown, missed = foresee(fitted, new, new, 0), misses(fitted, new)
    hidden = np.isnan(shown.seen)
    by_hand = [((shown.believed - new)[i][hidden[i]] ** 2).sum() for i in range(30)]
    np.testing.assert_allclose(missed["predicted"], by_hand, rtol=1e-3)
    assert shown.explained == pytest.approx(1 - sum(by_hand) / missed["mean patch"].sum(), abs=1e-4)
    assert (missed["target"].sum() < missed["predicted"].sum() < missed["mean patch"].sum()) and len(
        missed["target"]
    ) == 30


def test_the_nearest_to_a_pictures_own_tokens_is_that_picture(fitted):
    x = torch.from_numpy(encoded(fitted, planes(40, 6)))
    tokens = fitted.objective_.seen(fitted.network_, x)
    places = torch.tensor([[0, 7, 15]]).expand(40, -1)
    rows = _nearest(tokens[:, [0, 7, 15]], places, tokens, torch.full((40,), -1), 2)
    assert torch.equal(rows[..., 0], torch.arange(40)[:, None].expand(-1, 3))
    others = _nearest(tokens[:, [0, 7, 15]], places, tokens, torch.arange(40), 2)
    assert torch.equal(others[..., 0], rows[..., 1])


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


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planes")
    np.savez(folder / "planes.npz", images=grey(150))
    return fit(folder / "planes.npz", folder / "planes.space", model="ijepa", epochs=2, report=False)


def grey(n, seed=0):
    return (40 * planes(n, seed) + 128).clip(0, 255).astype(np.uint8)


def test_the_job_draws_and_says(space, tmp_path):
    x, told = grey(150), []
    found = draw(
        space,
        space.path.parent / "planes.npz",
        tmp_path / "seen.png",
        item=("3", "7"),
        nearest=1,
        progress=lambda words, share: told.append(words),
    )
    assert (tmp_path / "seen.png").stat().st_size > 10_000 and found.data["items"] == ["3", "7"]
    assert told == ["reading", "foreseeing", "drawing"] and "mean patch of their place" in found.summary
    assert found.data["low"] < found.data["explained"] < found.data["high"] < 1
    assert found.data["probe"] == space.figures["dials"]["pixels"] > 0.5
    said = reconstruct(load(space.path), x[:5], tmp_path / "r.npy")
    assert "from their tokens, not from Z" in said.summary
    assert np.load(tmp_path / "r.npy").shape == (5, 12, 12)


def test_what_is_foreseen_is_judged_on_pictures_that_training_did_not_see(space):
    x, held = grey(150), np.flatnonzero(space.held_out)
    own = learnt(space, space.modality.transform(space.items(x))[0])
    assert np.array_equal(own, ~space.held_out)
    found = draw(space, x)
    assert found.data["judged"] == len(held) == 15 and found.data["unseen"]
    assert set(found.data["items"]) <= {str(row) for row in held}
    # ids of an array are places in it, and tell nothing of what was learnt
    chosen = given(space, x[::-1], (), 0)
    assert chosen.unseen and len(chosen.judged) == 15 and len(chosen.among) == 135
    new = draw(space, grey(40, 9))
    assert new.data["judged"] == 40 and new.data["unseen"]
    seen = draw(space, x[~space.held_out])
    assert not seen.data["unseen"] and "that training saw" in seen.summary


def test_without_data_what_the_space_keeps_is_drawn(space, tmp_path):
    found = draw(space, out=tmp_path / "kept.svg")
    assert found.data["judged"] == 12 and found.data["items"][0] == "held out 1"
    assert (tmp_path / "kept.svg").exists() and len(found.value.nearest) == 2
    with pytest.raises(OptionError, match="item names pictures of data"):
        draw(space, item=("3",))
    with pytest.raises(OptionError, match="keeps no pictures to draw: give some as data"):
        draw(replace(space, scorer=None))


def test_pictures_of_any_range_and_what_is_hidden_are_drawn_as_they_are():
    x = 16 * (planes(60) - planes(60).min()) / np.ptp(planes(60))
    found = draw(fit(x, model="ijepa", epochs=1, report=False), x, item=("0",))
    picture, seen = (axes.images[0].get_array() for axes in found.figures["foresight"]().axes[:2])
    np.testing.assert_allclose(picture, x[0] / 16, atol=0.1)  # and not white wherever above 1
    hidden = np.isclose(seen, HIDDEN).all(axis=2)
    assert np.array_equal(hidden, np.isnan(found.value.seen[0, 0])) and 0.4 < hidden.mean() < 0.8
    assert np.allclose(seen[~hidden], picture[~hidden][:, None], atol=1e-6)


def test_what_the_job_cannot_do_it_says_in_a_sentence(space, tmp_path):
    x = grey(120)
    with pytest.raises(OptionError, match="item '300' is none of these pictures"):
        draw(space, x, item=("300",))
    with pytest.raises(OptionError, match="nearest must lie between"):
        draw(space, x[:3], nearest=3)
    with pytest.raises(DataError, match="holds 1 picture"):
        draw(space, x[:1])
    plain = fit(x, latent_dim=3, epochs=1, report=False)
    with pytest.raises(SpaceError, match="foresees nothing"):
        draw(plain, x, tmp_path / "no.png")
    assert not any(tmp_path.iterdir())
