"""Kernel logistic regression for all bits of a code at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmrbench.method import Context


@dataclass(frozen=True)
class LogisticRule:
    """Settings of `logistic_weights`: penalty C of ``w'K0 w``, most iterations, and when to stop.

    The defaults are those that SePH, MTFH, GSPH and KDLFH share.
    """

    penalty: float = 0.01
    iterations: int = 500
    gradient: float = 1e-5
    progress: float = 1e-9


def logistic_weights(
    K: np.ndarray, K0: np.ndarray, codes: np.ndarray, context: Context, rule: LogisticRule | None = None
) -> np.ndarray:
    """The W (m, bits) that minimises, bit by bit, ``sum_i log(1 + exp(-b_i k_i'w)) + C w'K0 w``.

    The bits do not interact, so one L-BFGS over all of them solves them together, with one matrix product a step
    where a solver for each bit has one matrix-vector product for each.

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
    shape = (K.shape[1], codes.shape[1])

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat.reshape(shape)
        margin = codes * (K @ W)
        smooth = K0 @ W
        loss = np.logaddexp(0.0, -margin).sum() + rule.penalty * (W * smooth).sum()
        pull = -codes * sigmoid(-margin)
        return float(loss), (K.T @ pull + 2 * rule.penalty * smooth).ravel()

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
            "maxcor": 30,
        },
    )
    if not found.success:
        context.logger.warning("kernel logistic regression stopped after %d steps before it converged", found.nit)
    return np.asarray(found.x.reshape(shape))


def sigmoid(t: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-t)), without overflow."""
    from scipy.special import expit

    return np.asarray(expit(t))
