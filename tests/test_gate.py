"""The gate must be able to fail: on a drop, on a missing row, on a failed run; and must not fail on anything else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from cmrbench.cli.gate import gate_command
from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.runs import SPAN, Record, RunResult, RunSpec
from cmrbench.gate import BaselineError, GateReport, Selection, baseline_of, compare, read_baseline, write_baseline
from cmrbench.store.schema import concat, from_table, to_table
from cmrbench.store.store import Store

IT, TI = "image->text", "text->image"


def record(direction: str, value: float, **changes: Any) -> Record:
    query, gallery = direction.split("->")
    fields: dict[str, Any] = {
        "query_modality": query,
        "gallery_modality": gallery,
        "protocol": "all-test",
        "protocol_fingerprint": "p1",
        "gallery_codes": "function",
        "retrieval": "cosine",
        "metric": "mAP@all",
        "value": value,
        "stderr": 0.01,
        "chance": 0.1,
        "n_query": 10,
        "n_gallery": 10,
        "per_query": (value,) * 10,
    }
    return Record(**fields | changes)


def run(
    method: str = "cca",
    values: dict[str, float] | None = None,
    *,
    status: str = "done",
    cause: str = "",
    created: str = "2026-01-01T00:00:00+00:00",
    key: str = "",
    seconds: float = 1.0,
    spec: dict[str, Any] | None = None,
    **changes: Any,
) -> pa.Table:
    asked: dict[str, Any] = {
        "method": method,
        "dataset": "emoji",
        "dataset_fingerprint": "d1",
        "feature_set": "default",
    }
    what = RunSpec(**asked | (spec or {}))
    values = {IT: 0.5, TI: 0.4} if values is None else values
    return to_table(
        RunResult(
            spec=what,
            run_key=what.spec_key + key,
            status=status,
            info={"title": method, "category": "unsupervised_real", "output": "real"},
            resolved={},
            created=created,
            cause=cause,
            seconds={"fit": seconds},
            records=tuple(record(d, v, **changes) for d, v in values.items()) if status == "done" else (),
        )
    )


def gate(before: pa.Table, now: pa.Table, max_drop: float = 0.005, select: Selection | None = None) -> GateReport:
    return compare(now, baseline_of(before)[0], max_drop, select)


def kinds(report: GateReport) -> list[str]:
    return [c.kind for c in report.changes]


def test_equal_results_pass() -> None:
    report = gate(run(), run())
    assert report.passed
    assert kinds(report) == ["same", "same"]


def test_a_drop_beyond_the_tolerance_fails_in_one_direction_alone() -> None:
    report = gate(run(), run(values={IT: 0.5, TI: 0.394}))
    assert not report.passed
    (drop,) = report.of("drop")
    assert drop.asked["direction"] == TI
    assert drop.difference == pytest.approx(-0.006)


def test_a_drop_of_just_the_tolerance_passes() -> None:
    report = gate(run(values={IT: 0.5}), run(values={IT: 0.495}))
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
        ({"spec": {"dataset_fingerprint": "d2"}}, "dataset emoji has changed"),
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


def test_only_map_is_gated_unless_named() -> None:
    before = concat([run(), run("kcca", metric="P@1")])
    assert baseline_of(before)[0].num_rows == 2
    assert baseline_of(before, Selection(metrics=("P@1",)))[0].num_rows == 2
    assert baseline_of(before, Selection(metrics=("P@1", "mAP@all")))[0].num_rows == 4


@pytest.mark.parametrize("metric", ["MedR", "MeanR", "MedR[stable]"])
def test_a_rank_that_rises_fails_and_one_that_falls_passes(metric: str) -> None:
    select = Selection(metrics=(metric,))
    before = baseline_of(run(values={IT: 5.0, TI: 7.0}, metric=metric), select)[0]
    risen = compare(run(values={IT: 5.5, TI: 7.0}, metric=metric), before, select=select)
    assert not risen.passed
    (drop,) = risen.of("drop")
    assert (drop.difference, drop.gain) == (0.5, -0.5)
    fallen = compare(run(values={IT: 4.0, TI: 7.001}, metric=metric), before, select=select)
    assert fallen.passed
    assert [(c.kind, c.now) for c in fallen.changes] == [("lower", 7.001), ("rise", 4.0)]


def test_the_worst_drop_comes_first_whichever_way_is_worse() -> None:
    runs = [run(m, {IT: v}, metric="MedR") for m, v in (("cca", 5.0), ("kcca", 5.0), ("lcm", 5.0))]
    now = [run(m, {IT: v}, metric="MedR") for m, v in (("cca", 6.0), ("kcca", 9.0), ("lcm", 7.0))]
    report = compare(
        concat(now), baseline_of(concat(runs), Selection(metrics=("MedR",)))[0], 0.0, Selection(metrics=("MedR",))
    )
    assert [c.asked["method"] for c in report.of("drop")] == ["kcca", "lcm", "cca"]


def spanned(low: float) -> pa.Table:
    records = [record(IT, 0.5), record(IT, low, metric="mAP@all[pessimistic]", flags=(SPAN,))]
    result = from_table(run())
    return to_table(replace(result, records=tuple(records)))


def test_what_was_measured_for_the_span_is_neither_gated_nor_news_unless_named() -> None:
    assert baseline_of(spanned(0.4))[0].column("metric").to_pylist() == ["mAP@all"]
    assert kinds(gate(spanned(0.4), spanned(0.1))) == ["same"]
    assert kinds(gate(run(values={IT: 0.5}), spanned(0.4))) == ["same"], "it is not told as new"
    named = Selection(metrics=("mAP@all[pessimistic]",))
    baseline = baseline_of(spanned(0.4), named)[0]
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
        assert gate(concat([run(m, before[m]) for m in methods]), concat(rows)).passed == expected


# The file


def test_baseline_bytes_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    runs = [run("cca"), run("kcca"), run("lcm", spec={"seed": 3}), run("lcm", spec={"bits": 16})]
    later = [run("lcm", spec={"bits": 16}, key="x", created="2027-01-01", seconds=9), *runs[2::-1]]
    for name, rows in (("a", runs), ("b", later)):
        write_baseline(baseline_of(concat(rows))[0], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "per_query" not in read_baseline(tmp_path / "a").column_names
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"], "no temporary file is left"


def test_a_failed_run_is_told_when_the_baseline_is_written() -> None:
    table, update = baseline_of(concat([run(), run("lcm", status="oom", cause="over 8 GiB")]))
    assert table.num_rows == update.rows == 2
    assert [(row["method"], cause) for row, cause in update.left_out] == [("lcm", "oom: over 8 GiB")]


def test_nan_is_no_baseline() -> None:
    with pytest.raises(UsageError, match="not a number"):
        baseline_of(run(values={IT: float("nan")}))


def test_nothing_is_no_baseline() -> None:
    with pytest.raises(UsageError, match="no finished run"):
        baseline_of(run(status="failed"))


def test_missing_baseline(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="there is no baseline") as error:
        read_baseline(tmp_path / "none.parquet")
    assert error.value.exit_code == 2


def test_every_truncated_baseline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    write_baseline(baseline_of(run())[0], path)
    whole = path.read_bytes()
    for length in sorted({0, 1, 4, 12, len(whole) // 2, len(whole) - 1}):
        path.write_bytes(whole[:length])
        with pytest.raises(BaselineError, match="damaged"):
            read_baseline(path)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    for foreign in (pa.table({"a": [1]}), run()):
        pq.write_table(foreign, path)
        with pytest.raises(BaselineError, match="not a baseline"):
            read_baseline(path)
    path.write_text("method,mAP\ncca,0.5\n")
    with pytest.raises(BaselineError, match="damaged"):
        read_baseline(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(BaselineError):
        read_baseline(path)


def test_a_baseline_with_nan_or_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    made = baseline_of(run())[0]
    spoilt = made.set_column(
        made.column_names.index("value"), made.schema.field("value"), pa.array([0.5, float("nan")])
    )
    write_baseline(spoilt, path)
    with pytest.raises(BaselineError, match="not a number"):
        read_baseline(path)
    write_baseline(made.slice(0, 0), path)
    with pytest.raises(BaselineError, match="no row"):
        compare(run(), read_baseline(path))


# The command


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(gate_command)
    return made


def store(folder: Path, *tables: pa.Table) -> Path:
    for table in tables:
        Store(folder).write(from_table(table))
    return folder


def call(app: typer.Typer, folder: Path, *arguments: str) -> Any:
    where = ["--results", str(folder), "--baseline", str(folder / "baseline.parquet")]
    return CliRunner().invoke(app, [*where, *arguments])


def test_command_update_then_pass_then_fail(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"), run("kcca"), run("lcm", status="timeout", cause="after 60 s"))
    updated = call(app, folder, "--update", "--methods", "cca,lcm")
    assert updated.exit_code == 0
    assert "2 rows" in updated.output
    assert call(app, folder).exit_code == 0
    store(folder, run("cca", {IT: 0.4, TI: 0.4}, key="b", created="2026-06-01T00:00:00+00:00"))
    failed = call(app, folder)
    assert failed.exit_code == 1
    assert "gate failed" in failed.output
    assert "1 dropped" in failed.output
    assert call(app, folder, "--max-drop", "0.2").exit_code == 0


def test_command_json(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    store(folder, run("cca", status="failed", cause="x\x1b[31m", key="b", created="2026-06-01T00:00:00+00:00"))
    result = call(app, folder, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["passed"] is False
    assert [c["kind"] for c in told["changes"]] == ["missing", "missing"]
    assert {c["direction"] for c in told["changes"]} == {IT, TI}
    assert "\x1b" not in call(app, folder).output


def test_command_bad_input(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    missing = call(app, folder)
    assert isinstance(missing.exception, BaselineError)
    call(app, folder, "--update")
    (folder / "baseline.parquet").write_bytes(b"PAR1")
    assert isinstance(call(app, folder).exception, BaselineError)
    assert isinstance(call(app, folder, "--update", "--methods", "ccaa").exception, UnknownNameError)


def test_a_refused_update_leaves_the_old_baseline(app: typer.Typer, tmp_path: Path) -> None:
    folder = store(tmp_path, run("cca"))
    call(app, folder, "--update")
    before = (folder / "baseline.parquet").read_bytes()
    store(folder, run("cca", {IT: float("nan"), TI: 0.4}, key="b", created="2026-06-01T00:00:00+00:00"))
    assert call(app, folder, "--update").exit_code != 0
    assert (folder / "baseline.parquet").read_bytes() == before
