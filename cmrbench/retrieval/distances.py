"""The plain strategies: query and gallery compared in the common space, with nothing else read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cmrbench.metrics.api import DISTANCES
from cmrbench.metrics.scores import Scores
from cmrbench.retrieval.encoded import Encoded


def by_distance(name: str) -> Callable[..., Scores]:
    """The strategy that compares representations by ``cosine``, ``euclidean``, ``inner`` or ``hamming``."""
    compare = DISTANCES[name]

    def strategy(query: Encoded, gallery: Encoded, train: Encoded | None, method: Any) -> Scores:
        return compare(query.representations, gallery.representations)

    return strategy
