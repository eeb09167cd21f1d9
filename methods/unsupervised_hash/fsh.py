"""FSH: binary codes that keep a graph fused from the neighbourhoods of both modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, check_variant, shared_designs, training_pairs
from cmrbench_methods.blocks.kernels import squared_distances
from cmrbench_methods.blocks.linear import row_blocks, sign_codes, signs
from cmrbench_methods.blocks.maps import Scaled

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class FSH(HashingMethod):
    """Fusion similarity hashing (Liu et al., CVPR 2017).

    An asymmetric graph joins every training item to N_s anchor pairs. A_1 compares, by the kernel of the image anchors,
    the image anchors nearest to the item with those nearest to the anchor by its text; A_2 swaps the modalities. Codes
    B of the items, codes B_s of the anchors, linear hash functions W_m and weights eta_m minimise

        sum_m eta_m^rho (N_s - tr(B' A_m B_s)) + lam sum_m (||B - X_m W_m||^2 + ridge ||W_m||^2),  sum_m eta_m = 1,

    by turns, each in closed form (N_s is the trace of the kernel of the anchors).

    Follows the code that the authors released in place of their own (Lyn-L/FSH; a copy
    is in BMC-SDNU/Cross-Modal-Retrieval):
    rows of unit length, then centred by the training mean; random anchors; random start. It updates
    eta_1 = (P_1 / (P_1 + P_2))^(1 / (1 - rho)) with P_m = N_s - tr(B' A_m B_s), so about 1/4 where both graphs fit
    alike, and mixes eta_1 A_1 + (1 - eta_1) A_2. What it needs to minimise anything is P_1^g / (P_1^g + P_2^g) with
    g = 1 / (1 - rho), and A_m weighted by eta_m^rho. `variant="paper"` does that (our reading: the paper's text was not
    at hand), `"released"` does what the code does. Other differences:

    - A small ridge in the regression of the codes, which the code solves without; it fails on dependent columns.
    - Zero counts as +1 in a code; in the code it is 0.
    - It ends when neither code changed any more, after which nothing can change.

    Parameters
    ----------
    variant : {"paper", "released"}
    anchors : int
        N_s; never more than there are training items.
    neighbours : int
        k, nearest anchors of an item and of an anchor.
    lam : float
        lambda, weight of the hash functions' error.
    rho : float
        Exponent of the weights of the graphs, between 0 and 1 (``lam`` in the code).
    ridge : float
    iterations : int
        Most rounds.

    Attributes
    ----------
    anchor_codes_ : ndarray
        B_s, (N_s, bits) in {-1, +1}.
    weights_ : ndarray
        What A_1 and A_2 are weighted by at the end: eta_m^rho (`released`: eta_1, 1 - eta_1).
    """

    info = MethodInfo(
        name="fsh",
        title="FSH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Spectral graph",
        venue="CVPR17",
        citation=Citation(
            key="liu2017fsh",
            kind="inproceedings",
            author="Hong Liu and Rongrong Ji and Yongjian Wu and Feiyue Huang and Baochang Zhang",
            title="Cross-modality binary code learning via fusion similarity hashing",
            venue="2017 IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
            year=2017,
            pages="6345-6353",
            doi="10.1109/CVPR.2017.672",
        ),
        url="https://github.com/LynnHongLiu/FSH",
    )

    def __init__(
        self,
        variant: str = "paper",
        anchors: int = 50,
        neighbours: int = 10,
        lam: float = 300.0,
        rho: float = 0.5,
        ridge: float = 1e-6,
        iterations: int = 100,
    ) -> None:
        self.variant = variant
        self.anchors = anchors
        self.neighbours = neighbours
        self.lam = lam
        self.rho = rho
        self.ridge = ridge
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Join items to anchors; then alternate over B, B_s, W and eta."""
        self._check()
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context, lambda m, z: Design(z, Scaled.fit(z, unit="first")))
        for m, X in designs.items():
            if X.square_sum <= 1e-12 * len(X):
                raise MethodError(
                    f"fsh: all {m} features of the training items point the same way, so none can be told apart"
                )
        graph = context.shared("graph", lambda: self._graph(*designs.values(), pairs.features, context))
        B, W, self.anchor_codes_, self.weights_ = self._learn(graph, designs, pairs.bits, context)
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(B))
        self.functions_ = {m: HashFunction(X.map, W[m]) for m, X in designs.items()}
        return self

    def _check(self) -> None:
        check_variant("fsh", self.variant)
        if not 0 < self.rho < 1:
            raise MethodError(f"fsh: rho lies between 0 and 1, it is {self.rho}")
        if self.anchors < 1 or self.neighbours < 1:
            raise MethodError(f"fsh needs at least 1 anchor and 1 neighbour, not {self.anchors} and {self.neighbours}")

    def _graph(self, X: Design, Y: Design, features: Mapping[str, np.ndarray], context: Context) -> AnchorGraph:
        n = len(X)
        picked = np.sort(context.rng("anchors").choice(n, min(self.anchors, n), replace=False))
        ax, ay = (phi.map(z[picked]) for phi, z in zip((X, Y), features.values(), strict=True))
        k = min(self.neighbours, len(picked))
        Nx, Ny = neighbourhoods(ax, ax, k), neighbourhoods(ay, ay, k)
        Ex, Ey = (np.exp(-np.sqrt(squared_distances(a, a)) / 2) for a in (ax, ay))
        A1, A2 = np.empty((n, len(picked))), np.empty((n, len(picked)))
        for rows in row_blocks(n):
            A1[rows] = neighbourhoods(X.block(rows), ax, k) @ (Ex @ Ny.T)
            A2[rows] = neighbourhoods(Y.block(rows), ay, k) @ (Ey @ Nx.T)
        return AnchorGraph(A1, A2, ay)

    def _learn(
        self, graph: AnchorGraph, designs: Mapping[str, Design], bits: int, context: Context
    ) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray, np.ndarray]:
        rng = context.rng("fsh")
        W = {m: rng.standard_normal((X.shape[1], bits)) for m, X in designs.items()}
        Bs = graph.anchors @ list(W.values())[-1]
        first = 0.5 if self.variant == "released" else 0.5**self.rho
        w = np.array([first, first])
        B = np.zeros((len(graph.A1), bits))
        for iteration in range(self.iterations):
            before, anchors_before = B, Bs
            B = graph.A1 @ (w[0] * Bs) + graph.A2 @ (w[1] * Bs)
            for m, X in designs.items():
                B += X.dot(2 * self.lam * W[m])
            B = signs(B)
            joined = [A.T @ B for A in (graph.A1, graph.A2)]
            Bs = signs(w[0] * joined[0] + w[1] * joined[1])
            W = {m: X.ridge(B, self.ridge) for m, X in designs.items()}
            P = len(Bs) - np.array([(A * Bs).sum() for A in joined])
            w = released_weights(P, self.rho) if self.variant == "released" else weights(P, self.rho, w)
            context.progress(iteration + 1, self.iterations, "")
            if np.array_equal(B, before) and np.array_equal(Bs, anchors_before):
                break
        return B, W, Bs, w


