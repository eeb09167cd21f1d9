"""Kernels for real-valued scores: scores and relevance become whole-number keys, which are sorted and read once.

Labels come as words of 64 bits, uint64 (words, n): bit masks of which two items share a bit (``shared``), or one
class number, which two items have in common. Loops that must vectorise run over 1-d slices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cmrbench.metrics.kernels.jit import compiled

_DIGIT = 11  # bits a radix pass sorts by
TILE = 4096  # items whose scores, labels and keys are gone through at a time: they stay in the first-level cache
_RUN = 64  # keys of which the smallest tells whether any is among the first
_SLACK = 1e-6  # relative, above the rounding of a division and two products in single precision
_LEAST = 1e-37  # above the numbers that lose digits for being small
_ONE = np.uint64(1)  # beside a plain 1 an unsigned number would turn signed, and with another into a float


@compiled
def write_keys(bits: np.ndarray, labels: tuple[np.ndarray, np.ndarray, bool, int], keys: np.ndarray) -> int:
    """Keys of one query's scores: ascending keys are descending scores, the lowest bit says what is relevant.

    A score's sign and magnitude as whole numbers take one bit too many to leave room for relevance. So the magnitudes
    of a row are moved down until the two highest bits of the largest are clear; zero stays zero. That loses nothing
    unless the row's magnitudes other than zero are over 2**128 (float32) or 2**1024 (float64) apart.

    Parameters
    ----------
    bits : ndarray of uint32 or uint64, shape (n,)
        Bits of float32 or float64 scores.
    labels : tuple
        Words of the queries and of the gallery, ``shared``, and the query's column.
    keys : ndarray of the dtype of `bits`, shape (n,)
        Where the keys go.

    Returns
    -------
    int
        Number of relevant items; -1 if the magnitudes are too far apart.
    """
    n = len(keys)
    top = np.uint64((1 << (8 * keys.itemsize - 2)) - 1)
    offset, smallest = _magnitudes(bits, top)
    if smallest < offset:
        return -1
    relevant = 0
    for first in range(0, n, TILE):
        some = slice(first, min(first + TILE, n))
        _write_relevance(labels, some, keys[some])
        relevant += _add_scores(bits[some], top, offset, keys[some])
    return relevant


@compiled
def write_cosine_keys(
    cosines: tuple[np.ndarray, np.ndarray, Any, np.ndarray, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray, bool, int],
    keys: np.ndarray,
) -> int:
    """Keys of one query's cosines, whose magnitudes are below 2 and stay where they are.

    Parameters
    ----------
    cosines : tuple
        Products with the query, float32 or float64 (n,); norms (n,) that they are to be divided by, and the factor
        they are then to be multiplied with; and room for `TILE` cosines, twice the same memory: as floats and as
        unsigned whole numbers.
    labels, keys
        As in `write_keys`, and so is what is returned.
    """
    n = len(keys)
    top = np.uint64((1 << (8 * keys.itemsize - 2)) - 1)
    bits = cosines[4]
    relevant = 0
    for first in range(0, n, TILE):
        some = slice(first, min(first + TILE, n))
        _write_cosines(cosines, some)
        _write_relevance(labels, some, keys[some])
        relevant += _add_scores(bits[: some.stop - first], top, np.uint64(0), keys[some])
    return relevant


@compiled
def _write_cosines(cosines: tuple[np.ndarray, np.ndarray, Any, np.ndarray, np.ndarray], some: slice) -> None:
    """Cosines of some of the items, from the beginning of their room on."""
    product, norm, scale, room = cosines[0][some], cosines[1][some], cosines[2], cosines[3]
    cosine = room[: len(product)]
    for i in range(len(product)):
        cosine[i] = product[i] / norm[i] * scale


@compiled
def _magnitudes(bits: np.ndarray, top: np.uint64) -> Any:
    """How far magnitudes have to move down, and the smallest but zero, which wraps around to the largest."""
    magnitude = np.uint64(2) * top + _ONE  # also the mask of all bits but the sign
    largest, smallest = np.uint64(0), magnitude
    for i in range(len(bits)):
        v = np.uint64(bits[i]) & magnitude
        largest = max(largest, v)
        smallest = min(smallest, (v - _ONE) & magnitude)
    offset = largest - top if largest > top else np.uint64(0)
    return offset, smallest


@compiled
def _write_relevance(labels: tuple[np.ndarray, np.ndarray, bool, int], some: slice, keys: np.ndarray) -> None:
    """1 for the gallery items among `some` that are relevant, 0 for the others."""
    q_labels, g_labels, shared, query = labels
    label, own = g_labels[0, some], q_labels[0, query]
    if shared:
        for i in range(len(keys)):
            keys[i] = (own & label[i]) != 0
    else:
        for i in range(len(keys)):
            keys[i] = own == label[i]
    for word in range(1, len(g_labels)):
        label, own = g_labels[word, some], q_labels[word, query]
        for i in range(len(keys)):
            keys[i] |= (own & label[i]) != 0


@compiled
def _add_scores(bits: np.ndarray, top: np.uint64, offset: np.uint64, keys: np.ndarray) -> int:
    """Put the scores above the lowest bit of the keys; the number of keys whose lowest bit is set."""
    magnitude = np.uint64(2) * top + _ONE
    relevant: Any = 0
    for i in range(len(keys)):
        word = np.uint64(bits[i])
        v = word & magnitude
        v = v - offset if v > 0 else v
        place = top + v if word > magnitude else top - v
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
def first_keys(
    keys: np.ndarray, k: int, shift: int, buffer: np.ndarray, spare: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """The first k keys in ascending order of their bits from `shift` up, and all whose score ties with the last.

    Keys up to a bound are gathered in `buffer`; when it is full, the score of the k-th is the new bound. Equal keys
    keep their order.

    Returns
    -------
    ndarray
        In `buffer` or `spare`, which are of one size above k; empty if so many tie that it is better to sort all.
    """
    held, bound = 0, ~np.uint64(0)
    for first in range(0, len(keys), _RUN):
        run = keys[first : first + _RUN]
        smallest = run[0]
        for i in range(len(run)):
            smallest = min(smallest, run[i])
        if smallest > bound:
            continue
        held, bound = _gather(run, k, held, bound, buffer)
        if held < 0:
            return keys[:0]
    return _first_of(buffer[:held], k, shift, spare, table)


@compiled
def first_of_cosines(
    cosines: tuple[np.ndarray, np.ndarray, Any, np.ndarray, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray, bool, int],
    k: int,
    room: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """What `write_cosine_keys` and `first_keys` find, in one go and without a cosine and a key for every item.

    A run of items holds none of the first if no product reaches its norm times the k-th cosine so far. That is
    compared with some slack, more than rounding can make up for, and cosines and keys tell what is left.

    Parameters
    ----------
    cosines, labels : tuple
        As in `write_cosine_keys`.
    k : int
    room : tuple
        Room for `TILE` keys, and `buffer`, `spare` and `table` of `first_keys`.

    Returns
    -------
    ndarray
        As `first_keys` returns them.
    """
    products, norms, scale, cosine, bits = cosines
    tile, buffer, spare, table = room
    n = len(products)
    top = np.uint64((1 << (8 * tile.itemsize - 2)) - 1)
    held, bound = 0, ~np.uint64(0)
    cosine[0] = -np.inf
    least = cosine[0]  # by way of memory, so that it is as wide as the products
    for first in range(0, n, _RUN):
        some = slice(first, min(first + _RUN, n))
        product, norm = products[some], norms[some]
        reaching = 0
        for i in range(len(product)):
            reaching += product[i] >= norm[i] * least
        if not reaching:
            continue
        found = tile[: some.stop - first]
        _write_cosines(cosines, some)
        _write_relevance(labels, some, found)
        _add_scores(bits[: len(found)], top, np.uint64(0), found)
        held, lower = _gather(found, k, held, bound, buffer)
        if held < 0:
            return buffer[:0]
        if lower != bound:
            bound, place = lower, lower >> _ONE
            bits[0] = top - place if place <= top else place - top
            kth = (cosine[0] if place <= top else -cosine[0]) / scale
            cosine[0] = kth - abs(kth) * _SLACK - _LEAST
            least = cosine[0]
    return _first_of(buffer[:held], k, 0, spare, table)


@compiled
def count_relevant(labels: tuple[np.ndarray, np.ndarray, bool, int], counts: np.ndarray, room: np.ndarray) -> int:
    """Number of gallery items that are relevant to a query.

    Parameters
    ----------
    labels : tuple
        As in `write_keys`, but of the gallery only the distinct labels.
    counts : ndarray of int64, shape (distinct,)
        How many items have them.
    room : ndarray
        Room for `TILE` keys.
    """
    relevant = 0
    for first in range(0, len(counts), TILE):
        some = slice(first, min(first + TILE, len(counts)))
        found, count = room[: some.stop - first], counts[some]
        _write_relevance(labels, some, found)
        for i in range(len(found)):
            relevant += np.int64(found[i]) * count[i]
    return relevant


@compiled
def _gather(run: np.ndarray, k: int, held: int, bound: np.uint64, buffer: np.ndarray) -> Any:
    """Put the keys of a run that are up to `bound` behind those held.

    Returns
    -------
    held, bound : int, uint64
        How many keys are held now, -1 if too many tie; and the bound, lower if the buffer was full.
    """
    for i in range(len(run)):
        key = np.uint64(run[i])
        if key > bound:
            continue
        if held == len(buffer):
            bound = np.uint64(np.partition(buffer, k - 1)[k - 1]) | _ONE
            held = 0
            for j in range(len(buffer)):
                if buffer[j] <= bound:
                    buffer[held] = buffer[j]
                    held += 1
            if 2 * held > len(buffer) + k:
                return -1, bound
            if key > bound:
                continue
        buffer[held] = key
        held += 1
    return held, bound


@compiled
def _first_of(held: np.ndarray, k: int, shift: int, spare: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The keys held in order, the first k and those that tie with the last."""
    ranked = radix_sort(held, spare[: len(held)], shift, table)
    return ranked[: _up_to(ranked, k, np.uint64(ranked[k - 1]) | _ONE)] if len(held) > k else ranked


