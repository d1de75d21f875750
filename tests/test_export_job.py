"""A half alone gives what the whole gives: the user's own columns in, no torch behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits
from torch import nn

import latentspace
from latentspace import Space, fit, load
from latentspace.errors import LatentspaceError, OptionError, SpaceError
from latentspace.graphs.graph import Graph
from latentspace.graphs.parts import whole
from latentspace.graphs.runtime import session
from latentspace.graphs.scale import asinh, lines, sinh
from latentspace.jobs.export import export

DIGITS = load_digits().images.astype("uint8") * 15


def run(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    ready = session(model)
    return dict(zip([o.name for o in ready.get_outputs()], ready.run(None, given), strict=True))


def card(file: Path) -> dict[str, Any]:
    import onnx

    return json.loads(onnx.load(file).metadata_props[0].value)


@pytest.fixture(scope="module")
def houses() -> pa.Table:
    rng = np.random.default_rng(0)
    town = rng.integers(0, 3, 300)
    price = np.exp(rng.normal(10, 2, 300))
    area = 40.0 + 60 * town + rng.normal(0, 5, 300)
    area[5] = np.nan
    days = np.datetime64("2024-01-01") + rng.integers(0, 900, 300)
    return pa.table(
        {
            "price": price,
            "rooms": rng.integers(1, 9, 300),
            "area": pa.array(area, from_pandas=True),
            "town": pa.array(np.where(rng.random(300) < 0.1, None, np.array(["Ely", "Bath", "Wells"])[town])),
            "garden": pa.array(rng.random(300) < 0.3),
            "level": [str(v).replace(".", ",") for v in rng.normal(size=300).round(2)],
            "sold": pa.array(days.astype("datetime64[s]")),
            "country": ["UK"] * 300,
        }
    )


@pytest.fixture(scope="module")
def table(houses: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("houses")
    return fit(houses, place / "h", latent_dim=4, epochs=3, report=False)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Space:
    place = tmp_path_factory.mktemp("digits")
    return fit(DIGITS[:1000], place / "d", latent_dim=6, epochs=3, report=False)


def feeds(frame: pa.Table) -> dict[str, Any]:
    text = {n: np.array([v or "" for v in frame[n].to_pylist()], object) for n in ("town", "level")}
    numbers = {n: frame[n].to_numpy().astype(float) for n in ("price", "rooms", "area", "garden")}
    return text | numbers | {"sold": frame["sold"].to_numpy().astype("datetime64[s]").astype("int64")}


def test_columns_go_in_as_they_are_and_come_out_again(table: Space, houses: pa.Table):
    model = whole(table.learnt(), "encoder")
    z = run(model, feeds(houses))["latents"]
    expected = table.encode(houses)
    assert np.abs(z - expected).max() < 1e-4 * expected.std()
    back = run(whole(table.learnt(), "decoder"), {"latents": expected})
    theirs = table.decode(expected)
    assert back["town"].ravel().tolist() == theirs["town"].to_pylist()
    assert back["garden"].ravel().tolist() == theirs["garden"].to_pylist()
    assert set(back["country"].ravel()) == {"UK"}
    for name in ("price", "area", "rooms"):
        np.testing.assert_allclose(back[name].ravel(), theirs[name].to_numpy(), rtol=1e-4)
    assert (back["sold"].ravel() == feeds(theirs)["sold"]).all()


def test_a_category_not_seen_and_a_gap_are_as_in_torch(table: Space, houses: pa.Table):
    strange = houses.slice(0, 3).set_column(3, "town", pa.array(["York", None, " Ely "]))
    with pytest.warns(UserWarning, match="York"):
        expected = table.encode(strange)
    z = run(whole(table.learnt(), "encoder"), feeds(strange))["latents"]
    assert np.abs(z - expected).max() < 1e-4


def test_scorer_judges_new_items_with_a_threshold_given_at_call(digits: Space, houses: pa.Table):
    rng = np.random.default_rng(0)
    new = DIGITS[1000:1400].copy()
    new[:20] = rng.integers(0, 255, (20, 8, 8))
    assert digits.scorer is not None
    score, p = digits.scorer.judge(*digits.modality.transform(digits.items(new)))
    model = whole(digits.learnt(), "scorer")
    ours = run(model, {"pixels": new})
    np.testing.assert_allclose(ours["surprise"], score, atol=1e-3)
    assert (np.abs(ours["p_value"] - p) < 0.02).all()
    assert (ours["flag"] == (ours["p_value"] <= 0.05)).all() and ours["flag"][:20].mean() > 0.9
    looser = run(model, {"pixels": new, "alpha": np.array([0.5])})["flag"]
    assert looser.sum() > 2 * ours["flag"].sum()


def test_scorer_passes_over_gaps(table: Space, houses: pa.Table):
    other = houses.slice(0, 50).set_column(2, "area", pa.array([None, 7.0] * 25))
    assert table.scorer is not None
    score, p = table.scorer.judge(*table.modality.transform(table.items(other)))
    ours = run(whole(table.learnt(), "scorer"), feeds(other))
    np.testing.assert_allclose(ours["surprise"], score, atol=1e-3)
    np.testing.assert_allclose(ours["p_value"], p, atol=0.05)


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_pixels_to_latents_and_back(network: str):
    ae = latentspace.Autoencoder(5, network=network, epochs=3, random_state=0).fit(DIGITS[:300])
    space = Space(ae, np.arange(1), np.zeros((1, 5), np.float32))
    z = run(whole(space.learnt(), "encoder"), {"pixels": DIGITS[:9]})["latents"]
    assert np.abs(z - space.encode(DIGITS[:9])).max() < 1e-4 * z.std()
    pixels = run(whole(space.learnt(), "decoder"), {"latents": z})["pixels"]
    assert pixels.dtype == np.uint8 and np.abs(pixels.astype(int) - space.decode(z)).max() <= 1
    assert z.std() > 0.1


def test_windows_of_a_signal():
    t = np.arange(4000)
    wave = np.stack([np.sin(t / 9), np.exp(3 * np.cos(t / 9))], axis=1)
    ae = latentspace.VariationalAutoencoder(3, network="conv1d", epochs=2, random_state=0)
    ae.modality = latentspace.data.signal.Signal() if hasattr(latentspace, "data") else "signal"
    ae.fit(wave[None].repeat(3, 0) * np.arange(1, 4)[:, None, None])
    space = Space(ae, np.arange(1), np.zeros((1, 3), np.float32))
    items = space.items(wave[None])
    windows = items.values.samples.astype(float)
    windows = windows.transpose(0, 2, 1) if space.modality.form == "ntc" else windows
    z = run(whole(space.learnt(), "encoder"), {"windows": windows})["latents"]
    assert np.abs(z - space.encode(items)).max() < 1e-4
    back = run(whole(space.learnt(), "decoder"), {"latents": z})["windows"]
    np.testing.assert_allclose(back, space.decode(z), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_modules_of_ones_own():
    pytest.importorskip("onnxscript")
    pair = (
        nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 3)),
        nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 64), nn.Unflatten(1, (1, 8, 8))),
    )
    ae = latentspace.Autoencoder(3, network=pair, epochs=3, random_state=0).fit(DIGITS[:300])
    space = Space(ae, np.arange(1), np.zeros((1, 3), np.float32))
    z = run(whole(space.learnt(), "encoder"), {"pixels": DIGITS[:9]})["latents"]
    assert np.abs(z - space.encode(DIGITS[:9])).max() < 1e-4
    pixels = run(whole(space.learnt(), "decoder"), {"latents": z})["pixels"]
    assert np.abs(pixels.astype(int) - space.decode(z)).max() <= 1


def test_int8_states_its_error_and_is_smaller(digits: Space, tmp_path: Path):
    exact = export(digits, tmp_path / "e.onnx", part="encoder")
    small = export(digits, tmp_path / "s.onnx", part="encoder", int8=True)
    error = card(tmp_path / "s.onnx")["int8_error"]
    assert error == small.data["parts"]["encoder"]["int8_error"] and 0 < error < 0.1
    assert small.files[0].stat().st_size < 0.7 * exact.files[0].stat().st_size
    import onnx

    z = run(onnx.load(tmp_path / "s.onnx"), {"pixels": DIGITS[1000:]})["latents"]
    expected = digits.encode(DIGITS[1000:])
    spread = expected - expected.mean(axis=0)
    measured = np.sqrt(np.mean((z - expected) ** 2) / np.mean(spread**2))
    assert error / 2 < measured < 2 * error


def test_all_parts_with_what_they_are(table: Space, tmp_path: Path):
    made = export(table, tmp_path / "parts")
    assert [file.name for file in made.files] == ["encoder.onnx", "decoder.onnx", "scorer.onnx"]
    words = card(tmp_path / "parts" / "encoder.onnx")
    assert words["opset"] == 20 and words["latentspace"] == latentspace.__version__
    by_name = {one["name"]: one for one in words["inputs"]}
    assert by_name["sold"]["unit"] == "s since 1970" and by_name["town"]["levels"] == ["Bath", "Ely", "Wells"]
    assert "country" not in by_name and words["modality"] == "table"


def test_safetensors_say_how_to_rebuild(digits: Space, tmp_path: Path):
    from safetensors import safe_open

    export(digits, tmp_path / "e.safetensors", part="encoder", format="safetensors")
    with safe_open(tmp_path / "e.safetensors", "numpy") as stored:
        words = json.loads(stored.metadata()["latentspace"])
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    from latentspace.data.image import Image

    x, _ = Image.from_state(words["modality"]["state"]).transform(digits.items(DIGITS[:5]))
    both = x.reshape(5, -1) @ weights["first.weight"].T + weights["first.bias"]
    width = weights["middle.0.weight"].shape[1]
    h = np.maximum(both[:, :width], 0)
    h = np.maximum(h @ weights["middle.0.weight"].T + weights["middle.0.bias"], 0)
    z = h @ weights["last.weight"].T + both[:, width:]
    assert np.abs(z - digits.encode(DIGITS[:5])).max() < 1e-4 and words["network"]["kind"] == "dense"


@pytest.mark.filterwarnings("ignore")
def test_torch_program(digits: Space, tmp_path: Path):
    import torch

    export(digits, tmp_path / "e.pt2", part="encoder", format="torch")
    program = torch.export.load(tmp_path / "e.pt2").module()
    x, _ = digits.modality.transform(digits.items(DIGITS[:7]))
    assert np.abs(program(torch.from_numpy(x)).detach().numpy() - digits.encode(DIGITS[:7])).max() < 1e-4


def test_runtime_gives_the_same_and_imports_no_torch(digits: Space, tmp_path: Path):
    np.save(tmp_path / "new.npy", DIGITS[1000:1100])
    code = """
