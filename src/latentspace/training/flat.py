"""All parameters as one buffer: one Adam call a step, and backward by hand for dense networks.

A small network spends its time in overhead, not in arithmetic. Here every parameter is a view into one flat
buffer and every gradient a view into another, so that a step of Adam is a single fused call, the best weights
are kept by one copy, and the optimiser package (1.4 s to import) is not needed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from latentspace.likelihoods import Gaussian, Likelihood
from latentspace.networks.layers import DenseDecoder, DenseEncoder
from latentspace.types import Batch


class FlatParameters:
    """The parameters of `modules` moved into one buffer `values` (m,), their gradients into `gradient` (m,).

    `weights` (m,) is 1 where weight decay may work and 0 at biases and parameters of one dimension.
    """

    def __init__(self, *modules: nn.Module) -> None:
        named = [each for m in modules for each in m.named_parameters() if each[1].requires_grad]
        parameters = [p for _, p in named]
        first = parameters[0]
        total = sum(p.numel() for p in parameters)
        self.values = torch.empty(total, dtype=first.dtype, device=first.device)
        self.gradient, self.weights = torch.zeros_like(self.values), torch.zeros_like(self.values)
        at = 0
        with torch.no_grad():
            for name, p in named:
                piece = slice(at, at + p.numel())
                self.values[piece] = p.flatten()
                p.data = self.values[piece].view(p.shape)
                p.grad = self.gradient[piece].view(p.shape)
                self.weights[piece] = float(p.ndim > 1 and not name.endswith("bias"))
                at += p.numel()


class Adam:
    """Adam (Kingma and Ba 2015) on one flat buffer, beta2 = 0.95 by default.

    Uses torch's fused kernel where this torch has it, else the same arithmetic in a few tensor operations.
    """

    def __init__(
        self, flat: FlatParameters, betas: tuple[float, float] = (0.9, 0.95), eps: float = 1e-8
    ) -> None:
        self.flat, self.betas, self.eps = flat, betas, eps
        self.mean = torch.zeros_like(flat.values)
        self.square = torch.zeros_like(flat.values)
        self.count = torch.zeros((), dtype=torch.float32, device=flat.values.device)
        self.has_fused = _fused_works(flat.values.device)

    def step(self, rate: float, decay: float = 0.0) -> None:
        """One update with the gradient that lies in the buffer; weights lose `rate` · `decay` of themselves first.

        The decay is that of AdamW (Loshchilov and Hutter 2019).
        """
        with torch.no_grad():
            if decay:
                self.flat.values.addcmul_(self.flat.values, self.flat.weights, value=-rate * decay)
            if self.has_fused:
                self._fused(rate)
            else:
                self._plain(rate)

    def _fused(self, rate: float) -> None:
        self.count += 1
        torch._fused_adam_(
            [self.flat.values],
            [self.flat.gradient],
            [self.mean],
            [self.square],
            [],
            [self.count],
            lr=rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def _plain(self, rate: float) -> None:
        self.count += 1
        (beta1, beta2), step = self.betas, float(self.count)
        self.mean.lerp_(self.flat.gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(self.flat.gradient, self.flat.gradient, value=1 - beta2)
        size = (self.square / (1 - beta2**step)).sqrt_().add_(self.eps)
        self.flat.values.addcdiv_(self.mean, size, value=-rate / (1 - beta1**step))

    def state(self) -> dict[str, Tensor]:
        """Moments and step count, for a checkpoint."""
        return {"mean": self.mean, "square": self.square, "count": self.count}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])
        self.count.copy_(state["count"])


def _fused_works(device: torch.device) -> bool:
    """Whether this torch has the private fused kernel, with the signature we know, on this device."""
    one = [torch.ones(1, device=device)]
    try:
        torch._fused_adam_(
            [one[0].clone()],
            [one[0].clone()],
            [one[0].clone()],
            [one[0].clone()],
            [],
            [torch.ones((), device=device)],
            lr=0.0,
            beta1=0.9,
            beta2=0.9,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return False
    return True


class DenseBackward:
    """Loss and gradient of a dense autoencoder without autograd: ∂loss/∂η = (mean(η) − x) · observed / batch.

    Fills the gradients (views of a FlatParameters buffer) of `encoder` and `decoder` in place. Holds for every
    likelihood in ``likelihoods.py``, since each is used with its canonical link. Equal to autograd to float
    tolerance (tested).
    """

    def __init__(self, encoder: DenseEncoder, decoder: DenseDecoder, likelihood: Likelihood) -> None:
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood

    @staticmethod
    def fits(network: Any) -> bool:
        """Whether `network` is made of the two dense halves and deterministic."""
        halves = isinstance(network.encoder, DenseEncoder) and isinstance(network.decoder, DenseDecoder)
        return halves and not network.variational

    @torch.no_grad()
    def __call__(self, batch: Batch, target: Tensor | None = None) -> Tensor:
        """Gradients of the mean loss per item (nats); returns that loss. `target` defaults to the input."""
        x = batch.x.flatten(1)
        goal = x if target is None else target.flatten(1)
        inputs, z = self._encode(x)
        outputs, eta = self._decode(z)
        error = self.likelihood.mean(eta).sub_(goal)
        observed = None if batch.observed is None else batch.observed.flatten(1)
        loss = self._loss(eta, goal, error, observed) / len(x)
        if observed is not None:
            error.mul_(observed)
        back = self._backward_decoder(error.div_(len(x)), z, outputs)
        self._backward_encoder(back, x, inputs)
        return loss

    def _loss(self, eta: Tensor, goal: Tensor, error: Tensor, observed: Tensor | None) -> Tensor:
        if isinstance(self.likelihood, Gaussian):
            seen = error if observed is None else error * observed
            return 0.5 * torch.dot(seen.flatten(), seen.flatten())
        each = self.likelihood.nll(eta, goal)
        return each.sum() if observed is None else (each * observed).sum()

    def _encode(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        e = self.encoder
        both = torch.addmm(e.first.bias, x, e.first.weight.t())
        activations = [both[:, : e.hidden[0]].relu()]
        for layer in e.middle:
            activations.append(torch.addmm(layer.bias, activations[-1], layer.weight.t()).relu_())  # type: ignore[arg-type,operator]
        return activations, torch.addmm(both[:, e.hidden[0] :], activations[-1], e.last.weight.t())

    def _decode(self, z: Tensor) -> tuple[list[Tensor], Tensor]:
        d = self.decoder
        activations = [torch.addmm(d.first.bias, z, d.first.weight.t()).relu_()]
        for layer in d.middle:
            activations.append(torch.addmm(layer.bias, activations[-1], layer.weight.t()).relu_())  # type: ignore[arg-type,operator]
        joined = torch.cat([activations[-1], z], dim=1)
        return [*activations[:-1], joined], torch.addmm(d.last.bias, joined, d.last.weight.t())

    def _backward_decoder(self, error: Tensor, z: Tensor, activations: list[Tensor]) -> Tensor:
        """Fill the decoder's gradients from ∂loss/∂η; returns ∂loss/∂z."""
        d = self.decoder
        _fill(d.last, error, activations[-1])
        both = error @ d.last.weight
        width = d.hidden[-1]
        grad, to_z = both[:, :width], both[:, width:]
        outputs = [*activations[:-1], activations[-1][:, :width]]
        for layer, out, below in zip(
            reversed(d.middle), reversed(outputs[1:]), reversed(outputs[:-1]), strict=True
        ):
            grad = grad * (out > 0)
            _fill(layer, grad, below)
            grad = grad @ layer.weight  # type: ignore[operator]
        grad = grad * (outputs[0] > 0)
        _fill(d.first, grad, z)
        return torch.addmm(to_z, grad, d.first.weight)

    def _backward_encoder(self, grad_z: Tensor, x: Tensor, activations: list[Tensor]) -> None:
        """Fill the encoder's gradients from ∂loss/∂z."""
        e = self.encoder
        torch.mm(grad_z.t(), activations[-1], out=e.last.weight.grad)
        grad = grad_z @ e.last.weight
        for layer, out, below in zip(
            reversed(e.middle), reversed(activations[1:]), reversed(activations[:-1]), strict=True
        ):
            grad = grad * (out > 0)
            _fill(layer, grad, below)
            grad = grad @ layer.weight  # type: ignore[operator]
        grad = torch.cat([grad * (activations[0] > 0), grad_z], dim=1)
        _fill(e.first, grad, x)


def _fill(layer: nn.Module, grad: Tensor, inputs: Tensor) -> None:
    """Gradients of one linear layer, in place, from ∂loss/∂output and the layer's inputs."""
    torch.mm(grad.t(), inputs, out=layer.weight.grad)  # type: ignore[arg-type]
    torch.sum(grad, dim=0, out=layer.bias.grad)  # type: ignore[arg-type]
