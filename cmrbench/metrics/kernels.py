"""The inner loops of the engine, compiled by numba; imported only where there is enough to rank (`compiled`).

Labels come as words of 64 bits, uint64 (words, n): bit masks of which two items share a bit (``shared``), or one class
number an item, which two items have in common. Loops that must vectorise run over 1-d slices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

TILE = 4096  # gallery items whose keys are held at a time: they stay in the first-level cache
SLAB = 4 * TILE  # gallery items that all queries of a block go through before the next: they stay in the second
_DIGIT = 11  # bits a radix pass sorts by
_KEY = np.uint64(0xFFFF)
_ONE = np.uint64(1)  # beside a plain 1 an unsigned number would turn signed, and with another into a float

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """`function` compiled at its first call; the result is kept on disk where a folder for it can be written."""
    try:
        fast: F = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no such folder
        fast = numba.njit(nogil=True)(function)
    return fast


def _popcount(_: Any, words: Any) -> Any:
    """Number of set bits of a uint64, as one instruction where the processor has it."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


popcount = intrinsic(_popcount)


@compiled
def hamming_histograms(
    q_codes: np.ndarray,
    g_codes: np.ndarray,
    q_labels: np.ndarray,
    g_labels: np.ndarray,
    shared: bool,
    start: int,
    stop: int,
    counts: np.ndarray,
) -> None:
    """Count gallery items by distance and relevance, for the queries from `start` up to `stop`.

    Adds to `counts`, int64 (stop - start, 2 * levels): column ``2 d + 1`` holds the relevant items at distance d,
    column ``2 d`` the others. Eight private tables keep runs of equal distances from waiting for one another.
    """
    n = g_codes.shape[1]
    keys = np.empty(TILE, np.uint16)
    words = keys.view(np.uint64)
    tables = np.empty((8, counts.shape[1]), np.uint32)
    for slab in range(0, n, SLAB):
        for query in range(start, stop):
            tables[:] = 0
            for first in range(slab, min(slab + SLAB, n), TILE):
                last = min(first + TILE, n)
                _distance_keys(q_codes, g_codes, q_labels, g_labels, shared, query, first, last, keys)
                fours = (last - first) // 4
                _count(words[:fours], tables)
                for i in range(4 * fours, last - first):
                    tables[0, keys[i]] += np.uint32(1)
            row = counts[query - start]
            for table in range(8):
                one = tables[table]
                for i in range(len(row)):
                    row[i] += one[i]


@compiled
def _distance_keys(
    q_codes: np.ndarray,
    g_codes: np.ndarray,
    q_labels: np.ndarray,
    g_labels: np.ndarray,
    shared: bool,
    query: int,
    first: int,
    last: int,
    keys: np.ndarray,
) -> None:
    """Twice the distance, plus 1 where relevant, of the gallery items from `first` up to `last`."""
    key = keys[: last - first]
    code, label = g_codes[0, first:last], g_labels[0, first:last]
    c, own = q_codes[0, query], q_labels[0, query]
    if shared:
        for i in range(len(key)):
            key[i] = np.uint16(2 * popcount(c ^ code[i]) + ((own & label[i]) != 0))
    else:
        for i in range(len(key)):
            key[i] = np.uint16(2 * popcount(c ^ code[i]) + (own == label[i]))
    for word in range(1, len(g_codes)):
        code, c = g_codes[word, first:last], q_codes[word, query]
        for i in range(len(key)):
            key[i] += np.uint16(2 * popcount(c ^ code[i]))
    for word in range(1, len(g_labels)):
        label, own = g_labels[word, first:last], q_labels[word, query]
        for i in range(len(key)):
            key[i] |= np.uint16((own & label[i]) != 0)


