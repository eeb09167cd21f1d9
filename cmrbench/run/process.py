"""The process of a run as its parent sees it: start it, read what it sends, end it with all that it started."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from cmrbench.run.messages import PROGRESS, GarbledError, Inbox
from cmrbench.run.plan import PlannedRun
from cmrbench.run.worker import main as worker_main

KEPT_OUTPUT = 64 * 1024
"""Bytes kept of what a run prints."""

_PRELOAD = ["cmrbench.run.worker", "cmrbench.run.execute", "cmrbench.data", "cmrbench.store.schema", "scipy.linalg"]

_SERVER_GRACE = 10.0
"""Seconds that a start waits for a new server where the old one is dying."""

_UNKNOWN = 255
"""What multiprocessing gives as exit code where the server is no longer there to tell."""

_CHUNK = 1 << 16
_MOST_CHUNKS = 32
"""Chunks read at a time: a run that prints without end must not keep the parent from the others."""


class RunProcess:
    """A started process, which carries out a run, and others after it if it is told to.

    Attributes
    ----------
    printed : bytearray
        The tail of what the present run printed.
    finished : bool
        Whether the present run's result has come.
    garbled : bool
        Whether something came that the harness did not send.
    """

    def __init__(self, planned: PlannedRun, max_memory: int | None, context: ForkServerContext | SpawnContext) -> None:
        self.printed = bytearray()
        self.finished = False
        self.garbled = False
        self._inbox = Inbox()
        self._messages, messages_there = context.Pipe(duplex=False)
        self._output, output_there = context.Pipe(duplex=False)
        orders_there, self._orders = context.Pipe(duplex=False)
        there = messages_there, output_there, orders_there
        self._process = context.Process(target=worker_main, args=(planned, *there, max_memory, _settings()))
        try:
            _start(self._process)
        except BaseException:
            self._close()
            raise
        finally:
            for end in there:
                end.close()
        self._started = time.perf_counter()
        for end in (self._messages, self._output):
            os.set_blocking(end.fileno(), False)

    @property
    def elapsed(self) -> float:
        """Wall seconds since the start."""
        return time.perf_counter() - self._started

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.is_alive()

    @property
    def memory(self) -> int:
        """Resident bytes of the process and its descendants."""
        return _memory(self._process.pid)

    def watched(self) -> list[int | Connection]:
        """What `multiprocessing.connection.wait` can wait for: messages, output, the end."""
        return [self._process.sentinel, *(end for end in (self._messages, self._output) if not end.closed)]

    def go_on(self, planned: PlannedRun) -> bool:
        """Have a process that has sent a result and waits carry out another run; False if it is not there any more."""
        for _ in _chunks(self._output):  # all that is printed before the next run starts is another's
            pass
        self.printed.clear()
        self.finished = False
        self._started = time.perf_counter()
        try:
            self._orders.send(planned)
        except OSError:
            return False
        return True

    def read(self) -> list[tuple[bytes, bytes]]:
        """Read what there is, never waiting: messages as kind and payload, in the order in which they were sent."""
        for chunk in _chunks(self._output):
            self.printed += chunk
            del self.printed[:-KEPT_OUTPUT]
        messages = []
        try:
            for chunk in _chunks(self._messages):
                messages += self._inbox.feed(chunk)
        except GarbledError:
            self.garbled = True
            self._messages.close()
        self.finished = self.finished or any(kind != PROGRESS for kind, _ in messages)
        return messages

    def kill(self) -> list[tuple[bytes, bytes]]:
        """End the process and all that it started, wherever that has gone meanwhile; the last messages it sent."""
        import psutil

        pid = self._process.pid
        others: list[psutil.Process] = []
        with suppress(psutil.Error):
            others = psutil.Process(pid).children(recursive=True)
        if pid is not None:
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
        for other in others:
            with suppress(psutil.Error):
                other.kill()
        self._process.join(timeout=5)
        messages = self.read()
        self._close()
        return messages

    def _close(self) -> None:
        for end in (self._messages, self._output, self._orders):
            end.close()

    @property
    def lost(self) -> bool:
        """Whether the server that forked it seems to have died, which tells nothing about the run."""
        return not self.finished and self._process.exitcode == _UNKNOWN

    def how_it_ended(self) -> tuple[str, str]:
        """Status and cause of a process that ended without a result."""
        code = self._process.exitcode
        if code is not None and code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            hint = "; the system may have run out of memory" if name == "SIGKILL" else ""
            return "killed", f"the run's process was ended by {name}{hint}"
        return "failed", f"the run's process ended with exit code {code} and no result"


def listen(processes: list[RunProcess], seconds: float) -> None:
    """Wait until any of the processes has something to read or has ended, or the time is over."""
    if processes:
        wait([source for process in processes for source in process.watched()], seconds)
    else:
        time.sleep(seconds)


def start_method(torch: bool) -> ForkServerContext | SpawnContext:
    """A start method whose processes have the libraries loaded, where the platform can fork; fresh ones elsewhere."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOAD, "torch"] if torch else _PRELOAD)
    return context


def _chunks(end: Connection) -> Iterator[bytes]:
    for _ in range(_MOST_CHUNKS):
        if end.closed:
            return
        try:
            chunk = os.read(end.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            end.close()
            return
        yield chunk


def _memory(pid: int | None) -> int:
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    used = 0
    for member in family:
        # One that has just ended must not hide the others.
        with suppress(psutil.Error):
            used += int(member.memory_info().rss)
    return used


def _settings() -> dict[str, str]:
    """The project's environment variables, which a server process started earlier may not have."""
    return {name: value for name, value in os.environ.items() if name.startswith("CMRBENCH_")}


_main_module = threading.Lock()


def _start(process: BaseProcess) -> None:
    """Start a process; where the server that forks it is just dying, wait until another has taken its place."""
    last = time.perf_counter() + _SERVER_GRACE
    while True:
        try:
            with _no_main_module():
                process.start()
            return
        except (ConnectionError, EOFError):
            if time.perf_counter() > last:
                raise
        time.sleep(0.1)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Start a process that does not import the caller's script again.

    multiprocessing would run the main module in every new process; a user's script without a main guard would then
    plan its runs once more in each of them. One thread at a time, or one would put back the other's stand-in.
    """
    with _main_module:
        real = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = real
