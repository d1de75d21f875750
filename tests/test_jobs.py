"""Jobs: options are checked once for all faces, nothing measured was seen, and the report tells the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_types import Ge, Gt, Lt
from PIL import Image as Pillow

from latentspace import Space, fit, load
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs._card import fingerprint
from latentspace.jobs._output import write_pictures, write_table
from latentspace.jobs._verdict import outcome, verdict
from latentspace.jobs.base import Names, Result, allowed, check, descriptions, job, jsonable, run
from latentspace.jobs.fit import fit as fit_job


def flat(n: int = 300, width: int = 6, seed: int = 0) -> np.ndarray:
    """Rows that lie near a plane."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, width)) + 0.2 * rng.normal(size=(n, width))


def mixed(n: int = 300) -> pa.Table:
    """A table with numbers, words, yes/no and gaps, where two columns tell the others."""
    rng = np.random.default_rng(0)
    height = rng.normal(170, 10, size=n)
    weight = 0.9 * height - 90 + rng.normal(size=n)
    size = np.where(height > 175, "tall", np.where(height < 165, "short", "middling"))
    some = [None if i % 7 == 0 else float(w) for i, w in enumerate(weight)]
    return pa.table({"height": height, "weight": some, "size": size, "heavy": weight > 63})


def bars(n: int = 80) -> np.ndarray:
    """Grey pictures (n, 12, 12) of one bright bar at different heights."""
    rows = np.arange(n) % 10
    pictures = np.zeros((n, 12, 12), np.uint8)
    for picture, row in zip(pictures, rows, strict=True):
        picture[row : row + 3] = 200
    return pictures


@pytest.fixture(scope="module")
def rows() -> Space:
    return fit(flat(), latent_dim=2, epochs=3)


@pytest.fixture(scope="module")
def people() -> Space:
    return fit(mixed(), latent_dim=2, epochs=3, labels=("heavy",))


@pytest.fixture(scope="module")
def pictures() -> Space:
    return fit(bars(), latent_dim=2, epochs=2)


# options


@job
def sample_job(
    data: Any,
    *,
    share: Annotated[float, Gt(0), Lt(1)] = 0.5,
    size: Literal["auto"] | Annotated[int, Ge(1)] = "auto",
    names: Names = (),
    fast: bool = False,
) -> dict[str, Any]:
    """Give back what was understood.

    Parameters
    ----------
    data
        Anything.
    share
        A share,
        said on two lines.
    """
    return {"share": share, "size": size, "names": names, "fast": fast}


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ({"share": "0.25"}, {"share": 0.25}),
        ({"size": "8"}, {"size": 8}),
        ({"size": np.int64(8)}, {"size": 8}),
        ({"size": "auto"}, {"size": "auto"}),
        ({"names": "a"}, {"names": ("a",)}),
        ({"names": ["a", "b"]}, {"names": ("a", "b")}),
    ],
)
def test_options_are_understood(given: dict[str, Any], understood: dict[str, Any]) -> None:
    assert sample_job(1, **given).items() >= understood.items()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"share": 1}, "share must be a number above 0 and below 1, not 1."),
        ({"share": "half"}, "share must be a number above 0 and below 1, not 'half'."),
        ({"share": float("nan")}, "share must be a number above 0 and below 1, not nan."),
        ({"size": 0}, "size must be 'auto' or a whole number of at least 1, not 0."),
        ({"size": 2.5}, "size must be 'auto' or a whole number of at least 1, not 2.5."),
        (
            {"size": "atuo"},
            "size must be 'auto' or a whole number of at least 1, not 'atuo' (did you mean 'auto'?).",
        ),
        ({"fast": "maybe"}, "fast must be True or False, not 'maybe'."),
        ({"shrae": 0.5}, "sample_job has no option 'shrae' (did you mean 'share'?)."),
    ],
)
def test_a_wrong_option_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(sentence)}$"):
        sample_job(1, **given)


def test_descriptions_come_from_the_docstring() -> None:
    assert descriptions(sample_job) == {"data": "Anything.", "share": "A share, said on two lines."}
    missing = set(fit_job.__wrapped__.__code__.co_varnames[:18]) - set(descriptions(fit_job))  # type: ignore[attr-defined]
    assert missing == set()


def test_optional_options_are_named_without_none() -> None:
    assert allowed(Annotated[int, Ge(4)] | None) == "a whole number of at least 4"
    assert check("size", Annotated[int, Ge(4)] | None, None) is None


