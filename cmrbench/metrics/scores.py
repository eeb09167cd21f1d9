"""Scores: how near every gallery item is to a query, block by block and never as a whole matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.metrics.checks import first_row, matrix, same_width
from cmrbench.metrics.relevance import pack_bits, popcount


class Scores(ABC):
    """Similarities of queries and gallery items; larger is nearer.

    Attributes
    ----------
    levels : int or None
        Scores that are whole numbers from 0 up to ``levels - 1`` say so: they are counted instead of sorted.
    """

    levels: int | None = None

    @property
    def codes(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Packed codes of queries and gallery, uint64 (words, n), if the score is the number of agreeing bits."""
        return None

    @property
    def dtype(self) -> np.dtype | None:
        """What blocks hold, where that is known before one is computed."""
        return None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Number of queries and of gallery items."""

    @abstractmethod
    def block(self, start: int, stop: int) -> np.ndarray:
        """Scores of all gallery items for the queries from `start` up to `stop`: (rows, n_gallery), float or signed."""


@dataclass(frozen=True, eq=False)
class _Given(Scores):
    values: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.values[start:stop]


@dataclass(frozen=True, eq=False)
class _Products(Scores):
    """Products of queries with the distinct gallery rows, less an offset an item, over the norms.

    BLAS does not promise that equal rows get equal products (the edge of a tile is summed in another order), so
    equal rows are multiplied once: items with one representation tie exactly, whatever the library does. Norms
    divide afterwards, so that products of whole numbers stay exact and tie where they should.
    """

    query: np.ndarray  # (n_query, d)
    gallery: np.ndarray  # (distinct, d)
    item: np.ndarray | None  # gallery item -> distinct row; None: all rows are distinct
    offset: np.ndarray | None = None  # (distinct,)
    norms: tuple[np.ndarray, np.ndarray] | None = None  # (n_query,), (distinct,)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.query), len(self.gallery if self.item is None else self.item)

    @property
    def dtype(self) -> np.dtype:
        return self.query.dtype

    def block(self, start: int, stop: int) -> np.ndarray:
        products: np.ndarray = self.query[start:stop] @ self.gallery.T
        if self.offset is not None:
            products -= self.offset
        if self.norms is not None:
            products /= self.norms[0][start:stop, None]
            products /= self.norms[1]
        return products if self.item is None else products[:, self.item]


@dataclass(frozen=True, eq=False)
class _Hamming(Scores):
    query: np.ndarray  # (words, n_query) uint64
    gallery: np.ndarray  # (words, n_gallery) uint64
    levels: int  # bits + 1

    @property
    def shape(self) -> tuple[int, int]:
        return self.query.shape[1], self.gallery.shape[1]

    @property
    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        return self.query, self.gallery

    def block(self, start: int, stop: int) -> np.ndarray:
        agreeing = np.full((stop - start, self.shape[1]), self.levels - 1, dtype=np.int32)
        for q, g in zip(self.query, self.gallery, strict=True):
            agreeing -= popcount(q[start:stop, None] ^ g[None, :])
        return agreeing


def cosine(query: Any, gallery: Any) -> Scores:
    """Cosine similarity of representations (n, d); a zero row has similarity 0 to everything.

    Computed in float32, or in float64 if one of the arrays is float64 or wide integers. A query's scores come from one
    matrix product a block, so another block size can move their last bits.
    """
    q, g = (_scaled(a) for a in _pair(query, gallery))
    rows, item = _distinct(g)
    return _Products(q, rows, item, norms=(_norms(q), _norms(rows)))


def inner(query: Any, gallery: Any) -> Scores:
    """Inner product of representations (n, d); precision as in `cosine`.

    Raises
    ------
    DataError
        If the rows are so long that a product could overflow.
    """
    q, g = _pair(query, gallery)
    longest = [float(np.sqrt(np.einsum("ij,ij->i", a, a, dtype=np.float64).max())) for a in (q, g)]
    if not longest[0] * longest[1] < float(np.finfo(q.dtype).max) / 4:
        raise DataError(f"inner products of rows with norms up to {longest[0]:.3g} and {longest[1]:.3g} overflow")
    return _Products(q, *_distinct(g))


def euclidean(query: Any, gallery: Any) -> Scores:
    """Euclidean distance of representations (n, d), nearest first.

    The score is ``2 q.g - |g|^2`` in float64, which orders the gallery as ``-|q - g|`` does.
    """
    q, g = (a.astype(np.float64) for a in _pair(query, gallery))
    rows, item = _distinct(g)
    squares = np.einsum("ij,ij->i", rows, rows)
    if not np.isfinite(squares).all() or not np.isfinite(np.einsum("ij,ij->i", q, q)).all():
        raise DataError("the squared Euclidean distances overflow; scale the representations")
    return _Products(2 * q, rows, item, squares)


def hamming(query: Any, gallery: Any) -> Scores:
    """Hamming distance of codes (n, bits) in {-1, +1}, nearest first; the score is the number of agreeing bits.

    Raises
    ------
    DataError
        If a value is neither -1 nor +1; the message names the array and the row.
    """
    q, g = matrix(query, "query"), matrix(gallery, "gallery")
    same_width(q, g)
    return _Hamming(pack_codes(q, "query"), pack_codes(g, "gallery"), q.shape[1] + 1)


def given(scores: Any) -> Scores:
    """Scores (n_query, n_gallery) that are already there, larger is nearer."""
    values = matrix(scores, "scores")
    return _Given(values.astype(np.int64) if values.dtype.kind in "bu" else values)


def pack_codes(codes: np.ndarray, name: str) -> np.ndarray:
    """Pack codes (n, bits) in {-1, +1} into words, uint64 (words, n)."""
    positive = codes == 1
    bad = ~(positive | (codes == -1))
    if bad.any():
        row = first_row(bad)
        value = codes[row][bad[row]][0]
        hint = "; write bits b as 2 b - 1" if value == 0 else ""
        raise DataError(f"{name} must be codes of -1 and +1, got {value:g} in row {row}{hint}")
    return pack_bits(positive)


def _pair(query: Any, gallery: Any) -> tuple[np.ndarray, np.ndarray]:
    q, g = matrix(query, "query"), matrix(gallery, "gallery")
    same_width(q, g)
    dtype = np.result_type(q, g, np.float32)  # float32 unless an array holds more digits
    return q.astype(dtype, copy=False), g.astype(dtype, copy=False)


def _scaled(rows: np.ndarray) -> np.ndarray:
    """Each row times the power of two that brings its largest entry to [0.5, 1): exact, and nothing can overflow."""
    largest = np.maximum(rows.max(axis=1, keepdims=True), -rows.min(axis=1, keepdims=True))
    power = -np.frexp(largest)[1]
    most = np.finfo(rows.dtype).maxexp - 1
    scaled: np.ndarray = rows * np.ldexp(np.ones_like(largest), np.clip(power, -most, most))
    if (np.abs(power) > most).any():  # a factor that a number of this width does not hold
        scaled *= np.ldexp(np.ones_like(largest), power - np.clip(power, -most, most))
    return scaled


def _norms(rows: np.ndarray) -> np.ndarray:
    """Euclidean norm of every row; 1 for a zero row."""
    norms: np.ndarray = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    norms[norms == 0] = 1
    return norms


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The distinct rows, and which of them every row is; None if no two rows are equal."""
    if len(np.unique(_hashes(rows))) == len(rows):  # the usual case, without sorting whole rows
        return rows, None
    folded = _folded(rows)
    as_bytes = folded.view(np.dtype((np.void, folded.dtype.itemsize * folded.shape[1]))).ravel()
    _, first, item = np.unique(as_bytes, return_index=True, return_inverse=True)
    return (rows, None) if len(first) == len(rows) else (rows[first], item.ravel())


def _hashes(rows: np.ndarray) -> np.ndarray:
    """A number for every row, uint64, that is the same for equal rows."""
    words = rows.dtype.itemsize * rows.shape[1] // 4
    factors = np.random.default_rng(0).integers(1 << 63, size=words, dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(rows), dtype=np.uint64)
    step = max(1, (1 << 18) // words)  # a megabyte at a time
    for start in range(0, len(rows), step):
        part = _folded(rows[start : start + step]).view(np.uint32)
        np.einsum("ij,j->i", part, factors, out=hashes[start : start + step])
    return hashes


def _folded(rows: np.ndarray) -> np.ndarray:
    """Contiguous rows with -0 turned into +0, so that equal rows have equal bytes."""
    return np.ascontiguousarray(rows + rows.dtype.type(0))
