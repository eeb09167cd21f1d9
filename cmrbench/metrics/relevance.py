"""Relevance: which gallery items answer which query, block by block and never as a whole matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.metrics.checks import as_array, first_row
from cmrbench.metrics.rows import some_rows


@dataclass(frozen=True, eq=False)
class LabelWords:
    """Labels as 64-bit words, which compiled code compares item by item.

    Attributes
    ----------
    query, gallery : ndarray of uint64, shapes (words, n_query) and (words, n_gallery)
    shared : bool
        Whether the words are bit masks and an item is relevant if it shares a bit with the query. Otherwise there is
        one word, a class number, and an item is relevant if it has the query's.
    """

    query: np.ndarray
    gallery: np.ndarray
    shared: bool

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct labels of the gallery, uint64 (words, distinct), and how many items have them."""
        if len(self.gallery) == 1:
            labels, counts = np.unique(self.gallery[0], return_counts=True)
            return labels[None], counts
        order = np.lexsort(self.gallery)
        ranked = self.gallery[:, order]
        first = np.flatnonzero(np.r_[True, (ranked[:, 1:] != ranked[:, :-1]).any(axis=0)])
        return np.ascontiguousarray(ranked[:, first]), np.diff(first, append=len(order))


class Relevance(ABC):
    """Which gallery items are relevant to which query."""

    @property
    def words(self) -> LabelWords | None:
        """The labels behind it; None where relevance is known by blocks only."""
        return None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Number of queries and of gallery items."""

    @abstractmethod
    def block(self, start: int, stop: int) -> np.ndarray:
        """Relevance of all gallery items to the queries from `start` up to `stop`: bool (rows, n_gallery)."""

    def grades(self, start: int, stop: int) -> np.ndarray:
        """Grade of every gallery item, the number of labels shared: unsigned (rows, n_gallery).

        1 where an item is relevant and 0 elsewhere, unless items have several labels.
        """
        return self.block(start, stop).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _SameNumber(Relevance):
    query: np.ndarray  # (n_query,) int64
    gallery: np.ndarray  # (n_gallery,) int64

    @property
    def words(self) -> LabelWords:
        return LabelWords(self.query[None].view(np.uint64), self.gallery[None].view(np.uint64), shared=False)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.query), len(self.gallery)

    def block(self, start: int, stop: int) -> np.ndarray:
        equal: np.ndarray = self.query[start:stop, None] == self.gallery[None, :]
        return equal


@dataclass(frozen=True, eq=False)
class _SharedLabel(Relevance):
    query: np.ndarray  # (words, n_query) uint64
    gallery: np.ndarray  # (words, n_gallery) uint64

    @property
    def words(self) -> LabelWords:
        return LabelWords(self.query, self.gallery, shared=True)

    @property
    def shape(self) -> tuple[int, int]:
        return self.query.shape[1], self.gallery.shape[1]

    def block(self, start: int, stop: int) -> np.ndarray:
        shared = np.zeros((stop - start, self.shape[1]), dtype=bool)
        for q, g in zip(self.query, self.gallery, strict=True):
            shared |= (q[start:stop, None] & g[None, :]) != 0
        return shared

    def grades(self, start: int, stop: int) -> np.ndarray:
        shared = np.zeros((stop - start, self.shape[1]), dtype=np.uint8 if 64 * len(self.query) < 256 else np.uint32)
        for q, g in zip(self.query, self.gallery, strict=True):
            shared += popcount(q[start:stop, None] & g[None, :])
        return shared


def from_labels(query_labels: Any, gallery_labels: Any) -> Relevance:
    """Relevance by labels: an item is relevant to a query if the two share at least one.

    Parameters
    ----------
    query_labels, gallery_labels : array
        Both class numbers, ``(n,)`` from 0 up, or both multi-hot, ``(n, C)`` of 0 and 1 with any number C of labels.
        A row without a label is relevant to nothing.

    Raises
    ------
    DataError
        If one of them is neither, is empty, or the two do not fit each other.
    """
    q = _numbers(query_labels, "query labels")
    g = _numbers(gallery_labels, "gallery labels")
    if q.ndim != g.ndim:
        raise DataError(
            "query labels and gallery labels must both be class numbers (1-d) or both be multi-hot (2-d), "
            f"got shapes {q.shape} and {g.shape}"
        )
    if q.ndim == 1:
        return _SameNumber(_classes(q, "query labels"), _classes(g, "gallery labels"))
    packed = _multi_hot(q, "query labels"), _multi_hot(g, "gallery labels")
    if q.shape[1] != g.shape[1]:
        raise DataError(
            f"query labels and gallery labels must have equally many columns, got {q.shape[1]} and {g.shape[1]}"
        )
    return _SharedLabel(*packed)


def from_instances(query_instances: Any, gallery_instances: Any) -> Relevance:
    """Relevance by instance: an item is relevant to a query if both carry the same instance id.

    Parameters
    ----------
    query_instances, gallery_instances : array of str or int, shape (n,)
    """
    q, g = as_array(query_instances, "query instances"), as_array(gallery_instances, "gallery instances")
    for name, ids in (("query instances", q), ("gallery instances", g)):
        if ids.ndim != 1 or not len(ids):
            raise DataError(f"{name} must be a 1-d array with at least one id, got shape {ids.shape}")
        if ids.dtype.kind not in "iuUS":
            raise DataError(f"{name} must be strings or whole numbers, got dtype {ids.dtype}")
    if (q.dtype.kind in "iu") != (g.dtype.kind in "iu"):
        raise DataError(f"query and gallery instances must be of one kind, got dtypes {q.dtype} and {g.dtype}")
    _, numbers = np.unique(np.concatenate([q, g]), return_inverse=True)
    return _SameNumber(numbers[: len(q)], numbers[len(q) :])


def pack_bits(shape: tuple[int, ...], bits: Callable[[slice], np.ndarray]) -> np.ndarray:
    """Pack the bool rows of an array of a shape (n, C) into 64-bit words, word-major: uint64 (ceil(C / 64), n).

    `bits` gives some of the rows: no more than a few of them are held as bool at a time.
    """
    n, C = shape
    words = np.empty((-(-C // 64), n), dtype=np.uint64)
    for some in some_rows(shape):
        words[:, some] = as_words(np.packbits(bits(some), axis=1, bitorder="little"))
    return words


def as_words(octets: np.ndarray) -> np.ndarray:
    """Rows of bytes (n, width) as 64-bit words, word-major: uint64 (ceil(width / 8), n); missing bytes are 0."""
    padded = np.zeros((len(octets), -(-octets.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : octets.shape[1]] = octets
    return np.ascontiguousarray(padded.view(np.uint64).T)


def popcount(words: np.ndarray) -> np.ndarray:
    """Number of set bits of each uint64, as uint8."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        counts: np.ndarray = np.bitwise_count(words)
    else:
        octets = np.ascontiguousarray(words).view(np.uint8).reshape(*words.shape, 8)
        counts = _BITS_OF_BYTE[octets].sum(axis=-1, dtype=np.uint8)
    return counts


