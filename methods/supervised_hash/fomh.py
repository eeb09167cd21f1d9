"""FOMH: online hashing with weights of the modalities and an asymmetric substitute of the codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, TrainingPairs, check_codes, training_pairs
from cmrbench_methods.blocks.labels import labels_of
from cmrbench_methods.blocks.linear import sign_codes, signs, solve_positive
from cmrbench_methods.blocks.maps import AnchorKernel, AnchorRule, Scaled
from cmrbench_methods.blocks.online import check_chunk, chunk_rows

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class FOMH(HashingMethod):
    """Flexible online multi-modal hashing (Lu et al., MM 2019), used across modalities.

    Codes B (n, K) of a chunk minimise, with a real substitute D of B and weights mu_m that add up to 1,

        sum_m ||B - Phi_m W_m||^2 / mu_m + alpha ||B D' - K S||^2 + beta ||B - D||^2 + gamma sum_m ||W_m||^2,

    S = 2 L L' - 1 1' over the chunk. An augmented Lagrangian (multipliers T, weight rho) splits a copy Z off B, so that
    every update is closed:

        W_m = (Phi_m'Phi_m + gamma mu_m I)^-1 Phi_m'B, with Phi_m'Phi_m and Phi_m'B summed over all chunks,
        B = sgn(2 sum_m Phi_m W_m / mu_m + 2 alpha K S D - alpha Z D'D + 2 beta D + rho Z - T),
        D = (alpha K S B + beta B) (alpha B'B + beta I)^-1,
        Z = sgn(rho B + T - alpha B D'D),   T = T + rho (B - Z),   mu_m = ||B - Phi_m W_m|| / sum_l ||B - Phi_l W_l||.

    Phi_m: RBF features over random anchors, and a constant. The paper fuses the modalities of a query; across
    modalities each has its own W_m: sgn(phi_m(z) W_m).

    Follows the released code (BMC-SDNU/Cross-Modal-Retrieval, FOMH, the authors'), with these differences:

    - Its demo's kernel widths, 140 and 60, belong to the features of its dataset, for whose vectors of tags 60 is far
      more than their distance. Here the width is `spread` times the root of the mean squared distance of items to
      anchors, 1 by default, which is the rule of BATCH, SCRATCH and their kin and was not chosen by results. It
      matters: in a narrow kernel 1,000 anchors fit any codes of 1,000 items, and the random start stays as it is; in
      a wide one the constant takes over, and bits become the same for all items.
    - Anchors come from the first chunk, which is all that an online method has seen, not from all training items.
    - Every chunk starts from random codes. The code starts a chunk from the codes of the one before, item by item,
      and leaves out the items of an incomplete last chunk. On wiki in chunks of 500 that start costs 0.01 to 0.02
      mAP@all by hash functions.
    - The code's hash functions, and the sums that it keeps, are those of B before its last update.
    - Zero counts as +1 in a code.

    Parameters
    ----------
    anchors : int
        Anchors of either modality; never more than the first chunk has items.
    alpha : float
        Weight of the similarity.
    beta : float
        Weight of ``||B - D||^2``.
    gamma : float
        Ridge of the hash functions.
    rho : float
        Weight of the augmented Lagrangian.
    iterations : int
        Rounds for each chunk.
    chunk : int
        Training items that `fit` learns from at a time, in random order; the last chunk takes what is left over. 0:
        all at once.
    spread : float
        Kernel width sigma, ``exp(-d^2 / (2 sigma^2))``, in units of the typical distance of items to anchors. The one
        parameter that is not the authors'.
    """

    info = MethodInfo(
        name="fomh",
        title="FOMH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Online",
        venue="MM19",
        citation=Citation(
            key="lu2019fomh",
            kind="inproceedings",
            author="Xu Lu and Lei Zhu and Zhiyong Cheng and Jingjing Li and Xiushan Nie and Huaxiang Zhang",
            title="Flexible online multi-modal hashing for large-scale multimedia retrieval",
            venue="Proceedings of the 27th ACM International Conference on Multimedia",
            year=2019,
            pages="1129-1137",
            doi="10.1145/3343031.3350999",
        ),
        url="https://github.com/lxuu306/FOMH",
    )

    def __init__(
        self,
        anchors: int = 1000,
        alpha: float = 1e-5,
        beta: float = 0.1,
        gamma: float = 1e-3,
        rho: float = 0.1,
        iterations: int = 10,
        chunk: int = 1000,
        spread: float = 1.0,
    ) -> None:
        self.anchors = anchors
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.rho = rho
        self.iterations = iterations
        self.chunk = chunk
        self.spread = spread

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn codes and sums chunk by chunk; the hash functions are those after the last one."""
        pairs = training_pairs(self, train, context)
        L = labels_of(train[pairs.first], self.info.name).astype(np.float64)
        chunks = chunk_rows(len(L), self.chunk, context.rng("order"))
        maps = context.shared(
            ("maps",), lambda: self.maps({m: z[chunks[0]] for m, z in pairs.features.items()}, context)
        )
        state, B = State.zero(maps, pairs.bits), np.empty((len(L), pairs.bits))
        for rows in chunks:
            B[rows], state = self._learn({m: z[rows] for m, z in pairs.features.items()}, L[rows], state, context)
            context.progress(state.chunks, len(chunks), "")
        check_codes(B, "fomh")
        self._keep(pairs, B, state)
        return self

    def partial_fit(self, train: Mapping[str, Items], context: Context) -> Self:
        """Learn from one more chunk of training pairs; the codes of the chunks before stay as they are.

        Raises
        ------
        MethodError
            For an empty chunk, or one with other modalities, widths or another code length than before; the state is
            then as it was.
        """
        known = hasattr(self, "state_")
        check_chunk(self, train, self.dims_ if known else None)
        pairs = training_pairs(self, train, context)
        state = self.state_ if known else State.zero(self.maps(pairs.features, context), pairs.bits)
        if pairs.bits != state.bits:
            raise MethodError(f"fomh learned {state.bits} bits, and was given a chunk with {pairs.bits} bits")
        L = labels_of(train[pairs.first], self.info.name).astype(np.float64)
        B, state = self._learn(pairs.features, L, state, context)
        self._keep(pairs, np.concatenate([self.codes_[pairs.first], sign_codes(B)]) if known else B, state)
        return self

    def maps(self, features: Mapping[str, np.ndarray], context: Context) -> dict[str, AnchorKernel]:
        """Kernel features over the same random items in all modalities, from the features of the first chunk."""
        rule = AnchorRule(self.anchors, centre=False, constant=True)
        found = {m: rule.fit(z, Scaled.fit(z, centre=False), context.rng("anchors")) for m, z in features.items()}
        return {m: replace(kernel, gamma=kernel.gamma / self.spread**2) for m, kernel in found.items()}

    def _learn(
        self, features: Mapping[str, np.ndarray], L: np.ndarray, old: State, context: Context
    ) -> tuple[np.ndarray, State]:
        """Codes of a chunk, and the state with it."""
        rng = context.rng("fomh", old.chunks)
        shape = (len(L), old.bits)
        B, Z, D = signs(rng.uniform(-1, 1, shape)), signs(rng.uniform(-1, 1, shape)), rng.standard_normal(shape)
        T = B - Z
        mu = dict.fromkeys(features, 1 / len(features))
        phi = {m: old.maps[m](z) for m, z in features.items()}
        sums = {m: GramSum(old.sums[m].gram + rows.T @ rows, old.sums[m].cross) for m, rows in phi.items()}
        for _ in range(self.iterations):
            fitted = {m: phi[m] @ sums[m].add(phi[m], B).weights(self.gamma * mu[m]) for m in phi}
            B = self.codes(L, np.sum([fitted[m] / mu[m] for m in phi], axis=0), (D, Z, T))
            D = self.substitute(L, B)
            Z = self.copy(B, D, T)
            T = T + self.rho * (B - Z)
            mu = weights_of({m: float(np.linalg.norm(B - f)) for m, f in fitted.items()})
        sums = {m: sums[m].add(phi[m], B) for m in phi}
        return B, State(old.maps, sums, mu, old.chunks + 1)

    def codes(self, L: np.ndarray, pull: np.ndarray, others: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        """The best B for sum_m Phi_m W_m / mu_m and (D, Z, T)."""
        D, Z, T = others
        similarity = 2 * self.alpha * D.shape[1] * similar(L, D)
        return signs(2 * pull + similarity - self.alpha * Z @ (D.T @ D) + 2 * self.beta * D + self.rho * Z - T)

    def copy(self, B: np.ndarray, D: np.ndarray, T: np.ndarray) -> np.ndarray:
        """The best copy Z of B."""
        return signs(self.rho * B + T - self.alpha * B @ (D.T @ D))

    def substitute(self, L: np.ndarray, B: np.ndarray) -> np.ndarray:
        """The best D for B."""
        right = self.alpha * B.shape[1] * similar(L, B) + self.beta * B
        return solve_positive(self.alpha * B.T @ B, right.T, self.beta).T

    def _keep(self, pairs: TrainingPairs, codes: np.ndarray, state: State) -> None:
        self.dims_, self.state_ = pairs.dims, state
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(codes))
        self.functions_ = {
            m: HashFunction(state.maps[m], state.sums[m].weights(self.gamma * state.mu[m])) for m in pairs.names
        }


class GramSum:
    """Phi'Phi (m, m) and Phi'B (m, K) over chunks, and ridge regressions from them.

    The eigendecomposition of Phi'Phi is taken once, since every round has another penalty.
    """

    def __init__(
        self, gram: np.ndarray, cross: np.ndarray, spectrum: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        self.gram, self.cross, self._spectrum = gram, cross, spectrum

    def add(self, phi: np.ndarray, B: np.ndarray) -> GramSum:
        """The same Phi'Phi, and Phi'B with a chunk that Phi'Phi has already."""
        return GramSum(self.gram, self.cross + phi.T @ B, self.spectrum())

    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (m,), never negative, and eigenvectors (m, m) of Phi'Phi."""
        from scipy.linalg import eigh

        if self._spectrum is None:
            values, vectors = eigh(self.gram)
            self._spectrum = np.maximum(values, 0.0), vectors
        return self._spectrum

    def weights(self, penalty: float) -> np.ndarray:
        """W (m, K) = (Phi'Phi + penalty I)^-1 Phi'B."""
        values, vectors = self.spectrum()
        return np.asarray(vectors @ ((vectors.T @ self.cross) / (values + penalty)[:, None]))


@dataclass(frozen=True, eq=False)
class State:
    """What is kept of the chunks before: maps, sums and weights mu by modality, and how many chunks there were."""

    maps: Mapping[str, AnchorKernel]
    sums: Mapping[str, GramSum]
    mu: Mapping[str, float]
    chunks: int = 0

    @classmethod
    def zero(cls, maps: Mapping[str, AnchorKernel], bits: int) -> State:
        """The state before the first chunk."""
        sums = {m: GramSum(np.zeros((k.width, k.width)), np.zeros((k.width, bits))) for m, k in maps.items()}
        return cls(maps, sums, dict.fromkeys(maps, 1 / len(maps)))

    @property
    def bits(self) -> int:
        """Code length."""
        return next(iter(self.sums.values())).cross.shape[1]


def similar(L: np.ndarray, M: np.ndarray) -> np.ndarray:
    """``S M`` (n, K) for S = 2 L L' - 1 1'."""
    return np.asarray(2 * L @ (L.T @ M) - M.sum(axis=0))


def weights_of(errors: Mapping[str, float]) -> dict[str, float]:
    """mu_m (modality to weight, adding up to 1) that minimises ``sum_m errors_m^2 / mu_m``."""
    total = sum(errors.values())
    floor = 1e-6  # a modality that fits the codes exactly would get a weight of 1/0
    shares = {m: max(e / total, floor) if total > 0 else 1.0 for m, e in errors.items()}
    return {m: share / sum(shares.values()) for m, share in shares.items()}
