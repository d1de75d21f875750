"""In scikit-learn's company: a pipeline, a grid search over the number of latents, a clone.

Run as ``python examples/pipeline.py``. The digits ship with scikit-learn.
"""

from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latentspace import Autoencoder

X, y = load_digits(return_X_y=True)
X, X_new, y, y_new = train_test_split(X, y, test_size=500, random_state=0)

pipeline = make_pipeline(
    Autoencoder(modality="vectors", epochs=20, random_state=0),
    StandardScaler(),
    LogisticRegression(max_iter=1000),
)
search = GridSearchCV(pipeline, {"autoencoder__latent_dim": [2, 8, 16]}, cv=3).fit(X, y)
for settings, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    print(
        f"{settings['autoencoder__latent_dim']:>2} latents: {score:.3f} of the digits told, cross-validated"
    )
print(f"the best of them, on 500 new digits: {search.score(X_new, y_new):.3f}")

again = clone(search.best_estimator_).fit(X, y)
print(f"a clone, fitted again: {again.score(X_new, y_new):.3f}")
