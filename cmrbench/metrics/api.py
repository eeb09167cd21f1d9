"""The engine on anybody's own arrays, in one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cmrbench.core.errors import DataError, UnknownNameError
from cmrbench.metrics import scores
from cmrbench.metrics.engine import BLOCK_BYTES, evaluate
from cmrbench.metrics.evaluation import Evaluation
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import from_labels

DISTANCES = {
    "cosine": scores.cosine,
    "euclidean": scores.euclidean,
    "inner": scores.inner,
    "hamming": scores.hamming,
}
"""Ways to compare two arrays of representations, by name."""


def evaluate_arrays(
    query: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    distance: str = "cosine",
    metrics: Iterable[Metric | str] | Metric | str = ("mAP@all",),
    ties: str | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
    threads: int = 1,
) -> Evaluation:
    """Rank a gallery for every query and measure the rankings.

    Parameters
    ----------
    query, gallery : array, shapes (n_query, d) and (n_gallery, d)
        Real-valued representations, or codes in {-1, +1} for ``distance="hamming"``.
    query_labels, gallery_labels : array
        Both class numbers, ``(n,)``, or both multi-hot, ``(n, C)``; an item is relevant to a query if the two share
        a label.
    distance : str
        ``"cosine"``, ``"euclidean"``, ``"inner"`` or ``"hamming"``.
    metrics : Metric or str, or several
        Such as ``"mAP@50[min_kr]"``; see `Metric`.
    ties : str, optional
        Tie rule for all metrics; None: each metric's own (``expected`` unless its name says otherwise).
    block_bytes : int
        Memory for one block of queries.
    threads : int
        Threads for compiled kernels; see `evaluate`.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If an array is not what it should be; the message names it and the first bad row.
    UsageError
        If a metric, tie rule or distance is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> result = evaluate_arrays(np.eye(2), np.eye(2), [0, 1], [0, 1], metrics="mAP@all")
    >>> result.values
    {'mAP@all': 1.0}
    """
    if distance not in DISTANCES:
        raise UnknownNameError("distance", distance, DISTANCES)
    listed = [metrics] if isinstance(metrics, str | Metric) else list(metrics)
    wanted = [Metric.parse(m) if isinstance(m, str) else m for m in listed]
    if ties is not None:
        wanted = [m.with_ties(ties) for m in wanted]
    similarity, relevance = DISTANCES[distance](query, gallery), from_labels(query_labels, gallery_labels)
    for side, name in enumerate(("query", "gallery")):
        if similarity.shape[side] != relevance.shape[side]:
            raise DataError(
                f"{name} labels are for {relevance.shape[side]} items, but {name} holds {similarity.shape[side]}"
            )
    return evaluate(similarity, relevance, wanted, block_bytes, threads)
