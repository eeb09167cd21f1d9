"""How well a fitted method retrieves across modalities on the small datasets."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from cmrbench.metrics import Metric, evaluate, from_labels
from cmrbench.retrieval import READS_LABELS, Encoded, rank
from cmrbench.testing.case import Fitted
from cmrbench.testing.data import labels_of

MAP = Metric.parse("mAP@all")


def gains(fitted: Fitted) -> dict[str, float]:
    """Mean average precision above chance for every direction (``image->text``), by the first declared strategy.

    Chance is the mean over all ways to shift the classes of the queries against those of the gallery: what the very
    same rankings score when it is unknown which cluster of one modality belongs to which cluster of the other. Mere
    clusters, placed at random, lie above a random order; this chance level takes that into account.
    """
    strategy = fitted.method.info.retrieval[0]
    options = fitted.method.retrieval_options(strategy)
    query, gallery = fitted.dataset.part("query"), fitted.dataset.part("gallery")
    result = {}
    for a, b in permutations(fitted.dataset.modalities, 2):
        asked = {a: fitted.represent(query[a])}
        target = Encoded(b, fitted.represent(gallery[b]), gallery[b].labels)
        train = None
        if strategy not in READS_LABELS:
            source = Encoded(a, fitted.translated(asked, a, b), query[a].labels)
        else:
            source = Encoded(a, asked[a], query[a].labels)
            train = Encoded(a, fitted.represent(fitted.train[a]), fitted.train[a].labels)
        scores = rank(strategy, source, target, train, fitted.method, **options)
        query_labels, gallery_labels = labels_of(query[a]), labels_of(gallery[b])
        by_shift = [
            evaluate(scores, from_labels(np.roll(query_labels, shift, axis=1), gallery_labels), [MAP]).values[str(MAP)]
            for shift in range(query_labels.shape[1])
        ]
        result[f"{a}->{b}"] = float(by_shift[0] - np.mean(by_shift))
    return result


def gain(fitted: Fitted) -> float:
    """Mean of `gains` over the directions."""
    return float(np.mean(list(gains(fitted).values())))
