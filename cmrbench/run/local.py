"""Carries out planned runs on this machine: in processes of their own, with limits, results into the store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cmrbench.core.errors import StoreError, UsageError
from cmrbench.core.runs import RunResult
from cmrbench.run.interrupts import held_back
from cmrbench.run.messages import MORE, PROGRESS
from cmrbench.run.plan import PlannedRun
from cmrbench.run.process import RunProcess, listen, start_method
from cmrbench.run.worker import describe_error, now
from cmrbench.store.lock import RunLock
from cmrbench.store.store import Stamp, Store

TICK = 0.1
"""Seconds between two looks at the time."""

MEMORY_TICK = 0.25
"""Seconds between two looks at a run's memory: each reads the state of every process of the machine."""


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

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise UsageError(f"--jobs must be at least 1, not {self.jobs}")


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
    seen: Mapping[str, Stamp | None] | None = None,
) -> None:
    """Carry out runs, `limits.jobs` at a time, and write each result as soon as it is there.

    A run that another process on the same results folder is carrying out is left to it; if that process dies, the
    run is taken over. On an interrupt the runs in flight are killed and nothing half-written is left.

    Parameters
    ----------
    seen : mapping of run key to stamp, optional
        What the store had when it was decided that these runs are to be carried out: a result that has come since
        is another process's, and is taken. By default what it has now.
    """
    pending = [r for r in runs if not r.declined]
    with held_back() as deliver_interrupts:
        for planned in runs:
            if planned.declined:
                _finish(store, failure(planned, "declined", planned.declined), planned, on_event)
        if pending:
            before = seen if seen is not None else {r.run_key: store.stamp(r.run_key) for r in pending}
            _Scheduler(pending, store, limits, on_event, before).run(deliver_interrupts)


@dataclass
class _Active:
    """A process and the run that it is at.

    Attributes
    ----------
    follows : bool
        Whether it has carried out another run before.
    waits : bool
        Whether it has sent its result and can go on with another run.
    """

    planned: PlannedRun
    lock: RunLock
    process: RunProcess
    follows: bool = False
    looked: float = 0.0
    result: bytes | None = None
    waits: bool = False


