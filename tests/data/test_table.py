"""Tables: every kind of column becomes numbers and comes back; what cannot is told in one sentence."""

import datetime as dt
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latentspace.data._frames import Column
from latentspace.data.columns import Categorical, Datetime, Numeric, Options
from latentspace.data.files import read_frame
from latentspace.data.table import Table
from latentspace.errors import DataError, OptionError, Reject
from latentspace.likelihoods import Bernoulli, Gaussian, Mixed
from latentspace.likelihoods import Categorical as CategoricalLikelihood

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
N = 200


def columns():
    """A column of every kind, as Python lists and arrays."""
    rng = np.random.default_rng(0)
    days = rng.integers(0, 2000, N)
    return {
        "size": rng.normal(10, 3, N),
        "count": rng.integers(0, 40, N).astype(np.int16),
        "heavy": np.exp(3 * rng.normal(size=N)),
        "color": rng.choice(["red", "green", "blue"], N).tolist(),
        "yes": (rng.random(N) < 0.3).tolist(),
        "two": rng.integers(1, 3, N),
        "when": [dt.datetime(2020, 1, 1) + dt.timedelta(minutes=37 * int(d)) for d in days],
        "day": [dt.date(2015, 1, 1) + dt.timedelta(int(d)) for d in days],
        "grade": rng.choice(["low", "mid", "high"], N).tolist(),
    }


def frame(kind, **more):
    data = columns() | more
    if kind == "polars":
        return pl.DataFrame(data)
    if kind == "pyarrow":
        return pa.table(data)
    pandas = pd.DataFrame(data)
    pandas["grade"] = pd.Categorical(pandas["grade"], ["low", "mid", "high"], ordered=True)
    return pandas if kind == "pandas" else pandas.convert_dtypes()


def cells(values, name):
    column = values[name]
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)


def fitted(source, **options):
    table = Table(**options)
    items = table.read(source)
    return table.fit(items), items


KINDS = ["pandas", "nullable", "polars", "pyarrow"]


# ------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was(kind):
    source = frame(kind)
    table, items = fitted(source, ordinal={"grade": ["low", "mid", "high"]})
    x, observed = table.transform(items, np.float64)
    assert observed is None
    back = table.inverse_transform(x, items)
    assert type(back) is type(source)
    for name in columns():
        old, new = cells(source, name), cells(back, name)
        if isinstance(old[0], float):
            assert np.allclose(old, new), name
        else:
            assert old == new, name
    if kind == "polars":
        assert back.schema == source.schema
    elif kind == "pyarrow":
        assert back.schema.equals(source.schema)
    else:
        assert (back.dtypes == source.dtypes).all()


@pytest.mark.parametrize("kind", KINDS)
def test_state_is_json_and_exact(kind):
    table, items = fitted(frame(kind), ordinal={"grade": ["low", "mid", "high"]}, labels=("color",))
    again = Table.from_state(json.loads(json.dumps(table.state())))
    assert again.state() == table.state() and again.describe() == table.describe()
    assert again.shape == table.shape and again.likelihood == table.likelihood
    x, _ = table.transform(items)
    assert np.array_equal(again.transform(items)[0], x)
    assert type(again.inverse_transform(x[:3])) is type(items.values)


def test_numeric_features_have_mean_0_and_variance_1_even_with_gaps():
    source = frame("pandas")
    source.loc[3:50, ["size", "heavy"]] = np.nan
    table, items = fitted(source)
    x, observed = table.transform(items, np.float64)
    gaussians = sum(width for part, width in table.likelihood.parts if part == Gaussian())
    known = np.where(observed[:, :gaussians], x[:, :gaussians], np.nan)
    assert np.allclose(np.nanmean(known, 0), 0, atol=1e-9)
    assert np.allclose(np.nanvar(known, 0), 1)


