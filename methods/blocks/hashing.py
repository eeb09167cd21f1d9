"""What shallow hashing methods share around their algorithm: training pairs, hash functions, `encode`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method, paired_rows
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.encoding import LinearSigns
from cmrbench_methods.blocks.labels import labels_of
from cmrbench_methods.blocks.linear import product, row_blocks, sign_codes
from cmrbench_methods.blocks.maps import FeatureMap, Scaled

if TYPE_CHECKING:
    from cmrbench.core.items import Items


@dataclass(frozen=True, eq=False)
class TrainingPairs:
    """Paired training items of two modalities, checked.

    Attributes
    ----------
    first, second : str
        The modalities' names.
    X, Y : ndarray
        Features as they were handed out, (n, dx) and (n, dy), usually float32, perhaps memory-mapped: read-only.
    labels : ndarray or None
        float64 multi-hot (n, C) without columns that no item has; None for methods without supervision.
    bits : int
    """

    first: str
    second: str
    X: np.ndarray
    Y: np.ndarray
    labels: np.ndarray | None
    bits: int

    def __len__(self) -> int:
        return len(self.X)

    @property
    def names(self) -> tuple[str, str]:
        """Both modalities' names."""
        return self.first, self.second

    @property
    def features(self) -> dict[str, np.ndarray]:
        """Features by modality."""
        return {self.first: self.X, self.second: self.Y}

    @property
    def dims(self) -> dict[str, int]:
        """Feature widths by modality."""
        return {m: z.shape[1] for m, z in self.features.items()}

    @property
    def L(self) -> np.ndarray:  # noqa: N802
        """The labels of a supervised method."""
        assert self.labels is not None
        return self.labels


def training_pairs(method: Method, train: Mapping[str, Items], context: Context) -> TrainingPairs:
    """The training items of a hashing method of two modalities, after the checks that all of them need.

    What limits the method without ruling it out is logged as a warning, which is kept with the run: items without
    labels, a single class, more bits than items, a modality whose items are all the same.

    Raises
    ------
    MethodError
        Without a code length, with other than corresponding items, with fewer than two items, with items that are all
        the same in both modalities, or with a supervised method and no label at all.
    """
    name = method.info.name
    if not context.bits:
        raise MethodError(f"{name} needs a code length: choose bits")
    paired_rows(train, name)
    (first, left), (second, right) = train.items()
    if len(left) < 2:
        raise MethodError(f"{name} needs at least 2 training pairs, it was given {len(left)}")
    check_length(context.bits, len(left), name, context)
    check_varied(train, name, context)
    labels = None
    if method.info.supervision == "labels":
        given = labels_of(left, name)
        check_labels(given, name, context)
        labels = given[:, given.any(axis=0)].astype(np.float64)
    return TrainingPairs(first, second, left.features, right.features, labels, context.bits)


def centred_design(modality: str, features: np.ndarray) -> Design:
    """Features minus their training mean."""
    return Design(features, Scaled.fit(features))


def uncentred_design(modality: str, features: np.ndarray) -> Design:
    """Features as they are."""
    return Design(features, Scaled.fit(features, centre=False))


def shared_designs(
    pairs: TrainingPairs, context: Context, make: Callable[[str, np.ndarray], Design] = centred_design
) -> dict[str, Design]:
    """``make(modality, features)`` of both modalities, in their order; runs that differ in bits alone share it."""
    return {m: context.shared(("design", m), partial(make, m, z)) for m, z in pairs.features.items()}


def check_variant(name: str, variant: str) -> None:
    """Raise an error unless a method follows the paper or the released code."""
    if variant not in ("paper", "released"):
        raise MethodError(f"{name}: variant {variant!r} is neither paper nor released")


def check_length(bits: int, n: int, name: str, context: Context) -> None:
    """Log a warning where a code has as many bits as there are training items, or more."""
    if bits >= n:
        context.logger.warning(
            "%s: %d bits were asked of %d training items, of which at most %d can differ independently",
            name,
            bits,
            n,
            n - 1,
        )


def check_varied(train: Mapping[str, Items], name: str, context: Context) -> None:
    """Log a warning for a modality whose items all have the same features; raise an error if each is such a one."""
    constant = [m for m, items in train.items() if not varied(items.features)]
    if len(constant) == len(train):
        raise MethodError(
            f"{name} learns from features, and all training items have the same ones in {' and '.join(constant)}"
        )
    for m in constant:
        context.logger.warning(
            "%s: all training items have the same %s features, so the codes of that modality tell nothing apart",
            name,
            m,
        )


def varied(features: np.ndarray) -> bool:
    """Whether any row of features (n, d) differs from the first."""
    return any(bool((features[rows] != features[0]).any()) for rows in row_blocks(len(features)))


def check_labels(labels: np.ndarray, name: str, context: Context) -> None:
    """Raise an error if no item of labels (n, C) has any; log a warning for items without and for a single class."""
    if not labels.any():
        raise MethodError(f"{name} learns from labels, and none of the {len(labels)} training items has any")
    without = int((~labels.any(axis=1)).sum())
    if without:
        context.logger.warning(
            "%s: %d of %d training items have no label; they are kept and are similar to nothing",
            name,
            without,
            len(labels),
        )
    if (labels == labels[0]).all():
        context.logger.warning("%s: all training items have the same labels, so there is nothing to tell apart", name)


