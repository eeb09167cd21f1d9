"""What holds for every run: fit cannot see test items, results repeat to the bit, and accidents stay small."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import cmrbench
from cmrbench.core.errors import UsageError
from cmrbench.registry import load_methods
from cmrbench.run.api import make_plan
from cmrbench.run.interrupts import held_back
from cmrbench.run.local import Limits, failure, run_all
from cmrbench.run.messages import PROGRESS, RESULT, GarbledError, Inbox, send
from cmrbench.run.plan import RunRequest
from cmrbench.store.store import Store

HERE = Path(__file__).parent
SMALL = {"synthetic": {"n_train": 60, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4}}


def test_fit_ends_before_any_test_item_is_opened(cache_dir, tmp_path):
    settings = {"watching": {"notes": str(tmp_path)}}
    table = cmrbench.run(
        ["watching"], ["emoji"], settings=settings, plugins=[HERE / "watching.py"], results=tmp_path / "results"
    )
    assert set(table.column("status").to_pylist()) == {"done"}

    def held_out(file):
        names = [Path(line).name for line in (tmp_path / file).read_text().splitlines() if line.endswith(".npy")]
        return {split for split in ("train", "query", "gallery") if any(split in name for name in names)}

    assert held_out("in_fit") == {"train"}
    assert "query" in held_out("in_encode"), "the watching itself works"


def numbers(table):
    columns = ["method", "seed", "bits", "direction", "protocol", "retrieval", "metric", "value", "stderr", "per_query"]
    return sorted(map(repr, table.select(columns).to_pylist()))


def test_results_repeat_to_the_bit_however_many_run_at_once(cache_dir, tmp_path):
    methods = ["random", "kcca", "batch", "lcm", "drcl"]
    tables = [
        cmrbench.run(
            methods,
            ["synthetic"],
            settings=SMALL,
            bits=[8],
            seeds=2,
            preset="check",
            jobs=jobs,
            results=tmp_path / name,
        )
        for name, jobs in (("one", 1), ("again", 1), ("two", 2))
    ]
    assert set(tables[0].column("status").to_pylist()) == {"done"}
    assert numbers(tables[0]) == numbers(tables[1]) == numbers(tables[2])


@pytest.fixture
def napping(cache_dir, tmp_path):
    """A store, and a plan of two short runs in it."""
    marks = tmp_path / "marks"
    marks.mkdir()
    settings = SMALL | {"napping": {"nap": 0.5, "marks": str(marks)}}
    request = RunRequest(("napping",), ("synthetic",), seeds=(0, 1), settings=settings, device="cpu")
    store = Store(tmp_path / "results")
    plan = make_plan([request], load_methods([HERE / "napping.py"]), store)
    store.prepare()
    return store, plan, marks


def test_what_another_process_finished_since_the_plan_is_not_run_again(napping):
    store, plan, marks = napping
    first = plan.todo[0]
    # Its clock is behind: what it wrote looks older than this call.
    store.write(replace(failure(first, "failed", "elsewhere"), created="2001-01-01T00:00:00.000+00:00"))
    run_all(plan.todo, store, Limits(), seen=plan.seen)
    assert [int(p.name.split("-")[0]) for p in marks.iterdir()] == [1]
    assert store.result(first.run_key).cause == "elsewhere"


def test_runs_survive_the_death_of_the_server_that_forks_them(napping):
    store, plan, marks = napping
    killed = []

    def kill_the_server(event):
        if event.kind == "started" and not killed:
            while not list(marks.iterdir()):
                time.sleep(0.01)
            for process in psutil.Process().children():
                if "forkserver" in " ".join(process.cmdline()):
                    killed.append(process.pid)
                    process.kill()

    run_all(plan.todo, store, Limits(jobs=2), kill_the_server)
    assert killed
    assert {r["status"]: r["cause"] for r in store.table().to_pylist()} == {"done": ""}


def test_a_listener_that_raises_leaves_neither_processes_nor_locks(napping):
    store, plan, _ = napping

    def broken(event):
        raise RuntimeError("listener")

    with pytest.raises(RuntimeError, match="listener"):
        run_all(plan.todo, store, Limits(), broken)
    assert not list(store.locks.iterdir())
    assert not [p for p in psutil.Process().children(recursive=True) if _is_a_run(p)]


def _is_a_run(process):
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


@pytest.fixture
def interruptible():
    """A process that an interrupt reaches: a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_for_its_moment(napping, interruptible):
    store, plan, _ = napping
    seen = []

    def interrupt(event):
        signal.raise_signal(signal.SIGINT)
        seen.append(event.kind)

    with pytest.raises(KeyboardInterrupt):
        run_all(plan.todo, store, Limits(), interrupt)
    assert seen == ["started"], "the listener was not torn apart, and nothing more was done"
    assert not list(store.locks.iterdir())
    assert not [p for p in psutil.Process().children(recursive=True) if _is_a_run(p)]