def test_an_unknown_job_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean 'encode'"):
        run("encod", None)


def test_results_become_json() -> None:
    result = Result("well", files=[Path("a.csv")], data={"x": np.array([1.0, np.nan]), "n": np.int64(3)})
    assert json.dumps(result.to_json()) == '{"summary": "well", "files": ["a.csv"], "x": [1.0, null], "n": 3}'
    assert jsonable({1: (True, None, Path("b"))}) == {"1": [True, None, "b"]}


# figures and verdicts


def _row(
    value: float, low: float, high: float, theirs: float = 1.0, better_high: bool = False
) -> dict[str, Any]:
    return {
        "measure": "m",
        "higher_is_better": better_high,
        "scale": 10.0,
        "ours": {"value": theirs + value},
        "pca": {"value": theirs},
        "against_pca": {"value": value, "low": low, "high": high},
        "change": {"value": value / theirs, "low": low / theirs, "high": high / theirs},
    }


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (_row(-0.3, -0.4, -0.2), "better"),
        (_row(0.3, 0.2, 0.4), "worse"),
        (_row(-0.3, -0.7, 0.1), "as good"),
        (_row(0.3, 0.2, 0.4, better_high=True), "better"),
        (_row(-0.3, -0.4, -0.2, better_high=True), "worse"),
        (_row(-0.0005, -0.0006, -0.0004), "as good"),
        (_row(-1e-5, -2e-5, -1e-6, theirs=2e-5), "as good"),
    ],
)
def test_the_paired_interval_decides(row: dict[str, Any], word: str) -> None:
    assert outcome(row, "pca") == word


@pytest.mark.parametrize(
    ("row", "start", "figure"),
    [
        (_row(-0.3, -0.4, -0.2), "With 2 latents", "30 % below PCA's (95 % interval 20 to 40 %)"),
        (_row(0.3, 0.2, 0.4), "PCA is better here", "30 % above PCA's"),
        (
            _row(0.03, -0.1, 0.1),
            "PCA is as good here",
            "+3.0 % (95 % interval -10 to +10 %), and PCA is simpler",
        ),
        (
            _row(1e-6, -1e-5, 1e-5),
            "PCA is as good here",
            "on held-out items equals PCA's, and PCA is simpler",
        ),
        (_row(0.02, 0.01, 0.03, theirs=1e-9), "PCA is better here", "ours 0.2 %"),
    ],
)
def test_the_verdict_does_not_flatter(row: dict[str, Any], start: str, figure: str) -> None:
    sentence = verdict({"reconstruction": row, "latents": [], "latent_dim": 2})[0]
    assert sentence.startswith(start) and figure in sentence


def test_figures_on_held_out_items_are_right(rows: Space) -> None:
    x = flat()[rows.held_out]
    scaled, _ = rows.modality.transform(rows.items(x))
    again = rows.model.decode(rows.model.encode(scaled))
    error = rows.figures["reconstruction"]
    assert rows.figures["n"] == rows.held_out.sum() == 30
    assert error["ours"]["value"] == pytest.approx(((again - scaled) ** 2).mean(), rel=1e-4)
    assert error["ours"]["low"] < error["ours"]["value"] < error["ours"]["high"]
    assert error["explained"]["pca"] > 0.9


def test_gaps_count_in_no_figure() -> None:
    from latentspace.jobs._parts import Sample, squared_error

    x = np.zeros((2, 3), np.float32)
    observed = np.array([[True, False, True], [True, True, False]])
    error = squared_error(Sample(x, observed, {}), np.full((2, 3), 2.0))
    assert np.array_equal(np.isnan(error), ~observed) and np.nanmax(error) == 4


def test_columns_are_measured_in_their_own_units(people: Space) -> None:
    parts = {row["part"]: row for row in people.figures["parts"]}
    assert set(parts) == {"height", "weight", "size"}
    assert 0 < parts["height"]["miss_ours"] < 5 and 0 < parts["weight"]["miss_pca"] < 5
    assert parts["size"]["right_ours"] > 0.7


def test_labels_are_measured_for_all_three(people: Space) -> None:
    rows = {row["measure"]: row for row in people.figures["latents"]}
    for name in ("heavy: 10-NN accuracy", "heavy: linear probe accuracy"):
        assert all(rows[name][who]["value"] > 0.8 for who in ("ours", "pca", "raw"))
        assert rows[name]["against_raw"]["low"] <= 0.1
    assert rows["trustworthiness"]["raw"] is None


