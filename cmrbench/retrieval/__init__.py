"""Retrieval strategies: from the representations of query and gallery to scores."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cmrbench.core.errors import UnknownNameError
from cmrbench.metrics.scores import Scores
from cmrbench.retrieval.distances import by_distance
from cmrbench.retrieval.encoded import Encoded
from cmrbench.retrieval.score import own_score
from cmrbench.retrieval.two_stage_knn import two_stage_search

STRATEGIES: Mapping[str, Callable[..., Scores]] = {
    "cosine": by_distance("cosine"),
    "euclidean": by_distance("euclidean"),
    "inner": by_distance("inner"),
    "hamming": by_distance("hamming"),
    "score": own_score,
    "2sknn": two_stage_search,
}
READS_LABELS = frozenset({"2sknn"})
"""Strategies that read the gallery's labels; their results are flagged ``label-reading`` wherever they appear."""

__all__ = ["READS_LABELS", "STRATEGIES", "Encoded", "rank"]


def rank(
    strategy: str, query: Encoded, gallery: Encoded, train: Encoded | None = None, method: Any = None, **options: Any
) -> Scores:
    """Scores of a gallery for every query.

    Parameters
    ----------
    strategy : str
        A key of `STRATEGIES`.
    query, gallery : Encoded
        The gallery with labels for the strategies in `READS_LABELS`.
    train : Encoded, optional
        Labelled training items of the query's modality, for strategies that look queries up among them.
    method : Method, optional
        For ``score``, the method's own similarity.
    **options
        Settings of the strategy, such as ``k`` of ``2sknn``.

    Raises
    ------
    UnknownNameError
        If there is no such strategy, or it has no such option.
    """
    if strategy not in STRATEGIES:
        raise UnknownNameError("retrieval", strategy, STRATEGIES)
    function = STRATEGIES[strategy]
    known = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of retrieval {strategy}", option, known)
    return function(query, gallery, train, method, **options)
