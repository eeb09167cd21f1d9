"""Runs that differ in their code length alone share what does not depend on it, and nothing else."""

import time
import warnings
from pathlib import Path

import pytest

import cmrbench
from cmrbench.method import Context
from cmrbench.registry import load_methods
from cmrbench.run.api import make_plan
from cmrbench.run.local import Limits, _Scheduler, failure, run_all
from cmrbench.run.plan import RunRequest
from cmrbench.store.store import Store

PLUGIN = Path(__file__).parent / "sharing.py"
SMALL = {"n_train": 60, "n_val": 20, "n_query": 20, "n_gallery": 30, "classes": 4, "dims": [70, 66]}
BITS = [8, 16, 32]


@pytest.fixture
def run(cache_dir, tmp_path):
    def carry_out(method, bits, *, seconds=0.0, nap=0.0, **options):
        settings = {"synthetic": SMALL, method: {"notes": str(tmp_path), "seconds": seconds, "nap": nap}}
        table = cmrbench.run(
            methods=[method],
            datasets=["synthetic"],
            settings=settings,
            bits=bits,
            plugins=[PLUGIN],
            results=tmp_path / f"results-{len(list(tmp_path.iterdir()))}",
            **{"jobs": 1} | options,
        )
        return {(r["bits"], r["seed"]): r for r in table.to_pylist()}

    return carry_out


@pytest.fixture
def planned(cache_dir, tmp_path):
    """A store, and a plan of runs of some lengths of several methods in it."""

    def plan(nap=0.0, **bits):
        settings = {"synthetic": SMALL} | {m: {"notes": str(tmp_path), "nap": nap} for m in bits}
        requests = [
            RunRequest((m,), ("synthetic",), bits=b, settings={n: settings[n] for n in ("synthetic", m)}, device="cpu")
            for m, b in bits.items()
        ]
        store = Store(tmp_path / "results")
        store.prepare()
        return store, make_plan(requests, load_methods([PLUGIN]), store)

    return plan


def statuses(rows):
    return {bits: r["status"] for (bits, _), r in rows.items()}


def processes(tmp_path):
    """Process ids of those that did the shared work, once each time."""
    return [line.split()[0] for line in lines(tmp_path, "made")]


def lines(tmp_path, name):
    return (tmp_path / name).read_text().splitlines()


def test_work_is_done_once_and_counted_in_every_run(run, tmp_path):
    rows = run("shares", BITS, seconds=0.3)
    assert {r["status"] for r in rows.values()} == {"done"}
    assert len(processes(tmp_path)) == 1
    assert all(0.3 <= r["fit_s"] < 3 for r in rows.values())
    assert all(
        r["total_s"] >= sum(r[f"{stage}_s"] for stage in ("load", "fit", "encode", "evaluate")) for r in rows.values()
    )


def test_memory_that_shared_work_took_counts_in_every_run(run):
    rows = run("shares_and_eats", [8, 16, 32])
    alone = run("shares_and_eats", [32])[32, 0]["peak_rss"]
    assert all(r["peak_rss"] == pytest.approx(alone, rel=0.1) for (bits, _), r in rows.items() if bits != 8)
    assert rows[8, 0]["peak_rss"] > alone + 100 * 2**20, "the first run took more on top"


def slowly(seconds, value=None):
    time.sleep(seconds)
    return value


def test_seconds_of_shared_work_count_once_in_a_run():
    memo = {}

    def fit(bits):
        context = Context(bits=bits, memo=memo)
        for _ in range(2):
            context.shared("outer", lambda: slowly(0.1, context.shared("inner", lambda: slowly(0.2))))
            context.shared("inner", lambda: slowly(0.2))
        return context.borrowed_seconds

    assert fit(8) == 0
    assert 0.3 <= fit(16) < 0.5
    assert 0.3 <= fit(32) < 0.5


def test_shared_work_counts_what_it_rests_on():
    memo = {}
    Context(bits=8, memo=memo).shared("inner", lambda: slowly(0.2))
    second, third = (Context(bits=bits, memo=memo) for bits in (16, 32))
    for context in (second, third):
        context.shared("outer", lambda c=context: slowly(0.1, c.shared("inner", lambda: slowly(0.2))))
    assert 0.2 <= second.borrowed_seconds < 0.3
    assert 0.3 <= third.borrowed_seconds < 0.5


def test_shared_work_that_fails_is_not_kept():
    context = Context(bits=8)
    with pytest.raises(ZeroDivisionError):
        context.shared("ratio", lambda: 1 / 0)
    assert context.shared("ratio", lambda: 2) == 2


def test_warnings_of_shared_work_are_in_every_run(run):
    for (bits, _), row in run("shares_and_warns", BITS).items():
        names = ["inner", "outer", f"run of {bits}"]
        assert row["warnings"] == [*(f"{n}: logged" for n in names), *(f"UserWarning: {n}: warned" for n in names)]


