"""Leaderboards that follow a running benchmark."""

import io

import pytest
import typer
from report_tables import IT, TI, run
from rich.console import Console
from typer.testing import CliRunner

from cmrbench.cli.report import report_command
from cmrbench.core.errors import UsageError
from cmrbench.report import COLUMNS, leaderboards
from cmrbench.report.watch import Follower, follow
from cmrbench.store.schema import from_table
from cmrbench.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture
def follower(store):
    return Follower(store, COLUMNS, leaderboards)


def put(store, *tables):
    for one in tables:
        store.write(from_table(one))


def shown(follower, width=100):
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(follower.screen(width))
    return out.getvalue()


def test_a_folder_that_does_not_exist_yet_is_waited_for(store, follower):
    assert follower.look()
    assert follower.status == "0 runs done"
    put(store, run("cca", {IT: 0.5, TI: 0.4}))
    assert follower.look()
    assert follower.status == "1 run done"
    assert "0.500" in shown(follower)


def test_it_reads_again_only_what_has_changed(store, follower, monkeypatch):
    put(store, run("cca", {IT: 0.5}))
    reads = []
    read = store.table
    monkeypatch.setattr(store, "table", lambda *a, **k: reads.append(1) or read(*a, **k))
    assert [follower.look(), follower.look()] == [True, False]
    assert len(reads) == 1
    put(store, run("cca", {IT: 0.7}))
    assert follower.look(), "a run that replaces another is new, too"
    assert "0.700" in shown(follower)


def test_runs_are_counted_by_their_end_and_those_going_on(store, follower):
    store.prepare()
    put(store, run("cca", {IT: 0.5}), run("lcm", status="failed", cause="x"), run("drcl", status="declined", cause="y"))
    with_lock = store.lock("abc")
    assert with_lock.acquire()
    follower.look()
    assert follower.status == "1 run done, 1 declined, 1 failed, 1 going on"
    with_lock.release()
    assert follower.status == "1 run done, 1 declined, 1 failed"


def test_what_changed_last_is_on_top(store, follower):
    put(store, run("cca", {IT: 0.5}), run("cca", {IT: 0.5}, spec={"dataset": "wiki"}))
    follower.look()
    assert [board.key.dataset for board in follower.boards] == ["emoji", "wiki"]
    put(store, run("kcca", {IT: 0.6}, spec={"dataset": "wiki"}))
    follower.look()
    assert [board.key.dataset for board in follower.boards] == ["wiki", "emoji"]


def test_a_dataset_without_results_yet_is_waited_for(store):
    follower = Follower(store, COLUMNS, lambda found: leaderboards(found, ["wiki"]))
    put(store, run("cca", {IT: 0.5}))
    follower.look()
    assert "unknown dataset 'wiki'" in shown(follower)
    put(store, run("cca", {IT: 0.6}, spec={"dataset": "wiki"}))
    follower.look()
    assert "unknown dataset" not in shown(follower)
    assert "0.600" in shown(follower)


def test_the_end_leaves_the_leaderboards_on_the_screen(store, follower):
    put(store, run("cca", {IT: 0.5}))
    out = io.StringIO()
    follow(Console(file=out, width=100, height=10, force_terminal=True), follower, every=0, looks=2)
    after = out.getvalue().rpartition("\x1b[?1049l")[2]
    assert "0.500" in after
    assert after.rstrip().endswith("1 run done.")


def test_ctrl_c_ends_without_a_traceback(store, follower, monkeypatch):
    put(store, run("cca", {IT: 0.5}))

    def interrupted():
        raise KeyboardInterrupt

    out = io.StringIO()
    follower.look()
    monkeypatch.setattr(follower, "look", interrupted)
    follow(Console(file=out, width=100, force_terminal=True), follower)
    assert out.getvalue().rstrip().endswith("1 run done.")


@pytest.mark.parametrize(
    ("arguments", "told"), [([], "needs a terminal"), (["--json"], "leave out"), (["--output", "x"], "leave out")]
)
def test_it_is_for_terminals_only(tmp_path, arguments, told):
    app = typer.Typer()
    app.command()(report_command)
    result = CliRunner().invoke(app, ["--results", str(tmp_path), "--watch", *arguments])
    assert isinstance(result.exception, UsageError)
    assert told in str(result.exception)
    assert not (tmp_path / "runs").exists()
