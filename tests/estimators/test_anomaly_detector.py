"""The detector: scikit-learn's face, names of columns, thresholds that move without refitting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentspace import AnomalyDetector, Autoencoder
from latentspace.errors import DataError, OptionError


def frame(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    height = rng.normal(170, 10, n)
    weight = (height - 100) * rng.normal(0.9, 0.05, n)
    sort = np.where(height > 170, "tall", "short")
    return pd.DataFrame({"height": height, "weight": weight, "sort": sort, "age": rng.integers(18, 90, n)})


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(random_state=0).fit(frame(1500))


def test_a_row_that_contradicts_itself_is_flagged_with_the_column(detector: AnomalyDetector) -> None:
    odd = frame(40, seed=3)
    odd["weight"] = np.where(odd["weight"] > 63, 40.0, 95.0)
    assert (detector.predict(odd) == -1).mean() > 0.9
    assert (detector.predict(frame(500, seed=4)) == -1).mean() < 0.09
    first = [next(iter(reason)) for reason in detector.explain(odd)]
    assert np.mean([name in ("weight", "height") for name in first]) > 0.85
    assert all(sum(reason.values()) == pytest.approx(1) for reason in detector.explain(odd))


def test_the_threshold_moves_without_refitting(detector: AnomalyDetector) -> None:
    usual, before = frame(800, seed=5), detector.offset_
    flagged = (detector.predict(usual) == -1).mean()
    detector.offset_ = np.log10(0.2)
    more = (detector.predict(usual) == -1).mean()
    detector.offset_ = before
    assert flagged < 0.08 < 0.14 < more < 0.26
    assert np.array_equal(detector.score_samples(usual), -detector.anomaly_score(usual))


def test_a_contamination_flags_that_share_of_the_training_items() -> None:
    X = np.random.default_rng(0).normal(size=(400, 3))
    detector = AnomalyDetector(contamination=0.1, random_state=0)
    assert (detector.fit_predict(X) == -1).mean() == pytest.approx(0.1, abs=0.005)


def test_a_value_beyond_all_is_odd_however_large_it_is(detector: AnomalyDetector) -> None:
    odd = frame(3, seed=6)
    odd["age"] = [300, 3000, 30000]
    scores = detector.anomaly_score(odd)
    assert np.all(np.diff(scores) > 0) and np.all(detector.p_value(odd) == detector.scorer_.smallest_p)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0}, "alpha must lie"),
        ({"alpha": "x"}, "alpha must lie"),
        ({"contamination": 0.7}, "contamination"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options: dict, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        AnomalyDetector(**options).fit(np.zeros((20, 2)))


def test_too_few_items_are_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="at least 5"):
        AnomalyDetector().fit(np.random.default_rng(0).normal(size=(4, 2)))


def test_a_promise_that_cannot_be_kept_is_named() -> None:
    X = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.warns(UserWarning, match=r"no false-alarm rate below 0\.077 can be promised"):
        AnomalyDetector(alpha=0.01, random_state=0).fit(X)


def test_a_file_is_as_good_as_what_it_holds(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (60, 9, 9)).astype(np.uint8)
    np.savez(tmp_path / "pictures.npz", images=pictures)
    path = str(tmp_path / "pictures.npz")
    for estimator in (AnomalyDetector(alpha=0.2, random_state=0), Autoencoder(2, epochs=2, random_state=0)):
        estimator.fit(path)
        assert np.allclose(estimator.score_samples(path), estimator.score_samples(pictures), atol=1e-4)
