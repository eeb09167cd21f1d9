"""Results now against a baseline: what became of every value, and whether the gate lets it through."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cmrbench.core.errors import UsageError
from cmrbench.gate.baseline import Baseline, BaselineError, other_engine
from cmrbench.gate.changes import Change, GateReport
from cmrbench.gate.fitting import check_datasets, check_engine
from cmrbench.gate.rows import Queries, Row, Selection, asked_of, finite, is_rank, key_of, standing_rows
from cmrbench.gate.significance import assessed
from cmrbench.gate.tolerance import tolerances
from cmrbench.report.wording import outcome, plain

if TYPE_CHECKING:
    import pyarrow as pa

_ROUNDING = 1e-9  # 0.5 - 0.499 is more than 0.001 in binary


@dataclass(frozen=True)
class Rule:
    """When a change fails.

    Attributes
    ----------
    max_drop : float or None
        The largest drop (of a rank: the largest rise) that passes, in the metric's own unit, for all values; None:
        what `cmrbench.gate.tolerance.tolerances` finds for each.
    alpha : float or None
        If given, a drop beyond the tolerance only fails where the paired test over the queries has at most this p.

    Raises
    ------
    UsageError
        If a number makes no sense.
    """

    max_drop: float | None = None
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop is not None and not (math.isfinite(self.max_drop) and self.max_drop >= 0):
            raise UsageError(f"--max-drop must be a finite number of at least 0, not {self.max_drop}")
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise UsageError(f"--alpha must lie between 0 and 1, not {self.alpha}")


def compare(
    table: pa.Table,
    baseline: Baseline,
    rule: Rule | None = None,
    select: Selection | None = None,
    queries: Queries | None = None,
) -> GateReport:
    """Compare results with a baseline.

    Parameters
    ----------
    table : pyarrow.Table
        Results with the schema of `cmrbench.store.schema` (at least `cmrbench.gate.COLUMNS`).
    baseline : Baseline
        As `read_baseline` gives it.
    rule : Rule, optional
        When a change fails.
    select : Selection, optional
        Which rows take part.
    queries : callable, optional
        Reads the values of single queries of the results; needed where the rule has a significance level.

    Raises
    ------
    UsageError
        If a selected name does not occur, nothing is left to compare, or baseline and results were measured by
        different engines or on different data.
    """
    rule, select = rule or Rule(), select or Selection()
    select.check(baseline.table, "the baseline")
    expected = [row for row in baseline.rows if select.holds(row)]
    if not expected:
        raise BaselineError(f"the baseline holds no row to compare: write one with `{baseline.refresh}`")
    if rule.alpha is not None and not baseline.holds_queries:
        raise BaselineError(
            "the baseline holds no values of single queries, which --significance compares: write it with "
            f"`{baseline.refresh} --with-queries`"
        )
    rows = standing_rows(table, select)
    check_engine(expected, rows, baseline)
    check_datasets(expected, rows, baseline)
    found = {key_of(row): row for row in rows if row["metric"] is not None and row["engine"] == baseline.engine}
    changes = _changes(expected, found, rule, _explainer(rows, baseline.engine))
    if rule.alpha is not None and queries is not None:
        changes = assessed(changes, baseline, [found[key] for key in _dropped(changes)], rule.alpha, queries)
    known = {key_of(row) for row in expected}
    news = [row for key, row in found.items() if key not in known and select.asks_for(row)]
    changes += [Change("new", asked_of(row), now=finite(row["value"])) for row in news]
    return GateReport(tuple(sorted(changes, key=lambda c: c.order)), rule.max_drop)


def difference(old: Baseline, new: Baseline, rule: Rule | None = None) -> GateReport:
    """What a new baseline changes in an old one; rows that it lacks are ``"missing"``.

    Engines and data are not compared: this is for showing what is about to be accepted.
    """
    rule = rule or Rule()
    found = {key_of(row): row for row in new.rows}
    changes = _changes(old.rows, found, rule, lambda row: "")
    known = {key_of(row) for row in old.rows}
    changes += [Change("new", asked_of(row), now=row["value"]) for key, row in found.items() if key not in known]
    return GateReport(tuple(sorted(changes, key=lambda c: c.order)), rule.max_drop)


def _changes(
    expected: Sequence[Row], found: Mapping[tuple[object, ...], Row], rule: Rule, explain: Callable[[Row], str]
) -> list[Change]:
    allowed = tolerances(expected) if rule.max_drop is None else {key_of(row): rule.max_drop for row in expected}
    changes = []
    for row in expected:
        key = key_of(row)
        change = _change(row, found.get(key), allowed[key])
        changes.append(replace(change, cause=explain(row)) if change.kind == "missing" else change)
    return changes


def _change(before: Row, now: Row | None, tolerance: float) -> Change:
    asked, old = asked_of(before), before["value"]
    if now is None:
        return Change("missing", asked, before=old, tolerance=tolerance)
    new = finite(now["value"])
    if new is None:
        return Change("drop", asked, before=old, cause="the value is not a number", tolerance=tolerance)
    loss = new - old if is_rank(before["metric"]) else old - new
    kind = "drop" if loss > tolerance + _ROUNDING else "lower" if loss > 0 else "rise" if loss < 0 else "same"
    return Change(kind, asked, before=old, now=new, tolerance=tolerance)


def _dropped(changes: Sequence[Change]) -> list[tuple[object, ...]]:
    return [key_of(c.asked) for c in changes if c.kind == "drop"]


def _explainer(rows: Sequence[Row], engine: str) -> Callable[[Row], str]:
    """Says why the results have no value for a row of the baseline."""
    by_spec: dict[str, list[Row]] = {}
    datasets: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        by_spec.setdefault(row["spec_key"], []).append(row)
        where = (row["method"], row["dataset"], row["feature_set"])
        datasets.setdefault(where, set()).add(row["dataset_fingerprint"])

    def explain(missing: Row) -> str:
        same = by_spec.get(missing["spec_key"], [])
        if same and same[0]["metric"] is None:
            return outcome(same[0]["status"], same[0]["cause"])
        answers = [row for row in same if key_of(row) == key_of(missing)]
        if answers:
            return plain(other_engine(answers[0]["engine"], engine))
        if any(_named(row) == _named(missing) for row in same):
            return plain(f"protocol {missing['protocol']} has changed, so the values cannot be compared")
        if same:
            return "the run has no such record: direction, protocol, retrieval or metric is gone"
        found = datasets.get((missing["method"], missing["dataset"], missing["feature_set"]), set())
        if found and missing["dataset_fingerprint"] not in found:
            return plain(f"dataset {missing['dataset']} has changed, so the values cannot be compared")
        return "not in the results: it was not run, or its file cannot be read"

    return explain


def _named(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("protocol", "direction", "gallery_codes", "retrieval", "metric"))
