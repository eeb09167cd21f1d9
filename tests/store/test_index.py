"""The index over run files: what it answers is what the files hold, whatever happens to either."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from test_store import make_result, write_of_before

from cmrbench.core.errors import UsageError
from cmrbench.core.runs import FirstResults
from cmrbench.store import index, reading, rows
from cmrbench.store.files import read_run
from cmrbench.store.index import NAME
from cmrbench.store.rows import LIGHT
from cmrbench.store.schema import HEAVY, SCHEMA
from cmrbench.store.store import Store, StoreWarning


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Two files are many, and read one after another by two threads."""
    monkeypatch.setattr(index, "LEAST", 2)
    monkeypatch.setattr(rows, "AT_A_TIME", 2)
    monkeypatch.setattr(rows, "THREADS", 2)


def several(key, value=0.5):
    """A run of three records with different heavy columns."""
    result = make_result(key, value=value)
    (record,) = result.records
    others = [
        replace(
            record, metric=metric, value=value - i / 10, per_query=(value, i), top=(FirstResults(i, (i,), (True,)),)
        )
        for i, metric in enumerate(("mAP@50", "P@5"), start=1)
    ]
    return replace(result, records=(record, *others))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    for i in range(7):
        store.write(several(f"k{i}", value=i / 10) if i % 3 else make_result(f"k{i}", status="failed"))
    return store


def straight(store, columns=None):
    """All rows by reading every file."""
    tables = [read_run(path, columns) for path in store.files()]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


@pytest.fixture
def opened(monkeypatch):
    """Names of the run files that are read as Parquet."""
    names = []

    def spied(function):
        return lambda path, columns: names.append(path.name) or function(path, columns)

    for room, name in ((rows, "read_held"), (rows, "values_in"), (reading, "read_run")):
        monkeypatch.setattr(room, name, spied(getattr(room, name)))
    return names


def test_light_columns_are_read_from_files_once(store, opened):
    for _ in range(3):
        for columns in (["value", "run_key"], ["info"], list(LIGHT)):
            assert store.table(columns).equals(straight(store, columns))
    assert sorted(opened) == [p.name for p in store.files()], "each once, for the index"
    assert NAME not in [p.name for p in store.files()]


def test_every_column_is_light_or_heavy():
    assert sorted((*LIGHT, *HEAVY)) == sorted(SCHEMA.names)


def test_heavy_columns_come_from_the_files_of_the_rows_asked_for(store, opened):
    assert store.table().equals(straight(store))
    where = (pc.field("metric") == "mAP@50") & (pc.field("value") < 0.35)
    expected = straight(store).filter(where).select(["per_query", "value", "top"])
    opened.clear()
    found = store.table(["per_query", "value", "top"], where=where)
    assert found.equals(expected)
    assert found.num_rows == 3
    assert sorted(opened) == ["k1.parquet", "k2.parquet", "k4.parquet"]


def test_heavy_columns_alone(store):
    assert store.table(["per_query"]).equals(straight(store, ["per_query"]))
    assert store.table(["per_query"], where=pc.field("metric") == "none").num_rows == 0


@pytest.mark.parametrize("keys", [["k1"], ["k5", "k1", "absent"], ["k0", "k1", "k3", "k6"]])
def test_rows_of_some_runs(store, keys):
    expected = straight(store).filter(pc.is_in(pc.field("run_key"), pa.array(keys)))
    for columns in (["value"], ["value", "per_query"], None):
        assert store.table(columns, run_keys=keys).equals(expected.select(columns or SCHEMA.names))


def test_rows_are_filtered_by_columns_that_are_not_read(store):
    where = pc.field("metric").isin(["P@5"]) & (pc.field("status") == "done")
    for columns in (["run_key"], ["run_key", "per_class"]):
        assert store.table(columns, where=where).column("run_key").to_pylist() == ["k1", "k2", "k4", "k5"]
    for where in (pc.field("per_query") == 1, pc.field("valeu") > 0, pc.field("value") > "high"):
        with pytest.raises(UsageError, match=r"rows cannot be filtered by .*the columns are spec_key, run_key"):
            store.table(["value"], where=where)


@pytest.mark.parametrize("many", [False, True])
def test_files_that_are_new_changed_or_gone(store, opened, many):
    store.table(["value"])
    before = (store.runs / NAME).read_bytes()
    opened.clear()
    store.write(several("k1", value=0.9))
    expected = {"k1.parquet"}
    if many:
        store.write(several("a"))
        store.write(several("k33"))
        (store.runs / "k2.parquet").unlink()
        expected |= {"a.parquet", "k33.parquet"}
    assert store.table(["value", "run_key"]).equals(straight(store, ["value", "run_key"]))
    assert set(opened) == expected
    assert ((store.runs / NAME).read_bytes() != before) == many, "a few files are rather read again"
    opened.clear()
    assert store.table(list(LIGHT)).equals(straight(store, list(LIGHT)))
    assert set(opened) == (set() if many else expected)
    assert store.table().equals(straight(store))


def test_a_file_of_the_same_size_and_time_is_told_by_its_inode(store):
    store.table(["info"])
    path = store.runs / "k1.parquet"
    status = path.stat()
    store.write(replace(several("k1", value=0.1), info={"title": "KCA"}))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert store.table(["info"]).equals(straight(store, ["info"]))


