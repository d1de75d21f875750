"""I-JEPA as published: the fast way gives what the plain one gives, checkpoints come and go, targets follow."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from latentspace.errors import OptionError, SpaceError
from latentspace.networks._transformer import interpolated, sine_cosine
from latentspace.networks.vit import (
    SIZES,
    IJepa,
    Predictor,
    VisionTransformer,
    hugging_face_state,
    load_ijepa,
    parameter_groups,
    vit,
)

BATCH, BLOCKS, WIDTH, NARROW, HEADS = 3, 4, 24, 12, 3


@pytest.fixture
def network() -> IJepa:
    torch.manual_seed(0)
    encoder = VisionTransformer((24, 32), 8, WIDTH, 2, HEADS)
    found = IJepa(encoder, Predictor(encoder.grid, WIDTH, NARROW, 2, HEADS))
    with torch.no_grad():  # nothing that is 0 at the start may hide a fault
        for parameter in found.parameters():
            if parameter.requires_grad or parameter.ndim < 3:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    return found


def drawn(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(images, context mask (batch, kept), target masks (blocks, batch, hidden))."""
    torch.manual_seed(seed)
    order = torch.stack([torch.randperm(12) for _ in range(BATCH)])
    targets = torch.stack(
        [torch.stack([torch.randperm(12)[:3] for _ in range(BATCH)]) for _ in range(BLOCKS)]
    )
    return torch.randn(BATCH, 3, 24, 32), order[:, :5], targets


# the plain way, in words of its own: one picture, one block, one head at a time


def plain_block(state: dict[str, Tensor], name: str, tokens: Tensor) -> Tensor:
    def line(part: str, x: Tensor) -> Tensor:
        return x @ state[f"{name}.{part}.weight"].T + state[f"{name}.{part}.bias"]

    def norm(part: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        unit = centred / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        return unit * state[f"{name}.{part}.weight"] + state[f"{name}.{part}.bias"]

    width = tokens.shape[-1]
    each = width // HEADS
    qkv = line("attn.qkv", norm("norm1", tokens))
    told = []
    for head in range(HEADS):
        q, k, v = (qkv[:, j * width + head * each : j * width + (head + 1) * each] for j in range(3))
        told.append(torch.softmax(q @ k.T / math.sqrt(each), dim=-1) @ v)
    tokens = tokens + line("attn.proj", torch.cat(told, dim=1))
    hidden = line("mlp.fc1", norm("norm2", tokens))
    return tokens + line("mlp.fc2", 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))


def plain_norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    unit = centred / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    return unit * state[f"{name}.weight"] + state[f"{name}.bias"]


def plain_encoder(state: dict[str, Tensor], picture: Tensor, kept: Tensor | None) -> Tensor:
    weight = state["patch_embed.proj.weight"]
    side = weight.shape[-1]
    rows, columns = picture.shape[1] // side, picture.shape[2] // side
    tokens = torch.stack(
        [
            (weight * picture[:, r * side : (r + 1) * side, c * side : (c + 1) * side]).sum((1, 2, 3))
            + state["patch_embed.proj.bias"]
            for r in range(rows)
            for c in range(columns)
        ]
    )
    tokens = tokens + state["pos_embed"][0]
    tokens = tokens if kept is None else tokens[kept]
    for depth in range(2):
        tokens = plain_block(state, f"blocks.{depth}", tokens)
    return plain_norm(state, "norm", tokens)


def plain_predictor(state: dict[str, Tensor], context: Tensor, kept: Tensor, asked: Tensor) -> Tensor:
    position = state["predictor_pos_embed"][0]
    tokens = context @ state["predictor_embed.weight"].T + state["predictor_embed.bias"] + position[kept]
    tokens = torch.cat([tokens, state["mask_token"][0] + position[asked]])
    for depth in range(2):
        tokens = plain_block(state, f"predictor_blocks.{depth}", tokens)
    tokens = plain_norm(state, "predictor_norm", tokens)[len(kept) :]
    return tokens @ state["predictor_proj.weight"].T + state["predictor_proj.bias"]


