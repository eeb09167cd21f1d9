"""MTFH: a code of its own, perhaps of its own length, for each modality, and linear maps between the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.discrete import coordinate_descent
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    check_labels,
    check_length,
    check_variant,
    check_varied,
)
from cmrbench_methods.blocks.labels import labels_of
from cmrbench_methods.blocks.linear import product, ridge, sign_codes, signs
from cmrbench_methods.blocks.logistic import LogisticDesign

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items

SWEEPS, ROUNDS = 10, 3
"""Passes over the bits in one descent, and how often the released code repeats it before it takes a vote."""

RIDGE = 0.1
"""Ridge of H1 and H2."""


class MTFH(HashingMethod):
    """Matrix tri-factorisation hashing (Liu, Hu, Ling and Cheung, TPAMI 2021).

    Each modality has codes of its own, U (n1, q1) and V (n2, q2), and auxiliary codes of its items in the other's
    length, V_ (n1, q2) and U_ (n2, q1). With the label overlap S = L1 L2' they minimise

        alpha ||S - U U_'/q1||^2 + (1 - alpha) ||S - V_ V'/q2||^2 + beta (||U_ - V H1'||^2 + ||V_ - U H2||^2)

    over codes in {-1, +1} and real maps H1, H2 (q1, q2), the latter with a ridge of 0.1 inside the bracket. Then
    kernel logistic regression predicts U from images and V from texts. A query is translated before it is compared:
    u becomes sgn(u H2), compared with codes like V; v becomes sgn(v H1'), compared with codes like U. Gallery items
    keep their own modality's code: the learned one or, by the hash function, the predicted one. The two modalities
    need not be paired or equally many: only labels connect them.

    Follows the released code (starxliu/MTFH), with these differences:

    - S is never formed: all of it enters through products with L1 and L2, the objective through traces.
    - Zero counts as +1 in a code, and a bit whose argument is zero stays as it is.
    - Both modalities use the same random training items as anchors there; here each draws its own, since they need
      not correspond.

    ``variant="released"`` keeps two slips: a sweep visits only a random prefix of the bits (``1:randperm(q)`` takes
    the permutation's first entry), and the update of V couples its bits by H2'H2 where its objective has H1'H1. Each
    update there is repeated three times, and the three results vote. ``variant="paper"`` descends over all bits in
    random order until none changes, with H1'H1, so that the objective never increases; a vote would undo steps.

    Parameters
    ----------
    second_bits : int
        Code length q2 of the second modality; 0: as many as the first.
    alpha : float
        Weight of the first factorisation of S against the second.
    beta : float
        Weight of the maps between the codes.
    anchors : int
        Random anchors of each modality's kernel; never more than it has training items.
    penalty : float
        Weight of w'K0 w in the kernel logistic regression.
    iterations : int
        Most rounds over H1, H2, U, U_, V, V_. They end as soon as the objective falls by less than 1.
    variant : {"paper", "released"}
    """

    info = MethodInfo(
        name="mtfh",
        title="MTFH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="TPAMI19",
        citation=Citation(
            key="liu2021mtfh",
            kind="article",
            author="Xin Liu and Zhikai Hu and Haibin Ling and Yiu-ming Cheung",
            title="MTFH: A matrix tri-factorization hashing framework for efficient cross-modal retrieval",
            venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
            year=2021,
            note="Volume 43(3); online 2019",
        ),
        url="https://github.com/starxliu/MTFH",
        pairs=False,
    )

    def __init__(
        self,
        second_bits: int = 0,
        alpha: float = 0.5,
        beta: float = 0.1,
        anchors: int = 500,
        penalty: float = 0.01,
        iterations: int = 100,
        variant: str = "paper",
    ) -> None:
        self.second_bits = second_bits
        self.alpha = alpha
        self.beta = beta
        self.anchors = anchors
        self.penalty = penalty
        self.iterations = iterations
        self.variant = variant

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over H1, H2 and the four code matrices; then learn each modality's hash functions."""
        check_variant("mtfh", self.variant)
        L1, L2, lengths = checked(train, self.second_bits, context)
        self.first_, self.second_ = train
        codes = self._learn(Problem(L1, L2, self.alpha, self.beta, self.variant == "released"), lengths, context)
        self.H1_, self.H2_ = codes.H1, codes.H2
        self.codes_ = {self.first_: sign_codes(codes.U), self.second_: sign_codes(codes.V)}
        for modality, learned in self.codes_.items():
            if (learned == learned[0]).all():
                raise MethodError(f"mtfh learned one code for all {modality} items; their labels tell nothing apart")
        self.dims_ = {m: items.features.shape[1] for m, items in train.items()}
        self.functions_ = {m: self._hash_function(m, items.features, context) for m, items in train.items()}
        return self

    def _learn(self, problem: Problem, lengths: tuple[int, int], context: Context) -> Codes:
        rng = context.rng("mtfh")
        descend = descend_by_vote if problem.released else descend_in_random_order
        codes = random_codes(problem.sizes, lengths, rng)
        last = np.inf
        for iteration in range(self.iterations):
            codes = problem.with_maps(codes)
            codes = replace(codes, U=descend(codes.U, *problem.terms_U(codes), rng))
            codes = replace(codes, U_=descend(codes.U_, *problem.terms_U_(codes), rng))
            codes = replace(codes, V=descend(codes.V, *problem.terms_V(codes), rng))
            codes = replace(codes, V_=descend(codes.V_, *problem.terms_V_(codes), rng))
            value = problem.objective(codes)
            context.progress(iteration + 1, self.iterations, f"objective {value:.6g}")
            if last - value < 1:
                return codes
            last = value
        context.logger.warning("mtfh: the objective still fell by more than 1 after %d iterations", self.iterations)
        return codes

    def _hash_function(self, modality: str, features: np.ndarray, context: Context) -> HashFunction:
        design = context.shared(
            ("kernel", modality), lambda: LogisticDesign.fit(features, context.rng("anchors", modality), self.anchors)
        )
        return design.hash_function(self.codes_[modality], self.penalty, context)

    def code_length(self, modality: str, bits: int) -> int:
        """`second_bits` for the second modality, if there are any; else `bits`."""
        self.check_fitted("codes_")
        return self.second_bits or bits if modality == self.second_ else bits

    def translate(self, codes: np.ndarray, modality: str, target: str) -> np.ndarray:
        """sgn(u H2) for codes of the first modality, sgn(v H1') of the second: int8, (n, bits of `target`)."""
        self.check_fitted("codes_")
        if modality == target:
            return codes
        H = self.H2_ if modality == self.first_ else self.H1_.T
        return sign_codes(product(codes.astype(np.float64), H))


@dataclass(frozen=True, eq=False)
class Codes:
    """The unknowns: U (n1, q1), U_ (n2, q1), V (n2, q2), V_ (n1, q2) in {-1, +1}; H1, H2 (q1, q2)."""

    U: np.ndarray
    U_: np.ndarray
    V: np.ndarray
    V_: np.ndarray
    H1: np.ndarray
    H2: np.ndarray


@dataclass(frozen=True, eq=False)
class Problem:
    """The objective and its exact partial minimisers, for labels L1 (n1, C) and L2 (n2, C) with S = L1 L2'.

    `terms_U` and its like give Q and G of the form ``tr(B G B') - 2 tr(B Q')`` that the objective has in one code
    matrix B, up to a constant (see `coordinate_descent`).
    """

    L1: np.ndarray
    L2: np.ndarray
    alpha: float
    beta: float
    released: bool = False

    @property
    def sizes(self) -> tuple[int, int]:
        """Items of either modality."""
        return len(self.L1), len(self.L2)

    def with_maps(self, c: Codes) -> Codes:
        """`c` with the H1 and H2 that are best for its codes."""
        return replace(c, H1=ridge(c.V, c.U_, RIDGE).T, H2=ridge(c.U, c.V_, RIDGE))

    def terms_U(self, c: Codes) -> tuple[np.ndarray, np.ndarray]:  # noqa: N802
        """Q (n1, q1) and G (q1, q1)."""
        w, q = self.alpha, c.U.shape[1]
        Q = w / q * (self.L1 @ (self.L2.T @ c.U_)) + self.beta * (c.V_ @ c.H2.T)
        return Q, w / q**2 * (c.U_.T @ c.U_) + self.beta * (c.H2 @ c.H2.T)

    def terms_U_(self, c: Codes) -> tuple[np.ndarray, np.ndarray]:  # noqa: N802
        """Q (n2, q1) and G (q1, q1)."""
        w, q = self.alpha, c.U.shape[1]
        Q = w / q * (self.L2 @ (self.L1.T @ c.U)) + self.beta * (c.V @ c.H1.T)
        return Q, w / q**2 * (c.U.T @ c.U)

    def terms_V(self, c: Codes) -> tuple[np.ndarray, np.ndarray]:  # noqa: N802
        """Q (n2, q2) and G (q2, q2)."""
        w, q = 1 - self.alpha, c.V.shape[1]
        Q = w / q * (self.L2 @ (self.L1.T @ c.V_)) + self.beta * (c.U_ @ c.H1)
        H = c.H2 if self.released else c.H1
        return Q, w / q**2 * (c.V_.T @ c.V_) + self.beta * (H.T @ H)

    def terms_V_(self, c: Codes) -> tuple[np.ndarray, np.ndarray]:  # noqa: N802
        """Q (n1, q2) and G (q2, q2)."""
        w, q = 1 - self.alpha, c.V.shape[1]
        Q = w / q * (self.L1 @ (self.L2.T @ c.V)) + self.beta * (c.U @ c.H2)
        return Q, w / q**2 * (c.V.T @ c.V)

    def objective(self, c: Codes) -> float:
        """The objective as the class states it, without the ridge of H1 and H2."""
        maps = ((c.U_ - c.V @ c.H1.T) ** 2).sum() + ((c.V_ - c.U @ c.H2) ** 2).sum()
        first, second = self._fit(c.U, c.U_), self._fit(c.V_, c.V)
        return float(self.alpha * first + (1 - self.alpha) * second + self.beta * maps)

    def _fit(self, A: np.ndarray, B: np.ndarray) -> float:
        """||S - A B'/q||^2 from products of narrow matrices."""
        q = A.shape[1]
        overlap = ((self.L1.T @ A) * (self.L2.T @ B)).sum()
        return float(self._square_sum - 2 / q * overlap + ((A.T @ A) * (B.T @ B)).sum() / q**2)

    @cached_property
    def _square_sum(self) -> float:
        return float(((self.L1.T @ self.L1) * (self.L2.T @ self.L2)).sum())


def random_codes(sizes: tuple[int, int], lengths: tuple[int, int], rng: np.random.Generator) -> Codes:
    """The start: random codes; the maps follow from them."""
    (n1, n2), (q1, q2) = sizes, lengths
    U, U_, V, V_ = (signs(rng.standard_normal(shape)) for shape in ((n1, q1), (n2, q1), (n2, q2), (n1, q2)))
    return Codes(U, U_, V, V_, np.zeros((q1, q2)), np.zeros((q1, q2)))


def descend_in_random_order(B: np.ndarray, Q: np.ndarray, G: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coordinate descent over all bits, in a new order every sweep, until none changes."""
    return coordinate_descent(B, Q, G, ROUNDS * SWEEPS, lambda: rng.permutation(len(G)))


def descend_by_vote(B: np.ndarray, Q: np.ndarray, G: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The released code's descent: three times up to ten sweeps over random prefixes of the bits, then a vote."""
    votes = np.zeros_like(B)
    for _ in range(ROUNDS):
        B = coordinate_descent(B, Q, G, SWEEPS, lambda: range(rng.integers(1, len(G) + 1)))
        votes += B
    return signs(votes)


def checked(
    train: Mapping[str, Items], second_bits: int, context: Context
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """L1 and L2 in float64 and both code lengths, after the checks that `training_pairs` makes of pairs."""
    if not context.bits:
        raise MethodError("mtfh needs a code length: choose bits")
    if second_bits < 0:
        raise MethodError(f"mtfh: second_bits is a code length, or 0 for the same as the first, not {second_bits}")
    lengths = context.bits, second_bits or context.bits
    for items, bits in zip(train.values(), lengths, strict=True):
        if len(items) < 2:
            raise MethodError(
                f"mtfh needs at least 2 training items of each modality, {items.modality} has {len(items)}"
            )
        check_length(bits, len(items), "mtfh", context)
        check_labels(labels_of(items, "mtfh"), "mtfh", context)
    check_varied(train, "mtfh", context)
    L1, L2 = (labels_of(items, "mtfh").astype(np.float64) for items in train.values())
    if not (L1.any(axis=0) & L2.any(axis=0)).any():
        raise MethodError(f"mtfh connects {' and '.join(train)} by labels, and no label occurs in both")
    return L1, L2, lengths
