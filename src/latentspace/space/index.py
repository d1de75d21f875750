"""The nearest items of a space by their latents: all are compared, or where they are many, those of some cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import SpaceError
from latentspace.training.compared import Compared, faiss_library

Array = NDArray[Any]
Rows = NDArray[np.intp]
Metric = Literal["euclidean", "cosine", "mahalanobis"]

#: up to so many points all are compared with a query: a millisecond or two (LOG.md, 2026-11-26)
EXACT_UP_TO = 50_000
#: the share of the true 10 nearest that must be found, and the one that is aimed at
LEAST_RECALL, WANTED_RECALL = 0.98, 0.992
#: neighbours and points that the recall is measured with
MEASURED_K, MEASURED = 10, 1000
#: points that the cells are learnt from, for each cell
PER_CELL = 64


class Index:
    """Finds the nearest of some points by Euclidean distance.

    Up to EXACT_UP_TO points every query is compared with all. Beyond, the points are divided into cells around
    centres (k-means; Sivic and Zisserman 2003, Jégou et al. 2011), and a query is compared with those of the `probes`
    cells nearest to it; `recall` says what share of the true 10 nearest that finds, measured on the points.

    points : (n, d) float32; cells : None, or how they are divided.

    >>> index = Index(np.array([[0, 0], [3, 4], [1, 0]], "float32"))
    >>> rows, distances = index.nearest(np.zeros((1, 2), "float32"), 2)
    >>> rows.tolist(), distances.tolist()
    ([[0, 2]], [[0.0, 1.0]])
    """

    def __init__(self, points: Array, cells: Cells | None = None) -> None:
        self.points = np.ascontiguousarray(points, np.float32)
        self.cells = cells

    @classmethod
    def build(cls, points: Array, *, seed: int = 0, exact_up_to: int = EXACT_UP_TO) -> Index:
        """An index of points (n, d), with cells where there are many; they are made finer until few are missed."""
        index = cls(points)
        if len(points) > exact_up_to:
            index.cells = _divided(index.points, seed)
            index.measure(seed)
        return index

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def _all(self) -> Compared:
        return Compared(self.points)

    @property
    def recall(self) -> float:
        """The share of the true 10 nearest that is found; 1 where all points are compared."""
        return 1.0 if self.cells is None else self.cells.recall

    def describe(self) -> str:
        """How neighbours are found, in one sentence."""
        if self.cells is None:
            return "Neighbours are found by comparing all items."
        return (
            f"Neighbours are looked for in {self.cells.probes[MEASURED_K]:,} of {self.cells.count:,} cells of items, "
            f"which hold {100 * self.recall:.1f} % of the true {MEASURED_K} nearest."
        )

    def nearest(self, queries: Array, k: int, within: Rows | None = None) -> tuple[Rows, NDArray[np.float32]]:
        """(rows (q, k), distances (q, k)) of the k points nearest to queries (q, d), the nearest first.

        `within` : rows of the points that may be found; they are all compared, since an approximate search inside a
        selection misses many. Where there are fewer than k, the rest are row -1 at an infinite distance.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if within is not None:
            rows, distances = Compared(self.points[within]).nearest(queries, k)
            return np.where(rows >= 0, np.asarray(within, np.intp)[rows], -1), distances
        if self.cells is None:
            return self._all.nearest(queries, k)
        rows, distances = self.cells.search(queries, k, self._probes(k))
        few = np.flatnonzero(rows[:, -1] < 0)
        if len(few):  # the cells looked into hold fewer than k
            rows[few], distances[few] = self._all.nearest(queries[few], k)
        return rows, distances

    def measure(self, seed: int = 0) -> float:
        """Measure the recall on some of the points, and look into as many cells as WANTED_RECALL takes."""
        if self.cells is None:
            return 1.0
        self.cells.probes = {MEASURED_K: self._enough(MEASURED_K, seed)}
        tried = self._tried(MEASURED_K, seed + 1)
        self.cells.recall = self._share(*tried, self.cells.probes[MEASURED_K])
        return self.cells.recall

    def _probes(self, k: int) -> int:
        """How many cells to look into for the k nearest: measured when so many are first asked for."""
        assert self.cells is not None
        step = MEASURED_K * 2 ** ((k - 1) // MEASURED_K).bit_length()
        if step not in self.cells.probes:
            self.cells.probes[step] = self._enough(step)
        return self.cells.probes[step]

    def _enough(self, k: int, seed: int = 0) -> int:
        """In how many cells WANTED_RECALL of the k nearest are."""
        assert self.cells is not None
        tried, low, high = self._tried(min(k, len(self) - 1), seed), 0, min(4, self.cells.count)
        while high < self.cells.count and self._share(*tried, high) < WANTED_RECALL:
            low, high = high, min(2 * high, self.cells.count)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._share(*tried, middle) >= WANTED_RECALL else (middle, high)
        return high

    def _tried(self, k: int, seed: int) -> tuple[Array, NDArray[np.float32]]:
        """(some of the points, the distances (q, 1 + k) of each from itself and from its k nearest)."""
        most = max(50, MEASURED * MEASURED_K // max(k, MEASURED_K))
        some = np.sort(np.random.default_rng(seed).permutation(len(self))[:most])
        return self.points[some], self._all.nearest(self.points[some], k + 1)[1]

    def _share(self, queries: Array, true: NDArray[np.float32], probes: int) -> float:
        """What share of its nearest a query finds, itself left out. Of points equally near any will do."""
        assert self.cells is not None
        distances = self.cells.search(queries, true.shape[1], probes)[1]
        found = (distances <= true[:, -1:] * (1 + 1e-4) + 1e-6).sum(axis=1) - 1
        return float(found.mean() / (true.shape[1] - 1))

    def with_points(self, points: Array) -> Index:
        """An index that has points (m, d) after its own; the cells stay where they are."""
        every = np.concatenate([self.points, np.asarray(points, np.float32)])
        return Index(every, None if self.cells is None else self.cells.with_points(points, every))

    def without(self, rows: Rows) -> Index:
        """An index without the points at `rows`; the cells stay where they are."""
        kept = np.setdiff1d(np.arange(len(self)), rows)
        return Index(
            self.points[kept], None if self.cells is None else self.cells.of(kept, self.points[kept])
        )

    def write(self, file: Path) -> None:
        """Write the cells to `file`; the points are kept elsewhere. Nothing is written where there are none."""
        if self.cells is not None:
            faiss = faiss_library()

            # through Python, so that the file can be read by others as any new file can
            file.write_bytes(faiss.serialize_index(self.cells.inverted).tobytes())


@dataclass
class Cells:
    """Points divided among the nearest of some centres: an inverted file of faiss, numbered by the points' rows.

    probes : cells looked into for up to so many neighbours; recall : what share of the MEASURED_K nearest is there.
    """

    inverted: Any
    probes: dict[int, int]
    recall: float = 1.0

    @classmethod
    def read(cls, file: Path, probes: int, recall: float, points: int) -> Cells:
        """The cells in `file`, which stays on the disk until it is needed (memory-mapped)."""
        faiss = faiss_library()

        try:
            inverted = faiss.read_index(str(file), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        except RuntimeError as failure:
            raise SpaceError(f"{file} is damaged: it is no index that can be read.") from failure
        if inverted.ntotal != points:
            raise SpaceError(
                f"{file} is damaged: it holds {inverted.ntotal:,} points where {points:,} belong."
            )
        return cls(inverted, {MEASURED_K: probes}, recall)

    @property
    def count(self) -> int:
        """How many cells there are."""
        return int(self.inverted.nlist)

    def search(self, queries: Array, k: int, probes: int) -> tuple[Rows, NDArray[np.float32]]:
        """(rows (q, k), distances (q, k)) of the nearest points in the `probes` cells around queries (q, d)."""
        self.inverted.nprobe = probes
        squared, rows = self.inverted.search(np.ascontiguousarray(queries, np.float32), k)
        return rows.astype(np.intp), np.where(rows >= 0, np.sqrt(np.maximum(squared, 0)), np.inf).astype(
            np.float32
        )

    def assigned(self) -> Rows:
        """(n,) the cell of each point."""
        faiss = faiss_library()

        cells = np.empty(self.inverted.ntotal, np.intp)
        lists = self.inverted.invlists
        for cell in range(self.count):
            size = lists.list_size(cell)
            if size:
                cells[faiss.rev_swig_ptr(lists.get_ids(cell), size)] = cell
        return cells

    def with_points(self, points: Array, every: Array) -> Cells:
        """These cells with points (m, d) after those that they hold; `every` are both."""
        _, nearest = self.inverted.quantizer.search(np.ascontiguousarray(points, np.float32), 1)
        return self._filled(every, np.concatenate([self.assigned(), nearest[:, 0]]))

    def of(self, rows: Rows, points: Array) -> Cells:
        """These cells with the points at `rows` only, (m, d), which are numbered anew."""
        return self._filled(points, self.assigned()[rows])

    def _filled(self, points: Array, cells: Array) -> Cells:
        """The same centres with points (n, d), each in its cell."""
        faiss = faiss_library()

        inverted = faiss.IndexIVFFlat(self.inverted.quantizer, points.shape[1], self.count)
        inverted.is_trained = True
        points, cells = np.ascontiguousarray(points, np.float32), np.ascontiguousarray(cells, np.int64)
        inverted.add_core(len(points), faiss.swig_ptr(points), None, faiss.swig_ptr(cells))
        return Cells(faiss.clone_index(inverted), self.probes, self.recall)  # with centres of its own


def _divided(points: Array, seed: int) -> Cells:
    faiss = faiss_library()

    count = int(4 * np.sqrt(len(points)))
    centres = faiss.IndexFlatL2(points.shape[1])
    inverted = faiss.IndexIVFFlat(centres, points.shape[1], count)
    inverted.cp.seed, inverted.cp.max_points_per_centroid, inverted.cp.min_points_per_centroid = (
        seed,
        PER_CELL,
        1,
    )
    inverted.train(points)
    inverted.add(points)
    return Cells(faiss.clone_index(inverted), {})
