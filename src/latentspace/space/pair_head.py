"""What pairs taught a space: where its items lie so that the same are near, and where new ones do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.errors import SpaceError
from latentspace.space.atomic import whole
from latentspace.space.files import read_weights

if TYPE_CHECKING:
    from latentspace.models.base import Tell
    from latentspace.models.pair_curve import Curve
    from latentspace.models.pair_metric import PairMetric
    from latentspace.models.views import Views
    from latentspace.space.folder import Space

Array = NDArray[Any]

#: the file in a space that holds it, and its arrays that are of no part
HEAD = "pairs.safetensors"
_OWN = ("places", "pairs", "same", "mark")


@dataclass(frozen=True, eq=False)
class PairHead:
    """views : what it sees of an item; metric : where that puts it; curve : how well by how many pairs; places
    (n, r) : the space's items; pairs (m, 2) rows and same (m,) : what it learnt from; mark (32,) : of which items."""

    views: Views
    metric: PairMetric
    curve: Curve
    places: NDArray[np.float32]
    pairs: NDArray[np.intp]
    same: NDArray[np.bool_]
    mark: NDArray[np.uint8]

    @classmethod
    def fit(
        cls,
        space: Space,
        views: Views,
        features: dict[str, Array],
        x: Array | None,
        pairs: Array,
        same: NDArray[np.bool_],
        seed: int = 0,
        depth: str = "auto",
        tell: Tell | None = None,
    ) -> PairHead:
        """Learn from pairs (m, 2) of rows of a space, from what views say of its items (`features`: view → (n, d)),
        and from the encoded items x (n, *shape) if given.

        depth : how much may be learnt; see `models.pair_learning.learn_places`.
        """
        from latentspace.models.pair_curve import learning_curve
        from latentspace.models.pair_learning import learn_places

        origin = getattr(space.model.modality_, "origin", None)
        metric, features = learn_places(
            views, features, x, pairs, same, depth=depth, origin=origin, seed=seed, tell=tell
        )
        curve = learning_curve(features, pairs, same, metric, seed)
        return cls(views, metric, curve, metric.transform(features), pairs, same, _mark(space))

    @property
    def needs_items(self) -> bool:
        """Whether latents alone do not say where an item lies."""
        return self.metric.view != "latents"

    def place(self, x: Array | None, z: Array) -> NDArray[np.float32]:
        """(q, r) where new items lie, of latents z (q, k) and, where it `needs_items`, encoded x (q, *shape)."""
        return self.metric.transform(self.views.of(x, z, self.metric.view))

    def save(self, folder: Path) -> None:
        """Write it into the folder of a space, whole or not at all."""
        from safetensors.numpy import save

        kept = {f"views.{name}": a for name, a in self.views.arrays().items()}
        kept |= {f"metric.{name}": a for name, a in self.metric.arrays().items()}
        kept |= {f"curve.{name}": a for name, a in self.curve.arrays().items()}
        kept |= {name: getattr(self, name) for name in _OWN}
        with whole(folder / HEAD, SpaceError) as beside:
            beside.write_bytes(save({name: np.ascontiguousarray(a) for name, a in kept.items()}))

    @classmethod
    def of(cls, space: Space) -> PairHead:
        """That of a space. Raises SpaceError where it has none, or items came or went since."""
        from latentspace.models.pair_curve import Curve
        from latentspace.models.pair_metric import PairMetric
        from latentspace.models.views import Views

        if space.path is None or not (space.path / HEAD).exists():
            raise SpaceError(
                "This space has learnt from no pairs yet: answer some (pairs ask), then pairs fit."
            )
        try:
            arrays = read_weights(space.path / HEAD, None)
        except Exception as failure:  # safetensors has an error of its own for each way to be damaged
            raise SpaceError(f"{space.path / HEAD} is damaged: run pairs fit again.") from failure
        if not np.array_equal(arrays["mark"], _mark(space)):
            raise SpaceError("Items came or went since this space learnt from pairs: run pairs fit again.")
        parts = [
            {name.removeprefix(f"{part}."): a for name, a in arrays.items() if name.startswith(f"{part}.")}
            for part in ("views", "metric", "curve")
        ]
        try:
            learnt = Views.read(parts[0]), PairMetric.of(parts[1]), Curve.of(parts[2])
        except (KeyError, ValueError) as failure:  # something else, or less, was kept then
            raise SpaceError("An older version learnt from these pairs: run pairs fit again.") from failure
        return cls(*learnt, *(arrays[name] for name in _OWN))


def _mark(space: Space) -> NDArray[np.uint8]:
    """(32,) what tells whether the items of a space, their order and their latents are the same: a SHA-256."""
    names = "\n".join(str(name) for name in space.ids.tolist()).encode()
    found = hashlib.sha256(names + b"\0" + np.ascontiguousarray(space.latents).tobytes())
    return np.frombuffer(found.digest(), np.uint8)
