"""Scores: how near every gallery item is to a query, block by block and never as a whole matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.metrics.checks import check_finite, first_row, matrix, same_width
from cmrbench.metrics.relevance import as_words, pack_bits, popcount
from cmrbench.metrics.rows import distinct, some_rows, with_norms


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
        own = self.values.dtype
        return own.newbyteorder("=") if own.kind == "f" else np.dtype(np.int64)

    def block(self, start: int, stop: int) -> np.ndarray:
        return self.values[start:stop].astype(self.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class Products(Scores):
    """Products of queries with the distinct gallery rows, less an offset an item, over the norms.

    BLAS does not promise that equal rows get equal products (the edge of a tile is summed in another order), so
    equal rows are multiplied once: items with one representation tie exactly, whatever the library does. Norms
    divide afterwards, so that products of whole numbers stay exact and tie where they should.

    Attributes
    ----------
    query : ndarray of float32 or float64, shape (n_query, d)
    gallery : ndarray of the same dtype, shape (distinct, d)
    item : ndarray of int64, shape (n_gallery,), or None
        The gallery row of every item; None: all rows are distinct.
    offset : ndarray, shape (distinct,), or None
        What is taken off the products.
    norms : pair of ndarray, shapes (n_query,) and (distinct,), or None
        Lengths of the rows, for cosines.
    """

    query: np.ndarray
    gallery: np.ndarray
    item: np.ndarray | None
    offset: np.ndarray | None = None
    norms: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries and of gallery items."""
        return len(self.query), len(self.gallery if self.item is None else self.item)

    @property
    def dtype(self) -> np.dtype:
        """That of the operands."""
        return self.query.dtype

    def products(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Products less the offset, of the queries from `start` up to `stop` with the distinct rows, before norms."""
        products: np.ndarray = np.matmul(self.query[start:stop], self.gallery.T, out=out)
        if self.offset is not None:
            products -= self.offset
        return products

    def block(self, start: int, stop: int) -> np.ndarray:
        """Scores of all gallery items."""
        products = self.products(start, stop)
        if self.norms is not None:
            products /= self.norms[1]
            products *= 1 / self.norms[0][start:stop, None]
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
    q, g = _pair(query, gallery, finite=False)
    rows, item = distinct(g)
    q, q_norms = with_norms(q, lambda: check_finite(q, "query"))
    rows, g_norms = with_norms(rows, lambda: check_finite(g, "gallery"))
    return Products(q, rows, item, norms=(q_norms, g_norms))


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
    return Products(q, *distinct(g))


def euclidean(query: Any, gallery: Any) -> Scores:
    """Euclidean distance of representations (n, d), nearest first.

    The score is ``2 q.g - |g|^2`` in float64, which orders the gallery as ``-|q - g|`` does.
    """
    q, g = (a.astype(np.float64) for a in _pair(query, gallery))
    rows, item = distinct(g)
    squares = np.einsum("ij,ij->i", rows, rows)
    if not np.isfinite(squares).all() or not np.isfinite(np.einsum("ij,ij->i", q, q)).all():
        raise DataError("the squared Euclidean distances overflow; scale the representations")
    return Products(2 * q, rows, item, squares)


def asymmetric(query: Any, gallery: Any) -> Scores:
    """Inner product of real-valued queries (n, bits) with gallery codes (n, bits) in {-1, +1}.

    The queries are what a hash function gives before the sign, so that a query's ranking has no ties where its
    Hamming distances have (asymmetric distance). Precision as in `cosine`.

    Raises
    ------
    DataError
        If a value of `gallery` is neither -1 nor +1; the message names the row.
    """
    pack_codes(matrix(gallery, "gallery"), "gallery")  # refuses what is no code
    return inner(query, gallery)


def hamming(query: Any, gallery: Any, bits: int | None = None) -> Scores:
    """Hamming distance of codes, nearest first; the score is the number of agreeing bits.

    Parameters
    ----------
    query, gallery : array
        Codes (n, bits) in {-1, +1}; or, where `bits` is given, packed codes, uint8 (n, ceil(bits / 8)), as
        `numpy.packbits` makes them. Which bit of a byte comes first does not matter, if it is the same in both.
    bits : int, optional
        Length of packed codes.

    Raises
    ------
    DataError
        If a value is neither -1 nor +1, or packed codes are not of the declared length; the message names the array
        and the row.
    """
    q, g = matrix(query, "query"), matrix(gallery, "gallery")
    if bits is not None:
        return _Hamming(*_packed(q, g, bits), bits + 1)
    same_width(q, g)
    return _Hamming(pack_codes(q, "query"), pack_codes(g, "gallery"), q.shape[1] + 1)


def given(scores: Any) -> Scores:
    """Scores (n_query, n_gallery) that are already there, larger is nearer."""
    values = matrix(scores, "scores")
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        most = 2**63 - 1
        for some in some_rows(values.shape):
            part = values[some]
            bad = (part > most) | (part < -most) if values.dtype.kind == "i" else part > most
            if bad.any():
                row = first_row(bad)
                raise DataError(
                    f"scores must lie within -(2**63 - 1) and 2**63 - 1, got {part[row][bad[row]][0]} "
                    f"in row {some.start + row}"
                )
    return _Given(values)


def pack_codes(codes: np.ndarray, name: str) -> np.ndarray:
    """Pack codes (n, bits) in {-1, +1} into words, uint64 (words, n)."""

    def positive(some: slice) -> np.ndarray:
        part = codes[some]
        signs: np.ndarray = part == 1
        if not (signs ^ (part == -1)).all():
            bad = ~signs & (part != -1)
            row = first_row(bad)
            value = part[row][bad[row]][0]
            hint = "; write bits b as 2 b - 1, or name their number if they are packed"
            hint = hint if value >= 0 and value == int(value) else ""
            raise DataError(f"{name} must be codes of -1 and +1, got {value:g} in row {some.start + row}{hint}")
        return signs

    return pack_bits(codes.shape, positive)


def _packed(query: np.ndarray, gallery: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Packed codes as words, uint64 (words, n), if they are of the length that is declared."""
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or bits < 1:
        raise DataError(f"bits must be a whole number from 1 up, got {bits!r}")
    width, spare = -(-bits // 8), -bits % 8
    for name, codes in (("query", query), ("gallery", gallery)):
        if codes.dtype != np.uint8 or codes.shape[1] != width:
            raise DataError(
                f"{name} must be packed codes of {bits} bits, uint8 in {width} columns, "
                f"got {codes.dtype} in {codes.shape[1]}"
            )
    low, high = (1 << spare) - 1, 256 - (1 << (8 - spare))  # of the last byte: unused, whichever bit comes first
    used = [[(codes[:, -1] & mask) != 0 for codes in (query, gallery)] for mask in (low, high)]
    if all(q.any() or g.any() for q, g in used):
        name, codes, bad = ("query", query, used[0][0]) if used[0][0].any() else ("gallery", gallery, used[0][1])
        row = first_row(bad)
        raise DataError(
            f"{name} must be packed codes of {bits} bits, the last {spare} bits of a row clear, "
            f"got {int(codes[row, -1]):08b} at the end of row {row}"
        )
    return as_words(query), as_words(gallery)


def _pair(query: Any, gallery: Any, finite: bool = True) -> tuple[np.ndarray, np.ndarray]:
    q, g = matrix(query, "query", finite), matrix(gallery, "gallery", finite)
    same_width(q, g)
    dtype = np.result_type(q, g, np.float32)  # float32 unless an array holds more digits
    return q.astype(dtype, copy=False), g.astype(dtype, copy=False)
