"""Items as the whole latents of a network trained to have them rounded: few bytes, a measured quality."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._decoder import ExactDecoder
from latentspace.codecs.predictor import Predictor

if TYPE_CHECKING:
    from latentspace.space.folder import Space

__all__ = ["LatentCodec"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
VERSION = 1
#: items that the latents' predictor learns from
LEARNT = 2**18


@dataclass
class LatentCodec:
    """Codes items by the whole latents of an exact decoder, so that any machine decodes the same numbers.

    decoder, low, high : what decodes, and the (F,) range that is not left. shape : of an item.
    predictor : codes the latents. encoder : known only where it was fitted.
    """

    decoder: ExactDecoder
    low: Floats
    high: Floats
    shape: tuple[int, ...]
    predictor: Predictor | None
    encoder: Callable[[Floats], Floats] | None = None
    name: str = "latents"

    @classmethod
    def fit(
        cls,
        space: Space,
        x: Floats,
        observed: Mask | None = None,
        *,
        psnr: float,
        refer: bool = False,
        total: int | None = None,
        seed: int = 0,
        tell: Callable[[str, float | None], None] | None = None,
    ) -> LatentCodec:
        """From a space and its kind of items x (n, *shape), to reach `psnr` dB of the measured range on them.

        The space's encoder and decoder are trained on, so that rounded latents cost few bits; with `refer` they stay
        as they are. total : how many values will be coded in all, if more than these. Raises DataError where the
        latents cannot reach that quality.
        """
        from latentspace.codecs._latent_fitting import made

        tell = tell or (lambda words, share: None)
        flat = np.ascontiguousarray(x.reshape(len(x), -1), np.float32)
        seen = None if observed is None else observed.reshape(len(x), -1)
        found = made(space.model, flat, seen, psnr, total or flat.size, seed, tell)
        z = np.rint(found.encode(flat[:LEARNT])).astype(np.int64)
        still, value = (z == z[:1]).all(axis=0), z[0].astype(np.float64)
        still[:1] &= not still.all()
        moving = np.flatnonzero(~still)
        rest = max(1, (total or flat.size) // flat.shape[1])
        learnt = Predictor.fit(z[:, moving], total=rest * len(moving), seed=seed, tell=tell)
        return cls(
            found.decoder.without(still, value),
            found.measure.low,
            found.measure.high,
            tuple(x.shape[1:]),
            learnt,
            lambda items: found.encode(items)[:, moving],
        )

    def encode(self, x: Floats, observed: Mask | None = None) -> bytes:
        """The bytes of items x (n, *shape)."""
        from pcodec import ChunkConfig, standalone

        if self.encoder is None:
            raise ValueError("this codec was read from a file: it decodes, but has no encoder")
        flat = np.ascontiguousarray(x.reshape(len(x), -1), np.float32)
        z = np.rint(self.encoder(flat)).astype(np.int64)
        plain: bytes = b"\0" + standalone.simple_compress(
            np.ascontiguousarray(z.T, np.int32).ravel(), ChunkConfig(compression_level=12)
        )
        if self.predictor is None or not len(z):
            return plain
        return min(b"\1" + self.predictor.encode(z), plain, key=len)

    def decode(self, data: bytes, n: int) -> Floats:
        """(n, *shape) the items expected at the latents."""
        from pcodec import standalone

        k = self.decoder.widths[0]
        if data[:1] == b"\0":
            z = np.asarray(standalone.simple_decompress(data[1:])).reshape(k, n).T
        elif self.predictor is not None:
            z = self.predictor.decode(data[1:], (n, k))
        else:
            raise ValueError("latents that a predictor coded, and no predictor")
        found = np.empty((n, len(self.low)), np.float32)
        for start in range(0, n, 4096):
            rows = slice(start, start + 4096)
            found[rows] = np.clip(self.decoder(z[rows]), self.low, self.high)
        return found.reshape(n, *self.shape)

    def to_bytes(self) -> bytes:
        """All that decoding needs."""
        from pcodec import ChunkConfig, standalone

        numbers = standalone.simple_compress(self.decoder.numbers(), ChunkConfig(compression_level=12))
        same = bool((self.low == self.low[0]).all() and (self.high == self.high[0]).all())
        bounds = [self.low[:1], self.high[:1]] if same else [self.low, self.high]
        head = {
            "version": VERSION,
            "widths": self.decoder.widths,
            "fine": self.decoder.fine,
            "unit": self.decoder.unit,
            "shape": list(self.shape),
            "bounds": [[float(v) for v in side] for side in bounds],
            "numbers": len(numbers),
        }
        text = zlib.compress(json.dumps(head, separators=(",", ":")).encode(), 9)
        predictor = b"" if self.predictor is None else self.predictor.to_bytes()
        return np.array([len(text)], "<u4").tobytes() + text + bytes(numbers) + predictor

    @classmethod
    def from_bytes(cls, data: bytes, space: Any = None) -> LatentCodec:
        """What `to_bytes` wrote; raises ValueError where that was another version's."""
        from pcodec import standalone

        first = 4 + int(np.frombuffer(data[:4], "<u4")[0])
        head = json.loads(zlib.decompress(data[4:first]))
        if head["version"] != VERSION:
            raise ValueError(
                f"latents of version {head['version']}; this version of latentspace reads {VERSION}"
            )
        middle = first + head["numbers"]
        numbers = np.asarray(standalone.simple_decompress(data[first:middle]))
        decoder = ExactDecoder.of(numbers, head["widths"], head["fine"], head["unit"])
        size = int(np.prod(head["shape"]))
        low, high = (np.resize(np.array(side, np.float32), size) for side in head["bounds"])
        predictor = Predictor.from_bytes(data[middle:]) if data[middle:] else None
        return cls(decoder, low, high, tuple(head["shape"]), predictor)
