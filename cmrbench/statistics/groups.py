"""Compact letter display: methods that share a letter cannot be told apart, those that share none can."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def letter_groups(different: npt.ArrayLike) -> list[frozenset[int]]:
    """The groups of a compact letter display, by insertion and absorption.

    Parameters
    ----------
    different : array-like of bool, shape (n, n)
        Symmetric; whether two methods differ significantly.

    Returns
    -------
    list of frozenset of int
        By smallest member, then by the rest. Two indices are in one group if and only if they do not differ; every
        index is in at least one.

    Raises
    ------
    ValueError
        If the matrix is not square and symmetric, or says that a method differs from itself.

    Notes
    -----
    Piepho 2004, Journal of Computational and Graphical Statistics 13. What he calls a column of letters is a group.
    """
    matrix = np.asarray(different, dtype=bool)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).any() or matrix.diagonal().any():
        raise ValueError("expected a square symmetric matrix with a diagonal of False")
    n = len(matrix)
    groups: list[frozenset[int]] = [frozenset(range(n))] if n else []
    for i in range(n):
        for j in range(i + 1, n):
            if matrix[i, j]:
                groups = _absorbed(
                    [part for g in groups for part in ((g - {i}, g - {j}) if i in g and j in g else (g,))]
                )
    return sorted(groups, key=sorted)


def _absorbed(groups: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    kept: list[frozenset[int]] = []
    for group in sorted(set(groups), key=len, reverse=True):
        if group and not any(group <= other for other in kept):
            kept.append(group)
    return kept


def letters(different: npt.ArrayLike) -> list[str]:
    """``["a", "ab", "b"]``: for each index the letters of its groups; give the methods from the best to the worst.

    Parameters
    ----------
    different : array-like of bool, shape (n, n)
        As for `letter_groups`.
    """
    groups = letter_groups(different)
    return [
        "".join(_letter(k) for k, group in enumerate(groups) if i in group) for i in range(len(np.asarray(different)))
    ]


def _letter(number: int) -> str:
    """``a`` to ``z``, ``A`` to ``Z``, then with primes."""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return alphabet[number % len(alphabet)] + "'" * (number // len(alphabet))
