"""Friedman's test and Nemenyi's critical difference against published constants and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cmrbench.statistics.critical import critical_differences

# Demsar 2006, JMLR 7, table 5(a): critical values of the two-tailed Nemenyi test for 2 to 10 classifiers.
DEMSAR = {
    0.05: (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164),
    0.10: (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920),
}


@pytest.mark.parametrize("alpha", DEMSAR)
def test_critical_values_are_demsars(alpha: float) -> None:
    for k, q in enumerate(DEMSAR[alpha], 2):
        found = critical_differences(np.random.default_rng(k).random((5, k)), alpha)
        assert found.critical_difference == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 5)), abs=1e-3)


def test_ranks_tests_and_cliques_by_hand() -> None:
    """Four methods on six datasets; the last two swap places."""
    scores = np.array([[0.9, 0.8, 0.3, 0.2], [0.9, 0.8, 0.2, 0.3]] * 3)
    found = critical_differences(scores)
    assert found.average_ranks == (1.0, 2.0, 3.5, 3.5)
    assert found.critical_difference == pytest.approx(2.569 * np.sqrt(20 / 36), abs=1e-3)  # 1.915
    assert found.cliques == ((0, 1), (1, 2, 3))
    chi2, p = stats.friedmanchisquare(*scores.T)
    assert found.friedman_p == pytest.approx(p)
    assert found.iman_davenport_p == pytest.approx(stats.f.sf(5 * chi2 / (18 - chi2), 3, 15))
    assert critical_differences(-scores, smaller=True) == found


def test_ties_share_ranks_and_equal_methods_do_not_differ() -> None:
    found = critical_differences([[0.5, 0.5, 0.1], [0.5, 0.5, 0.1]])
    assert found.average_ranks == (1.5, 1.5, 3.0)
    same = critical_differences(np.ones((4, 3)))
    assert (same.friedman_p, same.iman_davenport_p) == (1.0, 1.0)
    assert same.cliques == ((0, 1, 2),)


def test_one_order_on_every_dataset_is_certain() -> None:
    found = critical_differences(np.tile([0.9, 0.5, 0.1], (8, 1)))
    assert found.iman_davenport_p == 0.0
    assert found.friedman_p == pytest.approx(stats.chi2.sf(16, 2))


def test_cliques_are_maximal_and_cover_every_close_pair() -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        found = critical_differences(rng.random((rng.integers(2, 9), rng.integers(2, 9))))
        ranks, limit = np.array(found.average_ranks), found.critical_difference
        for i, j in np.ndindex(len(ranks), len(ranks)):
            if i != j:
                together = any(i in clique and j in clique for clique in found.cliques)
                assert together == (abs(ranks[i] - ranks[j]) <= limit * (1 + 1e-9))
        assert not any(set(a) < set(b) for a in found.cliques for b in found.cliques)


def test_nemenyi_keeps_its_level_when_all_methods_are_equal() -> None:
    rng = np.random.default_rng(2)
    k, n = 5, 12
    limit = critical_differences(rng.random((n, k))).critical_difference
    ranks = rng.random((20_000, n, k)).argsort(axis=2).argsort(axis=2).mean(axis=1)
    wrong = np.mean(np.ptp(ranks, axis=1) > limit)
    assert 0.03 <= wrong <= 0.06


@pytest.mark.parametrize("scores", [[[1.0, 2.0]], [[1.0], [2.0]], [1.0, 2.0]])
def test_too_little_is_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="at least two"):
        critical_differences(scores)


def test_a_gap_is_refused() -> None:
    with pytest.raises(ValueError, match="every method"):
        critical_differences([[1.0, 2.0], [np.nan, 1.0]])
