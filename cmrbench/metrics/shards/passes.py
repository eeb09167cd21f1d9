"""What a shard says about the rankings of a task's queries, by kind of scores and by pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cmrbench.metrics.engine import ranked_by
from cmrbench.metrics.ranking import Needs
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores
from cmrbench.metrics.shards.keys import Keys, keys_of, widened
from cmrbench.metrics.shards.lists import Lists, added, distinct
from cmrbench.metrics.shards.states import Above, Anchors, Counts, Places, Top
from cmrbench.metrics.shards.task import Shard, Task


def _scored(task: Task, scores: Scores, relevance: Relevance) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores and relevance of every query, the same to the bit whenever this is called."""
    rows, n = scores.shape
    itemsize = 8 if scores.dtype is None else scores.dtype.itemsize
    step = max(1, task.block_bytes // (2 * (2 * itemsize + 2) * n))
    for start in range(0, rows, step):
        block = widened(scores.block(start, min(start + step, rows)))
        for i, row in enumerate(block, start):
            yield np.ascontiguousarray(row), relevance.block(i, i + 1)[0]


def counts_of(task: Task, shard: Shard, scores: Scores, relevance: Relevance) -> Counts:
    """Counts by distance; levels run from distance 0 up."""
    dtype = task.count_dtype
    levels = scores.levels
    assert levels is not None
    counts = np.empty((scores.shape[0], levels, 2), dtype)
    cut = min(task.needs.cuts.get("stable", 0), scores.shape[1])
    lists: list[tuple[np.ndarray, ...]] = []
    for ranked in ranked_by(
        scores, relevance, Needs({"stable": cut} if cut else {}, counts=True), task.block_bytes // 2
    ):
        assert ranked.counts is not None
        counts[ranked.rows] = ranked.counts
        if cut:
            groups = ranked.groups["stable"]
            ends = np.cumsum(ranked.counts.sum(axis=2), axis=1)
            for i, end in enumerate(ends):
                rank = groups.T[slice(*np.searchsorted(groups.row, (i, i + 1)))]
                level = np.searchsorted(end, rank, side="right")
                before = rank - np.concatenate([[0], end])[level]
                lists.append((level.astype(np.uint16 if levels < 1 << 16 else np.uint32), before.astype(dtype)))
    if not cut:
        return Counts(counts)
    return Counts(counts, (Places(shard.start, shard.stop, counts.sum(axis=2, dtype=dtype), Lists.of(lists)),))


def anchors_of(task: Task, shard: Shard, scores: Scores, relevance: Relevance) -> Anchors:
    """First pass over real-valued scores."""
    dtype, stable = task.count_dtype, "stable" in task.needs.rules
    kit = Keys(*scores.shape)
    lists: list[tuple[np.ndarray, ...]] = []
    check = []
    for row, relevant in _scored(task, scores, relevance):
        keys, total = kit.relevant(row, relevant)
        check.append(total)
        if stable:
            order = kit.order(keys)
            lists.append((keys[order], (np.flatnonzero(relevant)[order] + shard.start).astype(dtype)))
        else:
            lists.append(distinct(kit.sorted(keys), dtype))
    return Anchors(Lists.of(lists), np.array(check), stable)


def above_of(task: Task, shard: Shard, scores: Scores, relevance: Relevance, anchors: Anchors) -> Above:
    """Second pass over real-valued scores."""
    ends, (_, third) = anchors.lists.ends, anchors.lists.columns
    T, t = (np.empty(len(third), task.count_dtype) for _ in range(2))
    rank = np.empty_like(T) if anchors.stable else third  # r, as it is
    seen = np.empty(len(ends), np.uint64)
    place = np.empty(scores.shape[1], np.int64)
    kit = Keys(*scores.shape)
    for i, (row, relevant) in enumerate(_scored(task, scores, relevance)):
        keys, seen[i] = kit.all(row, relevant)
        part = slice(ends[i - 1] if i else 0, ends[i])
        anchor, at = anchors.lists.row(i)
        if anchors.stable:
            order = kit.order(keys)
            place[order] = np.arange(len(order))
            keys = keys[order]
        else:
            keys = kit.sorted(keys)
        kit.before(keys, anchor, T[part], t[part])
        if anchors.stable:
            own = (at >= shard.start) & (at < shard.stop)
            rank[part] = T[part] + np.where(at < shard.start, 0, t[part])
            rank[part][own] = place[at[own] - shard.start]
    return Above(Lists(ends, (T, t, rank)), anchors.check, seen, anchors.stable)


def top_of(task: Task, shard: Shard, scores: Scores, relevance: Relevance) -> Top:
    """Real-valued scores where no metric looks further down than some rank."""
    dtype, cuts = task.count_dtype, task.needs.cuts
    cut_alone = cuts.get("stable", 0)
    cut_tied = max((cut for rule, cut in cuts.items() if rule != "stable"), default=0)
    R, tied, alone = [], [], []
    for row, relevant in _scored(task, scores, relevance):
        keys = keys_of(row)
        R.append(np.count_nonzero(relevant))
        some = _first(keys, cut_tied)
        one = np.ones(len(some), dtype)
        kept = added(keys[some], one, relevant[some].astype(dtype))
        whole = np.cumsum(kept[1]) - kept[1] < cut_tied
        tied.append(tuple(column[whole] for column in kept))
        some = _first(keys, cut_alone)
        some = some[np.argsort(keys[some], kind="stable")[:cut_alone]]
        alone.append((keys[some], (some + shard.start).astype(dtype), relevant[some].astype(np.uint8)))
    return Top(np.array(R, np.int64), Lists.of(tied), Lists.of(alone), cut_tied, cut_alone)


def _first(keys: np.ndarray, k: int) -> np.ndarray:
    """Places, in order, of the k smallest keys and of all that tie with the last of them."""
    if not k:
        return np.empty(0, np.int64)
    return np.flatnonzero(keys <= (np.partition(keys, k - 1)[k - 1] if k < len(keys) else keys.max()))
