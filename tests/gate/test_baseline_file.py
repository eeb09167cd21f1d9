"""The baseline file: equal bytes for equal results, and plain words for whatever is no baseline."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gate_tables import IT, TI, made, run

from cmrbench.core.errors import UsageError
from cmrbench.gate import (
    QUERY_COLUMNS,
    BaselineError,
    baseline_of,
    compare,
    difference,
    read_any_baseline,
    read_baseline,
    write_baseline,
)
from cmrbench.store.schema import concat


def as_format_1(path: Path) -> None:
    """The file as it was written before it held the engine."""
    table = pq.read_table(path).drop_columns(["per_query"])
    pq.write_table(table.replace_schema_metadata({"cmrbench_baseline": "1"}), path)


def test_baseline_bytes_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    runs = [run("cca"), run("kcca"), run("lcm", spec={"seed": 3}), run("lcm", spec={"bits": 16})]
    later = [run("lcm", spec={"bits": 16}, key="x", created="2027-01-01", seconds=9), *runs[2::-1]]
    for name, rows in (("a", runs), ("b", later)):
        write_baseline(made(*rows), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"], "no temporary file is left"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    baseline = made(run("cca"), run("kcca"))
    size = write_baseline(baseline, tmp_path / "b")
    found = read_baseline(tmp_path / "b")
    assert size == (tmp_path / "b").stat().st_size
    assert found.equals(baseline)
    assert (found.engine, found.format, found.holds_queries) == ("1", "2", False)


def test_values_of_single_queries_are_kept_if_wanted(tmp_path: Path) -> None:
    table = run("cca", per_query=(0.25, 1.0, float("nan")))
    asked = []

    def queries(run_keys: object) -> pa.Table:
        asked.extend(run_keys)
        return table.select(list(QUERY_COLUMNS))

    write_baseline(baseline_of(table, queries=queries)[0], tmp_path / "b")
    found = read_baseline(tmp_path / "b")
    assert found.holds_queries
    assert asked == [table.column("run_key")[0].as_py()]
    values = found.queries([tuple(row[k] for k in QUERY_COLUMNS[:6]) for row in found.rows])
    assert [v[:2] for v in values.values()] == [[0.25, 1.0]] * 2
    assert not made(table).holds_queries


def test_a_failed_run_is_told_when_the_baseline_is_written() -> None:
    baseline, left_out = baseline_of(concat([run(), run("lcm", status="oom", cause="over 8 GiB")]))
    assert len(baseline.rows) == 2
    assert [(row["method"], cause) for row, cause in left_out] == [("lcm", "oom: over 8 GiB")]


def test_nan_is_no_baseline() -> None:
    with pytest.raises(UsageError, match="not a number"):
        made(run(values={IT: float("nan")}))


def test_nothing_is_no_baseline() -> None:
    with pytest.raises(UsageError, match="no finished run"):
        made(run(status="failed"))


def test_missing_baseline(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"there is no baseline .*`cmrbench gate --update") as error:
        read_baseline(tmp_path / "none.parquet")
    assert error.value.exit_code == 2


def test_every_truncated_baseline_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    write_baseline(made(run()), path)
    whole = path.read_bytes()
    for length in sorted({0, 1, 4, 12, len(whole) // 2, len(whole) - 1}):
        path.write_bytes(whole[:length])
        with pytest.raises(BaselineError, match="damaged"):
            read_baseline(path)


def test_a_baseline_with_a_flipped_byte_is_read_or_refused_but_no_surprise(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    write_baseline(made(run()), path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = read_baseline(path)
        except BaselineError:
            continue
        assert len(found.rows) >= 1


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    for foreign in (pa.table({"a": [1]}), run()):
        pq.write_table(foreign, path)
        with pytest.raises(BaselineError, match="not a baseline but another Parquet file"):
            read_baseline(path)
    path.write_text("method,mAP\ncca,0.5\n")
    with pytest.raises(BaselineError, match="damaged"):
        read_baseline(path)
    path.unlink()
    path.mkdir()
    os.mkfifo(tmp_path / "pipe")
    for odd in (path, tmp_path / "pipe"):
        with pytest.raises(BaselineError, match="is no file"):
            read_baseline(odd)


def test_a_marked_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    for mark in ("1", "2", "999"):
        table = pa.table({"a": [1]}).replace_schema_metadata({"cmrbench_baseline": mark})
        pq.write_table(table, tmp_path / "b")
        with pytest.raises(BaselineError, match="--update"):
            read_baseline(tmp_path / "b")


def test_the_old_format_is_refused_with_the_command_but_read_for_what_changes(tmp_path: Path) -> None:
    path = tmp_path / "b"
    write_baseline(made(run()), path)
    as_format_1(path)
    with pytest.raises(BaselineError, match="format 1") as error:
        read_baseline(path, "cmrbench gate --update --baseline b")
    assert "`cmrbench run`" in str(error.value)
    assert "`cmrbench gate --update --baseline b`" in str(error.value)
    old = read_any_baseline(path)
    report = difference(old, made(run(values={IT: 0.5, TI: 0.3}), run("kcca")))
    assert report.counts == {"drop": 1, "missing": 0, "doubtful": 0, "lower": 0, "rise": 0, "same": 1, "new": 2}
    assert not old.equals(made(run()))


def test_a_baseline_with_nan_without_rows_or_with_rows_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.parquet"
    baseline = made(run())
    table = baseline.table

    def spoilt(name: str, values: list) -> pa.Table:
        at = table.column_names.index(name)
        return table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))

    for wrong, words in (
        (spoilt("value", [0.5, float("nan")]), "not a number"),
        (spoilt("value", [0.5, None]), "a row without value"),
        (spoilt("method", ["cca", None]), "a row without method"),
        (pa.concat_tables([table, table]), "two values for one question"),
    ):
        pq.write_table(wrong, path)
        with pytest.raises(BaselineError, match=words):
            read_baseline(path)
    pq.write_table(table.slice(0, 0), path)
    with pytest.raises(BaselineError, match="no row"):
        compare(run(), read_baseline(path))
