"""Which patches are hidden: those to be predicted, and the context from which they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from latentspace.errors import OptionError, nearest

#: "every" reaches all patches; "official" draws as the published code does
SAMPLERS = ("every", "official")
#: draws for a picture before something gives way
TRIES = 20
#: sizes are looked through at so many values of each number that they are drawn from
LATTICE = 33

Range = tuple[float, float]
Size = tuple[int, int]


@dataclass(frozen=True)
class Masks:
    """Indices of patches, row by row: `context` (batch, kept) and `targets` (blocks, batch, hidden)."""

    context: Int[Tensor, "batch kept"]
    targets: Int[Tensor, "blocks batch hidden"]


class RandomMasks:
    """A share `keep` of the patches, anywhere, is the context, and all others are predicted, in one block.

    Few patches are seen and all others asked for in one pass, so that a step teaches more than one of blocks does.
    Source: He et al. (2022), "Masked autoencoders are scalable vision learners", section 3.

    >>> masks = RandomMasks((7, 7), keep=0.25).draw(2, torch.Generator().manual_seed(0))
    >>> masks.context.shape, masks.targets.shape
    (torch.Size([2, 12]), torch.Size([1, 2, 37]))
    """

    def __init__(self, grid: Size, *, keep: float = 0.25) -> None:
        if not 0 < keep < 1:
            raise OptionError(f"keep must lie between 0 and 1, got {keep!r}.")
        self.patches = grid[0] * grid[1]
        self.kept = min(self.patches - 1, max(1, round(keep * self.patches)))

    def draw(self, batch: int, generator: torch.Generator) -> Masks:
        """Masks of `batch` pictures, int64, all drawn at once."""
        order = torch.rand(batch, self.patches, generator=generator).argsort(dim=1)
        seen, hidden = order[:, : self.kept], order[:, self.kept :]
        return Masks(seen.sort(dim=1).values, hidden.sort(dim=1).values[None])


class BlockMasks:
    """Blocks to predict and one large block to see, less what is to be predicted; the names are the published ones.

    grid : rows and columns of patches. enc_mask_scale, pred_mask_scale : shares of all patches that the context block
    and each target block have. aspect_ratio : height over width of target blocks; the context block has the grid's.
    num_pred_masks : target blocks of a picture, which may overlap each other. min_keep : patches that a context
    keeps at least. allow_overlap : leave targets in the context. num_enc_masks : 1.

    One size of targets and one of contexts serves a whole batch; contexts are cut to the smallest count in it.
    sampler : "every" draws scale and aspect apart, keeps both within their ranges wherever the grid has such a block,
    reaches every patch, and cuts contexts at random. "official" draws both from one number, never reaches the last
    row and column, asks for more than `min_keep` patches of targets too, lets targets into the context where it
    becomes too small, and cuts contexts from below.

    Raises OptionError where a batch could not be drawn. Source: Assran et al. (2023), "Self-supervised learning from
    images with a joint-embedding predictive architecture", section 3 and appendix A.

    >>> masks = BlockMasks((7, 7)).draw(2, torch.Generator().manual_seed(0))
    >>> masks.targets.shape, sorted(set(masks.context[0].tolist()) & set(masks.targets[:, 0].flatten().tolist()))
    (torch.Size([4, 2, 9]), [])
    """

    def __init__(
        self,
        grid: Size,
        *,
        enc_mask_scale: Range = (0.85, 1.0),
        pred_mask_scale: Range = (0.15, 0.2),
        aspect_ratio: Range = (0.75, 1.5),
        num_enc_masks: int = 1,
        num_pred_masks: int = 4,
        min_keep: int = 10,
        allow_overlap: bool = False,
        sampler: str = "every",
    ) -> None:
        if sampler not in SAMPLERS:
            raise OptionError(
                f"sampler is one of {', '.join(SAMPLERS)}, not {sampler!r}{nearest(sampler, SAMPLERS)}."
            )
        if num_enc_masks != 1:
            raise OptionError(f"num_enc_masks must be 1 (one context a picture), got {num_enc_masks!r}.")
        if num_pred_masks < 1 or min_keep < 0:
            raise OptionError(
                f"num_pred_masks must be at least 1 and min_keep at least 0, got {num_pred_masks!r} and {min_keep!r}."
            )
        self.grid, self.official = grid, sampler == "official"
        self.pred_mask_scale = _range("pred_mask_scale", pred_mask_scale, 1.0)
        self.enc_mask_scale = _range("enc_mask_scale", enc_mask_scale, 1.0)
        self.aspect_ratio = _range("aspect_ratio", aspect_ratio, math.inf)
        self.num_enc_masks, self.num_pred_masks = num_enc_masks, num_pred_masks
        self.min_keep, self.allow_overlap = min_keep, allow_overlap
        #: patches that a context must have
        self.least = min_keep + 1 if self.official else max(1, min_keep)
        #: heights and widths of all blocks of the grid
        self._blocks = tuple(a.ravel() + 1 for a in np.indices(grid))
        self._check()

    def draw(self, batch: int, generator: torch.Generator) -> Masks:
        """Masks of `batch` pictures, int64, all drawn at once."""
        target, context = self._sizes(generator)
        places = (self.num_pred_masks, batch)
        top, left = self._places(target, places, generator)
        around = self._places(context, (batch,), generator)
        kept = self._kept(target, context, top, left, around)
        for turn in range(1, TRIES * (self.num_pred_masks + 1)):
            short = (kept.sum(dim=1) < self.least).nonzero().flatten()
            if not len(short):
                break
            again = self._places(context, (len(short),), generator)
            if not self.official and turn < TRIES:
                places = (self.num_pred_masks, len(short))
                top[:, short], left[:, short] = self._places(target, places, generator)
            elif not self.official:
                top[:, short], left[:, short], again = self._far_apart(target, context, len(short), generator)
            heeded = self.num_pred_masks - turn // TRIES if self.official else self.num_pred_masks
            kept[short] = self._kept(target, context, top[:heeded, short], left[:heeded, short], again)
        return Masks(self._cut(kept, generator), self._indices(target, top, left))

    # sizes

    def _sizes(self, generator: torch.Generator) -> tuple[Size, Size]:
        u, v, s = torch.rand(3, generator=generator).tolist()
        return self._target_size(u, v), self._context_size(s)

    def _target_size(self, u: float, v: float) -> Size:
        return self._size(self.pred_mask_scale, self.aspect_ratio, u, v)

    def _context_size(self, u: float) -> Size:
        shape = 1.0 if self.official else self.grid[0] / self.grid[1]
        return self._size(self.enc_mask_scale, (shape, shape), u, u)

    def _size(self, scale: Range, aspect: Range, u: float, v: float) -> Size:
        """(height, width) of the block for two numbers between 0 and 1."""
        rows, columns = self.grid
        patches = rows * columns * _between(scale, u)
        shape = _between(aspect, u if self.official else v)
        if self.official:
            height = round(math.sqrt(int(patches) * shape))
            width = round(math.sqrt(int(patches) / shape))
            return min(height, rows - 1), min(width, columns - 1)

        heights, widths = self._blocks
        shares, shapes = heights * widths / (rows * columns), heights / widths
        far = np.log(heights * widths / patches) ** 2 + np.log(shapes / shape) ** 2
        fine = (scale[0] <= shares) & (shares <= scale[1])
        if aspect[0] < aspect[1]:  # a context has one aspect, which few blocks of a grid have exactly
            fine &= (aspect[0] <= shapes) & (shapes <= aspect[1])
        best = int(np.argmin(np.where(fine, far, np.inf) if fine.any() else far))
        return int(heights[best]), int(widths[best])

    def _check(self) -> None:
        """Raise OptionError where some batch could not be drawn."""
        rows, columns = self.grid
        where = f"on a grid of {rows} x {columns} patches"
        steps = [i / (LATTICE - 1) for i in range(LATTICE)]
        targets = {self._target_size(u, v) for u in steps for v in ([u] if self.official else steps)}
        contexts = {self._context_size(u) for u in steps}
        smallest = min(height * width for height, width in targets)
        least = self.min_keep if self.official else 0
        if self.pred_mask_scale[1] * rows * columns < 1 or smallest <= least:
            raise OptionError(
                f"A share of {self.pred_mask_scale[0]:g} to {self.pred_mask_scale[1]:g} (pred_mask_scale) is "
                f"{smallest} of the patches {where}, and more than {least} are needed; make it larger or the "
                "patches smaller" + (", or min_keep less." if self.official else ".")
            )
        most = min(self._most(target, context) for target in targets for context in contexts)
        if most < self.least:
            raise OptionError(
                f"Contexts keep {max(0, most)} patches at most {where} where targets have up to "
                f"{max(h * w for h, w in targets)}, and {self.least} are needed (min_keep={self.min_keep}): make "
                "pred_mask_scale or min_keep smaller, or enc_mask_scale larger."
            )

    def _most(self, target: Size, context: Size) -> int:
        """Patches that a context keeps where all targets lie in the corner farthest from it."""
        inside = [t - (n - c) for t, n, c in zip(target, self.grid, context, strict=True)]
        lost = 0 if self.allow_overlap or self.official else max(0, inside[0]) * max(0, inside[1])
        return context[0] * context[1] - lost

    # places

    def _places(
        self, size: Size, shape: tuple[int, ...], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Top rows and left columns of blocks, of `shape` each."""
        room = [n - s + (0 if self.official else 1) for n, s in zip(self.grid, size, strict=True)]
        top, left = (torch.randint(0, r, shape, generator=generator) for r in room)
        return top, left

    def _far_apart(
        self, target: Size, context: Size, n: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Places (n,) in which all targets of a picture lie in one corner and its context in the other."""
        end = torch.randint(0, 2, (2, n), generator=generator)
        for_targets, for_context = (
            torch.tensor([[n - s] for n, s in zip(self.grid, size, strict=True)])
            for size in (target, context)
        )
        top, left = end * for_targets
        down, across = (1 - end) * for_context
        return top, left, (down, across)

    def _kept(
        self, target: Size, context: Size, top: Tensor, left: Tensor, around: tuple[Tensor, Tensor]
    ) -> Bool[Tensor, "batch patches"]:
        """Which patches are in the context block and in none of the targets at `top`, `left` (blocks, batch)."""
        kept = self._inside(context, *around)
        if not self.allow_overlap and len(top):
            kept &= ~self._inside(target, top, left).any(dim=0)
        return kept

    def _inside(self, size: Size, top: Tensor, left: Tensor) -> Tensor:
        """(*shape, patches): which patches blocks at `top`, `left` hold."""
        rows, columns = (torch.arange(n) for n in self.grid)
        down, across = rows - top[..., None], columns - left[..., None]
        tall, wide = (down >= 0) & (down < size[0]), (across >= 0) & (across < size[1])
        return (tall[..., :, None] & wide[..., None, :]).flatten(-2)

    def _indices(self, size: Size, top: Tensor, left: Tensor) -> Tensor:
        """(*shape, height · width): the patches of blocks at `top`, `left`, in rising order."""
        down, across = torch.arange(size[0])[:, None], torch.arange(size[1])
        corner = top * self.grid[1] + left
        return corner[..., None] + (down * self.grid[1] + across).flatten()

    def _cut(self, kept: Tensor, generator: torch.Generator) -> Tensor:
        """(batch, fewest): as many patches of each as the picture with the fewest has, in rising order."""
        fewest = int(kept.sum(dim=1).min())
        if self.official:
            order = torch.arange(kept.shape[1], 0, -1, dtype=torch.float32).expand(kept.shape)
        else:
            order = torch.rand(kept.shape, generator=generator)
        return order.masked_fill(~kept, -1.0).topk(fewest, dim=1).indices.sort(dim=1).values


def _between(ends: Range, u: float) -> float:
    return ends[0] + u * (ends[1] - ends[0])


def _range(name: str, given: Range, most: float) -> Range:
    low, high = given
    if not 0 < low <= high <= most:
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise OptionError(f"{name} must be two rising numbers above 0{limit}, got {given!r}.")
    return float(low), float(high)
