"""Is one method better than another? For these trained models over queries, and for the methods over seeds as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cmrbench.statistics.sample import Sample
from cmrbench.statistics.signflip import sign_flip_p

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
"""Of the intervals."""

NO_SEEDS = "one seed of a method that is not declared deterministic: how far seeds move its mean is unknown"
TOO_FEW = "fewer than two queries have a value under both methods"


@dataclass(frozen=True)
class Inference:
    """The answer to one question about a difference.

    Attributes
    ----------
    p : float
        Two-sided.
    low, high : float
        95 % interval of the difference of means.
    stderr, df : float
        Standard error of the difference, and degrees of freedom of its t distribution.
    """

    p: float
    low: float
    high: float
    stderr: float
    df: float


@dataclass(frozen=True)
class PairedTest:
    """How two methods differ on the same queries.

    Attributes
    ----------
    effect : float
        Mean of the first minus mean of the second, over the queries that have a value under both.
    queries, dropped : int
        Queries that count, and those without a value under one of the two or both.
    won, lost, tied : float
        Shares of queries that the first method's mean over seeds is higher, lower, equal on (to 1e-12).
    over_queries : Inference or None
        Over other queries, for these trained models. None for fewer than two queries.
    over_seeds : Inference or None
        Over other queries and other seeds. None where `why` says so.
    why : str
        Why an answer is missing, or empty.
    """

    effect: float
    queries: int
    dropped: int
    won: float
    lost: float
    tied: float
    over_queries: Inference | None
    over_seeds: Inference | None
    why: str = ""


def paired_test(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    first_deterministic: bool = False,
    second_deterministic: bool = False,
) -> PairedTest:
    """Compare two methods by their values for the same queries.

    Parameters
    ----------
    first, second : array-like of shape (n_seeds, n_queries) or (n_queries,)
        NaN where the metric is undefined. The numbers of seeds may differ.
    first_deterministic, second_deterministic : bool
        Whether a single seed of that method is as good as many.

    Returns
    -------
    PairedTest

    Raises
    ------
    ValueError
        If the numbers of queries differ.

    Notes
    -----
    Over queries: the paired randomisation test on the differences of the seeds' means (`sign_flip_p`), with the
    t interval of their mean. Over queries and seeds: seeds are random and crossed with queries within each method,
    see `crossed`.
    """
    a, b = (np.atleast_2d(np.asarray(v, dtype=np.float64)) for v in (first, second))
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"the methods have values for {a.shape[1]} and {b.shape[1]} queries, not for the same ones")
    kept = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    one = Sample.of(a[:, kept], first_deterministic)
    other = Sample.of(b[:, kept], second_deterministic)
    return paired_tests([(one, other)], dropped=int((~kept).sum()))[0]


def paired_tests(pairs: Sequence[tuple[Sample, Sample]], dropped: int = 0) -> list[PairedTest]:
    """`paired_test` for many pairs of reduced samples of the same queries, all of whose values are defined.

    Parameters
    ----------
    pairs : sequence of (Sample, Sample)
        With equally many queries in all.
    dropped : int
        How many queries were left out before.
    """
    if not pairs:
        return []
    differences = np.stack([a.means - b.means for a, b in pairs])
    if differences.shape[1] < 2:
        nan = float("nan")
        return [
            PairedTest(float(d.mean()) if d.size else nan, d.size, dropped, nan, nan, nan, None, None, TOO_FEW)
            for d in differences
        ]
    p = sign_flip_p(differences)
    return [_tested(a, b, d, float(q), dropped) for (a, b), d, q in zip(pairs, differences, p, strict=True)]


def p_values(pairs: Sequence[tuple[Sample, Sample]]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The p-value of every pair: over queries and seeds where the seeds' part is known, else over queries.

    Parameters
    ----------
    pairs : sequence of (Sample, Sample)
        Of the same queries, two or more, all of whose values are defined.

    Returns
    -------
    p : ndarray of shape (n_pairs,), float64
    seeds : ndarray of shape (n_pairs,), bool
        Which of them are over seeds as well.
    """
    p = np.ones(len(pairs))
    seeds = np.array([a.seeds_known and b.seeds_known for a, b in pairs], dtype=bool)
    left = np.flatnonzero(~seeds)
    if left.size:
        p[left] = sign_flip_p(np.stack([pairs[i][0].means - pairs[i][1].means for i in left.tolist()]))
    for i in np.flatnonzero(seeds).tolist():
        differences = pairs[i][0].means - pairs[i][1].means
        n = len(differences)
        p[i] = crossed(float(differences.mean()), float(differences.var(ddof=1)) / n, n, pairs[i]).p
    return p, seeds


