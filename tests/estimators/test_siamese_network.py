"""Pairs reshape where items lie, and never for the worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits

from latentspace import SiameseNetwork
from latentspace.errors import DataError, OptionError
from latentspace.models.pair_metric import SMOOTHING, area, item_splits, learn
from latentspace.models.thresholds import best_threshold, equal_error_rate, rates

DIGITS = load_digits()
ORDER = np.random.default_rng(0).permutation(1797)
X, Y = DIGITS.images[ORDER].astype("uint8") * 15, DIGITS.target[ORDER]
OLD, NEW = slice(0, 1200), slice(1200, 1797)


def drawn(y: np.ndarray, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(y), (30 * m, 2))
    rows = rows[rows[:, 0] != rows[:, 1]]
    same = y[rows[:, 0]] == y[rows[:, 1]]
    chosen = np.concatenate([np.flatnonzero(same)[: m // 2], np.flatnonzero(~same)[: m // 2]])
    return rows[chosen], same[chosen]


@pytest.fixture(scope="module")
def fitted() -> SiameseNetwork:
    return SiameseNetwork(random_state=0).fit(X[OLD], *drawn(Y[OLD], 400, 0))


def test_new_items_are_told_better_than_without_pairs(fitted: SiameseNetwork) -> None:
    rows, same = drawn(Y[NEW], 3000, 1)
    new = X[NEW]
    learnt = area(fitted.pair_distance((new[rows[:, 0]], new[rows[:, 1]])), same)
    flat = new.reshape(len(new), -1).astype(float)
    raw = area(np.linalg.norm(flat[rows[:, 0]] - flat[rows[:, 1]], axis=1), same)
    assert not fitted.metric_.kept_old
    assert learnt > max(raw + 0.03, 0.96)
    assert abs(learnt - fitted.metric_.after) < 0.04  # what it says of itself
    right = (fitted.predict((new[rows[:, 0]], new[rows[:, 1]])) == np.where(same, 1, -1)).mean()
    assert right > 0.9


def test_labels_of_chance_leave_the_space_as_it_was() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 1200, (300, 2))
    found = SiameseNetwork(random_state=0).fit(X[OLD], rows, rng.random(300) < 0.5)
    assert found.metric_.kept_old and found.metric_.view == "latents"
    before = found.model_.transform(X[NEW])
    assert np.allclose(found.transform(X[NEW]) + found.metric_.middle, before, atol=1e-4)


def test_the_column_that_people_look_at_is_found() -> None:
    rng = np.random.default_rng(0)
    table = {f"c{j}": rng.normal(size=600) for j in range(8)}
    kind = np.digitize(table["c3"], [-0.5, 0.5])
    rows, same = drawn(kind, 200, 0)
    found = SiameseNetwork(random_state=0).fit(pa.table(table), rows, same)
    assert found.metric_.after > found.metric_.before + 0.15
    assert found.metric_.view == "values"
    weight = np.linalg.norm(found.metric_.change, axis=1)
    assert weight.argmax() == 3 and weight[3] > 2 * np.median(weight)


@pytest.mark.slow
def test_pairs_triplets_ids_and_classes_say_the_same() -> None:
    rng = np.random.default_rng(0)
    ids = [f"item {i}" for i in range(300)]
    table = pa.table({"id": ids, "a": rng.normal(size=300), "b": rng.normal(size=300)})
    kind = np.asarray(table["a"]) > 0
    rows, same = drawn(kind, 100, 0)
    plain = table.drop(["id"])
    one = SiameseNetwork(random_state=0).fit(plain, rows, same)
    for said in (np.where(same, 1, -1), np.where(same, "same", "different"), same.astype(int)):
        assert np.array_equal(
            SiameseNetwork(random_state=0).fit(plain, rows, said).embedding_, one.embedding_
        )
    triplets = np.stack([rows[same][:40, 0], rows[same][:40, 1], rng.permutation(300)[:40]], axis=1)
    triplets = triplets[kind[triplets[:, 2]] != kind[triplets[:, 0]]]
    assert SiameseNetwork(one.model_, random_state=0).fit(plain, triplets).metric_.after > 0.6
    drawn_itself = SiameseNetwork(one.model_, random_state=0).fit(plain.slice(0, 100), kind[:100])
    assert drawn_itself.metric_.after > 0.7


def test_the_line_is_drawn_as_asked(fitted: SiameseNetwork) -> None:
    rows, same = drawn(Y[OLD], 2000, 5)
    distances = fitted.pair_distance(rows)
    for most in (0.01, 0.1):
        fitted.calibrate_threshold(rows, same, "max_tpr", max_fmr=most)
        called = distances <= fitted.threshold_
        assert called[~same].mean() <= most
    f_half = fitted.calibrate_threshold(rows, same, "f_beta", beta=0.3).threshold_
    f_three = fitted.calibrate_threshold(rows, same, "f_beta", beta=3).threshold_
    assert f_half < f_three
    accurate = fitted.calibrate_threshold(rows, same).threshold_
    right = [((distances <= t) == same).mean() for t in (accurate, f_half, f_three)]
    assert right[0] == max(right)
    assert fitted.set_threshold(0.5).threshold_ == 0.5
    with pytest.raises(OptionError, match="did you mean 'accuracy'"):
        fitted.calibrate_threshold(rows, same, "acuracy")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [-1, 1200])
def test_a_row_that_is_none_is_named(fitted: SiameseNetwork, wrong: int) -> None:
    with pytest.raises(DataError, match=f"Pairs name row {wrong}; there are training items 0 to 1199"):
        fitted.predict([[0, 5], [1, wrong]])


def test_rates_on_paper() -> None:
    distances, same = np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, False])
    at, false, true = rates(distances, same)
    assert (
        at[1:].tolist() == [1, 2, 3] and false.tolist() == [0, 0, 0.5, 1] and true.tolist() == [0, 0.5, 1, 1]
    )
    assert equal_error_rate(distances, same) == 0.25
    with pytest.raises(DataError, match="Pairs of both sorts are needed"):
        best_threshold(distances, np.ones(4, bool))
    # the nearest pair is a different one: nothing may be called the same, and more may not be gained by more errors
    wrong_first = np.array([False, True, True, False])
    assert best_threshold(np.array([1.0, 2.0, 3.0, 4.0]), wrong_first, "max_tpr", max_fmr=0.1) < 1
    assert best_threshold(np.array([1.0, 2.0, 3.0, 4.0]), ~wrong_first, "max_tpr", max_fmr=1) == 4
    assert (
        best_threshold(np.array([1.0, 2.0, 3.0]), np.array([True, False, False]), "max_tpr", max_fmr=0.9)
        == 1.5
    )


def test_no_item_is_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    for rows in (rng.integers(0, 5000, (300, 2)), rng.integers(0, 60, (200, 2))):
        splits = item_splits(rows, 0)
        assert len(splits) >= 5
        for learnt, held in splits:
            assert not np.intersect1d(rows[learnt], rows[held]).size
            assert learnt.sum() > held.sum() > 0


def test_few_pairs_change_nothing() -> None:
    z = np.random.default_rng(0).normal(size=(50, 3))
    found = learn({"latents": z}, np.array([[0, 1], [2, 3]]), np.array([True, False]))
    assert found.kept_old and found.smoothing == SMOOTHING[0] and np.isnan(found.after)


@pytest.mark.parametrize(
    ("y", "same", "words"),
    [
        (np.array([[0, 999]]), [1], "name row 999; .* items 0 to 49"),
        (np.array([[0, 1]]), ["sane"], "says 'sane' of pair 0 .did you mean 'same'"),
        (np.array([[0, 1]]), [2], "says 2 of pair 0"),
        (np.array([[0, 1]]), [1, 0], "says of 2 pairs .* there are 1"),
        (np.array([[0, 0]]), [1], "no two different items"),
        (np.array([["0", "x"]]), [1], "name the item 'x'"),
        (np.array([[0, 1]]), None, "it must be said whether they are the same"),
        (np.array([0, 1, 2]), [1], "must have shape .m, 2."),
        (np.zeros(50), None, "only one class"),
    ],
)
def test_bad_pairs_are_named(y: Any, same: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        SiameseNetwork(random_state=0).fit(np.random.default_rng(0).normal(size=(50, 3)), y, same)
