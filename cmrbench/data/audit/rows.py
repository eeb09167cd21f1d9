"""The rows of one modality over all splits, without a copy of them: which are equal, and what they measure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cmrbench.core.items import Items
from cmrbench.data.arrays import row_blocks

VECTORS = ("vector", "set")


@dataclass(frozen=True, eq=False)
class Equal:
    """Which rows are equal.

    Attributes
    ----------
    group : ndarray of int64, shape (n,)
        Equal rows have one number.
    size : ndarray of int64, shape (n,)
        Rows that have it.
    """

    group: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, keys: np.ndarray) -> Equal:
        """From keys that are equal for equal rows."""
        _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
        group = group.ravel()
        return cls(group, counts[group])


def hashed(contents: Iterable[bytes]) -> np.ndarray:
    """A 128-bit hash of each, (n,): memory does not grow with what is hashed."""
    keys = bytearray()
    for content in contents:
        keys += hashlib.blake2b(content, digest_size=16).digest()
    return np.frombuffer(bytes(keys), "V16")


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in one pass over the rows of a split.

    Attributes
    ----------
    norms : ndarray of float64, shape (n,)
    filled : ndarray of int64, shape (n,)
        Values other than zero.
    least, most : ndarray, shape (d,)
        By column.
    bad : ndarray of int64
        Rows that hold NaN or infinity.
    """

    norms: np.ndarray
    filled: np.ndarray
    least: np.ndarray
    most: np.ndarray
    bad: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Measured:
        """Measure rows (n, ...), block by block."""
        norms, filled, bad = [], [], []
        shape = features.shape[1:]
        least, most = np.full(shape, np.inf), np.full(shape, -np.inf)
        start = 0
        for block in row_blocks(features):
            flat = block.reshape(len(block), -1)
            filled.append(np.count_nonzero(flat, axis=1))
            norms.append(np.sqrt(np.einsum("ij,ij->i", flat, flat, dtype=np.float64)))
            if block.dtype.kind == "f":
                bad.append(start + np.flatnonzero(~np.isfinite(norms[-1])))
            if block.size:
                least, most = np.minimum(least, block.min(0)), np.maximum(most, block.max(0))
            start += len(block)

        def joined(these: list[np.ndarray]) -> np.ndarray:
            return np.concatenate(these) if these else np.empty(0, np.int64)

        return cls(joined(norms), joined(filled), least, most, joined(bad))


class Rows:
    """Rows of one modality, split after split.

    Parameters
    ----------
    parts : tuple of (split, Items)
    kind : str
        ``vector``, ``set`` (compared by the mean over its vectors), ``tokens`` or ``raw``.
    """

    def __init__(self, parts: tuple[tuple[str, Items], ...], kind: str) -> None:
        self.kind = kind
        self.splits = tuple(s for s, _ in parts)
        self.items = tuple(items for _, items in parts)
        self.starts = np.cumsum([0, *(len(i) for i in self.items)])
        self.split = np.repeat(np.arange(len(parts)), np.diff(self.starts))

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def are_vectors(self) -> bool:
        """Whether rows have lengths and angles."""
        return self.kind in VECTORS and self.items[0].features.ndim > 1 and self.items[0].features.shape[-1] > 0

    @property
    def dim(self) -> int:
        """Columns of `take`."""
        return int(self.items[0].features.shape[-1])

    def of(self, split: str) -> np.ndarray:
        """Numbers of the rows of a split."""
        s = self.splits.index(split)
        return np.arange(self.starts[s], self.starts[s + 1])

    @cached_property
    def ids(self) -> np.ndarray:
        """Item ids, (n,)."""
        return np.concatenate([i.ids for i in self.items])

    @cached_property
    def instances(self) -> np.ndarray:
        """Instance ids, (n,)."""
        return np.concatenate([i.instances for i in self.items])

    @cached_property
    def instance(self) -> np.ndarray:
        """A number for every instance id: int64 (n,)."""
        return np.unique(self.instances, return_inverse=True)[1].ravel()

    @cached_property
    def labels(self) -> np.ndarray | None:
        """Labels, uint8 (n, C)."""
        given = [i.labels for i in self.items]
        return None if any(g is None for g in given) else np.concatenate([g for g in given if g is not None])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Rows by their numbers as vectors: float32 (len(rows), d)."""
        out = np.empty((len(rows), self.dim), np.float32)
        where = self.split[rows]
        for s in np.unique(where):
            here = where == s
            out[here] = self._vectors(self.items[s].features[rows[here] - self.starts[s]])
        return out

    def _vectors(self, raw: np.ndarray) -> np.ndarray:
        return np.asarray(raw.mean(1) if self.kind == "set" and raw.ndim == 3 else raw, np.float32)

    @cached_property
    def equal(self) -> Equal:
        """Which rows are equal to the bit (-0 is 0), by a 128-bit hash of each."""

        def contents() -> Iterator[bytes]:
            for items in self.items:
                for block in row_blocks(items.features):
                    plain = block + block.dtype.type(0) if block.dtype.kind == "f" else block
                    for row in np.ascontiguousarray(plain).reshape(len(plain), -1):
                        yield row.tobytes()

        return Equal.of(hashed(contents()))

    @cached_property
    def filled(self) -> np.ndarray:
        """Values other than zero in every row: int64 (n,)."""
        return np.concatenate([m.filled for m in self.measured])

    @cached_property
    def broken(self) -> np.ndarray:
        """Whether a row holds NaN or infinity: bool (n,)."""
        broken = np.zeros(len(self), bool)
        for start, measured in zip(self.starts[:-1], self.measured, strict=True):
            broken[start + measured.bad] = True
        return broken

    @cached_property
    def norms(self) -> np.ndarray:
        """Euclidean length of every row: float64 (n,)."""
        return np.concatenate([m.norms for m in self.measured])

    @cached_property
    def measured(self) -> tuple[Measured, ...]:
        """Norms, zeros and ranges of the rows of each split."""
        return tuple(Measured.of(items.features) for items in self.items)