@pytest.mark.parametrize("n", [2, 5, 19])
def test_a_tiny_data_set_fits_and_says_what_cannot_be_measured(n: int) -> None:
    space = fit(flat(n), latent_dim=1, epochs=1)
    assert space.latents.shape == (n, 1)
    assert "No item was kept for measuring" in space.figures["verdict"][0]


def test_one_item_is_refused() -> None:
    with pytest.raises(DataError, match="1 item; a latent space needs at least 2"):
        fit(flat(1))


def test_fit_does_no_work_where_its_place_is_taken(rows: Space, tmp_path: Path) -> None:
    rows.save(tmp_path / "a.space")
    told: list[str] = []
    with pytest.raises(SpaceError, match="is there already"):
        fit(flat(), tmp_path / "a", progress=lambda words, share: told.append(words))
    assert told == []


def test_the_card_says_what_was_fitted(tmp_path: Path) -> None:
    pq.write_table(mixed(), tmp_path / "people.parquet")
    space = fit(
        tmp_path / "people.parquet", tmp_path / "p.space", latent_dim=2, epochs=1, seed=3, labels="heavy"
    )
    card = load(tmp_path / "p.space").card
    assert card["settings"]["seed"] == 3 and card["settings"]["latent_dim"] == 2
    assert card["data"]["sha256"] == fingerprint(tmp_path / "people.parquet")
    assert "people.parquet" in card["data"]["what"]
    assert set(card["versions"]) == {"latentspace", "python", "torch", "numpy", "scikit-learn"}
    assert (tmp_path / "p.space" / "report.html").exists() and space.path == tmp_path / "p.space"


def test_a_folder_s_fingerprint_follows_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = fingerprint(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = fingerprint(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, fingerprint(tmp_path)}) == 3


# the report


