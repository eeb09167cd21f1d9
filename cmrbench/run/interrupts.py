"""Ctrl-C at a moment of our choosing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Hold interrupts back until the function that is yielded is called, so that none falls between a process and
    its place in a list, or between a result and its file. A second interrupt takes effect at once.

    Outside the main thread, where no signal arrives, nothing changes.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield lambda: None
        return
    waiting = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal waiting
        if waiting:
            usual(number, frame)
        waiting = True

    def deliver() -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            usual(signal.SIGINT, None)

    signal.signal(signal.SIGINT, note)
    try:
        yield deliver
        deliver()
    finally:
        signal.signal(signal.SIGINT, usual)
