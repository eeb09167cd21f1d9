"""W1-W5: generated retrieval tasks of the sizes that the field's papers report on.

Items are class centres plus noise, so that rankings are neither random nor perfect; labels of the larger tasks are
several an item and skewed, as those of MIRFlickr and NUS-WIDE are. Every task comes from one seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

SIGNAL = 1.2  # similarity that a shared class adds, in standard deviations of the similarity of strangers


@dataclass(frozen=True)
class Shape:
    """Sizes of a task; `metrics` are computed in one call."""

    kind: str  # "cosine" or "hamming"
    n_query: int
    n_gallery: int
    d: int
    classes: int
    multi_label: bool = True
    metrics: tuple[str, ...] = ("mAP@all",)


SHAPES = {
    "W1": Shape("cosine", 462, 462, 2048, 10, multi_label=False),
    "W2": Shape("cosine", 2_000, 18_015, 512, 24),
    "W3": Shape("hamming", 2_000, 18_015, 128, 24),
    "W4": Shape("hamming", 2_085, 193_749, 64, 21, metrics=("mAP@all", "mAP@50")),
    "W5": Shape("cosine", 2_000, 193_749, 256, 21),
}


@dataclass(frozen=True, eq=False)
class Workload:
    """One task.

    Attributes
    ----------
    name : str
    kind : str
        ``"cosine"`` or ``"hamming"``.
    query, gallery : ndarray, shapes (n_query, d) and (n_gallery, d)
        float32 representations, or int8 codes in {-1, +1}.
    query_labels, gallery_labels : ndarray
        Class numbers, int64 (n,), or multi-hot, uint8 (n, classes).
    metrics : tuple of str
    """

    name: str
    kind: str
    query: np.ndarray
    gallery: np.ndarray
    query_labels: np.ndarray
    gallery_labels: np.ndarray
    metrics: tuple[str, ...]

    @property
    def n_query(self) -> int:
        return len(self.query)

    @property
    def n_gallery(self) -> int:
        return len(self.gallery)

    @property
    def pairs(self) -> int:
        return self.n_query * self.n_gallery

    @property
    def inputs_mb(self) -> float:
        return sum(a.nbytes for a in (self.query, self.gallery, self.query_labels, self.gallery_labels)) / 2**20

    def first(self, queries: int) -> Workload:
        """The same task with its first queries only."""
        return replace(self, query=self.query[:queries], query_labels=self.query_labels[:queries])


def make(name: str, queries: int | None = None) -> Workload:
    """The task `name` of `SHAPES`, with at most `queries` queries."""
    task = generate(name, SHAPES[name], seed=int(name[1:]))
    return task if queries is None else task.first(queries)


def generate(name: str, shape: Shape, seed: int) -> Workload:
    """A task of any shape; single-label tasks of equal sides are pairs that share their labels."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((shape.classes, shape.d), dtype=np.float32)
    draw = _multi_hot if shape.multi_label else _class_numbers
    gallery_labels = draw(rng, shape.n_gallery, shape.classes)
    paired = not shape.multi_label and shape.n_query == shape.n_gallery
    query_labels = gallery_labels if paired else draw(rng, shape.n_query, shape.classes)
    return Workload(
        name,
        shape.kind,
        _items(rng, centres, query_labels, shape.kind),
        _items(rng, centres, gallery_labels, shape.kind),
        query_labels,
        gallery_labels,
        shape.metrics,
    )


def _class_numbers(rng: np.random.Generator, n: int, classes: int) -> np.ndarray:
    return rng.integers(classes, size=n)


def _multi_hot(rng: np.random.Generator, n: int, classes: int) -> np.ndarray:
    """About three labels an item, the first label a dozen times as frequent as the last; none without a label."""
    share = 0.5 / (1 + np.arange(classes)) ** 0.75
    labels = (rng.random((n, classes)) < share).astype(np.uint8)
    empty = np.flatnonzero(~labels.any(axis=1))
    labels[empty, rng.choice(classes, size=len(empty), p=share / share.sum())] = 1
    return labels


def _items(rng: np.random.Generator, centres: np.ndarray, labels: np.ndarray, kind: str) -> np.ndarray:
    d = centres.shape[1]
    # Two items of one class have the expected cosine 1 / (1 + noise^2); strangers' cosines spread by 1 / sqrt(d).
    noise = np.float32(np.sqrt(max(np.sqrt(d) / SIGNAL - 1, 0.25)))
    items = rng.standard_normal((len(labels), d), dtype=np.float32)
    items *= noise
    if labels.ndim == 1:
        items += centres[labels]
    else:
        weights = labels / np.sqrt(labels.sum(axis=1, keepdims=True))
        items += weights.astype(np.float32) @ centres
    return items if kind == "cosine" else np.where(items >= 0, 1, -1).astype(np.int8)
