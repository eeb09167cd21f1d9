"""Chance made visible: random vectors and codes that know nothing but the item they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method, MethodInfo
from cmrbench_methods.blocks.linear import row_blocks, sign_codes

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class Random(Method):
    """A random vector for every item, the same one whenever and beside whatever it is encoded.

    The vector is a hash of the bytes of the item's features with keys of its modality and of the seed, so that it
    depends on the item alone and neighbours in feature space get unrelated vectors. (A random projection would not
    do: it keeps the distances within a modality, and the same projection of similar features would carry them over
    to another one.) Cosine ranking is at chance, without ties.
    """

    info = MethodInfo(
        name="random",
        title="Random",
        category="baseline",
        modalities=(1, None),
        pairs=False,
    )
    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {"beats_random": "it is random"}

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Draw the keys; nothing is learned."""
        self.dim_ = context.dim or 32
        self.keys_, self.dims_ = draw_keys(train, context)
        return self

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Uniform numbers in [-1, 1): float32, shape (n, dim or 32)."""
        self.check_fitted("keys_")
        self.check_features(modality, features, self.dims_)
        return hashed_uniform(features, self.keys_[modality], self.dim_)


class RandomHash(Method):
    """A random hash code for every item, made like the vectors of `Random`."""

    info = MethodInfo(
        name="random_hash",
        title="Random codes",
        category="baseline",
        output="hash",
        retrieval=("hamming",),
        modalities=(1, None),
        pairs=False,
    )
    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {"beats_random": "it is random"}

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Draw the keys; nothing is learned."""
        if not context.bits:
            raise MethodError("random_hash needs a code length: choose bits")
        self.bits_ = context.bits
        self.keys_, self.dims_ = draw_keys(train, context)
        return self

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Signs of uniform numbers in [-1, 1): int8, shape (n, bits)."""
        self.check_fitted("keys_")
        self.check_features(modality, features, self.dims_)
        return sign_codes(hashed_uniform(features, self.keys_[modality], self.bits_))


def draw_keys(train: Mapping[str, Items], context: Context) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """One odd 64-bit key for every feature of every modality, and the feature widths."""
    dims = {m: items.dim for m, items in train.items()}
    keys = {
        m: context.rng("random keys", m).integers(0, 2**64, d, dtype=np.uint64) | np.uint64(1) for m, d in dims.items()
    }
    return keys, dims


def hashed_uniform(features: np.ndarray, keys: np.ndarray, columns: int) -> np.ndarray:
    """Numbers in [-1, 1) that look random and are a function of each row's bytes and the keys: float32, (n, columns).

    A row is hashed to 64 bits by multiplying its float32 bit patterns with the keys (sums wrap around, so their order
    does not matter); the hash then seeds the SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014).
    """
    steps = np.arange(1, columns + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    out = np.empty((len(features), columns), dtype=np.float32)
    for rows in row_blocks(len(features)):
        bits = np.ascontiguousarray(features[rows], dtype=np.float32).view(np.uint32).astype(np.uint64)
        state = (bits * keys).sum(axis=1, dtype=np.uint64)[:, None] + steps
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
        out[rows] = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return out
