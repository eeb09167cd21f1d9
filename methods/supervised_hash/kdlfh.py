"""KDLFH: the codes of DLFH with kernel logistic regressions as hash functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.hashing import HashingMethod, training_pairs
from cmrbench_methods.blocks.linear import sign_codes
from cmrbench_methods.blocks.logistic import shared_logistic_designs
from cmrbench_methods.supervised_hash.dlfh import JIANG_LI, LatentFactors

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class KDLFH(HashingMethod):
    """Kernel DLFH (Jiang and Li, TIP 2019): see `DLFH` for the codes U and V of the two modalities.

    Every bit's hash function is a kernel logistic regression sgn(k(z)'w) over anchors a, with

        min_w sum_i log(1 + exp(-u_ik k(z_i)'w)) + eta w'K0 w,    k(z) = exp(-||z - a||^2 / sigma^2),

    K0 the kernel between anchors and sigma^2 the mean squared distance of all pairs of training items.

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, DLFH, KDLFH_algo): anchors are the same random
    training items in both modalities. Differences:

    - It measures sigma^2 on the first 5,000 training items, whatever their order; here all of them count.
    - It solves bit by bit; here one L-BFGS takes all bits (see `logistic_weights`).

    Parameters
    ----------
    lam, samples, iterations : float, int or None, int
        As in `DLFH`; 50 epochs in the code's demo.
    anchors : int
        Never more than there are training items.
    eta : float
        Penalty of the logistic regressions.
    """

    info = MethodInfo(
        name="kdlfh",
        title="KDLFH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Other shallow",
        venue="TIP19",
        citation=JIANG_LI,
        url="https://github.com/jiangqy/DLFH-TIP2019",
    )

    def __init__(
        self,
        lam: float = 8.0,
        samples: int | None = None,
        iterations: int = 50,
        anchors: int = 500,
        eta: float = 0.01,
    ) -> None:
        self.lam = lam
        self.samples = samples
        self.iterations = iterations
        self.anchors = anchors
        self.eta = eta

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Learn both modalities' codes from the labels; then a logistic regression for each bit."""
        pairs = training_pairs(self, train, context)
        factors = LatentFactors(self.lam, self.samples, self.iterations)
        codes = dict(zip(pairs.names, factors.learn(pairs.L, pairs.bits, context), strict=True))
        designs = shared_logistic_designs(pairs, context, self.anchors, centre=False)
        self.functions_ = {m: design.hash_function(codes[m], self.eta, context) for m, design in designs.items()}
        self.dims_ = pairs.dims
        self.codes_ = {m: sign_codes(B) for m, B in codes.items()}
        return self
