"""Held-out reconstruction error beside PCA's, over every set of a data folder.

Run as ``python benchmarks/reconstruction.py DATA_FOLDER [--out FOLDER]``; see benchmarks/README.md.

Each set is read as a user would (``read_items(path)``), a fifth of its items is held out the way the report does
it (whole series, or stretches, of signals), and the modality, our model with its defaults and PCA are fitted to
the rest. The figure is the mean squared error of the held-out items on the encoded scale, where the spread of
the data is about 1; gaps do not count. One line a cell, written at once to reconstruction.csv: what is
there already is not measured again.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from latentspace.data.base import Items, Modality
from latentspace.data.files import FRAME_SUFFIXES
from latentspace.data.sources import read_items
from latentspace.errors import LatentspaceError
from latentspace.jobs._holdout import hold_out
from latentspace.likelihoods import Gaussian
from latentspace.models.autoencoder import Autoencoder
from latentspace.rivals.pca import PCA

SIZES = (2, 8, 32)
HELD_OUT = 0.2
DRAWS = 1000
#: errors this close, relative to PCA's and to a spread of 1, count as equal
TOLERANCE, FLOOR = 1e-4, 1e-9
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
FILES = {*FRAME_SUFFIXES, ".npy", ".npz", ".wav"}
#: columns that are labels, by the file's name without its ending
LABELS = {
    "adult": ("income",),
    "ai4i2020": ("Machine failure", "TWF", "HDF", "PWF", "OSF", "RNF"),
    "ames_housing": ("Sale_Price",),
    "cell_segmentation": ("case", "class"),
    "credit_data": ("Status",),
    "meats_nir_spectra": ("water", "fat", "protein"),
    "penguins": ("species",),
    "titanic": ("survived",),
    "wine_quality": ("quality", "color"),
}


# --- the sets ----------------------------------------------------------------------------------------------


def find_sets(folder: Path) -> Iterator[Path]:
    """Every data file under `folder`, and every folder that holds pictures itself."""
    inside = sorted(folder.iterdir())
    if any(path.suffix.lower() in PICTURES for path in inside):
        yield folder
        return
    for path in inside:
        if path.is_dir():
            yield from find_sets(path)
        elif path.suffix.lower() in FILES:
            yield path


def patches(pictures: list[np.ndarray], side: int) -> np.ndarray:
    """(n, side, side, ...) squares that tile each picture; what is left over at the edges is dropped."""
    pieces = []
    for picture in pictures:
        rows, columns = (length // side for length in picture.shape[:2])
        cut = picture[: rows * side, : columns * side].reshape(rows, side, columns, side, *picture.shape[2:])
        pieces.append(cut.swapaxes(1, 2).reshape(rows * columns, side, side, *picture.shape[2:]))
    return np.concatenate(pieces)


def relief(path: Path) -> np.ndarray:
    """The map as tiles of 20 x 20 points."""
    return patches([np.load(path, allow_pickle=False)["relief_m"]], 20)


def climate(path: Path) -> np.ndarray:
    """Each point of the sea: its year, six variables by twelve months."""
    arrays = np.load(path, allow_pickle=False)
    years = np.concatenate([arrays[name].reshape(12, -1) for name in arrays.files]).T
    return years[np.isfinite(years).any(axis=1)]


def photographs(path: Path) -> np.ndarray:
    """Large photographs as tiles of 16 x 16 pixels."""
    from PIL import Image

    return patches([np.asarray(Image.open(file).convert("RGB")) for file in sorted(path.iterdir())], 16)


#: sets that need a step before they are items
PREPARED: dict[str, Callable[[Path], np.ndarray]] = {
    "etopo20_relief": relief,
    "coads_climatology": climate,
    "kodak": photographs,
}


def read(path: Path, most: int) -> tuple[Modality, Items]:
    """The items of a set, at most `most` of them, drawn at random."""
    name = path.stem
    source = PREPARED[name](path) if name in PREPARED else path
    modality, items = read_items(source, labels=LABELS.get(name, ()))
    if len(items) > most:
        rows = np.sort(np.random.default_rng(0).permutation(len(items))[:most])
        items = modality.take(items, rows)
    return modality, items


# --- one cell ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One set at one size and seed: held-out mean squared errors, and the 95 % interval of ours - PCA."""

    set: str
    kind: str
    items: int
    shape: str
    latents: int
    seed: int
    pca: float
    ours: float
    low: float
    high: float
    pca_kept: bool
    seconds: float

    @property
    def ratio(self) -> float:
        """Ours over PCA; 1 where both are zero."""
        return (self.ours + FLOOR) / (self.pca + FLOOR)

    @property
    def no_worse(self) -> bool:
        """Whether ours is at or below PCA, within the tolerance of float32."""
        return self.ours <= self.pca * (1 + TOLERANCE) + FLOOR

    def line(self) -> str:
        """As printed."""
        mark = "" if self.no_worse else "  WORSE" if self.low > 0 else "  worse, by chance"
        kept = "  PCA kept" if self.pca_kept else ""
        return (
            f"{self.set:<46.46} {self.kind:<8} {self.items:>6} x {self.shape:<10} {self.latents:>3} latents "
            f"seed {self.seed}  PCA {self.pca:.5f}  ours {self.ours:.5f}  ratio {self.ratio:.3f}  "
            f"[{self.low:+.5f}, {self.high:+.5f}]{kept}{mark}  {self.seconds:.1f} s"
        )


