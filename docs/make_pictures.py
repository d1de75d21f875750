"""Draw the pictures of the documentation: ``python docs/make_pictures.py [FOLDER]`` (default docs/pictures)."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.utils import Bunch

from latentspace import Autoencoder, Classifier, fit, plots
from latentspace.jobs.classify import classify
from latentspace.jobs.map import map as map_job
from latentspace.jobs.neighbours import neighbours
from latentspace.jobs.sample import sample


def save(figure: Figure, file: Path) -> None:
    """As PNG with few colours, so that it stays small."""
    figure.savefig(file, dpi=110)
    Image.open(file).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)


def reconstructions(X: np.ndarray, y: np.ndarray, model: Autoencoder) -> Figure:
    """One item of each digit as it is, from our latents, and from as many principal components."""
    flat = X.reshape(len(X), -1)
    pca = PCA(model.latent_dim_).fit(flat)
    rows = [int(np.flatnonzero(y == digit)[0]) for digit in range(10)]
    linear = pca.inverse_transform(pca.transform(flat[rows])).reshape(-1, 8, 8)
    return plots.reconstructions(
        {"original": X[rows], "ours, 2 latents": model.reconstruct(X[rows]), "PCA, 2 latents": linear}
    )


def grid(model: Autoencoder, Z: np.ndarray) -> Figure:
    """What the decoder draws on a 9 x 9 grid along the two principal axes of Z."""
    variances, axes = np.linalg.eigh(np.cov(Z.T))
    reach = np.linspace(-2, 2, 9)
    points = np.array([(b, a) for b in reach[::-1] for a in reach]) * np.sqrt(variances) @ axes.T
    return plots.decoded_grid(model.inverse_transform(points + Z.mean(axis=0)), side=9)


def digits_map(digits: Bunch) -> Figure:
    """The map of a space of all digits, coloured by what training did not see."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "digits.npz"
        np.savez(file, images=digits.images.astype("uint8") * 15, digit=digits.target)
        space = fit(file, Path(folder) / "digits.space", labels=("digit",), seed=0, report=False)
        return map_job(space, colour="digit").figures["map"]()


def nine_closest(digits: Bunch) -> Figure:
    """Three new digits beside the nine closest of 1,400 known ones."""
    order = np.random.default_rng(0).permutation(len(digits.images))
    pictures = digits.images.astype("uint8") * 15
    with TemporaryDirectory() as folder:
        file = Path(folder) / "digits.npz"
        np.savez(file, images=pictures[order[:1400]], digit=digits.target[order[:1400]])
        space = fit(file, Path(folder) / "digits.space", labels=("digit",), seed=0, report=False)
        return neighbours(space, pictures[order[1400:1403]], items=file).figures["neighbours"]()


def classes_of_few(digits: Bunch) -> Figure:
    """1,400 digits on the map, by what 50 labels tell."""
    order = np.random.default_rng(0).permutation(len(digits.target))[:1400]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "digits.npz"
        np.savez(file, images=digits.images.astype("uint8")[order] * 15)
        space = fit(file, Path(folder) / "digits.space", seed=0, report=False)
        labels = {str(row): str(digits.target[order[row]]) for row in range(50)}
        return classify(space, label="digit", labels=labels).figures["classes"]()


def digits_samples(digits: Bunch) -> Figure:
    """Eight samples of a space of all digits above the training items nearest to them."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "digits.npz"
        np.savez(file, images=digits.images.astype("uint8") * 15, digit=digits.target)
        space = fit(
            file, Path(folder) / "digits.space", labels=("digit",), latent_dim=8, seed=0, report=False
        )
        return sample(space, n=8, seed=0).figures["samples"]()


def main(folder: Path) -> None:
    """Fit on scikit-learn's digits and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    X, y = digits.images / 16, digits.target
    model = Autoencoder(latent_dim=2, random_state=0).fit(X)
    auto = Autoencoder(random_state=0).fit(X)
    told = Classifier(latent_dim=2, random_state=0).fit(X, y)
    Z = model.transform(X)
    save(reconstructions(X, y, model), folder / "reconstructions.png")
    save(plots.latent_view(Z, y, "digit"), folder / "autoencoder-latents.png")
    save(plots.latent_view(told.transform(X), y, "digit"), folder / "classifier-latents.png")
    save(grid(model, Z), folder / "grid.png")
    save(digits_map(digits), folder / "map.png")
    save(nine_closest(digits), folder / "neighbours.png")
    save(classes_of_few(digits), folder / "classes.png")
    save(digits_samples(digits), folder / "samples.png")
    save(
        plots.latent_sizes(auto.latent_sizes_, auto.latent_dim_, auto.intrinsic_dim_),
        folder / "latent-sizes.png",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "pictures")
