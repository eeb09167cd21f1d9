"""The two sides of an evaluation in shards: a task, which is the query side, and shards of the gallery."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.core.hashing import digest, digest_arrays
from cmrbench.metrics.api import DISTANCES, RELEVANCES
from cmrbench.metrics.checks import as_array, check_positive, matrix
from cmrbench.metrics.curve import Curve
from cmrbench.metrics.engine import BLOCK_BYTES, check_wanted, listed
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.ranking import Needs
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores, given, pack_codes


@dataclass(frozen=True, eq=False)
class Task:
    """The query side of an evaluation and what is wanted of it; made by `Task.of`.

    Attributes
    ----------
    query : ndarray, shape (n_query, d), or None for given scores
    labels : ndarray
        Labels or instance ids of the queries.
    distance, relevance : str
    metrics, curves : tuple
    n_query, n : int
        Queries and gallery items in all.
    key : str
        Fingerprint of all of the above.
    rows : slice
        The queries that states are made of; see `block`.
    block_bytes : int
        Memory for scores.
    """

    query: np.ndarray | None
    labels: np.ndarray
    distance: str
    relevance: str
    metrics: tuple[Metric, ...]
    curves: tuple[Curve, ...]
    n_query: int
    n: int
    key: str
    rows: slice
    block_bytes: int

    @classmethod
    def of(
        cls,
        query: Any,
        query_labels: Any,
        n_gallery: int,
        *,
        distance: str = "cosine",
        relevance: str = "label",
        metrics: Iterable[Metric | str] | Metric | str = ("mAP@all",),
        curves: Iterable[Curve | str] | Curve | str = (),
        block_bytes: int = BLOCK_BYTES,
    ) -> Task:
        """Check the query side and put it together.

        Parameters
        ----------
        query : array, shape (n_query, d), or None
            Representations; None for ``distance="given"``.
        query_labels : array
            Class numbers or multi-hot labels as in `from_labels`, or instance ids as in `from_instances`.
        n_gallery : int
            Gallery items in all shards together.
        distance : str
            ``"cosine"``, ``"euclidean"``, ``"inner"``, ``"hamming"``, ``"asymmetric"``, or ``"given"``: a shard then
            holds its columns of the scores.
        relevance : str
            ``"label"`` or ``"instance"``.
        metrics, curves : str, Metric or Curve, or several
            All but NDCG with graded gains.
        block_bytes : int
            Memory for scores; as in `evaluate`.

        Raises
        ------
        DataError
            If an array is not what it should be; the message names it and the first bad row.
        UsageError
            If a name is unknown, a metric does not go with the distance, or its gains are graded.
        """
        wanted, drawn = listed(metrics, Metric), listed(curves, Curve)
        for what, name, known in (("distance", distance, (*DISTANCES, "given")), ("relevance", relevance, RELEVANCES)):
            if name not in known:
                raise UnknownNameError(what, name, known)
        check_positive(n_gallery=n_gallery, block_bytes=block_bytes)
        if (query is None) != (distance == "given"):
            raise UsageError("query must be None for the distance given, and an array for every other")
        labels = as_array(query_labels, "query labels")
        RELEVANCES[relevance](labels, labels)  # for its checks, of the query side alone
        values = None if query is None else matrix(query, "query")
        if values is not None and len(values) != len(labels):
            raise DataError(f"query labels are for {len(labels)} items, but query holds {len(values)}")
        packed = pack_codes(values, "query") if values is not None and distance == "hamming" else None
        check_wanted(wanted, drawn, None if packed is None or values is None else values.shape[1] + 1)
        for metric in wanted:
            if metric.gain != "binary":
                raise UsageError(f"{metric} has graded gains, which are not measured in shards; use evaluate")
        parts = [distance, relevance, n_gallery, sorted(map(str, (*wanted, *drawn)))]
        arrays = [("labels", labels), *([] if values is None else [("query", values)])]
        key = digest([*parts, digest_arrays(arrays)])
        rows = slice(0, len(labels))
        both = tuple(wanted), tuple(drawn)
        return cls(values, labels, distance, relevance, *both, len(labels), n_gallery, key, rows, block_bytes)

    def block(self, start: int, stop: int) -> Task:
        """The same task for the queries from `start` up to `stop`."""
        if not 0 <= start < stop <= self.n_query:
            raise UsageError(f"queries {start} to {stop} are not among the {self.n_query} of the task")
        return replace(self, rows=slice(start, stop))

    @property
    def needs(self) -> Needs:
        """What the metrics need to know of every ranking."""
        return Needs.of(self.metrics, self.curves, self.n).stable_by_groups(self.n)

    @property
    def passes(self) -> int:
        """How often the gallery is gone through."""
        return 2 if self.distance != "hamming" and not self.top else 1

    @property
    def top(self) -> int:
        """How many ranks down the metrics look at real-valued scores; 0: over the whole ranking."""
        needs = self.needs
        deepest = max(needs.cuts.values(), default=self.n)
        return 0 if self.distance == "hamming" or needs.ap or deepest >= self.n else deepest

    def relevance_of(self, shard: Shard) -> Relevance:
        """Which items of a shard answer which query."""
        if shard.stop > self.n:
            raise DataError(f"a shard ends with item {shard.stop - 1}, but the gallery has {self.n} items")
        try:
            return RELEVANCES[self.relevance](self.labels[self.rows], shard.labels)
        except DataError as error:
            raise DataError(_placed(error, shard.start)) from error

    def scores_of(self, shard: Shard) -> Scores:
        """Scores of the items of a shard."""
        query, gallery = self.query, np.asarray(shard.gallery)
        if query is None and (gallery.ndim != 2 or len(gallery) != self.n_query):
            raise DataError(f"scores must have a row for each of {self.n_query} queries, got shape {gallery.shape}")
        try:
            own = None if query is None else query[self.rows]
            scores = given(gallery[self.rows]) if own is None else DISTANCES[self.distance](own, gallery)
        except DataError as error:
            raise DataError(_placed(error, self.rows.start if query is None else shard.start)) from error
        items = shard.stop - shard.start
        if scores.shape[1] != items:
            raise DataError(
                f"the shard from item {shard.start} on has labels for {items} items, but holds {scores.shape[1]}"
            )
        return scores

    @property
    def count_dtype(self) -> np.dtype:
        """What holds any number of gallery items."""
        return np.dtype(np.uint32 if self.n < 1 << 32 else np.uint64)


@dataclass(frozen=True, eq=False)
class Shard:
    """Gallery items in a row.

    Attributes
    ----------
    gallery : array, shape (items, d); for given scores (n_query, items)
    labels : array
        Labels or instance ids of the items.
    start : int
        Place of the first one in the gallery.
    """

    gallery: Any
    labels: Any
    start: int

    def __post_init__(self) -> None:
        if self.start < 0 or not len(self.labels):
            raise DataError(f"a shard needs items and a start from 0 up, got {len(self.labels)} from {self.start} on")

    @property
    def stop(self) -> int:
        """Place after the last item."""
        return self.start + len(self.labels)


def _placed(error: DataError, offset: int) -> str:
    """The message of an error in one part, with its row counted from the start of the whole."""
    return re.sub(r"\brow (\d+)", lambda row: f"row {int(row[1]) + offset}", str(error))