def test_layout_is_numbers_then_yes_no_then_categories():
    table, _ = fitted(frame("pandas"), labels=("when", "day"))
    assert table.likelihood == Mixed(((Gaussian(), 4), (Bernoulli(), 2), (CategoricalLikelihood((3,)), 3)))
    parts = table.parts()
    assert {name: list(where) for name, where in parts.items()} == {
        "size": [0],
        "count": [1],
        "heavy": [2],
        "grade": [3],
        "yes": [4],
        "two": [5],
        "color": [6, 7, 8],
    }


def test_only_numbers_are_plain_gaussian():
    table, _ = fitted(np.random.default_rng(0).normal(size=(50, 3)))
    assert table.likelihood == Gaussian() and table.shape == (3,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
def test_arrays_in_arrays_out(dtype):
    array = (np.random.default_rng(0).normal(size=(50, 4)) * 9).astype(dtype)
    if dtype is bool:
        array = np.random.default_rng(0).random((50, 4)) < 0.5
    table, items = fitted(array)
    x, observed = table.transform(items)
    back = table.inverse_transform(x)
    assert x.dtype == np.float32 and observed is None
    assert back.dtype == array.dtype and np.allclose(back, array, rtol=1e-5, atol=1e-5)


def test_object_arrays_and_lists_of_dicts():
    array = np.array([[1.5, "a"], [2.5, "b"], [None, "c"], [4.5, "a"]], dtype=object)
    table, items = fitted(array)
    x, observed = table.transform(items)
    assert observed[:, 0].tolist() == [True, True, False, True]
    assert table.inverse_transform(x)[:, 1].tolist() == ["a", "b", "c", "a"]
    table, items = fitted([{"a": 1.5}, {"a": 2, "b": "x"}, {"b": "y"}, {"a": 7, "b": "z"}])
    assert table.transform(items)[1].tolist() == [
        [True, False, False, False],
        [True, True, True, True],
        [False, True, True, True],
        [True, True, True, True],
    ]


def test_the_fast_path_agrees_with_the_columns():
    array = np.random.default_rng(0).normal(size=(500, 5))
    array[7, 2] = np.nan
    table, items = fitted(array)
    x, observed = table.transform(items, np.float64)
    wide, wide_items = fitted(pd.DataFrame(array))
    y, seen = wide.transform(wide_items, np.float64)
    assert np.allclose(x, y) and np.array_equal(observed, seen)
    assert list(wide.inverse_transform(y).columns) == [0, 1, 2, 3, 4]


def test_take_cuts_values_ids_and_labels():
    for kind in KINDS:
        table = Table(labels=("color",))
        items = table.read(frame(kind))
        cut = table.take(items, np.array([5, 2]))
        assert cut.ids.tolist() == [5, 2] and len(cut.values) == 2
        assert cut.labels["color"].tolist() == [columns()["color"][i] for i in (5, 2)]


# ---------------------------------------------------------------------------------------------------- gaps


@pytest.mark.parametrize("kind", KINDS)
def test_gaps_are_neutral_unobserved_and_filled(kind):
    data = columns()
    for name in ("size", "color", "yes", "when"):
        data[name] = [None if i == 4 else value for i, value in enumerate(data[name])]
    source = frame(kind, **data)
    table, items = fitted(source)
    x, observed = table.transform(items)
    parts = table.parts()
    for name, where in parts.items():
        assert observed[4, where].all() == (name not in ("size", "color", "yes", "when"))
    assert x[4, parts["size"]] == 0 and (x[4, parts["when"]] == 0).all()
    shares = [data["color"].count(level) / (N - 1) for level in ("blue", "green", "red")]
    assert np.allclose(x[4, parts["color"]], shares)
    assert np.allclose(x[4, parts["yes"]], sum(v for v in data["yes"] if v) / (N - 1))
    back = table.inverse_transform(x)
    assert all(cells(back, name)[4] is not None for name in data)
    assert cells(back, "size")[4] == pytest.approx(np.nanmean(np.array(data["size"], float)))


def test_gaps_only_in_later_data():
    table, _ = fitted(frame("pandas"))
    later = frame("pandas")
    later.loc[0, ["color", "count"]] = None
    x, observed = table.transform(table.read(later))
    assert not observed[0, table.parts()["count"]].any() and x[0, table.parts()["count"]] == 0
    assert observed[1:].all()


def test_infinite_values_are_refused_by_name_and_row():
    for source in (pd.DataFrame({"a": [1.0, np.inf, 2.0]}), pl.DataFrame({"a": [1.0, -np.inf, 2.0]})):
        with pytest.raises(DataError, match="Infinite value in column 'a', row 1"):
            fitted(source)
    table, _ = fitted(np.arange(40.0).reshape(20, 2) ** 1.5)
    late = np.ones((20, 2))
    late[17, 1] = np.inf
    with pytest.raises(DataError, match="Infinite value in column 'x1', row 17"):
        table.transform(table.read(late))


# ------------------------------------------------------------------------------------------------- scaling


def test_scaling_is_the_mildest_that_tames_the_tail():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=5000)
    assert Numeric.of(normal).scaling == "standard"
    assert Numeric.of(rng.exponential(size=5000)).scaling == "standard"
    assert Numeric.of(np.exp(2 * normal)).scaling == "robust"
    normal[:5] = [1e20, 1e50, 1e100, 1e200, 1e300]
    assert Numeric.of(normal).scaling == "rank"


