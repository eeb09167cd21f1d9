"""The gate must be able to fail: on a drop, on a missing row, on a failed run; and must not fail on anything else."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from gate_tables import IT, TI, gate, kinds, made, record, run

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.runs import SPAN
from cmrbench.gate import Rule, Selection, compare
from cmrbench.store.schema import concat, from_table, to_table


def test_equal_results_pass() -> None:
    report = gate(run(), run())
    assert report.passed
    assert kinds(report) == ["same", "same"]


def test_a_drop_beyond_the_tolerance_fails_in_one_direction_alone() -> None:
    report = gate(run(), run(values={IT: 0.5, TI: 0.394}), 0.005)
    assert not report.passed
    (drop,) = report.of("drop")
    assert drop.asked["direction"] == TI
    assert drop.difference == pytest.approx(-0.006)


def test_a_drop_of_just_the_tolerance_passes() -> None:
    report = gate(run(values={IT: 0.5}), run(values={IT: 0.495}), 0.005)
    assert 0.5 - 0.495 > 0.005, "the case that rounding would get wrong"
    assert report.passed
    assert kinds(report) == ["lower"]


def test_rises_pass() -> None:
    report = gate(run(), run(values={IT: 0.9, TI: 0.41}))
    assert report.passed
    assert kinds(report) == ["rise", "rise"]


def test_a_rise_does_not_make_up_for_a_drop() -> None:
    assert not gate(run(), run(values={IT: 0.9, TI: 0.1})).passed


def test_only_the_run_key_changed() -> None:
    assert gate(run(key="old"), run(key="new", created="2026-02-02T00:00:00+00:00")).passed


def test_time_never_fails() -> None:
    assert gate(run(seconds=1.0), run(seconds=1e6)).passed


def test_a_missing_direction_fails() -> None:
    report = gate(run(), run(values={IT: 0.5}))
    assert not report.passed
    (missing,) = report.of("missing")
    assert missing.asked["direction"] == TI
    assert "no such record" in missing.cause


def test_a_missing_run_fails() -> None:
    report = gate(concat([run("cca"), run("kcca")]), run("cca"))
    assert not report.passed
    assert [c.asked["method"] for c in report.of("missing")] == ["kcca", "kcca"]
    assert "not run" in report.of("missing")[0].cause


def test_no_results_at_all_fail() -> None:
    assert not gate(run(), concat([])).passed


@pytest.mark.parametrize("status", ["failed", "timeout", "oom", "killed", "declined"])
def test_a_failed_run_is_missing_and_says_why(status: str) -> None:
    report = gate(run(), run(status=status, cause="ValueError: singular matrix"))
    assert not report.passed
    assert [c.cause for c in report.of("missing")] == [f"{status}: ValueError: singular matrix"] * 2


def test_an_old_success_does_not_hide_a_new_failure() -> None:
    now = concat([run(key="a"), run(key="b", status="failed", cause="broken", created="2026-03-01T00:00:00+00:00")])
    assert not gate(run(), now).passed
    mended = concat([now, run(key="c", created="2026-04-01T00:00:00+00:00")])
    assert gate(run(), mended).passed


def test_the_newest_value_counts() -> None:
    old, new = run(key="a"), run(values={IT: 0.1, TI: 0.1}, key="b", created="2026-05-01T00:00:00+00:00")
    assert not gate(old, concat([old, new])).passed
    assert not gate(old, concat([new, old])).passed, "the order of the files does not matter"


def test_nan_is_a_drop() -> None:
    report = gate(run(), run(values={IT: float("nan"), TI: 0.4}))
    assert not report.passed
    assert [c.asked["direction"] for c in report.of("drop")] == [IT]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol_fingerprint": "p2"}, "protocol all-test has changed"),
        ({"retrieval": "euclidean"}, "no such record"),
        ({"gallery_codes": "learned"}, "no such record"),
        ({"metric": "mAP@50"}, "no such record"),
        ({"spec": {"seed": 1}}, "not in the results"),
        ({"spec": {"params": (("k", 3),)}}, "not in the results"),
        ({"spec": {"preset": "quick"}}, "not in the results"),
    ],
)
def test_another_question_is_no_answer(changes: dict[str, Any], words: str) -> None:
    report = gate(run(), run(values={IT: 0.99, TI: 0.99}, **changes))
    assert not report.passed
    assert kinds(report) == ["missing", "missing", "new", "new"]
    assert all(words in c.cause for c in report.of("missing"))


def test_new_rows_pass_and_are_told() -> None:
    report = gate(run("cca"), concat([run("cca"), run("kcca")]))
    assert report.passed
    assert [c.asked["method"] for c in report.of("new")] == ["kcca", "kcca"]


def test_filters_take_rows_out_of_both_sides() -> None:
    before = concat([run("cca"), run("kcca")])
    assert gate(before, run("cca"), select=Selection(methods=("cca",))).passed
    assert not gate(before, run("cca"), select=Selection(methods=("kcca",))).passed
    with pytest.raises(UnknownNameError, match="kcca"):
        gate(before, run("cca"), select=Selection(methods=("kcc",)))
    with pytest.raises(UnknownNameError, match="in the baseline"):
        gate(before, before, select=Selection(metrics=("mAP@7",)))


@pytest.mark.parametrize("name", ["wiki", "wiki/clip"])
def test_a_dataset_is_named_with_its_feature_set_or_without(name: str) -> None:
    wiki = {"dataset": "wiki", "dataset_fingerprint": "w1", "feature_set": "clip"}
    before = concat([run(), run(spec=wiki)])
    assert len(made(before, select=Selection(datasets=(name,))).rows) == 2
    assert gate(before, run(spec=wiki), select=Selection(datasets=(name,))).passed
    with pytest.raises(UnknownNameError, match="did you mean wiki"):
        gate(before, before, select=Selection(datasets=("wiki/clp",)))


def test_only_map_is_gated_unless_named() -> None:
    before = concat([run(), run("kcca", metric="P@1")])
    assert len(made(before).rows) == 2
    assert len(made(before, select=Selection(metrics=("P@1",))).rows) == 2
    assert len(made(before, select=Selection(metrics=("P@1", "mAP@all"))).rows) == 4


@pytest.mark.parametrize("metric", ["MedR", "MeanR", "MedR[stable]"])
def test_a_rank_that_rises_fails_and_one_that_falls_passes(metric: str) -> None:
    select = Selection(metrics=(metric,))
    before = made(run(values={IT: 5.0, TI: 7.0}, metric=metric), select=select)
    risen = compare(run(values={IT: 5.75, TI: 7.0}, metric=metric), before, select=select)
    assert not risen.passed
    (drop,) = risen.of("drop")
    assert (drop.difference, drop.gain) == (0.75, -0.75)
    fallen = compare(run(values={IT: 4.0, TI: 7.001}, metric=metric), before, select=select)
    assert fallen.passed
    assert [(c.kind, c.now) for c in fallen.changes] == [("lower", 7.001), ("rise", 4.0)]


def test_the_worst_drop_comes_first_whichever_way_is_worse() -> None:
    runs = [run(m, {IT: v}, metric="MedR") for m, v in (("cca", 5.0), ("kcca", 5.0), ("lcm", 5.0))]
    now = [run(m, {IT: v}, metric="MedR") for m, v in (("cca", 6.0), ("kcca", 9.0), ("lcm", 7.0))]
    report = compare(
        concat(now), made(*runs, select=Selection(metrics=("MedR",))), Rule(0.0), Selection(metrics=("MedR",))
    )
    assert [c.asked["method"] for c in report.of("drop")] == ["kcca", "lcm", "cca"]


def spanned(low: float) -> pa.Table:
    records = [record(IT, 0.5), record(IT, low, metric="mAP@all[pessimistic]", flags=(SPAN,))]
    result = from_table(run())
    return to_table(replace(result, records=tuple(records)))


def test_what_was_measured_for_the_span_is_neither_gated_nor_news_unless_named() -> None:
    assert [row["metric"] for row in made(spanned(0.4)).rows] == ["mAP@all"]
    assert kinds(gate(spanned(0.4), spanned(0.1))) == ["same"]
    assert kinds(gate(run(values={IT: 0.5}), spanned(0.4))) == ["same"], "it is not told as new"
    named = Selection(metrics=("mAP@all[pessimistic]",))
    baseline = made(spanned(0.4), select=named)
    assert not compare(spanned(0.1), baseline, select=named).passed
    assert not compare(spanned(0.1), baseline).passed, "what a baseline holds is compared"


@pytest.mark.parametrize("max_drop", [-0.1, float("nan"), float("inf")])
def test_a_senseless_tolerance_is_refused(max_drop: float) -> None:
    with pytest.raises(UsageError, match="--max-drop"):
        gate(run(), run(), max_drop)


def test_random_changes_are_judged_as_by_hand() -> None:
    rng = random.Random(5)
    for _ in range(200):
        methods = [f"m{i}" for i in range(4)]
        before = {m: {d: rng.random() for d in (IT, TI)} for m in methods}
        now = {m: {d: v + rng.choice([0, 0, 0.01, -0.004, -0.006]) for d, v in before[m].items()} for m in methods}
        gone = {m for m in methods if rng.random() < 0.1}
        expected = not gone and all(now[m][d] >= before[m][d] - 0.005 for m in methods for d in (IT, TI))
        rows = [run(m, now[m]) for m in methods if m not in gone]
        rng.shuffle(rows)
        assert gate(concat([run(m, before[m]) for m in methods]), concat(rows), 0.005).passed == expected
