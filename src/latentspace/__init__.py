"""Learn an encoder and a decoder from unlabelled data, and put the latent space to work."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Archive": "latentspace.archive.reading",
    "AnomalyDetector": "latentspace.estimators.anomaly_detector",
    "Denoiser": "latentspace.estimators.denoiser",
    "Autoencoder": "latentspace.models.autoencoder",
    "VariationalAutoencoder": "latentspace.models.variational",
    "Classifier": "latentspace.models.classifier",
    "IJEPA": "latentspace.models.ijepa",
    "LatentClassifier": "latentspace.estimators.latent_classifier",
    "SiameseNetwork": "latentspace.estimators.siamese_network",
    "LatentMap": "latentspace.estimators.latent_map",
    "Space": "latentspace.space.folder",
    "compress": "latentspace.jobs.compress",
    "decompress": "latentspace.jobs.decompress",
    "export": "latentspace.jobs.export",
    "fit": "latentspace.jobs.fit",
    "load": "latentspace.space.folder",
    "neighbours": "latentspace.jobs.neighbours",
}

__all__ = [
    "IJEPA",
    "AnomalyDetector",
    "Archive",
    "Autoencoder",
    "Classifier",
    "Denoiser",
    "LatentClassifier",
    "LatentMap",
    "SiameseNetwork",
    "Space",
    "VariationalAutoencoder",
    "__version__",
    "compress",
    "decompress",
    "export",
    "fit",
    "load",
    "neighbours",
]


def __getattr__(name: str) -> Any:
    # Heavy names (torch behind them) are imported on first use, so that `import latentspace` stays light.
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'latentspace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
