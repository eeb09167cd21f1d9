"""What is kept of a ranking beside its numbers: curves, classes, and what some queries found first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cmrbench.core.runs import CUTOFFS, MOST_QUERIES_SHOWN, RECALL_LEVELS, RESULTS_SHOWN, Curves, FirstResults
from cmrbench.metrics import Curve, Evaluation, Metric, Relevance, Scores


def curves_of(metric: Metric, n_gallery: int) -> tuple[Curve, Curve]:
    """The curves that are kept with a metric: precision at ranks and at levels of recall.

    They follow the metric's tie rule, and leave out queries without relevant items where the metric does.
    """
    mean = "all" if metric.mean == "all" and not metric.is_rank else "with_relevant"
    return (
        Curve("P", k=min(CUTOFFS[-1], n_gallery), mean=mean, ties=metric.ties),
        Curve("PR", levels=RECALL_LEVELS, mean=mean, ties=metric.ties),
    )


def points_of(evaluation: Evaluation, drawn: Sequence[Curve]) -> Curves | None:
    """The values of `curves_of` in an evaluation; None where it was not asked for them."""
    if not drawn:
        return None
    at_ranks, at_recall = (evaluation.curves[str(curve)].y for curve in drawn)
    ranks = [k for k in CUTOFFS if k <= len(at_ranks)]
    return Curves(tuple(float(at_ranks[k - 1]) for k in ranks), tuple(map(float, at_recall)))


def by_class(values: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Mapping[str, float]:
    """Mean value over the queries of each class; NaN is left out, and so is a class without any value.

    Parameters
    ----------
    values : ndarray of float64, shape (n_query,)
    labels : ndarray of 0 and 1, shape (n_query, C)
    classes : sequence of str
        Names of the label columns. A column without a name of its own goes by its number.

    Returns
    -------
    mapping of str to float
        In the order of the label columns.
    """
    held = ~np.isnan(values)
    some = np.asarray(labels)[held] > 0
    count = some.sum(axis=0)
    total = values[held] @ some
    names = [classes[c] if c < len(classes) else "" for c in range(some.shape[1])]
    return {
        names[c] if names[c] and names.count(names[c]) == 1 else str(c): float(total[c] / count[c])
        for c in np.flatnonzero(count).tolist()
    }


def first_results(scores: Scores, relevance: Relevance) -> tuple[FirstResults, ...]:
    """What up to `MOST_QUERIES_SHOWN` evenly spaced queries found first; items of equal score by position."""
    n_query = scores.shape[0]
    shown = np.linspace(0, n_query - 1, min(MOST_QUERIES_SHOWN, n_query)).round().astype(int)
    found = []
    for query in shown.tolist():
        nearest = _first(scores.block(query, query + 1)[0], RESULTS_SHOWN)
        hits = relevance.block(query, query + 1)[0][nearest]
        found.append(FirstResults(query, tuple(nearest.tolist()), tuple(hits.astype(bool).tolist())))
    return tuple(found)


def _first(row: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k largest scores, equal ones by position."""
    candidates = np.arange(len(row))
    if len(row) > k:
        candidates = np.flatnonzero(row >= np.partition(row, -k)[-k])
    order: np.ndarray = candidates[np.argsort(-row[candidates], kind="stable")][:k]
    return order
