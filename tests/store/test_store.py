"""The store: whole files or none, and foreign ones left alone."""

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmrbench.core.errors import StoreError, UnknownNameError
from cmrbench.core.runs import Curves, FirstResults, Record, RunResult, RunSpec
from cmrbench.store.lock import RunLock
from cmrbench.store.schema import SCHEMA, from_table, to_table
from cmrbench.store.store import Store, StoreWarning

DOCS = Path(__file__).parent.parent.parent / "docs"


def make_result(key="k1", status="done", value=0.5, **spec):
    asked = {"method": "cca", "dataset": "emoji", "dataset_fingerprint": "f", "feature_set": "c", "seed": 1} | spec
    record = Record(
        query_modality="image",
        gallery_modality="text",
        protocol="all-test",
        protocol_fingerprint="p",
        gallery_codes="function",
        retrieval="cosine",
        metric="mAP@all",
        value=value,
        stderr=0.01,
        chance=0.1,
        n_query=2,
        n_gallery=3,
        flags=("label-reading",),
        per_query=(0.25, 0.75),
        curves=Curves((1.0, 0.5), (1.0, 0.75, 0.5)),
        per_class={"sky": 0.25, "2": 0.75},
        top=(FirstResults(0, (2, 0, 1), (True, False, False)), FirstResults(1, (1, 0, 2), (False, True, True))),
    )
    return RunResult(
        spec=RunSpec(**asked, params=(("reg", 0.1),)),
        run_key=key,
        status=status,
        info={"title": "CCA"},
        resolved={"reg": 0.1, "dim": None},
        created="2026-01-01T00:00:00.000+00:00",
        cause="" if status == "done" else "it broke",
        seconds={"fit": 1.5, "total": 2.0},
        environment={"numpy": "2"},
        warnings=("careful",),
        records=(record,) if status == "done" else (),
    )


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_result_survives_the_round_trip(status):
    result = make_result(status=status)
    back = from_table(to_table(result))
    assert to_table(back).equals(to_table(result))
    assert back.spec == result.spec
    assert [vars(r) for r in back.records] == [vars(r) for r in result.records]


def test_every_column_is_documented():
    assert all(field.metadata.get(b"doc") for field in SCHEMA)
    _, _, told = (DOCS / "running.md").read_text().partition("## What is stored")
    table = told.partition("\n\nWith the")[0]
    assert set(re.findall(r"`(\w+)`", table)) >= set(SCHEMA.names)


def write_of_before(store, result):
    """Put a result into the store as version 2 did."""
    store.prepare()
    earlier = to_table(result).select([name for name in SCHEMA.names if name not in ("curves", "per_class", "top")])
    pq.write_table(earlier, store.runs / f"{result.run_key}.parquet")


def test_files_of_before_are_read_with_nulls_for_what_they_lack(tmp_path):
    store = Store(tmp_path)
    write_of_before(store, make_result("old"))
    store.write(make_result("recent"))
    table = store.table()
    assert table.schema.equals(SCHEMA)
    assert [(r["run_key"], r["value"], r["per_class"], r["top"] is None) for r in table.to_pylist()] == [
        ("old", 0.5, None, True),
        ("recent", 0.5, [("sky", 0.25), ("2", 0.75)], False),
    ]
    assert store.table(["curves", "run_key"]).to_pylist()[0] == {"curves": None, "run_key": "old"}
    (record,) = store.result("old").records
    assert (record.curves, record.per_class, record.top, record.per_query) == (None, None, (), (0.25, 0.75))


def test_columns_come_in_the_order_given_and_unknown_ones_are_refused(tmp_path):
    store = Store(tmp_path)
    store.write(make_result("k"))
    assert store.table(["value", "method"]).column_names == ["value", "method"]
    with pytest.raises(UnknownNameError, match="unknown column 'valeu'; did you mean .*value"):
        store.table(["valeu"])


def test_write_status_table(tmp_path):
    store = Store(tmp_path / "results")
    assert store.status("k1") is None
    store.prepare()
    store.write(make_result("k1"))
    store.write(make_result("k2", status="failed"))
    assert (store.status("k1"), store.status("k2")) == ("done", "failed")
    assert store.table().column("run_key").to_pylist() == ["k1", "k2"]
    assert store.table(["status"]).to_pylist() == [{"status": "done"}, {"status": "failed"}]
    assert sorted(p.name for p in store.runs.iterdir()) == ["k1.parquet", "k2.parquet"]


def test_a_later_result_replaces_the_earlier_one(tmp_path):
    store = Store(tmp_path)
    store.write(make_result("k", status="failed"))
    store.write(make_result("k", value=0.7))
    assert store.table().column("value").to_pylist() == [0.7]


def test_an_empty_store_is_an_empty_table(tmp_path):
    assert Store(tmp_path).table().num_rows == 0
    assert Store(tmp_path).table(["method"]).schema.names == ["method"]


