"""Bytes of an archive beside the well-kept ways: within a bound, bit for bit, and pictures at 20 dB.

    OMP_NUM_THREADS=1 python benchmarks/compression.py DATA_FOLDER [--fashion PATH] [--install-peers]
        [--tasks bounded exact pictures psnr] [--sets NAME ...] [--bounds .01 .001 .0001] [--seeds 0 1 2]
        [--methods NAME ...] [--levels default max] [--rivals-only] [--out FOLDER]

Ours is `latentspace.compress(file, archive)` and `decompress`, from a file to a file; the size is the archive's,
model and all. It is decoded from the file and compared. Rivals get the same numbers in memory and count nothing but
their streams (no names, no types): settings are searched (packers.py, picture_packers.py), every result is decoded
and compared, and what is out of bounds is not shown. What is not installed is named.

bounded   every number within a share of its column's (array's) range; text is kept, by the same way for every rival.
exact     tables, recordings and sound bit for bit.
pictures  bit for bit; a folder's are compared pixel by pixel. Bits are a sample's: a colour pixel has three.
psnr      Fashion-MNIST at 20 dB (mean squared error over all pixels of all pictures on 0..1). Ours with a space
          fitted on the same pictures, network counted; AVIF, JPEG XL, WebP, JPEG 2000 in mosaics, PCA, basis counted.

--fashion PATH: the 60,000 training pictures too (a folder of Debian's dataset-fashion-mnist, or the IDX file). One
thread. Sizes of rivals depend on nothing; ours on the seed: all seeds are run, the table has mean and range. Speeds
are of decoding, in megabytes of the raw numbers a second, and mind company.

Rows are appended to OUT/compression.csv as they come; rows already there are not repeated. OUT/compression.md has
tables.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import lossy_packers
import numpy as np
import packed_levels
import packed_sets as sets
import packers
import pandas as pd
import picture_packers
from packed_levels import Packed
from packed_sets import Case

OURS = "latentspace"
TASKS = {"bounded": sets.BOUNDED, "exact": sets.EXACT, "pictures": sets.PICTURES, "psnr": ("fashion_mnist",)}
PSNR, SIXTY = 20.0, "fashion_mnist_60k"
#: those that cost hours and gain nothing on more pictures than this
MOST = {"JPEG XL, effort 9, one by one": 5_000, "WebP, one by one": 5_000, "PNG, one by one": 5_000}
FIELDS = (
    "task",
    "set",
    "target",
    "method",
    "seed",
    "bytes",
    "bits",
    "raw",
    "packing",
    "unpacking",
    "worst",
    "how",
)
PEERS = ("pcodec", "pysz", "zfpy", "zstandard", "imagecodecs", "pillow", "soundfile", "constriction", "numpy")

Row = dict[str, Any]
Run = Callable[[], Row]


# --- rivals ----------------------------------------------------------------------------------------------------


@cache
def bounds_of(case: Case, share: float) -> tuple[float, ...]:
    """The largest error of each part."""
    spans = [np.nanmax(part) - np.float64(np.nanmin(part)) for part in case.parts.values()]
    return tuple(float(share * span) for span in spans)


@cache
def words_bytes(case: Case) -> int:
    return sum(packers.words_size(words) for words in case.words.values())


def rivals(task: str, case: Case) -> dict[str, Callable[[float], Packed]]:
    """Everyone by name; called with the bound as a share of the range, or the decibels."""
    parts = list(case.parts.values())
    if task == "psnr":
        return {name: lambda db, m=method: m(parts[0], db) for name, method in lossy_packers.PSNR.items()}
    if task == "bounded":
        named = {name: packers.NUMBERS[name] for name in packers.BOUNDED}
        return {
            name: lambda share, m=method: m(parts, list(bounds_of(case, share)))
            for name, method in named.items()
        }
    named = {name: packers.NUMBERS[name] for name in packers.EXACT}
    if task == "pictures":
        numbers = {name: named[name] for name in ("pcodec", "xz", "zstd") if case.form == "pictures"}
        named = picture_packers.LOSSLESS | numbers
    return {name: lambda _, m=method: m(parts, None) for name, method in named.items()}


def rival(task: str, case: Case, target: float, method: str) -> Row:
    """A rival's row; what it decodes to is compared here."""
    run = rivals(task, case)[method]
    start = time.perf_counter()
    packed = run(target)
    packing = time.perf_counter() - start
    start = time.perf_counter()
    made = packed.unpack()
    unpacking = time.perf_counter() - start
    return sized(case, packed.size + words_bytes(case)) | {
        "packing": packing,
        "unpacking": unpacking,
        "worst": compared(task, case, target, made),
        "how": packed.how,
    }


