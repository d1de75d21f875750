"""What "auto" stands for: sizes derived from the data, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from latentspace.errors import OptionError

#: items up to this many values get a dense network; larger ones convolutions
DENSE_UP_TO = 16_384


def network_kind(shape: tuple[int, ...]) -> str:
    """ "dense" up to 16,384 values an item, else convolutions by the rank of `shape`.

    Measured (LOG.md, 2026-11-24): at equal CPU time dense networks reconstruct 28x28 to 64x64x3 pictures
    better than convolutions, since both start at PCA.

    >>> network_kind((3, 256, 256))
    'conv'
    """
    if int(np.prod(shape)) <= DENSE_UP_TO or len(shape) == 1:
        return "dense"
    return "conv" if len(shape) == 3 else "conv1d"


def batch_size(n: int) -> int:
    """A sixteenth of the items as a power of two, between 16 and 256."""
    return int(2 ** np.clip(np.round(np.log2(max(n, 1) / 16)), 4, 8))


def epochs(n: int, batch: int) -> int:
    """About 1,500 steps, but no fewer than 10 epochs and no more than 100."""
    return int(np.clip(1500 / max(1, n // batch), 10, 100))


def learning_rate(shape: tuple[int, ...]) -> float:
    """Adam's peak rate: 0.01 for up to 64 values an item, then falling with the root of their number."""
    return float(0.01 * min(1.0, (64 / np.prod(shape)) ** 0.5))


def threads(work: float, available: int) -> int:
    """Threads for a step of `work` multiply-adds: one where overhead rules, all for real matrix products."""
    return available if work > 2e7 else 1


@contextmanager
def limited_threads(work: float) -> Iterator[None]:
    """As many of torch's threads as pay for steps of `work` multiply-adds inside the block; as before after it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads(work, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device(name: str) -> str:
    """The device that "auto" finds: CUDA, then MPS, then the CPU; a name is returned as it is."""
    import torch

    if name != "auto":
        try:
            found = torch.device(name)
        except RuntimeError as e:
            raise OptionError(f"device must be 'auto', 'cpu', 'cuda' or 'mps', got {name!r}.") from e
        if found.type == "cuda" and not torch.cuda.is_available():
            raise OptionError(f"device is {name!r}, but torch finds no CUDA here: take 'auto' or 'cpu'.")
        return str(found)
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