_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


def _numbers(labels: Any, name: str) -> np.ndarray:
    """Labels as an array of numbers with one or two dimensions."""
    values = as_array(labels, name)
    if values.dtype.kind not in "biuf":
        raise DataError(f"{name} must hold whole numbers, got dtype {values.dtype}")
    if not values.size:
        raise DataError(f"{name} are empty: shape {values.shape}")
    if values.ndim not in (1, 2):
        raise DataError(f"{name} must be class numbers (1-d) or multi-hot (2-d), got shape {values.shape}")
    return values


def _classes(values: np.ndarray, name: str) -> np.ndarray:
    """Class numbers as int64; floats are taken if they are whole (MATLAB and CSV files store labels so)."""
    bad = (values < 0) | (values > 2**53)
    if values.dtype.kind == "f":
        bad |= values != np.floor(values)  # NaN is not equal to itself
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{name} must be class numbers, whole and from 0 up, got {values[row]} in row {row}")
    return values.astype(np.int64)


def _multi_hot(values: np.ndarray, name: str) -> np.ndarray:
    """Multi-hot labels (n, C), packed."""

    def held(some: slice) -> np.ndarray:
        part = values[some]
        labels: np.ndarray = part == 1
        bad = ~labels & (part != 0)
        if bad.any():
            row = first_row(bad)
            raise DataError(
                f"{name} with two dimensions must be multi-hot (0 and 1), got {part[row][bad[row]][0]} in row "
                f"{some.start + row}; give class numbers as a 1-d array"
            )
        return labels

    return pack_bits(values.shape, held)