@compiled
def _up_to(ranked: np.ndarray, k: int, bound: np.uint64) -> int:
    """How many sorted keys, the first k among them, are at most `bound`."""
    while k < len(ranked) and ranked[k] <= bound:
        k += 1
    return k


@compiled
def sum_of_precisions(keys: np.ndarray, inverse: np.ndarray, H: np.ndarray) -> float:
    """Expected sum of the precisions at all relevant items of one ranking; AP times R.

    Parameters
    ----------
    keys : ndarray, shape (n,)
        Keys of `write_keys` in ascending order: in a tie group the items that are not relevant come first. Or, for
        the sum over this one order, keys that are in order but for their lowest bit, and no `H`.
    inverse, H : ndarray of float64, shapes (n,) and (n + 1,)
        ``1 / rank`` and the harmonic numbers; `H` of shape (0,) if ties are in order as they stand.
    """
    n = len(keys)
    a = b = c = d = 0.0
    found: Any = np.int64(0)
    mixed, tied = 0.0, len(H) > 0
    previous = keys[0] | _ONE  # not the end of a group's other items
    ends = n - n % 4
    for i in range(0, ends, 4):
        k0, k1, k2, k3 = keys[i], keys[i + 1], keys[i + 2], keys[i + 3]
        if tied and ((previous ^ k0) == _ONE or (k0 ^ k1) == _ONE or (k1 ^ k2) == _ONE or (k2 ^ k3) == _ONE):
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
        if tied and i and (keys[i - 1] ^ keys[i]) == _ONE:
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
