"""STMH: semantic topic multimodal hashing."""

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
    CodeFunction,
    HashingMethod,
    check_codes,
    check_variant,
    shared_designs,
    training_pairs,
    uncentred_design,
)
from cmrbench_methods.blocks.linear import product, row_blocks, sign_codes, solve_positive

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items

EPSILON = float(np.finfo(np.float64).eps)


class STMH(HashingMethod):
    """Semantic topic multimodal hashing (Wang, Gao, Wang and He, IJCAI 2015), unsupervised.

    A bit is a topic of the texts. Each text has half of the K topics, G2 in {0, 1}^(n x K); images are factorised
    robustly by real concepts G1 (n, K), from which a linear map R tells the topics:

        min  r_1 sum_i ||x_i - F1 g1_i|| + r_2 sum_i sum_j G2_ij ||y_i - f2_j||^2 + lam ||G2 - G1 R||^2
             + gamma (||F1||^2 + ||F2||^2 + ||R||^2 + ||G1||^2),

    features not centred, f2_j the place of topic j among the texts. The steps in turn: F1, F2, R, G1 row by row, G2 row
    by row (the topics of least cost), and the weights D by which squared distances stand for distances. A text is
    coded by its nearest topics, an image by the topics whose value, x F1 (F1'F1 + gamma / r_1 I)^-1 R, is at or above
    the median of its K values. The first modality plays the images' part, the second the texts'.

    Follows the released code (Wangdi-Xidian/STMH; BMC-SDNU/Cross-Modal-Hashing-Retrieval, STMH, has the same solver),
    with these differences, of which ``released`` undoes the first three:

    - The code's D has the factor r_1, and so has the step for G1: the weight of the images counts twice there.
    - The code's step for F2 is a regression of texts on G2, as if a text were the sum of its topics. All else (the
      objective, the step for G2, the coding of queries) has each topic near each of its texts; ``paper`` takes that.
    - The code compares its objective with spectral norms in place of sums of squares. That changes when it ends.
    - The toolbox sets lam = 0.5, gamma = 1e-4 and 10 rounds, with which little is learned; the defaults are those of
      the authors' package (mu = gamma = 1e-6, 5 rounds).
    - Rows of G1 have matrices of their own, D_ii r_1 F1'F1 + (lam R R' + gamma I): here one generalised
      eigendecomposition solves all of them. Same result.

    Parameters
    ----------
    variant : {"paper", "released"}
    r : float
        Weight r_1 of the images; r_2 = 1 - r_1.
    lam : float
        Weight of telling topics from concepts (mu in the authors' package).
    gamma : float
        Weight of the norms.
    iterations : int
        Most rounds.
    tolerance : float
        Least change of the objective for another round.
    """

    info = MethodInfo(
        name="stmh",
        title="STMH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="IJCAI15",
        citation=Citation(
            key="wang2015stmh",
            kind="inproceedings",
            author="Di Wang and Xinbo Gao and Xiumei Wang and Lihuo He",
            title="Semantic topic multimodal hashing for cross-media retrieval",
            venue="Proceedings of the Twenty-Fourth International Joint Conference on Artificial Intelligence",
            year=2015,
            pages="3890-3896",
        ),
        url="https://github.com/Wangdi-Xidian/STMH",
    )

    def __init__(
        self,
        variant: str = "paper",
        r: float = 0.5,
        lam: float = 1e-6,
        gamma: float = 1e-6,
        iterations: int = 5,
        tolerance: float = 0.01,
    ) -> None:
        self.variant = variant
        self.r = r
        self.lam = lam
        self.gamma = gamma
        self.iterations = iterations
        self.tolerance = tolerance

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over F1, F2, R, G1, G2 and D."""
        check_variant("stmh", self.variant)
        if not self.gamma > 0:
            raise MethodError(f"stmh: gamma must be above 0, it is {self.gamma}")
        pairs = training_pairs(self, train, context)
        X, Y = shared_designs(pairs, context, uncentred_design).values()
        topics = Topics(self, X, Y)
        topics.start(pairs.bits, context.rng("stmh"))
        last = change = np.inf
        for done in range(1, self.iterations + 1):
            topics.update_F()
            topics.update_R()
            topics.update_G1()
            topics.update_G2()
            topics.update_D()
            context.progress(done, self.iterations, "")
            value = topics.objective()
            last, change = value, abs(last - value)
            if change < self.tolerance:
                break
        else:
            context.logger.warning("stmh: round %d, the last, changed the objective %.6g by %.3g", done, last, change)
        codes = sign_codes(topics.G2 - 0.5)
        check_codes(codes, "stmh")
        concepts = solve_positive(topics.F1.T @ topics.F1, topics.R, self.gamma / self.r)
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, codes)
        self.functions_ = {
            pairs.first: ConceptFunction(topics.F1 @ concepts),
            pairs.second: TopicFunction(topics.F2, topics.ones),
        }
        return self


class Topics:
    """F1 (d_1, K), F2 (d_2, K), R (K, K), G1 (n, K), G2 (n, K) and D (n,), and their steps.

    Parameters
    ----------
    rule : STMH
        The weights.
    X, Y : Design
        Images (n, d_1) and texts (n, d_2).
    """

    def __init__(self, rule: STMH, X: Design, Y: Design) -> None:
        self.r1, self.r2, self.lam, self.gamma = rule.r, 1 - rule.r, rule.lam, rule.gamma
        self.released = rule.variant == "released"
        self.X, self.Y = X, Y
        self.squares = np.concatenate([(Y.block(rows) ** 2).sum(axis=1) for rows in row_blocks(len(Y))])

    def start(self, bits: int, rng: np.random.Generator) -> None:
        """G1 normal, G2 with half of the topics for each text at random, D all ones."""
        n = len(self.X)
        self.ones = (bits + 1) // 2
        self.G1 = rng.standard_normal((n, bits))
        self.G2 = lowest(rng.random((n, bits)), self.ones)
        self.D = np.ones(n)

    def update_F(self) -> None:  # noqa: N802
        """F1 = X'D G1 (G1'D G1 + gamma / r_1 I)^-1; f2_j the mean of its texts, or by regression in ``released``."""
        weighted = self.D[:, None] * self.G1
        self.F1 = solve_positive(self.G1.T @ weighted, self.X.cross(weighted).T, self.gamma / self.r1).T
        sums = self.Y.cross(self.G2)
        if self.released:
            self.F2 = solve_positive(self.G2.T @ self.G2, sums.T, self.gamma / self.r1).T
        else:
            self.F2 = sums / (self.G2.sum(axis=0) + self.gamma / self.r2)

    def update_R(self) -> None:  # noqa: N802
        """R = (G1'G1 + gamma / lam I)^-1 G1'G2."""
        self.R = solve_positive(self.G1.T @ self.G1, self.G1.T @ self.G2, self.gamma / self.lam)

    def update_G1(self) -> None:  # noqa: N802
        """Row i: (r_1 D_ii x_i'F1 + lam g2_i R') (r_1 D_ii F1'F1 + lam R R' + gamma I)^-1."""
        from scipy.linalg import eigh

        common = self.lam * self.R @ self.R.T + self.gamma * np.eye(len(self.R))
        # With W' common W = I and W' F1'F1 W diagonal, every row's matrix is diagonal too.
        values, W = eigh(self.F1.T @ self.F1, common)
        weight = self.r1 * self.D[:, None]
        right = weight * self.X.dot(self.F1) + self.lam * self.G2 @ self.R.T
        self.G1 = ((right @ W) / (weight * np.maximum(values, 0.0) + 1.0)) @ W.T

    def update_G2(self) -> None:  # noqa: N802
        """The topics of least r_2 ||y_i - f2_j||^2 - 2 lam (G1 R)_ij for each text."""
        self.distances = self.squares[:, None] - 2 * self.Y.dot(self.F2) + (self.F2**2).sum(axis=0)
        self.G2 = lowest(self.r2 * self.distances - 2 * self.lam * self.G1 @ self.R, self.ones)

    def update_D(self) -> None:  # noqa: N802
        """D_ii = 1 / (2 ||x_i - F1 g1_i||), times r_1 in ``released``."""
        self.residual = np.empty(len(self.X))
        for rows in row_blocks(len(self.X)):
            apart = self.X.block(rows) - self.G1[rows] @ self.F1.T
            self.residual[rows] = np.sqrt((apart**2).sum(axis=1) + EPSILON)
        self.D = (self.r1 if self.released else 1.0) * 0.5 / self.residual

    def objective(self) -> float:
        """The value of the objective; in ``released`` with spectral norms, as the code has it."""
        size = spectral if self.released else frobenius
        value = self.r1 * self.residual.sum() + self.r2 * (self.G2 * self.distances).sum()
        norms = sum(size(M) for M in (self.R, self.G1, self.F1, self.F2))
        return float(value + self.lam * size(self.G2 - self.G1 @ self.R) + self.gamma * norms)


def frobenius(M: np.ndarray) -> float:
    """The sum of squared entries."""
    return float((M * M).sum())


def spectral(M: np.ndarray) -> float:
    """The squared largest singular value."""
    return float(np.linalg.eigvalsh(M.T @ M)[-1])


def lowest(costs: np.ndarray, count: int) -> np.ndarray:
    """1 for the `count` least entries of each row, the first of equal ones, 0 for the others: float64, (n, K)."""
    out = np.zeros(costs.shape)
    np.put_along_axis(out, np.argsort(costs, axis=1, kind="stable")[:, :count], 1.0, axis=1)
    return out


class BlockFunction(CodeFunction):
    """A hash function that codes features a block of rows at a time, from all K values of an item at once."""

    def bits(self, rows: np.ndarray) -> np.ndarray:
        """Bits of float64 rows (n, d): bool, (n, K)."""
        raise NotImplementedError

    def signs(self, features: np.ndarray) -> np.ndarray:
        """Bits of features (n, d): bool, (n, K)."""
        blocks = [self.bits(features[rows].astype(np.float64, order="C")) for rows in row_blocks(len(features), 2048)]
        return np.concatenate(blocks) if blocks else self.bits(features.astype(np.float64))


@dataclass(frozen=True, eq=False)
class ConceptFunction(BlockFunction):
    """Images: 1 where x W is at or above the median of the item's K values."""

    weights: np.ndarray

    def bits(self, rows: np.ndarray) -> np.ndarray:  # noqa: D102
        values = product(rows, self.weights)
        return np.asarray(values >= np.median(values, axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class TopicFunction(BlockFunction):
    """Texts: 1 for the `count` nearest of the topics F (d, K)."""

    topics: np.ndarray
    count: int

    def bits(self, rows: np.ndarray) -> np.ndarray:  # noqa: D102
        # The squared length of the item itself is the same for all topics.
        costs = (self.topics**2).sum(axis=0) - 2 * product(rows, self.topics)
        return np.asarray(lowest(costs, self.count) > 0)
