"""Every figure draws, with axis labels and a legend, from the smallest data to labels of any kind."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspace import plots

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, size=(6, 8, 8)).astype(np.uint8)
CURVES = RNG.normal(size=(2, 3, 20))
EPOCHS = [(1, 9.0, 8.0, 0.1), (2, 7.0, 6.5, 0.2), (3, 6.0, 6.6, 0.3)]
SIZES = [{"latent_dim": d, "pca": 10 / d, "autoencoder": 8 / d if d > 1 else None} for d in (1, 2, 4)]
LATENTS = RNG.normal(size=(50, 3))

FIGURES: dict[str, Callable[[], Figure]] = {
    "pictures": lambda: plots.reconstructions({"original": PICTURES, "ours": PICTURES / 255.0}),
    "colour": lambda: plots.reconstructions({"original": RNG.random((3, 8, 8, 3))}),
    "signals": lambda: plots.reconstructions(
        {"original": CURVES, "ours": CURVES, "PCA": CURVES}, kind="signals", channels=("x", "y", "z")
    ),
    "loss": lambda: plots.loss_curve(EPOCHS, 2, 8.5),
    "loss without PCA": lambda: plots.loss_curve(EPOCHS, 2, None),
    "sizes": lambda: plots.latent_sizes(SIZES, 2, 2.4),
    "view": lambda: plots.latent_view(LATENTS),
    "view of one latent": lambda: plots.latent_view(LATENTS[:, :1]),
    "view by class": lambda: plots.latent_view(LATENTS, np.array(["a", "b"] * 25), "kind"),
    "view by quantity": lambda: plots.latent_view(LATENTS, RNG.random(50), "price"),
    "view by many names": lambda: plots.latent_view(LATENTS, np.arange(50).astype(str), "name"),
    "view with gaps": lambda: plots.latent_view(LATENTS, np.array(["a", None] * 25, dtype=object), "kind"),
    "spread": lambda: plots.latent_spread(LATENTS.std(axis=0)),
    "grid": lambda: plots.decoded_grid(PICTURES[:4], 2),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_draws(name: str) -> None:
    figure = FIGURES[name]()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert isinstance(figure, Figure) and buffer.tell() > 2000


@pytest.mark.parametrize("name", ["loss", "sizes", "view", "view by class", "view by quantity", "spread"])
def test_axes_are_labelled(name: str) -> None:
    axes = FIGURES[name]().axes[0]
    assert axes.get_xlabel() and axes.get_ylabel()


def test_lines_can_be_told_apart_in_grey() -> None:
    axes = plots.loss_curve(EPOCHS, 2, 8.5).axes[0]
    assert len({line.get_linestyle() for line in axes.lines[:3]}) == 3
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training items", "held-out items", "PCA (where training starts)", "kept"]


def test_the_kept_epoch_is_marked_where_it_lies() -> None:
    star = plots.loss_curve(EPOCHS, 2, None).axes[0].lines[-1]
    assert star.get_xdata().tolist() == [2] and star.get_ydata().tolist() == [6.5]


def test_a_sheet_holds_every_picture_whole() -> None:
    small, large = np.full((4, 4), 255, np.uint8), np.zeros((6, 5, 3), np.uint8)
    sheet = plots.sheet([small, large, small])
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    assert (sheet == 255).all(axis=2).sum() == 2 * 16
    assert (sheet == 0).all(axis=2).sum() == 30


def test_a_sheet_shows_deep_pictures_at_their_own_lightness() -> None:
    deep = np.full((2, 2), 65535, np.uint16)
    assert plots.sheet([deep]).max() == 255
    assert plots.sheet([np.full((2, 2), 0.5)])[1, 1, 0] == 128
