"""Metrics: relevance, scores, tie rules and the engine that measures rankings. Knows arrays, not methods."""

from cmrbench.metrics.api import DISTANCES, evaluate_arrays
from cmrbench.metrics.engine import BLOCK_BYTES, Evaluation, evaluate
from cmrbench.metrics.metric import KINDS, MEANS, NORMS, TIES, Metric
from cmrbench.metrics.relevance import Relevance, from_instances, from_labels
from cmrbench.metrics.scores import Scores, cosine, euclidean, given, hamming, inner

__all__ = [
    "BLOCK_BYTES",
    "DISTANCES",
    "KINDS",
    "MEANS",
    "NORMS",
    "TIES",
    "Evaluation",
    "Metric",
    "Relevance",
    "Scores",
    "cosine",
    "euclidean",
    "evaluate",
    "evaluate_arrays",
    "from_instances",
    "from_labels",
    "given",
    "hamming",
    "inner",
]
