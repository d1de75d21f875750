"""`fit --model ijepa`: dials instead of a loss, what needs no decoder works, and what needs one says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from latentspace import Space, fit, load
from latentspace.errors import DataError, LatentspaceError, OptionError, SpaceError
from latentspace.jobs._dial_words import _advice, dial_rows
from latentspace.jobs.base import run
from latentspace.jobs.denoise import _reconstruction
from latentspace.models import collapse
from latentspace.plots_dials import dial_curves

N = 240


def shapes(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures (n, 12, 12) of boxes and crosses at places drawn at random, and which each is."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:12, 0:12]
    kinds = np.array(["box", "cross"])[np.arange(n) % 2]
    pictures = np.empty((n, 12, 12), np.uint8)
    for i, (y, x, half) in enumerate(rng.uniform([4, 4, 1.5], [8, 8, 3.5], (n, 3))):
        near = [abs(down - y), abs(across - x)]
        box = (near[0] < half) & (near[1] < half)
        shown = box if kinds[i] == "box" else (near[0] < 1) | (near[1] < 1)
        pictures[i] = 40 + 160 * shown + rng.integers(0, 20, (12, 12))
    return pictures, kinds


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures, kinds = shapes()
    np.savez(tmp_path_factory.mktemp("data") / "shapes.npz", X=pictures, kind=kinds)
    return next(tmp_path_factory.getbasetemp().glob("data*/shapes.npz"))


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def made(file: Path, told: list[str]) -> Space:
    out = file.parent / "shapes.space"
    options: dict[str, Any] = {"labels": "kind", "epochs": 2, "latent_dim": 32}
    fit(file, out, model="ijepa", progress=lambda words, share: told.append(words), **options)
    return load(out)


def test_progress_shows_dials_and_no_loss(made: Space, told: list[str]) -> None:
    epochs = [words for words in told if words.startswith("training: epoch")]
    assert len(epochs) == 2
    assert all("rank " in words and "foreseen 0." in words and "neighbours 0." in words for words in epochs)
    assert not any("loss" in words for words in told)


@pytest.mark.slow
def test_the_report_shows_dials_and_advice_and_no_loss(made: Space, tmp_path: Path) -> None:
    found = run("report", made, out=tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Dials of training" in page and "effective rank" in page and "target variance" in page
    assert " loss" not in page and "loss curve" not in found.figures and "decoded grid" not in found.figures
    assert "epochs" not in made.figures["training"]
    rows = dial_rows(made.figures["dials"])
    assert [row["dial"] for row in rows][-1] == "neighbours" and len(rows) == 7
    assert made.figures["dials"]["advice"] in made.figures["verdict"]
    assert made.figures["dials"]["advice"] in run("info", made).summary
    for draw in found.figures.values():
        draw()
    anew = run("report", made, shapes(60)[0], tmp_path / "other.html")
    assert anew.data["figures"]["dials"] == made.figures["dials"]


def test_a_way_to_0_is_drawn_down_to_0() -> None:
    panel, *_ = dial_curves([{"rank": 9.0}, {"rank": 8.0}], {"rank": "effective rank"}).axes
    assert panel.get_ylim()[0] == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("map", {}),
        ("map", {"data": shapes(50)[0]}),
        ("neighbours", {"item": ("3",), "k": 3}),
        ("neighbours", {"data": shapes(4)[0], "k": 3}),
        ("classify", {"data": shapes(60)[0]}),
        ("anomalies", {"data": shapes(60)[0]}),
        ("duplicates", {"within": 0.9}),
        ("cluster", {"k": 2}),
        ("repair", {"data": shapes(30)[0]}),
        ("encode", {"data": shapes(5)[0]}),
        ("info", {}),
    ],
)
def test_what_needs_no_decoder_works_and_can_be_drawn(
    made: Space, name: str, options: dict[str, Any]
) -> None:
    found = run(name, made, **options)
    assert found.summary
    for draw in found.figures.values():
        draw()


def test_restoring_does_without_a_reconstruction(made: Space) -> None:
    assert _reconstruction(made) is None


@pytest.mark.slow
def test_pairs_are_asked_and_learnt_from(made: Space, file: Path, tmp_path: Path) -> None:
    kinds, rng = shapes()[1], np.random.default_rng(0)
    pairs = [(int(a), int(b)) for a, b in rng.integers(0, N, (120, 2)) if a != b]
    answers = [(str(a), str(b), "same" if kinds[a] == kinds[b] else "different") for a, b in pairs]
    place = file.parent / "shapes.space"
    assert run("pairs", "ask", place).summary
    for out in ("ask.csv", "ask.html", "ask.png"):
        run("pairs", "ask", place, out=tmp_path / out, items=file)
    with pytest.raises(OptionError, match="no decoder to draw its items with"):
        run("pairs", "ask", place, out=tmp_path / "more.html")
    assert run("pairs", "answer", place, answers=answers).summary
    assert run("pairs", "fit", place).summary
    assert run("neighbours", place, item=("3",), k=3, metric="pairs").summary


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("decode", {"latents": np.zeros((2, 32))}),
        ("sample", {}),
        ("walk", {}),
        ("walk", {"grid": "map"}),
        ("interpolate", {"items": ("1", "2")}),
        ("combine", {"plus": "1"}),
    ],
)
def test_what_needs_a_decoder_says_so_and_writes_nothing(
    made: Space, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(SpaceError, match="A space made by IJEPA has no decoder, which is needed to"):
        run(name, made, out=tmp_path / "out.png", **options)
    assert not any(tmp_path.iterdir())


def test_latents_cannot_be_stored_nor_a_decoder_exported(made: Space, file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="has no decoder, which is needed to store latents"):
        run("compress", file, tmp_path / "c.lsz", quality=20, space=made)
    with pytest.raises(SpaceError, match="no decoder"):
        run("export", made, tmp_path / "d.onnx", part="decoder")
    with pytest.raises(SpaceError, match="through torch"):
        load(file.parent / "shapes.space", runtime="onnx")
    assert not any(tmp_path.iterdir())


def test_pictures_of_items_need_the_items(made: Space, file: Path, tmp_path: Path) -> None:
    for name, options in (("neighbours", {"item": ("3",)}), ("duplicates", {"within": 0.9})):
        out = tmp_path / f"{name}.png"
        with pytest.raises(OptionError, match="no decoder to draw its items with"):
            run(name, made, out=out, **options)
        assert not out.exists()
        run(name, made, out=out, items=file, **options)
        assert out.exists()


@pytest.mark.slow
def test_the_encoder_is_exported_and_gives_the_same(made: Space, tmp_path: Path) -> None:
    run("export", made, tmp_path / "e.onnx", part="encoder")
    x = shapes(7)[0]
    session = onnxruntime.InferenceSession(tmp_path / "e.onnx")
    (z,) = session.run(None, {session.get_inputs()[0].name: x})
    assert np.allclose(z, made.encode(x), atol=1e-4)


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (np.zeros((50, 5)), {}, "learns from pictures and signals, and here are none .50 rows"),
        (np.zeros((40, 3, 3), np.uint8), {"modality": "image"}, "too small"),
        (shapes(40)[0], {"latent_dim": 5000}, "latent_dim must be 'auto' or at most 576"),
        (shapes(40)[0], {"network": "conv"}, "vision transformer"),
        (shapes(40)[0], {"corruption": "gaussian"}, "corruption goes with model='autoencoder'"),
        (shapes(40)[0], {"beta": 2.0}, "beta goes with model='variational'"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    data: np.ndarray, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises((DataError, OptionError), match=says) as failure:
        fit(data, tmp_path / "bad.space", model="ijepa", **options)
    assert isinstance(failure.value, LatentspaceError) and "\n" not in str(failure.value)
    assert not any(tmp_path.iterdir())


def test_a_stop_at_collapse_is_told_with_its_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "collapse begins: the spread of Z fell; use an autoencoder"
    monkeypatch.setattr(collapse, "begins", lambda dials: reason if len(dials) > 2 else None)
    space = fit(shapes(60)[0], model="ijepa", epochs=9, keep_items=False)
    assert len(space.figures["dials"]["rows"]) == 3
    assert "Training ended early: collapse begins" in run("info", space).summary


def row(ours: float, pca: float, raw: float) -> dict[str, Any]:
    """A figure of 100 items beside its rivals', all intervals 0.02 wide on either side."""

    def around(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.02, "high": value + 0.02}

    found = {"measure": "kind: 10-NN accuracy", "higher_is_better": True, "ours": around(ours)}
    return found | {
        "pca": around(pca),
        "raw": around(raw),
        "against_pca": around(ours - pca),
        "against_raw": around(ours - raw),
    }


@pytest.mark.parametrize(
    ("rows", "says", "autoencoder"),
    [
        (
            [row(0.6, 0.8, 0.6)],
            "worse than PCA's latents in kind: 10-NN accuracy (60.0 against 80.0 %)",
            True,
        ),
        ([row(0.9, 0.8, 0.8), row(0.6, 0.6, 0.8)], "worse than the items as they are in", True),
        ([row(0.9, 0.8, 0.8)], "better than PCA's latents and the items as they are for 200 items", False),
        ([row(0.8, 0.8, 0.8)], "neither surely better nor surely worse", True),
        ([], "No label was set aside, so nothing here says how good Z is", True),
    ],
)
def test_an_autoencoder_is_advised_unless_z_is_better(
    made: Space, rows: list[dict[str, Any]], says: str, autoencoder: bool
) -> None:
    advice = _advice(replace(made, figures={"n": 100, "latents": rows}), 200)
    assert says in advice and ("autoencoder" in advice) == autoencoder
