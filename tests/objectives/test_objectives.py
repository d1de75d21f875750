import numpy as np
import pytest
import torch

from latentspace import folder
from latentspace.errors import OptionError
from latentspace.likelihoods import Gaussian
from latentspace.networks._pooled import PooledNetwork, Sizes
from latentspace.networks.dense import Dense
from latentspace.networks.layers import seeded
from latentspace.objectives.denoising import CORRUPTIONS, Denoising
from latentspace.objectives.variational import Variational, kl_per_dimension
from latentspace.training.loop import Data, Training, train
from latentspace.types import Batch, Latent

OPTIONS = {
    "classification": {"n_classes": 2, "latent_dim": 3},
    "ijepa": {"predictor_width": 12, "predictor_depth": 1, "predictor_heads": 1, "masks": {"min_keep": 4}},
}


def setting(name):
    with seeded(0):
        if name == "ijepa":
            net = PooledNetwork((1, 8, 8), Sizes((2, 2), 12, 1, 1))
        else:
            net = Dense((8,), 3, (16,), variational=name == "variational")
        objective = folder.find("objectives", name)(**OPTIONS.get(name, {}))
    objective.setup(net, Gaussian())
    return net, objective


@pytest.mark.parametrize("name", folder.names("objectives"))
def test_every_objective_falls_names_its_source_and_gives_one_loss_an_item(name):
    net, objective = setting(name)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 3)) @ rng.normal(size=(3, np.prod(net.shape)))).astype(np.float32)
    data = Data(x.reshape(400, *net.shape), None, (x[:, 0] > 0).astype(np.int64))
    assert "Source:" in type(objective).__doc__
    losses = objective(net, data.batch(slice(0, 7)))
    assert losses["loss"].shape == (7,)
    history = train(net, objective, data, np.arange(100, 400), np.arange(100), Training(30, 32, 1e-2))
    assert history.best_loss < 0.7 * history.start_loss


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_damage_as_much_as_they_are_told(name):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 3, 8, 8, generator=generator)
    before = x.clone()
    seen = Denoising(name, 0.25).view(x, generator)
    assert torch.equal(x, before)
    if name == "gaussian":
        assert float((seen - x).std()) == pytest.approx(0.25, rel=0.02)
    elif name == "grey":
        spread = (seen - seen.mean(dim=1, keepdim=True)) / (x - x.mean(dim=1, keepdim=True))
        torch.testing.assert_close(spread, torch.full_like(x, 0.75), rtol=1e-2, atol=1e-2)
    else:
        assert float((seen != x).double().mean()) == pytest.approx(0.25, rel=0.05)
    assert torch.equal(Denoising(name, 0.25).view(x, None), x)


def test_one_s_own_corruption_and_bad_options():
    half = Denoising(lambda x, strength, generator: x * strength, 0.5)
    assert torch.equal(half.view(torch.ones(2, 2), torch.Generator()), torch.full((2, 2), 0.5))
    with pytest.raises(OptionError, match="did you mean 'gaussian'"):
        Denoising("gausian")
    with pytest.raises(OptionError, match="strength must be 0 or more"):
        Denoising("gaussian", -1.0)
    with pytest.raises(OptionError, match="beta and free_bits"):
        Variational(beta=-1.0)


def test_kl_agrees_with_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(5, 3, generator=generator), torch.randn(5, 3, generator=generator)
    q = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_per_dimension(Latent(mean, logvar)), expected)


def test_free_bits_are_free_and_beta_weighs_the_rest():
    net, _ = setting("variational")
    batch = Batch(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)))
    plain, heavy, free = Variational(), Variational(beta=3.0), Variational(free_bits=1e6)
    for objective in (plain, heavy, free):
        objective.setup(net, Gaussian())
    terms = plain(net, batch)
    torch.testing.assert_close(heavy(net, batch)["loss"], terms["reconstruction"] + 3 * terms["kl"])
    torch.testing.assert_close(free(net, batch)["loss"], terms["reconstruction"] + 3e6)
