"""Items as their latents: what a space's network makes of them, so finely that they come back well enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from latentspace.archive.container import Writer
from latentspace.archive.latents import LatentCodec
from latentspace.archive.sections import Content, slices
from latentspace.archive.tables import table_content
from latentspace.archive.writing import Tell, Written, write
from latentspace.errors import DataError, OptionError
from latentspace.folder import find
from latentspace.space.files import arrow_column

if TYPE_CHECKING:
    from latentspace.archive.container import Reader
    from latentspace.data.base import Items, Modality
    from latentspace.space.folder import Space

__all__ = ["Measured", "StoredItems", "write_items"]

Array = NDArray[Any]
#: items whose latents are one member of the file
BLOCK = 4096
#: items kept to be drawn
SHOWN = 8
NETWORK = "network.bin"


@dataclass
class Measured:
    """How well the items come back, measured on all of them in the user's units (or on the network's scale).

    psnr : dB, of the range of what was measured. before, after : a few items.
    """

    psnr: float
    rmse: float
    span: float
    count: int
    network: int
    latents: int
    before: Any = None
    after: Any = None
    gaps: int = 0


@dataclass
class _Sum:
    """Squared distances so far."""

    squares: float = 0.0
    count: int = 0
    low: float = np.inf
    high: float = -np.inf

    def see(self, was: Array, made: Array) -> None:
        """Take in what was measured and what came back in its place."""
        if not was.size:
            return
        self.squares += float(((made.astype(np.float64) - was.astype(np.float64)) ** 2).sum())
        self.count += was.size
        self.low, self.high = min(self.low, float(was.min())), max(self.high, float(was.max()))

    def add(self, squares: float, count: int) -> None:
        """Take in squared distances in units of the ranges."""
        self.squares, self.count = self.squares + squares, self.count + count
        self.low, self.high = 0.0, 1.0

    @property
    def rmse(self) -> float:
        """Root mean square."""
        return float(np.sqrt(self.squares / max(1, self.count)))

    @property
    def psnr(self) -> float:
        """20 log10(range / RMSE)."""
        span = self.high - self.low
        return float(20 * np.log10(span / self.rmse)) if self.rmse > 0 and span > 0 else float("inf")


def write_items(
    space: Space, items: Items, path: Path, *, psnr: float, refer: bool, seed: int, tell: Tell
) -> tuple[Content, Written, Measured]:
    """Write the latents of `items` to the file `path`, so finely that `psnr` dB are reached, whole or not at all.

    Raises OptionError where that cannot be reached with this space, or the space cannot be stored.
    """
    if not len(items):
        raise DataError(f"{items.source} holds no items: there is nothing to store.")
    modality = space.modality
    x, observed = modality.transform(items)
    x = np.asarray(x, np.float32)
    codec = LatentCodec.fit(space, x, observed, psnr=psnr, refer=refer, seed=seed, tell=tell)
    sums = _Sum()
    found = Measured(0.0, 0.0, 0.0, len(x), 0, 0, gaps=0 if observed is None else int((~observed).sum()))

    def add(out: Writer) -> dict[str, Any]:
        network = codec.to_bytes()
        out.add(NETWORK, network)
        sizes = []
        for number, part in enumerate(slices(len(x), BLOCK)):
            seen = None if observed is None else observed[part]
            data = codec.encode(x[part])
            back = np.asarray(codec.decode(data, part.stop - part.start))
            if modality.name == "table":  # columns have units of their own
                sums.add(*codec.squares(x[part], back, seen))
            else:
                _measure(modality, x[part], seen, back, sums)
            if not number:
                found.before, found.after = x[:SHOWN].copy(), back[:SHOWN].copy()
            out.add(f"latents/{number}.bin", data)
            sizes.append(len(data))
            tell("packing", part.stop / len(x))
        found.psnr, found.rmse, found.span = sums.psnr, sums.rmse, sums.high - sums.low
        found.network, found.latents = len(network), sum(sizes)
        return {
            "items": len(x),
            "step": BLOCK,
            "refer": refer,
            "modality": {"name": modality.name, "state": modality.state()},
            "psnr": found.psnr if np.isfinite(found.psnr) else None,
            "rmse": found.rmse,
            "mode": "quality",
        }

    content = _content(modality, items, x)
    written = write(content, path, level="fast", seed=seed, tell=tell, extra=add)
    return content, written, found


def _content(modality: Modality, items: Items, x: Array) -> Content:
    """Ids, labels, and the columns that hold no numbers, exactly, as a table of their own."""
    import pyarrow as pa

    counted = items.ids.dtype.kind in "iu" and np.array_equal(items.ids, np.arange(len(items)))
    columns = {} if counted else {"id": arrow_column(items.ids)}
    columns |= {f"label {name}": arrow_column(np.asarray(values)) for name, values in items.labels.items()}
    columns |= {f"column {j}": column for j, column in _exact_columns(modality, items).items()}
    content = table_content(pa.table(columns), items.source)
    content.kind, content.values = "items", x.size
    content.nbytes = x.size * _width(modality)
    if not columns:
        content.sections.clear()
    return content


def _exact_columns(modality: Modality, items: Items) -> dict[int, Any]:
    """The columns of a table that are no measurements (text, categories, dates), by their place."""
    if modality.name != "table" or isinstance(items.values, np.ndarray):
        return {}
    frame = nw.from_native(items.values, eager_only=True)
    measured = modality.measured
    numbers = {
        name for name, at in modality.parts().items() if measured is None or measured.reshape(-1)[at].all()
    }
    return {
        j: _arrow(frame[name])
        for j, name in enumerate(frame.columns)
        if str(name) not in {str(n) for n in numbers}
    }


def _arrow(series: Any) -> Any:
    import pyarrow as pa

    column = series.to_arrow()
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column


def _width(modality: Modality) -> int:
    """Bytes of a number of the user's."""
    dtype = getattr(modality, "dtype", None) or (getattr(modality, "dtypes", None) or [np.float32])[0]
    try:
        return int(np.dtype(dtype).itemsize)
    except TypeError:
        return 4


