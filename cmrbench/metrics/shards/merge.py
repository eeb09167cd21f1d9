"""Partial states of shards, their merger, and the measured result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.metrics.evaluation import Evaluation, Gathered
from cmrbench.metrics.ranking import Ranked
from cmrbench.metrics.shards.passes import above_of, anchors_of, counts_of, top_of
from cmrbench.metrics.shards.states import Above, Anchors, Body, Counts, coalesced
from cmrbench.metrics.shards.task import Shard, Task

_DTYPES = "the shards give scores of different dtypes, {} and {}: bring their representations to one"
_BYTES_PER_GROUP = 256  # to build and measure one tie group


@dataclass(frozen=True, eq=False)
class State:
    """What some shards say about the rankings of some queries; it can be pickled.

    Attributes
    ----------
    key : str
        The task's.
    rows : tuple of int
        First query, and the one after the last.
    n : int
        Gallery items in all.
    spans : tuple of (int, int)
        Gallery items that are in, as start and stop, neighbours made one.
    dtype : str
        Of the scores.
    body : Counts, Anchors, Above or Top
    """

    key: str
    rows: tuple[int, int]
    n: int
    spans: tuple[tuple[int, int], ...]
    dtype: str
    body: Body

    @property
    def whole(self) -> bool:
        """Whether every gallery item is in."""
        return self.spans == ((0, self.n),)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: no gallery item and no second pass."""
        return self.whole and not isinstance(self.body, Anchors)

    def require_whole(self) -> None:
        """Refuse a state that gallery items are missing from."""
        if not self.whole:
            ends = [0, *(end for span in self.spans for end in span), self.n]
            gaps = [f"{a} to {b - 1}" for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b]
            raise DataError(f"gallery items are missing from the shards: {', '.join(gaps)}")


def partial(task: Task, shard: Shard, after: State | None = None) -> State:
    """What a shard says about the rankings of a task's queries.

    Parameters
    ----------
    after : State, optional
        For the second pass: the merged state of the first over the whole gallery.

    Raises
    ------
    DataError
        If the shard is not what it should be (the row is counted from the start of the gallery), or `after` is of
        another task or lacks shards.
    UsageError
        If there is no second pass.
    """
    rows = task.rows.start, task.rows.stop
    anchors = None
    if after is not None:
        if (after.key, after.rows) != (task.key, rows):
            raise DataError("the state of the first pass is of another task or of other queries")
        after.require_whole()
        if not isinstance(after.body, Anchors):
            raise UsageError("the state is complete: there is no pass after it")
        anchors = after.body
    scores = task.scores_of(shard)
    dtype = str(scores.dtype)
    if after is not None and after.dtype != dtype:
        raise DataError(_DTYPES.format(after.dtype, dtype))
    pairs = scores, task.relevance_of(shard)
    body: Body
    if task.distance == "hamming":
        body = counts_of(task, shard, *pairs)
    elif anchors is not None:
        body = above_of(task, shard, *pairs, anchors)
    elif task.top:
        body = top_of(task, shard, *pairs)
    else:
        body = anchors_of(task, shard, *pairs)
    return State(task.key, rows, task.n, ((shard.start, shard.stop),), dtype, body)


def merge(states: Iterable[State]) -> State:
    """One state of several, in any order.

    Raises
    ------
    DataError
        If they are of different tasks, queries or passes, if a gallery item is in two of them, or if the second
        pass did not see the scores of the first.
    """
    several = list(states)
    if not several:
        raise UsageError("no states to merge")
    first = several[0]
    for one in several[1:]:
        if (one.key, one.n) != (first.key, first.n):
            raise DataError("the states are of different tasks")
        if one.rows != first.rows:
            raise DataError(f"the states are of different queries: from {first.rows[0]} on and from {one.rows[0]} on")
        if type(one.body) is not type(first.body):
            raise DataError("the states are of different passes over the gallery")
        if one.dtype != first.dtype:
            raise DataError(_DTYPES.format(first.dtype, one.dtype))
    spans = coalesced(span for one in several for span in one.spans)
    kind: Any = type(first.body)
    body = first.body if len(several) == 1 else kind.merge([one.body for one in several])
    merged = replace(first, spans=spans, body=body)
    if merged.whole and isinstance(merged.body, Above):
        other = np.flatnonzero(merged.body.seen != merged.body.check)
        if len(other):
            raise DataError(
                f"the second pass did not see the scores of the first, first for query {first.rows[0] + other[0]}: use "
                "the same shards and the same block_bytes in both passes, on machines with the same libraries"
            )
    return merged


def result(task: Task, states: State | Sequence[State]) -> Evaluation:
    """Measure the rankings.

    Parameters
    ----------
    states : State or sequence of State
        Merged and complete; where the queries were taken in blocks (`Task.block`), that of every block.

    Raises
    ------
    DataError
        If states are of another task, or shards or queries are missing.
    """
    several = [states] if isinstance(states, State) else sorted(states, key=lambda state: state.rows)
    ends = [0, *(end for state in several for end in state.rows), task.n_query]
    if any(a != b for a, b in zip(ends[::2], ends[1::2], strict=True)):
        raise DataError(f"the states are not of each of the {task.n_query} queries once")
    gathered = Gathered(task.metrics, task.curves, task.n_query, task.n)
    for state in several:
        for ranked in rankings(task, state):
            gathered.add(ranked)
    return gathered.evaluation()


def rankings(task: Task, state: State) -> Iterator[Ranked]:
    """Rankings of the queries of a complete state, block by block."""
    if state.key != task.key:
        raise DataError("the state is of another task")
    state.require_whole()
    body, needs = state.body, task.needs
    if isinstance(body, Anchors):
        raise DataError("the state lacks the second pass over the gallery")
    R, first = body.R, state.rows[0]
    deepest = min(task.top or task.n, task.n)
    per_query = _BYTES_PER_GROUP * len(needs.rules) * np.minimum(R, deepest)
    if isinstance(body, Counts):
        per_query += _BYTES_PER_GROUP * body.counts.shape[1]
    for rows in blocks(per_query, task.block_bytes // 2):
        by_rule = {}
        if "stable" in needs.rules:
            by_rule["stable"] = body.groups(rows, True)
        if needs.rules - {"stable"}:
            tied = body.groups(rows, False)
            by_rule |= {rule: tied.under(rule) for rule in needs.rules - {"stable"}}
        counts = body.of(rows) if isinstance(body, Counts) else None
        yield Ranked(slice(first + rows.start, first + rows.stop), R[rows], by_rule, counts=counts)


def blocks(per_query: np.ndarray, budget: int) -> Iterator[slice]:
    """Queries in a row, as many at a time as fit into a budget of bytes, but at least one."""
    start = 0
    total = np.cumsum(per_query)
    while start < len(per_query):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + budget, side="right")))
        yield slice(start, stop)
        start = stop
