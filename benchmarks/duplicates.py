"""Near-duplicates put into real pictures: are they found, and what else is called the same?

    python benchmarks/duplicates.py DATA_FOLDER [--seeds 0 1 2] [--items 5000] [--out FOLDER]

Into Fashion-MNIST pictures go 100 copies of each kind: exact; with noise of 1 % of the range; brightened by 5
%; through JPEG at quality 50; shifted by one pixel. Each copy is of a picture of its own.
`latentspace.jobs.duplicates` groups them by the latents of a space fitted on all of them, with its defaults;
the same rule is given PCA at the same size and the pixels. "Found": the copy and its original are in one
group. "Others": items that would be dropped and were not put in; Fashion-MNIST has real near-duplicates, so
these are not all mistakes. Each method is shown with the share that it chooses itself and, to compare like
with like, with the largest share at which at most OTHERS others are dropped. CPU seconds are of the grouping
alone. Rows go to OUT/duplicates.csv, the table to OUT/duplicates.md.
"""

from __future__ import annotations

import argparse
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

KINDS, EACH, OTHERS = ("exact", "noise", "brighter", "JPEG", "shifted"), 100, 25
SHARES = np.round(np.arange(0.02, 1.0, 0.02), 2)


def copy(picture: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """(28, 28) bytes that look the same."""
    from PIL import Image

    match kind:
        case "noise":
            return np.clip(np.rint(picture + rng.normal(0, 2.55, picture.shape)), 0, 255).astype(np.uint8)
        case "brighter":
            return np.clip(np.rint(picture * 1.05), 0, 255).astype(np.uint8)
        case "JPEG":
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "JPEG", quality=50)
            return np.asarray(Image.open(file))
        case "shifted":
            return np.roll(picture, 1, axis=1)
    return picture


def planted(folder: Path, items: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (n, 28, 28), the row that each of the last ones is a copy of)."""
    with np.load(folder / "images/fashion_mnist_20k.npz") as d:
        rng = np.random.default_rng(seed)
        x = d["X_train"][rng.permutation(len(d["X_train"]))[:items]].reshape(-1, 28, 28)
    of = rng.permutation(items)[: EACH * len(KINDS)]
    copies = [copy(x[row], KINDS[i // EACH], rng) for i, row in enumerate(of)]
    return np.concatenate([x, np.stack(copies)]), of


def judged(groups: list[Any], of: np.ndarray, n: int) -> dict[str, float]:
    """Shares of each kind found, precision, and how many others would be dropped."""
    group = np.full(n + len(of), -1)
    for number, each in enumerate(groups):
        group[[each.first, *each.others]] = number
    found = (group[n:] >= 0) & (group[n:] == group[of])
    dropped = sum(len(each.others) for each in groups)
    right = int(found.sum())
    row = {kind: found[i * EACH : (i + 1) * EACH].mean() for i, kind in enumerate(KINDS)}
    return row | {"others": dropped - right, "precision": right / max(1, dropped)}


def measure(folder: Path, items: int, seed: int) -> list[dict[str, Any]]:
    """A row a method and share."""
    from sklearn.decomposition import PCA

    from latentspace import fit
    from latentspace.jobs._duplicate_groups import groups_of
    from latentspace.space.index import Index

    x, of = planted(folder, items, seed)
    space = fit(x, seed=seed)
    flat = x.reshape(len(x), -1).astype(np.float32) / 255
    k = space.latents.shape[1]
    views = {
        f"latents ({k})": space.latents,
        f"PCA ({k})": PCA(k, random_state=seed).fit_transform(flat),
        "pixels (784)": flat,
    }
    rows = []
    for name, z in views.items():
        index = Index(z)
        start = time.process_time()
        groups, share = groups_of(z, index, None)
        spent = time.process_time() - start
        head = {"seed": seed, "method": name.split(" (")[0], "numbers": z.shape[1]}
        rows.append(head | {"share": share, "chosen": "by itself", **judged(groups, of, items), "cpu": spent})
        best: dict[str, Any] = {}
        for share in SHARES:
            found = judged(groups_of(z, index, float(share))[0], of, items)
            if found["others"] > OTHERS:
                break
            best = head | {"share": share, "chosen": f"{OTHERS} others", **found, "cpu": spent}
        rows += [best] if best else []
    return rows


def markdown(rows: pd.DataFrame) -> str:
    """Means over seeds, with the least and the most."""
    columns = [*KINDS, "precision", "others", "share", "cpu"]
    lines = [f"| | share chosen | {' | '.join(columns)} |", "|" + "---|" * (len(columns) + 2)]
    for (method, chosen), part in rows.groupby(["method", "chosen"], sort=False):
        cells = [f"{part[c].mean():.3g} ({part[c].min():.3g} to {part[c].max():.3g})" for c in columns]
        lines.append(f"| {method} | {chosen} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        rows += measure(options.data, options.items, seed)
        pd.DataFrame(rows).to_csv(options.out / "duplicates.csv", index=False)
        print(markdown(pd.DataFrame(rows)), flush=True)
    (options.out / "duplicates.md").write_text(markdown(pd.DataFrame(rows)) + "\n")


if __name__ == "__main__":
    main()
