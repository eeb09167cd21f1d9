"""What a method's representations must be; shared by runs and by the conformance checks."""

from __future__ import annotations

import numpy as np


def shape_problem(array: object, rows: int, bits: int | None) -> str | None:
    """What is wrong with the type or shape: a numpy array ``(rows, bits)``, or ``(rows, k)`` without bits."""
    expected = f"({rows}, {bits if bits else 'k'})"
    if not isinstance(array, np.ndarray):
        return f"{type(array).__name__}, expected a numpy array of shape {expected}"
    if array.ndim != 2 or array.shape[0] != rows or array.shape[1] == 0 or (bits and array.shape[1] != bits):
        return f"shape {array.shape}, expected {expected}"
    return None


def dtype_problem(array: np.ndarray, output: str) -> str | None:
    """What is wrong with the dtype: float32 for vectors (``"real"``), int8 for codes (``"hash"``)."""
    expected = np.dtype(np.int8 if output == "hash" else np.float32)
    return None if array.dtype == expected else f"dtype {array.dtype}, expected {expected}"


def value_problem(array: np.ndarray, output: str) -> str | None:
    """What is wrong with the values: codes are -1 or +1, vectors are finite."""
    wrong = np.abs(array) != 1 if output == "hash" else ~np.isfinite(array)
    rows = np.flatnonzero(wrong.any(axis=1))
    if not rows.size:
        return None
    if output == "hash":
        value = array[rows[0]][wrong[rows[0]]][0]
        return f"the value {value} in row {rows[0]}; codes must be -1 or +1"
    return f"NaN or infinite values in {rows.size} of {len(array)} rows, first in row {rows[0]}"


def output_problem(array: object, output: str, rows: int, bits: int | None) -> str | None:
    """The first thing that is wrong with the representations of `rows` items, or None."""
    problem = shape_problem(array, rows, bits if output == "hash" else None)
    if problem is not None or not isinstance(array, np.ndarray):
        return problem
    return dtype_problem(array, output) or value_problem(array, output)
