"""What all tests share: shapes named in the annotations of networks, objectives and training are checked."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Shapes are free in use and checked here: the hook must be there before the packages are imported.
from jaxtyping import install_import_hook

from postgres_server import NoServer, server

install_import_hook(
    ["latentspace.networks", "latentspace.objectives", "latentspace.training"], "beartype.beartype"
)

#: real data that is not part of the repository; tests that use it are extra
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the real data sets are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL, with password, of a PostgreSQL with pgvector that is started for the tests."""
    try:
        with server() as url:
            yield url
    except NoServer as reason:
        pytest.skip(f"no PostgreSQL: {reason}")


#: tests of how like held-out items samples are, or of what is printed of it
ABOUT_SAMPLES = {"test_density", "test_docs", "test_generate_jobs"}


@pytest.fixture(autouse=True, scope="module")
def few_trees(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every fit compares its samples with held-out items by forests, which takes half of a short one's time."""
    from latentspace.space import likeness

    with pytest.MonkeyPatch.context() as patch:
        if request.module.__name__.split(".")[-1] not in ABOUT_SAMPLES:
            patch.setattr(likeness, "TREES", 5)
        yield


def pytest_configure(config: pytest.Config) -> None:
    # Two workers on two cores: one thread each is faster than two that wait for each other. The workers' NumPy reads
    # this when they start.
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)
