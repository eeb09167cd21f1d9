"""2Sknn, the two-stage search of LCM: rank the classes by a query's neighbours, then the gallery by its classes.

The second stage reads the gallery's true labels, so its numbers measure a k-nearest-neighbour classifier and belong
beside label-free rankings only with a mark (`cmrbench.retrieval.READS_LABELS`).

Source: the LCM paper, section 3.2 and algorithm 1. It leaves open in which order classes with equally many
neighbours follow; see `equal_counts`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError, UnknownNameError, UsageError
from cmrbench.metrics.scores import Scores, cosine, euclidean, hamming
from cmrbench.retrieval.encoded import Encoded

_NEIGHBOUR_DISTANCES: dict[str, Callable[[Any, Any], Scores]] = {
    "euclidean": euclidean,
    "cosine": cosine,
    "hamming": hamming,
}
EQUAL_COUNTS = ("nearest", "tied", "class_index")

_BLOCK_BYTES = 64 << 20
_BYTES_PER_PAIR = 64


def two_stage_search(
    query: Encoded,
    gallery: Encoded,
    train: Encoded | None,
    method: Any = None,
    *,
    k: int = 50,
    distance: str | None = None,
    equal_counts: str = "nearest",
) -> Scores:
    """Rank the gallery by the classes of each query's nearest training items of its own modality.

    Stage 1 counts the labels of the k training items nearest to the query (one count a label). Stage 2 ranks the
    classes by count; a gallery item stands where its first class in that order stands, and items of one class are
    tied. Items without a label come last.

    Parameters
    ----------
    query, gallery : Encoded
        The gallery with its labels.
    train : Encoded
        Training items of the query's modality, with labels.
    k : int
        Neighbours. Where several items share the k-th distance, each counts in part, as if the last places were
        drawn from them at random: the order of the training items changes nothing. With fewer than k training items
        all of them count, with a warning.
    distance : str, optional
        ``"euclidean"``, ``"cosine"`` or ``"hamming"``; None: Hamming for integer codes, Euclidean otherwise.
    equal_counts : str
        Classes with equal counts: ``"nearest"``, the class of the nearer neighbour first (classes that no neighbour
        has stay tied, so that the numbering of classes changes nothing); ``"tied"``, their items are one tie group;
        ``"class_index"``, in the order of the label columns.

    Raises
    ------
    UsageError, DataError
        If training items or labels are missing, of another modality, or do not fit each other.
    """
    train_labels, gallery_labels = _check(query, gallery, train)
    assert train is not None
    if isinstance(k, bool) or not isinstance(k, int) or k <= 0:
        raise UsageError(f"2sknn: k must be a whole number from 1 up, got {k!r}")
    if equal_counts not in EQUAL_COUNTS:
        raise UnknownNameError("rule for equal counts", equal_counts, EQUAL_COUNTS)
    if distance is None:
        codes = query.representations.dtype.kind == "i" and train.representations.dtype.kind == "i"
        distance = "hamming" if codes else "euclidean"
    if distance not in _NEIGHBOUR_DISTANCES:
        raise UnknownNameError("distance", distance, _NEIGHBOUR_DISTANCES)
    if k > len(train):
        warnings.warn(f"2sknn: all {len(train)} training items count, fewer than k = {k}", stacklevel=2)
    nearness = _NEIGHBOUR_DISTANCES[distance](query.representations, train.representations)
    levels = _class_levels(nearness, train_labels, min(k, len(train)), equal_counts)
    return _ByClass(levels, *_label_sets(gallery_labels))


@dataclass(frozen=True, eq=False)
class _ByClass(Scores):
    """Scores of gallery items by the best of their classes: 0 without a class, up to the number of classes."""

    class_level: np.ndarray  # (n_query, C) from 1, larger is better
    label_sets: np.ndarray  # (sets, C) bool, the distinct label rows of the gallery
    label_set: np.ndarray  # (n_gallery,) which of them an item has

    @property
    def levels(self) -> int:  # type: ignore[override]
        return int(self.class_level.shape[1]) + 1

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.class_level), len(self.label_set)

    def block(self, start: int, stop: int) -> np.ndarray:
        level = self.class_level[start:stop]
        best = np.zeros((len(level), len(self.label_sets)), dtype=np.int32)
        for c, sets in enumerate(self.label_sets.T):
            best[:, sets] = np.maximum(best[:, sets], level[:, c, None])
        return best[:, self.label_set]


def _class_levels(nearness: Scores, labels: np.ndarray, k: int, equal_counts: str) -> np.ndarray:
    """Rank of every class for every query, int32 (n_query, C) from 1 up; equal where classes tie."""
    n_query, n_train = nearness.shape
    step = max(1, _BLOCK_BYTES // (_BYTES_PER_PAIR * n_train))
    levels = np.empty((n_query, labels.shape[1]), dtype=np.int32)
    for start in range(0, n_query, step):
        stop = min(start + step, n_query)
        near = nearness.block(start, stop)
        count, nearest = _count_labels(near, labels, k)
        if equal_counts == "tied":
            tie_break = np.zeros_like(nearest)
        elif equal_counts == "class_index":
            tie_break = np.broadcast_to(-np.arange(labels.shape[1], dtype=float), nearest.shape)
        else:
            tie_break = nearest
        levels[start:stop] = _dense_ranks(count, tie_break)
    return levels


def _count_labels(near: np.ndarray, labels: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels among the k nearest, and how near the nearest item with each label is (-inf: none), both (rows, C).

    Counts are multiplied by the number of items at the k-th distance, which makes the shares of these whole numbers.
    """
    kth = np.partition(near, near.shape[1] - k, axis=1)[:, near.shape[1] - k, None]
    closer, tied = near > kth, near == kth
    places = k - closer.sum(axis=1, dtype=np.int64)[:, None]
    n_tied = tied.sum(axis=1, dtype=np.int64)[:, None]
    width = labels.astype(np.float64)  # products of 0 and 1 are exact
    count = n_tied * (closer @ width).astype(np.int64) + places * (tied @ width).astype(np.int64)
    nearest = np.full(count.shape, -np.inf)
    row, item = np.nonzero(closer | tied)
    pair, label = np.nonzero(labels[item])
    np.maximum.at(nearest, (row[pair], label), near[row[pair], item[pair]])
    return count, nearest


