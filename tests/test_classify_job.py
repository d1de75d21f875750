"""Classes told from a few labels, in words, tables and pictures; groups and what sets them apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from sklearn.datasets import load_digits

from latentspace import Space, fit, load
from latentspace.cli import main
from latentspace.errors import LatentspaceError
from latentspace.jobs.classify import classify
from latentspace.jobs.cluster import cluster
from latentspace.jobs.report import report

DIGITS = load_digits()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A space of 1,000 digits; labels of 60 of them; 400 new ones with their labels."""
    place = tmp_path_factory.mktemp("digits")
    pictures = DIGITS.images.astype("uint8") * 15
    np.savez(place / "digits.npz", images=pictures[:1000], digit=DIGITS.target[:1000])
    fit(place / "digits.npz", place / "d", latent_dim=8, epochs=15, labels=("digit",), report=False)
    np.savez(place / "new.npz", images=pictures[1000:1400], digit=DIGITS.target[1000:1400])
    np.savez(place / "noise.npz", images=np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8))
    order = np.random.default_rng(0).permutation(1000)
    _, first = np.unique(DIGITS.target[order], return_index=True)
    rows = order[np.concatenate([first, np.setdiff1d(np.arange(1000), first)])][:60]
    csv.write_csv(pa.table({"id": rows, "digit": DIGITS.target[rows]}), place / "labels.csv")
    return place


@pytest.fixture(scope="module")
def space(digits: Path) -> Space:
    return load(digits / "d.space")


@pytest.fixture(scope="module")
def houses() -> Space:
    rng = np.random.default_rng(0)
    town = rng.integers(0, 3, 240)
    table = pa.table(
        {
            "price": 100.0 + 100 * town + rng.normal(0, 5, 240),
            "area": 40.0 + 60 * town + rng.normal(0, 5, 240),
            "kind": pa.array([("a", "b", "c")[t] if i < 30 else None for i, t in enumerate(town)]),
        }
    )
    return fit(table, latent_dim=2, epochs=5, labels=("kind",), report=False)


def test_a_few_labels_tell_the_rest(digits: Path, space: Space) -> None:
    found = classify(space, labels=digits / "labels.csv", suggest=5)
    table = found.value
    truth = np.array([str(d) for d in DIGITS.target[:1000]])
    likeliest = np.array(table["likeliest"].to_pylist())
    assert (likeliest == truth).mean() > 0.8
    assert table["status"].to_pylist().count("given") == 60
    known = np.array([s == "known" for s in table["status"].to_pylist()])
    assert 0.4 < known.mean() < 1
    assert (known & (likeliest != truth)).mean() < 0.12
    assert found.data["expected_accuracy"]["low"] < (likeliest == truth).mean() + 0.1
    asked = [i for i, turn in enumerate(table["label next"].to_pylist()) if turn]
    assert len(asked) == 5 and [str(i) for i in asked] == sorted(found.data["label_next"], key=int)
    assert "Expected accuracy" in found.summary and "Worth most to label next" in found.summary


def test_new_items_are_told_and_measured(digits: Path, space: Space) -> None:
    found = classify(space, digits / "new.npz", labels=digits / "labels.csv")
    likeliest = np.array(found.value["likeliest"].to_pylist())
    assert (likeliest == [str(d) for d in DIGITS.target[1000:1400]]).mean() > 0.7
    assert "60 labels (digit) of 10 classes tell 400 items" in found.summary


def test_noise_is_unknown(digits: Path, space: Space) -> None:
    found = classify(space, digits / "noise.npz", labels=digits / "labels.csv", alpha=0.3)
    assert set(found.value["status"].to_pylist()) == {"unknown: unlike all items"}
    assert found.value["digit"].null_count == 20


def test_wrong_labels_are_found(space: Space) -> None:
    given = DIGITS.target[:300].copy()
    given[:300:30] = (given[:300:30] + 3) % 10
    found = classify(space, labels={str(i): str(d) for i, d in enumerate(given)})
    wrong = {str(i) for i in range(0, 300, 30)}
    assert len(wrong & set(found.data["doubted"])) >= 5
    assert len(set(found.data["doubted"]) - wrong) <= 5
    assert "looked at again" in found.summary and found.tables["Labels to look at again"]


def test_labels_of_a_column_of_the_space(houses: Space) -> None:
    found = classify(houses)
    assert found.data["labels"] == 30
    assert found.data["expected_accuracy"]["value"] == 1
    assert found.data["known"] > 180