@pytest.mark.parametrize("scaling", ["standard", "robust", "rank"])
def test_every_scaling_is_inverted_within_and_beyond_the_data(scaling):
    values = np.random.default_rng(0).standard_t(3, 2000) * 5 + 100
    numeric = Numeric.of(values, scaling)
    assert len(numeric.knots) <= 256
    span = np.ptp(values)
    wide = np.concatenate([values, [values.min() - 2 * span, values.max() + 2 * span]])
    assert np.allclose(numeric.backward(numeric.forward(wide)), wide)
    z = numeric.forward(values)
    assert z.mean() == pytest.approx(0, abs=1e-9) and z.var() == pytest.approx(1)


@pytest.mark.parametrize("scaling", ["standard", "robust", "rank"])
def test_anomalous_values_do_not_saturate(scaling):
    values = np.random.default_rng(0).normal(size=2000)
    z = Numeric.of(values, scaling).forward(np.array([values.max(), 10.0, 100.0, 1000.0]))
    assert (np.diff(z) > 0.5).all()


def test_spikes_survive():
    rng = np.random.default_rng(0)
    gain = np.where(rng.random(5000) < 0.92, 0, np.exp(8 + rng.normal(size=5000))).round()
    table, items = fitted(pd.DataFrame({"gain": gain.astype(int), "other": rng.normal(size=5000)}))
    x, _ = table.transform(items)
    back = table.inverse_transform(x)["gain"].to_numpy()
    assert np.array_equal(back == 0, gain == 0)
    assert np.allclose(back, gain, rtol=1e-3, atol=1)


@pytest.mark.parametrize("huge", [1e30, 1e300, -1.7e308])
def test_huge_values_stay_finite(huge):
    values = np.random.default_rng(0).normal(size=300)
    values[[3, 9]] = huge, -huge
    for scaling in ("auto", "standard", "robust", "rank"):
        table, items = fitted(pd.DataFrame({"v": values, "w": values[::-1]}), scaling=scaling)
        x, _ = table.transform(items)
        assert np.isfinite(x).all() and np.isfinite(table.inverse_transform(x).to_numpy()).all()
    table, _ = fitted(np.random.default_rng(0).normal(size=(300, 2)))
    assert np.isfinite(table.transform(table.read(np.full((2, 2), huge)))[0]).all()


def test_integers_stay_in_their_type():
    table, _ = fitted(pd.DataFrame({"a": np.arange(200, dtype=np.uint8) % 150}))
    back = table.inverse_transform(np.array([[-50.0], [0.0], [50.0]]))["a"]
    assert back.dtype == np.uint8 and back.tolist() == [0, round(np.mean(np.arange(200) % 150)), 255]


# ----------------------------------------------------------------------------------------- kinds of column