def sized(case: Case, size: int) -> Row:
    return {"bytes": size, "bits": size * 8 / case.values, "raw": case.raw}


def compared(task: str, case: Case, target: float, made: list[Any]) -> float:
    """The largest error as a share of what is allowed, or the decibels reached; ValueError if out of bounds."""
    parts = list(case.parts.values())
    if task == "psnr":
        reached = lossy_packers.psnr(parts[0], made[0])
        if reached < target - 0.0005:
            raise ValueError(f"{reached:.3f} dB")
        return reached
    each = bounds_of(case, target) if task == "bounded" else (None,) * len(parts)
    for name, x, y, bound in zip(case.parts, parts, made, each, strict=True):
        if not packed_levels.within(x, np.asarray(y), bound):
            raise ValueError(f"{name} did not come back as promised")
    if task != "bounded":
        return 0.0
    return max(packed_levels.worst(x, y) / b if b else 0.0 for x, y, b in zip(parts, made, each, strict=True))


# --- ours ------------------------------------------------------------------------------------------------------


def ours(task: str, case: Case, target: float, level: str, seed: int) -> Row:
    """From a file to a file and back."""
    import latentspace
    from latentspace.jobs.decompress import decompress

    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        data = case.write(there)
        archive = there / "archive.lsz"
        how: dict[str, Any] = {"seed": seed}
        if task == "psnr":
            start = time.perf_counter()
            how |= {"quality": target, "space": space_of(data, seed)}
            fitting = time.perf_counter() - start
        else:
            how |= {"level": level}
            if task == "bounded":
                how["max_error"] = f"{target * 100:g}%"
        start = time.perf_counter()
        said = latentspace.compress(data, archive, **how).summary
        packing = time.perf_counter() - start
        start = time.perf_counter()
        out = there / ("back" if case.form == "folder" else f"back{data.suffix}")
        decompress(archive, out)
        unpacking = time.perf_counter() - start
        if task == "psnr":
            said = f"fitted in {fitting:.0f} s. {said}"
        return sized(case, archive.stat().st_size) | {
            "packing": packing,
            "unpacking": unpacking,
            "worst": compared(task, case, target, read(case, out)),
            "how": " ".join(said.split()),
        }


def space_of(data: Path, seed: int) -> Any:
    import latentspace

    return latentspace.fit(data, data.parent / "fitted.space", seed=seed)


def read(case: Case, out: Path) -> list[np.ndarray]:
    """The parts of the file that `decompress` wrote."""
    if case.form == "folder":
        from PIL import Image

        made = []
        for name, part in case.parts.items():
            with Image.open(out / name) as picture:
                made.append(np.asarray(picture.convert("RGBA" if part.shape[-1] == 4 else "RGB")))
        return made
    if out.suffix == ".npy":
        return [np.load(out)]
    if out.suffix == ".npz":
        with np.load(out) as there:
            return [there[name] for name in case.parts]
    frame = pd.read_parquet(out)
    again = sets.table(case.name, frame)
    if again.words != case.words:
        raise ValueError("the text is another")
    return [again.parts[name] for name in case.parts]


# --- running ---------------------------------------------------------------------------------------------------


def cases(options: argparse.Namespace) -> Iterator[tuple[str, str, float]]:
    """(task, set, target)."""
    for task in options.tasks:
        names = [*sets.every(TASKS[task], options.data)]
        if options.fashion and task in ("pictures", "psnr"):
            names.insert(1, SIXTY)
        targets = {"bounded": options.bounds, "psnr": [PSNR]}.get(task, [0.0])
        for name in names:
            if not options.sets or name in options.sets:
                yield from ((task, name, target) for target in targets)


def few(case: Case, method: str) -> Case:
    """The first pictures alone, for methods that take each by itself."""
    if case.form != "pictures" or method not in MOST:
        return case
    return sets.arrays(
        case.name, {name: part[: MOST[method]] for name, part in case.parts.items()}, case.form
    )


def runs(options: argparse.Namespace, task: str, case: Case, target: float) -> dict[tuple[str, int], Run]:
    """Who is measured, by name and seed."""
    wanted: dict[tuple[str, int], Run] = {}
    for method in rivals(task, case):
        wanted[method, 0] = partial(rival, task, few(case, method), target, method)
    if not options.rivals_only:
        for level in ["20 dB"] if task == "psnr" else options.levels:
            for seed in options.seeds:
                wanted[f"{OURS}, {level}", seed] = partial(ours, task, case, target, level, seed)
    chosen = tuple(options.methods) or ("",)
    return {key: run for key, run in wanted.items() if key[0].startswith(chosen)}


