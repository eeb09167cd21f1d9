"""CVH: cross-view hashing, which for paired items is regularised canonical correlation analysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.correlation import (
    Directions,
    add_ridge,
    canonical_directions,
    leading_pairs,
    oriented,
    supported,
    whitener,
)
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    TrainingPairs,
    both_in_turn,
    check_functions,
    check_variant,
    training_pairs,
)
from cmrbench_methods.blocks.maps import Scaled

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class CVH(HashingMethod):
    """Cross-view hashing (Kumar and Udupa, IJCAI 2011).

    Linear hash functions sgn(a'x), sgn(b'y) for which related items differ in few bits. With the sign relaxed and one
    partner for every item, minimising sum_i (a'x_i - b'y_i)^2 over directions of unit variance is canonical
    correlation:

        Sxy Syy^-1 Sxy' a = rho^2 Sxx a,    b = Syy^-1 Sxy' a / rho,    Sxx = X'X + lambda I, Syy = Y'Y + lambda I

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, CVH), with these differences:

    - ``variant="paper"`` is the problem above with features centred by their training means. The code leaves out the
      centring and the inverse in the first equation (Sxy Syy Sxy' a = m Sxx a, while b keeps it, b = Syy^-1 Sxy' a /
      sqrt(m)); ``variant="released"`` does the same. docs/methods/cvh.md says what that changes.
    - Beyond the rank of Sxy the code's directions are rounding errors, with complex entries; here the directions found
      are used again, in turn. For the paper's variant, a direction whose variance is the ridge's alone is none.
    - Zero counts as +1 in a code; the code's ``> 0`` makes it -1.

    Parameters
    ----------
    ridge : float
        lambda, added to the diagonals of X'X and Y'Y.
    variant : {"paper", "released"}
    """

    info = MethodInfo(
        name="cvh",
        title="CVH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Spectral graph",
        venue="IJCAI11",
        citation=Citation(
            key="kumar2011cvh",
            kind="inproceedings",
            author="Shaishav Kumar and Raghavendra Udupa",
            title="Learning hash functions for cross-view similarity search",
            venue="Proceedings of the Twenty-Second International Joint Conference on Artificial Intelligence",
            year=2011,
            url="https://www.ijcai.org/Proceedings/11/Papers/230.pdf",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
        deterministic=True,
    )

    def __init__(self, ridge: float = 1e-4, variant: str = "paper") -> None:
        self.ridge = ridge
        self.variant = variant

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Find one pair of directions per bit."""
        check_variant("cvh", self.variant)
        pairs = training_pairs(self, train, context)
        maps, found = context.shared("directions", lambda: self._directions(pairs))
        A, B = both_in_turn(found.A, found.B, pairs.bits, "cvh", context)
        self.dims_ = pairs.dims
        self.functions_ = {m: HashFunction(maps[m], W) for m, W in zip(pairs.names, (A, B), strict=True)}
        check_functions(self.functions_, pairs.features, "cvh")
        return self

    def _directions(self, pairs: TrainingPairs) -> tuple[dict[str, Scaled], Directions]:
        """The maps of both modalities and all directions that there are, strongest first."""
        maps = {m: Scaled.fit(z, centre=self.variant == "paper") for m, z in pairs.features.items()}
        X, Y = (Design(z, maps[m]) for m, z in pairs.features.items())
        Sxx, Syy, Sxy = add_ridge(X.gram, self.ridge), add_ridge(Y.gram, self.ridge), X.between(Y)
        if self.variant == "released":
            return maps, uninverted_directions(Sxx, Syy, Sxy)
        return maps, supported(canonical_directions(Sxx, Syy, Sxy, min(Sxy.shape)), self.ridge)


def uninverted_directions(Sxx: np.ndarray, Syy: np.ndarray, Sxy: np.ndarray) -> Directions:
    """Solutions of ``Sxy Syy Sxy' a = m Sxx a`` with m > 0, largest first, and ``b = Syy^-1 Sxy' a / sqrt(m)``.

    With a whitener W' Sxx W = I they are the singular vectors u of W' Sxy Syy^(1/2): a = W u, m the squared value.
    """
    from scipy.linalg import eigh

    Wx, Wy = whitener(Sxx), whitener(Syy)
    variances, vectors = eigh(Syy)
    T = Wx.T @ Sxy @ (vectors * np.sqrt(np.maximum(variances, 0.0)))
    size = float(np.linalg.norm(T)) or 1.0
    U, strength, _ = leading_pairs(T / size, min(T.shape))
    A = Wx @ U
    return oriented(A, Wy @ (Wy.T @ (Sxy.T @ A)) / (strength * size), strength * size)