def test_numbers_written_as_text():
    words = [f"{v:.1f}".replace(".", ",") for v in np.random.default_rng(0).normal(5, 1, 60)]
    words[3], words[7] = "?", "nil"
    table, items = fitted(pd.DataFrame({"a": words}))
    x, observed = table.transform(items)
    assert np.flatnonzero(~observed[:, 0]).tolist() == [3, 7]
    back = table.inverse_transform(x)["a"].tolist()
    assert [b for i, b in enumerate(back) if i not in (3, 7)] == [w for w in words if w not in ("?", "nil")]
    assert "a ('nil' as missing)" in " ".join(table.describe())


def test_numbers_written_with_exponents():
    words = [f"{10.0**-i:.0e}" for i in range(3, 9)]
    table, items = fitted(pl.DataFrame({"a": words}))
    back = table.inverse_transform(table.transform(items, np.float64)[0])
    assert [float(word) for word in back["a"]] == pytest.approx([float(word) for word in words], rel=1e-5)


def test_leading_zeros_are_names_not_numbers():
    codes = [f"0{i % 5}123" for i in range(50)]
    table, _ = fitted(pd.DataFrame({"zip": codes, "n": np.arange(50) ** 2.5}))
    assert isinstance(table.columns[0].kind, Categorical)


def test_rare_categories_share_a_level():
    words = [f"w{i}" for i in range(60) for _ in range(i + 1)]
    table, items = fitted(pd.DataFrame({"w": words}), max_categories=10)
    kind = table.columns[0].kind
    assert table.shape == (10,) and len(kind.gathered) == 51 and kind.gathered[0] == "w50"
    x, _ = table.transform(items)
    assert (x.sum(1) == 1).all()
    assert set(table.inverse_transform(x)["w"]) == {f"w{i}" for i in range(50, 60)}


def test_two_values_are_yes_no():
    table, items = fitted(
        pd.DataFrame({"a": [1, 2, 2, 1], "b": ["no", "yes", "yes", "yes"], "c": [0.0, 1, None, 0]})
    )
    x, _ = table.transform(items)
    assert table.likelihood == Mixed(((Bernoulli(), 3),))
    assert x[:, 0].tolist() == [0, 1, 1, 0] and x[:, 1].tolist() == [0, 1, 1, 1]
    back = table.inverse_transform(np.array([[0.4, 0.6, 0.9]]))
    assert back.iloc[0].tolist() == [1, "yes", 1.0]


def test_declared_orders_are_numbers():
    words = ["S", "M", "L"] * 10
    table, items = fitted(pd.DataFrame({"size": words}), ordinal={"size": ["S", "M", "L"]})
    x, _ = table.transform(items)
    assert np.allclose(x[:3, 0], [-1.2247, 0, 1.2247], atol=1e-4)
    assert table.inverse_transform(x + 0.3)["size"].tolist() == words
    with pytest.raises(DataError, match="holds 'L', which its declared order"):
        fitted(pd.DataFrame({"size": words}), ordinal={"size": ["S", "M"]})


def test_dates_have_the_parts_that_the_data_spans():
    start = pd.Timestamp("2020-01-01")
    hours = Datetime.fit(_moments(start, 24 * 7, "h"), Options())
    assert [period / 86400 for period, *_ in hours.cycles] == [1.0]
    years = Datetime.fit(_moments(start, 1000, "D"), Options())
    assert [round(period / 86400) for period, *_ in years.cycles] == [7, 365] and years.step == 86400


def _moments(start, periods, freq):
    stamps = pd.date_range(start, periods=periods, freq=freq).to_numpy()
    return Column("t", "time", stamps.astype("datetime64[s]").astype(np.int64), unit="s")


