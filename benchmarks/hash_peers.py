"""The plain computation of hashing methods, for benchmarks/methods.py: dense matrices, a decomposition for every bit.

Each does the same steps as the method with the matrices and decompositions that the formulas name and the released code
forms, bit by bit where that goes bit by bit. Written from the description of those codes, not their text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

PAIRS = 2173
WIKI = (128, 10)
"""Training pairs and feature widths of the classic Wikipedia features."""


@dataclass(frozen=True)
class Peer:
    """A method against its plain computation.

    Attributes
    ----------
    method, what : str
    prepare : callable
        Gives two functions to time: ours, and the plain one.
    share : float
        The part of ours that the plain one does: its seconds are divided by it.
    goal : float
        How many times faster ours is to be.
    """

    method: str
    what: str
    prepare: Callable[[], tuple[Callable[[], object], Callable[[], object]]]
    goal: float
    share: float = 1.0


def pairs(dims: tuple[int, int], classes: int = 10) -> Mapping[str, Any]:
    from cmrbench.data import make_synthetic

    made = make_synthetic(
        n_train=PAIRS, n_val=50, n_query=50, n_gallery=50, dims=dims, classes=classes, noise=2.0, seed=1
    )
    return made.part("train")


def views(train: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred features of both modalities, and labels of unit length."""
    X, Y = (items.features.astype(np.float64) for items in train.values())
    L = next(iter(train.values())).labels.astype(np.float64)
    return X - X.mean(axis=0), Y - Y.mean(axis=0), L / np.linalg.norm(L, axis=1, keepdims=True)


