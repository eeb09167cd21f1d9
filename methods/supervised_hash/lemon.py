"""LEMON: online hashing that embeds labels into balanced factors and keeps sums of what came before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.balanced import balanced_orthogonal_factor
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    TrainingPairs,
    check_codes,
    shared_designs,
    training_pairs,
    uncentred_design,
)
from cmrbench_methods.blocks.labels import labels_of
from cmrbench_methods.blocks.linear import sign_codes, signs, solve_positive, unit_rows
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.blocks.online import check_chunk, chunk_rows

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class LEMON(HashingMethod):
    """Label embedding online hashing (Wang, Luo and Xu, MM 2020).

    Codes B in {-1, +1} and a real factor V with V'V = n I, V'1 = 0 approximate the label similarity S = 2 G G' - 1 1'
    (G: label rows of unit length) asymmetrically, V embeds the labels, and a rotation R takes V to B. For a new chunk
    (n) after the old ones (o), the terms that hold new codes are

        alpha (||K S_nn - B_n V_n'||^2 + ||K S_no - B_n V_o'||^2 + ||K S_on - B_o V_n'||^2)
        + beta (||L - V P||^2 + gamma ||P||^2) + ||B - V R||^2,    R'R = I,

    with L, V, B of both in the last two. P, V, R and B are updated in turn, each to its minimum. Old codes enter only
    through sums (V'V, V'L, G'B, 1'B, B'V, G'V, 1'V) and never change; the hash functions are ridge regressions of all
    codes on the features, from sums as well.

    Follows the released code (BMC-SDNU/Cross-Modal-Retrieval, LEMON, the authors'; the solver of
    BMC-SDNU/Cross-Modal-Hashing-Retrieval is the same). It regresses on the features as they are, neither centred nor
    kernelised, which is weak where they have few columns; whether the paper's own experiments went through a kernel
    could not be confirmed, so there is no variant that does. Differences:

    - V comes from an SVD rather than from an eigendecomposition of squares. On wiki, with one label an item, both give
      the same codes: what V has beyond the rank of the labels is orthogonal to every class.
    - Zero counts as +1 in a code; the code's ``> 0`` makes it -1.
    - The code's theta is set and not used; there is none here.

    Parameters
    ----------
    alpha : float
        Weight of the similarity.
    beta : float
        Weight of the label embedding.
    gamma : float
        Ridge of the label embedding.
    xi : float
        Ridge of the hash functions.
    iterations : int
        Rounds for each chunk.
    chunk : int
        Training items that `fit` learns from at a time, in random order (2,000 to 10,000 in the paper's code); the
        last chunk takes what is left over. 0: all at once.
    """

    info = MethodInfo(
        name="lemon",
        title="LEMON",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Online",
        venue="MM20",
        citation=Citation(
            key="wang2020lemon",
            kind="inproceedings",
            author="Yongxin Wang and Xin Luo and Xin-Shun Xu",
            title="Label embedding online hashing for cross-modal retrieval",
            venue="Proceedings of the 28th ACM International Conference on Multimedia",
            year=2020,
            pages="871-879",
            doi="10.1145/3394171.3413971",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Retrieval",
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"toolbox": {"beta": 1e3, "gamma": 0.01, "xi": 1e3}}

    def __init__(
        self,
        alpha: float = 1e4,
        beta: float = 1e4,
        gamma: float = 0.1,
        xi: float = 1.0,
        iterations: int = 5,
        chunk: int = 0,
    ) -> None:
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.xi = xi
        self.iterations = iterations
        self.chunk = chunk

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn the codes chunk by chunk from the labels alone; then regress all of them on the features."""
        pairs = training_pairs(self, train, context)
        L = labels_of(train[pairs.first], self.info.name).astype(np.float64)
        sums, B = Sums.zero(pairs.bits, L.shape[1]), np.empty((len(L), pairs.bits))
        chunks = chunk_rows(len(L), self.chunk, context.rng("order"))
        for rows in chunks:
            B[rows], sums = self._learn(L[rows], sums, context)
            context.progress(sums.chunks, len(chunks), "")
        check_codes(B, "lemon")
        designs = shared_designs(pairs, context, uncentred_design)
        self._keep(pairs, B, sums, {m: (phi.gram, phi.cross(B)) for m, phi in designs.items()})
        return self

    def partial_fit(self, train: Mapping[str, Items], context: Context) -> Self:
        """Learn from one more chunk of training pairs; the codes of the chunks before stay as they are.

        Raises
        ------
        MethodError
            For an empty chunk, or one with other modalities, widths, classes or another code length than before; the
            state is then as it was.
        """
        known = hasattr(self, "sums_")
        check_chunk(self, train, self.dims_ if known else None)
        pairs = training_pairs(self, train, context)
        L = labels_of(train[pairs.first], self.info.name).astype(np.float64)
        sums = self.sums_ if known else Sums.zero(pairs.bits, L.shape[1])
        if sums.VL.shape != (pairs.bits, L.shape[1]):
            raise MethodError(
                f"lemon learned {sums.VL.shape[0]} bits from {sums.VL.shape[1]} classes, "
                f"and was given a chunk with {pairs.bits} bits and {L.shape[1]} classes"
            )
        new, sums = self._learn(L, sums, context)
        designs = {m: uncentred_design(m, z) for m, z in pairs.features.items()}
        moments = {m: (phi.gram, phi.cross(new)) for m, phi in designs.items()}
        if known:
            moments = {m: (self.moments_[m][0] + g, self.moments_[m][1] + c) for m, (g, c) in moments.items()}
            new = np.concatenate([self.codes_[pairs.first], sign_codes(new)])
        self._keep(pairs, new, sums, moments)
        return self

    def _learn(self, L: np.ndarray, old: Sums, context: Context) -> tuple[np.ndarray, Sums]:
        """Codes of a chunk with labels L (n, C), and the sums with them."""
        chunk = Chunk(L, unit_rows(L), old)
        n, K = len(L), len(old.VV)
        rng = context.rng("lemon", old.chunks)
        B, V = signs(rng.standard_normal((n, K))), rng.standard_normal((n, K))
        R = procrustes(rng.standard_normal((K, K)))
        for _ in range(self.iterations):
            P = self.embedding(chunk, V)
            V = balanced_orthogonal_factor(self.pull(chunk, B, P, R), rng)
            R = procrustes((old.BV + B.T @ V).T)
            B = self.codes(chunk, V, R)
        return B, old.add(L, chunk.G, B, V)

    def embedding(self, chunk: Chunk, V: np.ndarray) -> np.ndarray:
        """P (K, C) of ``min ||L - V P||^2 + gamma ||P||^2`` over the chunk and all before it."""
        return solve_positive(chunk.old.VV + V.T @ V, chunk.old.VL + V.T @ chunk.L, self.gamma)

    def pull(self, chunk: Chunk, B: np.ndarray, P: np.ndarray, R: np.ndarray) -> np.ndarray:
        """Z (n, K): the objective falls with tr(V'Z), V being balanced and orthogonal."""
        similarity = similar_to(chunk.G, B, chunk.old.GB, chunk.old.B1)
        return self.alpha * B.shape[1] * similarity + self.beta * chunk.L @ P.T + B @ R.T

    def codes(self, chunk: Chunk, V: np.ndarray, R: np.ndarray) -> np.ndarray:
        """The best codes B (n, K) of the chunk."""
        similarity = similar_to(chunk.G, V, chunk.old.GV, chunk.old.V1)
        return signs(self.alpha * V.shape[1] * similarity + V @ R)

    def _keep(
        self,
        pairs: TrainingPairs,
        codes: np.ndarray,
        sums: Sums,
        moments: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self.dims_ = pairs.dims
        self.sums_, self.moments_ = sums, moments
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(codes))
        self.functions_ = {
            m: HashFunction(Scaled(np.zeros(len(gram))), solve_positive(gram, cross, self.xi))
            for m, (gram, cross) in moments.items()
        }


@dataclass(frozen=True, eq=False)
class Sums:
    """What LEMON keeps of the chunks before, for K bits and C classes.

    Attributes
    ----------
    VV, BV : ndarray
        V'V and B'V, (K, K).
    VL : ndarray
        V'L, (K, C).
    GB, GV : ndarray
        G'B and G'V, (C, K).
    B1, V1 : ndarray
        Column sums of B and V, (K,).
    chunks : int
        How many chunks they come from.
    """

    VV: np.ndarray
    BV: np.ndarray
    VL: np.ndarray
    GB: np.ndarray
    GV: np.ndarray
    B1: np.ndarray
    V1: np.ndarray
    chunks: int = 0

    @classmethod
    def zero(cls, K: int, C: int) -> Sums:
        """Sums before the first chunk."""
        sizes = [(K, K), (K, K), (K, C), (C, K), (C, K), (K,), (K,)]
        return cls(*(np.zeros(size) for size in sizes))

    def add(self, L: np.ndarray, G: np.ndarray, B: np.ndarray, V: np.ndarray) -> Sums:
        """The sums with one more chunk."""
        return Sums(
            self.VV + V.T @ V,
            self.BV + B.T @ V,
            self.VL + V.T @ L,
            self.GB + G.T @ B,
            self.GV + G.T @ V,
            self.B1 + B.sum(axis=0),
            self.V1 + V.sum(axis=0),
            self.chunks + 1,
        )


@dataclass(frozen=True, eq=False)
class Chunk:
    """Labels L (n, C) of a chunk, as rows G of unit length as well, and the sums of those before."""

    L: np.ndarray
    G: np.ndarray
    old: Sums


def similar_to(G: np.ndarray, M: np.ndarray, GM: np.ndarray, M1: np.ndarray) -> np.ndarray:
    """``S M`` (n, K), S = 2 G G' - 1 1', over the chunk and those before with sums G'M and 1'M."""
    return np.asarray(2 * G @ (GM + G.T @ M) - (M1 + M.sum(axis=0)))
