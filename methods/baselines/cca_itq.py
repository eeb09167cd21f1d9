"""CCA-ITQ: canonical correlation, then one rotation that brings both modalities near the corners of a cube."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, both_in_turn, shared_designs, training_pairs
from cmrbench_methods.blocks.itq import quantising_rotation, random_rotation, weighted_directions

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class CCAITQ(HashingMethod):
    """Canonical correlation with iterative quantisation (Gong, Lazebnik, Gordo and Perronnin, TPAMI 2013).

    Both modalities are projected on their canonical directions, scaled by the canonical correlations: Zx = X A,
    Zy = Y B. Then min over orthogonal R of ||sgn(Zx R) - Zx R||^2 + ||sgn(Zy R) - Zy R||^2 spreads what they share
    evenly over the bits, by turns of signs and an orthogonal Procrustes problem. The codes are sgn(Zx R), sgn(Zy R).

    The paper hashes images, and its second modality is their labels or tags. Here both modalities are to be hashed, so
    the rotation is learned from both, and is one, so that their codes stay comparable. Ridge, scaling, random start and
    number of iterations are those of the authors' code. No direction of the data is left for bits beyond their rank:
    the directions are used again, in turn, and the rotation mixes them, so that most bits still differ.

    Parameters
    ----------
    ridge : float
        Added to the diagonals of the covariances.
    iterations : int
        Turns of the rotation; fewer where the codes stop changing.
    """

    info = MethodInfo(
        name="cca_itq",
        title="CCA-ITQ",
        category="baseline",
        output="hash",
        retrieval=("hamming",),
        venue="TPAMI13",
        citation=Citation(
            key="gong2013itq",
            kind="article",
            author="Yunchao Gong and Svetlana Lazebnik and Albert Gordo and Florent Perronnin",
            title=(
                "Iterative quantization: A Procrustean approach to learning binary codes "
                "for large-scale image retrieval"
            ),
            venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
            year=2013,
            pages="2916-2929",
            note="Volume 35(12)",
        ),
    )

    def __init__(self, ridge: float = 1e-4, iterations: int = 50) -> None:
        self.ridge = ridge
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Find the canonical directions, then the rotation."""
        pairs = training_pairs(self, train, context)
        X, Y = shared_designs(pairs, context).values()
        found = context.shared("directions", lambda: weighted_directions(X, Y, self.ridge))
        A, B = both_in_turn(found.A, found.B, pairs.bits, "cca_itq", context)
        R = quantising_rotation(
            (X.dot(A), Y.dot(B)), random_rotation(pairs.bits, context.rng("rotation")), self.iterations
        )
        self.dims_ = pairs.dims
        weights = dict(zip(pairs.names, (A @ R, B @ R), strict=True))
        self.functions_ = {m: HashFunction(phi.map, weights[m]) for m, phi in zip(pairs.names, (X, Y), strict=True)}
        return self
