"""The evaluation engine: scores and relevance in, metrics out; exact, tie-aware, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores
from cmrbench.metrics.ties import Groups, hit, measure

BLOCK_BYTES = 256 << 20
_BYTES_PER_PAIR = 80  # scores, order, ranked scores and flags
_BYTES_PER_RULE = 64  # tie groups of one rule where every item is relevant and no two are tied: the worst case


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
        ``144 n`` bytes in any case, and ``64 n`` more for every tie rule after the first.

    Raises
    ------
    DataError
        If scores and relevance differ in shape, or there is no query or no gallery item.
    UsageError
        If there is no metric or a bad `block_bytes`.
    """
    wanted = _unique(metrics)
    if block_bytes <= 0:
        raise UsageError(f"block_bytes must be positive, got {block_bytes}")
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
    for rows, by_rule in _ranked_blocks(scores, relevance, {m.ties for m in wanted}, block_bytes):
        for metric in wanted:
            groups = by_rule[metric.ties]
            relevant[rows] = groups.R
            values[metric][rows] = measure(groups, metric, n)
            if metric in hits:
                hits[metric][rows] = hit(groups, metric.k or n)
    return _summary(values, hits, relevant, n)


def _unique(metrics: Iterable[Metric | str]) -> list[Metric]:
    listed = [metrics] if isinstance(metrics, str | Metric) else list(metrics)
    parsed = [Metric.parse(m) if isinstance(m, str) else m for m in listed]
    if not parsed:
        raise UsageError("no metric to evaluate; name at least one, such as mAP@all")
    return list(dict.fromkeys(parsed))


def _ranked_blocks(
    scores: Scores, relevance: Relevance, rules: set[str], block_bytes: int
) -> Iterator[tuple[slice, dict[str, Groups]]]:
    """Blocks of queries with their tie groups under each tie rule."""
    n_query, n = scores.shape
    step = max(1, block_bytes // ((_BYTES_PER_PAIR + _BYTES_PER_RULE * len(rules)) * n))
    for start in range(0, n_query, step):
        stop = min(start + step, n_query)
        block, relevant = scores.block(start, stop), relevance.block(start, stop)
        by_rule = {}
        if "stable" in rules:
            by_rule["stable"] = stable_groups(block, relevant)
        if rules - {"stable"}:
            tied = tie_groups(block, relevant) if scores.levels is None else counted(block, relevant, scores.levels)
            by_rule |= {rule: tied.under(rule) for rule in rules - {"stable"}}
        yield slice(start, stop), by_rule


def tie_groups(scores: np.ndarray, relevant: np.ndarray) -> Groups:
    """Tie groups of every row of `scores` (rows, n), by sorting."""
    rows, n = scores.shape
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    found = np.take_along_axis(relevant, order, axis=1).ravel()
    first = np.ones((rows, n), dtype=bool)
    np.not_equal(ranked[:, 1:], ranked[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    size = np.diff(starts, append=rows * n)
    r = np.add.reduceat(found, starts, dtype=np.int64)
    some = np.flatnonzero(r)
    row, T = np.divmod(starts[some], n)
    return Groups.build(rows, row, T, size[some], r[some])


def counted(scores: np.ndarray, relevant: np.ndarray, levels: int) -> Groups:
    """Tie groups of scores that are whole numbers in [0, levels), by counting instead of sorting."""
    rows = len(scores)
    key = scores.astype(np.int64)  # ((row, level from the top), relevant)
    np.subtract(levels - 1, key, out=key)
    key += np.arange(rows)[:, None] * levels
    key *= 2
    key += relevant
    histogram = np.bincount(key.ravel(), minlength=rows * levels * 2).reshape(rows, levels, 2)
    r = histogram[:, :, 1]
    t = histogram.sum(axis=2)
    row, level = np.nonzero(r)
    T = np.cumsum(t, axis=1) - t
    return Groups.build(rows, row, T[row, level], t[row, level], r[row, level])


def stable_groups(scores: np.ndarray, relevant: np.ndarray) -> Groups:
    """Every relevant item as a group of its own, ties in gallery order."""
    order = np.argsort(-scores, axis=1, kind="stable")
    row, T = np.nonzero(np.take_along_axis(relevant, order, axis=1))
    one = np.ones_like(row)
    return Groups.build(len(scores), row, T, one, one)


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