def check_codes(codes: np.ndarray, name: str) -> None:
    """Raise an error if learned codes (n, bits) are one code for all items, which no query can tell apart."""
    if (codes == codes[0]).all():
        raise MethodError(
            f"{name} learned one and the same code for all {len(codes)} training items: "
            "their labels, and what else it learns from, tell nothing apart"
        )


class CodeFunction(ABC):
    """A hash function: the signs of features, as codes of -1 and +1 or packed."""

    @abstractmethod
    def signs(self, features: np.ndarray) -> np.ndarray:
        """Whether each bit of features (n, d) is +1: bool, (n, bits)."""

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Codes of features (n, d): int8, (n, bits)."""
        codes = self.signs(features).view(np.int8)
        codes *= 2
        codes -= 1
        return codes

    def packed(self, features: np.ndarray) -> np.ndarray:
        """Codes of features (n, d), a bit each: uint8, (n, ceil(bits / 8)), as `numpy.packbits` makes them."""
        return np.packbits(self.signs(features), axis=1)


@dataclass(frozen=True, eq=False)
class HashFunction(CodeFunction):
    """sgn(phi(z) W - t): a feature map, weights (m, bits) and thresholds (bits,); zero counts as +1."""

    map: FeatureMap
    weights: np.ndarray
    threshold: np.ndarray | float = 0.0

    def values(self, features: np.ndarray) -> np.ndarray:
        """phi(z) W - t before the sign: float64, (n, bits)."""
        out = np.empty((len(features), self.weights.shape[1]))
        for rows in row_blocks(len(features), 2048):
            out[rows] = product(self.map(features[rows]), self.weights) - self.threshold
        return out

    def signs(self, features: np.ndarray) -> np.ndarray:
        """Whether phi(z) W - t is at least 0: bool, (n, bits)."""
        if isinstance(self.map, Scaled) and not self.map.unit and features.dtype == np.float32:
            return LinearSigns.of(self.map.mean, self.weights, self.threshold)(features)
        return self.values(features) >= 0


def check_functions(functions: Mapping[str, HashFunction], features: Mapping[str, np.ndarray], name: str) -> None:
    """Raise an error if a hash function gives one code to all training items, though their features differ."""
    for m, function in functions.items():
        z = features[m]
        first = function.signs(z[:1])
        if varied(z) and not any((function.signs(z[rows]) != first).any() for rows in row_blocks(len(z))):
            raise MethodError(
                f"{name} learned a hash function that gives one code to all {m} training items: what it learned "
                "from does not tell them apart, or their features are too small beside its ridge"
            )


class HashingMethod(Method):
    """A method whose `fit` sets `dims_`, `functions_` and, if it learns codes of the training items, `codes_`.

    Attributes
    ----------
    dims_ : dict
        Feature width by modality.
    functions_ : dict
        By modality, a callable from features (n, d) to int8 codes (n, bits): usually a `HashFunction`.
    codes_ : dict
        By modality, learned codes of the training items (n, bits) in {-1, +1}; left out where there are none.
    """

    dims_: Mapping[str, int]
    functions_: Mapping[str, HashFunction]
    codes_: Mapping[str, np.ndarray]

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Codes by the modality's hash function: int8, (n, bits)."""
        self.check_fitted("functions_")
        self.check_features(modality, features, self.dims_)
        return self.functions_[modality](features)

    def encode_train(self, modality: str) -> np.ndarray | None:
        """Codes that `fit` learned for the training items: int8, (n_train, bits); None if it learned none."""
        self.check_fitted("functions_")
        codes = getattr(self, "codes_", None)
        return None if codes is None else sign_codes(codes[modality])


def in_turn(directions: np.ndarray, bits: int, method: str, context: Context) -> np.ndarray:
    """Columns (d, bits) from the directions (d, k) that there are; beyond k they are used again in turn.

    The rule for more bits than directions, wherever a method has no direction of its own for a bit. Repeating is the
    declared alternative to numerical noise; a warning says which bits repeat.
    """
    k = directions.shape[1]
    if not k:
        raise MethodError(
            f"{method} found no direction in which the two modalities are correlated: one of them may be constant, "
            "they may have nothing in common, or features may be too small beside the method's ridge"
        )
    if k < bits:
        context.logger.warning(
            "%s: the data have %d directions, so bits %d to %d repeat the first ones", method, k, k + 1, bits
        )
    return directions[:, np.arange(bits) % k]


def both_in_turn(
    A: np.ndarray, B: np.ndarray, bits: int, method: str, context: Context
) -> tuple[np.ndarray, np.ndarray]:
    """`in_turn` for the directions (dx, k) and (dy, k) of two modalities, which belong together: one warning."""
    both = in_turn(np.vstack((A, B)), bits, method, context)
    return both[: len(A)], both[len(A) :]
