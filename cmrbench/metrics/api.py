"""The engine on anybody's own arrays, in one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cmrbench.core.errors import DataError, UnknownNameError
from cmrbench.metrics import scores
from cmrbench.metrics.curve import Curve
from cmrbench.metrics.engine import BLOCK_BYTES, evaluate, listed
from cmrbench.metrics.evaluation import Evaluation
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import from_instances, from_labels

DISTANCES = {
    "cosine": scores.cosine,
    "euclidean": scores.euclidean,
    "inner": scores.inner,
    "hamming": scores.hamming,
}
"""Ways to compare two arrays of representations, by name."""

RELEVANCES = {"label": from_labels, "instance": from_instances}
"""What makes a gallery item relevant to a query, by name: a shared label, or the same instance id."""


def evaluate_arrays(
    query: Any,
    gallery: Any,
    query_labels: Any,
    gallery_labels: Any,
    distance: str = "cosine",
    metrics: Iterable[Metric | str] | Metric | str = ("mAP@all",),
    ties: str | None = None,
    *,
    relevance: str = "label",
    curves: Iterable[Curve | str] | Curve | str = (),
    block_bytes: int = BLOCK_BYTES,
    threads: int = 1,
    device: str | None = None,
) -> Evaluation:
    """Rank a gallery for every query and measure the rankings.

    Parameters
    ----------
    query, gallery : array, shapes (n_query, d) and (n_gallery, d)
        Real-valued representations, or codes in {-1, +1} for ``distance="hamming"``.
    query_labels, gallery_labels : array
        Both class numbers, ``(n,)``, or both multi-hot, ``(n, C)``; an item is relevant to a query if the two share
        a label. For ``relevance="instance"`` both are instance ids, ``(n,)``, strings or whole numbers.
    distance : str
        ``"cosine"``, ``"euclidean"``, ``"inner"`` or ``"hamming"``.
    metrics : Metric or str, or several
        Such as ``"mAP@50[min_kr]"``; see `Metric`.
    ties : str, optional
        Tie rule for all metrics and curves; None: each one's own (``expected`` unless its name says otherwise).
    relevance : str
        ``"label"`` (at least one shared label) or ``"instance"`` (the same instance id).
    curves : Curve or str, or several
        Such as ``"PR@11"``; see `Curve`.
    block_bytes : int
        Memory for one block of queries.
    threads : int
        Threads for compiled kernels; see `evaluate`.
    device : str or None
        ``"cuda"``: by torch on a CUDA device; see `evaluate`.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If an array is not what it should be; the message names it and the first bad row.
    UsageError
        If a metric, curve, tie rule, relevance or distance is unknown, or torch does not have the device.

    Examples
    --------
    >>> import numpy as np
    >>> result = evaluate_arrays(np.eye(2), np.eye(2), [0, 1], [0, 1], metrics="mAP@all")
    >>> result.values
    {'mAP@all': 1.0}
    """
    if distance not in DISTANCES:
        raise UnknownNameError("distance", distance, DISTANCES)
    if relevance not in RELEVANCES:
        raise UnknownNameError("relevance", relevance, RELEVANCES)
    wanted, drawn = listed(metrics, Metric), listed(curves, Curve)
    if ties is not None:
        wanted = [m.with_ties(ties) for m in wanted]
        drawn = [c if c.by_radius else replace(c, ties=ties) for c in drawn]
    similarity, relevant = DISTANCES[distance](query, gallery), RELEVANCES[relevance](query_labels, gallery_labels)
    for side, name in enumerate(("query", "gallery")):
        if similarity.shape[side] != relevant.shape[side]:
            what = "labels" if relevance == "label" else "instances"
            raise DataError(
                f"{name} {what} are for {relevant.shape[side]} items, but {name} holds {similarity.shape[side]}"
            )
    return evaluate(similarity, relevant, wanted, block_bytes, threads, curves=drawn, device=device)
