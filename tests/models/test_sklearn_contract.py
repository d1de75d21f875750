"""scikit-learn's own checks, whole, for every model."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentspace import (
    AnomalyDetector,
    Autoencoder,
    Classifier,
    Denoiser,
    LatentClassifier,
    LatentMap,
    SiameseNetwork,
    VariationalAutoencoder,
)

#: checked is how they behave, not how well they learn: few epochs do, and one chooses its own number of latents
MODELS = [
    Autoencoder(1, random_state=0, epochs=5),
    VariationalAutoencoder(random_state=0, epochs=5),
    Classifier(1, random_state=0, epochs=30),
    AnomalyDetector(random_state=0),
    LatentMap(random_state=0),
    LatentClassifier(random_state=0),
    SiameseNetwork(random_state=0),
    Denoiser(random_state=0),
]


@pytest.mark.filterwarnings("ignore:.*can be promised")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(MODELS)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