class _Scheduler:
    def __init__(
        self,
        pending: list[PlannedRun],
        store: Store,
        limits: Limits,
        on_event: Callable[[Event], None],
        before: Mapping[str, Stamp | None],
    ) -> None:
        # Numpy methods first: they are quick, and their results show while slower ones run.
        self.pending = sorted(pending, key=lambda r: r.torch)
        self.store = store
        self.limits = limits
        self.on_event = on_event
        self.before = before
        self.active: list[_Active] = []
        self.context = start_method(any(r.torch for r in pending))
        self.seen_elsewhere: set[str] = set()
        self.retried: set[str] = set()
        self.alone: set[str] = set()
        """Runs that went wrong after others in their process, and are tried in one of their own."""

    def run(self, deliver_interrupts: Callable[[], None]) -> None:
        try:
            while self.pending or self.active:
                deliver_interrupts()
                self._start_some()
                listen([a.process for a in self.active], TICK)
                for active in list(self.active):
                    self._look_after(active)
        finally:
            for active in self.active:
                active.process.kill()
                active.lock.release()

    def _start_some(self) -> None:
        # Runs that could follow in a process that is there come last: with the work that it has done, they cost less.
        for wanted in (False, True):
            for planned in list(self.pending):
                if len(self.active) >= self.limits.jobs:
                    return
                if any(self._may_follow(planned, a.planned) for a in self.active) == wanted:
                    self._start(planned)

    def _may_follow(self, planned: PlannedRun, earlier: PlannedRun) -> bool:
        """Whether a run may be carried out in the process of an earlier one: they differ in their code length alone."""
        return planned.family == earlier.family and not {planned.run_key, earlier.run_key} & self.alone

    def _claim(self, planned: PlannedRun) -> RunLock | None:
        """The lock of a run to carry out now; None if another process has it, or has brought its result."""
        lock = self._lock(planned)
        if lock is None:
            return None
        try:
            return None if self._settled_elsewhere(planned, lock) else lock
        except BaseException:
            lock.release()
            raise

    def _lock(self, planned: PlannedRun) -> RunLock | None:
        lock = self.store.lock(planned.run_key)
        if lock.acquire():
            self.pending.remove(planned)
            return lock
        if planned.run_key not in self.seen_elsewhere:
            self.seen_elsewhere.add(planned.run_key)
            self.on_event(Event("waiting", planned))
        return None

    def _settled_elsewhere(self, planned: PlannedRun, lock: RunLock) -> bool:
        """Whether another process has brought the run's result meanwhile; it is then told and let go of."""
        stamp = self.store.stamp(planned.run_key)
        if stamp is None or stamp == self.before.get(planned.run_key):
            return False
        there = self.store.result(planned.run_key)
        if there is None:
            return False
        lock.release()
        self.on_event(Event("finished", planned, result=there))
        return True

    def _start(self, planned: PlannedRun) -> None:
        lock = self._claim(planned)
        if lock is None:
            return
        process = None
        try:
            process = RunProcess(planned, self.limits.max_memory, self.context)
        except Exception as error:
            if not self._once_more(planned):
                cause = f"the run's process could not be started: {describe_error(error)}"
                _finish(self.store, failure(planned, "failed", cause), planned, self.on_event)
        finally:
            if process is None:
                lock.release()
        if process is not None:
            self.active.append(_Active(planned, lock, process))
            self.on_event(Event("started", planned))

    def _look_after(self, active: _Active) -> None:
        process = active.process
        alive = process.alive
        self._take(active, process.read())
        if active.waits:
            self._settle(active, self._result_of(active, None))
            if not self._go_on(active):
                process.kill()
                self.active.remove(active)
            return
        ended = None
        if active.result is None:
            if process.garbled:
                ended = "failed", "the run wrote into the pipe that its result is sent through"
            elif alive:
                ended = self._beyond_limits(active)
                if ended is None:
                    return
        self._take(active, process.kill())
        self.active.remove(active)
        try:
            if ended is None and process.lost and self._once_more(active.planned):
                return
            result = self._result_of(active, ended)
            if active.follows and result.status not in ("done", "declined", "timeout"):
                # What came before it in its process may be to blame.
                self.alone.add(active.planned.run_key)
                self.pending.append(active.planned)
                return
            self._settle(active, result)
        finally:
            active.lock.release()

    def _go_on(self, active: _Active) -> bool:
        """Give a process that waits another run that needs what it has computed; False if there is none."""
        for planned in list(self.pending):
            if not self._may_follow(planned, active.planned):
                continue
            lock = self._claim(planned)
            if lock is None:
                continue
            active.planned, active.lock, active.follows = planned, lock, True
            active.result, active.waits = None, False
            if not active.process.go_on(planned):
                self.pending.append(planned)
                lock.release()
                return False
            self.on_event(Event("started", planned))
            return True
        return False

    def _take(self, active: _Active, messages: list[tuple[bytes, bytes]]) -> None:
        for kind, payload in messages:
            if kind == PROGRESS:
                self._tell_progress(active.planned, payload)
            else:
                active.result, active.waits = payload, kind == MORE

    def _once_more(self, planned: PlannedRun) -> bool:
        """Put a run back that did not get its chance, because the server that forks runs died; once."""
        if planned.run_key in self.retried:
            return False
        self.retried.add(planned.run_key)
        self.pending.append(planned)
        return True

    def _tell_progress(self, planned: PlannedRun, message: bytes) -> None:
        told = json.loads(message)
        self.on_event(Event("progress", planned, told["done"], told["total"], told["note"]))

    def _beyond_limits(self, active: _Active) -> tuple[str, str] | None:
        elapsed = active.process.elapsed
        if self.limits.timeout is not None and elapsed > self.limits.timeout:
            return "timeout", f"stopped after {elapsed:.0f} s (--timeout {self.limits.timeout:g}s)"
        if self.limits.max_memory is not None and time.perf_counter() - active.looked > MEMORY_TICK:
            active.looked = time.perf_counter()
            used = active.process.memory
            if used > self.limits.max_memory:
                gib = self.limits.max_memory / 2**30
                return "oom", f"used {used / 2**30:.2f} GiB of memory (--max-memory {gib:g}GiB)"
        return None

    def _result_of(self, active: _Active, ended: tuple[str, str] | None) -> RunResult:
        process, planned, total = active.process, active.planned, active.process.elapsed
        printed = process.printed.decode("utf-8", "replace")
        result = _from_bytes(active.result) if active.result is not None else None
        if result is None:
            if active.result is not None:
                ended = "failed", "the run's process sent a result that cannot be read"
            status, cause = ended or process.how_it_ended()
            result = failure(planned, status, cause, trace=printed, total=total)
        elif result.status == "failed" and printed:
            result = replace(result, trace=f"{result.trace}\n--- printed ---\n{printed[-4096:]}")
        # A run's own total is larger where it counts shared work that was done before the run.
        total = max(total, result.seconds.get("total", 0.0))
        return replace(result, seconds=dict(result.seconds) | {"total": total})

    def _settle(self, active: _Active, result: RunResult) -> None:
        try:
            _finish(self.store, result, active.planned, self.on_event)
        finally:
            active.lock.release()


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


def _from_bytes(data: bytes) -> RunResult | None:
    import pyarrow as pa

    from cmrbench.store.schema import from_table

    try:
        with pa.ipc.open_stream(data) as reader:
            return from_table(reader.read_all())
    except (pa.ArrowException, KeyError, IndexError, TypeError):
        return None
