"""Metrics: relevance, scores, tie rules and the engine that measures rankings. Knows arrays, not methods."""

from cmrbench.metrics.api import DISTANCES, evaluate_arrays
from cmrbench.metrics.curve import Curve
from cmrbench.metrics.curves import Points
from cmrbench.metrics.engine import BLOCK_BYTES, evaluate
from cmrbench.metrics.evaluation import Evaluation
from cmrbench.metrics.metric import GAINS, KINDS, MEANS, NORMS, TIES, Metric
from cmrbench.metrics.relevance import Relevance, from_instances, from_labels
from cmrbench.metrics.scores import Scores, asymmetric, cosine, euclidean, given, hamming, inner

__all__ = [
    "BLOCK_BYTES",
    "DISTANCES",
    "GAINS",
    "KINDS",
    "MEANS",
    "NORMS",
    "TIES",
    "Curve",
    "Evaluation",
    "Metric",
    "Points",
    "Relevance",
    "Scores",
    "asymmetric",
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
