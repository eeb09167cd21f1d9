"""How kernels are compiled: by numba, at their first call, and kept on disk where a folder for that can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """`function`, compiled; it does not hold the interpreter lock."""
    try:
        fast: F = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no such folder
        fast = numba.njit(nogil=True)(function)
    return fast