def _dense_ranks(count: np.ndarray, tie_break: np.ndarray) -> np.ndarray:
    """Ranks 1, 2, ... along each row by count, then `tie_break`, ascending; equal pairs share a rank."""
    order = np.lexsort((tie_break, count), axis=1)
    by_count = np.take_along_axis(count, order, axis=1)
    by_break = np.take_along_axis(tie_break, order, axis=1)
    new = (by_count[:, 1:] != by_count[:, :-1]) | (by_break[:, 1:] != by_break[:, :-1])
    ranks = np.ones(count.shape, dtype=np.int32)
    np.cumsum(new, axis=1, out=ranks[:, 1:])
    ranks[:, 1:] += 1
    result = np.empty_like(ranks)
    np.put_along_axis(result, order, ranks, axis=1)
    return result


def _label_sets(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    packed = np.packbits(labels, axis=1)
    packed = np.ascontiguousarray(packed)  # packbits keeps the order of axes, and labels may come column-major
    as_bytes = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, label_set = np.unique(as_bytes, return_index=True, return_inverse=True)
    return labels[first], label_set.ravel()


def _check(query: Encoded, gallery: Encoded, train: Encoded | None) -> tuple[np.ndarray, np.ndarray]:
    if train is None:
        raise UsageError("2sknn looks queries up among training items, and was given none")
    if train.modality != query.modality:
        raise UsageError(
            f"2sknn looks {query.modality} queries up among {query.modality} training items, got {train.modality}"
        )
    found = []
    for name, items in (("training", train), ("gallery", gallery)):
        labels = None if items.labels is None else np.asarray(items.labels)
        if labels is None:
            raise UsageError(f"2sknn reads the labels of the {name} items, and they have none")
        if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
            raise DataError(f"{name} labels must be multi-hot, 0 and 1 in two dimensions, got shape {labels.shape}")
        if len(labels) != len(items):
            raise DataError(f"there are {len(items)} {name} items but {len(labels)} rows of labels")
        found.append(labels != 0)
    if found[0].shape[1] != found[1].shape[1]:
        raise DataError(
            f"training and gallery labels must have equally many columns, got {found[0].shape[1]} "
            f"and {found[1].shape[1]}"
        )
    return found[0], found[1]
