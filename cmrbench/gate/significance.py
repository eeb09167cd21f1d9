"""Whether a drop can be told from chance: a paired test over the queries, before against now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cmrbench.gate.baseline import Baseline, query_values
from cmrbench.gate.changes import Change
from cmrbench.gate.rows import Queries, Row, key_of

_UNTESTED = "not tested, so the drop counts: "


def assessed(
    changes: Sequence[Change], baseline: Baseline, dropped: Sequence[Row], alpha: float, queries: Queries
) -> list[Change]:
    """The changes with drops that the test cannot tell from chance (p > `alpha`) made ``"doubtful"``.

    The test is two-sided, row by row and without correction for their number: a correction would let more drops
    through. A drop that cannot be tested stays one, and says why.

    Parameters
    ----------
    changes : sequence of Change
    baseline : Baseline
        Holds the values of single queries from before.
    dropped : sequence of dict
        The rows of the results behind the drops.
    alpha : float
    queries : callable
        Reads the values of single queries of the results.
    """
    before = baseline.queries([key_of(row) for row in dropped])
    now = query_values([row for row in dropped if key_of(row) in before], queries) if before else {}
    return [_assessed(c, before.get(key_of(c.asked)), now.get(key_of(c.asked)), alpha) for c in changes]


def _assessed(change: Change, before: Sequence[float] | None, now: Sequence[float] | None, alpha: float) -> Change:
    if change.kind != "drop" or change.now is None:
        return change
    if not before or not now:
        where = "baseline" if not before else "results"
        return replace(change, cause=f"{_UNTESTED}the {where} hold{'s' * (not before)} no values of single queries")
    if len(before) != len(now):
        return replace(change, cause=f"{_UNTESTED}{len(before)} queries before, {len(now)} now")
    p = _paired(before, now)
    if p is None:
        return replace(change, cause=f"{_UNTESTED}fewer than two queries have a value before and now")
    return replace(change, p=p, kind="drop" if p <= alpha else "doubtful")


def _paired(before: Sequence[float], now: Sequence[float]) -> float | None:
    """p of the paired randomisation test; None where there is nothing to test."""
    import numpy as np

    from cmrbench.statistics.paired import paired_test

    # float32 as the baseline keeps them, so that queries whose value is unchanged differ by exactly 0
    found = paired_test(np.asarray(before, np.float32), np.asarray(now, np.float32)).over_queries
    return None if found is None else found.p
