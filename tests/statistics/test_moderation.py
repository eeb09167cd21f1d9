"""Variances of seeds drawn towards each other: what is estimated, and how often tests on it are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import polygamma

from cmrbench.statistics.moderation import COUNTED, FEWEST, _trigamma_inverse, moderated
from cmrbench.statistics.multiple import holm
from cmrbench.statistics.paired import p_values
from cmrbench.statistics.sample import Sample

QUERIES = 100


def drawn(rng: np.random.Generator, methods: int, seeds: int, prior_df: float) -> tuple[list[Sample], np.ndarray]:
    """Equal methods and their true variances of seeds, scattered as a scaled inverse chi-square."""
    variances = 0.01**2 * (prior_df / rng.chisquare(prior_df, methods) if np.isfinite(prior_df) else np.ones(methods))
    common = rng.beta(0.3, 0.9, QUERIES)
    samples = []
    for variance in variances:
        own = common + rng.normal(0, 0.08, QUERIES)
        shift = rng.normal(0, np.sqrt(variance), (seeds, 1))
        samples.append(Sample.of(own + shift + rng.normal(0, 0.05, (seeds, QUERIES))))
    return samples, variances


@pytest.mark.parametrize("value", [1e-4, 0.1, 1.0, 50.0])
def test_the_inverse_of_trigamma(value: float) -> None:
    assert polygamma(1, _trigamma_inverse(value)) == pytest.approx(value)


def test_equal_variances_are_taken_as_one() -> None:
    rng = np.random.default_rng(0)
    samples, variances = drawn(rng, 200, 3, float("inf"))
    found = moderated(samples)
    truth = variances[0] + 0.05**2 / QUERIES  # the residual's share in the means of seeds
    before, after = (np.array([s.seed_part * 3 for s in listed]) for listed in (samples, found))
    assert before.min() < 0.1 * truth
    assert after.min() > 0.7 * truth
    assert min(f.seed_df for f in found) > 10
    assert [f.means is s.means for f, s in zip(found, samples, strict=True)] == [True] * 200


def test_variances_are_raised_and_never_lowered() -> None:
    samples, _ = drawn(np.random.default_rng(1), 60, 3, 3.0)
    before, after = (np.array([s.seed_part for s in found]) for found in (samples, moderated(samples)))
    assert (after >= before).all()
    assert (after > before)[before < np.median(before)].all()


def test_the_scatter_of_variances_is_found() -> None:
    rng = np.random.default_rng(1)
    prior = [(moderated(drawn(rng, 200, 4, 5.0)[0])[0].seed_df - 3) / COUNTED for _ in range(20)]
    assert 3.5 < np.median(prior) < 8


def test_few_methods_and_seeds_that_tell_nothing_stay_as_they_are() -> None:
    rng = np.random.default_rng(2)
    samples, _ = drawn(rng, FEWEST - 1, 3, 5.0)
    still = Sample.of(np.tile(rng.random(QUERIES), (3, 1)))
    single = Sample.of(rng.random(QUERIES))
    assert moderated([*samples, still, single]) == [*samples, still, single]
    more, _ = drawn(rng, 3, 3, 5.0)
    found = moderated([still, *samples, single, *more])
    assert (found[0], found[FEWEST]) == (still, single)
    assert all(f != s for f, s in zip(found[1:FEWEST], samples, strict=True))


@pytest.mark.parametrize("prior_df", [2.0, 4.0, float("inf")])
@pytest.mark.parametrize("seeds", [3, 5])
def test_at_most_five_percent_are_false_positives(seeds: int, prior_df: float) -> None:
    rng = np.random.default_rng(3)
    p: list[float] = []
    for _ in range(100):
        samples, _ = drawn(rng, 48, seeds, prior_df)
        found = moderated(samples)
        p += p_values([(found[2 * i], found[2 * i + 1]) for i in range(24)])[0].tolist()
    print(f"moderated, {seeds} seeds, prior df {prior_df}: {np.mean(np.array(p) <= 0.05):.3f}")
    assert 0.035 <= np.mean(np.array(p) <= 0.05) <= 0.06


def test_three_seeds_tell_more_when_all_methods_are_asked() -> None:
    rng = np.random.default_rng(4)
    hits = np.zeros(2)
    for _ in range(80):
        samples, _ = drawn(rng, 24, 3, 8.0)
        samples[0] = replace(samples[0], means=samples[0].means + 0.05)
        for which, found in enumerate((samples, moderated(samples))):
            hits[which] += holm(p_values([(found[0], other) for other in found[1:]])[0]).max() <= 0.05
    assert hits[1] > 1.3 * hits[0] > 0


def test_an_equal_method_seldom_loses_the_rank_that_it_shares() -> None:
    """All methods are equal: the best is chosen from the data, yet few rows are told from it."""
    rng = np.random.default_rng(5)
    tables, methods, lost, rows = 300, 10, 0, 0
    for _ in range(tables):
        found = moderated(drawn(rng, methods, 3, 6.0)[0])
        best = max(found, key=lambda s: s.means.mean())
        adjusted = holm(p_values([(other, best) for other in found if other is not best])[0])
        lost += int((adjusted <= 0.05).any())
        rows += int((adjusted <= 0.05).sum())
    print(f"tables with a row lost: {lost / tables:.3f}, rows lost: {rows / tables / methods:.4f}")
    assert rows / tables / methods <= 0.05
    assert lost / tables <= 0.2
