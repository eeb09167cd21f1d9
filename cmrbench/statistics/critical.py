"""Several methods on several datasets: Friedman's test, and the difference of average ranks that matters (Nemenyi)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class CriticalDifferences:
    """Average ranks of methods over datasets, and which of them lie too close together to be told apart.

    Attributes
    ----------
    average_ranks : tuple of float
        Of each method, 1 is best; equal scores share the mean of their ranks.
    critical_difference : float
        Average ranks that are further apart than this differ significantly.
    cliques : tuple of tuple of int
        Maximal sets of methods whose average ranks span at most the critical difference, two or more in each, best
        average rank first.
    friedman_p : float
        Of Friedman's chi-square, all methods being equal under the null hypothesis. NaN for two methods.
    iman_davenport_p : float
        Of the F statistic made of it, which is less conservative.
    blocks : int
        Datasets.
    alpha : float
    """

    average_ranks: tuple[float, ...]
    critical_difference: float
    cliques: tuple[tuple[int, ...], ...]
    friedman_p: float
    iman_davenport_p: float
    blocks: int
    alpha: float


def critical_differences(scores: npt.ArrayLike, alpha: float = 0.05, smaller: bool = False) -> CriticalDifferences:
    """Rank methods on every dataset and compare their average ranks.

    Parameters
    ----------
    scores : array-like of shape (n_datasets, n_methods)
        One number for each method and dataset, none missing.
    alpha : float
    smaller : bool
        Whether smaller scores are better.

    Raises
    ------
    ValueError
        For fewer than two datasets or methods, or a score that is not finite.

    Notes
    -----
    Demsar 2006, JMLR 7, section 3.2.2. Friedman's statistic is scipy's (with its correction for ties), Iman and
    Davenport's F = (N - 1) chi2 / (N (k - 1) - chi2) with k - 1 and (k - 1)(N - 1) degrees of freedom. Nemenyi's
    critical difference is q sqrt(k (k + 1) / (6 N)), q the quantile of the studentised range for k means and infinite
    degrees of freedom, divided by sqrt(2).
    """
    from scipy import stats

    found = np.asarray(scores, dtype=np.float64)
    if found.ndim != 2 or min(found.shape) < 2:
        raise ValueError("average ranks need at least two datasets and two methods")
    if not np.isfinite(found).all():
        raise ValueError("every method needs a number on every dataset")
    n, k = found.shape
    ranks = stats.rankdata(found if smaller else -found, axis=1).mean(axis=0)
    q = float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / np.sqrt(2)
    difference = float(q * np.sqrt(k * (k + 1) / (6 * n)))
    friedman, iman_davenport = _tests(found)
    return CriticalDifferences(
        average_ranks=tuple(ranks.tolist()),
        critical_difference=difference,
        cliques=tuple(_cliques(ranks, difference)),
        friedman_p=friedman,
        iman_davenport_p=iman_davenport,
        blocks=n,
        alpha=alpha,
    )


def _tests(scores: npt.NDArray[np.float64]) -> tuple[float, float]:
    from scipy import stats

    n, k = scores.shape
    if k < 3:
        return float("nan"), float("nan")
    if (scores == scores[:, :1]).all():
        return 1.0, 1.0
    chi2, p = stats.friedmanchisquare(*scores.T)
    left = n * (k - 1) - chi2
    if left <= 1e-9 * n * k:  # the same order of methods on every dataset
        return float(p), 0.0
    return float(p), float(stats.f.sf((n - 1) * chi2 / left, k - 1, (k - 1) * (n - 1)))


def _cliques(ranks: npt.NDArray[np.float64], difference: float) -> list[tuple[int, ...]]:
    order = np.argsort(ranks, kind="stable")
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start
        while end + 1 < len(order) and ranks[order[end + 1]] - ranks[order[start]] <= difference * (1 + 1e-12):
            end += 1
        if end > start and end + 1 > reached:
            found.append(tuple(order[start : end + 1].tolist()))
            reached = end + 1
    return found
