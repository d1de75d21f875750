"""What is stored comes back: every type, gaps, odd numbers, any rows; with and without what learns."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latentspace.archive import contents, packing, tables
from latentspace.archive.bounds import Bounds
from latentspace.archive.contents import content_of
from latentspace.archive.reading import Archive
from latentspace.archive.writing import Written, write
from latentspace.data import _text
from latentspace.errors import DataError, OptionError


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is learnt here unless a test says so."""
    monkeypatch.setattr(packing, "_learn", lambda given, how: None)


def stored(data: Any, folder: Path, bound: Any = None, **options: Any) -> tuple[Archive, Written]:
    path = folder / "a.lsz"
    written = write(content_of(data), path, bounds=None if bound is None else Bounds(bound), **options)
    return Archive(path), written


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


ODD = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -1.5, 1e300, 1 / 3]


def odd_floats(dtype: str, n: int = 400) -> np.ndarray:
    """Decimals with every odd number between them, and NaN with a payload."""
    with np.errstate(over="ignore"):
        values = (np.arange(n) / 100).astype(dtype)
        values[np.arange(len(ODD)) * 7] = np.array(ODD).astype(dtype)
    values.view(f"u{values.dtype.itemsize}")[90] = values.view(f"u{values.dtype.itemsize}")[14] | 5
    return values


def every_array() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {f"odd {d}": odd_floats(d) for d in ("f2", "f4", "f8")}
    made |= {
        f"noise {d}": rng.integers(0, 256, 800 * np.dtype(d).itemsize, np.uint8).view(d)
        for d in (
            "i1",
            "u1",
            "i2",
            "u2",
            "i4",
            "u4",
            "i8",
            "u8",
            "f2",
            "f4",
            "f8",
            ">f4",
            ">i2",
            "c8",
            "c16",
            "f16",
            "S3",
            "V5",
        )
    }
    made |= {
        "bool": rng.random(300) < 0.3,
        "text": np.array(["a", "", "Zürich", "日本", "line\nbreak"] * 20),
        "days": np.array(["2024-01-01", "NaT", "1969-12-31"] * 9, "M8[D]"),
        "spans": np.array([5, -3, 2**40] * 9, "m8[ns]").reshape(9, 3),
        "record": np.zeros(5, [("x", "<f4"), ("s", "U4"), ("m", "<i2", (2,))]),
        "one": np.array(3.5),
        "one text": np.array("hello"),
        "empty": np.zeros((0, 4)),
        "hollow": np.zeros((4, 0, 3), np.float32),
        "row": np.arange(300.0).reshape(1, 300),
        "column": np.arange(300.0).reshape(300, 1),
        "matrix": rng.integers(-5, 90, (50, 7)) / 4,
        "wide": rng.normal(size=(6, 90)),
        "pictures": rng.integers(0, 255, (20, 9, 8), np.uint8),
        "colour": rng.integers(0, 255, (6, 9, 8, 3), np.uint8),
        "five axes": rng.integers(0, 9, (4, 3, 5, 2, 6)),
        "fortran": np.asfortranarray(rng.normal(size=(9, 80))),
        "strided": np.arange(1000)[::3],
        "nothing but NaN": np.full((30, 80), np.nan, np.float32),
        "constant": np.full(1000, 7.25),
    }
    return made


@pytest.mark.parametrize("level", ["fast", "default"])
def test_every_array_comes_back_bit_for_bit(tmp_path: Path, level: str) -> None:
    arrays = every_array()
    archive, _ = stored(arrays, tmp_path, level=level, block=200)
    back = archive.read()
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        if array.dtype.kind == "M":
            assert back[name].dtype == array.dtype and np.array_equal(back[name], array, equal_nan=True)
        else:
            assert same(back[name], np.ascontiguousarray(array).reshape(array.shape)), name


