"""Sparse codes over a dictionary, and dictionaries with atoms of bounded length.

Items are rows, and so are atoms: an item x (d,) is approximated by ``s D`` with a sparse code s (m,) and D (m, d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmrbench_methods.blocks.linear import product, row_blocks

ITEMS = 256
"""Items that are coded at a time: their codes stay in the processor's cache."""

_ROUNDING = 1 + 1e-9


def lasso_codes(D: np.ndarray, X: np.ndarray, ratio: float, steps: int) -> np.ndarray:
    """Sparse codes S (n, m) of items X (n, d): each minimises ``||x - s D||^2 / 2 + l ||s||_1``, l = ratio max|D x|.

    Accelerated proximal gradient from zero with Nemirovski's line search (Liu, Ji and Ye, SLEP, the function LeastR),
    with a step size for each item and all items of a block together. `ratio` lies in (0, 1); at 1 all codes are zero.

    Parameters
    ----------
    D : ndarray
        Atoms, float64 (m, d).
    X : ndarray
        Items, float64 (n, d).
    ratio : float
    steps : int
        Proximal steps: always as many, for every item.
    """
    codes = np.empty((len(X), len(D)))
    for rows in row_blocks(len(X), ITEMS):
        codes[rows] = _lasso_block(D, X[rows], ratio, steps)
    return codes


def _lasso_block(D: np.ndarray, X: np.ndarray, ratio: float, steps: int) -> np.ndarray:
    reach = product(X, D.T)
    penalty = ratio * np.abs(reach).max(axis=1, initial=0.0, keepdims=True)
    S, fit = np.zeros_like(reach), np.zeros_like(X)
    last, last_fit = S, fit
    curvature = np.ones_like(penalty)
    momentum, next_momentum = 0.0, 1.0
    for _ in range(steps):
        ahead = (momentum - 1) / next_momentum
        V, V_fit = S + ahead * (S - last), fit + ahead * (fit - last_fit)
        gradient = product(V_fit, D.T) - reach
        last, last_fit = S, fit
        S, fit = _shrunk(V, gradient, curvature, penalty, D)
        while True:
            moved = S - V
            square = np.einsum("ij,ij->i", moved, moved)
            change = fit - V_fit
            stretch = np.einsum("ij,ij->i", change, change)
            # Where an item keeps to one atom both sides are equal, and rounding must not decide.
            short = np.flatnonzero((square > 1e-20) & (stretch > square * curvature[:, 0] * _ROUNDING))
            if not short.size:
                break
            curvature[short, 0] = np.maximum(2 * curvature[short, 0], stretch[short] / square[short])
            S[short], fit[short] = _shrunk(V[short], gradient[short], curvature[short], penalty[short], D)
        momentum, next_momentum = next_momentum, (1 + np.sqrt(4 * next_momentum**2 + 1)) / 2
    return S


def _shrunk(
    V: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, penalty: np.ndarray, D: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A proximal step from V, and what it reconstructs."""
    step = V - gradient / curvature
    threshold = penalty / curvature
    step -= np.clip(step, -threshold, threshold)
    return step, product(step, D)


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Atoms (m, d), their multipliers (m,), and whether Newton's method converged."""

    atoms: np.ndarray
    dual: np.ndarray
    converged: bool


def bounded_dictionary(G: np.ndarray, C: np.ndarray, start: np.ndarray | None = None, steps: int = 100) -> Dictionary:
    """The B (m, d) that minimises ``||X - S B||^2`` with ``||b_j|| <= 1``, from G = S'S (m, m) and C = S'X (m, d).

    By the Lagrange dual (Lee, Battle, Raina and Ng, NIPS 2006): B = (G + diag(v))^-1 C, where v >= 0 minimises
    ``tr(C'(G + diag(v))^-1 C) + sum(v)``, here with projected Newton steps and Armijo's rule. An atom that no item uses
    stays zero.

    Parameters
    ----------
    G, C : ndarray
    start : ndarray or None
        Multipliers to start from, such as those of a similar problem.
    steps : int
        Most Newton steps.
    """
    from scipy.linalg import solve

    atoms, dual = np.zeros_like(C), np.zeros(len(G))
    used = np.flatnonzero(np.diag(G) > 0)
    if not used.size:
        return Dictionary(atoms, dual, True)
    G, C = G[np.ix_(used, used)], C[used]
    # Codes that depend on one another make G singular; this much keeps its factor, and moves no atom visibly.
    floor = 1e-10 * np.diag(G).max()
    v = np.maximum(np.ones(len(used)) if start is None else start[used], floor)
    problem = _Dual(G, C)
    value, B, inverse = problem.at(v)
    converged = False
    for _ in range(steps):
        slope = 1 - np.einsum("ij,ij->i", B, B)
        free = (v > floor) | (slope < 0)
        converged = bool(np.abs(slope[free]).max(initial=0.0) < 1e-6)
        if converged:
            break
        # The second term (Coleman and Li 1996) ends the step at the bound where the dual is nearly linear, as it is in
        # the multiplier of an atom that hardly counts.
        curve = (2 * (B @ B.T) * inverse + np.diag(np.maximum(slope, 0.0) / v))[np.ix_(free, free)]
        curve[np.diag_indices_from(curve)] += 1e-12 * np.trace(curve) / len(curve)
        step = np.zeros(len(v))
        step[free] = -solve(curve, slope[free], assume_a="pos")
        moved = _search(problem, v, value, slope, step, floor)
        if moved is None:
            break
        v, (value, B, inverse) = moved
    atoms[used], dual[used] = B, v
    return Dictionary(atoms, dual, converged)


@dataclass(frozen=True, eq=False)
class _Dual:
    """The dual function of `bounded_dictionary`."""

    G: np.ndarray
    C: np.ndarray

    def at(self, v: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, atoms, and the inverse of G + diag(v), which the Hessian contains entry by entry."""
        from scipy.linalg import cho_solve

        factor = self._factor(v)
        B, inverse = cho_solve(factor, self.C), cho_solve(factor, np.eye(len(v)))
        return float((self.C * B).sum() + v.sum()), np.asarray(B), np.asarray(inverse)

    def _factor(self, v: np.ndarray) -> tuple[np.ndarray, bool]:
        from scipy.linalg import cho_factor

        shifted = self.G.copy()
        shifted[np.diag_indices_from(shifted)] += v
        factor, lower = cho_factor(shifted, lower=True)
        return np.asarray(factor), bool(lower)


def _search(
    problem: _Dual, v: np.ndarray, value: float, slope: np.ndarray, step: np.ndarray, floor: float
) -> tuple[np.ndarray, tuple[float, np.ndarray, np.ndarray]] | None:
    """The first of v + step, v + step / 2, ... that decreases the dual enough, none below the floor; or None."""
    for halvings in range(40):
        moved = np.maximum(v + step / 2**halvings, floor)
        there = problem.at(moved)
        if there[0] <= value + 1e-4 * float(slope @ (moved - v)):
            return moved, there
    return None