import sys
for name in ("torch", "sklearn", "scipy", "matplotlib"):
    sys.modules[name] = None
import numpy as np, latentspace
space = latentspace.load(sys.argv[1], runtime="onnx")
z = space.transform(sys.argv[2])
surprise, p, flag = space.anomaly_score(sys.argv[2], alpha=0.1)
np.savez(sys.argv[3], z=z, back=space.inverse_transform(z), surprise=surprise, p=p, flag=flag)
print([name for name in ("torch", "pandas", "sklearn", "matplotlib") if sys.modules.get(name)])
"""
    place = [str(digits.path), str(tmp_path / "new.npy"), str(tmp_path / "out.npz")]
    done = subprocess.run([sys.executable, "-c", code, *place], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    out = np.load(tmp_path / "out.npz")
    expected = digits.encode(DIGITS[1000:1100])
    assert np.abs(out["z"] - expected).max() < 1e-4 * expected.std()
    assert np.abs(out["back"].astype(int) - digits.decode(expected)).max() <= 1
    assert digits.scorer is not None
    score, p = digits.scorer.judge(*digits.modality.transform(digits.items(DIGITS[1000:1100])))
    np.testing.assert_allclose(out["surprise"], score)
    assert (out["p"] == p).all() and (out["flag"] == (p <= 0.1)).all()


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e4, 1e200])
def test_asinh_and_sinh_are_numpys(scale: float):
    values = np.random.default_rng(0).normal(size=(50, 1)) * scale
    graph = Graph()
    v = graph.input("v", np.float64, ["n", 1])
    graph.output("a", asinh(graph, v), np.float64, ["n", 1])
    graph.output("s", sinh(graph, graph("Clip", v, np.float64(-700), np.float64(700))), np.float64, ["n", 1])
    out = run(graph.model(), {"v": values})
    np.testing.assert_allclose(out["a"], np.arcsinh(values), rtol=1e-12)
    np.testing.assert_allclose(out["s"], np.sinh(np.clip(values, -700, 700)), rtol=1e-7)


@pytest.mark.parametrize("knots", [1, 2, 3, 40])
def test_lines_are_those_of_the_table(knots: int):
    from latentspace.data._numeric import _extended

    rng = np.random.default_rng(knots)
    xs, ys = np.sort(rng.normal(size=knots)), np.sort(rng.normal(size=knots))
    graph = Graph()
    v = graph.input("v", np.float64, ["n", 1])
    graph.output("y", lines(graph, v, xs, ys), np.float64, ["n", 1])
    values = np.concatenate([rng.normal(size=(99, 1)) * 3, xs[:, None]])
    np.testing.assert_allclose(run(graph.model(), {"v": values})["y"], _extended(values, xs, ys), atol=1e-12)


def test_bad_input_is_one_sentence(digits: Space, table: Space, tmp_path: Path, monkeypatch: Any):
    def refused(call: Any, words: str) -> None:
        with pytest.raises(LatentspaceError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)

    refused(lambda: export(digits, tmp_path / "x.foo", part="decoder"), "should end in .onnx")
    refused(lambda: export(digits, tmp_path / "x.onnx"), "a folder")
    refused(lambda: export(digits, part="scorer", int8=True), "do not bear rounding")
    refused(lambda: export(digits, part="encoder", format="torch", int8=True), "format onnx")
    refused(lambda: export(digits, part="scorer", format="torch"), "no torch network")
    half = load(digits.path, part="encoder")
    refused(lambda: export(half, tmp_path / "d.onnx", part="decoder"), "only its encoder was loaded")
    classifier = latentspace.Classifier(2, epochs=2, random_state=0).fit(DIGITS[:200], np.arange(200) % 2)
    space = Space(classifier, np.arange(1), np.zeros((1, 2), np.float32))
    refused(
        lambda: export(space, tmp_path / "d.onnx", part="decoder"),
        "neither a Classifier nor an IJEPA makes one",
    )
    refused(lambda: export(space, tmp_path / "d.onnx", part="scorer"), "no scorer")
    light = load(digits.path, runtime="onnx")
    refused(lambda: light.anomaly_score(DIGITS[:3], alpha=2.0), "between 0|above 0 and below 1")
    refused(lambda: light.anomaly_score(DIGITS[:3], alpha=1e-6), "cannot be promised")
    refused(lambda: light.inverse_transform(np.zeros((2, 3))), r"\(n, 6\)")
    refused(lambda: light.transform(np.zeros((3, 4))), "shape")
    refused(lambda: load(digits.path, runtime="tensorflow"), "'torch' or 'onnx'")  # type: ignore[call-overload]
    monkeypatch.setitem(sys.modules, "onnx.helper", None)
    with pytest.raises(OptionError, match=r"pip install 'latentspace\[export\]'"):
        export(digits, tmp_path / "x.onnx", part="encoder")
    assert not list(tmp_path.iterdir())


def test_a_damaged_space_is_refused(digits: Space, tmp_path: Path):
    import shutil

    copy = tmp_path / "c.space"
    shutil.copytree(digits.path, copy)
    file = copy / "network.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(SpaceError, match="damaged"):
        load(copy, runtime="onnx")


#: all that a space needs that is read, encoded and decoded without torch
LIGHT = (
    "numpy", "numpy.libs", "onnx", "onnxruntime", "ml_dtypes", "google", "typing_extensions.py", "flatbuffers",
    "packaging", "pyarrow", "pyarrow.libs", "narwhals", "safetensors", "charset_normalizer", "PIL", "pillow.libs",
)  # fmt: skip


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds those packages and nothing else."""
    import venv

    home = tmp_path_factory.mktemp("light")
    venv.create(home, with_pip=False, symlinks=True)
    there = next(home.glob("lib/python*/site-packages"))
    installed = Path(np.__file__).parents[1]
    for name in LIGHT:
        if (installed / name).exists():
            (there / name).symlink_to(installed / name)
    (there / "latentspace").symlink_to(Path(latentspace.__file__).parent)
    return home / "bin" / "python"


