"""Kernels for packed codes: gallery items are counted by Hamming distance and relevance, and never sorted.

Codes and labels come as words of 64 bits, uint64 (words, n). Labels are bit masks of which two items share a bit
(``shared``), or one class number, which two items have in common. Loops that must vectorise run over 1-d slices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from cmrbench.metrics.kernels.jit import compiled

TILE = 4096  # gallery items whose keys are held at a time: they stay in the first-level cache
SLAB = 4 * TILE  # gallery items that all queries of a block go through before the next: they stay in the second
_KEY = np.uint64(0xFFFF)


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
    tables = np.zeros((8, counts.shape[1]), np.uint32)
    a, b, c, d = tables[0], tables[1], tables[2], tables[3]
    e, f, g, h = tables[4], tables[5], tables[6], tables[7]
    size = SLAB if n > 2 * SLAB else n  # what a query does once per slab is not worth it for a remainder
    for slab in range(0, n, size):
        for query in range(start, stop):
            for first in range(slab, min(slab + size, n), TILE):
                last = min(first + TILE, n)
                _distance_keys(q_codes, g_codes, q_labels, g_labels, shared, query, first, last, keys)
                fours = (last - first) // 4
                _count(words[:fours], tables)
                for i in range(4 * fours, last - first):
                    tables[0, keys[i]] += np.uint32(1)
            row = counts[query - start]
            for i in range(len(row)):
                row[i] += np.int64(a[i] + b[i] + c[i] + d[i] + e[i] + f[i] + g[i] + h[i])
            tables[:] = 0


@compiled
def expected_precisions(counts: np.ndarray, H: np.ndarray, sums: np.ndarray) -> None:
    """Expected sums of the precisions at all relevant items of rankings that are counts; AP times R.

    The sum of S of `cmrbench.metrics.ties` over the distances, without an array of tie groups.

    Parameters
    ----------
    counts : ndarray of int64, shape (rows, 2 * levels)
        As `hamming_histograms` makes them.
    H : ndarray of float64, shape (n + 1,)
        The harmonic numbers.
    sums : ndarray of float64, shape (rows,)
        Where the sums go.
    """
    for row in range(len(counts)):
        T, P, total = 0, 0, 0.0
        for d in range(0, counts.shape[1], 2):
            r = counts[row, d + 1]
            t = counts[row, d] + r
            if r:
                h = H[T + t] - H[T] if t > 1 else 1.0 / (T + 1)
                c = (r - 1) / max(t - 1, 1)
                total += r / t * ((P + 1) * h + c * (t - (T + 1) * h))
            T += t
            P += r
        sums[row] = total


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
    if len(g_codes) == 1:
        if shared:
            for i in range(len(key)):
                key[i] = np.uint16(2 * popcount(c ^ code[i]) + ((own & label[i]) != 0))
        else:
            for i in range(len(key)):
                key[i] = np.uint16(2 * popcount(c ^ code[i]) + (own == label[i]))
    else:  # two words at a time, where there are two
        other, e = g_codes[1, first:last], q_codes[1, query]
        if shared:
            for i in range(len(key)):
                key[i] = np.uint16(2 * (popcount(c ^ code[i]) + popcount(e ^ other[i])) + ((own & label[i]) != 0))
        else:
            for i in range(len(key)):
                key[i] = np.uint16(2 * (popcount(c ^ code[i]) + popcount(e ^ other[i])) + (own == label[i]))
    for word in range(2, len(g_codes)):
        code, c = g_codes[word, first:last], q_codes[word, query]
        for i in range(len(key)):
            key[i] += np.uint16(2 * popcount(c ^ code[i]))
    for word in range(1, len(g_labels)):
        label, own = g_labels[word, first:last], q_labels[word, query]
        for i in range(len(key)):
            key[i] |= np.uint16((own & label[i]) != 0)


@compiled
def hamming_stable_precisions(
    q_codes: np.ndarray,
    g_codes: np.ndarray,
    q_labels: np.ndarray,
    g_labels: np.ndarray,
    shared: bool,
    query: int,
    counts: np.ndarray,
) -> float:
    """Sum of the precisions at all relevant items of one query, items at equal distance in gallery order; AP times R.

    `counts` is as in `hamming_stable`. Per distance, one counter is the rank of the last item met and the other the
    relevant items up to it.
    """
    n = g_codes.shape[1]
    keys = np.empty(TILE, np.uint16)
    rank, found = np.empty(len(counts) // 2, np.int64), np.empty(len(counts) // 2, np.int64)
    rank[0] = found[0] = 0
    for d in range(1, len(rank)):
        rank[d] = rank[d - 1] + counts[2 * d - 2] + counts[2 * d - 1]
        found[d] = found[d - 1] + counts[2 * d - 1]
    total = 0.0
    for first in range(0, n, TILE):
        last = min(first + TILE, n)
        _distance_keys(q_codes, g_codes, q_labels, g_labels, shared, query, first, last, keys)
        for i in range(last - first):
            d, relevant = keys[i] >> 1, np.int64(keys[i] & 1)
            rank[d] += 1
            found[d] += relevant
            total += (found[d] * relevant) / rank[d]
    return total


@compiled
def graded_histograms(
    q_codes: np.ndarray,
    g_codes: np.ndarray,
    q_labels: np.ndarray,
    g_labels: np.ndarray,
    start: int,
    stop: int,
    grades: int,
    counts: np.ndarray,
) -> None:
    """Count gallery items by distance and by the number of labels shared, for the queries from `start` up to `stop`.

    Adds to `counts`, int64 (stop - start, levels * grades): column ``d * grades + s`` holds the items at distance d
    that share s labels. There are at most 65,536 columns, and `grades` is larger than any s.
    """
    n = g_codes.shape[1]
    keys = np.empty(TILE, np.uint16)
    for query in range(start, stop):
        row = counts[query - start]
        for first in range(0, n, TILE):
            last = min(first + TILE, n)
            key = keys[: last - first]
            key[:] = 0
            for word in range(len(g_codes)):
                code, c = g_codes[word, first:last], q_codes[word, query]
                for i in range(len(key)):
                    key[i] += np.uint16(popcount(c ^ code[i]))
            for i in range(len(key)):
                key[i] *= np.uint16(grades)
            for word in range(len(g_labels)):
                label, own = g_labels[word, first:last], q_labels[word, query]
                for i in range(len(key)):
                    key[i] += np.uint16(popcount(own & label[i]))
            for i in range(len(key)):
                row[key[i]] += 1


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
