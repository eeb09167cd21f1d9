"""ACQ: alternating co-quantization, a reconstruction from the paper's abstract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, both_in_turn, shared_designs, training_pairs
from cmrbench_methods.blocks.itq import random_rotation, weighted_directions
from cmrbench_methods.blocks.linear import signs, unit_rows

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class ACQ(HashingMethod):
    """Alternating co-quantization (Irie, Arai and Taniguchi, ICCV 2015): a reconstruction, not the authors' algorithm.

    Only the abstract was at hand, and no code. It says that the method starts from a cross-modal reduction of dimension
    such as canonical correlation, and alternately seeks a binary quantizer for each modality, with the help of the
    connections to the other, so that quantization errors are minimal. What is built here says that as

        min  ||Bx - Zx Rx||^2 + ||By - Zy Ry||^2 + mu ||Bx - Zy Ry||^2 + mu ||By - Zx Rx||^2

    over codes Bx, By in {-1, +1} and orthogonal Rx, Ry, where Zx, Zy are the canonical embeddings of the pairs, scaled
    by the canonical correlations, with rows of unit length. By turns, each step exact:

        Bx = sgn(Zx Rx + mu Zy Ry),  By = sgn(Zy Ry + mu Zx Rx),  Rx from max tr Rx'Zx'(Bx + mu By),  Ry likewise.

    With mu = 0 it is a rotation for each modality alone; with mu = 1, the default, both have the same codes. The
    weight, the unit length of the rows, the scaling, and one random start for both rotations are choices of this
    reconstruction, as is the number of turns, which is that of iterative quantization. Hash functions are sgn(Z R) of
    each modality; the learned codes are Bx and By.

    Parameters
    ----------
    mu : float
        Weight of the other modality's projections.
    ridge : float
        Added to the diagonals of the covariances.
    iterations : int
        Turns; fewer where the codes stop changing.
    """

    info = MethodInfo(
        name="acq",
        title="ACQ",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        reconstruction=True,
        group="Quantization",
        venue="ICCV15",
        citation=Citation(
            key="irie2015acq",
            kind="inproceedings",
            author="Go Irie and Hiroyuki Arai and Yukinobu Taniguchi",
            title="Alternating co-quantization for cross-modal hashing",
            venue="IEEE International Conference on Computer Vision",
            year=2015,
            url="https://ieeexplore.ieee.org/document/7410576",
        ),
    )

    def __init__(self, mu: float = 1.0, ridge: float = 1e-4, iterations: int = 50) -> None:
        self.mu = mu
        self.ridge = ridge
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Find the canonical directions, then both rotations and both codes by turns."""
        if self.mu < 0:
            raise MethodError(f"acq: mu must not be negative, it is {self.mu:g}")
        pairs = training_pairs(self, train, context)
        X, Y = shared_designs(pairs, context).values()
        found = context.shared("directions", lambda: weighted_directions(X, Y, self.ridge))
        A, B = both_in_turn(found.A, found.B, pairs.bits, "acq", context)
        turns = CoQuantization(unit_rows(X.dot(A)), unit_rows(Y.dot(B)), self.mu)
        turns.start(random_rotation(pairs.bits, context.rng("rotation")))
        for turn in range(self.iterations):
            if not turns.step():
                break
            context.progress(turn + 1, self.iterations, "")
        self.dims_ = pairs.dims
        self.codes_ = dict(zip(pairs.names, (turns.Bx, turns.By), strict=True))
        weights = dict(zip(pairs.names, (A @ turns.Rx, B @ turns.Ry), strict=True))
        self.functions_ = {m: HashFunction(phi.map, weights[m]) for m, phi in zip(pairs.names, (X, Y), strict=True)}
        return self


class CoQuantization:
    """Codes and rotations of two embeddings Zx, Zy (n, k) of the same items, improved by turns."""

    def __init__(self, Zx: np.ndarray, Zy: np.ndarray, mu: float) -> None:
        self.Zx, self.Zy, self.mu = Zx, Zy, mu

    def start(self, R: np.ndarray) -> None:
        """Let both rotations be R, and take the codes that are best for it."""
        self.Rx = self.Ry = R
        self._quantize()

    def step(self) -> bool:
        """Best rotations for the codes, then best codes for the rotations; whether a code has changed."""
        last = self.Bx, self.By
        self.Rx = procrustes(self.Zx.T @ (self.Bx + self.mu * self.By))
        self.Ry = procrustes(self.Zy.T @ (self.By + self.mu * self.Bx))
        self._quantize()
        return not (np.array_equal(last[0], self.Bx) and np.array_equal(last[1], self.By))

    def _quantize(self) -> None:
        x, y = self.Zx @ self.Rx, self.Zy @ self.Ry
        self.Bx, self.By = signs(x + self.mu * y), signs(y + self.mu * x)

    def objective(self) -> float:
        """The sum of the four squared errors, those of the other modality's projections times mu."""
        x, y = self.Zx @ self.Rx, self.Zy @ self.Ry
        own = ((self.Bx - x) ** 2).sum() + ((self.By - y) ** 2).sum()
        return float(own + self.mu * (((self.Bx - y) ** 2).sum() + ((self.By - x) ** 2).sum()))
