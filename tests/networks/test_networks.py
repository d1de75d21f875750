import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from torch import nn

from latentspace import folder
from latentspace.likelihoods import Bernoulli, Gaussian, Mixed
from latentspace.networks.base import own_network
from latentspace.networks.layers import principal_axes, seeded

SHAPES = {"dense": (12,), "conv": (3, 9, 14), "conv1d": (2, 25)}


def items(shape, n=200, seed=0):
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    x = rng.normal(size=(n, 6)) @ rng.normal(size=(6, size)) + 0.1 * rng.normal(size=(n, size)) + 2
    return x.reshape(n, *shape).astype(np.float32)


def test_every_network_is_examined():
    assert set(folder.names("networks")) == set(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("variational", [False, True])
def test_starts_exactly_at_pca(name, variational):
    x = items(SHAPES[name])
    network = folder.find("networks", name)(SHAPES[name], 4, variational=variational)
    network.start_at_pca(x, Gaussian())
    flat = x.reshape(len(x), -1)
    pca = PCA(4).fit(flat)
    with torch.no_grad():
        latent = network.encode(torch.from_numpy(x))
        ours = network(torch.from_numpy(x)).numpy().reshape(len(x), -1)
    np.testing.assert_allclose(ours, pca.inverse_transform(pca.transform(flat)), atol=2e-3)
    np.testing.assert_allclose(latent.mean.numpy().std(axis=0), 1, atol=1e-3)
    assert (latent.logvar is None) == (not variational)


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_reaches_every_weight_after_one_step(name):
    x = torch.from_numpy(items(SHAPES[name]))
    with seeded(0):
        network = folder.find("networks", name)(SHAPES[name], 4)
    network.start_at_pca(x.numpy(), Gaussian())
    for _ in range(2):
        network.zero_grad()
        ((network(x) - x) ** 2).mean().backward()
        with torch.no_grad():
            for p in network.parameters():
                if p.requires_grad:
                    p -= 1e-3 * p.grad
    assert all(p.grad.abs().sum() > 0 for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", SHAPES)
def test_settings_build_the_same_network_again(name):
    network_class = folder.find("networks", name)
    network = network_class(SHAPES[name], 4, (16, 8))
    settings = network.settings()
    kind, shape = settings.pop("kind"), tuple(settings.pop("shape"))
    again = folder.find("networks", kind)(shape, **settings)
    again.load_state_dict(network.state_dict())
    x = torch.from_numpy(items(SHAPES[name], 5))
    torch.testing.assert_close(again(x), network(x))


def test_mixed_columns_start_near_the_frequencies():
    rng = np.random.default_rng(0)
    x = np.hstack([rng.normal(size=(500, 2)), rng.random((500, 1)) < 0.2]).astype(np.float32)
    network = folder.find("networks", "dense")((3,), 1)
    likelihood = Mixed(((Gaussian(), 2), (Bernoulli(), 1)))
    network.start_at_pca(x, likelihood)
    with torch.no_grad():
        mean = likelihood.mean(network(torch.from_numpy(x)))
    assert abs(float(mean[:, 2].mean()) - x[:, 2].mean()) < 0.05


@pytest.mark.parametrize(("n", "d"), [(300, 20), (30, 3000), (4200, 2100)])
def test_principal_axes_agree_with_scikit_learn_by_every_route(n, d):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(n, 5)) @ rng.normal(size=(5, d)) * 3 + 0.1 * rng.normal(size=(n, d))).astype(
        np.float32
    )
    mean, axes, deviations = principal_axes(x, 3)
    pca = PCA(3, svd_solver="full" if n < d else "covariance_eigh").fit(x)
    np.testing.assert_allclose(np.abs((axes * pca.components_.T).sum(axis=0)), 1, atol=1e-3)
    np.testing.assert_allclose(deviations, np.sqrt(pca.explained_variance_ * (n - 1) / n), rtol=1e-3)
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-4)


def test_more_latents_than_directions_leaves_the_rest_at_zero():
    x = np.outer(np.arange(10), np.ones(5)).astype(np.float32)
    _, axes, deviations = principal_axes(x, 4)
    assert deviations[0] > 1 and (deviations[1:] == 0).all()
    assert np.isfinite(axes).all()


def test_axes_beyond_the_rank_follow_the_columns_that_vary_most():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 1)) * np.array([5.0, 5.0, 3.0, 3.0, 0.1, 0.1])).astype(np.float32)
    _, axes, deviations = principal_axes(x, 3)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert np.all(deviations[1:] == 0) and deviations[0] > 5
    assert np.abs(axes[4:, 1:]).max() < 0.1


@pytest.mark.parametrize("name", SHAPES)
def test_reframing_keeps_reconstructions_and_brings_distances_near_those_of_items(name):
    x = items(SHAPES[name])
    with seeded(0):
        network = folder.find("networks", name)(SHAPES[name], 4)
    network.start_at_pca(x, Gaussian())
    tensor = torch.from_numpy(x)
    with torch.no_grad():
        for p in network.parameters():  # away from PCA
            p += 0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)) * p.requires_grad
        before, z = network(tensor), network.encode(tensor).mean.numpy()
        network.reframe(x)
        after, framed = network(tensor), network.encode(tensor).mean.numpy()
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
    distances = [pdist(a.reshape(len(x), -1)) for a in (x, z, framed)]
    assert (
        np.corrcoef(distances[0], distances[2])[0, 1] > np.corrcoef(distances[0], distances[1])[0, 1] + 0.02
    )


def test_own_modules_are_put_beside_a_linear_path():
    x = items((12,))
    with seeded(0):
        pair = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 2)), nn.Linear(2, 12)
    network = own_network(pair, (12,), 2)
    network.start_at_pca(x, Gaussian())
    pca = PCA(2).fit(x)
    with torch.no_grad():
        ours = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, pca.inverse_transform(pca.transform(x)), atol=2e-3)


def test_seeded_leaves_the_global_generator_alone():
    before = torch.default_generator.get_state()
    with seeded(3):
        first = torch.rand(2)
    with seeded(3):
        again = torch.rand(2)
    assert torch.equal(first, again)
    assert torch.equal(before, torch.default_generator.get_state())
