"""A network that pairs taught recognises what nobody showed it, sees past place and size, and is kept whole."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from latentspace import SiameseNetwork
from latentspace.errors import DataError, OptionError
from latentspace.models.framing import Frame
from latentspace.models.known_pairs import KnownPairs
from latentspace.models.pair_learning import learn_places
from latentspace.models.pair_metric import PairMetric
from latentspace.models.pair_network import PairNetwork, PairTraining
from latentspace.models.views import Views


def characters(classes: int, drawings: int, seed: int, side: int = 36) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (n, 1, side, side), classes (n,)): strokes through points that each drawing moves, anywhere."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1)[:, :, None].astype(float)
    made = []
    for _ in range(classes):
        points = rng.uniform(-1, 1, (5, 2))
        for _ in range(drawings):
            angle, size = rng.normal(0, 0.35), rng.uniform(0.2, 0.35) * side
            turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            own = (points + rng.normal(0, 0.1, (5, 2))) @ turn + side / 2
            own += rng.uniform(-0.12, 0.12, 2) * side
            a, b = own[:-1], own[1:]
            along = (((grid - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1)).clip(0, 1)
            apart = np.linalg.norm(grid - a - along[..., None] * (b - a), axis=-1).min(axis=-1)
            made.append((1.6 - apart).clip(0, 1))
    return np.array(made, np.float32)[:, None], np.repeat(np.arange(classes), drawings)


def recognised(z: np.ndarray, classes: np.ndarray) -> float:
    """How often the one example of its class is nearest, of all classes."""
    others = np.arange(len(z)) % 8 > 0
    apart = np.linalg.norm(z[others][:, None] - z[::8], axis=-1)
    return float((classes[::8][apart.argmin(axis=1)] == classes[others]).mean())


OLD, NEW = characters(30, 8, 0), characters(40, 8, 1)


def placed(views: Views, x: np.ndarray, z: np.ndarray, *said: Any, **options: Any) -> PairMetric:
    return learn_places(views, views.of(x, z), x, *said, **options)[0]


QUICK = PairTraining(steps=100, device="cpu")


@pytest.fixture(scope="module")
def taught() -> PairNetwork:
    return PairNetwork.fit(OLD[0], KnownPairs.of_classes(OLD[1]), QUICK)


@pytest.mark.slow
def test_characters_that_nobody_showed_are_recognised_by_one_example(taught: PairNetwork) -> None:
    untrained = PairNetwork.fit(OLD[0], KnownPairs.of_classes(OLD[1]), PairTraining(steps=1, device="cpu"))
    raw = recognised(NEW[0].reshape(len(NEW[0]), -1), NEW[1])
    ours = recognised(taught.features(NEW[0]), NEW[1])
    assert ours > recognised(untrained.features(NEW[0]), NEW[1]) + 0.1
    assert ours > raw + 0.35


def test_a_network_comes_back_whole_and_leaves_the_global_seed() -> None:
    taught = PairNetwork.fit(
        OLD[0][:80], KnownPairs.of_classes(OLD[1][:80]), PairTraining(steps=3, device="cpu")
    )
    arrays = taught.arrays()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    again = PairNetwork.of(arrays)
    assert torch.rand(1) == expected
    taught.device = "cuda"  # as if it had been learnt there
    copied = pickle.loads(pickle.dumps(taught))
    taught.device = "cpu"
    assert copied.device == "cpu"
    assert np.array_equal(copied.features(NEW[0][:9]), taught.features(NEW[0][:9]))
    assert np.array_equal(again.features(NEW[0][:9]), taught.features(NEW[0][:9]))
    assert again.features(NEW[0][:0]).shape == (0, 128)
    torch.manual_seed(5)
    PairNetwork.fit(OLD[0][:80], KnownPairs.of_classes(OLD[1][:80]), PairTraining(steps=2, device="cpu"))
    assert torch.rand(1) == expected


@pytest.mark.slow
def test_pairs_alone_teach_as_well() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(OLD[1]), (6000, 2))
    same = OLD[1][rows[:, 0]] == OLD[1][rows[:, 1]]
    extra = np.stack([np.arange(len(OLD[1]) - 1), np.arange(1, len(OLD[1]))], axis=1)
    pairs = np.concatenate([rows[~same][:2000], extra])
    known = KnownPairs.of(pairs, OLD[1][pairs[:, 0]] == OLD[1][pairs[:, 1]], len(OLD[1]))
    assert known.same_pairs == 30 * 28
    network = PairNetwork.fit(OLD[0], known, QUICK)
    raw = recognised(NEW[0].reshape(len(NEW[0]), -1), NEW[1])
    assert recognised(network.features(NEW[0]), NEW[1]) > max(raw + 0.2, 0.4)


def test_what_is_known_follows_from_pairs() -> None:
    pairs = np.array([[0, 1], [1, 2], [3, 4], [0, 3], [5, 6], [2, 0]])
    known = KnownPairs.of(pairs, np.array([True, True, True, False, False, False]), 8)
    same, different = known.relations(np.arange(8))
    assert same[0, 2] and same[3, 4] and not same[0, 0] and not same[0, 3]
    assert different[2, 4] and different[5, 6] and different[6, 5]
    assert not different[0, 2]  # said to be different, and the same by others
    assert not (same | different)[7].any() and not (same | different)[0, 5]
    fewer = known.only(np.arange(8) != 1)
    assert fewer.relations(np.arange(8))[0][0, 2] and not fewer.relations(np.arange(8))[0][0, 1]
    assert len(known.only(np.arange(8) < 5).apart) == 2  # 5 and 6 are gone, and what was said of them


@pytest.mark.parametrize("loss", ["nt-xent", "supervised-contrastive", "triplet"])
def test_losses_that_disjoint_pairs_make_zero_are_refused(loss: str) -> None:
    pairs = np.arange(80).reshape(40, 2)
    known = KnownPairs.of(pairs, np.arange(40) % 2 == 0, len(OLD[1]))
    with pytest.raises(OptionError, match="exactly zero"):
        PairNetwork.fit(OLD[0], known, PairTraining(loss, steps=1))


def test_where_and_how_large_somebody_drew_is_no_difference() -> None:
    x = np.zeros((60, 1, 50, 40), np.float32)
    x[:30, 0, 3:11, 4:10] = 1
    x[30:, 0, 20:44, 15:33] = 1
    x[5] = 0  # nothing at all
    frame = Frame.fit(x + 3, origin=np.full((1, 50, 40), -2.0))
    assert frame.plain
    seen = frame(x + 3).numpy()
    assert np.abs(seen[0] - seen[-1]).mean() < 0.1 * np.abs(seen[0]).mean()
    assert np.isfinite(seen).all() and np.ptp(seen[5]) == 0
    again = Frame.of(frame.arrays())
    assert np.array_equal(again(x + 3).numpy(), seen)
    noise = np.random.default_rng(0).random((40, 3, 64, 32), dtype=np.float32)
    other = Frame.fit(noise)
    assert not other.plain and other(noise).shape == (40, 3, 28, 14)


@pytest.mark.parametrize("shape", [(7,), (2, 90)])
def test_rows_and_signals_have_networks_too(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(6), 20)
    x = (rng.normal(size=(6, *shape))[classes] + rng.normal(0, 0.7, (120, *shape))).astype(np.float32)
    network = PairNetwork.fit(
        x[::2], KnownPairs.of_classes(classes[::2]), PairTraining(steps=60, device="cpu")
    )
    z = network.features(x[1::2])
    near = np.linalg.norm(z[:, None] - z, axis=-1)
    np.fill_diagonal(near, np.inf)
    assert (classes[1::2][near.argmin(axis=1)] == classes[1::2]).mean() > 0.8


@pytest.mark.slow
def test_a_network_is_taken_only_where_it_tells_others_better() -> None:
    rng = np.random.default_rng(0)
    x, classes = characters(60, 8, 2)
    first = rng.integers(0, len(x), 4800)
    second = np.where(
        rng.random(4800) < 0.5, classes[first] * 8 + rng.integers(0, 8, 4800), rng.permutation(first)
    )
    rows = np.stack([first, second], axis=1)[first != second]
    z = x.reshape(len(x), -1)[:, ::40]
    for truth, better in ((classes, True), (rng.permutation(classes), False)):
        same = truth[rows[:, 0]] == truth[rows[:, 1]]
        views = Views(x)
        metric = placed(views, x, z, rows, same, truth, depth="network", how=PairTraining(steps=150))
        assert (metric.view == "network") is better is (views.network is not None)
        assert np.isfinite(metric.network)
        if better:
            assert metric.after == metric.network > metric.before + 0.1
            at = metric.transform(views.of(x, z, "network"))
            assert list(views.of(x, z, "network")) == ["latents", "network"]
            again = Views.read(views.arrays())
            assert np.array_equal(at, metric.transform(again.of(x, z, "network")))
            known = np.isfinite(metric.held_out)
            assert 50 < known.sum() < len(rows) / 2


@pytest.mark.slow
def test_the_depth_is_the_users_and_a_wrong_one_is_refused() -> None:
    x = (OLD[0][:, 0] * 255).astype("uint8")
    network = SiameseNetwork(depth="head", random_state=0).fit(x[:80], OLD[1][:80])
    assert network.views_.network is None and np.isnan(network.metric_.network)
    with pytest.raises(OptionError, match="depth is one of"):
        SiameseNetwork(network.model_, depth="deep").fit(x[:80], OLD[1][:80])
    with pytest.raises(OptionError, match="loss is one of"):
        SiameseNetwork(network.model_, depth="network", loss="tripplet").fit(x[:80], OLD[1][:80])


@pytest.mark.parametrize(
    "options",
    [{"margin": -1.0}, {"margin": "1"}, {"margin": float("nan")}, {"device": "gpu"}, {"loss": None}],
)
def test_what_no_network_could_learn_with_is_refused_before_anything_is_learnt(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentspace.estimators.siamese_network.fitted_model", None)
    name = next(iter(options))
    with pytest.raises(OptionError, match=f"{name} (is one of|must be)"):
        SiameseNetwork(depth="head", **options).fit(OLD[0][:80, 0], OLD[1][:80])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(OptionError, match="torch finds no CUDA here"):
        SiameseNetwork(device="cuda").fit(OLD[0][:80, 0], OLD[1][:80])


def test_a_single_group_is_learnt_beside_all_others() -> None:
    rng = np.random.default_rng(0)
    classes = np.append(np.zeros(60, int), np.arange(1, 61))
    x = rng.normal(size=(120, 5)).astype(np.float32)
    x[:60, 0] += 3
    z = PairNetwork.fit(
        x, KnownPairs.of_classes(classes), PairTraining("contrastive", steps=60, device="cpu")
    ).features(x)
    within = np.linalg.norm(z[:60, None] - z[:60], axis=-1).mean()
    assert np.linalg.norm(z[:60, None] - z[60:], axis=-1).mean() > 0.5 + within


def test_what_never_varied_does_not_drown_the_rest() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    x[:, 2] = 0.3
    frame = Frame.fit(x)
    x[:, 2] = 0.5
    assert frame(x)[:, 2].abs().max() < 1


def test_pairs_of_one_sort_alone_try_no_network_unasked() -> None:
    x = np.random.default_rng(0).random((120, 1, 8, 8), dtype=np.float32)
    chain = np.stack([np.arange(119), np.arange(1, 120)], axis=1)
    same, z = np.ones(119, bool), x.reshape(120, -1)[:, :4]
    assert KnownPairs.of(chain, same, 120).same_pairs > 5000
    assert np.isnan(placed(Views(x), x, z, chain, same).network)
    with pytest.raises(DataError, match="pairs of different items"):
        placed(Views(x), x, z, chain, same, depth="network")


def test_a_network_is_judged_by_all_pairs_where_few_were_given_and_classes_are_known() -> None:
    classes = np.repeat(np.arange(15), 8)
    x = np.random.default_rng(0).random((15, 6), dtype=np.float32)[classes]
    rows = np.stack([np.arange(119), np.arange(1, 120)], axis=1)
    same = classes[rows[:, 0]] == classes[rows[:, 1]]
    how = PairTraining(steps=3, device="cpu")
    for seed in (0, 45):  # of 45 none of the 15 groups would be held out by chance alone
        found = placed(Views(x), x, x, rows, same, classes, depth="network", how=how, seed=seed)
        assert np.isfinite(found.network)


def test_a_network_must_be_better_than_the_view_that_was_taken() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(20), 8)
    x = (rng.normal(size=(20, 30))[classes] + rng.normal(0, 0.6, (160, 30))).astype(np.float32)
    z = rng.normal(size=(160, 2)).astype(np.float32)  # says nothing
    rows = rng.integers(0, 160, (60, 2))
    rows[::2, 1] = (rows[::2, 0] // 8) * 8 + (rows[::2, 0] + 1) % 8
    rows = rows[rows[:, 0] != rows[:, 1]]
    same = classes[rows[:, 0]] == classes[rows[:, 1]]
    how = PairTraining(steps=1, device="cpu")
    found = placed(Views(x), x, z, rows, same, classes, depth="network", how=how)
    assert found.view == "values" and not found.learnt and found.network > 0.7


def test_pictures_that_cannot_be_turned_are_learnt_from_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    real = PairNetwork.fit
    monkeypatch.setattr(PairNetwork, "fit", lambda *given: tried.append(1) or real(*given))
    classes = np.repeat(np.arange(15), 8)
    x = np.random.default_rng(0).random((120, 1, 8, 5), dtype=np.float32)
    rows = np.random.default_rng(0).integers(0, 120, (400, 2))
    same = classes[rows[:, 0]] == classes[rows[:, 1]]
    how = PairTraining(steps=2, device="cpu")
    placed(Views(x), x, x.reshape(120, -1)[:, :4], rows, same, classes, depth="network", how=how)
    assert len(tried) == 1


def test_views_of_no_items_and_of_items_that_are_all_alike() -> None:
    x = np.random.default_rng(0).random((30, 1, 12, 12), dtype=np.float32)
    views = Views(x)
    none, all_of_them = views.of(x[:0], np.zeros((0, 2))), views.of(x, np.zeros((30, 2)))
    assert {name: view.shape[1] for name, view in none.items()} == {
        name: view.shape[1] for name, view in all_of_them.items()
    }
    flat = np.ones_like(x)
    assert all(np.isfinite(view).all() for view in Views(flat).of(flat, np.zeros((30, 2))).values())
