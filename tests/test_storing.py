"""What rounded latents cost, as the report says it beside PCA."""

import numpy as np
import pytest

import latentspace
from latentspace.jobs._compress_measures import Rounded
from latentspace.jobs._parts import Sample
from latentspace.jobs.report import report


@pytest.fixture(scope="module")
def curve():
    """(400, 16) items on a curve that no plane holds."""
    rng = np.random.default_rng(0)
    t = rng.uniform(0, 1, (400, 1))
    return np.exp(-(((np.linspace(0, 1, 16) - t) / 0.15) ** 2)) + 0.01 * rng.normal(size=(400, 16))


@pytest.fixture(scope="module")
def space(curve):
    return latentspace.fit(curve, latent_dim=2, epochs=40, seed=0)


def identity(n=400, k=3):
    rng = np.random.default_rng(1)
    z = rng.normal(size=(2 * n, k)).astype(np.float32)
    sample = Sample(z[n:], None, {})
    return Rounded(z[:n].astype(float), z[n:].astype(float), lambda z: z, sample)


def test_bits_are_those_of_rounded_normal_numbers():
    way, step = identity(4000), 0.25
    entropy = 0.5 * np.log2(2 * np.pi * np.e) - np.log2(step)
    assert way.bits(step).mean() == pytest.approx(3 * entropy, rel=0.02)
    assert way.error(step) == pytest.approx(step**2 / 12, rel=0.05)


def test_the_step_is_the_largest_within_the_error():
    way = identity()
    step = way.step(0.01)
    assert way.error(step) <= 0.01 < way.error(1.05 * step)
    assert way.step(-1.0) is None


@pytest.mark.slow
def test_a_trained_space_on_a_curve_takes_fewer_bits_than_pca(space):
    found = space.figures["storing"]
    assert found["n"] >= 40
    for row in found["rows"]:
        assert row["against_pca"]["high"] < -2
        assert row["ours"]["value"] < 0.8 * row["pca"]["value"]
    assert "the decoder is paid for from" in found["words"]


def test_an_untrained_network_does_not_reach_the_error(space, curve):
    x, observed = space.modality.transform(space.modality.read(curve))
    sample = Sample(x, observed, {})
    z, allowed = space.model.encode(x), space.figures["storing"]["rows"][1]["error"]
    assert Rounded.of(z, z, space.model.decode, sample).step(allowed) is not None
    untrained = latentspace.Autoencoder(latent_dim=2, epochs=1, random_state=0).fit(curve)
    for weights in untrained.network_.decoder.parameters():
        weights.data.normal_(0, 0.1)
    assert Rounded.of(z, z, untrained.decode, sample).step(allowed) is None


def test_the_report_says_it(space, tmp_path):
    result = report(space, out=tmp_path / "report.html")
    assert "Storing latents" in (tmp_path / "report.html").read_text(encoding="utf-8")
    title = next(title for title in result.tables if title.startswith("Storing rounded latents"))
    assert [row["squared error"] for row in result.tables[title]][-1] == "numbers in the decoder"


def test_nothing_is_said_where_few_items_are_held_out(curve):
    few = latentspace.fit(curve[:30], latent_dim=2, epochs=1, seed=0)
    assert "storing" not in few.figures
