"""Labels of a few tell the rest, better than the nearest alone; what is said of how sure that is, is so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier

from latentspace import LatentClassifier
from latentspace.errors import DataError, OptionError
from latentspace.models.groups import apart, by_density, by_middles, medoid
from latentspace.models.kernel_ridge import KernelRidge, _ridge
from latentspace.models.labels import LabelVote, _judged
from latentspace.models.neighbourhood import Neighbourhood
from latentspace.training.compared import Compared

X, Y = load_digits(return_X_y=True)
Z = PCA(16, random_state=0).fit_transform(X).astype("float32")
#: the last were written by others than the first
OLD, NEW = np.split(np.random.default_rng(1).permutation(1797), [1200])


def drawn(m: int, seed: int) -> np.ndarray:
    """m rows among the 1,200 of OLD, one of each class first."""
    order = np.random.default_rng(seed).permutation(1200)
    _, first = np.unique(Y[OLD][order], return_index=True)
    return np.concatenate([order[first], order[np.setdiff1d(np.arange(1200), first)]])[:m]


def vote(m: int, seed: int = 0) -> LabelVote:
    rows = drawn(m, seed)
    return LabelVote(Z[OLD], Compared(Z[OLD]).nearest, rows, Y[OLD][rows], 10, seed)


@pytest.mark.parametrize("m", [10, 30, 100])
def test_the_unlabelled_help(m: int) -> None:
    ours, nearest = [], []
    for seed in range(3):
        rows = drawn(m, seed)
        ours.append((vote(m, seed).tell(Z[NEW]).probabilities.argmax(axis=1) == Y[NEW]).mean())
        nearest.append(KNeighborsClassifier(1).fit(Z[OLD][rows], Y[OLD][rows]).score(Z[NEW], Y[NEW]))
    assert np.mean(ours) > np.mean(nearest) + 0.02
    assert np.mean(ours) > {10: 0.72, 30: 0.8, 100: 0.91}[m]


def test_shuffled_latents_tell_nothing() -> None:
    rows = drawn(100, 0)
    noise = np.random.default_rng(0).permutation(Z[OLD])
    told = LabelVote(noise, Compared(noise).nearest, rows, Y[OLD][rows], 10).tell(noise[:300])
    assert (told.probabilities.argmax(axis=1) == Y[OLD][:300]).mean() < 0.3


def test_who_has_a_companion_in_other_folds() -> None:
    codes, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 0, 1])
    assert _judged(codes, folds).tolist() == [True, True, False, False, False]


def test_the_promise_and_the_expected_accuracy_hold() -> None:
    excluded, wrong, off = [], [], []
    for seed in range(5):
        told = vote(200, seed).tell(Z[NEW])
        hit = told.probabilities.argmax(axis=1) == Y[NEW]
        excluded.append(1 - told.sets(0.1)[np.arange(len(NEW)), Y[NEW]].mean())
        known = told.known(0.05, 0.01)
        wrong.append((known & ~hit).mean())
        value, low, high = vote(200, seed).accuracy
        off.append(low - 0.03 <= hit.mean() <= high + 0.03 and low < value < high)
    assert 0.05 < np.mean(excluded) < 0.14
    assert np.mean(wrong) < 0.06
    assert sum(off) >= 4


def test_probabilities_are_about_right() -> None:
    told = vote(200).tell(Z[NEW]).probabilities
    sure, hit = told.max(axis=1), told.argmax(axis=1) == Y[NEW]
    bins = np.minimum((10 * sure).astype(int), 9)
    assert sum(abs(hit[bins == b].sum() - sure[bins == b].sum()) for b in range(10)) / len(hit) < 0.06


def test_what_is_far_from_all_is_unknown() -> None:
    told = vote(200).tell(np.concatenate([Z[NEW], Z[NEW] + 100]))
    far = told.far(0.01)
    assert far[: len(NEW)].mean() < 0.04
    assert far[len(NEW) :].all()
    assert not told.known(0.5, 0.01)[len(NEW) :].any()


def test_one_label_a_class_promises_nothing() -> None:
    found = vote(10)
    assert found.smallest_p == 1
    assert np.isnan(found.accuracy[0])
    assert not found.tell(Z[NEW]).known(0.5, 0.01).any()
    assert (found.tell(Z[NEW]).probabilities.argmax(axis=1) == Y[NEW]).mean() > 0.6


def test_own_items_are_told_by_others() -> None:
    found = vote(100)
    own = found.own
    assert np.allclose(own.probabilities[found.rows], found.told)
    assert (own.probabilities.argmax(axis=1) == Y[OLD]).mean() > 0.9


def test_asking_is_worth_more_than_chance() -> None:
    asked, chance = [], []
    for seed in range(3):
        rows = drawn(10, seed)
        while len(rows) < 40:
            rows = np.concatenate(
                [rows, LabelVote(Z[OLD], Compared(Z[OLD]).nearest, rows, Y[OLD][rows], 10).suggest(10)]
            )
        assert len(set(rows.tolist())) == 40
        found = LabelVote(Z[OLD], Compared(Z[OLD]).nearest, rows, Y[OLD][rows], 10)
        asked.append((found.tell(Z[NEW]).probabilities.argmax(axis=1) == Y[NEW]).mean())
        chance.append((vote(40, seed).tell(Z[NEW]).probabilities.argmax(axis=1) == Y[NEW]).mean())
    assert np.mean(asked) > np.mean(chance) + 0.01


def test_ridge_folds_are_those_of_fitting_without_them() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 2))
    folds = np.arange(40) % 4
    _, told, _ = _ridge(x, y, folds)
    ridges = []
    for ridge in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0):
        each = np.empty_like(y)
        for fold in range(4):
            held, train = folds == fold, folds != fold
            each[held] = x[held] @ np.linalg.solve(
                x[train].T @ x[train] + ridge * np.eye(5), x[train].T @ y[train]
            )
        ridges.append((((each - y) ** 2).mean(), each))
    assert np.allclose(min(ridges, key=lambda r: r[0])[1], told, atol=1e-5)


def test_many_labelled_items_are_stood_for_by_some(monkeypatch: pytest.MonkeyPatch) -> None:
    from latentspace.models import kernel_ridge

    monkeypatch.setattr(kernel_ridge, "STANDING", 150)
    monkeypatch.setattr(kernel_ridge, "LEARNT", 600)
    folds = np.arange(1200) % 10
    middle = Z[OLD].mean(axis=0).astype(float)
    pile = middle, float(((Z[OLD] - middle) ** 2).sum(axis=1).mean())
    found, told = KernelRidge.fit(Z[OLD], np.eye(10)[Y[OLD]], folds, pile)
    assert len(found.standing) == 150
    assert 0.9 < (told.argmax(axis=1) == Y[OLD]).mean() < 1  # of none by itself
    assert (found.ask(Z[NEW]).argmax(axis=1) == Y[NEW]).mean() > 0.9


def test_shares_sum_to_one_where_labels_do_not_reach() -> None:
    z = np.concatenate([np.zeros((12, 2)), np.full((12, 2), 9.0)]).astype("float32")
    z += np.random.default_rng(0).normal(0, 0.1, z.shape).astype("float32")
    shares = Neighbourhood(z, Compared(z).nearest, 5).spread(np.array([0]), np.eye(2)[[1]])
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(shares[:12, 1], 1)
    assert np.allclose(shares[12:], 0.5)


def test_estimator_takes_missing_labels_and_minus_one() -> None:
    rows = drawn(60, 0)
    given = np.full(1200, None)
    given[rows] = [f"digit {d}" for d in Y[OLD][rows]]
    found = LatentClassifier(random_state=0).fit(X[OLD], given)
    assert found.classes_.tolist() == [f"digit {d}" for d in range(10)]
    assert (found.transduction_[rows] == given[rows]).all()
    assert np.mean(found.predict(X[NEW]) == [f"digit {d}" for d in Y[NEW]]) > 0.85
    with_na = given.copy()
    with_na[with_na == None] = pd.NA  # noqa: E711
    again = LatentClassifier(random_state=0).fit(X[OLD], with_na)
    assert (again.predict_proba(X[NEW]) == found.predict_proba(X[NEW])).all()
    minus = np.full(1200, -1)
    minus[rows] = Y[OLD][rows]
    same = LatentClassifier(unlabelled=-1, random_state=0).fit(X[OLD], minus)
    assert (same.predict_proba(X[NEW]) == found.predict_proba(X[NEW])).all()
    assert same.predict_set(X[NEW]).shape == (597, 10)
    assert not same.known(X[NEW] + 500).any()
    assert len(np.intersect1d(same.suggest(5), rows)) == 0
    assert (
        len(LatentClassifier(found.model_).fit(X[:60], Y[:60]).suggest(5)) == 0
    )  # none is left to ask about


@pytest.mark.parametrize("n", [-3, 0, 2.5])
def test_so_few_cannot_be_suggested(n: int) -> None:
    rows = np.arange(40)
    vote = LabelVote(Z[OLD], Compared(Z[OLD]).nearest, rows, Y[OLD][rows], 10)
    with pytest.raises(OptionError, match=f"n is a whole number of at least 1, not {n}"):
        vote.suggest(n)


@pytest.mark.parametrize(
    ("y", "alpha", "words"),
    [
        (np.full(50, None), 0.1, "no label"),
        (np.array([1.0] + [np.nan] * 49), 0.1, "only one class: np.float64"),
        (np.array([0, 1] * 25), 2, "between 0 and 1"),
    ],
)
def test_estimator_refuses_in_a_sentence(y: np.ndarray, alpha: float, words: str) -> None:
    with pytest.raises((DataError, OptionError), match=words):
        LatentClassifier(alpha=alpha, random_state=0).fit(X[:50], y)


def test_groups_are_those_put_in() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 80)
    points = rng.normal(size=(320, 2)) + 12 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[truth]
    found = by_middles(points, None)
    assert adjusted_mutual_info_score(truth, found) > 0.99
    assert apart(points, found) > 0.7
    odd = np.concatenate([points, rng.uniform(-50, 80, (12, 2))])
    dense = by_density(odd)
    assert adjusted_mutual_info_score(truth, dense[:320]) > 0.95
    assert (dense[320:] == -1).mean() > 0.5
    assert by_middles(np.zeros((30, 2)), None).tolist() == [0] * 30  # all in one place
    assert medoid(points, np.flatnonzero(truth == 2)) in np.flatnonzero(truth == 2)
