"""Kernel logistic regression for all bits of a code at once, and the hash functions that it gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from cmrbench.method import Context
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, TrainingPairs
from cmrbench_methods.blocks.kernels import rbf
from cmrbench_methods.blocks.maps import AnchorRule, Scaled


@dataclass(frozen=True)
class LogisticRule:
    """Settings of `logistic_weights`: penalty C of ``w'K0 w``, most iterations, and when to stop.

    The defaults are those that SePH, MTFH, GSPH and KDLFH share.
    """

    penalty: float = 0.01
    iterations: int = 500
    gradient: float = 1e-5
    progress: float = 1e-9


@dataclass(frozen=True, eq=False)
class LogisticDesign:
    """One modality's training items as kernel logistic regression over anchors needs them.

    The RBF kernel has the width "pairs" of `AnchorRule`, and its columns are not centred.

    Attributes
    ----------
    phi : Design
        Kernel of the training items and the anchors, (n, m).
    K0 : ndarray
        Kernel of the anchors, (m, m).
    """

    phi: Design
    K0: np.ndarray

    @classmethod
    def fit(
        cls, features: np.ndarray, rng: np.random.Generator, count: int, choose: str = "random", *, centre: bool = True
    ) -> LogisticDesign:
        """Choose anchors of features (n, d), minus their mean if `centre`; `count` and `choose` as in `AnchorRule`."""
        rule = AnchorRule(count, choose, width="pairs", centre=False)
        kernel = rule.fit(features, Scaled.fit(features, centre=centre), rng)
        return cls(Design(features, kernel), rbf(kernel.anchors, kernel.anchors, kernel.gamma))

    def hash_function(self, codes: np.ndarray, penalty: float, context: Context) -> HashFunction:
        """The hash function that predicts codes (n, bits) in {-1, +1} of the training items."""
        W = logistic_weights(self.phi.array(), self.K0, codes, context, LogisticRule(penalty))
        return HashFunction(self.phi.map, W)


def shared_logistic_designs(
    pairs: TrainingPairs, context: Context, count: int, choose: str = "random", *, centre: bool = True
) -> dict[str, LogisticDesign]:
    """`LogisticDesign.fit` of both modalities, which runs that differ in bits alone share.

    Random anchors are the same training items in both; k-means centres are each modality's own.
    """

    def make(modality: str, features: np.ndarray) -> LogisticDesign:
        rng = context.rng("anchors", modality) if choose == "kmeans" else context.rng("anchors")
        return LogisticDesign.fit(features, rng, count, choose, centre=centre)

    return {m: context.shared(("kernel", m), partial(make, m, z)) for m, z in pairs.features.items()}


def logistic_weights(
    K: np.ndarray, K0: np.ndarray, codes: np.ndarray, context: Context, rule: LogisticRule | None = None
) -> np.ndarray:
    """The W (m, bits) that minimises, bit by bit, ``sum_i log(1 + exp(-b_i k_i'w)) + C w'K0 w``.

    The bits do not interact, so one L-BFGS over all of them solves them together, with one matrix product a step
    where a solver for each bit has one matrix-vector product for each. It works in the coordinates of `preconditioner`:
    in the weights themselves kernels are so ill-conditioned that hundreds of steps end far from the minimum.

    Parameters
    ----------
    K : ndarray
        Kernel of the training items and the anchors, float64 (n, m).
    K0 : ndarray
        Kernel of the anchors, (m, m).
    codes : ndarray
        (n, bits) in {-1, +1}.
    """
    from scipy.optimize import minimize

    rule = rule or LogisticRule()
    T, shrink = preconditioner(K, K0, rule.penalty)
    shape = (T.shape[1], codes.shape[1])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        U = flat.reshape(shape)
        margin = codes * (K @ (T @ U))
        loss = np.logaddexp(0.0, -margin).sum() + (shrink * U * U).sum()
        pull = T.T @ (K.T @ (-codes * sigmoid(-margin)))
        return float(loss), (pull + 2 * shrink * U).ravel()

    found = minimize(
        objective,
        np.zeros(shape[0] * shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": rule.iterations,
            "maxfun": 2 * rule.iterations,
            "gtol": rule.gradient,
            "ftol": rule.progress,
            "maxcor": 20,
        },
    )
    if not found.success:
        context.logger.warning("kernel logistic regression stopped after %d steps before it converged", found.nit)
    return np.asarray(T @ found.x.reshape(shape))


def preconditioner(K: np.ndarray, K0: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """T (m, r) and penalties c (r, 1) with ``C w'K0 w = sum_j c_j u_j^2`` for w = T u and curvature at most 1 in u.

    K'K / 4 + 2 C K0 bounds the Hessian for every w and is the Hessian at w = 0 (Boehning and Lindsay 1988); T makes
    it the identity. Directions that K0 maps to zero change no kernel value of any item and are left out.
    """
    from scipy.linalg import eigh

    values, vectors = eigh(K0)
    kept = values > values[-1] * len(K0) * np.finfo(np.float64).eps
    whitened = vectors[:, kept] / np.sqrt(values[kept])
    features = K @ whitened
    spread, turn = eigh(features.T @ features)
    bound = np.maximum(spread, 0.0) / 4 + 2 * penalty
    bound = np.maximum(bound, 1e-12 * bound[-1])
    return (whitened @ turn) / np.sqrt(bound), (penalty / bound)[:, None]


def sigmoid(t: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-t)), without overflow."""
    from scipy.special import expit

    return np.asarray(expit(t))
