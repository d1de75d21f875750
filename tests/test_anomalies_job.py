"""Anomalies: the planted error is flagged, the right part is named in the user's units, and the promise holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from latentspace import Space, fit, load
from latentspace.cli import main
from latentspace.data.base import Items, Modality
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs._anomaly_measures import measure_anomalies, ranked
from latentspace.jobs._drawings import rival_of
from latentspace.jobs._parts import Sample
from latentspace.jobs.anomalies import anomalies
from latentspace.likelihoods import Gaussian
from latentspace.models.anomaly import Scorer


def people(n: int = 700, seed: int = 0) -> pa.Table:
    """Height tells weight and size; `joined` is a date, `note` has gaps."""
    rng = np.random.default_rng(seed)
    height = rng.normal(170, 10, size=n)
    size = np.where(height > 175, "tall", np.where(height < 165, "short", "middling"))
    note = [None if i % 9 == 0 else float(v) for i, v in enumerate(rng.normal(size=n))]
    return pa.table(
        {
            "name": [f"p{i}" for i in range(n)],
            "height": height,
            "weight": 0.9 * height - 90 + rng.normal(size=n),
            "size": size,
            "joined": np.datetime64("2020-01-01") + rng.integers(0, 700, n).astype("timedelta64[D]"),
            "note": note,
        }
    )


def with_cells(table: pa.Table, row: int, **cells: Any) -> pa.Table:
    rows = table.to_pylist()
    rows[row].update(cells)
    return pa.Table.from_pylist(rows, schema=table.schema)


def steps(n: int = 3000, seed: int = 0) -> pa.Table:
    """A daily wave, a sample every 30 minutes, with noise."""
    rng = np.random.default_rng(seed)
    stamps = np.datetime64("2024-01-01T00:00:00") + np.arange(n) * np.timedelta64(30, "m")
    return pa.table(
        {"time": stamps, "load": 100 + 40 * np.sin(np.arange(n) * np.pi / 24) + rng.normal(size=n)}
    )


def squares(n: int = 400, seed: int = 0) -> np.ndarray:
    """Grey pictures (n, 14, 14) of a bright square that wanders about the middle."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 20, (n, 14, 14)).astype(np.uint8)
    for picture, (row, column) in zip(pictures, rng.integers(4, 7, (n, 2)), strict=True):
        picture[row : row + 4, column : column + 4] = 180
    return pictures


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("crowd") / "crowd"
    return fit(people(), place, latent_dim=2, epochs=2, id_column="name", held_out=0.3, report=False)


@pytest.fixture(scope="module")
def wave() -> Space:
    return fit(steps(), latent_dim=4, epochs=2, modality="signal", window=48, hop=24, held_out=0.3)


@pytest.fixture(scope="module")
def gallery() -> Space:
    return fit(squares(), latent_dim=4, epochs=2, held_out=0.3)


#: 185 cm and 50 kg: both usual, together not (76 kg would be)
THIN = {"height": 185.0, "weight": 50.0, "size": "tall"}

# quality


def test_a_planted_error_is_flagged_and_its_column_named_in_the_users_units(crowd: Space) -> None:
    data = anomalies(crowd, with_cells(people(200, seed=1), 7, **THIN)).data
    worst = data["worst"][0]
    assert worst["id"] == "p7" and worst["flagged"] and worst["p_value"] <= 0.02
    reason = worst["reasons"][0]
    assert reason["part"] == "weight" and reason["observed"] == 50.0 and reason["share"] > 0.4
    assert 68 < reason["expected"] < 82
    low, high = reason["usual"]
    assert 42 < low < 50 and 74 < high < 85


def test_a_scorer_that_has_not_learnt_how_columns_go_together_misses_it(crowd: Space) -> None:
    x, _ = crowd.modality.transform(crowd.items(people()))
    rows, found = with_cells(people(200, seed=1), 7, **THIN), []
    for seed in range(3):
        rng, shuffled = np.random.default_rng(seed), x.copy()
        for where in crowd.modality.parts().values():
            shuffled[:, where] = x[rng.permutation(len(x))][:, where]
        blind = replace(crowd, scorer=Scorer.fit(shuffled[:490], None, shuffled[490:], None))
        worst = {row["id"]: row for row in anomalies(blind, rows, top=200).data["worst"]}
        found.append(worst["p7"]["p_value"])
        assert worst["p7"]["reasons"][0]["part"] != "weight"
    assert sorted(found)[1] > 0.05


