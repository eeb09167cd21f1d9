"""What a random order gets: the floor of every table, by protocol and direction."""

from __future__ import annotations

from itertools import combinations
from math import isfinite

from cmrbench.data.audit.finding import Finding, Found, Unchecked
from cmrbench.data.audit.subject import Subject
from cmrbench.data.audit.tasks import Task, chance
from cmrbench.metrics.metric import Metric

DIRECTION_RATIO = 1.5


def chance_level(subject: Subject) -> Found:
    """The protocol's first metric under a random order of the gallery: a method at this value has learned nothing."""
    for task in subject.tasks:
        value = chance_of(task)
        if value is None:
            why = "chance of its first metric has no closed form" if task.judged else "there are no labels to judge by"
            yield Unchecked("chance_level", task.name, why)
            continue
        metric, relevant = headline(task), task.relevant
        queries, n = task.sizes
        folds = task.protocol.folds
        n //= folds
        yield Finding(
            "chance_level",
            "note",
            task.name,
            value,
            f"{metric} of a random order; {queries:,} queries, {n:,} gallery items"
            f"{f' in each of {folds} folds' if folds > 1 else ''}, {relevant.mean():.1f} of them relevant to a query",
            "score",
        )


def chance_of(task: Task) -> float | None:
    """The protocol's first metric under a random order of the gallery; None where it has no closed form."""
    metric = headline(task)
    if metric is None or not task.judged:
        return None
    # The relevant items of a query lie in its own fold.
    value = chance(task.relevant, task.sizes[1] // task.protocol.folds, [metric])[str(metric)]
    return value if isfinite(value) else None


def headline(task: Task) -> Metric | None:
    """The protocol's first metric; None where chance does not follow from counts of relevant items."""
    if not task.protocol.metrics:
        return None
    metric = Metric.parse(task.protocol.metrics[0])
    return metric if metric.gain == "binary" and metric.radius is None else None


def uneven_directions(subject: Subject) -> Found:
    """Directions of one protocol whose chance or gallery differs much: their numbers do not compare as they are.

    Five captions a picture make the gallery of texts five times as large as that of pictures.
    """
    for protocol in subject.dataset.protocols:
        tasks = {(t.a, t.b): t for t in subject.tasks if t.protocol == protocol}
        for a, b in combinations(subject.modalities if tasks else (), 2):
            there, back = tasks[a, b], tasks[b, a]
            metric = headline(there)
            if metric is None or not there.judged or not back.judged or metric.is_rank:
                continue
            values = [chance_of(t) or 0.0 for t in (there, back)]
            galleries = [t.sizes[1] for t in (there, back)]
            ratios = [max(pair) / min(pair) if min(pair) > 0 else 0.0 for pair in (values, galleries)]
            if max(ratios) > DIRECTION_RATIO:
                yield Finding(
                    "uneven_directions",
                    "problem",
                    f"{protocol.name}: {a} and {b}",
                    max(ratios),
                    f"{metric} by chance is {values[0]:.4f} from {a} to {b} and {values[1]:.4f} back; galleries hold "
                    f"{galleries[0]:,} and {galleries[1]:,} items",
                    "number",
                )
