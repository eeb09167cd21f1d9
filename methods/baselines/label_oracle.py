"""The ceiling: representations made of the test items' own labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method, MethodInfo
from cmrbench_methods.blocks.labels import labels_of
from cmrbench_methods.blocks.linear import sign_codes, unit_rows

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class LabelOracle(Method):
    """An item's vector is its label row, scaled to unit length.

    Two items have a positive cosine exactly if they share a label, so every ranking is perfect, for one label an item
    and for several: what a table's numbers can be at most.
    """

    info = MethodInfo(
        name="label_oracle",
        title="Label oracle",
        category="baseline",
        supervision="labels",
        modalities=(1, None),
        pairs=False,
        deterministic=True,
        reads_labels=True,
    )

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Note the number of classes; nothing is learned."""
        self.n_classes_ = labels_of(next(iter(train.values())), self.info.name).shape[1]
        return self

    def encode(self, modality: str, features: np.ndarray) -> NoReturn:
        """Not possible from features: always an error."""
        refuse_features(self)

    def encode_labels(self, modality: str, labels: np.ndarray) -> np.ndarray:
        """Label rows (n, C) of unit length: float32, shape (n, C)."""
        self.check_fitted("n_classes_")
        check_labels(self, labels, self.n_classes_)
        return unit_rows(labels).astype(np.float32)


class LabelOracleHash(Method):
    """An item's code is its class's code; with several labels, the majority of its classes' codes, bit by bit.

    Class codes are random and, where there are enough codes for the classes, all different. With one label an item
    every ranking is perfect; with several, two items that share a label may lie further apart than two that do not,
    so the ceiling of short codes is below 1, which this shows. A tie in a majority, and an item without labels, is
    decided by the bit of a code of its own that belongs to no class.
    """

    info = MethodInfo(
        name="label_oracle_hash",
        title="Label oracle codes",
        category="baseline",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        modalities=(1, None),
        pairs=False,
        reads_labels=True,
    )

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Draw the class codes; nothing is learned."""
        if not context.bits:
            raise MethodError("label_oracle_hash needs a code length: choose bits")
        self.n_classes_ = labels_of(next(iter(train.values())), self.info.name).shape[1]
        rng = context.rng("class codes")
        self.class_codes_ = distinct_codes(self.n_classes_, context.bits, rng)
        self.tie_code_ = sign_codes(rng.standard_normal(context.bits))
        return self

    def encode(self, modality: str, features: np.ndarray) -> NoReturn:
        """Not possible from features: always an error."""
        refuse_features(self)

    def encode_labels(self, modality: str, labels: np.ndarray) -> np.ndarray:
        """Codes of label rows (n, C): int8, shape (n, bits)."""
        self.check_fitted("class_codes_")
        check_labels(self, labels, self.n_classes_)
        votes = labels.astype(np.int32) @ self.class_codes_.astype(np.int32)
        return sign_codes(2 * votes + self.tie_code_)


def distinct_codes(count: int, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Random codes (count, bits), int8 in {-1, +1}, all different unless 2^bits is smaller than count."""
    codes = sign_codes(rng.standard_normal((count, bits)))
    if bits < 63 and 2**bits < count:
        return codes
    while len(repeated := np.setdiff1d(np.arange(count), np.unique(codes, axis=0, return_index=True)[1])):
        codes[repeated] = sign_codes(rng.standard_normal((len(repeated), bits)))
    return codes


def check_labels(method: Method, labels: np.ndarray, n_classes: int) -> None:
    """Raise an error unless there is one column per class."""
    if labels.ndim != 2 or labels.shape[1] != n_classes:
        raise MethodError(
            f"{method.info.name} was fitted on {n_classes} classes, got labels of shape {labels.shape}; "
            f"expected (n, {n_classes})"
        )


def refuse_features(method: Method) -> NoReturn:
    """Raise the error that says why there is no `encode`."""
    raise MethodError(
        f"{method.info.name} makes representations of true labels, not of features: it is measured through "
        "encode_labels and cannot encode new items"
    )