def test_a_single_array_and_any_rows_of_it(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    archive, written = stored(x, tmp_path, block=700)
    assert written.blocks == 8 and len(archive) == 1000
    assert same(archive.read(), x)
    for a, b in ((0, 1), (139, 141), (140, 280), (5, 995), (999, 1000), (7, 7)):
        assert same(archive[a:b], x[a:b])
    assert same(archive[-3:], x[-3:]) and same(archive[17], x[17:18])
    with pytest.raises(OptionError, match="without gaps"):
        archive[::2]


def test_rows_decode_only_their_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(10000).reshape(1000, 10)
    archive, _ = stored(x, tmp_path, block=1000)
    asked: list[str] = []
    read = archive._file.read
    monkeypatch.setattr(archive._file, "read", lambda name: asked.append(name) or read(name))
    assert same(archive[350:420], x[350:420])
    assert asked == ["blocks/0/3.bin", "blocks/0/4.bin"]


def every_table() -> pa.Table:
    rng = np.random.default_rng(0)
    n = 500
    gaps = [None if i % 5 == 0 else i for i in range(n)]
    floats = odd_floats("f8", n).tolist()
    return pa.table(
        {
            "whole": pa.array(gaps, pa.int16()),
            "huge": pa.array([2**63 - 1 - i if i % 2 else -(2**63) for i in range(n)], pa.int64()),
            "unsigned": pa.array([2**64 - 1 - i for i in range(n)], pa.uint64()),
            "decimal": pa.array([None if i % 9 == 0 else v for i, v in enumerate(floats)], pa.float64()),
            "single": pa.array(rng.normal(size=n), pa.float32()),
            "half": pa.array([None if i % 4 == 0 else np.float16(i / 8) for i in range(n)], pa.float16()),
            "yes": pa.array([None if i % 3 == 0 else i % 2 == 0 for i in range(n)], pa.bool_()),
            "words": pa.array([None if i % 7 == 0 else ["red", "green", ""][i % 3] for i in range(n)]),
            "text": pa.array(
                [None if i % 11 == 0 else f"row {i}\nof “text”, 日本" for i in range(n)], pa.large_string()
            ),
            "view": pa.array([f"v{i % 40}" for i in range(n)], pa.string_view()),
            "bytes": pa.array(
                [None if i % 6 == 0 else bytes([i % 256, 0, 255]) for i in range(n)], pa.binary()
            ),
            "category": pa.array(["b", None, "a"] * 166 + ["c", "b"]).dictionary_encode(),
            "day": pa.array([dt.date(1900, 1, 1) + dt.timedelta(i) for i in range(n)], pa.date32()),
            "time": pa.array(
                [None if i % 8 == 0 else 10**12 * i for i in range(n)], pa.timestamp("us", "Europe/Zurich")
            ),
            "clock": pa.array([i * 1000 for i in range(n)], pa.time64("ns")),
            "span": pa.array([i * 7 for i in range(n)], pa.duration("s")),
            "price": pa.array(
                [None if i % 10 == 0 else decimal.Decimal(i) / 100 for i in range(n)], pa.decimal128(12, 2)
            ),
            "list": pa.array(
                [None if i % 5 == 0 else list(range(i % 4)) for i in range(n)], pa.list_(pa.int32())
            ),
            "struct": pa.array([{"a": i, "b": None if i % 2 else str(i)} for i in range(n)]),
            "nothing": pa.nulls(n),
            "only gaps": pa.array([None] * n, pa.float64()),
            "no text": pa.array([None] * n, pa.string()),
            "naN": pa.array([float("nan")] * n),
        }
    )


def same_tables(a: pa.Table, b: pa.Table) -> None:
    assert a.schema.equals(b.schema, check_metadata=True)
    for name in a.column_names:
        left, right = a[name].combine_chunks(), b[name].combine_chunks()
        if pa.types.is_floating(left.type):
            assert left.is_null().equals(right.is_null())
            assert same(*(c.drop_null().to_numpy(zero_copy_only=False) for c in (left, right))), name
        else:
            assert left.to_pylist() == right.to_pylist(), name


@pytest.mark.parametrize("block", [2**20, 2000])
def test_every_column_comes_back(tmp_path: Path, block: int) -> None:
    table = every_table()
    archive, _ = stored(table, tmp_path, block=block)
    same_tables(archive.read(), table)
    same_tables(archive[77:203], table.slice(77, 126))


@pytest.mark.parametrize("rows", [0, 1])
def test_tables_of_no_and_of_one_row(tmp_path: Path, rows: int) -> None:
    table = every_table().slice(5, rows)
    archive, _ = stored(table, tmp_path)
    assert len(archive) == rows
    same_tables(archive.read(), table)


def test_a_table_without_columns(tmp_path: Path) -> None:
    archive, _ = stored(pa.table({}), tmp_path)
    assert archive.read().num_columns == 0


def test_frames_come_back_as_they_were(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "x": [1.5, np.nan, 3],
            "c": pd.Categorical(["b", "a", "b"], ["c", "b", "a"], ordered=True),
            "n": pd.array([1, None, 3], "Int64"),
        },
        index=pd.Index([10, 20, 30], name="key"),
    )
    back = stored(frame, tmp_path)[0].read()
    pd.testing.assert_frame_equal(back, frame)
    polars = pl.DataFrame({"a": [1, None, 3], "t": ["x", "y", None], "l": [[1], [], None]})
    assert stored(polars, tmp_path)[0].read().equals(polars)


