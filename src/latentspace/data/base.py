"""What every kind of data shares: items as read, and the modality that turns them into tensors and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentspace.likelihoods import Likelihood


@dataclass(frozen=True)
class Items:
    """The user's own data as read: rows, pictures or signal windows, each with an id.

    values : what the modality holds (a frame, an array, ...); only the modality looks inside.
    ids : (n,) the items' names, strings or integers, unique.
    labels : columns kept out of training, each (n,); only for colouring and evaluation.
    source : where the items came from, for messages ("adult.parquet", "an array of 100 x 5").
    notes : what was noticed on the way, one sentence each, for the user to read.
    skipped : (name, reason) of every part that could not be read.
    """

    values: Any
    ids: NDArray[Any]
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    source: str = "data"
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def with_values(self, values: Any, rows: NDArray[Any]) -> Items:
        """These items cut to `rows` (integer positions), given their already cut `values`."""
        labels = {name: column[rows] for name, column in self.labels.items()}
        return replace(self, values=values, ids=self.ids[rows], labels=labels)


class Modality(ABC):
    """How a kind of item becomes float arrays and comes back in its own units.

    Life: ``items = modality.read(source)``, ``modality.fit(items)`` (from training items only), then
    ``x, observed = modality.transform(items)`` for any items, and ``modality.inverse_transform(x)``.
    Options are plain constructor arguments. Once fitted it has `shape`, `likelihood`, and everything that
    `state` writes; nothing here imports torch.
    """

    name: ClassVar[str]
    #: one item's tensor once fitted: (F,), (C, T) or (C, H, W)
    shape: tuple[int, ...]
    likelihood: Likelihood

    @abstractmethod
    def read(self, source: Any, **where: Any) -> Items:
        """Items from a path or an object; raises Reject with the reason where the source is of another kind.

        A fitted modality reads later data by what it learnt (column names, picture size, window length).
        """

    @abstractmethod
    def take(self, items: Items, rows: NDArray[Any]) -> Items:
        """The items at the integer positions `rows`."""

    @abstractmethod
    def fit(self, items: Items) -> Modality:
        """Learn scaling, categories, sizes from `items`; returns self."""

    @abstractmethod
    def transform(
        self, items: Items, dtype: Any = np.float32
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """(n, *shape) of `dtype` without NaN, and `observed` of the same shape (None: all observed).

        An element that is not observed holds a neutral value in x and counts in no loss.
        """

    @abstractmethod
    def inverse_transform(self, x: NDArray[Any], items: Items | None = None) -> Any:
        """(n, *shape) expected values back in the user's units, names and types.

        `items`, where given, are the originals: they lend what the tensor does not hold (columns set aside,
        picture sizes, time stamps).
        """

    @property
    def origin(self) -> NDArray[Any] | None:
        """(*shape) the mean item that 0 stands for, on the tensor's scale; None where elements have no common one."""
        return None

    @property
    def measured(self) -> NDArray[np.bool_] | None:
        """(*shape) which elements are measurements, that noise can lie on, no categories or dates; None: all."""
        return None

    def told(self, items: Items) -> Any:
        """A pyarrow Table, a row an item, of what the items' own columns say; None where they have none."""
        return None

    @abstractmethod
    def parts(self) -> dict[str, NDArray[np.intp]]:
        """Named parts of an item (columns, channels, regions): flat indices into an item's tensor."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that was learnt, JSON-able (lists, not arrays), options included."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> Modality:
        """A fitted modality from what `state` wrote."""

    @abstractmethod
    def describe(self) -> list[str]:
        """What was learnt about the data, one short sentence each, for the report."""
