"""The process of a run: carries it out and sends back progress and the result, nothing else.

Runs that differ in their code length alone may follow each other in one process, so that what does not depend on the
length (`cmrbench.method.Context.shared`) is computed once. Where nothing is shared, a run has a process of its own.

Everything that a method can do wrong happens in here: the parent reads its result as Arrow bytes, its output from a
pipe, and its end from the system.
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from typing import Any

from cmrbench.core.errors import CmrbenchError, DeclinedError
from cmrbench.core.runs import RunResult
from cmrbench.method import LOGGER
from cmrbench.run.messages import MORE, PROGRESS, RESULT, send
from cmrbench.run.plan import PlannedRun

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MOST_WARNINGS = 20
_LONGEST_CAUSE = 1000
_LONGEST_TRACE = 64 * 1024


def main(
    planned: PlannedRun,
    results: Connection,
    output: Connection,
    orders: Connection,
    max_memory: int | None,
    settings: Mapping[str, str],
) -> None:
    """Entry point of the process."""
    os.setsid()
    _killed_with_parent()
    for name in [n for n in os.environ if n.startswith("CMRBENCH_")]:
        del os.environ[name]
    os.environ.update(settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False, errors="replace")
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="replace")
    faulthandler.enable(file=sys.stderr)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    channel = _Channel(results)
    memo = _Memo()
    while True:
        _limit(max_memory)
        result = carry_out(planned, channel.progress, memo)
        for printed in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a method may have closed or replaced them
                printed.flush()
        more = bool(memo) and result.status == "done" and not _has_children()
        channel.send(MORE if more else RESULT, _to_message(result))
        if not more:
            break
        planned = orders.recv()
        channel.next_run()
    # The parent ends this process together with all that it started, whatever threads and handlers there are.
    while True:
        signal.pause()


def carry_out(
    planned: PlannedRun,
    progress: Any = lambda done, total, note: None,
    memo: _Memo | None = None,
) -> RunResult:
    """Carry out a run in this process; whatever the method does wrong ends in the result's status.

    `memo` holds what runs of other code lengths shared with this one, and takes what this one shares.
    """
    start = time.perf_counter()
    memo = _Memo() if memo is None else memo
    _reset_peak()
    status, cause, trace = "done", "", ""
    execution = None
    with _Logged() as logged, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            execution = _execute(planned, progress, memo)
        except DeclinedError as error:
            status, cause = "declined", describe_error(error)
        except BaseException as error:
            _lift_limit()
            status = "oom" if is_out_of_memory(error) else "failed"
            cause, trace = describe_error(error), shortened(traceback.format_exc(), _LONGEST_TRACE)
    _lift_limit()
    seconds = dict(execution.seconds) if execution else {}
    return RunResult(
        spec=planned.spec,
        run_key=planned.run_key,
        status=status,
        info=planned.info,
        resolved=planned.resolved,
        created=now(),
        cause=cause,
        trace=trace,
        seconds=seconds | {"total": time.perf_counter() - start + (execution.borrowed if execution else 0.0)},
        peak_rss=max(peak_rss(), memo.peak),
        model_bytes=execution.model_bytes if execution else 0,
        output_dim=execution.output_dim if execution else 0,
        n_train=execution.n_train if execution else 0,
        environment=_environment(planned),
        warnings=(*logged.texts, *_told(caught))[:_MOST_WARNINGS],
        records=execution.records if execution else (),
    )


def _execute(planned: PlannedRun, progress: Any, memo: _Memo) -> Any:
    from threadpoolctl import threadpool_limits

    from cmrbench.data import load_catalogue, load_dataset
    from cmrbench.method import Context
    from cmrbench.run.execute import EvaluationPlan, execute

    if planned.torch:
        import torch

        torch.set_num_threads(planned.threads)
    for variable in _THREAD_VARIABLES:  # for libraries that are loaded from here on; the rest is limited below
        os.environ[variable] = str(planned.threads)
    with threadpool_limits(planned.threads):
        spec = planned.spec
        cls = planned.ref.load()
        catalogue = load_catalogue(planned.catalogue_files)
        dataset = load_dataset(planned.dataset_name, spec.feature_set, catalogue=catalogue, **planned.dataset_params)
        if dataset.fingerprint != spec.dataset_fingerprint:
            raise CmrbenchError(f"{dataset.name} changed while the run was waiting; start again")
        context = Context(
            seed=spec.seed,
            bits=spec.bits,
            dim=spec.dim,
            device=planned.device,
            n_classes=len(dataset.classes),
            progress=progress,
            memo=memo,
        )
        protocols = tuple(dataset.protocol(p) for p in planned.protocols)
        plan = EvaluationPlan(protocols, planned.retrievals, planned.threads, spans=True)
        return execute(cls(**planned.chosen(cls)), dataset, context, plan, lambda stage: progress(0, 0, stage))


class _Memo(dict[Any, Any]):
    """Shared work of the runs of a process, and their peak resident memory in bytes when the last of it was done."""

    peak = 0

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.peak = max(self.peak, peak_rss())


class _Channel:
    """Sends a method's progress to the parent, a few times a second at most, and at last the result.

    A method may report progress from any of its threads.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = threading.Lock()
        self.last = 0.0
        self.note = ""

    def send(self, kind: bytes, payload: bytes) -> None:
        with self.lock:
            send(self.connection.fileno(), kind, payload)

    def next_run(self) -> None:
        self.last, self.note = 0.0, ""

    def progress(self, done: int, total: int, note: str = "") -> None:
        now = time.perf_counter()
        if now - self.last < 0.2 and not (total == 0 and note != self.note):
            return
        self.last, self.note = now, note
        message = json.dumps({"done": int(done), "total": int(total), "note": str(note)[:80]})
        self.send(PROGRESS, message.encode())


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)


