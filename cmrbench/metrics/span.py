"""The span of a number: what the best and the worst order of the tied items would have made of it."""

from __future__ import annotations

from cmrbench.metrics.metric import Metric

ENDS = ("pessimistic", "optimistic")
"""The tie rules at the two ends of a span."""


def span_of(metric: Metric) -> tuple[Metric, Metric] | None:
    """A metric under the two rules of `ENDS`; None where these do not enclose its value (`why_no_span` says why)."""
    if why_no_span(metric):
        return None
    pessimistic, optimistic = (metric.with_ties(ties) for ties in ENDS)
    return pessimistic, optimistic


def why_no_span(metric: Metric) -> str:
    """Why the two extreme orders of the tied items give no bounds of a metric, as half a sentence; empty if they do.

    They do wherever a query's value only grows (a rank: only falls) when a relevant item moves up, and the mean is
    over the same queries under every order.
    """
    if metric.radius is not None:
        return "a lookup within a Hamming radius does not depend on the order of ties"
    if metric.ties in ENDS:
        return f"{metric} is already the value under an extreme order"
    if metric.kind == "mAP" and metric.norm == "hits" and metric.k is not None:
        return "under norm hits with a cut-off the extreme orders of ties are no bounds"
    if metric.mean == "with_hits":
        return "with_hits takes the mean over other queries under another order of ties, so the orders are no bounds"
    return ""
