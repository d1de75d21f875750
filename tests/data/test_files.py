"""Files as users have them: encodings, separators, damage."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from latentspace.data.files import LARGE, read_arrays, read_frame
from latentspace.errors import DataError


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "a,b\n1,x\n,y\n", {"a": [1, None], "b": ["x", "y"]}),
        ("a.tsv", "a\tb\n1.5\tx\n2\ty\n", {"a": [1.5, 2.0], "b": ["x", "y"]}),
        ("pipe.txt", "a|b\n1|2\n3|4\n", {"a": [1, 3], "b": [2, 4]}),
        ("comma.csv", "a;b\n1,5;x, y\n-3,25;z\n", {"a": [1.5, -3.25], "b": ["x, y", "z"]}),
        ("quoted.csv", 'a,b\n"1,5","x\ny"\n"2,5",z\n', {"a": [1.5, 2.5], "b": ["x\ny", "z"]}),
        ("gaps.csv", "a,b\nNA,?\nN/A,x\n2,null\n", {"a": [None, None, 2], "b": [None, "x", None]}),
        ("utf16.csv", "a\tb\n1\té\n".encode("utf-16"), {"a": [1], "b": ["é"]}),
        ("bom.csv", "\ufeffa,b\n1,é\n", {"a": [1], "b": ["é"]}),
        ("latin.csv", "ort;n\nKöln;1\nWeiß;2\n".encode("latin-1"), {"ort": ["Köln", "Weiß"], "n": [1, 2]}),
        ("russian.csv", "имя;n\nМосква;1\n".encode("cp1251"), {"имя": ["Москва"], "n": [1]}),
        ("degree.csv", "x,y\n20°C,5µm\n".encode("latin-1"), {"x": ["20°C"], "y": ["5µm"]}),
        ("mac.csv", "a,b\r1,2\r3,4\r", {"a": [1, 3], "b": [2, 4]}),
        ("bare.csv", "1.5,2\n3,4\n", {"x0": [1.5, 3.0], "x1": [2, 4]}),
        ("counted.csv", ",0,1\n0,2.5,3\n", {"index": [0], "0": [2.5], "1": [3]}),
        ("one.csv", "a\n1\n\n3\n", {"a": [1, None, 3]}),
        ("onecomma.csv", "a\n1,5\n2,5\n", {"a": [1.5, 2.5]}),
        ("z.csv.gz", gzip.compress(b"a|b\n1|2\n", mtime=0), {"a": [1], "b": [2]}),
        ("late.csv", "a,b\n" + "1,2\n" * 400_000 + "x,3\n", None),
    ],
)  # fmt: skip
def test_text_tables(tmp_path, name, content, expected):
    table = read_frame(write(tmp_path, name, content))
    if expected is None:
        assert table.num_rows == 400_001 and table["a"][-1].as_py() == "x" and table["b"].type == pa.int64()
    else:
        assert table.to_pydict() == expected


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("e.csv", b"", "e.csv is empty"),
        ("blank.csv", "\n\n \n", "blank lines"),
        ("h.csv", "a,b\n", "column names but no rows"),
        ("h.csv", "a,b", "column names but no rows"),
        ("p.csv", b"\x89PNG\r\n\x1a\n\0\0", "p.csv holds a PNG picture, not the text table"),
        ("z.csv", b"PK\x03\x04abcd", "ZIP archive"),
        ("b.csv", b"a,b\n" + b"\0\1\2,3\n" * 50, "binary data"),
        ("r.csv", "a,b\n1,2\n\n1,2,3\n", "line 4, has 3 cells where the first has 2"),
        ("q.csv", 'a,b\n"x,3\n', "unexpected end of data"),
        ("d.csv", "a,b,a\n1,2,3\n", "more than one column named 'a'"),
        ("t.parquet", b"PAR1abcd", "damaged or cut-off Parquet"),
        ("c.parquet", "a,b\n1,2\n", "holds text, not the Parquet table"),
        ("c.feather", "a,b\n1,2\n", "holds text, not the Arrow table"),
        ("z.csv.gz", gzip.compress(b"a|b\n1|2\n", mtime=0)[:-9], "cut-off gzip"),
        ("a.xyz", "a,b\n1,2\n", "not a kind of table"),
    ],
)
def test_bad_tables_are_one_sentence(tmp_path, name, content, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        read_frame(write(tmp_path, name, content))
    assert name in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*nope.csv"):
        read_frame(tmp_path / "nope.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_frame(tmp_path)


def test_no_permission(tmp_path, monkeypatch):
    path = write(tmp_path, "a.csv", "a,b\n1,2\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(DataError, match="no permission"):
        read_frame(path)


def test_binary_tables_come_back_as_written(tmp_path):
    table = pa.table({"a": [1, None], "t": pa.array([0, 1], pa.timestamp("ms"))})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    pa.feather.write_feather(table, tmp_path / "a.feather")
    assert read_frame(tmp_path / "a.parquet").equals(table)
    assert read_frame(tmp_path / "a.feather").equals(table)


def test_dates_and_types_of_a_csv(tmp_path):
    table = read_frame(
        write(tmp_path, "a.csv", "t,ok\n2020-01-01 10:00:00,true\n2020-01-02 11:30:00,false\n")
    )
    assert pa.types.is_timestamp(table["t"].type) and table["ok"].type == pa.bool_()


def test_arrays_round_trip(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", X=x, y=np.array(["a", "b"]))
    assert np.array_equal(read_arrays(tmp_path / "a.npy")["X"], x)
    assert list(read_arrays(tmp_path / "a.npz")) == ["X", "y"]
    zipped = write(tmp_path, "b.npy.gz", gzip.compress((tmp_path / "a.npy").read_bytes()))
    assert np.array_equal(read_arrays(zipped)["X"], x)


def test_a_large_array_is_memory_mapped(tmp_path):
    path = tmp_path / "big.npy"
    mapped = np.lib.format.open_memmap(path, "w+", np.uint8, (LARGE + 1,))
    del mapped
    assert isinstance(read_arrays(path)["X"], np.memmap)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path, zipped):
    pictures = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    content = b"\0\0\x08\x03" + np.array([2, 3, 4], ">u4").tobytes() + pictures.tobytes()
    name = "t10k-images-idx3-ubyte" + ".gz" * zipped
    got = read_arrays(write(tmp_path, name, gzip.compress(content) if zipped else content))["X"]
    assert got.dtype == np.uint8 and np.array_equal(got, pictures)
    with pytest.raises(DataError, match=r"should hold 24 bytes .* but holds 23"):
        read_arrays(write(tmp_path, "cut-idx3-ubyte", content[:-1]))


def test_idx_of_wider_types_is_native_endian(tmp_path):
    content = b"\0\0\x0b\x01" + np.array([2], ">u4").tobytes() + np.array([1, -300], ">i2").tobytes()
    got = read_arrays(write(tmp_path, "a.idx", content))["X"]
    assert got.tolist() == [1, -300] and got.dtype == np.dtype("int16")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", X=np.array([{}], object))
    for name in ("o.npy", "o.npz"):
        with pytest.raises(DataError, match=f"{name} holds an array of Python objects"):
            read_arrays(tmp_path / name)


@pytest.mark.parametrize("content", [b"\x93NUMPY\x01\0", b"hello", b"PK\x03\x04broken"])
def test_bad_arrays_are_one_sentence(tmp_path, content):
    with pytest.raises(DataError, match=r"^a\.npy .*\.$"):
        read_arrays(write(tmp_path, "a.npy", content))