@pytest.mark.parametrize(
    ("cells", "part", "observed"),
    [
        ({"weight": 400.0}, "weight", 400.0),
        ({"joined": np.datetime64("2031-05-04").astype(object)}, "joined", "2031-05-04"),
        ({"height": 150.0, "weight": 45.0, "size": "tall"}, "size", "tall"),
    ],
)
def test_the_reason_reads_as_the_user_wrote_it(
    crowd: Space, cells: dict[str, Any], part: str, observed: Any
) -> None:
    found = anomalies(crowd, with_cells(people(60, seed=2), 5, **cells), top=1)
    reason = found.data["worst"][0]["reasons"][0]
    assert (reason["part"], reason["observed"]) == (part, observed)
    if part == "joined":
        low, high = reason["usual"]
        assert "2020-01-01" <= low < "2020-03-01" and "2021-10-01" < high <= "2021-12-01"
        assert reason["words"].startswith("joined = 2031-05-04 (expected 202")
    if part == "size":
        assert reason["expected"] == "short" and set(reason["usual"]) == {"short", "middling", "tall"}


def test_a_gap_is_said_to_be_a_gap(crowd: Space) -> None:
    empty = dict.fromkeys(("height", "weight", "size", "joined", "note"))
    found = anomalies(crowd, with_cells(people(60, seed=2), 5, **empty), top=60)
    row = next(r for r in found.data["worst"] if r["id"] == "p5")
    assert row["reasons"][0]["observed"] is None and " is a gap (expected " in row["reasons"][0]["words"]


def test_false_alarms_stay_within_the_promise(crowd: Space) -> None:
    result = anomalies(crowd, people(2000, seed=3), alpha=0.1)
    share = result.data["flagged"] / 2000
    assert 0.03 < share < 0.16  # 0.1 within what 210 calibration items leave open
    assert "at most 10 % are flagged" in result.summary and "about 200 would be flagged" in result.summary


def test_false_discoveries_stay_within_the_promise(crowd: Space) -> None:
    rows = people(300, seed=4)
    for i in range(40):
        rows = with_cells(rows, i, weight=150.0 + i)
    result = anomalies(crowd, rows, fdr=0.1)
    found = {row["id"] for row in result.data["flagged_items"]}
    planted = {f"p{i}" for i in range(40)}
    assert len(found & planted) >= 38 and len(found - planted) <= 0.2 * len(found)
    assert "at most about 10 % are usual" in result.summary


def test_fdr_says_why_it_flags_none(crowd: Space) -> None:
    result = anomalies(crowd, people(300, seed=5), fdr=0.02)
    assert result.data["flagged"] == 0 and "odder than all" in result.summary


# signals


def test_a_broken_stretch_is_an_event_with_its_times(wave: Space, tmp_path: Path) -> None:
    broken = steps(1500, seed=1)
    values = broken["load"].to_numpy().copy()
    values[700:712] = 100.0  # 12 samples from 2024-01-15 14:00 on
    broken = broken.set_column(1, "load", pa.array(values))
    result = anomalies(wave, broken, tmp_path / "all.csv", alpha=0.05)
    # 61 whole steps of 24 samples; one more window would lie across the wave's rhythm, and be odd for that
    assert result.data["items"] == 61 and "samples (fewer than 24) are not judged" in result.summary
    event = max(result.data["events"], key=lambda e: e["surprise"])
    assert event["start"] <= "2024-01-15 14:00" and event["end"] >= "2024-01-15 19:30"
    assert event["windows"] >= 2
    reason = event["reasons"][0]
    assert "2024-01-15 13:30" <= reason["from"] <= reason["at"] <= reason["to"] <= "2024-01-15 20:00"
    assert reason["part"] == "load" and reason["observed"] == 100.0
    assert abs(reason["expected"] - 100) > 15
    table = pyarrow.csv.read_csv(tmp_path / "all.csv")
    assert table.column_names == ["id", "start", "end", "surprise", "p_value", "flagged", "reason"]
    assert table.num_rows == result.data["items"]


