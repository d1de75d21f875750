import copy

import pytest
import torch
from torch.nn import functional as F

from latentspace.errors import OptionError
from latentspace.likelihoods import Gaussian
from latentspace.networks._pooled import PooledNetwork, Sizes, widen
from latentspace.networks.dense import Dense
from latentspace.networks.layers import seeded
from latentspace.networks.vit import IJepa, Predictor
from latentspace.objectives.ijepa import PatchPrediction, scatter
from latentspace.types import Batch

SHAPE = (2, 12, 20)


def setting(**options):
    with seeded(0):
        network = PooledNetwork(SHAPE, Sizes((4, 4), 24, 2, 2))
        objective = PatchPrediction(12, 2, 1, masks={"min_keep": 3}, **options)
        objective.setup(network, Gaussian())
        for p in objective.encoder.parameters():  # away from the target encoder
            if p.requires_grad:
                p.data += 0.05 * torch.randn(p.shape)
    return network, objective


def images(n=16, seed=0):
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed))


def published(network, objective):
    """The same parts as one published model."""
    model = IJepa(objective.encoder.tokens, objective.predictor)
    model.target_encoder = network.encoder.tokens
    return model


def test_the_loss_is_the_published_one():
    network, objective = setting()
    x = images()
    masks = objective.drawn(16, torch.Generator().manual_seed(3), "cpu")
    terms = objective(network, Batch(x), torch.Generator().manual_seed(3))
    theirs = published(network, objective).loss(x, masks.context, masks.targets)
    torch.testing.assert_close(terms["loss"].mean(), theirs)
    assert terms["loss"].shape == (16,)


def test_each_item_has_the_loss_of_its_own_blocks_and_judged_ones_none_of_their_neighbours():
    network, objective = setting()
    x = images()
    judged = objective(network, Batch(x))["loss"]
    alone = torch.cat([objective(network, Batch(x[i : i + 1]))["loss"] for i in range(16)])
    torch.testing.assert_close(judged, alone)
    assert torch.equal(judged, objective(network, Batch(x))["loss"])


def test_only_the_context_encoder_and_the_predictor_learn_and_the_network_follows():
    network, objective = setting(momentum=(0.9, 1.0))
    objective(network, Batch(images()), torch.Generator().manual_seed(0))["loss"].mean().backward()
    assert all(p.grad is None for p in network.parameters())
    learning = [p for p in objective.parameters() if p.requires_grad]
    assert learning and all(p.grad is not None and p.grad.abs().sum() > 0 for p in learning)
    for step, momentum in ((0, 0.9), (5, 0.95), (10, 1.0)):
        before = [p.clone() for p in network.encoder.parameters()]
        objective.after_step(network, step / 10)
        pairs = zip(before, objective.encoder.parameters(), network.encoder.parameters(), strict=True)
        for old, new, now in pairs:
            torch.testing.assert_close(now, momentum * old + (1 - momentum) * new)


