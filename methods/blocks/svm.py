"""Linear support vector machines for all bits of a code at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmrbench_methods.blocks.design import Design


@dataclass(frozen=True)
class SquaredHinge:
    """For every bit ``C sum_i max(0, 1 - b_i phi_i'w)^2 + ||w||^2 / 2``: the margin's weight C, and when to stop.

    Attributes
    ----------
    C : float
        Positive.
    steps : int
        Most steps of `fit`.
    progress : float
        Relative decrease of the sum over bits below which it stops.
    """

    C: float = 1.0
    steps: int = 20
    progress: float = 1e-3

    def objective(self, values: np.ndarray, codes: np.ndarray, W: np.ndarray) -> np.ndarray:
        """The objective of every bit (K,), for values Phi W (n, K), codes (n, K) in {-1, +1} and weights W (m, K)."""
        return np.asarray(self.C * (np.maximum(0.0, 1 - codes * values) ** 2).sum(axis=0) + (W * W).sum(axis=0) / 2)

    def fit(
        self, phi: Design, codes: np.ndarray, start: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights W (m, K) for codes (n, K) in {-1, +1}, and Phi W; from such a pair `start`, or from zero.

        The square of max(0, 1 - b f) is at most the square of f - z, z = b max(1, b f0), and as large at f0. So a ridge
        regression on z, with one factorization for all steps and bits, is a step that cannot increase the objective.
        Nesterov's momentum makes the steps longer; a bit that it leads astray goes back and starts anew without.
        """
        W, F = start or (np.zeros((phi.shape[1], codes.shape[1])), np.zeros(codes.shape))
        last, ahead, t = self.objective(F, codes, W), F, np.ones(codes.shape[1])
        for _ in range(self.steps):
            next_W = phi.ridge(codes * np.maximum(1.0, codes * ahead), 1 / (2 * self.C))
            next_F = phi.dot(next_W)
            now = self.objective(next_F, codes, next_W)
            astray = now > last
            next_W[:, astray], next_F[:, astray], now[astray] = W[:, astray], F[:, astray], last[astray]
            next_t = np.where(astray, 1.0, (1 + np.sqrt(1 + 4 * t * t)) / 2)
            ahead = next_F + np.where(astray, 0.0, (t - 1) / next_t) * (next_F - F)
            gained = float((last - now).sum())
            W, F, last, t = next_W, next_F, now, next_t
            if not astray.any() and gained <= self.progress * float(now.sum()):
                break
        return W, F
