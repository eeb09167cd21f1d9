"""IMH: inter-media hashing, a spectral embedding of two neighbour graphs that linear hash functions can reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    TrainingPairs,
    check_variant,
    in_turn,
    training_pairs,
    uncentred_design,
)
from cmrbench_methods.blocks.neighbours import nearest

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from typing_extensions import Self

    from cmrbench.core.items import Items


class IMH(HashingMethod):
    """Inter-media hashing (Song, Yang, Yang, Huang and Shen, SIGMOD 2013).

    Embeddings Fx, Fy (n, K) of the paired training items that keep near what is near in either modality, that agree
    between the modalities, and that linear functions of the features can reach:

        min  sum_m lambda tr(F_m' L_m F_m) + ||V_m W_m - F_m||^2 + beta ||W_m||^2  +  u ||Fx - Fy||^2,   Fx'Fx = I

    with V_m the features and L_m = D - S the Laplacian of the symmetric graph of nearest neighbours. Then
    W_m = (V_m'V_m + beta I)^-1 V_m'F_m, and a bit says whether v'w is above its median.

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, IMH). There u = 1e10, which ties Fx to Fy up to
    1e-9, and the problem is solved with dense n x n matrices. Here Fx = Fy = F, the eigenvectors of the K smallest
    eigenvalues of

        M = sum_m I - V_m (V_m'V_m + beta I)^-1 V_m' + lambda L_m,

    which is a sparse matrix and two of low rank: Lanczos iteration needs its products with vectors only. Differences:

    - ``variant="paper"`` has the medians of the training items as thresholds. The code takes the medians of whatever
      set is encoded, so that the code of a query depends on the other queries; ``variant="released"`` does the same.
    - In the code, the first of an item's k + 1 nearest is taken to be the item itself. An item with an earlier
      duplicate becomes its own neighbour; ``"released"`` keeps that, and in ``"paper"`` the duplicates are neighbours.
    - Eigenvectors of which no linear function of a modality has a part give no bit; the others are used again, in turn.
    - A value at the median counts as +1; in the code as -1.

    As in the code, features are not centred, and the eigenvector that is almost constant is kept.

    Parameters
    ----------
    neighbours : int
        Nearest neighbours of an item in its graph, at most n - 1 (1 in the code's demo).
    beta : float
        Ridge of the regressions, positive.
    smoothness : float
        lambda, weight of the graphs.
    variant : {"paper", "released"}
    """

    info = MethodInfo(
        name="imh",
        title="IMH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Spectral graph",
        venue="SIGMOD13",
        citation=Citation(
            key="song2013imh",
            kind="inproceedings",
            author="Jingkuan Song and Yang Yang and Yi Yang and Zi Huang and Heng Tao Shen",
            title="Inter-media hashing for large-scale retrieval from heterogeneous data sources",
            venue="Proceedings of the 2013 ACM SIGMOD International Conference on Management of Data",
            year=2013,
            doi="10.1145/2463676.2465274",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
        deterministic=True,
    )

    def __init__(self, neighbours: int = 1, beta: float = 1.0, smoothness: float = 1.0, variant: str = "paper") -> None:
        self.neighbours = neighbours
        self.beta = beta
        self.smoothness = smoothness
        self.variant = variant

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Embed the pairs; regress the embedding on the features of each modality; take medians as thresholds."""
        self._check()
        pairs = training_pairs(self, train, context)
        problem = context.shared("problem", lambda: self._problem(pairs))
        F = in_turn(problem.reached(problem.smallest(pairs.bits, context)), pairs.bits, "imh", context)
        self.dims_ = pairs.dims
        self.functions_ = {}
        for modality, V in zip(pairs.names, problem.designs, strict=True):
            W = V.ridge(F, self.beta)
            if self.variant == "released":
                self.functions_[modality] = BatchMedian(V.map, W)
            else:
                self.functions_[modality] = HashFunction(V.map, W, np.median(V.dot(W), axis=0))
        return self

    def _check(self) -> None:
        check_variant("imh", self.variant)
        if self.neighbours < 1:
            raise MethodError(f"imh: an item needs at least 1 neighbour, not {self.neighbours}")
        if not self.beta > 0 or self.smoothness < 0:
            raise MethodError(
                f"imh: beta must be positive and smoothness not negative, not {self.beta:g} and {self.smoothness:g}"
            )

    def _problem(self, pairs: TrainingPairs) -> Embedding:
        designs = tuple(uncentred_design(m, z) for m, z in pairs.features.items())
        skip = self.variant == "released"
        graphs = [laplacian(nearest(V, min(self.neighbours, len(V) - 1), skip)) for V in designs]
        return Embedding(designs, self.smoothness * sum(graphs[1:], start=graphs[0]), self.beta)


class BatchMedian(HashFunction):
    """A hash function whose thresholds are the medians of the items that are encoded together."""

    def signs(self, features: np.ndarray) -> np.ndarray:
        """Whether phi(z) W is at least its median over these features (n, d): bool, (n, bits)."""
        values = self.values(features)
        return values >= np.median(values, axis=0) if len(values) else values >= 0


@dataclass(frozen=True, eq=False)
class Embedding:
    """The symmetric matrix M = sum_m I - V_m (V_m'V_m + beta I)^-1 V_m' + `graph`, which is never formed.

    Attributes
    ----------
    designs : tuple of Design
        Features V_m (n, d_m).
    graph : sparse matrix
        Weighted sum of the graphs' Laplacians, (n, n).
    beta : float
    """

    designs: tuple[Design, ...]
    graph: csr_matrix
    beta: float

    def explained(self, F: np.ndarray) -> list[np.ndarray]:
        """``V_m (V_m'V_m + beta I)^-1 V_m' F`` of each modality, for F (n, k)."""
        return [V.dot(V.ridge(F, self.beta)) for V in self.designs]

    def times(self, F: np.ndarray) -> np.ndarray:
        """M F for F (n, k)."""
        return np.asarray(len(self.designs) * F + self.graph @ F - sum(self.explained(F)))

    def smallest(self, k: int, context: Context) -> np.ndarray:
        """Eigenvectors of the k smallest eigenvalues of M, smallest first: (n, k), fewer columns if n < k.

        Lanczos iteration from a fixed start; on so few items that it would need most of their space, all at once.
        """
        from scipy.linalg import eigh
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

        n = self.graph.shape[0]
        if n <= 4 * k:
            return oriented(eigh(self.times(np.eye(n)), subset_by_index=(0, min(k, n) - 1))[1])
        M = LinearOperator((n, n), matvec=lambda f: self.times(f.reshape(n, 1))[:, 0], dtype=np.float64)
        start = np.cos(np.arange(n))
        try:
            values, F = eigsh(M, k, which="SA", v0=start, ncv=min(n, 2 * k + 20))
        except ArpackNoConvergence as stopped:
            values, F = stopped.eigenvalues, stopped.eigenvectors
            context.logger.warning("imh: Lanczos iteration stopped after %d of %d eigenvectors", len(values), k)
        return oriented(F[:, np.argsort(values, kind="stable")])

    def reached(self, F: np.ndarray) -> np.ndarray:
        """The columns of F (n, k), of unit length, of which linear functions of every modality have a part."""
        shares = [(part * F).sum(axis=0) for part in self.explained(F)]
        return F[:, np.minimum.reduce(shares) > 1e-10]


def oriented(F: np.ndarray) -> np.ndarray:
    """Eigenvectors with the sign that makes the largest entry of every column positive."""
    largest = F[np.abs(F).argmax(axis=0), np.arange(F.shape[1])]
    return np.asarray(F * np.where(largest < 0, -1.0, 1.0))


def laplacian(neighbours: np.ndarray) -> csr_matrix:
    """D - S of the graph S = (T + T') / 2, where T has a one for every neighbour (n, k) of an item."""
    from scipy.sparse import csr_matrix, diags

    n, k = neighbours.shape
    T = csr_matrix((np.ones(n * k), (np.repeat(np.arange(n), k), neighbours.ravel())), shape=(n, n))
    S = (T + T.T) / 2
    return csr_matrix(diags(np.asarray(S.sum(axis=0)).ravel()) - S)
