"""Items as the whole latents of a network trained to have them rounded: few bytes, a measured quality."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from latentspace.archive.exact_decoder import ExactDecoder
from latentspace.codecs.predictor import Predictor
from latentspace.errors import OptionError

if TYPE_CHECKING:
    from latentspace.archive.latent_fitting import Measure
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
    measure : what an error counts, known only where it was fitted.
    refers : the fingerprint of the space whose own decoder this is, and the steps (k,) of its latents, where the
    decoder is not to be stored.
    """

    decoder: ExactDecoder
    low: Floats
    high: Floats
    shape: tuple[int, ...]
    predictor: Predictor | None
    encoder: Callable[[Floats], Floats] | None = None
    refers: tuple[str, Floats] | None = None
    measure: Measure | None = None

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
        from latentspace.archive.latent_fitting import made, referred

        tell = tell or (lambda words, share: None)
        flat = np.ascontiguousarray(x.reshape(len(x), -1), np.float32)
        seen = None if observed is None else observed.reshape(len(x), -1)
        refers = None
        if refer:
            found, steps = referred(space.model, flat, seen, psnr)
            refers = (fingerprint(space), steps)
        else:
            found = made(space.model, flat, seen, psnr, total or flat.size, seed, tell)
        z = np.rint(found.encode(flat[:LEARNT])).astype(np.int64)
        moving = np.arange(z.shape[1])
        if not refer:
            still = (z == z[:1]).all(axis=0)
            still[:1] &= not still.all()
            moving = np.flatnonzero(~still)
            found = replace(found, decoder=found.decoder.without(still, z[0].astype(np.float64)))
        rest = max(1, (total or flat.size) // flat.shape[1])
        learnt = Predictor.fit(z[:, moving], total=rest * len(moving), seed=seed, tell=tell)
        return cls(
            found.decoder,
            found.measure.low,
            found.measure.high,
            tuple(x.shape[1:]),
            learnt,
            lambda items: found.encode(items)[:, moving],
            refers,
            found.measure,
        )

    def squares(self, x: Floats, y: Floats, observed: Mask | None = None) -> tuple[float, int]:
        """Of items and what came back for them: the sum of squared errors in units of the ranges, and over how many.

        Known only where the codec was fitted.
        """
        if self.measure is None:
            raise ValueError("this codec was read from a file: it does not know the ranges")
        rows = len(x)
        seen = None if observed is None else observed.reshape(rows, -1)
        return self.measure.squares(x.reshape(rows, -1), y.reshape(rows, -1), seen)

    def encode(self, x: Floats) -> bytes:
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

        numbers = b""
        if self.refers is None:
            config = ChunkConfig(compression_level=12)
            numbers = bytes(standalone.simple_compress(self.decoder.numbers(), config))
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
        if self.refers is not None:
            head |= {"space": self.refers[0], "steps": [float(step) for step in self.refers[1]]}
        text = zlib.compress(json.dumps(head, separators=(",", ":")).encode(), 9)
        predictor = b"" if self.predictor is None else self.predictor.to_bytes()
        return np.array([len(text)], "<u4").tobytes() + text + numbers + predictor

    @classmethod
    def from_bytes(cls, data: bytes, space: Space | None = None) -> LatentCodec:
        """What `to_bytes` wrote; `space` where it refers to one.

        Raises ValueError where that was another version's, OptionError where it refers to another space.
        """
        from pcodec import standalone

        first = 4 + int(np.frombuffer(data[:4], "<u4")[0])
        head = json.loads(zlib.decompress(data[4:first]))
        if head["version"] != VERSION:
            raise ValueError(
                f"latents of version {head['version']}; this version of latentspace reads {VERSION}"
            )
        middle = first + head["numbers"]
        refers = None
        if "space" in head:
            refers = (head["space"], np.array(head["steps"], np.float32))
            decoder = _referred(space, *refers, head["unit"])
        else:
            numbers = np.asarray(standalone.simple_decompress(data[first:middle]))
            decoder = ExactDecoder.of(numbers, head["widths"], head["fine"], head["unit"])
        size = int(np.prod(head["shape"]))
        low, high = (np.resize(np.array(side, np.float32), size) for side in head["bounds"])
        predictor = Predictor.from_bytes(data[middle:]) if data[middle:] else None
        return cls(decoder, low, high, tuple(head["shape"]), predictor, None, refers)


def fingerprint(space: Space) -> str:
    """SHA-256 of the weights of a space's decoder: what latents mean depends on nothing else."""
    digest = hashlib.sha256()
    for name, tensor in sorted(space.model.network_.decoder.state_dict().items()):
        digest.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()


def _referred(space: Space | None, name: str, steps: Floats, unit: float) -> ExactDecoder:
    from latentspace.archive.latent_fitting import own_decoder

    if space is None:
        raise OptionError("These latents refer to a space: give the one that they were written with.")
    if fingerprint(space) != name:
        raise OptionError(
            "These latents refer to another space: the decoder of the one given has another fingerprint "
            f"({fingerprint(space)[:12]}, not {name[:12]})."
        )
    return own_decoder(space.model, steps, unit)
