"""Carries out planned runs on this machine: a process each, with limits, results into the store."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from cmrbench.core.errors import StoreError
from cmrbench.core.runs import RunResult
from cmrbench.run.plan import PlannedRun
from cmrbench.run.worker import PROGRESS, RESULT, now
from cmrbench.run.worker import main as worker_main
from cmrbench.store.store import Store

TICK = 0.1
"""Seconds between two looks at the limits."""

KEPT_OUTPUT = 64 * 1024
"""Bytes kept of what a run prints."""

_PRELOAD = ["cmrbench.run.worker", "cmrbench.run.execute", "cmrbench.data", "cmrbench.store.schema", "scipy.linalg"]


@dataclass(frozen=True)
class Limits:
    """What one run may use.

    Attributes
    ----------
    timeout : float or None
        Wall seconds.
    max_memory : int or None
        Bytes: of resident memory (the process and what it starts), and of memory asked for beyond the start.
    jobs : int
        Runs at a time.
    """

    timeout: float | None = None
    max_memory: int | None = None
    jobs: int = 1


@dataclass(frozen=True)
class Event:
    """What happened to a run: ``started``, ``progress``, ``finished``, ``waiting`` (another process has it)."""

    kind: str
    planned: PlannedRun
    done: int = 0
    total: int = 0
    note: str = ""
    result: RunResult | None = None
    error: str = ""


def run_all(
    runs: Sequence[PlannedRun],
    store: Store,
    limits: Limits,
    on_event: Callable[[Event], None] = lambda event: None,
) -> None:
    """Carry out runs, `limits.jobs` at a time, and write each result as soon as it is there.

    A run that another process on the same results folder is carrying out is left to it; if that process dies, the
    run is taken over. On an interrupt the runs in flight are killed and nothing half-written is left.
    """
    pending = [r for r in runs if not r.declined]
    for planned in runs:
        if planned.declined:
            _finish(store, failure(planned, "declined", planned.declined), planned, on_event)
    if pending:
        _Scheduler(pending, store, limits, on_event).run()


@dataclass
class _Active:
    planned: PlannedRun
    process: BaseProcess
    results: Connection
    output: Connection
    lock: Any
    started: float
    printed: bytearray = field(default_factory=bytearray)
    result: bytes | None = None
    ended: tuple[str, str] | None = None


class _Scheduler:
    def __init__(
        self, pending: list[PlannedRun], store: Store, limits: Limits, on_event: Callable[[Event], None]
    ) -> None:
        # Numpy methods first: they are quick, and their results show while slower ones run.
        self.pending = sorted(pending, key=lambda r: r.torch)
        self.store = store
        self.limits = limits
        self.on_event = on_event
        self.active: list[_Active] = []
        self.context = _context(any(r.torch for r in pending))
        self.seen_elsewhere: set[str] = set()
        self.began = now()

    def run(self) -> None:
        try:
            while self.pending or self.active:
                self._start_some()
                self._listen()
                for active in list(self.active):
                    self._look_after(active)
        finally:
            for active in self.active:
                _kill(active)
                _release(active.lock)

    def _start_some(self) -> None:
        for planned in list(self.pending):
            if len(self.active) >= self.limits.jobs:
                return
            lock = self.store.lock(planned.run_key)
            if not _acquire(lock):
                if planned.run_key not in self.seen_elsewhere:
                    self.seen_elsewhere.add(planned.run_key)
                    self.on_event(Event("waiting", planned))
                continue
            self.pending.remove(planned)
            there = self.store.result(planned.run_key)
            if there is not None and there.created >= self.began:
                # Another process carried it out since this one looked into the store.
                _release(lock)
                self.on_event(Event("finished", planned, result=there))
                continue
            self._start(planned, lock)

    def _start(self, planned: PlannedRun, lock: Any) -> None:
        results, results_there = self.context.Pipe(duplex=False)
        output, output_there = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=worker_main,
            args=(planned, results_there, output_there, self.limits.max_memory, _settings()),
        )
        started = time.perf_counter()
        with _no_main_module():
            process.start()
        results_there.close()
        output_there.close()
        os.set_blocking(output.fileno(), False)
        self.active.append(_Active(planned, process, results, output, lock, started))
        self.on_event(Event("started", planned))

    def _listen(self) -> None:
        """Wait a tick for messages, output and ends; read all there is."""
        if not self.active:
            time.sleep(TICK)
            return
        watched = [x for a in self.active for x in (a.results, a.output, a.process.sentinel)]
        wait([x for x in watched if not (isinstance(x, Connection) and x.closed)], TICK)
        for active in self.active:
            self._read_output(active)
            self._read_messages(active)

    def _read_output(self, active: _Active) -> None:
        while not active.output.closed:
            try:
                chunk = os.read(active.output.fileno(), 1 << 16)
            except BlockingIOError:
                return
            except OSError:
                chunk = b""
            if not chunk:
                active.output.close()
                return
            active.printed += chunk
            del active.printed[:-KEPT_OUTPUT]

    def _read_messages(self, active: _Active) -> None:
        while not active.results.closed and active.results.poll():
            try:
                message = active.results.recv_bytes()
            except (EOFError, OSError):
                active.results.close()
                return
            if message[:1] == RESULT:
                active.result = message[1:]
            elif message[:1] == PROGRESS:
                told = json.loads(message[1:])
                self.on_event(Event("progress", active.planned, told["done"], told["total"], told["note"]))

    def _look_after(self, active: _Active) -> None:
        if active.result is None and active.process.is_alive():
            active.ended = self._beyond_limits(active)
            if active.ended is None:
                return
        elif active.result is None:
            self._read_messages(active)
        if active.result is None and active.ended is None:
            active.ended = _how_it_ended(active.process.exitcode)
        _kill(active)
        self._read_output(active)
        self.active.remove(active)
        total = time.perf_counter() - active.started
        try:
            self._settle(active, total)
        finally:
            _release(active.lock)

    def _beyond_limits(self, active: _Active) -> tuple[str, str] | None:
        elapsed = time.perf_counter() - active.started
        if self.limits.timeout is not None and elapsed > self.limits.timeout:
            return "timeout", f"stopped after {elapsed:.0f} s (--timeout {self.limits.timeout:g}s)"
        if self.limits.max_memory is not None:
            used = _group_memory(active.process.pid)
            if used > self.limits.max_memory:
                gib = self.limits.max_memory / 2**30
                return "oom", f"used {used / 2**30:.2f} GiB of memory (--max-memory {gib:g}GiB)"
        return None

    def _settle(self, active: _Active, total: float) -> None:
        result = _from_bytes(active.result) if active.result is not None else None
        if result is None:
            status, cause = active.ended or ("failed", "the run's process sent a result that cannot be read")
            tail = active.printed.decode("utf-8", "replace")
            result = failure(active.planned, status, cause, trace=tail, total=total)
        elif result.status == "failed" and active.printed:
            tail = active.printed.decode("utf-8", "replace")[-4096:]
            result = replace(result, trace=f"{result.trace}\n--- printed ---\n{tail}")
        result = replace(result, seconds=dict(result.seconds) | {"total": total})
        _finish(self.store, result, active.planned, self.on_event)


def is_settled(status: str | None) -> bool:
    """Whether a stored run need not be carried out again: it has its result, or it was declined."""
    return status in ("done", "declined")


def failure(planned: PlannedRun, status: str, cause: str, trace: str = "", total: float | None = None) -> RunResult:
    """The result of a run that has no numbers."""
    from cmrbench.run.environment import describe

    return RunResult(
        spec=planned.spec,
        run_key=planned.run_key,
        status=status,
        info=planned.info,
        resolved=planned.resolved,
        created=now(),
        cause=cause,
        trace=trace,
        seconds={} if total is None else {"total": total},
        environment=describe(planned.device, planned.threads),
    )


def _finish(store: Store, result: RunResult, planned: PlannedRun, on_event: Callable[[Event], None]) -> None:
    error = ""
    try:
        store.write(result)
    except StoreError as problem:
        error = str(problem)
    on_event(Event("finished", planned, result=result, error=error))


def _context(torch: bool) -> ForkServerContext | SpawnContext:
    """A start method whose processes have the libraries loaded, where the platform can fork; fresh ones elsewhere."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOAD, "torch"] if torch else _PRELOAD)
    return context