def test_warnings_of_what_shared_work_rests_on_are_repeated():
    memo = {}
    first, second = (Context(bits=bits, memo=memo) for bits in (8, 16))
    with pytest.warns(UserWarning, match="nearly singular"):
        first.shared("inner", lambda: warnings.warn("nearly singular", stacklevel=1))
    first.shared("outer", lambda: first.shared("inner", int))
    with pytest.warns(UserWarning, match="nearly singular"):
        second.shared("outer", int)


def test_a_warning_of_shared_work_that_fails_is_told():
    def make():
        warnings.warn("nearly singular", stacklevel=1)
        raise ZeroDivisionError

    with pytest.warns(UserWarning, match="nearly singular"), pytest.raises(ZeroDivisionError):
        Context(bits=8).shared("ratio", make)


def test_numbers_are_those_of_runs_of_their_own(run):
    together = run("shares", BITS)
    alone = {key: row for bits in BITS for key, row in run("shares", [bits]).items()}
    assert {k: r["value"] for k, r in together.items()} == {k: r["value"] for k, r in alone.items()}


def test_seeds_share_nothing(run, tmp_path):
    run("shares", [8, 16], seeds=2)
    assert len(set(processes(tmp_path))) == 2


def test_jobs_are_kept_busy_before_anything_is_shared(run, tmp_path):
    run("shares", [8, 16], jobs=2)
    assert len(set(processes(tmp_path))) == 2


def test_a_job_that_gets_free_takes_runs_that_would_wait(planned, tmp_path):
    store, plan = planned(nap=1.0, shares=tuple(BITS), shares_nothing=(8,))
    run_all(plan.todo, store, Limits(jobs=2), seen=plan.seen)
    assert len(set(processes(tmp_path))) == 2


def test_only_the_run_in_progress_is_locked(planned, tmp_path):
    store, plan = planned(shares=tuple(BITS))
    free = []

    def look(event):
        if event.kind == "started":
            locks = [store.lock(r.run_key) for r in plan.todo]
            free.append([lock.acquire() for lock in locks])
            for lock in locks:
                lock.release()

    run_all(plan.todo, store, Limits(), look, seen=plan.seen)
    assert free == [[False, True, True], [True, False, True], [True, True, False]]
    assert len(processes(tmp_path)) == 1


def test_what_another_process_has_is_left_to_it(planned, tmp_path):
    store, plan = planned(shares=tuple(BITS))
    (_, second, _), told = plan.todo, []
    lock = store.lock(second.run_key)

    def listen(event):
        told.append((event.kind, event.planned.spec.bits))
        if told[-1] == ("started", 8):
            assert lock.acquire()
        if told[-1] == ("finished", 32):  # the other one has finished, too
            store.write(failure(second, "failed", "elsewhere"))
            lock.release()

    run_all(plan.todo, store, Limits(), listen, seen=plan.seen)
    assert [t for t in told if t[0] != "progress"] == [
        *(("started", 8), ("finished", 8), ("waiting", 16), ("started", 32), ("finished", 32), ("finished", 16))
    ]
    assert store.result(second.run_key).cause == "elsewhere"


def test_a_run_that_dies_costs_itself_only(run):
    rows = run("shares_and_dies", BITS, on_event=lambda event: time.sleep(0.3))
    assert statuses(rows) == {8: "done", 16: "failed", 32: "done"}
    assert "exit code 7" in rows[16, 0]["cause"]
    assert rows[16, 0]["trace"].split() == ["words", "of", "16"]


def test_what_an_earlier_run_spoils_is_tried_in_a_process_of_its_own(run):
    assert statuses(run("shares_and_spoils", BITS)) == {8: "done", 16: "done", 32: "done"}


def test_every_run_has_a_timeout_of_its_own(run):
    rows = run("shares_and_hangs", [8, 16, 32, 64], nap=2.0, timeout=4.0)
    assert statuses(rows) == {8: "done", 16: "timeout", 32: "done", 64: "done"}
    assert all(r["total_s"] < 6 for r in rows.values())


def test_a_result_that_comes_as_time_runs_out_costs_no_other_run(run, tmp_path, monkeypatch):
    def late(scheduler, active):
        if active.planned.spec.bits != 8:
            return None
        while not (tmp_path / "made").exists():
            time.sleep(0.1)
        time.sleep(1.0)
        return "timeout", "late"

    monkeypatch.setattr(_Scheduler, "_beyond_limits", late)
    assert statuses(run("shares_and_hangs", BITS, nap=0.03)) == {8: "done", 16: "done", 32: "done"}


def test_a_run_that_leaves_processes_is_not_followed(run, tmp_path):
    assert set(statuses(run("shares_and_leaves_processes", BITS)).values()) == {"done"}
    assert len(processes(tmp_path)) == 3


def test_without_shared_work_every_run_has_its_own_process(run, tmp_path):
    run("shares_nothing", BITS)
    assert len(set(lines(tmp_path, "processes"))) == 3