def plain_loss(network: IJepa, images: Tensor, kept: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    own, told, target = (
        {name: p for name, p in part.named_parameters()}
        for part in (network.encoder, network.predictor, network.target_encoder)
    )
    predicted, wanted = [], []
    for block in asked:
        for picture, mask, hidden in zip(images, kept, block, strict=True):
            context = plain_encoder(own, picture, mask)
            predicted.append(plain_predictor(told, context, mask, hidden))
            whole = plain_encoder(target, picture, None).detach()
            wanted.append(F.layer_norm(whole, (WIDTH,))[hidden])
    made, truth = torch.stack(predicted), torch.stack(wanted)
    apart = (made - truth).abs()
    return torch.where(apart < 1, 0.5 * apart**2, apart - 0.5).mean(), made


def test_the_fast_way_gives_what_the_plain_one_gives(network: IJepa) -> None:
    images, kept, asked = drawn()
    state = network.encoder.state_dict()
    for mask in (None, kept):
        plain = [
            plain_encoder(state, picture, None if mask is None else mask[i])
            for i, picture in enumerate(images)
        ]
        assert torch.allclose(network.encoder(images, mask), torch.stack(plain), atol=1e-5)
    loss, predicted = plain_loss(network, images, kept, asked)
    fast = network.predictor(network.encoder(images, kept), kept, asked)
    assert fast.shape == (BLOCKS * BATCH, 3, WIDTH)  # block by block
    assert torch.allclose(fast, predicted, atol=1e-5)
    assert torch.allclose(network.loss(images, kept, asked), loss, atol=1e-6)


def test_ten_steps_lead_to_the_same_weights(network: IJepa) -> None:
    plain = copy.deepcopy(network)
    ways = [(network, lambda n, *given: n.loss(*given)), (plain, lambda n, *given: plain_loss(n, *given)[0])]
    for made, loss_of in ways:
        optimiser = torch.optim.AdamW(parameter_groups(made), lr=1e-3, weight_decay=0.04)
        for step in range(10):
            optimiser.zero_grad()
            loss_of(made, *drawn(step)).backward()
            optimiser.step()
            with torch.no_grad():
                if made is network:
                    made.follow(0.9)
                else:
                    pairs = zip(made.encoder.parameters(), made.target_encoder.parameters(), strict=True)
                    for online, target in pairs:
                        target.copy_(0.9 * target + 0.1 * online)
    for (name, one), other in zip(network.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4), name
    moved = [
        not torch.allclose(a, b, atol=1e-6)
        for a, b in zip(network.encoder.parameters(), network.target_encoder.parameters(), strict=True)
    ]
    assert sum(moved) == len(moved) - 1  # all but the fixed positions


def test_gradients_do_not_reach_targets_and_hidden_patches_do_not_reach_the_context(network: IJepa) -> None:
    images, kept, asked = drawn()
    network.loss(images, kept, asked).backward()
    assert all(p.grad is None for p in network.target_encoder.parameters())
    assert network.encoder.pos_embed.grad is None
    changed = images.clone()
    outside = next(p for p in range(12) if p not in kept[0].tolist())
    row, column = divmod(outside, 4)
    changed[0, :, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] += 5
    assert torch.allclose(network.encoder(images, kept), network.encoder(changed, kept), atol=1e-6)


def test_checkpoints_come_and_go_in_every_form(network: IJepa) -> None:
    images, kept, asked = drawn()
    wanted = network.loss(images, kept, asked)
    own = network.state_dict()
    official = {
        part: {f"module.{name}": w for name, w in getattr(network, part).state_dict().items()}
        for part in ("encoder", "predictor", "target_encoder")
    }
    for state in (own, official, {**official, "epoch": 3, "loss": 0.1}):
        again = load_ijepa(state, (24, 32), 8, heads=HEADS, predictor_heads=HEADS)
        assert torch.equal(again.loss(images, kept, asked), wanted)
        assert list(again.state_dict()) == list(own)
    alone = load_ijepa(hugging_face_state(network.encoder), (24, 32), (8, 8), heads=HEADS)
    assert torch.equal(alone.encoder(images, kept), network.encoder(images, kept))
    assert torch.equal(alone.target_encoder(images), network.encoder(images))


def test_hugging_face_says_the_same(network: IJepa) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    settings = transformers.IJepaConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        image_size=32,
        patch_size=8,
        layer_norm_eps=1e-6,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(1)
    theirs = transformers.IJepaModel(settings).eval()
    images = torch.randn(2, 3, 32, 32)
    ours = load_ijepa(theirs.state_dict(), 32, 8, heads=HEADS)
    with torch.inference_mode():
        assert torch.allclose(ours.encoder(images), theirs(images).last_hidden_state, atol=1e-5)
    back = hugging_face_state(ours.encoder)
    assert set(back) == set(theirs.state_dict())
    assert all(torch.equal(back[name], weight) for name, weight in theirs.state_dict().items())


def test_positions_are_the_official_ones_and_stretch() -> None:
    found = sine_cosine(8, (2, 3))
    # the first half of the width tells the column, the second the row; sines, then cosines
    assert torch.allclose(found[0], torch.tensor([0.0, 0, 1, 1, 0, 0, 1, 1]))
    one, small = np.sin(1), np.sin(0.01)
    assert np.allclose(found[1, :4], [one, small, np.cos(1), np.cos(0.01)], atol=1e-6)
    assert np.allclose(found[1, 4:], [0, 0, 1, 1]) and np.allclose(found[3, 4:6], [one, small], atol=1e-6)
    assert torch.equal(interpolated(found[None], (2, 3), (2, 3)), found[None])
    assert interpolated(found[None], (2, 3), (4, 5)).shape == (1, 20, 8)
    torch.manual_seed(0)
    square = VisionTransformer(32, 8, 24, 1, 3)
    larger = load_ijepa({f"encoder.{n}": w for n, w in square.state_dict().items()}, (48, 64), 8, heads=3)
    assert larger.encoder(torch.zeros(1, 3, 48, 64)).shape == (1, 48, 24)
    assert square(torch.zeros(1, 3, 16, 40)).shape == (1, 10, 24)  # another size at call time


def test_sizes_have_names() -> None:
    assert vit("tiny", 32, 16).width == 192 and len(vit("vit_tiny", 32, 16).blocks) == 12
    assert SIZES["huge"] == (1280, 32, 16, 4.0) and SIZES["giant"][0] == 1408
    with pytest.raises(OptionError, match="did you mean 'small'"):
        vit("smal", 32, 16)


def test_weights_start_as_published() -> None:
    torch.manual_seed(0)
    encoder = VisionTransformer(32, 4, 192, 4, 3)
    for depth, block in enumerate(encoder.blocks, 1):
        assert abs(float(block.attn.qkv.weight.detach().std()) - 0.02) < 0.001  # type: ignore[union-attr]
        for part in (block.attn.proj, block.mlp.fc2):  # type: ignore[union-attr]
            assert abs(float(part.weight.detach().std()) * math.sqrt(2 * depth) - 0.02) < 0.001  # type: ignore[union-attr]
    groups = parameter_groups(IJepa(encoder, Predictor(encoder.grid, 192, 96, 1, 3)))
    assert groups[1]["weight_decay"] == 0
    assert all(p.ndim == 1 for p in groups[1]["params"]) and all(p.ndim > 1 for p in groups[0]["params"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {n: w for n, w in s.items() if n.startswith("predictor")}, "are no I-JEPA"),
        (
            lambda s: {n: w for n, w in s.items() if "encoder.norm.bias" not in n},
            "weights of the encoder do not fit",
        ),
        (lambda s: {**s, "predictor.extra": torch.zeros(1)}, "weights of the predictor do not fit.*extra"),
    ],
)
def test_what_does_not_fit_is_said(network: IJepa, change: object, words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        load_ijepa(change(network.state_dict()), (24, 32), 8, heads=HEADS, predictor_heads=HEADS)  # type: ignore[operator]


def test_sizes_that_do_not_divide_are_refused(network: IJepa) -> None:
    with pytest.raises(SpaceError, match="of patches of 8 x 8, not 4"):
        load_ijepa(network.state_dict(), 24, 4)
    with pytest.raises(OptionError, match="25 x 32 do not divide"):
        VisionTransformer((25, 32), 8, 24, 1, 3)
    with pytest.raises(OptionError, match="does not divide into 5 heads"):
        VisionTransformer(32, 8, 24, 1, 5)
    with pytest.raises(OptionError, match="divides by 4, not 6"):
        sine_cosine(6, (2, 2))
