"""Kernels for real-valued scores in shards: the keys of one query, and items above and level with given keys.

The numpy forms in `cmrbench.metrics.shards.keys` say what they compute.
"""

from __future__ import annotations

import numpy as np

from cmrbench.metrics.kernels.jit import compiled

_ONE = np.uint64(1)  # beside a plain 1 an unsigned number would turn signed, and with another into a float
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@compiled
def take_keys(bits: np.ndarray, relevant: np.ndarray, only_relevant: bool, keys: np.ndarray) -> tuple[int, np.uint64]:
    """Write the keys of float scores, given as their bits, of all items or of the relevant ones.

    Returns
    -------
    int, uint64
        How many were written, and the sum of the hashes of the relevant items' keys.
    """
    half = np.uint64((1 << (8 * keys.itemsize - 1)) - 1)
    total = np.uint64(0)
    count = 0
    for i in range(len(bits)):
        word = np.uint64(bits[i])
        key = word if word > half + _ONE else (word ^ half) & half
        keys[count] = key
        count += relevant[i] if only_relevant else 1
        if relevant[i]:
            x = (key ^ (key >> _SHIFTS[0])) * _FACTORS[0]
            x = (x ^ (x >> _SHIFTS[1])) * _FACTORS[1]
            total += x ^ (x >> _SHIFTS[2])
    return count, total


@compiled
def count_before(keys: np.ndarray, anchors: np.ndarray, T: np.ndarray, t: np.ndarray) -> None:
    """For each of the anchors, the keys below it (T) and those equal to it (t); both are sorted."""
    i, n = 0, len(keys)
    for j in range(len(anchors)):
        anchor = anchors[j]
        while i < n and keys[i] < anchor:
            i += 1
        end = i
        while end < n and keys[end] == anchor:
            end += 1
        T[j], t[j] = i, end - i
