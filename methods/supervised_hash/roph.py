"""RoPH: codes that keep the order in which items share labels, learned from triplets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.cuts import attractive_signs
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, shared_designs, training_pairs
from cmrbench_methods.blocks.kernels import squared_distances
from cmrbench_methods.blocks.linear import row_blocks, signs
from cmrbench_methods.blocks.maps import AnchorRule, Scaled

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from typing_extensions import Self

    from cmrbench.core.items import Items

ITEMS = 128
"""Items whose triplets are held at a time for all bits."""


class RoPH(HashingMethod):
    """Cross-modal hashing by rank-order preserving (Ding, Fan, Huo, Xiang and Pan, TMM 2017).

    A triplet (i, p, q) says that i shares more labels with p than with q. Codes B should rank p before q by a margin,
    b_i'(b_p - b_q) >= K; with a second copy H of the codes, margins M and kernel features Phi of either modality,

        min sum_t (b_i'(h_p - h_q) - M_t)^2 + lambda ||H - B||^2 + eta sum_v ||Phi_v W_v - B||^2,

    in turn over B (three passes of exact coordinate steps), H (a bit at a time), M = max(b_i'(b_p - b_q), margin), and
    W (ridge). With the others fixed, a bit of H is a minimum cut: h_p and h_q of a triplet attract one another.

    Follows the released code (kding1225/RoPH), with these differences:

    - The code cuts ten random blocks of items side by side, each as if the others stayed, which may raise the
      objective. Here the whole of every bit is cut, exactly: most items are decided without a cut by what pulls at
      them, which leaves a small one.
    - The code fails for an item that shares equally many labels with all items, or has none. Here it has no triplets.
    - Zero counts as +1 in a code of the hash function.

    The demo asks for kernel widths of 0.8 times the mean squared distance between anchors; the training function
    overwrites this by 1 (and the number of anchors by 500), so 1 is what it runs with.

    Parameters
    ----------
    triplets : int
        Triplets an item.
    margin : float or None
        Least difference of inner products; None: the code length K. A whole number.
    lambda_ : int
        Weight of ``||H - B||^2``. A whole number, so that the cuts are exact.
    eta : float
        Weight of the hash functions of either modality (eta_1 = eta_2).
    ridge : float
        Ridge of the hash functions.
    anchors : int
        Anchors of either modality; never more than there are training items.
    width : float
        Squared kernel width as a multiple of the anchors' mean squared distance.
    iterations : int
        Rounds.
    """

    info = MethodInfo(
        name="roph",
        title="RoPH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Feature mapping",
        venue="TMM17",
        citation=Citation(
            key="ding2017roph",
            kind="article",
            author="Kun Ding and Bin Fan and Chunlei Huo and Shiming Xiang and Chunhong Pan",
            title="Cross-modal hashing via rank-order preserving",
            venue="IEEE Transactions on Multimedia",
            year=2017,
            pages="571-585",
            url="https://ieeexplore.ieee.org/document/7737053",
            note="Volume 19(3)",
        ),
        url="https://github.com/kding1225/RoPH",
    )

    def __init__(
        self,
        triplets: int = 100,
        margin: int | None = None,
        lambda_: int = 1,
        eta: float = 1e-5,
        ridge: float = 1e-5,
        anchors: int = 500,
        width: float = 1.0,
        iterations: int = 5,
    ) -> None:
        self.triplets = triplets
        self.margin = margin
        self.lambda_ = lambda_
        self.eta = eta
        self.ridge = ridge
        self.anchors = anchors
        self.width = width
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Draw triplets, alternate over B, H, M and W, and keep the last hash functions."""
        for name, value in (("margin", self.margin), ("lambda_", self.lambda_)):
            if value is not None and (value != int(value) or value < 0):
                raise MethodError(f"roph: {name} must be a whole number and not negative, it is {value:g}")
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context, lambda m, z: self._design(z, context.rng("anchors", m)))
        triplets = context.shared("triplets", lambda: Triplets.drawn(pairs.L, self.triplets, context.rng("triplets")))
        B = self._learn(list(designs.values()), triplets, pairs.bits, context)
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, B)
        self.functions_ = {m: HashFunction(phi.map, phi.ridge(B, self.ridge)) for m, phi in designs.items()}
        return self

    def _design(self, features: np.ndarray, rng: np.random.Generator) -> Design:
        kernel = AnchorRule(self.anchors, centre=False).fit(features, Scaled.fit(features, centre=False), rng)
        spread = float(squared_distances(kernel.anchors, kernel.anchors).mean())
        kernel = replace(kernel, gamma=1 / (2 * self.width * spread) if spread > 0 else 1.0)
        total = np.zeros(kernel.width)
        for rows in row_blocks(len(features)):
            total += kernel(features[rows]).sum(axis=0)
        return Design(features, kernel.centred(total / len(features)))

    def _learn(self, designs: list[Design], triplets: Triplets, bits: int, context: Context) -> np.ndarray:
        B = signs(context.rng("codes").uniform(-1.0, 1.0, (triplets.n, bits)))
        H = B.copy()
        margin = bits if self.margin is None else self.margin
        M = np.full(triplets.near.shape, 2.0 * bits, dtype=np.float32)
        for iteration in range(self.iterations):
            predicted = sum(phi.dot(phi.ridge(B, self.ridge)) for phi in designs)
            B = code_step(B, triplets, H, M, self.lambda_ * H + self.eta * predicted)
            H = copy_step(H, triplets, B, M, self.lambda_)
            M = np.maximum(M.dtype.type(margin), triplets.differences(B, B))
            context.progress(iteration + 1, self.iterations, "")
        return B


