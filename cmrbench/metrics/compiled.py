"""Rankings by compiled kernels, where there is enough to rank that compiling or loading them pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from cmrbench.metrics.keys import KEYS
from cmrbench.metrics.ranking import BYTES_PER_RULE, Needs, Ranked, groups_of_counts, ranked_blocks
from cmrbench.metrics.relevance import LabelWords, Relevance
from cmrbench.metrics.scores import Products, Scores
from cmrbench.metrics.ties import Groups, harmonics

LEAST_PAIRS = 1_000_000
"""Queries x gallery items from which kernels are used: by size alone, so that one task always goes one way."""

_BYTES_PER_GROUP = 96  # a group and what measuring it takes
_MOST_LEVELS = 1 << 15  # twice a distance fits in 16 bits

FEW = 1500
"""Keys up to which numpy sorts as fast as the radix sort."""

T = TypeVar("T")


@lru_cache(maxsize=1)
def kernels() -> tuple[ModuleType, ModuleType] | None:
    """The modules `kernels.counts` and `kernels.sorting`; None where numba is missing or switched off."""
    try:
        import numba

        if numba.config.DISABLE_JIT:
            return None
        from cmrbench.metrics.kernels import counts, sorting
    except ImportError:
        return None
    return counts, sorting


def compiled_blocks(
    scores: Scores, relevance: Relevance, needs: Needs, block_bytes: int, threads: int
) -> Iterator[Ranked] | None:
    """Rankings block by block as from `ranked_blocks`; None where kernels do not apply or would not pay.

    The queries of a block are shared out among `threads`; nothing depends on their number.
    """
    n_query, n = scores.shape
    words = relevance.words
    key = KEYS.get(scores.dtype) if scores.levels is None else None
    if n_query * n < LEAST_PAIRS or words is None or (scores.codes is None and key is None):
        return None
    modules = kernels()
    if modules is None:
        return None
    counting, sorting = modules
    if key is not None:
        return _by_keys(sorting, scores, relevance, words, key, needs, block_bytes, threads)
    if scores.codes is not None and scores.levels is not None and scores.levels <= _MOST_LEVELS:
        return _by_codes(counting, scores.codes, scores.levels, words, needs, block_bytes, threads)
    return None


def _shared_out(rank: Callable[[slice], T], start: int, stop: int, threads: int) -> list[tuple[slice, T]]:
    """What `rank` makes of equal parts of the queries from `start` up to `stop`, each in a thread of its own."""
    bounds = np.linspace(start, stop, min(threads, stop - start) + 1).astype(int).tolist()
    parts = [slice(lo, hi) for lo, hi in pairwise(bounds)]
    if len(parts) == 1:
        return [(parts[0], rank(parts[0]))]
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(zip(parts, pool.map(rank, parts), strict=True))


def _by_codes(
    kernel: ModuleType,
    codes: tuple[np.ndarray, np.ndarray],
    levels: int,
    words: LabelWords,
    needs: Needs,
    block_bytes: int,
    threads: int,
) -> Iterator[Ranked]:
    """Rankings by Hamming distance: counts by distance and relevance, and ranks only for the rule ``stable``."""
    n_query, n = codes[0].shape[1], codes[1].shape[1]
    stable = needs.cuts.get("stable", 0)
    rules = set(needs.cuts) - {"stable"}
    H = harmonics(n) if "expected" in needs.ap else None
    task = (*codes, words.query, words.gallery, words.shared)
    per_query = (_BYTES_PER_GROUP + BYTES_PER_RULE * len(rules)) * levels + _BYTES_PER_GROUP * stable

    def rank(rows: slice) -> Ranked:
        counts = np.zeros((rows.stop - rows.start, levels, 2), dtype=np.int64)
        flat = counts.reshape(len(counts), -1)
        kernel.hamming_histograms(*task, rows.start, rows.stop, flat)
        R = counts[:, :, 1].sum(axis=1)
        by_rule = {}
        if rules:
            tied = groups_of_counts(counts)
            by_rule = {rule: tied.under(rule) for rule in rules}
        if stable:
            found_at = np.empty(n, dtype=np.uint8)
            ranked = _Rows(R, int(np.minimum(R, stable).sum()))
            for i in range(len(counts)):
                ranked.add(kernel.hamming_stable(*task, rows.start + i, flat[i], stable, found_at, *ranked.room))
            by_rule["stable"] = ranked.groups()
        ap = {}
        if H is not None:
            ap["expected"] = np.empty(len(flat))
            kernel.expected_precisions(flat, H, ap["expected"])
            ap["expected"] /= np.maximum(R, 1)
        if "stable" in needs.ap:
            queries = range(rows.start, rows.stop)
            sums = [kernel.hamming_stable_precisions(*task, q, row) for q, row in zip(queries, flat, strict=True)]
            ap["stable"] = np.array(sums) / np.maximum(R, 1)
        return Ranked(rows, R, by_rule, ap, counts)

    step = max(1, (block_bytes - n * threads) // per_query)
    for start in range(0, n_query, step):
        for _, ranked in _shared_out(rank, start, min(start + step, n_query), threads):
            yield ranked


def _by_keys(
    kernel: ModuleType,
    scores: Scores,
    relevance: Relevance,
    words: LabelWords,
    key: np.dtype,
    needs: Needs,
    block_bytes: int,
    threads: int,
) -> Iterator[Ranked]:
    """Rankings by real-valued scores: every query's keys are sorted, then read once."""
    n_query = scores.shape[0]
    plan = _Plan(kernel, words, scores, key, needs)
    step, part = plan.queries(block_bytes)
    for start in range(0, n_query, step):
        stop = min(start + step, n_query)
        block = plan.scores(start, stop, step)
        rank = partial(plan.rank, block, start)
        for first in range(start, stop, part):
            for rows, ranked in _shared_out(rank, first, min(first + part, stop), threads):
                if ranked is None:
                    yield from ranked_blocks(scores, relevance, needs, block_bytes, rows.start, rows.stop)
                else:
                    yield ranked


