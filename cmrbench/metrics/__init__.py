"""Metrics: relevance, scores, tie rules and the engine that measures rankings. Knows arrays, not methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmrbench.metrics.api import DISTANCES, evaluate_arrays
from cmrbench.metrics.curve import Curve
from cmrbench.metrics.curves import Points
from cmrbench.metrics.engine import BLOCK_BYTES, evaluate
from cmrbench.metrics.evaluation import Evaluation
from cmrbench.metrics.metric import GAINS, KINDS, MEANS, NORMS, TIES, Metric
from cmrbench.metrics.relevance import Relevance, from_instances, from_labels
from cmrbench.metrics.replays import REPLAYS, Replay, Replayed, replay
from cmrbench.metrics.scores import Scores, asymmetric, cosine, euclidean, given, hamming, inner

if TYPE_CHECKING:
    from cmrbench.metrics.shards import Shard, Task, evaluate_in_parts
    from cmrbench.metrics.shards.merge import State, merge, partial, result

__all__ = [
    "BLOCK_BYTES",
    "DISTANCES",
    "GAINS",
    "KINDS",
    "MEANS",
    "NORMS",
    "REPLAYS",
    "TIES",
    "Curve",
    "Evaluation",
    "Metric",
    "Points",
    "Relevance",
    "Replay",
    "Replayed",
    "Scores",
    "Shard",
    "State",
    "Task",
    "asymmetric",
    "cosine",
    "euclidean",
    "evaluate",
    "evaluate_arrays",
    "evaluate_in_parts",
    "from_instances",
    "from_labels",
    "given",
    "hamming",
    "inner",
    "merge",
    "partial",
    "replay",
    "result",
]

_IN_SHARDS = frozenset({"Shard", "State", "Task", "evaluate_in_parts", "merge", "partial", "result"})


def __getattr__(name: str) -> Any:
    # Galleries in parts are rare, and importing what they need takes a fifth of the time of all this.
    if name in _IN_SHARDS:
        from cmrbench.metrics import shards

        return getattr(shards, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
