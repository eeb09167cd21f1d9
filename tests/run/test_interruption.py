"""Killed, interrupted, repeated, doubled: the store never holds less than what was finished."""

import random
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import psutil
import pytest

from cmrbench.store.store import Store, StoreWarning

PLUGIN = Path(__file__).parent / "napping.py"
SCRIPT = f"""
import sys, cmrbench
results, marks, seeds, nap, jobs = sys.argv[1:]
table = cmrbench.run(
    ["napping"], ["synthetic"], seeds=int(seeds), plugins=[{str(PLUGIN)!r}], results=results, jobs=int(jobs),
    settings={{"napping": {{"nap": float(nap), "marks": marks}},
              "synthetic": {{"n_train": 40, "n_val": 20, "n_query": 20, "n_gallery": 20, "classes": 3}}}},
)
print(len(set(table.column("run_key").to_pylist())))
"""


def start(tmp_path, seeds, nap=0.2, jobs=2):
    marks = tmp_path / "marks"
    marks.mkdir(exist_ok=True)
    arguments = [str(tmp_path / "results"), str(marks), str(seeds), str(nap), str(jobs)]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )


def fitted(tmp_path):
    """How often every seed was fitted."""
    return Counter(int(p.name.split("-")[0]) for p in (tmp_path / "marks").iterdir())


def stored(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", StoreWarning)
        table = Store(tmp_path / "results").table(["seed", "status"])
    assert set(table.column("status").to_pylist()) <= {"done"}
    return set(table.column("seed").to_pylist())


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
def test_kill_at_twenty_random_moments_loses_only_runs_in_flight(cache_dir, tmp_path):
    moments = random.Random(20)
    seeds, jobs = 60, 2
    before: set[int] = set()
    orphans = []
    for killed in range(1, 21):
        process = start(tmp_path, seeds, nap=0.15, jobs=jobs)
        time.sleep(moments.uniform(0.2, 2.5))
        orphans += descendants(process) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = stored(tmp_path)
        assert before <= now
        assert sum(fitted(tmp_path).values()) - len(now) <= jobs * killed
        before = now
    deadline = time.time() + 10
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in orphans) and time.time() < deadline:
        time.sleep(0.1)
    assert not [p for p in orphans if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    last = start(tmp_path, seeds, nap=0.15, jobs=jobs)
    assert last.communicate()[0].strip() == b"60"
    assert stored(tmp_path) == set(range(seeds))


def test_what_was_finished_is_not_run_again(cache_dir, tmp_path):
    process = start(tmp_path, seeds=8, nap=0.3, jobs=1)
    deadline = time.time() + 30
    while len(list((tmp_path / "results" / "runs").glob("[!.]*.parquet"))) < 3 and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = stored(tmp_path)
    assert 3 <= len(done) < 8
    again = start(tmp_path, seeds=8, nap=0.3, jobs=2)
    assert again.communicate()[0].strip() == b"8"
    assert stored(tmp_path) == set(range(8))
    assert all(fitted(tmp_path)[seed] == 1 for seed in done)
    assert sum(fitted(tmp_path).values()) <= 8 + 1


def test_a_repeated_call_computes_nothing(cache_dir, tmp_path):
    assert start(tmp_path, seeds=4, nap=0.0).wait() == 0
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "results" / "runs").iterdir()}
    assert start(tmp_path, seeds=4, nap=0.0).wait() == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "results" / "runs").iterdir()} == files
    assert set(fitted(tmp_path).values()) == {1}


def test_two_at_once_share_the_work(cache_dir, tmp_path):
    both = [start(tmp_path, seeds=8, nap=0.3, jobs=1) for _ in range(2)]
    assert [p.communicate()[0].strip() for p in both] == [b"8", b"8"]
    assert stored(tmp_path) == set(range(8))
    assert set(fitted(tmp_path).values()) == {1}
    assert not list((tmp_path / "results" / ".locks").iterdir())
    assert not list((tmp_path / "results" / "runs").glob(".tmp-*"))


def test_an_interrupt_ends_the_runs_in_flight(cache_dir, tmp_path):
    process = start(tmp_path, seeds=2, nap=60, jobs=2)
    deadline = time.time() + 30
    while len(fitted(tmp_path)) < 2 and time.time() < deadline:
        time.sleep(0.05)
    running = descendants(process)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=15)
    _, alive = psutil.wait_procs(running, timeout=10)
    assert not alive
    assert stored(tmp_path) == set()
    assert not list((tmp_path / "results" / "runs").iterdir())
    assert not list((tmp_path / "results" / ".locks").iterdir())
