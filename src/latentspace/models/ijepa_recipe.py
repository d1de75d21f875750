"""What "auto" stands for in `IJEPA`: sizes, masks and steps for so many pictures, so large, in so much time."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from latentspace.errors import DataError, OptionError, nearest
from latentspace.networks._pooled import Sizes, as_picture

__all__ = ["RECIPES", "Recipe", "recipe"]

RECIPES = ("small", "published")
#: patches along the mean side of a picture
SIDE = 8
#: pieces of a signal, and the fewest
PIECES, LEAST_PIECES = 16, 4
#: steps without a time to keep to
STEPS = 3000
#: pictures in a step at most, and steps in an epoch at least where there are few pictures
BATCH, STEPS_PER_EPOCH = 32, 20
#: rows and columns of regions, axes of Z, blocks that targets are the mean of, share of training on pixels
REGIONS, AXES, LAYERS, PIXELS = 3, 256, 3, 0.25
#: share of the patches that is seen, and how many at least: with 4 of 16, one of five seeds collapsed (LOG.md)
KEEP, MIN_KEEP = 0.25, 10
#: of the first step: below, digits collapsed in 8 epochs (LOG.md)
LEAST_MOMENTUM = 0.98


@dataclass(frozen=True)
class Recipe:
    """All that a fit needs to know besides the pictures.

    wide : first tokens start with variance 1; else weights start as published. predictor : width, depth and heads.
    Momentum, targets, spread, layers and pixels : see `PatchPrediction`; num_pred_masks and min_keep : see
    `BlockMasks`; sampler : "random" (`RandomMasks`, which keep the share `keep`) or that of `BlockMasks`.
    """

    sizes: Sizes
    predictor: tuple[int, int, int]
    num_pred_masks: int
    min_keep: int
    momentum: tuple[float, float]
    targets: str
    spread: float
    wide: bool
    batch_size: int
    learning_rate: float
    # what recipes of older versions do not say
    sampler: str = "every"
    keep: float = 0.25
    layers: int = 1
    pixels: float = 0.0

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Recipe:
        """What `state` gave."""
        sizes = {**state["sizes"], "patch_size": tuple(state["sizes"]["patch_size"])}
        tuples = {name: tuple(state[name]) for name in ("predictor", "momentum")}
        return cls(**{**state, **tuples, "sizes": Sizes(**sizes)})

    def following(self, steps: int) -> Recipe:
        """The same with a momentum for so many steps: targets of a short run must follow sooner."""
        if not self.wide:
            return self
        return replace(self, momentum=(float(np.clip(1 - 30 / max(1, steps), LEAST_MOMENTUM, 0.996)), 1.0))


def recipe(
    name: str, shape: tuple[int, ...], n: int, minutes: float | None = None, patch_size: int | None = None
) -> Recipe:
    """The recipe of that name for `n` pictures (C, H, W) or signals (C, T) in `minutes` (None: as long as it takes).

    Raises OptionError for other names and for patches that leave fewer than 3 x 3 of them, DataError for items that
    are neither.

    >>> small = recipe("small", (1, 28, 28), 20_000)
    >>> small.sizes.patch_size, small.sizes.width, small.batch_size
    ((4, 4), 64, 32)
    """
    if name not in RECIPES:
        raise OptionError(f"recipe is one of {', '.join(RECIPES)}, not {name!r}{nearest(name, RECIPES)}.")
    if len(shape) not in (2, 3):
        raise DataError(
            "IJEPA learns from pictures, of shape (channels, height, width), and signals, (channels, samples); "
            f"these items have shape {shape}: use an Autoencoder."
        )
    # where in a signal's window something happens is chance: one mean of all
    small, signal = name == "small", len(shape) == 2
    side = patch_size or (max(1, round(shape[1] / PIECES)) if signal else patch_for(shape[1], shape[2]))
    patch = (1, side) if signal else (side, side)
    grid = [-(-n // p) for n, p in zip(as_picture(shape)[1:], patch, strict=True)]
    _check(shape, patch_size, grid, small)
    patches = grid[0] * grid[1]
    width, depth = _size(n, minutes)
    batch = int(2 ** np.clip(math.floor(math.log2(max(1, n / STEPS_PER_EPOCH))), 3, math.log2(BATCH)))
    return Recipe(
        sizes=Sizes(
            patch,
            width,
            depth,
            max(1, width // 32),
            regions=REGIONS if small and not signal else 1,
            axes=AXES if small else 0,
        ),
        predictor=(width // 2, 2 if small else depth, max(1, width // 64)),
        num_pred_masks=4,
        min_keep=min(MIN_KEEP, patches // 4),
        momentum=(0.996, 1.0),
        targets="published",
        spread=0.0,
        wide=small,
        batch_size=batch,
        learning_rate=2e-3 if small else 1e-3,
        sampler="random" if small else "every",
        keep=KEEP if signal else max(KEEP, min(MIN_KEEP, patches // 2) / patches),
        layers=min(LAYERS, depth) if small else 1,
        pixels=PIXELS if small else 0.0,
    )


def _check(shape: tuple[int, ...], asked: int | None, grid: list[int], small: bool) -> None:
    """Raise OptionError where too few patches are left to hide some, or blocks of a signal are to be hidden."""
    if len(shape) == 2:
        if not small:
            raise OptionError("recipe 'published' hides blocks of pictures; these are signals: take 'small'.")
        if grid[1] < LEAST_PIECES:
            what = f"Pieces of {asked} cut signals" if asked else "Signals"
            raise OptionError(
                f"{what} of {shape[1]} samples are too short for I-JEPA, which hides some of at least "
                f"{LEAST_PIECES} pieces: use an autoencoder."
            )
        return
    if min(grid) < 3 and not asked:
        raise OptionError(
            f"Pictures of {shape[1]} x {shape[2]} are too small for I-JEPA, which hides some of at least 3 x 3 "
            "patches: use an autoencoder."
        )
    if min(grid) < 3:
        raise OptionError(
            f"Patches of {asked} x {asked} cut pictures of {shape[1]} x {shape[2]} into {grid[0]} x {grid[1]}; "
            "at least 3 x 3 are needed."
        )


def patch_for(height: int, width: int) -> int:
    """The side of a patch that cuts a picture into about 8 x 8: one that divides both sides, if one is near.

    >>> patch_for(28, 28), patch_for(48, 48), patch_for(64, 64), patch_for(224, 224), patch_for(31, 37)
    (4, 6, 8, 28, 4)
    """
    wanted = math.sqrt(height * width) / SIDE
    near = range(max(1, math.ceil(0.75 * wanted)), max(1, math.floor(1.34 * wanted)) + 1)
    fitting = [p for p in near if height % p == 0 and width % p == 0]
    return min(fitting or [max(1, round(wanted))], key=lambda p: abs(p - wanted))


def _size(n: int, minutes: float | None) -> tuple[int, int]:
    """Width and depth: more of both for many pictures and much time."""
    if n < 5000 or minutes is None or minutes < 5:
        return 64, 3
    return (128, 3) if minutes < 20 else (128, 4)
