"""SePH: semantics-preserving hashing, whose codes match the label affinities as a distribution over pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.hashing import HashingMethod, training_pairs
from cmrbench_methods.blocks.linear import row_blocks, sign_codes, signs, unit_rows
from cmrbench_methods.blocks.logistic import shared_logistic_designs

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items

TILE = 256
"""Items of a tile: a tile's float32 entries stay in the processor's cache."""

DIVERGED = 1e6
"""Entries of relaxed codes, which belong near -1 and +1, beyond which the descent is given up."""


class SePH(HashingMethod):
    """Semantics-preserving hashing (Lin et al., CVPR 2015) with random or k-means anchors: SePH_rnd, SePH_km.

    Label affinities, the cosines of label rows, are a distribution P over pairs of different items. Relaxed codes H
    (n, K), shared by both modalities, have the distribution Q of Student's t over theirs and minimise

        KL(P || Q) + alpha / (K n) || |H| - 1 ||^2,    q_ij ~ w_ij = 1 / (1 + ||h_i - h_j||^2 / 4),

    with the gradient sum_j (p_ij - q_ij) w_ij (h_i - h_j) + 2 alpha / (K n) (|h_i| - 1) sgn(h_i), by 100 steps with
    momentum and an adaptive gain for every entry, as in t-SNE. Then a kernel logistic regression over anchors in each
    modality predicts every bit of sgn(H).

    The unified code of a pair, which is the learned gallery code, joins both predictions z = p(b = 1 | item):

        b = sgn( z_x z_y / p(b = 1) - (1 - z_x)(1 - z_y) / p(b = -1) ),

    with the training shares of +1 and -1 as p(b).

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, SePH), which has the paper's p(b) but never uses
    it and predicts the gallery from its own modality: rule `function` here. Differences:

    - Nothing n x n is held: W is made tile by tile in float32, each pair of items once, and P only where labels are
      shared. Sums over tiles are float64.
    - It keeps the H of the smallest objective, where KL is that before a step and the second term that after it;
      here both belong to one H.
    - It solves the logistic regressions bit by bit; here one L-BFGS takes all bits (see `logistic_weights`).

    Parameters
    ----------
    anchors : {"kmeans", "random"}
        k-means centres of each modality, or random training items, the same in both.
    n_anchors : int
        Never more than there are training items.
    alpha : float
        Weight of ``|| |H| - 1 ||^2``.
    penalty : float
        Penalty of the logistic regressions.
    iterations : int
    rate : float
        Length of a gradient step.
    """

    info = MethodInfo(
        name="seph",
        title="SePH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Other shallow",
        venue="CVPR15",
        citation=Citation(
            key="lin2015seph",
            kind="inproceedings",
            author="Zijia Lin and Guiguang Ding and Mingqing Hu and Jianmin Wang",
            title="Semantics-preserving hashing for cross-view retrieval",
            venue="Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition",
            year=2015,
            pages="3864-3872",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
    )

    def __init__(
        self,
        anchors: str = "kmeans",
        n_anchors: int = 500,
        alpha: float = 0.01,
        penalty: float = 0.01,
        iterations: int = 100,
        rate: float = 500.0,
    ) -> None:
        self.anchors = anchors
        self.n_anchors = n_anchors
        self.alpha = alpha
        self.penalty = penalty
        self.iterations = iterations
        self.rate = rate

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn codes from label affinities; then a logistic regression for each bit and modality."""
        if self.anchors not in ("kmeans", "random"):
            raise MethodError(f"seph: anchors {self.anchors!r} are neither kmeans nor random")
        pairs = training_pairs(self, train, context)
        B = signs(self._relaxed_codes(pairs.L, pairs.bits, context))
        designs = shared_logistic_designs(pairs, context, self.n_anchors, self.anchors)
        self.dims_ = pairs.dims
        self.functions_ = {m: design.hash_function(B, self.penalty, context) for m, design in designs.items()}
        values = [design.phi.dot(self.functions_[m].weights) for m, design in designs.items()]
        self.codes_ = dict.fromkeys(pairs.names, unified_codes(*values, B))
        return self

    def _relaxed_codes(self, L: np.ndarray, bits: int, context: Context) -> np.ndarray:
        """H (n, bits) of the smallest objective among all steps."""
        affinity = Affinity(unit_rows(L))
        if not affinity.total:
            context.logger.warning("seph: no two training items share a label, so codes only avoid each other")
        H = 1e-4 * context.rng("seph").standard_normal((len(L), bits))
        step, gain = np.zeros_like(H), np.ones_like(H)
        weight = self.alpha / (bits * len(L))
        best, smallest = H, np.inf
        for iteration in range(self.iterations + 1):
            entropy, gradient = affinity.cross_entropy(H)
            objective = entropy + weight * ((np.abs(H) - 1) ** 2).sum()
            if objective < smallest:
                best, smallest = H, objective
            if iteration == self.iterations:
                break
            gradient += 2 * weight * (np.abs(H) - 1) * np.sign(H)
            same = np.sign(gradient) == np.sign(step)
            gain = np.maximum(np.where(same, 0.8 * gain, gain + 0.2), 0.01)
            step = 0.5 * step - self.rate * gain * gradient
            H = H + step
            H -= H.mean(axis=0)
            if np.abs(H).max() > DIVERGED:
                context.logger.warning(
                    "seph: codes grew without bound after %d steps: choose a smaller rate", iteration
                )
                break
            context.progress(iteration + 1, self.iterations, "")
        return best