class Rounds:
    """Counts the rounds that a method reports."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, done: int, total: int, note: str) -> None:
        self.count = done


def ours(cls: Any, train: Mapping[str, Any], bits: int, rounds: Rounds | None = None) -> object:
    from cmrbench.method import Context

    context = Context(bits=bits, progress=rounds) if rounds else Context(bits=bits)
    return cls().fit(train, None, context)


# SCM, sequential


def plain_scm(train: Mapping[str, Any], bits: int, done: int) -> None:
    """A full generalised eigenproblem for the first `done` bits."""
    from scipy.linalg import eig

    X, Y, G = views(train)
    Cxx, Cyy = X.T @ X + 1e-6 * np.eye(X.shape[1]), Y.T @ Y + 1e-6 * np.eye(Y.shape[1])
    C = bits * (2 * (X.T @ G) @ (Y.T @ G).T - np.outer(X.sum(axis=0), Y.sum(axis=0)))
    for _ in range(done):
        values, vectors = eig(C @ np.linalg.solve(Cyy, C.T), Cxx)
        w = vectors[:, values.real.argmax()].real
        v = np.linalg.solve(Cyy, C.T @ w) / np.sqrt(values.real.max())
        C = C - np.outer(X.T @ np.sign(X @ w), Y.T @ np.sign(Y @ v))


def scm(bits: int, done: int) -> tuple[Callable[[], object], Callable[[], object]]:
    from cmrbench_methods.supervised_hash.scm import SCM

    train = pairs((500, 1000), classes=21)
    return partial(ours, SCM, train, bits), partial(plain_scm, train, bits, done)


# Kernel logistic regression, as SePH and MTFH end


def plain_logistic(z: np.ndarray, B: np.ndarray, anchors: int) -> None:
    """Bit by bit, over random anchors; the width from all pairs."""
    from scipy.optimize import minimize
    from scipy.spatial.distance import cdist

    width = (cdist(z, z) ** 2).mean()
    chosen = z[:anchors]
    K, K0 = np.exp(-(cdist(z, chosen) ** 2) / width), np.exp(-(cdist(chosen, chosen) ** 2) / width)

    def objective(w: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
        margin = b * (K @ w)
        pull = -b / (1 + np.exp(margin))
        smooth = K0 @ w
        return np.logaddexp(0, -margin).sum() + 0.01 * w @ smooth, K.T @ pull + 0.02 * smooth

    options = {"maxiter": 500, "maxcor": 100, "gtol": 1e-5, "ftol": 1e-9}
    for b in B.T:
        minimize(objective, np.zeros(anchors), args=(b,), jac=True, method="L-BFGS-B", options=options)


# SePH


def plain_seph(train: Mapping[str, Any], bits: int, steps: int = 100) -> None:
    """Gradient steps on all pairs at once."""
    X, Y, G = views(train)
    n = len(G)
    P = G @ G.T
    np.fill_diagonal(P, 0)
    P /= P.sum()
    weight = 0.01 / (bits * n)
    rng = np.random.default_rng(0)
    H = 1e-4 * rng.standard_normal((n, bits))
    step, gain = np.zeros_like(H), np.ones_like(H)
    best, smallest = H, np.inf
    for _ in range(steps):
        squares = (H * H).sum(axis=1)
        W = 1 / (1 + 0.25 * (squares[:, None] - 2 * H @ H.T + squares))
        np.fill_diagonal(W, 0)
        Q = W / W.sum()
        S = (P - Q) * W
        gradient = S.sum(axis=1)[:, None] * H - S @ H + 2 * weight * (np.abs(H) - 1) * np.sign(H)
        gain = np.maximum(np.where(np.sign(gradient) != np.sign(step), gain + 0.2, 0.8 * gain), 0.01)
        step = 0.5 * step - 500 * gain * gradient
        H = H + step
        H -= H.mean(axis=0)
        value = (P * np.log((P + 1e-300) / (Q + 1e-300))).sum() + weight * ((np.abs(H) - 1) ** 2).sum()
        if value < smallest:
            best, smallest = H, value
    B = np.where(best >= 0, 1.0, -1.0)
    for z in (X, Y):
        plain_logistic(z, B, 500)


def seph(bits: int) -> tuple[Callable[[], object], Callable[[], object]]:
    from cmrbench_methods.supervised_hash.seph import SePH

    train = pairs(WIKI)
    return partial(ours, partial(SePH, anchors="random"), train, bits), partial(plain_seph, train, bits)


# MTFH


def plain_mtfh(train: Mapping[str, Any], bits: int, rounds: Rounds) -> None:
    """As many rounds as ours took, every update with S in full; each repeated three times, up to ten sweeps."""
    X, Y, _ = views(train)
    L = next(iter(train.values())).labels.astype(np.float64)
    S = L @ L.T
    rng = np.random.default_rng(0)
    n, alpha, beta = len(L), 0.5, 0.1
    U, U_, V, V_ = (np.where(rng.random((n, bits)) < 0.5, -1.0, 1.0) for _ in range(4))
    eye = 0.1 * np.eye(bits)

    def sweeps(A: np.ndarray, other: np.ndarray, wanted: np.ndarray, G: np.ndarray) -> np.ndarray:
        results = []
        for _ in range(3):
            for _ in range(10):
                before = A.copy()
                for i in range(bits):
                    rest = np.arange(bits) != i
                    coupling = alpha / bits**2 * (other[:, i] @ other[:, rest]) + G[i, rest]
                    A[:, i] = np.where(wanted[i] - coupling @ A[:, rest].T >= 0, 1.0, -1.0)
                if (before == A).all():
                    break
            results.append(A.copy())
        return np.where(sum(results) >= 0, 1.0, -1.0)

    none = np.zeros((bits, bits))
    for _ in range(rounds.count):
        H1 = np.linalg.solve(V.T @ V + eye, V.T @ U_).T
        H2 = np.linalg.solve(U.T @ U + eye, U.T @ V_)
        U = sweeps(U, U_, alpha / bits * U_.T @ S.T + beta * H2 @ V_.T, beta * H2 @ H2.T)
        U_ = sweeps(U_, U, alpha / bits * U.T @ S + beta * H1 @ V.T, none)
        V = sweeps(V, V_, alpha / bits * V_.T @ S + beta * H1.T @ U_.T, beta * H1.T @ H1)
        V_ = sweeps(V_, V, alpha / bits * V.T @ S.T + beta * H2.T @ U.T, none)
        sum(np.linalg.norm(M) ** 2 for M in (S - U @ U_.T / bits, S - V_ @ V.T / bits, U_ - V @ H1.T, V_ - U @ H2))
    for z, B in ((X, U), (Y, V)):
        plain_logistic(z, B, 500)


def mtfh(bits: int) -> tuple[Callable[[], object], Callable[[], object]]:
    from cmrbench_methods.supervised_hash.mtfh import MTFH

    train, rounds = pairs(WIKI), Rounds()
    return partial(ours, MTFH, train, bits, rounds), partial(plain_mtfh, train, bits, rounds)


# SMFH


def plain_smfh(train: Mapping[str, Any], bits: int) -> None:
    """One round: the Laplacians in full, and the Sylvester equation by decomposing them."""
    from scipy.linalg import solve_sylvester
    from scipy.spatial.distance import cdist

    X, Y, _ = views(train)
    L = next(iter(train.values())).labels.astype(np.float64)
    rng = np.random.default_rng(0)
    weights = L @ L.T
    for z in (X, Y):
        far = cdist(z, z)
        np.fill_diagonal(far, np.inf)
        near = np.zeros_like(far)
        np.put_along_axis(near, np.argsort(far, axis=1)[:, :5], 1.0, axis=1)
        weights += np.maximum(near, near.T)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    S = rng.random((bits, len(L)))
    P = [rng.random((bits, z.shape[1])) for z in (X, Y)]
    U = [np.linalg.solve(S @ S.T + 0.02 * np.eye(bits), S @ z).T for z in (X, Y)]
    A = sum(U_.T @ U_ for U_ in U) + 2 * 200.01 * np.eye(bits)
    C = sum((U_.T + 200 * P_) @ z.T for U_, P_, z in zip(U, P, (X, Y), strict=True))
    S = solve_sylvester(A, 2 * laplacian, C)
    for z in (X, Y):
        np.linalg.solve(z.T @ z + 1e-4 * np.eye(z.shape[1]), z.T @ S.T)


def smfh(bits: int) -> tuple[Callable[[], object], Callable[[], object]]:
    from cmrbench_methods.supervised_hash.smfh import SMFH

    train = pairs(WIKI)
    return partial(ours, partial(SMFH, iterations=1), train, bits), partial(plain_smfh, train, bits)


PEERS = (
    Peer("scm", "SCM, sequential, 64 bits, d = 500 + 1,000", partial(scm, 64, 4), 20.0, share=4 / 64),
    Peer("mtfh", "MTFH, 32 bits", partial(mtfh, 32), 5.0),
    Peer("smfh", "SMFH, one round, 32 bits", partial(smfh, 32), 5.0),
    Peer("seph", "SePH, random anchors, 32 bits", partial(seph, 32), 5.0),
)
"""All of n = 2,173 pairs; MTFH, SMFH and SePH in the widths of the classic Wikipedia features."""
