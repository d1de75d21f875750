"""What a report draws: each drawing has a name, a caption and a function that makes the figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace import plots
from latentspace.data.image import Image
from latentspace.jobs._dial_words import DIALS
from latentspace.jobs._parts import Sample
from latentspace.rivals.pca import PCA
from latentspace.space.folder import Space

#: points in a view of the latents, labels that colour one, items drawn
MAX_POINTS, MAX_VIEWS, FEW_PICTURES, FEW_CURVES = 5000, 3, 10, 3
GRID = 9


@dataclass(frozen=True)
class Drawing:
    """One figure of the report."""

    name: str
    caption: str
    draw: Callable[[], Any]


def rival_of(space: Space) -> PCA:
    """The PCA that was fitted on the space's training items."""
    stored = {n.removeprefix("pca."): a for n, a in space.evidence.items() if n.startswith("pca.")}
    return PCA.from_arrays(stored)


def examples_of(space: Space) -> Sample:
    """The few held-out items that the space keeps to be shown."""
    observed = space.evidence.get("examples.observed")
    kept = None if observed is None else observed.astype(bool)
    return Sample(space.evidence["examples.x"], kept, {})


def versions(space: Space, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Items as they are, as we reconstruct them, and as PCA does; on the model's scale."""
    ours = space.model.decode(space.model.encode(x))
    return {"original": x, "ours": ours, "PCA": rival_of(space).reconstruct(x)}


def drawings(space: Space, figures: dict[str, Any], examples: Sample) -> list[Drawing]:
    """Every drawing that this space can have."""
    k = space.latents.shape[1]
    found = _reconstructions(space, examples) if len(examples) and space.decodes else []
    training = figures.get("training")
    if training and training.get("epochs"):
        found.append(_training(training))
    if figures.get("dials"):
        found.append(_dials(figures["dials"]))
    if figures.get("latent_sizes"):
        found.append(_sizes(figures, k))
    found += _views(space)
    if len(space) > 1:
        found.append(_spread(space))
    if isinstance(space.modality, Image) and k > 1 and len(space) > 1 and space.decodes:
        found.append(_grid(space, space.modality))
    return found


def _reconstructions(space: Space, examples: Sample) -> list[Drawing]:
    if isinstance(space.modality, Image):
        image = space.modality
        shown = versions(space, examples.x[:FEW_PICTURES])
        pictures = {name: as_pictures(image, x) for name, x in shown.items()}
        caption = "Held-out pictures, as they are, as we reconstruct them, and as PCA does at the same size."
        return [Drawing("reconstructions", caption, lambda: plots.reconstructions(pictures))]
    if len(space.modality.shape) == 2:
        windows = versions(space, examples.x[:FEW_CURVES])
        curves = {name: np.asarray(space.modality.inverse_transform(x)) for name, x in windows.items()}
        if next(iter(curves.values())).ndim != 3:
            return []
        channels = [str(name) for name in space.modality.parts()]
        names = channels if len(channels) == space.modality.shape[0] else []
        caption = "Held-out windows, as they are, as we reconstruct them, and as PCA does at the same size."
        return [
            Drawing(
                "reconstructions",
                caption,
                lambda: plots.reconstructions(curves, kind="signals", channels=names),
            )
        ]
    return []


def as_pictures(image: Image, x: NDArray[Any]) -> NDArray[Any]:
    """(n, C, H, W) on the model's scale as lightness (n, H, W, 3 or 1) in [0, 1].

    Of pictures with other numbers of channels the first is shown.
    """
    shown = np.clip(x * image.spread + image.centre, 0, 1)
    return np.moveaxis(shown if x.shape[1] in (1, 3) else shown[:, :1], 1, 3)


def _training(training: dict[str, Any]) -> Drawing:
    caption = f"Training: {training['stopped'].rstrip('.')}."
    args = (training["epochs"], training["best_epoch"], training["start_loss"])
    return Drawing("loss curve", caption, lambda: plots.loss_curve(*args))


def _dials(found: dict[str, Any]) -> Drawing:
    from latentspace import plots_dials

    caption = (
        "Dials on held-out pictures, before training (epoch 0) and after each epoch. Dotted: places alone."
    )
    titles = {name: title for name, (title, _) in DIALS.items()}
    return Drawing(
        "dials", caption, lambda: plots_dials.dial_curves(found["rows"], titles, {"foreseen": 0.5})
    )


def _sizes(figures: dict[str, Any], chosen: int) -> Drawing:
    caption = "Held-out loss by latent size; the size was chosen where more latents gain little."
    args = (figures["latent_sizes"], chosen, figures.get("intrinsic_dim"))
    return Drawing("latent sizes", caption, lambda: plots.latent_sizes(*args))


def _views(space: Space) -> list[Drawing]:
    rows = np.random.default_rng(0).permutation(len(space))[:MAX_POINTS]
    z = space.latents[rows]
    if not space.labels:
        return [Drawing("latents", "The items in the latent space.", lambda: plots.latent_view(z))]
    return [
        Drawing(
            f"latents by {name}",
            f"The items in the latent space, coloured by {name}, which training did not see.",
            lambda values=values[rows], name=name: plots.latent_view(z, values, name),  # type: ignore[misc]
        )
        for name, values in list(space.labels.items())[:MAX_VIEWS]
    ]


def _spread(space: Space) -> Drawing:
    spread = space.latents.std(axis=0)
    return Drawing("latent spread", "How widely each latent varies.", lambda: plots.latent_spread(spread))


def _grid(space: Space, image: Image) -> Drawing:
    caption = "What the decoder draws on a walk across the middle of the latent space."
    return Drawing(
        "decoded grid", caption, lambda: plots.decoded_grid(as_pictures(image, _walk(space)), GRID)
    )


def _walk(space: Space) -> NDArray[Any]:
    """Decoded points of a GRID x GRID walk over the two widest principal axes of the latents."""
    z = space.latents.astype(float)
    mean, centred = z.mean(axis=0), z - z.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(z))
    first, second = (vectors[:, -i] * np.sqrt(max(values[-i], 0.0)) for i in (1, 2))
    steps = np.linspace(-2, 2, GRID)
    points = [mean + a * first + b * second for b in steps[::-1] for a in steps]
    return np.asarray(space.model.decode(np.asarray(points, np.float32)))
