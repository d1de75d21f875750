import numpy as np
import pytest
import torch

from latentspace.likelihoods import Bernoulli, Categorical, Gaussian, Mixed, likelihood_from_state

MIXED = Mixed(((Gaussian(), 2), (Bernoulli(), 1), (Categorical((3, 2)), 5)))


def observations(n: int = 50) -> torch.Tensor:
    rng = np.random.default_rng(0)
    first, second = np.eye(3)[rng.integers(3, size=n)], np.eye(2)[rng.integers(2, size=n)]
    x = np.hstack([rng.normal(size=(n, 2)), rng.integers(2, size=(n, 1)), first, second])
    return torch.from_numpy(x)


def test_the_gradient_of_every_likelihood_is_mean_minus_observation():
    x = observations()
    eta = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    eta.requires_grad_()
    MIXED.nll(eta, x).sum().backward()
    torch.testing.assert_close(eta.grad, MIXED.mean(eta.detach()) - x)


def test_nll_agrees_with_torch_distributions():
    x = observations()
    eta = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    nll = MIXED.nll(eta, x)
    normal = torch.distributions.Normal(eta[:, :2], 1.0).log_prob(x[:, :2])
    torch.testing.assert_close(nll[:, :2], -normal - 0.5 * np.log(2 * np.pi))
    yes = torch.distributions.Bernoulli(logits=eta[:, 2]).log_prob(x[:, 2])
    torch.testing.assert_close(nll[:, 2], -yes)
    kinds = torch.distributions.OneHotCategorical(logits=eta[:, 3:6]).log_prob(x[:, 3:6])
    torch.testing.assert_close(nll[:, 3:6].sum(dim=1), -kinds)


def test_link_is_the_inverse_of_mean_and_slope_its_derivative():
    frequencies = np.array([0.4, -1.0, 0.3, 0.2, 0.5, 0.3, 0.6, 0.4])
    eta = torch.from_numpy(MIXED.link(frequencies))[None]
    np.testing.assert_allclose(MIXED.mean(eta)[0].numpy(), frequencies, atol=1e-12)
    # a step whose parts add up to zero in each group, as every reconstruction's does
    step = 1e-6 * np.array([1.0, 2.0, 1.0, 1.0, -2.0, 1.0, 3.0, -3.0])
    moved = torch.from_numpy(MIXED.link(frequencies) + MIXED.slope(frequencies) * step)[None]
    np.testing.assert_allclose(MIXED.mean(moved)[0].numpy() - frequencies, step, rtol=1e-4)


def test_extreme_parameters_stay_finite():
    x = observations(4)
    eta = torch.full(x.shape, 1e6, dtype=torch.float64)
    eta[:, ::2] *= -1
    assert torch.isfinite(Categorical((3, 2)).nll(eta[:, 3:], x[:, 3:])).all()
    assert torch.isfinite(Bernoulli().nll(eta[:, 2:3], x[:, 2:3])).all()


def test_a_sure_and_right_prediction_is_not_punished_however_large_its_parameters():
    x = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0]])
    eta = torch.tensor([[100.0, 150.0, 0.0, 80.0, 40.0]], requires_grad=True)
    loss = Categorical((3, 2)).nll(eta, x).sum()
    loss.backward()
    assert float(loss.detach()) < 1e-6
    assert eta.grad.abs().max() < 1e-6
    assert (Categorical((3, 2)).mean(eta.detach()) - x).abs().max() < 1e-6


@pytest.mark.parametrize("likelihood", [Gaussian(), Bernoulli(), Categorical((4,)), MIXED])
def test_state_round_trip(likelihood):
    assert likelihood_from_state(likelihood.state()) == likelihood
