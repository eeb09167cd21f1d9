"""A drop that the test over the queries cannot tell from chance is told, and passes; one that was not tested fails."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest
from gate_tables import IT, run

from cmrbench.core.errors import UsageError
from cmrbench.gate import QUERY_COLUMNS, BaselineError, GateReport, Rule, baseline_of, compare
from cmrbench.gate.significance import assessed
from cmrbench.statistics.paired import paired_test


def of_queries(values: np.ndarray, **changes: object) -> pa.Table:
    return run(values={IT: float(np.nanmean(values))}, per_query=tuple(values), **changes)


def reader(table: pa.Table):
    def queries(run_keys: Iterable[str]) -> pa.Table:
        wanted = set(run_keys)
        keep = pa.array([key in wanted for key in table.column("run_key").to_pylist()])
        return table.filter(keep).select(list(QUERY_COLUMNS))

    return queries


def judged(before: pa.Table, now: pa.Table, alpha: float | None = 0.05) -> GateReport:
    baseline, _ = baseline_of(before, queries=reader(before))
    return compare(now, baseline, Rule(alpha=alpha), queries=reader(now))


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).random(400)


def test_a_drop_of_all_queries_is_significant_and_fails(values: np.ndarray) -> None:
    report = judged(of_queries(values), of_queries(values - 0.01))
    (change,) = report.changes
    assert change.kind == "drop"
    assert change.p is not None
    assert change.p < 1e-6
    assert not report.passed


def test_a_drop_within_the_noise_of_the_queries_passes_and_is_told(values: np.ndarray) -> None:
    noise = np.random.default_rng(1).normal(size=400) / 5
    now = values + noise - noise.mean() - 0.004
    report = judged(of_queries(values), of_queries(now))
    (change,) = report.changes
    assert change.kind == "doubtful"
    expected = paired_test(values.astype(np.float32), now.astype(np.float32)).over_queries
    assert change.p == pytest.approx(expected.p)
    assert report.passed
    assert not judged(of_queries(values), of_queries(now), alpha=None).passed, "without the test it fails"
    assert not judged(of_queries(values), of_queries(now), alpha=0.99).passed


def test_queries_without_a_value_do_not_count(values: np.ndarray) -> None:
    holes = values.copy()
    holes[::7] = np.nan
    report = judged(of_queries(holes), of_queries(values - 0.05))
    assert report.of("drop")[0].p < 1e-6


def test_what_cannot_be_tested_fails_and_says_why(values: np.ndarray) -> None:
    gone = run(values={IT: 0.1}, per_query=())
    for now, words in (
        (gone, "the results hold no values of single queries"),
        (of_queries(values[:-1] - 0.1), "400 queries before, 399 now"),
        (of_queries(np.r_[values[0] - 0.4, np.full(399, np.nan)]), "fewer than two queries"),
    ):
        report = judged(of_queries(values), now)
        (drop,) = report.of("drop")
        assert words in drop.cause
        assert not report.passed
    half = pa.concat_tables([of_queries(values), run("kcca", {IT: 0.5}, per_query=())])
    report = judged(half, pa.concat_tables([of_queries(values), run("kcca", {IT: 0.4})]))
    assert "the baseline holds no values" in report.of("drop")[0].cause


def test_a_baseline_without_single_queries_is_refused_with_the_command() -> None:
    with pytest.raises(BaselineError, match="--update --with-queries"):
        compare(run(), baseline_of(run())[0], Rule(alpha=0.05))


def test_only_dropped_runs_are_read(values: np.ndarray) -> None:
    before = pa.concat_tables([of_queries(values), run("kcca", {IT: 0.5})])
    now = pa.concat_tables([of_queries(values - 0.1), run("kcca", {IT: 0.5})])
    asked: list[str] = []

    def queries(run_keys: Iterable[str]) -> pa.Table:
        asked.extend(run_keys)
        return reader(now)(asked)

    baseline, _ = baseline_of(before, queries=reader(before))
    compare(now, baseline, Rule(alpha=0.05), queries=queries)
    assert asked == [now.column("run_key")[0].as_py()]


def test_values_that_did_not_change_leave_nothing_to_test(values: np.ndarray) -> None:
    baseline, _ = baseline_of(of_queries(values), queries=reader(of_queries(values)))
    report = compare(of_queries(values), baseline, Rule(alpha=0.05), queries=reader(of_queries(values)))
    assert assessed(report.changes, baseline, [], 0.05, reader(of_queries(values))) == list(report.changes)
    assert [c.kind for c in report.changes] == ["same"]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_senseless_level_is_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="--alpha"):
        Rule(alpha=alpha)
