"""Vision transformers and I-JEPA as published: context encoder, predictor, target encoder (Assran et al. 2023).

The names of parameters are those of the official checkpoints, so that these load and save as they are; those of
Hugging Face's `IJepaModel` are translated. Masks are indices of patches, row by row from the top left.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentspace.errors import OptionError, SpaceError, nearest
from latentspace.networks._transformer import (
    EPS,
    START,
    Block,
    PatchEmbed,
    both,
    gather,
    grid_of,
    interpolated,
    sine_cosine,
    start,
)

__all__ = [
    "IJepa",
    "Predictor",
    "VisionTransformer",
    "hugging_face_state",
    "load_ijepa",
    "parameter_groups",
    "vit",
]

#: name → (width, blocks, heads, hidden width of an MLP over the width)
SIZES: dict[str, tuple[int, int, int, float]] = {
    "tiny": (192, 12, 3, 4.0),
    "small": (384, 12, 6, 4.0),
    "base": (768, 12, 12, 4.0),
    "large": (1024, 24, 16, 4.0),
    "huge": (1280, 32, 16, 4.0),
    "giant": (1408, 40, 16, 48 / 11),
}


class VisionTransformer(nn.Module):
    """Patches to tokens: (batch, channels, H, W) → (batch, tokens, width), after the last norm.

    image_size, patch_size : (height, width) or one number for both; heads : of attention; ratio : hidden width of the
    MLPs over the width.

    >>> encoder = VisionTransformer(image_size=16, patch_size=8, width=12, depth=1, heads=2)
    >>> encoder(torch.zeros(2, 3, 16, 16)).shape, encoder(torch.zeros(2, 3, 16, 16), torch.tensor([[0], [3]])).shape
    (torch.Size([2, 4, 12]), torch.Size([2, 1, 12]))
    """

    def __init__(
        self,
        image_size: int | tuple[int, int],
        patch_size: int | tuple[int, int],
        width: int,
        depth: int,
        heads: int,
        ratio: float = 4.0,
        channels: int = 3,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        self.patch_size = both(patch_size)
        self.grid = grid_of(both(image_size), self.patch_size)
        self.width = width
        self.patch_embed = PatchEmbed(channels, width, self.patch_size)
        self.pos_embed = nn.Parameter(sine_cosine(width, self.grid)[None], requires_grad=False)
        self.blocks = nn.ModuleList(Block(width, heads, ratio, eps) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=eps)
        start(self)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens of all patches, or of those in `mask` (batch, kept) alone, which then see nothing of the others."""
        grid = grid_of((images.shape[2], images.shape[3]), self.patch_size)
        tokens = self.patch_embed(images)
        tokens = tokens + interpolated(self.pos_embed, self.grid, grid)
        if mask is not None:
            tokens = gather(tokens, mask)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)  # type: ignore[no-any-return]

    def late(self, images: Tensor, blocks: int) -> Tensor:
        """(batch, tokens, width): the mean of what the last `blocks` blocks make of all patches, each normalised.

        Source: Baevski et al. (2022), "data2vec", section 3.3.
        """
        tokens, seen = self.patch_embed(images) + self.pos_embed, []
        for block in self.blocks:
            tokens = block(tokens)
            seen.append(tokens)
        return torch.stack([F.layer_norm(t, t.shape[-1:]) for t in seen[-blocks:]]).mean(dim=0)

    def attention(self, images: Tensor) -> Tensor:
        """(batch, tokens): how much of all attention of the last block each patch gets; each row sums to 1."""
        tokens = self.patch_embed(images) + self.pos_embed
        *before, last = self.blocks
        for block in before:
            tokens = block(tokens)
        return last.attn.shares(last.norm1(tokens)).mean(dim=(1, 2))  # type: ignore[operator, union-attr, no-any-return]


