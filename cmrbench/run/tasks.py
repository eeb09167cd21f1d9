"""One direction under one protocol, from representations to numbers: rank, compare with what is relevant, measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.method import Method
from cmrbench.metrics import Curve, Evaluation, Metric, Relevance, Scores, evaluate, from_instances, from_labels
from cmrbench.retrieval import Encoded, rank
from cmrbench.run.folds import Fold, combine


@dataclass(frozen=True, eq=False)
class Side:
    """Queries or a gallery: representations with labels, and the instances they belong to."""

    encoded: Encoded
    instances: np.ndarray

    def take(self, rows: np.ndarray) -> Side:
        """The items at `rows`, in that order."""
        whole = self.encoded
        labels = None if whole.labels is None else whole.labels[rows]
        return Side(Encoded(whole.modality, whole.representations[rows], labels), self.instances[rows])


@dataclass(frozen=True, eq=False)
class Task:
    """What is ranked and how; `seen` are encoded training items, for strategies that read labels."""

    protocol: Protocol
    strategy: str
    query: Side
    gallery: Side
    seen: Encoded | None = None


def measure(
    task: Task, metrics: Sequence[Metric], method: Method, folds: Sequence[Fold] = (), threads: int = 1
) -> Evaluation:
    """All metrics of a task: over the whole gallery, or the mean over folds (see `cmrbench.run.folds`)."""
    if not folds:
        return measure_whole(*compared(task, method), metrics, threads)
    query, gallery = task.query.encoded.modality, task.gallery.encoded.modality
    parts = [
        replace(task, query=task.query.take(fold.query[query]), gallery=task.gallery.take(fold.gallery[gallery]))
        for fold in folds
    ]
    measured = [measure_whole(*compared(part, method), metrics, threads) for part in parts]
    return combine([fold.query[query] for fold in folds], measured)


def measure_whole(
    scores: Scores, relevance: Relevance, metrics: Sequence[Metric], threads: int = 1, curves: Sequence[Curve] = ()
) -> Evaluation:
    """All metrics and curves of rankings of a whole gallery."""
    return evaluate(scores, relevance, metrics, threads=threads, curves=curves)


def compared(task: Task, method: Method) -> tuple[Scores, Relevance]:
    """How near every gallery item is to a query, and which are relevant to it."""
    query, gallery = task.query, task.gallery
    if task.protocol.relevance == "instance":
        relevance = from_instances(query.instances, gallery.instances)
    else:
        relevance = from_labels(labels_of(query.encoded), labels_of(gallery.encoded))
    options = method.retrieval_options(task.strategy)
    return rank(task.strategy, query.encoded, gallery.encoded, task.seen, method, **options), relevance


def labels_of(items: Items | Encoded) -> np.ndarray:
    """The labels, or a DataError where there are none."""
    if items.labels is None:
        raise DataError(f"the protocol compares labels, but the {items.modality} items have none")
    return items.labels
