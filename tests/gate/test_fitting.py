"""Results and a baseline of different engines or different data are not compared."""

from __future__ import annotations

import pytest
from gate_tables import IT, LATER, gate, kinds, made, run

from cmrbench.core.errors import UsageError
from cmrbench.core.runs import ENGINE
from cmrbench.gate import BaselineError, baseline_of, compare
from cmrbench.store.schema import concat


def test_another_engine_is_refused_with_the_command_that_refreshes() -> None:
    told = r"the baseline, written by cmrbench \S+, was measured by version 0 of the engine, the results by version 1"
    with pytest.raises(BaselineError, match=told) as error:
        gate(run(engine="0"), run(engine=ENGINE))
    assert "`cmrbench gate --update" in str(error.value)
    assert error.value.exit_code == 2


def test_results_of_an_engine_that_is_not_installed_are_to_be_made_again() -> None:
    with pytest.raises(BaselineError, match=f"while version {ENGINE} is installed: make the results again"):
        gate(run(engine=ENGINE), run(engine="0"))


def test_results_that_do_not_name_their_engine_are_refused() -> None:
    with pytest.raises(BaselineError, match="do not say which version"):
        gate(run(), run(engine=None))
    with pytest.raises(UsageError, match="do not say which version"):
        made(run(engine=None))


def test_the_newest_engine_in_the_results_is_judged_and_older_runs_are_missing() -> None:
    before = concat([run("cca"), run("kcca")])
    report = gate(before, concat([run("cca", engine="0"), run("kcca", created=LATER)]))
    assert kinds(report) == ["missing", "missing", "same", "same"]
    assert {c.cause for c in report.of("missing")} == {
        "measured by version 0 of the engine, not by version 1: run it again"
    }
    with pytest.raises(BaselineError, match="engine"):
        gate(before, concat([run("cca"), run("kcca", engine="2", created=LATER)]))


def test_runs_that_the_baseline_does_not_ask_for_decide_on_no_engine() -> None:
    now = concat([run("cca"), run("kcca", engine="0", created=LATER)])
    report = gate(run("cca"), now)
    assert kinds(report) == ["same", "same"], "what another engine measured is no news either"


def test_an_old_result_of_another_engine_does_not_matter_once_it_was_made_again() -> None:
    now = concat([run(engine="0", values={IT: 0.1}), run(engine="1", key="b", created=LATER)])
    assert gate(run(), now).passed


def test_a_baseline_holds_one_engine_and_says_what_it_left_out() -> None:
    baseline, left_out = baseline_of(concat([run("cca", engine="0"), run("kcca", created=LATER)]))
    assert {row["method"] for row in baseline.rows} == {"kcca"}
    assert [(row["method"], cause) for row, cause in left_out] == [
        ("cca", "measured by version 0 of the engine, not by version 1: run it again")
    ]


def test_a_dataset_that_has_changed_throughout_is_refused() -> None:
    with pytest.raises(
        BaselineError, match=r"dataset emoji has changed .*\(fingerprint d1, in the results d2\)"
    ) as error:
        gate(run(), run(spec={"dataset_fingerprint": "d2"}))
    assert "`cmrbench gate --update" in str(error.value)


def test_the_feature_set_is_named() -> None:
    before, now = (run(spec={"feature_set": "clip", "dataset_fingerprint": d}) for d in ("d1", "d2"))
    with pytest.raises(BaselineError, match="dataset emoji/clip has changed"):
        gate(before, now)


def test_a_dataset_that_has_changed_for_some_runs_makes_them_missing() -> None:
    before = concat([run("cca"), run("kcca")])
    report = gate(before, concat([run("cca"), run("kcca", spec={"dataset_fingerprint": "d2"})]))
    assert kinds(report) == ["missing", "missing", "new", "new", "same", "same"]
    assert {c.cause for c in report.of("missing")} == {"dataset emoji has changed, so the values cannot be compared"}


def test_a_dataset_that_was_not_run_is_missing_and_not_changed() -> None:
    before = concat([run(), run(spec={"dataset": "wiki", "dataset_fingerprint": "w1"})])
    report = gate(before, run())
    assert [c.asked["dataset"] for c in report.of("missing")] == ["wiki", "wiki"]


def test_a_run_that_failed_before_it_could_name_its_engine_is_missing_with_its_cause() -> None:
    report = compare(run(status="killed", cause="signal 9", engine=None), made(run()))
    assert [c.cause for c in report.changes] == ["killed: signal 9"] * 2


def test_results_that_answer_nothing_are_judged_by_their_engine_all_the_same() -> None:
    with pytest.raises(BaselineError, match="version 0 of the engine"):
        gate(run("cca", engine="0"), run("kcca"))
