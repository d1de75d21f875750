"""A space whose items are in PostgreSQL: the same calls with the same results, and nothing of it depends on trust."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.neighbors import NearestNeighbors

from latentspace import Space, fit, load
from latentspace.cli import main
from latentspace.errors import DataError, LatentspaceError, OptionError, SpaceError
from latentspace.jobs.add import add
from latentspace.jobs.base import run as run_job
from latentspace.jobs.info import info
from latentspace.jobs.remove import remove
from latentspace.space import _postgres_graph as graph
from latentspace.space._postgres_link import Link
from latentspace.space._postgres_tables import Batch, Graph
from latentspace.space.index import LEAST_RECALL
from latentspace.space.postgres import Store, View
from latentspace.space.stored import StoredSpace, StoreIndex

SECRET = "kein Passwort"


def houses(n: int = 240, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    town = rng.integers(0, 3, n)
    return pa.table(
        {
            "id": [f"h{seed}.{i}" for i in range(n)],
            "price": 100.0 + 100 * town + rng.normal(0, 5, n),
            "rooms": town + rng.integers(1, 3, n),
            "town": np.array(["Bern", "Köln", "Nice"])[town],
            "area": 40.0 + 60 * town + rng.normal(0, 5, n),
        }
    )


def clustered(n: int = 2500, d: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(40, d))[rng.integers(0, 40, n)] * 2 + 2 * rng.normal(size=(n, d))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def fitted() -> Space:
    return fit(houses(), latent_dim=3, epochs=5, labels=("town",), id_column="id")


@pytest.fixture
def two(fitted: Space, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The same space twice: its items in its folder, and in PostgreSQL, whose password is in the environment."""
    monkeypatch.setenv("PGPASSWORD", SECRET)
    fitted.save(tmp_path / "plain.space")
    return tmp_path / "plain.space", fitted.save(tmp_path / "Team, Köln.space", store=postgres)


def alike(one: Space, other: Space) -> None:
    """All that both say of their items, and what they find, is the same to the last bit."""
    assert len(one) == len(other) and one.ids.tolist() == other.ids.tolist()
    assert one.ids.dtype == other.ids.dtype
    assert np.array_equal(one.latents, other.latents) and other.latents.dtype == np.float32
    assert one.held_out is not None and np.array_equal(one.held_out, other.held_out)
    assert list(one.labels) == list(other.labels)
    for name, values in one.labels.items():
        assert values.tolist() == other.labels[name].tolist() and values.dtype == other.labels[name].dtype
    assert one.columns is not None and one.columns.equals(other.columns)
    queries = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)
    for n in (1, 100):
        for where in (None, "price > 200 and town = 'Köln'"):
            for metric in ("euclidean", "cosine", "mahalanobis"):
                rows, distances = one.nearest(queries[:n], 7, metric=metric, where=where)
                found, those = other.nearest(queries[:n], 7, metric=metric, where=where)
                assert np.array_equal(rows, found) and np.allclose(distances, those, atol=1e-5)
    assert np.array_equal(one.rows_where("price < 120"), other.rows_where("price < 120"))


def test_the_same_calls_give_the_same_results(two: tuple[Path, Path]) -> None:
    plain, team = two
    alike(load(plain), load(team))
    assert not list(team.glob("latents*")) and not list(team.glob("columns*"))
    card = json.loads((team / "space.json").read_text())
    assert card["format"] == 2 and "user=anna" in card["store"]["url"]
    assert '"format": 1' in (plain / "space.json").read_text()
    for file in team.iterdir():
        assert SECRET.encode() not in file.read_bytes()


def test_jobs_say_the_same(two: tuple[Path, Path]) -> None:
    for name, arguments, options in (
        ("neighbours", (), {"item": ("h0.5",)}),
        ("map", (), {}),
        ("sample", (), {"n": 4, "label": "Bern"}),
        ("interpolate", (("h0.1", "h0.2"),), {}),
        ("classify", (houses(20, seed=9),), {}),
        ("cluster", (), {"k": 3}),
        ("anomalies", (houses(20, seed=9),), {}),
    ):
        one, other = (run_job(name, load(path), *arguments, **options) for path in two)
        assert str(one.data) == str(other.data), name


