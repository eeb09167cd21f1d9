"""Collective matrix factorisation: one latent factor for both modalities, learned from Gram matrices alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.linear import solve_positive

Pair = tuple[float, float]


@dataclass(frozen=True)
class CollectiveWeights:
    """Weights of the objective, and the penalties of the two ridge steps that minimise it.

    Attributes
    ----------
    fit : (float, float)
        Weight a_m of ``||X_m - V U_m||^2``, by modality.
    tie : (float, float)
        Weight b_m of ``||V - X_m P_m||^2``.
    gamma : float
        Weight of ``||U_1||^2 + ||U_2||^2 + ||P_1||^2 + ||P_2||^2 + ||V||^2``.
    ridge_u, ridge_p : (float, float), optional
        Penalties of the steps for U_m and P_m; by default gamma / a_m and gamma / b_m, with which they are exact.
    scale_p : float
        Factor of P_m after its step; 1 unless a slip of released code is followed.
    """

    fit: Pair
    tie: Pair
    gamma: float
    ridge_u: Pair | None = None
    ridge_p: Pair | None = None
    scale_p: float = 1.0

    @property
    def penalties_u(self) -> Pair:
        """Penalty of the step for U_m, by modality."""
        return self.ridge_u or (self.gamma / self.fit[0], self.gamma / self.fit[1])

    @property
    def penalties_p(self) -> Pair:
        """Penalty of the step for P_m, by modality."""
        return self.ridge_p or (self.gamma / self.tie[0], self.gamma / self.tie[1])


@dataclass(frozen=True)
class Terms:
    """Squared norms for one modality: of X - V U (``fit``), V - X P (``tie``), U, P and V."""

    fit: float
    tie: float
    U: float
    P: float
    V: float


class JointGram:
    """Inner products of the features of two modalities, in the basis where each modality's own Gram matrix is diagonal.

    Norms do not depend on the basis, so the factorisation runs in it, where a ridge step costs a division.

    Attributes
    ----------
    designs : (Design, Design)
    values : (ndarray, ndarray)
        Eigenvalues of X_m'X_m, (d_m,).
    bases : (ndarray, ndarray)
        Their eigenvectors E_m, (d_m, d_m).
    cross : ndarray
        E_1' X_1'X_2 E_2, (d_1, d_2).
    """

    def __init__(self, first: Design, second: Design) -> None:
        self.designs = (first, second)
        self.values = (first.spectrum[0], second.spectrum[0])
        self.bases = (first.spectrum[1], second.spectrum[1])
        self.cross = self.bases[0].T @ first.between(second) @ self.bases[1]

    def times(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X_m'(X_1 A_1 + X_2 A_2) (d_m, K) for A_m (d_m, K), by modality, all in the basis."""
        return (
            self.values[0][:, None] * first + self.cross @ second,
            self.cross.T @ first + self.values[1][:, None] * second,
        )


class CollectiveFactors:
    """V, U_m and P_m that lower ``sum_m a_m ||X_m - V U_m||^2 + b_m ||V - X_m P_m||^2 + gamma (all norms)``.

    V (n, K) is a linear map of the features after its first step, V = X_1 A_1 + X_2 A_2. So the steps need the inner
    products of the features and A_m (d_m, K), and take the same time for any number of items. U_m (K, d_m), P_m
    (d_m, K) and A_m are kept in the basis of `JointGram`; `predictors` and `factor` lead out of it.

    Parameters
    ----------
    gram : JointGram
    weights : CollectiveWeights
    bits : int
        K.
    rng : numpy.random.Generator
        For the start: V and P_m uniform in [0, 1).
    """

    def __init__(self, gram: JointGram, weights: CollectiveWeights, bits: int, rng: np.random.Generator) -> None:
        self.gram, self.weights = gram, weights
        V = rng.random((len(gram.designs[0]), bits))
        self.VV = V.T @ V
        self.XV = [E.T @ X.cross(V) for X, E in zip(gram.designs, gram.bases, strict=True)]
        self.P = [E.T @ rng.random((len(E), bits)) for E in gram.bases]
        self.U = [np.zeros(P.T.shape) for P in self.P]
        self.A = (np.zeros(self.P[0].shape), np.zeros(self.P[1].shape))

    def update_U(self) -> None:  # noqa: N802
        """U_m = (V'V + penalty I)^-1 V'X_m."""
        penalties = self.weights.penalties_u
        self.U = [solve_positive(self.VV, XV.T, p) for XV, p in zip(self.XV, penalties, strict=True)]

    def combination(self) -> tuple[np.ndarray, np.ndarray]:
        """A_m for which V = X_1 A_1 + X_2 A_2 is the best V for U_m and P_m as they are.

        V = [sum_m X_m (a_m U_m' + b_m P_m)] [sum_m a_m U_m U_m' + (b_1 + b_2 + gamma) I]^-1.
        """
        w = self.weights
        left = sum((a * U @ U.T for a, U in zip(w.fit, self.U, strict=True)), np.zeros(self.VV.shape))
        right = np.hstack([a * U + b * P.T for a, b, U, P in zip(w.fit, w.tie, self.U, self.P, strict=True)])
        A = solve_positive(left, right, sum(w.tie) + w.gamma).T
        first = len(self.P[0])
        return A[:first], A[first:]

    def update_V(self) -> None:  # noqa: N802
        """V as in `combination`; kept as A_m, V'V and X_m'V."""
        self.A = self.combination()
        self.XV = list(self.gram.times(*self.A))
        self.VV = self.A[0].T @ self.XV[0] + self.A[1].T @ self.XV[1]

    def update_P(self) -> None:  # noqa: N802
        """P_m = (X_m'X_m + penalty I)^-1 X_m'V."""
        w = self.weights
        self.P = [
            w.scale_p * XV / (values + penalty)[:, None]
            for XV, values, penalty in zip(self.XV, self.gram.values, w.penalties_p, strict=True)
        ]

    def terms(self) -> list[Terms]:
        """The squared norms of the objective, by modality."""
        norm = float(np.trace(self.VV))
        return [
            Terms(
                fit=max(values.sum() - 2 * float((U * XV.T).sum()) + float((U * (self.VV @ U)).sum()), 0.0),
                tie=max(norm - 2 * float((P * XV).sum()) + float((values @ (P * P)).sum()), 0.0),
                U=float((U * U).sum()),
                P=float((P * P).sum()),
                V=norm,
            )
            for values, XV, U, P in zip(self.gram.values, self.XV, self.U, self.P, strict=True)
        ]

    def objective(self) -> float:
        """The value of the objective."""
        w, (one, two) = self.weights, self.terms()
        norms = one.U + one.P + two.U + two.P + one.V
        return float(
            w.fit[0] * one.fit + w.fit[1] * two.fit + w.tie[0] * one.tie + w.tie[1] * two.tie + w.gamma * norms
        )

    def predictors(self) -> list[np.ndarray]:
        """P_m (d_m, K) for features as they are."""
        return [E @ P for E, P in zip(self.gram.bases, self.P, strict=True)]

    def dictionaries(self) -> list[np.ndarray]:
        """U_m (K, d_m) for features as they are."""
        return [U @ E.T for E, U in zip(self.gram.bases, self.U, strict=True)]

    def factor(self, A: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """X_1 A_1 + X_2 A_2 (n, K)."""
        (x, y), (E, F) = self.gram.designs, self.gram.bases
        return np.asarray(x.dot(E @ A[0]) + y.dot(F @ A[1]))
