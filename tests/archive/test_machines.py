"""With what really learns: another process, other threads and rows read alone give the same numbers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from latentspace.archive.bounds import Bounds
from latentspace.archive.contents import content_of
from latentspace.archive.reading import Archive
from latentspace.archive.writing import write


def recording(n: int = 40_000) -> np.ndarray:
    """Two waves, one of which wavers, with noise of a few steps."""
    t = np.arange(n)
    noise = np.random.default_rng(0).normal(size=n)
    return 300 * np.sin(t / 9 + 3 * np.sin(t / 200)) + 200 * np.sin(t / 31) + 5 * noise


@pytest.mark.slow
def test_what_is_learnt_reads_the_same_everywhere(tmp_path: Path) -> None:
    x = recording()
    written = write(content_of(x), tmp_path / "a.lsz", bounds=Bounds("1"), threads=1, block=15_000)
    assert written.by_codec["ours"] > 0 and written.size < 0.98 * min(written.sizes.values())
    archive = Archive(tmp_path / "a.lsz")
    here = archive.read()
    assert np.abs(here - x).max() <= 1 and np.array_equal(archive[7000:7100], here[7000:7100])
    code = (
        "import sys, hashlib, numpy as np; from latentspace import Archive;"
        f"x = Archive({str(tmp_path / 'a.lsz')!r}).read();"
        "print(hashlib.sha256(x.tobytes()).hexdigest(), 'torch' in sys.modules)"
    )
    said = set()
    for threads in ("1", "2", "3"):
        environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        said.add(done.stdout.strip())
    assert said == {f"{hashlib.sha256(here.tobytes()).hexdigest()} False"}


@pytest.mark.slow
def test_a_file_of_format_1_still_opens() -> None:
    """Written once, decoded for ever: other arithmetic in the predictor needs a new version, and this one kept."""
    archive = Archive(Path(__file__).with_name("format-1.lsz"))
    assert archive.card["format"] == 1 and "predictor" in archive.card["sections"][0]
    found = archive.read()
    assert hashlib.sha256(found.astype("<f8").tobytes()).hexdigest() == (
        "4ebefada7829702f7813d4fa1057b22817a4c4f55b8d1e2f485f43b41d84c8b7"
    )
    assert np.abs(found - recording()).max() <= 2