def test_each_recording_keeps_its_own_samples_and_channels_their_own_marks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    waves = [np.sin(np.arange(2400 + 40 * k) / 6)[:, None] * [1, 2] for k in range(6)]
    waves = [w + 0.05 * rng.normal(size=w.shape) for w in waves]
    space = fit(waves, modality="signal", window=40, hop=20, latent_dim=4, epochs=1, held_out=0.3)
    waves[1][2000:2010, 1] = 9
    result = anomalies(space, waves[:2])
    event = max(result.data["events"], key=lambda e: e["surprise"])
    assert (event["start"], event["end"]) == ("1:1980", "1:2039") and event["windows"] == 2
    reason = event["reasons"][0]
    assert reason["from"] == "1:2000" and reason["part"] == "channel 1"
    figure = result.figures["anomalies"]()
    marked = {
        axes.get_ylabel(): "what caused it" in axes.get_legend_handles_labels()[1] for axes in figure.axes[:2]
    }
    assert marked["channel 1"]


# pictures


def test_a_stray_patch_is_framed(gallery: Space, tmp_path: Path) -> None:
    pictures = squares(50, seed=1)
    pictures[3, 0:3, 10:13] = 255
    result = anomalies(gallery, pictures, tmp_path / "odd.png", top=4)
    worst = result.data["worst"][0]
    reason = worst["reasons"][0]
    assert worst["id"] == 3 and reason["part"] == "at the top right"
    (top, bottom), (left, right) = reason["rows"], reason["columns"]
    assert top <= 1 <= bottom <= 4 and 8 <= left <= 11 <= right and reason["share"] > 0.6
    assert "brighter than expected" in reason["words"] and reason["observed"] > 100 > reason["expected"]
    assert (tmp_path / "odd.png").read_bytes().startswith(b"\x89PNG")


# what comes out


