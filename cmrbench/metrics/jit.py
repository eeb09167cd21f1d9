"""How kernels are compiled: by numba, at their first call, and kept on disk where a folder for that can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_HOW = {"nogil": True, "error_model": "numpy"}  # a check for division by zero would keep loops from vectorising

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """`function`, compiled; it does not hold the interpreter lock, and divides as numpy does."""
    try:
        fast: F = numba.njit(cache=True, **_HOW)(function)
    except RuntimeError:  # numba finds no such folder
        fast = numba.njit(**_HOW)(function)
    return fast