def per_item(squares: np.ndarray, observed: np.ndarray | None) -> np.ndarray:
    """(n,) mean squared error of each item over its observed elements; items without any are left out."""
    squares = squares.reshape(len(squares), -1)
    if observed is None:
        return squares.mean(axis=1, dtype=np.float64)
    seen = observed.reshape(squares.shape)
    count = seen.sum(axis=1)
    total = np.where(seen, squares, 0).sum(axis=1, dtype=np.float64)
    return total[count > 0] / count[count > 0]


def interval(difference: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, over items."""
    rng = np.random.default_rng(seed)
    means = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(DRAWS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def kind_of(modality: Modality) -> str:
    """The modality's name; "mixed" for a table that is not all numbers."""
    return modality.name if isinstance(modality.likelihood, Gaussian) else "mixed"


def measure(name: str, modality: Modality, fit_to: Items, held_out: Items, size: int, seed: int) -> Cell:
    """Fit ours and PCA at `size` latents and compare them on the held-out items."""
    began = time.perf_counter()
    model = Autoencoder(latent_dim=size, random_state=seed).fit_items(modality, fit_to)
    seconds = time.perf_counter() - began
    x, observed = modality.transform(held_out)
    ours = per_item(model.errors(x), observed)
    rival = PCA(random_state=seed).fit(modality.transform(fit_to)[0], size)
    pca = per_item(np.square(rival.reconstruct(x) - x), observed)
    low, high = interval(ours - pca, seed)
    shape = "x".join(map(str, modality.shape))
    kept = model.history_.kept_start
    return Cell(
        name,
        kind_of(modality),
        len(fit_to) + len(held_out),
        shape,
        size,
        seed,
        float(pca.mean()),
        float(ours.mean()),
        low,
        high,
        kept,
        round(seconds, 2),
    )


def cells(path: Path, name: str, seeds: int, most: int, known: set[tuple[str, int, int]]) -> Iterator[Cell]:
    """The cells of one set that are not `known`; sizes at or above the number of columns or items are left out."""
    if all((name, size, seed) in known for size in SIZES for seed in range(seeds)):
        return
    modality, items = read(path, most)
    for seed in range(seeds):
        fit_rows, held_out_rows = hold_out(items, HELD_OUT, seed)
        if not len(held_out_rows):
            raise ValueError(f"too few items ({len(items)})")
        fit_to, held_out = modality.take(items, fit_rows), modality.take(items, held_out_rows)
        modality.fit(fit_to)
        width = min(int(np.prod(modality.shape)), len(fit_rows))
        for size in SIZES:
            if size < width and (name, size, seed) not in known:
                yield measure(name, modality, fit_to, held_out, size, seed)


# --- all cells ---------------------------------------------------------------------------------------------


def load(path: Path) -> list[Cell]:
    """Cells measured before, from the CSV."""
    if not path.exists():
        return []
    kinds = {f.name: f.type for f in fields(Cell)}
    read_as = {int: int, float: float, str: str, bool: lambda text: text == "True"}
    with path.open(newline="") as file:
        return [
            Cell(**{k: read_as[kinds[k]](row[k]) for k in kinds})  # type: ignore[index]
            for row in csv.DictReader(file)
        ]


def append(path: Path, cell: Cell) -> None:
    """One more row of the CSV, with its head where the file is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow([*asdict(cell), "ratio"])
        writer.writerow([*asdict(cell).values(), round(cell.ratio, 6)])


def summary(title: str, chosen: list[Cell]) -> list[str]:
    """How often ours is at or below PCA, and by how much, in sentences."""
    if not chosen:
        return []
    ratios = np.array([cell.ratio for cell in chosen])
    good = sum(cell.no_worse for cell in chosen)
    clear = sum(not cell.no_worse and cell.low > 0 for cell in chosen)
    worst = chosen[int(ratios.argmax())]
    lines = [
        f"{title}: ours <= PCA in {good} of {len(chosen)} cells; above it beyond chance in {clear}.",
        f"  mean ratio {ratios.mean():.3f}, median {np.median(ratios):.3f}, "
        f"worst {ratios.max():.3f} ({worst.set}, {worst.latents} latents, seed {worst.seed}); "
        f"PCA kept in {sum(cell.pca_kept for cell in chosen)}.",
    ]
    for size in SIZES:
        at = [cell.ratio for cell in chosen if cell.latents == size]
        if at:
            lines.append(
                f"  {size} latents: mean ratio {np.mean(at):.3f}, worst {max(at):.3f}, {len(at)} cells"
            )
    return lines


def markdown(done: list[Cell], lines: list[str], left_out: list[str]) -> str:
    """The whole table, the cells where PCA is better, and what was left out."""
    head = (
        "| set | kind | items | shape | latents | seed | PCA | ours | ratio | 95 % of ours - PCA | PCA kept |"
    )
    rows = [head, "|" + " --- |" * 11]
    for c in sorted(done, key=lambda c: (c.kind == "mixed", c.kind, c.set, c.latents, c.seed)):
        ratio = f"{c.ratio:.3f}" if c.no_worse else f"**{c.ratio:.3f}**"
        rows.append(
            f"| {c.set} | {c.kind} | {c.items:,} | {c.shape} | {c.latents} | {c.seed} | {c.pca:.5f} | {c.ours:.5f} "
            f"| {ratio} | {c.low:+.5f} to {c.high:+.5f} | {'yes' if c.pca_kept else ''} |"
        )
    parts = ["# Held-out reconstruction error, ours beside PCA", *lines]
    parts += ["Left out: " + "; ".join(left_out) + "."] if left_out else []
    return "\n\n".join(parts) + "\n\n" + "\n".join(rows) + "\n"


def main() -> None:
    """Measure what is not yet measured, print a line a cell and the summary, write CSV and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder for the tables")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="sets whose name contains this")
    parser.add_argument("--max-items", type=int, default=20_000)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table, left_out = options.out / "reconstruction.csv", []
    done = load(table)
    if done:
        print(f"{len(done)} cells were measured before; delete {table} to measure them again.")
    known = {(cell.set, cell.latents, cell.seed) for cell in done}
    for path in find_sets(options.data):
        name = path.relative_to(options.data).with_suffix("").as_posix()
        if options.only not in name:
            continue
        try:
            for cell in cells(path, name, options.seeds, options.max_items, known):
                append(table, cell)
                done.append(cell)
                print(cell.line(), flush=True)
        except (LatentspaceError, ValueError) as error:
            left_out.append(f"{name} ({str(error).rstrip('.')})")
            print(f"{name:<46.46} left out: {error}", flush=True)
    numbers = [cell for cell in done if cell.kind != "mixed"]
    lines = summary("Numbers, pictures, signals and vectors", numbers)
    lines += summary(
        "Mixed tables (squared error of expected values)", [c for c in done if c.kind == "mixed"]
    )
    print("\n".join(["", *lines, *(f"left out: {entry}" for entry in left_out)]))
    (options.out / "reconstruction.md").write_text(markdown(done, lines, left_out))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # what is noticed about each set is in its notes
    main()