@compiled
def _count(words: np.ndarray, tables: np.ndarray) -> None:
    """Count the four keys in every word, each of eight neighbours in a table of its own."""
    a, b, c, d = tables[0], tables[1], tables[2], tables[3]
    e, f, g, h = tables[4], tables[5], tables[6], tables[7]
    one = np.uint32(1)
    for i in range(len(words) // 2):
        x, y = words[2 * i], words[2 * i + 1]
        a[x & _KEY] += one
        b[(x >> np.uint64(16)) & _KEY] += one
        c[(x >> np.uint64(32)) & _KEY] += one
        d[x >> np.uint64(48)] += one
        e[y & _KEY] += one
        f[(y >> np.uint64(16)) & _KEY] += one
        g[(y >> np.uint64(32)) & _KEY] += one
        h[y >> np.uint64(48)] += one
    if len(words) % 2:
        x = words[len(words) - 1]
        a[x & _KEY] += one
        b[(x >> np.uint64(16)) & _KEY] += one
        c[(x >> np.uint64(32)) & _KEY] += one
        d[x >> np.uint64(48)] += one


@compiled
def hamming_stable(
    q_codes: np.ndarray,
    g_codes: np.ndarray,
    q_labels: np.ndarray,
    g_labels: np.ndarray,
    shared: bool,
    query: int,
    counts: np.ndarray,
    cut: int,
    found_at: np.ndarray,
    groups: np.ndarray,
    at: int,
) -> int:
    """Relevant items within the first `cut` ranks of one query, items at equal distance in gallery order.

    `counts`, int64 (2 * levels,), is the query's row of `hamming_histograms`, which says at which rank every distance
    begins; `found_at` is room for n bytes; `groups`, `at` and what is returned are as in `write_groups`.
    """
    n = g_codes.shape[1]
    keys = np.empty(TILE, np.uint16)
    rank = np.empty(len(counts) // 2, np.int64)  # of the next item at every distance
    rank[0] = 0
    for d in range(1, len(rank)):
        rank[d] = rank[d - 1] + counts[2 * d - 2] + counts[2 * d - 1]
    for first in range(0, n, TILE):
        last = min(first + TILE, n)
        _distance_keys(q_codes, g_codes, q_labels, g_labels, shared, query, first, last, keys)
        for i in range(last - first):
            d = keys[i] >> 1
            found_at[rank[d]] = keys[i] & 1
            rank[d] += 1
    found = 0
    for i in range(cut):
        if found_at[i]:
            groups[0, at], groups[1, at], groups[2, at], groups[3, at] = i, found, 1, 1
            at += 1
            found += 1
    return at


@compiled
def write_keys(
    scores: np.ndarray,
    q_labels: np.ndarray,
    g_labels: np.ndarray,
    shared: bool,
    query: int,
    top: np.uint64,
    keys: np.ndarray,
) -> int:
    """Keys of one query's scores: ascending keys are descending scores, the lowest bit says what is relevant.

    A score's sign and magnitude as whole numbers take one bit too many to leave room for relevance. So the magnitudes
    of a row are moved down until the largest is at most `top`; zero stays zero. That loses nothing unless the
    row's magnitudes other than zero are over 2**128 (float32) or 2**1024 (float64) apart.

    Parameters
    ----------
    scores : ndarray of uint32 or uint64, shape (n,)
        Bits of float32 or float64 scores.
    query : int
        The column of `q_labels`.
    top : uint64
        Largest magnitude with the two highest bits clear.
    keys : ndarray of the dtype of `scores`, shape (n,)
        Where the keys go.

    Returns
    -------
    int
        Number of relevant items; -1 if the magnitudes are too far apart.
    """
    magnitude = np.uint64(2) * top + np.uint64(1)  # also the mask of all bits but the sign
    largest, smallest = np.uint64(0), magnitude
    for i in range(len(scores)):
        v = np.uint64(scores[i]) & magnitude
        largest = max(largest, v)
        smallest = min(smallest, (v - np.uint64(1)) & magnitude)  # 0 wraps around to the largest
    offset = largest - top if largest > top else np.uint64(0)
    if smallest < offset:
        return -1

    label, own = g_labels[0], q_labels[0, query]
    if shared:
        for i in range(len(keys)):
            keys[i] = (own & label[i]) != 0
    else:
        for i in range(len(keys)):
            keys[i] = own == label[i]
    for word in range(1, len(g_labels)):
        label, own = g_labels[word], q_labels[word, query]
        for i in range(len(keys)):
            keys[i] |= (own & label[i]) != 0

    relevant: Any = 0
    for i in range(len(keys)):
        bits = np.uint64(scores[i])
        v = bits & magnitude
        v = v - offset if v > 0 else v
        place = top + v if bits > magnitude else top - v
        relevant += np.int64(keys[i] & _ONE)
        keys[i] |= np.uint64(2) * place
    count: int = relevant
    return count


@compiled
def radix_sort(keys: np.ndarray, spare: np.ndarray, shift: int, table: np.ndarray) -> np.ndarray:
    """`keys` in ascending order of their bits from `shift` up, in `keys` or `spare`; equal ones keep their order."""
    source, target = keys, spare
    mask = np.uint64((1 << _DIGIT) - 1)
    for low in range(shift, 8 * keys.itemsize, _DIGIT):
        by = np.uint64(low)
        table[:] = 0
        for i in range(len(source)):
            table[(np.uint64(source[i]) >> by) & mask] += np.uint32(1)
        if table[(np.uint64(source[0]) >> by) & mask] == len(source):
            continue  # one digit for all
        before = np.uint32(0)
        for i in range(len(table)):
            count = table[i]
            table[i] = before
            before += count
        for i in range(len(source)):
            key = source[i]
            digit = (np.uint64(key) >> by) & mask
            target[table[digit]] = key
            table[digit] += np.uint32(1)
        source, target = target, source
    return source


@compiled
def sum_of_precisions(keys: np.ndarray, inverse: np.ndarray, H: np.ndarray) -> float:
    """Expected sum of the precisions at all relevant items of one ranking; AP times R.

    Parameters
    ----------
    keys : ndarray, shape (n,)
        Keys of `write_keys` in ascending order: in a tie group the items that are not relevant come first.
    inverse, H : ndarray of float64, shapes (n,) and (n + 1,)
        ``1 / rank`` and the harmonic numbers.
    """
    n = len(keys)
    a = b = c = d = 0.0
    found: Any = np.int64(0)
    mixed = 0.0
    previous = keys[0] | _ONE  # not the end of a group's other items
    ends = n - n % 4
    for i in range(0, ends, 4):
        k0, k1, k2, k3 = keys[i], keys[i + 1], keys[i + 2], keys[i + 3]
        if (previous ^ k0) == _ONE or (k0 ^ k1) == _ONE or (k1 ^ k2) == _ONE or (k2 ^ k3) == _ONE:
            before = found
            for j in range(i, i + 4):
                if j and (keys[j - 1] ^ keys[j]) == _ONE:
                    mixed += _tie_correction(keys, j, before, inverse, H)
                before += np.int64(keys[j] & _ONE)
        r0, r1, r2, r3 = np.int64(k0 & _ONE), np.int64(k1 & _ONE), np.int64(k2 & _ONE), np.int64(k3 & _ONE)
        f0 = found + r0
        f1 = f0 + r1
        f2 = f1 + r2
        found = f2 + r3
        a += (f0 * r0) * inverse[i]
        b += (f1 * r1) * inverse[i + 1]
        c += (f2 * r2) * inverse[i + 2]
        d += (found * r3) * inverse[i + 3]
        previous = k3
    for i in range(ends, n):
        if i and (keys[i - 1] ^ keys[i]) == _ONE:
            mixed += _tie_correction(keys, i, found, inverse, H)
        r = np.int64(keys[i] & _ONE)
        found += r
        a += (found * r) * inverse[i]
    return (a + b) + (c + d) + mixed


@compiled
def _tie_correction(keys: np.ndarray, i: int, P: Any, inverse: np.ndarray, H: np.ndarray) -> float:
    """What a tie group adds in expectation, less what it adds with its relevant items, from rank i on, last."""
    last, first = i, i - 1
    while last + 1 < len(keys) and keys[last + 1] == keys[i]:
        last += 1
    while first > 0 and keys[first - 1] == keys[i - 1]:
        first -= 1
    t, r = last + 1 - first, last + 1 - i
    worst: float = 0.0
    for j in range(r):
        worst += (P + 1 + j) * inverse[i + j]
    h = H[first + t] - H[first]
    c = (r - 1) / (t - 1)
    mean: float = r / t * ((P + 1) * h + c * (t - (first + 1) * h))
    return mean - worst


@compiled
def write_groups(keys: np.ndarray, cut: int, alone: bool, groups: np.ndarray, at: int) -> int:
    """Tie groups with relevant items that begin within the first `cut` ranks of one ranking.

    Parameters
    ----------
    keys : ndarray, shape (n,)
        Sorted keys of `write_keys`.
    alone : bool
        Whether every item is a group of its own, as under the rule ``stable``.
    groups : ndarray of int64, shape (4, capacity)
        T, P, t and r of every group, written from column `at` on.

    Returns
    -------
    int
        The first column that is free.
    """
    n, i = len(keys), 0
    found: Any = 0
    while i < cut:
        end = i + 1
        r: Any = np.int64(keys[i] & _ONE)
        if not alone:
            while end < n and (keys[end] ^ keys[i]) <= _ONE:
                r += np.int64(keys[end] & _ONE)
                end += 1
        if r:
            groups[0, at], groups[1, at], groups[2, at], groups[3, at] = i, found, end - i, r
            at += 1
            found += r
        i = end
    return at
