"""What is found out once about the rows of an array: lengths and equal rows, without a copy of the array."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

_AT_A_TIME = 1 << 18  # values: small enough for the second-level cache
_PREFIX = 8  # columns that tell rows apart in most arrays


def some_rows(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the rows of an array of a shape, of a few values each, that together are all."""
    step = max(1, _AT_A_TIME // max(1, math.prod(shape[1:])))
    return (slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def with_norms(rows: np.ndarray, check: Callable[[], object]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their Euclidean norms, float (n,); the norm of a zero row is 1.

    Rows so long or short that squares or products could overflow or vanish come back scaled, each by a power of two.
    First `check` is called: numbers that are not finite show in the squares, and need not be looked for otherwise.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows)
    most = np.ldexp(np.ones((), rows.dtype), np.finfo(rows.dtype).maxexp * 3 // 4)
    zero = squares == 0
    if not (squares <= most).all() or not (squares[~zero] >= 1 / most).all() or rows[zero].any():
        check()
        rows = scaled(rows)
        squares = np.einsum("ij,ij->i", rows, rows)
        zero = squares == 0
    norms: np.ndarray = np.sqrt(squares)
    norms[zero] = 1
    return rows, norms


def scaled(rows: np.ndarray) -> np.ndarray:
    """Each row times the power of two that brings its largest entry to [0.5, 1): exact, and nothing can overflow."""
    largest = np.maximum(rows.max(axis=1, keepdims=True), -rows.min(axis=1, keepdims=True))
    power = -np.frexp(largest)[1]
    most = np.finfo(rows.dtype).maxexp - 1
    result: np.ndarray = rows * np.ldexp(np.ones_like(largest), np.clip(power, -most, most))
    if (np.abs(power) > most).any():  # a factor that a number of this width does not hold
        result *= np.ldexp(np.ones_like(largest), power - np.clip(power, -most, most))
    return result


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The distinct rows, and which of them every row is; None if no two rows are equal."""
    for width in sorted({min(_PREFIX, rows.shape[1]), rows.shape[1]}):  # mostly settled without reading whole rows
        found = np.sort(hashes(rows[:, :width]))
        if not (found[1:] == found[:-1]).any():
            return rows, None
    folded = _folded(rows)
    as_bytes = folded.view(np.dtype((np.void, folded.dtype.itemsize * folded.shape[1]))).ravel()
    _, first, item = np.unique(as_bytes, return_index=True, return_inverse=True)
    return (rows, None) if len(first) == len(rows) else (rows[first], item.ravel())


def hashes(rows: np.ndarray) -> np.ndarray:
    """A number for every row, uint64, that is the same for equal rows."""
    words = rows.dtype.itemsize * rows.shape[1] // 4
    factors = np.random.default_rng(0).integers(1 << 63, size=words, dtype=np.uint64) | np.uint64(1)
    found = np.empty(len(rows), dtype=np.uint64)
    for some in some_rows(rows.shape):
        found[some] = np.einsum("ij,j->i", _folded(rows[some]).view(np.uint32), factors)
    return found


def _folded(rows: np.ndarray) -> np.ndarray:
    """Contiguous rows with -0 turned into +0, so that equal rows have equal bytes."""
    return np.ascontiguousarray(rows + rows.dtype.type(0))