def test_a_cyclic_part_tells_noon_from_midnight():
    stamps = pd.date_range("2020-01-01", periods=24 * 30, freq="h")
    table, items = fitted(pd.DataFrame({"t": stamps}))
    x, _ = table.transform(items)
    cosine = x[:, 2]
    assert cosine[0] == pytest.approx(cosine[24], abs=1e-5) and cosine[0] - cosine[12] > 2


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Vienna"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_keep_unit_and_zone(zone, unit):
    stamps = pd.date_range("2021-03-01", periods=60, freq="7h", tz=zone).as_unit(unit)
    source = pd.DataFrame({"t": stamps})
    table, items = fitted(source)
    back = table.inverse_transform(table.transform(items)[0])
    assert back["t"].dtype == source["t"].dtype and back["t"].tolist() == source["t"].tolist()


def test_dates_written_as_text():
    stamps = pd.date_range("2021-03-01", periods=60, freq="1D").strftime("%d.%m.%Y").tolist()
    table, items = fitted(pd.DataFrame({"t": stamps}))
    assert table.inverse_transform(table.transform(items)[0])["t"].tolist() == stamps
    with pytest.raises(DataError, match=r"row 1 .*holds 'soon', not a date"):
        table.transform(table.read(pd.DataFrame({"t": ["01.02.2021", "soon"]})))