def test_a_parquet_file_is_read_in_parts(tmp_path: Path) -> None:
    table = every_table().drop_columns(["category"])
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=37)
    archive, written = stored(tmp_path / "a.parquet", tmp_path, block=2000)
    assert written.blocks == 6
    same_tables(archive.read(), pq.read_table(tmp_path / "a.parquet"))


def test_a_large_text_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{i},{i / 8},{'ab'[i % 2]},{'' if i % 5 else i}\n" for i in range(40000)]
    (tmp_path / "a.csv").write_text("n,x,c,gaps\n" + "".join(lines))
    whole = stored(tmp_path / "a.csv", tmp_path)[0].read()
    monkeypatch.setattr(contents, "LARGE", 1000)
    monkeypatch.setattr(contents, "read_frame", lambda path: pytest.fail("read whole"))
    same_tables(stored(tmp_path / "a.csv", tmp_path, block=9000)[0].read(), whole)


def test_a_text_whose_types_change_late_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("n,x\n" + "1,2\n" * 60000 + "one,2.5\n")
    monkeypatch.setattr(contents, "LARGE", 1000)
    batches = _text.text_batches
    monkeypatch.setattr(tables, "text_batches", lambda path: batches(path, 2**16))
    back = stored(tmp_path / "a.csv", tmp_path)[0].read()
    assert back["n"][-1].as_py() == "one" and back["x"][-1].as_py() == 2.5 and back.num_rows == 60001


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i8", "u8"])
@pytest.mark.parametrize("shape", [(3000,), (300, 10), (30, 100), (10, 15, 20)])
def test_the_bound_holds_for_every_number(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).cumsum(axis=-1) * 8
    if dtype[0] in "iu":
        x = np.clip(x, 0, 100)
    x = x.astype(dtype)
    if dtype[0] == "f":
        x.reshape(-1)[[3, 70, 200]] = [np.nan, np.inf, -np.inf]
    finite = np.isfinite(x)
    wide = x.astype(np.float64)
    span = np.ptp(wide[finite])
    for given, bound in (("2%", 0.02 * span), ("0.37", 0.37), ("1.5", 1.5)):
        archive, written = stored(x, tmp_path, given)
        back = archive.read()
        far = np.abs(back.astype(np.float64)[finite] - wide[finite]).max()
        assert far <= bound and back.dtype == x.dtype
        assert back[~finite].tobytes() == x[~finite].tobytes()
        if dtype[0] == "f":
            assert far > bound / 4 or dtype == "f2"
            assert written.errors.largest["X"] == pytest.approx(far)
        else:
            assert far == int(bound * (1 - 1e-6))