def alone(python: Path, code: str, *words: Any) -> str:
    command = [str(python), "-c", code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_where_torch_is_not_installed(
    without_torch: Path, digits: Space, table: Space, houses: pa.Table, tmp_path: Path
):
    import pyarrow.parquet as pq

    assert alone(without_torch, "import importlib.util as u; print(u.find_spec('torch'))") == "None"
    np.save(tmp_path / "new.npy", DIGITS[1000:1010])
    pq.write_table(houses, tmp_path / "houses.parquet")
    code = """
import sys, time
start = time.process_time()
import numpy as np, latentspace
space = latentspace.load(sys.argv[1], runtime="onnx")
z = space.transform(sys.argv[2])
taken = time.process_time() - start
space.inverse_transform(z), space.anomaly_score(sys.argv[2])
np.save(sys.argv[3], z)
print(taken)
"""
    for space, data in ((digits, "new.npy"), (table, "houses.parquet")):
        taken = alone(without_torch, code, space.path, tmp_path / data, tmp_path / "z.npy")
        expected = space.encode(str(tmp_path / data))
        assert np.abs(np.load(tmp_path / "z.npy") - expected).max() < 1e-4 * expected.std()
        assert float(taken) < 1.4, "twice what is promised of a quiet machine"


@pytest.mark.slow
def test_exported_files_need_onnx_runtime_alone(without_torch: Path, digits: Space, tmp_path: Path):
    export(digits, tmp_path / "e.onnx", part="encoder")
    np.save(tmp_path / "new.npy", DIGITS[1000:1010])
    code = """
import sys, numpy as np, onnxruntime
(z,) = onnxruntime.InferenceSession(sys.argv[1]).run(None, {"pixels": np.load(sys.argv[2])})
np.save(sys.argv[3], z)
print("latentspace" in sys.modules)
"""
    said = alone(without_torch, code, tmp_path / "e.onnx", tmp_path / "new.npy", tmp_path / "z.npy")
    assert said == "False"
    assert np.abs(np.load(tmp_path / "z.npy") - digits.encode(DIGITS[1000:1010])).max() < 1e-4


def test_an_untrained_half_would_not_pass(digits: Space):
    learnt = digits.learnt()
    rng = np.random.default_rng(0)
    for name, weight in learnt.weights.items():
        learnt.weights[name] = rng.normal(0, 0.1, weight.shape).astype(np.float32)
    z = run(whole(learnt, "encoder"), {"pixels": DIGITS[:50]})["latents"]
    assert np.abs(z - digits.encode(DIGITS[:50])).max() > 0.5
