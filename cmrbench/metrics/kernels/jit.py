"""How kernels are compiled: by numba, at their first call, and kept on disk where a folder for that can be written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import event

_HOW = {"nogil": True, "error_model": "numpy"}  # a check for division by zero would keep loops from vectorising

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """`function`, compiled; it does not hold the interpreter lock, and divides as numpy does.

    What is kept on disk is made anew when the function's own file changes, and only then: kernels that call one
    another belong in one file.
    """
    try:
        fast: F = numba.njit(cache=True, **_HOW)(function)
    except RuntimeError:  # numba finds no such folder
        fast = numba.njit(**_HOW)(function)
    return fast


class _Notice(event.Listener):  # type: ignore[misc]  # numba has no types
    """Says on standard error, once, that kernels are being compiled: nothing else is seen to happen for seconds."""

    def on_start(self, event: Any) -> None:
        if event.data["dispatcher"].py_func.__module__.startswith(__package__ or ""):
            self.on_start = self.on_end  # type: ignore[method-assign]
            print(
                "cmrbench: compiling the evaluation kernels (some seconds, at the first use of each)", file=sys.stderr
            )

    def on_end(self, event: Any) -> None:
        """Nothing to say: the answer follows."""


event.register("numba:compile", _Notice())
