"""Evaluation: what was measured, gathered block by block and summed up over queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cmrbench.metrics.curve import Curve
from cmrbench.metrics.curves import CurveSums, Points
from cmrbench.metrics.graded import Graded
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.ranking import Ranked
from cmrbench.metrics.ties import Groups, hit, measure


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one ranking task, each by the metric's name.

    Attributes
    ----------
    values : dict of str to float
        Mean over queries (MedR: the median); NaN where it is over no query at all.
    stderr : dict of str to float
        Standard error of that mean: sd / sqrt(n) over the queries in it; NaN for fewer than two, and for MedR.
    chance : dict of str to float
        The same metric, expected under a random order of the gallery (all items tied in one group).
    per_query : dict of str to ndarray, float64, shape (n_query,)
        Value of every query; NaN for a query that is not in the mean.
    counted : dict of str to float
        Queries in the mean; under ``with_hits`` the expected number of queries with a hit.
    n_query, n_gallery : int
    curves : dict of str to Points
        The curves that were asked for, by name.
    """

    values: dict[str, float]
    stderr: dict[str, float]
    chance: dict[str, float]
    per_query: dict[str, np.ndarray]
    counted: dict[str, float]
    n_query: int
    n_gallery: int
    curves: dict[str, Points] = field(default_factory=dict)


class Gathered:
    """Values of every query, as blocks of rankings come in.

    Parameters
    ----------
    metrics, curves : sequence
        What is measured.
    n_query, n : int
        Queries and gallery items.
    """

    def __init__(self, metrics: Sequence[Metric], curves: Sequence[Curve], n_query: int, n: int) -> None:
        self.n = n
        self.values = {m: np.empty(n_query) for m in metrics}
        self.hits = {m: np.empty(n_query) for m in metrics if m.mean == "with_hits"}
        self.hit_chance = {m: np.empty(n_query) for m in self.hits if m.radius is not None}
        self.chance = {m: np.empty(n_query) for m in metrics if not _by_relevant_only(m)}
        self.relevant = np.empty(n_query, dtype=np.int64)
        self.curves = [CurveSums(curve, n) for curve in curves]

    def add(self, ranked: Ranked) -> None:
        """Measure a block of rankings."""
        self.relevant[ranked.rows] = ranked.R
        for m, value in self.values.items():
            if m.gain == "binary":
                value[ranked.rows] = ranked.value(m, self.n)
        for m, chance in self.chance.items():
            if m.gain == "binary":
                chance[ranked.rows] = ranked.lookup_chance(m, self.n)
        for m, hits in self.hits.items():
            hits[ranked.rows] = ranked.hit(m, self.n)
        for m, hits in self.hit_chance.items():
            hits[ranked.rows] = ranked.lookup_hit_chance(m, self.n)
        for curve in self.curves:
            curve.add(ranked)

    def add_graded(self, graded: Graded) -> None:
        """Take over the values of a block that were measured with graded relevance."""
        self.relevant[graded.rows] = graded.R
        for m, (value, chance) in graded.values.items():
            self.values[m][graded.rows], self.chance[m][graded.rows] = value, chance

    def evaluation(self) -> Evaluation:
        """Means, standard errors and chance over all queries, once every block has been added."""
        numbers, query = np.unique(self.relevant, return_inverse=True)  # most chance depends on a query's R alone
        tied = Groups.all_tied(numbers, self.n)
        result = Evaluation({}, {}, {}, {}, {}, len(self.relevant), self.n)
        for m, value in self.values.items():
            random = self.chance[m] if m in self.chance else measure(tied, m, self.n)[query]
            weight, random_weight = np.ones(len(query)), np.ones(len(query))
            if m.mean == "with_hits":
                weight = self.hits[m]
                random_weight = self.hit_chance[m] if m in self.hit_chance else hit(tied, m.k or self.n)[query]
            elif m.mean == "with_relevant" or m.is_rank:
                weight = random_weight = (self.relevant > 0).astype(float)
            name = str(m)
            over = _median if m.kind == "MedR" else _mean
            result.values[name], result.stderr[name], result.counted[name] = over(value, weight)
            result.chance[name] = over(random, random_weight)[0]
            result.per_query[name] = np.divide(value, weight, out=np.full(len(value), np.nan), where=weight > 0)
        for curve in self.curves:
            result.curves[str(curve.curve)] = curve.points()
        return result


def _by_relevant_only(metric: Metric) -> bool:
    """Whether chance follows from how many items are relevant to a query."""
    return metric.radius is None and metric.gain == "binary"


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


def _median(value: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """Median and number of the values whose weight is 1; its standard error is left open."""
    held = value[weight > 0]
    return (float(np.median(held)) if len(held) else np.nan), np.nan, float(len(held))
