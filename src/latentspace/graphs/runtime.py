"""A space that ONNX Runtime runs: latents, items and oddness without torch."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.base import Items, Modality
from latentspace.errors import DataError, OptionError
from latentspace.graphs.graph import needs
from latentspace.graphs.parts import ALPHA, Learnt, Part, core
from latentspace.models.promises import check_promise

Array = NDArray[Any]

#: values of encoded items handled at once, so that memory stays bounded
BLOCK_VALUES = 2**22


class OnnxSpace:
    """The two halves and the scorer of a space, run by ONNX Runtime; made by ``load(path, runtime="onnx")``.

    Items are read as `Space` reads them, paths, frames and arrays alike.
    """

    def __init__(self, learnt: Learnt, card: dict[str, Any]) -> None:
        self.learnt, self.card = learnt, card

    def __repr__(self) -> str:
        return f"<OnnxSpace of {self.modality.name} items in {self.latent_dim} latents>"

    @property
    def modality(self) -> Modality:
        """How the items become tensors and come back."""
        return self.learnt.modality

    @property
    def latent_dim(self) -> int:
        """How many latents an item has."""
        return int(self.learnt.settings["latent_dim"])

    def items(self, data: Any) -> Items:
        """`data` (a path, a frame, an array, or Items already) read the way the fitted data were."""
        if isinstance(data, Items):
            return data
        from latentspace.data.sources import read_items

        return read_items(data, modality=self.modality)[1]

    def transform(self, data: Any) -> NDArray[np.float32]:
        """(n, k) float32: where the items of `data` lie."""
        self.learnt.has("encoder")
        x, _ = self.modality.transform(self.items(data))
        return np.asarray(_run(self._encoder, "x", x), np.float32)

    def inverse_transform(self, z: Any) -> Any:
        """The items expected at latents z (n, k), in the user's own units and types.

        Raises DataError where z has another width or is not finite.
        """
        self.learnt.has("decoder")
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise DataError(f"These latents have shape {z.shape}; this space decodes (n, {self.latent_dim}).")
        if not np.isfinite(z).all():
            row = int(np.flatnonzero(~np.isfinite(z).all(axis=1))[0])
            raise DataError(f"Row {row} of these latents is not finite: only numbers can be decoded.")
        return self.modality.inverse_transform(_run(self._decoder, "z", z))

    def anomaly_score(self, data: Any, alpha: float = ALPHA) -> tuple[Array, Array, Array]:
        """(surprise, p-value, flag), each (n,): how odd items are, how sure that is, whether p is at most `alpha`.

        As `latentspace anomalies` judges them, those of the training pile recognised. Raises OptionError where
        alpha is not between 0 and 1, or so small that the calibration items cannot promise it.
        """
        self.learnt.has("scorer")
        scorer = self.learnt.scorer
        assert scorer is not None
        if not 0 < alpha < 1:
            raise OptionError(f"alpha must be a number above 0 and below 1, not {alpha!r}.")
        check_promise(scorer, "alpha", alpha)
        surprise, p = scorer.judge(*self.modality.transform(self.items(data)))
        return surprise, p, p <= alpha

    @cached_property
    def _encoder(self) -> Any:
        return session(core(self.learnt, "encoder"))

    @cached_property
    def _decoder(self) -> Any:
        return session(core(self.learnt, "decoder"))


def session(model: Any, threads: int = 0) -> Any:
    """ONNX Runtime ready to run an onnx model on the CPU; `threads` 0: as many as there are cores."""
    ort = needs("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _run(ready: Any, name: str, values: Array) -> Array:
    """One output for all of `values`, a bounded number at a time."""
    step = max(1, BLOCK_VALUES // max(1, int(np.prod(values.shape[1:]))))
    starts = range(0, max(1, len(values)), step)
    parts = [ready.run(None, {name: np.ascontiguousarray(values[i : i + step])})[0] for i in starts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def rounded(model: Any) -> Any:
    """The model with the weights of the network's products as 8-bit numbers (items rounded as they come)."""
    import tempfile
    from pathlib import Path

    quantization = needs("onnxruntime.quantization")
    onnx = needs("onnx")
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "a.onnx", Path(folder) / "b.onnx"
        onnx.save(model, before)
        log = logging.getLogger()
        heard, log.disabled = log.disabled, True  # it advises a preparation that is of no use here
        try:
            quantization.quantize_dynamic(
                before,
                after,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"DefaultTensorType": 1},
            )
        finally:
            log.disabled = heard
        made = onnx.load(after)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    return made


def error_of(exact: Array, other: Array) -> float:
    """Root mean square of the difference, as a share of the spread of `exact`."""
    spread = float(np.sqrt(np.mean((exact - exact.mean(axis=0)) ** 2)))
    return float(np.sqrt(np.mean((np.asarray(other, float) - exact) ** 2))) / max(spread, 1e-12)


def int8_error(learnt: Learnt, part: Part, examples: Array) -> float:
    """What 8-bit weights change in a half's answer for `examples` (encoded items or latents), by its spread."""
    exact = core(learnt, part)
    name = "x" if part == "encoder" else "z"
    return error_of(*(_run(session(m), name, examples) for m in (exact, rounded(exact))))
