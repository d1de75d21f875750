import math

import pytest

from latentspace.training.schedule import Schedule, cosine, learning_rate, warmup_cosine


def published(step, ref, start, final, warmup, total):
    """The closed formula of the published warm-up and cosine; steps count from 1."""
    if step < warmup:
        return start + step / warmup * (ref - start)
    return max(
        final, final + (ref - final) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
    )


@pytest.mark.parametrize(("total", "warmup"), [(1000, 133), (10, 1), (7, 0)])
def test_rates_are_the_published_ones(total, warmup):
    for step in range(total):
        ours = warmup_cosine(step, total, 1e-3, warmup, 2e-4, 1e-6)
        assert ours == pytest.approx(published(step + 1, 1e-3, 2e-4, 1e-6, warmup, total), rel=1e-12)
    assert warmup_cosine(total - 1, total, 1e-3, warmup, 2e-4, 1e-6) == pytest.approx(1e-6)


def test_weight_decay_is_the_published_one():
    total, schedule = 300, Schedule(1e-3)
    for step in range(total):
        decay = 0.4 + (0.04 - 0.4) * 0.5 * (1 + math.cos(math.pi * (step + 1) / total))
        assert schedule.weight_decay(step, total) == pytest.approx(decay, rel=1e-12)
    assert schedule.weight_decay(total - 1, total) == pytest.approx(0.4)


def test_a_schedule_rises_for_its_share_and_ends_at_its_final_rate():
    schedule = Schedule(1.0, start=0.2, final=0.001)
    rates = [schedule.rate(step, 300) for step in range(300)]
    assert max(rates) == pytest.approx(1.0) and rates.index(max(rates)) == 39
    assert rates[0] == pytest.approx(0.2 + 0.8 / 40) and rates[-1] == pytest.approx(0.001)
    assert sorted(rates[:40]) == rates[:40] and sorted(rates[39:], reverse=True) == rates[39:]
    assert schedule.rate(0, 1) == pytest.approx(0.001)


def test_a_cosine_stays_where_it_ends():
    assert cosine(9, 4, 1.0, 0.5) == 0.5 and cosine(0, 0, 1.0, 0.5) == 0.5


def test_the_usual_rate_rises_and_falls_to_zero():
    rates = [learning_rate(step, 100, 0.5) for step in range(101)]
    assert max(rates) == rates[9] == rates[10] == 0.5 and rates[100] == 0.0