def _measure(modality: Modality, x: Array, seen: Array | None, back: Array, sums: _Sum) -> None:
    """Compare in the user's units where both are arrays of numbers of the tensor's size, else as the network does."""
    was, made = modality.inverse_transform(x), modality.inverse_transform(back)
    plain = isinstance(was, np.ndarray) and was.dtype.kind in "uif" and was.size == x.size
    if plain and seen is not None and was.shape != x.shape:
        plain = False
    if not plain:
        was, made = x, back
    mask = np.ones(was.shape, bool) if seen is None else seen
    sums.see(np.asarray(was)[mask], np.asarray(made)[mask])


class StoredItems:
    """The items of a file that was written with quality."""

    def __init__(self, file: Reader, space: Space | None) -> None:
        self._file, self._space = file, space
        card = file.card
        self.rows, self.step = int(card["items"]), int(card["step"])
        self.modality: Modality = find("data", card["modality"]["name"]).from_state(card["modality"]["state"])
        self._codec: Any = None

    def codec(self) -> Any:
        """What decodes; raises OptionError where it needs a space that was not given."""
        if self._codec is None:
            if self._file.card["refer"] and self._space is None:
                raise OptionError(
                    f"{self._file.path.name} refers to the space that it was written with (refer): give it as "
                    "--space NAME.space (in Python: Archive(path, space))."
                )
            self._codec = LatentCodec.from_bytes(self._file.read(NETWORK), self._space)
        return self._codec

    def tensors(self, start: int, stop: int) -> Iterator[Array]:
        """Items (n, *shape) as the network sees them, block by block."""
        codec = self.codec()
        for number in range(start // self.step, -(-stop // self.step)) if stop > start else ():
            first = number * self.step
            count = min(self.step, self.rows - first)
            made = np.asarray(codec.decode(self._file.read(f"latents/{number}.bin"), count))
            yield made[max(start - first, 0) : stop - first]

    def read(self, start: int, stop: int) -> Any:
        """Items in the user's units."""
        made = list(self.tensors(start, stop))
        x = np.concatenate(made) if made else np.zeros((0, *self.modality.shape), np.float32)
        return self.modality.inverse_transform(x)


def with_exact(frame: Any, table: Any) -> Any:
    """A frame of decoded items, in the columns of `table` that were kept exactly as those were."""
    kept = {} if table is None else {n: int(n[7:]) for n in table.column_names if n.startswith("column ")}
    if not kept:
        return frame
    made = nw.from_native(frame, eager_only=True)
    exact = nw.from_arrow(table.select(list(kept)), backend=made.implementation)
    named = [exact[name].alias(made.columns[j]) for name, j in kept.items()]
    return made.with_columns(*named).to_native()


def labels_of(table: Any, rows: int, start: int = 0) -> tuple[Array, dict[str, Array]]:
    """Ids and labels from their table (None: ids that count the rows)."""
    ids: Array = np.arange(start, start + rows)
    if table is None:
        return ids, {}
    columns: dict[str, Callable[[], Array]] = {n: table[n].to_numpy for n in table.column_names}
    labels = {n.removeprefix("label "): c() for n, c in columns.items() if n.startswith("label ")}
    return (columns["id"]() if "id" in columns else ids), labels
