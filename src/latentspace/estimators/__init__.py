"""scikit-learn estimators for the uses of a latent space."""
