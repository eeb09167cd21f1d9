"""Exact evaluation of a gallery that comes in parts, on one machine or many.

A *task* is the query side and what is wanted; a *shard* is some of the gallery's items in a row. `partial` makes a
small *state* of the two, `merge` makes one state of several in any order, and `result` measures the rankings:

    states = [partial(task, shard) for shard in shards]
    state = merge(states)
    if not state.complete:
        state = merge(partial(task, shard, state) for shard in shards)
    evaluation = result(task, state)

`evaluate_in_parts` does so with a gallery that does not fit in memory.

What a state holds depends on the task (`cmrbench.metrics.shards.states`):

- Hamming distance: items counted by distance and relevance. Counts add up: one pass. For the rule ``stable`` also the
  place of each relevant item among those of its part at the same distance; sizes of the parts before it are added
  when neighbours meet.
- Real-valued scores where every metric has a cut-off k: the tie groups of the first k ranks. One pass.
- Real-valued scores otherwise: two passes. The first collects the scores of the relevant items, the *anchors*; the
  second counts, for each anchor, the items above it and those level with it. Both add up, and with the
  number of relevant items at each anchor they are the tie groups of the ranking. For ``stable`` an anchor is an item
  with its place in the gallery, and items level with it count if they come before it.

A state says which task, which queries, which pass and which gallery items it is of. What does not belong together is
refused, and so is a gallery item that was given twice or not at all. The second pass must see the scores that the
first saw, to the bit. It makes the same matrix products of arrays of the same shapes, and a sum of hashes of the
scores of all relevant items is compared in the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.metrics.checks import check_positive
from cmrbench.metrics.curve import Curve
from cmrbench.metrics.engine import BLOCK_BYTES
from cmrbench.metrics.evaluation import Evaluation, Gathered
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.shards.merge import State, blocks, merge, partial, rankings, result
from cmrbench.metrics.shards.task import Shard, Task

__all__ = ["Shard", "State", "Task", "evaluate_in_parts", "merge", "partial", "rankings", "result"]

_BYTES_PER_LABEL = 16  # checked and packed
_COPIES = 3  # of a part's representations: as read, scaled, and what the checks take


def evaluate_in_parts(
    query: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    *,
    distance: str = "cosine",
    relevance: str = "label",
    metrics: Iterable[Metric | str] | Metric | str = ("mAP@all",),
    curves: Iterable[Curve | str] | Curve | str = (),
    part_items: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Evaluation:
    """Rank a gallery for every query and measure the rankings, with only a part of the gallery in memory at a time.

    Parameters
    ----------
    query : array, shape (n_query, d), or None
        Representations; None for ``distance="given"``.
    gallery : array, shape (n_gallery, d)
        As a rule memory-mapped: ``numpy.load(path, mmap_mode="r")``. It is read once or twice for every block of
        queries. For ``distance="given"`` the scores, (n_query, n_gallery).
    query_labels, gallery_labels : array
        Labels or instance ids; those of the gallery may be memory-mapped, too.
    distance, relevance, metrics, curves
        As in `Task.of`.
    part_items : int, optional
        Gallery items in memory at a time. None: as many as take about a quarter of `block_bytes`.
    block_bytes : int
        Memory for scores and states, over the part itself. At least one query is taken at a time, whatever its size.

    Raises
    ------
    DataError
        If an array is not what it should be; the message names it and the first bad row.
    UsageError
        If a name is unknown, a metric does not go with the distance or has graded gains, or a size is not positive.
    """
    gallery, gallery_labels = np.asanyarray(gallery), np.asanyarray(gallery_labels)  # memory-mapped ones stay so
    n = _items(gallery, gallery_labels, distance)
    task = Task.of(
        query,
        query_labels,
        n,
        distance=distance,
        relevance=relevance,
        metrics=metrics,
        curves=curves,
        block_bytes=block_bytes,
    )
    if part_items is not None:
        check_positive(part_items=part_items)
    parts = _Parts(task, gallery, gallery_labels, part_items)
    gathered = Gathered(task.metrics, task.curves, task.n_query, n)
    for rows in blocks(_state_bytes(task, parts), block_bytes // 2):
        some = task.block(rows.start, rows.stop)
        state = _merged(partial(some, shard) for shard in parts)
        if not state.complete:
            state = _merged(partial(some, shard, state) for shard in parts)
        for ranked in rankings(some, state):
            gathered.add(ranked)
    return gathered.evaluation()


class _Parts:
    """The shards of a gallery, each read when its turn comes."""

    def __init__(self, task: Task, gallery: np.ndarray, labels: np.ndarray, items: int | None) -> None:
        self.task, self.gallery, self.labels = task, gallery, labels
        if items is None:
            width = 0 if task.query is None else gallery.shape[1] * gallery.dtype.itemsize
            columns = labels.shape[1] if labels.ndim == 2 else 1
            items = max(1, task.block_bytes // 4 // (_COPIES * width + _BYTES_PER_LABEL * columns))
        self.items = items

    def __iter__(self) -> Iterator[Shard]:
        for start in range(0, self.task.n, self.items):
            part = slice(start, min(start + self.items, self.task.n))
            if self.task.query is None:
                yield Shard(self.gallery[:, part], self.labels[part], start)
            else:
                yield Shard(np.array(self.gallery[part]), self.labels[part], start)

    def relevant(self) -> np.ndarray:
        """Relevant items of every query: int64 (n_query,)."""
        R = np.zeros(self.task.n_query, dtype=np.int64)
        for start in range(0, self.task.n, self.items):
            relevance = self.task.relevance_of(Shard(None, self.labels[start : start + self.items], start))
            step = max(1, self.task.block_bytes // (2 * _BYTES_PER_LABEL * relevance.shape[1]))
            for first in range(0, len(R), step):
                block = relevance.block(first, min(first + step, len(R)))
                R[first : first + step] += np.count_nonzero(block, axis=1)
        return R


def _items(gallery: np.ndarray, labels: np.ndarray, distance: str) -> int:
    """Number of gallery items."""
    if gallery.ndim != 2 or not gallery.size:
        raise DataError(f"gallery must be 2-d with at least one item and column, got shape {gallery.shape}")
    held = int(gallery.shape[1 if distance == "given" else 0])
    if not labels.ndim or len(labels) != held:
        raise DataError(f"gallery labels of shape {labels.shape} do not go with a gallery of {held} items")
    return held


def _state_bytes(task: Task, parts: _Parts) -> np.ndarray:
    """What the states of every query take at their largest: those of a part and those of all parts before it."""
    stable = "stable" in task.needs.rules
    if task.top:
        return np.full(task.n_query, 96 * task.top)
    if task.distance == "hamming":
        assert task.query is not None
        levels = np.full(task.n_query, 64 * (task.query.shape[1] + 1))
        return levels + 24 * parts.relevant() if stable else levels
    return (48 if stable else 36) * parts.relevant() + 64


def _merged(states: Iterable[State]) -> State:
    """One state of many, a few of which are held at a time; equally large ones are merged, as in a merge sort."""
    held: list[State] = []
    for state in states:
        held.append(state)
        while len(held) > 1 and held[-1].body.nbytes >= held[-2].body.nbytes:
            held[-2:] = [merge(held[-2:])]
    return merge(held)
