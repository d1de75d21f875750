"""One half alone: do exported graphs give what torch and NumPy give, on every open set, and how fast are they?

    python benchmarks/exporting.py agree [FOLDER] [WORD]   all sets whose path holds the word
    python benchmarks/exporting.py speed                   784 → 64 against the matrix products alone

Each set is fitted for two epochs on a part of its items; its encoder, decoder and scorer are exported; ONNX Runtime
gets the user's own columns, pixels, windows or vectors of others. Printed is the largest difference: of latents and
decoded numbers as a share of their spread; of decoded whole numbers and categories as a share of cells that differ;
of the surprise as it is, beside the difference that float32 and float64 make in NumPy (a distance of nearly 0 is
nothing but rounding); of p-values in ranks.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import latentspace
from latentspace.data.sources import read_items
from latentspace.errors import LatentspaceError
from latentspace.graphs.parts import whole
from latentspace.graphs.runtime import session
from latentspace.models.anomaly import Scorer

MOST = 3000


def feeds(modality: Any, items: Any, card: dict[str, Any]) -> dict[str, Any]:
    """What the graph's inputs are given: the items' own values."""
    named = {one["name"]: one for one in card["inputs"] if one["name"] != "alpha"}
    if modality.name == "image":
        pixels = np.moveaxis(modality._own(items).pixels, 3, 1)
        from latentspace.data._pictures import arranged

        return {"pixels": np.ascontiguousarray(arranged(pixels, modality.layout))}
    if modality.name == "signal":
        windows = items.values.samples.astype(np.float64)
        return {"windows": windows.transpose(0, 2, 1) if modality.form == "ntc" else windows}
    table = modality.told(items) if modality.name == "table" else None
    if modality.name == "vectors" or ("x" in named and "columns" in named["x"]):
        values = items.values if isinstance(items.values, np.ndarray) else np.asarray(items.values)
        return {next(iter(named)): values.astype(np.float64)}
    return {name: column(table[name], words) for name, words in named.items()}


def column(values: Any, words: dict[str, Any]) -> Any:
    """A pyarrow column as the tensor that the graph's card asks for."""
    if words["type"] == "string":
        return np.array(["" if v is None else str(v) for v in values.to_pylist()], object)[:, None]
    if words["type"] == "int64":
        unit = words["unit"].split()[0]
        return values.to_numpy().astype(f"datetime64[{unit}]").astype(np.int64)[:, None]
    return np.array([np.nan if v is None else float(v) for v in values.to_pylist()], np.float64)[:, None]


def card_of(model: Any) -> dict[str, Any]:
    return json.loads(model.metadata_props[0].value)