def _page(result: Result) -> str:
    return result.files[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("which", ["rows", "people", "pictures"])
def test_the_page_stands_alone(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    space = request.getfixturevalue(which)
    result = run("report", space, out=tmp_path / "report.html")
    page = _page(result)
    assert not re.search(r"(?:src|href)=\"(?!data:)", page) and "<script" not in page and "url(" not in page
    assert page.count("<img") == len(result.figures) and "prefers-color-scheme: dark" in page
    assert "viewport" in page and space.figures["verdict"][0].replace("'", "&#x27;") in page
    assert "loss curve" in result.figures and "latent spread" in result.figures
    assert ("decoded grid" in result.figures) == (which == "pictures")


def test_the_page_shows_rows_and_marks_filled_gaps(people: Space, tmp_path: Path) -> None:
    page = _page(run("report", people, out=tmp_path / "r.html"))
    assert "Held-out rows as they are" in page and "middling" in page
    gaps = people.evidence["examples.observed"][:4].min()
    assert ('class="filled"' in page) == (gaps == 0)


def test_what_users_wrote_is_escaped(tmp_path: Path) -> None:
    table = pa.table({"<script>alert(1)</script>": flat()[:, 0], "b": flat()[:, 1], "c": flat()[:, 2]})
    page = _page(run("report", fit(table, latent_dim=1, epochs=1), out=tmp_path / "r.html"))
    assert "<script" not in page and "&lt;script&gt;" in page


@pytest.mark.slow
def test_a_space_is_measured_on_other_items(people: Space, tmp_path: Path) -> None:
    result = run("report", people, mixed(200), out=tmp_path / "r.html")
    assert result.data["figures"]["n"] == 100  # the other half taught the labels
    assert any("10-NN" in row["measure"] for row in result.data["figures"]["latents"])
    shuffled = flat(400, width=6, seed=5)
    worse = run("report", fit(flat(), latent_dim=2, epochs=1), shuffled, out=tmp_path / "r.html")
    assert worse.data["figures"]["reconstruction"]["explained"]["ours"] < 0.9


def test_the_report_is_the_same_from_disk(people: Space, tmp_path: Path) -> None:
    people.save(tmp_path / "p.space", overwrite=True)
    first = run("report", people, out=tmp_path / "a.html")
    second = run("report", tmp_path / "p.space", out=tmp_path / "b.html")
    assert first.tables == second.tables and first.summary == second.summary


def test_info_needs_no_data(people: Space) -> None:
    result = run("info", people)
    assert "latents each" in result.summary and any("By column" in title for title in result.tables)


# what goes out


def test_latents_are_written_as_asked(rows: Space, tmp_path: Path) -> None:
    x = flat(20)
    for kind in ("csv", "parquet", "npy"):
        result = run("encode", rows, x, tmp_path / f"z.{kind}")
        back = run("decode", rows, result.files[0])
        assert np.allclose(back.value, rows.reconstruct(x), atol=1e-4)
    assert pq.read_table(tmp_path / "z.parquet").column_names == ["id", "z0", "z1"]
    assert np.array_equal(np.load(tmp_path / "z.npy"), rows.encode(x))


def test_tables_come_back_with_their_columns_and_gaps_filled(people: Space, tmp_path: Path) -> None:
    run("reconstruct", people, mixed(50), tmp_path / "r.parquet")
    back = pq.read_table(tmp_path / "r.parquet")
    assert [c for c in back.column_names if c != "id"][:3] == ["height", "weight", "size"]
    assert back["weight"].null_count == 0 and set(back["size"].to_pylist()) <= {"tall", "short", "middling"}


def test_pictures_come_back_as_a_sheet_or_a_folder(pictures: Space, tmp_path: Path) -> None:
    sheet = run("reconstruct", pictures, bars(4), tmp_path / "sheet.png").files[0]
    with Pillow.open(sheet) as picture:
        assert picture.width >= 24 and picture.height >= 14
    run("reconstruct", pictures, bars(4), tmp_path / "folder")
    assert len(list((tmp_path / "folder").glob("*.png"))) == 4
    with pytest.raises(OptionError, match="is not an empty folder"):
        run("reconstruct", pictures, bars(4), tmp_path / "folder")
    run("decode", pictures, pictures.latents[:3], tmp_path / "d.npy")
    assert np.load(tmp_path / "d.npy").shape == (3, 12, 12)


OUTPUTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "x.xlsx": (lambda p: write_table(flat(3), p), r"'\.xlsx': it can be \.csv, \.parquet, \.npy"),
    "x": (lambda p: write_table(flat(3), p), "has no extension"),
    "y.prquet": (lambda p: write_table(flat(3), p), "did you mean '.parquet'"),
    "y.jpg": (lambda p: write_pictures(list(bars(2)), p, [0, 1]), "or a folder"),
    "z.npy": (lambda p: write_pictures([bars(1)[0], np.zeros((3, 3), np.uint8)], p, [0, 1]), "unequal sizes"),
    "o.npy": (lambda p: write_table(np.array([["a", 1]], dtype=object), p), "several types"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    write, sentence = OUTPUTS[name]
    with pytest.raises(OptionError, match=sentence):
        write(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_files_of_pictures_keep_apart(tmp_path: Path) -> None:
    write_pictures(list(bars(2)), tmp_path / "a", ["x/1.png", "y/1.png"])
    write_pictures(list(bars(2)), tmp_path / "b", ["1.png", "1.jpg"])
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["x-1.png", "y-1.png"]
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["1.jpg.png", "1.png.png"]


def test_windows_become_one_row_a_sample(tmp_path: Path) -> None:
    windows = np.arange(12.0).reshape(2, 2, 3)
    write_table(windows, tmp_path / "w.parquet", np.array([7, 8]), ["x", "y"])
    table = pq.read_table(tmp_path / "w.parquet")
    assert table.to_pydict() == {
        "window": [7, 7, 7, 8, 8, 8],
        "sample": [0, 1, 2, 0, 1, 2],
        "x": [0, 1, 2, 6, 7, 8],
        "y": [3, 4, 5, 9, 10, 11],
    }


def test_options_of_the_other_model_are_refused(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 4))
    with pytest.raises(OptionError, match="beta goes with model='variational'"):
        fit(x, beta=2.0)
    with pytest.raises(OptionError, match="corruption goes with model='autoencoder'"):
        fit(x, model="variational", corruption="masking")
    made = fit(x, corruption="masking", strength=0.2, latent_dim=2, epochs=2)
    assert made.model.objective_.settings() == {"corruption": "masking", "strength": 0.2}


def test_a_network_of_ones_own_comes_back_when_given_again(tmp_path: Path) -> None:
    from torch import nn

    x = np.random.default_rng(0).normal(size=(60, 4))
    pair = (nn.Linear(4, 2), nn.Linear(2, 4))
    made = fit(x, tmp_path / "own", network=pair, latent_dim=2, epochs=2, report=False)
    with pytest.raises(SpaceError, match="network of your own"):
        load(tmp_path / "own.space")
    again = load(tmp_path / "own.space", network=pair)
    np.testing.assert_allclose(again.encode(x), made.encode(x), atol=1e-6)
