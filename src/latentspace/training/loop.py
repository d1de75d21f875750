"""The trainer's loop: batches, steps, held-out checks, the best weights kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentspace.errors import TrainingError
from latentspace.networks.base import Network
from latentspace.networks.layers import seeded
from latentspace.objectives.base import Objective
from latentspace.training.checkpoint import read_checkpoint, write_checkpoint
from latentspace.training.flat import Adam, DenseBackward, FlatParameters
from latentspace.training.schedule import Schedule, learning_rate
from latentspace.types import Batch

Array = NDArray[Any]

#: standard errors by which training must beat its rival on held-out items, or the start is kept: three, since
#: the best of many checks is judged, and since windows that overlap are not independent
CLEAR = 3.0


@dataclass(frozen=True)
class Data:
    """Encoded items for training: x (n, *shape) float32, `observed` like x or None, `y` (n,) int64 or None."""

    x: Array
    observed: Array | None = None
    y: Array | None = None

    def batch(self, rows: Array | slice, device: torch.device | str = "cpu") -> Batch:
        """The items at `rows` as tensors on `device`."""

        def tensor(a: Array | None) -> Tensor | None:
            return None if a is None else torch.from_numpy(a[rows]).to(device)

        x = tensor(self.x)
        assert x is not None
        return Batch(x, tensor(self.observed), tensor(self.y))


@dataclass(frozen=True)
class Training:
    """How to train. Times are in seconds; `checkpoint` is a file to resume from and to write at every check.

    `schedule`: learning rate and weight decay of each step, in place of those that `peak_rate` gives.
    """

    epochs: int
    batch_size: int
    peak_rate: float
    patience: int = 10
    max_seconds: float | None = None
    seed: int = 0
    device: str = "cpu"
    checkpoint: Path | None = None
    schedule: Schedule | None = None


@dataclass
class History:
    """What happened: losses in nats per item.

    epochs : (epoch, training loss, held-out loss, seconds so far) of every check.
    start_loss : held-out loss before the first step (PCA's, where the network starts there).
    kept_start : training did not beat its rival beyond chance, so the start's weights were kept.
    stopped : why it ended, in plain words. ended_early : by the user or the clock.
    dials : figures of every check, where someone watches.
    """

    epochs: list[tuple[int, float, float, float]] = field(default_factory=list)
    start_loss: float = float("nan")
    best_loss: float = float("nan")
    best_epoch: int = 0
    kept_start: bool = False
    stopped: str = ""
    ended_early: bool = False
    seconds: float = 0.0
    dials: list[dict[str, float]] = field(default_factory=list)


Progress = Callable[[int, int, float], None]
#: looks at the network after an epoch: figures by name, and why training should end, if it should
Watch = Callable[[int], tuple[dict[str, float], str | None]]


def train(
    network: Network,
    objective: Objective,
    data: Data,
    fit_rows: Array,
    held_out_rows: Array,
    how: Training,
    progress: Progress | None = None,
    rival: Array | None = None,
    watch: Watch | None = None,
) -> History:
    """Minimise `objective` over the items at `fit_rows`, judged on `held_out_rows`; the best weights stay.

    The last ones stay where the loss does not tell which are best (`objective.judges`). `watch` is asked before
    `progress` is told, and ends training where it finds a reason.

    `rival`: losses (m,) of the held-out items that training must clearly beat for its weights to be kept,
    where the objective keeps its start; by default those of the start itself.

    Ctrl-C, `max_seconds` and `patience` checks without improvement end it early, with the best so far.
    A NaN ends it with a TrainingError that names the cause if no finite weights were found before it.
    """
    if rival is None:
        rival = item_losses(network, objective, data, held_out_rows, how.device)
    with seeded(how.seed):
        history = _Loop(network, objective, data, fit_rows, held_out_rows, how, rival, watch).run(progress)
        if history.kept_start and not history.ended_early and how.epochs > 1:
            # The start is a good one and large steps lose it: walk again from there, more slowly.
            left = None if how.max_seconds is None else max(0.0, how.max_seconds - history.seconds)
            slower = replace(
                how, peak_rate=how.peak_rate / 5, epochs=how.epochs // 2, max_seconds=left, checkpoint=None
            )
            again = _Loop(network, objective, data, fit_rows, held_out_rows, slower, rival, watch).run(
                progress
            )
            again.seconds += history.seconds
            return again
    return history


class _Loop:
    """One run: the state that a step changes."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        data: Data,
        fit_rows: Array,
        held_out_rows: Array,
        how: Training,
        rival: Array,
        watch: Watch | None,
    ) -> None:
        self.watch = watch
        self.network, self.objective, self.data, self.how = network, objective, data, how
        self.fit_rows, self.held_out_rows = fit_rows, held_out_rows
        self.flat = FlatParameters(network, objective)
        self.adam = Adam(self.flat)
        self.backward = self._fast_path()
        self.generator = torch.Generator().manual_seed(how.seed)
        self.order = np.random.default_rng(how.seed)
        self.history = History()
        self.steps_per_epoch = max(1, len(fit_rows) // how.batch_size)
        self.start = self.best = self.flat.values.clone()
        self.best_losses, self.rival = np.zeros(0), rival
        self.epoch = 0

    def _fast_path(self) -> DenseBackward | None:
        if self.objective.is_reconstruction and DenseBackward.fits(self.network):
            return DenseBackward(self.network.encoder, self.network.decoder, self.objective.likelihood)  # type: ignore[arg-type]
        return None

    def run(self, progress: Progress | None) -> History:
        """All epochs, or until something ends them; what happened."""
        how, began = self.how, time.monotonic()
        self.best_losses = self.held_out_losses()
        self.history.start_loss = self.history.best_loss = float(self.best_losses.mean())
        self._resume()
        history = self.history
        try:
            while self.epoch < how.epochs:
                loss = self._one_epoch()
                self.epoch += 1
                losses = self.held_out_losses()
                held_out = float(losses.mean())
                if not (np.isfinite(loss) and np.isfinite(held_out)):
                    history.stopped = (
                        f"the loss became {loss} in epoch {self.epoch}; the best weights before it stay"
                    )
                    break
                history.epochs.append((self.epoch, loss, held_out, time.monotonic() - began))
                if held_out < history.best_loss or not self.objective.judges:
                    history.best_loss, history.best_epoch = held_out, self.epoch
                    self.best, self.best_losses = self.flat.values.clone(), losses
                reason = self._watched()
                self._write_checkpoint()
                if progress is not None:
                    progress(self.epoch, how.epochs, held_out)
                if reason is not None:
                    history.stopped, history.ended_early = reason, True
                    break
                if self.epoch - history.best_epoch >= how.patience:
                    history.stopped = f"no better on held-out items for {how.patience} checks"
                    break
                if how.max_seconds is not None and time.monotonic() - began > how.max_seconds:
                    history.stopped, history.ended_early = "the time allowed was used up", True
                    break
            else:
                history.stopped = f"all {how.epochs} epochs done"
        except KeyboardInterrupt:
            history.stopped = f"interrupted in epoch {self.epoch + 1}; the best so far is kept"
            history.ended_early = True
        self._finish(began)
        return self.history

    def _one_epoch(self) -> float:
        """Every item once, in a new order; returns the mean training loss (nats per item)."""
        rows = self.order.permutation(self.fit_rows)
        total = self.how.epochs * self.steps_per_epoch
        summed = torch.zeros(())
        for i in range(self.steps_per_epoch):
            size = self.how.batch_size
            chosen = rows[i * size : (i + 1) * size] if i + 1 < self.steps_per_epoch else rows[i * size :]
            step = self.epoch * self.steps_per_epoch + i
            loss = self._gradient(self.data.batch(chosen, self.how.device))
            self._step(step, total)
            self.objective.after_step(self.network, step / total)
            summed = summed + loss.to("cpu")
        return float(summed) / self.steps_per_epoch

    def _step(self, step: int, total: int) -> None:
        schedule = self.how.schedule
        if schedule is None:
            self.adam.step(learning_rate(step, total, self.how.peak_rate))
        else:
            self.adam.step(schedule.rate(step, total), schedule.weight_decay(step, total))

    def _watched(self) -> str | None:
        if self.watch is None:
            return None
        figures, reason = self.watch(self.epoch)
        self.history.dials.append(figures)
        return reason

    def _gradient(self, batch: Batch) -> Tensor:
        if self.backward is not None:
            seen = self.objective.view(batch.x, self.generator)
            return self.backward(Batch(seen, batch.observed), batch.x)
        self.flat.gradient.zero_()
        loss = self.objective(self.network, batch, self.generator)["loss"].mean()
        loss.backward()
        return torch.as_tensor(loss.detach())

    def held_out_losses(self) -> Array:
        """Loss of each held-out item, (m,), without damage or sampling."""
        return item_losses(self.network, self.objective, self.data, self.held_out_rows, self.how.device)

    def _finish(self, began: float) -> None:
        history = self.history
        if not np.isfinite(history.best_loss):
            raise TrainingError(
                f"Training could not start: the loss of the held-out items is {history.best_loss}; "
                "look for values far outside the usual range in the data."
            )
        if self.objective.keeps_start and not _clearly_better(self.best_losses, self.rival):
            history.kept_start = True
            history.best_loss, history.best_epoch = history.start_loss, 0
            self.best = self.start
        with torch.no_grad():
            self.flat.values.copy_(self.best)
        history.seconds = time.monotonic() - began

    def _write_checkpoint(self) -> None:
        if self.how.checkpoint is not None:
            tensors = {
                "values": self.flat.values,
                "best": self.best,
                "best_losses": torch.from_numpy(self.best_losses),
            }
            tensors |= self._unlearnt()
            tensors["generator"] = self.generator.get_state()
            write_checkpoint(self.how.checkpoint, self.epoch, self.history, {**tensors, **self.adam.state()})

    def _unlearnt(self) -> dict[str, Tensor]:
        """What may change although no gradient reaches it, by name: moving averages."""
        found: dict[str, Tensor] = {}
        for part, module in (("network", self.network), ("objective", self.objective)):
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                if not tensor.requires_grad:
                    found[f"{part}.{name}"] = tensor
        return found

    def _resume(self) -> None:
        if self.how.checkpoint is None or not self.how.checkpoint.exists():
            return
        self.epoch, fields, tensors = read_checkpoint(self.how.checkpoint, len(self.flat.values))
        self.history = History(**fields)
        with torch.no_grad():
            self.flat.values.copy_(tensors["values"])
        self.best, self.best_losses = tensors["best"], tensors["best_losses"].numpy()
        self.adam.load_state(tensors)
        with torch.no_grad():
            for name, tensor in self._unlearnt().items():
                if name in tensors:  # checkpoints of before had none
                    tensor.copy_(tensors[name])
        if "generator" in tensors:
            self.generator.set_state(tensors["generator"])
        for _ in range(self.epoch):
            self.order.permutation(self.fit_rows)


def item_losses(
    network: Network, objective: Objective, data: Data, rows: Array, device: str = "cpu", block: int = 1024
) -> Array:
    """(m,) loss of each of the items at `rows`, without damage or sampling; nats."""
    pieces = []
    with torch.no_grad():
        for start in range(0, len(rows), block):
            batch = data.batch(rows[start : start + block], device)
            pieces.append(objective(network, batch)["loss"].cpu().numpy())
    return np.concatenate(pieces).astype(np.float64)


def _clearly_better(losses: Array, rival: Array) -> bool:
    """Whether the mean paired gain over the rival exceeds CLEAR standard errors (and anything at all)."""
    gain = rival - losses
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return bool(gain.mean() > CLEAR * error and gain.mean() > 0)
