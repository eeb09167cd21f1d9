"""A protocol in one direction, and what follows from labels and instance ids alone: no features are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cmrbench.core.items import Items
from cmrbench.core.protocol import Protocol
from cmrbench.metrics.evaluation import Gathered
from cmrbench.metrics.metric import Metric

_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Task:
    """Queries of one modality against a gallery of another.

    Attributes
    ----------
    protocol : Protocol
    a, b : str
        Modality of the queries and of the gallery.
    query, gallery : tuple of Items
        Split after split.
    """

    protocol: Protocol
    a: str
    b: str
    query: tuple[Items, ...]
    gallery: tuple[Items, ...]

    @property
    def name(self) -> str:
        """Such as ``all-test: image -> text``."""
        return f"{self.protocol.name}: {self.a} -> {self.b}"

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of queries and gallery items."""
        return sum(map(len, self.query)), sum(map(len, self.gallery))

    @property
    def judged(self) -> bool:
        """Whether relevance is known: it is by instance, or there are labels."""
        return self.protocol.relevance == "instance" or all(i.labels is not None for i in (*self.query, *self.gallery))

    def ids(self) -> np.ndarray:
        """Item ids of the queries."""
        return np.concatenate([i.ids for i in self.query])

    def instances(self) -> tuple[np.ndarray, np.ndarray]:
        """Instance ids of queries and gallery."""
        q, g = (np.concatenate([i.instances for i in side]) for side in (self.query, self.gallery))
        return q, g

    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels of queries and gallery, uint8 (n, C)."""
        q, g = (np.concatenate([i.labels for i in side if i.labels is not None]) for side in (self.query, self.gallery))
        return q, g

    @cached_property
    def relevant(self) -> np.ndarray:
        """Relevant gallery items of every query: int64 (n_query,)."""
        if self.protocol.relevance == "instance":
            q, g = self.instances()
            known, counts = np.unique(g, return_counts=True)
            at = np.minimum(np.searchsorted(known, q), len(known) - 1)
            return np.where(known[at] == q, counts[at], 0)
        return relevant_counts(*self.labels())


def distinct_rows(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct rows of labels (n, C), which of them each row is, and how many rows are it."""
    packed = np.ascontiguousarray(np.packbits(labels.astype(bool), axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    return labels[first], inverse.ravel(), counts


def relevant_counts(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Gallery items that share a label with each query: int64 (n_query,). Equal label rows are compared once."""
    q, item, _ = distinct_rows(query)
    g, _, weight = distinct_rows(gallery)
    left, right = q.astype(np.float32), g.astype(np.float32).T
    counts = np.empty(len(q), np.int64)
    step = max(1, _CELLS // len(g))
    for start in range(0, len(q), step):
        counts[start : start + step] = (left[start : start + step] @ right > 0) @ weight
    result: np.ndarray = counts[item]
    return result


def chance(relevant: np.ndarray, n: int, metrics: Sequence[Metric]) -> dict[str, float]:
    """Metrics expected under a random order of a gallery of n items, `relevant` (n_query,) of them relevant.

    Metrics within Hamming radii and with graded gains depend on more than that, and are not for this function.
    """
    gathered = Gathered(list(metrics), [], len(relevant), n)
    gathered.relevant[:] = relevant
    for values in (*gathered.values.values(), *gathered.hits.values()):
        values[:] = 0  # only what chance gives is read
    return gathered.evaluation().chance