def test_cli_writes_a_table_and_a_map(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["--labels", str(digits / "labels.csv")]
    out = digits / "told.parquet"
    main(["classify", str(digits / "d.space"), str(digits / "new.npz"), str(out), *labels, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == [str(out)]
    assert pq.read_table(out)["likeliest"].to_pylist() == [row["likeliest"] for row in told["items"]]
    main(["classify", str(digits / "d.space"), "--out", str(digits / "told.png"), *labels])
    assert (digits / "told.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"label": "digt"}, "no label or column 'digt' .did you mean 'digit'"),
        ({"labels": {"99999": "a", "1": "b"}}, "the item '99999', which the space does not hold"),
        ({"labels": {"1": "a", "2": "a"}}, "only 'a'"),
        ({"labels": {}}, "none at all"),
        ({"labels": pa.table({"row": [1], "digit": [2]})}, "no column 'id'"),
        ({"labels": pa.table({"id": [1], "a": [2], "b": [3]})}, "say which holds the labels"),
        ({"labels": pa.table({"id": [1, 1], "a": ["x", "y"]})}, "two labels: 'x' and 'y'"),
        ({"labels": pa.table({"id": list(range(200)), "a": np.arange(200) * 0.5})}, "these name no classes"),
        ({"labels": "nowhere.csv"}, "no file nowhere.csv"),
        ({"labels": [1, 2, 3]}, r"labels is a table with id and label, or id → label, not \[1, 2, 3\]"),
        ({"labels": np.arange(5)}, r"not an array of shape \(5,\)"),
        ({"alpha": 0}, "alpha must be a number above 0"),
        ({"out": "x.json"}, "'.json'"),
    ],
)
def test_classify_refuses_in_a_sentence(space: Space, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LatentspaceError, match=words):
        classify(space, **options)


def test_numbers_are_one_class_however_they_are_written(space: Space) -> None:
    whole = {i: int(DIGITS.target[i]) for i in range(80)}
    parts = {str(i): float(DIGITS.target[i]) if i < 80 else None for i in range(90)}
    one, other = (classify(space, label="digit", labels=labels) for labels in (whole, parts))
    assert one.data["classes"] == other.data["classes"] and one.data["labels"] == other.data["labels"] == 80


def test_too_few_labels_make_guesses(space: Space) -> None:
    some = {str(i): str(DIGITS.target[i]) for i in range(12)}
    found = classify(space, labels=some, alpha=0.01)
    assert not found.data["promised"] and found.data["known"] == 0
    assert "can be promised" in found.summary and "guesses" in found.summary


def test_groups_of_houses_are_the_towns(houses: Space, tmp_path: Path) -> None:
    found = cluster(houses, tmp_path / "groups.csv", k=3)
    assert [g["items"] for g in found.data["groups"]] == sorted(
        [g["items"] for g in found.data["groups"]], reverse=True
    )
    price = np.array(houses.columns["price"].to_pylist())  # type: ignore[index]
    spreads = [price[found.value == g].std() for g in range(3)]
    assert max(spreads) < 25 < price.std()
    apart = {d["column"] for g in found.data["groups"] for d in g["set_apart"][:2]}
    assert apart <= {"price", "area", "kind"} and "price" in apart
    written = csv.read_csv(tmp_path / "groups.csv")
    assert written["medoid"].to_pylist().count(True) == 3
    labels = pa.table({"id": written["id"], "group": written["group"]})
    assert classify(houses, labels=labels).data["expected_accuracy"]["value"] > 0.95


def test_groups_by_density_and_pictures(space: Space, tmp_path: Path) -> None:
    found = cluster(space, tmp_path / "g.png", method="hdbscan")
    assert len(found.data["groups"]) >= 2
    assert (tmp_path / "g.png").read_bytes()[:4] == b"\x89PNG"
    assert found.figures["medoids"]() is not None
    assert cluster(space, on="latents", k=10).data["groups"][9]["items"] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 1}, "k must be 'auto' or a whole number of at least 2"),
        ({"k": 5000}, "below the 1,000 items"),
        ({"k": 3, "method": "hdbscan"}, "k goes with method='kmeans'"),
        ({"method": "hdbscn"}, "did you mean 'hdbscan'"),
    ],
)
def test_cluster_refuses_in_a_sentence(space: Space, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LatentspaceError, match=words):
        cluster(space, **options)


def test_there_are_no_more_groups_than_places() -> None:
    table = pa.table({"a": [0.0, 1.0, 0.0, 1.0] * 15, "b": [0.0, 0.0, 1.0, 1.0] * 15})
    four = fit(table, latent_dim=2, epochs=2, report=False)
    found = cluster(four, on="latents", k=10)  # a warning would be an error
    assert [g["items"] for g in found.data["groups"]] == [15] * 4
    assert "in Z, not 10: they lie in so few different places." in found.summary
    assert "not" not in cluster(four, on="latents", k=3).summary.splitlines()[0]


@pytest.mark.slow
def test_the_report_says_what_labels_tell(space: Space, tmp_path: Path) -> None:
    rows = space.figures["labels"]["rows"]
    assert [row["labels"] for row in rows] == [10, 100]
    assert rows[1]["ours"]["value"] > rows[1]["raw"]["value"] - 0.05
    assert rows[1]["promised"] and rows[1]["wrong"] < 0.2
    report(space, out=tmp_path / "r.html")
    assert "Labels of a few" in (tmp_path / "r.html").read_text()
