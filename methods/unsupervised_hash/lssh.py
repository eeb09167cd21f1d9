"""LSSH: sparse codes of pictures and latent factors of texts, tied by a linear map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, TrainingPairs, training_pairs
from cmrbench_methods.blocks.linear import product, row_blocks, sign_codes, unit_rows
from cmrbench_methods.blocks.maps import Scaled
from cmrbench_methods.blocks.sparse import Dictionary, bounded_dictionary, lasso_codes

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class LSSH(HashingMethod):
    """Latent semantic sparse hashing (Zhou, Ding and Guo, SIGIR 2014).

    Pictures X (the first modality) get sparse codes S over a dictionary D, texts T (the second) latent factors H, and
    a linear map R ties them:

        min ||X - S D||^2 + rho ||S||_1 + mu ||T - H A||^2 + lambda ||H - S R||^2,  atoms of D, A, R no longer than 1.

    Every round solves for H in closed form, A by the Lagrange dual, S by 30 accelerated proximal steps, D and R by the
    dual. Codes are signs: of S R for a picture, of T A'(A A' + r I)^-1 with r = lambda / mu for a text, and of
    (T A' + r S R)(A A' + r I)^-1 for a training pair, where S is coded anew from the picture alone.

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, LSSH): features are centred, pictures reduced to
    as many principal directions as bits, both scaled to unit length; the weight of ||s||_1 in the lasso is rho times
    the least weight that makes the item's code zero, so it changes with the dictionaries and the objective above need
    not fall from round to round. Differences:

    - The code solves one lasso after another and the dual by a general constrained optimiser from a random start; here
      all lassos of a block take their steps together, and the dual is solved by a projected Newton method from the
      last round's multipliers. It is convex, so its start does not matter to a solver that arrives; the reference
      numbers agree with one that does not arrive (docs/methods/lssh.md has both).
    - The code needs as many picture features as bits; here pictures keep the directions that there are, and the codes
      have as many bits as asked for.
    - Zero counts as +1 in a code; the code's ``> 0`` makes it -1.

    Parameters
    ----------
    mu : float
        Weight of the texts' factorisation.
    rho : float
        Weight of sparsity, relative, in (0, 1).
    lambda_ : float
        Weight of the tie between H and S.
    atoms : int
        Size of the dictionary D.
    iterations : int
        Rounds.
    steps : int
        Proximal steps of every lasso.
    samples : int
        Training pairs of which the dictionaries are learned: a random sample where there are more.
    """

    info = MethodInfo(
        name="lssh",
        title="LSSH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="SIGIR14",
        citation=Citation(
            key="zhou2014lssh",
            kind="inproceedings",
            author="Jile Zhou and Guiguang Ding and Yuchen Guo",
            title="Latent semantic sparse hashing for cross-modal similarity search",
            venue="Proceedings of the 37th International ACM SIGIR Conference on Research and Development in "
            "Information Retrieval",
            year=2014,
            doi="10.1145/2600428.2609610",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"check": {"atoms": 64, "iterations": 5}}

    def __init__(
        self,
        mu: float = 0.05,
        rho: float = 0.5,
        lambda_: float = 0.2,
        atoms: int = 512,
        iterations: int = 20,
        steps: int = 30,
        samples: int = 10_000,
    ) -> None:
        self.mu = mu
        self.rho = rho
        self.lambda_ = lambda_
        self.atoms = atoms
        self.iterations = iterations
        self.steps = steps
        self.samples = samples

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn the dictionaries of a sample, then code all training pairs by the unified rule."""
        if not (self.mu > 0 and self.lambda_ > 0 and 0 < self.rho < 1):
            raise MethodError(
                "lssh: mu and lambda_ must be positive and rho between 0 and 1, "
                f"they are {self.mu:g}, {self.lambda_:g} and {self.rho:g}"
            )
        pairs = training_pairs(self, train, context)
        rows = context.shared("sample", lambda: sample(len(pairs), self.samples, context))
        centred = context.shared("mean", lambda: Scaled.fit(pairs.X))
        P = context.shared("directions", lambda: principal_directions(centred(pairs.X[rows]), pairs.first))
        pictures = Reduced(centred, P[:, : pairs.bits])
        texts = context.shared("texts", lambda: Scaled.fit(pairs.Y, unit="last"))
        learned = self._learn(pictures(pairs.X[rows]), texts(pairs.Y[rows]), pairs.bits, context)

        coder = SparseCoder(pictures, learned.D, self.rho, self.steps)
        self.dims_ = pairs.dims
        self.functions_ = {
            pairs.first: HashFunction(coder, learned.R),
            pairs.second: HashFunction(texts, learned.solve(learned.A).T),
        }
        self.codes_ = dict.fromkeys(pairs.names, unified_codes(pairs, coder, texts, learned))
        return self

    def _learn(self, X: np.ndarray, T: np.ndarray, bits: int, context: Context) -> Factors:
        rng = context.rng("dictionaries")
        A = rng.standard_normal((bits, T.shape[1]))
        D = rng.standard_normal((self.atoms, X.shape[1]))
        R = rng.standard_normal((self.atoms, bits))
        duals: dict[str, np.ndarray] = {}
        unfinished = 0

        def refit(name: str, codes: np.ndarray, gram: np.ndarray, target: np.ndarray) -> np.ndarray:
            nonlocal unfinished
            found: Dictionary = bounded_dictionary(gram, codes.T @ target, duals.get(name))
            duals[name], unfinished = found.dual, unfinished + (not found.converged)
            return found.atoms

        tie = np.sqrt(self.lambda_)
        S = lasso_codes(D, X, self.rho, self.steps)
        for iteration in range(self.iterations):
            H = Factors(A, D, R, self.lambda_ / self.mu).latent(T, S)
            A = refit("A", H, H.T @ H, T)
            S = lasso_codes(np.hstack([D, tie * R]), np.hstack([X, tie * H]), self.rho, self.steps)
            gram = S.T @ S
            D = refit("D", S, gram, X)
            R = refit("R", S, gram, H)
            context.progress(iteration + 1, self.iterations, "")
        if unfinished:
            context.logger.warning(
                "lssh: %d of %d dictionary steps ended before they converged", unfinished, 3 * self.iterations
            )
        return Factors(A, D, R, self.lambda_ / self.mu)


