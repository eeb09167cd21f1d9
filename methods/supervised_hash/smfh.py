"""SMFH: collective matrix factorisation, smoothed over a graph of neighbours and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, shared_designs, training_pairs
from cmrbench_methods.blocks.labels import similar
from cmrbench_methods.blocks.linear import sign_codes, solve_positive
from cmrbench_methods.blocks.neighbours import neighbour_graph

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from typing_extensions import Self

    from cmrbench.core.items import Items

TOLERANCE, STEPS = 1e-8, 1000
"""Residual of a solved column, relative to its right side, and the most steps that conjugate gradients take to it."""


class SMFH(HashingMethod):
    """Supervised matrix factorisation hashing (Tang, Wang and Shao, TIP 2016).

    Latent features S (K, n) of the training pairs reconstruct both modalities, are reached by linear maps from both,
    and vary little over a graph. With the centred features X1, X2 (d_v, n) of items as columns,

        sum_v alpha_v ||X_v - U_v S||^2 + beta ||S - P_v X_v||^2  +  gamma tr(S L S')
            + lambda (||U_1||^2 + ||U_2||^2 + ||P_1||^2 + ||P_2||^2 + ||S||^2),

    alpha_1 = alpha, alpha_2 = 1 - alpha, is minimised over U_v, S and P_v in turn, each in closed form. The Laplacian
    L is the sum of three: the 5 nearest neighbours in either modality, and the number of labels in common. Codes are
    sgn(P_v x - mean of S), learned ones sgn(S - mean of S).

    The step for S is the equation A S + S M = C with A = 2 (alpha_v U_v'U_v summed + (2 beta + lambda) I) and
    M = 2 gamma L. The code solves it with a dense M (n, n). Here A = E diag(a) E' turns it into K systems
    (a_k I + M) s = c, all solved at once by conjugate gradients: M is a sparse matrix, a diagonal, and the labels'
    product of low rank, so nothing is n x n.

    Follows the code that the authors gave to a toolbox (BMC-SDNU/Cross-Modal-Hashing-Retrieval, SMFH), with these
    differences:

    - The code takes the first of an item's 6 nearest to be the item itself, and leaves out edges of length zero. Here
      an item is never its own neighbour, and duplicates are neighbours.
    - It has no limit on the iterations. 300 are enough on small data, where 50 are not.
    - Zero counts as +1 in a code; in the code as -1.

    Parameters
    ----------
    alpha : float
        Weight of reconstructing the first modality, between 0 and 1.
    beta : float
        Weight of the linear maps.
    gamma : float
        Weight of the graph.
    regularisation : float
        lambda.
    neighbours : int
        Nearest neighbours in each modality's graph.
    iterations : int
        Most rounds over U_v, S and P_v. They end as soon as the objective falls by less than 1.
    """

    info = MethodInfo(
        name="smfh",
        title="SMFH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="TIP16",
        citation=Citation(
            key="tang2016smfh",
            kind="article",
            author="Jun Tang and Ke Wang and Ling Shao",
            title="Supervised matrix factorization hashing for cross-modal retrieval",
            venue="IEEE Transactions on Image Processing",
            year=2016,
            pages="3157-3166",
            note="Volume 25(7)",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
    )

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 100.0,
        gamma: float = 1.0,
        regularisation: float = 0.01,
        neighbours: int = 5,
        iterations: int = 300,
    ) -> None:
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.regularisation = regularisation
        self.neighbours = neighbours
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over U_v, S and P_v."""
        if not 0 < self.alpha < 1 or self.beta <= 0 or self.gamma < 0 or self.regularisation <= 0:
            raise MethodError(
                "smfh: alpha must lie between 0 and 1, beta and regularisation above 0, gamma not below 0; they are "
                f"{self.alpha:g}, {self.beta:g}, {self.regularisation:g}, {self.gamma:g}"
            )
        if self.neighbours < 1:
            raise MethodError(f"smfh: an item needs at least 1 neighbour, not {self.neighbours}")
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context)
        edges = context.shared(
            "edges", lambda: sum(neighbour_graph(z, self.neighbours) for z in pairs.features.values())
        )
        weights = Weights((self.alpha, 1 - self.alpha), self.beta, self.gamma, self.regularisation)
        problem = Problem(tuple(designs.values()), Graph(edges, pairs.L), weights)
        state = self._learn(problem, pairs.bits, context)
        mean = state.S.mean(axis=0)
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(state.S - mean))
        self.functions_ = {m: HashFunction(designs[m].map, P, mean) for m, P in zip(pairs.names, state.P, strict=True)}
        return self

    def _learn(self, problem: Problem, bits: int, context: Context) -> State:
        state = problem.start(bits, context.rng("smfh"))
        last = np.inf
        for iteration in range(self.iterations):
            state = problem.with_U(state)
            state, steps = problem.with_S(state)
            if steps == STEPS:
                context.logger.warning("smfh: a linear system was not solved to %g in %d steps", TOLERANCE, STEPS)
            state = problem.with_P(state)
            value = problem.objective(state)
            context.progress(iteration + 1, self.iterations, f"objective {value:.6g}, {steps} steps")
            if last - value < 1:
                return state
            last = value
        context.logger.warning("smfh: the objective still fell by more than 1 after %d iterations", self.iterations)
        return state