def rows(options: argparse.Namespace, done: set[tuple[Any, ...]]) -> Iterator[Row]:
    """Rows that are not there yet, one at a time; a method that fails is named."""
    for task, name, target in cases(options):
        case = sets.load(name, options.data, sets.fashion(options.fashion))
        for (method, seed), run in runs(options, task, case, target).items():
            key = (task, name, target, method, seed)
            if key in done:
                continue
            try:
                row = run()
            except Exception as failure:
                print(f"{method} on {key[:3]}: {type(failure).__name__}: {str(failure)[:200]}", flush=True)
                continue
            yield dict(zip(FIELDS, key, strict=False)) | row


# --- what it says ----------------------------------------------------------------------------------------------


def spread(values: pd.Series, digits: int = 3) -> str:
    """Mean, and the range where there are several seeds."""
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def gain(part: pd.DataFrame, own: str) -> str:
    """Bytes of ours below the best rival's, in per cent: mean and range over seeds."""
    rivals = part[~part.method.str.startswith(OURS) & (part.raw == part.raw.max())]
    mine = part[part.method == own]
    if rivals.empty or mine.empty:
        return ""
    best = rivals.loc[rivals["bytes"].idxmin()]
    return f"{spread(100 * (1 - mine['bytes'] / best['bytes']), 1)} % below {best.method}"


def markdown(table: pd.DataFrame) -> str:
    """A table a set and target: bits, bytes, decoding speed; below, ours beside the best."""
    lines: list[str] = []
    for (task, name, target), part in table.groupby(["task", "set", "target"], sort=False):
        title = {"bounded": f"within {target:g} of the range", "psnr": f"at {target:g} dB"}.get(
            task, "bit for bit"
        )
        lines += [f"\n### {name}, {title}\n", "| | bits a value | bytes | decoding MB/s | how |"]
        lines += ["|---|--:|--:|--:|---|"]
        order = part.groupby("method", sort=False).bits.mean().sort_values().index
        for method in order:
            mine = part[part.method == method]
            speed = mine.raw.iloc[0] / 1e6 / mine.unpacking.median()
            only = "" if mine.raw.iloc[0] == part.raw.max() else f" (of {mine.raw.iloc[0]:,} bytes alone)"
            lines.append(
                f"| {method} | {spread(mine.bits)} | {mine['bytes'].mean():,.0f}{only} | {speed:.3g} "
                f"| {mine.how.iloc[0][:160]} |"
            )
        said = {own: gain(part, own) for own in order if own.startswith(OURS)}
        lines += [f"\n{own}: {words}." for own, words in said.items() if words]
    return "\n".join(lines)


def machine() -> str:
    """Processor, versions, company."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    said = []
    for peer in PEERS:
        try:
            said.append(f"{peer} {importlib.metadata.version(peer)}")
        except importlib.metadata.PackageNotFoundError:
            said.append(f"{peer} absent")
    return (
        f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, one thread; Python "
        f"{platform.python_version()}, {', '.join(said)}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--fashion", type=Path)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--sets", nargs="+", default=[])
    parser.add_argument("--bounds", type=float, nargs="+", default=[1e-2, 1e-3, 1e-4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--levels", nargs="+", default=["default"], choices=["fast", "default", "max"])
    parser.add_argument("--rivals-only", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--install-peers", action="store_true")
    options = parser.parse_args()
    if options.install_peers:
        from fit_speed import install_peers

        python = str(install_peers())
        os.execv(python, [python, __file__, *(word for word in sys.argv[1:] if word != "--install-peers")])
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_NUM_THREADS": "1"})
    warnings.simplefilter("ignore")
    print(machine(), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "compression.csv"
    done: set[tuple[Any, ...]] = set()
    if file.exists():
        there = pd.read_csv(file)
        done = set(there[["task", "set", "target", "method", "seed"]].itertuples(index=False, name=None))
    for row in rows(options, done):
        with file.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, FIELDS)
            if not handle.tell():
                writer.writeheader()
            writer.writerow(row)
        shown = [row[field] for field in ("task", "set", "target", "method", "seed")]
        print(*shown, f"{row['bits']:.4f} bits, {row['bytes']:,} bytes, {row['how'][:120]}", flush=True)
    if not file.exists():
        print("Nothing was measured.")
        return
    text = f"{machine()}\n{markdown(pd.read_csv(file))}"
    (options.out / "compression.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