class Predictor(nn.Module):
    """What context tokens tell of hidden patches: a narrow transformer over both.

    encoder_width : of the tokens that come in and of those predicted; width : of its own.
    """

    def __init__(
        self,
        grid: tuple[int, int],
        encoder_width: int,
        width: int,
        depth: int,
        heads: int,
        ratio: float = 4.0,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.predictor_embed = nn.Linear(encoder_width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.predictor_pos_embed = nn.Parameter(sine_cosine(width, grid)[None], requires_grad=False)
        self.predictor_blocks = nn.ModuleList(Block(width, heads, ratio, eps) for _ in range(depth))
        self.predictor_norm = nn.LayerNorm(width, eps=eps)
        self.predictor_proj = nn.Linear(width, encoder_width)
        nn.init.trunc_normal_(self.mask_token, std=START)
        start(self)

    def forward(self, context: Tensor, context_mask: Tensor, target_masks: Tensor) -> Tensor:
        """(blocks · batch, hidden, encoder width), block by block, of context (batch, kept, encoder width).

        context_mask (batch, kept) says where the context lies, target_masks (blocks, batch, hidden) what is asked.
        Blocks do not see each other.
        """
        blocks, batch, hidden = target_masks.shape
        tokens = self.predictor_embed(context)
        position = self.predictor_pos_embed.expand(batch, -1, -1)
        tokens = tokens + gather(position, context_mask)
        # all blocks in one pass, as a batch that is so many times as large
        asked = gather(self.predictor_pos_embed.expand(blocks * batch, -1, -1), target_masks.flatten(0, 1))
        tokens = torch.cat([tokens.repeat(blocks, 1, 1), self.mask_token + asked], dim=1)
        *blocks_before, last = self.predictor_blocks
        for block in blocks_before:
            tokens = block(tokens)
        # after the last attention each token goes alone: only those asked for are needed
        return self.predictor_proj(self.predictor_norm(last(tokens, hidden)))  # type: ignore[no-any-return]


class IJepa(nn.Module):
    """Context encoder, predictor and target encoder: predict the representation of what is hidden, not its pixels."""

    def __init__(self, encoder: VisionTransformer, predictor: Predictor) -> None:
        super().__init__()
        self.encoder, self.predictor = encoder, predictor
        self.target_encoder = copy.deepcopy(encoder).requires_grad_(False)

    @torch.no_grad()
    def targets(self, images: Tensor, target_masks: Tensor) -> Tensor:
        """(blocks · batch, hidden, width): what the target encoder, seeing all, makes of the blocks; normalised."""
        blocks, batch, hidden = target_masks.shape
        tokens = self.target_encoder(images)
        tokens = F.layer_norm(tokens, tokens.shape[-1:])
        asked = target_masks.permute(1, 0, 2).reshape(batch, blocks * hidden)
        found = gather(tokens, asked).reshape(batch, blocks, hidden, -1)
        return found.transpose(0, 1).reshape(blocks * batch, hidden, -1)

    def predict(self, images: Tensor, context_mask: Tensor, target_masks: Tensor) -> Tensor:
        """(blocks · batch, hidden, width): what the predictor makes of the context."""
        return self.predictor(self.encoder(images, context_mask), context_mask, target_masks)  # type: ignore[no-any-return]

    def loss(self, images: Tensor, context_mask: Tensor, target_masks: Tensor) -> Tensor:
        """The mean smooth-L1 distance of what is predicted from what the target encoder sees."""
        predicted = self.predict(images, context_mask, target_masks)
        return F.smooth_l1_loss(predicted, self.targets(images, target_masks))

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the target encoder towards the encoder; to be called after the optimiser's step."""
        targets: list[Tensor] = list(self.target_encoder.parameters())
        online: list[Tensor] = list(self.encoder.parameters())
        torch._foreach_mul_(targets, momentum)
        torch._foreach_add_(targets, online, alpha=1 - momentum)


def parameter_groups(network: IJepa) -> list[dict[str, Any]]:
    """Groups for AdamW: biases and parameters of one dimension without weight decay ("weight_decay": 0)."""
    named = [*network.encoder.named_parameters(), *network.predictor.named_parameters()]
    plain = [p for name, p in named if name.endswith("bias") or p.ndim == 1]
    decayed = [p for name, p in named if not (name.endswith("bias") or p.ndim == 1)]
    return [{"params": decayed}, {"params": plain, "weight_decay": 0.0, "WD_exclude": True}]


# made and loaded


def vit(
    size: str, image_size: int | tuple[int, int], patch_size: int | tuple[int, int], channels: int = 3
) -> VisionTransformer:
    """A vision transformer of a size by name: tiny, small, base, large, huge, giant (also "vit_tiny", ...)."""
    name = size.removeprefix("vit_")
    if name not in SIZES:
        raise OptionError(
            f"A transformer's size is one of {', '.join(SIZES)}, not {size!r}{nearest(name, SIZES)}."
        )
    width, depth, heads, ratio = SIZES[name]
    return VisionTransformer(image_size, patch_size, width, depth, heads, ratio, channels)


def load_ijepa(
    state_dict: Mapping[str, Any],
    image_size: int | tuple[int, int],
    patch_size: int | tuple[int, int],
    *,
    heads: int | None = None,
    predictor_heads: int | None = None,
    eps: float = EPS,
) -> IJepa:
    """I-JEPA with the weights of a checkpoint.

    state_dict : names under "encoder.", "predictor." and "target_encoder.", or these three as dictionaries (official
    checkpoints have them so, with "module." before each name or not), or that of Hugging Face's `IJepaModel`, which
    holds an encoder alone: the target encoder is then its copy and the predictor fresh. Widths and depths are read
    from it; heads, which no weight tells, are those of the official size of that width, else one for each 64 of it.
    image_size : pictures may have another size than the checkpoint's; positions are then interpolated.

    Raises SpaceError where a weight is missing, left over or of another shape.
    """
    parts = _parts(state_dict)
    encoder = parts["encoder"]
    made = _made(encoder, image_size, patch_size, heads, eps)
    predictor = parts.get("predictor", {})
    if predictor:
        width = predictor["predictor_embed.weight"].shape[0]
        depth = _depth(predictor, "predictor_blocks")
        ratio = predictor["predictor_blocks.0.mlp.fc1.weight"].shape[0] / width
    else:
        width, depth, ratio = max(12, made.width // 2 // 12 * 12), 6, 4.0
    shared = heads or _heads(made.width)  # the official predictor has as many as the encoder
    own = predictor_heads or (shared if width % shared == 0 else _heads(width))
    network = IJepa(made, Predictor(made.grid, made.width, width, depth, own, ratio, eps))
    _fill(network.encoder, encoder, "encoder", "pos_embed")
    _fill(network.target_encoder, parts.get("target_encoder", encoder), "target_encoder", "pos_embed")
    if predictor:
        _fill(network.predictor, predictor, "predictor", "predictor_pos_embed")
    return network


def hugging_face_state(encoder: VisionTransformer) -> dict[str, Tensor]:
    """The weights of an encoder under the names of Hugging Face's `IJepaModel`."""
    found: dict[str, Tensor] = {}
    for name, weight in encoder.state_dict().items():
        if ".attn.qkv." in name:
            for letter, part in zip("qkv", weight.chunk(3), strict=True):
                found[_renamed(name, _TO_HUGGING_FACE).replace("qkv", f"{letter}_proj")] = part.clone()
        else:
            found[_renamed(name, _TO_HUGGING_FACE)] = weight
    return found


_TO_HUGGING_FACE = (
    (r"^pos_embed", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
    (r"^blocks\.", "layers."),
    (r"\.attn\.proj", ".attention.o_proj"),
    (r"\.attn\.", ".attention."),
    (r"\.norm1", ".layernorm_before"),
    (r"\.norm2", ".layernorm_after"),
    (r"^norm", "layernorm"),
)


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def _parts(state: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """part → its weights by their official names, from any of the three forms."""
    if any(name.startswith("embeddings.") or "embeddings.patch_embeddings" in name for name in state):
        return {"encoder": _from_hugging_face(state)}
    found: dict[str, dict[str, Tensor]] = {}
    for part in ("encoder", "predictor", "target_encoder"):
        inner = state.get(part)
        if isinstance(inner, Mapping):
            weights = dict(inner)
        else:
            plain = {name.removeprefix("module."): weight for name, weight in state.items()}
            weights = {n.removeprefix(f"{part}."): w for n, w in plain.items() if n.startswith(f"{part}.")}
        if weights:
            found[part] = {name.removeprefix("module."): weight for name, weight in weights.items()}
    if "encoder" not in found and "target_encoder" in found:
        found["encoder"] = found["target_encoder"]
    if "patch_embed.proj.weight" not in found.get("encoder", {}):
        raise SpaceError(
            "These weights are no I-JEPA: there is no encoder.patch_embed.proj.weight among them."
        )
    return found


def _from_hugging_face(state: Mapping[str, Any]) -> dict[str, Tensor]:
    back = tuple((re.escape(new), re.sub(r"[\\^]", "", old)) for old, new in _TO_HUGGING_FACE)
    found: dict[str, Tensor] = {}
    for name, weight in state.items():
        plain = name.removeprefix("ijepa.").removeprefix("model.")
        if plain.startswith("pooler.") or plain.endswith("mask_token"):
            continue
        query = re.fullmatch(r"layers\.(\d+)\.attention\.q_proj\.(weight|bias)", plain)
        if query:
            names = [name.replace("q_proj", f"{letter}_proj") for letter in "qkv"]
            found[f"blocks.{query[1]}.attn.qkv.{query[2]}"] = torch.cat([state[n] for n in names])
        elif not re.search(r"\.[kv]_proj\.", plain):
            found[_renamed(plain, back)] = weight
    return found


def _made(
    encoder: Mapping[str, Tensor],
    image_size: int | tuple[int, int],
    patch_size: int | tuple[int, int],
    heads: int | None,
    eps: float,
) -> VisionTransformer:
    width, channels, *patch = encoder["patch_embed.proj.weight"].shape
    if tuple(patch) != both(patch_size):
        raise SpaceError(f"These weights are of patches of {patch[0]} x {patch[1]}, not {patch_size}.")
    ratio = encoder["blocks.0.mlp.fc1.weight"].shape[0] / width
    depth = _depth(encoder, "blocks")
    return VisionTransformer(
        image_size, patch_size, width, depth, heads or _heads(width), ratio, channels, eps
    )


def _depth(weights: Mapping[str, Tensor], blocks: str) -> int:
    return len({name.split(".")[1] for name in weights if name.startswith(f"{blocks}.")})


def _heads(width: int) -> int:
    official = {own: heads for own, _, heads, _ in SIZES.values()}
    return official.get(width, max(1, width // 64))


def _fill(part: nn.Module, weights: Mapping[str, Tensor], name: str, positions: str) -> None:
    """Give a part its weights; positions of another grid are interpolated."""
    weights, table = dict(weights), getattr(part, positions)
    given = weights.get(positions)
    if given is not None and given.shape[1] != table.shape[1]:
        side = math.isqrt(given.shape[1])
        if side * side != given.shape[1]:
            raise SpaceError(f"{name}.{positions} has {given.shape[1]} places, which are no square grid.")
        weights[positions] = interpolated(given.float(), (side, side), part.grid)  # type: ignore[arg-type]
    weights.setdefault(positions, table.detach())
    try:
        part.load_state_dict(weights)
    except RuntimeError as failure:
        said = " ".join(str(failure).split("\n\t")[1:]).strip() or str(failure)
        raise SpaceError(f"The weights of the {name} do not fit: {said[:300]}") from failure
