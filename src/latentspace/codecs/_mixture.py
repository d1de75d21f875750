"""Mixtures of logistic distributions over 256 tokens in whole numbers, and the range coder that they drive.

Every probability is a sum of products of whole numbers that a float holds exactly, so coder and decoder agree on any
machine. A token is coded as two digits of 16, the second given the first: sixteen probabilities at a time are cheap.
The range coder is that of `constriction` (Bamler 2022, arXiv:2201.01741).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.codecs._exact import LOGIT

__all__ = ["DIGIT", "TOKENS", "Mixture", "scales"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

TOKENS, DIGIT = 256, 16
#: centres in sixteenths of a token; widths are 2 ** (j / 8) tokens, j from WIDTH_LEAST
CENTRE, WIDTH, WIDTH_LEAST, WIDTH_MOST = 16, 8, -32, 56
#: a table's row adds up to at most ROW, a cell's weights to about SHARES: their product fits in a float's 24 bits
ROW, SHARES = 4000, 4096
#: the logistic function is tabulated at steps of 1 / FINE up to END
FINE, END = 128, 24


@cache
def _logistic() -> NDArray[np.int64]:
    """2**40 / (1 + exp(-u)) at u = -END .. END in steps of 1 / FINE, by whole-number arithmetic alone."""
    bits = 100
    # exp(1 / FINE) by its series, in whole numbers
    term = total = 1 << bits
    for k in range(1, 40):
        term = term // (k * FINE)
        total += term
    power, half = 1 << bits, []
    for _ in range(END * FINE + 1):
        half.append(((power << 40) + (power + (1 << bits)) // 2) // (power + (1 << bits)))
        power = (power * total) >> bits
    upper = np.array(half, np.int64)
    return np.concatenate([(1 << 40) - upper[:0:-1], upper])


@cache
def scales() -> NDArray[np.float64]:
    """Widths that a component may have, in tokens, on a grid of 2**-20."""
    return np.rint(2.0 ** (np.arange(WIDTH_LEAST, WIDTH_MOST + 1) / WIDTH) * 2**20) / 2**20


@dataclass(frozen=True)
class Mixture:
    """K logistic components over the tokens 0 .. 255; the first and the last token take the tails.

    centres : (K,) int, in sixteenths of a token; widths : (K,) int, places in `scales`.
    """

    centres: Ints
    widths: Ints

    @cached_property
    def table(self) -> Floats:
        """(K, 256) whole numbers that add up to about ROW in each row."""
        edges = (np.arange(1, TOKENS) - 0.5) - self.centres[:, None] / CENTRE
        u = edges / scales()[self.widths][:, None]
        at = np.rint(np.clip(u, -END, END) * FINE).astype(np.int64) + END * FINE
        below = (_logistic()[at] * ROW) >> 40
        below = np.concatenate([np.zeros_like(below[:, :1]), below, np.full_like(below[:, :1], ROW)], axis=1)
        return np.diff(below, axis=1).astype(np.float32)

    @cached_property
    def _digits(self) -> tuple[Floats, Floats]:
        """(K, 16) of the first digit; (16, K, 16) of the second one given the first."""
        table = self.table.reshape(-1, DIGIT, DIGIT)
        return table.sum(axis=2), np.ascontiguousarray(table.transpose(1, 0, 2))

    def shares(self, steps: Floats) -> Floats:
        """(n, K) whole numbers that add up to about SHARES in each row: the weights of the components.

        steps : (n, K) their logits in steps of 2**-LOGIT.
        """
        below = np.rint(steps)
        np.subtract(below.max(axis=1, keepdims=True), below, out=below)
        weight = _exponentials().take(below.astype(np.intp), mode="clip")
        whole = weight.sum(axis=1, keepdims=True)
        weight *= SHARES / whole
        return np.rint(weight, out=weight)

    def bits(self, shares: Floats, tokens: Ints) -> NDArray[np.float64]:
        """(n,) what coding each token costs."""
        p = np.einsum("nk,nk->n", shares, self.table.T[tokens]) + 1
        whole = shares @ self.table.sum(axis=1) + TOKENS
        return np.asarray(np.log2(whole / p), np.float64)

    def encode(self, coder: Any, shares: Floats, tokens: Ints) -> None:
        """Add the tokens (n,) to the coder."""
        first, second = tokens // DIGIT, tokens % DIGIT
        coder.encode(first, family(), shares @ self._digits[0] + np.float32(DIGIT))
        coder.encode(second, family(), self._second(shares, first))

    def decode(self, coder: Any, shares: Floats) -> Ints:
        """(n,) the next tokens."""
        first = coder.decode(family(), shares @ self._digits[0] + np.float32(DIGIT))
        second = coder.decode(family(), self._second(shares, first))
        return np.asarray(first * DIGIT + second, np.int32)

    def _second(self, shares: Floats, first: Ints) -> Floats:
        found = np.empty((len(first), DIGIT), np.float32)
        order = np.argsort(first, kind="stable")
        ends = np.searchsorted(first[order], np.arange(DIGIT + 1))
        for digit in range(DIGIT):
            rows = order[ends[digit] : ends[digit + 1]]
            if len(rows):
                found[rows] = shares[rows] @ self._digits[1][digit]
        found += np.float32(1)
        return found


@cache
def _exponentials() -> Floats:
    """exp(-i / 2**LOGIT) in 65536ths, at i = 0, 1, ..., until it vanishes; whole numbers from whole numbers."""
    bits = 80
    ratio, term = 1 << bits, 1 << bits
    for k in range(1, 30):  # exp(-1 / 2**LOGIT) by its series
        term = term // (k << LOGIT)
        ratio += -term if k % 2 else term
    power = 1 << bits
    found: list[int] = []
    while (value := (power * 65536 + (1 << (bits - 1))) >> bits) and len(found) < 1024:
        found.append(value)
        power = (power * ratio) >> bits
    return np.array(found, np.float32)


@cache
def family() -> Any:
    """Categorical distributions given by their probabilities, as many as there are symbols."""
    import constriction

    return constriction.stream.model.Categorical(perfect=False)