def _killed_with_parent() -> None:
    """Have the system kill this process and what it starts when the parent is gone (Linux).

    The thread above does the same everywhere, but has to wait for a method that keeps the interpreter to itself.
    """
    parent = parent_process()
    if parent is None or not hasattr(fcntl, "F_SETSIG"):
        return
    # The parent holds the other end of this pipe and writes nothing more: the only event to come is its end.
    handle = int(parent.sentinel)
    with suppress(OSError):
        fcntl.fcntl(handle, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(handle, fcntl.F_SETFL, fcntl.fcntl(handle, fcntl.F_GETFL) | os.O_ASYNC)


def _has_children() -> bool:
    """Whether a run left something running, which ends with this process and must not disturb another run."""
    import psutil

    return bool(psutil.Process().children())


def _limit(max_memory: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if max_memory:
        # Private writable memory only: libraries mapped from files do not count. The parent watches what is resident.
        base = _status_bytes("VmData")
        resource.setrlimit(resource.RLIMIT_DATA, (base + max_memory, resource.RLIM_INFINITY))


def _lift_limit() -> None:
    """Telling how a run ended takes memory too, and must not fail for want of it; the parent still watches."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _status_bytes(name: str) -> int:
    """A size in /proc/self/status, in bytes; 0 where there is none."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out (numpy, torch on CPU or CUDA, Python itself)."""
    text = f"{type(error).__name__} {_words(error)}".lower()
    return isinstance(error, MemoryError) or any(
        mark in text for mark in ("outofmemory", "out of memory", "can't allocate memory", "cannot allocate memory")
    )


def describe_error(error: BaseException) -> str:
    """One line: the method's own words, or the exception's type and text."""
    text = " ".join(_words(error).split()) or "no message"
    text = text if isinstance(error, CmrbenchError) else f"{type(error).__name__}: {text}"
    return shortened(text, _LONGEST_CAUSE)


def shortened(text: str, most: int) -> str:
    """Text that can be stored: at most that many characters, the middle left out, and no half characters."""
    if len(text) > most:
        half = (most - 5) // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return text.encode("utf-8", "replace").decode("utf-8")


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its text cannot be made)"


class _Logged(logging.Handler):
    """Keeps what a method logs as a warning or worse, once each."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: dict[str, None] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._kept)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a message that does not fit its arguments must not cost the run
            if len(self._kept) < _MOST_WARNINGS:
                self._kept[shortened(record.getMessage(), _LONGEST_CAUSE)] = None

    def __enter__(self) -> _Logged:
        logging.getLogger(LOGGER).addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger(LOGGER).removeHandler(self)


def _told(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    texts = (shortened(f"{w.category.__name__}: {w.message}", _LONGEST_CAUSE) for w in caught)
    return tuple(dict.fromkeys(texts))


def peak_rss() -> int:
    """Peak resident memory of this process in bytes, since `_reset_peak` where the system can (Linux)."""
    peak = _status_bytes("VmHWM")
    if peak:
        return peak
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(usage) * (1 if sys.platform == "darwin" else 1024)


def _reset_peak() -> None:
    """Make what is resident now the peak, so that a run does not show what an earlier one in its process took."""
    with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as handle:
        handle.write("5")


def now() -> str:
    """The time in ISO 8601, UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _environment(planned: PlannedRun) -> Mapping[str, str]:
    from cmrbench.run.environment import describe

    return describe(planned.device, planned.threads)


def _to_message(result: RunResult) -> bytes:
    try:
        return _to_bytes(result)
    except BaseException as error:
        cause = f"the result cannot be stored: {describe_error(error)}"
        return _to_bytes(replace(result, status="failed", cause=cause, trace="", warnings=(), records=()))


def _to_bytes(result: RunResult) -> bytes:
    import pyarrow as pa

    from cmrbench.store.schema import to_table

    table = to_table(result)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
