"""What an array must be before anything is measured; every refusal names the argument and the row."""

from __future__ import annotations

from typing import Any

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.metrics.rows import some_rows


def first_row(bad: np.ndarray) -> int:
    """Index of the first row of `bad` that holds a True."""
    return int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))


def check_positive(**numbers: int) -> None:
    """Refuse what is not a whole number from 1 up; each is named as the option that it is."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise UsageError(f"{name} must be a whole number from 1 up, got {number!r}")
        if number <= 0:
            raise UsageError(f"{name} must be positive, got {number}")


def as_array(values: Any, name: str) -> np.ndarray:
    """`values` as an array, if its rows are of one length."""
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name} cannot be made an array: {error}") from None


def matrix(array: Any, name: str, finite: bool = True) -> np.ndarray:
    """`array` as a 2-d numeric array with at least one row and column, all of it `finite` if that is looked at."""
    values = as_array(array, name)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name} must hold numbers, got dtype {values.dtype}")
    if values.ndim != 2:
        raise DataError(f"{name} must be 2-d, one row an item, got shape {values.shape}")
    if not values.size:
        raise DataError(f"{name} is empty: shape {values.shape}")
    if finite:
        check_finite(values, name)
    return values


def check_finite(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity; the first row that holds one is named."""
    if values.dtype.kind != "f":
        return
    for some in some_rows(values.shape):
        with np.errstate(invalid="ignore", over="ignore"):
            total = values[some].sum()  # finite only if all are
        if not np.isfinite(total) and not (finite := np.isfinite(values[some])).all():
            raise DataError(f"{name} holds NaN or infinity, first in row {some.start + first_row(~finite)}")


def same_width(query: np.ndarray, gallery: np.ndarray) -> None:
    """Refuse query and gallery representations of different width."""
    if query.shape[1] != gallery.shape[1]:
        raise DataError(
            f"query and gallery must have equally many columns, got {query.shape[1]} and {gallery.shape[1]}"
        )