def test_bounds_of_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "price": rng.normal(size=400),
            "area": rng.normal(size=400) * 50,
            "name": ["a", "b"] * 200,
            "rooms": rng.integers(0, 90, 400),
        }
    )
    back = stored(table, tmp_path, "price=0.25,rooms=2")[0].read()
    far = {n: np.abs(back[n].to_numpy() - table[n].to_numpy()).max() for n in ("price", "area", "rooms")}
    assert 0.2 < far["price"] <= 0.25 and far["area"] == 0 and far["rooms"] == 2
    assert back["name"].equals(table["name"])
    back = stored(table, tmp_path, {"price": "1%", "*": 1e-3})[0].read()
    assert np.abs(back["price"].to_numpy() - table["price"].to_numpy()).max() <= 0.01 * np.ptp(
        table["price"].to_numpy()
    )
    assert 0 < np.abs(back["area"].to_numpy() - table["area"].to_numpy()).max() <= 1e-3
    for bad, words in (
        ("prise=1", "did you mean 'price'"),
        ("name=1", "is not numbers"),
        ("0", "above 0"),
        ("-1%", "above 0"),
        ("price", "above 0"),
        ("price=", "above 0"),
        ("=3", "column=bound"),
        ("nan", "above 0"),
    ):
        with pytest.raises(OptionError, match=words):
            stored(table, tmp_path, bad)


def test_a_looser_bound_takes_fewer_bytes(tmp_path: Path) -> None:
    x = np.sin(np.arange(20000) / 300) + np.random.default_rng(0).normal(size=20000) * 0.05
    sizes = [stored(x, tmp_path, b)[1].size for b in ("0.01%", "0.1%", "1%", "10%")]
    assert all(b < 0.75 * a for a, b in itertools.pairwise(sizes))


def test_never_more_than_the_best_of_the_others(tmp_path: Path) -> None:
    for data in (every_table(), np.random.default_rng(0).bytes(30000), odd_floats("f4", 20000)):
        data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        _, written = stored(data, tmp_path)
        assert {"zstd", "xz", "pcodec"} <= set(written.sizes) <= {"zstd", "xz", "pcodec", "bz2"}
        assert written.size <= min(written.sizes.values())
        assert (tmp_path / "a.lsz").stat().st_size == written.size


def test_rows_that_repeat_far_off_are_found(tmp_path: Path) -> None:
    """A part of the rows does not show it: all of them must be looked at."""
    rows = np.random.default_rng(0).integers(0, 200, (30_000, 9), np.uint8)
    table = pa.table({f"c{j}": np.concatenate([rows[:, j], rows[:, j]]) for j in range(9)})
    _, written = stored(table, tmp_path)
    assert written.size < 1.1 * rows.size * np.log2(200) / 8 < 0.6 * written.sizes["pcodec"]


def test_little_is_written_beside_the_numbers(tmp_path: Path) -> None:
    assert stored(np.array([1.5, 2.5]), tmp_path)[1].size < 700
    noise = np.random.default_rng(0).integers(0, 256, 10**6, np.uint8)
    assert stored(noise, tmp_path, level="fast")[1].size < 1.001 * len(noise)


@pytest.mark.slow
def test_threads_and_blocks_change_no_number_and_threads_no_byte(tmp_path: Path) -> None:
    table = every_table()
    first = None
    for threads, block in ((1, 3000), (4, 3000), (3, 700), (2, 2**20)):
        archive, _ = stored(table, tmp_path, "1%", threads=threads, block=block)
        back = archive.read().drop_columns(["list", "struct", "price", "nothing"])
        data = archive.path.read_bytes()
        if first is None:
            first = back, data
        same_tables(back, first[0])
        assert block != 3000 or data == first[1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "More than one column is named 'a'"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), "More than one column is named 'a'"),
        (pd.DataFrame({"a": pd.Series(["ok", "bad \ud800"], dtype=object)}), "cannot be stored as a table"),
        (np.array([{}, 3], object), "Python objects"),
        ({}, "empty"),
        ([], "empty"),
        ([[1, 2], [3]], "unequal"),
        (object(), "nothing that can be stored"),
        ("nowhere.csv", "no file or folder"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)  # fmt: skip
def test_what_cannot_be_stored_is_said(tmp_path: Path, data: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        stored(data, tmp_path)
    assert not list(tmp_path.iterdir())
