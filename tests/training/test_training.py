import copy

import numpy as np
import pytest
import torch

from latentspace.errors import TrainingError
from latentspace.likelihoods import Bernoulli, Categorical, Gaussian, Mixed
from latentspace.networks.dense import Dense
from latentspace.networks.layers import seeded
from latentspace.objectives.base import nats_per_item
from latentspace.objectives.denoising import Denoising
from latentspace.objectives.reconstruction import Reconstruction
from latentspace.training.flat import Adam, DenseBackward, FlatParameters
from latentspace.training.loop import Data, Training, item_losses, train
from latentspace.training.schedule import Schedule
from latentspace.types import Batch

MIXED = Mixed(((Gaussian(), 4), (Bernoulli(), 2), (Categorical((3, 2)), 5)))


def curved(n=1200, d=11, seed=0):
    """Items on a curved surface of two dimensions: PCA with two latents cannot follow it."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-2, 2, size=(n, 2))
    features = np.hstack([t, t**2, np.sin(2 * t)])
    x = features @ np.random.default_rng(1).normal(size=(6, d))
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)


def network(d=11, k=2, hidden=(32, 16), seed=0, start=None, likelihood=None):
    with seeded(seed):
        net = Dense((d,), k, hidden)
    if start is not None:
        net.start_at_pca(start, likelihood or Gaussian())
    return net


def reconstruction(net, likelihood=None, objective=None):
    objective = objective or Reconstruction()
    objective.setup(net, likelihood or Gaussian())
    return objective


@pytest.mark.parametrize("likelihood", [Gaussian(), MIXED], ids=["gaussian", "mixed"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("hidden", [(16,), (32, 16), (24, 16, 12)])
def test_backward_by_hand_equals_autograd(likelihood, gaps, hidden):
    generator = torch.Generator().manual_seed(0)
    net = network(hidden=hidden).double()
    x = torch.rand(64, 11, dtype=torch.float64, generator=generator)
    x[:, 4:6] = x[:, 4:6].round()
    x[:, 6:9], x[:, 9:] = torch.eye(3)[torch.arange(64) % 3], torch.eye(2)[torch.arange(64) % 2]
    observed = (torch.rand(64, 11, generator=generator) > 0.3).double() if gaps else None
    if observed is not None:  # a category is observed whole or not at all
        observed[:, 7:9], observed[:, 10] = observed[:, 6:7], observed[:, 9]
    flat = FlatParameters(net)
    loss = DenseBackward(net.encoder, net.decoder, likelihood)(Batch(x, observed))
    by_hand = flat.gradient.clone()
    flat.gradient.zero_()
    expected = nats_per_item(likelihood, net(x), x, observed).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(by_hand, flat.gradient, rtol=1e-9, atol=1e-12)


def test_forty_steps_by_hand_equal_forty_by_torch_optim():
    x = torch.from_numpy(curved())
    ours, theirs = network(), network()
    flat = FlatParameters(ours)
    adam, backward = Adam(flat), DenseBackward(ours.encoder, ours.decoder, Gaussian())
    reference = torch.optim.Adam(theirs.parameters(), lr=3e-3, betas=(0.9, 0.95))
    for step in range(40):
        batch = x[step * 16 : step * 16 + 16]
        backward(Batch(batch))
        adam.step(3e-3)
        reference.zero_grad()
        (0.5 * ((theirs(batch) - batch) ** 2).sum() / len(batch)).backward()
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


def test_adam_without_the_fused_kernel_takes_the_same_steps():
    nets = [network(), network()]
    flats = [FlatParameters(net) for net in nets]
    fused, plain = Adam(flats[0]), Adam(flats[1])
    plain.has_fused = False
    for seed in range(5):
        gradient = torch.randn(flats[0].values.shape, generator=torch.Generator().manual_seed(seed))
        for flat, adam in zip(flats, (fused, plain), strict=True):
            flat.gradient.copy_(gradient)
            adam.step(1e-2)
    torch.testing.assert_close(flats[0].values, flats[1].values, rtol=1e-5, atol=1e-6)


def fit(x, net, objective=None, rows=None, **how):
    n = len(x)
    rows = rows or (np.arange(n // 5, n), np.arange(n // 5))
    settings = {"epochs": 60, "batch_size": 64, "peak_rate": 1e-2, "patience": 100} | how
    return train(net, reconstruction(net, objective=objective), Data(x), *rows, Training(**settings))


def mse(net, x):
    with torch.no_grad():
        return float(((net(torch.from_numpy(x)) - torch.from_numpy(x)) ** 2).mean())


def test_training_beats_pca_where_the_data_bend_and_an_untrained_net_does_not():
    x, fresh = curved(), curved(seed=5)
    net = network(start=x)
    pca = mse(net, fresh)
    history = fit(x, net)
    assert not history.kept_start
    assert mse(net, fresh) < 0.35 * pca
    assert mse(network(), fresh) > 2 * pca
    assert history.best_loss == min(e[2] for e in history.epochs) < 0.35 * history.start_loss


def test_where_pca_is_the_answer_it_stays_and_says_so():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(120, 3)) @ rng.normal(size=(3, 11)) + rng.normal(size=(120, 11))).astype(np.float32)
    net = network(k=3, start=x)
    before = copy.deepcopy(net.state_dict())
    history = fit(x, net)
    assert history.kept_start and history.best_epoch == 0
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_training_that_beats_its_start_but_not_the_rival_is_not_kept():
    x = curved()
    rows = np.arange(240, 1200), np.arange(240)
    how = Training(20, 64, 1e-2)
    for share, kept_start in ((0.9, False), (0.01, True)):
        net = network(start=x)
        losses = item_losses(net, reconstruction(net), Data(x), rows[1])
        history = train(net, reconstruction(net), Data(x), *rows, how, rival=share * losses)
        assert history.kept_start is kept_start


def test_autograd_and_the_fast_path_train_to_the_same_loss():
    x = curved()
    fast, slow = network(start=x), network(start=x)
    slow.encoder.__class__ = type("Other", (type(slow.encoder),), {})
    slow_objective = reconstruction(slow)
    slow_objective.is_reconstruction = False
    rows = np.arange(240, 1200), np.arange(240)
    how = Training(epochs=10, batch_size=64, peak_rate=1e-2)
    first = train(fast, reconstruction(fast), Data(x), *rows, how)
    second = train(slow, slow_objective, Data(x), *rows, how)
    assert first.best_loss == pytest.approx(second.best_loss, rel=1e-2)


def test_same_seed_same_weights():
    x = curved()
    nets = [network(start=x) for _ in range(2)]
    for net in nets:
        fit(x, net, Denoising("gaussian", 0.2), epochs=3)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(a, b)


def test_interruption_keeps_the_best_so_far():
    x = curved()
    net = network(start=x)

    def stop(epoch, total, loss):
        if epoch == 5:
            raise KeyboardInterrupt

    rows = np.arange(240, 1200), np.arange(240)
    history = train(net, reconstruction(net), Data(x), *rows, Training(60, 64, 1e-2), stop)
    assert history.ended_early and "interrupted" in history.stopped
    assert mse(net, x[:240]) == pytest.approx(2 * history.best_loss / 11, rel=1e-4)


def test_resuming_from_a_checkpoint_ends_where_an_uninterrupted_run_does(tmp_path):
    x = curved()
    whole, parts = network(start=x), network(start=x)
    fit(x, whole, epochs=8)

    def stop(epoch, total, loss):
        if epoch == 4:
            raise KeyboardInterrupt

    rows = np.arange(240, 1200), np.arange(240)
    how = Training(8, 64, 1e-2, patience=100, checkpoint=tmp_path / "run.safetensors")
    train(parts, reconstruction(parts), Data(x), *rows, how, stop)
    again = network(start=x)
    history = train(again, reconstruction(again), Data(x), *rows, how)
    assert len(history.epochs) == 8
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_damaged_or_foreign_checkpoint_is_refused_in_a_sentence(tmp_path):
    x = curved()
    path = tmp_path / "run.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match=r"run\.safetensors is damaged"):
        fit(x, network(start=x), epochs=2, checkpoint=path)
    path.unlink()
    fit(x, network(start=x), epochs=2, checkpoint=path)
    with pytest.raises(TrainingError, match="of a network with"):
        fit(x, network(hidden=(8,), start=x), epochs=2, checkpoint=path)


def test_time_limit_and_patience_end_it():
    x = curved()
    assert fit(x, network(start=x), epochs=10_000, max_seconds=0.3).stopped == "the time allowed was used up"
    noise = np.random.default_rng(0).normal(size=(100, 11)).astype(np.float32)
    assert "no better" in fit(noise, network(k=8), epochs=500, patience=5).stopped


def test_a_diverging_run_keeps_finite_weights_and_names_the_epoch():
    x = curved()
    net = network(start=x)
    history = fit(x, net, epochs=20, peak_rate=1e30)
    assert np.isfinite(mse(net, x))
    assert history.kept_start


def test_impossible_data_name_the_cause():
    x = curved()
    x[0] = np.inf
    with pytest.raises(TrainingError, match="held-out items"):
        fit(x, network(), epochs=2)


def test_weight_decay_is_that_of_adamw_on_weights_alone():
    x = torch.from_numpy(curved())
    ours, theirs = network(), network()
    flat = FlatParameters(ours)
    adam = Adam(flat)
    named = list(theirs.named_parameters())
    groups = [
        {"params": [p for n, p in named if p.ndim > 1], "weight_decay": 0.3},
        {"params": [p for n, p in named if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
    for step in range(20):
        batch = x[step * 16 : step * 16 + 16]
        for net in (ours, theirs):
            (0.5 * ((net(batch) - batch) ** 2).sum() / len(batch)).backward()
        adam.step(3e-3, 0.3)
        reference.step()
        flat.gradient.zero_()
        reference.zero_grad()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


class Followed(Reconstruction):
    """Has an average that no gradient reaches, damages by chance, and does not judge by its loss."""

    is_reconstruction, keeps_start, judges = False, False, False

    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(()))
        self.shares = []

    def view(self, x, generator):
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    def after_step(self, network, progress):
        self.shares.append(progress)
        self.average.lerp_(next(network.parameters()).detach().mean(), 0.1)


def test_averages_and_damage_go_on_from_a_checkpoint(tmp_path):
    x, rows = curved(), (np.arange(240, 1200), np.arange(240))
    how = Training(6, 64, 1e-2, checkpoint=tmp_path / "run.safetensors", schedule=Schedule(1e-2))

    def stop(epoch, total, loss):
        if epoch == 3:
            raise KeyboardInterrupt

    ends = []
    for stops in (None, stop):
        net, objective = network(start=x), Followed()
        train(net, reconstruction(net, objective=objective), Data(x), *rows, how, stops)
        if stops:
            net, objective = network(start=x), Followed()
            train(net, reconstruction(net, objective=objective), Data(x), *rows, how)
        else:
            assert objective.shares[0] == 0 and objective.shares[-1] == pytest.approx(1 - 1 / 90)
            how.checkpoint.unlink()
        ends.append((objective.average, *net.parameters()))
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_where_the_loss_does_not_judge_the_last_weights_stay_and_a_watch_ends_it():
    x = curved()
    net, seen = network(start=x), []

    def watch(epoch):
        seen.append(float(mse(net, x)))
        return {"error": seen[-1]}, "enough of it" if epoch == 4 else None

    rows = np.arange(240, 1200), np.arange(240)
    history = train(
        net, reconstruction(net, objective=Followed()), Data(x), *rows, Training(9, 64, 0.3), watch=watch
    )
    assert history.stopped == "enough of it" and history.ended_early and history.best_epoch == 4
    assert [d["error"] for d in history.dials] == seen and len(seen) == 4
    assert mse(net, x) == pytest.approx(seen[-1])