class _Plan:
    """What to do with the scores of each query so that what is needed of its ranking is known."""

    def __init__(self, kernel: ModuleType, words: LabelWords, scores: Scores, key: np.dtype, needs: Needs) -> None:
        self.kernel, self.words, self.key, self.n = kernel, words, key, scores.shape[1]
        self.ap = needs.ap
        self.cuts = {rule: cut for rule, cut in needs.cuts.items() if rule != "stable"}
        self.stable = needs.cuts.get("stable", 0)
        self.tied = max(self.cuts.values(), default=0)
        self.block = scores.block
        self.norms: np.ndarray | None = None
        self.products: Products | None = None
        self.held = np.empty((0, 0), scores.dtype)
        copies = 2  # one where gallery items are equal
        if isinstance(scores, Products) and scores.item is None:
            copies = 1
            self.products = scores
            if scores.norms is not None:  # dividing by them is left to the kernels
                self.norms, self.scales = scores.norms[1], 1 / scores.norms[0]
        self.score_bytes = copies * key.itemsize * self.n  # of a query
        self.group_bytes = (_BYTES_PER_GROUP + BYTES_PER_RULE * len(self.cuts)) * self.tied
        self.group_bytes += (_BYTES_PER_GROUP + BYTES_PER_RULE) * self.stable
        self.only_top = self.norms is not None and bool(self.cuts) and not (self.ap or self.stable)
        if self.only_top:
            self.labels = words.distinct()
        if self.ap:
            self.inverse, self.H = 1.0 / np.arange(1, self.n + 1), harmonics(self.n)

    def scores(self, start: int, stop: int, most: int) -> np.ndarray:
        """Scores of some queries, at `most` so many, that may be overwritten; products in memory that is used again."""
        if self.products is None:
            return np.require(self.block(start, stop), requirements=["C", "A", "W"])
        if not len(self.held):
            self.held = np.empty((min(most, stop - start), self.n), self.held.dtype)
        return self.products.products(start, stop, self.held[: stop - start])

    def queries(self, block_bytes: int) -> tuple[int, int]:
        """Queries whose scores are computed at a time, and those of them that are ranked at a time.

        Matrix products want many queries. Where tie groups take most of the memory, they are made of fewer.
        """
        together = max(1, block_bytes // (self.score_bytes + self.group_bytes))
        if self.group_bytes <= self.score_bytes:
            return together, together
        half = block_bytes // 2
        return max(1, half // self.score_bytes), max(1, half // self.group_bytes)

    def rank(self, block: np.ndarray, start: int, rows: slice) -> Ranked | None:
        """Rankings of some queries, given the scores from query `start` on; None if a row makes no keys."""
        count = rows.stop - rows.start
        R = np.empty(count, dtype=np.int64)
        ap = {rule: np.zeros(count) for rule in self.ap}
        tied, stable = _Rows(R, count * self.tied), _Rows(R, count * self.stable)
        keys, sorter = np.empty(self.n, self.key), _Sorter(self.kernel, self.key, self.n)
        room = np.empty(self.kernel.TILE, block.dtype)
        tile = room, room.view(self.key)
        bits = block.view(self.key)
        words = self.words.query, self.words.gallery, self.words.shared
        for i, query in enumerate(range(rows.start, rows.stop)):
            at, labels = query - start, (*words, query)
            cosines = None if self.norms is None else (block[at], self.norms, self.scales[query], *tile)
            if cosines is not None and self.only_top:
                ranked = sorter.first_of_cosines(cosines, labels, self.tied, keys)
                distinct = self.words.query, self.labels[0], self.words.shared, query
                R[i] = self.kernel.count_relevant(distinct, self.labels[1], keys)
                tied.add(self.kernel.write_groups(ranked, self.tied, False, *tied.room))
                continue
            if cosines is None:
                R[i] = self.kernel.write_keys(bits[at], labels, keys)
            else:
                R[i] = self.kernel.write_cosine_keys(cosines, labels, keys)
            if R[i] < 0:
                return None
            if "stable" in ap:
                in_order = sorter.all(keys.copy(), 1)
                ap["stable"][i] = self.kernel.sum_of_precisions(in_order, self.inverse, self.H[:0]) / max(R[i], 1)
            if self.stable:
                first = sorter.first(keys.copy(), self.stable, 1)
                stable.add(self.kernel.write_groups(first, self.stable, True, *stable.room))
            if "expected" in ap:
                ranked = sorter.all(keys, 0)
                ap["expected"][i] = self.kernel.sum_of_precisions(ranked, self.inverse, self.H) / max(R[i], 1)
            elif self.tied:
                ranked = sorter.first(keys, self.tied, 0)
            if self.tied:
                tied.add(self.kernel.write_groups(ranked, self.tied, False, *tied.room))
        groups = tied.groups()
        by_rule = {rule: groups.under(rule) for rule in self.cuts}
        if self.stable:
            by_rule["stable"] = stable.groups()
        return Ranked(rows, R, by_rule, ap)


class _Sorter:
    """Sorts keys of one gallery, in memory of its own."""

    def __init__(self, kernel: ModuleType, key: np.dtype, n: int) -> None:
        self.kernel = kernel
        self.spare, self.table = np.empty(n, key), np.empty(1 << 11, np.uint32)
        self.buffers: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def all(self, keys: np.ndarray, shift: int) -> np.ndarray:
        """All keys in ascending order of their bits from `shift` up; `keys` is overwritten."""
        if len(keys) <= FEW and not shift:
            keys.sort()
            return keys
        ranked: np.ndarray = self.kernel.radix_sort(keys, self.spare, shift, self.table)
        return ranked

    def first(self, keys: np.ndarray, k: int, shift: int) -> np.ndarray:
        """At least the first k keys, to the end of their last tie group, in order; `keys` may be overwritten."""
        room = self._room(k)
        if room is None:
            return self.all(keys, shift)
        ranked: np.ndarray = self.kernel.first_keys(keys, k, shift, *room, self.table)
        return ranked if len(ranked) else self.all(keys, shift)

    def first_of_cosines(
        self, cosines: tuple[Any, ...], labels: tuple[Any, ...], k: int, keys: np.ndarray
    ) -> np.ndarray:
        """What `first` gives, of a query's cosines; `keys` is room for its keys."""
        room = self._room(k)
        if room is not None:
            ranked: np.ndarray = self.kernel.first_of_cosines(cosines, labels, k, (keys, *room, self.table))
            if len(ranked):
                return ranked
        self.kernel.write_cosine_keys(cosines, labels, keys)
        return self.all(keys, 0)

    def _room(self, k: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Room for the first k keys while they are looked for; None where it is as well to sort all."""
        size = 2 * k + 64
        if len(self.spare) < 8 * size:
            return None
        if k not in self.buffers:
            self.buffers[k] = np.empty(size, self.spare.dtype), np.empty(size, self.spare.dtype)
        return self.buffers[k]


class _Rows:
    """Tie groups of a block, as kernels write them query by query."""

    def __init__(self, R: np.ndarray, capacity: int) -> None:
        self.R = R
        self.written = np.empty((4, capacity), dtype=np.int64)  # T, P, t, r
        self.ends: list[int] = []

    @property
    def room(self) -> tuple[np.ndarray, int]:
        """Where the next query's groups go: the array and its first free column."""
        return self.written, self.ends[-1] if self.ends else 0

    def add(self, end: int) -> None:
        """Note where the groups of one more query end."""
        self.ends.append(end)

    def groups(self) -> Groups:
        """The groups of all queries."""
        lengths: np.ndarray = np.diff(np.array(self.ends, dtype=np.int64), prepend=0)
        row = np.repeat(np.arange(len(self.ends)), lengths)
        T, P, t, r = self.written[:, : len(row)]
        return Groups(row, T, P, t, r, self.R)
