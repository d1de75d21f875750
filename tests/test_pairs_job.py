"""Answers are kept whatever happens, what follows from them is known, and they reshape the space."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits

from latentspace import Space, fit, load
from latentspace.cli import main
from latentspace.errors import LatentspaceError, OptionError, SpaceError
from latentspace.jobs._pair_terminal import asked_one_by_one
from latentspace.jobs.add import add
from latentspace.jobs.classify import classify
from latentspace.jobs.neighbours import neighbours
from latentspace.jobs.pairs import pairs
from latentspace.jobs.remove import remove
from latentspace.jobs.report import report as job_report
from latentspace.models.asking import ask
from latentspace.models.views import Views
from latentspace.space.answers import JOURNAL, Answer, append, following, implied, read, undo
from latentspace.space.pair_head import HEAD, PairHead

DIGITS = load_digits()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("digits")
    pictures = DIGITS.images.astype("uint8") * 15
    np.savez(place / "digits.npz", images=pictures[:700], digit=DIGITS.target[:700])
    np.savez(place / "new.npz", images=pictures[700:900])
    fit(place / "digits.npz", place / "d", latent_dim=8, epochs=8, labels=("digit",), report=False)
    return place


@pytest.fixture
def place(fitted: Path, tmp_path: Path) -> Path:
    """The space, without answers, in a folder of its own."""
    shutil.copytree(fitted / "d.space", tmp_path / "d.space")
    for file in ("digits.npz", "new.npz"):
        shutil.copy(fitted / file, tmp_path)
    return tmp_path


def said(space: Space, n: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """What somebody who knows the digits says of pairs that are asked."""
    asked = pairs("ask", space, n=n, seed=seed).data["pairs"]
    digit = DIGITS.target
    return [
        (p["a"], p["b"], "same" if digit[int(p["a"])] == digit[int(p["b"])] else "different") for p in asked
    ]


@pytest.mark.slow
def test_answers_reshape_the_space(place: Path) -> None:
    space = load(place / "d.space")
    for seed in range(3):
        given = said(space, 80, seed)
        assert 20 < sum(word == "same" for *_, word in given) < 75  # of pairs at random a tenth would be
        pairs("answer", space, answers=given, who="anna")
    found = pairs("fit", space, items=place / "digits.npz")
    assert found.data["answers"] == 240 and not found.data["kept_old"]
    assert found.data["after"] > found.data["before"] + 0.05
    assert found.data["pairs"] > 240 and "with what follows" in found.summary
    report = pairs("report", space, place / "roc.png", items=place / "digits.npz")
    areas = {name: way["area"]["value"] for name, way in report.data["distances"].items()}
    assert areas["pairs"] > max(areas["latents"], areas["PCA"], areas["raw items"])
    assert (place / "roc.png").read_bytes()[:4] == b"\x89PNG"
    page = job_report(space, out=place / "report.html").files[0].read_text()
    section = page[page.index("Same or different?") :]
    assert section.index("held-out pairs (") < section.index("false-match rate") < section.index("Map</h2>")
    curve = report.data["learning_curve"]
    assert curve["pairs"][-1] < found.data["pairs"] == curve["extrapolated"]["after"]
    assert np.allclose(np.divide(curve["pairs"][1:], curve["pairs"][:-1]), 2, atol=0.2)
    assert curve["area"][-1] > curve["area"][0] - 0.01 and curve["area"][-1] > found.data["before"] + 0.03
    gain = curve["extrapolated"]["next_100"]
    assert gain["low"] <= gain["value"] <= gain["high"] < 1 - found.data["after"]
    assert "Extrapolated by a power law, not measured: the next 100 pairs" in report.summary
    wrong = report.data["wrong_answers"]["share"]
    assert wrong["low"] == 0 and wrong["high"] < 0.1 and "are wrong, or none." in report.summary
    new = DIGITS.target[700:900]
    purity = [
        (DIGITS.target[neighbours(space, place / "new.npz", metric=metric).value[0]] == new[:, None]).mean()
        for metric in ("pairs", "euclidean")
    ]
    assert purity[0] > purity[1] - 0.01
    labels = {str(i): str(DIGITS.target[i]) for i in range(60)}
    told = classify(space, place / "new.npz", labels=labels, metric="pairs").value["likeliest"].to_pylist()
    assert np.mean(np.array(told) == new.astype(str)) > 0.7
    again = PairHead.of(load(place / "d.space"))
    assert np.array_equal(again.places, found.value.places)
    own = neighbours(space, item=("5",), metric="pairs", where="digit <> 5").value[0][0]
    assert 5 not in DIGITS.target[own] and 5 not in own


@pytest.mark.slow
def test_wrong_answers_are_named(place: Path) -> None:
    space = load(place / "d.space")
    rng = np.random.default_rng(0)
    turned = set()
    for seed in range(3):
        given = []
        for a, b, word in said(space, 100, seed):
            if rng.random() < 0.1:
                turned.add(frozenset((a, b)))
                word = "different" if word == "same" else "same"
            given.append((a, b, word))
        pairs("answer", space, answers=given, who="ben")
    learnt = pairs("fit", space, items=place / "digits.npz")
    assert "was left out" in learnt.summary  # long chains would multiply what is wrong
    truth = np.equal(*DIGITS.target[learnt.value.pairs.T])
    assert (learnt.value.same != truth).mean() < 0.2
    report = pairs("report", space)
    assert "since this was learnt" not in report.summary
    wrong = report.data["wrong_answers"]
    assert wrong["share"]["low"] <= len(turned) / 300 <= wrong["share"]["high"]
    assert f"of {wrong['answers']} answers are wrong" in report.summary
    doubtful = [frozenset((row["a"], row["b"])) for row in wrong["doubtful"]]
    assert len(turned & set(doubtful[:10])) >= 7 and len(doubtful) == 100
    (title,) = [title for title in report.tables if title.startswith("Ask again")]
    assert [frozenset((row["a"], row["b"])) for row in report.tables[title]] == doubtful[:5]
    a, b = doubtful[0]
    pairs(
        "answer",
        space,
        answers=[(a, b, "same" if wrong["doubtful"][0]["said"] == "different" else "different")],
    )
    left = pairs("report", space).data["wrong_answers"]["doubtful"]  # it was given again
    assert frozenset((a, b)) not in [frozenset((row["a"], row["b"])) for row in left]


def test_what_is_not_asked_again(place: Path) -> None:
    space = load(place / "d.space")
    first = said(space, 30)
    pairs("answer", space, answers=first)
    second = said(space, 30)
    both = [frozenset((a, b)) for a, b, _ in [*first, *second]]
    assert len(set(both)) == len(both)
    rows = ask(space.latents, 20, lambda a, b: min(a, b) < 600)
    assert len(rows) and (rows >= 600).all()


def test_only_latents_are_seen_without_the_items(place: Path) -> None:
    space = load(place / "d.space")
    pairs("answer", space, answers=said(space, 200))
    found = pairs("fit", space)
    assert found.data["view"] == "latents" and "Only latents were seen" in found.summary
    near = neighbours(space, latent=space.latents[:1], metric="pairs").value[0]
    assert near[0, 0] == 0


def test_the_command_line_from_asking_to_undoing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(place / "d.space")
    assert main(["pairs", "ask", folder, str(place / "ask.csv"), "--n", "5"]) == 0
    table = csv.read_csv(place / "ask.csv")
    assert table.column_names == ["a", "b", "answer"] and len(table) == 5
    assert main(["pairs", "ask", folder, str(place / "ask.html"), "--n", "2"]) == 0
    page = (place / "ask.html").read_text()
    assert page.count('class="pair"') == 2 and "Save answers.csv" in page and "data:image/png" in page
    answers = ["same", "different", "", "SAME", "0"]
    csv.write_csv(table.set_column(2, "answer", pa.array(answers)), place / "answers.csv")
    assert main(["pairs", "answer", folder, "--answers", str(place / "answers.csv"), "--who", "ben"]) == 0
    assert [(one.same, one.who) for one in read(place / "d.space")] == [
        (same, "ben") for same in (True, False, True, False)
    ]
    capsys.readouterr()
    assert main(["pairs", "undo", folder, "--n", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 3
    assert main(["pairs", "undo", folder, "--n", "9"]) == 2
    assert "There are 3 answers to take back, not 9." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "options", "words"),
    [
        ("aks", {}, "did you mean 'ask'"),
        ("fit", {}, "Answers of both sorts are needed"),
        ("report", {}, "has learnt from no pairs yet"),
        ("answer", {}, "Give the answers"),
        ("answer", {"answers": [("0", "nobody", "same")]}, "row 1: the space holds no item 'nobody'"),
        ("answer", {"answers": [("0", "1", "perhaps")]}, "'perhaps' is no answer"),
        ("answer", {"answers": [("0", "1", "")]}, "holds no answer"),
        ("answer", {"answers": pa.table({"a": ["0"], "b": ["1"]})}, "no column 'answer'"),
        ("answer", {"answers": [("1", "2")]}, r"row 1: \('1', '2'\) is no triple"),
        ("answer", {"answers": ["same"]}, "row 1: 'same' is no triple"),
        ("answer", {"answers": 5}, r"answers is a table with a, b and answer, or .* triples, not 5"),
        ("answer", {"answers": np.arange(3)}, r"not an array of shape \(3,\)"),
        ("ask", {"out": "x.txt"}, "'.txt'"),
        ("fit", {"out": "x.csv"}, "leave out away"),
    ],
)
def test_it_refuses_in_a_sentence(place: Path, verb: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(LatentspaceError, match=words):
        pairs(verb, load(place / "d.space"), **options)
    assert not (place / "d.space" / HEAD).exists() and not read(place / "d.space")


@pytest.mark.slow
def test_what_was_learnt_is_told_from_what_is_there_now(place: Path) -> None:
    space = load(place / "d.space")
    given = said(space, 60)
    pairs("answer", space, answers=given)
    pairs("fit", space)
    before = pairs("report", space)
    assert "came or went" not in before.summary
    pairs("undo", space, n=1)
    a, b, word = given[-1]
    pairs("answer", space, answers=[(a, b, "same" if word == "different" else "different")])
    after = pairs("report", space)  # as many answers, but not the same ones
    assert "Answers came or went since this was learnt" in after.summary
    told = [after.data, before.data]
    judged = [figures.pop("wrong_answers")["answers"] for figures in told]
    assert told[0] == told[1] and judged == [59, 60]  # the one that is new was not learnt from
    remove(place / "d.space", ("699",))
    add(
        place / "d.space", DIGITS.images[1000:1001].astype("uint8") * 15
    )  # as many items, but not the same ones
    with pytest.raises(SpaceError, match=r"Items came or went .* run pairs fit again"):
        neighbours(place / "d.space", item=("0",), metric="pairs")
    kept = load_file(place / "d.space" / HEAD)
    for older in (
        {name: a for name, a in kept.items() if "curve" not in name},
        kept | {"metric.numbers": kept["metric.numbers"][:-1]},  # before networks were learnt
    ):
        save_file(older, place / "d.space" / HEAD)
        with pytest.raises(SpaceError, match="An older version learnt from these pairs: run pairs fit again"):
            neighbours(space, item=("0",), metric="pairs")
    (place / "d.space" / HEAD).write_bytes(b"nonsense")
    with pytest.raises(SpaceError, match="is damaged: run pairs fit again"):
        neighbours(space, item=("0",), metric="pairs")


def test_contradicted_answers_are_not_learnt_from(place: Path) -> None:
    space = load(place / "d.space")
    pairs("answer", space, answers=[("0", "1", "same"), ("1", "2", "same"), ("0", "2", "different")])
    pairs("answer", space, answers=[("3", "4", "different"), ("4", "5", "same"), ("5", "4", "different")])
    head = pairs("fit", space).value
    assert {(*pair, same) for pair, same in zip(head.pairs.tolist(), head.same.tolist(), strict=True)} == {
        *{(0, 1, True), (1, 2, True), (3, 4, False), (4, 5, False)},
        (0, 2, True),  # it follows
    }


@pytest.mark.slow
def test_several_new_items_are_placed_as_each_alone(place: Path) -> None:
    space = load(place / "d.space")
    for seed in range(3):
        pairs("answer", space, answers=said(space, 80, seed))
    assert pairs("fit", space, items=place / "digits.npz").value.needs_items
    new = DIGITS.images[700:704].astype("uint8") * 15
    every = neighbours(space, new, metric="pairs", k=4)
    for i, picture in enumerate(new):
        rows, distances = neighbours(space, picture[None], metric="pairs", k=4).value
        assert np.array_equal(rows[0], every.value[0][i])
        assert np.allclose(distances[0], every.value[1][i], atol=1e-4)
    for options, words in (
        ({"item": ("1",), "unlike": ("2",)}, "leave mean and unlike away"),
        ({"item": ("1", "2"), "mean": True}, "leave mean and unlike away"),
        ({"latent": space.latents[:1]}, "looks at items here"),
    ):
        with pytest.raises(OptionError, match=words):
            neighbours(space, metric="pairs", **options)


def test_a_terminal_asks_one_by_one_and_keeps_each_answer_at_once() -> None:
    table = pa.table({"price": [1.5, 2.0, 1.5, 9.0] * 5, "town": ["Bern", "Bern", "Köln", None] * 5})
    space = fit(table, latent_dim=1, epochs=1, report=False)
    typed = iter(["perhaps", "s", "", "DIFFERENT", "q"])
    kept: list[Answer] = []
    shown: list[str] = []
    rows = np.array([[0, 2], [0, 1], [1, 3], [2, 3]])
    given = asked_one_by_one(space, rows, "eva", kept.append, lambda _: next(typed), shown.append)
    assert [(one.a, one.b, one.same, one.who) for one in kept] == [
        ("0", "2", True, "eva"),
        ("1", "3", False, "eva"),
    ]
    assert given == kept
    assert "  price  1.5   1.5" in shown and "* town   Bern  Köln" in shown

    def closed(_: str) -> str:
        raise EOFError

    assert asked_one_by_one(space, rows, "", kept.append, closed, shown.append) == []


def test_answers_outlive_a_space_that_is_fitted_anew(place: Path) -> None:
    space = load(place / "d.space")
    pairs("answer", space, answers=said(space, 10))
    before = read(place / "d.space")
    space.save(place / "d.space", overwrite=True)
    assert read(place / "d.space") == before


# the journal


def test_a_writer_that_is_killed_leaves_whole_answers(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from latentspace.space.answers import Answer, append\n"
        "for i in range(100000): append(Path(sys.argv[1]), [Answer(str(i), 'ü', True)]); print(i, flush=True)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    while not writer.stdout.readline().startswith("20"):
        time.sleep(0)
    writer.kill()
    told = writer.stdout.read().split()
    writer.wait()
    writer.stdout.close()
    found = read(tmp_path)
    assert len(found) >= 1 + int(told[-1] if told and told[-1].isdigit() else 20)
    assert [one.a for one in found] == [str(i) for i in range(len(found))]


def test_a_torn_line_is_left_out_and_a_damaged_one_named(tmp_path: Path) -> None:
    append(tmp_path, [Answer("a", "b", True)])
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'{"a": "c", "b"')
    assert len(read(tmp_path)) == 1
    append(tmp_path, [Answer("d", "e", False)])
    assert [one.a for one in read(tmp_path)] == ["a", "d"]
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'nonsense\n{"a": "x", "b": "y", "same": true, "who": "", "when": ""}\n')
    with pytest.raises(SpaceError, match=r"Line 3 of .*pairs.jsonl is no answer"):
        read(tmp_path)


def test_undo_is_written_down(tmp_path: Path) -> None:
    append(tmp_path, [Answer(str(i), "x", True) for i in range(4)])
    assert [one.a for one in undo(tmp_path, 2)] == ["2", "3"]
    append(tmp_path, [Answer("9", "x", True)])
    assert [one.a for one in read(tmp_path)] == ["0", "1", "9"]
    assert len((tmp_path / JOURNAL).read_text().splitlines()) == 6
    with pytest.raises(OptionError, match="There are 3 answers"):
        undo(tmp_path, 4)


def test_what_follows_and_what_contradicts() -> None:
    chain = [Answer(str(i), str(i + 1), True) for i in range(5)]
    found = implied([*chain, Answer("5", "x", False), Answer("x", "y", True), Answer("0", "z", False)])
    assert found.known("0", "5") is True and found.known("0", "y") is False and found.known("y", "z") is None
    assert found.known("0", "nobody") is None and not found.conflicts
    wrong = implied([*chain, Answer("1", "3", False), Answer("0", "5", False)])
    assert [len(conflict) for conflict in wrong.conflicts] == [3, 6]
    assert [(one.a, one.b) for one in wrong.conflicts[0]] == [("1", "2"), ("2", "3"), ("1", "3")]
    # the last answer of a pair holds
    assert implied([Answer("a", "b", True), Answer("b", "a", False)]).known("a", "b") is False


def test_what_follows_is_in_the_order_of_the_answers() -> None:
    # sets of texts have another order in every process, and pairs that follow are cut off at a number
    said = [Answer(f"item {2 * i + 1}", f"item {2 * i}", True) for i in range(30)]
    assert list(implied(said).group) == [item for one in said for item in (one.a, one.b)]


def test_the_shortest_chains_come_first_and_the_longest_are_left_out() -> None:
    said = [Answer(str(i), str(i + 1), True) for i in range(4)]
    said += [Answer("0", "4", False), Answer("x", "y", True), Answer("y", "z", True), Answer("z", "y", False)]
    every = list(following(said))  # the last answer of y and z holds: they are different
    assert [int(b) - int(a) for a, b in every] == [2, 2, 2, 3, 3, 4]
    assert [list(following(said, n)) for n in (1, 2, 3)] == [[], every[:3], every[:5]]


def test_a_network_that_could_not_be_judged_is_not_passed_over_in_silence(place: Path) -> None:
    space = load(place / "d.space")
    pairs("answer", space, answers=[("0", "1", "same"), ("1", "2", "same"), ("3", "4", "different")])
    found = pairs("fit", space, items=place / "digits.npz", depth="network")
    assert "No network was tried" in found.summary and found.data["network"] is None


def test_views_come_back_as_they_were() -> None:
    x = np.random.default_rng(0).normal(size=(40, 1, 14, 14)).astype("float32")
    z = x[:, 0, 0, :5]
    views = Views(x)
    again = Views.read(views.arrays())
    for name, view in views.of(x, z).items():
        assert np.array_equal(view, again.of(x, z)[name])
    assert list(Views(None).of(None, z)) == ["latents"]
