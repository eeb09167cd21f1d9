"""The two-stage kNN search on the raw features: what a label-reading search gives without any training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, Method, MethodInfo

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class Raw2Sknn(Method):
    """The features as they are, searched by the two-stage kNN of LCM (Dwijesh et al., CODS-COMAD 2023, section 3.2).

    The search finds the query's K nearest training items of its own modality, by Euclidean distance, counts their
    labels, and sorts the gallery by its true labels in that order. It never compares two modalities, so it needs no
    common space, and it reads the gallery's labels: every other method with this search has to beat this floor.

    Parameters
    ----------
    k : int
        Neighbours K of the first stage.
    """

    info = MethodInfo(
        name="raw_2sknn",
        title="2Sknn on raw features",
        category="baseline",
        supervision="labels",
        retrieval=("2sknn",),
        citation=Citation(
            key="dwijesh2023lcm",
            kind="inproceedings",
            author="Gohil Dwijesh and Shivangi Bithel and Srikanta Bedathur",
            title="LCM: A surprisingly effective framework for supervised cross-modal retrieval",
            venue="6th Joint International Conference on Data Science and Management of Data (CODS-COMAD)",
            year=2023,
            doi="10.1145/3570991.3571048",
        ),
        modalities=(2, None),
        pairs=False,
        deterministic=True,
    )

    def __init__(self, k: int = 50) -> None:
        self.k = k

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Note the feature widths; nothing is learned."""
        self.dims_ = {m: items.dim for m, items in train.items()}
        return self

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """A copy of the features: float32, shape (n, d)."""
        self.check_fitted("dims_")
        self.check_features(modality, features, self.dims_)
        return np.array(features, dtype=np.float32)

    def retrieval_options(self, strategy: str) -> Mapping[str, Any]:
        """The number of neighbours, for the two-stage search."""
        return {"k": self.k} if strategy == "2sknn" else {}
