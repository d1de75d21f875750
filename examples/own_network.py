"""One's own encoder and decoder: any pair of torch modules, beside a linear path that starts at PCA.

Run as ``python examples/own_network.py``. The digits ship with scikit-learn.
"""

from sklearn.datasets import load_digits
from torch import nn

from latentspace import Autoencoder

X = load_digits().images / 16
LATENTS = 8

# Items come as (batch, channels, height, width); the encoder gives (batch, LATENTS), the decoder takes it.
encoder = nn.Sequential(
    nn.Conv2d(1, 16, 3, stride=2, padding=1),  # 8 x 8 → 4 x 4
    nn.GELU(),
    nn.Flatten(),
    nn.Linear(16 * 4 * 4, LATENTS),
)
decoder = nn.Sequential(
    nn.Linear(LATENTS, 16 * 4 * 4),
    nn.GELU(),
    nn.Unflatten(1, (16, 4, 4)),
    nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1),  # 4 x 4 → 8 x 8
)

own = Autoencoder(LATENTS, network=(encoder, decoder), epochs=30, random_state=0).fit(X[:1400])
dense = Autoencoder(LATENTS, epochs=30, random_state=0).fit(X[:1400])
for name, model in (("own convolutions", own), ("dense, the default", dense)):
    error = ((model.reconstruct(X[1400:]) - X[1400:]) ** 2).mean()
    print(f"{name}: {model.n_parameters_:,} parameters, mean squared error on new digits {error:.4f}")