class Affinity:
    """P of label rows G (n, C) of unit length or zero: p_ij ~ g_i'g_j for i != j, and how far Q is from it.

    Items are sorted by their labels, so that those which share one lie in few tiles.

    Attributes
    ----------
    total : float
        Sum of g_i'g_j over all i != j; zero if no two items share a label.
    """

    def __init__(self, G: np.ndarray) -> None:
        self.order = np.lexsort(G.T)
        G = G[self.order]
        shared = ((G > 0).sum(axis=0) > 1).any()
        self.total = float((G.sum(axis=0) ** 2).sum() - (G * G).sum()) if shared else 0.0
        self.labels = G.astype(np.float32)
        blocks = list(row_blocks(len(G), TILE))
        self.tiles = [
            (rows, columns, bool(self.total) and self._similar(rows, columns))
            for i, rows in enumerate(blocks)
            for columns in blocks[i:]
        ]

    def _similar(self, rows: slice, columns: slice) -> bool:
        return bool((self.labels[rows].any(axis=0) & self.labels[columns].any(axis=0)).any())

    def cross_entropy(self, H: np.ndarray) -> tuple[float, np.ndarray]:
        """``-sum_ij p_ij log q_ij`` of codes H (n, K), which is KL(P || Q) plus a constant, and its gradient (n, K).

        Without any shared label it is log sum_ij w_ij, which keeps codes apart.
        """
        H = H[self.order]
        n, K = H.shape
        half = 0.5 + 0.25 * (H * H).sum(axis=1, keepdims=True)
        ones = np.ones_like(half)
        left, right, H1 = (
            np.hstack(parts).astype(np.float32) for parts in ((-0.5 * H, ones, half), (H, half, ones), (H, ones))
        )
        attract, repel = np.zeros((n, K + 1)), np.zeros((n, K + 1))
        weight = spread = 0.0
        for rows, columns, similar in self.tiles:
            twice = 2 if rows != columns else 1
            distance = left[rows] @ right[columns].T
            np.maximum(distance, 1, out=distance)  # 1 + ||h_i - h_j||^2 / 4, but for rounding
            W = np.float32(1) / distance
            if rows == columns:
                np.fill_diagonal(W, 0)
            if similar:
                P = self.labels[rows] @ self.labels[columns].T
                if rows == columns:
                    np.fill_diagonal(P, 0)
                _add(attract, W * P, H1, rows, columns)
                spread += twice * float(np.vdot(P, np.log(distance)))
            weight += twice * float(W.sum())
            np.multiply(W, W, out=W)
            _add(repel, W, H1, rows, columns)
        S = attract / (self.total or 1.0) - repel / weight
        gradient = np.empty_like(H)
        gradient[self.order] = S[:, -1:] * H - S[:, :-1]
        return spread / (self.total or 1.0) + float(np.log(weight)), gradient


def _add(sums: np.ndarray, tile: np.ndarray, H1: np.ndarray, rows: slice, columns: slice) -> None:
    """Add a tile of a symmetric matrix times H1 to the rows of the tile and, below the diagonal, to its columns."""
    sums[rows] += tile @ H1[columns]
    if rows != columns:
        sums[columns] += tile.T @ H1[rows]


def unified_codes(first: np.ndarray, second: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Codes (n, K) of pairs from the values f = log(z / (1 - z)) of both modalities' logistic regressions.

    The paper's rule in logarithms: sgn(f_x + f_y - log(p(b = 1) / p(b = -1))), with shares of the training codes B.
    """
    share = (B > 0).mean(axis=0)
    constant = (share == 0) | (share == 1)
    share = np.where(constant, 0.5, share)
    return sign_codes(first + second - np.log(share / (1 - share)))
