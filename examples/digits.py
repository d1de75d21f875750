"""Handwritten digits: fit, reconstruct, and look at Z.

Run as ``python examples/digits.py``. The digits ship with scikit-learn.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from latentspace import Autoencoder
from latentspace.plots import latent_view, reconstructions

digits = load_digits()
X, X_new = np.split(digits.images / 16, [1400])
y_new = digits.target[1400:]

model = Autoencoder(latent_dim=8, random_state=0).fit(X)
ours = model.reconstruct(X_new)
pca = PCA(8).fit(X.reshape(len(X), -1))
theirs = pca.inverse_transform(pca.transform(X_new.reshape(len(X_new), -1))).reshape(X_new.shape)

print(f"Mean squared error on {len(X_new)} new digits, 8 numbers kept of 64:")
print(f"  ours {((ours - X_new) ** 2).mean():.4f}, PCA {((theirs - X_new) ** 2).mean():.4f}")

versions = {"original": X_new[:10], "ours": ours[:10], "PCA": theirs[:10]}
reconstructions(versions).savefig("digits-reconstructions.png")
latent_view(model.transform(X_new), y_new, "digit").savefig("digits-latents.png")
print("Look at digits-reconstructions.png and digits-latents.png.")