def _tested(a: Sample, b: Sample, differences: Floats, p: float, dropped: int) -> PairedTest:
    queries = len(differences)
    effect = float(differences.mean())
    query_part = float(differences.var(ddof=1)) / queries
    low, high = _interval(effect, query_part, queries - 1)
    known = a.seeds_known and b.seeds_known
    return PairedTest(
        effect=effect,
        queries=queries,
        dropped=dropped,
        won=float(np.mean(differences > 1e-12)),
        lost=float(np.mean(differences < -1e-12)),
        tied=float(np.mean(np.abs(differences) <= 1e-12)),
        over_queries=Inference(p, low, high, float(np.sqrt(query_part)), queries - 1),
        over_seeds=crossed(effect, query_part, queries, (a, b)) if known else None,
        why="" if known else NO_SEEDS,
    )


def crossed(effect: float, query_part: float, queries: int, samples: tuple[Sample, Sample]) -> Inference:
    """Test a difference of means over queries and seeds, both random and crossed within each method.

    Parameters
    ----------
    effect : float
    query_part : float
        Sample variance of the queries' differences of means over seeds, divided by their number.
    queries : int
    samples : (Sample, Sample)
        With known seed parts.

    Returns
    -------
    Inference

    Notes
    -----
    The queries' differences hold the residual of both methods once, the seeds' means hold it once more: the variance
    of the effect is query_part + seed parts - residual parts, in mean squares (MS_query + MS_seed - MS_residual) /
    (seeds x queries). What the seeds add to the query part is not taken below zero: other seeds cannot make a
    difference more certain.

    Degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2), for the seeds f = s^2 / sum(s_i^2 / f_i) with
    s the sum of the seed parts s_i and f_i their own. In the formula for all, what the seeds add enters (f + 2) / f
    times, which is what the mean of s^2 is relative to the square of its expectation: an s that is small by chance
    would promise more degrees of freedom than there are, and too many false positives where one method has three seeds
    and the other none.
    """
    seed_parts = [(sample.seed_part, sample.seed_df) for sample in samples if sample.seed_part > 0]
    from_seeds = sum(part for part, _ in seed_parts)
    residual = sum(sample.residual_part for sample in samples)
    added = max(from_seeds - residual, 0.0)
    variance = query_part + added
    if variance <= 0:
        certain = 1.0 if effect == 0 else 0.0
        return Inference(certain, effect, effect, 0.0, float("inf"))
    df = float(queries - 1)
    if added > 0:
        own = from_seeds**2 / sum(part**2 / freedom for part, freedom in seed_parts)
        cautious = added * (own + 2) / own
        df = (query_part + cautious) ** 2 / (query_part**2 / (queries - 1) + cautious**2 / own)
    low, high = _interval(effect, variance, df)
    return Inference(_t_p(effect, variance, df), low, high, float(np.sqrt(variance)), df)


def _interval(effect: float, variance: float, df: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    half = float(stdtrit(df, (1 + LEVEL) / 2)) * float(np.sqrt(variance))
    return effect - half, effect + half


def _t_p(effect: float, variance: float, df: float) -> float:
    from scipy.special import stdtr

    return min(1.0, 2 * float(stdtr(df, -abs(effect) / np.sqrt(variance))))