def test_the_step_is_that_of_the_published_moving_average():
    network, objective = setting(momentum=(0.996, 1.0))
    model = published(network, objective)
    model.target_encoder = copy.deepcopy(network.encoder.tokens)
    for step in range(5):
        objective.after_step(network, step / 5)
        model.follow(0.996 + step * (1 - 0.996) / 5)
    for a, b in zip(network.encoder.tokens.parameters(), model.target_encoder.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_standardised_targets_have_mean_0_and_variance_1_and_published_ones_within_a_token():
    network, objective = setting(targets="standardised")
    tokens = objective.seen(network, images(400), learning=True)
    torch.testing.assert_close(tokens.mean(dim=(0, 1)), torch.zeros(24), atol=1e-4, rtol=0)
    torch.testing.assert_close(tokens.std(dim=(0, 1)), torch.ones(24), atol=1e-3, rtol=0)
    before = objective.centre.clone()
    objective.seen(network, images(10, seed=1))
    assert torch.equal(objective.centre, before)  # what is judged is not learnt from
    objective.seen(network, images(10, seed=1) + 1, learning=True)
    assert not torch.equal(objective.centre, before)
    network, objective = setting()
    tokens = objective.seen(network, images())
    whole = network.encoder.tokens(images())
    torch.testing.assert_close(tokens, F.layer_norm(whole, (24,)).detach())


def test_spread_costs_nothing_where_dimensions_vary_and_differ():
    z = torch.randn(20_000, 6, generator=torch.Generator().manual_seed(0))
    assert float(scatter(1.2 * z)) < 0.01
    assert float(scatter(0.25 * z)) == pytest.approx(0.75, abs=0.02)
    alike = z[:, :1].expand(-1, 6)
    assert float(scatter(alike)) == pytest.approx(0.04 * 5, rel=0.1)
    network, objective = setting(spread=0.5)
    terms = objective(network, Batch(images()), torch.Generator().manual_seed(0))
    torch.testing.assert_close(terms["loss"], terms["prediction"] + 0.5 * terms["spread"])
    assert set(objective(network, Batch(images()))) == {"loss", "prediction"}


def test_z_is_the_mean_of_tokens_and_pictures_are_bordered_with_the_mean_picture():
    network, _ = setting()
    x = images()
    with torch.no_grad():
        torch.testing.assert_close(network.encode(x).mean, network.encoder.tokens(x).mean(dim=1))
    with seeded(0):
        odd = PooledNetwork((2, 11, 18), Sizes((4, 4), 24, 2, 2))
    assert odd.encoder.tokens.grid == (3, 5)
    padded = odd.encoder.bordered(x[:, :, :11, :18])
    assert padded.shape == (16, 2, 12, 20) and padded[:, :, 11:].abs().sum() == 0
    torch.testing.assert_close(padded[:, :, :11, :18], x[:, :, :11, :18])


def test_first_tokens_start_as_wide_as_pictures_of_variance_1():
    with seeded(0):
        network = PooledNetwork(SHAPE, Sizes((4, 4), 64, 1, 2))
    with torch.no_grad():
        tokens = [network.encoder.tokens.patch_embed(images(100)).std()]
    network.start_wide(torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens.append(network.encoder.tokens.patch_embed(images(100)).std())
    assert float(tokens[0]) < 0.2 and float(tokens[1]) == pytest.approx(1, abs=0.1)


def test_what_cannot_be_is_refused_in_a_sentence():
    with pytest.raises(OptionError, match="did you mean 'published'"):
        PatchPrediction(targets="publshed")
    with pytest.raises(OptionError, match="momentum must be two numbers"):
        PatchPrediction(momentum=(0.9, 1.1))
    with pytest.raises(OptionError, match="needs pictures or signals, and a vision transformer"):
        PatchPrediction().setup(Dense((8,), 2, (4,)), Gaussian())


def test_narrow_layers_start_as_strong_as_wide_published_ones():
    with seeded(0):
        narrow, wide = (Predictor((3, 5), 24, width, 1, 1) for width in (12, 768))
    widen(narrow)
    strengths = []
    for part, width in ((narrow, 12), (wide, 768)):
        x = torch.randn(4000, width, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            strengths.append(float(part.predictor_blocks[0].mlp.fc1(x).std()))
    assert strengths[0] == pytest.approx(strengths[1], rel=0.1)


def test_pixels_come_first_and_give_way_to_representations():
    network, objective = setting(pixels=0.5)
    x, generator = Batch(images()), torch.Generator()
    for progress, names in ((0.0, {"pixels"}), (0.55, {"pixels", "prediction"}), (0.7, {"prediction"})):
        objective.after_step(network, progress)
        terms = objective(network, x, generator.manual_seed(0))
        assert set(terms) == names | {"loss"}
    assert set(objective(network, x)) == {"loss", "prediction"}  # as items are judged
    objective.progress.fill_(0.0)
    terms, masks = (
        objective(network, x, generator.manual_seed(0)),
        objective.drawn(16, generator.manual_seed(0), "cpu"),
    )
    told = objective.to_pixels(objective.predicted(objective.context(x.x, masks), masks))
    row, column = divmod(int(masks.targets[0, 0, 0]), 5)  # of a grid of 3 x 5 patches of 4 x 4
    patch = x.x[0, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten()
    torch.testing.assert_close(objective.patches(x.x)[0, int(masks.targets[0, 0, 0])], patch)
    hidden = objective.patches(x.x)[torch.arange(16)[:, None], masks.targets.transpose(0, 1).flatten(1)]
    torch.testing.assert_close(terms["loss"], (told - hidden).square().mean(dim=(1, 2)))


def test_targets_of_several_blocks_are_their_mean():
    network, objective = setting(layers=2)
    x, seen = images(), []
    blocks = network.encoder.tokens.blocks
    hooks = [
        b.register_forward_hook(lambda m, i, out: seen.append(F.layer_norm(out, out.shape[-1:])))
        for b in blocks
    ]
    network.encoder.tokens(x)
    [hook.remove() for hook in hooks]
    mean = (seen[-1] + seen[-2]) / 2
    torch.testing.assert_close(objective.seen(network, x), F.layer_norm(mean, mean.shape[-1:]))
