"""The evaluation engine: scores and relevance in, metrics out; exact, tie-aware, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.metrics.compiled import compiled_blocks
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.ranking import ranked_blocks
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores
from cmrbench.metrics.ties import Groups, hit, measure

BLOCK_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one ranking task, each by the metric's name.

    Attributes
    ----------
    values : dict of str to float
        Mean over queries; NaN where the metric's mean is over no query at all.
    stderr : dict of str to float
        Standard error of that mean: sd / sqrt(n) over the queries in it; NaN for fewer than two.
    chance : dict of str to float
        The same metric, expected under a random order of the gallery (all items tied in one group).
    per_query : dict of str to ndarray, float64, shape (n_query,)
        Value of every query; NaN for a query that is not in the mean.
    counted : dict of str to float
        Queries in the mean; under ``with_hits`` the expected number of queries with a hit.
    n_query, n_gallery : int
    """

    values: dict[str, float]
    stderr: dict[str, float]
    chance: dict[str, float]
    per_query: dict[str, np.ndarray]
    counted: dict[str, float]
    n_query: int
    n_gallery: int


def evaluate(
    scores: Scores,
    relevance: Relevance,
    metrics: Iterable[Metric | str] = ("mAP@all",),
    block_bytes: int = BLOCK_BYTES,
    threads: int = 1,
) -> Evaluation:
    """Measure a ranking.

    Parameters
    ----------
    scores : Scores
        Similarities of queries and gallery items.
    relevance : Relevance
        Which gallery items answer which query.
    metrics : iterable of Metric or str
        What to measure; all of them in one pass.
    block_bytes : int
        Memory for one block of queries. At least one query is taken at a time, so a gallery of n items needs about
        ``144 n`` bytes in any case, and ``64 n`` more for every tie rule after the first. Compiled kernels, used
        from `cmrbench.metrics.compiled.LEAST_PAIRS` pairs up where numba is installed, need less.
    threads : int
        Threads for compiled kernels; no value depends on their number. The matrix products behind real-valued scores
        take as many as the BLAS library is told to.

    Raises
    ------
    DataError
        If scores and relevance differ in shape, or there is no query or no gallery item.
    UsageError
        If there is no metric, or a bad `block_bytes` or `threads`.
    """
    wanted = _unique(metrics)
    if block_bytes <= 0:
        raise UsageError(f"block_bytes must be positive, got {block_bytes}")
    if threads <= 0:
        raise UsageError(f"threads must be positive, got {threads}")
    if scores.shape != relevance.shape:
        raise DataError(
            f"the representations are of {scores.shape[0]} queries and {scores.shape[1]} gallery items, "
            f"but the labels are of {relevance.shape[0]} and {relevance.shape[1]}"
        )
    n_query, n = scores.shape
    if not n_query or not n:
        raise DataError(f"nothing to rank: {n_query} queries and {n} gallery items")

    values = {metric: np.empty(n_query) for metric in wanted}
    hits = {metric: np.empty(n_query) for metric in wanted if metric.mean == "with_hits"}
    relevant = np.empty(n_query, dtype=np.int64)
    blocks = compiled_blocks(scores, relevance, wanted, block_bytes, threads)
    if blocks is None:
        blocks = ranked_blocks(scores, relevance, {m.ties for m in wanted}, block_bytes)
    for ranked in blocks:
        relevant[ranked.rows] = ranked.R
        for metric in wanted:
            values[metric][ranked.rows] = ranked.value(metric, n)
            if metric in hits:
                hits[metric][ranked.rows] = ranked.hit(metric, n)
    return _summary(values, hits, relevant, n)


def _unique(metrics: Iterable[Metric | str]) -> list[Metric]:
    listed = [metrics] if isinstance(metrics, str | Metric) else list(metrics)
    parsed = [Metric.parse(m) if isinstance(m, str) else m for m in listed]
    if not parsed:
        raise UsageError("no metric to evaluate; name at least one, such as mAP@all")
    return list(dict.fromkeys(parsed))


def _summary(
    values: Mapping[Metric, np.ndarray], hits: Mapping[Metric, np.ndarray], relevant: np.ndarray, n: int
) -> Evaluation:
    numbers, query = np.unique(relevant, return_inverse=True)  # chance depends on nothing but a query's R
    tied = Groups.all_tied(numbers, n)
    result = Evaluation({}, {}, {}, {}, {}, len(relevant), n)
    for metric, value in values.items():
        random = measure(tied, metric, n)[query]
        if metric.mean == "with_hits":
            weight, random_weight = hits[metric], hit(tied, metric.k or n)[query]
        else:
            weight = random_weight = np.ones(len(relevant)) if metric.mean == "all" else (relevant > 0).astype(float)
        name = str(metric)
        result.values[name], result.stderr[name], result.counted[name] = _mean(value, weight)
        result.chance[name] = _mean(random, random_weight)[0]
        result.per_query[name] = np.divide(value, weight, out=np.full(len(value), np.nan), where=weight > 0)
    return result


def _mean(value: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """Mean, standard error and number of queries, of values that are 0 where the weight is 0.

    A weight is 0 or 1, or the probability that a query has a hit; then the mean is the expected sum over the
    expected number of queries.
    """
    count = float(weight.sum())
    if count == 0:
        return np.nan, np.nan, 0.0
    mean = float(value.sum()) / count
    if count <= 1:
        return mean, np.nan, count
    spread = float(np.square(value - mean * weight).sum()) / (count - 1)
    return mean, float(np.sqrt(spread / count)), count
