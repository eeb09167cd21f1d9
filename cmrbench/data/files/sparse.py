"""Sparse matrices of files, given out as dense blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.stored import MAX_ARRAY_BYTES, Key, Stored, Unreadable, said

MAX_SPARSE_AXIS = 50_000_000
"""A sparse matrix takes memory for each of its rows, whether there is anything in it or not."""


def from_matrix(file: str, name: str, matrix: Any) -> Stored:
    """What `from_parts` made as a stored array of its dtype; kept as rows, since rows are what is asked for."""
    if matrix.dtype.kind not in "biuf":
        raise Unreadable(f"a sparse matrix of the type {matrix.dtype}")
    if 0 in matrix.shape:
        raise Unreadable("empty")
    rows = matrix.tocsr()
    rows.sum_duplicates()

    def source(key: Key) -> np.ndarray:
        return np.asarray(rows[key[0]].toarray()[:, key[1]])

    return Stored(file, name, tuple(int(k) for k in matrix.shape), matrix.dtype, source)


def from_parts(where: str, layout: str, parts: dict[str, np.ndarray], shape: tuple[int, int]) -> Any:
    """A sparse matrix from `data`, `indices` and `indptr`, whose indices are checked: they come from a file.

    Raises
    ------
    DataError
        If an index leaves the matrix, or lengths disagree.
    """
    from scipy.sparse import csc_array, csr_array

    if layout not in ("csr", "csc"):
        raise DataError(f"{where} is a sparse matrix in the layout {layout!r}; expected csr or csc")
    if min(shape) < 0 or max(shape) > MAX_SPARSE_AXIS or int(shape[0]) * int(shape[1]) > MAX_ARRAY_BYTES:
        raise DataError(f"{where} claims the shape {shape}, which is too large")
    made = csr_array if layout == "csr" else csc_array
    try:
        matrix = made((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, IndexError, TypeError, KeyError) as error:
        raise DataError(f"{where} is not a sound sparse matrix: {said(error)}") from None
    return matrix