def test_items_come_and_go_alike(two: tuple[Path, Path]) -> None:
    later, changed = houses(30, seed=1), houses(5)
    changed = changed.set_column(1, "price", pa.array(np.full(5, 150.0)))
    for steps in (
        lambda path: add(path, later),
        lambda path: remove(path, ("h0.3", "h1.4")),
        lambda path: add(path, changed.slice(0, 3), replace=True),
        lambda path: remove(path, where="price > 310"),
    ):
        said = [steps(path) for path in two]
        assert said[0].data == said[1].data and said[1].data["items"] == len(load(two[1]))
        alike(*map(load, two))
    for broken, sentence in (
        (lambda path: add(path, later.slice(5, 9)), "holds an item 'h1.5' already .and 8 more."),
        (lambda path: add(path, pa.concat_tables([houses(2, 5)] * 2)), "names h5.0 more than once"),
        (lambda path: remove(path, ("h1.99",)), "no item 'h1.99' .did you mean"),
        (lambda path: remove(path, where="price > 0"), "No item would be left"),
    ):
        for path in two:
            with pytest.raises(LatentspaceError, match=sentence):
                broken(path)
    alike(*map(load, two))


def test_the_command_line_with_a_store(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    pq.write_table(houses(120), "homes.parquet")
    pq.write_table(houses(20, seed=2), "more.parquet")
    options = ["--latent-dim", "2", "--epochs", "2", "--id-column", "id", "--no-report"]
    assert main(["fit", "homes.parquet", "--store", postgres, *options]) == 0
    told = capsys.readouterr().out
    assert "The 120 items are in PostgreSQL at 127.0.0.1" in told and "100.0 % of the true 10 nearest" in told
    assert main(["add", "homes.space", "more.parquet"]) == 0
    assert "the space holds 140 now" in capsys.readouterr().out
    assert main(["neighbours", "homes.space", "--item", "h2.7", "--k", "3", "--where", "price > 150"]) == 0
    assert "h2.7" in capsys.readouterr().out
    assert main(["remove", "homes.space", "h2.7"]) == 0
    assert main(["add", "homes.space", "homes.parquet"]) == 2
    error = capsys.readouterr().err
    assert "already" in error and "Traceback" not in error
    assert len(load("homes.space")) == 139


def test_the_graph_finds_what_it_says(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = clustered()
    store = Store.new(postgres, "graph")
    store.create(Batch(np.arange(2500), points, pa.table({})))
    view = View(store)
    assert view.about.graph.recall >= LEAST_RECALL and view.about.graph.measured == 2500
    queries = clustered(200)[::-1] + 0.1
    rows, distances = view.nearest(queries, 10)
    near, true = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(points).kneighbors(queries)
    hits = np.mean([len(np.intersect1d(a, b)) for a, b in zip(rows, true, strict=True)]) / 10
    assert hits >= LEAST_RECALL and (np.diff(distances, axis=1) >= 0).all()
    assert np.allclose(distances[:, 0], near[:, 0], atol=1e-3)
    with store.tables(reading=True) as tables:
        # a search too narrow is measured, and made wide enough
        narrow = graph.measure(tables, points, 2499, Graph(16, width=1))
        monkeypatch.setattr(graph, "WANTED_RECALL", narrow.recall + 1e-6)
        wide = graph.measure(tables, points, 2499, Graph(16, width=1))
        assert narrow.width == 1 < wide.width and LEAST_RECALL <= narrow.recall < wide.recall
        plan = tables.do(
            "EXPLAIN SELECT row FROM {items} ORDER BY z <-> %s::vector LIMIT 10", [queries[0]]
        ).fetchall()
        assert "Index Scan using nearest" in str(plan)
    monkeypatch.setattr("latentspace.space.stored.READ", 1.0)
    index = StoreIndex(view)
    assert "pgvector (HNSW, m 16, ef_search" in index.describe() and "latents" not in view.__dict__
    # one query is left to the server, a selection and many queries are compared here, and nothing is missed
    assert (index.nearest(queries[:1], 10)[0] == true[:1]).mean() > 0.8 and "latents" not in view.__dict__
    within = np.flatnonzero(points[:, 0] > 5)
    assert len(within) < 625
    found, _ = index.nearest(queries, 5, within)
    assert np.array_equal(found, within[NearestNeighbors(n_neighbors=5, algorithm="brute").fit(points[within])
                                        .kneighbors(queries)[1]])  # fmt: skip
    assert "latents" not in view.__dict__
    assert np.array_equal(index.nearest(queries, 2000)[0][:, :10], true) and "latents" in view.__dict__


def test_more_items_are_measured_again(postgres: str) -> None:
    store = Store.new(postgres, "growing")
    points = clustered(600)
    store.create(Batch(np.arange(200), points[:200], pa.table({})))
    store.add(lambda *_: Batch(np.arange(200, 600), points[200:], pa.table({})), "more")
    assert View(store).about.graph.measured == 600


def test_a_space_sees_one_moment_until_it_is_told_to_look_again(two: tuple[Path, Path]) -> None:
    _, team = two
    mine, unread = load(team), load(team)
    assert isinstance(mine, StoredSpace) and isinstance(unread, StoredSpace)
    before = mine.ids.tolist()
    z = mine.latents[7:8]
    add(team, houses(50, seed=3))
    remove(team, ("h0.7",))
    assert len(mine) == 240 and mine.latents.shape == (240, 3) and mine.ids.tolist() == before
    assert mine.nearest(z, 1)[0].tolist() == [[7]]  # it has read where that lies
    rows, _ = unread.nearest(z, 5)  # the server has forgotten it; what is found is of the 240 all the same
    assert 7 not in rows and rows.max() < 240
    with pytest.raises(SpaceError, match=r"1 items of this space were removed by others .* open it again"):
        _ = unread.latents
    mine.refresh()
    assert len(mine) == 289 and "h3.49" in mine.ids and "h0.7" not in mine.ids
    assert mine.latents.shape == (289, 3) and len(mine.table) == 289
    rows, _ = mine.nearest(mine.latents[-1:], 1)
    assert mine.ids[rows[0, 0]] == "h3.49"


def test_types_and_names_come_back_as_they_went(postgres: str) -> None:
    day = dt.datetime(2024, 2, 29, 23, 59, 59, 123456)
    columns = pa.table(
        {
            'a "quoted" {name}': pa.array([1, None, -3], pa.int8()),
            "row": pa.array([2**64 - 1, 0, None], pa.uint64()),
            "z": pa.array([0.1, float("nan"), None], pa.float64()),
            "x" * 80 + "1": pa.array([0.1, None, 3e38], pa.float32()),
            "x" * 80 + "2": pa.array([True, None, False]),
            "%s; DROP SCHEMA public CASCADE; --": pa.array(["O'Hara", "", None]),
            "when": pa.array([day, None, dt.datetime(1900, 1, 1)], pa.timestamp("us")),
            "ns": pa.array([10**18, None, 0], pa.timestamp("ns")),
            "zone": pa.array([day, None, day], pa.timestamp("ms", "Europe/Zurich")),
            "day": pa.array([day.date(), None, dt.date(1, 1, 1)]),
            "time": pa.array([dt.time(1, 2, 3), None, dt.time(0)], pa.time64("us")),
            "long": pa.array([dt.timedelta(days=3), None, dt.timedelta(0)], pa.duration("ms")),
            "money": pa.array([Decimal("1.10"), None, Decimal("-99999999999.99")], pa.decimal128(20, 2)),
            "kind": pa.array(["a", "b", None]).dictionary_encode(),
        }
    )
    labels = pa.table({"id": pa.array([1, 2, 3]), "kind": pa.array(["ü", None, "c"])})
    store = Store.new(postgres, "types")
    store.create(Batch(np.arange(3), np.eye(3, dtype=np.float32), labels, columns))
    view = View(store)
    assert view.columns is not None and view.columns.schema.equals(columns.schema)
    for name in columns.column_names:
        assert str(view.columns[name].to_pylist()) == str(columns[name].to_pylist()), name
    assert view.labels["id"].tolist() == [1, 2, 3] and view.labels["kind"].tolist() == ["ü", None, "c"]
    assert view.ids.dtype == np.int64
    # an id that is no number makes all ids texts, as in a folder
    store.add(lambda *_: Batch(np.array(["x"]), np.ones((1, 3), np.float32), labels[:1], columns[:1]), "x")
    assert View(store).ids.tolist() == ["0", "1", "2", "x"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (pa.array(["a\0b"]), "'c' holds a text with a NUL character"),
        (pa.array([1], pa.timestamp("ns")), "'c' cannot be kept in PostgreSQL as timestamp"),
        (pa.array([[1]]), "'c' cannot be kept in PostgreSQL as text"),
    ],
)
def test_what_cannot_be_kept_is_said_and_nothing_is_left(postgres: str, values: Any, sentence: str) -> None:
    store = Store.new(postgres, "refused")
    with pytest.raises(DataError, match=sentence):
        store.create(Batch(np.arange(1), np.ones((1, 2), np.float32), pa.table({}), pa.table({"c": values})))
    assert not schemas(postgres, "refused")
    many = pa.table({f"c{i}": [1] for i in range(1001)})
    with pytest.raises(DataError, match=r"1,001 columns; PostgreSQL keeps up to 1,000"):
        store.create(Batch(np.arange(1), np.ones((1, 2), np.float32), pa.table({}), many))


def test_more_latents_than_pgvector_indexes_are_compared(postgres: str) -> None:
    points = np.random.default_rng(0).normal(size=(30, 2001)).astype(np.float32)
    store = Store.new(postgres, "wide")
    store.create(Batch(np.arange(30), points, pa.table({})))
    index = StoreIndex(View(store))
    assert index.nearest(points, 1)[0][:, 0].tolist() == list(range(30))
    assert "comparing all" in index.describe()


def test_a_condition_reaches_nothing_else(two: tuple[Path, Path]) -> None:
    space = load(two[1])
    for condition in (
        "1=1); DROP TABLE items; --",
        "id IN (SELECT usename FROM pg_user)",
        "pg_read_file('/etc/passwd') IS NULL",
    ):
        with pytest.raises(OptionError, match="where"):
            space.nearest(space.latents[:1], where=condition)
    assert len(load(two[1])) == 240


def schemas(url: str, name: str = "") -> list[str]:
    with psycopg.connect(url) as connection:
        asked = "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s"
        return [s for (s,) in connection.execute(asked, [rf"latentspace\_{name}%"])]


def run(url: str, text: str, **values: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL(text).format(**{k: psycopg.sql.Identifier(v) for k, v in values.items()})
        )


def said(call: Any) -> str:
    """What a call that fails says: one sentence, and never the password."""
    with pytest.raises(SpaceError) as caught:
        call()
    sentence = str(caught.value)
    assert "\n" not in sentence and SECRET not in sentence and "kein%20" not in sentence
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, ImportError)
    return sentence


