"""The engine on anybody's own arrays, in one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.metrics import scores
from cmrbench.metrics.checks import first_row
from cmrbench.metrics.curve import Curve
from cmrbench.metrics.engine import BLOCK_BYTES, evaluate, listed
from cmrbench.metrics.evaluation import Evaluation
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import Relevance, from_instances, from_labels
from cmrbench.metrics.rows import some_rows
from cmrbench.metrics.scores import Scores

DISTANCES = {
    "cosine": scores.cosine,
    "euclidean": scores.euclidean,
    "inner": scores.inner,
    "hamming": scores.hamming,
    "asymmetric": scores.asymmetric,
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
    bits: int | None = None,
    curves: Iterable[Curve | str] | Curve | str = (),
    block_bytes: int = BLOCK_BYTES,
    threads: int = 1,
    device: str | None = None,
) -> Evaluation:
    """Rank a gallery for every query and measure the rankings.

    Parameters
    ----------
    query, gallery : array, shapes (n_query, d) and (n_gallery, d)
        Real-valued representations; codes in {-1, +1} for ``distance="hamming"``, also as packed codes (see `bits`);
        for ``distance="asymmetric"`` real-valued queries and a gallery of codes in {-1, +1}.
    query_labels, gallery_labels : array
        Both class numbers, ``(n,)``, or both multi-hot, ``(n, C)``; an item is relevant to a query if the two share
        a label. For ``relevance="instance"`` both are instance ids, ``(n,)``, strings or whole numbers.
    distance : str
        ``"cosine"``, ``"euclidean"``, ``"inner"``, ``"hamming"`` or ``"asymmetric"``.
    metrics : Metric or str, or several
        Such as ``"mAP@50[min_kr]"``; see `Metric`.
    ties : str, optional
        Tie rule for all metrics and curves; None: each one's own (``expected`` unless its name says otherwise).
    relevance : str
        ``"label"`` (at least one shared label) or ``"instance"`` (the same instance id).
    bits : int, optional
        For ``distance="hamming"``: query and gallery are packed codes of this length, uint8 (n, ceil(bits / 8)), as
        `numpy.packbits` makes them.
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
        If a metric, curve, tie rule, relevance or distance is unknown, `bits` comes with a distance that takes none,
        or torch does not have the device.

    Examples
    --------
    >>> import numpy as np
    >>> result = evaluate_arrays(np.eye(2), np.eye(2), [0, 1], [0, 1], metrics="mAP@all")
    >>> result.values
    {'mAP@all': 1.0}
    """
    if relevance not in RELEVANCES:
        raise UnknownNameError("relevance", relevance, RELEVANCES)
    wanted, drawn = listed(metrics, Metric), listed(curves, Curve)
    if ties is not None:
        wanted = [m.with_ties(ties) for m in wanted]
        drawn = [c.with_ties(ties) for c in drawn]
    similarity = compare(query, gallery, distance, bits)
    relevant = judge(similarity, query_labels, gallery_labels, relevance)
    return evaluate(similarity, relevant, wanted, block_bytes, threads, curves=drawn, device=device)


def compare(query: Any, gallery: Any, distance: str = "cosine", bits: int | None = None) -> Scores:
    """Scores of a gallery by one of `DISTANCES`.

    Parameters
    ----------
    query, gallery, distance, bits
        As in `evaluate_arrays`.

    Raises
    ------
    DataError
        If an array is not what it should be.
    UsageError
        If the distance is unknown, or `bits` comes with one that takes none.
    """
    if distance not in DISTANCES:
        raise UnknownNameError("distance", distance, DISTANCES)
    if distance != "hamming":
        if bits is not None:
            raise UsageError(f"bits is the length of packed codes under the distance hamming, not under {distance}")
        return DISTANCES[distance](query, gallery)
    if bits is None:
        for name, codes in (("query", query), ("gallery", gallery)):
            _refuse_packed(codes, name)
    return scores.hamming(query, gallery, bits)


def judge(
    similarity: Scores,
    query_labels: Any,
    gallery_labels: Any,
    relevance: str = "label",
    *,
    held: tuple[str, str] = ("query holds", "gallery holds"),
) -> Relevance:
    """Which of the items that were scored answer which query.

    Parameters
    ----------
    similarity : Scores
    query_labels, gallery_labels, relevance
        As in `evaluate_arrays`.
    held : pair of str
        What an error calls the queries and the gallery items of `similarity`.

    Raises
    ------
    DataError
        If labels are not what they should be, or are not one for each query and gallery item.
    UnknownNameError
        If there is no such relevance.
    """
    if relevance not in RELEVANCES:
        raise UnknownNameError("relevance", relevance, RELEVANCES)
    relevant = RELEVANCES[relevance](query_labels, gallery_labels)
    what = "labels" if relevance == "label" else "instances"
    for side, name in enumerate(("query", "gallery")):
        if similarity.shape[side] != relevant.shape[side]:
            raise DataError(
                f"{name} {what} are for {relevant.shape[side]} items, but {held[side]} {similarity.shape[side]}"
            )
    return relevant


def _refuse_packed(codes: Any, name: str) -> None:
    """Bytes beyond 1 are packed codes whose length was left out."""
    values = np.asarray(codes)
    if values.dtype != np.uint8 or values.ndim != 2:
        return
    for some in some_rows(values.shape):
        if (bad := values[some] > 1).any():
            row = some.start + first_row(bad)
            raise DataError(
                f"{name} must be codes of -1 and +1, got {values[some][bad][0]} in row {row}; if these bytes "
                "are packed codes, give their length as bits"
            )
