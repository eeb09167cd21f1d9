"""PDH: predictable dual-view hashing, a reconstruction from a description of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.correlation import add_ridge, canonical_directions, supported
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, in_turn, shared_designs, training_pairs
from cmrbench_methods.blocks.linear import signs
from cmrbench_methods.blocks.svm import SquaredHinge

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items

RIDGE = 1e-4
"""Added to the diagonals of X'X and Y'Y in the canonical correlation of the start."""

STEPS = 2
"""Steps of every machine in a round; in the next it goes on from there, so that more would chase passing targets."""


class PDH(HashingMethod):
    """Predictable dual-view hashing (Rastegari et al., ICML 2013): a reconstruction, not the authors' algorithm.

    Neither the paper nor code was at hand, only a description: a bit is a hyperplane in each view, with a large margin,
    that predicts the bit of the other view, and the bits of a code are to be uncorrelated; both are had by turns. What
    is built here, from scores Fy = Y V, V the canonical directions of the second view:

    1. B = the signs of uncorrelated scores: Fy with columns of unit length, times (Fy'Fy)^(-1/2);
    2. Wx: for every bit a linear support vector machine, ||w||^2 / 2 + C sum_i max(0, 1 - b_i x_i'w)^2; Fx = X Wx;
    3. the same with the views exchanged;

    until no target B changes or `rounds` are over. Hash functions are sgn(x'Wx) and sgn(y'Wy).

    The squared hinge, C, how scores are made uncorrelated, hyperplanes through the training mean, and ten rounds are
    choices of this reconstruction. There are as many different bits as the start has directions; beyond them they are
    used again, in turn.

    Parameters
    ----------
    C : float
        Weight of the margin's violations, for features of unit mean squared length.
    rounds : int
        Turns over both views.
    """

    info = MethodInfo(
        name="pdh",
        title="PDH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        reconstruction=True,
        group="Metric learning",
        venue="ICML13",
        citation=Citation(
            key="rastegari2013pdh",
            kind="inproceedings",
            author="Mohammad Rastegari and Jonghyun Choi and Shobeir Fakhraei and Hal Daumé and Larry S. Davis",
            title="Predictable dual-view hashing",
            venue="Proceedings of the 30th International Conference on Machine Learning",
            year=2013,
        ),
        deterministic=True,
    )

    def __init__(self, C: float = 1.0, rounds: int = 10) -> None:
        self.C = C
        self.rounds = rounds

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Start from canonical correlation; let each view predict the other's bits by turns."""
        if not self.C > 0 or self.rounds < 1:
            raise MethodError(f"pdh: C must be positive and rounds at least 1, not {self.C:g} and {self.rounds}")
        pairs = training_pairs(self, train, context)
        X, Y = shared_designs(pairs, context).values()
        start = context.shared("start", lambda: canonical_start(X, Y))[:, : pairs.bits]
        weights = in_turn(self._learn(X, Y, start, context), pairs.bits, "pdh", context)
        self.dims_ = pairs.dims
        self.functions_ = {
            m: HashFunction(phi.map, W)
            for m, phi, W in zip(pairs.names, (X, Y), np.split(weights, [X.shape[1]]), strict=True)
        }
        return self

    def _learn(self, X: Design, Y: Design, V: np.ndarray, context: Context) -> np.ndarray:
        """The hyperplanes of both views, one below the other: (dx + dy, k) from directions V (dy, k) of the second."""
        in_x, in_y = (SquaredHinge(self.C / (phi.square_sum / len(phi) or 1.0), STEPS) for phi in (X, Y))
        first, second = None, None
        Bx, By = None, uncorrelated(Y.dot(V))
        for done in range(self.rounds):
            last = Bx, By
            first = in_x.fit(X, By, first)
            Bx = uncorrelated(first[1])
            second = in_y.fit(Y, Bx, second)
            By = uncorrelated(second[1])
            context.progress(done + 1, self.rounds, "")
            if last[0] is not None and np.array_equal(Bx, last[0]) and np.array_equal(By, last[1]):
                break
        return np.vstack((first[0], second[0]))


def canonical_start(X: Design, Y: Design) -> np.ndarray:
    """Canonical directions V (dy, k) of the second view, strongest first."""
    Sxx, Syy, Sxy = add_ridge(X.gram, RIDGE), add_ridge(Y.gram, RIDGE), X.between(Y)
    return supported(canonical_directions(Sxx, Syy, Sxy, min(Sxy.shape)), RIDGE).B


def uncorrelated(F: np.ndarray) -> np.ndarray:
    """Signs (n, k) of the matrix with orthonormal columns that is nearest to the scores F (n, k).

    The columns of F count with unit length. The matrix is then F (F'F)^(-1/2), without what F has no part of.
    """
    from scipy.linalg import eigh

    if not F.shape[1]:
        return F
    length = np.linalg.norm(F, axis=0)
    F = F / np.where(length > 0, length, 1.0)
    values, vectors = eigh(F.T @ F)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    vectors = vectors[:, kept]
    return signs(F @ ((vectors / np.sqrt(values[kept])) @ vectors.T))