def _settings() -> dict[str, str]:
    """The project's environment variables, which a server process started earlier may not have."""
    return {name: value for name, value in os.environ.items() if name.startswith("CMRBENCH_")}


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Start a process that does not import the caller's script again.

    multiprocessing would run the main module in every new process; a user's script without a main guard would then
    plan its runs once more in each of them.
    """
    real = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


def _acquire(lock: Any) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _release(lock: Any) -> None:
    """Free a lock and remove its file; whoever was waiting on the removed file looks into the store first."""
    with suppress(OSError):
        os.unlink(lock.lock_file)
    lock.release()


def _how_it_ended(code: int | None) -> tuple[str, str]:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return "killed", f"the run's process was ended by {name}{hint}"
    return "failed", f"the run's process ended with exit code {code} and no result"


def _kill(active: _Active) -> None:
    """End the run's process and all that it started."""
    pid = active.process.pid
    if pid is not None:
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            active.process.kill()
    active.process.join(timeout=5)
    if not active.results.closed:
        active.results.close()


def _group_memory(pid: int | None) -> int:
    """Resident bytes of a process and its descendants."""
    import psutil

    try:
        process = psutil.Process(pid)
        return int(sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]))
    except psutil.Error:
        return 0


def _from_bytes(data: bytes) -> RunResult | None:
    import pyarrow as pa

    from cmrbench.store.schema import from_table

    try:
        with pa.ipc.open_stream(data) as reader:
            return from_table(reader.read_all())
    except (pa.ArrowException, KeyError, IndexError, TypeError):
        return None