def fitted_on(source: str) -> tuple[Any, Any]:
    """A space fitted for two epochs on three fifths of a source, its scorer calibrated on one, and the last fifth."""
    modality, items = read_items(source)
    order = np.random.default_rng(0).permutation(len(items))[:MOST]
    learn, calibrate, unseen = (
        np.sort(rows) for rows in np.split(order, [6 * len(order) // 10, 8 * len(order) // 10])
    )
    model = latentspace.Autoencoder(epochs=2, random_state=0)
    model.fit_items(modality, modality.take(items, learn))
    scorer = Scorer.fit(
        *modality.transform(modality.take(items, learn)), *modality.transform(modality.take(items, calibrate))
    )
    space = latentspace.Space(
        model, np.arange(1), np.zeros((1, model.latent_dim_), np.float32), scorer=scorer
    )
    return space, modality.take(items, unseen)


def agreement(source: str) -> dict[str, Any]:
    """The largest differences on the unseen items of a source."""
    fitted, items = fitted_on(source)
    modality = fitted.modality
    found: dict[str, Any] = {"kind": modality.name, "items": len(items)}
    if modality.name == "image" and items.values.boxes is not None:
        full = (items.values.boxes[:, 2:] == np.array(modality.shape[1:])).all(axis=1)
        found["letterboxed"] = int((~full).sum())
        if not full.any():
            return found
        items = modality.take(items, np.flatnonzero(full))
    learnt = fitted.learnt()
    model = whole(learnt, "encoder")
    given = feeds(modality, items, card_of(model))
    z = fitted.encode(items)
    ours = session(model).run(None, given)[0]
    found["latents"] = float(np.abs(ours - z).max() / z.std())
    model = whole(learnt, "decoder")
    numbers, whole_numbers, texts = decoded(
        fitted, session(model).run(None, {"latents": z}), card_of(model), z
    )
    found |= {"numbers": numbers, "whole": whole_numbers, "texts": texts}
    x, observed = modality.transform(items)
    score, p, _ = session(whole(learnt, "scorer")).run(None, given)
    # an item that is in the pile twice would be recognised; in a graph every item is new
    fitted.scorer.pile = fitted.scorer.pile[:0]
    theirs, theirs_p = fitted.scorer.judge(x, observed)
    finer, _ = fitted.scorer.judge(x.astype(np.float64), observed)
    found["surprise"] = float(np.abs(score - theirs).max())
    found["rounding"] = float(np.abs(finer - theirs).max())
    found["p_value"] = float((np.abs(p - theirs_p) * (fitted.scorer.n_calibration + 1)).max())
    return found


def decoded(fitted: Any, outputs: list[Any], card: dict[str, Any], z: Any) -> tuple[float, float, float]:
    """Largest difference of numbers by their spread, shares of whole numbers and of other cells that differ.

    Where a whole number (a date's second) lies in the middle it may be rounded the other way: that is no difference.
    """
    value = fitted.decode(z)
    if isinstance(value, np.ndarray):
        theirs = [value]
    else:
        import narwhals as nw

        frame = nw.from_native(value, eager_only=True)
        theirs = [frame.get_column(one["name"].removesuffix("_") if one["name"] not in frame.columns else one["name"])
                  for one in card["outputs"]]  # fmt: skip
        if len(card["outputs"]) == 1 and card["outputs"][0]["name"] == "vectors":
            theirs = [np.asarray(frame.to_numpy())]
        theirs = [
            t if isinstance(t, np.ndarray) else cells(t, one)
            for t, one in zip(theirs, card["outputs"], strict=True)
        ]
    numbers, whole_numbers, texts = 0.0, 0.0, 0.0
    for ours, other in zip(outputs, theirs, strict=True):
        ours = ours.reshape(other.shape)
        ours = ours.astype(other.dtype) if other.dtype == np.float16 else ours
        if other.dtype.kind in "fiu" and ours.dtype.kind in "fiu":
            spread = float(np.std(other.astype(float))) or 1.0
            far = np.abs(ours.astype(float) - other.astype(float))
            step = 1.0 if other.dtype.kind in "iu" else 0.0
            numbers = max(numbers, float(np.maximum(far - step, 0).max() / spread))
            whole_numbers = max(whole_numbers, float((far > 0).mean()) if step else 0.0)
        else:
            texts = max(texts, float((ours != other).mean()))
    return numbers, whole_numbers, texts


def cells(series: Any, words: dict[str, Any]) -> Any:
    if words["type"] == "int64" and "unit" in words:
        values = series.to_arrow()
        values = values.combine_chunks() if hasattr(values, "combine_chunks") else values
        return (
            values.to_numpy(zero_copy_only=False)
            .astype(f"datetime64[{words['unit'].split()[0]}]")
            .astype(np.int64)
        )
    if words["type"] == "string":
        return np.array([str(v) for v in series.to_list()], object)
    array = series.to_numpy()
    if array.dtype.kind == "O":  # numbers that were text
        array = np.array([float(str(v).replace(",", ".")) for v in array])
    return array


def sources(folder: Path, word: str) -> list[Path]:
    files = [
        p for p in sorted(folder.rglob("*"))
        if p.suffix in (".npz", ".parquet") and word in str(p)
    ]  # fmt: skip
    return files + [p for p in sorted((folder / "images").iterdir()) if p.is_dir() and word in str(p)]


def agree(folder: Path, word: str) -> None:
    titles = (
        "set | kind | items | latents | numbers | rounded otherwise | other cells | surprise | rounding | p"
    )
    print(f"| {titles} |")
    print("|" + " --- |" * (titles.count("|") + 1))
    for path in sources(folder, word):
        name = str(path.relative_to(folder))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                f = agreement(str(path))
        except LatentspaceError as refusal:
            print(f"| {name} | not read by `fit`: {str(refusal)[:80]} |", flush=True)
            continue
        except Exception as failure:
            print(f"| {name} | FAILED {type(failure).__name__}: {str(failure)[:200]} |", flush=True)
            continue
        words = [f"{f[key]:.1e}" if key in f else "" for key in ("latents", "numbers", "whole", "texts")]
        more = [f"{f[key]:.1e}" if key in f else "" for key in ("surprise", "rounding", "p_value")]
        aside = f" ({f['letterboxed']} letterboxed left out)" if "letterboxed" in f else ""
        first = f"| {name} | {f['kind']} | {f['items']}{aside} | {' | '.join(words)}"
        print(f"{first} | {' | '.join(more)} |", flush=True)


def speed(rounds: int = 15) -> None:
    """784 → 64, 10,000 items: ONNX Runtime and torch beside the three matrix products alone, one thread."""
    import torch

    from latentspace.graphs.parts import core
    from latentspace.graphs.runtime import rounded

    torch.set_num_threads(1)
    x = np.random.default_rng(0).normal(size=(10_000, 784)).astype(np.float32)
    fitted = latentspace.Autoencoder(64, hidden=(256, 128), epochs=1, modality="vectors", random_state=0).fit(
        x
    )
    space = latentspace.Space(fitted, np.arange(1), fitted.encode(x[:1]))
    learnt = space.learnt()
    model = core(learnt, "encoder")
    exact, small = session(model, 1), session(rounded(model), 1)
    weights = learnt.half("encoder")
    shapes = [weights["first.weight"].T, weights["middle.0.weight"].T, weights["last.weight"].T]
    outs = [np.empty((1000, w.shape[1]), np.float32) for w in shapes]
    ins = [np.ones((1000, w.shape[0]), np.float32) for w in shapes]

    def products() -> None:
        for _ in range(10):
            for a, w, out in zip(ins, shapes, outs, strict=True):
                np.matmul(a, w, out=out)

    def torch_products() -> None:
        ready = [(torch.from_numpy(a), torch.from_numpy(np.ascontiguousarray(w)), torch.from_numpy(o))
                 for a, w, o in zip(ins, shapes, outs, strict=True)]  # fmt: skip
        for _ in range(10):
            for a, w, out in ready:
                torch.mm(a, w, out=out)

    def by(ready: Any) -> Any:
        return lambda: [ready.run(None, {"x": x[i : i + 1000]}) for i in range(0, len(x), 1000)]

    ways = {
        "matrix products alone (NumPy)": products,
        "matrix products alone (torch)": torch_products,
        "ONNX Runtime": by(exact),
        "ONNX Runtime, 8-bit weights": by(small),
        "torch (Space.encode)": lambda: fitted.encode(x),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            times[name].append(time.process_time() - start)
    best = min(min(times[name]) for name in list(ways)[:2])
    limit = min(statistics.median(times[name]) for name in list(ways)[:2])
    for name, taken in times.items():
        print(f"{name:32} {1e6 * min(taken) / len(x):6.2f} µs an item, {best / min(taken):.2f} of the limit "
              f"(median {limit / statistics.median(taken):.2f})")  # fmt: skip


if __name__ == "__main__":
    what, *rest = sys.argv[1:] or ["agree"]
    if what == "speed":
        speed()
    else:
        agree(Path(rest[0] if rest else "../shared/data"), rest[1] if len(rest) > 1 else "")
