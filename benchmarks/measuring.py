"""Seconds of one thread and peak memory of a call."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import threadpoolctl


@dataclass(frozen=True)
class Measured:
    """Seconds of a call, what it held at its peak beyond what was held before it, and what it returned."""

    seconds: float
    peak_mb: float | None
    value: Any


@contextlib.contextmanager
def numerical_threads(count: int) -> Iterator[None]:
    """BLAS, OpenMP and torch on `count` threads each."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpoolctl.threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def measured(function: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> Measured:
    """Call `function`; CPU time of the process unless another clock is given."""
    held = reset_peak()
    start = clock()
    value = function()
    seconds = clock() - start
    return Measured(seconds, None if held is None else _status("VmHWM") - held, value)


def alternate(first: Callable[[], Measured], second: Callable[[], Measured], repeats: int) -> tuple[Measured, Measured]:
    """Both in turn, A B A B: medians of the seconds, largest of the peaks."""
    rounds = [(first(), second()) for _ in range(repeats)]
    return summary([a for a, _ in rounds]), summary([b for _, b in rounds])


def summary(runs: list[Measured]) -> Measured:
    """Median of the seconds, largest peak, last value."""
    peaks = [run.peak_mb for run in runs if run.peak_mb is not None]
    return Measured(median(run.seconds for run in runs), max(peaks, default=None), runs[-1].value)


def reset_peak() -> float | None:
    """Start a new measurement of peak memory; MB held now, or None where only Linux could tell."""
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # freed memory that is still held would hide what is asked for next
        Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is held now
        return _status("VmRSS")
    except OSError:
        return None


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")
