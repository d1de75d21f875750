"""A store in PostgreSQL where much happens at the same time, and where little fits."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.neighbors import NearestNeighbors

from latentspace import fit
from latentspace.errors import DataError, SpaceError
from latentspace.jobs import fit as fit_job
from latentspace.space import _postgres_graph as graph
from latentspace.space import _postgres_link as links
from latentspace.space._postgres_tables import Batch, Tables
from latentspace.space.postgres import Store, View
from latentspace.space.stored import StoreIndex

NO_LABELS = pa.table({})


def points(n: int, d: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def filled(url: str, z: np.ndarray, columns: pa.Table | None = None) -> Store:
    store = Store.new(url, "store")
    store.create(Batch(np.arange(len(z)), z, NO_LABELS, columns))
    return store


def put(store: Store, z: np.ndarray, first: int, columns: pa.Table | None = None, **how: Any) -> None:
    store.add(lambda *_: Batch(np.arange(first, first + len(z)), z, NO_LABELS, columns), "more", **how)


def test_whole_numbers_stay_themselves_where_others_brought_fractions(postgres: str) -> None:
    store = filled(postgres, points(3), pa.table({"a": [1, None, 3]}))
    before = View(store)
    put(store, points(1), 3, pa.table({"a": [0.5]}))
    assert before.columns is not None and before.columns["a"].to_pylist() == [1, None, 3]
    after = View(store).columns
    assert after is not None and after["a"].to_pylist() == [1.0, None, 3.0, 0.5]


def test_who_opens_a_space_while_its_table_is_rewritten_sees_all_of_it(postgres: str) -> None:
    store = filled(postgres, points(3), pa.table({"a": [1, 2, 3]}))
    found: list[int] = []
    with store.tables() as tables:
        tables.do("ALTER TABLE {items} ALTER a TYPE double precision")
        reader = threading.Thread(target=lambda: found.append(len(View(Store.of(store.card(), postgres)))))
        reader.start()
        deadline = time.monotonic() + 10
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
        while tables.do(waiting).fetchone() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    reader.join()
    assert found == [3]


def test_who_waits_too_long_for_others_is_told(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(postgres, points(3))
    monkeypatch.setattr(links, "TURN", 0.1)
    other = Store.of(store.card(), postgres)
    with store.tables() as tables:
        tables.about(changing=True)
        assert len(View(other)) == 3  # who reads does not wait
        with pytest.raises(SpaceError, match="being changed by others: try again when that has ended"):
            put(other, points(1), 3)
    put(other, points(1), 3)
    assert View(store).ids.tolist() == [0, 1, 2, 3]


def test_items_that_are_replaced_again_and_again_are_not_measured_each_time(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, measured = filled(postgres, points(60)), []
    measure = graph.measure
    monkeypatch.setattr(graph, "measure", lambda *given: measured.append(given[2]) or measure(*given))
    for seed in range(1, 10):
        put(store, points(20, seed=seed), 0, replacing=True)
    assert measured == [119, 239]  # the places given out were 60, then twice as many, and again


def test_threads_that_share_a_space_take_turns(postgres: str) -> None:
    z = points(200)
    view = View(filled(postgres, z))
    true = NearestNeighbors(n_neighbors=3).fit(z).kneighbors(z[:5])[1]
    wrong: list[object] = []

    def ask() -> None:
        try:
            for _ in range(10):
                if not np.array_equal(view.nearest(z[:5], 3)[0], true):
                    wrong.append("other rows")
        except SpaceError as failure:
            wrong.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


_FORKS = """
import os, sys
from latentspace.space._postgres_link import Link
def pid(link):
    with link.transaction(reading=True) as connection:
        return connection.execute("SELECT pg_backend_pid()").fetchone()[0]
link = Link(sys.argv[1])
mine = pid(link)
child = os.fork()
if not child:
    sys.exit(pid(link) == mine)  # and closes what is its own
assert os.waitpid(child, 0)[1] == 0 and pid(link) == mine
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_process_leaves_the_connection_alone(postgres: str) -> None:
    done = subprocess.run([sys.executable, "-c", _FORKS, postgres], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_connection_that_breaks_in_the_middle_is_said(postgres: str) -> None:
    store = filled(postgres, points(3))
    with pytest.raises(SpaceError, match=r"broke .* try again") as caught, store.tables() as tables:
        tables.do("DELETE FROM {items}")
        tables.do("SELECT pg_terminate_backend(pg_backend_pid())")
    assert "\n" not in str(caught.value)
    assert len(View(store)) == 3


def test_where_the_graph_leads_to_too_few_items_all_are_compared(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = points(300)
    view = View(store := filled(postgres, z))
    put(store, z[:1] + 1e-3 * points(200), 300)  # nearer than any that the view has
    monkeypatch.setitem(graph._SETTINGS, "hnsw.max_scan_tuples", "1")
    assert (view.nearest(z[:1], 10)[0] < 0).any()
    monkeypatch.setattr("latentspace.space.stored.READ", 1.0)
    rows, distances = StoreIndex(view).nearest(z[:1], 10)
    near, true = NearestNeighbors(n_neighbors=10).fit(z).kneighbors(z[:1])
    assert np.array_equal(rows, true) and np.allclose(distances, near, atol=1e-3)


def test_an_index_is_built_without_shared_memory_where_there_is_too_little(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg.errors import DiskFull

    do, asked = Tables.do, []

    def small(tables: Tables, text: str, values: Any = None) -> Any:
        asked.append(text)
        if "USING hnsw" in text and "SET LOCAL max_parallel_maintenance_workers = 0" not in asked:
            raise DiskFull("could not resize shared memory segment")
        return do(tables, text, values)

    monkeypatch.setattr(Tables, "do", small)
    z = points(50)
    assert View(filled(postgres, z)).nearest(z, 1)[0][:, 0].tolist() == list(range(50))


@pytest.mark.parametrize(
    "values",
    [
        pa.nulls(2),
        pa.array([3, None]).dictionary_encode(),
        pa.array(["a", None], pa.dictionary(pa.int8(), pa.large_string())),
    ],
    ids=["gaps", "numbers", "texts"],
)
def test_gaps_and_categories_come_back(postgres: str, values: pa.Array) -> None:
    columns = View(filled(postgres, points(2), pa.table({"c": values}))).columns
    assert columns is not None and columns["c"].type == values.type
    assert columns["c"].to_pylist() == values.to_pylist()


def test_large_numbers_are_good_ids(postgres: str) -> None:
    store = Store.new(postgres, "ids")
    ids = np.array([2**64 - 1, 0], np.uint64)
    store.create(Batch(ids, points(2), NO_LABELS))
    found = View(store).ids
    assert found.dtype == np.uint64 and found.tolist() == [2**64 - 1, 0]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {f"c{i}": ["x" * 3000] * 20 for i in range(500)},
            r"do not fit a row of the store .* keep none \(--no-keep-items\)",
        ),
        ({"c": ["a\0b"] * 20}, "'c' holds a text with a NUL character"),
        ({"c": pa.array([4_000_000] * 20, pa.int32()).cast(pa.date32())}, "'c' cannot be kept .* as date"),
    ],
    ids=["wide", "NUL", "date"],
)
def test_what_cannot_be_kept_is_said_before_anything_is_learnt(
    postgres: str, columns: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    data = pa.table({"price": np.arange(20.0), **columns})
    monkeypatch.setattr(fit_job, "chosen_model", lambda *_: pytest.fail("it learns"), raising=True)
    with pytest.raises((DataError, SpaceError), match=sentence):
        fit(data, tmp_path / "refused", store=postgres)
    assert not list(tmp_path.iterdir())