def test_a_server_that_does_not_answer_or_refuses(
    two: tuple[Path, Path], postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, team = two
    gone = postgres.replace(postgres.split(":")[3].split("/")[0], "9")
    assert "There is no answer from the store at 127.0.0.1:9/postgres" in said(lambda: load(team, store=gone))
    half = load(team, part="encoder", store=gone)  # needs no items
    assert half.encode(houses(3, seed=8)).shape == (3, 3)
    assert "no answer" in said(lambda: half.latents)
    wrong = postgres.replace("kein%20Passwort", "kein%20Passwort2")
    sentence = said(lambda: load(team, store=wrong))
    assert "refuses the password" in sentence and "PGPASSWORD or in ~/.pgpass" in sentence
    monkeypatch.delenv("PGPASSWORD")
    assert "refuses the password" in said(lambda: load(team))
    elsewhere = postgres.rsplit("/", 1)[0] + "/nowhere"
    assert said(lambda: load(team, store=elsewhere)).endswith('refuses: database "nowhere" does not exist.')
    for url in ("mysql://anna:kein Passwort@x/y", "postgresql://anna:kein Passwort@[x", "/tmp/x"):
        assert said(lambda url=url: load(team, store=url)).startswith("The store is no URL of PostgreSQL")
    # libpq takes a part of these passwords for the host, the port or the database
    for secret in ("@kein%20Passwort", "/kein%20Passwort", "kein%20Passwort@x"):
        sentence = said(lambda secret=secret: load(team, store=f"postgresql://anna:{secret}@x/y"))
        assert "in a password write @ as %40" in sentence
    assert "in its folder, not in a store" in said(lambda: load(plain, store=postgres))


def test_a_store_that_is_gone_newer_or_of_another(two: tuple[Path, Path], postgres: str) -> None:
    card = json.loads((two[1] / "space.json").read_text())["store"]
    space = load(two[1])
    run(postgres, "UPDATE {s}.about SET format = 7", s=card["schema"])
    assert "has format 7; this latentspace reads up to 1: upgrade" in said(lambda: load(two[1]))
    run(postgres, "UPDATE {s}.about SET format = 1, space = 'x'", s=card["schema"])
    assert "holds another space" in said(lambda: load(two[1]))
    run(postgres, "DROP SCHEMA {s} CASCADE", s=card["schema"])
    assert "it was dropped or renamed" in said(lambda: load(two[1]))
    assert "it was dropped or renamed" in said(lambda: space.latents)


def test_a_database_that_lacks_what_is_needed(fitted: Space, postgres: str, tmp_path: Path) -> None:
    run(postgres, "CREATE DATABASE bare")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE ROLE bert LOGIN PASSWORD 'kein Passwort'")
    bare = postgres.rsplit("/", 1)[0].replace("anna", "bert") + "/bare"
    where = {"path": tmp_path / "a.space", "store": bare}
    assert "has no pgvector: let its owner run `CREATE EXTENSION vector`" in said(
        lambda: fitted.save(**where)
    )
    run(bare.replace("bert", "anna"), "CREATE EXTENSION vector SCHEMA pg_catalog")
    assert "GRANT CREATE ON DATABASE" in said(lambda: fit(houses(60), tmp_path / "a", store=bare))
    run(postgres, "GRANT CREATE ON DATABASE bare TO bert")
    fitted.save(**where)
    assert np.array_equal(load(tmp_path / "a.space", store=bare).latents, fitted.latents)
    with pytest.raises(OptionError, match="say where"):
        fit(houses(60), store=bare)
    assert Link(bare.replace("kein%20Passwort", "x") + "?sslpassword=y").public.count("password") == 0


def test_without_psycopg_it_says_what_to_install(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg.conninfo", None)
    assert "pip install 'latentspace[postgres]'" in said(lambda: load(two[1]))


def test_a_connection_that_broke_is_made_anew(two: tuple[Path, Path], postgres: str) -> None:
    space = load(two[1])
    assert isinstance(space, StoredSpace)
    space.store.link._used -= 60
    run(
        postgres,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latentspace'",
    )
    assert space.latents.shape == (240, 3)


def test_a_folder_that_cannot_be_written_leaves_nothing_in_the_store(
    fitted: Space, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("latentspace.space.atomic._replace", full)
    with pytest.raises(SpaceError, match="The disk is full"):
        fitted.save(tmp_path / "unkept.space", store=postgres)
    assert not schemas(postgres, "unkept") and not list(tmp_path.iterdir())


#: adds the items of a file to a space, and stands still when the store knows them but nothing is committed yet
_STANDS = """
import sys, time
from latentspace.jobs.add import add
from latentspace.space._postgres_tables import Tables
tell = Tables.tell
def stand(tables, about):
    tell(tables, about)
    print("standing", flush=True)
    time.sleep(60)
Tables.tell = stand
add(*sys.argv[1:], replace=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(4, marks=pytest.mark.slow)])  # items replaced; new ones
def test_a_writer_that_is_killed_loses_and_doubles_nothing(
    two: tuple[Path, Path], seed: int, tmp_path: Path
) -> None:
    plain, team = two
    pq.write_table(houses(40, seed=seed), tmp_path / "more.parquet")
    command = [sys.executable, "-c", _STANDS, str(team), str(tmp_path / "more.parquet")]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "standing\n"
    writer.kill()
    writer.wait()
    writer.stdout.close()
    alike(load(plain), load(team))  # whoever reads sees what was there
    for path in two:  # and who writes next need not wait for the dead
        add(path, houses(40, seed=seed), replace=True)
    alike(load(plain), load(team))


def test_many_who_write_at_once_take_turns(two: tuple[Path, Path]) -> None:
    team = two[1]

    def one(seed: int) -> str:
        try:
            add(team, houses(20, seed=seed))
        except DataError as refused:
            return str(refused)
        return "added"

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(one, [5, 6, 7, 7]))
    assert said[:2] == ["added", "added"] and sorted(w == "added" for w in said[2:]) == [False, True]
    assert any("already (and 19 more)" in w for w in said[2:])
    space = load(team)
    assert len(space) == 300 and len(set(space.ids.tolist())) == 300
    _, distances = space.nearest(space.latents, 1)
    assert np.allclose(distances, 0, atol=1e-3)


def test_what_is_replaced_stays_in_the_store_and_that_is_said(two: tuple[Path, Path], postgres: str) -> None:
    team = two[1]
    before = len(schemas(postgres, "team_k_ln"))
    with pytest.warns(UserWarning, match="DROP SCHEMA latentspace_team_k_ln_.* CASCADE"):
        load(two[0]).save(team, overwrite=True, store=postgres)
    alike(load(two[0]), load(team))
    assert len(schemas(postgres, "team_k_ln")) == before + 1
    copy = load(team).save(team.with_name("copy.space"))  # and back into a folder of its own
    alike(load(two[0]), load(copy))
    assert info(copy).data["recall"] == 1
    with pytest.warns(UserWarning, match="DROP SCHEMA latentspace_team_k_ln_.* CASCADE"):
        load(two[0]).save(team, overwrite=True)
    alike(load(two[0]), load(team))
