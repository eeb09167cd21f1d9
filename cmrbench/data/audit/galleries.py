"""Checks of who is in the gallery: the query's own pair, training items, and what either is worth."""

from __future__ import annotations

import numpy as np

from cmrbench.data.audit.finding import Finding, Found
from cmrbench.data.audit.subject import Subject
from cmrbench.data.audit.tasks import Task
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.ties import Groups, measure


def own_pair_in_gallery(subject: Subject) -> Found:
    """Protocols by label in which a query's own text (or picture) is in the gallery and counts as relevant.

    Many papers measure so, with the test set as queries and as gallery. A method may then score by telling which items
    belong together, without knowing any class: the figure is the mAP that finding the own pair first and nothing else
    adds to chance. Under relevance by instance the own pair is the answer, and nothing is said.
    """
    for task in subject.tasks:
        if task.protocol.relevance != "label" or not task.judged:
            continue
        q, g = task.instances()
        own = np.isin(q, g)
        if not own.any():
            continue
        gain = own_pair_gain(task, own)
        n = task.sizes[1]
        yield Finding(
            "own_pair_in_gallery",
            "note",
            task.name,
            gain,
            f"{int(own.sum()):,} of {len(q):,} queries have their own pair among the {n:,} gallery items; finding it "
            f"first and nothing else is worth {gain:.3f} mAP@all above chance",
            "score",
        )


def own_pair_gain(task: Task, own: np.ndarray) -> float:
    """mAP@all of rankings with the own pair first and the rest at random, less that of random rankings.

    Parameters
    ----------
    task : Task
    own : ndarray of bool, shape (n_query,)
        Queries whose own pair is in the gallery.
    """
    n, metric = task.sizes[1], Metric("mAP")
    kinds, item = np.unique(task.relevant, return_inverse=True)
    found = np.stack([np.minimum(kinds, 1), np.maximum(kinds - 1, 0)], axis=1)  # the own pair, and the rest
    row, place = np.nonzero(found)
    first = measure(Groups.build(len(kinds), row, place, np.array([1, n - 1])[place], found[row, place]), metric, n)
    random = measure(Groups.all_tied(kinds, n), metric, n)
    gain = (first - random)[item.ravel()]
    return float(gain[own].sum() / len(own))


def training_items_in_gallery(subject: Subject) -> Found:
    """Protocols whose gallery are items that the method was fitted on, with their labels.

    Usual in hashing (the database is the training set). A supervised method places these items by their labels, so its
    numbers here say less about new data than numbers on a gallery that it has not seen.
    """
    for protocol in subject.dataset.protocols:
        seen = [s for s in protocol.gallery if s in ("train", "val")]
        if seen:
            sizes = [sum(subject.dataset.sizes[s].values()) for s in protocol.gallery if s in subject.dataset.sizes]
            trained = [sum(subject.dataset.sizes[s].values()) for s in seen if s in subject.dataset.sizes]
            share = sum(trained) / max(1, sum(sizes))
            yield Finding(
                "training_items_in_gallery",
                "note",
                protocol.name,
                share,
                f"{100 * share:.0f} % of the gallery are items of {' and '.join(seen)}",
            )