def test_tables_name_the_worst_first(crowd: Space) -> None:
    result = anomalies(crowd, with_cells(people(100, seed=1), 7, **THIN), top=3)
    (rows,) = result.tables.values()
    assert rows[0]["id"] == "p7" and len(rows) == 3
    surprises = [float(row["surprise"]) for row in rows]
    assert surprises == sorted(surprises, reverse=True)
    json.dumps(result.to_json())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_all_items_go_into_the_file(crowd: Space, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"odd{suffix}"
    result = anomalies(crowd, with_cells(people(100, seed=1), 7, **THIN), out)
    table = pyarrow.csv.read_csv(out) if suffix == ".csv" else pq.read_table(out)
    assert table.column_names == ["id", "surprise", "p_value", "flagged", "reason"]
    rows = {row["id"]: row for row in table.to_pylist()}
    assert len(rows) == 100 and rows["p7"]["flagged"] and "(expected " in rows["p7"]["reason"]
    assert all(bool(row["reason"]) == row["flagged"] for row in rows.values())
    assert result.files == [out]


@pytest.mark.parametrize("kind", ["crowd", "wave", "gallery"])
def test_every_kind_of_item_draws(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data = {"crowd": people(60), "wave": steps(500), "gallery": squares(20)}[kind]
    result = anomalies(request.getfixturevalue(kind), data, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000 and list(result.figures) == ["anomalies"]


def test_a_saved_space_judges_as_the_one_in_memory(crowd: Space) -> None:
    rows = people(80, seed=6)
    here, there = anomalies(crowd, rows).data, anomalies(crowd.path or "", rows).data
    assert [r["id"] for r in here["worst"]] == [r["id"] for r in there["worst"]]
    assert here["worst"][0]["surprise"] == pytest.approx(there["worst"][0]["surprise"])


# the report's section


def test_the_space_says_how_well_odd_items_are_found(crowd: Space) -> None:
    found = crowd.figures["anomalies"]
    methods = {row["method"]: row for row in found["rows"]}
    assert set(methods) == {"ours", "PCA error", "IsolationForest", "5-NN distance", "LOF"}
    assert found["kind"] == "planted" and "parts come from other items" in found["what"]
    ours = methods["ours"]["auroc"]
    assert ours["low"] <= ours["value"] <= ours["high"] and ours["value"] > 0.6
    assert found["verdict"] in crowd.figures["verdict"] and "planted" in found["verdict"]
    best = max(methods.values(), key=lambda row: row["auroc"]["value"])["method"]
    assert ("our score" if best == "ours" else best) in found["verdict"]
    assert len(found["worst"]) == 5 and all(row["reason"] for row in found["worst"])


def test_a_rare_label_is_the_anomaly() -> None:
    table = people(600)
    rare = np.arange(0, 600, 13)
    values = table["weight"].to_numpy().copy()
    values[rare] += 60
    kind = np.where(np.isin(np.arange(600), rare), "ill", "well")
    table = table.set_column(2, "weight", pa.array(values)).append_column("kind", pa.array(kind))
    space = fit(table, latent_dim=2, epochs=2, id_column="name", labels=("kind",), held_out=0.4)
    found = space.figures["anomalies"]
    assert (found["kind"], found["what"]) == ("label", "kind is ill")
    assert next(r for r in found["rows"] if r["method"] == "ours")["auroc"]["value"] > 0.9


class Fixed:
    """A scorer that knows, or does not."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def scores(self, x: np.ndarray, observed: Any = None) -> np.ndarray:
        return self.sign * np.abs(x).max(axis=1)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_verdict_names_the_winner(sign: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    x[:15, 0] = 5.0
    y = np.where(np.arange(300) < 15, "bad", "good")
    pca = rival_of(fit(x[15:], latent_dim=2, epochs=1))
    train = Sample(rng.normal(size=(300, 4)).astype(np.float32), None, {})
    parts = {str(j): np.array([j]) for j in range(4)}
    found = measure_anomalies(Fixed(sign), pca, parts, train, Sample(x, None, {"y": y}))  # type: ignore[arg-type]
    ours = next(row for row in found["rows"] if row["method"] == "ours")
    assert ours["auroc"]["value"] == (1.0 if sign > 0 else 0.0)
    start = found["verdict"].split(" is best (AUROC ")[0] if sign < 0 else found["verdict"]
    assert start.startswith("To find the items whose y is bad, ") and ("our score" in start) == (sign > 0)


def test_too_few_items_measure_nothing(crowd: Space) -> None:
    few = Sample(np.zeros((10, 7), np.float32), None, {})
    assert measure_anomalies(crowd.scorer, rival_of(crowd), crowd.modality.parts(), few, few) == {}  # type: ignore[arg-type]


def test_ranked_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    odd, score = rng.random(200) < 0.2, rng.integers(0, 20, 200).astype(float)
    weights = rng.integers(0, 3, (1, 200))
    auroc, precision = ranked(score, odd, weights)
    assert auroc[0] == pytest.approx(roc_auc_score(odd, score, sample_weight=weights[0]))
    assert precision[0] == pytest.approx(average_precision_score(odd, score, sample_weight=weights[0]))


# bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0}, "alpha must be a number above 0 and below 1, not 0."),
        ({"alpha": 2}, "alpha must be a number above 0 and below 1, not 2."),
        ({"alpha": "low"}, "alpha must be a number above 0 and below 1, not 'low'."),
        ({"fdr": 1.0}, "fdr must be a number above 0 and below 1, not 1.0."),
        ({"top": 0}, "top must be a whole number of at least 1, not 0."),
        ({"alpa": 0.1}, "did you mean 'alpha'?"),
        ({"out": "odd.xlsx"}, "it can be .csv, .parquet, .png."),
        ({"out": "odd"}, "no extension"),
    ],
)
def test_bad_options(crowd: Space, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as failure:
        anomalies(crowd, people(20), **options)
    assert words in str(failure.value)


@pytest.mark.parametrize("option", ["alpha", "fdr"])
def test_what_cannot_be_promised_is_refused_with_what_can(crowd: Space, option: str) -> None:
    with pytest.raises(
        OptionError, match=f"{option}=0.0001 cannot be promised with .* calibration items"
    ) as no:
        anomalies(crowd, people(20), **{option: 0.0001})
    least = float(str(no.value).split("can is ")[1].split(" ")[0])
    assert crowd.scorer is not None and crowd.scorer.smallest_p <= least < 1.2 * crowd.scorer.smallest_p
    assert anomalies(crowd, people(20), **{option: least}).data["items"] == 20


def test_another_schema(crowd: Space) -> None:
    with pytest.raises(DataError, match="no column 'weight'"):
        anomalies(crowd, people(20).drop_columns(["weight"]))


def test_no_items(crowd: Space, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        anomalies(crowd, people(20).slice(0, 0), tmp_path / "odd.csv")
    assert not list(tmp_path.iterdir())


def test_a_space_without_a_scorer() -> None:
    space = fit(people(30), latent_dim=2, epochs=1, held_out=0)
    with pytest.raises(
        SpaceError, match="cannot tell what is odd: when it was fitted no items were held out"
    ):
        anomalies(space, people(20))


def test_the_command(crowd: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, out = tmp_path / "rows.parquet", tmp_path / "odd.csv"
    pq.write_table(with_cells(people(100, seed=1), 7, **THIN), rows)
    assert main(["anomalies", str(crowd.path), str(rows), "--out", str(out), "--alpha", "0.1"]) == 0
    printed = capsys.readouterr().out
    assert "Promise: of usual new items, at most 10 % are flagged" in printed and "p7" in printed
    assert main(["anomalies", str(crowd.path), str(rows), "--json", "--fdr", "0.2"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["fdr"] == 0.2 and data["worst"][0]["id"] == "p7" and data["worst"][0]["reasons"]


@pytest.mark.parametrize(
    "options", [["--alpha", "0"], ["--alpha", "much"], ["--out", "x.docx"], ["--top", "0"], ["--fdr", "1"]]
)
def test_the_command_refuses(
    crowd: Space, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.parquet"
    pq.write_table(people(20), rows)
    assert main(["anomalies", str(crowd.path), str(rows), *options]) == 2
    said = capsys.readouterr()
    assert not said.out and len(said.err.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_truncated_scorer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = fit(people(60), tmp_path / "s", latent_dim=2, epochs=1, report=False)
    file = (space.path or tmp_path) / "scorer.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    rows = tmp_path / "rows.parquet"
    pq.write_table(people(20), rows)
    assert main(["anomalies", str(space.path), str(rows)]) == 2
    assert "scorer.safetensors has" in capsys.readouterr().err


def test_half_a_space(crowd: Space) -> None:
    half = load(crowd.path or "", part="encoder")
    assert anomalies(half, people(40, seed=1)).data["items"] == 40


class Letters(Modality):
    """A kind of item of the user's own, without columns of its own."""

    name = "letters"
    shape = (2, 3)
    likelihood = Gaussian()

    def read(self, source: Any, **where: Any) -> Items:
        return Items(list(source), np.arange(len(source)))

    def take(self, items: Items, rows: np.ndarray) -> Items:
        return items.with_values([items.values[i] for i in rows], rows)

    def fit(self, items: Items) -> Letters:
        return self

    def transform(self, items: Items, dtype: Any = np.float32) -> tuple[np.ndarray, None]:
        counts = [[word.count(letter) for letter in "abcdef"] for word in items.values]
        return np.array(counts, dtype).reshape(-1, 2, 3), None

    def inverse_transform(self, x: np.ndarray, items: Items | None = None) -> list[str]:
        return [
            "".join(c * round(max(v, 0)) for c, v in zip("abcdef", row.ravel(), strict=True)) for row in x
        ]

    def parts(self) -> dict[str, np.ndarray]:
        return {"a to c": np.arange(3), "d to f": np.arange(3, 6)}

    def state(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Letters:
        return cls()

    def describe(self) -> list[str]:
        return ["Words."]


def test_a_modality_of_the_users_own() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdef"), 8)) for _ in range(200)]
    space = fit(words, modality=Letters(), latent_dim=2, epochs=1)
    worst = anomalies(space, [*words[:30], "d" * 30]).data["worst"][0]
    assert worst["id"] == 30 and worst["reasons"][0]["part"] == "d to f"
    assert worst["reasons"][0]["observed"] == 10.0  # on the model's scale: 30 in three counts


def test_a_space_without_kept_items_holds_none_and_says_so(tmp_path: Path) -> None:
    fit(people(120), tmp_path / "bare", latent_dim=2, epochs=1, keep_items=False, report=False)
    assert not (tmp_path / "bare.space" / "scorer.safetensors").exists()
    with pytest.raises(SpaceError, match="keep_items on"):
        anomalies(tmp_path / "bare.space", people(5))