@pytest.mark.parametrize("kind", ["truncated", "foreign", "empty", "text"])
def test_a_file_that_is_not_a_result_is_named_and_left_out(tmp_path, kind):
    store = Store(tmp_path)
    good = store.write(make_result("good"))
    bad = store.runs / "bad.parquet"
    if kind == "truncated":
        bad.write_bytes(good.read_bytes()[:-200])
    elif kind == "foreign":
        pq.write_table(pa.table({"status": ["done"], "y": [2]}), bad)
    else:
        bad.write_bytes(b"" if kind == "empty" else b"hello")
    with pytest.warns(StoreWarning, match=r"bad\.parquet is left out"):
        table = store.table()
    assert table.column("run_key").to_pylist() == ["good"]
    with pytest.warns(StoreWarning):
        assert store.result("bad") is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("dataset", None),
        ("dataset_fingerprint", None),
        ("method", None),
        ("info", None),
        ("direction", None),
        ("query_modality", None),
        ("n_query", None),
        ("flags", None),
        ("flags", ["a", None]),
        ("params", "{"),
        ("params", "[1]"),
    ],
)
@pytest.mark.parametrize("more", [0, 80])
def test_rows_that_no_run_can_have_left_are_left_out_and_named(tmp_path, column, value, more):
    store = Store(tmp_path)
    good = store.write(make_result("good"))
    for i in range(more):  # so many that an index is made of them
        shutil.copy(good, store.runs / f"good{i}.parquet")
    table = to_table(make_result("bad"))
    field = SCHEMA.field(column)
    at = SCHEMA.get_field_index(column)
    store.write_table("bad", table.set_column(at, field, pa.array([value] * table.num_rows, field.type)))
    with pytest.warns(StoreWarning, match=rf"bad\.parquet is left out: {column} "):
        found = store.table(["run_key", column, "metric"])
    assert set(found.column("run_key").to_pylist()) == {"good"}


@pytest.mark.parametrize("kind", ["pipe", "folder", "dead link"])
def test_what_is_no_file_is_no_run(tmp_path, kind):
    store = Store(tmp_path)
    store.write(make_result("good"))
    other = store.runs / "other.parquet"
    {"pipe": os.mkfifo, "folder": os.mkdir, "dead link": lambda path: os.symlink("nowhere", path)}[kind](other)
    assert store.table().column("run_key").to_pylist() == ["good"]
    assert store.table(run_keys=["good", "other"]).column("run_key").to_pylist() == ["good"]


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "results").write_text("x")
    with pytest.raises(StoreError, match=r"results folder .*results cannot be written to"):
        Store(tmp_path / "results").prepare()
    with pytest.raises(StoreError, match=r"results folder .*results cannot be read: Not a directory"):
        Store(tmp_path / "results").table()


def _fill(store):
    for i in range(10):
        store.write(make_result(f"more{i}"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a read-only or small file system needs root")
class TestRealFileSystems:
    @pytest.fixture
    def small(self, tmp_path):
        folder = tmp_path / "small"
        folder.mkdir()
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
        if made.returncode:
            pytest.skip(f"this system does not let tests mount a tmpfs: {made.stderr.decode().strip()}")
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=False)

    def test_a_read_only_folder(self, small):
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        with pytest.raises(StoreError, match="Read-only file system"):
            Store(small).prepare()

    def test_a_full_folder_keeps_what_it_has(self, small):
        store = Store(small)
        store.prepare()
        store.write(make_result("first"))
        (small / "filler").write_bytes(b"\0" * 24_000)
        with pytest.raises(StoreError, match="No space left on device"):
            _fill(store)
        assert store.status("first") == "done"
        assert not list(store.runs.glob(".tmp-*"))
        assert all(status == "done" for status in store.table().column("status").to_pylist())


class TestLock:
    def test_one_holder_at_a_time(self, tmp_path):
        first, second = RunLock(tmp_path / "x.lock"), RunLock(tmp_path / "x.lock")
        assert first.acquire()
        assert not second.acquire()
        first.release()
        assert second.acquire()
        second.release()
        assert not list(tmp_path.iterdir())

    def test_a_lock_on_a_removed_file_guards_nothing(self, tmp_path, monkeypatch):
        first, late, third = (RunLock(tmp_path / "x.lock") for _ in range(3))
        assert first.acquire()
        real = fcntl.flock

        def slow(handle, operation):
            monkeypatch.setattr(fcntl, "flock", real)
            first.release()
            assert third.acquire()
            real(handle, operation)

        monkeypatch.setattr(fcntl, "flock", slow)
        assert not late.acquire()
        assert not late.acquire()
        third.release()
        assert late.acquire()

    def test_a_forked_process_does_not_hold_it_on(self, tmp_path):
        lock = RunLock(tmp_path / "x.lock")
        assert lock.acquire()
        child = subprocess.Popen(["sleep", "60"], pass_fds=(lock._handle,))
        try:
            path = os.readlink(f"/proc/self/fd/{lock._handle}")
            os.link(path, tmp_path / "same")
            lock.release()
            assert RunLock(tmp_path / "same").acquire()
        finally:
            child.kill()
            child.wait()

    def test_without_room_for_locks_runs_go_on(self, tmp_path):
        lock = RunLock(tmp_path / "missing" / "x.lock")
        assert lock.acquire()
        lock.release()


def test_a_file_of_another_layout_is_not_taken_for_a_result(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    pq.write_table(pa.table({"status": ["done"], "of": ["an older version"]}), store.runs / "k.parquet")
    assert store.status("k") is None


def test_some_runs_only(tmp_path):
    store = Store(tmp_path)
    for key in ("k1", "k2", "k3"):
        store.write(make_result(key))
    assert store.table(run_keys=["k3", "k1", "none"]).column("run_key").to_pylist() == ["k1", "k3"]
    assert store.table(["seed"], run_keys=[]).num_rows == 0


def test_files_have_the_mode_that_the_user_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        path = Store(tmp_path).write(make_result())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