@dataclass(frozen=True, eq=False)
class Triplets:
    """For r of n items, T others each, and T that share fewer labels with the item than those.

    Attributes
    ----------
    n : int
        All training items.
    items : ndarray
        (r,): i of the triplets.
    near, far : ndarray
        (r, T): p and q.
    """

    n: int
    items: np.ndarray
    near: np.ndarray
    far: np.ndarray

    @classmethod
    def drawn(cls, labels: np.ndarray, count: int, rng: np.random.Generator) -> Triplets:
        """Draw `count` triplets for every item of multi-hot labels (n, C) that has a choice.

        A number of shared labels is drawn in proportion to itself, p among the items that share as many with i, q among
        those that share fewer.

        Raises
        ------
        MethodError
            If no item shares more labels with one item than with another.
        """
        patterns, member = np.unique(labels, axis=0, return_inverse=True)
        by_pattern = np.split(np.argsort(member, kind="stable"), np.cumsum(np.bincount(member.ravel()))[:-1])
        items, near, far = [], [], []
        for pattern, members in zip(patterns, by_pattern, strict=True):
            shared = (patterns @ pattern).astype(np.int16)[member.ravel()]
            order = np.argsort(shared, kind="stable")
            levels, starts = np.unique(shared[order], return_index=True)
            if len(levels) < 2:
                continue
            ends = np.append(starts[1:], len(order))
            chance = levels[1:] / levels[1:].sum()
            for item, drawn in zip(members, rng.multinomial(count, chance, len(members)), strict=True):
                chosen = [(order[s:e], order[:s], k) for s, e, k in zip(starts[1:], ends[1:], drawn, strict=True) if k]
                items.append(item)
                near.append(np.concatenate([rng.choice(p, k, replace=len(p) < k) for p, _, k in chosen]))
                far.append(np.concatenate([rng.choice(q, k, replace=len(q) < k) for _, q, k in chosen]))
        if not items:
            raise MethodError("roph ranks items by shared labels, and all training items share equally many")
        back = np.argsort(items)
        return cls(len(labels), *(np.array(part, dtype=np.int32)[back] for part in (items, near, far)))

    def blocks(self) -> Iterator[slice]:
        """Slices of the r items."""
        return row_blocks(len(self.items), ITEMS)

    def apart(self, H: np.ndarray, rows: slice) -> np.ndarray:
        """h_p - h_q of the triplets of some items for codes H (n, K): float32, (items, T, K)."""
        short = H.astype(np.int8)
        return (short[self.near[rows]] - short[self.far[rows]]).astype(np.float32)

    def differences(self, B: np.ndarray, H: np.ndarray) -> np.ndarray:
        """b_i'(h_p - h_q): float32, (r, T); whole numbers, so exact."""
        out = np.empty(self.near.shape, dtype=np.float32)
        for rows in self.blocks():
            own = B[self.items[rows]].astype(np.float32)
            out[rows] = np.matmul(self.apart(H, rows), own[:, :, None])[:, :, 0]
        return out

    @cached_property
    def network(self) -> csr_matrix:
        """How often two items are p and q of a triplet: symmetric (n, n)."""
        from scipy.sparse import csr_matrix

        ends = (self.near.ravel(), self.far.ravel())
        half = csr_matrix((np.ones(self.near.size), ends), (self.n, self.n))
        return csr_matrix(half + half.T)


def code_step(B: np.ndarray, triplets: Triplets, H: np.ndarray, M: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Lower ``sum_t (b_i'(h_p - h_q) - M_t)^2 - 2 tr(B'pull)`` over B by three passes of exact coordinate steps.

    Items do not interact, and every item's part needs its triplets only through their moments (K, K) and (K,).
    """
    B = B.copy()
    alone = np.setdiff1d(np.arange(triplets.n), triplets.items)
    B[alone] = np.where(pull[alone] == 0, B[alone], np.sign(pull[alone]))
    for rows in triplets.blocks():
        D = triplets.apart(H, rows)
        G = np.matmul(D.transpose(0, 2, 1), D).astype(np.float64)
        items = triplets.items[rows]
        wanted = np.matmul(D.transpose(0, 2, 1), M[rows][:, :, None])[:, :, 0] + pull[items]
        b = B[items]
        for _ in range(3):
            for k in range(B.shape[1]):
                argument = wanted[:, k] - np.einsum("ij,ij->i", G[:, k], b) + G[:, k, k] * b[:, k]
                b[:, k] = np.where(argument == 0, b[:, k], np.sign(argument))
        B[items] = b
    return B


def copy_step(H: np.ndarray, triplets: Triplets, B: np.ndarray, M: np.ndarray, weight: float) -> np.ndarray:
    """Lower ``sum_t (b_i'(h_p - h_q) - M_t)^2 + weight ||H - B||^2`` over H, a bit at a time, each exactly."""
    H = H.copy()
    left = M - triplets.differences(B, H)
    near, far = triplets.near, triplets.far
    for k in range(H.shape[1]):
        own = B[triplets.items, k, None].astype(np.float32)
        left += own * (H[near, k] - H[far, k]).astype(np.float32)
        turned = (own * left).ravel()
        field = np.bincount(near.ravel(), turned, triplets.n) - np.bincount(far.ravel(), turned, triplets.n)
        H[:, k] = attractive_signs(triplets.network, field + weight * B[:, k], H[:, k])
        left -= own * (H[near, k] - H[far, k]).astype(np.float32)
    return H
