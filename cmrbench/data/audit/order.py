"""Checks of the order of items: class-sorted galleries, and what they give to a stable sort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, lgamma

import numpy as np

from cmrbench.core.items import Items
from cmrbench.data.audit.finding import Finding, Found
from cmrbench.data.audit.subject import Subject
from cmrbench.data.audit.tasks import distinct_rows
from cmrbench.metrics import evaluate
from cmrbench.metrics.relevance import from_labels
from cmrbench.metrics.scores import Scores

SHUFFLES = 99
SIGMAS, EXCESS = 6.0, 0.05
"""Neighbours share labels too often when it is this many standard deviations, and this much, above shuffled orders."""

GAIN = 0.005
MOST_LABEL_SETS = 512


def class_runs(subject: Subject) -> Found:
    """Galleries whose neighbours share labels more often than in a shuffled order: the items lie sorted by class.

    Harmless where ties are taken in expectation, as here. Where an evaluation sorts stably, tied items keep this
    order, and a batch of neighbours is a batch of one class.
    """
    if not subject.labelled:
        return
    for splits, modality, items in _galleries(subject):
        labels = _labels(items)
        if len(labels) < 3:
            continue
        packed = np.packbits(labels.astype(bool), axis=1)
        now = _neighbours(packed)
        rng = subject.rng("shuffle", splits)  # equal labels, equal figures
        shuffled = [_neighbours(packed[rng.permutation(len(packed))]) for _ in range(SHUFFLES)]
        shares = np.array([s.share for s in shuffled])
        if now.share - shares.mean() < max(EXCESS, SIGMAS * shares.std()):
            continue
        single = bool((labels.sum(1, dtype=np.int64) == 1).all())
        runs = max(s.run for s in shuffled)
        chance = (
            f"p at most {run_bound(labels.sum(0, dtype=np.int64), now.run):.1g}"
            if single
            else f"p about {(1 + sum(s.run >= now.run for s in shuffled)) / (1 + SHUFFLES):.2g}"
        )
        yield Finding(
            "class_runs",
            "problem",
            f"{' + '.join(splits)}: {modality}",
            now.share,
            f"this share of neighbours have a common label, {100 * shares.mean():.1f} % after shuffling; the longest "
            f"run is {now.run:,} items, at most {runs:,} in {SHUFFLES} shuffles ({chance})",
        )


@dataclass(frozen=True)
class _Neighbours:
    share: float  # of neighbours with a common label
    run: int  # longest run of such neighbours, in items


def _neighbours(packed: np.ndarray) -> _Neighbours:
    alike = (packed[1:] & packed[:-1]).any(axis=1)
    ends = np.flatnonzero(~np.r_[False, alike, False])
    return _Neighbours(float(alike.mean()), int(np.diff(ends).max()))


def run_bound(sizes: np.ndarray, run: int) -> float:
    """Upper bound on the probability that a shuffled order of classes has a run of that length.

    The union over classes of size m and starting places of the probability that L places in a row hold that class:
    ``(n - L + 1) * sum_c [m_c (m_c - 1) ... (m_c - L + 1)] / [n (n - 1) ... (n - L + 1)]``.

    Parameters
    ----------
    sizes : ndarray of int
        Items of every class, each item in one.
    run : int
        L, at least 1.
    """
    n = int(sizes.sum())

    def falling(m: int) -> float:
        return lgamma(m + 1) - lgamma(m - run + 1)

    total = sum(exp(falling(int(m)) - falling(n)) for m in sizes if m >= run)
    return min(1.0, (n - run + 1) * total)


def stable_order_gain(subject: Subject) -> Found:
    """mAP that a method with constant output gets for the stored order alone, where ties are sorted stably.

    With class-sorted galleries and short hash codes, a stable sort gives points of mAP for nothing. The figure is the
    mAP@all of one big tie in the stored order, less its expectation over all orders.
    """
    for task in subject.tasks:
        if task.protocol.relevance != "label" or not task.judged:
            continue
        query, gallery = task.labels()
        sets, _, weight = distinct_rows(query)
        sampled = ""
        if len(sets) > MOST_LABEL_SETS:
            rng = subject.rng("label sets", task.name)
            kept = rng.choice(len(sets), MOST_LABEL_SETS, replace=False, p=weight / weight.sum())
            sampled = f", over {MOST_LABEL_SETS} of {len(sets):,} label sets drawn by their size"
            sets, weight = sets[kept], np.ones(MOST_LABEL_SETS)
        stable, expected = _all_tied(sets, weight, gallery)
        gain = stable - expected
        large = gain >= GAIN and gain > SIGMAS * _spread(subject, task.name, sets, weight, gallery)
        yield Finding(
            "stable_order_gain",
            "problem" if large else "note",
            task.name,
            gain,
            f"mAP@all of constant scores is {stable:.3f} in the stored order, {expected:.3f} in expectation{sampled}",
            "score",
        )


def _all_tied(sets: np.ndarray, weight: np.ndarray, gallery: np.ndarray) -> tuple[float, float]:
    """mAP@all of constant scores in the stored order and in expectation, over label sets with weights."""
    tied = evaluate(_AllTied(len(sets), len(gallery)), from_labels(sets, gallery), ("mAP@all[stable]", "mAP@all"))
    stable, expected = (float(tied.per_query[name] @ weight / weight.sum()) for name in tied.values)
    return stable, expected


def _spread(subject: Subject, name: str, sets: np.ndarray, weight: np.ndarray, gallery: np.ndarray) -> float:
    """Standard deviation of the gain over shuffled orders, by the largest label sets (fewer sets vary more)."""
    most = np.argsort(-weight, kind="stable")[:64]
    rng = subject.rng("stable", name)
    gains = []
    for _ in range(20):
        stable, expected = _all_tied(sets[most], weight[most], gallery[rng.permutation(len(gallery))])
        gains.append(stable - expected)
    return float(np.std(gains))


@dataclass(frozen=True, eq=False)
class _AllTied(Scores):
    """One score for all: what a method gives that has collapsed."""

    n_query: int
    n_gallery: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_query, self.n_gallery

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32)

    def block(self, start: int, stop: int) -> np.ndarray:
        return np.zeros((stop - start, self.n_gallery), np.float32)


def _galleries(subject: Subject) -> Iterator[tuple[tuple[str, ...], str, list[Items]]]:
    """Every gallery of the protocols once."""
    for splits in dict.fromkeys(p.gallery for p in subject.dataset.protocols):
        if all(s in subject.parts for s in splits):
            for modality in subject.modalities:
                yield splits, modality, [subject.parts[s][modality] for s in splits]


def _labels(items: list[Items]) -> np.ndarray:
    return np.concatenate([i.labels for i in items if i.labels is not None])
