"""The index finds the true nearest, says how many it misses, and items come and go without a half-written space."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.neighbors import NearestNeighbors

from latentspace import Space, fit, load
from latentspace.errors import DataError, OptionError, SpaceError
from latentspace.jobs.add import add
from latentspace.jobs.info import info
from latentspace.jobs.remove import remove
from latentspace.space import changes, folder
from latentspace.space.index import LEAST_RECALL, Cells, Index


def clustered(n: int = 6000, d: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(40, d))[rng.integers(0, 40, n)] * 4 + rng.normal(size=(n, d))).astype(np.float32)


def true(queries: np.ndarray, points: np.ndarray, k: int, metric: str = "euclidean") -> np.ndarray:
    return (
        NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(points).kneighbors(queries)[1]
    )


def share(found: np.ndarray, wanted: np.ndarray) -> float:
    return (
        float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, wanted, strict=True)]))
        / wanted.shape[1]
    )


def test_all_compared_is_exact_and_far_from_zero_too() -> None:
    points = clustered(500) + 1000
    rows, distances = Index(points).nearest(points[:50], 5)
    assert (rows[:, 0] == np.arange(50)).all() and distances[:, 0].max() < 0.01
    assert share(rows, true(points[:50].astype(float), points.astype(float), 5)) == 1


def test_cells_find_what_they_promise(tmp_path: Path) -> None:
    points = clustered(6000)
    index = Index.build(points, exact_up_to=1000)
    assert index.cells is not None and index.cells.probes[10] < index.cells.count / 2
    queries = clustered(500, seed=0)[::-1] + 0.1
    found, distances = index.nearest(queries, 10)
    assert share(found, true(queries, points, 10)) >= LEAST_RECALL and index.recall >= LEAST_RECALL
    assert (np.diff(distances, axis=1) >= 0).all()
    # one cell alone would not do: the measure tells, and more are looked into
    index.cells.probes[10] = 1
    alone = share(index.nearest(queries, 10)[0], true(queries, points, 10))
    assert alone < LEAST_RECALL <= index.measure() and index.cells.probes[10] > 1
    index.write(tmp_path / "i.faiss")
    again = Cells.read(tmp_path / "i.faiss", index.cells.probes[10], index.recall, len(points))
    assert np.array_equal(again.search(queries, 10, again.probes[10])[0], index.nearest(queries, 10)[0])
    with pytest.raises(SpaceError, match="6,000 points where 5,000 belong"):
        Cells.read(tmp_path / "i.faiss", 1, 1.0, 5000)


def test_points_come_and_go_where_the_cells_are(tmp_path: Path) -> None:
    points, more = clustered(4000), clustered(500, seed=0)[:500] + 0.05
    built = Index.build(points, exact_up_to=1000)
    built.write(tmp_path / "i.faiss")
    assert built.cells is not None
    index = Index(points, Cells.read(tmp_path / "i.faiss", built.cells.probes[10], built.recall, len(points)))
    larger = index.with_points(more)
    assert (larger.nearest(more, 1)[0][:, 0] == np.arange(4000, 4500)).all()
    smaller = larger.without(np.arange(1000))
    every = np.concatenate([points, more])[1000:]
    assert share(smaller.nearest(more, 10)[0], true(more, every, 10)) > 0.95 and len(smaller) == 3500


def test_within_a_selection_nothing_is_missed() -> None:
    points = clustered(6000)
    index = Index.build(points, exact_up_to=1000)
    within = np.flatnonzero(points[:, 0] > 5)
    rows, _ = index.nearest(points[:40], 5, within)
    assert np.array_equal(rows, within[true(points[:40], points[within], 5)])
    few, distances = index.nearest(points[:1], 5, within[:2])
    assert (
        (few[0, 2:] == -1).all()
        and np.isinf(distances[0, 2:]).all()
        and sorted(few[0, :2]) == sorted(within[:2])
    )


def test_the_nearest_are_sorted_far_beyond_one_block() -> None:
    points = clustered(9000, 5)
    rows, distances = Index(points).nearest(points[:600] + 0.01, 12)
    wanted = true(points[:600] + np.float32(0.01), points, 12)
    assert share(rows, wanted) > 0.9995 and (np.diff(distances, axis=1) >= 0).all()
    assert np.allclose(distances, np.linalg.norm(points[:600, None] + 0.01 - points[rows], axis=2), atol=1e-5)


def test_any_number_of_neighbours_is_found_in_cells() -> None:
    points = clustered(3000)
    index = Index.build(points, exact_up_to=1000)
    for k in (1, 100, 2900):  # of more than the cells around hold, too
        rows, distances = index.nearest(points[:50], k)
        assert share(rows, true(points[:50], points, k)) >= LEAST_RECALL and (rows >= 0).all()
        assert np.isfinite(distances).all()
    rows, distances = index.nearest(points[:2], 3005)
    assert (rows[:, 3000:] == -1).all() and np.isinf(distances[:, 3000:]).all()


def test_items_that_are_all_the_same_do_not_lower_recall() -> None:
    points = np.repeat(clustered(150), 20, axis=0)
    index = Index.build(points, exact_up_to=1000)
    assert index.cells is not None and index.cells.probes[10] <= 4 and index.recall >= LEAST_RECALL


def test_cells_depend_on_the_seed_alone() -> None:
    one, two = (Index.build(clustered(2000), seed=3, exact_up_to=1000) for _ in range(2))
    assert one.cells is not None and two.cells is not None and one.cells.probes == two.cells.probes
    assert np.array_equal(one.cells.assigned(), two.cells.assigned())


def test_a_mac_gets_one_thread_of_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    import faiss

    threads = faiss.omp_get_max_threads()
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "")
    monkeypatch.delenv("KMP_DUPLICATE_LIB_OK")
    monkeypatch.setattr("sys.platform", "darwin")
    try:
        assert Index(clustered(50)).nearest(clustered(5), 1)[0].shape == (5, 1)
        assert os.environ["KMP_DUPLICATE_LIB_OK"] == "TRUE" and faiss.omp_get_max_threads() == 1
    finally:
        faiss.omp_set_num_threads(threads)


def houses(n: int = 240, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    town = rng.integers(0, 3, n)
    return pa.table(
        {
            "id": [f"h{i}" for i in range(n)],
            "price": 100.0 + 100 * town + rng.normal(0, 5, n),
            "rooms": town + rng.integers(1, 3, n),
            "town": np.array(["Bern", "Köln", "Nice"])[town],
            "area": 40.0 + 60 * town + rng.normal(0, 5, n),
        }
    )


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("spaces") / "houses"
    return fit(houses(), place, latent_dim=3, epochs=5, labels=("town",), id_column="id", report=False)


def test_a_condition_sees_ids_labels_and_columns(space: Space) -> None:
    table = houses()
    price, town = table["price"].to_numpy(), table["town"].to_numpy(zero_copy_only=False)
    wanted = np.flatnonzero((price > 210) & (town == "Köln"))
    assert np.array_equal(space.rows_where("price > 210 and town = 'Köln'"), wanted)
    assert space.rows_where("id = 'h7'").tolist() == [7]
    rows, distances = space.nearest(space.latents[:5], 4, where="town = 'Nice'")
    assert (town[rows] == "Nice").all() and (np.diff(distances, axis=1) >= 0).all()
    assert load(space.path).columns.equals(space.columns)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("prise > 3", "no column 'prise' .did you mean 'price'"),
        ("price >", "is no condition"),
        ("price > 1e9", "no item of this space fulfils"),
        ("price > 1; drop table x", "is no condition"),
        ("price > (select count(*) from read_csv('/etc/passwd'))", "is no condition"),
        ("price > (select count(*) from houses)", "is no condition"),
        ("price", "is double, not yes or no"),
        ("", "is no condition"),
    ],
)
def test_a_wrong_condition_is_named(space: Space, condition: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        space.rows_where(condition)


def test_other_metrics(space: Space) -> None:
    z = space.latents
    rows, distances = space.nearest(z[:9], 5, metric="cosine")
    assert share(rows, true(z[:9], z, 5, "cosine")) == 1 and distances.max() <= 2
    assert np.allclose(space.nearest(np.zeros((1, 3)), 3, metric="cosine")[1], 1)
    within = np.linalg.inv(np.cov(z.T.astype(float), ddof=0))
    rows, distances = space.nearest(z[:1], 3, metric="mahalanobis")
    apart = z[rows[0]] - z[0]
    assert np.allclose(distances[0], np.sqrt(np.einsum("ni,ij,nj->n", apart, within, apart)), atol=1e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.nearest(np.zeros((1, 2))), r"shape \(1, 2\); this space looks around \(n, 3\)"),
        (lambda s: s.nearest([[0, np.nan, 0]]), "Row 0 of these latents is not finite"),
        (lambda s: s.nearest(np.zeros((1, 3)), 0), "at least 1, not 0"),
        (lambda s: s.nearest(np.zeros((1, 3)), metric="cosin"), "did you mean 'cosine'"),
    ],
)
def test_what_nothing_is_near_is_named(space: Space, call: object, words: str) -> None:
    with pytest.raises((OptionError, SpaceError), match=words):
        call(space)  # type: ignore[operator]


def copy(space: Space, place: Path) -> Path:
    return replace(space).save(place / "copy.space")


def test_items_come_and_go(space: Space, tmp_path: Path) -> None:
    path, new = copy(space, tmp_path), houses(30, seed=1)
    new = new.set_column(0, "id", pa.array([f"n{i}" for i in range(30)]))
    said = add(path, new)
    assert said.data == {"added": 30, "items": 270} and "270" in said.summary
    again = load(path)
    assert again.ids[-1] == "n29" and np.allclose(again.latents[-30:], space.encode(new), atol=1e-5)
    assert again.labels["town"][-1] == new["town"][-1].as_py() and not again.held_out[-30:].any()
    assert again.rows_where("id = 'n4'").tolist() == [244] and len(again.columns) == 270
    assert again.nearest(space.encode(new), 1)[0][:, 0].tolist() == list(range(240, 270))
    with pytest.raises(DataError, match="holds an item 'n0' already"):
        add(path, new)
    assert add(path, new.slice(0, 2), replace=True).data["items"] == 270
    assert remove(path, ("n3", "h0")).data == {"removed": 2, "items": 268}
    assert remove(path, where="town = 'Bern' and id like 'h%'").data["items"] < 268
    left = load(path)
    assert "n3" not in left.ids and (left.rows_where("id like 'n%'") >= 0).all()
    assert {f.name.split(".")[0] for f in path.iterdir()} >= {"latents", "columns", "network", "space"}
    assert sum(f.name.startswith("latents") for f in path.iterdir()) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda path: remove(path, "h9999"), "no item 'h9999'"),
        (lambda path: remove(path), "either their ids or a condition"),
        (lambda path: remove(path, where="price > 0"), "No item would be left"),
        (lambda path: add(path, houses(3).drop_columns("price")), "price"),
        (lambda path: add(path, houses(3).slice(0, 0)), "no rows|no items|empty|0 item"),
    ],
)
def test_what_cannot_be_changed_changes_nothing(
    space: Space, tmp_path: Path, call: object, words: str
) -> None:
    path = copy(space, tmp_path)
    before = {f.name: f.read_bytes() for f in path.iterdir()}
    with pytest.raises((OptionError, DataError), match=words):
        call(path)  # type: ignore[operator]
    assert {f.name: f.read_bytes() for f in path.iterdir()} == before


def test_rows_without_ids_are_counted_on() -> None:
    rows = clustered(150, 4)
    counted = fit(rows, latent_dim=2, epochs=2, report=False, modality="table")
    larger = add(counted, rows[:3]).value
    assert larger.ids[-3:].tolist() == [150, 151, 152] and len(counted) == 150
    assert np.array_equal(larger.latents[-3:], counted.encode(rows[:3]))
    with pytest.raises(OptionError, match="have no ids of their own"):
        add(counted, rows[:3], replace=True)


def test_many_items_are_kept_in_cells_that_come_and_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(changes, "EXACT_UP_TO", 1000)
    rows = clustered(1500, 6)
    many = fit(rows, latent_dim=3, epochs=1, report=False, modality="table")
    many.index = Index.build(many.latents, exact_up_to=1000)
    path = many.save(tmp_path / "many")
    assert "cells of items" in info(path).summary and info(path).data["recall"] >= LEAST_RECALL
    add(path, rows[:50] + 0.01)
    again = load(path)
    assert again.index.cells is not None and again.index.cells.inverted.ntotal == 1550
    found = again.nearest(again.latents[:300], 10)[0]
    assert share(found, true(again.latents[:300], again.latents, 10)) >= LEAST_RECALL
    remove(path, where="id >= 900")
    assert load(path).index.cells is None  # few enough again to compare all
    assert not list(path.glob("index*")) and "comparing all" in info(path).summary


def test_a_space_that_changes_while_it_is_read_is_read_again(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = copy(space, tmp_path), houses(2, seed=3)
    new = new.set_column(0, "id", pa.array(["late", "later"]))
    read, once = folder.verify, []

    def meanwhile(*given: object) -> None:
        if not once:
            once.append(path)
            add(path, new)
        read(*given)

    monkeypatch.setattr(folder, "verify", meanwhile)
    assert load(path).ids[-1] == "later"


def test_a_number_that_is_not_whole_may_come_later(space: Space, tmp_path: Path) -> None:
    new = houses(2, seed=3).set_column(0, "id", pa.array(["a", "b"]))
    new = new.set_column(2, "rooms", pa.array([1.5, 2.0]))
    path = copy(space, tmp_path)
    add(path, new)
    assert load(path).columns["rooms"].to_pylist()[-2:] == [1.5, 2.0]


def test_what_is_known_of_windows_and_pictures_filters_too() -> None:
    series = [np.sin(np.arange(200) / 5), np.cos(np.arange(160) / 7)]
    windows = fit(series, modality="signal", window=16, latent_dim=2, epochs=1, report=False)
    assert windows.columns.column_names == ["series", "start"]
    rows = windows.rows_where("series = 1 and start < 24")
    assert [str(windows.ids[row]) for row in rows] == ["1:0", "1:8", "1:16"]
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (8 + i % 2, 8), np.uint8) for i in range(40)]
    gallery = fit(pictures, modality="image", latent_dim=2, epochs=1, report=False)
    assert np.array_equal(gallery.rows_where("height = 9"), np.arange(1, 40, 2))


@pytest.mark.parametrize("step", ["write_items", "stamp", "write_card", "unlink"])
def test_a_stop_at_any_step_leaves_old_or_new(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path, new = copy(space, tmp_path), houses(5, seed=2)
    new = new.set_column(0, "id", pa.array(list("abcde")))

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step == "unlink":
            patch.setattr(Path, "unlink", stop)
        else:
            patch.setattr(changes, step, stop)
        with pytest.raises(KeyboardInterrupt):
            add(path, new)
    assert len(load(path)) == (245 if step == "unlink" else 240)
    assert add(path, new, replace=True).data["items"] == 245  # and it can go on
    assert sum(f.name.startswith("latents") for f in path.iterdir()) == 1


@pytest.mark.slow
def test_killed_in_the_middle(space: Space, tmp_path: Path) -> None:
    path, new = copy(space, tmp_path), houses(5, seed=2)
    pa.parquet.write_table(new.set_column(0, "id", pa.array(list("abcde"))), tmp_path / "new.parquet")
    code = (
        "import os, sys\nfrom latentspace.space import changes\nfrom latentspace.jobs.add import add\n"
        "changes.write_card = lambda *a: os.kill(os.getpid(), 9)\nadd(sys.argv[1], sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path, tmp_path / "new.parquet"], env=os.environ, check=False
    )
    assert done.returncode == -9 and len(load(path)) == 240
    assert add(path, tmp_path / "new.parquet").data["items"] == 245


def test_the_recall_is_said(space: Space) -> None:
    assert "comparing all items" in info(space).summary and info(space).data["recall"] == 1.0