def test_a_second_interrupt_takes_effect_at_once(interruptible):
    usual = signal.getsignal(signal.SIGINT)
    reached = []

    def twice():
        with held_back():
            for name in ("first", "second"):
                signal.raise_signal(signal.SIGINT)
                reached.append(name)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert reached == ["first"]
    assert signal.getsignal(signal.SIGINT) is usual


def test_threads_may_run_at_the_same_time(cache_dir, tmp_path):
    main, tables = sys.modules["__main__"], []

    def call(name):
        tables.append(cmrbench.run(["random"], ["synthetic"], settings=SMALL, seeds=3, results=tmp_path / name))

    threads = [threading.Thread(target=call, args=(str(i),)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tables) == 3
    assert numbers(tables[0]) == numbers(tables[1]) == numbers(tables[2])
    assert sys.modules["__main__"] is main


def test_a_run_dies_with_its_parent_even_if_it_holds_the_interpreter(cache_dir, tmp_path):
    import subprocess

    code = (
        f"import cmrbench; cmrbench.run(['holds_the_interpreter'], ['synthetic'], timeout=None, settings={SMALL!r},"
        f" plugins=[{str(HERE / 'misbehaving.py')!r}], results={str(tmp_path / 'results')!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.time() + 30
    runs = []
    while not (runs and runs[0].cpu_times().user > 1) and time.time() < deadline:
        time.sleep(0.1)
        runs = [p for p in psutil.Process(parent.pid).children(recursive=True) if _is_a_run(p)]
    assert runs
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(runs, timeout=10)
    for process in alive:
        process.kill()
    assert not alive


def test_bad_calls_are_refused(cache_dir, tmp_path):
    with pytest.raises(UsageError, match="--jobs must be at least 1, not -1"):
        cmrbench.run(["random"], ["synthetic"], jobs=-1, results=tmp_path)
    with pytest.raises(UsageError, match="--threads must be at least 1"):
        cmrbench.run(["random"], ["synthetic"], threads=0, results=tmp_path)


def test_a_lone_name_is_not_a_list_of_letters(cache_dir, tmp_path):
    table = cmrbench.run("random", "synthetic", settings=SMALL, results=tmp_path)
    assert set(table.column("method").to_pylist()) == {"random"}


def test_messages_arrive_in_whatever_pieces(tmp_path):
    file = tmp_path / "pipe"
    with file.open("wb") as out:
        send(out.fileno(), PROGRESS, b"")
        send(out.fileno(), RESULT, b"x" * 1000)
    for size in (1, 7, 5000):
        inbox, found = Inbox(), []
        data = file.read_bytes()
        for at in range(0, len(data), size):
            found += inbox.feed(data[at : at + size])
        assert found == [(PROGRESS, b""), (RESULT, b"x" * 1000)]
    with pytest.raises(GarbledError):
        Inbox().feed(b"something else entirely")
