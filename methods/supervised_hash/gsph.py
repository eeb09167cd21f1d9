"""GSPH: codes of two modalities whose products reproduce label similarity, by coordinate descent in a box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.hashing import HashingMethod, check_codes, training_pairs
from cmrbench_methods.blocks.labels import similar
from cmrbench_methods.blocks.linear import sign_codes, signs, unit_rows
from cmrbench_methods.blocks.logistic import shared_logistic_designs

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class GSPH(HashingMethod):
    """Generalized semantic preserving hashing (Mandal, Chaudhury and Biswas, CVPR 2017), for pairs.

    Codes A of the first and B of the second modality minimise

        ||K S - A B'||^2,    S = G G' (G: label rows of unit length),    entries of A and B in [-1, 1],

    a column of A and then of B at a time, each at its minimum:

        a_l = clip( (K S b_l - sum_{k != l} a_k b_k'b_l) / b_l'b_l, -1, 1 ).

    Then a kernel logistic regression over anchors for each bit predicts sgn(A) from the first and sgn(B) from the
    second modality. The unified code of a pair, which is the learned gallery code, is sgn(z_x + z_y - 1) for the two
    predictions z = p(b = 1 | item).

    Follows the released code (BMC-SDNU/Cross-Modal-Retrieval, GSPH, the authors' fast version of column updates),
    with these differences:

    - It keeps the residual A B' - K S, which is n x n; here S b_l = G (G'b_l), and nothing n x n is made. Same result.
    - Its script for one label an item has S = 1 within a class and 0 between: the same S.
    - It solves the logistic regressions bit by bit; here one L-BFGS takes all bits (see `logistic_weights`).
    - The paper updates entry by entry; columns reach the same kind of minimum and are what the authors run.
    - The framework also takes data without pairs; here it is used on pairs, as its unified codes need them.

    Parameters
    ----------
    anchors : {"random", "kmeans"}
        Random training items, the same in both modalities, or k-means centres of each.
    n_anchors : int
        Never more than there are training items.
    penalty : float
        Penalty of the logistic regressions.
    rounds : int
        Most rounds of column updates.
    tolerance : float
        Relative decrease of ||K S - A B'|| below which the rounds end.
    """

    info = MethodInfo(
        name="gsph",
        title="GSPH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Incomplete",
        venue="CVPR17",
        citation=Citation(
            key="mandal2017gsph",
            kind="inproceedings",
            author="Devraj Mandal and Kunal N. Chaudhury and Soma Biswas",
            title="Generalized semantic preserving hashing for n-label cross-modal retrieval",
            venue="Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition",
            year=2017,
            pages="4076-4084",
            url="https://openaccess.thecvf.com/content_cvpr_2017/html/Mandal_Generalized_Semantic_Preserving_CVPR_2017_paper.html",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Retrieval",
    )

    def __init__(
        self,
        anchors: str = "random",
        n_anchors: int = 500,
        penalty: float = 0.01,
        rounds: int = 100,
        tolerance: float = 1e-6,
    ) -> None:
        self.anchors = anchors
        self.n_anchors = n_anchors
        self.penalty = penalty
        self.rounds = rounds
        self.tolerance = tolerance

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn both modalities' codes from the labels; then a logistic regression for each bit and modality."""
        if self.anchors not in ("random", "kmeans"):
            raise MethodError(f"gsph: anchors {self.anchors!r} are neither random nor kmeans")
        pairs = training_pairs(self, train, context)
        codes = [signs(relaxed) for relaxed in self._relaxed_codes(unit_rows(pairs.L), pairs.bits, context)]
        check_codes(np.vstack(codes), "gsph")
        designs = shared_logistic_designs(pairs, context, self.n_anchors, self.anchors)
        self.dims_ = pairs.dims
        self.functions_ = {
            m: design.hash_function(targets, self.penalty, context)
            for (m, design), targets in zip(designs.items(), codes, strict=True)
        }
        values = [design.phi.dot(self.functions_[m].weights) for m, design in designs.items()]
        self.codes_ = dict.fromkeys(pairs.names, unified_codes(*values))
        return self

    def _relaxed_codes(self, G: np.ndarray, bits: int, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """A and B (n, bits), entries in [-1, 1], of G (n, C)."""
        rng = context.rng("gsph")
        A, B = (np.asfortranarray(signs(rng.uniform(-1, 1, (len(G), bits)))) for _ in range(2))
        before = np.inf
        for done in range(1, self.rounds + 1):
            update_columns(A, B, bits * similar(G, B))
            update_columns(B, A, bits * similar(G, A))
            error = residual(G, A, B)
            context.progress(done, self.rounds, f"error {error:.4g}")
            if before - error <= self.tolerance * before and done > 1:
                return A, B
            before = error
        context.logger.warning("gsph: column updates stopped after %d rounds before they converged", self.rounds)
        return A, B


def update_columns(A: np.ndarray, B: np.ndarray, Q: np.ndarray) -> None:
    """Lower ||K S - A B'|| over the columns of A (n, K) in turn, in place, each to its minimum in [-1, 1]^n.

    Q = K S B. A column of B that is zero leaves that of A without effect, and as it is.
    """
    H = B.T @ B
    for k in range(A.shape[1]):
        if H[k, k] > 0:
            A[:, k] = np.clip(A[:, k] + (Q[:, k] - A @ H[:, k]) / H[k, k], -1, 1)


def residual(G: np.ndarray, A: np.ndarray, B: np.ndarray) -> float:
    """||K G G' - A B'||, from products of few columns."""
    K, GG = A.shape[1], G.T @ G
    squared = K**2 * (GG * GG).sum() - 2 * K * ((G.T @ A) * (G.T @ B)).sum() + ((A.T @ A) * (B.T @ B)).sum()
    return float(np.sqrt(max(squared, 0.0)))


def unified_codes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Codes (n, K) of pairs from the values f = log(z / (1 - z)) of both modalities' logistic regressions.

    sgn(z_x + z_y - 1) is sgn(f_x + f_y): z_x exceeds 1 - z_y where f_x exceeds -f_y.
    """
    return sign_codes(first + second)
