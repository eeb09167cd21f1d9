"""Scores and relevance as whole-number keys by numpy: one sort of keys in place of an order and two gathers.

Ascending keys are descending scores, and the lowest bit says what is relevant; `kernels.sorting` makes the same keys.
"""

from __future__ import annotations

import numpy as np

from cmrbench.metrics.ties import Groups

KEYS: dict[np.dtype | None, np.dtype] = {
    np.dtype(np.float32): np.dtype(np.uint32),
    np.dtype(np.float64): np.dtype(np.uint64),
}
"""Width of the keys of scores."""


def top_magnitude(key: np.dtype) -> int:
    """Largest magnitude that leaves room for a sign and relevance: the two highest bits are clear."""
    return (1 << (8 * key.itemsize - 2)) - 1


def sorted_keys(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray | None:
    """Keys of every row of scores (rows, n), in ascending order; None where scores do not fit into keys.

    The magnitudes of a row are moved down until the largest is at most `top_magnitude`; zero stays zero. That loses
    nothing unless the row's magnitudes other than zero are over 2**128 (float32) or 2**1024 (float64) apart.
    """
    key = KEYS.get(scores.dtype)
    if key is None:
        return None
    top, one = key.type(top_magnitude(key)), key.type(1)
    bits = np.ascontiguousarray(scores).view(key)
    v = bits & key.type(2 * int(top) + 1)  # magnitudes
    if v.max() > top:
        largest = v.max(axis=1, keepdims=True)
        offset = np.where(largest > top, largest - top, key.type(0))
        if ((v > 0) & (v < offset + one) & (offset > 0)).any():
            return None
        v = np.where(v > 0, v - offset, v)
    signs = (bits.view(f"i{key.itemsize}") >> (8 * key.itemsize - 1)).view(key)  # all ones below zero
    v ^= signs
    v -= signs  # the two's complement: v or -v
    keys: np.ndarray = np.subtract(top, v, out=v)
    keys <<= one
    keys |= relevant
    keys.sort(axis=1)
    return keys


def mixed_ties(keys: np.ndarray) -> np.ndarray:
    """Rows of sorted keys in which a relevant item ties with one that is not: bool (rows,)."""
    mixed: np.ndarray = ((keys[:, 1:] ^ keys[:, :-1]) == 1).any(axis=1)
    return mixed


def ap_of_keys(keys: np.ndarray, R: np.ndarray) -> np.ndarray:
    """AP of rankings without mixed ties: float64 (rows,); 0 where nothing is relevant."""
    relevant = (keys & keys.dtype.type(1)).astype(np.int32)
    found = np.cumsum(relevant, axis=1, dtype=np.int32)
    found *= relevant
    ap: np.ndarray = (found / np.arange(1, keys.shape[1] + 1)).sum(axis=1) / np.maximum(R, 1)
    return ap


def groups_of_keys(keys: np.ndarray, mixed: np.ndarray) -> Groups:
    """Tie groups with relevant items of every row of sorted keys.

    In rows without `mixed` ties every relevant item is a group of its own, which comes to the same.
    """
    rows = len(keys)
    if mixed.all():
        return Groups.build(rows, *_tie_groups(keys))
    row, T = np.nonzero((keys & keys.dtype.type(1)).astype(bool) & ~mixed[:, None])
    if not mixed.any():
        return Groups.alone(rows, row, T)
    one = np.ones_like(row)
    tied = list(_tie_groups(keys[mixed]))
    tied[0] = np.flatnonzero(mixed)[tied[0]]
    row, T, t, r = (np.concatenate(both) for both in zip((row, T, one, one), tied, strict=True))
    order = np.argsort(row, kind="stable")
    return Groups.build(rows, row[order], T[order], t[order], r[order])


def _tie_groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, T, t and r of the tie groups with relevant items."""
    first = np.ones(keys.shape, dtype=bool)
    np.greater(keys[:, 1:] ^ keys[:, :-1], 1, out=first[:, 1:])
    return groups_of_runs(first, (keys & keys.dtype.type(1)).astype(bool))


def groups_of_runs(first: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, T, t and r of the tie groups with relevant items.

    Parameters
    ----------
    first, relevant : ndarray of bool, shape (rows, n)
        Of the item at every rank, whether a tie group begins with it, and whether it is relevant.
    """
    starts = np.flatnonzero(first)
    size = np.diff(starts, append=first.size)
    r = np.add.reduceat(relevant.ravel(), starts, dtype=np.int64)
    some = np.flatnonzero(r)
    row, T = np.divmod(starts[some], first.shape[1])
    return row, T, size[some], r[some]
