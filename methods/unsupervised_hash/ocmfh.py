"""OCMFH: collective matrix factorisation hashing of data that arrive in chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo, paired_rows
from cmrbench_methods.blocks.collective import CollectiveFactors, CollectiveWeights, JointGram
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, check_codes, check_variant, training_pairs
from cmrbench_methods.blocks.linear import positive_solver, sign_codes, solve_positive
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.blocks.online import check_chunk, chunk_rows

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class OCMFH(HashingMethod):
    """Online collective matrix factorisation hashing (Wang, Wang, An, Gao and Tian, SIGIR 2020), unsupervised.

    The objective of CMFH over all chunks that have come,

        sum_m lambda_m ||X_m - V U_m||^2 + mu ||V - X_m P_m||^2 + gamma (||U_m||^2 + ||P_m||^2 + ||V||^2),

    is lowered over U_m, P_m and the rows of V that belong to the new chunk. Of the chunks before, their factor V and
    the sums V'V, V'X_m and X_m'X_m are kept, never their features. The first chunk is factorised as in CMFH. After
    each chunk the old factor follows the new U = [lambda_1 U_1, lambda_2 U_2]: V <- V (U_old U_new') (U_new U_new' +
    gamma I)^-1, so that old codes go with new ones. Codes of the items that have come are sgn(V - mean of V), of others
    sgn((x - mean of x) P_m - mean of V); a chunk is centred by the means of all items so far, its own included.

    Follows the released code (main_OCMFH, mysolveOCMFH and mysolveCMFH of the authors), with these differences, which
    ``released`` undoes:

    - The code adds a chunk to the sums in every inner round: with 10 rounds it counts tenfold, and its factor of the
      first rounds stays in the sums. ``paper`` adds it once, with the factor of the last round.
    - The code's steps leave gamma out of U_m after the first chunk, and take gamma where the minimum of the objective
      is at gamma / lambda_m (U_m) and gamma / mu (P_m).
    - The code ends the first chunk when the weighted sum of *norms*, not squared, falls by less than `tolerance`, which
      no step minimises and which may rise.
    - The code does not centre queries.

    Parameters
    ----------
    variant : {"paper", "released"}
    lam : float
        Weight lambda_1 of the first modality; lambda_2 = 1 - lambda_1.
    mu : float
        Weight of predicting V from the features.
    gamma : float
        Weight of the norms.
    chunk : int
        Training items in a chunk of `fit`, in random order; the last one takes what is left over. 0: all at once.
    iterations : int
        Rounds for every chunk after the first.
    first_iterations : int
        Most rounds for the first chunk.
    tolerance : float
        Least decrease of the objective for another round on the first chunk.
    """

    info = MethodInfo(
        name="ocmfh",
        title="OCMFH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Online",
        venue="SIGIR20",
        citation=Citation(
            key="wang2020ocmfh",
            kind="inproceedings",
            author="Di Wang and Quan Wang and Yaqiang An and Xinbo Gao and Yumin Tian",
            title="Online collective matrix factorization hashing for large-scale cross-media retrieval",
            venue="Proceedings of the 43rd International ACM SIGIR Conference on Research and Development in "
            "Information Retrieval",
            year=2020,
            doi="10.1145/3397271.3401132",
        ),
    )

    EXPECTED_FAILURES: ClassVar[Mapping[str, str]] = {
        "chunks_keep_codes": "the method's old factor follows the new U after every chunk, so old codes change"
    }

    def __init__(
        self,
        variant: str = "paper",
        lam: float = 0.5,
        mu: float = 100.0,
        gamma: float = 0.001,
        chunk: int = 2000,
        iterations: int = 10,
        first_iterations: int = 100,
        tolerance: float = 0.01,
    ) -> None:
        self.variant = variant
        self.lam = lam
        self.mu = mu
        self.gamma = gamma
        self.chunk = chunk
        self.iterations = iterations
        self.first_iterations = first_iterations
        self.tolerance = tolerance

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn from chunks of the training items, one after another."""
        pairs = training_pairs(self, train, context)
        chunks = chunk_rows(len(pairs), self.chunk, context.rng("order"))
        self.state_: State | None = None
        for done, rows in enumerate(chunks, start=1):
            self.partial_fit({m: items.take(rows) for m, items in train.items()}, context)
            context.progress(done, len(chunks), "")
        check_codes(self.codes_[pairs.first], "ocmfh")
        place = np.argsort(np.concatenate(chunks))
        self.state_ = replace(self.state_, V=self.state_.V[place])
        self.codes_ = {m: codes[place] for m, codes in self.codes_.items()}
        return self

    def partial_fit(self, train: Mapping[str, Items], context: Context) -> Self:
        """Learn from one more chunk of training pairs; the factor of the chunks before follows.

        Raises
        ------
        MethodError
            For an empty chunk, or one with other modalities, widths or another code length than before; the state is
            then as it was.
        """
        check_variant("ocmfh", self.variant)
        state: State | None = getattr(self, "state_", None)
        check_chunk(self, train, self.dims_ if state else None)
        if state is None:
            pairs = training_pairs(self, train, context)
            self.dims_ = pairs.dims
            state = self._first(list(pairs.features.values()), pairs.bits, context)
        else:
            paired_rows(train, "ocmfh")
            if context.bits != state.V.shape[1]:
                raise MethodError(f"ocmfh learned {state.V.shape[1]} bits, and was given a chunk with {context.bits}")
            state = self._next([items.features for items in train.values()], state)
        self.state_ = state
        threshold = state.V.mean(axis=0)
        self.codes_ = dict.fromkeys(self.dims_, sign_codes(state.V - threshold))
        self.functions_ = {
            m: HashFunction(Scaled(mean if self.variant == "paper" else np.zeros(len(mean))), P, threshold)
            for m, mean, P in zip(self.dims_, state.means, state.P, strict=True)
        }
        return self

    @property
    def _weights(self) -> CollectiveWeights:
        """Those of the first chunk."""
        fit, tie = (self.lam, 1 - self.lam), (self.mu, self.mu)
        if self.variant == "paper":
            return CollectiveWeights(fit, tie, self.gamma)
        return CollectiveWeights(fit, tie, self.gamma, (self.gamma,) * 2, (self.gamma,) * 2)

    def _first(self, features: list[np.ndarray], bits: int, context: Context) -> State:
        """Factorise the first chunk."""
        designs = [Design(z, Scaled.fit(z)) for z in features]
        factors = CollectiveFactors(JointGram(*designs), self._weights, bits, context.rng("ocmfh"))
        last = decrease = np.inf
        for _ in range(self.first_iterations):
            factors.update_U()
            factors.update_V()
            factors.update_P()
            value = factors.objective() if self.variant == "paper" else self._norms(factors)
            last, decrease = value, last - value
            if decrease < self.tolerance:
                break
        else:
            context.logger.warning(
                "ocmfh: round %d, the last on the first chunk, lowered the objective %.6g by %.3g",
                self.first_iterations,
                last,
                decrease,
            )
        V = factors.factor(factors.A)
        start = self.gamma if self.variant == "released" else 0.0
        sums = [Sums(XV=X.cross(V), VX=X.cross(V).T, XX=X.gram + start * np.eye(X.shape[1])) for X in designs]
        means = [np.asarray(X.map.mean) for X in designs]
        return State(len(V), means, factors.dictionaries(), factors.predictors(), V, V.T @ V, sums)

    def _norms(self, factors: CollectiveFactors) -> float:
        """The sum of norms by which the released code ends the first chunk."""
        w, terms = factors.weights, factors.terms()
        fitted = sum(a * np.sqrt(t.fit) + b * np.sqrt(t.tie) for a, b, t in zip(w.fit, w.tie, terms, strict=True))
        return float(fitted + w.gamma * (sum(np.sqrt(t.U) + np.sqrt(t.P) for t in terms) + np.sqrt(terms[0].V)))

    def _next(self, features: list[np.ndarray], state: State) -> State:
        """Take a later chunk in."""
        n = state.count + len(features[0])
        means = [
            (state.count * mean + z.sum(axis=0, dtype=np.float64)) / n
            for mean, z in zip(state.means, features, strict=True)
        ]
        X = [z - mean for z, mean in zip(features, means, strict=True)]
        learn = self._rounds if self.variant == "paper" else self._rounds_released
        U, P, V, VV, sums = learn(X, state)
        new, old = (np.hstack([w * u for w, u in zip(self._weights.fit, us, strict=True)]) for us in (U, state.U))
        follow = solve_positive(new @ new.T, new @ old.T, self.gamma)
        return State(n, means, U, P, np.vstack([state.V @ follow.T, V]), VV, sums)

    def _rounds(self, X: list[np.ndarray], state: State) -> Learned:
        """U_m, V and P_m in turn at the minimum of the objective; then the chunk is added to the sums."""
        w, U, P = self._weights, state.U, state.P
        XX = [s.XX + x.T @ x for s, x in zip(state.sums, X, strict=True)]
        predict = [positive_solver(xx, penalty) for xx, penalty in zip(XX, w.penalties_p, strict=True)]
        V = self._factor(X, U, P)
        XV = [s.XV + x.T @ V for s, x in zip(state.sums, X, strict=True)]
        for _ in range(self.iterations):
            VV = state.VV + V.T @ V
            U = [solve_positive(VV, xv.T, penalty) for xv, penalty in zip(XV, w.penalties_u, strict=True)]
            V = self._factor(X, U, P)
            XV = [s.XV + x.T @ V for s, x in zip(state.sums, X, strict=True)]
            P = [solve(xv) for solve, xv in zip(predict, XV, strict=True)]
        sums = [Sums(XV=xv, VX=xv.T, XX=xx) for xv, xx in zip(XV, XX, strict=True)]
        return U, P, V, state.VV + V.T @ V, sums

    def _rounds_released(self, X: list[np.ndarray], state: State) -> Learned:
        """The rounds of the released code, each of which adds the chunk to the sums."""
        U, P, VV, sums = state.U, state.P, state.VV, state.sums
        grams = [x.T @ x for x in X]
        V = self._factor(X, U, P)
        for _ in range(self.iterations):
            VV = VV + V.T @ V
            sums = [replace(s, VX=s.VX + V.T @ x) for s, x in zip(sums, X, strict=True)]
            U = [solve_positive(VV, s.VX) for s in sums]
            V = self._factor(X, U, P)
            sums = [replace(s, XV=s.XV + x.T @ V, XX=s.XX + gram) for s, x, gram in zip(sums, X, grams, strict=True)]
            P = [solve_positive(s.XX, s.XV) for s in sums]
        return U, P, V, VV, sums

    def _factor(self, X: list[np.ndarray], U: list[np.ndarray], P: list[np.ndarray]) -> np.ndarray:
        """The best V (n, K) of a chunk for U_m and P_m as they are."""
        w = self._weights
        left = sum(a * u @ u.T for a, u in zip(w.fit, U, strict=True))
        right = sum(x @ (a * u.T + b * p) for x, a, b, u, p in zip(X, w.fit, w.tie, U, P, strict=True))
        return solve_positive(np.asarray(left), np.asarray(right).T, sum(w.tie) + w.gamma).T


@dataclass(frozen=True, eq=False)
class Sums:
    """What is kept of one modality of the chunks before: X'V (d, K), V'X (K, d) and X'X (d, d).

    V'X is the transpose of X'V, except in the released code, where they take different rounds' V.
    """

    XV: np.ndarray
    VX: np.ndarray
    XX: np.ndarray


@dataclass(frozen=True, eq=False)
class State:
    """All that is kept between chunks.

    Attributes
    ----------
    count : int
        Items so far.
    means : list of ndarray
        Feature means of all of them, by modality.
    U, P : list of ndarray
        U_m (K, d_m) and P_m (d_m, K), by modality.
    V : ndarray
        Factor of all items so far, (count, K).
    VV : ndarray
        V'V (K, K), as it was when each chunk came.
    sums : list of Sums
        By modality.
    """

    count: int
    means: list[np.ndarray]
    U: list[np.ndarray]
    P: list[np.ndarray]
    V: np.ndarray
    VV: np.ndarray
    sums: list[Sums]


Learned = tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray, list[Sums]]
"""U_m, P_m, V of a chunk, V'V and the sums with the chunk."""