@dataclass(frozen=True, eq=False)
class Factors:
    """Dictionaries A (bits, dy), D (atoms, dx) and map R (atoms, bits); ratio r = lambda / mu."""

    A: np.ndarray
    D: np.ndarray
    R: np.ndarray
    ratio: float

    def solve(self, right: np.ndarray) -> np.ndarray:
        """``(A A' + r I)^-1 right`` for right (bits, k)."""
        from scipy.linalg import solve

        system = self.A @ self.A.T
        system[np.diag_indices_from(system)] += self.ratio
        return np.asarray(solve(system, right, assume_a="pos"))

    def latent(self, T: np.ndarray, S: np.ndarray) -> np.ndarray:
        """The H (n, bits) that minimises ``||T - H A||^2 + r ||H - S R||^2``."""
        return self.solve((T @ self.A.T + self.ratio * (S @ self.R)).T).T


@dataclass(frozen=True, eq=False)
class Reduced:
    """Centred rows in the coordinates of some directions P (d, k), scaled to unit length."""

    centred: Scaled
    P: np.ndarray

    @property
    def width(self) -> int:
        """Columns: one for each direction."""
        return self.P.shape[1]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Reduced rows: float64, (n, k)."""
        return unit_rows(product(self.centred(features), self.P))


@dataclass(frozen=True, eq=False)
class SparseCoder:
    """Sparse codes of reduced features over a dictionary D (atoms, k)."""

    reduced: Reduced
    D: np.ndarray
    rho: float
    steps: int

    @property
    def width(self) -> int:
        """Columns: one for each atom."""
        return len(self.D)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Sparse codes: float64, (n, atoms)."""
        return lasso_codes(self.D, self.reduced(features), self.rho, self.steps)


def sample(n: int, most: int, context: Context) -> slice | np.ndarray:
    """Rows of at most `most` of n items, in order."""
    if n <= most:
        return slice(None)
    return np.sort(context.rng("sample").choice(n, most, replace=False))


def principal_directions(Z: np.ndarray, modality: str) -> np.ndarray:
    """Eigenvectors (d, rank) of the covariance of features Z (n, d), largest variance first, without those of none."""
    from scipy.linalg import eigh

    Z = Z - Z.mean(axis=0)
    variances, vectors = eigh(Z.T @ Z)
    kept = variances > max(variances[-1], 0.0) * len(variances) * np.finfo(np.float64).eps
    if not kept.any():
        raise MethodError(f"lssh: the {modality} features of all training items are the same")
    return np.asarray(vectors[:, kept][:, ::-1])


def unified_codes(pairs: TrainingPairs, coder: SparseCoder, texts: Scaled, learned: Factors) -> np.ndarray:
    """Codes of training pairs from both modalities: int8, (n, bits)."""
    codes = np.empty((len(pairs), pairs.bits), dtype=np.int8)
    for rows in row_blocks(len(pairs), 2048):
        codes[rows] = sign_codes(learned.latent(texts(pairs.Y[rows]), coder(pairs.X[rows])))
    return codes