@dataclass(frozen=True)
class Weights:
    """Weights of the objective: alpha_v by modality, beta, gamma, and lambda as `penalty`."""

    alpha: tuple[float, float]
    beta: float
    gamma: float
    penalty: float


@dataclass(frozen=True, eq=False)
class State:
    """The unknowns with items as rows: S (n, K), and by modality U_v (d_v, K), P_v (d_v, K) and X_v'S (d_v, K)."""

    S: np.ndarray
    U: tuple[np.ndarray, ...]
    P: tuple[np.ndarray, ...]
    cross: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """The Laplacian of a sparse graph (n, n) plus that of the labels in common, LL' for label rows L (n, C)."""

    edges: csr_matrix
    labels: np.ndarray

    @cached_property
    def degrees(self) -> np.ndarray:
        """Weight of all edges of an item, itself included: (n,)."""
        return np.asarray(self.edges.sum(axis=1)).ravel() + self.labels @ self.labels.sum(axis=0)

    @cached_property
    def diagonal(self) -> np.ndarray:
        """The Laplacian's diagonal, (n,)."""
        return self.degrees - self.edges.diagonal() - (self.labels**2).sum(axis=1)

    def laplacian(self, S: np.ndarray) -> np.ndarray:
        """The Laplacian times S (n, K)."""
        return np.asarray(self.degrees[:, None] * S - self.edges @ S - similar(self.labels, S))


@dataclass(frozen=True, eq=False)
class Problem:
    """The objective and its exact partial minimisers, for two designs, a graph and weights."""

    designs: tuple[Design, ...]
    graph: Graph
    weights: Weights

    def start(self, bits: int, rng: np.random.Generator) -> State:
        """Uniform random S and P_v; U_v follows from them."""
        S = rng.random((len(self.graph.labels), bits))
        P = tuple(rng.random((phi.shape[1], bits)) for phi in self.designs)
        return State(S, (), P, tuple(phi.cross(S) for phi in self.designs))

    def with_U(self, s: State) -> State:  # noqa: N802
        """`s` with the best U_v for its S."""
        w, square = self.weights, s.S.T @ s.S
        U = (solve_positive(square, C.T, w.penalty / a).T for a, C in zip(w.alpha, s.cross, strict=True))
        return State(s.S, tuple(U), s.P, s.cross)

    def with_S(self, s: State) -> tuple[State, int]:  # noqa: N802
        """`s` with the best S for its U_v and P_v, and the steps of conjugate gradients that this took."""
        from scipy.linalg import eigh

        w = self.weights
        A = 2 * (2 * w.beta + w.penalty) * np.eye(s.S.shape[1])
        C = np.zeros_like(s.S)
        for alpha, phi, U, P in zip(w.alpha, self.designs, s.U, s.P, strict=True):
            A += 2 * alpha * (U.T @ U)
            C += phi.dot(2 * (alpha * U + w.beta * P))
        values, E = eigh(A)
        T, steps = shifted_solve(self.graph, 2 * w.gamma, values, C @ E, s.S @ E)
        S = T @ E.T
        return State(S, s.U, s.P, tuple(phi.cross(S) for phi in self.designs)), steps

    def with_P(self, s: State) -> State:  # noqa: N802
        """`s` with the best P_v for its S."""
        penalty = self.weights.penalty / self.weights.beta
        P = (phi.solve(C, penalty) for phi, C in zip(self.designs, s.cross, strict=True))
        return State(s.S, s.U, tuple(P), s.cross)

    def objective(self, s: State) -> float:
        """The objective as the class states it."""
        w, square = self.weights, s.S.T @ s.S
        size = np.trace(square)
        value = w.gamma * (s.S * self.graph.laplacian(s.S)).sum() + w.penalty * size
        for alpha, phi, U, P, C in zip(w.alpha, self.designs, s.U, s.P, s.cross, strict=True):
            value += alpha * (phi.square_sum - 2 * (U * C).sum() + ((U.T @ U) * square).sum())
            value += w.beta * (size - 2 * (P * C).sum() + (P * (phi.gram @ P)).sum())
            value += w.penalty * ((U * U).sum() + (P * P).sum())
        return float(value)


def shifted_solve(
    graph: Graph, weight: float, shifts: np.ndarray, C: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, int]:
    """Columns t_k (n,) with ``(a_k I + weight * Laplacian) t_k = c_k``, for shifts a_k > 0; and the steps it took.

    Conjugate gradients for all columns at once, from `start`, with the diagonals as preconditioners.
    """

    def operator(T: np.ndarray) -> np.ndarray:
        return T * shifts + weight * graph.laplacian(T)

    def inner(R: np.ndarray, Z: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nk->k", R, Z)

    def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

    inverse = 1 / (shifts + weight * graph.diagonal[:, None])
    wanted = TOLERANCE**2 * inner(C, C)
    T = np.where(wanted > 0, start, 0.0)  # no residual is small beside a right side of zeros
    R = C - operator(T)
    D = Z = inverse * R
    energy = inner(R, Z)
    for step in range(STEPS):
        if (inner(R, R) <= wanted).all():
            return T, step
        MD = operator(D)
        length = ratio(energy, inner(D, MD))
        T, R = T + length * D, R - length * MD
        Z = inverse * R
        energy, before = inner(R, Z), energy
        D = Z + ratio(energy, before) * D
    return T, STEPS