def test_durations_and_times_of_day_keep_their_step():
    minutes = [int(m) for m in np.random.default_rng(0).integers(0, 1000, 60)]
    source = pl.DataFrame(
        {
            "took": [dt.timedelta(minutes=m) for m in minutes],
            "at": [dt.time(m // 60, m % 60) for m in minutes[::-1]],
        }
    )
    table, items = fitted(source)
    assert table.inverse_transform(table.transform(items)[0]).equals(source)


def test_periods_and_intervals_are_text():
    source = pd.DataFrame(
        {"p": pd.period_range("2020-01", periods=4, freq="M").repeat(6), "n": np.arange(24.0) ** 2}
    )
    table, items = fitted(source.assign(i=pd.cut(source["n"], 3)))
    back = table.inverse_transform(table.transform(items)[0])
    assert back["p"].equals(source["p"])
    assert [str(i) for i in back["i"]] == [str(i) for i in pd.cut(source["n"], 3)]


# --------------------------------------------------------------------------------------------- set aside


def test_what_teaches_nothing_is_set_aside_named_and_restored():
    size = columns()["size"]
    source = pd.DataFrame(
        {
            "nr": np.random.default_rng(0).permutation(N) + 1,
            "one": 7,
            "size": size,
            "again": size,
            "code": [f"A{i}" for i in range(N)],
            "text": [f"item {i} of a long story" for i in range(N)],
            "none": [None] * N,
        }
    )
    table, items = fitted(source)
    assert list(table.parts()) == ["size"]
    told = " ".join(table.describe())
    for words in (
        "nr is an identifier",
        "one is constant",
        "again is a copy of 'size'",
        "code is an identifier",
    ):
        assert words in told
    assert "text is free text" in told and "none is empty" in told
    x, _ = table.transform(items, np.float64)
    back = table.inverse_transform(x, items)
    pd.testing.assert_frame_equal(back, source)
    bare = table.inverse_transform(x)
    assert bare["one"].tolist() == [7] * N and np.allclose(bare["again"], size)
    assert bare["code"].isna().all() and list(bare.columns) == list(source.columns)


def test_identifiers_are_found_in_a_random_part_of_the_rows():
    rows = np.random.default_rng(0).permutation(1000)[:700]
    table, _ = fitted(pd.DataFrame({"i": rows, "a": rows**0.5}))
    assert list(table.parts()) == ["a"]
    table, _ = fitted(pd.DataFrame({"customer_id": rows * 977, "price": rows * 31 % 991}))
    assert list(table.parts()) == ["price"]


def test_nothing_left_to_learn():
    for source in (np.ones((20, 2)), np.ones((1, 2)), pd.DataFrame({"a": [np.nan] * 5})):
        with pytest.raises(DataError, match=r"no column to learn from: '.*' is (constant|empty)"):
            fitted(source)


# ----------------------------------------------------------------------------------------- ids and labels


def test_ids_and_labels_are_kept_out():
    source = frame("polars").with_columns(key=pl.Series([f"k{i}" for i in range(N)]))
    table, items = fitted(source, id_column="key", labels=("color", "two"))
    assert items.ids[:2].tolist() == ["k0", "k1"]
    assert items.labels["color"].tolist() == source["color"].to_list()
    assert not {"key", "color", "two"} & set(table.inverse_transform(table.transform(items)[0]).columns)
    later = table.read(source.drop("key", "color"))
    assert later.ids[0] == 0 and list(later.labels) == ["two"]


def test_a_pandas_index_names_the_rows():
    source = pd.DataFrame({"a": [1.0, 2.0, 4.0]}, index=["x", "y", "z"])
    table, items = fitted(source)
    assert items.ids.tolist() == ["x", "y", "z"]
    assert table.inverse_transform(table.transform(items)[0], items).index.tolist() == ["x", "y", "z"]


def test_labels_beside_an_npz(tmp_path):
    np.savez(
        tmp_path / "a.npz", X=np.random.default_rng(0).normal(size=(9, 2)), y=np.arange(9), names=np.arange(4)
    )
    items = Table().read(tmp_path / "a.npz")
    assert items.labels["y"].tolist() == list(range(9)) and list(items.labels) == ["y"]
    assert "y (9 values" in items.notes[0]


# --------------------------------------------------------------------------------------------- later data


def test_later_columns_are_matched_by_name():
    table, items = fitted(frame("pandas"))
    x, _ = table.transform(items)
    swapped = frame("pandas")[list(columns())[::-1]]
    assert np.array_equal(table.transform(table.read(swapped))[0], x)
    with pytest.warns(UserWarning, match="columns that were not learnt, ignored: 'more'") as caught:
        table.transform(table.read(swapped.assign(more=1)))
    assert len(caught) == 1
    with pytest.raises(DataError, match=r"has no column 'color', .*did you mean 'colour'"):
        table.transform(table.read(swapped.rename(columns={"color": "colour"})))


def test_later_data_from_another_library_or_file(tmp_path):
    table, items = fitted(frame("polars"))
    x, _ = table.transform(items)
    assert np.allclose(table.transform(table.read(frame("pyarrow")))[0], x)
    frame("polars").write_csv(tmp_path / "a.csv")
    assert np.allclose(table.transform(table.read(tmp_path / "a.csv"))[0], x, atol=1e-4)


def test_later_arrays_need_as_many_columns():
    table, _ = fitted(np.random.default_rng(0).normal(size=(30, 3)))
    with pytest.raises(DataError, match="an array of 5 x 4 has 4 columns, but 3 were learnt"):
        table.transform(table.read(np.zeros((5, 4))))
    named = pd.DataFrame(np.ones((5, 3)), columns=["a", "b", "c"])
    assert np.array_equal(
        table.transform(table.read(named))[0], table.transform(table.read(np.ones((5, 3))))[0]
    )


def test_text_where_numbers_were():
    table, _ = fitted(frame("pandas"))
    later = frame("pandas").assign(size=["1,5"] * 7 + ["big"] * (N - 7))
    with pytest.raises(DataError, match=r"Column 'size', row 7 .* holds 'big' where numbers are needed"):
        table.transform(table.read(later))
    assert np.isfinite(table.transform(table.read(later[:7]))[0]).all()


def test_unknown_categories_follow_the_policy():
    later = frame("pandas").assign(color=["mauve", "teal"] * (N // 2))
    table, _ = fitted(frame("pandas"))
    with pytest.warns(UserWarning, match="Column 'color' holds 'mauve', 'teal', not seen") as caught:
        x, observed = table.transform(table.read(later))
    where = table.parts()["color"]
    assert len(caught) == 1 and not observed[:, where].any() and np.allclose(x[:, where].sum(1), 1)
    table, _ = fitted(frame("pandas"), unknown="error")
    with pytest.raises(DataError, match=r"Column 'color', row 0 .*'mauve'"):
        table.transform(table.read(later))


def test_known_data_raises_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS:
            table, items = fitted(frame(kind))
            table.inverse_transform(table.transform(items)[0], items)


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("source", "error", "sentence"),
    [
        (np.ones(3), Reject, "two axes"),
        (np.ones((2, 2, 2)), Reject, "two axes"),
        (np.ones((2, 2), complex), Reject, "complex128 is not a table"),
        (np.ones((0, 2)), DataError, "has no rows"),
        (pd.DataFrame(), DataError, "has no rows"),
        (None, Reject, "not a table"),
        (5, Reject, "not a table"),
        ("picture.png", Reject, "not a table by its extension"),
        ("nope.csv", DataError, "There is no file nope.csv"),
        (pl.LazyFrame({"a": [1]}), Reject, "not a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), DataError, "needs its own name: 'a' 2 times"),
        (pd.DataFrame([[1, 2]], columns=[(1, 2), (3, 4)]), DataError, "is not a text or a number"),
        (np.array([[1, {}], [2, "b"]], object), DataError, "row 0 .* holds a dict"),
    ],
)  # fmt: skip
def test_what_is_no_table(source, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        fitted(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"scaling": "log"}, OptionError, "scaling is one of"),
        ({"unknown": "drop"}, OptionError, "unknown is one of"),
        ({"max_categories": 1}, OptionError, "at least 2"),
        ({"ordinal": {"sice": ["a"]}}, OptionError, "did you mean 'size'"),
        ({"id_column": "sice"}, DataError, "did you mean 'size'"),
        ({"labels": ("colour",)}, DataError, "did you mean 'color'"),
        ({"id_column": "color"}, DataError, "'blue' more than once|blue more than once"),
    ],
)
def test_impossible_options(options, error, sentence):
    with pytest.raises(error, match=sentence):
        fitted(frame("pandas"), **options)


def test_a_tensor_of_another_width_is_refused():
    table, items = fitted(np.random.default_rng(0).normal(size=(30, 3)))
    with pytest.raises(DataError, match=r"shape \(n, 3\), not \(2, 4\)"):
        table.inverse_transform(np.zeros((2, 4)))
    with pytest.raises(DataError, match="2 rows to bring back, but 30"):
        Table.inverse_transform(
            fitted(frame("pandas"))[0], np.zeros((2, fitted(frame("pandas"))[0].shape[0])), items
        )


# ----------------------------------------------------------------------------------------------- real data


@pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    "name", ["adult", "titanic", "ames_housing", "nyc_taxis", "credit_data", "wine_quality"]
)
def test_real_tables_come_back(name, tmp_path):
    table, items = fitted(DATA / "tables" / f"{name}.parquet")
    x, observed = table.transform(items)
    assert np.isfinite(x).all()
    back = table.inverse_transform(x, items)
    assert back.column_names == items.values.column_names
    known = 1.0 if observed is None else observed.mean()
    assert known > 0.9
    for column in items.values.column_names:
        old, new = items.values[column].to_pandas(), back[column].to_pandas()
        there = old.notna().to_numpy()
        if old.dtype.kind == "f":
            assert np.allclose(old[there], new[there], rtol=1e-3, atol=1e-5 * old.std())
        elif "zone" not in column:  # rare zones share a level
            assert (old[there].to_numpy() == new[there].to_numpy()).mean() > 0.999, column


@pytest.mark.skipif(not DATA.exists(), reason="the shared data sets are not here")
def test_an_export_with_decimal_commas_is_the_same_table(tmp_path):
    source = pd.read_parquet(DATA / "tables" / "adult.parquet")
    source["age"] = source["age"] / 4
    source.to_csv(tmp_path / "a.csv", sep=";", decimal=",", index=False, encoding="latin-1")
    assert read_frame(tmp_path / "a.csv").to_pandas()["age"].tolist() == source["age"].tolist()
    table, items = fitted(source)
    other, read = fitted(tmp_path / "a.csv")
    assert np.allclose(table.transform(items)[0], other.transform(read)[0])