def test_an_empty_folder_again(store):
    store.table(["value"])
    for path in store.files():
        path.unlink()
    assert store.table(["value"]).num_rows == 0
    assert store.table().equals(SCHEMA.empty_table())


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "foreign", "version", "counts", "folder"])
def test_an_index_that_is_damaged_or_of_another_kind_is_made_again(store, opened, kind):
    store.table(["value"])
    path = store.runs / NAME
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
    elif kind in ("empty", "text"):
        path.write_bytes(b"" if kind == "empty" else b"hello")
    elif kind == "foreign":
        pq.write_table(pa.table({"value": [1.0]}), path)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        table = pq.read_table(path)
        told = table.schema.metadata[b"cmrbench_index"]
        told = told.replace(b'"version": "', b'"version": "0') if kind == "version" else told.replace(b" 3,", b" 2,")
        assert told != table.schema.metadata[b"cmrbench_index"]
        pq.write_table(table.replace_schema_metadata({b"cmrbench_index": told}), path)
    opened.clear()
    assert store.table(["value"]).equals(straight(store, ["value"]))
    assert len(opened) == 7
    if kind != "folder":
        opened.clear()
        assert store.table(["value"]).equals(straight(store, ["value"]))
        assert not opened


def test_a_folder_that_cannot_be_written_to_works_without(store, monkeypatch):
    def refuse(*args, **options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(index, "write_parquet", refuse)
    for _ in range(2):
        assert store.table(["value"]).equals(straight(store, ["value"]))
    assert not (store.runs / NAME).exists()


def test_a_bad_file_is_named_every_time_and_taken_once_it_is_whole(store):
    bad = store.runs / "k2.parquet"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-200])
    for columns in (["run_key"], ["run_key"], ["run_key", "per_query"]):
        with pytest.warns(StoreWarning, match=r"k2\.parquet is left out: .*; delete it"):
            table = store.table(columns)
        assert "k2" not in table.column("run_key").to_pylist()
    bad.write_bytes(whole)
    assert store.table(["value"]).equals(straight(store, ["value"]))


def test_a_file_that_changes_while_it_is_read_is_read_as_a_whole(store, monkeypatch):
    store.table(["value"])

    def late(path, columns):
        if "per_query" in columns and path.name == "k1.parquet" and not changed:
            changed.append(store.write(replace(several("k1", value=0.9), records=several("k1", value=0.9).records[:2])))
        return read_run(path, columns)

    changed = []
    monkeypatch.setattr(reading, "read_run", late)
    found = store.table(["value", "per_query", "curves"])
    assert changed
    assert found.equals(straight(store, ["value", "per_query", "curves"]))


def test_values_of_queries_are_read_by_their_place(store, opened):
    store.table(["value"])
    opened.clear()
    columns = ["per_query", "run_key"]
    assert store.table(columns).equals(straight(store, columns))
    some = (pc.field("metric") == "mAP@50") | (pc.field("metric") == "mAP@all")
    assert store.table(columns, where=some).equals(straight(store).filter(some).select(columns))
    assert store.table(columns, run_keys=["k2", "k5", "k4"]).num_rows == 9
    assert opened == [], "no file was read as Parquet"


@pytest.mark.parametrize("change", ["compressed", "replaced", "gone"])
def test_values_that_are_not_where_they_were_are_read_by_name(store, monkeypatch, change):
    if change == "compressed":
        for path in store.files():
            pq.write_table(pq.read_table(path), path, compression="zstd", use_dictionary=True)
    store.table(["value"])
    original = reading._heavy_columns

    def late(*args):
        if change == "replaced":
            store.write(make_result("k1", value=0.9))  # fewer rows than the index knows
        elif change == "gone":
            (store.runs / "k1.parquet").unlink()
        return original(*args)

    monkeypatch.setattr(reading, "_heavy_columns", late)
    assert store.table(["per_query"]).equals(straight(store, ["per_query"]))


def test_a_run_in_a_file_of_another_name_is_found_by_its_key(store):
    (store.runs / "k1.parquet").rename(store.runs / "merged.parquet")
    (store.runs / "other.parquet").write_bytes((store.runs / "k2.parquet").read_bytes())
    for columns in (["value"], ["value", "per_query"]):
        assert store.table(columns, run_keys=["k1"]).equals(read_run(store.runs / "merged.parquet", columns))
    assert store.files_of(["k1", "k2", "none"]) == {
        "k1": ["merged.parquet"],
        "k2": ["k2.parquet", "other.parquet"],
        "none": [],
    }


def test_files_of_before_have_nulls_in_the_index(store):
    for i in range(3):
        write_of_before(store, several(f"old{i}"))
    for _ in range(2):
        assert store.table().equals(straight(store))
    assert store.table(["top"], run_keys=["old0", "old1", "old2"]).column("top").null_count == 9


READER = """
import sys
from cmrbench.store import index, reading, rows
from cmrbench.store.store import Store
index.LEAST = 2
store = Store(sys.argv[1])
for _ in range(15):
    table = store.table(["run_key", "value"])
    rows = dict(zip(table.column("run_key").to_pylist(), table.column("value").to_pylist()))
    assert all(f"k{i}" in rows for i in range(7)), rows
    assert table.num_rows == 15 + 3 * sum(key.startswith("more") for key in rows), rows
"""


def test_two_readers_and_a_writer_at_once(store):
    readers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", READER, str(store.folder)], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for i in range(20):
        store.write(several(f"more{i}"))
    for reader in readers:
        _, said = reader.communicate(timeout=60)
        assert reader.returncode == 0, said.decode()
    assert store.table().equals(straight(store))
    assert not list(Path(store.runs).glob(".tmp-*"))