@dataclass(frozen=True, eq=False)
class AnchorGraph:
    """Similarities A1, A2 (n, N_s) of items to anchors, and the anchors' features (N_s, dy) in the second modality."""

    A1: np.ndarray
    A2: np.ndarray
    anchors: np.ndarray


def neighbourhoods(z: np.ndarray, anchors: np.ndarray, k: int) -> np.ndarray:
    """1/k in the columns of the k anchors nearest to a row of z (n, d), earlier ones first where distances tie."""
    nearest = np.argsort(squared_distances(z, anchors), axis=1, kind="stable")[:, :k]
    out = np.zeros((len(z), len(anchors)))
    np.put_along_axis(out, nearest, 1 / k, axis=1)
    return out


def weights(P: np.ndarray, rho: float, before: np.ndarray) -> np.ndarray:
    """The eta_m^rho that minimise ``sum_m eta_m^rho P_m`` over eta_m >= 0 with sum 1, if any P_m is negative.

    If none is, the codes do not follow either graph yet and the weights stay as they are.
    """
    strength = np.maximum(-P, 0.0)
    if not strength.any():
        return before
    eta = (strength / strength.max()) ** (1 / (1 - rho))
    return np.asarray((eta / eta.sum()) ** rho)


def released_weights(P: np.ndarray, rho: float) -> np.ndarray:
    """eta_1 = (P_1 / (P_1 + P_2))^(1 / (1 - rho)) and 1 - eta_1, as in the released code."""
    share = P[0] / P.sum() if P.sum() else 0.5
    eta = abs(share) ** (1 / (1 - rho))
    return np.array([eta, 1 - eta])
