"""DLFH: a discrete latent factor model, whose codes are learned bit by bit without relaxation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    shared_designs,
    training_pairs,
    uncentred_design,
)
from cmrbench_methods.blocks.labels import shares_label
from cmrbench_methods.blocks.linear import row_blocks, sign_codes, signs
from cmrbench_methods.blocks.logistic import sigmoid

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items

TIE = 1e-9
"""Arguments of a sign up to this are zero: sigma(t) + sigma(-t) = 1 makes many of them vanish."""

JIANG_LI = Citation(
    key="jiang2019dlfh",
    kind="article",
    author="Qing-Yuan Jiang and Wu-Jun Li",
    title="Discrete latent factor model for cross-modal hashing",
    venue="IEEE Transactions on Image Processing",
    year=2019,
    pages="3490-3501",
    note="Volume 28(7)",
)


class DLFH(HashingMethod):
    """Discrete latent factor model based cross-modal hashing (Jiang and Li, TIP 2019).

    Every modality has codes of its own, U and V in {-1, +1}^(n x K). They maximise the likelihood of the similarities
    S_ij = [items i and j share a label],

        sum_ij S_ij t_ij - log(1 + exp(t_ij)),    t_ij = (lambda / K) u_i'v_j,

    over one bit at a time: a quadratic lower bound of the likelihood has the closed maximum

        u_k = sgn( (lambda / K) sum_{j in S_c} (S_ij - sigma(t_ij)) v_jk + (m lambda^2 / 4 K^2) u_ik )

    for m columns S_c drawn afresh in every epoch; v_k is updated alike with the new U. With all columns the likelihood
    never decreases. Hash functions are a linear ridge regression of each modality's features to its codes.

    Follows the released code (jiangqy/DLFH-TIP2019; BMC-SDNU/Cross-Modal-Hashing-Retrieval, DLFH, has the same solver):
    features are neither centred nor scaled. Differences:

    - It computes sigma(t) anew for every bit and item. Here sigma is looked up among its K + 1 values, again only where
      a bit has changed, and items that have the same labels and the same code are updated once. Same result.
    - Zero counts as +1 in a code of the hash function; the code's ``> 0`` makes it -1.

    Learned gallery codes are U for the first modality and V for the second, as the authors rank them.

    Parameters
    ----------
    lam : float
        Scale lambda of the latent factors.
    gamma : float
        Ridge of the hash functions: 1e-6 in the authors' demo, 1e-2 in the toolbox (preset ``toolbox``).
    samples : int, optional
        Columns m of an epoch; default: as many as bits. Never more than there are training items.
    iterations : int
        Epochs.
    """

    info = MethodInfo(
        name="dlfh",
        title="DLFH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Other shallow",
        venue="TIP19",
        citation=JIANG_LI,
        url="https://github.com/jiangqy/DLFH-TIP2019",
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"toolbox": {"gamma": 1e-2}}

    def __init__(self, lam: float = 8.0, gamma: float = 1e-6, samples: int | None = None, iterations: int = 30) -> None:
        self.lam = lam
        self.gamma = gamma
        self.samples = samples
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn both modalities' codes from the labels; then regress them on the features."""
        pairs = training_pairs(self, train, context)
        factors = LatentFactors(self.lam, self.samples, self.iterations)
        codes = dict(zip(pairs.names, factors.learn(pairs.L, pairs.bits, context), strict=True))
        designs = shared_designs(pairs, context, uncentred_design)
        self.functions_ = {m: HashFunction(phi.map, phi.ridge(codes[m], self.gamma)) for m, phi in designs.items()}
        self.dims_ = pairs.dims
        self.codes_ = {m: sign_codes(B) for m, B in codes.items()}
        return self


@dataclass(frozen=True)
class LatentFactors:
    """Settings of the latent factor model, as in `DLFH`."""

    lam: float
    samples: int | None
    iterations: int

    def learn(self, L: np.ndarray, bits: int, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """The paper's algorithm 1 on label rows L (n, C): codes U and V, float64 (n, bits) in {-1, +1}."""
        n = len(L)
        rng = context.rng("latent factors")
        kinds, kind = np.unique(L, axis=0, return_inverse=True)
        U, V = (DistinctRows.of(signs(rng.standard_normal((n, bits))), kind) for _ in range(2))
        for epoch in range(self.iterations):
            sampled = rng.choice(n, min(self.samples or bits, n), replace=False)
            S = shares_label(kinds, L[sampled])
            U = U.replaced(update_codes(U.codes, V.rows(sampled), S[U.kind], self.lam))
            V = V.replaced(update_codes(V.codes, U.rows(sampled), S[V.kind], self.lam))
            context.progress(epoch + 1, self.iterations, "")
        return U.rows(slice(None)), V.rows(slice(None))


@dataclass(frozen=True, eq=False)
class DistinctRows:
    """Codes of items, kept once for all items that have the same labels and the same code.

    An update depends on an item's labels and code alone, so such items stay alike, and there are fewer in every epoch.

    Attributes
    ----------
    codes : ndarray
        float64 (r, K) in {-1, +1}.
    kind : ndarray
        Number of each row's set of labels, (r,).
    row : ndarray
        Row of each item, (n,).
    """

    codes: np.ndarray
    kind: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, kind: np.ndarray) -> DistinctRows:
        """Items with codes (n, K) and sets of labels (n,)."""
        return cls(codes, kind, np.arange(len(codes))).replaced(codes)

    def replaced(self, codes: np.ndarray) -> DistinctRows:
        """The same items, whose rows have other codes (r, K) now."""
        numbers = self.kind.astype(np.uint32)[:, None].view(np.uint8)
        keys = np.ascontiguousarray(np.hstack([numbers, np.packbits(codes > 0, axis=1)]))
        whole = keys.view(np.dtype((np.void, keys.shape[1]))).ravel()
        _, first, back = np.unique(whole, return_index=True, return_inverse=True)
        return DistinctRows(codes[first], self.kind[first], back[self.row])

    def rows(self, items: np.ndarray | slice) -> np.ndarray:
        """Codes of items: float64, (items, K)."""
        return np.asarray(self.codes[self.row[items]])


def update_codes(U: np.ndarray, V: np.ndarray, S: np.ndarray, lam: float) -> np.ndarray:
    """Each bit of the codes U (n, K) once, in turn, given sampled codes V (m, K) of the other modality.

    S (n, m) is bool: whether items share a label. Rows do not interact, so they are taken in blocks that stay in the
    processor's cache over all bits. An argument of zero, which rounding would decide, gives +1.
    """
    m, K = V.shape
    sigma = sigmoid(lam / K * np.arange(-K, K + 1))
    stay = m * lam / (4 * K)
    flip = 2 * V.astype(np.intp).T
    out = U.copy()
    for rows in row_blocks(len(U), 1024):
        B = out[rows]
        agreement = K + np.rint(B @ V.T).astype(np.intp)
        A = sigma[agreement]
        pull = S[rows] @ V
        for k in range(K):
            bit = signs(pull[:, k] - A @ V[:, k] + stay * B[:, k] + TIE)
            changed = np.flatnonzero(bit != B[:, k])
            B[changed, k] = bit[changed]
            flipped = agreement[changed] + np.where(bit[changed, None] > 0, flip[k], -flip[k])
            agreement[changed], A[changed] = flipped, sigma[flipped]
    return out
