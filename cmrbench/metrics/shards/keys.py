"""Keys: real-valued scores as whole numbers, ascending from the top of a ranking down, equal where scores are equal.

The bits of a float that is not negative, read as a whole number, ascend with it, and those of a negative one descend.
Turning round all bits but the sign of the former makes one descending order of both; nothing is lost. Whole numbers
ascend on either side of zero, so there it is done for both.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.metrics import compiled


class Keys:
    """Keys of a shard's scores, by compiled kernels where there are enough to rank, by numpy otherwise.

    Parameters
    ----------
    rows, n : int
        Queries and items.
    """

    def __init__(self, rows: int, n: int) -> None:
        modules = compiled.kernels() if rows * n >= compiled.LEAST_PAIRS else None
        self.sorting: ModuleType | None = None
        if modules is not None:
            from cmrbench.metrics.kernels import anchors

            self.kernel, self.sorting = anchors, modules[1]

    def relevant(self, scores: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.uint64]:
        """Keys of the relevant items in gallery order, and the sum of their hashes."""
        if self.sorting is None or scores.dtype.kind != "f":
            keys = keys_of(scores[relevant])
            return keys, hashed(keys)
        room = np.empty(len(scores) + 1, _unsigned(scores))
        count, total = self.kernel.take_keys(scores.view(room.dtype), relevant, True, room)
        return room[:count], np.uint64(total)

    def all(self, scores: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.uint64]:
        """Keys of all items in gallery order, and the sum of the hashes of the relevant items'."""
        if self.sorting is None or scores.dtype.kind != "f":
            keys = keys_of(scores)
            return keys, hashed(keys[relevant])
        keys = np.empty(len(scores), _unsigned(scores))
        _, total = self.kernel.take_keys(scores.view(keys.dtype), relevant, False, keys)
        return keys, np.uint64(total)

    def sorted(self, keys: np.ndarray) -> np.ndarray:
        """Keys in ascending order; `keys` may be overwritten."""
        if self.sorting is None or len(keys) <= compiled.FEW:
            keys.sort()
            return keys
        ranked: np.ndarray = self.sorting.radix_sort(keys, np.empty_like(keys), 0, np.empty(1 << 11, np.uint32))
        return ranked

    def order(self, keys: np.ndarray) -> np.ndarray:
        """What sorts keys, equal ones in gallery order."""
        if keys.itemsize > 4 or len(keys) >= 1 << 32:
            return np.asarray(np.argsort(keys, kind="stable"))
        both = keys.astype(np.uint64)
        both <<= np.uint64(32)
        both |= np.arange(len(keys), dtype=np.uint64)
        order: np.ndarray = (self.sorted(both) & np.uint64(0xFFFFFFFF)).astype(np.int64)
        return order

    def before(self, keys: np.ndarray, anchors: np.ndarray, T: np.ndarray, t: np.ndarray) -> None:
        """Write for each of the anchors how many keys are below it (T) and equal to it (t); both are sorted."""
        if self.sorting is None:
            T[:] = np.searchsorted(keys, anchors)
            t[:] = np.searchsorted(keys, anchors, side="right")
            t -= T
        else:
            self.kernel.count_before(keys, anchors, T, t)


def keys_of(scores: np.ndarray) -> np.ndarray:
    """Keys of scores of any shape, uint32 or uint64."""
    unsigned = _unsigned(scores)
    half = unsigned.type((1 << (8 * unsigned.itemsize - 1)) - 1)
    bits = np.ascontiguousarray(scores).view(unsigned)
    keys: np.ndarray = bits ^ half
    if scores.dtype.kind == "f":
        keys = np.where(bits > half, bits, keys)
        keys[bits == half + unsigned.type(1)] = half  # -0 is +0
    return keys


def widened(scores: np.ndarray) -> np.ndarray:
    """Scores of a width that keys are made of.

    Raises
    ------
    DataError
        If they are wider than 64 bits.
    """
    if scores.dtype.itemsize > 8:
        raise DataError(f"scores of shards must have at most 64 bits, got dtype {scores.dtype}")
    if scores.dtype.kind == "i":
        return scores.astype(np.int64, copy=False)
    return scores.astype(np.float32) if scores.dtype.itemsize < 4 else scores


def hashed(keys: np.ndarray) -> np.uint64:
    """Sum of a hash of every key, whatever their order; a change of a last bit shows."""
    x = keys.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # Steele et al. 2014, SplitMix64
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    x ^= x >> np.uint64(31)
    return np.uint64(x.sum(dtype=np.uint64))


def _unsigned(scores: np.ndarray) -> np.dtype:
    return np.dtype(f"u{scores.dtype.itemsize}")
