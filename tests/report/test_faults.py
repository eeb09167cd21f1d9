"""One run with two values, and results of several versions of the engine: said in clear words, never averaged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from report_tables import IT, TI, record, run

from cmrbench.cli.report import read_results
from cmrbench.report import leaderboards
from cmrbench.report.faults import COLUMNS, ResultsWarning, determinism_faults, of_one_engine, told
from cmrbench.store.schema import SCHEMA, concat
from cmrbench.store.store import Store


def of_engine(table: pa.Table, engine: str | None) -> pa.Table:
    """The rows as another version of the engine would have left them."""
    pairs = [("python", "3"), *([("engine", engine)] if engine is not None else [])]
    column = pa.array([pairs] * table.num_rows, SCHEMA.field("environment").type)
    return table.set_column(table.column_names.index("environment"), SCHEMA.field("environment"), column)


def measured(method: str, value: float, engine: str | None = "1", **more: Any) -> pa.Table:
    return of_engine(run(method, {IT: value, TI: value / 2}, **more), engine)


def cells(table: pa.Table) -> dict[str, list[tuple[float | None, int]]]:
    (board,) = leaderboards(table)
    return {row.method: [(cell.mean, cell.seeds) for cell in row.cells] for row in board.rows if row.method}


def test_copies_that_agree_count_once_and_are_no_fault() -> None:
    one = measured("cca", 0.5, key="a")
    nothing = run("lcm", [record(IT, float("nan")), record(TI, 0.1)], key="b")
    table = concat([one, nothing, one, nothing, measured("cca", 0.7, seed=1, key="c")])
    assert determinism_faults(table) == []
    assert cells(table)["cca"][0] == (pytest.approx(0.6), 2)


def test_one_run_with_two_values_is_a_fault() -> None:
    table = concat([measured("cca", 0.5, key="a"), measured("lcm", 0.4, key="b"), measured("cca", 0.25, key="a")])
    (fault,) = determinism_faults(table)
    assert (fault.run, fault.direction, fault.metric) == ("cca on emoji, seed 0", IT, "mAP@all")
    assert fault.run_key == table.column("run_key")[0].as_py()
    assert (fault.values, fault.records) == ((0.5, 0.25), 2)
    assert cells(table)["cca"][0] == (0.5, 1), "one of them is shown, and they are not averaged"


def test_a_value_against_none_is_a_fault_too() -> None:
    table = concat([measured("cca", 0.5, key="a"), measured("cca", float("nan"), key="a")])
    assert len(determinism_faults(table)) == 1


def test_other_runs_of_the_same_question_are_no_fault() -> None:
    later = measured("cca", 0.7, key="b", created="2027")
    assert determinism_faults(concat([measured("cca", 0.5, key="a"), later])) == []
    assert determinism_faults(SCHEMA.empty_table()) == []


def test_the_report_names_run_metric_values_and_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shutil.copy(store.write_table("a", measured("cca", 0.5, key="a")), store.runs / "copy.parquet")
    assert read_results(tmp_path).num_rows == 4, "without a warning"
    store.write_table("merged", measured("cca", 0.25, key="a"))
    words = (
        r"determinism fault: cca on emoji, seed 0 has different values in different files: mAP@all \(image->text, "
        r"all-test\) is 0\.500000 and 0\.500000 and 0\.250000, and 1 more of its numbers differ, "
        r"in a\.parquet and copy\.parquet and merged\.parquet\. .*delete the wrong file"
    )
    with pytest.warns(ResultsWarning, match=words):
        read_results(tmp_path)


def test_tables_mark_the_rows_of_a_fault(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_table("a", measured("cca", 0.5, key="a"))
    store.write_table("merged", measured("cca", 0.25, key="a"))
    store.write_table("b", measured("kcca", 0.75, key="b"))
    with pytest.warns(ResultsWarning):
        [board] = leaderboards(read_results(tmp_path))
    assert {row.method: "‼" in row.marks for row in board.rows if row.method} == {"cca": True, "kcca": False}
    assert [note.text for note in board.notes if note.mark == "‼"] == [
        "determinism fault: one of its runs is there several times, with different values"
    ]


def test_tables_mark_the_rows_of_an_older_engine(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for method, engine in (("cca", "1"), ("kcca", "2"), ("lcm", None)):
        store.write_table(method, measured(method, 0.5, engine, key=method))
    with pytest.warns(ResultsWarning, match="several versions"):
        [board] = leaderboards(read_results(tmp_path))
    marked = {row.method for row in board.rows if "◁" in row.marks}
    assert marked == {"cca", "lcm"}
    assert "older version" in {note.mark: note.text for note in board.notes}["◁"]


def test_texts_of_faults_are_one_plain_line() -> None:
    one, other = (run("cca", {IT: value}, key="a", spec={"dataset": "wi\nki\x1b[31m"}) for value in (0.5, 0.6))
    faults = determinism_faults(concat([one, other]))
    (line,) = told(faults, of_one_engine(one)[1], lambda keys: {key: ["x\ny", "z"] for key in keys})
    assert "\n" not in line
    assert "\x1b" not in line
    assert "x y and z" in line


def test_seeds_of_an_older_engine_are_left_out_and_named(tmp_path: Path) -> None:
    tables = [
        measured("cca", 0.5, "1", key="a", seed=0),
        measured("cca", 0.7, "2", key="b", seed=1),
        measured("cca", 0.9, None, key="c", seed=2),
        measured("lcm", 0.4, "1", key="d"),
    ]
    kept, engines = of_one_engine(concat(tables))
    assert cells(kept) == {
        "cca": [(0.7, 1), (0.35, 1), (pytest.approx(0.525), 1)],
        "lcm": [(0.4, 1), (0.2, 1), (pytest.approx(0.3), 1)],
    }
    assert set(engines.left_out) == {"cca on emoji, seed 0", "cca on emoji, seed 2"}
    store = Store(tmp_path)
    for i, table in enumerate(tables):
        store.write_table(f"run{i}", table)
    with pytest.warns(ResultsWarning) as caught:
        assert read_results(tmp_path).num_rows == kept.num_rows
    versions, left_out = (str(w.message) for w in caught)
    assert "the results come from several versions of the evaluation engine" in versions
    assert "Version 2 measured 1 run; version 1: lcm on emoji, seed 0" in versions
    assert "carry out the older runs again with the same `cmrbench run`" in versions
    assert left_out.startswith("2 runs left out, as other seeds of the same setting were measured by a newer version")
    assert "cca on emoji, seed 2" in left_out


def test_versions_are_numbers_and_an_unknown_one_is_the_oldest() -> None:
    table = concat([measured("cca", 0.5, e, key=f"k{e}", seed=i) for i, e in enumerate(["9", "10", None])])
    kept, engines = of_one_engine(table)
    assert cells(kept)["cca"][0] == (0.5, 1)
    assert list(engines.runs) == ["10", "9", ""]
    assert kept.column("run_key").unique().to_pylist()[0].endswith("k10")


@pytest.mark.parametrize("engine", ["1", None])
def test_results_of_one_version_need_no_words(engine: str | None) -> None:
    table = concat([measured("cca", 0.5, engine, key="a"), measured("cca", 0.7, engine, key="b", seed=1)])
    kept, engines = of_one_engine(table)
    assert kept.equals(table)
    assert told([], engines) == []


def test_what_was_carried_out_again_does_not_count_as_another_version() -> None:
    table = concat([measured("cca", 0.5, "1", key="a"), measured("cca", 0.7, "2", key="b", created="2027")])
    kept, engines = of_one_engine(table)
    assert told([], engines) == []
    assert cells(kept)["cca"][0] == (0.7, 1)


def test_unfinished_runs_of_an_older_version_stay() -> None:
    failed = of_engine(run("cca", status="failed", cause="it broke", seed=1, key="b"), "1")
    kept, engines = of_one_engine(concat([measured("cca", 0.5, "2", key="a"), failed]))
    assert kept.num_rows == 3
    assert told([], engines) == []


def test_the_columns_are_those_of_results() -> None:
    assert set(COLUMNS) <= set(SCHEMA.names)
