import math
from itertools import product

import pytest
import torch

from latentspace.errors import OptionError
from latentspace.objectives._masks import BlockMasks, RandomMasks

GRIDS = [(14, 14), (7, 7), (5, 9), (4, 4)]


def drawn(masks, batch=64, times=30, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [masks.draw(batch, generator) for _ in range(times)]


def corners(targets, columns):
    """(height, width) of blocks given as indices (..., hidden), having checked that they are blocks."""
    down, across = targets // columns, targets % columns
    height, width = (int((a.amax(-1) - a.amin(-1)).max()) + 1 for a in (down, across))
    assert height * width == targets.shape[-1]
    for a, size in ((down, height), (across, width)):
        assert bool((a.amax(-1) - a.amin(-1) == size - 1).all())
    assert bool((targets.diff(dim=-1) > 0).all())
    return height, width


@pytest.mark.parametrize("grid", GRIDS)
def test_blocks_are_blocks_and_contexts_hold_none_of_them(grid):
    for each in drawn(BlockMasks(grid)):
        assert each.context.dtype == each.targets.dtype == torch.int64
        assert each.targets.shape[:2] == (4, 64) and each.context.shape[0] == 64
        corners(each.targets, grid[1])
        assert bool((each.context.diff(dim=1) > 0).all())
        assert each.context.shape[1] >= 10
        assert int(each.context.min()) >= 0 and int(each.context.max()) < grid[0] * grid[1]
        for block in each.targets:
            assert not (each.context[:, :, None] == block[:, None, :]).any()


@pytest.mark.parametrize("grid", GRIDS)
def test_every_patch_is_sometimes_hidden_and_sometimes_seen(grid):
    seen, hidden = torch.zeros(grid[0] * grid[1]), torch.zeros(grid[0] * grid[1])
    for each in drawn(BlockMasks(grid), times=60):
        seen += torch.bincount(each.context.flatten(), minlength=len(seen))
        hidden += torch.bincount(each.targets.flatten(), minlength=len(hidden))
    assert bool((seen > 0).all()) and bool((hidden > 0).all())
    # the grid has no side that is preferred
    for count in (seen.view(grid), hidden.view(grid)):
        torch.testing.assert_close(count, count.flip(0).flip(1), rtol=0.35, atol=60.0)


def test_the_official_sampler_never_hides_the_last_row_and_column():
    hidden = torch.zeros(14 * 14)
    for each in drawn(BlockMasks((14, 14), sampler="official"), times=60):
        assert each.context.shape[1] > 10 and each.targets.shape[2] > 10
        corners(each.targets, 14)
        hidden += torch.bincount(each.targets.flatten(), minlength=len(hidden))
    never = (hidden.view(14, 14) == 0).nonzero().tolist()
    assert never == sorted([i, j] for i, j in product(range(14), repeat=2) if 13 in (i, j))


def test_scale_and_aspect_keep_to_their_ranges_and_fill_them():
    sizes = {corners(each.targets, 14) for each in drawn(BlockMasks((14, 14)), batch=2, times=400)}
    assert all(0.15 <= h * w / 196 <= 0.2 and 0.75 <= h / w <= 1.5 for h, w in sizes)
    wanted = {
        (h, w)
        for h, w in product(range(1, 15), repeat=2)
        if 0.15 <= h * w / 196 <= 0.2 and 0.75 <= h / w <= 1.5
    }
    assert sizes == wanted
    # the official one draws both from one number: the larger, the taller
    official = {
        corners(each.targets, 14)
        for each in drawn(BlockMasks((14, 14), sampler="official"), batch=2, times=400)
    }
    assert {(5, 6), (6, 5), (7, 5)} <= official | {(5, 6)} and (5, 7) not in official
    assert max(official, key=math.prod)[0] == 8


def test_context_blocks_have_the_share_of_the_grid_that_is_asked_for():
    for low, high in ((0.85, 1.0), (0.3, 0.5)):
        masks = BlockMasks((10, 20), enc_mask_scale=(low, high), allow_overlap=True)
        counts = [each.context.shape[1] / 200 for each in drawn(masks, batch=2, times=100)]
        assert low - 1e-9 <= min(counts) < low + 0.3 * (high - low)
        assert high - 0.3 * (high - low) < max(counts) <= high + 1e-9


def test_one_seed_gives_one_draw_and_the_global_generator_stays():
    before = torch.get_rng_state()
    first, again, other = (drawn(BlockMasks((7, 7)), times=3, seed=s) for s in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a.context, b.context) and torch.equal(a.targets, b.targets)
        assert a.targets.shape != c.targets.shape or not torch.equal(a.targets, c.targets)
    assert torch.equal(torch.get_rng_state(), before)


def test_contexts_that_are_rarely_large_enough_are_found_still():
    # four blocks of 2 x 2 must all but coincide for 11 of 16 patches to stay
    masks = BlockMasks((4, 4), enc_mask_scale=(1.0, 1.0), pred_mask_scale=(0.25, 0.25), min_keep=12)
    for each in drawn(masks, batch=256, times=3):
        assert each.context.shape[1] == 12
        assert not (each.context[:, :, None] == each.targets[0][:, None, :]).any()


def test_overlap_is_allowed_where_asked():
    masks = BlockMasks((7, 7), enc_mask_scale=(1.0, 1.0), allow_overlap=True)
    assert drawn(masks)[0].context.shape[1] == 49


@pytest.mark.parametrize(
    ("grid", "options", "says"),
    [
        ((7, 7), {"sampler": "official"}, "is 6 of the patches on a grid of 7 x 7 patches, and more than 10"),
        ((4, 4), {"min_keep": 16}, "Contexts keep 12 patches at most on a grid of 4 x 4.* 16 are needed"),
        ((3, 3), {"pred_mask_scale": (0.01, 0.05)}, "is 1 of the patches.*make it larger or the patches"),
        ((7, 7), {"pred_mask_scale": (0.9, 1.0)}, "Contexts keep 0 patches"),
        ((7, 7), {"pred_mask_scale": (0.3, 0.2)}, "two rising numbers above 0 and at most 1"),
        ((7, 7), {"aspect_ratio": (0.0, 0.2)}, "aspect_ratio must be two rising numbers above 0, got"),
        ((7, 7), {"sampler": "oficial"}, "did you mean 'official'"),
        ((7, 7), {"num_enc_masks": 2}, "num_enc_masks must be 1"),
        ((7, 7), {"num_pred_masks": 0}, "num_pred_masks must be at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(grid, options, says):
    with pytest.raises(OptionError, match=says):
        BlockMasks(grid, **options)


def test_random_masks_part_all_patches_in_two_and_reach_every_one():
    masks = RandomMasks((3, 5), keep=0.25).draw(400, torch.Generator().manual_seed(0))
    assert masks.context.shape == (400, 4) and masks.targets.shape == (1, 400, 11)
    both = torch.cat([masks.context, masks.targets[0]], dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(15).expand(400, -1))
    assert torch.equal(masks.context, masks.context.sort(dim=1).values)
    share = torch.bincount(masks.context.flatten(), minlength=15) / 400
    assert share.min() > 0.18 and share.max() < 0.36
    assert RandomMasks((1, 4), keep=0.01).kept == 1 and RandomMasks((1, 4), keep=0.99).kept == 3
